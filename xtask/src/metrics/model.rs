//! The result of `metrics`: figures, tables, alerts, and their history.
//!
//! This is the one structure that every export renders and that `notify` and the page read back from JSON, so
//! its field names are stable; `docs/schemas/metrics.json` is made from it, descriptions included.
//! Units are in the names: `_seconds`, `_bytes`, a `_rate` or `_ratio` of 1. Unknown is `None` with a status that says
//! why, never zero. Times are UTC.

mod alert;
mod rows;

use std::fmt;

use jiff::civil::{Date, DateTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::alert::{Alert, AlertCause, AlertState};
pub(crate) use self::rows::{
    ColumnChange, Cost, DataAge, Day, FailingTest, Group, Layer, Lifetime, Load, NodeCost, NodeStats,
    Relation, Run, RunNode, SchemaChange, Storage, TestHistory, TestResult, Trend,
};
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

/// A figure as it was on an earlier day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Point {
    pub(crate) date_day: Date,
    pub(crate) name: String,
    pub(crate) value: f64,
}
