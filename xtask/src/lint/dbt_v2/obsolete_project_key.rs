//! A key of `dbt_project.yml` that dbt v2 does not accept.

use std::ops::Range;

use super::keys;
use crate::core::finding::{Group, Severity};
use crate::core::yaml;
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
    remedy: "run `cargo xtask lint --only dbt-v2 --fix`, or write `model-paths`, `seed-paths` or `packages-install-path`; set \
             the other folders with `DBT_TARGET_PATH` and `DBT_LOG_PATH`",
};

/// Keys that dbt v1 reads as others, if those are not there.
const RENAMED: [(&str, &str); 2] = [("source-paths", "model-paths"), ("data-paths", "seed-paths")];

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

/// Renames keys.
pub(super) fn fix(text: &str) -> Option<String> {
    let root = yaml::parse_one(text).ok()??;
    let rename = |(old, new): &(&str, &'static str)| {
        let key = root.entry(old).filter(|_| root.get(new).is_none())?.0;
        Some((key.bytes.clone(), *new))
    };
    let mut renamed: Vec<(Range<usize>, &str)> = RENAMED.iter().filter_map(rename).collect();
    renamed.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(place.start));
    let mut fixed = text.to_owned();
    for (place, new) in &renamed {
        fixed.replace_range(place.clone(), new);
    }
    (!renamed.is_empty()).then_some(fixed)
}
