//! The ledgers, read in one call for the window and the one before.

use anyhow::{Context as _, Result};
use jiff::civil::DateTime;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::found::{Found, Request};
use super::log::{Ahead, LastQuery, log};
use super::ranked::{Ranked, nodes, trends};
use super::shape::Limited;
use crate::core::environment::Name;
use crate::ledger;
use crate::metrics::figures::{self, Latest, Log, Recovery, RunTotals};
use crate::metrics::model::{
    FailingTest, Layer, Lifetime, NodeStats, Relation, Run, RunNode, SchemaChange, TestHistory, Trend, Window,
};
use crate::metrics::sql::{self, Templates};
use crate::metrics::{changed, tested};
use crate::warehouse::{Row, Warehouse};

/// The contents of the ledgers.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) now: Latest,
    pub(super) before: Latest,
    /// `None` if the engine keeps the log itself.
    pub(super) logs: Option<(Log, Log)>,
    pub(super) slowest: Vec<NodeStats>,
    pub(super) failing: Vec<NodeStats>,
    pub(super) failing_tests: Vec<FailingTest>,
    pub(super) runs: Vec<Run>,
    pub(super) latest_run: Vec<RunNode>,
    pub(super) lifetime: Vec<Lifetime>,
    pub(super) growing: Vec<Trend>,
    pub(super) costly_tests: Vec<Trend>,
    pub(super) test_history: Limited<TestHistory>,
    pub(super) schema_changes: Limited<SchemaChange>,
}

/// The statements run for both windows, in this order.
pub(super) const COMPARED: [&str; 4] = [sql::RELATIONS, sql::RUN_TOTALS, sql::RECOVERY, sql::FRESHNESS];

/// The statements run for the window only, in this order.
pub(super) const OF_WINDOW: [&str; 7] = [
    sql::TESTS,
    sql::NODES,
    sql::RUNS,
    sql::LATEST_RUN,
    sql::LIFETIME,
    sql::TEST_HISTORY,
    sql::SCHEMA_CHANGES,
];

pub(super) fn read_ledger(
    warehouse: &mut dyn Warehouse,
    request: &Request<'_>,
    found: &Found,
    before: Window,
) -> Result<Ledger> {
    let templates = if warehouse.gathered() {
        Templates::gathered(warehouse, request.now)
    } else {
        let names: Vec<&str> = found.ledgers.iter().map(Name::as_str).collect();
        let missing = ledger::missing(warehouse, &names)?;
        Templates::new(warehouse, &found.ledgers, &missing, request.now)
    };
    let window = request.window;
    let engine_keeps_log = sql::keeps_log(warehouse);
    let (log_now, log_before): (&[&str], &[&str]) =
        if engine_keeps_log { (&[], &[]) } else { (&[sql::QUERIES, sql::QUERIES_AHEAD], &[sql::QUERIES]) };
    let of_window = |template: &&str| templates.fill(template, window);
    let of_before = |template: &&str| templates.fill(template, before);
    let statements: Vec<String> = (COMPARED.iter().map(of_window))
        .chain(COMPARED.iter().map(of_before))
        .chain(OF_WINDOW.iter().map(of_window))
        .chain(log_now.iter().map(of_window))
        .chain(log_before.iter().map(of_before))
        .collect::<Result<_>>()?;
    let read = warehouse.query_many(&statements).context("failed to read the ledgers")?;
    let mut results = Results(read.into_iter());
    let (mut now, mut before) = (latest(&mut results, window)?, latest(&mut results, before)?);
    let mut failing_tests = Vec::new();
    for row in results.next::<Tested>()? {
        match row {
            Tested::Now(layer) => now.tests.push(with_rate(layer)),
            Tested::Before(layer) => before.tests.push(with_rate(layer)),
            Tested::Failing(test) => failing_tests.push(test),
        }
    }
    let ranked: Vec<Ranked> = results.next()?;
    let (slowest, failing) = nodes(&ranked);
    let (costly_tests, growing) = trends(&ranked);
    let (runs, latest_run, lifetime) = (results.next()?, results.next()?, results.next()?);
    let test_history = tested::histories(results.next()?);
    let schema_changes = changed::changes(results.next()?);
    let logs = if engine_keeps_log {
        None
    } else {
        let mut now = log(results.next()?);
        now.ahead_of_clock = results.next::<Ahead>()?.first().map(|row| row.ahead_of_clock);
        if now.last_day.is_none() {
            let last: Vec<LastQuery> = records(warehouse.query(&templates.fill(sql::LAST_QUERY, window)?)?)?;
            now.last_day = last.first().and_then(|row| row.last_day);
        }
        Some((now, log(results.next()?)))
    };
    Ok(Ledger {
        now,
        before,
        logs,
        slowest,
        failing,
        failing_tests,
        runs,
        latest_run,
        lifetime,
        growing,
        costly_tests,
        test_history,
        schema_changes,
    })
}

/// The results of one call, in the order of its statements.
pub(super) struct Results(std::vec::IntoIter<Vec<Row>>);

impl Results {
    fn next<T: DeserializeOwned>(&mut self) -> Result<Vec<T>> {
        records(self.0.next().context("a query of the ledgers has no result")?)
    }
}

/// The rows of one result as records.
pub(in crate::metrics) fn records<T: DeserializeOwned>(rows: Vec<Row>) -> Result<Vec<T>> {
    let read = rows.into_iter().map(|row| serde_json::from_value(Json::Object(row)));
    read.collect::<Result<_, _>>().context("failed to understand a row of the metrics SQL")
}

pub(super) fn latest(results: &mut Results, window: Window) -> Result<Latest> {
    let relations: Vec<Measured> = results.next()?;
    Ok(Latest {
        relations: relations.into_iter().map(|measured| measured.relation(window.end)).collect(),
        runs: results.next::<RunTotals>()?.pop().unwrap_or_default(),
        recovery: results.next::<Recovery>()?.pop().unwrap_or_default(),
        successes: results.next()?,
        tests: Vec::new(),
    })
}

/// A row of `relations.sql`; the other fields of a relation are derived from it.
#[derive(Deserialize)]
pub(super) struct Measured {
    #[serde(flatten)]
    relation: Relation,
    previous_bytes: Option<i64>,
}

impl Measured {
    fn relation(self, end: DateTime) -> Relation {
        let change = |now: Option<i64>, before: Option<i64>| Some(now? - before?);
        let mut relation = self.relation;
        relation.row_count_change = change(relation.row_count, relation.previous_row_count);
        relation.row_count_change_ratio =
            figures::ratio_of_counts(relation.row_count_change, relation.previous_row_count);
        relation.storage_change_bytes = change(relation.storage_bytes, self.previous_bytes);
        relation.age_seconds = relation.last_built_at.map(|built| figures::seconds_between(built, end));
        relation
    }
}

/// A row of `tests.sql` with the rate derived from it.
pub(super) fn with_rate(layer: Layer) -> Layer {
    let evaluated = layer.passed + layer.failed;
    Layer { pass_rate: figures::ratio_of_counts(Some(layer.passed), Some(evaluated)), ..layer }
}

/// A row of `tests.sql`: a layer as of the end of a window, or a test that fails.
#[derive(Deserialize)]
#[serde(tag = "as_of", rename_all = "snake_case")]
enum Tested {
    Now(Layer),
    Before(Layer),
    Failing(FailingTest),
}
