//! `cargo xtask release`: what the release workflow needs of a tagged commit.
//!
//! `notes` refuses a tag that the version or the changelog contradicts, so that no release goes out without either.
//! `pack` archives the very program that is running: the launcher compiled it from this commit's sources and keeps it
//! under the hash of their content, so an unpacked archive is used by exactly the checkouts that it was built from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::system::outcome::Outcome;
use crate::system::repo::{self, Repo};
use crate::system::{console, dialogue};

/// Prepare a release of the toolkit.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print the changelog of a version, in Markdown.
    ///
    /// Exit code 2 if the tag is not `v` and the version in Cargo.toml, or if CHANGELOG.md has no section for it.
    Notes(Notes),

    /// Archive the compiled toolkit as target/assets/toolkit-OS-ARCH-HASH.tar.gz, with the hash of its sources.
    ///
    /// Unpacked into target/launcher of a checkout with the same sources, it replaces the compilation there. In any
    /// other checkout it is ignored.
    Pack,

    /// Take the toolkit that a release compiled from exactly these sources instead of compiling it, using `gh`.
    ///
    /// It is used only if its attestation says that the release workflow built it from the tag of the version. Exit
    /// code 0 also without one: the next command compiles the toolkit.
    Fetch(Fetch),

    /// Create the release on GitHub with the archives in target/assets and the changelog of the version, using `gh`.
    Create(Create),
}

#[derive(clap::Args)]
struct Notes {
    /// The tag of the release, such as v1.2.0; default: v and the version in Cargo.toml.
    #[arg(long)]
    tag: Option<String>,
}

#[derive(clap::Args)]
struct Fetch {
    /// The repository whose release it is.
    #[arg(long = "repo", value_name = "OWNER/NAME")]
    repository: String,
}

#[derive(clap::Args)]
struct Create {
    /// The tag of the release, which must exist on GitHub.
    #[arg(long)]
    tag: String,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// For four archives of some 30 MB each.
const UPLOAD_LIMIT: Duration = Duration::from_mins(15);

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    match &args.command {
        Command::Notes(notes) => {
            check_tag(notes.tag.as_deref())?;
            console::print(section(&changelog()?, VERSION)?)?;
        }
        // The launcher does it before the toolkit is there (`xtask/launcher/src/release.rs`).
        Command::Fetch(Fetch { repository }) => {
            bail!(
                "start `cargo xtask release fetch --repo {repository}` as that line, in a checkout of the toolkit"
            )
        }
        Command::Create(args) => create(&args.tag, &repo.root().join("target").join("assets"))?,
        Command::Pack => {
            let program = std::env::current_exe().context("failed to find the running program")?;
            let archive = pack(&program, &repo.root().join("target").join("assets"))?;
            console::print(&repo.relative(&archive).display().to_string())?;
        }
    }
    Ok(Outcome::Clean)
}

/// Have `gh` create the release. The text goes through its stdin, never through a shell.
fn create(tag: &str, assets: &Path) -> Result<()> {
    check_tag(Some(tag))?;
    let notes = section(&changelog()?, VERSION)?.to_owned();
    let entries =
        std::fs::read_dir(assets).with_context(|| format!("failed to list {}", assets.display()))?;
    let mut archives: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()
        .with_context(|| format!("failed to list {}", assets.display()))?;
    archives.retain(|path| path.to_string_lossy().ends_with(".tar.gz"));
    archives.sort();
    if archives.is_empty() {
        bail!("{} holds no archive; run `cargo xtask release pack` first", assets.display());
    }
    let mut command = std::process::Command::new("gh");
    command
        .args(["release", "create", tag, "--verify-tag", "--title", tag, "--notes-file", "-"])
        .args(archives);
    let answer = dialogue::hold(&mut command, notes.into_bytes(), UPLOAD_LIMIT)?;
    if !answer.status.success() {
        bail!("gh could not create the release: {}", String::from_utf8_lossy(&answer.stderr).trim());
    }
    console::print(String::from_utf8_lossy(&answer.stdout).trim_end())?;
    Ok(())
}

fn changelog() -> Result<String> {
    let path = repo::toolkit().join("CHANGELOG.md");
    std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
}

fn check_tag(tag: Option<&str>) -> Result<()> {
    match tag {
        Some(tag) if tag.strip_prefix('v') != Some(VERSION) => bail!(
            "the tag is {tag}, but the version in Cargo.toml is {VERSION}: set [workspace.package] version, or tag the \
             commit v{VERSION}"
        ),
        _ => Ok(()),
    }
}

/// The text below `## VERSION` in a changelog, up to the next heading of that level.
fn section<'a>(changelog: &'a str, version: &str) -> Result<&'a str> {
    let is_heading = |line: &str| line.starts_with("## ");
    let mut start = None;
    let mut offset = 0;
    for line in changelog.split_inclusive('\n') {
        let end = offset + line.len();
        match start {
            Some(start) if is_heading(line) => return Ok(changelog[start..offset].trim()),
            None if is_heading(line) && line[3..].split_whitespace().next() == Some(version) => {
                start = Some(end);
            }
            _ => {}
        }
        offset = end;
    }
    match start.map(|start| changelog[start..].trim()) {
        Some(text) if !text.is_empty() => Ok(text),
        _ => bail!("CHANGELOG.md has no section `## {version}` with text; describe the release there"),
    }
}

/// Archive `program` below the name of its folder, its content key.
fn pack(program: &Path, assets: &Path) -> Result<PathBuf> {
    let key = program.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    if key.len() != 32 || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!(
            "{} was not started by `cargo xtask`, so the sources it was built from are unknown",
            program.display()
        );
    }
    std::fs::create_dir_all(assets).with_context(|| format!("failed to create {}", assets.display()))?;
    let archive = assets.join(asset(key));
    let name = program.file_name().context("the running program has no name")?;
    let write = || -> std::io::Result<()> {
        let mut tar =
            tar::Builder::new(GzEncoder::new(std::fs::File::create(&archive)?, Compression::default()));
        tar.append_path_with_name(program, Path::new(key).join(name))?;
        tar.into_inner()?.finish()?.sync_all()
    };
    write().with_context(|| format!("failed to write {}", archive.display()))?;
    Ok(archive)
}

/// The file name of the archive for this machine, in the words of the runners of GitHub Actions. `release fetch` of the
/// launcher looks for it.
fn asset(key: &str) -> String {
    let system = match std::env::consts::OS {
        "macos" => "macOS",
        "windows" => "Windows",
        _ => "Linux",
    };
    let machine = if std::env::consts::ARCH == "aarch64" { "ARM64" } else { "X64" };
    format!("toolkit-{system}-{machine}-{key}.tar.gz")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: &str =
        "# Changelog\n\n## 1.1.0\n\n- b\n\n### Fixed\n\n- c\n\n## 1.0.0 (2026-01-01)\n\n- a\n\n## 0.9.0\n";

    #[test]
    fn a_section_ends_at_the_next_version() {
        assert_eq!(section(CHANGELOG, "1.1.0").expect("a section"), "- b\n\n### Fixed\n\n- c");
        assert_eq!(section(CHANGELOG, "1.0.0").expect("a section"), "- a");
    }

    #[test]
    fn a_missing_or_empty_section_is_an_error() {
        for version in ["0.9.0", "1.1", "2.0.0"] {
            section(CHANGELOG, version).expect_err(version);
        }
    }

    #[test]
    fn the_tag_must_be_the_version() {
        check_tag(None).expect("the default");
        check_tag(Some(&format!("v{VERSION}"))).expect("the version");
        for tag in [VERSION, "v0.0.0", "main", "--draft"] {
            check_tag(Some(tag)).expect_err(tag);
        }
    }

    #[test]
    fn an_archive_holds_the_program_under_its_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = "0123456789abcdef0123456789abcdef";
        let program = folder.path().join(key).join("xtask");
        std::fs::create_dir(folder.path().join(key)).expect("a folder");
        std::fs::write(&program, "the program").expect("a file");
        let archive = pack(&program, &folder.path().join("assets")).expect("an archive");
        let name = archive.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(name.starts_with("toolkit-") && name.ends_with(&format!("-{key}.tar.gz")), "{name}");
        let file = flate2::read::GzDecoder::new(std::fs::File::open(archive).expect("a file"));
        let mut tar = tar::Archive::new(file);
        let paths: Vec<_> = tar
            .entries()
            .expect("entries")
            .map(|entry| entry.expect("an entry").path().expect("a path").into_owned())
            .collect();
        assert_eq!(paths, [Path::new(key).join("xtask")]);
        pack(&folder.path().join("xtask"), folder.path()).expect_err("no key");
    }
}
