//! Untrusted work that sets the environment of later steps.

use std::sync::LazyLock;

use regex::Regex;

use super::view::{Step, View};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "written-environment",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A privileged workflow writes to GITHUB_ENV or GITHUB_PATH.",
    why: "A value with a line end sets any other variable, such as `LD_PRELOAD` or `NODE_OPTIONS`, and with it the code of \
          every later step. In a workflow that others can start with our secrets such a value is theirs.",
    example: "```yaml\non: pull_request_target\n…\n- run: echo \"TITLE=$TITLE\" >> $GITHUB_ENV\n```\n\n```yaml\n- id: title\n  run: \
              echo \"title=$TITLE\" >> $GITHUB_OUTPUT\n```",
    remedy: "write an output of the step, and pass it as `env` to the step that needs it",
};

const PRIVILEGED: [&str; 2] = ["pull_request_target", "workflow_run"];

static WRITES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:>>?|\btee\s+(?:-a\s+)?|\b(?:Out-File|Add-Content|Set-Content)\b.*)\s*["']?(?:\$\{?|\$env:|%)GITHUB_(ENV|PATH)\b"#)
        .expect("a regular expression")
});

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    if !view.events().iter().any(|event| PRIVILEGED.contains(event)) {
        return offences;
    }
    for run in view.steps.iter().filter_map(Step::run) {
        for line in view.script(run) {
            // What is written without a variable part is the author's.
            if let Some(found) = WRITES.captures(line.text).filter(|found| has_variable(line.text, found)) {
                let name = found.get(1).map_or("ENV", |name| name.as_str());
                let span = view.span(line.start..line.start + line.text.len());
                offences.push(view.offence(
                    &RULE,
                    span,
                    format!("a value with a line end in GITHUB_{name} sets any other"),
                ));
            }
        }
    }
    offences
}

fn has_variable(line: &str, found: &regex::Captures<'_>) -> bool {
    let start = found.get(0).map_or(0, |found| found.start());
    line[..start].contains(['$', '%', '`']) || !line[..start].contains(['=', '/', '"', '\''])
}
