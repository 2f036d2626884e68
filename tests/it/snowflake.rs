//! `--target snowflake` against Snowflake's wire protocol on this machine: the unmodified driver, faults
//! on demand, and the statements that really arrived.

mod accounts;
mod copies;
mod cut;
mod driver;
mod login;
mod network;
mod owners;
mod parts;
mod privileges;

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::endpoint::Endpoint;
use crate::support::{Checkout, Ended};

#[test]
fn an_environment_is_made_listed_and_dropped() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "ISSUE_5").expect(0);
    let made = endpoint.writes();
    let schema =
        made.iter().find(|sql| sql.contains("\"ISSUE_5\"") && sql.contains("schema")).expect("a schema");
    assert!(
        schema.starts_with("create transient schema if not exists \"LOGISTICS_DEMO\".\"ISSUE_5\""),
        "{schema}"
    );
    assert!(schema.contains("data_retention_time_in_days = 0 comment = '"), "{schema}");
    let again = endpoint.create(&checkout, "issue_5").expect(0);
    assert!(again.stdout.contains("issue_5 is ready"));
    let locked = |sql: &&String| sql.contains("\"LOCK_ISSUE_5\"");
    let repeated: Vec<String> = endpoint.writes().split_off(made.len());
    assert!(repeated.iter().all(|sql| locked(&sql)), "nothing is left to do the second time: {repeated:#?}");

    let listed = endpoint.run(&checkout, &["schema", "list", "--format", "json"]).expect(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!((&listed[0]["schema_name"], &listed[0]["issue_number"]), (&json!("issue_5"), &json!(5)));
    assert_eq!((&listed[0]["droppable"], &listed[0]["exists"]), (&json!(true), &json!(true)));

    let planned = endpoint.run(&checkout, &["schema", "drop", "--schema", "issue_5", "--dry-run"]).expect(0);
    let before = endpoint.writes().len();
    endpoint.run(&checkout, &["schema", "drop", "--schema", "issue_5"]).expect(0);
    let sent: Vec<String> = endpoint.writes().split_off(before);
    for statement in planned.stdout.lines() {
        let statement = statement.trim_end_matches(';').to_owned();
        assert!(sent.contains(&statement), "printed and not sent: {statement}\n{sent:#?}");
    }
    let listed = endpoint.run(&checkout, &["schema", "list"]).expect(0);
    assert!(listed.stdout.contains("no environments yet"), "{}", listed.stdout);

    for entry in endpoint.history() {
        let tag: Value = serde_json::from_str(entry["query_tag"].as_str().expect("a tag")).expect("JSON");
        assert_eq!(tag["tool"], "xtask", "{entry}");
    }
}

/// Looks that the role may not take, and locks that are taken, are the toolkit's own affair.
#[test]
fn an_idle_environment_raises_no_alert_about_itself() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "issue_97").expect(0);
    for _ in 0..20 {
        let report =
            endpoint.run(&checkout, &["metrics", "--schema", "issue_97", "--gate", "--format", "json"]);
        report.expect(0);
    }
    let failed = |entry: &&Value| entry["execution_status"] != "SUCCESS";
    assert!(endpoint.history().iter().filter(failed).count() > 0, "ACCOUNT_USAGE was refused");
}

/// What a killed command left behind, at each point where it can be killed, is completed by the next one.
#[test]
fn half_made_environments_are_completed() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    checkout.edit("dbt/models/bronze/stg_logistics__suppliers.yml", |_| "version: 2\n".to_owned());
    let elt = |name: &str| {
        endpoint.run(&checkout, &["elt", "--schema", name, "--select", "raw_suppliers", "--format", "json"])
    };
    endpoint.create(&checkout, "dev").expect(0);
    endpoint.sql(
        "create table LOGISTICS_DEMO.DEV.FACTS as select 1 as a;;
         create view LOGISTICS_DEMO.DEV.SEEN as select * from LOGISTICS_DEMO.DEV.FACTS",
    );
    // Made by `schema create` only.
    endpoint.create(&checkout, "issue_71").expect(0);
    assert_eq!(elt("issue_71").expect(0).json()["status"], "success");

    // Cut after each statement of the making, up to the ledger.
    for (number, cut) in ["LEDGER_ENVIRONMENT (", "\"ENVIRONMENTS\" (", "LEDGER_NODES ("].iter().enumerate() {
        let name = format!("issue_{}", 80 + number);
        endpoint.demand(&json!({"reset": true, "fail_statement": cut}));
        elt(&name).expect(2);
        assert_eq!(elt(&name).expect(0).json()["status"], "success", "{cut}");
    }

    // A copy that was cut after its schema was cloned: the views go on reading the base until it is completed.
    for cut in ["drop view", "LEDGER_ENVIRONMENT (", "delete from"] {
        endpoint.demand(&json!({"reset": true, "fail_statement": cut}));
        let copy = ["schema", "create", "--schema", "issue_90", "--base", "dev"];
        endpoint.run(&checkout, &copy).expect(2);
        endpoint.demand(&json!({"reset": true}));
        endpoint.create(&checkout, "issue_90").expect(0);
        let listed = endpoint.run(&checkout, &["schema", "list", "--format", "json"]).expect(0).json();
        let copy = listed.as_array().expect("a list").iter().find(|entry| entry["schema_name"] == "issue_90");
        let copy = copy.expect("the copy is listed").clone();
        assert_eq!((&copy["relations"], &copy["droppable"]), (&json!(1), &json!(true)), "{cut}: {copy}");
        assert_eq!(copy["base"], "dev", "{cut}: {copy}");
        endpoint.run(&checkout, &["schema", "drop", "--schema", "issue_90"]).expect(0);
    }
}

#[test]
fn what_people_call_their_object_is_data_or_refused() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let name = |text: &str, schema: &str| {
        let mut command = endpoint.command(&checkout, &["schema", "create", "--schema", schema]);
        command.env("XTASK_OBJECT_NAME", text);
        Ended::of(command)
    };
    for (number, text) in
        ["GOLD CASCADE //", "\"; drop database x; --", "it's \\' $$ /* ?, :1 {{ x }}"].into_iter().enumerate()
    {
        name(text, &format!("issue_{number}")).expect(0);
        let listed = endpoint.run(&checkout, &["schema", "list", "--format", "json"]).expect(0).json();
        assert_eq!(listed[number]["object_name"], text);
        assert!(endpoint.statements().iter().all(|sql| !sql.contains(text)), "{text} is in SQL");
    }
    let before = endpoint.statements();
    for text in [&"x".repeat(10_000), "a\u{202e}b", "two\nlines"] {
        let said = name(text, "issue_9").expect(2).stderr;
        assert!(said.contains("--object-name"), "{said}");
    }
    assert_eq!(endpoint.statements(), before);
}

/// A suspended warehouse that a query resumes is billed for a minute.
#[test]
fn a_list_resumes_no_warehouse() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "issue_1").expect(0);
    endpoint.sql("create table LOGISTICS_DEMO.ISSUE_1.FACTS as select 1 as a");
    let before = endpoint.statements().len();
    endpoint.demand(&json!({"suspend_warehouse": true}));
    let listed = endpoint.run(&checkout, &["schema", "list", "--format", "json"]).expect(0);
    assert!(listed.stderr.contains("SMALL_WH is suspended"), "{}", listed.stderr);
    let listed = listed.json();
    assert_eq!((&listed[0]["schema_name"], &listed[0]["issue_number"]), (&json!("issue_1"), &json!(1)));
    assert_eq!((&listed[0]["relations"], &listed[0]["droppable"]), (&json!(1), &Value::Null), "{listed}");
    assert!(listed[0]["bytes"].as_i64() > Some(0), "{listed}");
    let sent = endpoint.statements().split_off(before);
    assert!(sent.iter().all(|sql| sql.starts_with("show ")), "{sent:#?}");

    endpoint.demand(&json!({"reset": true}));
    let listed = endpoint.run(&checkout, &["schema", "list", "--format", "json"]).expect(0).json();
    assert_eq!(listed[0]["droppable"], true, "{listed}");
}

#[test]
fn a_database_that_is_not_there_is_named() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let mut command = endpoint.command(&checkout, &["schema", "create", "--schema", "issue_1"]);
    command.env("SNOWFLAKE_DATABASE", "nowhere");
    let said = Ended::of(command).expect(2).stderr;
    assert!(said.contains("the database NOWHERE") && !said.contains("trying again"), "{said}");
}

#[test]
fn two_runners_take_turns_and_a_dead_ones_lock_is_taken_over() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "dev").expect(0);
    let start = |name: &str| {
        let mut command = endpoint.command(&checkout, &["schema", "create", "--schema", name]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    let both = [start("issue_1"), start("issue_1")];
    for child in both {
        Ended::from(child.wait_with_output().expect("it ends")).expect(0);
    }
    let listed = endpoint.run(&checkout, &["schema", "list", "--format", "json"]).expect(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "registered once: {listed}");

    endpoint.sql(
        "create table LOGISTICS_DEMO.XTASK_REGISTRY.LOCK_ISSUE_2 as
         select '{}' as holder, 'abc' as token, dateadd(second, -1, current_timestamp()) as expires_at",
    );
    endpoint.create(&checkout, "issue_2").expect(0);
    assert!(endpoint.writes().iter().any(|sql| sql.contains("rename to") && sql.contains("STALE_ABC")));
    let locks = endpoint.writes().iter().filter(|sql| sql.starts_with("drop table if exists")).count();
    assert!(locks >= 3, "every lock is freed");
}

/// A clone may take longer than a lease lasts.
#[test]
fn a_lease_is_prolonged_while_a_long_statement_runs() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "dev").expect(0);
    endpoint.demand(&json!({"delay": 6, "containing": "create transient schema"}));
    let start = || {
        let mut command = endpoint.command(&checkout, &["schema", "create", "--schema", "issue_1"]);
        command.env("XTASK_SNOWFLAKE_LEASE", "4");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    for child in [start(), start()] {
        Ended::from(child.wait_with_output().expect("it ends")).expect(0);
    }
    let sent = endpoint.writes();
    let of = |start: &str| sent.iter().filter(|sql| sql.starts_with(start)).count();
    assert_eq!(of("create transient schema"), 1, "the other one waited: {sent:#?}");
    assert!(of("update") > 0, "prolonged: {sent:#?}");
    assert_eq!(of("alter table"), 0, "and not taken over: {sent:#?}");
}

#[test]
fn environments_past_their_time_are_noted_then_dropped() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    for name in ["dev", "issue_1", "issue_2", "issue_3"] {
        endpoint.create(&checkout, name).expect(0);
    }
    endpoint.sql("update LOGISTICS_DEMO.XTASK_REGISTRY.ENVIRONMENTS set created_at = '2020-01-01' where schema_name = 'issue_2'");
    let gc = |more: &[&str]| {
        let report =
            endpoint.run(&checkout, &[&["schema", "gc", "--format", "json"], more].concat()).expect(0).json();
        let actions = report["environments"].as_array().expect("verdicts").iter();
        actions.map(|verdict| verdict["action"].as_str().expect("an action").to_owned()).collect::<Vec<_>>()
    };
    let before = endpoint.writes();
    assert_eq!(gc(&["--closed-issues", "3"]), ["keep", "keep", "note", "note"]);
    assert_eq!(endpoint.writes(), before, "a look outside Actions changes nothing");
    assert_eq!(gc(&["--closed-issues", "3", "--yes"]), ["keep", "keep", "note", "note"]);
    assert_eq!(gc(&["--yes"]), ["keep", "keep", "wait", "spare"], "#3 was opened again");
    endpoint.sql("update LOGISTICS_DEMO.XTASK_REGISTRY.CONDEMNED set noted_at = '2026-01-01'");
    assert_eq!(gc(&["--yes"]), ["keep", "keep", "drop", "keep"]);
    let listed = endpoint.run(&checkout, &["schema", "list"]).expect(0).stdout;
    assert!(!listed.contains("issue_2") && listed.contains("issue_3"), "{listed}");
}
