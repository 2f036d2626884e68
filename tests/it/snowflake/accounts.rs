//! Roles, users and warehouses of an account: what the policy names and what a login may use.

use serde_json::json;

use super::login::oidc_token_of;
use crate::support::endpoint::{Endpoint, SECRET};
use crate::support::{Checkout, Ended};

/// Replace the grants of this test's policy.
fn policy(checkout: &Checkout, roles: &[(&str, &str)]) {
    checkout.edit("policies/environments.toml", |text| {
        let kept = text.split("# grants of this test").next().unwrap_or_default().trim_end().to_owned();
        let grant = |(role, access): &(&str, &str)| {
            format!("[[snowflake.grants]]\nrole = '{role}'\naccess = \"{access}\"\n")
        };
        let grants: String = roles.iter().map(grant).collect();
        format!("{kept}\n\n# grants of this test\n{grants}")
    });
}

/// Names with spaces, quotes and lower case reach Snowflake as they are written in SQL.
#[test]
fn roles_of_any_name_get_their_grants_and_lose_them() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let roles = [("Data Analysts", "Data Analysts"), ("\"o\"\"brien\"", "o\"brien"), ("\"lower\"", "lower")];
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let made: Vec<String> = roles
        .iter()
        .flat_map(|(_, name)| {
            let role = quoted(name);
            [
                format!("create role {role}"),
                format!("grant usage on database LOGISTICS_DEMO to role {role}"),
                format!("grant usage on warehouse SMALL_WH to role {role}"),
            ]
        })
        .collect();
    endpoint.sql_as("ACCOUNTADMIN", &made.join(";;"));
    let all: Vec<(&str, &str)> = roles.iter().map(|(written, _)| (*written, "read")).collect();
    policy(&checkout, &all);
    endpoint.create(&checkout, "issue_1").expect(0);
    endpoint.sql("create table LOGISTICS_DEMO.ISSUE_1.FACTS as select 1 as a");
    let read = "select * from LOGISTICS_DEMO.ISSUE_1.FACTS";
    for (_, name) in roles {
        assert_eq!(endpoint.refuses(&quoted(name), read), "", "{name}");
    }
    policy(&checkout, &all[..1]);
    endpoint.create(&checkout, "issue_1").expect(0);
    assert_eq!(endpoint.refuses(&quoted(roles[0].1), read), "");
    for (_, name) in &roles[1..] {
        assert!(endpoint.refuses(&quoted(name), read).contains("002003"), "{name}");
    }
}

/// Its grants went with it, and the policy no longer names it.
#[test]
fn a_role_that_was_dropped_stops_no_environment() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    policy(&checkout, &[("READER", "read"), ("WRITER", "write")]);
    endpoint.create(&checkout, "issue_1").expect(0);
    endpoint.sql_as("ACCOUNTADMIN", "drop role WRITER");
    // As long as the policy names it, that is an error.
    let refused = endpoint.create(&checkout, "issue_1").expect(2).stderr;
    assert!(refused.contains("WRITER"), "{refused}");
    policy(&checkout, &[("READER", "read")]);
    let said = endpoint.create(&checkout, "issue_1").expect(0).stderr;
    assert!(said.contains("nothing to revoke") && said.contains("WRITER"), "{said}");
    let again = endpoint.create(&checkout, "issue_1").expect(0).stderr;
    assert!(!again.contains("nothing to revoke"), "once: {again}");
}

/// Each job is the user of its deployment environment, with that user's roles only.
#[test]
fn a_job_has_the_roles_of_the_user_that_its_token_names() {
    let (endpoint, checkout) = (Endpoint::bare(), Checkout::new());
    endpoint.bootstrap();
    let list = |environment: &str, role: &str| {
        let mut command = endpoint.command(&checkout, &["schema", "list"]);
        command.env_remove("SNOWFLAKE_PASSWORD").env_remove("SNOWFLAKE_USER");
        command.env("SNOWFLAKE_TOKEN", oidc_token_of(&format!("repo:o/r:environment:{environment}")));
        command.env("SNOWFLAKE_AUTHENTICATOR", "workload_identity");
        command.env("SNOWFLAKE_ROLE", role).env("SNOWFLAKE_WAREHOUSE", "LOGISTICS_WH");
        Ended::of(command)
    };
    let (prod, other) = ("LOGISTICS_PROD_BUILDER", "LOGISTICS_BUILDER");
    for (environment, role) in [("prod", prod), ("dev", other), ("preview", other), ("maintenance", other)] {
        list(environment, role).expect(0);
        let user = format!("LOGISTICS_CI_{}", environment.to_uppercase());
        assert_eq!(endpoint.logins().pop().expect("a login")["user"], json!(user));
    }
    for environment in ["dev", "preview", "maintenance"] {
        let refused = list(environment, prod).expect(2).stderr;
        assert!(refused.contains("390189") && refused.contains(prod), "{refused}");
    }
    let refused = list("snowflake", other).expect(2).stderr;
    assert!(refused.contains("395090") && refused.contains("environment:snowflake"), "{refused}");
    assert!(!refused.contains(SECRET), "{refused}");
    let (dev, use_role) = ("LOGISTICS_CI_DEV", "use role LOGISTICS_PROD_BUILDER");
    assert!(endpoint.refuses_user(dev, other, use_role).contains("003013"));
    assert_eq!(endpoint.refuses_user(dev, other, "use role LOGISTICS_READER"), "", "inherited");
    assert!(endpoint.refuses_user(dev, other, "use role NOT_THERE").contains("002043"));
}

#[test]
fn a_warehouse_serves_those_to_whom_it_is_granted() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "issue_1").expect(0);
    assert!(endpoint.refuses("LOGISTICS_REGISTRY", "use warehouse SMALL_WH").contains("002043"));
    assert_eq!(endpoint.refuses("READER", "use warehouse SMALL_WH"), "");
    // Neither USAGE nor MONITOR stops it.
    assert!(endpoint.refuses("BUILDER", "alter warehouse SMALL_WH suspend").contains("003001"));
    endpoint.sql_as("ACCOUNTADMIN", "grant operate on warehouse SMALL_WH to role READER");
    assert_eq!(endpoint.refuses("READER", "alter warehouse SMALL_WH suspend"), "");
    assert!(endpoint.refuses("READER", "alter warehouse SMALL_WH set auto_suspend = 1").contains("003001"));

    // What others ran is shown with MONITOR or OPERATE, and not with USAGE.
    let seen = |role: &str| {
        endpoint.count_as(
            role,
            "select count(*) from table(LOGISTICS_DEMO.INFORMATION_SCHEMA.QUERY_HISTORY(result_limit => 10000))
             where user_name = 'DEPLOYER'",
        )
    };
    assert!(seen("READER") > 0 && seen("BUILDER") > 0);
    assert_eq!(seen("WRITER"), 0);
    let mut command = endpoint.command(&checkout, &["schema", "list"]);
    command.env("SNOWFLAKE_ROLE", "LOGISTICS_REGISTRY");
    let refused = Ended::of(command).expect(2).stderr;
    assert!(refused.contains("SMALL_WH"), "{refused}");
}

#[test]
fn columns_are_shown_to_those_who_see_the_table() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "issue_1").expect(0);
    endpoint.sql("create table LOGISTICS_DEMO.ISSUE_1.FACTS as select 1 as a, 2 as b");
    let columns = |role: &str| {
        endpoint.count_as(
            role,
            "select count(*) from LOGISTICS_DEMO.INFORMATION_SCHEMA.COLUMNS where table_name = 'FACTS'",
        )
    };
    assert_eq!((columns("BUILDER"), columns("READER")), (2, 0));
    endpoint.sql(
        "grant usage on schema LOGISTICS_DEMO.ISSUE_1 to role READER;;
         grant select on table LOGISTICS_DEMO.ISSUE_1.FACTS to role READER",
    );
    assert_eq!(columns("READER"), 2);
}

/// An error of HTTP would be repeated by the clients until their time is over, which dbt does not limit.
#[test]
fn a_text_that_is_not_closed_is_an_error_of_the_statement() {
    let endpoint = Endpoint::start();
    for sql in ["select 'a", "put 'file:///tmp/it's/a.csv' @S", "select \"a"] {
        assert!(endpoint.refuses("BUILDER", sql).contains("001003"), "{sql}");
    }
}
