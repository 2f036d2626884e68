//! Untrusted code that runs with our secrets.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "untrusted-checkout",
    group: Group::Workflow,
    severity: Severity::High,
    summary: "A privileged workflow checks out the code of a pull request.",
    why: "`pull_request_target` and `workflow_run` run with the repository's secrets and a token with write access, \
          also for forks. With the fork's code on disk, its build scripts, tests, hooks and dependencies get both.",
    example: "```yaml\non: pull_request_target\n…\n- uses: actions/checkout@…\n  with:\n    ref: ${{ \
              github.event.pull_request.head.sha }}\n```\n\nRun it on `pull_request`, without secrets; do work that needs \
              secrets in another workflow that reads results and not code.",
    remedy: "use `pull_request`, or check out the base",
};

const PRIVILEGED: [&str; 2] = ["pull_request_target", "workflow_run"];

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let Some(event) = PRIVILEGED.iter().find(|event| events(view.root).contains(*event)) else {
        return Vec::new();
    };
    let mut offences = Vec::new();
    for step in view.steps.iter().filter(|step| step.action() == Some("actions/checkout")) {
        for key in ["ref", "repository"] {
            let Some(value) = step.node.at(&["with", key]) else { continue };
            let text = value.text().unwrap_or_default();
            if text.contains("head") || text.contains("refs/pull/") {
                let message = format!("on {event} this checks out untrusted code in a job with our secrets");
                offences.push(view.offence(&RULE, value.span, message));
                break;
            }
        }
    }
    offences
}

/// The events of `on`, in each of its three forms.
fn events(root: &Node) -> Vec<&str> {
    let Some(on) = root.get("on") else { return Vec::new() };
    let keys = on.entries().iter().filter_map(|(key, _)| key.text());
    on.one_or_many().iter().filter_map(Node::text).chain(keys).collect()
}
