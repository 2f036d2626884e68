//! The Python environment that dbt runs in: the toolkit makes it when it is needed, exactly as locked.
//!
//! `ensure` is called by every command that starts dbt or `duckdb`, so the usual case, a complete
//! environment, must cost almost nothing: it reads the lock files and one stamp, and starts no process.
//! Otherwise one process at a time updates the environment to the locks.

mod failure;
mod health;
mod installer;
mod interpreter;
mod redact;
mod relock;
mod requirements;
mod stamp;
mod turn;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

pub(crate) use health::{Health, find_interpreter, health, installed_duckdb, uv_version};
pub(crate) use redact::addresses as redacted;
pub(crate) use relock::{complaints, relock};
pub(crate) use requirements::Set;

use self::installer::{Installer, Tool};
pub(crate) use self::requirements::Lock;
use self::stamp::{Condition, Ready, Stamp};
use self::turn::Turn;
use crate::system::repo::Repo;

/// A ready environment.
#[derive(Debug)]
pub(crate) struct Python {
    venv: PathBuf,
    interpreter: PathBuf,
    duckdb: PathBuf,
    dbt_version: Option<String>,
}

impl Python {
    /// The program that runs dbt: `python -m dbt.cli.main …`.
    pub(crate) fn interpreter(&self) -> &Path {
        &self.interpreter
    }

    /// The engine's own program, inside of its package: `bin/duckdb` is a Python script that starts it,
    /// 200 ms later.
    pub(crate) fn duckdb(&self) -> &Path {
        &self.duckdb
    }

    /// The folder that its packages are installed in.
    pub(crate) fn packages(&self) -> Option<PathBuf> {
        stamp::site_packages(&self.venv)
    }

    /// The version of dbt-core, if a requested set pins it.
    pub(crate) fn dbt_version(&self) -> Option<&str> {
        self.dbt_version.as_deref()
    }

    fn new(venv: &Path, ready: &Ready, locks: &[Lock]) -> Self {
        Self {
            venv: venv.to_path_buf(),
            interpreter: stamp::interpreter(venv),
            // Absent only if no set contains it; the error of running it then names this path.
            duckdb: ready.duckdb(venv).unwrap_or_else(|| venv.join("bin").join("duckdb")),
            dbt_version: locks.iter().find_map(|lock| lock.version_of("dbt-core")).map(str::to_owned),
        }
    }
}

/// Where the environment is: `.venv` of the checkout, or `XTASK_VENV`.
pub(crate) fn place(repo: &Repo) -> Result<PathBuf> {
    match std::env::var_os("XTASK_VENV").filter(|value| !value.is_empty()).map(PathBuf::from) {
        None => Ok(repo.venv()),
        Some(path) if path.is_absolute() => Ok(path),
        Some(path) => bail!("XTASK_VENV is {}; it must be an absolute path", path.display()),
    }
}

/// The environment, if it holds what `sets` pin already. Installs nothing and starts no process.
pub(crate) fn find(repo: &Repo, sets: &[Set]) -> Result<Option<Python>> {
    let venv = place(repo)?;
    let wanted = locks(repo, sets)?;
    Ok(match look(&venv)? {
        Condition::Ready(ready) if ready.holds(&wanted) => Some(Python::new(&venv, &ready, &wanted)),
        _ => None,
    })
}

/// Make the environment hold what `sets` pin, if it does not already. Other sets that are installed
/// stay installed.
pub(crate) fn ensure(repo: &Repo, sets: &[Set]) -> Result<Python> {
    if let Some(python) = find(repo, sets)? {
        return Ok(python);
    }
    let venv = place(repo)?;
    let wanted = locks(repo, sets)?;
    let turn = Turn::take(&venv)?;
    // Checked again: the process that had the lock before may have done the work.
    let ready = match look(&venv)? {
        Condition::Ready(ready) if ready.holds(&wanted) => ready,
        found => set_up(repo, &venv, found, &wanted, &turn)?,
    };
    Ok(Python::new(&venv, &ready, &wanted))
}

/// Every lock that commands install from: those of the repository, or the built-in locks.
pub(crate) fn all_locks(repo: &Repo) -> Result<Vec<Lock>> {
    let pinned = requirements::sets_in(&requirements::folder(repo)?);
    let built_in = [Set::Local, Set::Snowflake, Set::Audit];
    locks(repo, if pinned.is_empty() { &built_in } else { &pinned })
}

fn locks(repo: &Repo, sets: &[Set]) -> Result<Vec<Lock>> {
    sets.iter().map(|set| Lock::read(repo, *set)).collect()
}

/// The condition of the environment; an error if it is not ours.
fn look(venv: &Path) -> Result<Condition> {
    let found = stamp::condition(venv).with_context(|| format!("failed to read {}", venv.display()))?;
    if let Condition::Foreign(what) = &found {
        bail!(
            "{} {what}, so it is left alone; move it away (mv {0} {0}.old), or set XTASK_VENV to another \
             place (an absolute path)",
            venv.display()
        );
    }
    Ok(found)
}

/// The work that an environment needs if it does not match the locks.
#[derive(Debug, PartialEq, Eq)]
enum Work {
    /// From nothing, with the reason if something was there before.
    Build { why: Option<String> },
    /// On top of what is there.
    Extend { why: String },
}

/// Decide what to do; touches nothing. `has_pip` says whether the environment can install by itself.
fn work(found: &Condition, locks: &[Lock], uses_uv: bool, has_pip: bool) -> Work {
    let ready = match found {
        Condition::Ready(ready) => ready,
        Condition::Broken(why) => return Work::Build { why: Some(why.clone()) },
        Condition::Absent | Condition::Foreign(_) => return Work::Build { why: None },
    };
    let changed: Vec<String> = ready.outdated(locks).iter().map(|lock| lock.set.output()).collect();
    let why = if changed.is_empty() {
        let missing = locks.iter().filter(|lock| !ready.sets.contains_key(lock.set.name()));
        format!("{} is asked for", missing.map(|lock| lock.set.output()).collect::<Vec<_>>().join(", "))
    } else {
        format!("{} changed", changed.join(", "))
    };
    if uses_uv {
        return Work::Extend { why };
    }
    // uv removes packages that a new lock no longer has. pip does not, and the leftovers would go unnoticed:
    // with pip only an environment made from nothing matches the lock exactly.
    if !has_pip {
        return Work::Build { why: Some(format!("{why}, and uv, which made it, is not installed")) };
    }
    if changed.is_empty() { Work::Extend { why } } else { Work::Build { why: Some(why) } }
}

/// Update the environment to the locks. On failure it is left marked as unfinished, unless nothing in it was
/// touched.
fn set_up(repo: &Repo, venv: &Path, found: Condition, wanted: &[Lock], turn: &Turn) -> Result<Ready> {
    let locks = with_installed(repo, &found, wanted)?;
    if let [first, ..] = requirements::disagreements(&locks).as_slice() {
        bail!("the lock files contradict each other: {first}; run `cargo xtask python lock`");
    }
    for lock in &locks {
        lock.put_in_place(repo)?;
    }
    let tool = Tool::choose()?;
    let log = fresh_log(repo)?;
    let installer = Installer { tool: &tool, venv, turn, log: &log };
    let started = Instant::now();
    let work = work(&found, &locks, tool.is_uv(), has_pip(venv));
    announce(repo, venv, &work);
    let before = stamp::packages(venv);
    mark(venv, &Stamp::installing(venv))?;
    let done = carry_out(&work, &installer, &found, &locks);
    match (done, found) {
        (Ok(ready), _) => {
            mark(venv, &Stamp::Ready(ready.clone()))?;
            let count = stamp::packages(venv).len();
            tracing::info!("{count} Python packages ready after {:.1} s", started.elapsed().as_secs_f32());
            Ok(ready)
        }
        (Err(error), Condition::Ready(ready)) if work.keeps() && stamp::packages(venv) == before => {
            // Nothing was changed (no network, say), so what worked before still does.
            mark(venv, &Stamp::Ready(ready))?;
            Err(error)
        }
        (Err(error), _) => Err(error),
    }
}

impl Work {
    fn keeps(&self) -> bool {
        matches!(self, Self::Extend { .. })
    }
}

fn carry_out(work: &Work, installer: &Installer, found: &Condition, locks: &[Lock]) -> Result<Ready> {
    let venv = installer.venv;
    let version = if let (Work::Extend { .. }, Condition::Ready(ready)) = (work, found) {
        ready.python.clone()
    } else {
        clear(venv).map_err(|error| failure::of_folder("empty", venv, error))?;
        installer.create()?
    };
    installer.install(locks, requirements::packages_here(locks))?;
    // So that git leaves the environment alone in every repository, whatever its .gitignore says.
    std::fs::write(venv.join(".gitignore"), "*\n")
        .map_err(|error| failure::of_folder("write to", venv, error))?;
    Ready::describe(venv, locks, version, installer.tool.name().to_owned())
        .map_err(|error| failure::of_folder("read", venv, error))
}

/// The requested sets, and the other installed sets that still have a lock: those are kept and updated.
fn with_installed(repo: &Repo, found: &Condition, wanted: &[Lock]) -> Result<Vec<Lock>> {
    let mut sets: Vec<Set> = wanted.iter().map(|lock| lock.set).collect();
    if let Condition::Ready(ready) = found {
        let installed = ready.sets.keys().filter_map(|name| Set::from_name(name));
        sets.extend(installed.filter(|set| Lock::read(repo, *set).is_ok()));
    }
    sets.sort_unstable();
    sets.dedup();
    sets.into_iter().map(|set| Lock::read(repo, set)).collect()
}

fn announce(repo: &Repo, venv: &Path, work: &Work) {
    let place = repo.relative(venv).display();
    let what = match work {
        Work::Build { why: None } => format!("setting up the Python environment in {place}, once"),
        Work::Build { why: Some(why) } => format!("rebuilding the Python environment in {place}: {why}"),
        Work::Extend { why } => format!("updating the Python environment in {place}: {why}"),
    };
    tracing::info!("{what}");
}

fn mark(venv: &Path, stamp: &Stamp) -> Result<()> {
    stamp.write(venv).map_err(|error| failure::of_folder("write to", venv, error))
}

fn has_pip(venv: &Path) -> bool {
    stamp::site_packages(venv).is_some_and(|dir| dir.join("pip").is_dir())
}

/// Remove what is in the folder but not the folder: it may be a mount, or a link to a larger disk. The
/// toolkit's own files stay, so that after a kill at any moment the environment is still marked as
/// unfinished.
fn clear(venv: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(venv)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(stamp::OURS) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// An empty log of this installation.
fn fresh_log(repo: &Repo) -> Result<PathBuf> {
    let path = repo.state()?.join("python-install.log");
    std::fs::write(&path, "").with_context(|| format!("failed to write {}", path.display()))?;
    Ok(path)
}

/// The sets that are installed, and the local one, which is always needed.
pub(crate) fn installed(repo: &Repo) -> Result<Vec<Set>> {
    let mut sets = vec![Set::Local];
    if let Condition::Ready(ready) = look(&place(repo)?)? {
        sets.extend(
            ready.sets.keys().filter_map(|name| Set::from_name(name)).filter(|set| *set != Set::Local),
        );
    }
    Ok(sets)
}
