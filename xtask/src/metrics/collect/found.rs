//! What there is to read: the environments that a report covers, those with a ledger, and those that are in use.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use jiff::civil::DateTime;
use serde::Deserialize;

use super::ledger::records;
use crate::core::environment::{Name, REGISTRY};
use crate::core::lock::{Holder, Lock};
use crate::ledger::{self, Mark, Owner};
use crate::metrics::model::{InUse, Window};
use crate::metrics::sql;
use crate::warehouse::{Warehouse, quote};

/// The table that makes a schema an environment.
pub(super) const MARK: &str = "ledger_environment";

/// The ledger tables of its runs. On some engines the first run creates them.
pub(super) const LEDGER: [&str; 4] = [LEDGER_RUNS, LEDGER_NODES, LEDGER_QUERIES, LEDGER_RELATIONS];

pub(in crate::metrics) const LEDGER_RUNS: &str = "ledger_runs";
pub(in crate::metrics) const LEDGER_NODES: &str = "ledger_nodes";
pub(in crate::metrics) const LEDGER_QUERIES: &str = "ledger_queries";
pub(in crate::metrics) const LEDGER_RELATIONS: &str = "ledger_relations";

/// The environments and the window that a report covers.
pub(in crate::metrics) struct Request<'a> {
    /// One environment; `None` for all.
    pub(in crate::metrics) schema: Option<&'a Name>,
    /// Only environments whose names begin with this prefix.
    pub(in crate::metrics) prefix: Option<&'a str>,
    pub(in crate::metrics) window: Window,
    pub(in crate::metrics) now: DateTime,
}

/// The environments and tables that exist in the warehouse.
pub(in crate::metrics) struct Found {
    /// Readable environments that the request covers, by name.
    pub(in crate::metrics) environments: Vec<Name>,
    /// Those of them that have a ledger of runs.
    pub(super) ledgers: Vec<Name>,
    /// The tables of the registry; empty if there is no registry.
    pub(in crate::metrics) registry: BTreeSet<String>,
    /// What keeps the environments from being built while they are read.
    pub(in crate::metrics) locks: Vec<Lock>,
    /// Environments that are left out, with who uses them.
    pub(in crate::metrics) in_use: Vec<InUse>,
    /// Whether environments are left out because they belong to other dbt projects.
    pub(in crate::metrics) is_shared: bool,
}

impl Found {
    /// Queries what exists, in one call if the engine can do that.
    pub(in crate::metrics) fn read(
        warehouse: &mut dyn Warehouse,
        request: &Request<'_>,
        holder: &Holder,
    ) -> Result<Self> {
        let mut found = match warehouse.environments()? {
            Some(names) => Self::of_files(warehouse, names, request, holder)?,
            None => Self::of_schemas(warehouse, request)?,
        };
        found.environments.retain(|name| request.covers(name));
        found.ledgers.retain(|name| request.covers(name));
        if let (Some(name), true) = (request.schema, found.environments.is_empty()) {
            if let Some(used) = found.in_use.first() {
                bail!("{name} is in use: {}; try again when that has ended", used.by);
            }
            bail!(
                "{name} is not an environment of {}: it has no ownership mark; `cargo xtask schema list` lists the environments, \
                 `cargo xtask elt --schema {name}` makes it one",
                warehouse.describe()
            );
        }
        Ok(found)
    }

    /// If each environment has a database.
    fn of_files(
        warehouse: &mut dyn Warehouse,
        mut names: Vec<Name>,
        request: &Request<'_>,
        holder: &Holder,
    ) -> Result<Self> {
        names.retain(|name| request.covers(name));
        let gathering = warehouse.gather(&names, holder)?;
        let of = |name: &Name| gathering.contents.get(name.as_str()).map(|of| of.relations.as_slice());
        let is_marked = |name: &Name| of(name).is_some_and(|tables| tables.iter().any(|table| table == MARK));
        let environments: Vec<Name> = names.into_iter().filter(is_marked).collect();
        let whole = |name: &&Name| of(name).is_some_and(ledger::holds_ledger);
        let ledgers = environments.iter().filter(whole).cloned().collect();
        let registry = crate::metrics::registry_tables(warehouse)?;
        let in_use = |(environment, by): (String, String)| InUse { environment, by };
        let in_use: Vec<InUse> = gathering.busy.into_iter().map(in_use).collect();
        Ok(Self { environments, ledgers, registry, locks: gathering.locks, in_use, is_shared: false })
    }

    /// If environments are schemas of one database.
    fn of_schemas(warehouse: &mut dyn Warehouse, request: &Request<'_>) -> Result<Self> {
        #[derive(Deserialize)]
        struct Standing {
            schema_name: String,
            table_name: String,
        }
        let standing: Vec<Standing> =
            records(warehouse.query(&sql::dialect(warehouse).tables(&quote(&warehouse.database()))?)?)?;
        let tables = |schema: &str| -> BTreeSet<String> {
            let of_schema = standing.iter().filter(|table| table.schema_name.eq_ignore_ascii_case(schema));
            of_schema.map(|table| table.table_name.to_ascii_lowercase()).collect()
        };
        let schemas: BTreeSet<&str> = standing.iter().map(|table| table.schema_name.as_str()).collect();
        let mut environments: Vec<Name> = schemas
            .into_iter()
            .filter(|schema| tables(schema).contains(MARK))
            .filter_map(|schema| schema.parse().ok())
            .collect();
        let others = others(warehouse, &environments, |name| tables(name).contains(LEDGER_NODES))?;
        if let Some((name, other)) = request.schema.and_then(|name| others.get_key_value(name.as_str())) {
            bail!(
                "the environment {name} of {} belongs to the dbt project {other}, and its figures are reported there; \
                 run this in that project",
                warehouse.describe()
            );
        }
        environments.retain(|name| request.covers(name) && !others.contains_key(name.as_str()));
        let is_shared = !others.is_empty();
        let whole = |name: &&Name| LEDGER.iter().all(|table| tables(name.as_str()).contains(*table));
        let ledgers = environments.iter().filter(whole).cloned().collect();
        let registry = tables(REGISTRY);
        Ok(Self { registry, environments, ledgers, locks: Vec::new(), in_use: Vec::new(), is_shared })
    }
}

/// Those of `environments` that belong to other dbt projects, by the registry and their ledgers.
fn others(
    warehouse: &mut dyn Warehouse,
    environments: &[Name],
    has_nodes: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Owner>> {
    let mut marks: Vec<Mark> = ledger::environments(warehouse)?;
    marks.retain(|mark| environments.iter().any(|name| name.as_str() == mark.schema_name));
    ledger::others(warehouse, &marks, has_nodes)
}

impl Request<'_> {
    fn covers(&self, name: &Name) -> bool {
        let starts = |prefix: &str| name.as_str().starts_with(&prefix.to_ascii_lowercase());
        self.schema.is_none_or(|schema| schema == name) && self.prefix.is_none_or(starts)
    }
}
