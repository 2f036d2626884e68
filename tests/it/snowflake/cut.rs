//! Commands that are cut short after any number of statements: the next one completes what they left.

use serde_json::json;

use super::copies::allow_reading;
use super::parts::{TODAY, add_schema, schemas};
use crate::support::Checkout;
use crate::support::endpoint::Endpoint;

/// More statements than any of these commands sends.
const ENOUGH: usize = 60;

/// Everything that a copy has to do: a further schema, tables, and what is left to dbt.
#[test]
fn a_copy_cut_at_any_statement_is_completed_by_the_next() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "issue_1").expect(0);
    add_schema(&endpoint, "issue_1", "ISSUE_1_RAW", TODAY);
    endpoint.sql(
        "create table LOGISTICS_DEMO.ISSUE_1.FACTS as select 1 as a;;
         create view LOGISTICS_DEMO.ISSUE_1.SEEN as select * from LOGISTICS_DEMO.ISSUE_1.FACTS",
    );
    let mut cut = 0;
    loop {
        cut += 1;
        assert!(cut < ENOUGH, "the copy is never whole");
        let name = format!("issue_{}", 100 + cut);
        let copy = ["schema", "create", "--schema", &name, "--base", "issue_1"];
        endpoint.demand(&json!({"reset": true, "fail_write": cut}));
        let ended = endpoint.run(&checkout, &copy);
        endpoint.demand(&json!({"reset": true}));
        if ended.code == Some(0) {
            break;
        }
        ended.expect(2);
        endpoint.run(&checkout, &copy).expect(0);
    }
    assert!(cut > 10, "{cut} statements");
    let listed = endpoint.run(&checkout, &["schema", "list", "--format", "json"]).expect(0).json();
    let copies: Vec<_> =
        listed.as_array().expect("a list").iter().filter(|one| one["schema_name"] != "issue_1").collect();
    assert_eq!(copies.len(), cut);
    for copy in copies {
        assert_eq!((&copy["base"], &copy["relations"]), (&json!("issue_1"), &json!(2)), "{copy}");
        assert_eq!(copy["droppable"], true, "{copy}");
    }
}

#[test]
fn a_drop_cut_at_any_statement_is_completed_by_the_next() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    for cut in 1..ENOUGH {
        endpoint.create(&checkout, "issue_1").expect(0);
        add_schema(&endpoint, "issue_1", "ISSUE_1_RAW", TODAY);
        let drop = ["schema", "drop", "--schema", "issue_1"];
        endpoint.demand(&json!({"reset": true, "fail_write": cut}));
        let ended = endpoint.run(&checkout, &drop);
        endpoint.demand(&json!({"reset": true}));
        let is_whole = ended.code == Some(0);
        if !is_whole {
            ended.expect(2);
            endpoint.run(&checkout, &drop).expect(0);
        }
        assert_eq!(schemas(&endpoint, "ISSUE\\_1%"), 0, "cut at {cut}");
        let left = "select (select count(*) from LOGISTICS_DEMO.XTASK_REGISTRY.ENVIRONMENTS)
             + (select count(*) from LOGISTICS_DEMO.XTASK_REGISTRY.SCHEMAS)";
        assert_eq!(endpoint.count(left), 0, "cut at {cut}");
        if is_whole {
            assert!(cut > 3, "{cut} statements");
            return;
        }
    }
    panic!("the drop is never whole");
}

/// A grant that was made and not recorded would stay for ever.
#[test]
fn a_grant_cut_at_any_statement_is_revoked_when_the_policy_drops_it() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let without = std::fs::read_to_string(checkout.path("policies/environments.toml")).expect("the policy");
    endpoint.create(&checkout, "dev").expect(0);
    endpoint.sql("create table LOGISTICS_DEMO.DEV.FACTS as select 1 as a");
    let reads = "select * from LOGISTICS_DEMO.DEV.FACTS";
    let mut was_granted = 0;
    for cut in 1..ENOUGH {
        allow_reading(&checkout);
        endpoint.demand(&json!({"reset": true, "fail_write": cut}));
        let ended = endpoint.create(&checkout, "dev");
        endpoint.demand(&json!({"reset": true}));
        was_granted += usize::from(endpoint.refuses("LOGISTICS_READER", reads).is_empty());
        checkout.edit("policies/environments.toml", |_| without.clone());
        endpoint.create(&checkout, "dev").expect(0);
        assert_ne!(endpoint.refuses("LOGISTICS_READER", reads), "", "cut at {cut}");
        if ended.code == Some(0) {
            assert!(was_granted > 1, "cut after the grant");
            return;
        }
    }
    panic!("the grants are never whole");
}
