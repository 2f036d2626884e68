//! Configuration at the level of a model's `name`.

use super::keys;
use super::lines::move_below;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::{self, Node as Yaml};
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "top-level-config",
    group: Group::DbtV2,
    severity: Severity::Medium,
    summary: "Configuration is at the level of `name` instead of below `config:`.",
    why: "dbt v1 accepts `meta`, `tags`, `access`, `freshness` and others in both places. dbt v2 accepts them below `config:` \
          only and stops with an error.",
    example: "```yaml\nmodels:\n  - name: orders\n    meta: {owner: ann}\n```\n\n```yaml\nmodels:\n  - name: orders\n    config:\n      meta: {owner: ann}\n```",
    remedy: "run `cargo xtask lint --only dbt-v2 --fix`, or move it below `config:`",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for thing in super::things(project) {
        for key in moved(thing.kind, thing.node) {
            let name = key.text().unwrap_or_default();
            offences.push(RULE.offence(thing.path, key.span, format!("`{name}` belongs below `config:`")));
        }
    }
    offences
}

/// The keys of a mapping that belong below its `config:`.
fn moved<'a>(kind: &'a str, node: &'a Yaml) -> impl Iterator<Item = &'a Yaml> {
    node.entries().iter().map(|(key, _)| key).filter(move |key| {
        key.text().is_some_and(|name| !keys::is_property(kind, name) && keys::is_config(kind, name))
    })
}

/// Moves it, entry by entry. Only block style, and only if `config:` does not set the same key already.
pub(super) fn fix(text: &str) -> Option<String> {
    let mut text = text.to_owned();
    let mut has_changed = false;
    // Each change moves lines, so the file is parsed again; it has few entries.
    while let Some(next) = fix_one(&text) {
        text = next;
        has_changed = true;
    }
    has_changed.then_some(text)
}

fn fix_one(text: &str) -> Option<String> {
    let root = yaml::parse_one(text).ok()??;
    for (kind, entry) in entries(&root) {
        let moving: Vec<&Yaml> = moved(kind, entry).collect();
        if let Some(changed) = move_below(text, entry, &moving, "config") {
            return Some(changed);
        }
    }
    None
}

fn entries(root: &Yaml) -> Vec<(&'static str, &Yaml)> {
    let mut all = Vec::new();
    for kind in ["models", "seeds", "snapshots", "sources"] {
        for entry in root.get(kind).map(Yaml::items).unwrap_or_default() {
            all.push((kind, entry));
            let tables = entry.get("tables").map(Yaml::items).unwrap_or_default();
            all.extend(tables.iter().map(|table| ("tables", table)));
            let owners = std::iter::once(entry).chain(tables);
            let columns = owners.filter_map(|owner| owner.get("columns")).flat_map(Yaml::items);
            all.extend(columns.map(|column| ("columns", column)));
        }
    }
    all
}
