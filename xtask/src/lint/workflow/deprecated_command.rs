//! A workflow command that GitHub has withdrawn.

use std::sync::LazyLock;

use regex::Regex;

use super::view::{Step, View};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "deprecated-command",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A script prints a workflow command that GitHub has withdrawn.",
    why: "GitHub reads these commands from everything that a step prints, so that untrusted text in a log can set \
          variables. `set-env` and `add-path` already fail; `set-output` and `save-state` will.",
    example: "```yaml\n- run: echo \"::set-output name=schema::$SCHEMA\"\n```\n\n```yaml\n- run: echo \"schema=$SCHEMA\" >> \
              \"$GITHUB_OUTPUT\"\n```",
    remedy: "append `name=value` to the file in the variable that replaces it",
};

static COMMAND: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"::(set-output|save-state|set-env)\s+name=|::(add-path)::").expect("a regular expression")
});

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for run in view.steps.iter().filter_map(Step::run) {
        for line in view.script(run) {
            for found in COMMAND.captures_iter(line.text) {
                let Some(name) = found.get(1).or_else(|| found.get(2)) else { continue };
                let file = match name.as_str() {
                    "set-output" => "GITHUB_OUTPUT",
                    "save-state" => "GITHUB_STATE",
                    "set-env" => "GITHUB_ENV",
                    _ => "GITHUB_PATH",
                };
                let message = format!("`{}` is withdrawn: append to ${file}", name.as_str());
                let span = view.span(line.start + name.start()..line.start + name.end());
                offences.push(view.offence(&RULE, span, message));
            }
        }
    }
    offences
}
