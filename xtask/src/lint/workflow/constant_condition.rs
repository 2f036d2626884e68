//! A condition that is the same in every run.

use super::expression::Expression;
use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "constant-condition",
    group: Group::Workflow,
    severity: Severity::Low,
    summary: "An if is the same in every run.",
    why: "A step that never runs is dead text, which readers take for a check that passes; one that always runs does \
          not need an `if`.",
    example: "```yaml\n- run: dbt test\n  if: false\n```",
    remedy: "remove the `if`, or the step",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let jobs = view.jobs.iter().map(|job| job.node);
    let nodes = jobs.clone().chain(view.steps.iter().map(|step| step.node));
    let nodes = nodes.chain(jobs.filter_map(|job| job.get("snapshot")));
    let offences = nodes.filter_map(|node| node.get("if")).filter_map(|condition| {
        let text = condition.text()?.trim();
        let expression = text.strip_prefix("${{").and_then(|text| text.strip_suffix("}}")).unwrap_or(text);
        let constant = Expression::parse(expression).is_ok_and(|parsed| is_constant(&parsed));
        constant.then(|| view.offence(&RULE, condition.span, "this condition is the same in every run"))
    });
    offences.collect()
}

fn is_constant(expression: &Expression) -> bool {
    expression.paths().is_empty() && expression.placed_calls().is_empty()
}
