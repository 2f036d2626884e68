//! The definition of each node: everything that it is made from but the data of its parents, as one short hash per
//! input, so that a difference can be named.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use minijinja::context;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::config::Config;
use super::fold::Dialect;
use super::profile::Settings;
use super::project::{self, Entry, Files, Kind, Node, SourceTable};
use super::reach::Reach;
use super::render::{self, Known, Renderer, plain};
use super::seed;
use super::tests;
use super::unit::{self, GraphUse, Ref, Unit};
use crate::core::yaml::{self, Node as Yaml};
use crate::system::digest::Digest;

/// What a build depends on beside the files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// As dbt's `target.name` says.
    pub(crate) target: String,
    /// `duckdb` or `snowflake`.
    pub(crate) adapter: String,
    /// As `dbt_project.yml` names it.
    pub(crate) profile_name: String,
    pub(crate) profile: Settings,
    pub(crate) database: String,
    pub(crate) schema: String,
    /// `--vars`.
    pub(crate) vars: Option<String>,
    pub(crate) environment: BTreeMap<String, String>,
    /// `--seeds`.
    pub(crate) seeds: Option<PathBuf>,
    /// dbt and adapter, without the last part of their versions.
    pub(crate) engine: String,
    /// The period of the clock, such as the day.
    pub(crate) period: String,
    /// The key under which values of `DBT_ENV_SECRET_` variables are hashed.
    pub(crate) key: String,
}

/// How exactly it is known what a node is made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Class {
    #[default]
    Exact,
    /// It asks the warehouse about its parents while it is compiled.
    Data,
    /// It cannot be known which inputs it reads: all of their kind count.
    Coarse,
    /// It reads what has no version: it is built every time.
    Always,
}

impl Class {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Data => "data",
            Self::Coarse => "coarse",
            Self::Always => "always",
        }
    }
}

/// What a node is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Definition {
    /// As dbt names it; of a generic test without the hash at the end.
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) package: String,
    /// Folders and name, as dbt selects it.
    pub(crate) fqn: Vec<String>,
    pub(crate) path: String,
    pub(crate) tags: Vec<String>,
    pub(crate) materialized: String,
    /// Schema and name of what it builds.
    pub(crate) relation: Option<(String, String)>,
    pub(crate) class: Class,
    /// Why it is not exact.
    pub(crate) reasons: Vec<String>,
    /// A short hash per input, by what it is called in messages.
    pub(crate) parts: BTreeMap<String, String>,
    /// The file that an input is in, where it has one.
    pub(crate) places: BTreeMap<String, String>,
    /// Nodes and sources whose data it reads.
    pub(crate) parents: BTreeSet<String>,
    /// Nodes that it must follow without reading them.
    pub(crate) follows: BTreeSet<String>,
    /// The node that a generic test or unit test is about.
    pub(crate) attached: Option<String>,
    /// The period of the clock that it reads, if it reads one.
    pub(crate) period: Option<String>,
    /// Why two builds of it may differ.
    pub(crate) random: Vec<String>,
    /// Of a view: why what it shows may change without any of its inputs.
    pub(crate) volatile: Vec<String>,
    pub(crate) full_refresh: Option<bool>,
    /// Whether it may have parents that only dbt knows.
    pub(crate) has_more_parents: bool,
}

impl Definition {
    pub(crate) fn hash(&self) -> String {
        let mut digest = Digest::default();
        for (name, hash) in &self.parts {
            digest.add(name);
            digest.add(hash);
        }
        if let (Some(period), true) = (&self.period, self.materialized != "view") {
            digest.add("clock");
            digest.add(period);
        }
        digest.short()
    }

    /// Count an input, and remember the file that it is in.
    pub(super) fn add(&mut self, label: impl Into<String>, hash: impl Into<String>, path: &str) {
        let label = label.into();
        if !path.is_empty() {
            self.places.insert(label.clone(), path.to_owned());
        }
        self.parts.insert(label, hash.into());
    }

    pub(crate) fn is_test(&self) -> bool {
        matches!(self.kind.as_str(), "test" | "unit_test")
    }

    /// Whether it leaves a relation that dbt writes.
    pub(crate) fn is_relation(&self) -> bool {
        matches!(self.kind.as_str(), "model" | "seed" | "snapshot") && self.materialized != "ephemeral"
    }
}

/// All definitions of a project by identifier.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    pub(crate) all: BTreeMap<String, Definition>,
    /// The environment's schema as the warehouse spells it.
    pub(crate) schema: String,
    /// Files that could not be understood: then nothing is known.
    pub(crate) faults: Vec<String>,
}

/// A short hash of an input.
pub(crate) fn short(content: impl AsRef<[u8]>) -> String {
    Digest::default().with(content).short()[..12].to_owned()
}

/// Reads the project in `root` and defines all that it builds and tests.
pub(crate) fn read(root: &Path, facts: &Facts) -> Result<Definitions> {
    let dialect = if facts.adapter == "snowflake" { Dialect::Snowflake } else { Dialect::DuckDb };
    let files = project::read(root, dialect)?;
    let reach = Reach::new(&files, &facts.adapter);
    let scopes = scopes(&files, facts)?;
    let mut definer = Definer {
        root,
        dialect,
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
    definer.all()
}

/// The variables of one package, and what evaluates with them.
pub(super) struct Scope {
    pub(super) vars: BTreeMap<String, Json>,
    pub(super) renderer: Renderer,
}

fn scopes(files: &Files, facts: &Facts) -> Result<Vec<Scope>> {
    let given = match &facts.vars {
        None => BTreeMap::new(),
        Some(text) => {
            let parsed = yaml::parse_one(text).context("failed to understand --vars")?;
            object(parsed.as_ref().map(plain).unwrap_or_default())
        }
    };
    let environment = Arc::new(facts.environment.clone());
    let target: BTreeMap<String, String> = [
        ("name", &facts.target),
        ("type", &facts.adapter),
        ("schema", &facts.schema),
        ("database", &facts.database),
        ("dbname", &facts.database),
        ("profile_name", &facts.profile_name),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.clone()))
    .collect();
    let of = |package: usize| {
        let mut vars = BTreeMap::new();
        let name = &files.packages[package].name;
        for at in if package == 0 { vec![0] } else { vec![package, 0] } {
            let all = object(files.packages[at].settings.get("vars").map(plain).unwrap_or_default());
            let is_scope = |key: &str| files.packages.iter().any(|package| package.name == key);
            vars.extend(all.iter().filter(|(key, value)| !(is_scope(key) && value.is_object())).map(own));
            if let Some(Json::Object(scoped)) = all.get(name) {
                vars.extend(scoped.iter().map(own));
            }
        }
        vars.extend(given.clone());
        let known = Known {
            vars: vars.clone(),
            envs: Arc::clone(&environment),
            target: target.clone(),
            project: files.packages[0].name.clone(),
        };
        Scope { vars, renderer: Renderer::new(&known) }
    };
    Ok((0..files.packages.len()).map(of).collect())
}

fn own((key, value): (&String, &Json)) -> (String, Json) {
    (key.clone(), value.clone())
}

fn object(value: Json) -> BTreeMap<String, Json> {
    match value {
        Json::Object(map) => map.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

/// Inputs that a node counts whole when it is not known which of them it reads.
struct Shared {
    macros: String,
    vars: String,
    settings: String,
    packages: String,
    sources: String,
    graph: String,
}

impl Shared {
    fn new(files: &Files, facts: &Facts, scopes: &[Scope]) -> Self {
        let mut macros: Vec<String> = files
            .macros
            .iter()
            .map(|each| format!("{}.{} {}", files.packages[each.package].name, each.name, each.unit.folded))
            .collect();
        macros.sort();
        let vars: Vec<String> = scopes.iter().map(|scope| format!("{:?}", scope.vars)).collect();
        let envs: Vec<String> = facts
            .environment
            .iter()
            .filter(|(name, _)| {
                name.starts_with("DBT_") && !is_neutral(name) && !name.starts_with("DBT_ENV_SECRET")
            })
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let settings: Vec<String> =
            files.packages.iter().map(|package| plain(&package.settings).to_string()).collect();
        let packages: Vec<&str> = files.packages.iter().map(|package| package.name.as_str()).collect();
        let sources: Vec<String> = files
            .sources
            .iter()
            .map(|table| format!("{}{}{}", table.source, plain(&table.of_source), plain(&table.node)))
            .collect();
        let nodes: Vec<String> = files
            .nodes
            .iter()
            .map(|node| format!("{} {} {:?} {:?}", node.path, node.name, node.version, node.unit.config))
            .collect();
        let entries: Vec<String> = files.entries.iter().map(|entry| plain(&entry.node).to_string()).collect();
        let settings = short(settings.join("\n"));
        let sources = short(sources.join("\n"));
        Self {
            macros: short(macros.join("\n")),
            vars: short(vars.join("\n") + &envs.join("\n")),
            packages: short(packages.join("\n")),
            graph: short(format!("{}{}{settings}{sources}", nodes.join("\n"), entries.join("\n"))),
            settings,
            sources,
        }
    }
}

/// Variables that say where and how, not what.
fn is_neutral(name: &str) -> bool {
    const NEUTRAL: [&str; 8] = [
        "DBT_DUCKDB_PATH",
        "DBT_THREADS",
        "DBT_TARGET_PATH",
        "DBT_LOG_PATH",
        "DBT_SNOWFLAKE_QUERY_TAG",
        "DBT_SEED_DIR",
        "DBT_PROFILES_DIR",
        "XTASK_RUN_ID",
    ];
    NEUTRAL.contains(&name)
}

/// A node with its configuration.
pub(super) struct Configured {
    pub(super) at: usize,
    pub(super) id: String,
    pub(super) config: Config,
    pub(super) relation: Option<(String, String)>,
    /// What its names follow from, where they could not be computed.
    pub(super) naming: Option<String>,
}

pub(super) struct Definer<'a> {
    root: &'a Path,
    dialect: Dialect,
    pub(super) files: &'a Files,
    pub(super) facts: &'a Facts,
    pub(super) reach: Reach,
    pub(super) scopes: Vec<Scope>,
    shared: Shared,
    /// Those that are enabled.
    pub(super) nodes: Vec<Configured>,
    /// Models, seeds and snapshots by name.
    names: HashMap<&'a str, Vec<usize>>,
    ids: HashMap<String, usize>,
    sources: HashMap<(&'a str, &'a str), Vec<usize>>,
}

impl<'a> Definer<'a> {
    pub(super) fn node(&self, configured: &Configured) -> &'a Node {
        &self.files.nodes[configured.at]
    }

    fn configure(&mut self) {
        let nodes: Vec<Configured> = (0..self.files.nodes.len())
            .into_par_iter()
            .filter_map(|at| {
                let node = &self.files.nodes[at];
                let config = self.config(node);
                config.is_enabled().then(|| {
                    let (relation, naming) = self.names_of(node, &config);
                    Configured { at, id: self.id(node), config, relation, naming }
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

    fn config(&self, node: &Node) -> Config {
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
        config.add_calls(&node.unit.config, &node.path, with);
        if node.package != 0 {
            self.add_project(&mut config, 0, node.kind, &steps, &self.scopes[0].renderer);
        }
        config
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

    /// Schema and name of what a node builds; or, where the project's macros for names cannot be evaluated, what
    /// those follow from.
    fn names_of(&self, node: &Node, config: &Config) -> (Option<(String, String)>, Option<String>) {
        let custom_schema = config
            .text(if node.kind == Kind::Snapshot { "target_schema" } else { "schema" })
            .or_else(|| config.text("schema"));
        let alias = config.text("alias");
        let schema = self.named("generate_schema_name", node, custom_schema).or_else(|| {
            let has_own = self.has_macro("generate_schema_name", node.package);
            (!has_own).then(|| match custom_schema {
                Some(custom) if node.kind == Kind::Snapshot && config.text("target_schema").is_some() => {
                    custom.to_owned()
                }
                Some(custom) => format!("{}_{}", self.facts.schema, custom.trim()),
                None => self.facts.schema.clone(),
            })
        });
        let name = self.named("generate_alias_name", node, alias).or_else(|| {
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
        let macros = self.files.macros.iter().filter(|each| each.name.contains("generate_"));
        let texts: Vec<&str> = macros.map(|each| each.unit.raw.as_str()).collect();
        (None, Some(format!("{}{custom_schema:?}{alias:?}", texts.join(" "))))
    }

    fn has_macro(&self, name: &str, package: usize) -> bool {
        self.naming_macros(name, package).next().is_some()
    }

    fn naming_macros(&self, name: &str, package: usize) -> impl Iterator<Item = &'a project::Macro> {
        let adapter = format!("{}__{name}", self.facts.adapter);
        let names = [name.to_owned(), adapter, format!("default__{name}")];
        let macros = self.files.macros.iter();
        macros
            .filter(move |each| names.contains(&each.name) && (each.package == 0 || each.package == package))
    }

    /// A name as one of the project's own macros gives it.
    fn named(&self, name: &str, node: &Node, custom: Option<&str>) -> Option<String> {
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
        let context = context! {
            custom => custom,
            node => context! {
                name => &node.name, resource_type => node.kind.word(), fqn => &fqn, path => &node.path,
                version => &node.version, package_name => &fqn[0], original_file_path => &node.path,
            },
        };
        let name = self.scopes[0].renderer.call(&text, &format!("{first}(custom, node)"), &context)?;
        (!name.is_empty()).then_some(name)
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
        match wanted {
            Some(package) => {
                fitting.iter().copied().find(|at| name_of(self.node(&self.nodes[*at]).package) == package)
            }
            None => in_package(from).or_else(|| in_package(0)).or_else(|| fitting.first().copied()),
        }
    }

    pub(super) fn source(&self, from: usize, source: &str, table: &str) -> Option<&'a SourceTable> {
        let candidates = self.sources.get(&(source, table))?;
        let own = candidates.iter().find(|at| self.files.sources[**at].package == from);
        Some(&self.files.sources[*own.or_else(|| candidates.first())?])
    }

    pub(super) fn source_id(&self, table: &SourceTable) -> String {
        format!("source.{}.{}.{}", self.files.packages[table.package].name, table.source, table.table)
    }

    /// What SQL calls a table of a source, and what else decides how it is read.
    pub(super) fn source_parts(&self, table: &SourceTable) -> String {
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
    fn source_relation(&self, table: &SourceTable) -> Option<(String, String)> {
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
    fn add_source_files(&self, definition: &mut Definition, table: &SourceTable) {
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

    /// A hash of the files that `name` means; `None` if there are none.
    fn file_digest(&self, name: &str) -> Option<String> {
        let files = seed::files(&self.root.join(name)).ok().filter(|files| !files.is_empty())?;
        let mut digest = Digest::default();
        for path in files {
            digest.add(fs::File::open(&path).and_then(crate::system::digest::of_content).ok()?);
        }
        Some(digest.short()[..12].to_owned())
    }

    fn all(self) -> Result<Definitions> {
        let mut nodes: Vec<Definition> =
            (0..self.nodes.len()).into_par_iter().map(|at| self.define(at)).collect::<Result<_>>()?;
        inline_ephemerals(&mut nodes);
        let mut all: BTreeMap<String, Definition> =
            nodes.into_iter().map(|definition| (definition.id.clone(), definition)).collect();
        for table in &self.files.sources {
            let id = self.source_id(table);
            let mut definition =
                self.blank(id.clone(), Kind::Source, &table.table, table.package, &table.path);
            definition.fqn.extend([table.source.clone(), table.table.clone()]);
            definition.add("source", short(self.source_parts(table)), &table.path);
            definition.relation = self.source_relation(table);
            self.add_source_files(&mut definition, table);
            all.insert(id, definition);
        }
        let mut more = tests::generic(&self);
        more.extend(tests::unit_tests(&self, &all)?);
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
        Ok(Definitions { all, schema: self.facts.schema.clone(), faults: self.files.faults.clone() })
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
        self.add_names(&mut definition, configured);
        self.add_columns(&mut definition, node, config);
        self.add_globals(&mut definition);
        if node.is_python {
            for name in node.unit.names.iter().filter_map(|name| name.strip_prefix("import ")) {
                if let Some(module) = self.files.modules.get(name) {
                    definition.parts.insert(format!("module {name}"), module[..12].to_owned());
                }
            }
        }
        settle(&mut definition);
        Ok(definition)
    }

    fn add_seed(&self, definition: &mut Definition, node: &Node) -> Result<()> {
        let given = self.facts.seeds.as_ref().filter(|_| node.package == 0);
        let file =
            given.map(|folder| folder.join(format!("{}.csv", node.name))).filter(|file| file.is_file());
        let file = file.unwrap_or_else(|| node.file.clone());
        let digest = seed::digest(&file).with_context(|| format!("failed to read {}", file.display()))?;
        definition.add("data", digest, &node.path);
        let header = seed::header(&file).with_context(|| format!("failed to read {}", file.display()))?;
        definition.add("header", short(header), &node.path);
        Ok(())
    }

    /// The text itself and all that it reads.
    pub(super) fn add_template(&self, definition: &mut Definition, unit: &Unit, package: usize, path: &str) {
        definition.add("sql", &unit.folded[..12], path);
        self.add_reads(definition, unit, package);
    }

    /// Variables, parents and whatever else a template reads. A macro reads as the node that calls it.
    fn add_reads(&self, definition: &mut Definition, unit: &Unit, package: usize) {
        let scope = &self.scopes[package];
        for name in &unit.vars {
            let value = scope.vars.get(name).map_or_else(|| "(not set)".to_owned(), Json::to_string);
            definition.parts.insert(format!("var {name}"), short(value));
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

    fn add_env(&self, definition: &mut Definition, name: &str) {
        if is_neutral(name) {
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

    fn add_file(&self, definition: &mut Definition, file: &str) {
        match self.file_digest(file) {
            Some(digest) => drop(definition.parts.insert(format!("file {file}"), digest)),
            None => definition.volatile.push(format!("reads {file}, which is not found")),
        }
    }

    pub(super) fn add_parent(&self, definition: &mut Definition, package: usize, found: &Ref) {
        let Some(at) = self.resolve(package, found) else {
            definition.parts.insert(format!("ref {}", found.1), "unknown".to_owned());
            return;
        };
        self.add_relation(definition, &self.nodes[at]);
    }

    /// A node whose data is read, under the name that it has in SQL.
    pub(super) fn add_relation(&self, definition: &mut Definition, parent: &Configured) {
        if parent.id == definition.id {
            return;
        }
        definition.parents.insert(parent.id.clone());
        if materialized(self.node(parent), &parent.config) != "ephemeral" {
            let label = format!("name of {}", self.node(parent).name);
            definition.parts.insert(label, self.relation_hash(parent));
        }
    }

    /// A relation's name; its schema only as far as it is not the environment's own.
    fn relation_hash(&self, of: &Configured) -> String {
        let database = of.config.text("database").unwrap_or_default();
        short(match &of.relation {
            Some((schema, name)) => format!("{database}.{}.{name}", self.neutral(schema)),
            None => of.naming.clone().unwrap_or_default(),
        })
    }

    fn neutral(&self, schema: &str) -> String {
        match schema.strip_prefix(&self.facts.schema) {
            Some(rest) => format!("\u{1}{rest}"),
            None => schema.to_owned(),
        }
    }

    pub(super) fn add_source(&self, definition: &mut Definition, table: &SourceTable) {
        definition.parents.insert(self.source_id(table));
        let said = self.source_parts(table).replace(&format!("\"{}\"", self.facts.schema), "\u{1}");
        definition.parts.insert(format!("source {}.{}", table.source, table.table), short(said));
    }

    pub(super) fn add_macros(
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
    pub(super) fn add_materialization(
        &self,
        definition: &mut Definition,
        own: &BTreeSet<usize>,
        package: usize,
    ) {
        let macros = self.reach.of_materialization(&definition.materialized);
        let only: BTreeSet<usize> = macros.difference(own).copied().collect();
        let before = definition.clone();
        self.add_macros(definition, &only, package, true);
        definition.class = before.class;
        definition.reasons = before.reasons;
        definition.volatile = before.volatile;
        definition.period = before.period;
        definition.random = before.random;
    }

    pub(super) fn add_config(
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

    fn add_names(&self, definition: &mut Definition, configured: &Configured) {
        definition.parts.insert("relation".to_owned(), self.relation_hash(configured));
    }

    /// Columns count where they become part of the table: types and constraints under an enforced contract,
    /// descriptions where they are stored.
    fn add_columns(&self, definition: &mut Definition, node: &Node, config: &Config) {
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
                definition.add("description", short(text_of(&entry.node)), &entry.path);
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

    fn description(&self, node: &Yaml) -> String {
        let text = node.get("description").and_then(Yaml::text).unwrap_or_default();
        let docs =
            self.files.docs.iter().filter(|(name, _)| text.contains(name.as_str()) && text.contains("doc("));
        docs.fold(text.to_owned(), |said, (_, doc)| format!("{said}\n{doc}"))
    }

    pub(super) fn add_globals(&self, definition: &mut Definition) {
        definition.parts.insert("dbt".to_owned(), short(&self.facts.engine));
        let settings = &self.files.packages[0].settings;
        if !self.facts.profile.text.is_empty() {
            definition.parts.insert("profile".to_owned(), short(&self.facts.profile.text));
        }
        for name in &self.facts.profile.variables {
            self.add_env(definition, name);
        }
        if let Some(quoting) = settings.get("quoting") {
            definition.add("quoting", short(plain(quoting).to_string()), "dbt_project.yml");
        }
    }
}

fn coarse(definition: &mut Definition, reason: &str) {
    definition.class = definition.class.max(Class::Coarse);
    definition.reasons.push(reason.to_owned());
}

/// An ephemeral model is part of the SQL of whatever reads it.
fn inline_ephemerals(nodes: &mut [Definition]) {
    let by_id: HashMap<String, usize> =
        nodes.iter().enumerate().map(|(at, each)| (each.id.clone(), at)).collect();
    let mut done = vec![false; nodes.len()];
    for at in 0..nodes.len() {
        inline(nodes, &by_id, &mut done, at, 0);
    }
}

fn inline(
    nodes: &mut [Definition],
    by_id: &HashMap<String, usize>,
    done: &mut [bool],
    at: usize,
    depth: usize,
) {
    if done[at] || depth > 500 {
        return;
    }
    done[at] = true;
    let parents: Vec<String> = nodes[at].parents.iter().cloned().collect();
    for parent in parents {
        let Some(&of) = by_id.get(&parent) else { continue };
        if nodes[of].materialized != "ephemeral" || nodes[of].kind != "model" {
            continue;
        }
        inline(nodes, by_id, done, of, depth + 1);
        let ephemeral = nodes[of].clone();
        let node = &mut nodes[at];
        node.parents.remove(&parent);
        node.parents.extend(ephemeral.parents.iter().cloned());
        node.follows.extend(ephemeral.follows.iter().cloned());
        for (name, hash) in &ephemeral.parts {
            // What every node has says nothing here.
            if !matches!(name.as_str(), "dbt" | "relation" | "quoting") {
                let label = if name == "sql" { format!("sql of {}", ephemeral.name) } else { name.clone() };
                if let Some(place) = ephemeral.places.get(name) {
                    node.places.entry(label.clone()).or_insert_with(|| place.clone());
                }
                node.parts.entry(label).or_insert_with(|| hash.clone());
            }
        }
        node.has_more_parents |= ephemeral.has_more_parents;
        node.class = node.class.max(ephemeral.class);
        node.reasons.extend(ephemeral.reasons.iter().cloned());
        node.volatile.extend(ephemeral.volatile.iter().cloned());
        node.random.extend(ephemeral.random.iter().cloned());
        node.period = node.period.take().or(ephemeral.period);
        settle(node);
    }
}

/// Each reason once; and a table of what has no version is built every time.
pub(super) fn settle(definition: &mut Definition) {
    for list in [&mut definition.reasons, &mut definition.volatile, &mut definition.random] {
        list.sort();
        list.dedup();
    }
    if !definition.volatile.is_empty()
        && definition.materialized != "view"
        && definition.materialized != "ephemeral"
    {
        definition.class = Class::Always;
    }
    if definition.class == Class::Always {
        let volatile = definition.volatile.clone();
        definition.reasons.extend(
            volatile.into_iter().filter(|reason| !definition.reasons.contains(reason)).collect::<Vec<_>>(),
        );
    }
}

/// dbt's own macros for names, for the project's that call them.
const DEFAULTS: &str = "{% macro default__generate_schema_name(custom, node) %}{{ target.schema if not custom else target.schema ~ '_' ~ custom | trim }}{% endmacro %}\
{% macro generate_schema_name_for_env(custom, node) %}{{ custom | trim if target.name == 'prod' and custom else target.schema }}{% endmacro %}\
{% macro default__generate_alias_name(custom, node) %}{{ custom | trim if custom else node.name }}{% endmacro %}";

pub(super) fn materialized(node: &Node, config: &Config) -> String {
    match node.kind {
        Kind::Model => {
            let default = if node.is_python { "table" } else { "view" };
            config.text("materialized").unwrap_or(default).to_owned()
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

/// All texts in a value.
fn texts(value: &Json) -> Vec<String> {
    match value {
        Json::String(text) => vec![text.clone()],
        Json::Array(items) => items.iter().flat_map(texts).collect(),
        Json::Object(map) => map.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// Reads a file that a definition depends on.
pub(super) fn content(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .with_context(|| format!("failed to read {}", path.display()))?;
    Ok(bytes)
}
