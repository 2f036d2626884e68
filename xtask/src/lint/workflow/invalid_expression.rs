//! An expression that is invalid, or that looks up something that does not exist.

use std::collections::{HashMap, HashSet};

use super::view::{Found, Kind, View};
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
        let text = condition.text().unwrap_or_default().trim();
        if text.contains("${{") && !(text.starts_with("${{") && text.find("}}") == Some(text.len() - 2)) {
            let is_whole = view.within(condition).next().is_some_and(|found| covers(view, condition, found));
            if !is_whole {
                let message = "text around an expression makes this true whatever it says";
                offences.push(view.offence(&RULE, condition.span, message));
            }
        }
    }
    unknown_look_ups(view, &mut offences);
    offences
}

fn conditions<'a>(view: &'a View<'_>) -> impl Iterator<Item = &'a Node> {
    let nodes = view.jobs.iter().map(|job| job.node).chain(view.steps.iter().map(|step| step.node));
    nodes.filter_map(|node| node.get("if")).filter(|condition| condition.text().is_some())
}

/// Whether the expression is the whole value.
fn covers(view: &View<'_>, value: &Node, found: &Found) -> bool {
    let raw = view.text[value.bytes.clone()].trim().trim_matches(['"', '\'']);
    raw.len() <= found.bytes.len()
        || raw.trim_start_matches(['|', '>', '-', '+', ' ', '\n']).len() <= found.bytes.len()
}

fn unknown_look_ups(view: &View<'_>, offences: &mut Vec<Offence>) {
    let mut steps: HashMap<Option<usize>, HashSet<String>> = HashMap::new();
    for step in &view.steps {
        let id = step.node.get("id").and_then(Node::text).map(str::to_lowercase);
        steps.entry(step.job).or_default().extend(id);
    }
    let none = HashSet::new();
    for (at, job) in view.jobs.iter().enumerate() {
        let needs = job.node.get("needs").map(Node::one_or_many).unwrap_or_default();
        let needs: HashSet<String> =
            needs.iter().filter_map(|need| Some(need.text()?.to_lowercase())).collect();
        for found in view.within(job.node) {
            report(view, found, steps.get(&Some(at)).unwrap_or(&none), Some(&needs), offences);
        }
    }
    if view.kind == Kind::Action {
        for found in &view.expressions {
            report(view, found, steps.get(&None).unwrap_or(&none), None, offences);
        }
    }
}

fn report(
    view: &View<'_>,
    found: &Found,
    steps: &HashSet<String>,
    needs: Option<&HashSet<String>>,
    offences: &mut Vec<Offence>,
) {
    let Ok(expression) = &found.parsed else { return };
    for path in expression.paths() {
        let [context, name, ..] = path.as_slice() else { continue };
        let message = match context.as_str() {
            _ if name == "*" => continue,
            "steps" if !steps.contains(name) => {
                format!("no step of this job has the id `{name}`")
            }
            "needs" if needs.is_some_and(|known| !known.contains(name)) => {
                format!("this job does not need `{name}`")
            }
            _ => continue,
        };
        offences.push(view.offence(&RULE, found.span, message));
    }
}
