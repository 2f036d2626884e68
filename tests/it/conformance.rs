//! `cargo xtask conformance` on the local endpoint: the differences are the declared ones, and nothing is left
//! behind, however the run ends.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::endpoint::{Endpoint, SECRET};
use crate::support::{Checkout, Ended, root};

fn scratch_schemas(endpoint: &Endpoint) -> i64 {
    endpoint.count(
        "select count(*) from LOGISTICS_DEMO.information_schema.schemata
         where startswith(schema_name, 'XTASK_CONFORMANCE_')",
    )
}

#[test]
fn the_endpoint_differs_from_snowflake_only_as_declared() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let differences = root().join("tests/snowflake/differences.toml");
    let record = checkout.path("recorded.json");
    let mut command = endpoint.command(&checkout, &["conformance", "--format", "json", "--differences"]);
    command.arg(&differences).arg("--record").arg(&record);
    let ended = Ended::of(command).expect(0);
    let report = ended.json_of("conformance");
    let all = report["assumptions"].as_array().expect("assumptions");
    assert!(all.len() >= 60, "{}", all.len());
    let recorded = std::fs::read_to_string(record).expect("recorded");
    for private in ["ORG-ACCOUNT", "DEPLOYER", "BUILDER", "SMALL_WH", "LOGISTICS_DEMO", SECRET] {
        assert!(!recorded.contains(private), "{private}: {recorded}");
    }
    let recorded: Value = serde_json::from_str(&recorded).expect("JSON");
    assert_eq!(
        (&recorded["format"], &recorded["toolkit_version"]),
        (&json!(1), &json!(env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(recorded["assumptions"]["a_primary_key_is_not_enforced"]["holds"], json!(true));
    assert_eq!(scratch_schemas(&endpoint), 0);

    // An undeclared difference fails, and so does a declared one that does not exist.
    let division = ["conformance", "--only", "division_of_decimals"];
    let said = endpoint.run(&checkout, &division).expect(1).stdout;
    assert!(said.contains("FAILS") && said.contains("0.33333333"), "{said}");
    let stale = checkout.path("stale.toml");
    std::fs::write(&stale, "[differences]\nnot_null_is_enforced = 'x'\n").expect("written");
    let mut command = endpoint.command(&checkout, &["conformance", "--only", "not_null", "--differences"]);
    command.arg(&stale);
    assert!(Ended::of(command).expect(1).stdout.contains("it holds now"));
}

/// While the first schema is made, in the middle of a clone and after it: the janitor outlives the run.
#[test]
#[cfg(unix)]
fn a_killed_run_leaves_nothing_behind() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let seen = |text: &str, before: usize| {
        endpoint
            .statements()
            .iter()
            .skip(before)
            .any(|sql| sql.contains("XTASK_CONFORMANCE_") && sql.contains(text))
    };
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let waited = (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            is_so()
        });
        assert!(waited, "{what}");
    };
    // Each group at another point: before its first statement, in the middle, while dbt writes.
    for (only, delayed, at) in [
        ("clone", "nothing", "startswith"),
        ("clone", " clone ", "create view"),
        ("clone", "nothing", " clone "),
        ("lock", "nothing", "LOCK_A as"),
        ("privileges", "use role", "SECRETS as"),
        ("rows", "begin", "create transient"),
        ("dbt", "nothing", "create schema"),
        ("dbt", "DOUBLED", "NUMBERS"),
    ] {
        let before = endpoint.statements().len();
        endpoint.demand(&json!({"reset": true}));
        endpoint.demand(&json!({"delay": 1, "containing": delayed}));
        let mut command = endpoint.command(&checkout, &["conformance", "--only", only]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        until(at, &|| seen(at, before) || seen(&at.to_lowercase(), before));
        // The delayed statement is on its way.
        std::thread::sleep(Duration::from_millis(200));
        child.kill().expect("killed");
        drop(child.wait());
        std::thread::sleep(Duration::from_secs(3));
        until("the janitor drops", &|| scratch_schemas(&endpoint) == 0);
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(scratch_schemas(&endpoint), 0, "{only}, {delayed}, {at}");
    }
}
