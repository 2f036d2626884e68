//! Two dbt projects that share one DuckDB file.

use serde_json::Value;

use super::{PROJECT, Small};
use crate::support::{self, Ended};

struct Shared(Small);

impl Shared {
    fn new() -> Self {
        let small = Small::new(&[]);
        for project in ["sales", "stock"] {
            small.write(&format!("{project}/dbt_project.yml"), PROJECT.replace("tiny", project));
            small.write(&format!("{project}/models/a.sql"), format!("select '{project}' as p\n"));
        }
        support::copy(&support::root().join("dbt/requirements"), &small.path("policies/requirements"));
        Self(small)
    }

    fn run(&self, project: &str, args: &[&str]) -> Ended {
        let mut all = vec!["--project-dir", project];
        all.extend(args);
        let mut command = self.0.command(&all);
        command.env("DBT_DUCKDB_PATH", "shared.duckdb");
        Ended::of(command)
    }

    fn sql(&self, sql: &str) -> Vec<Value> {
        support::sql_in(&self.0.path("shared.duckdb"), sql)
    }
}

#[test]
fn in_one_file_what_another_project_built_is_left_alone() {
    let shared = Shared::new();
    shared.run("sales", &["elt", "--schema", "issue_7"]).expect(0);
    let contents =
        "select (select max(p) from issue_7.a) as p, (select max(run_id) from issue_7.ledger_runs) as run,
        (select max(project) from issue_7.ledger_environment) as project,
        (select count(*) from xtask_registry.environments) as environments";
    let before = shared.sql(contents);
    let refused: [&[&str]; 7] = [
        &["elt", "--schema", "issue_7"],
        &["elt", "--schema", "issue_8", "--base", "issue_7"],
        &["schema", "create", "--schema", "issue_7"],
        &["schema", "create", "--schema", "issue_7", "--adopt"],
        &["schema", "create", "--schema", "issue_8", "--base", "issue_7"],
        &["schema", "drop", "--schema", "issue_7"],
        &["metrics", "--schema", "issue_7"],
    ];
    for args in refused {
        let said = shared.run("stock", args).expect(2).stderr;
        assert!(said.contains("belongs to the dbt project sales"), "{args:?}: {said}");
    }
    shared.0.write("policies/environments.toml", "[lifetime]\nissue_days = 0\ngrace_hours = 0\n");
    for _ in 0..2 {
        shared.run("stock", &["schema", "gc", "--closed-issues", "7", "--yes"]).expect(0);
    }
    assert_eq!(shared.sql(contents), before);

    // What an earlier version made says it by its runs.
    for table in ["issue_7.ledger_environment", "xtask_registry.environments"] {
        shared.sql(&format!("update {table} set project = null, ledger_version = 2"));
    }
    for args in refused {
        let said = shared.run("stock", args).expect(2).stderr;
        assert!(said.contains("belongs to the dbt project sales"), "{args:?}: {said}");
    }
    shared.run("sales", &["elt", "--schema", "issue_7"]).expect(0);
    assert_eq!(shared.sql(contents)[0]["project"], "sales");
    shared.run("sales", &["schema", "drop", "--schema", "issue_7"]).expect(0);
}
