//! Facts about the whole repository that the groups need before they check a single file.

use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value as Json};

use super::common;
use super::rule::Source;
use super::sql::{self, Role};
use super::yaml::Config;
use crate::core::yaml::{self, Node};
use crate::dbt::graph::packages;

/// The folder of a dbt project within the repository, with a slash at its end unless it is the root.
pub(super) fn root_of_project(path: &str) -> Option<&str> {
    path.strip_suffix("dbt_project.yml").filter(|root| root.is_empty() || root.ends_with('/'))
}

/// Whether a file affects how every SQL file is rendered or checked.
pub(super) fn decides_sql(path: &str, macro_folders: &[String]) -> bool {
    common::is_sql_settings(path)
        || path.ends_with("profiles.yml")
        || root_of_project(path).is_some()
        || path.ends_with("packages.yml")
        || path.ends_with("dependencies.yml")
        || common::is_sql(path) && path.contains("dbt_packages/")
        || common::is_sql(path) && macro_folders.iter().any(|folder| below(path, folder))
}

/// Whether a file belongs to an installed package rather than to the repository.
pub(super) fn is_package(path: &str, folders: &[(String, Role)]) -> bool {
    folders.iter().any(|(folder, role)| *role == Role::Package && below(path, folder))
}

fn below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// The folders of every project that contain SQL, and their roles; dbt's defaults if the project does not set
/// them.
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
        folders.push((format!("{root}{}", packages::folder(&settings)), Role::Package));
    }
    folders
}

/// The folders among `folders` that contain macros. Generic tests are macros too.
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

/// The inputs for rendering and checking SQL: each project has its own macros and variables.
pub(super) fn sql_inputs(sources: &[&Source], folders: &[(String, Role)]) -> sql::Inputs {
    let styles: Vec<(String, String)> = sources
        .iter()
        .filter(|source| common::is_sql_settings(&source.path) && !is_package(&source.path, folders))
        .map(|source| (source.path.clone(), source.text.clone()))
        .collect();
    let all = projects(sources);
    let own = all.iter().filter(|(root, _)| !is_package(root, folders));
    let projects = own.map(|(root, settings)| {
        let name = settings.get("name").and_then(Node::text).unwrap_or_default();
        let inputs = sql::Inputs {
            name: name.to_owned(),
            vars: vars(settings, name),
            adapter: adapter(sources, root, settings),
            macros: macros_below(sources, root, settings),
            packages: packages_of(&all, sources, root, settings),
            ..sql::Inputs::default()
        };
        ((*root).to_owned(), inputs)
    });
    let projects: Vec<(String, sql::Inputs)> = projects.collect();
    sql::Inputs {
        // Scripts beside a project are for the same warehouse.
        adapter: projects.first().map(|(_, project)| project.adapter.clone()).unwrap_or_default(),
        projects,
        folders: folders.to_vec(),
        styles,
        ..sql::Inputs::default()
    }
}

/// The variables of a project: those of its name count for it alone, and before the others.
fn vars(settings: &Node, name: &str) -> Map<String, Json> {
    let Some(Json::Object(mut vars)) = settings.get("vars").map(Node::json) else { return Map::new() };
    if let Some(Json::Object(own)) = vars.get(name).cloned() {
        vars.extend(own);
    }
    vars
}

/// The texts of the macro files of the project in `root`.
fn macros_below(sources: &[&Source], root: &str, settings: &Node) -> Vec<String> {
    let paths = |key: &str, default: &str, inner: &str| -> Vec<String> {
        let given =
            settings.get(key).map(|paths| paths.one_or_many().iter().filter_map(Node::text).collect());
        let given: Vec<&str> = given.unwrap_or_else(|| vec![default]);
        given.iter().map(|path| format!("{root}{}{inner}/", path.trim_matches('/'))).collect()
    };
    let folders = [paths("macro-paths", "macros", ""), paths("test-paths", "tests", "/generic")].concat();
    sources
        .iter()
        .filter(|source| common::is_sql(&source.path))
        .filter(|source| folders.iter().any(|folder| source.path.starts_with(folder)))
        .map(|source| source.text.clone())
        .collect()
}

/// The macro files of the packages that the project in `root` has: installed ones, and local ones of the repository.
fn packages_of(
    all: &[(&str, Node)],
    sources: &[&Source],
    root: &str,
    settings: &Node,
) -> Vec<(String, Vec<String>)> {
    let home = format!("{root}{}/", packages::folder(settings));
    let local: Vec<String> = sources
        .iter()
        .filter(|source| {
            ["packages.yml", "dependencies.yml"].iter().any(|file| source.path == format!("{root}{file}"))
        })
        .filter_map(|source| yaml::parse_one(&source.text).ok()?)
        .flat_map(|document| {
            let packages = document.get("packages").map(Node::items).unwrap_or_default();
            let paths = packages.iter().filter_map(|package| package.get("local")?.text());
            paths.filter_map(|path| packages::joined(root, path)).collect::<Vec<_>>()
        })
        .collect();
    all.iter()
        .filter(|(other, _)| other.starts_with(&home) || local.iter().any(|path| path == other))
        .filter_map(|(other, settings)| {
            let name = settings.get("name").and_then(Node::text)?;
            Some((name.to_owned(), macros_below(sources, other, settings)))
        })
        .collect()
}

/// The dialect of the project in `root`, by the profile that it names, if that is in the repository; else empty. The
/// profiles of the user are not read: they must not change the findings.
fn adapter(sources: &[&Source], root: &str, settings: &Node) -> String {
    let name = settings.get("profile").and_then(Node::text).unwrap_or_default();
    let places = [format!("{root}profiles.yml"), "profiles.yml".to_owned(), ".dbt/profiles.yml".to_owned()];
    let profiles = places.iter().find_map(|place| sources.iter().find(|source| source.path == *place));
    let Some(profiles) = profiles.and_then(|source| yaml::parse_one(&source.text).ok()?) else {
        return String::new();
    };
    let outputs = profiles.at(&[name, "outputs"]).map(Node::entries).unwrap_or_default();
    let target = profiles.at(&[name, "target"]).and_then(Node::text).unwrap_or_default();
    let kind = |wanted: Option<&str>| {
        let mut outputs =
            outputs.iter().filter(|(key, _)| wanted.is_none_or(|wanted| key.text() == Some(wanted)));
        outputs.find_map(|(_, output)| output.get("type")?.text())
    };
    let dialect = match kind(Some(target)).or_else(|| kind(None)).unwrap_or_default() {
        "spark" => "sparksql",
        "sqlserver" | "fabric" | "synapse" => "tsql",
        "athena" | "bigquery" | "clickhouse" | "databricks" | "duckdb" | "mysql" | "oracle" | "postgres"
        | "redshift" | "snowflake" | "sqlite" | "trino" => {
            kind(Some(target)).or_else(|| kind(None)).unwrap_or_default()
        }
        _ => "",
    };
    dialect.to_owned()
}

/// The settings for YAML: those of `.yamllint*` at the root; without one no style rule is on.
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
                "name: shop\nprofile: p\nmodel-paths: [transform]\nvars:\n  days: 7\n  since: '2026'\n  on: true\n  shop: {x: [1]}\n",
            ),
            source(
                "shop/profiles.yml",
                "p: {target: b, outputs: {a: {type: duckdb}, b: {type: bigquery}}}\n",
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
        let (root, shop) = &inputs.projects[0];
        assert_eq!(
            (root.as_str(), shop.name.as_str(), shop.adapter.as_str(), shop.macros.len()),
            ("shop/", "shop", "bigquery", 2)
        );
        assert_eq!(
            Json::Object(shop.vars.clone()),
            serde_json::json!({"days": 7, "since": "2026", "on": true, "shop": {"x": [1]}, "x": [1]})
        );
        assert_eq!(inputs.styles.len(), 2);
        let macros = macro_folders(&folders);
        assert!(decides_sql("shop/macros/a.sql", &macros) && decides_sql("shop/old/.sqlfluff", &macros));
        assert!(!decides_sql("shop/transform/a.sql", &macros));
    }
}
