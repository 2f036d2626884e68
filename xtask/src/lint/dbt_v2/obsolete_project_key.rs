//! A key of `dbt_project.yml` that dbt v2 does not accept.

use super::keys;
use crate::core::finding::{Group, Severity};
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "obsolete-project-key",
    group: Group::DbtV2,
    severity: Severity::Medium,
    summary: "`dbt_project.yml` has a key that dbt v2 does not accept.",
    why: "`source-paths`, `data-paths` and `modules-path` come from older versions of dbt, which still accept them or ignore \
          them, as they ignore a misspelt key. dbt v2 stops with an error, and accepts `target-path` and `log-path` only \
          with their defaults, `target` and `logs`.",
    example: "```yaml\nsource-paths: [models]\ndata-paths: [data]\ntarget-path: ../out\n```\n\n```yaml\nmodel-paths: [models]\nseed-paths: [data]\n```",
    remedy: "write `model-paths`, `seed-paths` or `packages-install-path`; set the other folders with `DBT_TARGET_PATH` \
             and `DBT_LOG_PATH`",
};

/// Folders that dbt v2 takes from the command line and the environment only, and where they are without.
const DEFAULTS: [(&str, &str); 2] = [("target-path", "target"), ("log-path", "logs")];

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let entries = project.settings.entries().iter();
    let refused = entries.filter_map(|(key, value)| Some((key, refusal(key.text()?, value.text())?)));
    refused.map(|(key, message)| RULE.offence(project.path, key.span, message)).collect()
}

fn refusal(name: &str, value: Option<&str>) -> Option<String> {
    match DEFAULTS.iter().find(|(folder, _)| *folder == name) {
        Some((_, default)) => {
            (value != Some(default)).then(|| format!("dbt v2 accepts `{name}` only as `{default}`"))
        }
        None => (!keys::is_of_project(name)).then(|| format!("`{name}` is not a key for dbt v2")),
    }
}
