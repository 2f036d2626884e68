//! Why a run failed, grouped by cause: each failed node once, with the file that was run, the first rows
//! that a failing test found, and the nodes that were skipped because of it.

use schemars::JsonSchema;
use serde::Serialize;

use serde_json::Value;

use super::locate::{Location, Project};
use super::record::Built;
use crate::secrets::FileScanner;
use crate::system::redact;
use crate::system::repo::Repo;
use crate::warehouse::{Row, Warehouse};

/// Rows shown of a failing test: enough to see what is wrong, few enough to read.
const SAMPLE: usize = 5;

/// Failing tests whose rows are fetched: each costs a query.
const SAMPLED_TESTS: usize = 10;

#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Detail {
    /// The SQL that was run, as a file below the project.
    pub(super) compiled_path: Option<String>,
    /// The first rows that a failing test found.
    pub(super) sample: Vec<Row>,
    /// Where a person has to look.
    pub(super) location: Option<Location>,
    /// The nodes that it is built from: a failure that follows from another one is reported as such.
    pub(super) depends_on: Vec<String>,
}

/// Details of every failed node, in the order of `built.nodes`; `None` for the others.
pub(super) fn details(
    warehouse: &mut dyn Warehouse,
    built: &Built,
    project: &Project<'_>,
    repo: &Repo,
) -> Vec<Option<Detail>> {
    let mut budget = SAMPLED_TESTS;
    let detail = |node: &crate::ledger::Node| {
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
    let mut details: Vec<Option<Detail>> = built.nodes.iter().map(detail).collect();
    let samples: Vec<&mut Vec<Row>> = details.iter_mut().flatten().map(|detail| &mut detail.sample).collect();
    hide(samples, repo);
    details
}

/// Rows go to messages that more people read than the warehouse: cells that hold a secret of this process, or what looks
/// like a credential, are masked. If that cannot be found out, no row is shown.
fn hide(mut samples: Vec<&mut Vec<Row>>, repo: &Repo) {
    if samples.iter().all(|rows| rows.is_empty()) {
        return;
    }
    let secrets = redact::secrets(std::env::vars());
    let mut cells: Vec<(&str, &mut Value)> = Vec::new();
    for row in samples.iter_mut().flat_map(|rows| rows.iter_mut()) {
        for (name, value) in row.iter_mut().filter(|(_, value)| value.is_string()) {
            redact::redact(value, &secrets);
            cells.push((name, value));
        }
    }
    // One line per cell, so that the line of a finding names its cell.
    let lines = cells.iter().map(|(name, value)| format!("{}: {value}", name.replace(char::is_control, " ")));
    let text = lines.collect::<Vec<_>>().join("\n");
    match FileScanner::open(repo).and_then(|scanner| Ok(scanner.scan("rows.yml", text.as_bytes())?)) {
        Ok(scanned) => {
            for line in scanned.findings.iter().map(|finding| finding.span.line) {
                if let Some((_, value)) = cells.get_mut(line - 1) {
                    **value = redact::HIDDEN.into();
                }
            }
        }
        Err(error) => {
            tracing::warn!(
                "failing rows are not shown, since they cannot be searched for secrets: {error:#}"
            );
            drop(cells);
            samples.into_iter().for_each(Vec::clear);
        }
    }
}

/// The file of the model that a unit test could not even run: dbt v2 compiles the model inside of the test.
fn tested_model<'a>(built: &'a Built, node: &crate::ledger::Node) -> Option<&'a str> {
    if node.kind != "unit_test" || node.status != "error" {
        return None;
    }
    let model = built.compiled.get(&node.node_id)?.depends_on.first()?;
    built.nodes.iter().find(|other| other.node_id == *model)?.path.as_deref()
}

/// The test's own query again, for its first rows. It ran a moment ago; if it does not now, the file
/// named beside it still has all the details.
fn sample(warehouse: &mut dyn Warehouse, sql: &str) -> Vec<Row> {
    let query = format!("select * from (\n{sql}\n) as failing_rows limit {SAMPLE}");
    warehouse.query(&query).unwrap_or_else(|error| {
        tracing::debug!("failed to fetch failing rows: {error:#}");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn cells_that_hold_a_credential_are_masked() {
        let credential = ["ghp", "_", "n7Yw3kPz1QvR8tLx5BcD2fGh6JmN4sUa0Ex9"].concat();
        let row = |name: &str, value: &str| {
            Row::from_iter([(name.to_owned(), value.into()), ("id".to_owned(), 7.into())])
        };
        let mut rows =
            vec![row("note\nx", "first line\nsecond"), row("api_key", &credential), row("name", "bolt")];
        hide(vec![&mut rows], &Repo::discover(Path::new(env!("CARGO_MANIFEST_DIR"))));
        assert_eq!(rows[0]["note\nx"], "first line\nsecond");
        assert_eq!(rows[1]["api_key"], redact::HIDDEN);
        assert_eq!((&rows[1]["id"], &rows[2]["name"]), (&7.into(), &"bolt".into()));
    }
}
