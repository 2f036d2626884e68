//! What a pipeline failed of: each failure once, by its root cause.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::text::{LINE, NAME, block, line};
use super::{Cause, MOST_CAUSES, State};
use crate::notify::facts::{Facts, Finding, Location, Node, Run};

pub(super) fn causes(facts: &Facts, stages: &[(String, State)]) -> Vec<Cause> {
    let mut causes: Vec<Cause> = facts.runs.iter().flat_map(roots).map(Cause::of_node).collect();
    let said = facts.runs.iter().filter(|run| matches!(run.status.as_str(), "fail" | "error"));
    causes.extend(
        said.filter_map(|run| run.message.as_deref()).map(|message| Cause::of_stage("elt", Some(message))),
    );
    if stages.iter().any(|(name, state)| name == "security" && *state == State::Failure) {
        causes.extend(facts.findings.iter().map(Cause::of_finding));
    }
    for (name, state) in stages {
        // What a run says of itself is more than that its stage failed.
        let named = match name.as_str() {
            "elt" => !facts.runs.is_empty() && !causes.is_empty(),
            "security" => !facts.findings.is_empty(),
            _ => false,
        };
        if *state == State::Failure && !named {
            let error = facts.stages.iter().rfind(|stage| stage.name == *name);
            let error = error.and_then(|stage| stage.error.clone());
            causes.push(Cause::of_stage(name, gate(facts, name).or(error).as_deref()));
        }
    }
    causes.truncate(MOST_CAUSES);
    causes
}

/// Why the stage of the metrics failed, if an alert did that.
fn gate(facts: &Facts, stage: &str) -> Option<String> {
    let alerts = facts.metrics.iter().flat_map(|metrics| &metrics.alerts);
    let mut gating = alerts.filter(|alert| alert.state == "firing" && alert.gates);
    let first = gating.next().filter(|_| stage == "observability")?;
    let more = gating.count();
    let more = if more > 0 { format!(" (and {more} more that fail the gate)") } else { String::new() };
    Some(format!("the alert {} fires: {}{more}", first.name, first.message))
}

/// Rows that are shown of a failing test.
pub(crate) const ROWS: usize = 3;

/// Characters of a row.
const ROW: usize = 160;

/// A row of a table in one line: `order_id=7, quantity=-1`.
pub(crate) fn row(row: &Map<String, Value>) -> String {
    let cell = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={}", line(&value, NAME))
    };
    line(&row.iter().map(cell).collect::<Vec<_>>().join(", "), ROW)
}

/// `text` with rows below its first line.
pub(crate) fn with_rows(text: &str, rows: &[String]) -> String {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let rows = rows.iter().map(|row| format!("row: {row}"));
    let rest = Some(rest.to_owned()).filter(|rest| !rest.is_empty());
    std::iter::once(first.to_owned()).chain(rows).chain(rest).collect::<Vec<_>>().join("\n")
}

/// The failed nodes of a run that no other failure explains.
fn roots(run: &Run) -> impl Iterator<Item = &Node> {
    let nodes: BTreeMap<&str, &Node> = run.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    run.nodes.iter().filter(move |node| node.went_wrong() && !follows_from_another(node, &nodes))
}

fn follows_from_another(node: &Node, nodes: &BTreeMap<&str, &Node>) -> bool {
    let parents = |node: &Node| node.depends_on.iter().flatten().cloned().collect::<Vec<String>>();
    let mut ahead = parents(node);
    let mut seen = BTreeSet::from([node.id.clone()]);
    while let Some(id) = ahead.pop() {
        let Some(parent) = nodes.get(id.as_str()).filter(|_| seen.insert(id.clone())) else { continue };
        if parent.went_wrong() {
            return true;
        }
        ahead.extend(parents(parent));
    }
    false
}

impl Cause {
    /// `test fail: unique_orders`
    pub(crate) fn title(&self) -> String {
        format!("{} {}: {}", self.kind, self.status, self.name)
    }

    /// The message, or its replacement, and the rows below its first line: what follows may be long.
    pub(crate) fn text(&self) -> String {
        let text = self.detail.as_deref().or(self.line.as_deref()).unwrap_or("dbt gives no message");
        with_rows(text, &self.rows)
    }

    pub(super) fn of_node(node: &Node) -> Self {
        let message = node.message.as_deref();
        Self {
            status: line(&node.status, NAME),
            kind: line(&node.kind, NAME).replace('_', " "),
            name: line(&node.name, NAME),
            location: node
                .location
                .as_ref()
                .map(|place| Location { path: line(&place.path, LINE), line: place.line }),
            line: message.and_then(first_line),
            detail: message.map(block),
            rows: node.sample.iter().take(ROWS).map(row).collect(),
        }
    }

    pub(super) fn of_finding(finding: &Finding) -> Self {
        let short = |commit: &String| commit.chars().take(10).collect::<String>();
        let commit = finding.commit.as_ref().map(|commit| format!(" (in commit {})", short(commit)));
        let commit = commit.unwrap_or_default();
        Self {
            status: "finding".to_owned(),
            kind: "security".to_owned(),
            name: line(&finding.rule, NAME),
            location: (finding.line > 0)
                .then(|| Location { path: line(&finding.path, LINE), line: finding.line }),
            line: Some(line(&format!("{}{commit}", finding.message), LINE)),
            detail: Some(block(&finding.message)),
            rows: Vec::new(),
        }
    }

    pub(super) fn of_stage(name: &str, message: Option<&str>) -> Self {
        Self {
            status: "failed".to_owned(),
            kind: "stage".to_owned(),
            name: line(name, NAME),
            location: None,
            line: message.map_or_else(|| Some("see the log of the run".to_owned()), first_line),
            detail: message.map(block),
            rows: Vec::new(),
        }
    }
}

/// dbt starts a message with where it comes from; what is wrong comes below.
fn first_line(message: &str) -> Option<String> {
    let is_head = |text: &str| {
        let kinds =
            ["Database Error", "Compilation Error", "Runtime Error", "Parsing Error", "dbt Runtime Error"];
        kinds.iter().any(|kind| {
            text.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with(" in "))
        })
    };
    let mut lines = message.lines().map(str::trim).filter(|text| !text.is_empty());
    let first = lines.next()?;
    let telling = if is_head(first) { lines.next().unwrap_or(first) } else { first };
    Some(line(telling, LINE))
}
