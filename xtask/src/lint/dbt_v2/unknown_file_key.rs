//! A key at the top of a property file that dbt does not know.

use super::keys;
use crate::core::finding::{Group, Severity};
use crate::core::yaml;
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Rule, Source};

pub(crate) const RULE: Rule = Rule {
    name: "unknown-file-key",
    group: Group::DbtV2,
    severity: Severity::Medium,
    summary: "dbt v2 does not know a top-level key of a property file.",
    why: "dbt v1 ignores it: a misspelt `modles:` has no effect. dbt v2 stops with an error.",
    example: "```yaml\nx-defaults: &defaults\n  meta: {team: a}\nmodels:\n  - name: orders\n    config: *defaults\n```\n\nAnchors belong in a list below `anchors:`:\n\n```yaml\nanchors:\n  - &defaults\n    meta: {team: a}\n```",
    remedy: "correct it; for YAML anchors use a list below `anchors:`",
};

pub(super) fn check(project: &Project<'_>, sources: &[&Source]) -> Vec<Offence> {
    let folders: std::collections::BTreeSet<&str> = project.entries.iter().map(|entry| entry.path).collect();
    let described: Vec<&&Source> =
        sources.iter().filter(|source| folders.contains(source.path.as_str())).collect();
    let mut offences = Vec::new();
    for source in described {
        let Ok(Some(root)) = yaml::parse_one(&source.text) else { continue };
        for (key, _) in root.entries() {
            if let Some(name) = key.text().filter(|name| !keys::is_of_file(name)) {
                let message = format!("`{name}` is not a key of a property file");
                offences.push(RULE.offence(&source.path, key.span, message));
            }
        }
    }
    offences
}
