//! What a case says, and the project in a folder that it edits.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::state::define::Facts;
use crate::state::profile;
use crate::warehouse::Dialect;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    pub(super) case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) project: String,
    pub(super) edits: Vec<Edit>,
    pub(super) vars: Option<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) target: String,
    pub(super) schema: String,
    pub(super) engine: String,
    pub(super) duckdb: String,
    pub(super) adapter: String,
    pub(super) period: String,
    /// Of the generated profile.
    pub(super) profile: String,
    /// Files that `--seeds` gives in the place of the project's own, by name.
    pub(super) seeds: BTreeMap<String, String>,
    /// Nothing was built in the environment before.
    pub(super) is_new: bool,
    /// A seed that has more than a megabyte before the edit, which is in its last line.
    pub(super) large: Option<String>,
    /// How nodes ended last time, other than well.
    pub(super) ended: BTreeMap<String, String>,
    /// Relations that something else has changed since, and those that are missing.
    pub(super) touched: Vec<String>,
    pub(super) missing: Vec<String>,
    /// Sources whose data is other data.
    pub(super) moved: Vec<String>,
    /// Nodes that were built alone since, and hold other data now.
    pub(super) rebuilt: Vec<String>,
    /// What may be built.
    pub(super) select: Option<String>,
    /// How long after the last build the decision is made.
    pub(super) hours_later: i64,
    /// Incremental models that are made from nothing.
    pub(super) refreshed: Option<Vec<String>>,
    pub(super) build: Vec<String>,
    /// Nodes whose data is other data although they are not built: views that read the clock.
    pub(super) also: Vec<String>,
    pub(super) test: Option<Vec<String>>,
    pub(super) unit: Vec<String>,
    pub(super) gone: Vec<String>,
    /// Nodes of the class coarse may be built although nothing that they read has changed.
    pub(super) coarse: bool,
}

impl Default for Case {
    fn default() -> Self {
        let text = str::to_owned;
        Self {
            id: String::new(),
            project: text("shop"),
            edits: Vec::new(),
            vars: None,
            env: BTreeMap::new(),
            target: text("local"),
            schema: text("dev"),
            engine: text("1.11"),
            duckdb: text("1.5"),
            adapter: text("duckdb"),
            profile: String::new(),
            seeds: BTreeMap::new(),
            is_new: false,
            large: None,
            ended: BTreeMap::new(),
            touched: Vec::new(),
            missing: Vec::new(),
            moved: Vec::new(),
            rebuilt: Vec::new(),
            select: None,
            hours_later: 0,
            refreshed: None,
            period: text("2026-01-01"),
            build: Vec::new(),
            also: Vec::new(),
            test: None,
            unit: Vec::new(),
            gone: Vec::new(),
            coarse: false,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Edit {
    pub(super) file: String,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) append: Option<String>,
    pub(super) write: Option<String>,
    pub(super) rename: Option<String>,
    pub(super) remove: bool,
}

pub(super) fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/state").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(super) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("written");
}

/// A project of `projects.toml` in a separate folder.
pub(super) fn project(name: &str) -> tempfile::TempDir {
    let all: BTreeMap<String, BTreeMap<String, String>> =
        toml::from_str(&data("projects.toml")).expect("TOML");
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in &all[name] {
        write(&folder.path().join(path), text);
    }
    folder
}

pub(super) fn apply(root: &Path, edit: &Edit, case: &str) {
    if let (Some(from), Some(to)) = (&edit.rename, &edit.to) {
        let text = fs::read_to_string(root.join(from)).expect("a file to rename");
        fs::remove_file(root.join(from)).expect("removed");
        return write(&root.join(to), &text);
    }
    let path: PathBuf = root.join(&edit.file);
    if edit.remove {
        return fs::remove_file(&path).expect("removed");
    }
    if let Some(text) = &edit.write {
        return write(&path, text);
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{case}: {}: {error}", edit.file));
    let changed = match (&edit.from, &edit.to, &edit.append) {
        (Some(from), Some(to), _) => text.replace(from.as_str(), to),
        (_, _, Some(more)) => text.clone() + more,
        _ => panic!("{case}: an edit says nothing"),
    };
    assert_ne!(text, changed, "{case}: {} is as it was", edit.file);
    write(&path, &changed);
}

pub(super) fn facts(case: &Case) -> Facts {
    Facts {
        target: case.target.clone(),
        adapter: case.adapter.clone(),
        dialect: if case.adapter == "snowflake" { Dialect::Snowflake } else { Dialect::DuckDb },
        profile_name: "shop".into(),
        profile: profile::read(&case.profile),
        database: "db".into(),
        schema: case.schema.clone(),
        vars: case.vars.clone(),
        environment: case.env.clone(),
        seeds: None,
        engine: case.engine.clone(),
        warehouse: case.duckdb.clone(),
        period: case.period.clone(),
        key: "key".into(),
    }
}
