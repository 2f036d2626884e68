//! A published model without a contract.

use anyhow::Result;
use serde::Deserialize;

use super::reported_at;
use crate::core::finding::{Group, Severity};
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "missing-contract",
    group: Group::Dbt,
    severity: Severity::Medium,
    summary: "A published model has no enforced contract.",
    why: "Dashboards break when a column is renamed or changes its type, and no check in the project notices. With an \
          enforced contract dbt refuses to build a model whose columns and types differ from the declared ones.\n\n\
          Parameters: `folders` (default `gold`).",
    example: "```yaml\n# dbt_project.yml\nmodels:\n  shop:\n    gold:\n      +contract:\n        enforced: true\n```",
    remedy: "set `contract: {enforced: true}` for it or its folder, and give every column its `data_type`",
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    folders: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { folders: vec!["gold".to_owned()] }
    }
}

pub(super) fn check(project: &Project<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let settings: Settings = parameters.of(&RULE)?;
    let mut offences = Vec::new();
    for (_, node) in project.models() {
        let Some(folder) = settings.folders.iter().find(|folder| node.folders.contains(&folder.as_str()))
        else {
            continue;
        };
        let enforced = "contract.enforced";
        if node.settings.truth(enforced) != Some(true) && !node.settings.is_unknown(enforced) {
            let (path, span) = node
                .settings
                .get(enforced)
                .map_or_else(|| reported_at(project, node), |setting| (setting.path.as_str(), setting.span));
            let message = format!("`{}` of {folder} has no enforced contract", node.name);
            offences.push(RULE.offence(path, span, message));
        }
    }
    Ok(offences)
}
