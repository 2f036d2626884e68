//! Reads the definitions of a project, as early as what they depend on is known.

use std::path::Path;
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

/// Reads the project once what its definitions depend on is known.
pub(in crate::elt) struct Reader<'a> {
    pub(super) project: &'a Path,
    facts: Facts,
    ahead: Option<Definitions>,
}

impl<'a> Reader<'a> {
    pub(in crate::elt) fn new(project: &'a Path, facts: Facts) -> Self {
        Self { project, facts, ahead: None }
    }

    /// Secrets are hashed with a key that is beside the data: the first run's own random number.
    fn has_secrets(&self) -> bool {
        self.facts.environment.keys().any(|name| name.starts_with("DBT_ENV_SECRET"))
    }

    /// Read it before the ledger is, if nothing of it depends on the ledger.
    pub(in crate::elt) fn read_ahead(&mut self) -> Result<()> {
        if !self.has_secrets() {
            self.ahead = Some(self.read()?);
        }
        Ok(())
    }

    fn read(&self) -> Result<Definitions> {
        let begun = Instant::now();
        let definitions = define::read(self.project, &self.facts)?;
        tracing::debug!("read {} definitions in {:?}", definitions.all.len(), begun.elapsed());
        Ok(definitions)
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
            && self.has_secrets()
            && let Some(first) = ledger::first_run(warehouse, schema)?
        {
            self.facts.key = first;
        }
        self.read()
    }
}
