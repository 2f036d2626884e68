//! Custom schemas outside the environment's schema.

use std::collections::BTreeSet;

use crate::core::finding::{Group, Severity};
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "custom-schema",
    group: Group::Dbt,
    severity: Severity::Medium,
    summary: "A custom schema is set, and no generate_schema_name keeps it inside the environment.",
    why: "dbt then creates an additional schema for each: `issue_42_staging` next to `issue_42`. An environment is one \
          schema, so additional schemas are neither cloned nor dropped with it, and stay forever.",
    example: "```yaml\nmodels:\n  shop:\n    staging:\n      +schema: staging\n```\n\nDistinguish layers by folder and tag, or \
              add a macro:\n\n```sql\n{% macro generate_schema_name(custom_schema_name, node) %}{{ target.schema }}\
              {% endmacro %}\n```",
    remedy: "remove the setting, or add a generate_schema_name that returns target.schema",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    if project.macros.iter().any(|each| each.keyword == "macro" && each.name == "generate_schema_name") {
        return Vec::new();
    }
    // A folder's setting is reported once, at the setting itself.
    let mut seen = BTreeSet::new();
    let offences = project
        .relations()
        .filter_map(|(_, node)| node.settings.get("schema").filter(|_| node.settings.is_set("schema")))
        .filter(|setting| seen.insert((&setting.path, setting.span)))
        .map(|setting| {
            let message = "this schema is outside the environment's schema";
            RULE.offence(&setting.path, setting.span, message)
        });
    offences.collect()
}
