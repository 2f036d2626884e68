//! A package that a step installs outside of a lock file.

use std::sync::LazyLock;

use regex::Regex;

use super::view::{Step, View};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "adhoc-package",
    group: Group::Workflow,
    severity: Severity::Low,
    summary: "A step installs a package by name, outside of a lock file.",
    why: "Its dependencies are chosen again in every run: a run can fail, or run malicious code, without a change in the \
          repository.",
    example: "```yaml\n- run: npm install lodash\n```\n\n```yaml\n- run: npm ci\n```",
    remedy: "add it to the project's lock file, and install from that",
};

/// An installer followed by a word that is not an option.
static INSTALLS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?:^|[;&|(]\s*|\bsudo\s+)(?:npm\s+(?:install|i|add)|gem\s+(?:install|i)|yarn\s+(?:global\s+)?add|pnpm\s+add|bun\s+add)\s+(?:-[^\s]+\s+)*["']?(?P<name>[A-Za-z@][^\s"';&|]*)"#,
    )
    .expect("a regular expression")
});

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for run in view.steps.iter().filter_map(Step::run) {
        for line in view.script(run) {
            for found in INSTALLS.captures_iter(line.text).filter_map(|found| found.name("name")) {
                let span = view.span(line.start + found.start()..line.start + found.end());
                let message = format!("`{}` is installed outside of a lock file", found.as_str());
                offences.push(view.offence(&RULE, span, message));
            }
        }
    }
    offences
}
