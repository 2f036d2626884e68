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

mod properties;
mod resolve;

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

pub(crate) use self::packages::Installed;
use self::settings::Settings;
use self::template::Template;
use crate::core::finding::Span;
use crate::core::source::Source;
use crate::core::yaml::{self, Node as Yaml, Value};

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

/// The lists of property files whose items are kept as they are.
const DECLARED: [&str; 6] = ["exposures", "groups", "macros", "unit_tests", "data_tests", "tests"];

/// What one file is to its project.
enum Parsed<'a> {
    Template(Place<'a>, Template<'a>, &'a str),
    Properties(Yaml, &'a str),
    Packages(Yaml, &'a str),
    Docs(Vec<(&'a str, &'a str)>),
    Nothing,
}

/// A file's location: the kind of its path, and the folders below that.
#[derive(Clone, Debug)]
struct Place<'a> {
    kind: Option<Kind>,
    folders: Vec<&'a str>,
    stem: &'a str,
    path: &'a str,
}

/// The paths of a project's kinds, as its file gives them.
struct Layout(Vec<(String, Option<Kind>)>);

impl Layout {
    fn new(settings: &Yaml) -> Self {
        let mut paths = Vec::new();
        for (kind, keys, default) in [
            (Some(Kind::Model), ["model-paths", "source-paths"], "models"),
            (Some(Kind::Seed), ["seed-paths", "data-paths"], "seeds"),
            (Some(Kind::Snapshot), ["snapshot-paths", "snapshot-paths"], "snapshots"),
            (Some(Kind::Test), ["test-paths", "test-paths"], "tests"),
            (Some(Kind::Analysis), ["analysis-paths", "analysis-paths"], "analyses"),
            (None, ["macro-paths", "macro-paths"], "macros"),
        ] {
            let given = keys.iter().find_map(|key| settings.get(key));
            let given: Vec<&str> = given.map_or_else(
                || vec![default],
                |node| node.one_or_many().iter().filter_map(Yaml::text).collect(),
            );
            paths.extend(given.into_iter().map(|path| {
                let path = path.trim_start_matches("./").trim_end_matches('/');
                (if path == "." { String::new() } else { format!("{path}/") }, kind)
            }));
        }
        // The longest first: a path may be inside another.
        paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Self(paths)
    }

    fn place<'a>(&self, root: &str, path: &'a str) -> Option<Place<'a>> {
        let inner = &path[root.len()..];
        let (rest, kind) =
            self.0.iter().find_map(|(prefix, kind)| Some((inner.strip_prefix(prefix.as_str())?, *kind)))?;
        let mut folders: Vec<&str> = rest.split('/').collect();
        let file = folders.pop()?;
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        Some(Place { kind, folders, stem, path })
    }
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

impl<'a> Project<'a> {
    fn read(root: &'a str, source: &'a Source, files: &[&'a Source], paths: &[&'a str]) -> Option<Self> {
        let settings = yaml::parse_one(&source.text).ok()??;
        let layout = Layout::new(&settings);
        let mut project = Self {
            root,
            path: &source.path,
            settings,
            nodes: Vec::new(),
            sources: Vec::new(),
            macros: Vec::new(),
            entries: Vec::new(),
            mentions: Vec::new(),
            packages: Vec::new(),
            reads_projects: false,
            sections: Vec::new(),
            malformed: Vec::new(),
            applied: Vec::new(),
            installed: Installed::default(),
            docs: HashMap::new(),
            declared: Vec::new(),
            doc_mentions: Vec::new(),
            names: HashMap::new(),
            yaml_relations: HashSet::new(),
            entries_are_open: false,
        };
        let parsed: Vec<Parsed<'a>> =
            files.par_iter().map(|file| Parsed::read(root, &layout, file)).collect();
        let seeds = files.iter().map(|file| file.path.as_str()).chain(paths.iter().copied());
        let mut seeds: Vec<&'a str> = seeds.filter(|path| extension(path) == "csv").collect();
        seeds.sort_unstable();
        seeds.dedup();
        for path in seeds {
            if let Some(place) = layout.place(root, path).filter(|place| place.kind == Some(Kind::Seed)) {
                project.add_node(Kind::Seed, &place, Template::default(), "");
            }
        }
        for parsed in parsed {
            project.take(parsed);
        }
        Some(project)
    }

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

    fn take(&mut self, parsed: Parsed<'a>) {
        match parsed {
            Parsed::Template(place, template, text) => self.take_template(&place, template, text),
            Parsed::Properties(root, path) => self.take_properties(root, path),
            Parsed::Packages(root, path) => self.take_packages(&root, path),
            Parsed::Docs(docs) => self.docs.extend(docs),
            Parsed::Nothing => {}
        }
    }

    fn take_template(&mut self, place: &Place<'a>, mut template: Template<'a>, text: &'a str) {
        let is = |keywords: &[&str]| template.blocks.iter().any(|block| keywords.contains(&block.keyword));
        match place.kind {
            None | Some(Kind::Test | Kind::Snapshot)
                if is(&["macro", "test", "data_test", "materialization"]) =>
            {
                self.take_macros(place, &template, text);
            }
            Some(Kind::Snapshot) => {
                let blocks = std::mem::take(&mut template.blocks);
                for (at, block) in blocks.into_iter().enumerate() {
                    let (mine, others) =
                        std::mem::take(&mut template.calls).into_iter().partition(|c| c.block == Some(at));
                    template.calls = others;
                    let own = Template { calls: mine, blocks: vec![], strings: template.strings.clone() };
                    let place = Place { stem: block.name, ..place.clone() };
                    self.add_node(Kind::Snapshot, &place, own, text);
                    if let Some(node) = self.nodes.last_mut() {
                        node.span = block.span;
                    }
                }
            }
            Some(kind @ (Kind::Model | Kind::Test | Kind::Analysis)) => {
                self.add_node(kind, place, template, text);
            }
            Some(Kind::Seed) | None => {}
        }
    }

    fn take_macros(&mut self, place: &Place<'a>, template: &Template<'a>, text: &'a str) {
        let first = self.macros.len();
        for block in &template.blocks {
            self.macros.push(Macro {
                name: block.name,
                keyword: if block.keyword == "data_test" { "test" } else { block.keyword },
                parameters: block.parameters.clone(),
                path: place.path,
                span: block.span,
                text,
                body: block.body.clone(),
                uses: Vec::new(),
                called: Vec::new(),
                is_reached: false,
                calls: Vec::new(),
                dispatches: Vec::new(),
                strings: Vec::new(),
            });
        }
        for called in &template.calls {
            let Some(block) = called.block.and_then(|at| self.macros.get_mut(first + at)) else { continue };
            if called.call.is_looked_up {
                block.called.push((called.call.name.clone(), called.span, called.is_conditional));
            }
            if called.call.name.ends_with("dispatch") {
                block.dispatches.extend(called.call.positional().next().and_then(jinja::Literal::text));
            } else if let Some(each) = resolve::target(&called.call) {
                block.uses.push(resolve::used(called, each));
            } else {
                block.calls.push(called.call.name.clone());
            }
        }
        if let Some(each) = self.macros.get_mut(first) {
            each.strings.clone_from(&template.strings);
        }
    }

    fn add_node(&mut self, kind: Kind, place: &Place<'a>, template: Template<'a>, text: &'a str) {
        let uses = template
            .calls
            .iter()
            .filter_map(|called| {
                let target = resolve::target(&called.call)?;
                Some(resolve::used(called, target))
            })
            .collect();
        self.nodes.push(Node {
            kind,
            name: place.stem,
            path: place.path,
            span: Span { line: 1, column: 1, end_line: 1, end_column: 1 },
            folders: place.folders.clone(),
            text,
            template,
            settings: Settings::default(),
            uses,
            parents: Vec::new(),
            entry: None,
            is_enabled: true,
            may_be_disabled: false,
        });
    }

    fn take_properties(&mut self, root: Yaml, path: &'a str) {
        let Value::Mapping(sections) = root.value else { return };
        for (key_node, section) in sections {
            let Some(key) = key_node.text().map(str::to_owned) else { continue };
            self.sections.push(Section { key: key.clone(), path, span: key_node.span });
            self.mention_docs(&section, path, 0);
            if properties::LISTS.contains(&key.as_str()) {
                let faults = properties::faults_of_list(&key_node, &section);
                self.malformed.extend(faults.map(|(span, message)| Malformed { path, span, message }));
            }
            let Value::Sequence(items) = section.value else { continue };
            for item in items {
                match key.as_str() {
                    "models" => self.take_entry(Kind::Model, item.clone(), path),
                    "seeds" => self.take_entry(Kind::Seed, item.clone(), path),
                    "snapshots" => self.take_entry(Kind::Snapshot, item.clone(), path),
                    "analyses" => self.take_entry(Kind::Analysis, item.clone(), path),
                    "sources" => self.take_source(item.clone(), path),
                    "unit_tests" => self.take_unit_test(&item, path),
                    "exposures" => {
                        for each in item.get("depends_on").map(Yaml::items).unwrap_or_default() {
                            self.mention(Role::Consumer, each, path);
                        }
                    }
                    "semantic_models" => {
                        if let Some(model) = item.get("model") {
                            self.mention(Role::Consumer, model, path);
                        }
                    }
                    _ => {}
                }
                if DECLARED.contains(&key.as_str()) {
                    let span = item.get("name").map_or(item.span, |name| name.span);
                    self.declared.push(Declared { key: key.clone(), node: item, path, span });
                }
            }
        }
    }

    fn take_entry(&mut self, kind: Kind, node: Yaml, path: &'a str) {
        let Some((name, span)) = node.get("name").and_then(|name| Some((name.text()?.to_owned(), name.span)))
        else {
            return;
        };
        self.entries_are_open = true;
        self.mention_tests(&node, path);
        self.entries_are_open = false;
        // A snapshot can be written in YAML alone.
        if kind == Kind::Snapshot
            && let Some(relation) = node.get("relation")
        {
            self.mention(Role::Consumer, relation, path);
        }
        self.entries.push(Entry { kind, name, path, span, node, about: Vec::new() });
    }

    fn take_source(&mut self, node: Yaml, path: &'a str) {
        let Some(source) = node.get("name").and_then(Yaml::text).map(str::to_owned) else { return };
        let Value::Mapping(entries) = node.value else { return };
        let (tables, own): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(key, _)| key.text() == Some("tables"));
        let parent =
            std::sync::Arc::new(Yaml { value: Value::Mapping(own), span: node.span, bytes: node.bytes });
        for table in tables.into_iter().flat_map(|(_, tables)| match tables.value {
            Value::Sequence(items) => items,
            _ => Vec::new(),
        }) {
            let Some((name, span)) = table.get("name").and_then(|n| Some((n.text()?.to_owned(), n.span)))
            else {
                continue;
            };
            self.mention_tests(&table, path);
            let (source, parent) = (source.clone(), std::sync::Arc::clone(&parent));
            self.sources.push(SourceTable { source, name, path, span, node: table, parent });
        }
    }

    fn take_unit_test(&mut self, item: &Yaml, path: &'a str) {
        if let Some(model) = item.get("model")
            && let Some(name) = model.text()
        {
            self.mentions.push(Mention {
                role: Role::UnitTest,
                entry: None,
                target: Owned::Ref { package: None, name: name.to_owned() },
                found: Found::Unknown,
                path,
                span: model.span,
            });
        }
        for given in item.get("given").map(Yaml::items).unwrap_or_default() {
            if let Some(input) = given.get("input").filter(|input| input.text() != Some("this")) {
                self.mention(Role::UnitTest, input, path);
            }
        }
    }

    /// `doc(…)` in the descriptions of anything.
    fn mention_docs(&mut self, node: &Yaml, path: &'a str, depth: usize) {
        const DEEPEST: usize = 40;
        if depth > DEEPEST {
            return;
        }
        for item in node.items() {
            self.mention_docs(item, path, depth + 1);
        }
        for (key, value) in node.entries() {
            let described = value.text().filter(|text| {
                key.text() == Some("description") && text.contains("doc(") && text.contains("{{")
            });
            let Some(text) = described else {
                self.mention_docs(value, path, depth + 1);
                continue;
            };
            for piece in jinja::pieces(text) {
                let jinja::Piece::Output(inner) = piece else { continue };
                for call in jinja::calls(&jinja::tokens(text, inner, false)) {
                    let texts: Vec<&str> = call.positional().filter_map(jinja::Literal::text).collect();
                    let (package, name) = match texts[..] {
                        _ if call.name != "doc" => continue,
                        [name] => (None, name),
                        [package, name] => (Some(package.to_owned()), name),
                        _ => continue,
                    };
                    let name = name.to_owned();
                    self.doc_mentions.push(DocMention { package, name, path, span: value.span });
                }
            }
        }
    }

    fn mention_tests(&mut self, node: &Yaml, path: &'a str) {
        let columns = node.get("columns").map(Yaml::items).unwrap_or_default();
        for holder in std::iter::once(node).chain(columns) {
            for key in ["data_tests", "tests"] {
                for test in holder.get(key).map(Yaml::items).unwrap_or_default() {
                    self.mention_within(test, path);
                    match properties::test(test) {
                        Ok((name, span)) => {
                            let entry = self.entries_are_open.then_some(self.entries.len());
                            self.applied.push(Applied { name, path, span, entry });
                        }
                        Err(message) => self.malformed.push(Malformed { path, span: test.span, message }),
                    }
                }
            }
        }
    }

    /// Refs anywhere in a test's arguments. The reader has bounded how deep and how much that is.
    fn mention_within(&mut self, node: &Yaml, path: &'a str) {
        match &node.value {
            Value::Scalar { text, .. } if text.contains("ref(") || text.contains("source(") => {
                self.mention(Role::Test, node, path);
            }
            Value::Scalar { .. } => {}
            Value::Sequence(items) => {
                for item in items {
                    self.mention_within(item, path);
                }
            }
            Value::Mapping(entries) => {
                for (_, value) in entries {
                    self.mention_within(value, path);
                }
            }
        }
    }

    fn mention(&mut self, role: Role, node: &Yaml, path: &'a str) {
        let Some(text) = node.text() else { return };
        let calls = jinja::calls(&jinja::tokens(text, 0..text.len(), false));
        self.mentions.extend(calls.iter().filter_map(resolve::target).map(|target| Mention {
            role,
            entry: (role == Role::Test && self.entries_are_open).then_some(self.entries.len()),
            target: resolve::owned(&target),
            found: Found::Unknown,
            path,
            span: node.span,
        }));
    }

    fn take_packages(&mut self, root: &Yaml, path: &'a str) {
        self.reads_projects |= root.get("projects").is_some_and(|projects| !projects.items().is_empty());
        for package in root.get("packages").map(Yaml::items).unwrap_or_default() {
            let name = ["package", "git", "local", "tarball", "private", "name"]
                .iter()
                .find_map(|key| package.get(key))
                .and_then(Yaml::text)
                .unwrap_or_default();
            let name = name.trim_end_matches('/').trim_end_matches(".git");
            let name = name.rsplit('/').next().unwrap_or_default().to_owned();
            self.packages.push(Package { name, path, node: package.clone() });
        }
    }
}

impl<'a> Parsed<'a> {
    fn read(root: &str, layout: &Layout, file: &'a Source) -> Self {
        let path = file.path.as_str();
        let inner = &path[root.len()..];
        let of_yaml = |made: fn(Yaml, &'a str) -> Self| match yaml::parse_one(&file.text) {
            Ok(Some(document)) => made(document, path),
            _ => Self::Nothing,
        };
        if matches!(inner, "packages.yml" | "dependencies.yml") {
            return of_yaml(Self::Packages);
        }
        if extension(path) == "md" {
            // `docs-paths` may name any folder: a block counts wherever its file is.
            let blocks = Template::sql(&file.text).blocks;
            let docs = blocks.into_iter().filter(|block| block.keyword == "docs");
            return Self::Docs(docs.map(|block| (block.name, &file.text[block.body])).collect());
        }
        let Some(place) = layout.place(root, path) else { return Self::Nothing };
        match extension(path) {
            "sql" => Self::Template(place, Template::sql(&file.text), &file.text),
            "py" if place.kind == Some(Kind::Model) => {
                Self::Template(place, Template::python(&file.text), &file.text)
            }
            "yml" | "yaml" => of_yaml(Self::Properties),
            _ => Self::Nothing,
        }
    }
}

impl Node<'_> {
    pub(crate) fn is_sql(&self) -> bool {
        extension(self.path) == "sql"
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
