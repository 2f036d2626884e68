//! Configuration that dbt does not know.

use super::keys;
use crate::core::finding::{Group, Severity};
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "unknown-config",
    group: Group::DbtV2,
    severity: Severity::Medium,
    summary: "dbt v2 does not know a configuration.",
    why: "dbt v1 keeps any key, and macros may read it by `config.get`. dbt v2 stops with an error: custom keys \
          belong below `meta`, where `config.meta_get` or `config.get('meta')` finds them.",
    example: "```sql\n{{ config(materialized='table', owner='ann') }}\n```\n\n```sql\n{{ config(materialized='table', meta={'owner': 'ann'}) }}\n```",
    remedy: "correct it, or move it below `meta` together with the macros that read it",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for thing in super::things(project) {
        let config = thing.node.get("config");
        for (key, _) in config.map(crate::core::yaml::Node::entries).unwrap_or_default() {
            if let Some(name) = key.text().filter(|name| !keys::is_config(thing.kind, name)) {
                offences.push(RULE.offence(
                    thing.path,
                    key.span,
                    format!("`{name}` is not a configuration of dbt v2"),
                ));
            }
        }
    }
    for (_, node) in project.relations() {
        let Some(kind) = keys::kind(node.kind) else { continue };
        for called in node.template.calls.iter().filter(|called| called.call.name == "config") {
            let names = called.call.arguments.iter().filter_map(|(name, _)| *name);
            for name in names.filter(|name| !keys::is_config(kind, name)) {
                let message = format!("`{name}` is not a configuration of dbt v2");
                offences.push(RULE.offence(node.path, called.span, message));
            }
        }
    }
    offences
}
