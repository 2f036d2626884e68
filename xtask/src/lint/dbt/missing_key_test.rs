//! A model without a test of its key.

use anyhow::Result;
use serde::Deserialize;

use super::reported_at;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::{Entry, Kind, Project};
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "missing-key-test",
    group: Group::Dbt,
    severity: Severity::Medium,
    summary: "No test proves a model's key.",
    why: "Without it, a join that multiplies rows is noticed months later in a wrong number, or never. Snowflake does \
          not enforce keys: only a test does.\n\nParameters: `tests`, the tests that prove a key, with or without their \
          package; `constraints`, types of constraints that count as well (default `primary_key` and `unique`, which \
          the author has at least promised).",
    example: "```yaml\ncolumns:\n  - name: order_id\n    description: Key.\n```\n\n```yaml\ncolumns:\n  - name: order_id\n    \
              description: Key.\n    data_tests: [unique, not_null]\n```",
    remedy: "add a `unique` test to the key column, or a test of the combination of its columns",
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    tests: Vec<String>,
    constraints: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            tests: owned(&[
                "unique",
                "unique_combination_of_columns",
                "expect_column_values_to_be_unique",
                "expect_compound_columns_to_be_unique",
                "primary_key",
                "unique_key",
            ]),
            constraints: owned(&["primary_key", "unique"]),
        }
    }
}

pub(super) fn check(project: &Project<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let settings: Settings = parameters.of(&RULE)?;
    let mut offences = Vec::new();
    for (_, node) in project.relations().filter(|(_, node)| node.kind == Kind::Model) {
        if !project.entry(node).is_some_and(|entry| settings.has_key(entry)) {
            let (path, span) = reported_at(project, node);
            offences.push(RULE.offence(path, span, format!("no test proves the key of `{}`", node.name)));
        }
    }
    Ok(offences)
}

impl Settings {
    fn has_key(&self, entry: &Entry<'_>) -> bool {
        let proves = |test: &str| {
            let bare = test.rsplit('.').next().unwrap_or_default();
            self.tests.iter().any(|name| name == test || name == bare)
        };
        let constrained = |holder: &Yaml| {
            let constraints = holder.get("constraints").map(Yaml::items).unwrap_or_default();
            constraints
                .iter()
                .filter_map(|constraint| constraint.get("type").and_then(Yaml::text))
                .any(|kind| self.constraints.iter().any(|each| each == kind))
        };
        entry.tests().into_iter().any(proves)
            || constrained(&entry.node)
            || entry.columns().iter().any(constrained)
    }
}
