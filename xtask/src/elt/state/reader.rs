//! Reads the definitions of a project, as early as what they depend on is known.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;

use crate::core::clock;
use crate::core::environment::Name;
use crate::dbt::engine::Versions;
use crate::dbt::profile::Profile;
use crate::elt::Args;
use crate::ledger;
use crate::state::define::{self, Definitions, Facts};
use crate::state::profile;
use crate::system::atomic;
use crate::target::Place;
use crate::warehouse::{Dialect, Warehouse};

/// What a build depends on beside the files, as far as it is known before the warehouse is asked.
pub(in crate::elt) fn facts(
    args: &Args,
    place: &Place,
    settings: &Profile,
    run_id: &str,
    versions: &Versions,
    warehouse: &dyn Warehouse,
) -> Facts {
    let schema = warehouse.own_schema(&args.schema);
    Facts {
        target: settings.target.to_owned(),
        adapter: place.adapter().kind().to_owned(),
        dialect: warehouse.dialect(),
        profile_name: settings.name.clone(),
        profile: profile::read(&settings.text),
        database: warehouse.database_of(&args.schema),
        schema: match warehouse.dialect() {
            Dialect::DuckDb => schema,
            Dialect::Snowflake => schema.to_uppercase(),
        },
        vars: args.vars.clone(),
        environment: std::env::vars().collect(),
        seeds: args.seeds.clone(),
        engine: versions.dbt.clone(),
        warehouse: versions.warehouse.clone(),
        period: clock::now().strftime("%F").to_string(),
        key: run_id.to_owned(),
    }
}

/// The file of definitions, beside dbt's artifacts.
const KEPT: &str = "definitions.jsonl";

/// Reads the project once what its definitions depend on is known.
pub(in crate::elt) struct Reader<'a> {
    pub(super) project: &'a Path,
    facts: Facts,
    /// Where definitions are kept for the next run.
    kept: PathBuf,
    /// Whether this run may write that file.
    keeps: bool,
    ahead: Option<Definitions>,
}

impl<'a> Reader<'a> {
    /// `artifacts` is the folder of dbt's artifacts of the environment.
    pub(in crate::elt) fn new(project: &'a Path, facts: Facts, artifacts: &Path) -> Self {
        Self { project, facts, kept: artifacts.join(KEPT), keeps: true, ahead: None }
    }

    /// For a run that writes nothing.
    pub(in crate::elt) fn looking(self) -> Self {
        Self { keeps: false, ..self }
    }

    /// Read it before the ledger is, if nothing of it depends on the ledger.
    pub(in crate::elt) fn read_ahead(&mut self) -> Result<()> {
        if !self.facts.has_secrets() {
            self.ahead = Some(self.read()?);
        }
        Ok(())
    }

    fn read(&self) -> Result<Definitions> {
        let begun = Instant::now();
        let kept = fs::read(&self.kept).unwrap_or_default();
        let (definitions, replaced) = define::read_or_recall(self.project, &self.facts, &kept)?;
        if let Some(replaced) = replaced.filter(|_| self.keeps) {
            self.keep(&replaced);
        }
        tracing::debug!("read {} definitions in {:?}", definitions.all.len(), begun.elapsed());
        Ok(definitions)
    }

    /// Without the file the next run takes longer, so that it cannot be written is no error.
    fn keep(&self, content: &[u8]) {
        let folder = self.kept.parent().map_or(Ok(()), fs::create_dir_all);
        if let Err(error) = folder.and_then(|()| atomic::replace(&self.kept, content)) {
            tracing::debug!("failed to write {}: {error}", self.kept.display());
        }
    }

    pub(super) fn definitions(
        &mut self,
        schema: &Name,
        has_ledger: bool,
        warehouse: &mut dyn Warehouse,
    ) -> Result<Definitions> {
        if let Some(definitions) = self.ahead.take() {
            return Ok(definitions);
        }
        if has_ledger
            && self.facts.has_secrets()
            && let Some(first) = ledger::first_run(warehouse, schema)?
        {
            self.facts.key = first;
        }
        self.read()
    }
}
