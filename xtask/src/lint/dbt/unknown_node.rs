//! Properties of something that does not exist.

use crate::core::finding::{Group, Severity};
use crate::dbt::graph::{Kind, Project};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "unknown-node",
    group: Group::Dbt,
    severity: Severity::Medium,
    summary: "A property file describes a model, seed or snapshot that does not exist.",
    why: "dbt only warns: the description is not shown anywhere, and the tests of the intended model are not run.",
    example: "```yaml\nmodels:\n  - name: stg_shop_orders   # the file is stg_shop__orders.sql\n```\n\nWrite the name \
              of the model's file, without its extension.",
    remedy: "correct the name, or delete the entry if the model was deleted",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let offences = project
        .entries
        .iter()
        .filter(|entry| {
            entry.about.is_empty() && entry.kind != Kind::Analysis && entry.node.get("relation").is_none()
        })
        .map(|entry| {
            RULE.offence(
                entry.path,
                entry.span,
                format!("no {} is named `{}`", entry.kind.word(), entry.name),
            )
        });
    offences.collect()
}
