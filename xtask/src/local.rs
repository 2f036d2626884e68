//! `--target local`, ready to use: the dbt project, the Python environment with the engine in it, and
//! the DuckDB file.

use std::path::PathBuf;

use anyhow::Result;

use crate::dbt::python::{self, Python, Set};
use crate::lock::{Holder, Lock};
use crate::policy;
use crate::repo::Repo;
use crate::warehouse::duckdb::DuckDb;

pub(crate) struct Local {
    pub(crate) python: Python,
    pub(crate) database: PathBuf,
}

impl Local {
    /// Set up what is missing of the Python environment. Nothing of the warehouse is touched yet.
    pub(crate) fn open(repo: &Repo) -> Result<Self> {
        let database = database(repo)?;
        Ok(Self { python: python::ensure(repo, &[Set::Local])?, database })
    }

    /// Take the lock of the database file: DuckDB lets one process write, so runs queue on it.
    pub(crate) fn lock(&self, holder: &Holder) -> Result<Lock> {
        Lock::take(&self.database, holder)
    }

    pub(crate) fn warehouse(&self) -> DuckDb {
        DuckDb::new(self.python.duckdb(), &self.database)
    }
}

/// The DuckDB file of a repository.
pub(crate) fn database(repo: &Repo) -> Result<PathBuf> {
    Ok(policy::Environments::load(repo)?.local_database(repo))
}
