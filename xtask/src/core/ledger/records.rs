//! What the tables of the ledger hold, a record for each row.

use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Owner;
use crate::core::environment::Name;

/// The ownership mark of an environment; the registry keeps the same columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    #[serde(flatten)]
    pub(crate) owner: Owner,
}

/// Who made an environment, and for what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The environment to start from as a copy, if it exists.
    pub(crate) base: Option<Name>,
    pub(crate) object_name: Option<String>,
    pub(crate) created_by: Option<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    pub(crate) fn was_executed(&self) -> bool {
        !matches!(self.status.as_str(), "skipped" | REMOVED)
    }
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
