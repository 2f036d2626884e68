//! The definition of each node: everything that it is made from but the data of its parents, as one short hash per
//! input, so that a difference can be named.

mod definition;
mod ephemeral;
mod inputs;
mod kept;
mod names;
mod scope;
mod settings;
mod sources;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use rayon::prelude::*;
use serde_json::Value as Json;

pub(in crate::state) use self::definition::settle;
pub(crate) use self::definition::{Class, Definition, Definitions, Facts, UNKNOWN, short};
use self::kept::Kept;
use self::scope::{Scope, Shared, scopes};
use super::config::Config;
use super::fold::Dialect;
use super::project::{Entry, Files, Gathered, Kind, Node};
use super::reach::Reach;
use super::render::{self, Renderer, plain};
use super::tests;
use super::unit::{Ref, Set};
use crate::core::yaml::Node as Yaml;

/// Reads the project in `root` and defines all that it builds and tests.
#[cfg(test)]
pub(crate) fn read(root: &Path, facts: &Facts) -> Result<Definitions> {
    define(root, facts, Gathered::read(root)?)
}

/// What `kept` holds, if it was made from the same project and facts, and otherwise the definitions of the project in
/// `root`, with what to keep for the next time.
pub(crate) fn read_or_recall(
    root: &Path,
    facts: &Facts,
    kept: &[u8],
) -> Result<(Definitions, Option<Vec<u8>>)> {
    let gathered = Gathered::read(root)?;
    let kept = Kept::new(kept, &gathered, facts);
    if let Some(definitions) = kept.as_ref().and_then(Kept::definitions) {
        return Ok((definitions, None));
    }
    let definitions = define(root, facts, gathered)?;
    let replaced = kept.and_then(|kept| kept.replaced(&definitions));
    Ok((definitions, replaced))
}

fn define(root: &Path, facts: &Facts, gathered: Gathered) -> Result<Definitions> {
    let dialect = facts.dialect;
    let files = gathered.parse(dialect);
    let reach = Reach::new(&files, &facts.adapter);
    let scopes = scopes(&files, facts)?;
    let is_configuring = |at: &usize| !files.macros[*at].unit.config.is_empty();
    let mut definer = Definer {
        configuring: (0..files.macros.len()).filter(is_configuring).collect(),
        root,
        dialect,
        reads_files: AtomicBool::new(false),
        nodes: Vec::new(),
        names: HashMap::new(),
        ids: HashMap::new(),
        sources: HashMap::new(),
        shared: Shared::new(&files, facts, &scopes),
        files: &files,
        facts,
        reach,
        scopes,
    };
    definer.configure();
    let mut definitions = definer.all()?;
    for definition in definitions.all.values_mut() {
        definition.hash = Some(definition.hashed());
    }
    Ok(definitions)
}

/// A node with its configuration.
pub(super) struct Configured {
    pub(super) at: usize,
    pub(super) id: String,
    pub(super) config: Config,
    pub(super) relation: Option<(String, String)>,
    /// Empty for the environment's own.
    pub(super) database: String,
    /// What its names follow from, if they could not be computed.
    pub(super) naming: Option<String>,
    /// Whether it is known which `config(…)` calls are made.
    pub(super) is_certain: bool,
}

pub(super) struct Definer<'a> {
    root: &'a Path,
    dialect: Dialect,
    /// Whether a definition depends on a file that is not one of the project.
    reads_files: AtomicBool,
    pub(super) files: &'a Files,
    pub(super) facts: &'a Facts,
    pub(super) reach: Reach,
    pub(super) scopes: Vec<Scope>,
    shared: Shared,
    /// Macros that call `config(…)`.
    configuring: BTreeSet<usize>,
    /// Those that are enabled.
    pub(super) nodes: Vec<Configured>,
    /// Models, seeds and snapshots by name.
    names: HashMap<&'a str, Vec<usize>>,
    ids: HashMap<String, usize>,
    sources: HashMap<(&'a str, &'a str), Vec<usize>>,
}

impl<'a> Definer<'a> {
    /// The node of an identifier.
    pub(super) fn find(&self, id: &str) -> Option<&Configured> {
        self.ids.get(id).map(|at| &self.nodes[*at])
    }

    pub(super) fn node(&self, configured: &Configured) -> &'a Node {
        &self.files.nodes[configured.at]
    }

    fn configure(&mut self) {
        let nodes: Vec<Configured> = (0..self.files.nodes.len())
            .into_par_iter()
            .filter_map(|at| {
                let node = &self.files.nodes[at];
                let (config, is_certain) = self.config(node);
                config.is_enabled().then(|| {
                    let (relation, naming) = self.names_of(node, &config);
                    let database = self.database_of(node, &config);
                    Configured { at, id: self.id(node), config, relation, database, naming, is_certain }
                })
            })
            .collect();
        for (at, configured) in nodes.iter().enumerate() {
            let node = &self.files.nodes[configured.at];
            self.ids.insert(configured.id.clone(), at);
            if node.kind != Kind::Test {
                self.names.entry(node.name.as_str()).or_default().push(at);
            }
        }
        self.nodes = nodes;
        for (at, table) in self.files.sources.iter().enumerate() {
            self.sources.entry((&table.source, &table.table)).or_default().push(at);
        }
    }

    fn id(&self, node: &Node) -> String {
        let package = &self.files.packages[node.package].name;
        let version = node.version.as_ref().map(|v| format!(".v{v}")).unwrap_or_default();
        format!("{}.{package}.{}{version}", node.kind.word(), node.name)
    }

    fn fqn(&self, node: &Node) -> Vec<String> {
        let mut fqn = vec![self.files.packages[node.package].name.clone()];
        fqn.extend(node.folders.iter().cloned());
        fqn.push(node.name.clone());
        fqn.extend(node.version.as_ref().map(|version| format!("v{version}")));
        fqn
    }

    /// The configuration of a node, and whether it is certain.
    fn config(&self, node: &Node) -> (Config, bool) {
        let mut config = Config::default();
        let fqn = self.fqn(node);
        let steps: Vec<&str> = fqn.iter().map(String::as_str).collect();
        let with = &self.scopes[node.package].renderer;
        self.add_project(&mut config, node.package, node.kind, &steps, with);
        if let Some(entry) = &node.entry {
            config.add_properties(entry.node.get("config"), &entry.path, with);
            if let Some(version) = &entry.version {
                config.add_properties(version.get("config"), &entry.path, with);
                if let Some(alias) = version.get("alias") {
                    config.set("alias", plain(alias), &entry.path);
                }
            }
        }
        let is_certain = self.add_calls(&mut config, node);
        if node.package != 0 {
            self.add_project(&mut config, 0, node.kind, &steps, &self.scopes[0].renderer);
        }
        (config, is_certain)
    }

    /// The `config(…)` calls of a node and of the macros that it reaches; whether it is certain which are made.
    fn add_calls(&self, config: &mut Config, node: &Node) -> bool {
        let with = &self.scopes[node.package].renderer;
        let mut is_certain = true;
        if !self.configuring.is_empty() {
            let reached = self.reach.of(&node.unit, node.package, &self.files.macros);
            for each in reached.intersection(&self.configuring).map(|at| &self.files.macros[*at]) {
                config.add_calls(&each.unit.config, &each.path, with);
                is_certain = false;
            }
        }
        let Some(skeleton) = &node.unit.skeleton else {
            config.add_calls(&node.unit.config, &node.path, with);
            return is_certain;
        };
        if let Some(made) = with.calls(skeleton) {
            for call in made {
                config.add_calls(node.unit.config_of(call), &node.path, with);
            }
            return is_certain;
        }
        // Built it must be, and adding to what is there must not be taken for a full build.
        let before = config.text("materialized").map(str::to_owned);
        config.add_calls(&node.unit.config, &node.path, with);
        let may_be = |wanted: &str| {
            let is_it = |(key, value): &(String, Set)| {
                key == "materialized" && matches!(value, Set::Value(value) if value == wanted)
            };
            node.unit.config.iter().any(is_it)
        };
        if may_be("incremental") {
            config.set("materialized", "incremental".into(), &node.path);
        } else if may_be("ephemeral") {
            config.set("materialized", before.unwrap_or_else(|| "view".to_owned()).into(), &node.path);
        }
        false
    }

    pub(super) fn add_project(
        &self,
        config: &mut Config,
        package: usize,
        kind: Kind,
        steps: &[&str],
        with: &Renderer,
    ) {
        let package = &self.files.packages[package];
        let mut kinds = vec![package.settings.get(kind.key())];
        if kind == Kind::Test {
            kinds.insert(0, package.settings.get("tests"));
        }
        config.add_project(&kinds, steps, &format!("{}dbt_project.yml", package.shown), with);
    }

    /// In which packages dbt looks first for what a template of `from` names: its first generation in the project,
    /// unless a flag says otherwise.
    pub(super) fn packages_of(&self, from: usize) -> [usize; 2] {
        const FLAG: &str = "require_ref_searches_node_package_before_root";
        let set = self.files.packages[0].settings.at(&["flags", FLAG]).and_then(Yaml::truth);
        let is_own_first = self.facts.is_v2() || set == Some(true);
        if is_own_first { [from, 0] } else { [0, from] }
    }

    /// The node that a `ref` means.
    pub(super) fn resolve(&self, from: usize, (package, name, version): &Ref) -> Option<usize> {
        let candidates = self.names.get(name.as_str())?;
        let name_of = |at: usize| &self.files.packages[at].name;
        let wanted = package.as_ref();
        let of_version = |at: &&usize| {
            let node = self.node(&self.nodes[**at]);
            match (version, &node.version) {
                (Some(version), have) => have.as_ref() == Some(version),
                (None, None) => true,
                (None, Some(have)) => {
                    self.files.versions.get(&(node.package, node.name.clone())) == Some(have)
                }
            }
        };
        let fitting: Vec<usize> = candidates.iter().filter(of_version).copied().collect();
        let in_package = |package: usize| {
            fitting.iter().copied().find(|at| self.node(&self.nodes[*at]).package == package)
        };
        if let Some(package) = wanted {
            return fitting
                .iter()
                .copied()
                .find(|at| name_of(self.node(&self.nodes[*at]).package) == package);
        }
        let [first, second] = self.packages_of(from);
        in_package(first).or_else(|| in_package(second)).or_else(|| fitting.first().copied())
    }

    fn all(self) -> Result<Definitions> {
        let mut nodes: Vec<Definition> =
            (0..self.nodes.len()).into_par_iter().map(|at| self.define(at)).collect::<Result<_>>()?;
        let count = nodes.len();
        nodes.extend(tests::generic(&self));
        ephemeral::inline_ephemerals(&mut nodes);
        let mut more = nodes.split_off(count);
        let mut all: BTreeMap<String, Definition> =
            nodes.into_iter().map(|definition| (definition.id.clone(), definition)).collect();
        for table in &self.files.sources {
            let id = self.source_id(table);
            let mut definition =
                self.blank(id.clone(), Kind::Source, &table.table, table.package, &table.path);
            definition.fqn.extend([table.source.clone(), table.table.clone()]);
            if !self.is_enabled(table) {
                continue;
            }
            definition.add("source", short(self.source_parts(table)), &table.path);
            definition.relation = self.source_relation(table);
            self.add_source_files(&mut definition, table);
            all.insert(id, definition);
        }
        more.extend(tests::unit_tests(&self, &all));
        for definition in more {
            // Two tests of one name are one thing to select.
            match all.get_mut(&definition.id) {
                Some(other) => {
                    let number = other.parts.len();
                    other
                        .parts
                        .extend(definition.parts.into_iter().map(|(k, v)| (format!("{k} ({number})"), v)));
                    other.parents.extend(definition.parents);
                }
                None => drop(all.insert(definition.id.clone(), definition)),
            }
        }
        Ok(Definitions {
            all,
            schema: self.facts.schema.clone(),
            faults: self.files.faults.clone(),
            reads_files: self.reads_files.into_inner(),
        })
    }

    pub(super) fn blank(&self, id: String, kind: Kind, name: &str, package: usize, path: &str) -> Definition {
        let package = self.files.packages[package].name.clone();
        Definition {
            id,
            kind: kind.word().to_owned(),
            name: name.to_owned(),
            fqn: vec![package.clone()],
            package,
            path: path.to_owned(),
            ..Definition::default()
        }
    }

    fn define(&self, at: usize) -> Result<Definition> {
        let configured = &self.nodes[at];
        let node = self.node(configured);
        let config = &configured.config;
        let mut definition =
            self.blank(configured.id.clone(), node.kind, &node.name, node.package, &node.path);
        definition.fqn = self.fqn(node);
        definition.materialized = materialized(node, config);
        definition.tags = tags(config);
        definition.is_python = node.is_python;
        if node.kind != Kind::Test {
            definition.relation.clone_from(&configured.relation);
        }
        definition.full_refresh = config.get("full_refresh").and_then(Json::as_bool);
        match node.kind {
            Kind::Seed => self.add_seed(&mut definition, node)?,
            _ => self.add_template(&mut definition, &node.unit, node.package, &node.path),
        }
        let mut macros = self.reach.of(&node.unit, node.package, &self.files.macros);
        self.add_config(&mut definition, config, node.package, &mut macros);
        self.add_macros(&mut definition, &macros, node.package, node.unit.is_balanced);
        self.add_materialization(&mut definition, &macros, node.package);
        definition.may_be_table = !configured.is_certain;
        definition.lag = lag(node, config)?;
        self.add_properties(&mut definition, node, config);
        if config.text("incremental_strategy") == Some("microbatch") {
            self.add_event_times(&mut definition);
        }
        self.add_names(&mut definition, configured);
        self.add_columns(&mut definition, node, config);
        self.add_globals(&mut definition);
        if node.is_python {
            self.add_modules(&mut definition, &node.unit);
        }
        settle(&mut definition);
        Ok(definition)
    }
}

/// How long a node may be older than the data of its parents.
fn lag(node: &Node, config: &Config) -> Result<Option<SignedDuration>> {
    let Some(value) = config.get("meta").and_then(|meta| meta.get("lag_tolerance")) else { return Ok(None) };
    let parsed = value.as_str().and_then(|text| text.parse::<Span>().ok());
    let lag = parsed.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let Some(lag) = lag.filter(|lag| !lag.is_negative()) else {
        bail!(
            "{} {} ({}) sets `meta: {{lag_tolerance: {value}}}`; write a duration such as 30m, 4h or 1d",
            node.kind.word(),
            node.name,
            node.path
        );
    };
    Ok(Some(lag))
}

pub(super) fn materialized(node: &Node, config: &Config) -> String {
    match node.kind {
        Kind::Model => {
            let default = if node.is_python { "table" } else { "view" };
            let configured = config.text("materialized").unwrap_or(default);
            if configured.starts_with(render::UNKNOWN) { UNKNOWN.to_owned() } else { configured.to_owned() }
        }
        kind => kind.word().to_owned(),
    }
}

fn tags(config: &Config) -> Vec<String> {
    match config.get("tags") {
        Some(Json::Array(items)) => items.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        Some(Json::String(tag)) => vec![tag.clone()],
        _ => Vec::new(),
    }
}

pub(super) fn is_enforced(config: &Config) -> bool {
    config
        .get("contract")
        .and_then(|contract| contract.get("enforced"))
        .is_some_and(|value| value == &Json::Bool(true))
}

/// The columns of an entry, with what a version changes of them.
pub(super) fn columns(entry: &Entry) -> Vec<&Yaml> {
    let own = entry.node.get("columns").map(Yaml::items).unwrap_or_default();
    let version = entry.version.as_ref().and_then(|version| version.get("columns")).map(Yaml::items);
    own.iter().chain(version.unwrap_or_default()).collect()
}
