//! The result of `metrics`: figures, tables, alerts, and their history.
//!
//! This is the one structure that every export renders and that `notify` and the page read back from JSON, so
//! its field names are stable; `docs/schemas/metrics.json` is made from it, descriptions included.
//! Units are in the names: `_seconds`, `_bytes`, a `_rate` or `_ratio` of 1. Unknown is `None` with a status that says
//! why, never zero. Times are UTC.

use std::fmt;

use jiff::civil::{Date, DateTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::utc::Utc;

/// Everything about one scope (an environment, or all of them) over one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Report {
    /// Incremented when a field changes its meaning or is removed, not for new fields.
    pub(crate) version: u32,
    pub(crate) window: Window,
    /// The key of the history and the alert states: the environment, `PREFIX*`, or `*` for all.
    pub(crate) scope: String,
    /// The environment that was asked for; `None` for all environments of the registry.
    pub(crate) environment: Option<String>,
    /// The environments that were read.
    pub(crate) environments: Vec<String>,
    /// Those that are left out because they are in use.
    #[serde(default)]
    pub(crate) in_use: Vec<InUse>,
    /// `local` or `snowflake`.
    pub(crate) target: String,
    #[serde(with = "super::utc")]
    #[schemars(with = "Utc")]
    pub(crate) generated_at: DateTime,
    pub(crate) toolkit_version: String,
    pub(crate) figures: Vec<Figure>,
    /// One row per UTC day of the window, including days without a query.
    pub(crate) daily: Table<Day>,
    pub(crate) by_environment: Table<Group>,
    pub(crate) by_warehouse: Table<Group>,
    pub(crate) by_user: Table<Group>,
    /// One row per environment.
    pub(crate) storage: Table<Storage>,
    /// One row per table or view that the latest run of its environment found.
    pub(crate) relations: Table<Relation>,
    /// How new the data of tables and sources is, the oldest first.
    #[serde(default)]
    pub(crate) data_ages: Table<DataAge>,
    /// The nodes with the highest total time first.
    pub(crate) slowest_nodes: Table<NodeStats>,
    /// The nodes that failed at least once, most often first.
    pub(crate) failing_nodes: Table<NodeStats>,
    /// The tests whose latest result is a failure, those with the most rows first.
    pub(crate) failing_tests: Table<FailingTest>,
    /// Runs that started in the window, newest first.
    pub(crate) runs: Table<Run>,
    /// The nodes of the latest run that started dbt, by start.
    pub(crate) latest_run: Table<RunNode>,
    pub(crate) tests_by_layer: Table<Layer>,
    /// Runs since the ledger began, by environment and status: these only ever grow.
    pub(crate) lifetime: Table<Lifetime>,
    pub(crate) cost: Table<Cost>,
    /// Credits by dbt node, most first.
    #[serde(default)]
    pub(crate) cost_by_node: Table<NodeCost>,
    /// Of all amounts of money; `None` if the policy names none.
    #[serde(default)]
    pub(crate) currency: Option<String>,
    /// Models, seeds and snapshots whose mean time grew most against the window before.
    #[serde(default)]
    pub(crate) growing_nodes: Table<Trend>,
    /// The tests that took the most time in total.
    #[serde(default)]
    pub(crate) costly_tests: Table<Trend>,
    /// The results of each test in the window; those that fail now or failed most first.
    #[serde(default)]
    pub(crate) test_history: Table<TestHistory>,
    /// Columns of relations that differ from those that the run before found, newest first.
    #[serde(default)]
    pub(crate) schema_changes: Table<SchemaChange>,
    pub(crate) alerts: Vec<Alert>,
    /// Figures of earlier days, stored by earlier calls; the oldest day first.
    pub(crate) history: Table<Point>,
}

/// An environment that could not be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InUse {
    pub(crate) environment: String,
    /// The run or process that uses it.
    pub(crate) by: String,
}

/// `[start, end)` in UTC. It begins at a midnight, so that its first day is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Window {
    #[serde(with = "super::utc")]
    #[schemars(with = "Utc")]
    pub(crate) start: DateTime,
    #[serde(with = "super::utc")]
    #[schemars(with = "Utc")]
    pub(crate) end: DateTime,
    /// UTC days that it touches; the last one is not over yet unless `end` is a midnight.
    pub(crate) days: u32,
}

/// Whether something is known, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Ok,
    /// The role may not read it.
    NoPrivilege,
    /// The source truncated its answer: the true value is at least this.
    Truncated,
    /// This target does not have it.
    NotSupported,
    /// Known, but the source lags behind: the newest part is missing.
    Delayed,
    /// It could be read, and there is nothing in it.
    NoData,
    /// Environments of the scope are in use and could not be read: what is known lacks them.
    InUse,
}

impl Status {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NoPrivilege => "no_privilege",
            Self::Truncated => "truncated",
            Self::NotSupported => "not_supported",
            Self::Delayed => "delayed",
            Self::NoData => "no_data",
            Self::InUse => "in_use",
        }
    }
}

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Count,
    /// A part of 1.
    Ratio,
    Seconds,
    Bytes,
    Rows,
    Credits,
    /// In the currency of the policy.
    Money,
    /// A UTC day, `YYYY-MM-DD`.
    Date,
}

impl Unit {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Ratio => "ratio",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Rows => "rows",
            Self::Credits => "credits",
            Self::Money => "money",
            Self::Date => "date",
        }
    }
}

/// A number, or a day as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Value {
    Whole(i64),
    Real(f64),
    Text(String),
}

impl Value {
    /// As a number, to compare and to chart; `None` for a text.
    #[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 need no last digit")]
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Whole(whole) => Some(*whole as f64),
            Self::Real(real) => Some(*real),
            Self::Text(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => whole.fmt(f),
            Self::Real(real) => real.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// One number about the whole scope and window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Figure {
    pub(crate) name: String,
    /// `None` when unknown: `status` and `reason` say why.
    pub(crate) value: Option<Value>,
    pub(crate) unit: Unit,
    pub(crate) span: Span,
    pub(crate) status: Status,
    /// The table or view that it was read from.
    pub(crate) source: String,
    pub(crate) reason: Option<String>,
    /// The same figure over the window before, as long; `None` when unknown.
    pub(crate) previous: Option<Value>,
    /// `value` over `previous`, less 1; `None` when either is unknown or `previous` is 0.
    pub(crate) change_ratio: Option<f64>,
}

/// The time that a figure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Span {
    /// What happened in the report's window.
    Window,
    /// The state at the window's end.
    Latest,
}

/// Rows of one kind with their source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Table<T> {
    pub(crate) status: Status,
    pub(crate) source: String,
    pub(crate) reason: Option<String>,
    pub(crate) rows: Vec<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { status: Status::NoData, source: String::new(), reason: None, rows: Vec::new() }
    }
}

/// How many queries there were and how long they took: sums and counts first, so that rows can be added
/// up; percentiles cannot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Load {
    pub(crate) queries: i64,
    /// Those whose execution status is anything but SUCCESS.
    pub(crate) failed_queries: i64,
    pub(crate) failure_rate: Option<f64>,
    /// Queries whose time is known: the denominator of the mean.
    pub(crate) timed_queries: i64,
    pub(crate) total_seconds: Option<f64>,
    pub(crate) mean_seconds: Option<f64>,
    /// Interpolated, as SQL's `percentile_cont`.
    pub(crate) p50_seconds: Option<f64>,
    pub(crate) p95_seconds: Option<f64>,
    pub(crate) max_seconds: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Day {
    pub(crate) date_day: Date,
    #[serde(flatten)]
    pub(crate) load: Load,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Group {
    /// The environment, warehouse or user; `None` if the log does not record it.
    pub(crate) key: Option<String>,
    #[serde(flatten)]
    pub(crate) load: Load,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Storage {
    pub(crate) environment: String,
    /// The sum over the relations whose bytes are known.
    pub(crate) active_bytes: Option<i64>,
    pub(crate) time_travel_bytes: Option<i64>,
    pub(crate) fail_safe_bytes: Option<i64>,
    pub(crate) clone_retained_bytes: Option<i64>,
    pub(crate) tables: i64,
    /// Tables whose bytes could not be measured.
    pub(crate) unmeasured_tables: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Relation {
    pub(crate) environment: String,
    pub(crate) relation_name: String,
    pub(crate) relation_type: String,
    pub(crate) layer: Option<String>,
    pub(crate) row_count: Option<i64>,
    /// At the run before.
    pub(crate) previous_row_count: Option<i64>,
    pub(crate) row_count_change: Option<i64>,
    pub(crate) row_count_change_ratio: Option<f64>,
    pub(crate) storage_bytes: Option<i64>,
    pub(crate) storage_change_bytes: Option<i64>,
    #[serde(with = "super::utc")]
    #[schemars(with = "Utc")]
    pub(crate) measured_at: DateTime,
    #[serde(default, with = "super::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) previous_measured_at: Option<DateTime>,
    /// The median of its rows at the end of the 28 days before the latest measurement.
    pub(crate) baseline_row_count: Option<f64>,
    /// The days that the median is over.
    pub(crate) baseline_days: Option<i64>,
    /// When a model, seed or snapshot of this name was last built without error.
    #[serde(default, with = "super::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) last_built_at: Option<DateTime>,
    /// From then to the end of the window.
    pub(crate) age_seconds: Option<i64>,
}

/// The newest time in the data of a table or source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DataAge {
    pub(crate) environment: String,
    /// The table, or `source.table` of dbt.
    pub(crate) name: String,
    /// `relation` of the environment, or `source` that it reads.
    pub(crate) kind: String,
    /// The column or expression whose newest value counts.
    pub(crate) column: Option<String>,
    /// The newest value that is not after now; `None` if unknown.
    #[serde(default, with = "super::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) data_time: Option<DateTime>,
    /// From then to now.
    pub(crate) age_seconds: Option<i64>,
    #[serde(default, with = "super::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) measured_at: Option<DateTime>,
    /// `policies/metrics.toml`, `loaded_at_field`, or `dbt source freshness`.
    pub(crate) measured_by: String,
    /// dbt's term by the source's `freshness`: pass, warn or error; `None` without one.
    pub(crate) state: Option<String>,
    pub(crate) warn_after_seconds: Option<i64>,
    pub(crate) error_after_seconds: Option<i64>,
    /// Why it is unknown, or what is remarkable.
    pub(crate) reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NodeStats {
    pub(crate) environment: String,
    pub(crate) node_id: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) layer: Option<String>,
    pub(crate) executions: i64,
    pub(crate) failed_executions: i64,
    pub(crate) total_seconds: Option<f64>,
    pub(crate) mean_seconds: Option<f64>,
    pub(crate) p95_seconds: Option<f64>,
    pub(crate) max_seconds: Option<f64>,
    pub(crate) last_status: String,
    /// dbt's message of the latest failure.
    pub(crate) last_message: Option<String>,
    pub(crate) path: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FailingTest {
    pub(crate) environment: String,
    pub(crate) node_id: String,
    pub(crate) name: String,
    pub(crate) layer: Option<String>,
    /// `fail`, or `error` if it could not run.
    pub(crate) status: String,
    /// Rows that it found.
    pub(crate) failures: Option<i64>,
    pub(crate) message: Option<String>,
    pub(crate) path: Option<String>,
    #[serde(default, with = "super::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) last_run_at: Option<DateTime>,
    /// When it passed for the last time.
    #[serde(default, with = "super::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) last_passed_at: Option<DateTime>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Run {
    pub(crate) run_id: String,
    pub(crate) environment: String,
    #[serde(with = "super::utc")]
    #[schemars(with = "Utc")]
    pub(crate) started_at: DateTime,
    #[serde(default, with = "super::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) finished_at: Option<DateTime>,
    /// `success`, `fail`, `error` or `interrupted`.
    pub(crate) status: String,
    pub(crate) seconds: Option<f64>,
    pub(crate) dbt_seconds: Option<f64>,
    pub(crate) up_to_date: bool,
    pub(crate) git_commit: Option<String>,
    pub(crate) git_branch: Option<String>,
    pub(crate) triggered_by: Option<String>,
    pub(crate) run_url: Option<String>,
    /// The version of the dbt that was chosen, which says the engine: `1.11.16` is v1. `null` if no run said it.
    pub(crate) dbt_version: Option<String>,
    pub(crate) message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RunNode {
    pub(crate) run_id: String,
    pub(crate) environment: String,
    pub(crate) node_id: String,
    pub(crate) name: String,
    /// dbt's term: model, seed, snapshot, test, `unit_test`.
    pub(crate) kind: String,
    pub(crate) layer: Option<String>,
    pub(crate) materialized: Option<String>,
    /// dbt's term: success, error, pass, warn, fail, skipped.
    pub(crate) status: String,
    #[serde(default, with = "super::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) started_at: Option<DateTime>,
    pub(crate) seconds: Option<f64>,
    /// `row_count` in the metrics SQL: `rows` is a reserved word on Snowflake.
    #[serde(alias = "row_count")]
    pub(crate) rows: Option<i64>,
    pub(crate) failures: Option<i64>,
    pub(crate) message: Option<String>,
    pub(crate) path: Option<String>,
    /// dbt's owner of the node, or of what a test checks; `None` if it has no owner, or if dbt's artifacts of the
    /// environment are not on this machine.
    #[serde(default)]
    pub(crate) owner: Option<String>,
    /// dbt's tags; `None` if dbt's artifacts are not on this machine.
    #[serde(default)]
    pub(crate) tags: Option<Vec<String>>,
}

/// The latest result of each test, counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Layer {
    /// `None` for tests of nodes outside all layers.
    pub(crate) layer: Option<String>,
    pub(crate) tests: i64,
    pub(crate) passed: i64,
    pub(crate) failed: i64,
    /// Without a result: neither passed nor failed.
    pub(crate) skipped: i64,
    /// Passed over passed and failed.
    pub(crate) pass_rate: Option<f64>,
    /// The oldest of the results that count here: a test that was skipped since keeps its earlier result.
    #[serde(default, with = "super::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) oldest_result_at: Option<DateTime>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Lifetime {
    pub(crate) environment: String,
    pub(crate) status: String,
    pub(crate) runs: i64,
    pub(crate) seconds: Option<f64>,
    #[serde(with = "super::utc")]
    #[schemars(with = "Utc")]
    pub(crate) first_started_at: DateTime,
    #[serde(default, with = "super::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) last_finished_at: Option<DateTime>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Cost {
    /// The environment of the query tag, or `None` for queries without one.
    pub(crate) environment: Option<String>,
    pub(crate) credits: Option<f64>,
    #[serde(default)]
    pub(crate) money: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NodeCost {
    pub(crate) environment: String,
    /// `None` for statements that dbt sent for no node.
    pub(crate) node_id: Option<String>,
    pub(crate) credits: Option<f64>,
    pub(crate) money: Option<f64>,
}

/// The time of a node in the window, and in the window before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Trend {
    pub(crate) environment: String,
    pub(crate) node_id: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) layer: Option<String>,
    /// Those whose time is known.
    pub(crate) executions: i64,
    pub(crate) total_seconds: Option<f64>,
    pub(crate) mean_seconds: Option<f64>,
    pub(crate) previous_executions: i64,
    pub(crate) previous_mean_seconds: Option<f64>,
    pub(crate) change_seconds: Option<f64>,
    pub(crate) change_ratio: Option<f64>,
}

/// The results of a test in the window. A skipped test has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TestHistory {
    pub(crate) environment: String,
    pub(crate) node_id: String,
    pub(crate) name: String,
    /// `test` or `unit_test`.
    pub(crate) kind: String,
    pub(crate) layer: Option<String>,
    pub(crate) passed: i64,
    pub(crate) warned: i64,
    /// Including those that could not run.
    pub(crate) failed: i64,
    /// How often `results` change between failure and success.
    pub(crate) changes: i64,
    #[serde(default, with = "super::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) last_passed_at: Option<DateTime>,
    #[serde(default, with = "super::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) last_failed_at: Option<DateTime>,
    /// The newest 15, the newest first.
    pub(crate) results: Vec<TestResult>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TestResult {
    pub(crate) run_id: String,
    /// When the run started.
    #[serde(with = "super::utc")]
    #[schemars(with = "Utc")]
    pub(crate) at: DateTime,
    /// dbt's term: pass, warn, fail, error.
    pub(crate) status: String,
    /// Rows that it found.
    pub(crate) failures: Option<i64>,
}

/// A column of a relation that differs from what the run before found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SchemaChange {
    pub(crate) environment: String,
    pub(crate) relation_name: String,
    /// `None` if only the order of the columns changed.
    pub(crate) column_name: Option<String>,
    pub(crate) change: ColumnChange,
    /// In the engine's words; `None` for an added column.
    pub(crate) previous_type: Option<String>,
    /// `None` for a removed column.
    pub(crate) data_type: Option<String>,
    /// The run that found it.
    pub(crate) run_id: String,
    #[serde(with = "super::utc")]
    #[schemars(with = "Utc")]
    pub(crate) measured_at: DateTime,
    #[serde(with = "super::utc")]
    #[schemars(with = "Utc")]
    pub(crate) previous_measured_at: DateTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ColumnChange {
    Added,
    Removed,
    Retyped,
    Reordered,
}

impl ColumnChange {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Retyped => "retyped",
            Self::Reordered => "reordered",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlertState {
    Ok,
    Firing,
    /// The figure, or what it is compared with, is not known: neither fires nor recovers.
    Unknown,
}

impl AlertState {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Firing => "firing",
            Self::Unknown => "unknown",
        }
    }
}

/// One alert of `policies/alerts.toml`, evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) figure: String,
    pub(crate) severity: String,
    pub(crate) state: AlertState,
    /// Whether it fires and no channel was notified, or has ended and a channel was notified only of its
    /// start. Reading changes nothing about this: `notify alerts` does.
    pub(crate) changed: bool,
    /// Whether `metrics --gate` fails while it fires: its severity is at least the policy's `gate`.
    pub(crate) gates: bool,
    /// Since when it has been in this state.
    #[serde(default, with = "super::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) since: Option<DateTime>,
    pub(crate) value: Option<f64>,
    pub(crate) unit: Option<Unit>,
    /// What the value is compared with.
    pub(crate) threshold: Option<f64>,
    /// The trailing median, if the alert is about a change.
    pub(crate) baseline: Option<f64>,
    /// One sentence for people.
    pub(crate) message: String,
    /// The people to ask: the rule's `owner`, else the owners of what causes it.
    pub(crate) owner: Option<String>,
    /// What makes it fire, the largest first.
    pub(crate) causes: Vec<AlertCause>,
}

/// A test, run or relation that makes an alert fire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AlertCause {
    pub(crate) environment: String,
    pub(crate) name: String,
    /// Rows that a test found.
    pub(crate) rows: Option<i64>,
    pub(crate) message: Option<String>,
    /// dbt's owner: of the group of the node, or of the model that a test checks.
    pub(crate) owner: Option<String>,
    /// The run on GitHub.
    pub(crate) url: Option<String>,
}

/// A figure as it was on an earlier day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Point {
    pub(crate) date_day: Date,
    pub(crate) name: String,
    pub(crate) value: f64,
}
