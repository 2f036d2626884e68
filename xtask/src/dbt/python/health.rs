//! The state of the environment, read without changing it: for `doctor`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::installer::{self, Tool};
use super::interpreter::{self, Search};
use super::requirements::{Lock, Set};
use super::stamp::{self, Condition, Ready};
use crate::system::repo::Repo;

/// The environment as it is.
pub(crate) enum Health {
    Absent,
    /// Will be made again by the next command that needs it, for this reason.
    Broken(String),
    Ready {
        /// The sets, versions and tools in it, in one line.
        summary: String,
        /// Locks that changed since they were installed.
        outdated: Vec<String>,
    },
}

/// Look at the environment. An error if it is not ours, or cannot be read.
pub(crate) fn health(repo: &Repo) -> Result<Health> {
    let venv = super::place(repo)?;
    Ok(match super::look(&venv)? {
        Condition::Absent | Condition::Foreign(_) => Health::Absent,
        Condition::Broken(why) => Health::Broken(why),
        Condition::Ready(ready) => {
            let locks = ready.sets.keys().filter_map(|name| Set::from_name(name));
            let locks: Vec<Lock> = locks.filter_map(|set| Lock::read(repo, set).ok()).collect();
            Health::Ready {
                outdated: ready.outdated(&locks).iter().map(|lock| lock.set.output()).collect(),
                summary: summary(&ready, &stamp::packages(&venv)),
            }
        }
    })
}

/// Versions from the names of metadata folders: no Python is started.
fn summary(ready: &Ready, packages: &[String]) -> String {
    const SHOWN: [&str; 4] = ["dbt_core-", "dbt_duckdb-", "dbt_snowflake-", "adbc_driver_snowflake-"];
    let sets: Vec<&str> = ready.sets.keys().map(String::as_str).collect();
    let versions = packages.iter().filter(|name| SHOWN.iter().any(|start| name.starts_with(start)));
    let mut parts = vec![sets.join(" + "), format!("Python {}", ready.python)];
    parts.extend(versions.map(|name| name.replacen('-', " ", 1).replace('_', "-")));
    format!("{} (installed {} with {})", parts.join(", "), ready.installed_at, ready.installer)
}

/// The engine's program in the environment, if it is installed.
pub(crate) fn installed_duckdb(repo: &Repo) -> Result<Option<PathBuf>> {
    let venv = super::place(repo)?;
    match stamp::condition(&venv).with_context(|| format!("failed to read {}", venv.display()))? {
        Condition::Ready(ready) => Ok(ready.duckdb(&venv)),
        _ => Ok(None),
    }
}

/// The Python that an environment would be made with, in words.
pub(crate) fn find_interpreter() -> Result<String> {
    let tool = Tool::choose()?;
    match interpreter::search(!tool.is_uv())? {
        Search::Found(python) => Ok(format!("Python {} ({})", python.version, python.path.display())),
        Search::Nothing { .. } if tool.is_uv() => {
            Ok(format!("no Python {} on PATH; uv will fetch one", interpreter::RANGE))
        }
        Search::Nothing { rejected } => bail!(interpreter::nothing_found(&rejected)),
    }
}

/// The working uv on PATH, such as `uv 0.13.9`.
pub(crate) fn uv_version() -> Option<String> {
    installer::uv().map(|tool| tool.name().to_owned())
}
