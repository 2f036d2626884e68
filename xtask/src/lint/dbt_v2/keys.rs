//! The keys that dbt v2 knows, from the JSON schemas that dbt publishes. `keys.py` writes `keys.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::dbt::graph::Kind;

#[derive(Debug, Default, Deserialize)]
struct Keys {
    file: BTreeSet<String>,
    project: BTreeSet<String>,
    kinds: BTreeMap<String, Of>,
}

#[derive(Debug, Default, Deserialize)]
struct Of {
    properties: BTreeSet<String>,
    config: BTreeSet<String>,
    project: BTreeSet<String>,
}

static ALL: LazyLock<Keys> =
    LazyLock::new(|| serde_json::from_str(include_str!("keys.json")).unwrap_or_default());

/// The kind of an entry, if its keys are known.
pub(super) fn kind(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Model => Some("models"),
        Kind::Seed => Some("seeds"),
        Kind::Snapshot => Some("snapshots"),
        Kind::Test | Kind::Analysis => None,
    }
}

pub(super) fn is_property(kind: &str, key: &str) -> bool {
    ALL.kinds.get(kind).is_none_or(|of| of.properties.contains(key))
}

/// Whether `config:` of the kind accepts the key. Hooks are written with `-` too.
pub(super) fn is_config(kind: &str, key: &str) -> bool {
    let key = key.replace('-', "_");
    ALL.kinds.get(kind).is_none_or(|of| of.config.contains(&key))
}

/// Whether `dbt_project.yml` accepts the key, with a `+`, for the kind.
pub(super) fn is_project_config(kind: &str, key: &str) -> bool {
    let key = key.replace('-', "_");
    ALL.kinds.get(kind).is_some_and(|of| of.project.contains(&key))
}

/// Whether a property file may have the key at its top.
pub(super) fn is_of_file(key: &str) -> bool {
    ALL.file.contains(key)
}

/// Whether `dbt_project.yml` may have the key at its top.
pub(super) fn is_of_project(key: &str) -> bool {
    ALL.project.contains(key)
}

/// The keys at the top of a property file.
pub(in crate::lint) fn of_file() -> impl Iterator<Item = &'static str> + Clone {
    ALL.file.iter().map(String::as_str)
}

/// The keys at the top of `dbt_project.yml`.
pub(in crate::lint) fn of_project() -> impl Iterator<Item = &'static str> + Clone {
    ALL.project.iter().map(String::as_str)
}

/// The properties and configuration of an entry of that kind.
pub(in crate::lint) fn of_kind(kind: &str) -> impl Iterator<Item = &'static str> + Clone {
    let of = ALL.kinds.get(kind).into_iter();
    of.flat_map(|of| of.properties.iter().chain(&of.config)).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_keys_are_read() {
        assert!(is_property("models", "columns") && !is_property("models", "meta"));
        assert!(
            is_config("models", "meta") && is_config("models", "pre-hook") && !is_config("models", "owner")
        );
        assert!(is_project_config("models", "materialized") && !is_project_config("models", "gold"));
        assert!(is_of_file("sources") && !is_of_file("x") && is_of_project("vars") && !is_of_project("x"));
    }
}
