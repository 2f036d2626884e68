//! What every node of a package shares: its variables, and inputs that count whole for coarse nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::Value as Json;

use super::{Facts, short};
use crate::core::yaml;
use crate::state::project::Files;
use crate::state::render::{Known, Renderer, plain};

/// The variables of one package, and what evaluates with them.
pub(in crate::state) struct Scope {
    pub(in crate::state) vars: BTreeMap<String, Json>,
    pub(in crate::state) renderer: Renderer,
}

pub(super) fn scopes(files: &Files, facts: &Facts) -> Result<Vec<Scope>> {
    let given = match &facts.vars {
        None => BTreeMap::new(),
        Some(text) => {
            let parsed = yaml::parse_one(text).context("failed to understand --vars")?;
            object(parsed.as_ref().map(plain).unwrap_or_default())
        }
    };
    let environment = Arc::new(facts.environment.clone());
    let target: BTreeMap<String, String> = [
        ("name", &facts.target),
        ("type", &facts.adapter),
        ("schema", &facts.schema),
        ("database", &facts.database),
        ("dbname", &facts.database),
        ("profile_name", &facts.profile_name),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.clone()))
    .collect();
    let of = |package: usize| {
        let mut vars = BTreeMap::new();
        let name = &files.packages[package].name;
        for at in if package == 0 { vec![0] } else { vec![package, 0] } {
            let all = object(files.packages[at].settings.get("vars").map(plain).unwrap_or_default());
            let is_scope = |key: &str| files.packages.iter().any(|package| package.name == key);
            vars.extend(all.iter().filter(|(key, value)| !(is_scope(key) && value.is_object())).map(own));
            if let Some(Json::Object(scoped)) = all.get(name) {
                vars.extend(scoped.iter().map(own));
            }
        }
        vars.extend(given.clone());
        let known = Known {
            vars: vars.clone(),
            envs: Arc::clone(&environment),
            target: target.clone(),
            project: files.packages[0].name.clone(),
        };
        Scope { vars, renderer: Renderer::new(&known) }
    };
    Ok((0..files.packages.len()).map(of).collect())
}

pub(super) fn own((key, value): (&String, &Json)) -> (String, Json) {
    (key.clone(), value.clone())
}

pub(super) fn object(value: Json) -> BTreeMap<String, Json> {
    match value {
        Json::Object(map) => map.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

/// Inputs that a node counts whole when it is not known which of them it reads.
pub(super) struct Shared {
    pub(super) macros: String,
    pub(super) vars: String,
    /// Those that may be read under a name that is computed.
    pub(super) envs: String,
    pub(super) settings: String,
    pub(super) packages: String,
    pub(super) sources: String,
    pub(super) graph: String,
}

impl Shared {
    pub(super) fn new(files: &Files, facts: &Facts, scopes: &[Scope]) -> Self {
        let mut macros: Vec<String> = files
            .macros
            .iter()
            .map(|each| format!("{}.{} {}", files.packages[each.package].name, each.name, each.unit.folded))
            .collect();
        macros.sort();
        let vars: Vec<String> = scopes.iter().map(|scope| format!("{:?}", scope.vars)).collect();
        let envs: Vec<String> =
            environment_of(files, facts).map(|(name, value)| format!("{name}={value}")).collect();
        let settings: Vec<String> =
            files.packages.iter().map(|package| plain(&package.settings).to_string()).collect();
        let packages: Vec<&str> = files.packages.iter().map(|package| package.name.as_str()).collect();
        let sources: Vec<String> = files
            .sources
            .iter()
            .map(|table| format!("{}{}{}", table.source, plain(&table.of_source), plain(&table.node)))
            .collect();
        let nodes: Vec<String> = files
            .nodes
            .iter()
            .map(|node| format!("{} {} {:?} {:?}", node.path, node.name, node.version, node.unit.config))
            .collect();
        let entries: Vec<String> = files.entries.iter().map(|entry| plain(&entry.node).to_string()).collect();
        let settings = short(settings.join("\n"));
        let sources = short(sources.join("\n"));
        Self {
            macros: short(macros.join("\n")),
            vars: short(vars.join("\n")),
            envs: short(envs.join("\n")),
            packages: short(packages.join("\n")),
            graph: short(format!("{}{}{settings}{sources}", nodes.join("\n"), entries.join("\n"))),
            settings,
            sources,
        }
    }
}

/// The variables of the environment that a template can read: those that any template names, whole or, before or
/// after an `_`, in part. Secrets have a separate place.
fn environment_of<'f>(files: &Files, facts: &'f Facts) -> impl Iterator<Item = (&'f String, &'f String)> {
    let units = files.macros.iter().map(|each| &each.unit).chain(files.nodes.iter().map(|node| &*node.unit));
    let mut texts: BTreeSet<String> = units.flat_map(|unit| unit.texts.iter().cloned()).collect();
    let vars = files.packages.iter().filter_map(|package| package.settings.get("vars"));
    texts.extend(vars.flat_map(|vars| super::settings::texts(&plain(vars))).map(|text| text.to_uppercase()));
    let is_named = move |name: &str| {
        let name = name.to_uppercase();
        texts.contains(&name)
            || name.starts_with("DBT_ENV_CUSTOM_ENV")
            || name
                .match_indices('_')
                .any(|(at, _)| texts.contains(&name[..=at]) || texts.contains(&name[at..]))
    };
    facts.environment.iter().filter(move |(name, _)| {
        is_named(name) && !is_of_the_run(name) && !name.starts_with("DBT_ENV_SECRET")
    })
}

/// Variables that are others in each run.
pub(super) fn is_of_the_run(name: &str) -> bool {
    matches!(name, "DBT_TARGET_PATH" | "DBT_LOG_PATH" | "XTASK_RUN_ID")
}

/// Variables of the profile that say where and how, not what.
pub(super) fn is_neutral(name: &str) -> bool {
    const NEUTRAL: [&str; 9] = [
        "DBT_DUCKDB_PATH",
        "DBT_DUCKDB_THREADS",
        "DBT_THREADS",
        "DBT_TARGET_PATH",
        "DBT_LOG_PATH",
        "DBT_SNOWFLAKE_QUERY_TAG",
        "DBT_SEED_DIR",
        "DBT_PROFILES_DIR",
        "XTASK_RUN_ID",
    ];
    NEUTRAL.contains(&name)
}
