//! Configuration in `dbt_project.yml` without a `+`.

use super::keys;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::{self, Node as Yaml};
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "unprefixed-config",
    group: Group::DbtV2,
    severity: Severity::Medium,
    summary: "A configuration in `dbt_project.yml` is written without a `+`.",
    why: "Without it a key may be a configuration or a folder. dbt v1 guesses; dbt v2 treats it as a folder and stops with \
          an error.",
    example: "```yaml\nmodels:\n  shop:\n    materialized: table\n```\n\n```yaml\nmodels:\n  shop:\n    +materialized: table\n```",
    remedy: "run `cargo xtask lint --only dbt-v2 --fix`, or write a `+` in front of it",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let of = |key: &Yaml| {
        let name = key.text().unwrap_or_default();
        RULE.offence(project.path, key.span, format!("`{name}` needs a `+` in front of it"))
    };
    unprefixed(&project.settings).into_iter().map(of).collect()
}

fn unprefixed(settings: &Yaml) -> Vec<&Yaml> {
    let mut found = Vec::new();
    for (kind, name) in [
        ("models", "models"),
        ("seeds", "seeds"),
        ("snapshots", "snapshots"),
        ("data_tests", "data_tests"),
        ("data_tests", "tests"),
        ("sources", "sources"),
    ] {
        if let Some(level) = settings.get(name) {
            below(kind, level, &mut found);
        }
    }
    found
}

/// A known name whose value is not a mapping cannot be a folder. One with a mapping may be a folder, so it is not
/// reported, and neither is anything below it that has a `+`.
fn below<'a>(kind: &str, level: &'a Yaml, found: &mut Vec<&'a Yaml>) {
    for (key, value) in level.entries() {
        let Some(name) = key.text() else { continue };
        if name.starts_with('+') {
            continue;
        }
        if value.is_mapping() {
            below(kind, value, found);
        } else if keys::is_project_config(kind, name) {
            found.push(key);
        }
    }
}

pub(super) fn fix(text: &str) -> Option<String> {
    let root = yaml::parse_one(text).ok()??;
    let mut places: Vec<usize> = unprefixed(&root).into_iter().map(|key| key.bytes.start).collect();
    places.sort_unstable();
    // A quoted key gets its `+` after the quote.
    let mut fixed = text.to_owned();
    for place in places.iter().rev() {
        let at = place + usize::from(text[*place..].starts_with(['"', '\'']));
        fixed.insert(at, '+');
    }
    (!places.is_empty()).then_some(fixed)
}
