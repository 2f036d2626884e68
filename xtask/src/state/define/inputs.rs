//! What a template reads: variables, files, parents, macros.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::Value as Json;

use super::scope::is_of_the_run;
use super::{Class, Configured, Definer, Definition, materialized, short};
use crate::state::project::Node;
use crate::state::seed;
use crate::state::unit::{self, GraphUse, Ref, Unit};
use crate::system::digest::Digest;

impl Definer<'_> {
    pub(super) fn add_seed(&self, definition: &mut Definition, node: &Node) -> Result<()> {
        let given = self.facts.seeds.as_ref().filter(|_| node.package == 0);
        let file =
            given.map(|folder| folder.join(format!("{}.csv", node.name))).filter(|file| file.is_file());
        let rows = match &file {
            Some(file) => seed::digest(file).with_context(|| format!("failed to read {}", file.display()))?,
            None => node.rows.clone(),
        };
        definition.add("data", rows, &node.path);
        let file = file.as_ref().unwrap_or(&node.file);
        let header = seed::header(file).with_context(|| format!("failed to read {}", file.display()))?;
        definition.add("header", short(header), &node.path);
        Ok(())
    }

    /// The text itself and all that it reads.
    pub(in crate::state) fn add_template(
        &self,
        definition: &mut Definition,
        unit: &Unit,
        package: usize,
        path: &str,
    ) {
        definition.add("sql", &unit.folded[..12], path);
        self.add_reads(definition, unit, package);
    }

    /// Variables, parents and whatever else a template reads. A macro reads as the node that calls it.
    pub(super) fn add_reads(&self, definition: &mut Definition, unit: &Unit, package: usize) {
        let scope = &self.scopes[package];
        for name in &unit.vars {
            let value = scope.vars.get(name);
            let said = value.map_or_else(|| "(not set)".to_owned(), Json::to_string);
            let is_new = !definition.parts.contains_key(&format!("var {name}"));
            // What the command line sets is in no file.
            let is_given = self.facts.vars.as_ref().is_some_and(|given| given.contains(name.as_str()));
            let place = if value.is_none() || is_given { "" } else { "dbt_project.yml" };
            definition.add(format!("var {name}"), short(said), place);
            // Texts in variables are templates, such as the `source` that a package is to read.
            if let Some(text) = value.and_then(Json::as_str).filter(|text| is_new && text.contains("{{")) {
                self.add_reads(definition, &unit::sql(text, self.dialect), package);
            }
        }
        for name in &unit.table_vars {
            let value = scope.vars.get(name).and_then(Json::as_str).unwrap_or_default();
            if !["ref(", "source("].iter().any(|call| value.contains(call)) {
                definition.volatile.push(format!("computes the name of a table from variable {name}"));
            }
        }
        for name in &unit.table_calls {
            let found = self.reach.find(name, package, package, unit, &self.files.macros);
            if found.iter().any(|at| self.files.macros[*at].unit.names_table) {
                definition.volatile.push(format!("macro {name} names a table, which is not a `ref`"));
            }
        }
        for name in &unit.envs {
            self.add_env(definition, name);
        }
        for name in &unit.target {
            let value = match name.as_str() {
                "name" => self.facts.target.clone(),
                "type" => self.facts.adapter.clone(),
                "schema" => self.facts.schema.clone(),
                "database" | "dbname" => self.facts.database.clone(),
                "profile_name" => self.facts.profile_name.clone(),
                "threads" => String::new(),
                _ => format!("{} {} {}", self.facts.target, self.facts.database, self.facts.schema),
            };
            let label = if name.is_empty() { "target".to_owned() } else { format!("target.{name}") };
            definition.parts.insert(label, short(value));
        }
        definition.reads_properties.extend(&unit.reads_properties);
        definition.tables.extend(unit.tables.iter().cloned());
        definition.ctes.extend(unit.ctes.iter().cloned());
        definition.computes_ctes |= unit.computes_ctes;
        if unit.reads_schema {
            definition.parts.insert("schema".to_owned(), short(&self.facts.schema));
        }
        match unit.graph {
            Some(GraphUse::Sources) => {
                definition.parts.insert("graph.sources".to_owned(), self.shared.sources.clone());
                coarse(definition, "reads `graph.sources`");
            }
            Some(GraphUse::All) => {
                definition.parts.insert("graph".to_owned(), self.shared.graph.clone());
                coarse(definition, "reads `graph`");
            }
            None => {}
        }
        definition.has_more_parents |= !unit.coarse.is_empty() || unit.graph == Some(GraphUse::All);
        for reason in &unit.coarse {
            coarse(definition, reason);
            for (name, hash) in [
                ("all macros", &self.shared.macros),
                ("all variables", &self.shared.vars),
                ("all environment variables", &self.shared.envs),
                ("all configuration", &self.shared.settings),
                ("all packages", &self.shared.packages),
            ] {
                definition.parts.insert(name.to_owned(), hash.clone());
            }
        }
        if unit.queries {
            definition.class = definition.class.max(Class::Data);
            definition.reasons.push("asks the warehouse while it is compiled".to_owned());
            if !unit.always.is_empty() {
                definition.class = Class::Always;
            }
        }
        definition.volatile.extend(unit.always.iter().cloned());
        if !unit.clocks.is_empty() {
            definition.period = Some(self.facts.period.clone());
        }
        definition.random.extend(unit.random.iter().cloned());
        for file in &unit.files {
            self.add_file(definition, file);
        }
        for found in &unit.refs {
            self.add_parent(definition, package, found);
        }
        for found in &unit.hints {
            if let Some(at) = self.resolve(package, found) {
                definition.follows.insert(self.nodes[at].id.clone());
            }
        }
        for (source, table) in &unit.sources {
            if let Some(table) = self.source(package, source, table) {
                self.add_source(definition, table);
            }
        }
    }

    pub(super) fn add_env(&self, definition: &mut Definition, name: &str) {
        if is_of_the_run(name) {
            return;
        }
        let value = match name {
            "DBT_TARGET_SCHEMA" => Some(&self.facts.schema),
            _ => self.facts.environment.get(name),
        };
        let value = value.map_or_else(|| "(not set)".to_owned(), |value| format!("={value}"));
        // A secret is never hashed without a key: short values could be found again by trying.
        let hash = if name.starts_with("DBT_ENV_SECRET") {
            Digest::default().with(&self.facts.key).with(value).short()[..12].to_owned()
        } else {
            short(value)
        };
        definition.parts.insert(format!("environment variable {name}"), hash);
    }

    /// Files of Python beside the models that it imports, and those that they import.
    pub(super) fn add_modules(&self, definition: &mut Definition, unit: &Unit) {
        let imported = |unit: &'_ Unit| -> Vec<String> {
            unit.names.iter().filter_map(|name| name.strip_prefix("import ").map(str::to_owned)).collect()
        };
        let mut open = imported(unit);
        while let Some(name) = open.pop() {
            let label = format!("module {name}");
            if let Some(module) = self.files.modules.get(&name)
                && definition.parts.insert(label, module.folded[..12].to_owned()).is_none()
            {
                open.extend(imported(module));
            }
        }
    }

    pub(super) fn add_file(&self, definition: &mut Definition, file: &str) {
        match self.file_digest(file) {
            Some(digest) => drop(definition.parts.insert(format!("file {file}"), digest)),
            None => definition.volatile.push(format!("reads {file}, which is not found")),
        }
    }

    pub(in crate::state) fn add_parent(&self, definition: &mut Definition, package: usize, found: &Ref) {
        let Some(at) = self.resolve(package, found) else {
            definition.parts.insert(format!("ref {}", found.1), "unknown".to_owned());
            return;
        };
        self.add_relation(definition, &self.nodes[at]);
    }

    /// A node whose data is read, under the name that it has in SQL.
    pub(in crate::state) fn add_relation(&self, definition: &mut Definition, parent: &Configured) {
        if parent.id == definition.id {
            return;
        }
        definition.parents.insert(parent.id.clone());
        if materialized(self.node(parent), &parent.config) != "ephemeral" {
            let label = format!("name of {}", self.node(parent).name);
            definition.parts.insert(label, self.relation_hash(parent));
        }
    }

    pub(in crate::state) fn add_macros(
        &self,
        definition: &mut Definition,
        macros: &BTreeSet<usize>,
        package: usize,
        is_balanced: bool,
    ) {
        let all = &self.files.macros;
        // Where quotes do not end in the text in which they begin, white space anywhere may be inside them.
        let is_balanced = is_balanced && macros.iter().all(|at| all[*at].unit.is_balanced);
        for &at in macros {
            let each = &all[at];
            let hash = if is_balanced && !self.reach.exact[at] { &each.unit.folded } else { &each.unit.raw };
            let label = format!("macro {}.{}", self.files.packages[each.package].name, each.name);
            definition.add(label, &hash[..12], &each.path);
            // Tests and materializations are given relations, and run in the node's own name.
            self.add_reads(definition, &each.unit, package);
        }
    }

    /// The macros that only the materialization calls. They ask the warehouse about the node's own relation, which
    /// says nothing about its inputs.
    pub(in crate::state) fn add_materialization(
        &self,
        definition: &mut Definition,
        own: &BTreeSet<usize>,
        package: usize,
    ) {
        let macros = self.reach.of_materialization(&definition.materialized, package, &self.files.macros);
        let only: BTreeSet<usize> = macros.difference(own).copied().collect();
        let before = definition.clone();
        self.add_macros(definition, &only, package, true);
        definition.tables = before.tables;
        definition.class = before.class;
        definition.reasons = before.reasons;
        definition.volatile = before.volatile;
        definition.period = before.period;
        definition.random = before.random;
    }
}

pub(super) fn coarse(definition: &mut Definition, reason: &str) {
    definition.class = definition.class.max(Class::Coarse);
    definition.reasons.push(reason.to_owned());
}
