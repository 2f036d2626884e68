//! The ledger beside the data, and the registry of environments: their records, and how they are read
//! and written.
//!
//! State lives with the data: what an environment contains is told by tables in that schema, so a
//! clone carries it along and a runner's disk carries nothing that matters. Functions here either read,
//! or return statements; applying them is the caller's decision.

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::environment::{self, Droppable, Evidence, Name, REGISTRY, Refusal};
use crate::warehouse::{self, Statement, Table, Warehouse, literal, quote};

/// The ownership mark of an environment; the registry keeps the same columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) schema_name: String,
    pub(crate) kind: String,
    pub(crate) base: Option<String>,
    pub(crate) issue_number: Option<u64>,
    pub(crate) object_name: Option<String>,
    pub(crate) created_at: DateTime,
    pub(crate) created_by: Option<String>,
    pub(crate) toolkit_version: String,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Success,
    /// A gate failed: a node could not be built, or a test found something.
    Fail,
    /// The run could not be done, for reasons outside the project.
    Error,
    /// Somebody stopped or killed it.
    Interrupted,
}

impl Status {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Interrupted => "interrupted",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) run_id: String,
    pub(crate) schema_name: String,
    pub(crate) started_at: DateTime,
    pub(crate) finished_at: Option<DateTime>,
    pub(crate) status: Status,
    pub(crate) seconds: Option<f64>,
    pub(crate) dbt_seconds: Option<f64>,
    pub(crate) dbt_started: bool,
    pub(crate) up_to_date: bool,
    /// What it was built from. Null where a part of that lies outside the project, so that it can
    /// never be said to be unchanged.
    pub(crate) fingerprint: Option<String>,
    pub(crate) selection: Option<String>,
    pub(crate) full_refresh: bool,
    pub(crate) git_commit: Option<String>,
    pub(crate) git_branch: Option<String>,
    pub(crate) git_dirty: Option<bool>,
    pub(crate) triggered_by: Option<String>,
    pub(crate) run_url: Option<String>,
    pub(crate) dbt_version: Option<String>,
    pub(crate) toolkit_version: String,
    pub(crate) message: Option<String>,
}

/// A dbt node of a run, in dbt's own words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) run_id: String,
    pub(crate) node_id: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) layer: Option<String>,
    pub(crate) materialized: Option<String>,
    pub(crate) status: String,
    pub(crate) started_at: Option<DateTime>,
    pub(crate) seconds: Option<f64>,
    pub(crate) rows: Option<i64>,
    pub(crate) failures: Option<i64>,
    pub(crate) message: Option<String>,
    pub(crate) path: Option<String>,
}

#[derive(Debug, Serialize)]
struct Query<'a> {
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MeasuredRelation {
    pub(crate) run_id: String,
    pub(crate) relation_name: String,
    pub(crate) relation_type: String,
    pub(crate) layer: Option<String>,
    pub(crate) row_count: Option<i64>,
    pub(crate) bytes: Option<i64>,
    pub(crate) measured_at: DateTime,
}

/// Now in UTC, to the microsecond: what the ledger's columns hold.
pub(crate) fn now() -> DateTime {
    utc(Timestamp::now())
}

pub(crate) fn utc(instant: Timestamp) -> DateTime {
    let whole = Timestamp::from_microsecond(instant.as_microsecond()).unwrap_or(instant);
    whole.to_zoned(TimeZone::UTC).datetime()
}

/// What is known of an environment before anything is done to it.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// `None` where the schema does not exist, else what stands in it.
    pub(crate) relations: Option<Vec<String>>,
    pub(crate) mark: Option<Mark>,
    pub(crate) registered: bool,
}

impl State {
    pub(crate) fn read(warehouse: &mut dyn Warehouse, name: &Name) -> Result<Self> {
        let relations = warehouse.relation_names(name.as_str())?;
        let holds = |table: &str| relations.iter().flatten().any(|relation| relation == table);
        let mark = if holds("ledger_environment") {
            let sql = format!("select * from {}", ledger(name.as_str(), "ledger_environment").quoted());
            warehouse::records(warehouse, &sql)?.into_iter().next()
        } else {
            None
        };
        let registered = environments(warehouse)?.iter().any(|known| known.schema_name == name.as_str());
        Ok(Self { relations, mark, registered })
    }

    /// Whether the environment is ours and whole, so that its ledger can be read.
    pub(crate) fn is_ours(&self, name: &Name) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.schema_name == name.as_str())
    }

    pub(crate) fn prove_droppable(&self, name: Name) -> Result<Droppable, Refusal> {
        let marked_for = self.mark.as_ref().map(|mark| mark.schema_name.as_str());
        environment::prove_droppable(name, Evidence { marked_for, registered: self.registered })
    }
}

/// Every environment that the registry knows, by name.
pub(crate) fn environments(warehouse: &mut dyn Warehouse) -> Result<Vec<Mark>> {
    let known = warehouse.relation_names(REGISTRY)?.unwrap_or_default();
    if !known.iter().any(|table| table == "environments") {
        return Ok(Vec::new());
    }
    let sql = format!("select * from {} order by schema_name", registry().quoted());
    warehouse::records(warehouse, &sql).context("failed to read the registry")
}

/// Who made an environment, and for what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) base: Option<String>,
    pub(crate) object_name: Option<String>,
    pub(crate) created_by: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum NotOurs {
    #[error(
        "the schema {0} exists, holds {1} relations and carries no ownership mark, so it was not made by this \
         toolkit; choose another name, or take it over with `cargo xtask schema create --schema {0} --adopt`"
    )]
    Unmarked(Name, usize),
    #[error(
        "the schema {0} carries the ownership mark of {1:?}, so it is a copy or was renamed; choose another name"
    )]
    MarkedForAnother(Name, String),
}

/// The statements that make `name` an environment of ours, whatever of it is there already.
///
/// Somebody else's schema is not taken over silently: that would make it droppable.
pub(crate) fn provision(
    warehouse: &dyn Warehouse,
    name: &Name,
    state: &State,
    origin: &Origin,
    adopt: bool,
) -> Result<Vec<Statement>> {
    let mark = match &state.mark {
        Some(mark) if mark.schema_name == name.as_str() => None,
        Some(mark) => return Err(NotOurs::MarkedForAnother(name.clone(), mark.schema_name.clone()).into()),
        None => {
            let strangers = state.relations.iter().flatten().filter(|relation| !is_ledger(relation)).count();
            if strangers > 0 && !adopt {
                return Err(NotOurs::Unmarked(name.clone(), strangers).into());
            }
            Some(new_mark(name, origin))
        }
    };
    let mut change = warehouse.provision_registry();
    change.extend(warehouse.provision(name));
    if let Some(mark) = &mark {
        change.push(Statement::insert(
            ledger(name.as_str(), "ledger_environment"),
            std::slice::from_ref(mark),
        )?);
    }
    if let (false, Some(entry)) = (state.registered, mark.as_ref().or(state.mark.as_ref())) {
        change.push(Statement::insert(registry(), std::slice::from_ref(entry))?);
    } else if let (true, Some(entry)) = (state.registered, &mark) {
        // The schema was dropped behind our back and is made anew: the entry follows.
        change.push(forget(name));
        change.push(Statement::insert(registry(), std::slice::from_ref(entry))?);
    }
    Ok(change)
}

fn new_mark(name: &Name, origin: &Origin) -> Mark {
    Mark {
        schema_name: name.to_string(),
        kind: name.kind().label().to_owned(),
        base: origin.base.clone(),
        issue_number: name.number(),
        object_name: origin.object_name.clone(),
        created_at: now(),
        created_by: origin.created_by.clone(),
        toolkit_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The only statements that drop a schema.
pub(crate) fn drop_environment(doomed: &Droppable) -> Vec<Statement> {
    let name = doomed.name();
    vec![Statement::sql(format!("drop schema {} cascade", quote(name.as_str()))), forget(name)]
}

/// Take an environment out of the registry.
pub(crate) fn forget(name: &Name) -> Statement {
    Statement::sql(format!(
        "delete from {} where schema_name = {}",
        registry().quoted(),
        literal(name.as_str())
    ))
}

/// The last run of an environment that started dbt.
pub(crate) fn last_build(warehouse: &mut dyn Warehouse, name: &Name) -> Result<Option<Run>> {
    newest(warehouse, name, "where dbt_started")
}

/// The last run of an environment, whatever it did.
pub(crate) fn last_run(warehouse: &mut dyn Warehouse, name: &Name) -> Result<Option<Run>> {
    newest(warehouse, name, "")
}

fn newest(warehouse: &mut dyn Warehouse, name: &Name, condition: &str) -> Result<Option<Run>> {
    let runs = ledger(name.as_str(), "ledger_runs").quoted();
    let sql = format!("select * from {runs} {condition} order by started_at desc limit 1");
    Ok(warehouse::records(warehouse, &sql)?.into_iter().next())
}

/// Whether a run stands in the ledger already.
pub(crate) fn has_run(warehouse: &mut dyn Warehouse, name: &Name, run_id: &str) -> Result<bool> {
    let sql = format!(
        "select 1 from {} where run_id = {}",
        ledger(name.as_str(), "ledger_runs").quoted(),
        literal(run_id)
    );
    Ok(!warehouse.query(&sql)?.is_empty())
}

pub(crate) fn nodes_of(warehouse: &mut dyn Warehouse, name: &Name, run_id: &str) -> Result<Vec<Node>> {
    let sql = format!(
        "select * from {} where run_id = {} order by started_at, node_id",
        ledger(name.as_str(), "ledger_nodes").quoted(),
        literal(run_id)
    );
    warehouse::records(warehouse, &sql)
}

pub(crate) fn relations_of(
    warehouse: &mut dyn Warehouse,
    name: &Name,
    run_id: &str,
) -> Result<Vec<MeasuredRelation>> {
    let sql = format!(
        "select * from {} where run_id = {}",
        ledger(name.as_str(), "ledger_relations").quoted(),
        literal(run_id)
    );
    warehouse::records(warehouse, &sql)
}

/// The statements that record a run with all that belongs to it: one transaction, so a run stands in
/// the ledger whole or not at all.
pub(crate) fn record(
    database: &str,
    run: &Run,
    nodes: &[Node],
    relations: &[MeasuredRelation],
) -> Result<Vec<Statement>> {
    let schema = run.schema_name.as_str();
    let queries: Vec<Query<'_>> =
        nodes.iter().filter(|node| node.status != "skipped").map(|node| query(database, run, node)).collect();
    Ok(vec![
        Statement::insert(ledger(schema, "ledger_runs"), std::slice::from_ref(run))?,
        Statement::insert(ledger(schema, "ledger_nodes"), nodes)?,
        Statement::insert(ledger(schema, "ledger_queries"), &queries)?,
        Statement::insert(ledger(schema, "ledger_relations"), relations)?,
    ])
}

fn query<'a>(database: &'a str, run: &'a Run, node: &'a Node) -> Query<'a> {
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
        query_tag: query_tag(&run.schema_name, &run.run_id),
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

/// What every session and dbt run is tagged with, so that cost can be attributed to an environment.
pub(crate) fn query_tag(schema: &str, run_id: &str) -> String {
    serde_json::json!({"tool": "xtask", "environment": schema, "run_id": run_id, "stage": "elt"}).to_string()
}

/// Whether a relation belongs to the ledger and not to the project.
pub(crate) fn is_ledger(relation: &str) -> bool {
    ["ledger_environment", "ledger_runs", "ledger_nodes", "ledger_queries", "ledger_relations"]
        .contains(&relation)
}

fn ledger(schema: &str, table: &'static str) -> Table {
    Table::new(schema, table)
}

fn registry() -> Table {
    Table::new(REGISTRY, "environments")
}
