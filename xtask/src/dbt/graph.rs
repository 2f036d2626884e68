//! A dbt project as a graph, read from its files alone: models, seeds, snapshots, sources, tests, macros and
//! what each is built from, in milliseconds and without dbt.
//!
//! Everything has its place in a file, so that a rule can point at it. What is only known in a run (a
//! `ref` of a variable, a setting that a template decides) is kept as unknown, never guessed. Pure: files
//! come in as text, so the index can be checked as well as the work tree. Every step is linear in the files.

pub(crate) mod columns;
pub(crate) mod jinja;
pub(crate) mod settings;
pub(crate) mod template;

pub(crate) mod packages;

mod entries;
mod properties;
mod read;
mod resolve;

use std::collections::{HashMap, HashSet};

pub(crate) use self::packages::Installed;
use self::settings::Settings;
use self::template::Template;
use crate::core::finding::Span;
use crate::core::source::Source;
use crate::core::yaml::Node as Yaml;

/// Every dbt project of a repository.
#[derive(Debug, Default)]
pub(crate) struct Graph<'a> {
    pub(crate) projects: Vec<Project<'a>>,
}

#[derive(Debug)]
pub(crate) struct Project<'a> {
    /// The folder of `dbt_project.yml`, with a slash at its end unless it is the repository's root.
    pub(crate) root: &'a str,
    /// `dbt_project.yml`.
    pub(crate) path: &'a str,
    pub(crate) settings: Yaml,
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) sources: Vec<SourceTable<'a>>,
    pub(crate) macros: Vec<Macro<'a>>,
    /// What property files say about nodes, in the order of files.
    pub(crate) entries: Vec<Entry<'a>>,
    /// Refs and sources of property files: tests, unit tests, exposures, semantic models.
    pub(crate) mentions: Vec<Mention<'a>>,
    pub(crate) packages: Vec<Package<'a>>,
    /// Whether `dependencies.yml` names other projects, whose models are known to dbt Cloud alone.
    reads_projects: bool,
    /// The lists of property files and keys beside them.
    pub(crate) sections: Vec<Section<'a>>,
    /// Parts of property files that dbt rejects.
    pub(crate) malformed: Vec<Malformed<'a>>,
    /// Generic tests of nodes, sources and columns.
    pub(crate) applied: Vec<Applied<'a>>,
    /// What the installed ones bring.
    pub(crate) installed: Installed,
    /// Texts of `{% docs %}` blocks by name.
    pub(crate) docs: HashMap<&'a str, &'a str>,
    pub(crate) declared: Vec<Declared<'a>>,
    /// Where descriptions ask for such a block.
    pub(crate) doc_mentions: Vec<DocMention<'a>>,
    /// Models, seeds and snapshots by the names that `ref` knows them by.
    names: HashMap<String, Vec<usize>>,
    /// Snapshots that are written in YAML alone.
    yaml_relations: HashSet<String>,
    /// Whether the tests that are read belong to the next entry.
    entries_are_open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Model,
    Seed,
    Snapshot,
    /// A test with a separate file.
    Test,
    Analysis,
}

impl Kind {
    /// As messages say it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Seed => "seed",
            Self::Snapshot => "snapshot",
            Self::Test => "test",
            Self::Analysis => "analysis",
        }
    }

    /// Whether `ref` can name it.
    pub(crate) fn is_relation(self) -> bool {
        matches!(self, Self::Model | Self::Seed | Self::Snapshot)
    }

    /// Its key in `dbt_project.yml` and in property files.
    fn key(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Seed => "seeds",
            Self::Snapshot => "snapshots",
            Self::Test => "data_tests",
            Self::Analysis => "analyses",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a str,
    pub(crate) path: &'a str,
    /// Of its name in a block, else the start of its file.
    pub(crate) span: Span,
    /// Folders between the path of its kind and its file.
    pub(crate) folders: Vec<&'a str>,
    /// Empty for seeds, which are data.
    pub(crate) text: &'a str,
    pub(crate) template: Template<'a>,
    pub(crate) settings: Settings,
    /// What it names itself.
    pub(crate) uses: Vec<Use<'a>>,
    /// What it is built from, also by macros that it calls, each once, at the place in its own file.
    pub(crate) parents: Vec<Parent>,
    /// The first property entry about it.
    pub(crate) entry: Option<usize>,
    pub(crate) is_enabled: bool,
    /// Whether a template decides if it is enabled.
    pub(crate) may_be_disabled: bool,
}

/// An item of a property file that is not about a node: an exposure, a group, a macro, a unit test.
#[derive(Debug)]
pub(crate) struct Declared<'a> {
    /// The list that it is in: `exposures`.
    pub(crate) key: String,
    pub(crate) node: Yaml,
    pub(crate) path: &'a str,
    pub(crate) span: Span,
}

/// `doc('name')` in a description.
#[derive(Debug)]
pub(crate) struct DocMention<'a> {
    pub(crate) package: Option<String>,
    pub(crate) name: String,
    pub(crate) path: &'a str,
    pub(crate) span: Span,
}

/// A top-level key of a property file.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    pub(crate) key: String,
    pub(crate) path: &'a str,
    pub(crate) span: Span,
}

/// A part of a property file that dbt rejects.
#[derive(Debug)]
pub(crate) struct Malformed<'a> {
    pub(crate) path: &'a str,
    pub(crate) span: Span,
    pub(crate) message: String,
}

/// A generic test that a property file applies to something.
#[derive(Debug)]
pub(crate) struct Applied<'a> {
    /// With its package, if it is written: `dbt_utils.at_least_one`.
    pub(crate) name: String,
    pub(crate) path: &'a str,
    pub(crate) span: Span,
    /// The entry that contains it, by its number; none for sources.
    pub(crate) entry: Option<usize>,
}

/// A table of a source.
#[derive(Debug)]
pub(crate) struct SourceTable<'a> {
    pub(crate) source: String,
    pub(crate) name: String,
    pub(crate) path: &'a str,
    /// Of its name.
    pub(crate) span: Span,
    pub(crate) node: Yaml,
    /// The source that it is a table of, without its tables.
    pub(crate) parent: std::sync::Arc<Yaml>,
}

#[derive(Debug)]
pub(crate) struct Macro<'a> {
    pub(crate) name: &'a str,
    /// `macro`, `test`, `materialization`.
    pub(crate) keyword: &'a str,
    pub(crate) parameters: Vec<&'a str>,
    pub(crate) path: &'a str,
    pub(crate) span: Span,
    /// The text of its file, and where its body is in it.
    pub(crate) text: &'a str,
    pub(crate) body: std::ops::Range<usize>,
    pub(crate) uses: Vec<Use<'a>>,
    /// What it calls, each with its place.
    pub(crate) called: Vec<(String, Span, bool)>,
    /// Whether a node, a hook or a test can come to it.
    pub(crate) is_reached: bool,
    /// What it calls by name.
    calls: Vec<String>,
    /// What it hands over to by name, whatever the adapter.
    dispatches: Vec<&'a str>,
    strings: Vec<&'a str>,
}

/// What a property file says about a node.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) path: &'a str,
    /// Of its name.
    pub(crate) span: Span,
    pub(crate) node: Yaml,
    /// What it is about, if that exists; several for a model with versions.
    pub(crate) about: Vec<usize>,
}

/// A package that the project wants installed.
#[derive(Debug)]
pub(crate) struct Package<'a> {
    pub(crate) name: String,
    pub(crate) path: &'a str,
    pub(crate) node: Yaml,
}

/// A `ref` or `source` in a template.
#[derive(Clone, Debug)]
pub(crate) struct Use<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) found: Found,
    pub(crate) span: Span,
    /// The version that a `ref` asks for; none if it asks for the latest or names it by a variable.
    pub(crate) version: Option<&'a str>,
    /// Whether a condition or a loop decides if it is used.
    pub(crate) is_conditional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    Ref {
        package: Option<&'a str>,
        name: &'a str,
    },
    Source {
        source: &'a str,
        table: &'a str,
    },
    /// Its name is known at run time only.
    Dynamic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Found {
    Node(usize),
    Source(usize),
    /// In another project or package, or at run time.
    Unknown,
    Nothing,
}

#[derive(Clone, Debug)]
pub(crate) struct Parent {
    pub(crate) found: Found,
    /// In the file of the node.
    pub(crate) span: Span,
}

/// A ref or source in a property file.
#[derive(Debug)]
pub(crate) struct Mention<'a> {
    pub(crate) role: Role,
    /// The entry that contains it, by its number.
    pub(crate) entry: Option<usize>,
    /// Texts of property files live in the entries; a mention keeps its own copy.
    pub(crate) target: Owned,
    pub(crate) found: Found,
    pub(crate) path: &'a str,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// An argument of a test.
    Test,
    /// A model that a unit test is about, or one of its inputs.
    UnitTest,
    /// A consumer of the project's models: an exposure, a semantic model.
    Consumer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owned {
    Ref { package: Option<String>, name: String },
    Source { source: String, table: String },
    Dynamic,
}

impl<'a> Graph<'a> {
    /// Reads the projects among `files`. `paths` are files that exist and need no reading, as seeds of any
    /// size.
    pub(crate) fn build(files: &[&'a Source], paths: &[&'a str]) -> Self {
        let mut roots: Vec<(&'a str, &'a Source)> = files
            .iter()
            .filter_map(|source| {
                let root = source.path.strip_suffix("dbt_project.yml")?;
                (root.is_empty() || root.ends_with('/')).then_some((root, *source))
            })
            .filter(|(root, _)| !root.contains("target/"))
            .collect();
        // The deepest root above a file is its project's.
        roots.sort_by_key(|(root, _)| (std::cmp::Reverse(root.len()), *root));
        let belongs = |path: &str| roots.iter().position(|(root, _)| path.starts_with(root));
        let mut shares: Vec<(Vec<&'a Source>, Vec<&'a str>)> = vec![Default::default(); roots.len()];
        for &file in files {
            if let Some(at) = belongs(&file.path) {
                shares[at].0.push(file);
            }
        }
        for &path in paths {
            if let Some(at) = belongs(path) {
                shares[at].1.push(path);
            }
        }
        let mut projects: Vec<Project<'a>> = roots
            .iter()
            .zip(shares)
            .filter_map(|((root, source), (files, paths))| Project::read(root, source, &files, &paths))
            .collect();
        projects.sort_by_key(|project| project.root);
        let (mut projects, packages) = packages::apart(projects);
        packages::install(&mut projects, &packages);
        projects.iter_mut().for_each(Project::finish);
        Self { projects }
    }
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

impl<'a> Project<'a> {
    /// As packages and `dbt_project.yml` write it.
    pub(crate) fn name(&self) -> Option<&str> {
        self.settings.get("name").and_then(Yaml::text)
    }

    /// Whether `dbt_project.yml` says the word anywhere, as hooks do that call a macro.
    pub(crate) fn settings_mention(&self, word: &str) -> bool {
        fn mentions(node: &Yaml, word: &str) -> bool {
            node.text().is_some_and(|text| text.contains(word))
                || node.items().iter().any(|item| mentions(item, word))
                || node.entries().iter().any(|(_, value)| mentions(value, word))
        }
        mentions(&self.settings, word)
    }

    /// Models, seeds or snapshots that `ref('name')` can mean.
    pub(crate) fn named(&self, name: &str) -> &[usize] {
        self.names.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn models(&self) -> impl Iterator<Item = (usize, &Node<'a>)> {
        self.relations().filter(|(_, node)| node.kind == Kind::Model)
    }

    /// Enabled models, seeds and snapshots.
    pub(crate) fn relations(&self) -> impl Iterator<Item = (usize, &Node<'a>)> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.is_enabled && node.kind.is_relation())
    }

    pub(crate) fn entry(&self, node: &Node<'a>) -> Option<&Entry<'a>> {
        self.entries.get(node.entry?)
    }

    /// Words between quotes in templates that make or call something, each with its file: what a `ref` of a
    /// variable could mean.
    pub(crate) fn strings(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let of_nodes = self
            .nodes
            .iter()
            .filter(|node| node.kind.is_relation())
            .flat_map(|node| node.template.strings.iter().map(|string| (*string, node.path)));
        let of_macros = self
            .macros
            .iter()
            .filter(|each| each.keyword != "test")
            .flat_map(|each| each.strings.iter().map(|string| (*string, each.path)));
        of_nodes.chain(of_macros)
    }
}

impl Node<'_> {
    pub(crate) fn is_sql(&self) -> bool {
        extension(self.path) == "sql"
    }

    /// Whether dbt certainly renders its file when it builds the project.
    pub(crate) fn is_rendered(&self) -> bool {
        matches!(self.kind, Kind::Model | Kind::Snapshot | Kind::Test)
            && self.is_sql()
            && self.is_enabled
            && !self.may_be_disabled
    }
}

impl Entry<'_> {
    pub(crate) fn description(&self) -> Option<&str> {
        self.node.get("description").and_then(Yaml::text).filter(|text| !text.trim().is_empty())
    }

    pub(crate) fn columns(&self) -> &[Yaml] {
        self.node.get("columns").map(Yaml::items).unwrap_or_default()
    }

    /// The names of the tests of the node and of its columns.
    pub(crate) fn tests(&self) -> Vec<&str> {
        std::iter::once(&self.node).chain(self.columns()).flat_map(tests_of).collect()
    }
}

fn tests_of(holder: &Yaml) -> impl Iterator<Item = &str> {
    ["data_tests", "tests"].into_iter().filter_map(|key| holder.get(key)).flat_map(Yaml::items).filter_map(
        |test| {
            test.text()
                .or_else(|| test.get("test_name").and_then(Yaml::text))
                .or_else(|| test.entries().first().and_then(|(key, _)| key.text()))
        },
    )
}
