//! The ledger beside the data, and the registry of environments: their records, and how they are read
//! and written.
//!
//! State lives with the data: what an environment contains is recorded in tables of its schema, so a
//! clone includes it and a runner's disk holds nothing that matters. Functions here either read,
//! or return statements; applying them is the caller's decision.

pub(crate) mod columns;
pub(crate) mod tables;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::core::environment::{self, Comment, Droppable, Evidence, Name, REGISTRY, Refusal};
use crate::warehouse::snowflake::marked_for;
use crate::warehouse::{self, Contents, Row, Statement, Surveyed, Table, Warehouse, literal};

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
    /// The version of the ledger's tables; none in those that were made before they had one.
    pub(crate) ledger_version: Option<u32>,
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
    /// It was stopped or killed.
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
    /// What it was built from. Null if a part of that is outside the project, so that it
    /// never counts as unchanged.
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

/// The status of a node that the run found to be no longer in the project.
pub(crate) const REMOVED: &str = "removed";

impl Node {
    fn was_executed(&self) -> bool {
        !matches!(self.status.as_str(), "skipped" | REMOVED)
    }
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
    /// Its columns with their types, see [`columns`]; none in rows of ledgers before version 2.
    pub(crate) column_types: Option<String>,
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
    /// `None` if the schema does not exist, else what it contains.
    pub(crate) relations: Option<Vec<String>>,
    pub(crate) mark: Option<Mark>,
    /// The half of the mark that is attached to the schema; `None` if the engine keeps none.
    pub(crate) comment: Option<CommentMark>,
    /// The schema's comment as it is.
    pub(crate) comment_text: Option<String>,
    pub(crate) registered: bool,
    /// Whether the registry has all its tables.
    pub(crate) has_registry: bool,
    /// Columns that this toolkit writes and that tables which exist do not have.
    pub(crate) missing: Vec<Missing>,
}

/// A column that a table which exists does not have yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) schema: String,
    pub(crate) table: &'static str,
    pub(crate) column: tables::Column,
}

/// The environment that a schema's comment names, if it is one of ours.
pub(crate) type CommentMark = Option<String>;

impl State {
    pub(crate) fn read(warehouse: &mut dyn Warehouse, name: &Name) -> Result<Self> {
        let mut found = warehouse.contents(&[name.as_str(), REGISTRY])?;
        let registry_tables = found.remove(REGISTRY).unwrap_or_default().relations;
        let contents = found.remove(name.as_str());
        let comment = comment_mark(warehouse, contents.as_ref());
        let comment_text = contents.as_ref().and_then(|contents| contents.comment.clone());
        let relations = contents.map(|contents| contents.relations);
        let mark = if relations.iter().flatten().any(|relation| relation == MARK) {
            let sql = format!("select * from {}", warehouse.qualified(&ledger(name.as_str(), MARK)));
            warehouse::records(warehouse, &sql)?.into_iter().next()
        } else {
            None
        };
        let has = |table: &str| registry_tables.iter().any(|other| other == table);
        let registered = has("environments") && is_registered(warehouse, name)?;
        let has_registry = has("environments") && has("condemned");
        let mut state =
            Self { relations, mark, comment, comment_text, registered, has_registry, missing: Vec::new() };
        let is_there = state.relations.is_some() || !registry_tables.is_empty();
        if is_there && (warehouse.looks_are_free() || !state.is_current()) {
            state.missing = missing(warehouse, &[name.as_str(), REGISTRY])?;
        }
        Ok(state)
    }

    /// The state of an environment that is known to be whole.
    pub(crate) fn whole(warehouse: &dyn Warehouse, name: &Name) -> Self {
        Self {
            relations: Some(TABLES.iter().map(|table| (*table).to_owned()).collect()),
            mark: Some(new_mark(name, None, &Origin::default())),
            comment: warehouse.keeps_comments().then(|| Some(name.to_string())),
            comment_text: None,
            registered: true,
            has_registry: true,
            missing: Vec::new(),
        }
    }

    /// Whether the mark says that the ledger is of this toolkit's version.
    fn is_current(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.ledger_version == Some(tables::VERSION))
    }

    /// Whether the environment is ours and whole, so that its ledger can be read.
    pub(crate) fn is_ours(&self, name: &Name) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.schema_name == name.as_str())
    }

    /// Whether there is nothing left to make of it.
    pub(crate) fn is_provisioned(&self, name: &Name) -> bool {
        let is_commented =
            self.comment.as_ref().is_none_or(|marked| marked.as_deref() == Some(name.as_str()));
        let is_made = self.is_ours(name) && is_commented && self.registered && self.has_registry;
        is_made && self.missing.is_empty() && self.is_current()
    }

    /// Whether the making of the schema was cut short: it carries our comment for `name`, which comes first,
    /// and not its own mark, which comes last. A schema that only lost its mark is still registered.
    fn is_half_copied(&self, name: &Name) -> bool {
        let is_commented =
            self.comment.as_ref().is_some_and(|marked| marked.as_deref() == Some(name.as_str()));
        is_commented && !self.is_ours(name) && (self.mark.is_some() || !self.registered)
    }

    /// The environment that the schema is a further one of: `issue_42` of `issue_42_raw`, by its comment.
    fn part_of(&self, name: &Name) -> Option<&str> {
        let whole = self.comment.as_ref()?.as_deref().filter(|_| self.mark.is_none())?;
        environment::is_named_after(name.as_str(), whole).then_some(whole)
    }

    /// Whether a run can be recorded in it, and the runs of earlier ones read.
    pub(crate) fn has_ledger(&self) -> bool {
        holds_ledger(self.relations.as_deref().unwrap_or_default())
    }

    pub(crate) fn prove_droppable(&self, name: Name) -> Result<Droppable, Refusal> {
        let marked_for = self.mark.as_ref().map(|mark| mark.schema_name.as_str());
        let comment = evidence(self.comment.as_ref());
        environment::prove_droppable(name, Evidence { marked_for, comment, registered: self.registered })
    }
}

/// The columns that this toolkit knows and that the ledgers in `schemas` do not have.
pub(crate) fn missing(warehouse: &mut dyn Warehouse, schemas: &[&str]) -> Result<Vec<Missing>> {
    let found = warehouse.columns(schemas)?;
    let of_schema = |(schema, columns): (&String, &BTreeSet<(String, String)>)| -> Vec<Missing> {
        let definitions: &[tables::Definition] =
            if schema == REGISTRY { &tables::REGISTRY } else { &tables::LEDGER };
        let lacking = tables::missing(definitions, columns).into_iter();
        lacking.map(|(table, column)| Missing { schema: schema.clone(), table, column: *column }).collect()
    };
    Ok(found.iter().flat_map(of_schema).collect())
}

fn evidence(comment: Option<&CommentMark>) -> Comment<'_> {
    match comment {
        None => Comment::Unsupported,
        Some(None) => Comment::Absent,
        Some(Some(marked)) => Comment::For(marked),
    }
}

fn comment_mark(warehouse: &dyn Warehouse, contents: Option<&Contents>) -> Option<CommentMark> {
    warehouse.keeps_comments().then(|| contents.and_then(|contents| marked_for(contents.comment.as_deref()?)))
}

fn is_registered(warehouse: &mut dyn Warehouse, name: &Name) -> Result<bool> {
    let sql = format!(
        "select 1 as found from {} where schema_name = {}",
        warehouse.qualified(&registry()),
        literal(name.as_str())
    );
    Ok(!warehouse.query(&sql).context("failed to read the registry")?.is_empty())
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

/// Who made an environment, and for what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The environment to start from as a copy, if it exists.
    pub(crate) base: Option<Name>,
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
    #[error(
        "the schema {0} is a part of the environment {1}, which keeps the data of `+schema` in it; choose another name"
    )]
    PartOfAnother(Name, String),
}

/// How much of an environment a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The schema with its mark and its entry: what a drop, a list and a copy use.
    Environment,
    /// The tables that a run is recorded in as well.
    Ledger,
}

/// The statements that complete `name` as an environment of ours, whatever of it exists already; none if
/// all of it does. This is the one way to make or repair an environment: every command that writes calls
/// it first, so a state that a killed command left is completed by the next one.
///
/// Another person's schema is not taken over silently: that would make it droppable.
pub(crate) fn ensure(
    warehouse: &mut dyn Warehouse,
    name: &Name,
    state: &State,
    origin: &Origin,
    need: Need,
    adopt: bool,
) -> Result<Vec<Statement>> {
    let mut change = if state.is_provisioned(name) {
        // The policy may have changed since.
        warehouse.grant(name, state.comment_text.as_deref(), false)
    } else {
        provision(warehouse, name, state, origin, adopt)?
    };
    if need == Need::Ledger && !state.has_ledger() {
        for statement in warehouse.provision_ledger(name) {
            // An engine that makes all tables in one call has them in the change already.
            if !change.contains(&statement) {
                change.push(statement);
            }
        }
    }
    Ok(change)
}

fn provision(
    warehouse: &mut dyn Warehouse,
    name: &Name,
    state: &State,
    origin: &Origin,
    adopt: bool,
) -> Result<Vec<Statement>> {
    let is_half_copied = state.is_half_copied(name);
    if let Some(mark) = &state.mark
        && mark.schema_name != name.as_str()
        && !is_half_copied
    {
        return Err(NotOurs::MarkedForAnother(name.clone(), mark.schema_name.clone()).into());
    }
    if let Some(mark) = &state.mark {
        tables::refuse_newer(mark)?;
    }
    if let Some(whole) = state.part_of(name) {
        return Err(NotOurs::PartOfAnother(name.clone(), whole.to_owned()).into());
    }
    let strangers = state.relations.iter().flatten().filter(|relation| !is_ledger(relation)).count();
    if state.mark.is_none() && strangers > 0 && !adopt && !is_half_copied {
        return Err(NotOurs::Unmarked(name.clone(), strangers).into());
    }
    let base = origin.base.as_ref().filter(|base| state.relations.is_none() && *base != name);
    let (base, made) = begin(warehouse, name, base)?;
    // A copy that was cut short: its mark still names the base that it was copied from.
    let copied_from: Option<Name> = match &state.mark {
        Some(mark) if is_half_copied => mark.schema_name.parse().ok(),
        _ => None,
    };
    let mut change = if state.has_registry { Vec::new() } else { warehouse.provision_registry() };
    change.extend(made);
    if is_half_copied {
        change.extend(warehouse.complete_copy(name, copied_from.as_ref())?);
    }
    if state.relations.is_some() {
        change.extend(warehouse.comment(name, state.comment_text.as_deref()));
    }
    change.extend(warehouse.grant(name, state.comment_text.as_deref(), true));
    // A copy has its base's tables, as old as they are.
    let mut lacking = state.missing.clone();
    if let Some(base) = base {
        let of_base = missing(warehouse, &[base.as_str()])?;
        lacking.extend(of_base.into_iter().map(|each| Missing { schema: name.to_string(), ..each }));
    }
    change.extend(migrate(warehouse, name, state, &lacking));
    change.extend(marking(warehouse, name, state, base.or(copied_from.as_ref()), origin)?);
    Ok(change)
}

/// What brings a ledger that exists to this toolkit's version. It can be cut short and begun again: the
/// version is written last.
fn migrate(warehouse: &dyn Warehouse, name: &Name, state: &State, missing: &[Missing]) -> Vec<Statement> {
    let added = missing.iter();
    let mut change: Vec<Statement> =
        added.map(|each| tables::add(warehouse, &each.schema, each.table, &each.column)).collect();
    if state.is_ours(name) && !state.is_current() {
        for table in [ledger(name.as_str(), MARK), registry()] {
            change.push(Statement::sql(format!(
                "update {} set ledger_version = {} where schema_name = {}",
                warehouse.qualified(&table),
                tables::VERSION,
                literal(name.as_str())
            )));
        }
    }
    change
}

/// The statements that make the schema, and the base that it starts as a copy of; without one it is plain.
fn begin<'a>(
    warehouse: &mut dyn Warehouse,
    name: &Name,
    base: Option<&'a Name>,
) -> Result<(Option<&'a Name>, Vec<Statement>)> {
    if let Some(base) = base {
        if let Some(copied) = warehouse.copy(base, name)? {
            return Ok((Some(base), copied));
        }
        tracing::info!("the base {base} does not exist, so the environment starts empty");
    }
    Ok((None, warehouse.provision(name)))
}

/// The mark in the schema and the entry in the registry, last: what has no mark yet is not ours.
fn marking(
    warehouse: &dyn Warehouse,
    name: &Name,
    state: &State,
    base: Option<&Name>,
    origin: &Origin,
) -> Result<Vec<Statement>> {
    let mut change = Vec::new();
    let mark = match &state.mark {
        Some(mark) if state.is_ours(name) => mark.clone(),
        foreign => {
            let mark = new_mark(name, base, origin);
            let table = ledger(name.as_str(), MARK);
            if foreign.is_some() || base.is_some() {
                change.push(Statement::sql(format!("delete from {}", warehouse.qualified(&table))));
            }
            change.push(Statement::insert(table, std::slice::from_ref(&mark))?);
            mark
        }
    };
    // The schema may have been dropped without our knowledge and created again: the entry follows the mark.
    if state.registered && !state.is_ours(name) {
        change.push(forget(warehouse, name));
    }
    if !state.registered || !state.is_ours(name) {
        change.push(Statement::insert(registry(), std::slice::from_ref(&mark))?);
    }
    Ok(change)
}

fn new_mark(name: &Name, base: Option<&Name>, origin: &Origin) -> Mark {
    Mark {
        schema_name: name.to_string(),
        kind: name.kind().label().to_owned(),
        base: base.map(Name::to_string),
        issue_number: name.number(),
        object_name: origin.object_name.clone(),
        created_at: now(),
        created_by: origin.created_by.clone(),
        toolkit_version: env!("CARGO_PKG_VERSION").to_owned(),
        ledger_version: Some(tables::VERSION),
    }
}

/// The only statements that drop a schema.
pub(crate) fn drop_environment(warehouse: &mut dyn Warehouse, doomed: &Droppable) -> Result<Vec<Statement>> {
    let mut change = warehouse.drop_schemas(doomed)?;
    change.push(forget(warehouse, doomed.name()));
    Ok(change)
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

/// What several environments say of themselves, in as few questions as one does.
#[derive(Debug, Default)]
pub(crate) struct Overview {
    /// The schema that each mark names, keyed by the schema that contains the mark.
    pub(crate) marks: BTreeMap<String, String>,
    pub(crate) last_runs: BTreeMap<String, LastRun>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastRun {
    pub(crate) last_run_id: String,
    pub(crate) last_run_at: DateTime,
    pub(crate) last_status: Status,
}

impl Overview {
    /// Of the schemas in `found`.
    pub(crate) fn read(warehouse: &mut dyn Warehouse, found: &BTreeMap<String, Surveyed>) -> Result<Self> {
        let holding = |table: &str| -> Vec<&str> {
            let holds = |of: &Surveyed| of.contents.relations.iter().any(|relation| relation == table);
            found.iter().filter(|(_, of)| holds(of)).map(|(name, _)| name.as_str()).collect()
        };
        let mark = |schema: &str, warehouse: &dyn Warehouse| {
            format!(
                "select {} as of_schema, schema_name as marked_for from {}",
                literal(schema),
                warehouse.qualified(&ledger(schema, MARK))
            )
        };
        let run = |schema: &str, warehouse: &dyn Warehouse| {
            format!(
                "select of_schema, run_id, started_at, status from (select {0} as of_schema, run_id, started_at, status \
                 from {1} where schema_name = {0} order by started_at desc limit 1) as newest",
                literal(schema),
                warehouse.qualified(&ledger(schema, "ledger_runs"))
            )
        };
        let mut overview = Self::default();
        let marks: Vec<String> = holding(MARK).into_iter().map(|schema| mark(schema, warehouse)).collect();
        for (of_schema, row) in keyed(warehouse, &marks)? {
            overview.marks.insert(of_schema, serde_json::from_value(row["marked_for"].clone())?);
        }
        let runs: Vec<String> =
            holding("ledger_runs").into_iter().map(|schema| run(schema, warehouse)).collect();
        for (of_schema, row) in keyed(warehouse, &runs)? {
            let last = LastRun {
                last_run_id: serde_json::from_value(row["run_id"].clone())?,
                last_run_at: serde_json::from_value(row["started_at"].clone())?,
                last_status: serde_json::from_value(row["status"].clone())?,
            };
            overview.last_runs.insert(of_schema, last);
        }
        Ok(overview)
    }
}

impl Overview {
    /// Whether an environment of the registry, whose schema holds what `contents` says, could be dropped.
    pub(crate) fn prove_droppable(
        &self,
        warehouse: &dyn Warehouse,
        name: Name,
        contents: Option<&Contents>,
    ) -> Result<Droppable, Refusal> {
        let comment = comment_mark(warehouse, contents);
        let shown = Evidence {
            marked_for: self.marks.get(name.as_str()).map(String::as_str),
            comment: evidence(comment.as_ref()),
            registered: true,
        };
        environment::prove_droppable(name, shown)
    }
}

/// The rows of all `selects` in one query, each with its `of_schema`.
fn keyed(warehouse: &mut dyn Warehouse, selects: &[String]) -> Result<Vec<(String, Row)>> {
    if selects.is_empty() {
        return Ok(Vec::new());
    }
    let rows = warehouse.query(&selects.join("\nunion all\n"))?;
    let schema =
        |row: &Row| row.get("of_schema").and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    Ok(rows.into_iter().map(|row| (schema(&row), row)).collect())
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

/// What every session and dbt run is tagged with, so that cost can be attributed to an environment. The
/// target adds where that is, see [`tag_in`].
pub(crate) fn query_tag(schema: Option<&str>, run_id: Option<&str>, stage: &str) -> String {
    serde_json::json!({"tool": "xtask", "environment": schema, "run_id": run_id, "stage": stage}).to_string()
}

/// A tag with the place of its environment: other databases of an account, and other projects, may have
/// environments of the same names. `own` marks the toolkit's statements, which are not the project's.
pub(crate) fn tag_in(tag: &str, database: &str, project: Option<&str>, own: bool) -> String {
    let mut all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(tag).unwrap_or_default();
    all.insert("database".to_owned(), database.into());
    if let Some(project) = project {
        all.insert("project".to_owned(), project.into());
    }
    if own {
        all.insert("own".to_owned(), true.into());
    }
    serde_json::Value::Object(all).to_string()
}

/// The table that holds the ownership mark.
pub(crate) const MARK: &str = "ledger_environment";

const TABLES: [&str; 5] = [MARK, "ledger_runs", "ledger_nodes", "ledger_queries", "ledger_relations"];

/// Whether a relation is the table of the ownership mark.
pub(crate) fn is_mark(relation: &str) -> bool {
    relation == MARK
}

/// Whether the names of a schema's relations include all tables of the ledger, so that it can be read.
pub(crate) fn holds_ledger(relations: &[String]) -> bool {
    TABLES.iter().all(|table| relations.iter().any(|relation| relation == table))
}

/// Whether a relation belongs to the ledger and not to the project.
pub(crate) fn is_ledger(relation: &str) -> bool {
    relation == STATE || relation == WRITE_ATTEMPT || TABLES.contains(&relation)
}

/// The table that proves that a role may write; it remains only if a command is killed while it tries.
pub(crate) const WRITE_ATTEMPT: &str = "ledger_write_attempt";

/// The table that keeps what each node was last made from. It is made when the first run ends.
pub(crate) const STATE: &str = "ledger_state";

fn ledger(schema: &str, table: &'static str) -> Table {
    Table::new(schema, table)
}

fn registry() -> Table {
    Table::new(REGISTRY, "environments")
}

fn condemned_table() -> Table {
    Table::new(REGISTRY, "condemned")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warehouse::duckdb::DuckDb;
    use std::path::Path;

    pub(super) fn mark(name: &str) -> Mark {
        new_mark(&name.parse().expect("a name"), None, &Origin::default())
    }

    fn keys<T: Serialize>(record: &T) -> BTreeSet<String> {
        match serde_json::to_value(record).expect("JSON") {
            serde_json::Value::Object(row) => row.into_iter().map(|(key, _)| key).collect(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn records_have_the_columns_that_are_defined() {
        let run = Run {
            run_id: "r".into(),
            schema_name: "issue_1".into(),
            started_at: now(),
            finished_at: None,
            status: Status::Success,
            seconds: None,
            dbt_seconds: None,
            dbt_started: true,
            up_to_date: false,
            fingerprint: None,
            selection: None,
            full_refresh: false,
            git_commit: None,
            git_branch: None,
            git_dirty: None,
            triggered_by: None,
            run_url: None,
            dbt_version: None,
            toolkit_version: "0".into(),
            message: None,
        };
        let node = Node {
            run_id: "r".into(),
            node_id: "n".into(),
            name: "n".into(),
            kind: "model".into(),
            layer: None,
            materialized: None,
            status: "success".into(),
            started_at: None,
            seconds: None,
            rows: None,
            failures: None,
            message: None,
            path: None,
        };
        let relation = MeasuredRelation {
            run_id: "r".into(),
            relation_name: "n".into(),
            relation_type: "table".into(),
            layer: None,
            row_count: None,
            bytes: None,
            measured_at: now(),
            column_types: None,
        };
        let noted = Condemned { schema_name: "issue_1".into(), reason: "x".into(), noted_at: now() };
        let written = [
            (tables::LEDGER[0], keys(&mark("issue_1"))),
            (tables::LEDGER[1], keys(&run)),
            (tables::LEDGER[2], keys(&node)),
            (tables::LEDGER[3], keys(&query("d", &run, &node))),
            (tables::LEDGER[4], keys(&relation)),
            (tables::REGISTRY[0], keys(&mark("issue_1"))),
            (tables::REGISTRY[1], keys(&noted)),
        ];
        for (table, keys) in written {
            let defined: BTreeSet<String> =
                table.columns.iter().map(|column| column.name.to_owned()).collect();
            assert_eq!(keys, defined, "{}", table.name);
        }
    }

    #[test]
    fn an_older_ledger_is_brought_to_this_version() {
        let name: Name = "issue_1".parse().expect("a name");
        let warehouse = DuckDb::new(Path::new("duckdb"), Path::new("none.duckdb"));
        let old = Mark { ledger_version: None, ..mark("issue_1") };
        let column = *tables::LEDGER[1].columns.last().expect("columns");
        let missing = vec![Missing { schema: "issue_1".into(), table: "ledger_runs", column }];
        let state = State { mark: Some(old), missing, ..State::default() };
        let sent = warehouse.script(&migrate(&warehouse, &name, &state, &state.missing));
        assert!(sent[0].contains("add column if not exists message varchar"), "{sent:?}");
        assert!(sent[1].contains("set ledger_version = 2") && sent.len() == 3, "{sent:?}");
        let current = State { mark: Some(mark("issue_1")), ..State::default() };
        assert!(migrate(&warehouse, &name, &current, &[]).is_empty());
    }
}
