//! An event that runs with the repository's secrets on behalf of anyone.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "dangerous-trigger",
    group: Group::Workflow,
    severity: Severity::Low,
    summary: "A workflow runs on an event that anyone can cause, with the repository's secrets.",
    why: "`pull_request_target` and `workflow_run` give the work of a fork the secrets and the token of the repository, \
          and anyone can write a comment. Such a workflow is safe only if it never runs, checks out or prints what the \
          outside sends.",
    example: "```yaml\non: pull_request_target\n```\n\n```yaml\non: pull_request\n```",
    remedy: "use `pull_request` if no secret is needed; otherwise keep the workflow small, and waive this with the reason",
};

const DANGEROUS: [&str; 3] = ["pull_request_target", "workflow_run", "issue_comment"];

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let Some(on) = view.root.get("on") else { return Vec::new() };
    let keys = on.entries().iter().map(|(key, _)| key);
    let events = on.one_or_many().iter().filter(|node| node.is_scalar()).chain(keys);
    let dangerous = events.filter(|event: &&Node| event.text().is_some_and(|name| DANGEROUS.contains(&name)));
    dangerous
        .map(|event| {
            let message =
                format!("anyone can cause `{}`, and it runs with secrets", event.text().unwrap_or_default());
            view.offence(&RULE, event.span, message)
        })
        .collect()
}
