//! An expression that is invalid, or that looks up something that does not exist.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "invalid-expression",
    group: Group::Workflow,
    severity: Severity::High,
    summary: "An expression is invalid, or looks up something that does not exist.",
    why: "A syntax error stops the whole workflow. GitHub silently accepts other faults: a step or job that does not \
          exist gives an empty text, and an `if` with text around its expression is always true.",
    example: "```yaml\nif: ${{ github.event_name }} == 'push'      # always true\nrun: cargo xtask elt --schema ${{ \
              steps.plna.outputs.schema }}   # no such step\n```\n\n```yaml\nif: ${{ github.event_name == 'push' }}\n```",
    remedy: "correct it; put a whole `if` into one `${{ … }}`",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for found in &view.expressions {
        if let Err(error) = &found.parsed {
            let at =
                (found.inside + error.offset).min(found.bytes.end.saturating_sub(1)).max(found.bytes.start);
            let at = (at..=view.text.len()).find(|at| view.text.is_char_boundary(*at)).unwrap_or(at);
            offences.push(view.offence(&RULE, view.span(at..found.bytes.end), error.message.clone()));
        }
    }
    for condition in conditions(view) {
        // Blanks and line ends count as text too.
        let text = condition.text().unwrap_or_default();
        let is_whole = text.starts_with("${{") && text.ends_with("}}") && view.within(condition).count() == 1;
        if text.contains("${{") && !is_whole {
            let message = "text around an expression makes this true whatever it says";
            offences.push(view.offence(&RULE, condition.span, message));
        }
    }
    offences
}

fn conditions<'a>(view: &'a View<'_>) -> impl Iterator<Item = &'a Node> {
    let nodes = view.jobs.iter().map(|job| job.node).chain(view.steps.iter().map(|step| step.node));
    nodes.filter_map(|node| node.get("if")).filter(|condition| condition.text().is_some())
}
