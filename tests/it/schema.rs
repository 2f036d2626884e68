//! `cargo xtask schema`: what may be made, what may be dropped, and what must be refused.

use serde_json::json;

use crate::support::{BUILT, Checkout, Ended, duckdb, sql_in};

fn create(checkout: &Checkout, name: &str) -> Ended {
    checkout.run(&["schema", "create", "--schema", name])
}

fn drop(checkout: &Checkout, name: &str) -> Ended {
    checkout.run(&["schema", "drop", "--schema", name])
}

fn schemas(checkout: &Checkout) -> Vec<String> {
    checkout.environments()
}

#[test]
fn an_environment_is_made_listed_and_dropped() {
    let checkout = Checkout::new();
    create(&checkout, "ISSUE_5").expect(0);
    create(&checkout, "issue_5").expect(0);
    assert_eq!(schemas(&checkout), ["issue_5", "xtask_registry"]);
    assert_eq!(checkout.sql("select * from issue_5.ledger_environment").len(), 1, "marked once");

    let listed = checkout.run(&["schema", "list", "--format", "json"]).expect(0).json_of("schema-list");
    let entry = &listed[0];
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!((&entry["schema_name"], &entry["kind"]), (&json!("issue_5"), &json!("issue")));
    assert_eq!((&entry["issue_number"], &entry["droppable"]), (&json!(5), &json!(true)));
    assert!(checkout.run(&["schema", "list"]).expect(0).stdout.contains("never built"));

    drop(&checkout, "issue_5").expect(0);
    assert_eq!(schemas(&checkout), ["xtask_registry"]);
    assert!(checkout.run(&["schema", "list"]).expect(0).stdout.contains("no environments yet"));
    assert!(drop(&checkout, "issue_5").expect(2).stderr.contains("does not exist"));
}

#[test]
fn a_drop_takes_all_that_was_built() {
    let checkout = Checkout::built();
    let listed = checkout.run(&["schema", "list", "--format", "json"]).expect(0).json_of("schema-list");
    assert_eq!(listed[0]["last_status"], "success");
    assert!(listed[0]["bytes"].as_i64() > Some(0));
    let planned = checkout.run(&["schema", "drop", "--schema", BUILT, "--dry-run"]).expect(0).stdout;
    assert!(planned.contains("-- remove ") && planned.contains("/issue_42.duckdb"), "{planned}");
    assert_eq!(schemas(&checkout), [BUILT, "xtask_registry"], "a dry run drops nothing");
    drop(&checkout, BUILT).expect(0);
    assert_eq!(schemas(&checkout), ["xtask_registry"]);
    let left: Vec<String> = std::fs::read_dir(checkout.databases())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains(BUILT))
        .collect();
    assert!(left.is_empty(), "no file of it, not even a lock: {left:?}");
}

#[test]
fn prod_and_dev_are_not_droppable() {
    let checkout = Checkout::new();
    for name in ["prod", "dev", "PROD", "Dev"] {
        create(&checkout, name).expect(0);
        assert!(drop(&checkout, name).expect(2).stderr.contains("never dropped"));
    }
    assert_eq!(schemas(&checkout), ["dev", "prod", "xtask_registry"]);
}

#[test]
fn a_drop_without_every_proof_is_refused() {
    let checkout = Checkout::new();
    for name in ["issue_1", "issue_2", "issue_3", "scratch"] {
        create(&checkout, name).expect(0);
    }
    checkout.sql(
        "drop table issue_1.ledger_environment;
         update issue_2.ledger_environment set schema_name = 'issue_20';
         delete from xtask_registry.environments where schema_name = 'issue_3'",
    );
    sql_in(&checkout.database("issue_4"), "create table t (a integer)");
    let before = schemas(&checkout);
    for (name, why) in [
        ("issue_1", "carries no ownership mark"),
        ("issue_2", "carries the ownership mark of \"issue_20\""),
        ("issue_3", "is not in the registry"),
        ("issue_4", "carries no ownership mark"),
        ("scratch", "only those are dropped"),
    ] {
        let said = drop(&checkout, name).expect(2).stderr;
        assert!(said.contains(why), "{name}: {said}");
    }
    assert_eq!(schemas(&checkout), before);

    create(&checkout, "issue_3").expect(0);
    drop(&checkout, "issue_3").expect(0);
}

#[test]
fn a_schema_of_somebody_else_is_only_taken_over_when_asked() {
    let checkout = Checkout::new();
    create(&checkout, "dev").expect(0);
    sql_in(&checkout.database("issue_6"), "create table precious as select 1 as a");
    assert!(create(&checkout, "issue_6").expect(2).stderr.contains("--adopt"));
    checkout.run(&["schema", "create", "--schema", "issue_6", "--adopt"]).expect(0);
    assert_eq!(checkout.sql("select * from issue_6.precious").len(), 1);
}

#[test]
fn what_was_dropped_by_hand_is_made_anew() {
    let checkout = Checkout::new();
    create(&checkout, "issue_8").expect(0);
    std::fs::remove_file(checkout.database("issue_8")).expect("removed");
    assert!(checkout.run(&["schema", "list"]).expect(0).stdout.contains("missing"));
    create(&checkout, "issue_8").expect(0);
    std::fs::remove_file(checkout.database("issue_8")).expect("removed");
    drop(&checkout, "issue_8").expect(0);
    assert!(checkout.run(&["schema", "list"]).expect(0).stdout.contains("no environments yet"));
}

#[test]
fn hostile_names_are_refused_before_anything_is_sent() {
    let checkout = Checkout::new();
    create(&checkout, "issue_1").expect(0);
    let long = "x".repeat(10_000);
    for name in [
        "\"; drop schema issue_1 cascade; --",
        "issue_1\" cascade; drop schema \"dev",
        "issue_1;",
        "issue_1--",
        "GOLD CASCADE //",
        "issue\u{202e}_1",
        "issue_1\n",
        "${HOME}",
        "$(id)",
        "'",
        &long,
    ] {
        drop(&checkout, name).expect(2);
        create(&checkout, name).expect(2);
    }
    assert_eq!(schemas(&checkout), ["issue_1", "xtask_registry"]);
}

#[test]
fn a_new_environment_starts_as_a_copy_of_its_base() {
    let checkout = Checkout::built();
    checkout.run(&["schema", "create", "--schema", "issue_7", "--base", BUILT]).expect(0);
    let count = |schema: &str, table: &str| {
        checkout.sql(&format!("select count(*) as n from {schema}.{table}"))[0]["n"].clone()
    };
    for table in ["daily_kpis", "raw_products", "ledger_nodes"] {
        assert_eq!(count("issue_7", table), count(BUILT, table), "{table}");
    }
    let views = |schema: &str| {
        let own = format!("from duckdb_views() where database_name = '{schema}' and not internal order by 1");
        checkout.sql(&format!("select view_name, replace(sql, '{schema}', 'E') as sql, comment {own}"))
    };
    assert_eq!(views("issue_7"), views(BUILT), "a view of the copy reads the copy");
    assert!(!views(BUILT).is_empty());
    let marks = checkout.sql("select schema_name, base from issue_7.ledger_environment");
    assert_eq!(marks, [json!({"schema_name": "issue_7", "base": BUILT})]);
    let listed = checkout.run(&["schema", "list"]).expect(0).stdout;
    let copy = listed.lines().find(|line| line.starts_with("issue_7")).expect("listed");
    assert!(copy.contains("never built"), "its history is its base's: {copy}");
    drop(&checkout, "issue_7").expect(0);
}

#[test]
fn a_copy_keeps_what_belongs_to_the_tables() {
    let checkout = Checkout::new();
    create(&checkout, "dev").expect(0);
    sql_in(&checkout.database("dev"), PARTS);
    checkout.run(&["schema", "create", "--schema", "pr_7", "--base", "dev"]).expect(0);
    let facts = |schema: &str| {
        let of = format!("where database_name = '{schema}' and table_name in ('parent', 'child')");
        [
            format!("select table_name, replace(sql, '{schema}.', '') as sql, comment from duckdb_tables() {of} order by 1"),
            format!("select column_name, comment, column_default is null as plain from duckdb_columns() {of} order by 1"),
            format!("select index_name, is_unique from duckdb_indexes() {of} order by 1"),
            format!("select constraint_type, constraint_text from duckdb_constraints() {of} and constraint_type <> 'FOREIGN KEY' order by all"),
            format!("select * from {schema}.child order by 1"),
        ]
        .map(|sql| checkout.sql(&sql))
    };
    let (base, copy) = (facts("dev"), facts("pr_7"));
    assert!(base.iter().all(|rows| !rows.is_empty()), "{base:?}");
    assert_eq!(copy[1..], base[1..]);
    assert_eq!(copy[0].len(), 2);
    assert_eq!(copy[0][1], base[0][1]);
    let next = sql_in(&checkout.database("pr_7"), "insert into child (p) values (1) returning n");
    assert!(next[0]["n"].as_i64() > Some(2), "its own sequence goes on: {next:?}");
    assert_eq!(checkout.sql("select * from dev.child").len(), 2);

    let views = |schema: &str| {
        checkout.sql(&format!(
            "select view_name, comment, replace(sql, '{schema}', 'E') as sql from duckdb_views()
             where database_name = '{schema}' and not internal and view_name <> 'left_out' order by 1"
        ))
    };
    assert_eq!((views("pr_7").len(), views("pr_7")), (2, views("dev")));
    let left_out = checkout.sql("select * from duckdb_views() where view_name = 'left_out'");
    assert_eq!(left_out.len(), 1, "its text does not say which database it reads");
    sql_in(&checkout.database("pr_7"), "insert into parent values (5, 'b')");
    assert_eq!(checkout.sql("select max(id) as id from pr_7.main_raw.w"), [json!({"id": 5})]);
    let column = "select comment from duckdb_columns() where database_name = 'pr_7' and table_name = 'v'";
    assert_eq!(checkout.sql(column), [json!({"comment": "the same"})]);
}

/// The one file that an earlier version of the toolkit made.
fn one_file(checkout: &Checkout) -> std::path::PathBuf {
    let file = checkout.path(".xtask/logistics_demo.duckdb");
    for schema in ["issue_1", "branch_a", "branch_a_b"] {
        let mut command = checkout.command(&["schema", "create", "--schema", schema]);
        command.env("DBT_DUCKDB_PATH", &file);
        Ended::of(command).expect(0);
    }
    let parts = PARTS
        .replace("create schema main_raw", "create schema issue_1_raw")
        .replace("main_raw.", "issue_1_raw.");
    let parts = parts
        .replace("\"dev\".\"main\".", "logistics_demo.issue_1.")
        .replace("dev.main.", "logistics_demo.issue_1.");
    sql_in(&file, &format!("use issue_1; {}", parts.replace("dev.parent", "issue_1.parent")));
    sql_in(&file, "create schema branch_a_b_raw; create table branch_a_b_raw.t as select 7 as x");
    file
}

#[test]
fn the_one_file_of_an_earlier_version_becomes_a_file_for_each_environment() {
    let checkout = Checkout::new();
    let file = one_file(&checkout);
    let dry = checkout.run(&["elt", "--schema", "issue_1", "--dry-run"]).expect(0);
    assert!(dry.stdout.contains("logistics_demo.duckdb"), "a dry run changes nothing\n{}", dry.stdout);
    assert!(file.exists());
    let listed = checkout.run(&["schema", "list", "--format", "json"]).expect(0);
    assert_eq!(listed.json().as_array().map(Vec::len), Some(3), "{listed:?}");
    assert!(listed.stderr.contains("before-split"), "{}", listed.stderr);
    assert_eq!(schemas(&checkout), ["branch_a", "branch_a_b", "issue_1", "xtask_registry"]);
    assert!(!file.exists() && checkout.path(".xtask/logistics_demo.duckdb.before-split").exists());

    for (sql, expected) in [
        ("select id from issue_1.main_raw.w", json!([{"id": 1}])),
        ("select id from issue_1.left_out", json!([{"id": 1}])),
        ("select x from branch_a_b.main_raw.t", json!([{"x": 7}])),
        ("select count(*) as n from xtask_registry.environments", json!([{"n": 3}])),
        (
            "select comment from duckdb_tables() where table_name = 'parent'",
            json!([{"comment": "who's who"}]),
        ),
        (
            "select count(*) as n from duckdb_constraints() where database_name = 'issue_1' and table_name in ('parent', 'child')",
            json!([{"n": 5}]),
        ),
    ] {
        assert_eq!(json!(checkout.sql(sql)), expected, "{sql}");
    }
    drop(&checkout, "issue_1").expect(0);
    checkout.run(&["schema", "list"]).expect(0);
}

#[test]
fn one_file_with_schemas_of_others_stays_one() {
    let checkout = Checkout::new();
    let file = one_file(&checkout);
    sql_in(&file, "create schema raw; create table raw.orders as select 1 as id");
    let listed = checkout.run(&["schema", "list", "--format", "json"]).expect(0).json_of("schema-list");
    assert_eq!(listed.as_array().map(Vec::len), Some(3));
    assert!(file.exists() && !checkout.databases().exists());
    drop(&checkout, "issue_1").expect(0);
    let left = sql_in(&file, "select schema_name from duckdb_schemas() where schema_name like 'issue%'");
    assert!(left.is_empty(), "its further schemas are gone too: {left:?}");
    let kept = sql_in(&file, "select * from branch_a_b_raw.t");
    assert_eq!(kept.len(), 1);
}

/// Tables with all that can belong to them.
const PARTS: &str = "create sequence numbers;
     create table parent (id integer primary key, s varchar not null default 'it''s x' check (s <> ''));
     create table child (n bigint default nextval('numbers'), p integer references parent (id));
     create unique index by_n on child (n);
     comment on table parent is 'who''s who';
     comment on column parent.s is 'a name';
     create view v as select id from \"dev\".\"main\".parent;
     comment on view v is 'of the parents';
     comment on column v.id is 'the same';
     create schema main_raw;
     create view main_raw.w as select id from dev.main.v;
     create view left_out as select * from dev.parent;
     insert into parent values (1, 'a'); insert into child (p) values (1), (1)";

/// What a ledger is like that an earlier release has made: no versions, and columns less.
const OLD: &str = "alter table issue_42.ledger_environment drop column ledger_version;
     alter table issue_42.ledger_runs drop column run_url;
     alter table issue_42.ledger_nodes drop column path;
     alter table xtask_registry.environments drop column if exists ledger_version";

#[test]
fn the_ledger_of_an_earlier_release_is_brought_up_to_date_by_any_command_that_writes() {
    let checkout = Checkout::built();
    checkout.sql(OLD);
    for read in [&["schema", "list"][..], &["metrics"][..], &["elt", "--schema", BUILT, "--dry-run"][..]] {
        checkout.run(read).expect(0);
    }
    let doctor = checkout.run(&["doctor", "--format", "json"]).json().to_string();
    assert!(doctor.contains("older than version 3: issue_42 (0)"), "{doctor}");
    // The first finds all up to date, the second makes another environment, the last one builds.
    for write in [
        &["elt", "--schema", BUILT][..],
        &["schema", "create", "--schema", "issue_8"][..],
        &["schema", "create", "--schema", BUILT][..],
        &["elt", "--schema", BUILT, "--select", "stg_logistics__products"][..],
    ] {
        checkout.run(write).expect(0);
        let environment = if write.contains(&BUILT) { BUILT } else { "issue_8" };
        let version = checkout.sql(&format!("select ledger_version from {environment}.ledger_environment"));
        assert_eq!(version, [json!({"ledger_version": 3})], "{write:?}");
        if environment == BUILT {
            checkout.sql("select run_url from issue_42.ledger_runs; select path from issue_42.ledger_nodes");
            checkout.sql(OLD);
        }
    }
    drop(&checkout, BUILT).expect(0);
}

#[test]
fn a_newer_ledger_is_refused() {
    let checkout = Checkout::built();
    checkout.sql("update issue_42.ledger_environment set ledger_version = 99");
    for write in [
        &["elt", "--schema", BUILT, "--force"][..],
        &["schema", "create", "--schema", BUILT][..],
        &["schema", "drop", "--schema", BUILT][..],
    ] {
        let said = checkout.run(write).expect(2).stderr;
        assert!(said.contains("update the toolkit"), "{write:?}: {said}");
    }
    checkout.run(&["schema", "list"]).expect(0);
    checkout.run(&["metrics"]).expect(0);
}

#[test]
fn what_nobody_needs_is_noted_then_dropped() {
    let checkout = Checkout::new();
    for name in ["dev", "issue_1", "issue_2"] {
        create(&checkout, name).expect(0);
    }
    let gc = |more: &[&str]| checkout.run(&[&["schema", "gc"], more].concat()).expect(0).stdout;
    assert!(gc(&["--closed-issues", "2"]).contains("would send"), "only printed outside Actions");
    gc(&["--closed-issues", "2", "--yes"]);
    assert_eq!(schemas(&checkout), ["dev", "issue_1", "issue_2", "xtask_registry"], "noted, not dropped");
    checkout.sql("update xtask_registry.condemned set noted_at = '2026-01-01', reason = 'x'; update xtask_registry.environments set created_at = '2025-01-01' where schema_name = 'issue_2'");
    gc(&["--closed-issues", "2", "--yes"]);
    assert_eq!(schemas(&checkout), ["dev", "issue_1", "xtask_registry"]);
    assert!(checkout.sql("select * from xtask_registry.condemned").is_empty());
}

#[test]
fn what_the_requester_calls_it_is_kept_as_data_or_refused() {
    let checkout = Checkout::new();
    let hostile = "\"; drop schema xtask_registry cascade; --";
    let option = format!("--object-name={hostile}");
    checkout.run(&["schema", "create", "--schema", "issue_6", &option]).expect(0);
    let kept = checkout.sql("select object_name from issue_6.ledger_environment");
    assert_eq!(kept[0]["object_name"], hostile);
    assert_eq!(schemas(&checkout), ["issue_6", "xtask_registry"]);

    let refused =
        checkout.run(&["schema", "create", "--schema", "issue_7", "--object-name=a\u{202e}b"]).expect(2);
    assert!(refused.stderr.contains("--object-name"), "{}", refused.stderr);
    assert_eq!(schemas(&checkout), ["issue_6", "xtask_registry"]);
}

/// In the one file that `DBT_DUCKDB_PATH` names, an environment is a schema with those whose names continue after it.
#[test]
fn the_further_schemas_of_an_environment_are_its_own() {
    let checkout = Checkout::new();
    let file = checkout.path("one.duckdb");
    let run = |args: &[&str]| {
        let mut command = checkout.command(args);
        command.env("DBT_DUCKDB_PATH", &file);
        Ended::of(command)
    };
    let left = || -> Vec<String> {
        let rows = sql_in(
            &file,
            "select schema_name as s from duckdb_schemas() where database_name = 'one' and schema_name <> 'main'
             and not internal order by 1",
        );
        rows.iter().map(|row| row["s"].as_str().expect("a name").to_owned()).collect()
    };
    for name in ["issue_1", "branch_a", "branch_a_b"] {
        run(&["schema", "create", "--schema", name]).expect(0);
    }
    sql_in(
        &file,
        "create schema issue_1_raw; create table issue_1_raw.orders (id integer not null);
         insert into issue_1_raw.orders values (1), (2);
         create view issue_1.v as select id from issue_1_raw.orders; comment on column issue_1.v.id is 'x';
         create schema branch_a_b_raw; create table branch_a_b_raw.t as select 1 as x",
    );
    let listed = run(&["schema", "list", "--format", "json"]).expect(0).json_of("schema-list");
    let relations = |name: &str| {
        let listed = listed.as_array().expect("a list").iter().find(|entry| entry["schema_name"] == name);
        listed.expect(name)["relations"].clone()
    };
    assert_eq!([relations("issue_1"), relations("branch_a"), relations("branch_a_b")], [2, 0, 1]);

    run(&["schema", "create", "--schema", "pr_7", "--base", "issue_1"]).expect(0);
    assert_eq!(sql_in(&file, "select * from pr_7_raw.orders").len(), 2);
    for name in ["issue_1", "branch_a"] {
        run(&["schema", "drop", "--schema", name]).expect(0);
    }
    assert_eq!(left(), ["branch_a_b", "branch_a_b_raw", "pr_7", "pr_7_raw", "xtask_registry"]);
    for name in ["pr_7", "branch_a_b"] {
        run(&["schema", "drop", "--schema", name]).expect(0);
    }
    assert_eq!(left(), ["xtask_registry"], "nothing is left");
}

#[test]
fn an_environment_in_use_is_reported_and_not_waited_for() {
    let checkout = Checkout::new();
    for name in ["dev", "issue_1", "issue_2"] {
        create(&checkout, name).expect(0);
    }
    // A run of the toolkit holds the lock, another program has the file open.
    let lock = std::fs::File::create(checkout.databases().join("issue_1.duckdb.lock")).expect("a file");
    lock.lock().expect("free");
    let holder = json!({"command": "elt", "schema": "issue_1", "run_id": "r", "pid": 1, "since": "2026-03-08T12:00:00Z"});
    std::fs::write(checkout.databases().join("issue_1.duckdb.lock"), holder.to_string()).expect("written");
    let shell = Shell::on(&checkout.database("issue_2"));

    let listed = checkout.run(&["schema", "list", "--format", "json"]).expect(0).json_of("schema-list");
    let of = |name: &str| {
        let listed = listed.as_array().expect("a list").iter().find(|entry| entry["schema_name"] == name);
        listed.expect(name).clone()
    };
    let (dev, built, open) = (of("dev"), of("issue_1"), of("issue_2"));
    assert_eq!((&dev["in_use"], &dev["relations"]), (&json!(null), &json!(0)));
    for used in [&built, &open] {
        assert_eq!((&used["relations"], &used["bytes"]), (&json!(null), &json!(null)), "{used}");
        assert_eq!((&used["exists"], &used["droppable"]), (&json!(true), &json!(false)), "{used}");
    }
    assert!(built["in_use"].as_str().is_some_and(|by| by.contains("elt of issue_1")), "{built}");
    let process = format!("process {}", shell.id());
    assert!(open["in_use"].as_str().is_some_and(|by| by.contains(&process)), "{open}");

    let evaluated = checkout
        .run(&["schema", "gc", "--closed-issues", "1,2", "--format", "json"])
        .expect(0)
        .json_of("schema-gc");
    for verdict in evaluated["environments"].as_array().expect("verdicts") {
        assert_eq!(verdict["action"], "keep", "{verdict}");
    }
    let report = checkout.run(&["metrics", "--format", "json"]).expect(0);
    assert!(report.stderr.contains("issue_1 is left out"), "{}", report.stderr);
    let report = report.json();
    assert_eq!(report["environments"], json!(["dev"]));
    let left_out: Vec<_> =
        report["in_use"].as_array().expect("a list").iter().map(|used| used["environment"].clone()).collect();
    assert_eq!(left_out, ["issue_1", "issue_2"]);
    let one = checkout.run(&["metrics", "--schema", "issue_1", "--wait", "0"]).expect(2);
    assert!(one.stderr.contains("elt of issue_1"), "{}", one.stderr);
    let one = checkout.run(&["metrics", "--schema", "issue_2"]).expect(2);
    assert!(one.stderr.contains(&process), "{}", one.stderr);

    std::mem::drop((lock, shell));
    let listed = checkout.run(&["schema", "list", "--format", "json"]).expect(0).json_of("schema-list");
    assert!(listed.as_array().expect("a list").iter().all(|entry| entry["in_use"].is_null()), "{listed}");
}

/// A program that has a database file open to write.
struct Shell(std::process::Child);

impl Shell {
    fn on(file: &std::path::Path) -> Self {
        use std::io::{BufRead as _, Write as _};
        let mut command = std::process::Command::new(duckdb());
        command.args(["-no-init", "-batch", "-csv"]).arg(file);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().expect("duckdb starts");
        child.stdin.as_mut().expect("a pipe").write_all(b"select 42 as is_open;\n").expect("it reads");
        let mut answer = std::io::BufReader::new(child.stdout.as_mut().expect("a pipe")).lines();
        assert!(answer.any(|line| line.expect("text").contains("42")), "it answers");
        Self(child)
    }

    fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("it ends");
    }
}
