//! What a node is configured to be, with values: the folders of `dbt_project.yml`, the property file, the node's
//! own `config(…)`, and last what the project says about nodes of its packages. As in dbt, the later wins; hooks add
//! up and mappings merge.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::render::{Renderer, UNKNOWN};
use super::unit::Set;
use crate::core::yaml::Node as Yaml;

/// Keys with their values, each with the file that set it last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config(pub(crate) BTreeMap<String, (Json, String)>);

/// Mappings that are a value and not a folder when they have no `+`.
const MAPPINGS: [&str; 9] =
    ["meta", "grants", "persist_docs", "quoting", "column_types", "contract", "docs", "vars", "arguments"];

/// Values that are merged key by key.
const MERGED: [&str; 5] = ["meta", "quoting", "column_types", "persist_docs", "grants"];

/// Without effect on what is built.
const NEUTRAL: [&str; 11] = [
    "tags",
    "meta",
    "static_analysis",
    "docs",
    "group",
    "access",
    "description",
    "enabled",
    "freshness",
    "deprecation_date",
    "event_time",
];

/// Whether a key changes nothing that is built, unless a template reads it.
pub(crate) fn is_neutral(key: &str) -> bool {
    NEUTRAL.contains(&key)
}

impl Config {
    /// Neutral keys with their values, for templates that read them.
    pub(crate) fn neutral(&self) -> String {
        let own = self.0.iter().filter(|(key, _)| is_neutral(key));
        own.map(|(key, (value, _))| format!("{key}={value}")).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        self.0.get(key).map(|(value, _)| value).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    pub(crate) fn is_enabled(&self) -> bool {
        match self.get("enabled") {
            Some(Json::Bool(enabled)) => *enabled,
            Some(Json::String(text)) => !text.eq_ignore_ascii_case("false"),
            _ => true,
        }
    }

    /// What is part of the definition: keys with their values, but for those that dbt would set anyway.
    pub(crate) fn effective(&self) -> impl Iterator<Item = (&str, &Json, &str)> {
        self.0
            .iter()
            .filter(|(key, (value, _))| {
                !NEUTRAL.contains(&key.as_str()) && !value.is_null() && !is_default(key, value)
            })
            .map(|(key, (value, path))| (key.as_str(), value, path.as_str()))
    }

    pub(crate) fn set(&mut self, key: &str, value: Json, path: &str) {
        let key = match key {
            "pre-hook" => "pre_hook",
            "post-hook" => "post_hook",
            other => other,
        };
        let value = match (self.0.remove(key), value) {
            (Some((old, _)), new) if matches!(key, "pre_hook" | "post_hook") => {
                let mut hooks = list(old);
                hooks.extend(list(new));
                hooks.into()
            }
            (Some((Json::Array(mut old), _)), Json::Array(new)) if key == "packages" => {
                old.extend(new);
                old.into()
            }
            (None, new) if matches!(key, "pre_hook" | "post_hook") => list(new).into(),
            (Some((Json::Object(mut old), _)), Json::Object(new)) if MERGED.contains(&key) => {
                old.extend(new);
                let sorted: BTreeMap<String, Json> = old.into_iter().collect();
                Json::Object(sorted.into_iter().collect())
            }
            (_, new) => new,
        };
        self.0.insert(key.to_owned(), (value, path.to_owned()));
    }

    /// The folders of `dbt_project.yml`, from the outermost to the node's own name.
    pub(crate) fn add_project(
        &mut self,
        kinds: &[Option<&Yaml>],
        steps: &[&str],
        path: &str,
        with: &Renderer,
    ) {
        for kind in kinds.iter().flatten() {
            let mut level = *kind;
            self.add_level(level, path, with);
            for step in steps {
                match level.get(step) {
                    Some(next) if next.is_mapping() => level = next,
                    _ => break,
                }
                self.add_level(level, path, with);
            }
        }
    }

    fn add_level(&mut self, level: &Yaml, path: &str, with: &Renderer) {
        for (key, value) in level.entries() {
            let Some(key) = key.text() else { continue };
            let plain = key.strip_prefix('+');
            if plain.is_some() || !value.is_mapping() || MAPPINGS.contains(&key) {
                self.set_node(plain.unwrap_or(key), value, path, with);
            }
        }
    }

    fn set_node(&mut self, key: &str, value: &Yaml, path: &str, with: &Renderer) {
        // Hooks are rendered when they run: what they say is their text.
        let is_late = matches!(key, "pre-hook" | "post-hook" | "pre_hook" | "post_hook");
        let value = if is_late { super::render::plain(value) } else { with.value(value) };
        self.set(key, value, path);
    }

    /// `config:` of a property file.
    pub(crate) fn add_properties(&mut self, config: Option<&Yaml>, path: &str, with: &Renderer) {
        for (key, value) in config.map(Yaml::entries).unwrap_or_default() {
            if let Some(key) = key.text() {
                self.set_node(key, value, path, with);
            }
        }
    }

    /// `config(…)` of the node's own file.
    pub(crate) fn add_calls(&mut self, calls: &[(String, Set)], path: &str, with: &Renderer) {
        for (key, value) in calls {
            let value = match value {
                Set::Value(value) => value.clone(),
                Set::Expression(text) => with
                    .text(&format!("{{{{ {text} }}}}"))
                    .unwrap_or_else(|| format!("{UNKNOWN}{text}").into()),
            };
            self.set(key, value, path);
        }
    }
}

/// Whether a value is what dbt takes without it.
fn is_default(key: &str, value: &Json) -> bool {
    const EMPTY: [&str; 7] =
        ["column_types", "grants", "packages", "persist_docs", "post_hook", "pre_hook", "quoting"];
    match (key, value) {
        ("severity", Json::String(text)) => text.eq_ignore_ascii_case("error"),
        ("warn_if" | "error_if", Json::String(text)) => text == "!= 0",
        ("fail_calc", Json::String(text)) => text == "count(*)",
        ("on_schema_change", Json::String(text)) => text == "ignore",
        ("on_configuration_change", Json::String(text)) => text == "apply",
        ("delimiter", Json::String(text)) => text == ",",
        (_, Json::Array(items)) if EMPTY.contains(&key) => items.is_empty(),
        (_, Json::Object(items)) if EMPTY.contains(&key) => items.is_empty(),
        _ => false,
    }
}

fn list(value: Json) -> Vec<Json> {
    match value {
        Json::Array(items) => items,
        Json::Null => Vec::new(),
        one => vec![one],
    }
}
