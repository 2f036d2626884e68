//! Why a run failed, told by cause: each failed node once, with the file that was run, the first rows
//! that a failing test found, and what was stopped by it.

use serde::Serialize;

use super::locate::{Location, Project};
use super::record::Built;
use crate::warehouse::{Row, Warehouse};

/// Rows shown of a failing test: enough to see what is wrong, few enough to read.
const SAMPLE: usize = 5;

/// Failing tests whose rows are fetched: each costs a query.
const SAMPLED_TESTS: usize = 10;

#[derive(Debug, Default, Serialize)]
pub(super) struct Detail {
    /// The SQL that was run, as a file below the project.
    pub(super) compiled_path: Option<String>,
    /// The first rows that a failing test found.
    pub(super) sample: Vec<Row>,
    /// Where a person has to look.
    pub(super) location: Option<Location>,
    /// The nodes that it is built from: a failure that follows from another one is told as such.
    pub(super) depends_on: Vec<String>,
}

/// Details of every failed node, in the order of `built.nodes`; `None` for the others.
pub(super) fn details(
    warehouse: &mut dyn Warehouse,
    built: &Built,
    project: &Project<'_>,
) -> Vec<Option<Detail>> {
    let mut budget = SAMPLED_TESTS;
    let detail = |node: &crate::core::ledger::Node| {
        if !matches!(node.status.as_str(), "error" | "fail" | "warn") {
            return None;
        }
        let compiled = built.compiled.get(&node.node_id);
        let test = compiled.and_then(|compiled| compiled.test.as_ref());
        let message = node.message.as_deref();
        let location = tested_model(built, node)
            .and_then(|model| project.locate_quoted(model, message?))
            .or_else(|| Some(project.locate(node.path.as_ref()?, &node.name, test, message)));
        let Some(compiled) = compiled else {
            return Some(Detail { location, ..Detail::default() });
        };
        let is_data_test = node.kind == "test" && node.status != "error";
        let sql = compiled.sql.as_deref().filter(|_| is_data_test && budget > 0);
        budget -= usize::from(sql.is_some());
        Some(Detail {
            compiled_path: compiled.path.clone(),
            sample: sql.map(|sql| sample(warehouse, sql)).unwrap_or_default(),
            location,
            depends_on: compiled.depends_on.clone(),
        })
    };
    built.nodes.iter().map(detail).collect()
}

/// The file of the model that a unit test could not even run: dbt v2 compiles the model inside of the test.
fn tested_model<'a>(built: &'a Built, node: &crate::core::ledger::Node) -> Option<&'a str> {
    if node.kind != "unit_test" || node.status != "error" {
        return None;
    }
    let model = built.compiled.get(&node.node_id)?.depends_on.first()?;
    built.nodes.iter().find(|other| other.node_id == *model)?.path.as_deref()
}

/// The test's own query again, for its first rows. It ran a moment ago; if it does not now, the file
/// named beside it still tells all.
fn sample(warehouse: &mut dyn Warehouse, sql: &str) -> Vec<Row> {
    let query = format!("select * from (\n{sql}\n) as failing_rows limit {SAMPLE}");
    warehouse.query(&query).unwrap_or_else(|error| {
        tracing::debug!("failed to fetch failing rows: {error:#}");
        Vec::new()
    })
}
