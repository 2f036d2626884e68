//! Governance: conventions of teams that run many models. Each check is off until `policies/lint.toml` names it, with
//! its severity, its scope (`include`, `exclude`) and its parameters.
//!
//! A check is one entry of texts and one function from the graph to places; checks about the same part of a project
//! share a file, and all share the queries below.
//!
//! ```toml
//! [rules.model-fan-out]
//! include = ["models/marts/**"]
//! parameters = { most = 10 }
//! ```

mod columns;
mod consumers;
mod lineage;
mod macros;
mod models;
mod seeds;
mod sources;
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use anyhow::{Result, bail};
use regex::Regex;
use serde::{Deserialize, Deserializer};

use super::reported_at;
use crate::core::finding::{Group, Severity, Span};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::{Declared, Found, Node, Project, SourceTable};
use crate::lint::rule::{Offence, Parameters, Rule};

/// A path, a place in it, and the message.
type Place = (String, Span, String);

type Find = fn(&Project<'_>, &Options) -> Vec<Place>;

/// A rule and what finds its offences.
struct Check {
    rule: Rule,
    find: Find,
    /// Whether it finds nothing without a `pattern`.
    needs_pattern: bool,
}

/// Each sorted by name.
const FAMILIES: [&[Check]; 8] = [
    columns::CHECKS,
    consumers::CHECKS,
    lineage::CHECKS,
    macros::CHECKS,
    models::CHECKS,
    seeds::CHECKS,
    sources::CHECKS,
    tests::CHECKS,
];

const COUNT: usize = {
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        count += FAMILIES[family].len();
        family += 1;
    }
    count
};

pub(crate) const RULES: [&Rule; COUNT] = {
    let mut rules = [&FAMILIES[0][0].rule; COUNT];
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        let mut at = 0;
        while at < FAMILIES[family].len() {
            rules[count] = &FAMILIES[family][at].rule;
            count += 1;
            at += 1;
        }
        family += 1;
    }
    rules
};

/// The `parameters` of the checks; each check reads those that its summary names.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    folders: Vec<String>,
    names: Vec<String>,
    tests: Vec<String>,
    #[serde(deserialize_with = "regular_expression")]
    pattern: Option<Regex>,
    most: Option<usize>,
    least: Option<usize>,
    percent: Option<usize>,
}

fn regular_expression<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Regex>, D::Error> {
    let pattern = String::deserialize(from)?;
    let refused = |_| serde::de::Error::custom(format!("`pattern = {pattern}` is not a regular expression"));
    Regex::new(&pattern).map(Some).map_err(refused)
}

/// What names are expected to look like if no `pattern` is given.
static SNAKE_CASE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^[a-z][a-z0-9_]*$").expect("a regular expression"));

impl Options {
    fn folders_or<'o>(&'o self, default: &[&'o str]) -> Vec<&'o str> {
        given_or(&self.folders, default)
    }

    fn names_or<'o>(&'o self, default: &[&'o str]) -> Vec<&'o str> {
        given_or(&self.names, default)
    }

    fn tests_or<'o>(&'o self, default: &[&'o str]) -> Vec<&'o str> {
        given_or(&self.tests, default)
    }

    /// Whether a name is as `pattern` wants it.
    fn allows(&self, name: &str) -> bool {
        self.pattern.as_ref().unwrap_or(&SNAKE_CASE).is_match(name)
    }
}

fn given_or<'o>(given: &'o [String], default: &[&'o str]) -> Vec<&'o str> {
    if given.is_empty() { default.to_vec() } else { given.iter().map(String::as_str).collect() }
}

const fn check(
    name: &'static str,
    summary: &'static str,
    why: &'static str,
    example: &'static str,
    remedy: &'static str,
    find: Find,
) -> Check {
    let rule = Rule { name, group: Group::Dbt, severity: Severity::Low, summary, why, example, remedy };
    Check { rule, find, needs_pattern: false }
}

/// The offences of the checks that `parameters` name.
pub(super) fn offences(project: &Project<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let mut offences = Vec::new();
    // A check that is not enabled costs nothing.
    let named = |check: &&Check| parameters.0.contains_key(check.rule.name);
    for Check { rule, find, needs_pattern } in FAMILIES.into_iter().flatten().filter(named) {
        let options: Options = parameters.of(rule)?;
        if *needs_pattern && options.pattern.is_none() {
            bail!("[rules.{}.parameters] of policies/lint.toml needs a `pattern`", rule.name);
        }
        let found = find(project, &options);
        offences.extend(found.into_iter().map(|(path, span, message)| rule.offence(&path, span, message)));
    }
    Ok(offences)
}

fn at(project: &Project<'_>, node: &Node<'_>, message: impl Into<String>) -> Place {
    let (path, span) = reported_at(project, node);
    (path.to_owned(), span, format!("`{}`: {}", node.name, message.into()))
}

fn text<'y>(node: &'y Yaml, key: &str) -> &'y str {
    node.get(key).and_then(Yaml::text).unwrap_or_default()
}

fn has_text(node: &Yaml, key: &str) -> bool {
    !text(node, key).trim().is_empty()
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn stem(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split_once('.').map_or(file, |(stem, _)| stem)
}

/// Listed columns of enabled models that are `wrong`.
fn columns(project: &Project<'_>, wrong: impl Fn(&Yaml) -> bool, what: &str) -> Vec<Place> {
    let entries = project.models().filter_map(|(_, node)| project.entry(node));
    let mut seen = HashSet::new();
    entries
        .filter(|entry| seen.insert((entry.path, entry.span.line, entry.span.column)))
        .flat_map(|entry| entry.columns().iter().map(move |column| (entry, column)))
        .filter(|(_, column)| wrong(column))
        .map(|(entry, column)| {
            (entry.path.to_owned(), column.span, format!("the column `{}` {what}", text(column, "name")))
        })
        .collect()
}

/// Tables of sources that are `wrong`.
fn tables(project: &Project<'_>, wrong: impl Fn(&SourceTable<'_>) -> bool, what: &str) -> Vec<Place> {
    let tables = project.sources.iter().filter(|table| wrong(table));
    tables
        .map(|table| (table.path.to_owned(), table.span, format!("`{}.{}` {what}", table.source, table.name)))
        .collect()
}

fn declarations<'p, 'a>(project: &'p Project<'a>, key: &'p str) -> impl Iterator<Item = &'p Declared<'a>> {
    project.declared.iter().filter(move |each| each.key == key)
}

fn declaration<'p, 'a>(project: &'p Project<'a>, key: &'p str, name: &str) -> Option<&'p Declared<'a>> {
    declarations(project, key).find(|each| text(&each.node, "name") == name)
}

/// Exposures, groups and the like that are `wrong`.
fn declared(project: &Project<'_>, key: &str, wrong: impl Fn(&Yaml) -> bool, what: &str) -> Vec<Place> {
    declarations(project, key)
        .filter(|each| wrong(&each.node))
        .map(|each| (each.path.to_owned(), each.span, format!("`{}` {what}", text(&each.node, "name"))))
        .collect()
}

/// A property that may be written at the entry or as a setting.
fn property(project: &Project<'_>, node: &Node<'_>, key: &str) -> Option<String> {
    let of_entry = project.entry(node).and_then(|entry| entry.node.get(key)).and_then(Yaml::text);
    of_entry.or_else(|| node.settings.text(key)).map(str::to_owned)
}

fn is_public(project: &Project<'_>, node: &Node<'_>) -> bool {
    property(project, node, "access").as_deref() == Some("public")
}

/// The models that read each node.
fn children(project: &Project<'_>) -> HashMap<usize, Vec<usize>> {
    let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, node) in project.models() {
        for parent in &node.parents {
            if let Found::Node(above) = parent.found {
                children.entry(above).or_default().push(index);
            }
        }
    }
    children
}

/// The project itself, if fewer models than `percent` of all are covered.
fn coverage(
    project: &Project<'_>,
    percent: usize,
    is_covered: &impl Fn(&Node<'_>) -> bool,
    what: &str,
) -> Vec<Place> {
    let all = project.models().count();
    let covered = project.models().filter(|(_, node)| is_covered(node)).count();
    if all == 0 || covered * 100 >= percent * all {
        return Vec::new();
    }
    let span = Span { line: 1, column: 1, end_line: 1, end_column: 1 };
    let share = covered * 100 / all;
    vec![(
        project.path.to_owned(),
        span,
        format!("{share} % of {all} models are {what}, less than {percent} %"),
    )]
}

/// Whether the checks of each family are sorted by name.
#[cfg(test)]
pub(super) fn are_in_order() -> bool {
    FAMILIES.iter().all(|family| family.is_sorted_by_key(|check| check.rule.name))
}
