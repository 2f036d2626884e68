//! Reads the data of a report. The ledgers are read the same way on every engine; the query log, storage and
//! cost come from the ledger on DuckDB and from Snowflake's own views on Snowflake.
//!
//! Everything is queried in as few calls as the engine allows, for the window and the previous one, so that
//! each figure has its change.

mod engine;
mod found;
mod ledger;
mod log;
mod ranked;
mod shape;

use anyhow::Result;
use jiff::civil::DateTime;

use self::engine::{engine, no_cost, not_supported, of_log, unknown_storage};
pub(super) use self::found::{Found, LEDGER_NODES, LEDGER_QUERIES, LEDGER_RELATIONS, LEDGER_RUNS, Request};
pub(super) use self::ledger::records;
use self::ledger::{Ledger, read_ledger};
pub(super) use self::shape::Limited;
use self::shape::{Shape, limited};
use super::figures::{self, Facts, Log};
use super::model::{Report, Status, Table};
use crate::warehouse::Warehouse;

/// Why a time before the first run has no figures.
const NOT_BEGUN: &str = "no run had started by the end of the window";

/// Everything but alerts and history.
pub(super) fn collect(
    warehouse: &mut dyn Warehouse,
    request: &Request<'_>,
    found: &Found,
    scope: &str,
) -> Result<Report> {
    let before = request.window.previous()?;
    let empty = found.environments.is_empty().then_some(if found.in_use.is_empty() {
        figures::NO_ENVIRONMENT
    } else {
        figures::ALL_IN_USE
    });
    let mut read = if found.ledgers.is_empty() {
        Ledger::default()
    } else {
        read_ledger(warehouse, request, found, before)?
    };
    let engine = engine(warehouse, request, found, &mut read)?;
    // Before the first run and the first query there was nothing to count: that is unknown, not zero.
    let begun = |end: DateTime, log: Option<&Log>| {
        log.is_some_and(|log| !log.days.is_empty())
            || read.lifetime.iter().any(|row| row.first_started_at < end)
    };
    let facts = Facts {
        absent: match (empty, begun(request.window.end, Some(&engine.log))) {
            (Some(why), _) => Some(why),
            (None, false) => Some(NOT_BEGUN),
            (None, true) => None,
        },
        log: Some(&engine.log),
        latest: &read.now,
        storage: &engine.storage,
        cost: &engine.cost,
        warehouse_cost: &engine.warehouse_cost,
    };
    let mut figures = figures::figures(&facts, request.window);
    let (nothing, unknown) = (no_cost(), unknown_storage());
    let earlier = Facts {
        absent: (empty.is_some() || !begun(before.end, engine.log_before.as_ref())).then_some(NOT_BEGUN),
        log: engine.log_before.as_ref(),
        latest: &read.before,
        storage: engine.storage_before.as_ref().unwrap_or(&unknown),
        cost: &nothing,
        warehouse_cost: &nothing,
    };
    figures::compare(&mut figures, &figures::figures(&earlier, before));
    let log = engine.log;
    let days = log.daily(request.window);
    let table = |source: &'static str| Shape { empty, source };
    let mut report = Report {
        version: 1,
        window: request.window,
        scope: scope.to_owned(),
        environment: request.schema.map(ToString::to_string),
        environments: found.environments.iter().map(ToString::to_string).collect(),
        in_use: found.in_use.clone(),
        target: warehouse.target().to_owned(),
        generated_at: request.now,
        toolkit_version: env!("CARGO_PKG_VERSION").to_owned(),
        figures,
        daily: of_log(&log, empty, days),
        by_environment: of_log(&log, empty, log.environments.clone()),
        by_warehouse: match &log.warehouses {
            Some(groups) => of_log(&log, empty, groups.clone()),
            None => not_supported(LEDGER_QUERIES, "DuckDB runs in one process and has no warehouses"),
        },
        by_user: of_log(&log, empty, log.users.clone()),
        storage: engine.storage,
        data_ages: Table::default(),
        relations: table(LEDGER_RELATIONS).of(read.now.relations, "no run has measured a relation yet"),
        slowest_nodes: table(LEDGER_NODES).of(read.slowest, "no node was executed in the window"),
        failing_nodes: table(LEDGER_NODES).of(read.failing, "no node failed in the window"),
        failing_tests: table(LEDGER_NODES).of(read.failing_tests, "no test fails"),
        runs: table(LEDGER_RUNS).of(read.runs, "no run started in the window"),
        latest_run: table(LEDGER_NODES).of(read.latest_run, "no run has started dbt yet"),
        tests_by_layer: table(LEDGER_NODES).of(read.now.tests, "no test has run yet"),
        lifetime: table(LEDGER_RUNS).of(read.lifetime, "there was no run yet"),
        cost: engine.cost,
        cost_by_node: engine.node_cost,
        currency: None,
        growing_nodes: table(LEDGER_NODES).of(read.growing, "no node took longer than in the window before"),
        costly_tests: table(LEDGER_NODES).of(read.costly_tests, "no test was run in the window"),
        test_history: limited(&table(LEDGER_NODES), read.test_history, "no test has a result in the window"),
        schema_changes: limited(
            &table(LEDGER_RELATIONS),
            read.schema_changes,
            "no relation has other columns than at the run before",
        ),
        alerts: Vec::new(),
        history: Table::default(),
    };
    note_in_use(&mut report);
    Ok(report)
}

/// Make known that a report lacks environments: its figures and rows are those of the others.
fn note_in_use(report: &mut Report) {
    if report.in_use.is_empty() || report.environments.is_empty() {
        return;
    }
    let names: Vec<&str> = report.in_use.iter().map(|used| used.environment.as_str()).collect();
    let why = format!("without {}, in use while this was read", names.join(", "));
    for figure in report.figures.iter_mut().filter(|figure| figure.status == Status::Ok) {
        (figure.status, figure.reason) = (Status::InUse, Some(why.clone()));
    }
    for groups in [&mut report.by_environment, &mut report.by_warehouse, &mut report.by_user] {
        note(groups, &why);
    }
    for nodes in [&mut report.slowest_nodes, &mut report.failing_nodes] {
        note(nodes, &why);
    }
    note(&mut report.daily, &why);
    note(&mut report.storage, &why);
    note(&mut report.relations, &why);
    note(&mut report.failing_tests, &why);
    note(&mut report.runs, &why);
    note(&mut report.latest_run, &why);
    note(&mut report.tests_by_layer, &why);
    note(&mut report.lifetime, &why);
    note(&mut report.growing_nodes, &why);
    note(&mut report.costly_tests, &why);
    note(&mut report.test_history, &why);
    note(&mut report.schema_changes, &why);
}

fn note<T>(table: &mut Table<T>, why: &str) {
    if table.status == Status::Ok {
        (table.status, table.reason) = (Status::InUse, Some(why.to_owned()));
    }
}
