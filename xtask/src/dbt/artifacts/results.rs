//! What dbt writes about a run: the results of its nodes, and of `dbt source freshness`.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use super::{Criteria, read};

#[derive(Debug, Deserialize)]
pub(crate) struct RunResults {
    pub(crate) results: Vec<RunResult>,
}

/// `sources.json`: what `dbt source freshness` found.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SourceResults {
    pub(crate) results: Vec<SourceResult>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SourceResult {
    pub(crate) unique_id: String,
    pub(crate) status: String,
    pub(crate) max_loaded_at: Option<String>,
    pub(crate) snapshotted_at: Option<String>,
    pub(crate) criteria: Option<Criteria>,
    /// Why it could not be measured.
    pub(crate) error: Option<serde_json::Value>,
}

impl SourceResults {
    /// `None` if freshness was never measured there.
    pub(crate) fn read(target: &Path) -> Result<Option<Self>> {
        read(&target.join("sources.json"))
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct RunResult {
    pub(crate) unique_id: String,
    pub(crate) status: String,
    #[serde(default)]
    timing: Vec<Timing>,
    /// Which of dbt's threads worked on it.
    #[serde(default)]
    pub(crate) thread_id: Option<String>,
    #[serde(default)]
    pub(crate) execution_time: f64,
    #[serde(default)]
    pub(crate) failures: Option<i64>,
    #[serde(default)]
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) compiled_code: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Timing {
    started_at: Option<String>,
}

impl RunResults {
    /// `None` where dbt did not come so far as to write them.
    pub(crate) fn read(target: &Path) -> Result<Option<Self>> {
        read(&target.join("run_results.json"))
    }

    /// With all that dbt wrote, for a caller that writes the results again.
    pub(crate) fn read_whole(target: &Path) -> Result<Option<serde_json::Value>> {
        read(&target.join("run_results.json"))
    }
}

impl RunResult {
    /// When dbt began with the node (UTC), as dbt writes it.
    pub(crate) fn started_at(&self) -> Option<&str> {
        self.timing.iter().find_map(|step| step.started_at.as_deref())
    }
}
