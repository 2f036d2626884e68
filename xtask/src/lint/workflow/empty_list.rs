//! A list without entries where GitHub expects some.

use super::view::{Kind, View};
use crate::core::finding::{Group, Severity};
use crate::core::yaml::{Node, Value};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "empty-list",
    group: Group::Workflow,
    severity: Severity::Low,
    summary: "A list of a workflow has no entries.",
    why: "An empty list of branches or paths is easily taken for \"all\" or for \"none\", and a row of a matrix without \
          values fails the job.",
    example: "```yaml\non:\n  push:\n    branches: []\n```",
    remedy: "remove the key, or fill the list",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    let roots =
        ["on", "jobs"].iter().filter(|_| view.kind == Kind::Workflow).filter_map(|key| view.root.entry(key));
    let mut open: Vec<(&Node, &Node)> = roots.collect();
    while let Some((key, node)) = open.pop() {
        match &node.value {
            // `steps` is reported by `invalid-workflow`.
            Value::Sequence(items) if items.is_empty() && key.text() != Some("steps") => {
                let message = format!("`{}` has no entries", key.text().unwrap_or_default());
                offences.push(view.offence(&RULE, node.span, message));
            }
            Value::Sequence(items) => open.extend(items.iter().map(|item| (key, item))),
            Value::Mapping(entries) => open.extend(entries.iter().map(|(key, value)| (key, value))),
            Value::Scalar { .. } => {}
        }
    }
    offences
}
