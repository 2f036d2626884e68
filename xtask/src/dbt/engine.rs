//! The dbt that builds: which one is chosen, and how it is started and stopped.
//!
//! `choose` decides from what is set and what is installed; it touches nothing, so `doctor` and `--dry-run` show the
//! same choice that a run makes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::{Context as _, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::native::{self, Driver, Kind, Native};
use super::python::{self, Python, Set};
use crate::core::context::variable;
use crate::core::policy::{Environments, Wish};
use crate::system::repo::Repo;
use crate::warehouse::snowflake;

/// See the file itself for why dbt v1 is not started directly.
const GUARD: &str = include_str!("guard.py");

/// A generation of dbt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Generation {
    /// dbt-core 1.x, in Python.
    V1,
    /// dbt v2, the native engine.
    V2,
}

/// The choice with its reason, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) generation: Generation,
    pub(crate) because: &'static str,
}

/// Versions without their last parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions {
    /// dbt and its adapter, such as `1.11 duckdb 1.10`.
    pub(crate) dbt: String,
    /// DuckDB itself; empty if it is unknown or the warehouse is another.
    pub(crate) warehouse: String,
}

/// A dbt that is ready to run.
#[derive(Debug)]
pub(crate) enum Engine {
    V1(Python),
    V2(Native),
}

impl Generation {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    /// The generation of a version, such as `1.11.16` or `2.0.0-alpha.4`.
    pub(crate) fn of(version: &str) -> Option<Self> {
        match version.split('.').next()? {
            "1" => Some(Self::V1),
            "2" => Some(Self::V2),
            _ => None,
        }
    }
}

/// The engine for a repository: the variable before the policy, an own program before an installed one.
pub(crate) fn choose(repo: &Repo) -> Result<Choice> {
    let named = variable("XTASK_DBT_ENGINE").filter(|text| !text.trim().is_empty());
    let wish = match named.as_deref().map(str::trim) {
        None => None,
        Some("auto") => Some(Wish::Auto),
        Some("v1") => Some(Wish::V1),
        Some("v2") => Some(Wish::V2),
        Some(other) => bail!("XTASK_DBT_ENGINE is {other:?}; it can be auto, v1 or v2"),
    };
    let policy = Environments::load(repo)?.dbt.engine;
    let has_own = variable("XTASK_DBT").is_some();
    Ok(decide(wish, policy, has_own, native::installed(repo)?.is_some()))
}

fn decide(variable: Option<Wish>, policy: Wish, has_own: bool, is_installed: bool) -> Choice {
    let chosen = |generation, because| Choice { generation, because };
    match (variable, policy) {
        (Some(Wish::V1), _) => chosen(Generation::V1, "XTASK_DBT_ENGINE says so"),
        (Some(Wish::V2), _) => chosen(Generation::V2, "XTASK_DBT_ENGINE says so"),
        (None, Wish::V1) => chosen(Generation::V1, "policies/environments.toml says so"),
        (None, Wish::V2) => chosen(Generation::V2, "policies/environments.toml says so"),
        _ if has_own => chosen(Generation::V2, "XTASK_DBT names it"),
        _ if is_installed => chosen(Generation::V2, "it is installed for this repository"),
        _ => chosen(Generation::V1, "dbt v2 is not installed for this repository"),
    }
}

impl Engine {
    /// The chosen engine, installed as far as it is missing.
    pub(crate) fn ensure(repo: &Repo, driver: Driver) -> Result<Self> {
        match choose(repo)?.generation {
            Generation::V1 => Self::ensure_v1(repo, driver),
            Generation::V2 => Ok(Self::V2(native::ensure(repo, wanted(repo)?, driver, None)?)),
        }
    }

    /// dbt v1, whatever is chosen.
    pub(crate) fn ensure_v1(repo: &Repo, driver: Driver) -> Result<Self> {
        Ok(Self::V1(python::ensure(repo, &[set(driver)])?))
    }

    /// Such as `dbt v2 (2.0.0-alpha.4)`.
    pub(crate) fn describe(&self) -> String {
        let label = self.generation().label();
        self.version().map_or_else(|| format!("dbt {label}"), |version| format!("dbt {label} ({version})"))
    }

    /// The chosen engine, if all of it is installed. Installs nothing.
    pub(crate) fn find(repo: &Repo, driver: Driver) -> Result<Option<Self>> {
        Ok(match choose(repo)?.generation {
            Generation::V1 => python::find(repo, &[set(driver)])?.map(Self::V1),
            Generation::V2 => native::find(repo, driver)?.map(Self::V2),
        })
    }

    pub(crate) fn generation(&self) -> Generation {
        match self {
            Self::V1(_) => Generation::V1,
            Self::V2(_) => Generation::V2,
        }
    }

    pub(crate) fn version(&self) -> Option<&str> {
        match self {
            Self::V1(python) => python.dbt_version(),
            Self::V2(native) => Some(native.version()),
        }
    }

    /// The versions that decide what is built, without their last parts: a patch builds the same.
    pub(crate) fn versions(&self, adapter: &str) -> Versions {
        let minor = |version: &str| version.split('.').take(2).collect::<Vec<_>>().join(".");
        let packages = if let Self::V1(python) = self { python.packages() } else { None };
        let of = |package: &str| packages.as_deref().and_then(|folder| installed(folder, package));
        let mut text = minor(self.version().unwrap_or_default());
        // The second generation has its adapters built in.
        if let Some(version) = of(&format!("dbt_{adapter}")) {
            text.extend([" ", adapter, " ", &minor(&version)]);
        }
        let warehouse = of("duckdb").filter(|_| adapter == "duckdb").map(|version| minor(&version));
        Versions { dbt: text, warehouse: warehouse.unwrap_or_default() }
    }

    /// DuckDB's program.
    pub(crate) fn duckdb(&self) -> PathBuf {
        match self {
            Self::V1(python) => python.duckdb().to_path_buf(),
            Self::V2(native) => native.duckdb(),
        }
    }

    /// The pinned Snowflake driver that comes with it.
    pub(crate) fn snowflake_driver(&self) -> Option<snowflake::Driver> {
        Some(match self {
            Self::V1(python) => {
                let packages = python.packages()?;
                snowflake::Driver::pinned(&packages, installed(&packages, "adbc_driver_snowflake"))
            }
            Self::V2(native) => native.snowflake_driver(),
        })
    }

    /// A dbt process with dbt's own arguments, ready to start. However this process ends, it ends too.
    pub(super) fn command(&self, args: &[String]) -> Result<Command> {
        Ok(match self {
            Self::V1(python) => {
                let mut command = Command::new(python.interpreter());
                command.arg("-c").arg(GUARD).args(args).args(FOR_US).args(FOR_US_V1);
                command
            }
            Self::V2(native) => {
                let mut command = native.command()?;
                command.args(args).args(FOR_US).args(FOR_US_V2);
                command
            }
        })
    }

    /// The value of a variable for a profile, in the form this dbt accepts: v2 takes no authenticator for a password.
    pub(super) fn setting<'a>(&self, name: &str, value: &'a str) -> &'a str {
        match (self, name, value) {
            (Self::V2(_), "SNOWFLAKE_AUTHENTICATOR", "snowflake") => "",
            _ => value,
        }
    }

    /// What to do if dbt does not start.
    pub(super) fn remedy(&self) -> String {
        match self {
            Self::V1(python) => format!(
                "failed to start {}; `cargo xtask python sync` sets the environment up again",
                python.interpreter().display()
            ),
            Self::V2(native) => format!(
                "failed to start {}; `cargo xtask dbt use v2` installs it again",
                native.program().display()
            ),
        }
    }

    /// Ask dbt to stop: it cancels its queries first. v1 has been asked already, by the end of its standard input.
    pub(super) fn interrupt(&self, child: &mut Child) {
        if let Self::V2(_) = self {
            signal(child);
        }
    }
}

#[cfg(unix)]
fn signal(child: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process};
    // If it has ended meanwhile, that is as good.
    let _ = kill_process(Pid::from_child(child), Signal::INT);
}

#[cfg(not(unix))]
fn signal(child: &mut Child) {
    drop(child.kill());
}

/// How dbt is to talk to us.
const FOR_US: [&str; 6] =
    ["--log-format", "json", "--log-level", "info", "--no-version-check", "--no-send-anonymous-usage-stats"];

/// Its own log file would hold the same again, in ten times the words, and writing it costs a tenth of a small build.
const FOR_US_V1: [&str; 3] = ["--log-level-file", "none", "--no-use-colors"];
const FOR_US_V2: [&str; 2] = ["--log-level-file", "off"];

fn set(driver: Driver) -> Set {
    match driver {
        Driver::DuckDb => Set::Local,
        Driver::Snowflake => Set::Snowflake,
    }
}

/// Which dbt v2 a run installs if none is: what the policy says.
fn wanted(repo: &Repo) -> Result<Option<Kind>> {
    if native::installed(repo)?.is_some() {
        return Ok(None);
    }
    let wheel = Environments::load(repo).context("failed to choose a dbt")?.dbt.wheel;
    Ok(Some(if wheel { Kind::Wheel } else { Kind::Release }))
}

/// The version of an adapter in a folder of Python packages.
fn installed(packages: &Path, package: &str) -> Option<String> {
    let start = format!("{package}-");
    std::fs::read_dir(packages).ok()?.flatten().find_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        Some(name.strip_prefix(&start)?.strip_suffix(".dist-info")?.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_and_auto_takes_what_is_installed() {
        let of = |variable, policy, own, installed| decide(variable, policy, own, installed).generation;
        let (v1, v2) = (Generation::V1, Generation::V2);
        assert_eq!(of(Some(Wish::V1), Wish::V2, true, true), v1);
        assert_eq!(of(Some(Wish::V2), Wish::V1, false, false), v2);
        assert_eq!(
            of(Some(Wish::Auto), Wish::V1, false, true),
            v2,
            "the variable's auto replaces the policy"
        );
        assert_eq!(of(None, Wish::V1, true, true), v1);
        assert_eq!(of(None, Wish::Auto, true, false), v2);
        assert_eq!(of(None, Wish::Auto, false, true), v2);
        assert_eq!(of(None, Wish::Auto, false, false), v1);
    }

    #[test]
    fn a_version_tells_its_generation() {
        assert_eq!(Generation::of("1.11.16"), Some(Generation::V1));
        assert_eq!(Generation::of("2.0.0-alpha.4"), Some(Generation::V2));
        assert_eq!(Generation::of("?"), None);
    }
}
