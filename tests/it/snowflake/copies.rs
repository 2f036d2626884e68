//! Copies of a base: how a new environment starts as one, and what it takes along.

use serde_json::{Value, json};

use super::parts::{TODAY, add_schema, schemas};
use crate::support::endpoint::Endpoint;
use crate::support::{Checkout, Ended};

#[test]
fn a_new_environment_starts_as_a_copy_of_its_base() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "dev").expect(0);
    endpoint.sql(
        "create table LOGISTICS_DEMO.DEV.FACTS as select 1 as a;;
         create view LOGISTICS_DEMO.DEV.SEEN as select * from LOGISTICS_DEMO.DEV.FACTS",
    );
    endpoint.run(&checkout, &["schema", "create", "--schema", "issue_7", "--base", "dev"]).expect(0);
    let sent = endpoint.writes();
    assert!(sent.iter().any(|sql| sql.contains("\"ISSUE_7\" clone \"LOGISTICS_DEMO\".\"DEV\"")), "{sent:#?}");
    assert!(
        sent.iter().any(|sql| sql == "drop view if exists \"LOGISTICS_DEMO\".\"ISSUE_7\".\"SEEN\""),
        "{sent:#?}"
    );
    let listed = endpoint.run(&checkout, &["schema", "list", "--format", "json"]).expect(0).json();
    let copy =
        listed.as_array().expect("a list").iter().find(|entry| entry["schema_name"] == "issue_7").cloned();
    let copy = copy.expect("the copy is listed");
    assert_eq!((&copy["base"], &copy["relations"]), (&json!("dev"), &json!(1)), "{copy}");
    assert_eq!(copy["droppable"], true, "marked for itself, not for its base");

    let plain = ["schema", "create", "--schema", "issue_8", "--base", "no_such_base"];
    let said = endpoint.run(&checkout, &plain).expect(0);
    assert!(said.stderr.contains("does not exist"), "{}", said.stderr);
}

#[test]
fn a_transient_base_is_no_start_for_a_permanent_environment() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "issue_72").expect(0);
    let before = endpoint.writes().len();
    let upwards = ["schema", "create", "--schema", "prod", "--base", "issue_72"];
    let said = endpoint.run(&checkout, &upwards).expect(2).stderr;
    assert!(
        said.contains("prod is permanent and issue_72 is transient") && said.contains("002120"),
        "{said}"
    );
    let sent = endpoint.writes().split_off(before);
    assert!(sent.iter().all(|sql| sql.contains("LOCK_")), "nothing but locks: {sent:#?}");
}

/// The builders have this role too.
pub(super) fn allow_reading(checkout: &Checkout) {
    let reader = "\n[[snowflake.grants]]\nrole = \"LOGISTICS_READER\"\naccess = \"read\"\n";
    checkout.edit("policies/environments.toml", |text| format!("{text}{reader}"));
}

/// A clone of a whole schema keeps the owners of its tables, which then cannot be rebuilt.
#[test]
fn a_copy_of_another_roles_tables_is_owned_by_the_role_that_copies() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    allow_reading(&checkout);
    let mut prod = endpoint.command(&checkout, &["schema", "create", "--schema", "prod"]);
    prod.env("SNOWFLAKE_ROLE", "PROD_BUILDER");
    Ended::of(prod).expect(0);
    endpoint.sql_as(
        "PROD_BUILDER",
        "create table LOGISTICS_DEMO.PROD.FACTS as select 1 as a;;
         create transient table LOGISTICS_DEMO.PROD.MARTS as select 2 as a;;
         create view LOGISTICS_DEMO.PROD.SEEN as select * from LOGISTICS_DEMO.PROD.FACTS",
    );
    // Cut in the middle, and completed by the next command.
    let copy = ["schema", "create", "--schema", "issue_7", "--base", "prod"];
    endpoint.demand(&json!({"fail_statement": "\"ISSUE_7\".\"MARTS\" clone"}));
    endpoint.run(&checkout, &copy).expect(2);
    endpoint.create(&checkout, "issue_7").expect(0);
    let sent = endpoint.writes();
    for table in ["LEDGER_ENVIRONMENT", "FACTS", "MARTS"] {
        let clone = format!(
            "create transient table if not exists \"LOGISTICS_DEMO\".\"ISSUE_7\".\"{table}\" clone \
             \"LOGISTICS_DEMO\".\"PROD\".\"{table}\""
        );
        assert!(sent.contains(&clone), "{clone}\n{sent:#?}");
    }
    let listed = endpoint.run(&checkout, &["schema", "list", "--format", "json"]).expect(0).json();
    let copied = listed.as_array().expect("a list").iter().find(|entry| entry["schema_name"] == "issue_7");
    let copied = copied.expect("the copy").clone();
    assert_eq!((&copied["relations"], &copied["base"]), (&json!(2), &json!("prod")), "{copied}");
}

#[test]
fn a_base_is_not_copied_while_it_is_built() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "dev").expect(0);
    endpoint.sql(
        "create table LOGISTICS_DEMO.XTASK_REGISTRY.LOCK_DEV as
         select '{}' as holder, 'abc' as token, dateadd(second, 20, current_timestamp()) as expires_at",
    );
    let before = endpoint.history().len();
    let copy = ["schema", "create", "--schema", "issue_7", "--base", "dev"];
    let said = endpoint.run(&checkout, &copy).expect(0).stderr;
    assert!(said.contains("holds dev"), "{said}");
    let of_lock = |entry: &Value| entry["query_text"].as_str().is_some_and(|sql| sql.contains("LOCK_DEV"));
    let history = endpoint.history();
    let tried: Vec<&Value> = history.iter().skip(before).filter(|entry| of_lock(entry)).collect();
    let creates =
        |entry: &&&Value| entry["query_text"].as_str().is_some_and(|sql| sql.starts_with("create transient"));
    assert!(
        tried.len() > 4 && tried.iter().filter(creates).count() == 2,
        "waited for with reads: {tried:#?}"
    );
}

/// The relations of a schema that are not the toolkit's.
fn relations(endpoint: &Endpoint, schema: &str, condition: &str) -> i64 {
    endpoint.count(&format!(
        "select count(*) from LOGISTICS_DEMO.INFORMATION_SCHEMA.TABLES
         where table_schema = '{schema}' and not startswith(table_name, 'LEDGER_') and {condition}"
    ))
}

/// Each form of relation that dbt or a person makes, in `schema`.
fn fill(endpoint: &Endpoint, role: &str, schema: &str) {
    let place = format!("LOGISTICS_DEMO.{schema}");
    endpoint.sql_as(
        role,
        &format!(
            "create table {place}.FACTS as select 1 as a;;
             create view {place}.SEEN as select * from {place}.FACTS;;
             create materialized view {place}.SUMMED as select * from {place}.FACTS;;
             create dynamic table {place}.FRESH target_lag = '1 minute' warehouse = SMALL_WH
                 as select * from {place}.FACTS;;
             create external table {place}.FILES (a int) location = @s file_format = (type = csv);;
             create iceberg table {place}.LAKE (a int)
                 external_volume = 'v' catalog = 'SNOWFLAKE' base_location = 'lake';;
             insert into {place}.LAKE values (7)"
        ),
    );
    assert_eq!(relations(endpoint, schema, "true"), 6);
}

#[test]
fn views_and_dynamic_tables_of_the_base_are_left_to_dbt() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    allow_reading(&checkout);
    let mut prod = endpoint.command(&checkout, &["schema", "create", "--schema", "prod"]);
    prod.env("SNOWFLAKE_ROLE", "PROD_BUILDER");
    Ended::of(prod).expect(0);
    fill(&endpoint, "PROD_BUILDER", "PROD");
    endpoint.create(&checkout, "dev").expect(0);
    fill(&endpoint, "BUILDER", "DEV");
    // The whole schema is cloned if its tables are this role's, else table by table.
    for (base, copy) in [("dev", "issue_1"), ("prod", "issue_2")] {
        endpoint.run(&checkout, &["schema", "create", "--schema", copy, "--base", base]).expect(0);
        let schema = copy.to_uppercase();
        assert_eq!(relations(&endpoint, &schema, "table_name = 'FACTS'"), 1, "{base}");
        assert_eq!(relations(&endpoint, &schema, "table_name = 'LAKE' and is_iceberg = 'YES'"), 1, "{base}");
        assert_eq!(endpoint.count(&format!("select max(a) from LOGISTICS_DEMO.{schema}.LAKE")), 7, "{base}");
        assert_eq!(relations(&endpoint, &schema, "true"), 2, "{base}");
    }
    let sent = endpoint.writes();
    for drop in ["drop view", "drop materialized view", "drop dynamic table"] {
        assert!(
            sent.iter().any(|sql| sql.starts_with(drop) && sql.contains("\"ISSUE_1\"")),
            "{drop}: {sent:#?}"
        );
    }
    // Table by table, in their own words: no Iceberg table is transient.
    let clone = "create iceberg table if not exists \"LOGISTICS_DEMO\".\"ISSUE_2\".\"LAKE\" clone";
    assert!(sent.iter().any(|sql| sql.starts_with(clone)), "{sent:#?}");
    for name in ["issue_1", "issue_2"] {
        endpoint.run(&checkout, &["schema", "drop", "--schema", name]).expect(0);
    }
    assert_eq!(schemas(&endpoint, "ISSUE\\__"), 0);
}

/// Error 002120 on Snowflake, for a schema that a person or dbt made transient.
#[test]
fn a_transient_further_schema_is_copied_into_a_permanent_one_by_its_tables() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "prod").expect(0);
    add_schema(&endpoint, "prod", "PROD_RAW", TODAY);
    endpoint.run(&checkout, &["schema", "create", "--schema", "dev", "--base", "prod"]).expect(0);
    assert_eq!(schemas(&endpoint, "DEV\\_RAW"), 1);
    assert_eq!(relations(&endpoint, "DEV_RAW", "table_name = 'T' and is_transient = 'YES'"), 1);
}
