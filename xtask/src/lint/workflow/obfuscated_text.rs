//! A text that hides what it is: an expression without a variable part, a path with detours.

use super::expression::Expression;
use super::view::{Step, View};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "obfuscated-text",
    group: Group::Workflow,
    severity: Severity::Low,
    summary: "A script has an expression that is always the same text, or a `uses` has a path with detours.",
    why: "Readers and tools that look for a name do not find it. Both are used to hide malicious changes in reviews.",
    example: "```yaml\n- uses: actions/cache/save/../restore@…\n- run: echo ${{ format('{0}', 'abc') }}\n```\n\n```yaml\n- uses: \
              actions/cache/restore@…\n- run: echo abc\n```",
    remedy: "write the text itself",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for uses in view.steps.iter().filter_map(Step::uses) {
        let action = uses.text().unwrap_or_default().split('@').next().unwrap_or_default();
        let is_public =
            !action.starts_with(['.', '$']) && !action.starts_with("docker:") && action.contains('/');
        if is_public && action.split('/').any(|part| matches!(part, "" | "." | "..")) {
            offences.push(view.offence(&RULE, uses.span, format!("`{action}` is a path with detours")));
        }
    }
    for (_, script) in view.scripts() {
        for found in view.within(script) {
            let Ok(expression) = &found.parsed else { continue };
            // A comparison of two values hides no text.
            let is_text = !matches!(expression, Expression::Not(_) | Expression::Binary(..));
            let mut is_folded = is_text && is_constant(expression);
            expression.walk(&mut |each| {
                is_folded |=
                    matches!(each, Expression::Call(name, _) if name == "format") && is_constant(each);
            });
            if is_folded {
                offences.push(view.offence(
                    &RULE,
                    found.span,
                    "this, or a part of it, is the same text in every run",
                ));
            }
        }
    }
    offences
}

fn is_constant(expression: &Expression) -> bool {
    expression.paths().is_empty() && expression.placed_calls().is_empty()
}
