//! What a node is configured to be: `dbt_project.yml`'s folders, then the property file, then the node's own
//! `config(…)`, the later winning, as in dbt.

use std::collections::BTreeMap;

use super::jinja::{Call, Literal};
use crate::core::finding::Span;
use crate::core::yaml::{Node, Value};

/// Keys by name; of a mapping, `key.inner` too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings(BTreeMap<String, Setting>);

#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) value: Set,
    /// The file that says so, and where.
    pub(crate) path: String,
    pub(crate) span: Span,
}

/// What a key is set to, as far as rules ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    Text(String),
    Truth(bool),
    /// Null, or an empty list or mapping.
    Nothing,
    /// A list or mapping with something in it.
    Some,
    /// A template decides.
    Unknown,
}

/// Keys that may appear in `dbt_project.yml` without a `+`; others are folders.
const PLAIN_KEYS: [&str; 12] = [
    "materialized",
    "schema",
    "database",
    "alias",
    "enabled",
    "unique_key",
    "incremental_strategy",
    "on_schema_change",
    "full_refresh",
    "quote_columns",
    "strategy",
    "target_schema",
];

impl Settings {
    pub(crate) fn get(&self, key: &str) -> Option<&Setting> {
        self.0.get(key)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value {
            Set::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn truth(&self, key: &str) -> Option<bool> {
        match self.get(key)?.value {
            Set::Truth(truth) => Some(truth),
            _ => None,
        }
    }

    /// Whether a template decides what `key` is.
    pub(crate) fn is_unknown(&self, key: &str) -> bool {
        self.get(key).is_some_and(|setting| setting.value == Set::Unknown)
    }

    /// Whether `key` is set to something, or may be.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.get(key).is_some_and(|setting| !matches!(setting.value, Set::Nothing | Set::Truth(false)))
    }

    fn set(&mut self, key: &str, value: Set, path: &str, span: Span) {
        self.0.insert(key.to_owned(), Setting { value, path: path.to_owned(), span });
    }

    /// One key of a YAML file, and one level of its content.
    fn set_node(&mut self, key: &str, node: &Node, path: &str) {
        for (inner, value) in node.entries() {
            if let Some(inner) = inner.text() {
                self.set(&format!("{key}.{inner}"), of_node(value), path, value.span);
            }
        }
        self.set(key, of_node(node), path, node.span);
    }

    /// The folders of `dbt_project.yml`, from the outermost to the node's own name.
    pub(crate) fn add_project(&mut self, kind: Option<&Node>, steps: &[&str], path: &str) {
        let Some(mut level) = kind else { return };
        self.add_level(level, path);
        for step in steps {
            match level.get(step) {
                Some(next) if next.is_mapping() => level = next,
                _ => return,
            }
            self.add_level(level, path);
        }
    }

    fn add_level(&mut self, level: &Node, path: &str) {
        for (key, value) in level.entries() {
            let Some(key) = key.text() else { continue };
            if let Some(key) = key.strip_prefix('+') {
                self.set_node(key, value, path);
            } else if PLAIN_KEYS.contains(&key) && !value.is_mapping() {
                self.set_node(key, value, path);
            }
        }
    }

    /// `config:` of a property file.
    pub(crate) fn add_properties(&mut self, config: Option<&Node>, path: &str) {
        for (key, value) in config.map(Node::entries).unwrap_or_default() {
            if let Some(key) = key.text() {
                self.set_node(key, value, path);
            }
        }
    }

    /// `{{ config(…) }}` of the node's own file.
    pub(crate) fn add_call(&mut self, call: &Call<'_>, path: &str, span: Span) {
        let pairs = call.positional().filter_map(|value| match value {
            Literal::Pairs(pairs) => Some(pairs),
            _ => None,
        });
        for (key, value) in pairs.flatten() {
            if let Some(key) = key.text() {
                self.set_literal(key, value, path, span);
            }
        }
        for (name, value) in &call.arguments {
            if let Some(name) = name {
                self.set_literal(name, value, path, span);
            }
        }
    }

    fn set_literal(&mut self, key: &str, value: &Literal<'_>, path: &str, span: Span) {
        if let Literal::Pairs(pairs) = value {
            for (inner, value) in pairs {
                if let Some(inner) = inner.text() {
                    self.set(&format!("{key}.{inner}"), of_literal(value), path, span);
                }
            }
        }
        self.set(key, of_literal(value), path, span);
    }
}

fn of_node(node: &Node) -> Set {
    match &node.value {
        _ if node.is_null() => Set::Nothing,
        Value::Scalar { text, .. } if text.contains("{{") => Set::Unknown,
        Value::Scalar { text, .. } => node.truth().map_or_else(|| Set::Text(text.clone()), Set::Truth),
        Value::Sequence(items) => filled(items.is_empty()),
        Value::Mapping(entries) => filled(entries.is_empty()),
    }
}

fn of_literal(literal: &Literal<'_>) -> Set {
    match literal {
        Literal::Text(text) | Literal::Number(text) => Set::Text((*text).to_owned()),
        Literal::Truth(truth) => Set::Truth(*truth),
        Literal::Nothing => Set::Nothing,
        Literal::List(items) => filled(items.is_empty()),
        Literal::Pairs(pairs) => filled(pairs.is_empty()),
        Literal::Dynamic => Set::Unknown,
    }
}

fn filled(is_empty: bool) -> Set {
    if is_empty { Set::Nothing } else { Set::Some }
}
