//! A condition that looks for a value inside of a text instead of a list.

use super::expression::Expression;
use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "unsound-contains",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A condition searches a text for a value that others choose.",
    why: "`contains('refs/heads/main', github.ref)` is true for every part of the text: for a branch named `main`, and for \
          one named `ma`. A list is compared entry by entry.",
    example: "```yaml\nif: contains('main,prod', github.ref_name)\n```\n\n```yaml\nif: contains(fromJSON('[\"main\", \"prod\"]'), \
              github.ref_name)\n```",
    remedy: "search a list: `contains(fromJSON('[…]'), …)`",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    let nodes = view.jobs.iter().map(|job| job.node).chain(view.steps.iter().map(|step| step.node));
    for condition in nodes.filter_map(|node| node.get("if")) {
        for found in view.within(condition) {
            let Ok(expression) = &found.parsed else { continue };
            let mut is_unsound = false;
            expression.walk(&mut |each| is_unsound |= searches_text(each));
            if is_unsound {
                let message = "this is true for every part of the text: search a list";
                offences.push(view.offence(&RULE, found.span, message));
            }
        }
    }
    offences
}

fn searches_text(expression: &Expression) -> bool {
    let Expression::Call(name, arguments) = expression else { return false };
    let [Expression::Text(_), value] = arguments.as_slice() else { return false };
    let of_others = ["github", "env", "runner", "inputs", "matrix", "steps", "needs"];
    name == "contains"
        && value
            .path()
            .and_then(|path| path.into_iter().next())
            .is_some_and(|first| of_others.contains(&first.as_str()))
}
