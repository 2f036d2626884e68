//! An incremental model that cannot replace a row.

use anyhow::Result;
use serde::Deserialize;

use crate::core::finding::{Group, Severity};
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "incremental-without-key",
    group: Group::Dbt,
    severity: Severity::Medium,
    summary: "An incremental model has no unique_key.",
    why: "Without a key dbt appends: a row that arrives late, or a run that is repeated after a failure, leaves \
          duplicate rows that no later run removes.\n\nParameters: `strategies`, those that need no key \
          (default `append`, `insert_overwrite`, `microbatch`).",
    example: "```sql\n{{ config(materialized='incremental') }}\n```\n\n```sql\n{{ config(materialized='incremental', \
              unique_key='movement_id') }}\n```",
    remedy: "set `unique_key` to the key, or `incremental_strategy='append'` if rows never arrive twice",
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    strategies: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { strategies: ["append", "insert_overwrite", "microbatch"].map(str::to_owned).into() }
    }
}

pub(super) fn check(project: &Project<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let settings: Settings = parameters.of(&RULE)?;
    let strategy = "incremental_strategy";
    let offences = project.models().filter_map(|(_, node)| {
        let materialized = node.settings.get("materialized")?;
        let needs_key = node.settings.text("materialized") == Some("incremental")
            && !node.settings.is_set("unique_key")
            && !node.settings.is_unknown(strategy)
            && !node
                .settings
                .text(strategy)
                .is_some_and(|given| settings.strategies.iter().any(|each| each == given));
        // Reported at the model's own setting; a folder's setting would be reported once for all its models.
        let (path, span) = if materialized.path == node.path {
            (node.path, materialized.span)
        } else {
            (node.path, node.span)
        };
        needs_key.then(|| {
            RULE.offence(path, span, format!("`{}` is incremental and has no unique_key", node.name))
        })
    });
    Ok(offences.collect())
}
