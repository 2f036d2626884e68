//! Nodes that the ledger knows and the project no longer has.
//!
//! The ledger has a row for each execution, so a test that was deleted or renamed would keep its last result for ever.
//! The run that notices marks such a node with one more row, whose status is `removed`; should the node come back, its
//! next result counts again.

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::core::environment::Name;
use crate::dbt::artifacts::Manifest;
use crate::ledger::{Node, REMOVED, Run};
use crate::warehouse::{self, Table, Warehouse, literal};

/// A node whose newest row is not the mark.
#[derive(Clone, Debug, Deserialize)]
struct Known {
    node_id: String,
    name: String,
    kind: String,
    layer: Option<String>,
}

/// The marks that `run` is to record: none where dbt did not get as far as to read the project.
pub(super) fn marks(
    warehouse: &mut dyn Warehouse,
    environment: &Name,
    run: &Run,
    manifest: &Manifest,
) -> Result<Vec<Node>> {
    if manifest.all().next().is_none() {
        return Ok(Vec::new());
    }
    let table =
        |warehouse: &dyn Warehouse, name| warehouse.qualified(&Table::new(environment.as_str(), name));
    let sql = format!(
        "select nodes.node_id, max_by(nodes.name, runs.started_at) as name, max_by(nodes.kind, runs.started_at) as kind, \
         max_by(nodes.layer, runs.started_at) as layer from {} as nodes inner join {} as runs on nodes.run_id = runs.run_id \
         where runs.schema_name = {} and nodes.kind in ('model', 'seed', 'snapshot', 'test', 'unit_test') \
         group by nodes.node_id having max_by(nodes.status, runs.started_at) <> '{REMOVED}' order by nodes.node_id",
        table(warehouse, "ledger_nodes"),
        table(warehouse, "ledger_runs"),
        literal(environment.as_str()),
    );
    let known: Vec<Known> =
        warehouse::records(warehouse, &sql).context("failed to read the nodes that the ledger knows")?;
    Ok(known
        .into_iter()
        .filter(|node| manifest.node(&node.node_id).is_none())
        .map(|node| mark(node, run))
        .collect())
}

fn mark(node: Known, run: &Run) -> Node {
    Node {
        run_id: run.run_id.clone(),
        node_id: node.node_id,
        name: node.name,
        kind: node.kind,
        layer: node.layer,
        materialized: None,
        status: REMOVED.to_owned(),
        started_at: Some(run.started_at),
        seconds: None,
        rows: None,
        failures: None,
        message: None,
        path: None,
    }
}
