//! The changes, decided before anything is written.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::files::{self, Toolkit};
use super::merge::{self, Merged};
use super::shown;
use crate::core::yaml;
use crate::system::repo::Repo;
use crate::system::{atomic, console};

/// The record of the files that the toolkit wrote last, relative to the root.
pub(super) const REMEMBERED: &str = "policies/toolkit.json";

const ALIAS: &str = "run --quiet --package xtask-shim --bin xtask --";

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// The toolkit's version.
    toolkit: String,
    /// Every file as the toolkit wrote it, before any local edit.
    files: BTreeMap<String, String>,
}

impl Remembered {
    pub(super) fn read(root: &Path) -> Result<Option<Self>> {
        let path = root.join(REMEMBERED);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .with_context(|| format!("failed to understand {}; restore it from git", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
        }
    }
}

/// A file to write.
#[derive(Debug)]
pub(super) struct Change {
    before: Option<String>,
    after: String,
}

#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) changes: BTreeMap<String, Change>,
    /// Files that both sides changed in one place, with the text that marks it.
    pub(super) conflicts: BTreeMap<String, String>,
    /// Files that were there before the toolkit and are left as they are.
    kept: Vec<String>,
}

impl Plan {
    pub(super) fn make(
        repo: &Repo,
        toolkit: &Toolkit,
        remembered: Option<&Remembered>,
        keep: &[String],
    ) -> Result<Self> {
        let project = repo.dbt_project()?;
        let folder = shown(project.strip_prefix(repo.root()).unwrap_or(&project));
        let name = project_name(&project)?;
        let mut plan = Self::default();
        let mut brought = BTreeMap::new();
        for (path, theirs) in toolkit.files(&folder, &name)? {
            let base = remembered.and_then(|remembered| remembered.files.get(&path));
            if plan.bring(repo.root(), &path, base.map(String::as_str), &theirs, keep)? {
                brought.insert(path, theirs);
            } else if let Some(base) = base {
                brought.insert(path, base.clone());
            }
        }
        for path in keep {
            if !brought.contains_key(path) {
                bail!("--keep {path}: the toolkit has no such file");
            }
        }
        plan.edit(repo.root(), ".cargo/config.toml", with_alias)?;
        plan.edit(repo.root(), "Cargo.toml", with_member)?;
        plan.edit(repo.root(), ".gitignore", with_target)?;
        if !repo.root().join("Cargo.lock").exists() {
            plan.changes.insert("Cargo.lock".to_owned(), Change { before: None, after: files::lock()? });
        }
        let now = Remembered { toolkit: env!("CARGO_PKG_VERSION").to_owned(), files: brought };
        let text = serde_json::to_string_pretty(&now).context("failed to write JSON")? + "\n";
        plan.edit(repo.root(), REMEMBERED, |_| Ok(text))?;
        Ok(plan)
    }

    /// Decide about a file of the toolkit. Returns whether later upgrades start from `theirs`.
    fn bring(
        &mut self,
        root: &Path,
        path: &str,
        base: Option<&str>,
        theirs: &str,
        keep: &[String],
    ) -> Result<bool> {
        let ours = read(root, path)?;
        let after = match (&ours, base) {
            // Removed on purpose: it is not added again.
            (None, Some(_)) => return Ok(true),
            (None, None) => theirs.to_owned(),
            (Some(_), _) if keep.iter().any(|kept| kept == path) => return Ok(true),
            (Some(ours), None) if ours == theirs => return Ok(true),
            // A file of this name that the toolkit did not write.
            (Some(_), None) => {
                self.kept.push(path.to_owned());
                return Ok(false);
            }
            (Some(ours), Some(base)) => match merge::merge(ours, base, theirs)? {
                Merged::Clean(text) => text,
                Merged::Conflicts(text, _) => {
                    self.conflicts.insert(path.to_owned(), text);
                    return Ok(false);
                }
            },
        };
        self.change(path, ours, after);
        Ok(true)
    }

    /// A file that the repository owns and that gets a line.
    fn edit(&mut self, root: &Path, path: &str, edit: impl FnOnce(&str) -> Result<String>) -> Result<()> {
        let before = read(root, path)?;
        let after = edit(before.as_deref().unwrap_or_default())
            .with_context(|| format!("failed to change {}", root.join(path).display()))?;
        self.change(path, before, after);
        Ok(())
    }

    fn change(&mut self, path: &str, before: Option<String>, after: String) {
        if before.as_ref() != Some(&after) {
            self.changes.insert(path.to_owned(), Change { before, after });
        }
    }

    /// Print the differences. Generated files are named, not shown.
    pub(super) fn show(&self, done: bool) -> Result<()> {
        let is_machinery = |path: &str| path == REMEMBERED || path == "Cargo.lock";
        let shown = self.changes.iter().filter(|(path, _)| !is_machinery(path));
        let diff = merge::diff(
            shown.map(|(path, change)| (path.as_str(), change.before.as_deref(), change.after.as_str())),
        )?;
        console::print(diff.trim_end())?;
        for path in self.changes.keys().filter(|path| is_machinery(path)) {
            console::print(&format!("{} {path}", if done { "wrote" } else { "would write" }))?;
        }
        for path in &self.kept {
            tracing::warn!(
                "{path} was here before the toolkit and is left as it is; compare it with the toolkit's"
            );
        }
        for (path, text) in &self.conflicts {
            console::print(&format!("\nconflict in {path}, which is left as it is:\n{}", conflicting(text)))?;
        }
        if !self.conflicts.is_empty() {
            tracing::warn!(
                "edit the files so that they agree with the toolkit's, or keep yours with --keep PATH, and run this again"
            );
        }
        Ok(())
    }

    pub(super) fn apply(&self, root: &Path) -> Result<()> {
        for (path, change) in &self.changes {
            let file = root.join(path);
            let folder = file.parent().unwrap_or(root);
            let write = || -> std::io::Result<()> {
                fs::create_dir_all(folder)?;
                atomic::publish(&file, change.after.as_bytes())
            };
            write().with_context(|| format!("failed to write {}", file.display()))?;
        }
        Ok(())
    }
}

fn read(root: &Path, path: &str) -> Result<Option<String>> {
    let file = root.join(path);
    match fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read {}", file.display())),
    }
}

fn project_name(project: &Path) -> Result<String> {
    let path = project.join("dbt_project.yml");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let root = yaml::parse_one(&text).with_context(|| format!("failed to understand {}", path.display()))?;
    let name = root.as_ref().and_then(|root| root.get("name")?.text().map(str::to_owned));
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    Ok(name.with_context(|| format!("{} has no `name`", path.display()))?.chars().map(plain).collect())
}

/// The marked parts of a merged text.
fn conflicting(text: &str) -> String {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        let is_start = line.starts_with("<<<<<<< yours");
        let is_end = line.starts_with(">>>>>>> toolkit");
        inside |= is_start;
        let is_shown = inside;
        inside &= !is_end;
        is_shown
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `.cargo/config.toml` with the alias.
fn with_alias(text: &str) -> Result<String> {
    let config: toml::Table = text.parse().context("it is not valid TOML")?;
    if let Some(alias) = config.get("alias").and_then(|alias| alias.get("xtask")) {
        if alias.as_str() == Some(ALIAS) {
            return Ok(text.to_owned());
        }
        bail!("it has an alias `xtask` already: {alias}; rename that one");
    }
    let line = format!("xtask = \"{ALIAS}\"\n");
    let edited = match text.split_inclusive('\n').position(|line| line.trim() == "[alias]") {
        Some(at) => {
            text.split_inclusive('\n').take(at + 1).collect::<String>()
                + &line
                + &text.split_inclusive('\n').skip(at + 1).collect::<String>()
        }
        None => format!("{}[alias]\n{line}", with_gap(text)),
    };
    checked(edited, |config| config.get("alias")?.get("xtask")?.as_str().map(|alias| alias == ALIAS))
}

/// `Cargo.toml` with the package of the toolkit in its workspace.
fn with_member(text: &str) -> Result<String> {
    let manifest: toml::Table = text.parse().context("it is not valid TOML")?;
    let has_member = |manifest: &toml::Table| {
        let members = manifest.get("workspace")?.get("members")?.as_array()?;
        Some(members.iter().any(|member| matches!(member.as_str(), Some("xtask" | "*"))))
    };
    if has_member(&manifest) == Some(true) {
        return Ok(text.to_owned());
    }
    let edited = match manifest.get("workspace") {
        None if text.is_empty() => "[workspace]\nresolver = \"3\"\nmembers = [\"xtask\"]\n\n\
             # `cargo xtask` runs the dev profile: its dependencies read, search and parse in bulk.\n\
             [profile.dev.package.\"*\"]\nopt-level = 1\ndebug = false\n"
            .to_owned(),
        None => format!("{}[workspace]\nmembers = [\"xtask\"]\n", with_gap(text)),
        Some(workspace) if workspace.get("members").is_none() => {
            text.replacen("[workspace]\n", "[workspace]\nmembers = [\"xtask\"]\n", 1)
        }
        Some(_) => {
            let at = text.find("members").and_then(|at| text[at..].find('[').map(|open| at + open + 1));
            let at = at.context("the list `members` was not found; add \"xtask\" to it by hand")?;
            format!("{}\"xtask\", {}", &text[..at], &text[at..])
        }
    };
    checked(edited, |manifest| has_member(manifest))
}

/// `.gitignore` with the folder that cargo builds in.
#[expect(clippy::unnecessary_wraps, reason = "one of several edits")]
fn with_target(text: &str) -> Result<String> {
    let is_there =
        text.lines().any(|line| matches!(line.trim(), "target" | "target/" | "/target" | "/target/"));
    Ok(if is_there { text.to_owned() } else { format!("{}/target/\n", with_newline(text)) })
}

fn with_newline(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

/// `text` and an empty line, unless it is empty.
fn with_gap(text: &str) -> String {
    if text.is_empty() { String::new() } else { with_newline(text) + "\n" }
}

/// A textual edit is accepted only if the parsed file then has the expected content.
fn checked(text: String, says: impl Fn(&toml::Table) -> Option<bool>) -> Result<String> {
    let parsed: toml::Table =
        text.parse().context("the edited file would not be valid TOML; edit it by hand")?;
    if says(&parsed) != Some(true) {
        bail!("it is written in a way that cannot be edited; add the line by hand");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_made_once_and_leave_the_rest() {
        for text in ["", "[build]\njobs = 2\n", "[alias]\nb = \"build\"\n"] {
            let once = with_alias(text).expect("edited");
            assert!(text.lines().all(|line| once.contains(line)), "{once}");
            assert_eq!(with_alias(&once).expect("again"), once);
        }
        assert!(with_alias("[alias]\nxtask = \"other\"\n").is_err());
        for text in [
            "",
            "[package]\nname = \"x\"",
            "[workspace]\nresolver = \"3\"\n",
            "# members = [\n[workspace]\nmembers = [\"a\"]\n",
            "[workspace]\nmembers = [\n    \"a\",\n]\n",
        ] {
            let Ok(once) = with_member(text) else {
                assert!(text.starts_with("# members"), "{text}");
                continue;
            };
            assert!(text.lines().all(|line| once.contains(line.trim_end_matches("\"a\"]"))), "{once}");
            assert_eq!(with_member(&once).expect("again"), once);
        }
        assert_eq!(with_target("*.log").expect("edited"), "*.log\n/target/\n");
        assert_eq!(with_target("target/\n").expect("edited"), "target/\n");
    }

    fn repository() -> (tempfile::TempDir, Repo) {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join(".git")).expect("a folder");
        fs::write(root.path().join("dbt_project.yml"), "name: shop\n").expect("written");
        let repo = Repo::discover(root.path());
        (root, repo)
    }

    fn toolkit() -> Toolkit {
        Toolkit::Git { url: "https://example.com/t".to_owned(), commit: "1".to_owned() }
    }

    #[test]
    fn adopting_is_idempotent_and_keeps_foreign_files() {
        let (root, repo) = repository();
        fs::create_dir_all(root.path().join(".github/workflows")).expect("a folder");
        fs::write(root.path().join(".github/workflows/elt.yml"), "on: push\n").expect("written");
        let plan = Plan::make(&repo, &toolkit(), None, &[]).expect("a plan");
        assert_eq!(plan.kept, [".github/workflows/elt.yml"]);
        plan.apply(root.path()).expect("written");
        let remembered = Remembered::read(root.path()).expect("readable");
        let again = Plan::make(&repo, &toolkit(), remembered.as_ref(), &[]).expect("a plan");
        assert!(again.changes.is_empty(), "{:?}", again.changes.keys());
    }

    #[test]
    fn local_edits_survive_an_upgrade_and_conflicts_are_left() {
        let (root, repo) = repository();
        Plan::make(&repo, &toolkit(), None, &[]).expect("a plan").apply(root.path()).expect("written");
        let path = root.path().join("policies/environments.toml");
        let mine = fs::read_to_string(&path).expect("a policy").replace("issue_days = 14", "issue_days = 3");
        fs::write(&path, &mine).expect("written");

        // What an older toolkit brought: another grace, and other days.
        let mut before = Remembered::read(root.path()).expect("readable").expect("set up");
        let base = before.files.get_mut("policies/environments.toml").expect("a file");
        *base = base.replace("grace_hours = 24", "grace_hours = 12");
        fs::write(&path, mine.replace("grace_hours = 24", "grace_hours = 12")).expect("written");
        let plan = Plan::make(&repo, &toolkit(), Some(&before), &[]).expect("a plan");
        assert_eq!(plan.changes["policies/environments.toml"].after, mine);

        let base = before.files.get_mut("policies/environments.toml").expect("a file");
        *base = base.replace("issue_days = 14", "issue_days = 10");
        let plan = Plan::make(&repo, &toolkit(), Some(&before), &[]).expect("a plan");
        assert!(
            plan.conflicts["policies/environments.toml"].contains("issue_days = 3"),
            "{:?}",
            plan.conflicts
        );
        assert!(!plan.changes.contains_key("policies/environments.toml"));
        let keep = ["policies/environments.toml".to_owned()];
        assert!(Plan::make(&repo, &toolkit(), Some(&before), &keep).expect("a plan").conflicts.is_empty());
    }
}
