//! Reads the data of a report. The ledgers are read the same way on every engine; the query log, storage and
//! cost come from the ledger on DuckDB and from Snowflake's own views on Snowflake.
//!
//! Everything is queried in as few calls as the engine allows, for the window and the previous one, so that
//! each figure has its change.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use jiff::civil::{Date, DateTime};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::figures::{self, Facts, Latest, Log, Recovery, RunTotals};
use super::model::{
    Cost, Day, FailingTest, Group, InUse, Layer, Lifetime, Load, NodeCost, NodeStats, Relation, Report, Run,
    RunNode, SchemaChange, Status, Storage, Table, TestHistory, Trend, Window,
};
use super::snowflake;
use super::sql::{self, Templates};
use super::{changed, tested};
use crate::core::environment::{Name, REGISTRY};
use crate::core::ledger;
use crate::core::lock::{Holder, Lock};
use crate::warehouse::{Row, Warehouse, quote};

/// The table that makes a schema an environment.
const MARK: &str = "ledger_environment";

/// The ledger tables of its runs. On some engines the first run creates them.
const LEDGER: [&str; 4] = [LEDGER_RUNS, LEDGER_NODES, LEDGER_QUERIES, LEDGER_RELATIONS];

pub(super) const LEDGER_RUNS: &str = "ledger_runs";
pub(super) const LEDGER_NODES: &str = "ledger_nodes";
pub(super) const LEDGER_QUERIES: &str = "ledger_queries";
pub(super) const LEDGER_RELATIONS: &str = "ledger_relations";

/// The environments and the window that a report covers.
pub(super) struct Request<'a> {
    /// One environment; `None` for all.
    pub(super) schema: Option<&'a Name>,
    /// Only environments whose names begin with this prefix.
    pub(super) prefix: Option<&'a str>,
    pub(super) window: Window,
    pub(super) now: DateTime,
}

/// The environments and tables that exist in the warehouse.
pub(super) struct Found {
    /// Readable environments that the request covers, by name.
    pub(super) environments: Vec<Name>,
    /// Those of them that have a ledger of runs.
    ledgers: Vec<Name>,
    /// The tables of the registry; empty if there is no registry.
    pub(super) registry: BTreeSet<String>,
    /// What keeps the environments from being built while they are read.
    pub(super) locks: Vec<Lock>,
    /// Environments that are left out, with who uses them.
    pub(super) in_use: Vec<InUse>,
}

impl Found {
    /// Queries what exists, in one call if the engine can do that.
    pub(super) fn read(
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
        let registry = super::registry_tables(warehouse)?;
        let in_use = |(environment, by): (String, String)| InUse { environment, by };
        let in_use: Vec<InUse> = gathering.busy.into_iter().map(in_use).collect();
        Ok(Self { environments, ledgers, registry, locks: gathering.locks, in_use })
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
        environments.retain(|name| request.covers(name));
        let whole = |name: &&Name| LEDGER.iter().all(|table| tables(name.as_str()).contains(*table));
        let ledgers = environments.iter().filter(whole).cloned().collect();
        Ok(Self { registry: tables(REGISTRY), environments, ledgers, locks: Vec::new(), in_use: Vec::new() })
    }
}

impl Request<'_> {
    fn covers(&self, name: &Name) -> bool {
        let starts = |prefix: &str| name.as_str().starts_with(&prefix.to_ascii_lowercase());
        self.schema.is_none_or(|schema| schema == name) && self.prefix.is_none_or(starts)
    }
}

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

/// A table that says so if it has not all rows.
fn limited<T>(shape: &Shape, limited: Limited<T>, why_none: &str) -> Table<T> {
    let table = shape.of(limited.rows, why_none);
    match limited.left_out {
        Some(reason) if table.status == Status::Ok => {
            Table { status: Status::Truncated, reason: Some(reason), ..table }
        }
        _ => table,
    }
}

/// Makes tables: rows with their source, or the reason why there are no rows.
struct Shape {
    /// Why there is no environment to read.
    empty: Option<&'static str>,
    source: &'static str,
}

impl Shape {
    fn of<T>(&self, rows: Vec<T>, why_none: &str) -> Table<T> {
        let reason = self.empty.unwrap_or(why_none);
        let none = rows.is_empty() || self.empty.is_some();
        Table {
            status: if none { Status::NoData } else { Status::Ok },
            source: self.source.to_owned(),
            reason: none.then(|| reason.to_owned()),
            rows: if self.empty.is_some() { Vec::new() } else { rows },
        }
    }
}

/// The contents of the ledgers.
#[derive(Default)]
struct Ledger {
    now: Latest,
    before: Latest,
    /// `None` if the engine keeps the log itself.
    logs: Option<(Log, Log)>,
    slowest: Vec<NodeStats>,
    failing: Vec<NodeStats>,
    failing_tests: Vec<FailingTest>,
    runs: Vec<Run>,
    latest_run: Vec<RunNode>,
    lifetime: Vec<Lifetime>,
    growing: Vec<Trend>,
    costly_tests: Vec<Trend>,
    test_history: Limited<TestHistory>,
    schema_changes: Limited<SchemaChange>,
}

/// Rows of which a report shows the first; `all` says how many there are if some are left out.
pub(super) struct Limited<T> {
    pub(super) rows: Vec<T>,
    pub(super) left_out: Option<String>,
}

impl<T> Default for Limited<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), left_out: None }
    }
}

/// The statements run for both windows, in this order.
const COMPARED: [&str; 4] = [sql::RELATIONS, sql::RUN_TOTALS, sql::RECOVERY, sql::FRESHNESS];

/// The statements run for the window only, in this order.
const OF_WINDOW: [&str; 8] = [
    sql::TESTS,
    sql::NODES,
    sql::FAILING_TESTS,
    sql::RUNS,
    sql::LATEST_RUN,
    sql::LIFETIME,
    sql::TEST_HISTORY,
    sql::SCHEMA_CHANGES,
];

fn read_ledger(
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
    let engine_keeps_log = sql::is_snowflake(warehouse);
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
    for result in results.next::<TestsAsOf>()? {
        let side = if result.as_of == "before" { &mut before } else { &mut now };
        side.tests.push(with_rate(result.layer));
    }
    let ranked: Vec<Ranked> = results.next()?;
    let (slowest, failing) = nodes(&ranked);
    let (costly_tests, growing) = trends(&ranked);
    let failing_tests = results.next()?;
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
struct Results(std::vec::IntoIter<Vec<Row>>);

impl Results {
    fn next<T: DeserializeOwned>(&mut self) -> Result<Vec<T>> {
        records(self.0.next().context("a query of the ledgers has no result")?)
    }
}

/// The rows of one result as records.
pub(super) fn records<T: DeserializeOwned>(rows: Vec<Row>) -> Result<Vec<T>> {
    let read = rows.into_iter().map(|row| serde_json::from_value(Json::Object(row)));
    read.collect::<Result<_, _>>().context("failed to understand a row of the metrics SQL")
}

fn latest(results: &mut Results, window: Window) -> Result<Latest> {
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
struct Measured {
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
fn with_rate(layer: Layer) -> Layer {
    let evaluated = layer.passed + layer.failed;
    Layer { pass_rate: figures::ratio_of_counts(Some(layer.passed), Some(evaluated)), ..layer }
}

/// A row of `nodes.sql`: a node with its places among all of them.
#[derive(Deserialize)]
struct Ranked {
    #[serde(flatten)]
    stats: NodeStats,
    timed_executions: i64,
    previous_executions: i64,
    previous_total_seconds: Option<f64>,
    slowness: i64,
    failing: i64,
    /// Among the tests, or among the others.
    cost: i64,
    growth: i64,
}

/// How many nodes a ranking holds; `nodes.sql` says the same.
const RANKED: i64 = 20;

/// The slowest and the most failing, each in its own order.
fn nodes(rows: &[Ranked]) -> (Vec<NodeStats>, Vec<NodeStats>) {
    let mut failing: Vec<&Ranked> =
        rows.iter().filter(|row| row.failing <= RANKED && row.stats.failed_executions > 0).collect();
    failing.sort_by_key(|row| row.failing);
    let slowest = rows.iter().filter(|row| row.slowness <= RANKED);
    (slowest.map(Ranked::stats).collect(), failing.into_iter().map(Ranked::stats).collect())
}

/// The tests that cost most, and the other nodes that grew most, each in their order.
fn trends(rows: &[Ranked]) -> (Vec<Trend>, Vec<Trend>) {
    let is_test = |row: &&Ranked| matches!(row.stats.kind.as_str(), "test" | "unit_test");
    let timed = || rows.iter().filter(|row| row.timed_executions > 0);
    let mut tests: Vec<&Ranked> = timed().filter(is_test).filter(|row| row.cost <= RANKED).collect();
    tests.sort_by_key(|row| row.cost);
    let mut others: Vec<&Ranked> =
        timed().filter(|row| !is_test(row)).filter(|row| row.growth <= RANKED).collect();
    others.sort_by_key(|row| row.growth);
    let grew = |trend: &Trend| trend.change_seconds.is_some_and(|change| change > 0.0);
    (
        tests.into_iter().map(Ranked::trend).collect(),
        others.into_iter().map(Ranked::trend).filter(grew).collect(),
    )
}

impl Ranked {
    fn stats(&self) -> NodeStats {
        let stats = self.stats.clone();
        NodeStats {
            mean_seconds: figures::mean(stats.total_seconds, self.timed_executions),
            total_seconds: stats.total_seconds.map(figures::round),
            p95_seconds: stats.p95_seconds.map(figures::round),
            ..stats
        }
    }

    fn trend(&self) -> Trend {
        let stats = &self.stats;
        let mean = figures::mean(stats.total_seconds, self.timed_executions);
        let previous = figures::mean(self.previous_total_seconds, self.previous_executions);
        let change = mean.zip(previous).map(|(now, before)| figures::round(now - before));
        Trend {
            environment: stats.environment.clone(),
            node_id: stats.node_id.clone(),
            name: stats.name.clone(),
            kind: stats.kind.clone(),
            layer: stats.layer.clone(),
            executions: self.timed_executions,
            total_seconds: stats.total_seconds.map(figures::round),
            mean_seconds: mean,
            previous_executions: self.previous_executions,
            previous_mean_seconds: previous,
            change_seconds: change,
            change_ratio: change
                .zip(previous.filter(|before| *before > 0.0))
                .map(|(change, before)| figures::round(change / before)),
        }
    }
}

/// A row of `queries.sql`.
#[derive(Deserialize)]
struct LoadRow {
    grouped_by: String,
    group_key: Option<String>,
    queries: i64,
    failed_queries: i64,
    timed_queries: i64,
    total_ms: Option<i64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    max_ms: Option<i64>,
}

impl LoadRow {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of 285,000 years are exact")]
    fn load(&self) -> Load {
        let seconds = |milliseconds: Option<i64>| milliseconds.map(|ms| ms as f64 / 1000.0);
        Load {
            queries: self.queries,
            failed_queries: self.failed_queries,
            timed_queries: self.timed_queries,
            total_seconds: seconds(self.total_ms),
            p50_seconds: self.p50_ms.map(|ms| figures::round(ms / 1000.0)),
            p95_seconds: self.p95_ms.map(|ms| figures::round(ms / 1000.0)),
            max_seconds: seconds(self.max_ms),
            ..Load::default()
        }
        .derived()
    }
}

/// A row of `tests.sql`.
#[derive(Deserialize)]
struct TestsAsOf {
    /// `now` or `before`: at the end of which window.
    as_of: String,
    #[serde(flatten)]
    layer: Layer,
}

/// The row of `queries_ahead.sql`.
#[derive(Deserialize)]
struct Ahead {
    ahead_of_clock: i64,
}

/// The row of `last_query.sql`.
#[derive(Deserialize)]
struct LastQuery {
    last_day: Option<Date>,
}

fn log(rows: Vec<LoadRow>) -> Log {
    let mut log = Log::new(LEDGER_QUERIES);
    for row in rows {
        let load = row.load();
        match row.grouped_by.as_str() {
            "day" => {
                log.days
                    .extend(row.group_key.and_then(|day| Some(Day { date_day: day.parse().ok()?, load })));
            }
            "environment" => log.environments.push(Group { key: row.group_key, load }),
            "user" => log.users.push(Group { key: row.group_key, load }),
            _ => log.total = load,
        }
    }
    log.last_day = log.days.iter().map(|day| day.date_day).max();
    log
}

/// The bytes of each environment, as its latest run measured them.
fn storage(relations: &[Relation], empty: Option<&'static str>) -> Table<Storage> {
    let environments: BTreeSet<&str> =
        relations.iter().map(|relation| relation.environment.as_str()).collect();
    let of = |environment: &str| {
        let tables: Vec<&Relation> = relations
            .iter()
            .filter(|relation| relation.environment == environment && relation.relation_type == "table")
            .collect();
        let known: Vec<i64> = tables.iter().filter_map(|table| table.storage_bytes).collect();
        Storage {
            environment: environment.to_owned(),
            active_bytes: (!known.is_empty()).then(|| known.iter().sum()),
            time_travel_bytes: None,
            fail_safe_bytes: None,
            clone_retained_bytes: None,
            tables: figures::count(tables.len()),
            unmeasured_tables: figures::count(tables.len() - known.len()),
        }
    };
    let rows = environments.into_iter().map(of).collect();
    Shape { empty, source: LEDGER_RELATIONS }.of(rows, "no run has measured a relation yet")
}

/// The data of the engine itself, or on DuckDB of the ledger.
struct Engine {
    log: Log,
    log_before: Option<Log>,
    storage: Table<Storage>,
    storage_before: Option<Table<Storage>>,
    cost: Table<Cost>,
    node_cost: Table<NodeCost>,
    warehouse_cost: Table<Cost>,
}

fn engine(
    warehouse: &mut dyn Warehouse,
    request: &Request<'_>,
    found: &Found,
    read: &mut Ledger,
) -> Result<Engine> {
    let names = &found.environments;
    if sql::is_snowflake(warehouse) && !names.is_empty() {
        let (cost, warehouse_cost) = snowflake::cost(warehouse, request, names)?;
        return Ok(Engine {
            log: snowflake::log(warehouse, request, names)?,
            log_before: None,
            storage: snowflake::storage(warehouse, names)?,
            storage_before: None,
            cost,
            node_cost: snowflake::cost_by_node(warehouse, request, names)?,
            warehouse_cost,
        });
    }
    let empty = names.is_empty().then_some(figures::NO_ENVIRONMENT);
    let (log, log_before) = read.logs.take().unwrap_or((Log::new(LEDGER_QUERIES), Log::new(LEDGER_QUERIES)));
    Ok(Engine {
        log,
        log_before: Some(log_before),
        storage: storage(&read.now.relations, empty),
        storage_before: Some(storage(&read.before.relations, empty)),
        cost: no_cost(),
        node_cost: no_cost(),
        warehouse_cost: no_cost(),
    })
}

/// A table of the query log, which may be known only in part.
fn of_log<T>(log: &Log, empty: Option<&'static str>, rows: Vec<T>) -> Table<T> {
    let table = Shape { empty, source: log.source }.of(rows, "no query ran in the window");
    if log.status == Status::Ok || table.rows.is_empty() {
        return table;
    }
    Table { status: log.status, reason: log.reason.clone(), ..table }
}

fn not_supported<T>(source: &str, reason: &str) -> Table<T> {
    Table {
        status: Status::NotSupported,
        source: source.to_owned(),
        reason: Some(reason.to_owned()),
        rows: Vec::new(),
    }
}

fn no_cost<T>() -> Table<T> {
    not_supported("none", "DuckDB runs on your own machine and bills nothing")
}

/// Storage at an earlier time: Snowflake has no view of it, but the history has its figures.
fn unknown_storage() -> Table<Storage> {
    not_supported("none", "only the current value is available")
}
