//! Three-way merges of text, by git.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The result of a merge.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Merged {
    Clean(String),
    /// The text with the conflicting parts marked, and how many there are.
    Conflicts(String, i32),
}

/// Merge what was changed from `base` to `theirs` into `ours`.
pub(super) fn merge(ours: &str, base: &str, theirs: &str) -> Result<Merged> {
    if ours == base || ours == theirs {
        return Ok(Merged::Clean(theirs.to_owned()));
    }
    if base == theirs {
        return Ok(Merged::Clean(ours.to_owned()));
    }
    let folder = scratch()?;
    for (name, text) in [("ours", ours), ("base", base), ("theirs", theirs)] {
        write(&folder.path().join(name), text)?;
    }
    let output = Command::new("git")
        .args([
            "merge-file",
            "-p",
            "--diff3",
            "-L",
            "yours",
            "-L",
            "before",
            "-L",
            "toolkit",
            "ours",
            "base",
            "theirs",
        ])
        .current_dir(folder.path())
        .output()
        .context("failed to start git, which merges files")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) => Ok(Merged::Clean(text)),
        Some(conflicts @ 1..=127) => Ok(Merged::Conflicts(text, conflicts)),
        _ => bail!("git merge-file failed: {}", String::from_utf8_lossy(&output.stderr).trim()),
    }
}

/// The difference between sets of files, as git prints it. A file that is not there before is new.
pub(super) fn diff<'a>(changes: impl Iterator<Item = (&'a str, Option<&'a str>, &'a str)>) -> Result<String> {
    let folder = scratch()?;
    for side in ["a", "b"] {
        fs::create_dir(folder.path().join(side)).context("failed to make a folder")?;
    }
    for (path, before, after) in changes {
        if let Some(before) = before {
            write(&folder.path().join("a").join(path), before)?;
        }
        write(&folder.path().join("b").join(path), after)?;
    }
    let output = Command::new("git")
        .args(["-c", "core.pager=cat", "diff", "--no-index", "--no-prefix", "--no-color", "a", "b"])
        .current_dir(folder.path())
        .output()
        .context("failed to start git, which shows what changes")?;
    match output.status.code() {
        Some(0 | 1) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => bail!("git diff failed: {}", String::from_utf8_lossy(&output.stderr).trim()),
    }
}

fn scratch() -> Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("xtask-merge-").tempdir().context("failed to make a folder")
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "a = 1\n\n\n\nb = 2\n\n\n\nc = 3\n";

    #[test]
    fn edits_of_both_sides_are_kept() {
        let ours = BASE.replace("a = 1", "a = 9");
        let theirs = BASE.replace("c = 3", "c = 4");
        let both = ours.replace("c = 3", "c = 4");
        assert_eq!(merge(&ours, BASE, &theirs).expect("merged"), Merged::Clean(both));
        assert_eq!(merge(BASE, BASE, &theirs).expect("merged"), Merged::Clean(theirs));
        assert_eq!(merge(&ours, BASE, BASE).expect("merged"), Merged::Clean(ours));
    }

    #[test]
    fn edits_of_one_line_on_both_sides_conflict() {
        let (ours, theirs) = (BASE.replace("b = 2", "b = 8"), BASE.replace("b = 2", "b = 9"));
        let Merged::Conflicts(text, 1) = merge(&ours, BASE, &theirs).expect("a result") else {
            panic!("a conflict")
        };
        for part in ["<<<<<<< yours\nb = 8", "b = 2", "b = 9\n>>>>>>> toolkit"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_diff_names_files_as_they_are_named_in_the_repository() {
        let text = diff([("x/y.toml", Some("a\n"), "b\n"), ("n", None, "c\n")].into_iter()).expect("a diff");
        for part in ["--- a/x/y.toml", "+++ b/x/y.toml", "-a\n+b", "+++ b/n"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
