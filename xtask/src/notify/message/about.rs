//! What a pipeline was about: its environment, its issue or pull request, and what triggered it.

use serde_json::Value;

use super::text::{NAME, line};
use super::{Environment, Trigger};
use crate::core::environment::Name;
use crate::notify::facts::Facts;

/// A name of the grammar, or none: what is not one is not shown as one.
fn schema(facts: &Facts) -> Option<Name> {
    let planned = facts.plan.as_ref().and_then(|plan| plan.schema.as_deref());
    let built = facts.runs.iter().map(|run| run.schema.as_str());
    planned.into_iter().chain(built).find_map(|text| text.parse().ok())
}

pub(super) fn environment(facts: &Facts) -> Option<Environment> {
    let name = schema(facts)?;
    let planned = facts.plan.as_ref().and_then(|plan| plan.target.as_deref());
    let target = facts.runs.iter().find_map(|run| run.target.as_deref()).or(planned);
    Some(Environment {
        kind: match name.kind().label() {
            "pull_request" => "pull request",
            other => other,
        },
        schema: name.to_string(),
        target: target.map(|target| line(target, NAME)),
        base: facts.plan.as_ref().and_then(|plan| plan.base.as_deref()).map(|base| line(base, NAME)),
    })
}

/// The number of the issue or pull request that a pipeline belongs to: what its plan says, else what the
/// name of its environment says.
pub(crate) fn number(facts: &Facts) -> Option<u64> {
    let planned = facts.plan.as_ref().and_then(|plan| event_number(&plan.event));
    planned.or_else(|| schema(facts)?.number())
}

fn event_number(event: &Value) -> Option<u64> {
    ["number", "issue", "pull_request"].iter().find_map(|key| match &event[*key] {
        Value::Object(thing) => thing.get("number")?.as_u64(),
        number => number.as_u64(),
    })
}

fn event_text(event: &Value, keys: &[&str]) -> Option<String> {
    let text = keys.iter().find_map(|key| match &event[*key] {
        Value::Object(thing) => thing.get("login")?.as_str(),
        text => text.as_str(),
    })?;
    Some(line(text, NAME)).filter(|text| !text.is_empty())
}

pub(super) fn trigger(facts: &Facts) -> Trigger {
    let event = facts.plan.as_ref().map_or(&Value::Null, |plan| &plan.event);
    let name = event_text(event, &["name", "event_name"]);
    let name = name.or_else(|| facts.origin.event.as_deref().map(|name| line(name, NAME)));
    let number = facts.plan.as_ref().and_then(|plan| event_number(&plan.event));
    let title = event_text(event, &["title"]);
    let git_ref = event_text(event, &["branch", "ref"]);
    let git_ref = git_ref.or_else(|| facts.origin.git_ref.as_deref().map(|name| line(name, NAME)));
    let what = match (name.as_deref(), number, git_ref) {
        (Some(name @ ("issues" | "pull_request" | "pull_request_target")), Some(number), _) => {
            let thing = if name == "issues" { "issue" } else { "pull request" };
            let title = title.map(|title| format!(": {title}")).unwrap_or_default();
            Some(format!("{thing} #{number}{title}"))
        }
        (Some("push"), _, Some(name)) => Some(format!("push to {name}")),
        (Some("delete"), _, Some(name)) => Some(format!("deletion of {name}")),
        (Some("workflow_dispatch"), ..) => Some("started by hand".to_owned()),
        (Some("schedule"), ..) => Some("schedule".to_owned()),
        (Some(other), ..) => Some(other.replace('_', " ")),
        (None, ..) => None,
    };
    let who = event_text(event, &["actor", "sender"]);
    let commit = event_text(event, &["commit", "sha"]);
    let commit = commit.or_else(|| facts.origin.sha.as_deref().map(|sha| line(sha, NAME)));
    Trigger {
        what,
        who: who.or_else(|| facts.origin.actor.as_deref().map(|actor| line(actor, NAME))),
        commit: commit.map(|sha| sha.chars().take(10).collect()),
    }
}
