//! Where a run comes from: the commit, the person or workflow behind it, and what it is built from.

use std::path::Path;
use std::thread::JoinHandle;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::core::environment::Name;
use crate::core::ledger::Origin;

/// The commit that a run was made from; all unknown outside git.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) id: Option<String>,
    pub(crate) branch: Option<String>,
    pub(crate) dirty: Option<bool>,
}

/// A question to git that is not answered yet.
#[derive(Debug)]
pub(crate) struct Asking(JoinHandle<Option<Commit>>);

impl Asking {
    pub(crate) fn answer(self) -> Commit {
        self.0.join().ok().flatten().unwrap_or_default()
    }
}

impl Commit {
    /// Ask git for the commit that is checked out, without waiting: one call returns all three.
    pub(crate) fn ask(root: &Path) -> Asking {
        let root = root.to_path_buf();
        Asking(std::thread::spawn(move || {
            let shell = Shell::new().ok()?;
            shell.change_dir(root);
            cmd!(shell, "git status --porcelain=v2 --branch --untracked-files=no")
                .quiet()
                .ignore_stderr()
                .read()
                .ok()
                .map(|status| Self::parse(&status))
        }))
    }

    fn parse(status: &str) -> Self {
        let header = |key: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(key));
            value.map(str::trim).filter(|value| !value.starts_with('(')).map(str::to_owned)
        };
        Self {
            id: header("branch.oid"),
            branch: header("branch.head"),
            dirty: Some(status.lines().any(|line| !line.starts_with('#'))),
        }
    }
}

/// Who asked for the run: the account that triggered the workflow, else the user of this machine.
pub(crate) fn triggered_by() -> Option<String> {
    ["GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR", "USER", "LOGNAME"].into_iter().find_map(variable)
}

/// The page of the workflow run, on GitHub Actions.
pub(crate) fn run_url() -> Option<String> {
    let (server, repository, id) =
        (variable("GITHUB_SERVER_URL")?, variable("GITHUB_REPOSITORY")?, variable("GITHUB_RUN_ID")?);
    Some(format!("{server}/{repository}/actions/runs/{id}"))
}

/// Whether the workflow run at `other` is newer than this one. Both are pages as `run_url` returns them; GitHub counts
/// the numbers at their end up. A person who starts an older run again wants just that one, so nothing is newer then.
pub(crate) fn is_newer_run(other: &str, ours: &str, attempt: u64) -> bool {
    fn parts(url: &str) -> Option<(&str, u64)> {
        let (repository, number) = url.rsplit_once('/')?;
        Some((repository, number.parse().ok()?))
    }
    match (parts(other), parts(ours)) {
        (Some((theirs, other)), Some((own, this))) => attempt <= 1 && theirs == own && other > this,
        _ => false,
    }
}

/// How often this workflow run has been started; 1 outside of GitHub Actions.
pub(crate) fn run_attempt() -> u64 {
    variable("GITHUB_RUN_ATTEMPT").and_then(|attempt| attempt.parse().ok()).unwrap_or(1)
}

/// What a new environment is made from and for; without effect on one that exists.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Purpose {
    /// Start a new environment as a copy of this one, such as `dev`; without effect on one that exists.
    #[arg(long, value_name = "ENV")]
    pub(crate) base: Option<Name>,

    /// What the environment is for, in the requester's words. Recorded in the ownership mark, never used as SQL.
    #[arg(long, value_name = "TEXT", env = "XTASK_OBJECT_NAME", value_parser = object_name)]
    object_name: Option<String>,
}

impl Purpose {
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            base: self.base.clone(),
            object_name: self.object_name.clone().filter(|name| !name.is_empty()),
            created_by: triggered_by(),
        }
    }
}

/// The longest object name that is recorded, in characters: Snowflake's own limit for identifiers.
const LONGEST_OBJECT_NAME: usize = 255;

/// Outside text that is kept as it is, or refused: what cannot be read on one line is not a name.
fn object_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.chars().count() > LONGEST_OBJECT_NAME {
        return Err(format!("it is longer than {LONGEST_OBJECT_NAME} characters"));
    }
    if text.contains(hidden) {
        return Err("it holds control characters or marks of writing direction".to_owned());
    }
    Ok(text.to_owned())
}

/// Whether this is a job of GitHub Actions.
pub(crate) fn on_actions() -> bool {
    variable("GITHUB_ACTIONS").as_deref() == Some("true")
}

pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A time limit in whole seconds from an environment variable.
pub(crate) fn seconds(name: &str) -> Result<Option<u64>> {
    let Some(text) = variable(name) else { return Ok(None) };
    match text.trim().parse() {
        Ok(seconds @ 1..=86_400) => Ok(Some(seconds)),
        _ => bail!("{name} is {text:?}; it takes seconds from 1 to 86400"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_read_from_one_status() {
        let clean = "# branch.oid 0a1b\n# branch.head main\n";
        let expected = Commit { id: Some("0a1b".into()), branch: Some("main".into()), dirty: Some(false) };
        assert_eq!(Commit::parse(clean), expected);

        let unborn = "# branch.oid (initial)\n# branch.head (detached)\n1 A. N... 0 0 0 x x a\n";
        assert_eq!(Commit::parse(unborn), Commit { id: None, branch: None, dirty: Some(true) });
    }

    #[test]
    fn a_newer_run_is_one_of_the_same_repository_with_a_greater_number() {
        let page = |repository: &str, id: &str| format!("https://github.com/{repository}/actions/runs/{id}");
        let ours = page("octo/lab", "99");
        for (other, attempt, expected) in [
            (page("octo/lab", "100"), 1, true),
            (page("octo/lab", "99"), 1, false),
            (page("octo/lab", "98"), 1, false),
            (page("octo/lab", "100"), 2, false),
            (page("octo/other", "100"), 1, false),
            (page("octo/lab", "x"), 1, false),
            (String::new(), 1, false),
        ] {
            assert_eq!(is_newer_run(&other, &ours, attempt), expected, "{other} {attempt}");
        }
    }

    #[test]
    fn an_object_name_is_one_readable_line() {
        for name in ["GOLD CASCADE //", "\"; drop database x; --", "größe", ""] {
            assert_eq!(object_name(&format!(" {name} ")).as_deref(), Ok(name));
        }
        for name in ["a\nb", "a\u{202e}b", "a\0", &"x".repeat(10_000)] {
            assert!(object_name(name).is_err(), "{name:?}");
        }
    }
}
