//! A condition that takes the actor of a run for the author of its content.

use super::expression::{Expression, Operator};
use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "spoofable-bot",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A condition trusts a bot by the actor of the run.",
    why: "`github.actor` is the account that caused the last event, and not the author of the pull request. An attacker \
          lets the bot act last on a pull request with foreign commits, and the condition is true.",
    example: "```yaml\non: pull_request_target\njobs:\n  merge:\n    if: github.actor == 'dependabot[bot]'\n```\n\n```yaml\n    \
              if: github.event.pull_request.user.login == 'dependabot[bot]'\n```",
    remedy: "compare `github.event.pull_request.user.login`",
};

/// Events that run with secrets for the content of others.
const PRIVILEGED: [&str; 4] = ["pull_request_target", "workflow_run", "issue_comment", "pull_request_review"];

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    if !view.events().iter().any(|event| PRIVILEGED.contains(event)) {
        return Vec::new();
    }
    let mut offences = Vec::new();
    for found in &view.expressions {
        let Ok(expression) = &found.parsed else { continue };
        let mut trusts = false;
        expression.walk(&mut |each| trusts |= trusts_bot(each));
        if trusts {
            let message = "the actor is who caused the last event, not the author of the content";
            offences.push(view.offence(&RULE, found.span, message));
        }
    }
    offences
}

/// A comparison of the actor with the name or number of a bot.
fn trusts_bot(expression: &Expression) -> bool {
    let Expression::Binary(Operator::Equal, left, right) = expression else { return false };
    [(left, right), (right, left)].into_iter().any(|(side, value)| {
        let path = side.path().unwrap_or_default();
        match (path.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), &**value) {
            (["github", "actor" | "triggering_actor"], Expression::Text(name)) => name.ends_with("[bot]"),
            (["github", "actor_id"], Expression::Text(_) | Expression::Number(_)) => true,
            _ => false,
        }
    })
}
