//! What configuration and properties add to a definition.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::scope::is_neutral;
use super::{Definer, Definition, columns, is_enforced, short};
use crate::core::yaml::Node as Yaml;
use crate::state::config::Config;
use crate::state::project::Node;
use crate::state::render::{self, plain};
use crate::state::unit;

impl Definer<'_> {
    pub(in crate::state) fn add_config(
        &self,
        definition: &mut Definition,
        config: &Config,
        package: usize,
        macros: &mut BTreeSet<usize>,
    ) {
        let keeps_docs = config.get("persist_docs").is_some_and(|value| value.to_string().contains("true"));
        for (key, value, path) in config.effective() {
            if matches!(key, "schema" | "database" | "alias" | "target_schema")
                && definition.relation.is_some()
            {
                continue;
            }
            if key == "grants" && self.facts.adapter == "duckdb" || key == "persist_docs" && !keeps_docs {
                continue;
            }
            if key == "contract" && !is_enforced(config) {
                continue;
            }
            definition.add(format!("config {key}"), short(value.to_string()), path);
            if matches!(key, "pre_hook" | "post_hook") || render::is_unknown(value) {
                for text in texts(value) {
                    let text = text
                        .strip_prefix(render::UNKNOWN)
                        .map_or(text.clone(), |text| format!("{{{{ {text} }}}}"));
                    let unit = unit::sql(&text, self.dialect);
                    macros.extend(self.reach.of(&unit, package, &self.files.macros));
                    self.add_reads(definition, &unit, package);
                }
            }
        }
    }

    /// What property files say counts whole if a template reads it.
    pub(super) fn add_properties(&self, definition: &mut Definition, node: &Node, config: &Config) {
        let mut said = config.neutral();
        let mut path = node.path.as_str();
        if let Some(entry) = &node.entry {
            said.push_str(&plain(&entry.node).to_string());
            said.extend(entry.version.as_ref().map(|version| plain(version).to_string()));
            said.push_str(&self.description(&entry.node));
            path = &entry.path;
        }
        definition.add("properties", short(said), path);
    }

    /// Columns count where they become part of the table: types and constraints under an enforced contract,
    /// descriptions where they are stored.
    pub(super) fn add_columns(&self, definition: &mut Definition, node: &Node, config: &Config) {
        let Some(entry) = &node.entry else { return };
        if is_enforced(config) {
            let columns = columns(entry).into_iter().map(|column| {
                let said =
                    ["name", "data_type", "constraints", "quote"].map(|key| column.get(key).map(plain));
                format!("{said:?}")
            });
            let own = entry.node.get("constraints").map(plain);
            let said = format!("{}{own:?}", columns.collect::<Vec<_>>().join("\n"));
            definition.add("contract", short(said), &entry.path);
        }
        if let Some(keeps) = config.get("persist_docs") {
            let text_of = |node: &Yaml| self.description(node);
            if keeps.get("relation").is_some_and(|keep| keep == &Json::Bool(true)) {
                let of_version =
                    entry.version.as_ref().filter(|version| version.get("description").is_some());
                let said = text_of(of_version.unwrap_or(&entry.node));
                definition.add("description", short(said), &entry.path);
            }
            if keeps.get("columns").is_some_and(|keep| keep == &Json::Bool(true)) {
                let said: Vec<String> = columns(entry)
                    .into_iter()
                    .map(|column| {
                        format!("{:?} {}", column.get("name").and_then(Yaml::text), text_of(column))
                    })
                    .collect();
                definition.add("descriptions of columns", short(said.join("\n")), &entry.path);
            }
        }
    }

    pub(super) fn description(&self, node: &Yaml) -> String {
        let text = node.get("description").and_then(Yaml::text).unwrap_or_default();
        let docs =
            self.files.docs.iter().filter(|(name, _)| text.contains(name.as_str()) && text.contains("doc("));
        docs.fold(text.to_owned(), |said, (_, doc)| format!("{said}\n{doc}"))
    }

    pub(in crate::state) fn add_globals(&self, definition: &mut Definition) {
        definition.parts.insert("dbt".to_owned(), short(&self.facts.engine));
        let settings = &self.files.packages[0].settings;
        if !self.facts.warehouse.is_empty() {
            // What is stored stays readable and right until the first number changes; what tests find is asked again.
            let whole = self.facts.warehouse.as_str();
            let major = whole.split('.').next().unwrap_or(whole);
            let version = if definition.is_test() { whole } else { major };
            definition.parts.insert("DuckDB".to_owned(), short(version));
        }
        if !self.facts.profile.text.is_empty() {
            definition.parts.insert("profile".to_owned(), short(&self.facts.profile.text));
        }
        for name in self.facts.profile.variables.iter().filter(|name| !is_neutral(name)) {
            self.add_env(definition, name);
        }
        if let Some(quoting) = settings.get("quoting") {
            definition.add("quoting", short(plain(quoting).to_string()), "dbt_project.yml");
        }
    }
}

/// All texts in a value.
pub(super) fn texts(value: &Json) -> Vec<String> {
    match value {
        Json::String(text) => vec![text.clone()],
        Json::Array(items) => items.iter().flat_map(texts).collect(),
        Json::Object(map) => map.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
