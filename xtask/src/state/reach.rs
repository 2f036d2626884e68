//! Which macros a template reaches: by calls, as values, through `adapter.dispatch`, and through dbt's own macros
//! that the project replaces. A macro is found as dbt finds it: in the package of the node that is built, whichever
//! macro names it, then in the project, or by the name of a package.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::OnceLock;

use super::project::{Files, Macro};
use super::unit::Unit;
use crate::core::yaml::Node as Yaml;

/// dbt's own macros (dbt-core's global project, dbt-duckdb, dbt-snowflake) and which of them each names:
/// a tab after the name, then names with spaces between.
const BUILTINS: &str = include_str!("builtins.txt");

/// Macros whose results are compared instead of their text: they name relations.
pub(crate) const NAMING: [&str; 3] =
    ["generate_schema_name", "generate_alias_name", "generate_database_name"];

/// What names mean to the nodes of one package.
#[derive(Debug)]
struct Context {
    /// What each macro names itself.
    edges: Vec<Vec<usize>>,
    /// Macros of the project that a macro of dbt's own leads to.
    through: HashMap<&'static str, Vec<usize>>,
}

#[derive(Debug)]
pub(crate) struct Reach {
    /// By the package of the nodes.
    contexts: Vec<OnceLock<Context>>,
    by_name: HashMap<String, Vec<usize>>,
    packages: Vec<String>,
    /// Search orders of `dispatch:` by name space.
    orders: BTreeMap<String, Vec<String>>,
    adapter: String,
    /// Names of dbt's own macros.
    builtins: HashSet<&'static str>,
    /// Macros whose white space counts.
    pub(crate) exact: Vec<bool>,
}

impl Reach {
    pub(crate) fn new(files: &Files, adapter: &str) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, each) in files.macros.iter().enumerate() {
            by_name.entry(each.name.clone()).or_default().push(at);
        }
        let mut reach = Self {
            contexts: files.packages.iter().map(|_| OnceLock::new()).collect(),
            by_name,
            packages: files.packages.iter().map(|package| package.name.clone()).collect(),
            orders: orders(&files.packages[0].settings),
            adapter: adapter.to_owned(),
            builtins: BUILTINS.lines().filter_map(|line| line.split('\t').next()).collect(),
            exact: vec![false; files.macros.len()],
        };
        let of_nodes = files.nodes.iter().map(|node| node.package);
        let contexts: BTreeSet<usize> = of_nodes.chain([0]).collect();
        for context in contexts {
            let of_macros = files.macros.iter().map(|each| (&each.unit, each.package));
            let of_nodes = files.nodes.iter().filter(|node| node.package == context);
            let units = of_macros.chain(of_nodes.map(|node| (&*node.unit, node.package)));
            let exact: BTreeSet<usize> = units
                .flat_map(|(unit, own)| {
                    let names = unit.exact_names.iter();
                    let found = names.flat_map(|name| reach.find(name, context, own, unit, &files.macros));
                    found.collect::<Vec<_>>()
                })
                .collect();
            for at in reach.closure(exact, context, &files.macros) {
                // What it gives is a value, not the text around the value.
                reach.exact[at] |= !files.macros[at].unit.only_returns;
            }
        }
        reach
    }

    /// All macros that `unit` reaches for a node of `package`, itself and through others.
    pub(crate) fn of(&self, unit: &Unit, package: usize, macros: &[Macro]) -> BTreeSet<usize> {
        let through = &self.context(package, macros).through;
        self.closure(self.named(unit, package, package, macros, through), package, macros)
    }

    /// All macros that are reached when dbt runs a built-in macro, such as a materialization.
    pub(crate) fn of_builtin(&self, name: &str, package: usize, macros: &[Macro]) -> BTreeSet<usize> {
        let own = self.by_name.get(name).into_iter().flatten().copied();
        let through = self.context(package, macros).through.get(name).into_iter().flatten().copied();
        self.closure(own.chain(through), package, macros)
    }

    /// All macros of the project that a materialization reaches: its own, or those in the place of dbt's.
    pub(crate) fn of_materialization(&self, name: &str, package: usize, macros: &[Macro]) -> BTreeSet<usize> {
        let own = format!("materialization_{name}_{}", self.adapter);
        if self.by_name.contains_key(&own) || self.builtins.contains(own.as_str()) {
            self.of_builtin(&own, package, macros)
        } else {
            self.of_builtin(&format!("materialization_{name}_default"), package, macros)
        }
    }

    /// The test macro of a name, of the package that a property file names or of any.
    pub(crate) fn of_test(
        &self,
        namespace: Option<&str>,
        name: &str,
        package: usize,
        macros: &[Macro],
    ) -> BTreeSet<usize> {
        let name = format!("test_{name}");
        let candidates = self.by_name.get(&name).cloned().unwrap_or_default();
        let of_package = |wanted: usize| candidates.iter().copied().find(|at| macros[*at].package == wanted);
        let found = match namespace {
            Some(namespace) => self.packages.iter().position(|other| other == namespace).and_then(of_package),
            None => of_package(package).or_else(|| of_package(0)),
        };
        let builtin = self.of_builtin(&name, package, macros);
        self.closure(found.into_iter().chain(builtin), package, macros)
    }

    fn context(&self, package: usize, macros: &[Macro]) -> &Context {
        self.contexts[package].get_or_init(|| {
            let through = self.through_builtins(package, macros);
            let named = |each: &Macro| self.named(&each.unit, package, each.package, macros, &through);
            Context { edges: macros.iter().map(named).collect(), through }
        })
    }

    fn closure(
        &self,
        from: impl IntoIterator<Item = usize>,
        package: usize,
        macros: &[Macro],
    ) -> BTreeSet<usize> {
        let edges = &self.context(package, macros).edges;
        let mut found: BTreeSet<usize> = from.into_iter().collect();
        let mut open: Vec<usize> = found.iter().copied().collect();
        while let Some(at) = open.pop() {
            for &next in &edges[at] {
                if found.insert(next) {
                    open.push(next);
                }
            }
        }
        found
    }

    fn named(
        &self,
        unit: &Unit,
        package: usize,
        own: usize,
        macros: &[Macro],
        through: &HashMap<&'static str, Vec<usize>>,
    ) -> Vec<usize> {
        let mut found: BTreeSet<usize> = BTreeSet::new();
        for name in &unit.names {
            found.extend(self.find(name, package, own, unit, macros));
            found.extend(through.get(name.as_str()).into_iter().flatten());
        }
        for (name, namespace) in &unit.dispatches {
            found.extend(self.dispatched(name, namespace.as_deref(), package, own, macros));
            found.extend(through.get(name.as_str()).into_iter().flatten());
        }
        found.into_iter().collect()
    }

    /// The macros that a name in a text of the package `own` can mean to a node of `package`.
    pub(crate) fn find(
        &self,
        name: &str,
        package: usize,
        own: usize,
        unit: &Unit,
        macros: &[Macro],
    ) -> Vec<usize> {
        let Some(candidates) = self.by_name.get(name) else { return Vec::new() };
        if NAMING.contains(&name) {
            return Vec::new();
        }
        let of = |wanted: usize| candidates.iter().copied().find(|at| macros[*at].package == wanted);
        let mut found: Vec<usize> = of(package).or_else(|| of(0)).or_else(|| of(own)).into_iter().collect();
        found.extend(
            candidates.iter().copied().filter(|at| unit.names.contains(&self.packages[macros[*at].package])),
        );
        found
    }

    /// The implementation that the adapter picks.
    fn dispatched(
        &self,
        name: &str,
        namespace: Option<&str>,
        package: usize,
        own: usize,
        macros: &[Macro],
    ) -> Option<usize> {
        let position = |wanted: &str| self.packages.iter().position(|other| other == wanted);
        let found = |prefix: &str, wanted: usize| {
            let candidates = self.by_name.get(&format!("{prefix}__{name}"))?;
            candidates.iter().copied().find(|at| macros[*at].package == wanted)
        };
        let prefixes = [self.adapter.as_str(), "default"];
        let Some(namespace) = namespace else {
            // Without a name space dbt looks for each name in the package of the node and in the project.
            let places = [package, 0, own];
            return prefixes.iter().find_map(|prefix| places.iter().find_map(|at| found(prefix, *at)));
        };
        let order: Vec<usize> = match self.orders.get(namespace) {
            Some(order) => order.iter().filter_map(|name| position(name)).collect(),
            None => std::iter::once(0).chain(position(namespace)).collect(),
        };
        order.into_iter().find_map(|wanted| prefixes.iter().find_map(|prefix| found(prefix, wanted)))
    }

    /// For each of dbt's own macros, those of the project, or of the node's package, that take the place of one it
    /// leads to.
    fn through_builtins(&self, package: usize, macros: &[Macro]) -> HashMap<&'static str, Vec<usize>> {
        let graph: HashMap<&'static str, Vec<&'static str>> = BUILTINS
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(name, named)| (name, named.split_whitespace().collect()))
            .collect();
        let replaces = |at: &usize| {
            let of = &self.packages[macros[*at].package];
            matches!(macros[*at].package, at if at == 0 || at == package)
                || self.orders.get("dbt").is_some_and(|order| order.contains(of))
        };
        let taking_place_of = |name: &str| -> Vec<usize> {
            let found = self.by_name.get(name).into_iter().flatten().copied();
            found
                .filter(replaces)
                .filter(|at| !NAMING.iter().any(|naming| macros[*at].name.ends_with(naming)))
                .collect()
        };
        let variants = |name: &str| [format!("{}__{name}", self.adapter), format!("default__{name}")];
        let known = |name: &str| {
            graph.contains_key(name)
                || name.split_once("__").is_some_and(|(_, base)| graph.contains_key(base))
        };
        let here = macros.iter().enumerate().filter(|(at, _)| replaces(at)).map(|(_, each)| each);
        if !here.into_iter().any(|each| known(&each.name) || each.name.starts_with("materialization_")) {
            return HashMap::new();
        }
        let start: HashSet<&'static str> =
            graph.keys().copied().chain(graph.values().flatten().copied()).collect();
        let mut found = HashMap::new();
        for name in start {
            let mut seen: HashSet<String> = HashSet::from([name.to_owned()]);
            let mut open = vec![name.to_owned()];
            let mut reached = BTreeSet::new();
            while let Some(name) = open.pop() {
                reached.extend(taking_place_of(&name));
                let named = graph.get(name.as_str()).into_iter().flatten().map(|name| (*name).to_owned());
                for next in named.chain(variants(&name)) {
                    // An implementation for another engine is never picked.
                    let is_other = next.split_once("__").is_some_and(|(prefix, _)| {
                        matches!(prefix, "snowflake" | "duckdb" | "postgres") && prefix != self.adapter
                    });
                    let exists = graph.contains_key(next.as_str()) || self.by_name.contains_key(&next);
                    if exists && !is_other && seen.insert(next.clone()) {
                        open.push(next);
                    }
                }
            }
            if !reached.is_empty() {
                found.insert(name, reached.into_iter().collect());
            }
        }
        found
    }
}

fn orders(settings: &Yaml) -> BTreeMap<String, Vec<String>> {
    let listed = settings.get("dispatch").map(Yaml::items).unwrap_or_default();
    listed
        .iter()
        .filter_map(|item| {
            let namespace = item.get("macro_namespace")?.text()?.to_owned();
            let order =
                item.get("search_order")?.one_or_many().iter().filter_map(Yaml::text).map(str::to_owned);
            Some((namespace, order.collect()))
        })
        .collect()
}
