//! A workflow that leaves its token's permissions to the repository's settings.

use super::view::{Kind, View};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "missing-permissions",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A workflow does not set the permissions of its token.",
    why: "The token then has the default permissions of the repository or organisation, in older ones write access \
          to everything. One injected line in any step could push to main. A review does not notice it, because the \
          file shows nothing.",
    example: "```yaml\non: push\njobs: …\n```\n\nNo permissions at the top, and for each job only those it needs:\n\n```yaml\non: push\n\
              permissions: {}\njobs:\n  build:\n    permissions:\n      contents: read\n```",
    remedy: "write `permissions: {}` at the top, and in each job the permissions it needs",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    if view.kind != Kind::Workflow || view.root.get("permissions").is_some() {
        return Vec::new();
    }
    // If every job sets its permissions, the workflow does not need to.
    let silent: Vec<&str> =
        view.jobs.iter().filter(|job| job.node.get("permissions").is_none()).map(|job| job.id).collect();
    if silent.is_empty() && !view.jobs.is_empty() {
        return Vec::new();
    }
    let place = view.root.entries().first().map_or(view.root.span, |(key, _)| key.span);
    let message = match silent.as_slice() {
        [] => "no permissions are set".to_owned(),
        jobs => format!("no permissions are set, here or in {}", jobs.join(", ")),
    };
    vec![view.offence(&RULE, place, message)]
}
