//! A target that is ready: handles on its warehouse, its dbt, and the locks of its environments.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Place;
use crate::core::environment::Name;
use crate::core::lock::{Holder, Lock};
use crate::dbt::engine::Engine as Dbt;
use crate::ledger::Ours;
use crate::system::remove;
use crate::system::repo::Repo;
use crate::warehouse::Warehouse;
use crate::warehouse::duckdb::{DuckDb, Layout};
use crate::warehouse::snowflake::{Lease, Snowflake};

/// A target that is ready.
pub(crate) struct Opened {
    pub(crate) place: Place,
    pub(super) repo: Repo,
    pub(super) dbt: OnceCell<Dbt>,
    pub(super) engine: Engine,
}

pub(super) enum Engine {
    Local { program: PathBuf, layout: Layout, ours: Ours },
    Snowflake(Snowflake),
}

impl Engine {
    pub(super) fn warehouse(&self, focus: Option<&Name>) -> Box<dyn Warehouse> {
        match self {
            Self::Local { program, layout, ours } => {
                Box::new(DuckDb::laid_out(program, layout.clone(), focus.cloned()).of(ours.clone()))
            }
            Self::Snowflake(snowflake) => Box::new(snowflake.clone()),
        }
    }
}

impl Opened {
    /// The dbt that builds here, set up as far as it is missing.
    pub(crate) fn dbt(&self) -> Result<&Dbt> {
        if self.dbt.get().is_none() {
            drop(self.dbt.set(Dbt::ensure(&self.repo, self.place.driver())?));
        }
        self.dbt.get().context("dbt was set up and is gone")
    }

    /// A handle on the warehouse; all handles share one login.
    pub(crate) fn warehouse(&self) -> Box<dyn Warehouse> {
        self.engine.warehouse(None)
    }

    /// A handle for which an environment is the one that is meant if a statement names none, as those of dbt do.
    pub(crate) fn warehouse_of(&self, name: &Name) -> Box<dyn Warehouse> {
        self.engine.warehouse(Some(name))
    }

    /// Keep `base` from being built while `name` is copied from it. `None` if nothing is copied: there is no
    /// base, or `name` exists.
    pub(crate) fn lock_base(
        &self,
        name: &Name,
        base: Option<&Name>,
        holder: &Holder,
        wait: Duration,
    ) -> Result<Option<Guard>> {
        let Some(base) = base.filter(|base| *base != name) else { return Ok(None) };
        if let Engine::Local { layout, .. } = &self.engine {
            let is_copied = !layout.file(name.as_str()).exists() && layout.file(base.as_str()).exists();
            // The lock of the one file covers all that is in it.
            return match layout {
                Layout::Folder(_) if is_copied => self.lock(base, holder, wait).map(Some),
                _ => Ok(None),
            };
        }
        let found = self.warehouse().contents(&[name.as_str(), base.as_str()])?;
        if found.contains_key(name.as_str()) || !found.contains_key(base.as_str()) {
            return Ok(None);
        }
        self.lock(base, holder, wait).map(Some)
    }

    /// Remove the files that external models of a dropped environment wrote.
    pub(crate) fn remove_files(&self, name: &Name) -> Result<()> {
        let Place::Local { layout, .. } = &self.place else { return Ok(()) };
        remove::folder(&layout.external_files(name))
    }

    /// Be the only writer of `name`: of the DuckDB file, which lets one process write, or of the one
    /// environment at Snowflake.
    pub(crate) fn lock(&self, name: &Name, holder: &Holder, wait: Duration) -> Result<Guard> {
        match &self.engine {
            Engine::Local { layout, .. } => {
                let mut lock = Lock::take(&layout.file(name.as_str()), holder, wait)?;
                Ok(Guard { left_by: lock.left_by.take(), held: Held::Local(lock) })
            }
            Engine::Snowflake(snowflake) => {
                let mut lease = Lease::take(snowflake, name, holder, wait)?;
                Ok(Guard { left_by: lease.left_by.take(), held: Held::Snowflake(lease) })
            }
        }
    }
}

/// The lock, held until dropped.
pub(crate) struct Guard {
    /// Who held it before and went away without saying so: that run was killed.
    pub(crate) left_by: Option<Holder>,
    held: Held,
}

impl Guard {
    /// What it guards was removed: nothing of the lock is to remain either.
    pub(crate) fn remove_after_use(&mut self, opened: &Opened) {
        let is_alone = matches!(&opened.place, Place::Local { layout: Layout::Folder(_), .. });
        if let (Held::Local(lock), true) = (&mut self.held, is_alone) {
            lock.remove_after_use();
        }
    }
}

pub(super) enum Held {
    Local(Lock),
    #[expect(dead_code, reason = "held for what dropping it does")]
    Snowflake(Lease),
}
