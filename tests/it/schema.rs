//! `cargo xtask schema`: what may be made, what may be dropped, and what must be refused.

use serde_json::json;

use crate::support::{BUILT, Checkout, Ended};

fn create(checkout: &Checkout, name: &str) -> Ended {
    checkout.run(&["schema", "create", "--schema", name])
}

fn drop(checkout: &Checkout, name: &str) -> Ended {
    checkout.run(&["schema", "drop", "--schema", name])
}

fn schemas(checkout: &Checkout) -> Vec<String> {
    let sql = "select schema_name from duckdb_schemas()
               where database_name = current_database() and not internal order by 1";
    checkout.sql(sql).iter().map(|row| row["schema_name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn an_environment_is_made_listed_and_dropped() {
    let checkout = Checkout::new();
    create(&checkout, "ISSUE_5").expect(0);
    create(&checkout, "issue_5").expect(0);
    assert_eq!(schemas(&checkout), ["issue_5", "xtask_registry"]);
    assert_eq!(checkout.sql("select * from issue_5.ledger_environment").len(), 1, "marked once");

    let listed = checkout.run(&["schema", "list", "--format", "json"]).expect(0).json();
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
    let listed = checkout.run(&["schema", "list", "--format", "json"]).expect(0).json();
    assert_eq!(listed[0]["last_status"], "success");
    assert!(listed[0]["bytes"].as_i64() > Some(0));
    let planned = checkout.run(&["schema", "drop", "--schema", BUILT, "--dry-run"]).expect(0).stdout;
    assert!(planned.contains("drop schema \"issue_42\" cascade;"), "{planned}");
    assert_eq!(schemas(&checkout), [BUILT, "xtask_registry"], "a dry run drops nothing");
    drop(&checkout, BUILT).expect(0);
    assert_eq!(schemas(&checkout), ["xtask_registry"]);
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
         delete from xtask_registry.environments where schema_name = 'issue_3';
         create schema issue_4",
    );
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
    checkout.sql("create schema issue_6; create table issue_6.precious as select 1 as a");
    assert!(create(&checkout, "issue_6").expect(2).stderr.contains("--adopt"));
    checkout.run(&["schema", "create", "--schema", "issue_6", "--adopt"]).expect(0);
    assert_eq!(checkout.sql("select * from issue_6.precious").len(), 1);
}

#[test]
fn what_was_dropped_by_hand_is_made_anew() {
    let checkout = Checkout::new();
    create(&checkout, "issue_8").expect(0);
    checkout.sql("drop schema issue_8 cascade");
    assert!(checkout.run(&["schema", "list"]).expect(0).stdout.contains("missing"));
    create(&checkout, "issue_8").expect(0);
    checkout.sql("drop schema issue_8 cascade");
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
    let views = checkout.sql("select * from duckdb_views() where schema_name = 'issue_7'");
    assert!(views.is_empty(), "a copied view would read the base");
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
    checkout.sql(
        "create sequence dev.numbers;
         create table dev.parent (id integer primary key, s varchar not null default 'it''s x' check (s <> ''));
         create table dev.child (n bigint default nextval('dev.numbers'), p integer references dev.parent (id));
         create unique index by_n on dev.child (n);
         comment on table dev.parent is 'who''s who';
         comment on column dev.parent.s is 'a name';
         insert into dev.parent values (1, 'a'); insert into dev.child (p) values (1), (1)",
    );
    checkout.run(&["schema", "create", "--schema", "pr_7", "--base", "dev"]).expect(0);
    let facts = |schema: &str| {
        let of = format!("where schema_name = '{schema}' and table_name in ('parent', 'child')");
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
    let next = checkout.sql("insert into pr_7.child (p) values (1) returning n");
    assert!(next[0]["n"].as_i64() > Some(2), "its own sequence goes on: {next:?}");
    assert_eq!(checkout.sql("select * from dev.child").len(), 2);
}

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
    assert!(doctor.contains("older than version 1: issue_42 (0)"), "{doctor}");
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
        assert_eq!(version, [json!({"ledger_version": 1})], "{write:?}");
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

#[test]
fn the_further_schemas_of_an_environment_are_its_own() {
    let checkout = Checkout::new();
    for name in ["issue_1", "branch_a", "branch_a_b"] {
        create(&checkout, name).expect(0);
    }
    checkout.sql(
        "create schema issue_1_raw; create table issue_1_raw.orders (id integer not null);
         insert into issue_1_raw.orders values (1), (2);
         create view issue_1.v as select id from issue_1_raw.orders; comment on column issue_1.v.id is 'x';
         create schema branch_a_b_raw; create table branch_a_b_raw.t as select 1 as x",
    );
    let listed = checkout.run(&["schema", "list", "--format", "json"]).expect(0).json();
    let relations = |name: &str| {
        let listed = listed.as_array().expect("a list").iter().find(|entry| entry["schema_name"] == name);
        listed.expect(name)["relations"].clone()
    };
    assert_eq!([relations("issue_1"), relations("branch_a"), relations("branch_a_b")], [2, 0, 1]);

    checkout.run(&["schema", "create", "--schema", "pr_7", "--base", "issue_1"]).expect(0);
    assert_eq!(checkout.sql("select * from pr_7_raw.orders").len(), 2);
    for name in ["issue_1", "branch_a"] {
        drop(&checkout, name).expect(0);
    }
    let left = ["branch_a_b", "branch_a_b_raw", "pr_7", "pr_7_raw", "xtask_registry"];
    assert_eq!(schemas(&checkout), left);
    drop(&checkout, "pr_7").expect(0);
    drop(&checkout, "branch_a_b").expect(0);
    assert_eq!(schemas(&checkout), ["xtask_registry"], "nothing is left");
}
