//! Two nodes with the same name.

use std::collections::HashMap;

use crate::core::finding::{Group, Severity};
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "duplicate-name",
    group: Group::Dbt,
    severity: Severity::High,
    summary: "Two models, seeds or snapshots have the same name, or a node is described twice.",
    why: "`ref` identifies nodes by name alone, in any folder, and both would be built into the same relation: \
          dbt rejects the project. It also rejects two entries for one node, since it cannot decide which applies.",
    example: "`models/silver/orders.sql` and `models/gold/orders.sql`.\n\nName models after their content: \
              `orders_enriched`, `orders_by_month`.",
    remedy: "rename one, or merge the two entries",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    let mut known: HashMap<&str, (&str, &str)> = HashMap::new();
    // Two nodes may share a name if one of them is disabled, and a template may decide that.
    for (_, node) in project.relations().filter(|(_, node)| !node.may_be_disabled) {
        match known.get(node.name) {
            Some((word, path)) => offences.push(RULE.offence(
                node.path,
                node.span,
                format!("the {word} in {path} is named `{}` too", node.name),
            )),
            None => drop(known.insert(node.name, (node.kind.word(), node.path))),
        }
    }
    let mut described: HashMap<_, (&str, usize)> = HashMap::new();
    for entry in &project.entries {
        match described.get(&(entry.kind, entry.name.as_str())) {
            Some((path, line)) => offences.push(RULE.offence(
                entry.path,
                entry.span,
                format!("{path}, line {line}, describes the {} `{}` already", entry.kind.word(), entry.name),
            )),
            None => {
                described.insert((entry.kind, entry.name.as_str()), (entry.path, entry.span.line));
            }
        }
    }
    offences
}
