//! A model, seed, snapshot or source table that nobody describes.

use anyhow::{Result, bail};
use serde::Deserialize;

use super::told_at;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "missing-description",
    group: Group::Dbt,
    severity: Severity::Low,
    summary: "A model, seed, snapshot or source table has no description.",
    why: "Whoever finds the table in the warehouse has its name and nothing else: what is in it, since when, in which \
          unit and time zone stays in its author's head. dbt carries descriptions into the documentation and, with \
          `persist_docs`, into the warehouse.\n\nParameters: `kinds`, of `model`, `seed`, `snapshot` and `source`.",
    example: "```yaml\nmodels:\n  - name: daily_demand\n```\n\n```yaml\nmodels:\n  - name: daily_demand\n    \
              description: What customers asked for and got. Grain, one row a day and product. Days are UTC.\n```",
    remedy: "say what is in it in a `description:` of a property file",
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
            let (path, span) = told_at(project, node);
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
