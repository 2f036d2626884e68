//! A step that a developer cannot repeat.

use anyhow::Result;
use serde::Deserialize;

use super::view::{Context, Step, View};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "foreign-step",
    group: Group::Workflow,
    severity: Severity::Low,
    summary: "A step runs something other than `cargo xtask`.",
    why: "A step that only a workflow can run cannot be tried before pushing, and it is written in a language without \
          types and tests. A step is one `cargo xtask` line that a laptop runs with the same result. Applies only \
          to a repository that has this toolkit.\n\nParameters: `allowed`, prefixes that a line may start with.",
    example: "```yaml\n- run: |\n    pip install dbt-snowflake\n    dbt build --target prod\n```\n\n```yaml\n- run: cargo xtask \
              elt --schema prod\n```",
    remedy: "make it a `cargo xtask` command, or add its prefix to `allowed` if it is set-up",
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    allowed: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let allowed = ["cargo xtask", "rustup show", "rustup toolchain install", "bash .ci/run", "mkdir -p"];
        Self { allowed: allowed.map(str::to_owned).into() }
    }
}

pub(super) fn check(view: &View<'_>, repo: &Context<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let settings: Settings = parameters.of(&RULE)?;
    if !repo.has_xtask() {
        return Ok(Vec::new());
    }
    let is_allowed = |line: &str| {
        settings.allowed.iter().any(|start| {
            line.strip_prefix(start.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        })
    };
    let mut offences = Vec::new();
    for run in view.steps.iter().filter_map(Step::run) {
        // The first line identifies the step.
        if let Some(line) = view.script(run).into_iter().find(|line| !is_allowed(line.text)) {
            let first = line.text.split_whitespace().next().unwrap_or_default();
            let span = view.span(line.start..line.start + line.text.len());
            offences.push(view.offence(
                &RULE,
                span,
                format!("`{first}` is run here, outside of `cargo xtask`"),
            ));
        }
    }
    Ok(offences)
}
