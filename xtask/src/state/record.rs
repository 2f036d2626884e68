//! What the ledger keeps of each node: what it was made from when it was last built or run, and what it left.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::define::Definition;

/// Raised when fingerprints of an older toolkit mean something else: then everything is built once.
pub(crate) const FORMAT: i64 = 3;

/// The newest word on a node. A row is written before the node is touched (`announced`) and again when it has
/// ended, so that a run that was killed leaves its mark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) node_id: String,
    /// As dbt names it.
    pub(crate) unique_id: Option<String>,
    pub(crate) run_id: String,
    pub(crate) recorded_at: DateTime,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) format: i64,
    pub(crate) definition: String,
    pub(crate) class: String,
    pub(crate) materialized: Option<String>,
    pub(crate) relation_schema: Option<String>,
    pub(crate) relation_name: Option<String>,
    /// A short hash per input, as JSON.
    pub(crate) parts: String,
    /// The data versions of its parents when it was made, as JSON.
    pub(crate) built_from: String,
    pub(crate) data_version: Option<String>,
    pub(crate) witness: Option<String>,
    pub(crate) failures: Option<i64>,
}

/// The status of a node that a run was about to touch.
pub(crate) const ANNOUNCED: &str = "announced";

impl Record {
    pub(crate) fn parts(&self) -> BTreeMap<String, String> {
        serde_json::from_str(&self.parts).unwrap_or_default()
    }

    pub(crate) fn built_from(&self) -> BTreeMap<String, String> {
        serde_json::from_str(&self.built_from).unwrap_or_default()
    }

    /// Whether what it says of the last build holds: the build ended well.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.status.as_str(), "success" | "pass" | "warn")
    }

    /// Built as a part of those that read it: it has no relation, and dbt gives it no result.
    pub(crate) fn is_ephemeral(&self) -> bool {
        self.materialized.as_deref() == Some("ephemeral")
    }

    /// A row that says that `run_id` is about to touch the node.
    pub(crate) fn announcing(
        definition: &Definition,
        before: Option<&Self>,
        run_id: &str,
        now: DateTime,
    ) -> Self {
        let before = before.cloned().unwrap_or_default();
        Self {
            node_id: definition.id.clone(),
            run_id: run_id.to_owned(),
            recorded_at: now,
            kind: definition.kind.clone(),
            name: definition.name.clone(),
            status: ANNOUNCED.to_owned(),
            format: FORMAT,
            // The old relation stays known until the new one is there: it may have to be dropped.
            relation_schema: before
                .relation_schema
                .or(definition.relation.as_ref().map(|(schema, _)| schema.clone())),
            relation_name: before
                .relation_name
                .or(definition.relation.as_ref().map(|(_, name)| name.clone())),
            materialized: before.materialized.or(Some(definition.materialized.clone())),
            parts: or_empty(before.parts),
            built_from: or_empty(before.built_from),
            ..before
        }
    }
}

fn or_empty(json: String) -> String {
    if json.is_empty() { "{}".to_owned() } else { json }
}
