//! A model, seed, snapshot or source table without a description.

use anyhow::{Result, bail};
use serde::Deserialize;

use super::reported_at;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "missing-description",
    group: Group::Dbt,
    severity: Severity::Low,
    summary: "A model, seed, snapshot or source table has no description.",
    why: "Users who find the table in the warehouse see only its name: its content, time range, units and time zone \
          are known only to its author. dbt copies descriptions into the documentation and, with \
          `persist_docs`, into the warehouse.\n\nParameters: `kinds`, of `model`, `seed`, `snapshot` and `source`.",
    example: "```yaml\nmodels:\n  - name: daily_demand\n```\n\n```yaml\nmodels:\n  - name: daily_demand\n    \
              description: What customers asked for and got. Grain, one row per day and product. Days are UTC.\n```",
    remedy: "describe its content in a `description:` of a property file",
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    kinds: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { kinds: KINDS.iter().map(|&kind| kind.to_owned()).collect() }
    }
}

const KINDS: [&str; 4] = ["model", "seed", "snapshot", "source"];

pub(super) fn check(project: &Project<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let settings: Settings = parameters.of(&RULE)?;
    if let Some(kind) = settings.kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        bail!("unknown kind `{kind}` in [rules.{}.parameters]: use {}", RULE.name, KINDS.join(", "));
    }
    let wanted = |kind: &str| settings.kinds.iter().any(|each| each == kind);
    let mut offences = Vec::new();
    for (_, node) in project.relations().filter(|(_, node)| wanted(node.kind.word())) {
        if project.entry(node).and_then(|entry| entry.description()).is_none() {
            let (path, span) = reported_at(project, node);
            let message = format!("the {} `{}` has no description", node.kind.word(), node.name);
            offences.push(RULE.offence(path, span, message));
        }
    }
    for table in project.sources.iter().filter(|_| wanted("source")) {
        let description = table.node.get("description").and_then(Yaml::text);
        if description.is_none_or(|text| text.trim().is_empty()) {
            let message = format!("the source table `{}.{}` has no description", table.source, table.name);
            offences.push(RULE.offence(table.path, table.span, message));
        }
    }
    Ok(offences)
}
