//! `--target snowflake` against Snowflake's wire protocol on this machine: the unmodified driver, faults
//! on demand, and the statements that really arrived.

mod accounts;
mod copies;
mod cut;
mod driver;
mod owners;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::endpoint::{Endpoint, PrivateKey, SECRET};
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
fn allow_reading(checkout: &Checkout) {
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
fn rejected_logins_say_who_was_tried_and_what_to_check() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    for (code, advice) in [
        ("390100", "SNOWFLAKE_PASSWORD"),
        ("390114", "has expired"),
        ("390189", "SNOWFLAKE_ROLE"),
        ("390201", "the database LOGISTICS_DEMO"),
        ("390422", "network policy"),
        ("390197", "instead of SNOWFLAKE_PASSWORD"),
        ("394508", "instead of SNOWFLAKE_PASSWORD"),
    ] {
        endpoint.demand(&json!({"reset": true, "fail_login": code}));
        let said = endpoint.run(&checkout, &["schema", "list"]).expect(2).stderr;
        for part in [advice, code, "ORG-ACCOUNT", "DEPLOYER", "BUILDER", "SMALL_WH", "LOGISTICS_DEMO"] {
            assert!(said.contains(part), "{code}: no {part} in\n{said}");
        }
        assert!(!said.contains(SECRET), "{said}");
    }
    for (way, code, advice) in [
        ("oauth", "390318", "the OAuth token in SNOWFLAKE_TOKEN has expired"),
        ("oauth", "390303", "the OAuth token in SNOWFLAKE_TOKEN is not valid"),
        (
            "programmatic_access_token",
            "394400",
            "the programmatic access token in SNOWFLAKE_TOKEN is not valid",
        ),
        ("programmatic_access_token", "394507", "needs a network policy on its user"),
    ] {
        endpoint.demand(&json!({"reset": true, "fail_login": code}));
        let mut command = endpoint.command(&checkout, &["schema", "list"]);
        command.env_remove("SNOWFLAKE_PASSWORD").env("SNOWFLAKE_TOKEN", SECRET);
        command.env("SNOWFLAKE_AUTHENTICATOR", way);
        let said = Ended::of(command).expect(2).stderr;
        assert!(said.contains(advice) && said.contains(code), "{said}");
        assert!(!said.contains(SECRET), "{said}");
    }
    assert_eq!(endpoint.statements(), Vec::<String>::new());
}

/// A network policy or a proxy that answers before Snowflake looks at the login.
#[test]
fn http_403_is_refused_at_once_with_advice() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.demand(&json!({"forbidden": 50, "on": "login"}));
    let said = endpoint.run(&checkout, &["schema", "list"]).expect(2).stderr;
    assert!(said.contains("network policy") && said.contains("SNOWFLAKE_ACCOUNT"), "{said}");
    assert!(!said.contains("trying again"), "{said}");
}

/// The documented form of the subject is wrong for a repository that was renamed: only the token knows it.
#[test]
fn a_refused_workload_identity_prints_the_statement_that_allows_it() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let subject = "repo:o@12/r@34:environment:preview";
    let token = oidc_token_of(subject);
    let statement = format!(
        "alter user LOGISTICS_CI add workload identity \"GITHUB_PREVIEW\" type = oidc issuer = \
         'https://token.actions.githubusercontent.com' subject = '{subject}'"
    );
    let command = |args: &[&str]| {
        let mut command = endpoint.command(&checkout, args);
        command.env_remove("SNOWFLAKE_PASSWORD").env("SNOWFLAKE_TOKEN", &token);
        command.env("SNOWFLAKE_USER", "logistics_ci").env("SNOWFLAKE_AUTHENTICATOR", "workload_identity");
        Ended::of(command)
    };
    for code in ["395090", "390303", "390144"] {
        endpoint.demand(&json!({"reset": true, "fail_login": code}));
        let said = command(&["schema", "list"]).expect(2).stderr;
        assert!(said.contains(&statement) && !said.contains(&token), "{code}: {said}");
    }
    let said = command(&["doctor"]).expect(1).stdout;
    assert!(said.matches(&statement).count() == 2 && !said.contains(&token), "{said}");
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
fn a_busy_or_broken_way_is_tried_again() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "issue_1").expect(0);
    for fault in
        [json!({"throttle": 2}), json!({"unavailable": 2}), json!({"drop_connection": 1, "on": "query"})]
    {
        endpoint.demand(&json!({"reset": true}));
        endpoint.demand(&fault);
        let listed = endpoint.run(&checkout, &["schema", "list"]).expect(0);
        assert!(listed.stdout.contains("issue_1"), "{fault}: {}", listed.stdout);
    }
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "issue_1").expect(0);
    for on in ["login", "query"] {
        endpoint.demand(&json!({"reset": true}));
        endpoint.demand(&json!({"hang": true, "on": on}));
        let mut command = endpoint.command(&checkout, &["schema", "list"]);
        command.env("XTASK_SNOWFLAKE_TIMEOUT", "2");
        let said = Ended::of(command).expect(2).stderr;
        assert!(said.contains("no answer to") && said.contains("within 2 s"), "{on}: {said}");
    }
}

#[test]
fn a_way_that_is_not_there_is_told_at_once() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|all| all.local_addr()).expect("a port").port();
    let (unknown, closed_port) =
        ("unknown.invalid".to_owned(), format!("127.0.0.1:{closed} cannot be reached"));
    for (host, port, expected) in [(unknown.as_str(), 443, &unknown), ("127.0.0.1", closed, &closed_port)] {
        let mut command = endpoint.command(&checkout, &["schema", "list"]);
        command.env("SNOWFLAKE_HOST", host).env("SNOWFLAKE_PORT", port.to_string());
        if host == unknown {
            command.env_remove("SNOWFLAKE_PROTOCOL");
        }
        // Behind a proxy the host is not checked.
        for proxy in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
            command.env_remove(proxy);
        }
        let said = Ended::of(command).expect(2).stderr;
        for part in [expected, "SNOWFLAKE_HOST", "ORG-ACCOUNT", "DEPLOYER"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("no answer to the login") && !said.contains(SECRET), "{said}");
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_cancels_what_runs_at_snowflake() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.create(&checkout, "issue_1").expect(0);
    endpoint.demand(&json!({"delay": 30}));
    let mut command = endpoint.command(&checkout, &["schema", "create", "--schema", "issue_2"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    while endpoint.logins().len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    let ended = Ended::from(child.wait_with_output().expect("it ends")).expect(2);
    assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
    let cancelled = |entry: &Value| entry["error_code"] == "000604";
    assert!(endpoint.history().iter().any(cancelled), "{:#?}", endpoint.statements());
}

#[test]
fn doctor_answers_whatever_the_network_does() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let login = |ended: &Ended| {
        let report = ended.json();
        report["checks"].as_array().expect("checks").iter().find(|check| check["name"] == "login").cloned()
    };
    let doctor = ["doctor", "--format", "json"];
    let well = endpoint.run(&checkout, &doctor);
    let found = login(&well).expect("a login");
    assert_eq!(found["status"], "ok", "{found}");
    assert!(found["found"].as_str().is_some_and(|text| text.contains("role BUILDER")), "{found}");

    // A warehouse that is slow to resume is not a fault.
    endpoint.demand(&json!({"delay": 2.5, "containing": "information_schema.schemata"}));
    let found = login(&endpoint.run(&checkout, &doctor)).expect("a login");
    assert_eq!(found["status"], "ok", "{found}");

    endpoint.demand(&json!({"reset": true}));
    endpoint.demand(&json!({"hang": true}));
    let mut command = endpoint.command(&checkout, &doctor);
    command.env("XTASK_SNOWFLAKE_TIMEOUT", "2");
    let found = login(&Ended::of(command).expect(1)).expect("a login");
    assert_eq!(found["status"], "fail", "{found}");

    let mut command = endpoint.command(&checkout, &doctor);
    command.env("SNOWFLAKE_HOST", "no-such-host.invalid").env_remove("SNOWFLAKE_PROTOCOL");
    let ended = Ended::of(command);
    let found = login(&ended).expect("a login");
    assert_ne!(found["status"], "ok", "{found}");
    assert!(!format!("{ended:?}").contains(SECRET));

    let mut command = endpoint.command(&checkout, &doctor);
    command.env_remove("SNOWFLAKE_ACCOUNT").env_remove("SNOWFLAKE_ROLE");
    let report = Ended::of(command).expect(1).stdout;
    assert!(
        report.contains("SNOWFLAKE_ACCOUNT is not set") && report.contains("SNOWFLAKE_ROLE is not set"),
        "{report}"
    );
}

#[test]
fn settings_that_do_not_add_up_are_all_told_before_anything_starts() {
    let checkout = Checkout::new();
    let mut command = checkout.command(&["schema", "list", "--target", "snowflake"]);
    command.env("SNOWFLAKE_PASSWORD", SECRET).env("SNOWFLAKE_PRIVATE_KEY_PATH", "/no/key");
    let said = Ended::of(command).expect(2).stderr;
    for part in
        ["SNOWFLAKE_ACCOUNT", "SNOWFLAKE_ROLE", "SNOWFLAKE_WAREHOUSE", "SNOWFLAKE_DATABASE", "at once"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains(SECRET), "{said}");
    let said = checkout.run(&["schema", "list", "--target", "moon"]).expect(2).stderr;
    assert!(said.contains("--target"), "{said}");
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

/// The wire breaks while xtask and the unmodified dbt work: the run ends well, is recorded once, and what
/// cannot be recorded leaves nothing half written.
#[test]
fn a_run_bears_a_broken_wire_and_is_recorded_whole() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let elt = ["elt", "--schema", "issue_9", "--select", "raw_suppliers", "--format", "json"];
    // Without the test that compares the seed with a model that is not built here.
    checkout.edit("dbt/models/bronze/stg_logistics__suppliers.yml", |_| "version: 2\n".to_owned());
    endpoint.demand(&json!({"drop_connection": 3, "on": "query"}));
    let report = endpoint.run(&checkout, &elt).expect(0).json();
    assert_eq!((&report["status"], &report["target"]), (&json!("success"), &json!("snowflake")), "{report}");
    let last_run = || {
        let listed = endpoint.run(&checkout, &["schema", "list", "--format", "json"]).expect(0).json();
        (listed[0]["last_run_id"].clone(), listed[0]["relations"].clone())
    };
    assert_eq!(last_run(), (report["run_id"].clone(), json!(1)));

    // The history, which comes after the run itself in the transaction.
    endpoint.demand(&json!({"reset": true, "fail_statement": "LEDGER_RELATIONS\" ("}));
    let said = endpoint.run(&checkout, &[&elt[..], &["--force"]].concat()).expect(2).stderr;
    assert!(said.contains("LEDGER_RELATIONS") && said.contains("BUILDER lacks the privilege"), "{said}");
    assert!(endpoint.writes().iter().any(|sql| sql == "rollback"));
    assert_eq!(last_run(), (report["run_id"].clone(), json!(1)), "nothing of the other run is in the ledger");
    let freed = |sql: &&String| sql.starts_with("drop table if exists") && sql.contains("LOCK_ISSUE_9");
    assert_eq!(endpoint.writes().iter().filter(freed).count(), 2, "each lock is freed");

    endpoint.run(&checkout, &["schema", "drop", "--schema", "issue_9"]).expect(0);
    let listed = endpoint.run(&checkout, &["schema", "list"]).expect(0).stdout;
    assert!(listed.contains("no environments yet"), "dbt's tables went with it: {listed}");
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

/// GitHub's end of workload identity: returns a token for the job's bearer token.
fn mint(token: String) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/mint?api-version=2.0", listener.local_addr().expect("an address"));
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let mut request = String::new();
        let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
        while let Some(Ok(line)) =
            lines.next().filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
        {
            request.push_str(&line);
            request.push('\n');
        }
        let body = json!({"value": token}).to_string();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
            .expect("answered");
        request
    });
    (url, asked)
}

/// A token as GitHub's, but for the signature: the driver reads whom it is about.
fn oidc_token() -> String {
    oidc_token_of("repo:o/r:environment:dev")
}

fn oidc_token_of(subject: &str) -> String {
    oidc_token_with(&json!({"sub": subject}))
}

fn oidc_token_with(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut all =
        json!({"iss": "https://token.actions.githubusercontent.com", "aud": "snowflakecomputing.com"});
    all.as_object_mut().expect("claims").extend(claims.as_object().expect("claims").clone());
    [part(&json!({"alg": "RS256", "typ": "JWT"})), part(&all), URL_SAFE_NO_PAD.encode("unsigned")].join(".")
}

#[test]
fn a_job_logs_in_with_the_token_that_github_mints_for_it() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let token = oidc_token();
    let (url, asked) = mint(token.clone());
    let mut command = endpoint.command(&checkout, &["schema", "list"]);
    command.env_remove("SNOWFLAKE_PASSWORD").env_remove("SNOWFLAKE_USER").env("GITHUB_ACTIONS", "true");
    command.env("ACTIONS_ID_TOKEN_REQUEST_URL", url).env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", SECRET);
    let ended = Ended::of(command).expect(0);
    let request = asked.join().expect("asked").to_lowercase();
    assert!(request.starts_with("get /mint?api-version=2.0&audience=snowflakecomputing.com "), "{request}");
    assert!(request.contains(&format!("authorization: bearer {SECRET}")), "{request}");
    assert!(ended.stderr.contains(&format!("::add-mask::{token}")), "masked before its first use");
    let login = endpoint.logins().pop().expect("a login");
    assert_eq!(
        (&login["authenticator"], &login["provider"]),
        (&json!("WORKLOAD_IDENTITY"), &json!("OIDC")),
        "{login}"
    );
}

/// GitHub's end again, for as many tokens as are asked for; each expires after `seconds`.
fn mint_expiring(seconds: i64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/mint?api-version=2.0", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let expires = jiff::Timestamp::now().as_second() + seconds;
            let token =
                oidc_token_with(&json!({"sub": "repo:o/r:environment:dev", "exp": expires, "jti": number}));
            let body = json!({"value": token}).to_string();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
            write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("answered");
        }
    });
    url
}

/// Ten minutes of building with tokens of five, in seconds: a thread of dbt connects long after the token
/// that dbt was started with has expired.
#[test]
#[cfg(unix)]
fn a_build_outlives_the_token_that_it_started_with() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    // Without the tests that read models which are not built here.
    for model in ["suppliers", "products", "purchase_orders", "price_breaks", "supplier_closures"] {
        checkout
            .edit(&format!("dbt/models/bronze/stg_logistics__{model}.yml"), |_| "version: 2\n".to_owned());
    }
    let life = 12_i32;
    let slow = "raw_suppliers as";
    endpoint.demand(&json!({"delay": life + 3, "containing": slow}));
    // As many at once as dbt has threads, each as slow as the seed before them: while the seed was loaded, not all threads
    // had a connection, so at least one model opens one after the first token has expired.
    for model in ["first", "second", "third", "fourth"] {
        std::fs::write(
            checkout.path(&format!("dbt/models/bronze/{model}.sql")),
            format!("-- {slow}\nselect supplier_id from {{{{ ref('raw_suppliers') }}}}\n"),
        )
        .expect("a writable folder");
    }
    let selection = "raw_suppliers first second third fourth";
    let mut command = endpoint
        .command(&checkout, &["elt", "--schema", "issue_3", "--select", selection, "--format", "json"]);
    command.env_remove("SNOWFLAKE_PASSWORD").env_remove("SNOWFLAKE_USER").env("GITHUB_ACTIONS", "true");
    command.env("ACTIONS_ID_TOKEN_REQUEST_URL", mint_expiring(life.into()));
    command.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", SECRET);
    // The connector gives its identity to hosts of Snowflake's domain only, and to those named here.
    command.env("SNOWFLAKE_WIF_ALLOWED_HOST_SUFFIXES", "127.0.0.1");
    let report = Ended::of(command).expect(0).json();
    assert_eq!(report["status"], "success", "{report}");

    let logins = endpoint.logins();
    let at = |login: &Value| login["at"].as_f64().expect("a time");
    let began = at(&logins[0]);
    let late =
        logins.iter().filter(|login| login["client"] != "xtask" && at(login) > began + f64::from(life));
    assert!(late.count() > 0, "dbt connected again after the first token had expired: {logins:#?}");
    let tokens: BTreeSet<&str> = logins.iter().filter_map(|login| login["secret_sha256"].as_str()).collect();
    assert_eq!(tokens.len(), logins.len(), "a token for each connection");
}

#[test]
fn every_way_to_log_in_reaches_snowflake_as_itself() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    for (authenticator, expected) in [
        ("oauth", "OAUTH"),
        ("programmatic_access_token", "PROGRAMMATIC_ACCESS_TOKEN"),
        ("workload_identity", "WORKLOAD_IDENTITY"),
    ] {
        let mut command = endpoint.command(&checkout, &["schema", "list"]);
        let token = if authenticator == "workload_identity" { oidc_token() } else { SECRET.to_owned() };
        command.env_remove("SNOWFLAKE_PASSWORD").env("SNOWFLAKE_TOKEN", token);
        command.env("SNOWFLAKE_AUTHENTICATOR", authenticator);
        Ended::of(command).expect(0);
        let login = endpoint.logins().pop().expect("a login");
        assert_eq!(login["authenticator"], expected, "{login}");
        let parameters = &login["parameters"];
        assert_eq!(parameters["STATEMENT_TIMEOUT_IN_SECONDS"], "600", "{login}");
        let tag: Value =
            serde_json::from_str(parameters["QUERY_TAG"].as_str().expect("a tag")).expect("JSON");
        assert_eq!((&tag["tool"], &tag["stage"]), (&json!("xtask"), &json!("schema list")));
    }
}

/// A variable or secret that was pasted with its line end is the usual first mistake: dbt, too, gets it without.
#[test]
fn settings_with_white_space_around_them_log_in_both_halves() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::slim());
    let mut command = endpoint.command(&checkout, &["elt", "--schema", "issue_1"]);
    command.envs(endpoint.place().into_iter().map(|(name, value)| (name, format!(" {value}\n"))));
    command.env_remove("SNOWFLAKE_PASSWORD").env("SNOWFLAKE_TOKEN", format!("{SECRET}\n"));
    command.env("SNOWFLAKE_AUTHENTICATOR", "programmatic_access_token\n").env("SNOWFLAKE_USER", "DEPLOYER ");
    Ended::of(command).expect(0);
    let logins = endpoint.logins();
    let digests: BTreeSet<&str> = logins.iter().filter_map(|login| login["secret_sha256"].as_str()).collect();
    assert_eq!(digests.len(), 1, "one secret, for the toolkit and for dbt: {logins:#?}");
}

/// Snowflake identifies a key by its fingerprint, which is part of the token that the driver signs.
#[test]
fn a_key_pair_logs_in_with_what_it_signed() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let key = PrivateKey::new();
    let file = checkout.path("rsa_key.p8");
    std::fs::write(&file, &key.encrypted).expect("a writable folder");
    let by_value = vec![("SNOWFLAKE_PRIVATE_KEY", key.plain.as_str())];
    let by_path = vec![
        ("SNOWFLAKE_PRIVATE_KEY_PATH", file.to_str().expect("a path in UTF-8")),
        ("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", key.passphrase.as_str()),
    ];
    let list = |variables: &[(&str, &str)]| {
        let mut command = endpoint.command(&checkout, &["schema", "list"]);
        command.env_remove("SNOWFLAKE_PASSWORD").envs(variables.iter().copied());
        Ended::of(command)
    };
    for variables in [&by_value, &by_path] {
        list(variables).expect(0);
        let login = endpoint.logins().pop().expect("a login");
        assert_eq!(login["authenticator"], "SNOWFLAKE_JWT", "{login}");
        assert_eq!(login["issuer"], format!("ORG-ACCOUNT.DEPLOYER.{}", key.fingerprint), "{login}");
    }
    endpoint.demand(&json!({"fail_login": "390144"}));
    let ended = list(&by_path).expect(2);
    assert!(ended.stderr.contains("RSA_PUBLIC_KEY_FP"), "{}", ended.stderr);
    let said = format!("{ended:?}");
    assert!(!said.contains(&key.passphrase) && !said.contains(&key.encrypted[40..80]), "{said}");
}

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

fn listed(endpoint: &Endpoint, checkout: &Checkout, name: &str) -> Option<Value> {
    let listed = endpoint.run(checkout, &["schema", "list", "--format", "json"]).expect(0).json();
    listed.as_array().expect("a list").iter().find(|entry| entry["schema_name"] == name).cloned()
}

/// How many schemas have such a name.
fn schemas(endpoint: &Endpoint, like: &str) -> i64 {
    let like = like.replace('\\', "\\\\");
    endpoint.count(&format!(
        "select count(*) from LOGISTICS_DEMO.INFORMATION_SCHEMA.SCHEMATA where schema_name like '{like}' escape '\\\\'"
    ))
}

/// What `elt` makes of `+schema: custom`, without dbt.
fn add_schema(endpoint: &Endpoint, environment: &str, schema: &str, created_at: &str) {
    endpoint.sql(&format!(
        "create transient schema LOGISTICS_DEMO.{schema} comment = '{{\"tool\": \"xtask\", \"environment\": \"{environment}\"}}';;
         create table LOGISTICS_DEMO.{schema}.T as select 1 as a;;
         insert into LOGISTICS_DEMO.XTASK_REGISTRY.SCHEMAS values ('{schema}', '{environment}', '{created_at}')"
    ));
}

const TODAY: &str = "2200-01-01 00:00:00";

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
