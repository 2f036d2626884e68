//! A token that is left on disk.

use std::collections::HashSet;

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "persisted-credentials",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A job that uploads files leaves its token in the checkout.",
    why: "`actions/checkout` keeps the run's token where git finds it, in or next to the checkout, unless configured \
          otherwise. If that folder is uploaded as an artifact, the token is in it, and anyone who downloads it before \
          the token expires can use it.",
    example: "```yaml\n- uses: actions/checkout@…\n- uses: actions/upload-artifact@…\n```\n\n```yaml\n- uses: actions/checkout@…\n  \
              with:\n    persist-credentials: false\n```",
    remedy: "add `persist-credentials: false` to the checkout",
};

const UPLOADS: [&str; 2] = ["actions/upload-artifact", "actions/upload-pages-artifact"];

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let uploads: HashSet<Option<usize>> = view
        .steps
        .iter()
        .filter(|step| step.action().is_some_and(|action| UPLOADS.contains(&action)))
        .map(|step| step.job)
        .collect();
    let mut offences = Vec::new();
    for step in view.steps.iter().filter(|step| step.action() == Some("actions/checkout")) {
        let keeps =
            step.node.at(&["with", "persist-credentials"]).and_then(|value| value.text()) != Some("false");
        if let Some(uses) = step.uses().filter(|_| keeps && uploads.contains(&step.job)) {
            let message = "the job uploads files, and its token lies among them";
            offences.push(view.offence(&RULE, uses.span, message));
        }
    }
    offences
}
