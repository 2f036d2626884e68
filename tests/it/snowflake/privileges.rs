//! What a role may and may not do: read, write, grant, and after the bootstrap.

use serde_json::{Value, json};

use super::copies::allow_reading;
use super::parts::listed;
use crate::support::endpoint::Endpoint;
use crate::support::{Checkout, Ended};

#[test]
fn a_changed_policy_is_applied_and_what_is_gone_is_revoked() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let policy = |grants: &str| {
        checkout.edit("policies/environments.toml", |text| {
            let kept = text.split("# grants of this test").next().unwrap_or_default().trim_end().to_owned();
            format!("{kept}\n\n# grants of this test\n{grants}")
        });
    };
    let reader = "[[snowflake.grants]]\nrole = 'logistics_reader'\naccess = 'read'\n";
    let writer = "[[snowflake.grants]]\nrole = 'LOGISTICS_WRITER'\naccess = 'write'\n";
    let sent_by = |args: &[&str]| {
        let before = endpoint.writes().len();
        endpoint.run(&checkout, args).expect(0);
        let is_grant = |sql: &String| sql.starts_with("grant") || sql.starts_with("revoke");
        endpoint.writes().split_off(before).into_iter().filter(is_grant).collect::<Vec<_>>()
    };
    checkout.edit("dbt/models/bronze/stg_logistics__suppliers.yml", |_| "version: 2\n".to_owned());
    policy(&format!("{reader}{writer}"));
    let made = sent_by(&["schema", "create", "--schema", "dev"]);
    assert!(made.iter().any(|sql| sql.ends_with("to role \"LOGISTICS_READER\"")), "in upper case: {made:#?}");
    policy(reader);
    let elt = ["elt", "--schema", "dev", "--select", "raw_suppliers"];
    let changed = sent_by(&elt);
    let lost = "revoke select, insert, update, delete, truncate on future tables in schema";
    assert!(
        changed.iter().any(|sql| sql.starts_with(lost) && sql.contains("LOGISTICS_WRITER")),
        "{changed:#?}"
    );
    assert!(changed.iter().all(|sql| !(sql.starts_with("revoke") && sql.contains("READER"))), "{changed:#?}");
    assert_eq!(sent_by(&[&elt[..], &["--force"]].concat()), [""; 0], "nothing has changed since");
}

#[test]
fn what_must_not_be_dropped_gets_nothing_but_reads() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    for name in ["prod", "dev", "issue_1", "issue_2", "issue_3", "issue_5", "scratch"] {
        endpoint.create(&checkout, name).expect(0);
    }
    endpoint.sql(
        "drop table LOGISTICS_DEMO.ISSUE_1.LEDGER_ENVIRONMENT;;
         update LOGISTICS_DEMO.ISSUE_2.LEDGER_ENVIRONMENT set schema_name = 'issue_20';;
         delete from LOGISTICS_DEMO.XTASK_REGISTRY.ENVIRONMENTS where schema_name = 'issue_3';;
         create schema LOGISTICS_DEMO.ISSUE_4;;
         comment on schema LOGISTICS_DEMO.ISSUE_5 is 'mine'",
    );
    let before = endpoint.writes();
    for (name, why) in [
        ("prod", "never dropped"),
        ("dev", "never dropped"),
        ("issue_1", "carries no ownership mark"),
        ("issue_2", "carries the ownership mark of \"issue_20\""),
        ("issue_3", "is not in the registry"),
        ("issue_4", "carries no ownership mark"),
        ("issue_5", "lost the comment"),
        ("issue_6", "does not exist"),
        ("scratch", "only those are dropped"),
    ] {
        let said = endpoint.run(&checkout, &["schema", "drop", "--schema", name]).expect(2).stderr;
        assert!(said.contains(why), "{name}: {said}");
    }
    assert_eq!(endpoint.writes(), before, "refused, and yet something was sent");
}

#[test]
fn a_warehouse_without_power_and_a_missing_privilege_are_told() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "issue_1").expect(0);
    endpoint.demand(&json!({"suspend_warehouse": true}));
    let said = endpoint.run(&checkout, &["schema", "list", "--full"]).expect(2).stderr;
    assert!(said.contains("SMALL_WH") && said.contains("resume"), "{said}");

    endpoint.demand(&json!({"reset": true, "fail_statement": "create transient schema"}));
    let said = endpoint.create(&checkout, "issue_2").expect(2).stderr;
    assert!(said.contains("the role BUILDER lacks the privilege"), "{said}");
    endpoint.demand(&json!({"reset": true}));
    endpoint.create(&checkout, "issue_2").expect(0);
}

/// A role that may only read: dbt takes seconds to start, and reports a missing privilege node by node.
#[test]
fn a_role_that_cannot_write_is_refused_before_dbt_starts() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    allow_reading(&checkout);
    let mut other = endpoint.command(&checkout, &["schema", "create", "--schema", "issue_75"]);
    other.env("SNOWFLAKE_ROLE", "PROD_BUILDER");
    Ended::of(other).expect(0);
    let refused = endpoint.run(&checkout, &["elt", "--schema", "issue_75"]).expect(2).stderr;
    assert!(refused.contains("the role BUILDER cannot make and drop a table"), "{refused}");
    assert!(refused.contains("dbt was not started") && refused.contains("ISSUE_75"), "{refused}");
    let by_dbt = |sql: &&String| sql.contains("\"app\": \"dbt\"");
    assert_eq!(endpoint.statements().iter().filter(by_dbt).count(), 0);
    assert_eq!(listed(&endpoint, &checkout, "issue_75").expect("it is listed")["last_run_id"], Value::Null);
}

/// All files of sql/snowflake/bootstrap on an account that has nothing else, and what the roles they make may do.
#[test]
fn after_the_bootstrap_prod_belongs_to_one_role_and_all_else_to_another() {
    let (endpoint, checkout) = (Endpoint::bare(), Checkout::new());
    endpoint.bootstrap();
    allow_reading(&checkout);
    let run = |role: &str, args: &[&str]| {
        let mut command = endpoint.command(&checkout, args);
        command.env("SNOWFLAKE_ROLE", role).env("SNOWFLAKE_WAREHOUSE", "LOGISTICS_WH");
        Ended::of(command)
    };
    let (prod, other) = ("LOGISTICS_PROD_BUILDER", "LOGISTICS_BUILDER");
    run(prod, &["schema", "create", "--schema", "prod"]).expect(0);
    endpoint.sql_as(prod, "create table LOGISTICS_DEMO.PROD.FACTS as select 1 as a");
    let copy = ["schema", "create", "--schema", "issue_7", "--base", "prod"];
    run(other, &copy).expect(0);
    endpoint.sql_as(other, "create or replace table LOGISTICS_DEMO.ISSUE_7.FACTS as select 2 as a");
    let entries = run(other, &["schema", "list", "--format", "json"]).expect(0).json();
    let names: Vec<&str> =
        entries.as_array().expect("a list").iter().filter_map(|one| one["schema_name"].as_str()).collect();
    assert_eq!(names, ["issue_7", "prod"], "one registry: {entries}");

    // What runs for pull requests and issues changes nothing of prod, and is refused before it tries to.
    for args in [&["elt", "--schema", "prod"][..], &["schema", "create", "--schema", "prod"]] {
        let refused = run(other, args).expect(2).stderr;
        assert!(refused.contains("LOGISTICS_BUILDER"), "{args:?}: {refused}");
    }
    let changes = ["insert into LOGISTICS_DEMO.PROD.FACTS values (3)", "drop schema LOGISTICS_DEMO.PROD"];
    for sql in changes {
        assert!(endpoint.refuses(other, sql).contains("Insufficient privileges"), "{sql}");
    }
    // Neither without a grant nor by a role that does not exist.
    assert!(endpoint.refuses("PUBLIC", "select * from LOGISTICS_DEMO.PROD.FACTS").contains("002003"));
    assert!(
        endpoint
            .refuses(prod, "grant usage on schema LOGISTICS_DEMO.PROD to role NOT_THERE")
            .contains("002003")
    );
    // A lock that one role left is taken over by the other.
    endpoint.sql_as(
        other,
        "create table LOGISTICS_DEMO.XTASK_REGISTRY.LOCK_PROD as
         select '{}' as holder, 'abc' as token, dateadd(second, -1, current_timestamp()) as expires_at",
    );
    run(prod, &["schema", "create", "--schema", "prod"]).expect(0);
    run(other, &["schema", "drop", "--schema", "issue_7"]).expect(0);
}
