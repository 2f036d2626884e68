//! The further schemas of an environment, which `+schema` makes: a part of it in everything, and no other is.

use serde_json::{Value, json};

use crate::support::Checkout;
use crate::support::endpoint::Endpoint;

/// What dbt builds into custom schemas is a part of the environment in everything. The project quotes the names of
/// schemas, so Snowflake keeps them in the case in which they are written.
#[test]
fn the_further_schemas_of_an_environment_are_its_own() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    checkout.edit("dbt/models/bronze/stg_logistics__suppliers.yml", |_| "version: 2\n".to_owned());
    checkout.edit("dbt/dbt_project.yml", |text| {
        text.replace("+quote_columns: false", "+quote_columns: false\n    +schema: raw")
    });
    checkout.edit("dbt/macros/generate_schema_name.sql", |_| {
        "{% macro generate_schema_name(name, node) -%}\n  {{ target.schema }}{{ '_' ~ name | trim if name }}\n{%- endmacro %}\n"
            .to_owned()
    });
    let elt = |name: &str| {
        endpoint.run(&checkout, &["elt", "--schema", name, "--select", "raw_suppliers", "--format", "json"])
    };
    let built = elt("issue_71").expect(0).json();
    assert_eq!(built["status"], "success");
    assert!(built["nodes"][0]["rows"].as_i64().is_some_and(|rows| rows > 0), "{built:#}");
    let made = endpoint.writes();
    let own = "create transient schema if not exists \"LOGISTICS_DEMO\".\"ISSUE_71_raw\" with managed access";
    assert!(made.iter().any(|sql| sql.starts_with(own) && sql.contains("\"issue_71\"")), "{made:#?}");
    let found = listed(&endpoint, &checkout, "issue_71").expect("it is listed");
    assert_eq!((&found["relations"], &found["droppable"]), (&json!(1), &json!(true)), "{found}");
    let again = elt("issue_71").expect(0).json();
    assert_eq!(again["up_to_date"], true, "{again:#}");
    let report =
        endpoint.run(&checkout, &["metrics", "--schema", "issue_71", "--format", "json"]).expect(0).json();
    assert!(report["storage"]["rows"][0]["active_bytes"].as_i64() > Some(0), "{:#}", report["storage"]);

    // A copy has the schema under its own name, and drops only that.
    endpoint.run(&checkout, &["schema", "create", "--schema", "issue_72", "--base", "issue_71"]).expect(0);
    assert_eq!(listed(&endpoint, &checkout, "issue_72").expect("it is listed")["relations"], 1);
    let planned =
        endpoint.run(&checkout, &["schema", "drop", "--schema", "issue_72", "--dry-run"]).expect(0).stdout;
    for schema in ["ISSUE_72_raw", "ISSUE_72"] {
        let drop = format!("drop schema if exists \"LOGISTICS_DEMO\".\"{schema}\" cascade;");
        assert!(planned.lines().any(|line| line == drop), "{schema}: {planned}");
    }
    endpoint.run(&checkout, &["schema", "drop", "--schema", "issue_72"]).expect(0);
    assert_eq!(schemas(&endpoint, "ISSUE\\_72%"), 0);

    // A build that starts from the base has its rows in that schema, and builds nothing again.
    let elt_of_copy = ["elt", "--schema", "issue_74", "--base", "issue_71", "--select", "raw_suppliers"];
    let copied =
        endpoint.run(&checkout, &[&elt_of_copy[..], &["--format", "json"]].concat()).expect(0).json();
    assert_eq!((&copied["status"], &copied["up_to_date"]), (&json!("success"), &json!(true)), "{copied:#}");
    let rows = |environment: &str| {
        endpoint.count(&format!("select count(*) from LOGISTICS_DEMO.\"{environment}_raw\".RAW_SUPPLIERS"))
    };
    assert!(rows("ISSUE_71") > 0 && rows("ISSUE_74") == rows("ISSUE_71"));
    let before = endpoint.writes().len();
    let forced = [&elt_of_copy[..], &["--force", "--format", "json"]].concat();
    assert_eq!(endpoint.run(&checkout, &forced).expect(0).json()["status"], "success");
    let sent = endpoint.writes().split_off(before);
    assert!(sent.iter().any(|sql| sql.contains("ISSUE_74_raw")), "{sent:#?}");
    assert!(sent.iter().all(|sql| !sql.contains("ISSUE_71_raw")), "the base is written to: {sent:#?}");
    assert_eq!(listed(&endpoint, &checkout, "issue_71").expect("it is listed")["relations"], 1);

    // A schema without a mark was made by others. Without quotes the name is in upper case.
    checkout.edit("dbt/dbt_project.yml", |text| text.replace("schema: true", "schema: false"));
    endpoint.sql("create schema LOGISTICS_DEMO.ISSUE_73_RAW");
    let refused = elt("issue_73").expect(2).stderr;
    assert!(refused.contains("ISSUE_73_RAW") && refused.contains("no ownership mark"), "{refused}");
    assert!(listed(&endpoint, &checkout, "issue_73").is_none(), "nothing is left half-made");
}

pub(super) fn listed(endpoint: &Endpoint, checkout: &Checkout, name: &str) -> Option<Value> {
    let listed = endpoint.run(checkout, &["schema", "list", "--format", "json"]).expect(0).json();
    listed.as_array().expect("a list").iter().find(|entry| entry["schema_name"] == name).cloned()
}

/// How many schemas have such a name.
pub(super) fn schemas(endpoint: &Endpoint, like: &str) -> i64 {
    let like = like.replace('\\', "\\\\");
    endpoint.count(&format!(
        "select count(*) from LOGISTICS_DEMO.INFORMATION_SCHEMA.SCHEMATA where schema_name like '{like}' escape '\\\\'"
    ))
}

/// What `elt` makes of `+schema: custom`, without dbt.
pub(super) fn add_schema(endpoint: &Endpoint, environment: &str, schema: &str, created_at: &str) {
    endpoint.sql(&format!(
        "create transient schema LOGISTICS_DEMO.{schema} comment = '{{\"tool\": \"xtask\", \"environment\": \"{environment}\"}}';;
         create table LOGISTICS_DEMO.{schema}.T as select 1 as a;;
         insert into LOGISTICS_DEMO.XTASK_REGISTRY.SCHEMAS values ('{schema}', '{environment}', '{created_at}')"
    ));
}

pub(super) const TODAY: &str = "2200-01-01 00:00:00";

/// A name alone proves nothing: what begins with `ISSUE_1_` may be another environment, or belong to another tool.
#[test]
fn a_drop_leaves_schemas_that_are_only_named_like_parts_of_the_environment() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    for name in ["issue_1", "issue_10", "issue_1_custom"] {
        endpoint.create(&checkout, name).expect(0);
    }
    add_schema(&endpoint, "issue_1", "ISSUE_1_RAW", TODAY);
    add_schema(&endpoint, "issue_10", "ISSUE_10_RAW", TODAY);
    add_schema(&endpoint, "issue_1_custom", "ISSUE_1_CUSTOM_RAW", TODAY);
    // Registered, and marked for another or for none: a copy made by hand, a mark that was removed.
    endpoint.sql(
        "insert into LOGISTICS_DEMO.XTASK_REGISTRY.SCHEMAS values ('ISSUE_1_CUSTOM', 'issue_1', '2026-01-01 00:00:00');;
         create schema LOGISTICS_DEMO.ISSUE_1_MINE;;
         insert into LOGISTICS_DEMO.XTASK_REGISTRY.SCHEMAS values ('ISSUE_1_MINE', 'issue_1', '2026-01-01 00:00:00')",
    );
    assert_eq!(listed(&endpoint, &checkout, "issue_1").expect("it is listed")["relations"], 1);
    let before = endpoint.writes().len();
    let said = endpoint.run(&checkout, &["schema", "drop", "--schema", "issue_1"]).expect(0).stderr;
    for schema in ["ISSUE_1_CUSTOM", "ISSUE_1_MINE"] {
        assert!(
            said.contains(&format!("{schema} is registered as a schema of issue_1, and is left")),
            "{said}"
        );
    }
    let sent: Vec<String> = endpoint.writes().split_off(before);
    let dropped: Vec<&String> = sent.iter().filter(|sql| sql.starts_with("drop schema")).collect();
    assert_eq!(
        dropped,
        [
            "drop schema if exists \"LOGISTICS_DEMO\".\"ISSUE_1_RAW\" cascade",
            "drop schema if exists \"LOGISTICS_DEMO\".\"ISSUE_1\" cascade"
        ]
    );
    for (name, relations) in [("issue_10", 1), ("issue_1_custom", 1)] {
        let left = listed(&endpoint, &checkout, name).expect("it is listed");
        assert_eq!((&left["exists"], &left["relations"]), (&json!(true), &json!(relations)), "{left}");
    }
    assert_eq!(
        endpoint.count(
            "select count(*) from LOGISTICS_DEMO.XTASK_REGISTRY.SCHEMAS where environment = 'issue_1'"
        ),
        0
    );
}

/// A further schema cannot become an environment: a drop of one would take the data of the other.
#[test]
fn a_part_of_an_environment_cannot_become_another_environment() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "branch_x").expect(0);
    add_schema(&endpoint, "branch_x", "BRANCH_X_Y", TODAY);
    for more in [&[][..], &["--adopt"]] {
        let args = [&["schema", "create", "--schema", "branch_x_y"], more].concat();
        let refused = endpoint.run(&checkout, &args).expect(2).stderr;
        assert!(refused.contains("branch_x_y is a part of the environment branch_x"), "{refused}");
    }
    let refused = endpoint.run(&checkout, &["schema", "drop", "--schema", "branch_x_y"]).expect(2).stderr;
    assert!(refused.contains("branch_x_y carries no ownership mark"), "{refused}");
    assert_eq!(listed(&endpoint, &checkout, "branch_x").expect("it is listed")["relations"], 1);
}

#[test]
fn what_a_killed_command_left_of_further_schemas_is_completed_by_the_next() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let drop = |name: &str, more: &[&str]| {
        endpoint.run(&checkout, &[&["schema", "drop", "--schema", name], more].concat())
    };
    endpoint.create(&checkout, "issue_1").expect(0);
    add_schema(&endpoint, "issue_1", "ISSUE_1_RAW", TODAY);

    // A copy that is cut short after its further schemas: they are dropped, or copied again and completed.
    let copy = ["schema", "create", "--schema", "issue_2", "--base", "issue_1"];
    for is_completed in [false, true] {
        endpoint.demand(&json!({"fail_statement": "\"ISSUE_2\" clone"}));
        endpoint.run(&checkout, &copy).expect(2);
        assert_eq!(schemas(&endpoint, "ISSUE\\_2\\_RAW"), 1);
        if is_completed {
            endpoint.run(&checkout, &copy).expect(0);
            assert_eq!(listed(&endpoint, &checkout, "issue_2").expect("it is listed")["relations"], 1);
        } else {
            drop("issue_2", &["--if-exists"]).expect(0);
            assert_eq!(schemas(&endpoint, "ISSUE\\_2%"), 0);
            assert!(drop("issue_2", &[]).expect(2).stderr.contains("issue_2 does not exist"));
        }
    }

    // A drop that is cut short between the schemas.
    endpoint.demand(&json!({"fail_statement": "\"ISSUE_2\" cascade"}));
    drop("issue_2", &[]).expect(2);
    assert_eq!((schemas(&endpoint, "ISSUE\\_2\\_RAW"), schemas(&endpoint, "ISSUE\\_2")), (0, 1));
    let said = drop("issue_2", &[]).expect(0).stderr;
    assert!(!said.contains("is left"), "{said}");
    assert_eq!(schemas(&endpoint, "ISSUE\\_2%"), 0);

    // The environment's first schema dropped by hand.
    endpoint.sql("drop schema LOGISTICS_DEMO.ISSUE_1 cascade");
    drop("issue_1", &[]).expect(0);
    assert_eq!(schemas(&endpoint, "ISSUE\\_1%"), 0);
    assert!(listed(&endpoint, &checkout, "issue_1").is_none());
}

#[test]
fn gc_drops_all_schemas_of_an_environment_and_copies_that_were_given_up() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "issue_1").expect(0);
    add_schema(&endpoint, "issue_1", "ISSUE_1_RAW", TODAY);
    // Copies that never became environments: one of long ago, one that may be going on.
    add_schema(&endpoint, "issue_8", "ISSUE_8_RAW", "2020-01-01 00:00:00");
    add_schema(&endpoint, "issue_9", "ISSUE_9_RAW", TODAY);
    checkout.edit("policies/environments.toml", |text| text.replace("grace_hours = 24", "grace_hours = 0"));
    let gc = ["schema", "gc", "--closed-issues", "1", "--yes"];
    endpoint.run(&checkout, &gc).expect(0);
    assert_eq!((schemas(&endpoint, "ISSUE\\_1%"), schemas(&endpoint, "ISSUE\\_8%")), (2, 0), "noted");
    endpoint.run(&checkout, &gc).expect(0);
    assert_eq!(schemas(&endpoint, "ISSUE\\_1%"), 0);
    assert_eq!((schemas(&endpoint, "ISSUE\\_8%"), schemas(&endpoint, "ISSUE\\_9%")), (0, 1));
}
