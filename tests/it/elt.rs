//! `cargo xtask elt` on real dbt and real DuckDB.

mod gates;
mod interrupted;

use std::process::Stdio;

use predicates::prelude::*;
use serde_json::Value;

use crate::support::{BUILT, Checkout, Ended, sql_in};

fn elt<'a>(schema: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["elt", "--schema", schema], more].concat()
}

/// Rows of gold in a fixed order, so that two builds can be compared.
fn gold(checkout: &Checkout, schema: &str) -> Vec<Vec<Value>> {
    let tables = checkout.sql(&format!(
        "select table_name from duckdb_tables() where database_name = '{schema}'
         and table_name in ('daily_kpis', 'abc_classes', 'slow_movers', 'reorder_recommendations') order by 1"
    ));
    let rows = |table: &Value| {
        let name = table["table_name"].as_str().expect("a name");
        checkout.sql(&format!("select * from {schema}.{name} order by all"))
    };
    tables.iter().map(rows).collect()
}

#[test]
fn a_build_is_told_as_data_and_kept_in_the_ledger() {
    let checkout = Checkout::built();
    let report = checkout.run(&elt(BUILT, &["--force", "--format", "json"])).expect(0).json_of("elt");

    assert_eq!(report["schema"], BUILT);
    assert_eq!(report["target"], "local");
    assert_eq!(report["status"], "success");
    assert_eq!(report["up_to_date"], false);
    assert_eq!(report["dbt_started"], true);
    assert!(report["seconds"].as_f64() >= report["dbt_seconds"].as_f64());
    let nodes = report["nodes"].as_array().expect("nodes");
    let of_kind = |kind: &str| nodes.iter().filter(|node| node["kind"] == kind).count();
    assert!(of_kind("test") >= 60, "{} data tests", of_kind("test"));
    assert!(of_kind("unit_test") >= 10, "{} unit tests", of_kind("unit_test"));
    for layer in ["bronze", "silver", "gold", "monitoring"] {
        assert!(nodes.iter().any(|node| node["layer"] == layer && node["kind"] == "model"), "{layer}");
    }
    let kpis = nodes.iter().find(|node| node["name"] == "daily_kpis").expect("daily_kpis");
    assert_eq!(
        (&kpis["kind"], &kpis["layer"], &kpis["status"]),
        (&"model".into(), &"gold".into(), &"success".into())
    );
    assert!(kpis["rows"].as_i64() > Some(0) && kpis["seconds"].as_f64() > Some(0.0));
    let view = nodes.iter().find(|node| node["name"] == "stg_logistics__products").expect("a view");
    assert_eq!(view["rows"], Value::Null, "the rows of a view are not counted");

    let run = report["run_id"].as_str().expect("a run id");
    let count = |table: &str| {
        let sql = format!("select count(*) as n from {BUILT}.{table} where run_id = '{run}'");
        checkout.sql(&sql)[0]["n"].as_u64().expect("a count")
    };
    assert_eq!(count("ledger_runs"), 1);
    assert_eq!(count("ledger_nodes"), nodes.len() as u64);
    assert_eq!(count("ledger_queries"), nodes.len() as u64, "nothing was skipped");
    assert!(count("ledger_relations") > 10);
    let strange = checkout.sql(&format!(
        "select * from {BUILT}.ledger_queries where run_id = '{run}'
         and (start_time is null or end_time < start_time or total_elapsed_time is null
              or query_type not in ('CREATE_VIEW', 'CREATE_TABLE_AS_SELECT', 'SELECT')
              or json_extract_string(query_tag, 'environment') != '{BUILT}')"
    ));
    assert_eq!(strange, Vec::<Value>::new());
    let registered = checkout.sql("select schema_name, kind, issue_number from xtask_registry.environments");
    assert_eq!(registered, [serde_json::json!({"schema_name": BUILT, "kind": "issue", "issue_number": 42})]);
}

/// GitHub starts waiting runs in another order than their events.
#[test]
fn an_older_workflow_run_leaves_what_a_newer_one_has_built() {
    let checkout = Checkout::built();
    let output = checkout.path(".xtask/output");
    let run = |id: &str, attempt: &str, repository: &str| {
        let mut command = checkout.command(&elt(BUILT, &["--format", "json"]));
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_OUTPUT", &output);
        command.env("GITHUB_SERVER_URL", "https://github.com").env("GITHUB_REPOSITORY", repository);
        command.env("GITHUB_RUN_ID", id).env("GITHUB_RUN_ATTEMPT", attempt);
        let report = Ended::of(command).expect(0).json();
        report["status"].as_str().expect("a status").to_owned()
    };
    assert_eq!(run("200", "1", "octo/lab"), "success");
    std::fs::write(&output, "").unwrap();
    assert_eq!(run("199", "1", "octo/lab"), "superseded");
    let written = std::fs::read_to_string(&output).unwrap();
    assert!(written.contains("wanted<<") && written.contains("\nfalse\n"), "{written}");
    let runs =
        checkout.sql(&format!("select count(*) as n from {BUILT}.ledger_runs where run_url like '%/199'"));
    assert_eq!(runs[0]["n"], 0, "it did nothing");
    // A person starts the older run again; a newer run; the runs of another repository are not comparable.
    for (id, attempt, repository) in
        [("199", "2", "octo/lab"), ("1000", "1", "octo/lab"), ("3", "1", "octo/other")]
    {
        assert_eq!(run(id, attempt, repository), "success", "{id} {attempt} {repository}");
    }
}

#[test]
fn what_has_not_changed_is_not_built_again() {
    let checkout = Checkout::built();
    let again = |more: &[&str]| checkout.run(&elt(BUILT, more)).expect(0);
    let report = again(&["--format", "json"]).json();
    assert_eq!((&report["up_to_date"], &report["dbt_started"]), (&true.into(), &false.into()));
    assert_eq!(report["status"], "success");
    assert!(report["totals"]["passed"].as_u64() >= Some(80), "what exists there was tested");
    assert!(again(&[]).stdout.contains("up to date"));

    let is_up_to_date = |dry: &Ended| dry.json()["up_to_date"] == true;
    let dry = || again(&["--dry-run", "--format", "json"]);
    assert!(is_up_to_date(&dry()));
    checkout.sql(&format!("delete from {BUILT}.slow_movers where true"));
    assert!(!is_up_to_date(&dry()), "a table was changed by hand");
    let other = Checkout::built();
    let dry = || other.run(&elt(BUILT, &["--dry-run", "--format", "json"]));
    other.edit("dbt/models/gold/slow_movers.sql", |sql| format!("{sql}\n-- changed\n"));
    assert!(is_up_to_date(&dry()), "a comment changed");
    other.edit("dbt/models/gold/slow_movers.sql", |sql| format!("select * from (\n{sql}\n) as it\n"));
    assert!(!is_up_to_date(&dry()), "a model changed");
}

#[test]
fn two_builds_of_the_same_inputs_give_the_same_rows() {
    let checkout = Checkout::built();
    checkout.run(&elt("ISSUE_43", &[])).expect(0);
    let (one, two) = (gold(&checkout, BUILT), gold(&checkout, "issue_43"));
    assert_eq!(one.len(), 4);
    assert!(one.iter().all(|rows| !rows.is_empty()));
    assert_eq!(one, two);
}

#[test]
fn a_dry_run_prints_all_and_does_nothing() {
    let checkout = Checkout::new();
    let printed = checkout.run(&elt("issue_7", &["--dry-run", "--select", "tag:gold"])).expect(0).stdout;
    for part in
        ["create table if not exists \"issue_7\"", "ledger_environment", "dbt build", "--select tag:gold"]
    {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
    assert!(!checkout.databases().exists());
    assert!(!checkout.path("dbt/target").exists());
}

#[test]
fn a_selection_builds_its_part_only() {
    let checkout = Checkout::built();
    let report = checkout
        .run(&elt(BUILT, &["--select", "stg_logistics__suppliers", "--format", "json"]))
        .expect(0)
        .json();
    let models: Vec<&Value> = report["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .filter(|node| node["kind"] == "model")
        .map(|node| &node["name"])
        .collect();
    assert_eq!(models, ["stg_logistics__suppliers"]);

    let nothing = checkout.run(&elt(BUILT, &["--select", "no_such_model"])).expect(2);
    assert!(nothing.stderr.contains("no_such_model"), "{}", nothing.stderr);
}

#[test]
fn seeds_may_come_from_another_folder() {
    let checkout = Checkout::built();
    checkout.run(&["seed", "--days", "40", "--products", "5", "--out", "elsewhere"]).expect(0);
    checkout.run(&elt(BUILT, &["--seeds", "elsewhere", "--select", "raw_products"])).expect(0);
    assert_eq!(checkout.sql(&format!("select count(*) as n from {BUILT}.raw_products"))[0]["n"], 5);
}

#[test]
fn what_is_no_name_reaches_no_warehouse() {
    let checkout = Checkout::new();
    let long = "a".repeat(64);
    for name in ["x; drop schema dev", "../x", "", &long, "ｉssue_1", "xtask_registry", "main"] {
        let ended = checkout.run(&elt(name, &[])).expect(2);
        let said = ended.stderr.lines().next().unwrap_or_default();
        assert!(said.starts_with("error: ") && said.contains("--schema"), "{name:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
    assert!(!checkout.path(".xtask").exists());
}

#[test]
fn options_that_dbt_would_take_for_its_own_are_refused() {
    let checkout = Checkout::new();
    for more in [["--select=--full-refresh", ""], ["--vars", " "], ["--seeds", "no/such/folder"]] {
        let args: Vec<&str> = more.into_iter().filter(|word| !word.is_empty()).collect();
        checkout.run(&elt("issue_1", &args)).expect(2);
    }
}

#[test]
fn a_schema_of_somebody_else_is_left_alone() {
    let checkout = Checkout::built();
    sql_in(&checkout.database("issue_9"), "create table precious as select 1 as a");
    let ended = checkout.run(&elt("issue_9", &[])).expect(2);
    assert!(predicate::str::contains("no ownership mark").eval(&ended.stderr), "{}", ended.stderr);
    assert_eq!(checkout.sql("select * from issue_9.precious").len(), 1);
}

#[test]
fn a_second_run_waits_and_says_for_whom() {
    let checkout = Checkout::built();
    let start = |schema: &str| {
        let mut command =
            checkout.command(&elt(schema, &["--force", "--select", "stg_logistics__suppliers"]));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    let first = start(BUILT);
    // The one to come second is whichever finds the lock taken; all must end well all the same.
    let others = [start(BUILT), start(BUILT)];
    let elsewhere = Ended::from(start("issue_43").wait_with_output().expect("it ends")).expect_any();
    assert!(!elsewhere.stderr.contains("waiting"), "another environment waits for none\n{elsewhere:?}");
    let ended: Vec<Ended> = std::iter::once(first)
        .chain(others)
        .map(|child| Ended::from(child.wait_with_output().expect("it ends")).expect_any())
        .collect();
    let waited = ended.iter().filter(|ended| ended.stderr.contains("waiting: elt of ")).count();
    assert!(waited >= 2, "{ended:#?}");
    let runs =
        checkout.sql(&format!("select count(*) as n from {BUILT}.ledger_runs where selection is not null"));
    assert_eq!(runs[0]["n"], 3);
}

impl Ended {
    /// `issue_43` has none of the seeds that the selected view reads, so its build may fail; being let
    /// through is what is asked here.
    fn expect_any(self) -> Self {
        assert!(matches!(self.code, Some(0 | 1)), "{self:#?}");
        self
    }
}

#[test]
fn an_artifacts_folder_that_cannot_be_made_is_named() {
    let checkout = Checkout::built();
    std::fs::remove_dir_all(checkout.path("dbt/target")).expect("removed");
    std::fs::write(checkout.path("dbt/target"), "in the way").expect("written");
    let ended = checkout.run(&elt(BUILT, &["--force"])).expect(2);
    assert!(ended.stderr.contains("dbt/target/issue_42"), "{}", ended.stderr);
    let runs =
        checkout.sql(&format!("select status from {BUILT}.ledger_runs order by started_at desc limit 1"));
    assert_eq!(runs[0]["status"], "error");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told() {
    // Mounts need a privilege that not every machine grants; where it does not, this proves nothing.
    let mount = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args(["-m", "sh", "-ec", script]);
        command
    };
    if !mount("mount -t tmpfs none /mnt").output().is_ok_and(|probe| probe.status.success()) {
        println!("skipped: this machine grants no mounts");
        return;
    }
    let checkout = Checkout::new();
    std::fs::create_dir(checkout.path(".xtask")).expect("created");
    let mut command = mount("mount -t tmpfs -o size=3m none .xtask && exec \"$0\" elt --schema issue_1");
    command.current_dir(checkout.root()).arg(crate::support::program());
    // Not the shared dbt: a copy of another process would not see the mount.
    command.env("XTASK_VENV", crate::support::installed_environment()).env("CI", "true");
    let ended = Ended::of(command).expect(2);
    assert!(ended.stderr.contains("the disk is full"), "{}", ended.stderr);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let checkout = Checkout::new();
    let mut command = checkout.command(&elt("issue_1", &[]));
    command.env("DBT_DUCKDB_PATH", "/dev/null/w.duckdb");
    let ended = Ended::of(command).expect(2);
    assert!(ended.stderr.contains("/dev/null/w.duckdb"), "{}", ended.stderr);
}
