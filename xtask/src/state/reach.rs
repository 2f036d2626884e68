//! Which macros a template reaches: by calls, as values, through `adapter.dispatch`, and through dbt's own macros
//! that the project replaces. A macro is found as dbt finds it: in the caller's package, in the project, by the name
//! of a package.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::project::{Files, Macro};
use super::unit::Unit;
use crate::core::yaml::Node as Yaml;

/// dbt's own macros (dbt-core's global project, dbt-duckdb, dbt-snowflake) and which of them each names:
/// a tab after the name, then names with spaces between.
const BUILTINS: &str = include_str!("builtins.txt");

/// Macros whose results are compared instead of their text: they name relations.
pub(crate) const NAMING: [&str; 3] =
    ["generate_schema_name", "generate_alias_name", "generate_database_name"];

#[derive(Debug)]
pub(crate) struct Reach {
    /// What each macro names itself.
    edges: Vec<Vec<usize>>,
    by_name: HashMap<String, Vec<usize>>,
    /// Macros of the project that a macro of dbt's own leads to.
    through: HashMap<&'static str, Vec<usize>>,
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
            edges: Vec::new(),
            by_name,
            through: HashMap::new(),
            packages: files.packages.iter().map(|package| package.name.clone()).collect(),
            orders: orders(&files.packages[0].settings),
            adapter: adapter.to_owned(),
            builtins: BUILTINS.lines().filter_map(|line| line.split('\t').next()).collect(),
            exact: vec![false; files.macros.len()],
        };
        reach.through = reach.through_builtins(&files.macros);
        reach.edges =
            files.macros.iter().map(|each| reach.named(&each.unit, each.package, &files.macros)).collect();
        let exact: BTreeSet<usize> = files
            .macros
            .iter()
            .map(|each| (&each.unit, each.package))
            .chain(files.nodes.iter().map(|node| (&*node.unit, node.package)))
            .flat_map(|(unit, package)| {
                let names = unit.exact_names.iter();
                names.flat_map(|name| reach.find(name, package, unit, &files.macros)).collect::<Vec<_>>()
            })
            .collect();
        for at in reach.closure(exact) {
            reach.exact[at] = true;
        }
        reach
    }

    /// All macros that `unit` of `package` reaches, itself and through others.
    pub(crate) fn of(&self, unit: &Unit, package: usize, macros: &[Macro]) -> BTreeSet<usize> {
        self.closure(self.named(unit, package, macros))
    }

    /// All macros that are reached when dbt runs a built-in macro, such as a materialization.
    pub(crate) fn of_builtin(&self, name: &str) -> BTreeSet<usize> {
        let own = self.by_name.get(name).into_iter().flatten().copied();
        self.closure(own.chain(self.through.get(name).into_iter().flatten().copied()))
    }

    /// All macros of the project that a materialization reaches: its own, or those in the place of dbt's.
    pub(crate) fn of_materialization(&self, name: &str) -> BTreeSet<usize> {
        let own = format!("materialization_{name}_{}", self.adapter);
        if self.by_name.contains_key(&own) || self.builtins.contains(own.as_str()) {
            self.of_builtin(&own)
        } else {
            self.of_builtin(&format!("materialization_{name}_default"))
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
        let builtin = self.of_builtin(&name);
        self.closure(found.into_iter().chain(builtin))
    }

    fn closure(&self, from: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut found: BTreeSet<usize> = from.into_iter().collect();
        let mut open: Vec<usize> = found.iter().copied().collect();
        while let Some(at) = open.pop() {
            for &next in &self.edges[at] {
                if found.insert(next) {
                    open.push(next);
                }
            }
        }
        found
    }

    fn named(&self, unit: &Unit, package: usize, macros: &[Macro]) -> Vec<usize> {
        let mut found: BTreeSet<usize> = BTreeSet::new();
        for name in &unit.names {
            found.extend(self.find(name, package, unit, macros));
            found.extend(self.through.get(name.as_str()).into_iter().flatten());
        }
        for (name, namespace) in &unit.dispatches {
            found.extend(self.dispatched(name, namespace.as_deref(), package, macros));
            found.extend(self.through.get(name.as_str()).into_iter().flatten());
        }
        found.into_iter().collect()
    }

    /// The macros that a name can mean.
    fn find(&self, name: &str, package: usize, unit: &Unit, macros: &[Macro]) -> Vec<usize> {
        let Some(candidates) = self.by_name.get(name) else { return Vec::new() };
        if NAMING.contains(&name) {
            return Vec::new();
        }
        let of = |wanted: usize| candidates.iter().copied().find(|at| macros[*at].package == wanted);
        let mut found: Vec<usize> = of(package).or_else(|| of(0)).into_iter().collect();
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
        macros: &[Macro],
    ) -> Option<usize> {
        let position = |wanted: &str| self.packages.iter().position(|other| other == wanted);
        let found = |prefix: &str, wanted: usize| {
            let candidates = self.by_name.get(&format!("{prefix}__{name}"))?;
            candidates.iter().copied().find(|at| macros[*at].package == wanted)
        };
        let prefixes = [self.adapter.as_str(), "default"];
        let Some(namespace) = namespace else {
            // Without a name space dbt looks for each name in the package itself and in the project.
            return prefixes.iter().find_map(|prefix| [package, 0].iter().find_map(|at| found(prefix, *at)));
        };
        let order: Vec<usize> = match self.orders.get(namespace) {
            Some(order) => order.iter().filter_map(|name| position(name)).collect(),
            None => std::iter::once(0).chain(position(namespace)).collect(),
        };
        order.into_iter().find_map(|wanted| prefixes.iter().find_map(|prefix| found(prefix, wanted)))
    }

    /// For each of dbt's own macros, those of the project that take the place of one it leads to.
    fn through_builtins(&self, macros: &[Macro]) -> HashMap<&'static str, Vec<usize>> {
        let graph: HashMap<&'static str, Vec<&'static str>> = BUILTINS
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(name, named)| (name, named.split_whitespace().collect()))
            .collect();
        let replaces = |at: &usize| {
            let of = &self.packages[macros[*at].package];
            macros[*at].package == 0 || self.orders.get("dbt").is_some_and(|order| order.contains(of))
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
        if !macros.iter().any(|each| known(&each.name) || each.name.starts_with("materialization_")) {
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
