//! A documented column that the model does not have.

use std::collections::HashSet;

use crate::core::finding::{Group, Severity};
use crate::dbt::graph::{Kind, Project, columns};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "unknown-column",
    group: Group::Dbt,
    severity: Severity::Medium,
    summary: "A property file describes a column that the model does not select.",
    why: "The description has no subject, and a test on the column fails at run time, or was silently dropped with \
          it. Only models whose final select lists its columns explicitly are checked; those with a star or a loop \
          are not.",
    example: "```sql\nselect order_id, unit_price from orders\n```\n\n```yaml\ncolumns:\n  - name: price   # the model \
              says unit_price\n```",
    remedy: "rename or delete the entry, or select the column",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (_, node) in project.relations().filter(|(_, node)| node.kind == Kind::Model && node.is_sql()) {
        let Some(entry) = project.entry(node).filter(|entry| !entry.columns().is_empty()) else { continue };
        // With versions, each version has its own columns.
        if entry.about.len() > 1 || entry.node.get("versions").is_some() {
            continue;
        }
        let Some(selected) = columns::of(node.text) else { continue };
        let selected: HashSet<String> = selected.into_iter().collect();
        for name in entry.columns().iter().filter_map(|column| column.get("name")) {
            let Some(text) = name.text().filter(|text| !text.contains("{{")) else { continue };
            if !selected.contains(&text.trim_matches('"').to_lowercase()) {
                let message = format!("`{}` selects no column `{text}`", node.name);
                offences.push(RULE.offence(entry.path, name.span, message));
            }
        }
    }
    offences
}
