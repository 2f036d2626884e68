//! Write the lock files from the hand-written ones, and check whether that is due.
//!
//! uv resolves, because only uv writes one lock for every platform and Python at once. If it is not
//! installed, a pinned version is fetched into a temporary folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};

use super::installer::{self, MISLEADING, Tool};
use super::interpreter::{self, Search};
use super::requirements::{self, Lock, MADE_FROM, Set};
use super::{failure, redact};
use crate::system::repo::Repo;
use crate::system::{atomic, console};

/// The version of uv that is fetched if none is on PATH.
const UV: &str = "uv==0.13.9";

/// All sets resolved at once. The name shows up in no lock: see `tidy`.
const TOGETHER: &str = "together.txt";

/// What is wrong with the locks, one sentence each; empty if they match the hand-written files. Needs neither
/// network nor uv.
pub(crate) fn complaints(repo: &Repo) -> Result<Vec<String>> {
    let folder = requirements::folder(repo)?;
    if !requirements::pins_anything(&folder) {
        return Ok(Vec::new());
    }
    let sets = inputs(repo, &folder)?;
    let digest = requirements::inputs_digest(&folder)?;
    let mut found = Vec::new();
    let mut locks = Vec::new();
    for set in sets {
        let path = folder.join(set.output());
        let shown = repo.relative(&path).display().to_string();
        if !path.is_file() {
            found.push(format!("{shown} does not exist"));
            continue;
        }
        let lock = Lock::read(repo, set)?;
        if lock.made_from() != Some(digest.as_str()) {
            found.push(format!("{shown} was made from other .in files than these"));
        }
        locks.push(lock);
    }
    found.extend(requirements::disagreements(&locks));
    Ok(found)
}

/// Write the lock of every set that has a hand-written file. Existing pins stay if they still fit, unless
/// `upgrade`. Returns the changes, one sentence each.
pub(crate) fn relock(repo: &Repo, upgrade: bool) -> Result<Vec<String>> {
    let folder = requirements::folder(repo)?;
    let sets = inputs(repo, &folder)?;
    let digest = requirements::inputs_digest(&folder)?;
    // uv writes the names of files into its comments. Working on copies keeps this machine out of them.
    let scratch =
        tempfile::Builder::new().prefix("xtask-lock-").tempdir().context("failed to make a folder")?;
    let uv = uv_for(scratch.path())?;
    let before = texts(&folder, &sets);
    for set in &sets {
        let name = set.input();
        std::fs::copy(folder.join(&name), scratch.path().join(&name))
            .with_context(|| format!("failed to copy {name}"))?;
    }
    if !upgrade {
        // uv takes what its output file already pins as its preference.
        std::fs::write(scratch.path().join(TOGETHER), without_doubles(&before))?;
    }
    let bar = console::spinner("resolving all sets together");
    compile(&uv, scratch.path(), &sets.iter().map(|set| set.input()).collect::<Vec<_>>(), TOGETHER)?;
    let mut written = Vec::new();
    for set in &sets {
        bar.set_message(format!("locking {}", set.output()));
        let constrained = [set.input(), "--constraints".to_owned(), TOGETHER.to_owned()];
        // All of it was fetched a moment ago, and querying the index again takes ten seconds per set.
        let offline = [&constrained[..], &["--offline".to_owned()]].concat();
        compile(&uv, scratch.path(), &offline, &set.output())
            .or_else(|_| compile(&uv, scratch.path(), &constrained, &set.output()))?;
        let text = std::fs::read_to_string(scratch.path().join(set.output()))?;
        written.push((*set, format!("{}{}", header(*set, &digest), tidy(&text))));
    }
    bar.finish_and_clear();
    // Only now, so that a failure on the way leaves the locks as they were.
    for (set, text) in &written {
        replace(&folder.join(set.output()), text)?;
        let missing = if *set == Set::Local { requirements::missing(text) } else { Vec::new() };
        if !missing.is_empty() {
            tracing::warn!("builds need packages that {} does not name: {}", set.input(), missing.join(", "));
        }
    }
    let after: Vec<String> = written.into_iter().map(|(_, text)| text).collect();
    Ok(changes(&before, &after))
}

/// The sets to lock, or an error that says how to begin.
fn inputs(repo: &Repo, folder: &Path) -> Result<Vec<Set>> {
    let sets = requirements::sets_in(folder);
    if sets.is_empty() {
        bail!(
            "nothing to lock: {} holds no local.in; write one with these lines, and below them what else your Python models \
             import, such as pandas:\n{}",
            repo.relative(folder).display(),
            requirements::missing("").join("\n")
        );
    }
    Ok(sets)
}

fn texts(folder: &Path, sets: &[Set]) -> Vec<String> {
    sets.iter().filter_map(|set| std::fs::read_to_string(folder.join(set.output())).ok()).collect()
}

/// A package that several sets pin, once: uv rejects a file with duplicates.
fn without_doubles(locks: &[String]) -> String {
    let pins: BTreeSet<_> = locks.iter().flat_map(|text| requirements::pins(text)).collect();
    let mut text = String::new();
    for pin in pins {
        let separator = if pin.marker.is_empty() { "" } else { " ; " };
        text.extend([pin.name, "==", pin.version, separator, pin.marker, "\n"]);
    }
    text
}

fn compile(uv: &Path, scratch: &Path, arguments: &[String], output: &str) -> Result<()> {
    let mut command = installer::uv_command(uv);
    command.args(["pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header"]);
    command.arg("--python-version").arg(format!("{}.{}", interpreter::OLDEST.0, interpreter::OLDEST.1));
    // Only what can be installed without running a package's own code.
    command.args(["--only-binary", ":all:", "--output-file", output]).args(arguments).current_dir(scratch);
    quietly(command).with_context(|| format!("failed to resolve {}", arguments.join(" ")))
}

fn header(set: Set, digest: &str) -> String {
    format!(
        "# Written by `cargo xtask python lock` from {}; edit that, not this.\n\
         # Everything this set needs, on every platform and Python {}; all sets are resolved together.\n\
         {MADE_FROM}{digest}\n",
        set.input(),
        interpreter::RANGE,
    )
}

/// Without the mentions of the file that held all sets together.
fn tidy(text: &str) -> String {
    let mention = format!("-c {TOGETHER}");
    text.lines().filter(|line| !line.trim_end().ends_with(&mention)).flat_map(|line| [line, "\n"]).collect()
}

fn replace(path: &Path, text: &str) -> Result<()> {
    atomic::publish(path, text.as_bytes()).with_context(|| format!("failed to write {}", path.display()))
}

/// The changes of an upgrade or an edit to the pins of all sets together.
fn changes(before: &[String], after: &[String]) -> Vec<String> {
    let pinned = |texts: &[String]| -> BTreeSet<(String, String)> {
        let pins = texts.iter().flat_map(|text| requirements::pins(text));
        pins.map(|pin| (pin.name.to_owned(), pin.version.to_owned())).collect()
    };
    let (before, after) = (pinned(before), pinned(after));
    let added = after.difference(&before).map(|(name, version)| format!("+ {name} {version}"));
    let removed = before.difference(&after).map(|(name, version)| format!("- {name} {version}"));
    let mut all: Vec<String> = removed.chain(added).collect();
    all.sort_by(|a, b| a[2..].cmp(&b[2..]));
    all
}

/// The uv on PATH, else a pinned one in a throwaway environment below `scratch`.
fn uv_for(scratch: &Path) -> Result<PathBuf> {
    if let Some(Tool::Uv { program, .. }) = installer::uv() {
        return Ok(program);
    }
    let python = match interpreter::search(true)? {
        Search::Found(python) => python,
        Search::Nothing { rejected } => bail!(interpreter::nothing_found(&rejected)),
    };
    tracing::info!("no uv on PATH: fetching {UV} with Python {} for this once", python.version);
    let venv = scratch.join("uv");
    let mut create = Command::new(&python.path);
    create.args(["-I", "-m", "venv"]).arg(&venv);
    quietly(create)
        .with_context(|| format!("failed to make an environment with {}", python.path.display()))?;
    let bin = venv.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let mut install = Command::new(bin.join("python"));
    install.args(["-I", "-m", "pip", "install", "--quiet", "--no-input", "--only-binary", ":all:", UV]);
    install.args(["--disable-pip-version-check"]).env("PIP_USER", "0");
    quietly(install).with_context(|| format!("failed to fetch {UV}"))?;
    Ok(bin.join("uv"))
}

/// Run a program whose output matters only when it fails.
fn quietly(mut command: Command) -> Result<()> {
    for name in MISLEADING {
        command.env_remove(name);
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("failed to start {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let said = redact::addresses(said.trim());
    let error = anyhow!("{}", if said.is_empty() { output.status.to_string() } else { said.clone() });
    Err(match failure::reason(&said) {
        Some(reason) => error.context(format!("{}; {}", reason.what, reason.remedy)),
        None => error,
    })
}
