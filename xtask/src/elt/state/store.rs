//! The ledger's table of the newest record of each node.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use crate::core::environment::Name;
use crate::core::ledger;
use crate::state::record::Record;
use crate::warehouse::{Statement, Table, Warehouse, records};

/// In names of relations that the ledger keeps: the environment's own schema, so that a copy can be read.
const OWN_SCHEMA: &str = "{environment}";

pub(super) fn table(schema: &Name) -> Table {
    Table::new(schema.as_str(), ledger::STATE)
}

pub(super) fn read_records(warehouse: &mut dyn Warehouse, schema: &Name) -> Result<BTreeMap<String, Record>> {
    let known = warehouse.relation_names(schema.as_str())?.unwrap_or_default();
    if !known.iter().any(|name| name == ledger::STATE) {
        return Ok(BTreeMap::new());
    }
    let sql = format!("select * from {} order by recorded_at", warehouse.qualified(&table(schema)));
    let rows: Vec<Record> =
        records(warehouse, &sql).context("failed to read the state of nodes from the ledger")?;
    let mut found = BTreeMap::new();
    for mut row in rows {
        row.relation_schema = row.relation_schema.map(|text| text.replace(OWN_SCHEMA, schema.as_str()));
        found.insert(row.node_id.clone(), row);
    }
    Ok(found)
}

/// Add the newest word on nodes, and drop the older ones.
pub(super) fn write_records(warehouse: &mut dyn Warehouse, schema: &Name, rows: &[Record]) -> Result<()> {
    let change = statements(warehouse, schema, rows)?;
    warehouse.apply(&change)
}

pub(super) fn statements(
    warehouse: &dyn Warehouse,
    schema: &Name,
    rows: &[Record],
) -> Result<Vec<Statement>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let neutral = |row: &Record| {
        let mut row = row.clone();
        let own = schema.as_str().len();
        row.relation_schema = row.relation_schema.map(|text| match text.split_at_checked(own) {
            Some((own, rest)) if own.eq_ignore_ascii_case(schema.as_str()) => format!("{OWN_SCHEMA}{rest}"),
            _ => text,
        });
        row
    };
    let rows: Vec<Record> = rows.iter().map(neutral).collect();
    let state = warehouse.qualified(&table(schema));
    Ok(vec![
        Statement::sql(format!("create table if not exists {state} ({COLUMNS})")),
        Statement::insert(table(schema), &rows)?,
        Statement::sql(format!(
            "delete from {state} where (node_id, recorded_at) not in \
             (select node_id, max(recorded_at) from {state} group by node_id)"
        )),
    ])
}

const COLUMNS: &str = "node_id varchar not null, unique_id varchar, run_id varchar not null, \
     recorded_at timestamp not null, kind varchar not null, name varchar not null, status varchar not null, \
     format bigint not null, definition varchar not null, class varchar not null, materialized varchar, \
     relation_schema varchar, relation_name varchar, parts varchar not null, built_from varchar not null, \
     data_version varchar, witness varchar, failures bigint";
