//! Every command that knows ledgers on an environment that an earlier release has made, on both engines.

use crate::support::endpoint::Endpoint;
use crate::support::{BUILT, Checkout, Ended};

/// An environment with a run, on one of the engines.
struct Place {
    checkout: Checkout,
    endpoint: Option<Endpoint>,
}

impl Place {
    fn local() -> Self {
        Self { checkout: Checkout::built(), endpoint: None }
    }

    fn snowflake() -> Self {
        let place = Self { checkout: Checkout::slim(), endpoint: Some(Endpoint::start()) };
        place.run(&["elt", "--schema", BUILT]).expect(0);
        place
    }

    fn run(&self, args: &[&str]) -> Ended {
        match &self.endpoint {
            Some(endpoint) => endpoint.run(&self.checkout, args),
            None => self.checkout.run(args),
        }
    }

    fn sql(&self, statements: &[String]) {
        match &self.endpoint {
            Some(endpoint) => endpoint.sql(&statements.join(";;")),
            None => drop(self.checkout.sql(&statements.join("; "))),
        }
    }

    fn count(&self, query: &str) -> i64 {
        if let Some(endpoint) = &self.endpoint {
            return endpoint.count(query);
        }
        let rows = self.checkout.sql(&format!("select cast(({query}) as bigint) as n"));
        rows[0]["n"].as_i64().expect("a number")
    }
}

/// What the tables were like at each version: version 0 had no versions, and nullable columns were added before there
/// were any.
fn made_by(version: u32) -> Vec<String> {
    let drop = |table: &str, column: &str| format!("alter table {table} drop column {column}");
    let mut statements = vec![
        drop(&format!("{BUILT}.ledger_runs"), "run_url"),
        drop(&format!("{BUILT}.ledger_nodes"), "path"),
    ];
    if version < 2 {
        statements.push(drop(&format!("{BUILT}.ledger_relations"), "column_types"));
    }
    if version < 3 {
        for column in ["project", "repository", "repository_id", "project_folder"] {
            statements.push(drop(&format!("{BUILT}.ledger_environment"), column));
            statements
                .push(format!("alter table xtask_registry.environments drop column if exists {column}"));
        }
    }
    if version == 0 {
        statements.push(drop(&format!("{BUILT}.ledger_environment"), "ledger_version"));
        statements
            .push("alter table xtask_registry.environments drop column if exists ledger_version".to_owned());
    }
    statements
}

const READ: [&[&str]; 10] = [
    &["schema", "list"],
    &["metrics"],
    &["metrics", "--schema", BUILT],
    &["metrics", "--schema", BUILT, "--format", "json"],
    &["metrics", "--schema", BUILT, "--format", "csv"],
    &["metrics", "--schema", BUILT, "--format", "markdown"],
    &["metrics", "--schema", BUILT, "--format", "prometheus"],
    &["metrics", "--schema", BUILT, "--format", "openmetrics"],
    &["metrics", "--schema", BUILT, "--format", "html"],
    &["elt", "--schema", BUILT, "--dry-run"],
];

const WRITE: [&[&str]; 2] = [
    &["schema", "create", "--schema", BUILT],
    &["elt", "--schema", BUILT, "--select", "stg_logistics__suppliers"],
];

fn every_command_takes_an_older_ledger_and_refuses_a_newer_one(place: &Place) {
    let version = format!("select max(ledger_version) from {BUILT}.ledger_environment");
    let runs = format!("select count(*) from {BUILT}.ledger_runs where run_url is null or run_url <> ''");
    let before = place.count(&format!("select count(*) from {BUILT}.ledger_runs"));
    place.sql(&made_by(0));
    for read in READ {
        let ended = place.run(read).expect(0);
        assert!(!ended.stdout.is_empty(), "{read:?}");
    }
    if place.endpoint.is_none() {
        // At Snowflake the doctor looks at the login only.
        let doctor = place.run(&["doctor", "--format", "json"]).json().to_string();
        assert!(doctor.contains(&format!("older than version 3: {BUILT} (0)")), "{doctor}");
    }
    for write in WRITE {
        place.run(write).expect(0);
        assert_eq!(place.count(&version), 3, "{write:?}");
        // The column is there again, and no run was lost.
        assert!(place.count(&runs) >= before, "{write:?}");
        place.sql(&made_by(0));
    }
    // One version earlier, the runs had no columns of relations.
    place.run(WRITE[0]).expect(0);
    place.sql(&made_by(1));
    place.sql(&[format!("update {BUILT}.ledger_environment set ledger_version = 1")]);
    place.run(READ[3]).expect(0);
    place.run(WRITE[1]).expect(0);
    assert_eq!(place.count(&version), 3);
    let relations = format!(
        "select count(*) from {BUILT}.ledger_relations where column_types is null or column_types <> ''"
    );
    assert!(place.count(&relations) > 0, "the column is there again");

    place.sql(&[format!("update {BUILT}.ledger_environment set ledger_version = 99")]);
    for write in WRITE.iter().chain([&["schema", "drop", "--schema", BUILT][..]].iter()) {
        let said = place.run(write).expect(2).stderr;
        assert!(said.contains("version 99") && said.contains("update the toolkit"), "{write:?}: {said}");
    }
    for read in &READ[..9] {
        place.run(read).expect(0);
    }
    place.sql(&[format!("update {BUILT}.ledger_environment set ledger_version = 3")]);
    place.run(&["schema", "drop", "--schema", BUILT]).expect(0);
}

#[test]
fn on_duckdb() {
    every_command_takes_an_older_ledger_and_refuses_a_newer_one(&Place::local());
}

#[test]
fn on_snowflake() {
    every_command_takes_an_older_ledger_and_refuses_a_newer_one(&Place::snowflake());
}
