//! Names of models, and the folders that they belong in.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use regex::Regex;
use serde::Deserialize;

use crate::core::finding::{Group, Severity};
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "model-name",
    group: Group::Dbt,
    severity: Severity::Low,
    summary: "A model's name does not fit its folder.",
    why: "Readers of a query see only the name: `stg_<source>__<entity>` shows that nothing has been added to \
          the source yet. Names become identifiers, which are lower case with underscores on every engine.\n\n\
          Parameters: `any`, a regular expression for all models; `folders`, one per folder; `prefixes`, the folders \
          that a prefix belongs in.",
    example: "`models/bronze/Orders.sql`, or `models/gold/stg_shop__orders.sql`.\n\nRename to \
              `models/bronze/stg_shop__orders.sql`; the column of a name is the entity, in the plural.",
    remedy: "rename the file, or move it to the folder that matches its name",
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    any: String,
    folders: BTreeMap<String, String>,
    prefixes: BTreeMap<String, Vec<String>>,
}

impl Default for Settings {
    fn default() -> Self {
        let staging = "^stg_[a-z0-9]+(_[a-z0-9]+)*__[a-z0-9]+(_[a-z0-9]+)*$";
        let folders = [
            ("bronze", staging),
            ("staging", "^(stg|base)_[a-z0-9_]+$"),
            ("intermediate", "^int_[a-z0-9_]+$"),
        ];
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            any: "^[a-z][a-z0-9_]*$".to_owned(),
            folders: folders.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect(),
            prefixes: [
                ("stg_".to_owned(), owned(&["bronze", "staging"])),
                ("int_".to_owned(), owned(&["silver", "intermediate"])),
            ]
            .into(),
        }
    }
}

pub(super) fn check(project: &Project<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let settings: Settings = parameters.of(&RULE)?;
    let any = pattern(&settings.any)?;
    let folders: Vec<(&str, Regex)> = settings
        .folders
        .iter()
        .map(|(folder, text)| Ok((folder.as_str(), pattern(text)?)))
        .collect::<Result<_>>()?;
    let mut offences = Vec::new();
    for (_, node) in project.models() {
        let own = folders.iter().find(|(folder, _)| node.folders.contains(folder));
        let prefix = settings.prefixes.iter().find(|(prefix, _)| node.name.starts_with(prefix.as_str()));
        let message = if let Some((folder, pattern)) = own.filter(|(_, pattern)| !pattern.is_match(node.name))
        {
            format!(
                "`{}` is not a valid name for a model of {folder}; expected {}",
                node.name,
                pattern.as_str()
            )
        } else if !any.is_match(node.name) {
            format!("`{}` is not a valid name for a model; expected {}", node.name, any.as_str())
        } else if let Some((prefix, homes)) = prefix.filter(|(_, homes)| {
            own.is_none() && !homes.iter().any(|home| node.folders.contains(&home.as_str()))
        }) && node.folders.iter().any(|folder| is_layer(&settings, folder))
        {
            format!("`{}` is named like a model of {}: `{prefix}`", node.name, homes.join(" or "))
        } else {
            continue;
        };
        offences.push(RULE.offence(node.path, node.span, message));
    }
    Ok(offences)
}

/// A prefix is misplaced only if the project has layer folders.
fn is_layer(settings: &Settings, folder: &str) -> bool {
    settings.folders.contains_key(folder)
        || settings.prefixes.values().flatten().any(|home| home == folder)
        || ["gold", "marts", "monitoring"].contains(&folder)
}

fn pattern(text: &str) -> Result<Regex> {
    Regex::new(text).with_context(|| {
        format!("failed to understand the regular expression `{text}` in [rules.{}.parameters]", RULE.name)
    })
}
