//! `cargo xtask python`: the packages that dbt runs on.
//!
//! Calling it is optional: commands that need the environment make it. It exists to fill images and caches
//! beforehand (`sync`), and to change versions (`lock`).

use anyhow::Result;

use crate::dbt::python::{self, Set};
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::system::{console, interrupt};

/// Install or re-pin the Python packages that dbt runs on.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Install the pinned packages into .venv, if they are not there already.
    ///
    /// Commands that need the environment do this by themselves. Run it beforehand to fill an image or
    /// a cache. It uses uv when it is on PATH, else Python's own venv and pip.
    ///
    /// `XTASK_PYTHON` names the Python to use, `XTASK_VENV` another place (an absolute path), and
    /// `XTASK_INSTALLER` (uv or pip) the installer.
    Sync(Sync),

    /// Update the pins, after editing dbt/requirements/*.in.
    ///
    /// Resolves all sets together for every supported Python and platform and writes
    /// dbt/requirements/*.txt with the hash of every file that may be installed. Pins that still fit
    /// stay as they are. Commit both the .in and the .txt files.
    Lock(Lock),
}

#[derive(clap::Args)]
struct Sync {
    /// The packages to install: one file dbt/requirements/<SET>.txt per set. Without it, local and the other
    /// installed sets.
    #[arg(long = "set", value_enum, value_name = "SET")]
    sets: Vec<Set>,
}

#[derive(clap::Args)]
struct Lock {
    /// Upgrade all packages to the newest versions that the .in files allow, not only those that must change.
    #[arg(long)]
    upgrade: bool,

    /// Write nothing; exit with 1 if the .txt files are not up to date. Needs no network.
    #[arg(long, conflicts_with = "upgrade")]
    check: bool,
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    match &args.command {
        Command::Sync(sync) => sync_sets(sync, repo),
        Command::Lock(lock) if lock.check => check(repo),
        Command::Lock(lock) => relock(lock, repo),
    }
}

fn sync_sets(args: &Sync, repo: &Repo) -> Result<Outcome> {
    interrupt::listen()?;
    let sets = if args.sets.is_empty() { python::installed(repo)? } else { args.sets.clone() };
    let ready = python::ensure(repo, &sets)?;
    console::print(&ready.interpreter().display().to_string())?;
    Ok(Outcome::Clean)
}

fn check(repo: &Repo) -> Result<Outcome> {
    let complaints = python::complaints(repo)?;
    for complaint in &complaints {
        console::print(&format!("{complaint}; run `cargo xtask python lock`"))?;
    }
    Ok(if complaints.is_empty() { Outcome::Clean } else { Outcome::Findings })
}

fn relock(args: &Lock, repo: &Repo) -> Result<Outcome> {
    let changes = python::relock(repo, args.upgrade)?;
    for change in &changes {
        console::print(change)?;
    }
    if changes.is_empty() {
        tracing::info!("no version changed");
    }
    Ok(Outcome::Clean)
}
