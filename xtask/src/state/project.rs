//! The files of a dbt project and of its packages, read and cut into nodes, macros and properties: all that a
//! definition is made of, before any configuration is applied.

mod gather;
mod parse;
mod walk;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use self::gather::{Gathered, roots};
use self::parse::Parsed;
use self::walk::Found;
pub(crate) use self::walk::NO_INPUT;
use super::fold::Dialect;
use super::unit::{self, Unit};
use crate::core::yaml::Node as Yaml;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Model,
    Seed,
    Snapshot,
    Source,
    Test,
    UnitTest,
}

impl Kind {
    /// As dbt's identifiers begin.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Seed => "seed",
            Self::Snapshot => "snapshot",
            Self::Source => "source",
            Self::Test => "test",
            Self::UnitTest => "unit_test",
        }
    }

    /// Its key in `dbt_project.yml`.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Seed => "seeds",
            Self::Snapshot => "snapshots",
            Self::Source => "sources",
            Self::Test => "data_tests",
            Self::UnitTest => "unit_tests",
        }
    }
}

/// The project itself, or a package that is installed in it.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) root: PathBuf,
    /// Put before its paths in messages: empty for the project itself.
    pub(crate) shown: String,
    pub(crate) settings: Yaml,
}

#[derive(Debug)]
pub(crate) struct Macro {
    pub(crate) package: usize,
    /// Of a test `test_…`, of a materialization `materialization_…_adapter`.
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) unit: Unit,
    /// Its whole text, for names that it gives.
    pub(crate) text: String,
}

/// A model, seed, snapshot or test with a separate file.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) package: usize,
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) path: String,
    /// Of a seed: where its rows are, and a short hash of them.
    pub(crate) file: PathBuf,
    pub(crate) rows: String,
    pub(crate) folders: Vec<String>,
    pub(crate) unit: Arc<Unit>,
    pub(crate) is_python: bool,
    /// What property files say about it, with what they say of its version.
    pub(crate) entry: Option<Arc<Entry>>,
}

/// One item of a property file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) package: usize,
    pub(crate) node: Yaml,
    pub(crate) path: String,
    /// Folders of the file, as generic tests are configured by them.
    pub(crate) folders: Vec<String>,
    /// `models`, `seeds`, `snapshots`, `data_tests`, `unit_tests`.
    pub(crate) section: &'static str,
    /// What the version of a model adds.
    pub(crate) version: Option<Yaml>,
}

/// A table of a source.
#[derive(Debug)]
pub(crate) struct SourceTable {
    pub(crate) package: usize,
    pub(crate) source: String,
    pub(crate) table: String,
    pub(crate) path: String,
    pub(crate) folders: Vec<String>,
    pub(crate) of_source: Arc<Yaml>,
    pub(crate) node: Yaml,
}

#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) packages: Vec<Package>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) macros: Vec<Macro>,
    pub(crate) sources: Vec<SourceTable>,
    /// Every entry of `models`, `seeds` and `snapshots`, whatever it is about.
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) unit_tests: Vec<Entry>,
    pub(crate) docs: BTreeMap<String, String>,
    /// Short hashes of the fixtures of unit tests, by name.
    pub(crate) fixtures: BTreeMap<String, String>,
    /// Files of Python beside the models, by the name that `import` uses.
    pub(crate) modules: BTreeMap<String, Arc<Unit>>,
    /// Files that could not be understood, and why.
    pub(crate) faults: Vec<String>,
    pub(crate) versions: HashMap<(usize, String), String>,
}

enum Role {
    Nodes(Kind),
    Macros,
    Analyses,
}

/// The folders of a package by what they hold, longest first.
fn layout(settings: &Yaml) -> Vec<(String, Role)> {
    let mut found = Vec::new();
    for (role, keys, default) in [
        (Role::Nodes(Kind::Model), ["model-paths", "source-paths"], "models"),
        (Role::Nodes(Kind::Seed), ["seed-paths", "data-paths"], "seeds"),
        (Role::Nodes(Kind::Snapshot), ["snapshot-paths", "snapshot-paths"], "snapshots"),
        (Role::Nodes(Kind::Test), ["test-paths", "test-paths"], "tests"),
        (Role::Macros, ["macro-paths", "macro-paths"], "macros"),
        (Role::Analyses, ["analysis-paths", "analysis-paths"], "analyses"),
    ] {
        let given = keys.iter().find_map(|key| settings.get(key));
        let paths: Vec<String> = given.map_or_else(
            || vec![default.to_owned()],
            |node| node.one_or_many().iter().filter_map(Yaml::text).map(str::to_owned).collect(),
        );
        for path in paths {
            let path = path.trim_start_matches("./").trim_matches('/').to_owned();
            let role = match &role {
                Role::Nodes(kind) => Role::Nodes(*kind),
                Role::Macros => Role::Macros,
                Role::Analyses => Role::Analyses,
            };
            found.push((if path == "." { String::new() } else { path }, role));
        }
    }
    found.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    found
}

impl Files {
    fn take(&mut self, parsed: Parsed) {
        match parsed {
            Parsed::Template(found, unit, text) => {
                let is_python = found.extension == "py";
                if is_python {
                    self.modules.insert(found.stem.clone(), Arc::clone(&unit));
                    if !text.contains("def model(") {
                        return;
                    }
                }
                let Role::Nodes(kind) = found.role else { return };
                self.nodes.push(node(kind, &found, found.stem.clone(), unit, is_python));
            }
            Parsed::Macros(macros) => self.macros.extend(macros),
            Parsed::Snapshots(found, snapshots) => {
                for (name, unit) in snapshots {
                    self.nodes.push(node(Kind::Snapshot, &found, name, Arc::new(unit), false));
                }
            }
            Parsed::Seed(found, rows) => {
                let node = node(Kind::Seed, &found, found.stem.clone(), Arc::default(), false);
                self.nodes.push(Node { rows, ..node });
            }
            Parsed::Fixture(found, hash) => drop(self.fixtures.insert(found.stem, hash)),
            Parsed::Docs(docs) => self.docs.extend(docs),
            Parsed::Properties(found, node, fault) => {
                self.faults.extend(fault);
                if let Some(node) = node {
                    self.take_properties(&found, &node);
                }
            }
            Parsed::Nothing => {}
        }
    }

    fn take_properties(&mut self, found: &Found, root: &Yaml) {
        let entry = |node: &Yaml, section| Entry {
            package: found.package,
            node: node.clone(),
            path: found.shown.clone(),
            folders: found.folders.clone(),
            section,
            version: None,
        };
        for key in ["models", "seeds", "snapshots", "data_tests"] {
            for item in root.get(key).map(Yaml::items).unwrap_or_default() {
                self.entries.push(Arc::new(entry(item, key)));
                if key == "snapshots" && item.get("relation").is_some() {
                    self.take_yaml_snapshot(found, item);
                }
            }
        }
        let unit_tests = root.get("unit_tests").map(Yaml::items).unwrap_or_default();
        self.unit_tests.extend(unit_tests.iter().map(|item| entry(item, "unit_tests")));
        for source in root.get("sources").map(Yaml::items).unwrap_or_default() {
            let Some(name) = source.get("name").and_then(Yaml::text) else { continue };
            let of_source = Arc::new(source.clone());
            for table in source.get("tables").map(Yaml::items).unwrap_or_default() {
                let Some(table_name) = table.get("name").and_then(Yaml::text) else { continue };
                self.sources.push(SourceTable {
                    package: found.package,
                    source: name.to_owned(),
                    table: table_name.to_owned(),
                    path: found.shown.clone(),
                    folders: found.folders.clone(),
                    of_source: Arc::clone(&of_source),
                    node: table.clone(),
                });
            }
        }
    }

    fn take_yaml_snapshot(&mut self, found: &Found, item: &Yaml) {
        let (Some(name), Some(relation)) =
            (item.get("name").and_then(Yaml::text), item.get("relation").and_then(Yaml::text))
        else {
            return;
        };
        let text = format!("select * from {{{{ {relation} }}}}");
        let unit = unit::sql(&text, Dialect::DuckDb);
        self.nodes.push(node(Kind::Snapshot, found, name.to_owned(), Arc::new(unit), false));
    }

    /// Properties find their nodes; models with versions become one node for each.
    fn finish(&mut self) {
        self.nodes.sort_by(|a, b| {
            (a.package, a.kind, &a.path, &a.name).cmp(&(b.package, b.kind, &b.path, &b.name))
        });
        let entries = std::mem::take(&mut self.entries);
        let mut by_name: HashMap<(usize, String), Vec<usize>> = HashMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            by_name.entry((node.package, node.name.clone())).or_default().push(at);
        }
        let mut versioned = HashSet::new();
        for entry in &entries {
            let Some(name) = entry.node.get("name").and_then(Yaml::text) else { continue };
            let plain = |version: Option<Yaml>| {
                Arc::new(Entry {
                    package: entry.package,
                    node: entry.node.clone(),
                    path: entry.path.clone(),
                    folders: entry.folders.clone(),
                    section: entry.section,
                    version,
                })
            };
            let versions = entry.node.get("versions").map(Yaml::items).unwrap_or_default();
            let mut newest: Option<String> = None;
            for version in versions {
                let Some(v) = version.get("v").and_then(Yaml::text) else { continue };
                newest = Some(newest.map_or_else(|| v.to_owned(), |old| later(&old, v)));
                let file = version.get("defined_in").and_then(Yaml::text).map(str::to_owned);
                let candidates =
                    file.map_or_else(|| vec![format!("{name}_v{v}"), format!("{name}.v{v}")], |f| vec![f]);
                let at = candidates.iter().find_map(|file| by_name.get(&(entry.package, file.clone())));
                for &at in at.into_iter().flatten() {
                    if self.nodes[at].kind != Kind::Model {
                        continue;
                    }
                    self.nodes[at].version = Some(v.to_owned());
                    name.clone_into(&mut self.nodes[at].name);
                    self.nodes[at].entry = Some(plain(Some(version.clone())));
                    versioned.insert(at);
                }
            }
            if let Some(newest) = newest {
                let latest =
                    entry.node.get("latest_version").and_then(Yaml::text).map_or(newest, str::to_owned);
                self.versions.insert((entry.package, name.to_owned()), latest);
                continue;
            }
            for &at in by_name.get(&(entry.package, name.to_owned())).into_iter().flatten() {
                let node = &mut self.nodes[at];
                if node.kind.key() == entry.section && !versioned.contains(&at) && node.entry.is_none() {
                    node.entry = Some(plain(None));
                }
            }
        }
        self.entries = entries;
    }
}

fn later(a: &str, b: &str) -> String {
    let is_later = match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => b > a,
        _ => b > a,
    };
    if is_later { b } else { a }.to_owned()
}

fn node(kind: Kind, found: &Found, name: String, unit: Arc<Unit>, is_python: bool) -> Node {
    Node {
        kind,
        package: found.package,
        name,
        version: None,
        path: found.shown.clone(),
        file: found.path.clone(),
        rows: String::new(),
        folders: found.folders.clone(),
        unit,
        is_python,
        entry: None,
    }
}
