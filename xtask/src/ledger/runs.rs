//! Runs of an environment: how they are recorded, and the questions that commands have about them.

use anyhow::Result;
use jiff::civil::DateTime;
use serde::Serialize;

use super::{MeasuredRelation, Node, REMOVED, Run, STATE, ledger, query_tag};
use crate::core::environment::Name;
use crate::warehouse::{self, Row, Statement, Warehouse, literal};

#[derive(Debug, Serialize)]
pub(super) struct Query<'a> {
    query_id: String,
    run_id: &'a str,
    node_id: &'a str,
    query_type: &'static str,
    database_name: &'a str,
    schema_name: &'a str,
    user_name: Option<&'a str>,
    start_time: Option<DateTime>,
    end_time: Option<DateTime>,
    total_elapsed_time: Option<i64>,
    execution_status: &'static str,
    error_message: Option<&'a str>,
    rows_produced: Option<i64>,
    query_tag: String,
}

/// The last run of an environment that started dbt.
pub(crate) fn last_build(warehouse: &mut dyn Warehouse, name: &Name) -> Result<Option<Run>> {
    newest(warehouse, name, " and dbt_started")
}

/// The last run of an environment, whether it started dbt or found everything up to date.
pub(crate) fn last_run(warehouse: &mut dyn Warehouse, name: &Name) -> Result<Option<Run>> {
    newest(warehouse, name, "")
}

fn newest(warehouse: &mut dyn Warehouse, name: &Name, condition: &str) -> Result<Option<Run>> {
    let runs = warehouse.qualified(&ledger(name.as_str(), "ledger_runs"));
    // A copy carries the runs of its base along: they are history, not runs of this environment.
    let own = literal(name.as_str());
    let sql =
        format!("select * from {runs} where schema_name = {own}{condition} order by started_at desc limit 1");
    Ok(warehouse::records(warehouse, &sql)?.into_iter().next())
}

/// Whether a run is already in the ledger.
pub(crate) fn has_run(warehouse: &mut dyn Warehouse, name: &Name, run_id: &str) -> Result<bool> {
    let sql = format!(
        "select 1 as found from {} where run_id = {}",
        warehouse.qualified(&ledger(name.as_str(), "ledger_runs")),
        literal(run_id)
    );
    Ok(!warehouse.query(&sql)?.is_empty())
}

pub(crate) fn nodes_of(warehouse: &mut dyn Warehouse, name: &Name, run_id: &str) -> Result<Vec<Node>> {
    let sql = format!(
        "select * from {} where run_id = {} and status <> '{REMOVED}' order by started_at, node_id",
        warehouse.qualified(&ledger(name.as_str(), "ledger_nodes")),
        literal(run_id)
    );
    warehouse::records(warehouse, &sql)
}

/// The identifier of the oldest run that the ledger keeps.
pub(crate) fn first_run(warehouse: &mut dyn Warehouse, name: &Name) -> Result<Option<String>> {
    let runs = warehouse.qualified(&ledger(name.as_str(), "ledger_runs"));
    let rows = warehouse.query(&format!("select min(run_id) as \"first\" from {runs}"))?;
    Ok(rows.first().and_then(|row| row.get("first")).and_then(|value| value.as_str()).map(str::to_owned))
}

/// The last word of the ledger on every node of the project: each as the run that last built it recorded it.
pub(crate) fn current_nodes(warehouse: &mut dyn Warehouse, name: &Name) -> Result<Vec<Node>> {
    let sql = format!(
        "select nodes.* from {} as nodes join {} as state \
         on nodes.run_id = state.run_id and nodes.node_id = state.unique_id order by nodes.started_at, nodes.node_id",
        warehouse.qualified(&ledger(name.as_str(), "ledger_nodes")),
        warehouse.qualified(&ledger(name.as_str(), STATE))
    );
    warehouse::records(warehouse, &sql)
}

/// A run as a row of its table.
pub(crate) fn row(run: &Run) -> Result<Row> {
    Ok(serde_json::from_value(serde_json::to_value(run)?)?)
}

/// The statements that record a run with all that belongs to it: one transaction, so the ledger contains
/// a run completely or not at all.
pub(crate) fn record(
    database: &str,
    run: &Run,
    nodes: &[Node],
    relations: &[MeasuredRelation],
) -> Result<Vec<Statement>> {
    let schema = run.schema_name.as_str();
    let queries: Vec<Query<'_>> =
        nodes.iter().filter(|node| node.was_executed()).map(|node| query(database, run, node)).collect();
    Ok(vec![
        Statement::insert(ledger(schema, "ledger_runs"), std::slice::from_ref(run))?,
        Statement::insert(ledger(schema, "ledger_nodes"), nodes)?,
        Statement::insert(ledger(schema, "ledger_queries"), &queries)?,
        Statement::insert(ledger(schema, "ledger_relations"), relations)?,
    ])
}

pub(super) fn query<'a>(database: &'a str, run: &'a Run, node: &'a Node) -> Query<'a> {
    let end_time = node.started_at.zip(node.seconds).and_then(|(start, seconds)| {
        start.checked_add(jiff::SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
    });
    let failed = node.status == "error";
    Query {
        query_id: format!("{}/{}", run.run_id, node.node_id),
        run_id: &run.run_id,
        node_id: &node.node_id,
        query_type: query_type(node),
        database_name: database,
        schema_name: &run.schema_name,
        user_name: run.triggered_by.as_deref(),
        start_time: node.started_at,
        end_time,
        total_elapsed_time: node.seconds.map(milliseconds),
        // A test that finds something is a query that succeeded.
        execution_status: if failed { "FAILED_WITH_ERROR" } else { "SUCCESS" },
        error_message: node.message.as_deref().filter(|_| failed),
        rows_produced: node.rows,
        query_tag: query_tag(Some(&run.schema_name), Some(&run.run_id), "elt"),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a run of 292 million years would be needed")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// The statement kind in Snowflake's words, which the query log uses on every engine.
fn query_type(node: &Node) -> &'static str {
    match (node.kind.as_str(), node.materialized.as_deref()) {
        ("model", Some("view")) => "CREATE_VIEW",
        ("model", Some("incremental")) | ("snapshot", _) => "MERGE",
        ("model" | "seed", _) => "CREATE_TABLE_AS_SELECT",
        _ => "SELECT",
    }
}
