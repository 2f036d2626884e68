//! The result of a run as data: what `--format json` prints, and what the summary is made from.
//!
//! The field names are a contract with other tools; more may come, these stay.

use schemars::JsonSchema;
use serde::Serialize;

use super::failures::Detail;
use super::record::{Built, Reused};
use crate::core::environment::Name;
use crate::dbt::artifacts::layer_rank;
use crate::dbt::engine::Generation;
use crate::ledger::{self, Status};
use crate::system::contract::Contract;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Report {
    pub(super) schema: String,
    pub(super) target: &'static str,
    pub(super) run_id: String,
    pub(super) status: Status,
    /// Nothing had changed since the last successful run: `nodes` are that run's.
    pub(super) up_to_date: bool,
    pub(super) dbt_started: bool,
    /// The dbt of this run: `v1` or `v2`, and its version.
    pub(super) engine: Option<Generation>,
    pub(super) dbt_version: Option<String>,
    /// Why the run did not succeed, if no node reports it.
    pub(super) message: Option<String>,
    pub(super) nodes: Vec<Node>,
    /// What was not touched, because nothing that it is made from has changed.
    pub(super) reused: Vec<Reused>,
    pub(super) layers: Vec<Layer>,
    pub(super) totals: Totals,
    pub(super) seconds: f64,
    pub(super) dbt_seconds: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) layer: Option<String>,
    pub(super) status: String,
    pub(super) seconds: Option<f64>,
    pub(super) rows: Option<i64>,
    pub(super) failures: Option<i64>,
    pub(super) message: Option<String>,
    pub(super) path: Option<String>,
    #[serde(flatten)]
    pub(super) detail: Option<Detail>,
}

/// Counts of nodes; built are models, seeds and snapshots.
#[derive(Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(super) struct Totals {
    pub(super) built: usize,
    pub(super) passed: usize,
    pub(super) warned: usize,
    pub(super) failed: usize,
    pub(super) errored: usize,
    pub(super) skipped: usize,
    /// Rows in the tables that were built; null if there are only views, which are not counted.
    pub(super) rows: Option<i64>,
    /// Tests of any outcome.
    pub(super) tests: usize,
    /// Seconds of work; nodes run beside each other, so this is more than the clock shows.
    pub(super) node_seconds: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Layer {
    /// `seeds` for what comes before the first layer.
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) totals: Totals,
}

/// What is printed of a run that did not start.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct NotStarted<'a> {
    pub(super) schema: &'a Name,
    /// `fail` if it was refused, `superseded` if a newer run has built the environment.
    pub(super) status: &'static str,
    /// Always false.
    pub(super) dbt_started: bool,
    pub(super) message: &'a str,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Printed {
    Ended(Box<Report>),
    NotStarted(NotStarted<'static>),
}

pub(super) fn contract() -> Contract {
    Contract::output::<Printed>("elt", "cargo xtask elt --format json")
}

impl Report {
    pub(super) fn new(target: &'static str, built: Built, details: Vec<Option<Detail>>) -> Self {
        let Built { run, nodes, reused, .. } = built;
        let mut details = details.into_iter();
        let nodes: Vec<Node> =
            nodes.into_iter().map(|node| Node::new(node, details.next().flatten())).collect();
        Self {
            schema: run.schema_name,
            target,
            run_id: run.run_id,
            status: run.status,
            up_to_date: run.up_to_date,
            dbt_started: run.dbt_started,
            engine: run.dbt_version.as_deref().and_then(Generation::of),
            dbt_version: run.dbt_version,
            message: run.message,
            layers: layers(&nodes),
            totals: Totals::of(nodes.iter()),
            nodes,
            reused,
            seconds: run.seconds.unwrap_or_default(),
            dbt_seconds: run.dbt_seconds,
        }
    }
}

impl Node {
    fn new(node: ledger::Node, detail: Option<Detail>) -> Self {
        Self {
            id: node.node_id,
            name: node.name,
            kind: node.kind,
            layer: node.layer,
            status: node.status,
            seconds: node.seconds,
            rows: node.rows,
            failures: node.failures,
            message: node.message,
            path: node.path,
            detail,
        }
    }

    pub(super) fn is_test(&self) -> bool {
        matches!(self.kind.as_str(), "test" | "unit_test")
    }

    pub(super) fn went_wrong(&self) -> bool {
        matches!(self.status.as_str(), "error" | "fail")
    }

    fn layer_name(&self) -> &str {
        self.layer.as_deref().unwrap_or(match self.kind.as_str() {
            "model" => "models",
            "snapshot" => "snapshots",
            "operation" => "hooks",
            _ => "seeds",
        })
    }
}

impl Totals {
    fn of<'a>(nodes: impl Iterator<Item = &'a Node>) -> Self {
        let mut totals = Self::default();
        for node in nodes {
            let count = match node.status.as_str() {
                // A hook that ran has built nothing that can be counted.
                "success" if node.kind == "operation" => {
                    totals.node_seconds += node.seconds.unwrap_or_default();
                    continue;
                }
                "success" if !node.is_test() => &mut totals.built,
                "success" | "pass" => &mut totals.passed,
                "warn" => &mut totals.warned,
                "fail" => &mut totals.failed,
                "error" => &mut totals.errored,
                _ => &mut totals.skipped,
            };
            *count += 1;
            totals.rows = totals.rows.into_iter().chain(node.rows).reduce(|sum, rows| sum + rows);
            totals.tests += usize::from(node.is_test());
            totals.node_seconds += node.seconds.unwrap_or_default();
        }
        totals
    }
}

/// Totals by layer, in the order in which layers are built.
fn layers(nodes: &[Node]) -> Vec<Layer> {
    let mut names: Vec<&str> = nodes.iter().map(Node::layer_name).collect();
    names.sort_by_key(|name| (*name != "seeds", layer_rank(name), *name));
    names.dedup();
    let of = |name: &str| Totals::of(nodes.iter().filter(|node| node.layer_name() == name));
    names.into_iter().map(|name| Layer { name: name.to_owned(), totals: of(name) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(kind: &str, layer: Option<&str>, status: &str, rows: Option<i64>) -> Node {
        Node {
            id: format!("{kind}.p.x"),
            name: "x".into(),
            kind: kind.into(),
            layer: layer.map(str::to_owned),
            status: status.into(),
            seconds: Some(0.5),
            rows,
            failures: None,
            message: None,
            path: None,
            detail: None,
        }
    }

    #[test]
    fn layers_are_summed_in_the_order_of_building() {
        let nodes = [
            node("model", Some("monitoring"), "success", None),
            node("model", Some("gold"), "skipped", None),
            node("test", Some("silver"), "fail", None),
            node("model", Some("silver"), "success", Some(7)),
            node("unit_test", Some("silver"), "pass", None),
            node("test", Some("bronze"), "warn", None),
            node("seed", None, "success", Some(3)),
            node("model", Some("marts"), "error", None),
        ];
        let layers = layers(&nodes);
        let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["seeds", "bronze", "silver", "gold", "monitoring", "marts"]);
        let silver = Totals {
            built: 1,
            passed: 1,
            failed: 1,
            rows: Some(7),
            tests: 2,
            node_seconds: 1.5,
            ..Totals::default()
        };
        assert_eq!(layers[2].totals, silver);
    }
}
