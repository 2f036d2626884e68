//! Each project of `tests/projects/` through its whole life, compared with what plain `dbt build` makes of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as StdCommand;

use serde_json::{Value, json};

use super::Small;
use crate::support::{self, Ended};

/// A project as its case file describes it.
struct Case {
    small: Small,
    /// Folders of dbt projects.
    projects: Vec<String>,
}

fn case(name: &str) -> Case {
    let path = support::root().join("tests/projects").join(format!("{name}.toml"));
    let text = fs::read_to_string(&path).expect("a case file");
    let case: toml::Table = text.parse().expect("TOML");
    let small = Small::new(&[]);
    for (path, text) in case["files"].as_table().expect("files") {
        small.write(path, text.as_str().expect("a text"));
    }
    let projects = case["projects"].as_array().expect("projects");
    Case {
        small,
        projects: projects.iter().map(|each| each.as_str().expect("a folder").to_owned()).collect(),
    }
}

impl Case {
    fn run(&self, project: &str, args: &[&str]) -> Ended {
        let mut command = support::scrubbed(&self.small.path(project));
        command.env("XTASK_VENV", support::environment()).env("CI", "true").args(args);
        Ended::of(command)
    }

    fn elt(&self, project: &str, schema: &str, more: &[&str]) -> Value {
        let args = [&["elt", "--schema", schema, "--format", "json"], more].concat();
        self.run(project, &args).expect(0).json()
    }

    /// The file that holds an environment: the one that was written to last.
    fn database(&self, project: &str, schema: &str) -> PathBuf {
        let dry = self.run(project, &["elt", "--schema", schema, "--dry-run", "--force"]).expect(0).stdout;
        let (_, rest) = dry.split_once("DBT_DUCKDB_PATH=").expect("the place of the database");
        PathBuf::from(rest.split_whitespace().next().expect("a path").trim_matches('\''))
    }

    /// Plain `dbt build` with a separate profile, as a user without the toolkit would run it.
    fn plain(&self, project: &str, name: &str) -> PathBuf {
        let outside = self.small.path(".git/plain");
        let database = outside.join(format!("{name}.duckdb"));
        fs::create_dir_all(outside.join("files")).expect("a folder");
        let profile = json!({ profile_of(&self.small.path(project)): { "target": "local", "outputs": { "local": {
            "type": "duckdb", "path": database, "schema": "main", "external_root": outside.join("files")
        } } } });
        fs::write(outside.join("profiles.yml"), profile.to_string()).expect("written");
        for command in [vec!["deps"], vec!["build"]] {
            if command == ["deps"] && !self.small.path(project).join("packages.yml").exists() {
                continue;
            }
            let mut dbt =
                support::scrubbed_program(&support::environment().join("bin/dbt"), &self.small.path(project));
            dbt.args(&command).arg("--profiles-dir").arg(&outside).args(["--log-path", ".plain"]);
            if command == ["build"] {
                dbt.args(["--target-path", ".plain"]);
            }
            Ended::of(dbt).expect(0);
        }
        fs::remove_dir_all(self.small.path(project).join(".plain")).expect("removed");
        database
    }
}

fn profile_of(project: &Path) -> String {
    let text = fs::read_to_string(project.join("dbt_project.yml")).expect("a project");
    let line = text.lines().find_map(|line| line.strip_prefix("profile:")).expect("a profile");
    line.trim().trim_matches('"').to_owned()
}

/// Every table and view of an environment with its rows, without the toolkit's own.
fn contents(database: &Path) -> BTreeMap<String, Value> {
    let relations = support::sql_in(
        database,
        "select table_schema as s, table_name as t, table_type as k from information_schema.tables
         where table_catalog = current_database() and table_name not in ('ledger_environment', 'ledger_nodes', 'ledger_queries', 'ledger_relations', 'ledger_runs',
                                  'ledger_state', 'audit', 'history')
         order by all",
    );
    let mut all = BTreeMap::new();
    for relation in relations {
        let text = |key: &str| relation[key].as_str().expect("a name").to_owned();
        let (schema, table) = (text("s"), text("t"));
        let rows = support::sql_in(database, &format!("select * from \"{schema}\".\"{table}\" order by all"));
        let types = support::sql_in(database, &format!("describe \"{schema}\".\"{table}\""));
        all.insert(format!("{schema}.{table} {}", text("k")), json!([rows, types]));
    }
    all
}

/// Everything below the repository that is not the toolkit's state or dbt's output.
fn listing(case: &Case) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![case.small.root().to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if [".git", ".xtask", "target", "dbt_packages", "package-lock.yml"].contains(&name.as_str()) {
                continue;
            }
            if entry.path().is_dir() && !entry.path().is_symlink() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

fn first_model(project: &Path) -> PathBuf {
    let mut open = vec![project.to_path_buf()];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir()
                && !["macros", "target", "dbt_packages", "snapshots", "tests"].contains(&name.as_str())
            {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "sql") {
                found.push(path);
            }
        }
    }
    found.sort();
    found.into_iter().next().expect("a model")
}

/// doctor, lint, elt, elt again, an edit, a copy of the base, metrics, the report, and the drop.
fn live(name: &str) {
    let case = case(name);
    for project in &case.projects {
        let before = listing(&case);
        let doctor = case.run(project, &["doctor", "--format", "json"]);
        assert!(matches!(doctor.code, Some(0 | 1)), "{doctor:?}");
        let lint = case.run(project, &["lint"]);
        assert!(matches!(lint.code, Some(0 | 1)), "{name}: lint could not run: {}", lint.stderr);

        let report = case.elt(project, "issue_1", &[]);
        assert_eq!(report["status"], "success", "{name}: {report:#}");
        assert_eq!(report["totals"]["skipped"], 0, "{name}: {report:#}");
        let database = case.database(project, "issue_1");
        let plain = case.plain(project, &project.replace(['/', ' ', '.'], "_"));
        let (ours, theirs) = (contents(&database), contents(&plain));
        assert!(!ours.is_empty(), "{name}");
        assert_eq!(ours, theirs, "{name}: not what plain dbt builds");

        let again = case.elt(project, "issue_1", &[]);
        assert_left_alone(&again, &format!("{name}: nothing has changed"));

        let model = first_model(&case.small.path(project));
        let text = fs::read_to_string(&model).expect("a model");
        fs::write(&model, format!("{text}\n-- edited\n")).expect("written");
        let commented = case.elt(project, "issue_1", &[]);
        assert_left_alone(&commented, &format!("{name}: a comment changes nothing"));
        fs::write(&model, format!("select * from (\n{text}\n) as edited\n")).expect("written");
        assert_eq!(
            case.elt(project, "issue_1", &[])["dbt_started"],
            true,
            "{name}: {} changed",
            model.display()
        );
        assert_eq!(contents(&database), theirs, "{name}: a query around it changes no row");
        fs::write(&model, text).expect("written");

        case.elt(project, "issue_2", &["--base", "issue_1"]);
        case.run(project, &["metrics", "--format", "json"]).expect(0);
        let page = case.small.path(".git/report.html");
        case.run(project, &["metrics", "--format", "html", "--output", &page.to_string_lossy()]).expect(0);
        for schema in ["issue_1", "issue_2"] {
            case.run(project, &["schema", "drop", "--schema", schema]).expect(0);
        }
        let listed = case.run(project, &["schema", "list", "--format", "json"]).expect(0);
        assert!(!listed.stdout.contains("issue_"), "{name}: {}", listed.stdout);
        assert_nothing_left(&case, &database, name);
        assert_eq!(listing(&case), before, "{name}: something was written elsewhere");
    }
}

/// Nothing is built. Tests that warned run again, so that the summary stays true.
#[track_caller]
fn assert_left_alone(report: &Value, why: &str) {
    if report["dbt_started"] == true {
        let nodes = report["nodes"].as_array().expect("nodes");
        assert!(
            nodes.iter().all(|node| node["kind"] == "test" && node["status"] == "warn"),
            "{why}: {report:#}"
        );
    }
}

#[track_caller]
fn assert_nothing_left(case: &Case, database: &Path, name: &str) {
    let folder = database.parent().expect("a folder");
    let left: Vec<String> = support::databases_in(folder)
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("issue"))
        .collect();
    assert_eq!(left, Vec::<String>::new(), "{name}");
    let files = StdCommand::new("find").arg(case.small.path(".xtask")).args(["-name", "*.parquet"]).output();
    assert_eq!(String::from_utf8_lossy(&files.expect("find runs").stdout), "", "{name}: external files");
}

macro_rules! projects {
    ($($name:ident)*) => { $( #[test] fn $name() { live(stringify!($name)); } )* };
}

projects! {
    several_schemas verbatim_schemas snapshots_incremental versions_contracts python_model package_and_hooks
    external_files store_failures two_projects names
}
