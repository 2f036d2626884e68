//! Nodes of the ledger, from what dbt reports of them.

use std::collections::HashMap;

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

use super::super::follow::Reported;
use super::round;
use crate::core::clock;
use crate::dbt::artifacts::{self, Manifest, RunResult};
use crate::dbt::messages::{self, Redactor};
use crate::ledger::Node;

pub(super) fn from_result(
    run_id: &str,
    result: &RunResult,
    manifest: &Manifest,
    redactor: &Redactor,
) -> Node {
    let id = result.unique_id.as_str();
    let node = manifest.node(id);
    Node {
        run_id: run_id.to_owned(),
        node_id: id.to_owned(),
        name: node.map_or_else(|| last_part(id), artifacts::Node::full_name),
        kind: node.map_or_else(|| first_part(id), |node| node.resource_type.clone()),
        layer: manifest.layer(id).map(str::to_owned),
        materialized: manifest.materialized(id).map(str::to_owned),
        status: result.status.clone(),
        started_at: result.started_at().and_then(parse_utc),
        seconds: (result.status != "skipped").then(|| round(result.execution_time)),
        rows: None,
        failures: result.failures,
        message: message(result).map(|text| redactor.hide(&text).into_owned()),
        path: node.map(|node| node.original_file_path.clone()).or_else(|| hook_file(id)),
    }
}

/// dbt v2 gives a node that does not compile no more than `Compilation Error`, and says what is wrong outside of it.
pub(super) fn explain(nodes: &mut [Node], problems: &[String]) {
    for node in nodes.iter_mut().filter(|node| says_nothing(node)) {
        let file = node.path.as_deref().filter(|path| !path.is_empty());
        let about = problems.iter().find(|problem| file.is_some_and(|file| problem.contains(file)));
        if let Some(problem) = about {
            node.message = Some(problem.clone());
        }
    }
}

pub(super) fn says_nothing(node: &Node) -> bool {
    node.status == "error" && node.message.as_deref().is_none_or(|text| !text.trim().contains([':', '\n']))
}

/// What went wrong with a node, in words; `None` if nothing did.
pub(super) fn message(result: &RunResult) -> Option<String> {
    let is_warning = match result.status.as_str() {
        "success" | "pass" => return None,
        status => status == "warn",
    };
    messages::of_failures(result.message.as_deref().map(messages::clean), result.failures, is_warning)
}

/// Whether dbt does anything for a node: exposures, metrics and saved queries are listed and never run.
pub(super) fn is_run(id: &str) -> bool {
    !matches!(first_part(id).as_str(), "exposure" | "metric" | "saved_query" | "semantic_model" | "source")
}

/// dbt v2 lists ephemeral models as skipped, though nothing went wrong: they are built as a part of those that read them.
pub(super) fn is_inlined(node: &Node) -> bool {
    node.materialized.as_deref() == Some("ephemeral") && node.status == "skipped"
}

/// Hooks of the whole run are in the file that the artifacts name only in part.
fn hook_file(id: &str) -> Option<String> {
    id.starts_with("operation.").then(|| "dbt_project.yml".to_owned())
}

pub(super) fn from_report(run_id: &str, reported: &Reported, manifest: &Manifest) -> Node {
    let id = reported.id.as_str();
    Node {
        run_id: run_id.to_owned(),
        node_id: id.to_owned(),
        name: reported.name.clone(),
        kind: reported.kind.clone(),
        layer: manifest.layer(id).map(str::to_owned),
        materialized: manifest.materialized(id).map(str::to_owned),
        status: reported.status.clone(),
        started_at: parse_utc(&reported.started_at).or_else(|| start_of(reported)),
        seconds: reported.seconds.map(round),
        rows: None,
        failures: reported.failures,
        message: None,
        path: manifest.node(id).map(|node| node.original_file_path.clone()),
    }
}

/// `model.project.name` begins with the kind of the node and ends with its name.
fn first_part(id: &str) -> String {
    id.split('.').next().unwrap_or(id).to_owned()
}

fn last_part(id: &str) -> String {
    id.rsplit('.').next().unwrap_or(id).to_owned()
}

fn start_of(reported: &Reported) -> Option<DateTime> {
    let lasted = SignedDuration::try_from_secs_f64(reported.seconds?).ok()?;
    parse_utc(&reported.finished_at)?.checked_sub(lasted).ok()
}

/// dbt writes UTC, with the `Z` in its artifacts and without in its log.
fn parse_utc(text: &str) -> Option<DateTime> {
    text.parse::<Timestamp>().map(clock::utc).or_else(|_| text.parse::<DateTime>()).ok()
}

/// Rows of what a node has just built. A node that failed built nothing, whatever relation is still there.
pub(super) fn rows_of(node: &Node, manifest: &Manifest, rows: &HashMap<String, Option<i64>>) -> Option<i64> {
    if node.status != "success" {
        return None;
    }
    let names = names_of(node, manifest);
    *names.iter().find_map(|name| rows.get(&name.to_ascii_lowercase()))?
}

/// The names that a node's relation may have among those of the environment: one of a further schema is shown with it.
pub(super) fn names_of(node: &Node, manifest: &Manifest) -> Vec<String> {
    match manifest.node(&node.node_id) {
        Some(defined) => {
            vec![format!("{}.{}", defined.schema, defined.relation()), defined.relation().to_owned()]
        }
        None => vec![node.name.clone()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_dbt_does_not_say_follows_from_the_end() {
        let reported = Reported {
            id: "unit_test.p.m.t".into(),
            name: "t".into(),
            kind: "unit_test".into(),
            started_at: String::new(),
            finished_at: "2026-10-31T23:00:02.500000Z".into(),
            status: "pass".into(),
            seconds: Some(2.5),
            failures: None,
        };
        let node = from_report("r", &reported, &Manifest::default());
        assert_eq!(node.started_at, "2026-10-31T23:00:00".parse().ok());

        let said = Reported { started_at: "2026-10-31T22:59:59".into(), ..reported };
        assert_eq!(
            from_report("r", &said, &Manifest::default()).started_at,
            "2026-10-31T22:59:59".parse().ok()
        );
    }
}
