//! The ledger's table of the newest record of each node.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value as Json;

use crate::core::environment::Name;
use crate::ledger;
use crate::state::record::Record;
use crate::warehouse::duckdb::Announcements;
use crate::warehouse::{Row, Statement, Table, Warehouse, records};

/// In names of relations that the ledger keeps: the environment's own schema, so that a copy can be read.
const OWN_SCHEMA: &str = "{environment}";

pub(super) fn table(schema: &Name) -> Table {
    Table::new(schema.as_str(), ledger::STATE)
}

pub(super) fn read_records(warehouse: &mut dyn Warehouse, schema: &Name) -> Result<BTreeMap<String, Record>> {
    let known = warehouse.relation_names(schema.as_str())?.unwrap_or_default();
    let mut rows: Vec<Record> = Vec::new();
    if known.iter().any(|name| name == ledger::STATE) {
        let sql = format!("select * from {}", warehouse.qualified(&table(schema)));
        rows = records(warehouse, &sql).context("failed to read the state of nodes from the ledger")?;
    }
    let rows = rows.into_iter().map(|row| own(schema, row));
    Ok(newest(rows.chain(announced(warehouse, schema)?)))
}

/// The newest record of each node.
pub(super) fn newest(records: impl Iterator<Item = Record>) -> BTreeMap<String, Record> {
    let mut found: BTreeMap<String, Record> = BTreeMap::new();
    for record in records {
        match found.get(&record.node_id) {
            Some(newer) if newer.recorded_at > record.recorded_at => {}
            _ => drop(found.insert(record.node_id.clone(), record)),
        }
    }
    found
}

/// What a run that was killed has left beside the database.
pub(super) fn announced(warehouse: &dyn Warehouse, schema: &Name) -> Result<Vec<Record>> {
    let Some(announcements) = warehouse.announcements(schema) else { return Ok(Vec::new()) };
    let rows = announcements.read()?.into_iter();
    rows.map(|row| Ok(own(schema, serde_json::from_value(Json::Object(row))?))).collect()
}

/// Write down beside the database what is about to be touched.
pub(super) fn announce(announcements: &Announcements, schema: &Name, records: &[Record]) -> Result<()> {
    let row = |record: &Record| Ok(serde_json::from_value(serde_json::to_value(neutral(schema, record))?)?);
    announcements.add(&records.iter().map(row).collect::<Result<Vec<Row>>>()?)
}

/// The record as it is for this environment.
fn own(schema: &Name, record: Record) -> Record {
    let own = |text: String| text.replace(OWN_SCHEMA, schema.as_str());
    Record { relation_schema: record.relation_schema.map(own), ..record }
}

/// The record as it is kept.
fn neutral(schema: &Name, record: &Record) -> Record {
    let own = schema.as_str().len();
    let neutral = |text: String| match text.split_at_checked(own) {
        Some((own, rest)) if own.eq_ignore_ascii_case(schema.as_str()) => format!("{OWN_SCHEMA}{rest}"),
        _ => text,
    };
    let record = record.clone();
    Record { relation_schema: record.relation_schema.map(neutral), ..record }
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
    let rows: Vec<Record> = rows.iter().map(|row| neutral(schema, row)).collect();
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
