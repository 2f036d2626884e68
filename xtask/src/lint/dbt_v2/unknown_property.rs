//! A key at the level of a model's `name` that dbt does not know.

use super::keys;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "unknown-property",
    group: Group::DbtV2,
    severity: Severity::Medium,
    summary: "dbt v2 does not know a property of a model, seed, snapshot, source, table or column.",
    why: "dbt v1 ignores it, so a misspelt key seems to have an effect. dbt v2 stops with an error.",
    example: "```yaml\nmodels:\n  - name: orders\n    owner: ann\n```\n\nWrite custom properties below `meta`:\n\n```yaml\nmodels:\n  - name: orders\n    config:\n      meta:\n        owner: ann\n```",
    remedy: "correct it, or move it below `config: {meta: …}`",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for thing in super::things(project) {
        for (key, _) in thing.node.entries() {
            let Some(name) = key.text() else { continue };
            // Keys of `config:` are reported by `top-level-config`, with another remedy.
            if !keys::is_property(thing.kind, name) && !keys::is_config(thing.kind, name) {
                let of = thing.node.get("name").and_then(Yaml::text).unwrap_or_default();
                offences.push(RULE.offence(
                    thing.path,
                    key.span,
                    format!("`{name}` of `{of}` is not a property"),
                ));
            }
        }
    }
    offences
}
