//! What names mean: refs to nodes, entries to what they describe, settings to nodes, and what a node is built
//! from through the macros that it calls.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::jinja::{Call, Literal};
use super::packages::Installed;
use super::settings::Settings;
use super::template::Called;
use super::{Entry, Found, Kind, Macro, Owned, Parent, Project, Target, Use};
use crate::core::yaml::Node as Yaml;

/// Packages of macros and tests alone: nothing in them can be what a `ref` means.
const WITHOUT_MODELS: [&str; 10] = [
    "dbt_utils",
    "dbt-utils",
    "dbt_expectations",
    "dbt_date",
    "codegen",
    "dbt-codegen",
    "audit_helper",
    "dbt_constraints",
    "dbt_external_tables",
    "dbt_profiler",
];

/// What a call names, if it is a `ref` or a `source`.
pub(super) fn target<'a>(call: &Call<'a>) -> Option<Target<'a>> {
    let name = call.name.strip_prefix("builtins.").or_else(|| call.name.strip_prefix("dbt."));
    let (first, second) = {
        let mut given = call.positional();
        (given.next(), given.next())
    };
    match (name.unwrap_or(&call.name), first, second) {
        ("ref", Some(Literal::Text(name)), None) => Some(Target::Ref { package: None, name }),
        ("ref", Some(Literal::Text(package)), Some(Literal::Text(name))) => {
            Some(Target::Ref { package: Some(package), name })
        }
        ("source", Some(Literal::Text(source)), Some(Literal::Text(table))) => {
            Some(Target::Source { source, table })
        }
        ("ref" | "source", ..) => Some(Target::Dynamic),
        _ => None,
    }
}

/// A call of `ref` or `source` as a use of `target`.
pub(super) fn used<'a>(called: &Called<'a>, target: Target<'a>) -> Use<'a> {
    let version = called.call.arguments.iter().find_map(|(name, value)| match (name, value) {
        (Some("v" | "version"), Literal::Text(text) | Literal::Number(text)) => Some(*text),
        _ => None,
    });
    Use { target, found: Found::Unknown, span: called.span, version, is_conditional: called.is_conditional }
}

pub(super) fn owned(target: &Target<'_>) -> Owned {
    match *target {
        Target::Ref { package, name } => {
            Owned::Ref { package: package.map(str::to_owned), name: name.to_owned() }
        }
        Target::Source { source, table } => {
            Owned::Source { source: source.to_owned(), table: table.to_owned() }
        }
        Target::Dynamic => Owned::Dynamic,
    }
}

impl Project<'_> {
    pub(super) fn finish(&mut self) {
        self.add_yaml_snapshots();
        self.name_nodes();
        self.join_entries();
        self.apply_settings();
        self.resolve_uses();
        self.find_reached();
        self.find_parents();
    }

    /// A snapshot with a `relation` does not need a separate file.
    fn add_yaml_snapshots(&mut self) {
        let known: HashSet<&str> =
            self.nodes.iter().filter(|node| node.kind == Kind::Snapshot).map(|node| node.name).collect();
        let missing: Vec<usize> = (0..self.entries.len())
            .filter(|&at| {
                let entry = &self.entries[at];
                entry.kind == Kind::Snapshot
                    && entry.node.get("relation").is_some()
                    && !known.contains(entry.name.as_str())
            })
            .collect();
        for at in missing {
            self.yaml_relations.insert(self.entries[at].name.clone());
        }
    }

    fn name_nodes(&mut self) {
        for (at, node) in self.nodes.iter().enumerate() {
            if node.kind.is_relation() {
                self.names.entry(node.name.to_owned()).or_default().push(at);
            }
        }
    }

    fn join_entries(&mut self) {
        for at in 0..self.entries.len() {
            let about = self.about(&self.entries[at]);
            for &node in &about {
                self.nodes[node].entry.get_or_insert(at);
            }
            let entry = &mut self.entries[at];
            // A model with versions is known by its plain name too.
            if entry.node.get("versions").is_some() && !about.is_empty() {
                self.names.entry(entry.name.clone()).or_insert_with(|| about.clone());
            }
            entry.about = about;
        }
    }

    fn about(&self, entry: &Entry<'_>) -> Vec<usize> {
        let of_kind = |name: &str| -> Vec<usize> {
            let mut found: Vec<usize> = self.named(name).to_vec();
            found.retain(|&at| self.nodes[at].kind == entry.kind);
            found
        };
        let mut about = of_kind(&entry.name);
        for version in entry.node.get("versions").map(Yaml::items).unwrap_or_default() {
            let number = version.get("v").and_then(Yaml::text).unwrap_or_default();
            let file = version.get("defined_in").and_then(Yaml::text).map_or_else(
                || format!("{}_v{number}", entry.name),
                |file| file.trim_end_matches(".sql").to_owned(),
            );
            about.extend(of_kind(&file));
        }
        about.dedup();
        about
    }

    fn apply_settings(&mut self) {
        let project = self.name().unwrap_or_default().to_owned();
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            let mut settings = Settings::default();
            let mut steps: Vec<&str> = vec![&project];
            steps.extend(&node.folders);
            steps.push(node.name);
            settings.add_project(self.settings.get(node.kind.key()), &steps, self.path);
            if let Some(entry) = self.entry(node) {
                settings.add_properties(entry.node.get("config"), entry.path);
            }
            for called in &node.template.calls {
                if matches!(called.call.name.as_str(), "config" | "dbt.config") {
                    settings.add_call(&called.call, node.path, called.span);
                }
            }
            let is_enabled = settings.truth("enabled") != Some(false);
            let may_be_disabled = settings.is_unknown("enabled");
            let node = &mut self.nodes[at];
            node.is_enabled = is_enabled;
            node.may_be_disabled = may_be_disabled;
            node.settings = settings;
        }
    }

    fn resolve_uses(&mut self) {
        let mut sources: HashMap<(String, String), usize> = HashMap::new();
        for (at, table) in self.sources.iter().enumerate() {
            sources.entry((table.source.clone(), table.name.clone())).or_insert(at);
        }
        let resolver = Resolver {
            names: std::mem::take(&mut self.names),
            project: self.name().unwrap_or_default().to_owned(),
            sources,
            // Then a name that is not here may be there.
            may_be_elsewhere: self.reads_projects
                || !self.installed.is_complete
                    && self.packages.iter().any(|package| !WITHOUT_MODELS.contains(&package.name.as_str())),
            knows_all_packages: self.installed.is_complete && !self.reads_projects,
            has_dynamic_sources: self
                .sources
                .iter()
                .any(|table| table.source.contains("{{") || table.name.contains("{{")),
            installed: std::mem::take(&mut self.installed),
            yaml_relations: std::mem::take(&mut self.yaml_relations),
        };
        let of_nodes = self.nodes.iter_mut().flat_map(|node| &mut node.uses);
        let of_macros = self.macros.iter_mut().flat_map(|each| &mut each.uses);
        for each in of_nodes.chain(of_macros) {
            each.found = resolver.find(&owned(&each.target));
        }
        for mention in &mut self.mentions {
            mention.found = resolver.find(&mention.target);
        }
        self.names = resolver.names;
        self.installed = resolver.installed;
    }

    /// Marks the macros that something calls: a node, a property or project file, or dbt itself. What none does
    /// never runs.
    fn find_reached(&mut self) {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, each) in self.macros.iter().enumerate() {
            by_name.entry(each.name).or_default().push(at);
        }
        let mut open: Vec<usize> = Vec::new();
        for node in self.nodes.iter().filter(|node| node.is_enabled) {
            for called in &node.template.calls {
                let name = called.call.name.rsplit('.').next().unwrap_or_default();
                open.extend(by_name.get(name).into_iter().flatten());
            }
        }
        let mut reached = vec![false; self.macros.len()];
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut reached[at], true) {
                continue;
            }
            for called in &self.macros[at].calls {
                let name = called.rsplit('.').next().unwrap_or_default();
                open.extend(by_name.get(name).into_iter().flatten());
            }
            for dispatched in &self.macros[at].dispatches {
                let implements =
                    |name: &str| name.split_once("__").is_some_and(|(_, base)| base == *dispatched);
                open.extend((0..self.macros.len()).filter(|at| implements(self.macros[*at].name)));
            }
        }
        for (each, is_reached) in self.macros.iter_mut().zip(reached) {
            each.is_reached = is_reached;
        }
    }

    fn find_parents(&mut self) {
        let mut reach = Reach::new(&self.macros);
        for node in &mut self.nodes {
            let mut seen = HashSet::new();
            let mut parents = Vec::new();
            for each in &node.uses {
                if matches!(each.found, Found::Node(_) | Found::Source(_)) && seen.insert(each.found) {
                    parents.push(Parent { found: each.found, span: each.span });
                }
            }
            for called in &node.template.calls {
                let found = reach.of(&called.call.name);
                for &found in found.iter().filter(|found| seen.insert(**found)) {
                    parents.push(Parent { found, span: called.span });
                }
            }
            node.parents = parents;
        }
    }
}

struct Resolver {
    names: HashMap<String, Vec<usize>>,
    project: String,
    sources: HashMap<(String, String), usize>,
    may_be_elsewhere: bool,
    /// Whether every package and other project that a `ref` may name is here.
    knows_all_packages: bool,
    /// A template names a source, so any name may be its.
    has_dynamic_sources: bool,
    installed: Installed,
    yaml_relations: HashSet<String>,
}

impl Resolver {
    fn find(&self, target: &Owned) -> Found {
        match target {
            Owned::Dynamic => Found::Unknown,
            Owned::Ref { package: Some(package), name } if *package != self.project => {
                match self.installed.relation_of(package, name) {
                    Some(false) => Found::Nothing,
                    None if self.knows_all_packages => Found::Nothing,
                    _ => Found::Unknown,
                }
            }
            Owned::Ref { package, name } => match self.names.get(name).and_then(|at| at.first()) {
                Some(&at) => Found::Node(at),
                None if self.yaml_relations.contains(name) || self.installed.has_relation(name) => {
                    Found::Unknown
                }
                None if self.may_be_elsewhere && package.is_none() => Found::Unknown,
                None => Found::Nothing,
            },
            Owned::Source { source, table } => match self.sources.get(&(source.clone(), table.clone())) {
                Some(&at) => Found::Source(at),
                None if self.may_be_elsewhere
                    || self.has_dynamic_sources
                    || self.installed.has_source(source, table) =>
                {
                    Found::Unknown
                }
                None => Found::Nothing,
            },
        }
    }
}

/// What a macro reads, itself and through what it calls.
struct Reach<'m, 'a> {
    macros: &'m [Macro<'a>],
    by_name: HashMap<&'a str, Vec<usize>>,
    /// Implementations by the name that is dispatched: of `duckdb__x`, `x`.
    by_dispatch: HashMap<&'a str, Vec<usize>>,
    known: HashMap<String, Rc<Vec<Found>>>,
}

impl<'m, 'a> Reach<'m, 'a> {
    fn new(macros: &'m [Macro<'a>]) -> Self {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut by_dispatch: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, each) in macros.iter().enumerate().filter(|(_, each)| each.keyword == "macro") {
            by_name.entry(each.name).or_default().push(at);
            if let Some((_, name)) = each.name.split_once("__") {
                by_dispatch.entry(name).or_default().push(at);
            }
        }
        Self { macros, by_name, by_dispatch, known: HashMap::new() }
    }

    /// Of `name` as a template calls it, with or without its package.
    fn of(&mut self, name: &str) -> Rc<Vec<Found>> {
        let name = name.rsplit('.').next().unwrap_or_default();
        if let Some(known) = self.known.get(name) {
            return Rc::clone(known);
        }
        let mut seen = HashSet::new();
        let mut open: Vec<usize> = self.by_name.get(name).cloned().unwrap_or_default();
        let mut found = Vec::new();
        while let Some(at) = open.pop() {
            if !seen.insert(at) {
                continue;
            }
            let each = &self.macros[at];
            found.extend(
                each.uses
                    .iter()
                    .map(|each| each.found)
                    .filter(|found| matches!(found, Found::Node(_) | Found::Source(_))),
            );
            for called in &each.calls {
                let called = called.rsplit('.').next().unwrap_or_default();
                open.extend(self.by_name.get(called).into_iter().flatten());
            }
            for dispatched in &each.dispatches {
                open.extend(self.by_dispatch.get(dispatched).into_iter().flatten());
            }
        }
        let found = Rc::new(found);
        self.known.insert(name.to_owned(), Rc::clone(&found));
        found
    }
}
