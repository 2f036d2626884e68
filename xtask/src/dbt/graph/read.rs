//! From files to a project: what each file is, by its path, and what templates and packages hold.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::packages::Installed;
use super::settings::Settings;
use super::template::Template;
use super::{Kind, Macro, Node, Package, Project, extension, jinja, resolve};
use crate::core::finding::Span;
use crate::core::source::Source;
use crate::core::yaml::{self, Node as Yaml};

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

impl<'a> Project<'a> {
    pub(super) fn read(
        root: &'a str,
        source: &'a Source,
        files: &[&'a Source],
        paths: &[&'a str],
    ) -> Option<Self> {
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
