//! An alert of a report: its state, what it compares, and what causes it.

use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Unit;
use crate::metrics::utc::Utc;

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
    #[serde(default, with = "crate::metrics::utc::option")]
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
