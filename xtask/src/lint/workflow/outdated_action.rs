//! An action that runs on a version of Node that GitHub has withdrawn.

use super::known_actions::{self, Known};
use super::view::{Step, View};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "outdated-action",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "An action has a major version that was made for Node 12 or 16.",
    why: "GitHub has removed these versions of Node: the action runs on a newer one that it was not tested with, or not \
          at all. Old versions of the cache and artifact actions fail, since their service is gone.",
    example: "```yaml\n- uses: actions/checkout@v3\n```\n\n```yaml\n- uses: actions/checkout@v6\n```",
    remedy: "use a newer major version",
};

/// Actions whose metadata is not known, with the newest major version for Node 16 or older.
const OLD: [(&str, u32); 1] = [("github/codeql-action", 2)];

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let offences = view.steps.iter().filter_map(Step::uses).filter_map(|uses| {
        let text = uses.text()?;
        let (action, version) = text.split_once('@')?;
        is_outdated(text, action, version).then(|| {
            let message =
                format!("`{action}` {version} was made for a version of Node that GitHub has removed");
            view.offence(&RULE, uses.span, message)
        })
    });
    offences.collect()
}

fn is_outdated(uses: &str, action: &str, version: &str) -> bool {
    // A commit or branch says nothing about the version.
    let Some(major) = known_actions::major(version) else { return false };
    let name = action.splitn(3, '/').take(2).collect::<Vec<_>>().join("/").to_lowercase();
    known_actions::find(uses).is_some_and(Known::is_withdrawn)
        || OLD.iter().any(|(old, newest)| *old == name && major <= *newest)
}
