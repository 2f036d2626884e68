//! A workflow that leaves its token's rights to the repository's settings.

use super::view::{Kind, View};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "missing-permissions",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A workflow does not say what its token may do.",
    why: "The token then has whatever the repository's or organisation's settings give, in older ones the right to \
          write everything. One injected line in any step could push to main. Nobody sees it in a review, because \
          nothing is written.",
    example: "```yaml\non: push\njobs: …\n```\n\nNothing for all, and for each job what it needs:\n\n```yaml\non: push\n\
              permissions: {}\njobs:\n  build:\n    permissions:\n      contents: read\n```",
    remedy: "write `permissions: {}` at the top, and in each job what it needs",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    if view.kind != Kind::Workflow || view.root.get("permissions").is_some() {
        return Vec::new();
    }
    // A workflow in which every job says it has nothing left to say.
    let silent: Vec<&str> =
        view.jobs.iter().filter(|job| job.node.get("permissions").is_none()).map(|job| job.id).collect();
    if silent.is_empty() && !view.jobs.is_empty() {
        return Vec::new();
    }
    let place = view.root.entries().first().map_or(view.root.span, |(key, _)| key.span);
    let message = match silent.as_slice() {
        [] => "no permissions are stated".to_owned(),
        jobs => format!("no permissions are stated, here or in {}", jobs.join(", ")),
    };
    vec![view.offence(&RULE, place, message)]
}
