//! A token with more permissions than its jobs need.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "wide-permissions",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A token has access to everything, or every job has the write access that one of them needs.",
    why: "An injected line, a hijacked action or a poisoned dependency can use every permission of the token. Write \
          access belongs to the one job that writes.",
    example: "```yaml\npermissions: write-all\n```\n\n```yaml\npermissions: {}\njobs:\n  notify:\n    permissions:\n      \
              issues: write\n```",
    remedy: "move the write permission to the job that needs it",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    let levels = std::iter::once(view.root).chain(view.jobs.iter().map(|job| job.node));
    for permissions in levels.filter_map(|level| level.get("permissions")) {
        let message = match permissions.text() {
            Some("write-all") => "the token may write everything",
            Some("read-all") => "the token may read everything",
            _ => continue,
        };
        offences.push(view.offence(&RULE, permissions.span, message));
    }
    // With one job, permissions at the top have the same effect.
    if view.jobs.len() > 1 {
        let top = view.root.get("permissions").map(Node::entries).unwrap_or_default();
        for (scope, value) in top.iter().filter(|(_, value)| value.text() == Some("write")) {
            let name = scope.text().unwrap_or_default();
            let message = format!("every one of {} jobs may write {name}", view.jobs.len());
            offences.push(view.offence(&RULE, value.span, message));
        }
    }
    offences
}
