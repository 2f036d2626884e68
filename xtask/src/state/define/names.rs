//! What nodes are called in the warehouse, by dbt's rules or by the project's own macros for names.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Value, context};

use super::{Configured, Definer, Definition, short};
use crate::state::config::Config;
use crate::state::project::{self, Kind, Node};
use crate::state::render::value_of;

impl<'a> Definer<'a> {
    /// Schema and name of what a node builds; or, if the project's macros for names cannot be evaluated, what
    /// those follow from.
    pub(super) fn names_of(
        &self,
        node: &Node,
        config: &Config,
    ) -> (Option<(String, String)>, Option<String>) {
        let custom_schema = config
            .text(if node.kind == Kind::Snapshot { "target_schema" } else { "schema" })
            .or_else(|| config.text("schema"));
        let alias = config.text("alias");
        let schema = self.named("generate_schema_name", node, config, custom_schema).or_else(|| {
            let has_own = self.has_macro("generate_schema_name", node.package);
            (!has_own).then(|| match custom_schema {
                Some(custom) if node.kind == Kind::Snapshot && config.text("target_schema").is_some() => {
                    custom.to_owned()
                }
                Some(custom) => format!("{}_{}", self.facts.schema, custom.trim()),
                None => self.facts.schema.clone(),
            })
        });
        let name = self.named("generate_alias_name", node, config, alias).or_else(|| {
            let has_own = self.has_macro("generate_alias_name", node.package);
            (!has_own).then(|| match (alias, &node.version) {
                (Some(alias), _) => alias.trim().to_owned(),
                (None, Some(version)) => format!("{}_v{}", node.name, version.replace('.', "_")),
                (None, None) => node.name.clone(),
            })
        });
        if let (Some(schema), Some(name)) = (schema, name) {
            return (Some((schema, name)), None);
        }
        (None, Some(format!("{}{custom_schema:?}{alias:?}", self.naming_inputs(node.package))))
    }

    /// All that a project's macros for names follow from, where they cannot be evaluated.
    fn naming_inputs(&self, package: usize) -> String {
        let mut definition = Definition::default();
        let mut macros = BTreeSet::new();
        for (at, each) in self.files.macros.iter().enumerate() {
            if each.name.contains("generate_") {
                macros.insert(at);
                macros.extend(self.reach.of(&each.unit, each.package, &self.files.macros));
            }
        }
        self.add_macros(&mut definition, &macros, package, true);
        format!("{:?}", definition.parts)
    }

    /// The database that a node is in, as the project's own macro gives it; without one, as it is configured.
    pub(super) fn database_of(&self, node: &Node, config: &Config) -> String {
        let custom = config.text("database");
        let named = self.named("generate_database_name", node, config, custom);
        if named.is_none() && self.has_macro("generate_database_name", node.package) {
            return format!("{}{custom:?}", self.naming_inputs(node.package));
        }
        let is_usual = named.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(&self.facts.database));
        named.filter(|_| !is_usual).or_else(|| custom.map(str::to_owned)).unwrap_or_default()
    }

    pub(super) fn has_macro(&self, name: &str, package: usize) -> bool {
        self.naming_macros(name, package).next().is_some()
    }

    pub(super) fn naming_macros(
        &self,
        name: &str,
        package: usize,
    ) -> impl Iterator<Item = &'a project::Macro> {
        let adapter = format!("{}__{name}", self.facts.adapter);
        let names = [name.to_owned(), adapter, format!("default__{name}")];
        let macros = self.files.macros.iter();
        macros
            .filter(move |each| names.contains(&each.name) && (each.package == 0 || each.package == package))
    }

    /// A name as one of the project's own macros gives it.
    pub(super) fn named(
        &self,
        name: &str,
        node: &Node,
        config: &Config,
        custom: Option<&str>,
    ) -> Option<String> {
        let own: Vec<&project::Macro> = self.naming_macros(name, node.package).collect();
        let first = ["", &format!("{}__", self.facts.adapter), "default__"].iter().find_map(|prefix| {
            let wanted = format!("{prefix}{name}");
            own.iter().find(|each| each.name == wanted).map(|each| each.name.clone())
        })?;
        let mut reached: BTreeSet<usize> = BTreeSet::new();
        for each in &own {
            reached.extend(self.reach.of(&each.unit, each.package, &self.files.macros));
        }
        let mut text = String::from(DEFAULTS);
        for at in reached {
            text.push_str(&self.files.macros[at].text);
        }
        for each in &own {
            text.push_str(&each.text);
        }
        let fqn = self.fqn(node);
        let settings: BTreeMap<&str, Value> =
            config.0.iter().map(|(key, (value, _))| (key.as_str(), value_of(value))).collect();
        let of = |key: &str| settings.get(key).cloned().unwrap_or_default();
        let context = context! {
            custom => custom,
            node => context! {
                name => &node.name, resource_type => node.kind.word(), fqn => &fqn, path => &node.path,
                version => &node.version, package_name => &fqn[0], original_file_path => &node.path,
                config => &settings, tags => of("tags"), meta => of("meta"), schema => of("schema"),
                alias => of("alias"), database => of("database"),
            },
        };
        let name = self.scopes[0].renderer.call(&text, &format!("{first}(custom, node)"), &context)?;
        (!name.is_empty()).then_some(name)
    }

    /// A relation's name; its schema only as far as it is not the environment's own.
    pub(super) fn relation_hash(&self, of: &Configured) -> String {
        let database = &of.database;
        short(match &of.relation {
            Some((schema, name)) => format!("{database}.{}.{name}", self.neutral(schema)),
            None => of.naming.clone().unwrap_or_default(),
        })
    }

    pub(super) fn neutral(&self, schema: &str) -> String {
        match schema.strip_prefix(&self.facts.schema) {
            Some(rest) => format!("\u{1}{rest}"),
            None => schema.to_owned(),
        }
    }

    pub(super) fn add_names(&self, definition: &mut Definition, configured: &Configured) {
        definition.parts.insert("relation".to_owned(), self.relation_hash(configured));
    }
}

/// dbt's own macros for names, for the project's that call them.
pub(super) const DEFAULTS: &str = "{% macro default__generate_schema_name(custom, node) %}{{ target.schema if not custom else target.schema ~ '_' ~ custom | trim }}{% endmacro %}\
{% macro generate_schema_name_for_env(custom, node) %}{{ custom | trim if target.name == 'prod' and custom else target.schema }}{% endmacro %}\
{% macro default__generate_database_name(custom, node) %}{{ custom | trim if custom else target.database }}{% endmacro %}\
{% macro default__generate_alias_name(custom, node) %}{{ custom | trim if custom else node.name }}{% endmacro %}";
