//! Sources: what SQL calls them, and the files behind them.

use std::fs;
use std::sync::atomic::Ordering;

use super::{Definer, Definition, short};
use crate::core::yaml::Node as Yaml;
use crate::state::config::Config;
use crate::state::project::{Kind, SourceTable};
use crate::state::{render, seed};
use crate::system::digest::{self, Digest};

impl<'a> Definer<'a> {
    pub(in crate::state) fn source(&self, from: usize, source: &str, table: &str) -> Option<&'a SourceTable> {
        let candidates = self.sources.get(&(source, table))?;
        let in_package = |package: usize| {
            candidates.iter().find(|at| {
                self.files.sources[**at].package == package && self.is_enabled(&self.files.sources[**at])
            })
        };
        let [first, second] = self.packages_of(from);
        let own = in_package(first).or_else(|| in_package(second));
        Some(&self.files.sources[*own.or_else(|| candidates.first())?])
    }

    pub(in crate::state) fn source_id(&self, table: &SourceTable) -> String {
        format!("source.{}.{}.{}", self.files.packages[table.package].name, table.source, table.table)
    }

    /// The configuration of a table of a source, of which only whether it is enabled and its time column count.
    fn source_config(&self, table: &SourceTable) -> Config {
        let mut config = Config::default();
        let package = &self.files.packages[table.package].name;
        let mut steps = vec![package.as_str()];
        steps.extend(table.folders.iter().map(String::as_str));
        steps.extend([table.source.as_str(), table.table.as_str()]);
        let with = &self.scopes[table.package].renderer;
        self.add_project(&mut config, table.package, Kind::Source, &steps, with);
        for node in [&*table.of_source, &table.node] {
            config.add_properties(node.get("config"), &table.path, with);
        }
        if table.package != 0 {
            self.add_project(&mut config, 0, Kind::Source, &steps, &self.scopes[0].renderer);
        }
        config
    }

    pub(in crate::state) fn is_enabled(&self, table: &SourceTable) -> bool {
        self.source_config(table).is_enabled()
    }

    /// The columns by which dbt cuts the parents of a microbatch model into batches.
    pub(super) fn add_event_times(&self, definition: &mut Definition) {
        let is_read = |id: &String| *id == definition.id || definition.parents.contains(id);
        let of_nodes = self.nodes.iter().filter(|node| is_read(&node.id));
        let mut said: Vec<String> = of_nodes
            .filter_map(|node| Some(format!("{} {}", node.id, node.config.get("event_time")?)))
            .collect();
        for table in &self.files.sources {
            let id = self.source_id(table);
            if definition.parents.contains(&id) {
                let config = self.source_config(table);
                said.extend(config.get("event_time").map(|column| format!("{id} {column}")));
            }
        }
        definition.parts.insert("event times of its parents".to_owned(), short(said.join("\n")));
    }

    /// What SQL calls a table of a source, and what else decides how it is read.
    pub(in crate::state) fn source_parts(&self, table: &SourceTable) -> String {
        let with = &self.scopes[table.package].renderer;
        let mut said: Vec<String> = Vec::new();
        for key in ["database", "catalog", "schema", "name", "quoting", "loader_options", "external"] {
            let value = table.of_source.get(key).map(|node| with.value(node));
            said.push(format!("{key}={}", value.unwrap_or_default()));
        }
        for key in ["name", "identifier", "quoting", "external"] {
            let value = table.node.get(key).map(|node| with.value(node));
            said.push(format!("{key}={}", value.unwrap_or_default()));
        }
        for node in [&*table.of_source, &table.node] {
            for holder in
                [node.get("meta"), node.at(&["config", "meta"]), node.get("config")].into_iter().flatten()
            {
                for (key, value) in holder.entries() {
                    let Some(key) = key.text() else { continue };
                    if ["external", "location", "plugin", "formatter"].iter().any(|part| key.contains(part)) {
                        said.push(format!("{key}={}", with.value(value)));
                    }
                }
            }
        }
        said.join(";")
    }

    /// The table that a source is, in the database of the environment; another database's cannot be looked at.
    pub(super) fn source_relation(&self, table: &SourceTable) -> Option<(String, String)> {
        let with = &self.scopes[table.package].renderer;
        let text = |node: Option<&Yaml>| Some(with.value(node?).as_str()?.to_owned());
        let database = text(table.of_source.get("database"));
        if database.is_some_and(|database| !database.eq_ignore_ascii_case(&self.facts.database)) {
            return None;
        }
        let schema = text(table.of_source.get("schema")).unwrap_or_else(|| table.source.clone());
        let name = text(table.node.get("identifier")).unwrap_or_else(|| table.table.clone());
        (!schema.starts_with(render::UNKNOWN)).then_some((schema, name))
    }

    /// The files behind a source: of an attached database, or those that dbt-duckdb reads in the place of a table.
    pub(super) fn add_source_files(&self, definition: &mut Definition, table: &SourceTable) {
        let with = &self.scopes[table.package].renderer;
        let database = table.of_source.get("database").or_else(|| table.of_source.get("catalog"));
        let database = database.and_then(|node| Some(with.value(node).as_str()?.to_lowercase()));
        let attached = database.and_then(|database| self.facts.profile.attached.get(&database));
        let file = attached.cloned().or_else(|| {
            let holders = [&table.node, &*table.of_source];
            let places = holders.iter().flat_map(|node| {
                [
                    node.at(&["meta", "external_location"]),
                    node.at(&["config", "meta", "external_location"]),
                    node.at(&["config", "external_location"]),
                ]
            });
            let location = places.flatten().next()?;
            let text = with.value(location).as_str()?.to_owned();
            let name = table.node.get("identifier").and_then(Yaml::text).unwrap_or(&table.table);
            Some(text.replace("{name}", &table.table).replace("{identifier}", name))
        });
        let Some(file) = file else { return };
        // A relation of the database could not hold it.
        definition.relation = None;
        let is_plain =
            !file.contains("://") && !file.contains(['{', '(', '\'']) && !file.starts_with(render::UNKNOWN);
        if is_plain && let Some(digest) = self.file_digest(&file) {
            definition.parts.insert("files".to_owned(), digest);
        }
    }

    /// A hash of the files that `name` means; `None` without any file.
    pub(super) fn file_digest(&self, name: &str) -> Option<String> {
        self.reads_files.store(true, Ordering::Relaxed);
        let files = seed::files(&self.root.join(name)).ok().filter(|files| !files.is_empty())?;
        let mut digest = Digest::default();
        for path in files {
            digest.add(fs::File::open(&path).and_then(digest::of_content).ok()?);
        }
        Some(digest.short()[..12].to_owned())
    }

    pub(in crate::state) fn add_source(&self, definition: &mut Definition, table: &SourceTable) {
        definition.parents.insert(self.source_id(table));
        let said = self.source_parts(table).replace(&format!("\"{}\"", self.facts.schema), "\u{1}");
        definition.add(format!("source {}.{}", table.source, table.table), short(said), &table.path);
    }
}
