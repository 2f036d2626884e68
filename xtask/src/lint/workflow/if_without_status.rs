//! A job's `if` that GitHub extends with `success()`.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "if-without-status",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A job with needs has an if without a status function.",
    why: "GitHub then puts `success() &&` before the condition: the job is skipped as soon as any job it needs was \
          skipped or failed, whatever the condition says. A clean-up job for failed builds never runs.",
    example: "```yaml\nneeds: [build]\nif: needs.build.outputs.action == 'cleanup'\n```\n\n```yaml\nneeds: [build]\nif: \
              ${{ !cancelled() && needs.build.result == 'success' && needs.build.outputs.action == 'cleanup' }}\n```",
    remedy: "write `!cancelled() && needs.x.result == 'success' && …`, or `success() && …` if that is intended",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for job in view.jobs.iter().filter(|job| job.node.get("needs").is_some()) {
        let Some(condition) = job.node.get("if") else { continue };
        let mut expressions =
            view.within(condition).filter_map(|found| found.parsed.as_ref().ok()).peekable();
        if expressions.peek().is_some() && !expressions.any(super::expression::Expression::asks_status) {
            let message = format!("`{}` is skipped whenever a job it needs was skipped or failed", job.id);
            offences.push(view.offence(&RULE, condition.span, message));
        }
    }
    offences
}
