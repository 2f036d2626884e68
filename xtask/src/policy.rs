//! `policies/environments.toml`: where environments live. Owned by people, so it is data.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::repo::Repo;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Environments {
    local: Local,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Local {
    database: PathBuf,
}

impl Default for Local {
    fn default() -> Self {
        Self { database: PathBuf::from(".xtask/warehouse.duckdb") }
    }
}

impl Environments {
    /// The repository's policy; a repository without the file gets the defaults.
    pub(crate) fn load(repo: &Repo) -> Result<Self> {
        let path = repo.policies().join("environments.toml");
        if !path.exists() {
            return Ok(Self::default());
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("failed to understand {}", path.display()))
    }

    /// The DuckDB file: `DBT_DUCKDB_PATH` as dbt's own profile reads it, else the policy's.
    pub(crate) fn local_database(&self, repo: &Repo) -> PathBuf {
        local_database(
            repo.root(),
            &self.local.database,
            std::env::var_os("DBT_DUCKDB_PATH").map(PathBuf::from),
        )
    }
}

fn local_database(root: &Path, policy: &Path, given: Option<PathBuf>) -> PathBuf {
    // `join` keeps an absolute path as it is.
    match given {
        Some(path) if !path.as_os_str().is_empty() => root.join(path),
        _ => root.join(policy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_over_the_policy() {
        let at = |given: Option<&str>| {
            local_database(Path::new("/r"), Path::new("p.duckdb"), given.map(PathBuf::from))
        };
        assert_eq!(at(None), Path::new("/r/p.duckdb"));
        assert_eq!(at(Some("")), Path::new("/r/p.duckdb"));
        assert_eq!(at(Some("x.duckdb")), Path::new("/r/x.duckdb"));
        assert_eq!(at(Some("/t/x.duckdb")), Path::new("/t/x.duckdb"));
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        assert!(toml::from_str::<Environments>("[local]\ndatabse = 'x'\n").is_err());
    }
}
