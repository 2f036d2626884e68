//! A failure that is swallowed.

use std::sync::LazyLock;

use regex::Regex;

use super::view::{Step, View};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "swallowed-failure",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A step or job hides its failure.",
    why: "The run succeeds although tests failed. Readers trust the status, and the fault is noticed later in wrong \
          data. A step that may fail should handle that in its own exit code; one that must run after a failure \
          has `if: ${{ !cancelled() }}`.",
    example: "```yaml\n- run: dbt test || true\n- run: cargo xtask metrics\n  continue-on-error: true\n```\n\n```yaml\n- run: \
              dbt test\n- run: cargo xtask metrics\n  if: ${{ !cancelled() }}\n```",
    remedy: "let it fail; run later steps with `if: ${{ !cancelled() }}`",
};

/// `|| true` and similar endings of a command, and `set +e`.
static SWALLOWS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\|\|\s*(?:true|:|exit\s+0|/bin/true)\s*(?:$|[;)&#}])|(?:^|[;&|]\s*)set\s+\+e\b|(?:^|[;&|]\s*)set\s+\+o\s+errexit\b")
        .expect("a regular expression")
});

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    // An upload publishes the findings of another step, which fails itself.
    let decides = |step: &&Step<'_>| step.action() != Some("github/codeql-action/upload-sarif");
    let steps = view.steps.iter().filter(decides).map(|step| step.node);
    let nodes = view.jobs.iter().map(|job| job.node).chain(steps);
    for (key, value) in nodes.filter_map(|node| node.entry("continue-on-error")) {
        if value.truth() == Some(true) {
            offences.push(view.offence(&RULE, key.span, "whatever happens here, the run stays green"));
        }
    }
    for run in view.steps.iter().filter_map(Step::run) {
        for line in view.script(run) {
            for found in SWALLOWS.find_iter(line.text) {
                let shown = found.as_str().trim_matches([' ', ';', ')', '&', '#', '}']);
                let shift = found.as_str().find(shown).unwrap_or_default();
                let start = line.start + found.start() + shift;
                let message = format!("`{shown}` hides a failure");
                offences.push(view.offence(&RULE, view.span(start..start + shown.len()), message));
            }
        }
    }
    offences
}
