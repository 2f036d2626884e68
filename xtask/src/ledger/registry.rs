//! The registry: which environments exist, and which of them `schema gc` has noted.

use anyhow::{Context as _, Result};
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::Mark;
use crate::core::environment::{Name, REGISTRY};
use crate::warehouse::{self, Statement, Table, Warehouse, literal};

/// What the registry knows of an environment.
pub(super) fn entry(warehouse: &mut dyn Warehouse, name: &Name) -> Result<Option<Mark>> {
    let sql = format!(
        "select * from {} where schema_name = {}",
        warehouse.qualified(&registry()),
        literal(name.as_str())
    );
    let found = warehouse::records(warehouse, &sql).context("failed to read the registry")?;
    Ok(found.into_iter().next())
}

/// Every environment that the registry knows, by name.
pub(crate) fn environments(warehouse: &mut dyn Warehouse) -> Result<Vec<Mark>> {
    let known = warehouse.relation_names(REGISTRY)?.unwrap_or_default();
    if !known.iter().any(|table| table == "environments") {
        return Ok(Vec::new());
    }
    let sql = format!("select * from {} order by schema_name", warehouse.qualified(&registry()));
    warehouse::records(warehouse, &sql).context("failed to read the registry")
}

/// Take an environment out of the registry.
pub(crate) fn forget(warehouse: &dyn Warehouse, name: &Name) -> Statement {
    Statement::sql(format!(
        "delete from {} where schema_name = {}",
        warehouse.qualified(&registry()),
        literal(name.as_str())
    ))
}

/// An environment that one pass of `schema gc` found to be needed no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Condemned {
    pub(crate) schema_name: String,
    pub(crate) reason: String,
    pub(crate) noted_at: DateTime,
}

/// What earlier passes noted.
pub(crate) fn condemned(warehouse: &mut dyn Warehouse) -> Result<Vec<Condemned>> {
    let known = warehouse.relation_names(REGISTRY)?.unwrap_or_default();
    if !known.iter().any(|table| table == "condemned") {
        return Ok(Vec::new());
    }
    let sql = format!("select * from {} order by schema_name", warehouse.qualified(&condemned_table()));
    warehouse::records(warehouse, &sql).context("failed to read the registry")
}

pub(crate) fn condemn(entry: &Condemned) -> Result<Statement> {
    Statement::insert(condemned_table(), std::slice::from_ref(entry))
}

pub(crate) fn spare(warehouse: &dyn Warehouse, name: &str) -> Statement {
    Statement::sql(format!(
        "delete from {} where schema_name = {}",
        warehouse.qualified(&condemned_table()),
        literal(name)
    ))
}

pub(super) fn registry() -> Table {
    Table::new(REGISTRY, "environments")
}

fn condemned_table() -> Table {
    Table::new(REGISTRY, "condemned")
}
