//! Tests that property files ask for, under the names that dbt gives them, and unit tests.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde_json::Value as Json;

use super::config::Config;
use super::define::{self, Class, Configured, Definer, Definition, short};
use super::fold::Dialect;
use super::project::{Entry, Kind};
use super::render::{plain, python_text};
use super::unit;
use crate::core::yaml::{Node as Yaml, Value};

/// Arguments that configure a test and are not given to its macro.
const CONFIG: [&str; 14] = [
    "severity",
    "tags",
    "enabled",
    "where",
    "limit",
    "warn_if",
    "error_if",
    "fail_calc",
    "store_failures",
    "store_failures_as",
    "meta",
    "database",
    "schema",
    "alias",
];

/// A test as a property file asks for it.
struct Asked<'y> {
    namespace: Option<&'y str>,
    name: &'y str,
    custom_name: Option<&'y str>,
    arguments: BTreeMap<&'y str, &'y Yaml>,
    config: Vec<(&'y str, &'y Yaml)>,
}

/// What a test is attached to.
struct Subject<'s> {
    id: &'s str,
    /// In the names of tests.
    name: String,
    is_source: bool,
    package: usize,
    path: &'s str,
    folders: &'s [String],
}

pub(super) fn generic(definer: &Definer<'_>) -> Vec<Definition> {
    let of_nodes = definer.nodes.par_iter().flat_map_iter(|configured| of_node(definer, configured));
    let mut found: Vec<Definition> = of_nodes.collect();
    for table in definer.files.sources.iter().filter(|table| definer.is_enabled(table)) {
        let id = definer.source_id(table);
        let subject = Subject {
            id: &id,
            name: format!("{}_{}", table.source, table.table),
            is_source: true,
            package: table.package,
            path: &table.path,
            folders: &table.folders,
        };
        let own = asked_of(&table.node).map(|item| (None, item));
        let columns = table.node.get("columns").map(Yaml::items).unwrap_or_default();
        let of_columns =
            columns.iter().flat_map(|column| asked_of(column).map(move |item| (Some(column), item)));
        for (column, item) in own.chain(of_columns) {
            found.extend(define(definer, &subject, column, item));
        }
    }
    found
}

/// The tests that property files ask for on a node.
fn of_node(definer: &Definer<'_>, configured: &Configured) -> Vec<Definition> {
    let node = definer.node(configured);
    let Some(entry) = &node.entry else { return Vec::new() };
    let version = node.version.as_ref().map(|version| format!("_v{version}")).unwrap_or_default();
    let subject = Subject {
        id: &configured.id,
        name: format!("{}{version}", node.name),
        is_source: false,
        package: entry.package,
        path: &entry.path,
        folders: &entry.folders,
    };
    let asked = of_entry(entry);
    asked.into_iter().filter_map(|(column, item)| define(definer, &subject, column, item)).collect()
}

fn asked_of(node: &Yaml) -> impl Iterator<Item = &Yaml> {
    ["data_tests", "tests"].into_iter().filter_map(|key| node.get(key)).flat_map(Yaml::items)
}

fn of_entry(entry: &Entry) -> Vec<(Option<&Yaml>, &Yaml)> {
    let version = entry.version.as_ref();
    let has_own = version.is_some_and(|version| version.get("data_tests").or(version.get("tests")).is_some());
    let holder = if has_own { version.unwrap_or(&entry.node) } else { &entry.node };
    let mut found: Vec<(Option<&Yaml>, &Yaml)> = asked_of(holder).map(|item| (None, item)).collect();
    let base = entry.node.get("columns").map(Yaml::items).unwrap_or_default();
    let changed = version.and_then(|version| version.get("columns")).map(Yaml::items).unwrap_or_default();
    let name = |column: &Yaml| column.get("name").and_then(Yaml::text).unwrap_or_default().to_owned();
    let rule =
        changed.iter().find(|column| column.get("include").is_some() || column.get("exclude").is_some());
    let lists = |key: &str, wanted: &str| {
        rule.and_then(|rule| rule.get(key)).is_some_and(|node| {
            node.one_or_many()
                .iter()
                .filter_map(Yaml::text)
                .any(|text| matches!(text, "all" | "*") || text == wanted)
        })
    };
    let is_base = |column: &&Yaml| {
        let name = name(column);
        let replaced = changed.iter().any(|other| other.get("name").and_then(Yaml::text) == Some(&name));
        let included = rule.is_none_or(|rule| rule.get("include").is_none() || lists("include", &name));
        !replaced && included && !lists("exclude", &name)
    };
    for column in base.iter().filter(is_base).chain(changed) {
        found.extend(asked_of(column).map(|item| (Some(column), item)));
    }
    found
}

fn read(item: &Yaml) -> Option<Asked<'_>> {
    let (full, body): (&str, &[(Yaml, Yaml)]) = match &item.value {
        Value::Scalar { .. } => (item.text()?, &[]),
        Value::Mapping(_) => {
            if let Some(name) = item.get("test_name").and_then(Yaml::text) {
                (name, item.entries())
            } else {
                let (name, body) = item.entries().first()?;
                (name.text()?, body.entries())
            }
        }
        Value::Sequence(_) => return None,
    };
    let (namespace, name) =
        full.rsplit_once('.').map_or((None, full), |(namespace, name)| (Some(namespace), name));
    let mut asked =
        Asked { namespace, name, custom_name: None, arguments: BTreeMap::new(), config: Vec::new() };
    for (key, value) in body {
        let Some(key) = key.text() else { continue };
        match key {
            "test_name" | "description" => {}
            "name" => asked.custom_name = value.text(),
            "config" => asked
                .config
                .extend(value.entries().iter().filter_map(|(key, value)| Some((key.text()?, value)))),
            "arguments" => {
                let given = value.entries().iter().filter_map(|(key, value)| Some((key.text()?, value)));
                asked.arguments.extend(given);
            }
            _ if CONFIG.contains(&key) => asked.config.push((key, value)),
            _ => drop(asked.arguments.insert(key, value)),
        }
    }
    Some(asked)
}

/// The name that dbt makes of a test, its subject and its arguments.
/// As dbt names it. Its second generation takes the entries of a mapping by their keys, not as they are written.
fn full_name(asked: &Asked<'_>, subject: &Subject<'_>, column: Option<&str>, is_v2: bool) -> String {
    if let Some(name) = asked.custom_name {
        return name.to_owned();
    }
    let mut parts: BTreeMap<&str, Vec<String>> =
        asked.arguments.iter().map(|(name, value)| (*name, argument_texts(value, is_v2))).collect();
    if let Some(column) = column {
        parts.insert("column_name", vec![column.to_owned()]);
    }
    let clean = parts.into_values().flatten().map(|text| cleaned(&text)).collect::<Vec<_>>().join("__");
    let source = if subject.is_source { "source_" } else { "" };
    let namespace = asked.namespace.map(|name| format!("{name}_")).unwrap_or_default();
    format!("{namespace}{source}{}_{}_{clean}", asked.name, subject.name)
}

fn argument_texts(value: &Yaml, is_v2: bool) -> Vec<String> {
    match &value.value {
        Value::Sequence(items) => items.iter().map(|item| python_text(&plain(item))).collect(),
        Value::Mapping(entries) => {
            let mut entries: Vec<&(Yaml, Yaml)> = entries.iter().collect();
            if is_v2 {
                entries.sort_by_key(|(key, _)| key.text().map(str::to_owned));
            }
            entries.into_iter().map(|(_, item)| python_text(&plain(item))).collect()
        }
        Value::Scalar { .. } => vec![python_text(&plain(value))],
    }
}

/// Everything but letters, digits and `_` becomes one `_`.
fn cleaned(text: &str) -> String {
    let mut out = String::new();
    let mut gap = false;
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            if std::mem::take(&mut gap) {
                out.push('_');
            }
            out.push(c);
        } else {
            gap = true;
        }
    }
    if gap {
        out.push('_');
    }
    out
}

fn define(
    definer: &Definer<'_>,
    subject: &Subject<'_>,
    column: Option<&Yaml>,
    item: &Yaml,
) -> Option<Definition> {
    let asked = read(item)?;
    let column_name = column.and_then(|column| column.get("name")).and_then(Yaml::text);
    let name = full_name(&asked, subject, column_name, definer.facts.is_v2());
    let package_name = &definer.files.packages[subject.package].name;
    let id = format!("test.{package_name}.{name}");
    let mut definition = definer.blank(id, Kind::Test, &name, subject.package, subject.path);
    definition.fqn.extend(subject.folders.iter().cloned());
    definition.fqn.push(name);
    "test".clone_into(&mut definition.materialized);
    let config = config_of(definer, subject, &definition.fqn, &asked);
    if !config.is_enabled() {
        return None;
    }
    definition.attached = Some(subject.id.to_owned());
    let arguments: BTreeMap<&str, Json> =
        asked.arguments.iter().map(|(name, value)| (*name, plain(value))).collect();
    let quote = column.and_then(|column| column.get("quote")).map(plain);
    let said = format!("{:?} {} {arguments:?} {column_name:?} {quote:?}", asked.namespace, asked.name);
    definition.add("arguments", short(said), subject.path);
    let macros_of =
        definer.reach.of_test(asked.namespace, asked.name, subject.package, &definer.files.macros);
    let mut macros: BTreeSet<usize> = macros_of;
    for value in arguments.values() {
        for text in texts(value).into_iter().filter(|text| value.is_string() || text.contains(['(', ' '])) {
            definer.add_clocks(&mut definition, &text);
        }
    }
    for text in arguments.values().flat_map(texts) {
        add_argument(definer, &mut definition, &mut macros, &text, subject.package);
    }
    add_subject(definer, &mut definition, subject);
    definer.add_config(&mut definition, &config, subject.package, &mut macros);
    definer.add_macros(&mut definition, &macros, subject.package, true);
    definer.add_materialization(&mut definition, &macros, subject.package);
    definer.add_globals(&mut definition);
    definition.parents.retain(|parent| *parent != definition.id);
    define::settle(&mut definition);
    Some(definition)
}

fn config_of(definer: &Definer<'_>, subject: &Subject<'_>, fqn: &[String], asked: &Asked<'_>) -> Config {
    let steps: Vec<&str> = fqn.iter().map(String::as_str).collect();
    let mut config = Config::default();
    let with = &definer.scopes[subject.package].renderer;
    definer.add_project(&mut config, subject.package, Kind::Test, &steps, with);
    for (key, value) in &asked.config {
        config.set(key, with.value(value), subject.path);
    }
    if subject.package != 0 {
        definer.add_project(&mut config, 0, Kind::Test, &steps, &definer.scopes[0].renderer);
    }
    config
}

/// A text among the arguments: dbt runs it as a template when it looks like one.
fn add_argument(
    definer: &Definer<'_>,
    definition: &mut Definition,
    macros: &mut BTreeSet<usize>,
    text: &str,
    package: usize,
) {
    let trimmed = text.trim();
    let is_call = ["ref", "source", "var", "env_var"].iter().any(|name| {
        trimmed.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('('))
            && trimmed.ends_with(')')
    });
    if !is_call && !text.contains("{{") && !text.contains("{%") {
        return;
    }
    let text = if is_call { format!("{{{{ {trimmed} }}}}") } else { text.to_owned() };
    let unit = unit::sql(&text, Dialect::DuckDb);
    macros.extend(definer.reach.of(&unit, package, &definer.files.macros));
    let path = definition.path.clone();
    let sql = definition.parts.remove("sql");
    definer.add_template(definition, &unit, package, &path);
    definition.parts.remove("sql");
    definition.places.remove("sql");
    definition.parts.extend(sql.map(|sql| ("sql".to_owned(), sql)));
}

fn add_subject(definer: &Definer<'_>, definition: &mut Definition, subject: &Subject<'_>) {
    if subject.is_source {
        let table = definer.files.sources.iter().find(|table| definer.source_id(table) == subject.id);
        if let Some(table) = table {
            definer.add_source(definition, table);
        }
    } else if let Some(configured) = definer.find(subject.id) {
        definer.add_relation(definition, configured);
    }
}

fn texts(value: &Json) -> Vec<String> {
    match value {
        Json::String(text) => vec![text.clone()],
        Json::Array(items) => items.iter().flat_map(texts).collect(),
        Json::Object(map) => map.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn unit_tests(definer: &Definer<'_>, all: &BTreeMap<String, Definition>) -> Vec<Definition> {
    let mut found = Vec::new();
    for entry in &definer.files.unit_tests {
        let (Some(name), Some(model)) =
            (entry.node.get("name").and_then(Yaml::text), entry.node.get("model").and_then(Yaml::text))
        else {
            continue;
        };
        let with = &definer.scopes[entry.package].renderer;
        let mut config = Config::default();
        config.add_properties(entry.node.get("config"), &entry.path, with);
        if !config.is_enabled() {
            continue;
        }
        let versions: Vec<&Configured> = definer
            .nodes
            .iter()
            .filter(|node| definer.node(node).kind == Kind::Model && definer.node(node).name == model)
            .collect();
        for configured in versions {
            let version = definer.node(configured).version.as_ref();
            let name = version.map_or_else(|| name.to_owned(), |version| format!("{name}_v{version}"));
            let package = &definer.files.packages[entry.package].name;
            let id = format!("unit_test.{package}.{model}.{name}");
            let mut definition = definer.blank(id, Kind::UnitTest, &name, entry.package, &entry.path);
            definition.fqn.extend(entry.folders.iter().cloned());
            definition.fqn.extend([model.to_owned(), name]);
            "unit".clone_into(&mut definition.materialized);
            definition.attached = Some(configured.id.clone());
            definition.follows.insert(configured.id.clone());
            let said: Vec<String> = ["given", "expect", "overrides", "versions"]
                .iter()
                .map(|key| format!("{key}={}", entry.node.get(key).map(plain).unwrap_or_default()))
                .collect();
            definition.add("unit test", short(said.join("\n")), &entry.path);
            add_fixtures(definer, &mut definition, &entry.node);
            if let Some(model) = all.get(&configured.id) {
                definition.add(format!("model {}", model.name), &model.hash()[..12], &model.path);
            }
            definer.add_materialization(&mut definition, &BTreeSet::new(), entry.package);
            definition.parents.clear();
            definer.add_globals(&mut definition);
            definition.class = Class::Exact;
            definition.reasons.clear();
            found.push(definition);
        }
    }
    found
}

/// Files that the given or the expected rows are in.
fn add_fixtures(definer: &Definer<'_>, definition: &mut Definition, node: &Yaml) {
    let given = node.get("given").map(Yaml::items).unwrap_or_default();
    for holder in given.iter().chain(node.get("expect")) {
        let Some(name) = holder.get("fixture").and_then(Yaml::text) else { continue };
        let hash = definer.files.fixtures.get(name).map_or("missing", String::as_str);
        definition.add(format!("fixture {name}"), hash, "");
    }
}

#[cfg(test)]
mod cases {
    use super::*;
    use crate::core::yaml;

    fn name_of(item: &str, subject: &str, column: Option<&str>, is_v2: bool) -> String {
        let item = yaml::parse_one(item).expect("YAML").expect("a document");
        let is_source = subject.starts_with("src");
        let subject =
            Subject { id: "", name: subject.to_owned(), is_source, package: 0, path: "", folders: &[] };
        full_name(&read(&item).expect("a test"), &subject, column, is_v2)
    }

    #[test]
    fn tests_have_the_names_that_dbt_gives_them() {
        for (item, subject, column, expected) in [
            ("unique", "stg", Some("id"), "unique_stg_id"),
            ("not_null", "src_t", Some("id"), "source_not_null_src_t_id"),
            ("accepted_values: {values: [a b, c]}", "m", Some("x"), "accepted_values_m_x__a_b__c"),
            (
                "accepted_values: {arguments: {values: ['1', 2.5, true]}}",
                "m",
                Some("x"),
                "accepted_values_m_x__1__2_5__True",
            ),
            ("relationships: {to: ref('o'), field: id}", "m", Some("x"), "relationships_m_x__id__ref_o_"),
            (
                "dbt_utils.expression_is_true: {expression: 'a > 0', config: {where: b}}",
                "m",
                None,
                "dbt_utils_expression_is_true_m_a_0",
            ),
            ("not_empty", "m", None, "not_empty_m_"),
            ("unique: {name: mine}", "m", Some("id"), "mine"),
        ] {
            for is_v2 in [false, true] {
                assert_eq!(name_of(item, subject, column, is_v2), expected, "{item}");
            }
        }
        let mapping = "same: {parts: {b: one, a: two}}";
        assert_eq!(name_of(mapping, "m", None, false), "same_m_one__two");
        assert_eq!(name_of(mapping, "m", None, true), "same_m_two__one");
    }
}
