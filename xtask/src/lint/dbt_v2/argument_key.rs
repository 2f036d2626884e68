//! A key of a test's argument that is not an identifier.

use super::Test;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "argument-key",
    group: Group::DbtV2,
    severity: Severity::Medium,
    summary: "A dictionary argument of a test contains Jinja and a key that is not an identifier.",
    why: "dbt v2 creates a variable for each key of such a dictionary, `{% set dbt_custom_arg_rules_<key> %}`, so that a key with \
          a space, a dash or a dot is a syntax error in a generated file.",
    example: "```yaml\n- rules_hold:\n    arguments:\n      rules:\n        stock is low: on_hand < {{ var('limit') }}\n```\n\n```yaml\n- rules_hold:\n    arguments:\n      rules:\n        stock_is_low: on_hand < {{ var('limit') }}\n```",
    remedy: "write the key with letters, digits and `_` only",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for Test { path, name, body } in super::tests(project) {
        let arguments = body.get("arguments").unwrap_or(body);
        for (argument, value) in arguments.entries() {
            if argument.text() == Some("config") || !has_jinja(value) {
                continue;
            }
            for (key, _) in value.entries() {
                if let Some(text) = key.text().filter(|text| !is_identifier(text)) {
                    let message = format!("the key `{text}` of an argument of `{name}` is not an identifier");
                    offences.push(RULE.offence(path, key.span, message));
                }
            }
        }
    }
    offences
}

fn has_jinja(node: &Yaml) -> bool {
    let text = node.text().is_some_and(|text| text.contains("{{") || text.contains("{%"));
    text || node.items().iter().any(has_jinja) || node.entries().iter().any(|(_, value)| has_jinja(value))
}

fn is_identifier(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
