//! What the groups need to know of a whole repository before they look at one of its files.

use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value as Json};

use super::common;
use super::rule::Source;
use super::sql::{self, Role};
use super::yaml::Config;
use crate::core::yaml::{self, Node, Style, Value};

/// The folder of a dbt project within the repository, with a slash at its end unless it is the root.
pub(super) fn root_of_project(path: &str) -> Option<&str> {
    path.strip_suffix("dbt_project.yml").filter(|root| root.is_empty() || root.ends_with('/'))
}

/// Whether a file is one that decides how SQL is rendered or judged, whatever SQL file is looked at.
pub(super) fn decides_sql(path: &str, macro_folders: &[String]) -> bool {
    common::is_sqlfluff(path)
        || root_of_project(path).is_some()
        || common::is_sql(path) && macro_folders.iter().any(|folder| below(path, folder))
}

fn below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// The folders of every project that hold SQL, and what for; by the defaults of dbt where the project
/// does not say.
pub(super) fn folders(sources: &[&Source]) -> Vec<(String, Role)> {
    const KINDS: [(&str, &str, Role); 5] = [
        ("model-paths", "models", Role::Model),
        ("snapshot-paths", "snapshots", Role::Snapshot),
        ("test-paths", "tests", Role::Test),
        ("analysis-paths", "analyses", Role::Analysis),
        ("macro-paths", "macros", Role::Macro),
    ];
    let mut folders = Vec::new();
    for (root, settings) in projects(sources) {
        for (key, default, role) in KINDS {
            let given =
                settings.get(key).map(|paths| paths.one_or_many().iter().filter_map(Node::text).collect());
            let given: Vec<&str> = given.unwrap_or_else(|| vec![default]);
            folders.extend(given.iter().map(|path| (format!("{root}{}", path.trim_matches('/')), role)));
        }
    }
    folders
}

/// The folders among `folders` that hold macros. Generic tests are macros too.
pub(super) fn macro_folders(folders: &[(String, Role)]) -> Vec<String> {
    folders
        .iter()
        .filter_map(|(folder, role)| match role {
            Role::Macro => Some(folder.clone()),
            Role::Test => Some(format!("{folder}/generic")),
            _ => None,
        })
        .collect()
}

fn projects<'a>(sources: &[&'a Source]) -> Vec<(&'a str, Node)> {
    let found = sources.iter().filter_map(|source| {
        let root = root_of_project(&source.path)?;
        Some((root, yaml::parse_one(&source.text).ok()??))
    });
    found.collect()
}

/// What SQL is rendered and judged by. With several projects in one repository the first one names the
/// variables, and the macros of all are known.
pub(super) fn sql_inputs(sources: &[&Source], folders: &[(String, Role)]) -> sql::Inputs {
    let projects = projects(sources);
    let settings = projects.first().map(|(_, settings)| settings);
    let macro_folders = macro_folders(folders);
    let text_of =
        |key: &str| settings.and_then(|settings| settings.get(key)?.text()).unwrap_or_default().to_owned();
    let vars = settings.and_then(|settings| settings.get("vars")).map(json);
    let styles: Vec<(String, String)> = sources
        .iter()
        .filter(|source| common::is_sqlfluff(&source.path))
        .map(|source| {
            let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            (folder.to_owned(), source.text.clone())
        })
        .collect();
    sql::Inputs {
        name: text_of("name"),
        vars: match vars {
            Some(Json::Object(vars)) => vars,
            _ => Map::new(),
        },
        adapter: adapter(&styles),
        folders: folders.to_vec(),
        macros: sources
            .iter()
            .filter(|source| common::is_sql(&source.path))
            .filter(|source| macro_folders.iter().any(|folder| below(&source.path, folder)))
            .map(|source| source.text.clone())
            .collect(),
        styles,
    }
}

/// sqlfluff's dialects have the names of dbt's adapters.
fn adapter(styles: &[(String, String)]) -> String {
    let root = styles.iter().find(|(folder, _)| folder.is_empty());
    let dialect = root.and_then(|(_, text)| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == "dialect").then(|| value.trim().to_owned())
        })
    });
    dialect.unwrap_or_else(|| "snowflake".to_owned())
}

/// A value of YAML as JSON, by YAML's own rules for plain scalars.
fn json(node: &Node) -> Json {
    match &node.value {
        Value::Sequence(items) => items.iter().map(json).collect(),
        Value::Mapping(entries) => entries
            .iter()
            .filter_map(|(key, value)| Some((key.text()?.to_owned(), json(value))))
            .collect::<Map<_, _>>()
            .into(),
        Value::Scalar { .. } if node.is_null() => Json::Null,
        Value::Scalar { text, style } => {
            let number = || serde_json::from_str(text).ok().filter(Json::is_number);
            let plain =
                if *style == Style::Plain { node.truth().map(Json::Bool).or_else(number) } else { None };
            plain.unwrap_or_else(|| Json::String(text.clone()))
        }
    }
}

/// The settings for YAML: those of `.yamllint*` at the root; without one no style is asked for.
pub(super) fn yaml_config(sources: &[&Source], root: &Path) -> Result<Config> {
    let found = sources.iter().find(|source| common::is_yamllint(&source.path));
    Config::load(found.map_or("rules: {}", |source| &source.text), root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_project_is_known_from_its_files() {
        let sources = [
            source(
                "shop/dbt_project.yml",
                "name: shop\nmodel-paths: [transform]\nvars:\n  days: 7\n  since: '2026'\n  on: true\n  shop: {x: [1]}\n",
            ),
            source("shop/macros/a.sql", "{% macro a() %}{% endmacro %}"),
            source("shop/tests/generic/b.sql", "{% test b() %}{% endtest %}"),
            source("shop/tests/c.sql", "select 1"),
            source(".sqlfluff", "[sqlfluff]\ndialect = postgres\n"),
            source("shop/old/.sqlfluff", "[sqlfluff]\ndialect = duckdb\n"),
        ];
        let sources: Vec<&Source> = sources.iter().collect();
        let folders = folders(&sources);
        assert!(folders.contains(&("shop/transform".to_owned(), Role::Model)));
        let inputs = sql_inputs(&sources, &folders);
        assert_eq!(
            (inputs.name.as_str(), inputs.adapter.as_str(), inputs.macros.len()),
            ("shop", "postgres", 2)
        );
        assert_eq!(
            Json::Object(inputs.vars),
            serde_json::json!({"days": 7, "since": "2026", "on": true, "shop": {"x": [1]}})
        );
        assert_eq!(inputs.styles.len(), 2);
        let macros = macro_folders(&folders);
        assert!(decides_sql("shop/macros/a.sql", &macros) && decides_sql("shop/old/.sqlfluff", &macros));
        assert!(!decides_sql("shop/transform/a.sql", &macros));
    }
}
