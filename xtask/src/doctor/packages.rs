//! The Python packages: locks, installation, and whether the engine starts.

use std::process::Command;
use std::time::Duration;

use super::{Verdict, engine};
use crate::dbt::native::{self, Driver};
use crate::dbt::python::{self, Health};
use crate::system::probe;
use crate::system::repo::Repo;

/// The lock files against the hand-written ones, and against each other.
pub(super) fn locks(repo: &Repo) -> Verdict {
    match python::complaints(repo) {
        Ok(complaints) if complaints.is_empty() => {
            Verdict::ok("the locks agree with their .in files and one another")
        }
        Ok(complaints) => {
            Verdict::warn(complaints.join("\n"), "run `cargo xtask python lock` and commit what it writes")
        }
        Err(error) => Verdict::from_error(&error),
    }
}

pub(super) fn environment(repo: &Repo) -> Verdict {
    let (place, health) = match python::place(repo).and_then(|place| Ok((place, python::health(repo)?))) {
        Ok(found) => found,
        Err(error) => return Verdict::from_error(&error),
    };
    let place = repo.relative(&place).display();
    if engine::is_native(repo) {
        return Verdict::ok("not needed: dbt v2 builds");
    }
    let by_itself = "the next `cargo xtask elt` does it, or `cargo xtask python sync`";
    match health {
        Health::Absent => Verdict::warn(format!("{place} is not set up yet"), by_itself),
        Health::Broken(why) => Verdict::warn(format!("{place} has to be rebuilt: {why}"), by_itself),
        Health::Ready { summary, outdated } if outdated.is_empty() => {
            Verdict::ok(format!("{place}: {summary}"))
        }
        Health::Ready { summary, outdated } => {
            Verdict::warn(format!("{place}: {summary}; {} changed since", outdated.join(", ")), by_itself)
        }
    }
}

/// Start the engine: a wheel for another C library installs without error and does not run.
pub(super) fn duckdb(repo: &Repo) -> Verdict {
    let is_native = engine::is_native(repo);
    let (found, remedy) = if is_native {
        let found = native::find(repo, Driver::DuckDb).map(|native| native.map(|native| native.duckdb()));
        (found, "install it again: rm -rf .xtask/dbt (or $XTASK_DBT_DIR), then `cargo xtask dbt use v2`")
    } else {
        let remedy = "rebuild the environment: rm -rf .venv (or $XTASK_VENV), then `cargo xtask python sync`";
        (python::installed_duckdb(repo), remedy)
    };
    let program = match found {
        Ok(Some(program)) => program,
        Ok(None) if is_native => {
            return Verdict::warn("not installed yet", "it comes with dbt v2: `cargo xtask dbt use v2`");
        }
        Ok(None) => {
            return Verdict::warn(
                "not installed yet",
                "it comes with the environment: `cargo xtask python sync`",
            );
        }
        Err(error) => return Verdict::from_error(&error),
    };
    match probe::ask(Command::new(&program).arg("--version"), Duration::from_secs(4)) {
        Ok(answer) if answer.success => Verdict::ok(format!("duckdb {}", answer.first_line())),
        Ok(answer) => {
            Verdict::fail(format!("{} does not run: {}", program.display(), answer.first_line()), remedy)
        }
        Err(reason) => Verdict::fail(format!("{} {reason}", program.display()), remedy),
    }
}
