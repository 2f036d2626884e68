//! What a copy of a base takes along: rows, and nothing that would go on reading the base.

use super::{allow_reading, schemas};
use crate::support::endpoint::Endpoint;
use crate::support::{Checkout, Ended};

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
    super::add_schema(&endpoint, "prod", "PROD_RAW", super::TODAY);
    endpoint.run(&checkout, &["schema", "create", "--schema", "dev", "--base", "prod"]).expect(0);
    assert_eq!(schemas(&endpoint, "DEV\\_RAW"), 1);
    assert_eq!(relations(&endpoint, "DEV_RAW", "table_name = 'T' and is_transient = 'YES'"), 1);
}
