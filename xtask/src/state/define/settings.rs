//! What configuration and properties add to a definition.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::scope::is_neutral;
use super::{Definer, Definition, columns, is_enforced, short};
use crate::core::yaml::Node as Yaml;
use crate::state::config::Config;
use crate::state::project::{Entry, Node};
use crate::state::render::{self, plain};
use crate::state::unit;
use crate::warehouse::Dialect;

impl Definer<'_> {
    pub(in crate::state) fn add_config(
        &self,
        definition: &mut Definition,
        config: &Config,
        package: usize,
        macros: &mut BTreeSet<usize>,
    ) {
        let keeps_docs = config.get("persist_docs").is_some_and(|value| value.to_string().contains("true"));
        let has_grants = match self.facts.dialect {
            Dialect::DuckDb => false,
            Dialect::Snowflake => true,
        };
        for (key, value, path) in config.effective() {
            if matches!(key, "schema" | "database" | "alias" | "target_schema")
                && definition.relation.is_some()
            {
                continue;
            }
            if key == "grants" && !has_grants || key == "persist_docs" && !keeps_docs {
                continue;
            }
            if key == "contract" && !is_enforced(config) {
                continue;
            }
            if key == "materialized" && value.as_str() == Some(default_materialization(definition)) {
                continue;
            }
            if matches!(key, "pre_hook" | "post_hook") {
                let said = self.add_hooks(definition, value, package, macros);
                definition.add(format!("config {key}"), short(said), path);
                continue;
            }
            definition.add(format!("config {key}"), short(value.to_string()), path);
            if render::is_unknown(value) {
                for text in texts(value) {
                    let text = text
                        .strip_prefix(render::UNKNOWN)
                        .map_or(text.clone(), |text| format!("{{{{ {text} }}}}"));
                    self.add_text(definition, &text, package, macros);
                }
            }
            if let ("where", Some(text)) = (key, value.as_str()) {
                self.add_clocks(definition, text);
            }
        }
    }

    /// A template in a value: what it is as it is compared.
    fn add_text(
        &self,
        definition: &mut Definition,
        text: &str,
        package: usize,
        macros: &mut BTreeSet<usize>,
    ) -> String {
        let unit = unit::sql(text, self.dialect);
        macros.extend(self.reach.of(&unit, package, &self.files.macros));
        self.add_reads(definition, &unit, package);
        unit.folded
    }

    /// Hooks in their order, without comments.
    fn add_hooks(
        &self,
        definition: &mut Definition,
        hooks: &Json,
        package: usize,
        macros: &mut BTreeSet<usize>,
    ) -> String {
        let mut said = String::new();
        for hook in hooks.as_array().into_iter().flatten() {
            let text = hook.as_str().or_else(|| hook.get("sql").and_then(Json::as_str)).unwrap_or_default();
            let text = text
                .strip_prefix(render::UNKNOWN)
                .map_or(text.to_owned(), |text| format!("{{{{ {text} }}}}"));
            said.push_str(&self.add_text(definition, &text, package, macros));
            // Outside of the transaction is another moment.
            let is_inside = hook.get("transaction").and_then(Json::as_bool).unwrap_or(true);
            said.push_str(if is_inside { "\n" } else { " apart\n" });
        }
        said
    }

    /// SQL that is given as a value may read the clock.
    pub(in crate::state) fn add_clocks(&self, definition: &mut Definition, text: &str) {
        let unit = unit::sql(text, self.dialect);
        if !unit.clocks.is_empty() {
            definition.period = Some(self.facts.period.clone());
        }
        definition.random.extend(unit.random);
    }

    /// What property files and neutral configuration say counts as far as a template reads it.
    pub(super) fn add_properties(&self, definition: &mut Definition, node: &Node, config: &Config) {
        let path = node.entry.as_ref().map_or(node.path.as_str(), |entry| entry.path.as_str());
        for part in definition.reads_properties.clone() {
            let is_whole = part == unit::EVERYTHING;
            let mut said = match config.get(part) {
                _ if is_whole || part == "config" => config.neutral(),
                value => value.map(Json::to_string).unwrap_or_default(),
            };
            if is_whole || part == "path" {
                said.extend([node.path.as_str(), &node.folders.join("/")]);
            }
            for holder in node.entry.iter().flat_map(|entry| [Some(&entry.node), entry.version.as_ref()]) {
                let Some(holder) = holder else { continue };
                let value = if is_whole { Some(holder) } else { holder.get(part) };
                said.extend(value.map(|value| without_tests(plain(value)).to_string()));
                if is_whole || part == "description" {
                    said.push_str(&self.description(holder));
                }
            }
            definition.add(format!("properties: {part}"), short(said), path);
        }
    }

    /// Columns count where they become part of the table: types and constraints under an enforced contract,
    /// descriptions where they are stored.
    pub(super) fn add_columns(&self, definition: &mut Definition, node: &Node, config: &Config) {
        let Some(entry) = &node.entry else { return };
        if is_enforced(config) {
            let with = &self.scopes[node.package].renderer;
            let value = |node: &Yaml| with.value(node);
            let columns = columns(entry).into_iter().map(|column| {
                let said =
                    ["name", "data_type", "constraints", "quote"].map(|key| column.get(key).map(value));
                format!("{said:?}")
            });
            let of_version = entry.version.as_ref().and_then(|version| version.get("constraints"));
            let own = [entry.node.get("constraints"), of_version].map(|node| node.map(value));
            let said = format!("{}{own:?}", columns.collect::<Vec<_>>().join("\n"));
            definition.add("contract", short(said), &entry.path);
            self.add_foreign_keys(definition, entry, node.package);
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
                let mut said: Vec<String> = columns(entry)
                    .into_iter()
                    .map(|column| {
                        format!("{:?} {}", column.get("name").and_then(Yaml::text), text_of(column))
                    })
                    .collect();
                said.sort();
                definition.add("descriptions of columns", short(said.join("\n")), &entry.path);
            }
        }
    }

    /// What a foreign key refers to must be there first, under the name that it has.
    fn add_foreign_keys(&self, definition: &mut Definition, entry: &Entry, package: usize) {
        let holders = columns(entry).into_iter().chain([&entry.node]).chain(&entry.version);
        let constraints = holders.filter_map(|holder| holder.get("constraints")).flat_map(Yaml::items);
        for to in constraints.filter_map(|constraint| constraint.get("to").and_then(Yaml::text)) {
            let unit = unit::sql(&format!("{{{{ {to} }}}}"), self.dialect);
            let mut reads = Definition { id: definition.id.clone(), ..Definition::default() };
            for found in &unit.refs {
                self.add_parent(&mut reads, package, found);
            }
            definition.follows.extend(reads.parents);
            definition.parts.extend(reads.parts);
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

/// What dbt makes of a node that says nothing about it.
fn default_materialization(definition: &Definition) -> &'static str {
    match definition.kind.as_str() {
        "model" if definition.is_python => "table",
        "model" => "view",
        "seed" => "seed",
        "snapshot" => "snapshot",
        _ => "test",
    }
}

/// Tests that are asked for are not among the properties that templates read.
fn without_tests(value: Json) -> Json {
    match value {
        Json::Array(items) => items.into_iter().map(without_tests).collect::<Vec<_>>().into(),
        Json::Object(map) => {
            let rest = map.into_iter().filter(|(key, _)| !matches!(key.as_str(), "data_tests" | "tests"));
            Json::Object(rest.map(|(key, value)| (key, without_tests(value))).collect())
        }
        other => other,
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
