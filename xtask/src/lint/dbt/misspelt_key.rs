//! A key of a property file or of `dbt_project.yml` that is almost one that dbt knows.

use crate::core::finding::{Group, Severity, Span};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::Project;
use crate::lint::dbt_v2::{keys, things};
use crate::lint::nearest::close_to;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "misspelt-key",
    group: Group::Dbt,
    severity: Severity::Medium,
    summary: "A key of a property file or of `dbt_project.yml` is almost one that dbt knows.",
    why: "dbt ignores unknown keys, at most with a warning: the description is not shown, the tests are not run, the \
          setting has no effect. Keys that resemble none of dbt's are left to `lint --only dbt-v2`.",
    example: "```yaml\nmodels:\n  - name: orders\n    colums:\n      - name: order_id\n```\n\n```yaml\nmodels:\n  - name: \
              orders\n    columns:\n      - name: order_id\n```",
    remedy: "correct the key, or move a key of your choice below `meta`",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    let mut report = |path: &str, span: Span, name: &str, of: &str, meant: Option<&str>| {
        if let Some(meant) = meant {
            let message = format!("`{name}` is not a key of {of}; `{meant}` is");
            offences.push(RULE.offence(path, span, message));
        }
    };
    for section in &project.sections {
        let meant = unknown(&section.key, keys::of_file());
        report(section.path, section.span, &section.key, "a property file", meant);
    }
    for (key, _) in project.settings.entries() {
        let name = key.text().unwrap_or_default();
        report(project.path, key.span, name, "dbt_project.yml", unknown(name, keys::of_project()));
    }
    for thing in things(project) {
        for (key, _) in thing.node.entries() {
            let name = key.text().unwrap_or_default();
            let meant = unknown(name, keys::of_kind(thing.kind));
            let of = thing.node.get("name").and_then(Yaml::text).unwrap_or_default();
            report(thing.path, key.span, name, &format!("`{of}`"), meant);
        }
    }
    offences
}

/// The known key that an unknown one resembles.
fn unknown<'k>(name: &str, known: impl Iterator<Item = &'k str> + Clone) -> Option<&'k str> {
    let is_short = name.len() < 4;
    if is_short || known.clone().any(|key| key == name) { None } else { close_to(name, known) }
}
