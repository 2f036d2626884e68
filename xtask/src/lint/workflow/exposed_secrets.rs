//! Secrets that a step gets beyond the one that it needs, or in a form that the log does not hide.

use super::expression::Expression;
use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "exposed-secrets",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "An expression passes on all secrets, or takes a secret apart.",
    why: "`toJSON(secrets)` gives one step every secret of the repository. GitHub hides only whole secrets in logs: a \
          part of one, from `fromJSON`, appears in plain text.",
    example: "```yaml\nenv:\n  ALL: ${{ toJSON(secrets) }}\n  PASSWORD: ${{ fromJSON(secrets.LOGIN).password }}\n```\n\n```yaml\nenv:\n  \
              PASSWORD: ${{ secrets.PASSWORD }}\n```",
    remedy: "store each value as its own secret, and pass the one that is needed",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for found in &view.expressions {
        let Ok(expression) = &found.parsed else { continue };
        let mut messages: Vec<&str> = Vec::new();
        expression.walk(&mut |each| {
            let Expression::Call(name, arguments) = each else { return };
            let path = arguments.first().and_then(Expression::path).unwrap_or_default();
            match (name.as_str(), path.first().map(String::as_str), path.len()) {
                ("tojson", Some("secrets"), 1) => messages.push("this passes on every secret"),
                ("fromjson", Some("secrets"), 2..) => {
                    messages.push("GitHub does not hide a part of a secret in logs");
                }
                _ => {}
            }
        });
        offences.extend(messages.into_iter().map(|message| view.offence(&RULE, found.span, message)));
    }
    offences
}
