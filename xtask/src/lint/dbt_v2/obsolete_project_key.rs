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
    why: "`source-paths`, `data-paths`, `modules-path` and `log-path` come from older versions of dbt, which still accept \
          them or ignore them, as they ignore a misspelt key. dbt v2 stops with an error.",
    example: "```yaml\nsource-paths: [models]\ndata-paths: [data]\nlog-path: logs\n```\n\n```yaml\nmodel-paths: [models]\nseed-paths: [data]\n```",
    remedy: "write `model-paths`, `seed-paths` or `packages-install-path`; set the log folder with `DBT_LOG_PATH`",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let keys = project.settings.entries().iter().map(|(key, _)| key);
    let unknown = keys.filter_map(|key| Some((key, key.text()?)));
    unknown
        .filter(|(_, name)| !keys::is_of_project(name) || *name == "log-path")
        .map(|(key, name)| RULE.offence(project.path, key.span, format!("`{name}` is not a key for dbt v2")))
        .collect()
}
