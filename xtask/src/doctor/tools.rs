//! The programs that a user installs: git, Python, and optionally uv.

use std::process::Command;
use std::time::Duration;

use super::{Verdict, engine};
use crate::dbt::python;
use crate::system::probe;
use crate::system::repo::Repo;

pub(super) fn git(repo: &Repo) -> Verdict {
    let remedy = "install it (Debian, Ubuntu: sudo apt install git; macOS: xcode-select --install)";
    let Some(program) = probe::which("git") else {
        return Verdict::fail("git is not on PATH", remedy);
    };
    let version = match probe::ask(Command::new(&program).arg("--version"), Duration::from_secs(3)) {
        Ok(answer) if answer.success => answer.first_line().to_owned(),
        Ok(answer) => return Verdict::fail(format!("git does not work: {}", answer.first_line()), remedy),
        Err(reason) => return Verdict::fail(format!("{} {reason}", program.display()), remedy),
    };
    let root = repo.root().display();
    if repo.root().join(".git").exists() {
        Verdict::ok(format!("{version}, in {root}"))
    } else {
        Verdict::warn(
            format!("{version}, but {root} is not in a git repository"),
            "go to a clone, or run `git init`: the run records and plans name commits and branches",
        )
    }
}

pub(super) fn python(repo: &Repo) -> Verdict {
    match python::find_interpreter() {
        Ok(found) => Verdict::ok(found),
        Err(_) if engine::is_native(repo) => Verdict::ok("not found, and not needed: dbt v2 builds"),
        Err(error) => Verdict::from_error(&error),
    }
}

/// Optional, so its absence is not a warning.
pub(super) fn uv(_: &Repo) -> Verdict {
    Verdict::ok(python::uv_version().unwrap_or_else(|| {
        "not on PATH, and not needed: pip is used instead; with uv, installing is several times faster"
            .to_owned()
    }))
}
