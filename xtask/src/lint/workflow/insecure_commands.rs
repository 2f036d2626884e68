//! Workflow commands that GitHub has disabled for security, enabled again.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "insecure-commands",
    group: Group::Workflow,
    severity: Severity::High,
    summary: "A workflow enables the commands `set-env` and `add-path` again.",
    why: "With them everything that a step prints can set variables and the search path of the next steps: one line of \
          untrusted text in a log is enough to run other programs (CVE-2020-15228).",
    example: "```yaml\nenv:\n  ACTIONS_ALLOW_UNSECURE_COMMANDS: true\n```",
    remedy: "remove the variable, and write to $GITHUB_ENV and $GITHUB_PATH",
};

const VARIABLE: &str = "ACTIONS_ALLOW_UNSECURE_COMMANDS";

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let jobs = view.jobs.iter().map(|job| job.node);
    let levels = std::iter::once(view.root).chain(jobs).chain(view.steps.iter().map(|step| step.node));
    let set = levels.filter_map(|level| level.get("env")).flat_map(Node::entries);
    let enabled = set.filter(|(key, value)| {
        let is_it = key.text().is_some_and(|name| name.eq_ignore_ascii_case(VARIABLE));
        // GitHub takes the texts `true` and `1`; an expression may give them.
        is_it && value.text().is_some_and(|text| !matches!(text.to_lowercase().as_str(), "false" | "0" | ""))
    });
    enabled
        .map(|(key, _)| view.offence(&RULE, key.span, "this enables `set-env` and `add-path` again"))
        .collect()
}
