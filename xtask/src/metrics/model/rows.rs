//! The rows of a report's tables.

use jiff::civil::{Date, DateTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::utc::Utc;

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
    #[serde(with = "crate::metrics::utc")]
    #[schemars(with = "Utc")]
    pub(crate) measured_at: DateTime,
    #[serde(default, with = "crate::metrics::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) previous_measured_at: Option<DateTime>,
    /// The median of its rows at the end of the 28 days before the latest measurement.
    pub(crate) baseline_row_count: Option<f64>,
    /// The days that the median is over.
    pub(crate) baseline_days: Option<i64>,
    /// When a model, seed or snapshot of this name was last built without error.
    #[serde(default, with = "crate::metrics::utc::option")]
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
    #[serde(default, with = "crate::metrics::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) data_time: Option<DateTime>,
    /// From then to now.
    pub(crate) age_seconds: Option<i64>,
    #[serde(default, with = "crate::metrics::utc::option")]
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
    #[serde(default, with = "crate::metrics::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) last_run_at: Option<DateTime>,
    /// When it passed for the last time.
    #[serde(default, with = "crate::metrics::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) last_passed_at: Option<DateTime>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Run {
    pub(crate) run_id: String,
    pub(crate) environment: String,
    #[serde(with = "crate::metrics::utc")]
    #[schemars(with = "Utc")]
    pub(crate) started_at: DateTime,
    #[serde(default, with = "crate::metrics::utc::option")]
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
    #[serde(default, with = "crate::metrics::utc::option")]
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
    #[serde(default, with = "crate::metrics::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) oldest_result_at: Option<DateTime>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Lifetime {
    pub(crate) environment: String,
    pub(crate) status: String,
    pub(crate) runs: i64,
    pub(crate) seconds: Option<f64>,
    #[serde(with = "crate::metrics::utc")]
    #[schemars(with = "Utc")]
    pub(crate) first_started_at: DateTime,
    #[serde(default, with = "crate::metrics::utc::option")]
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
    #[serde(default, with = "crate::metrics::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) last_passed_at: Option<DateTime>,
    #[serde(default, with = "crate::metrics::utc::option")]
    #[schemars(with = "Option<Utc>")]
    pub(crate) last_failed_at: Option<DateTime>,
    /// The newest 15, the newest first.
    pub(crate) results: Vec<TestResult>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TestResult {
    pub(crate) run_id: String,
    /// When the run started.
    #[serde(with = "crate::metrics::utc")]
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
    #[serde(with = "crate::metrics::utc")]
    #[schemars(with = "Utc")]
    pub(crate) measured_at: DateTime,
    #[serde(with = "crate::metrics::utc")]
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
