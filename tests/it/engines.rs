//! The models on both engines: DuckDB, and Snowflake's protocol as the local endpoint serves it.
//!
//! The unmodified dbt-snowflake builds the same project from the same seeds, with all its tests; then the reports and every gold
//! table is compared with DuckDB's row by row. A difference is of a known kind or fails the test.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use serde_json::Value;

use crate::support::endpoint::{Endpoint, PrivateKey};
use crate::support::{self, BUILT, Checkout, Ended, environment, root};
use crate::{metrics, planning};

/// dbt itself, on the checkout's project and against the endpoint.
fn dbt(endpoint: &Endpoint, checkout: &Checkout, args: &[&str]) -> Command {
    let mut command = support::scrubbed_program(&environment().join("bin/dbt"), checkout.root());
    command
        .args(args)
        .args(["--target", "snowflake", "--project-dir", "dbt", "--profiles-dir", "dbt", "--no-use-colors"])
        .envs(variables(endpoint))
        .env("SNOWFLAKE_USER", "builder")
        .env("SNOWFLAKE_PASSWORD", "any")
        .env("DBT_TARGET_PATH", checkout.path("dbt/target-snowflake"))
        .env("DBT_LOG_PATH", checkout.path("dbt/logs-snowflake"));
    command
}

/// What every dbt process has beside its credentials.
fn variables(endpoint: &Endpoint) -> Vec<(&'static str, String)> {
    let mut all = endpoint.place();
    all.push(("DBT_TARGET_SCHEMA", BUILT.to_owned()));
    all.push(("DBT_SNOWFLAKE_QUERY_TAG", r#"{"tool":"xtask"}"#.to_owned()));
    all
}

/// What came of logging in by `dbt/profiles.yml` with each set of variables.
fn profile_logins(endpoint: &Endpoint, ways: &[(&str, Vec<(&str, String)>)]) -> Vec<String> {
    let sets: Vec<serde_json::Map<String, Value>> = ways
        .iter()
        .map(|(_, more)| {
            let all = variables(endpoint).into_iter().chain(more.iter().cloned());
            all.map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
        })
        .collect();
    let mut process = support::scrubbed_program(&environment().join("bin/python"), root())
        .arg(root().join("tests/snowflake/profile_logins.py"))
        .env("HTTP_PROXY", format!("http://127.0.0.1:{}", endpoint.port()))
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let stdin = process.stdin.take().expect("a pipe");
    serde_json::to_writer(stdin, &sets).expect("a reader");
    let ended = Ended::from(process.wait_with_output().expect("python ends")).expect(0);
    ended.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn a_build_is_the_same_on_duckdb_and_snowflake() {
    let checkout = Checkout::built();
    let data = checkout.path("snowflake.duckdb");
    let endpoint = Endpoint::keeping(&data);
    endpoint.run(&checkout, &["elt", "--schema", BUILT]).expect(0);
    metrics::assert_a_build_has_the_same_report(&endpoint, &checkout);
    seeds_of_another_folder_are_checked(&checkout, &endpoint);

    // only when it has ended is the file whole
    drop(endpoint);
    assert_gold_is_the_same(&checkout, &data);
    planning::assert_gold_follows_from_its_formulas(&checkout, &data, &BUILT.to_uppercase());
}

/// The model of findings: sound data has none. Its unit test compares findings on each engine.
pub(crate) const MAY_BE_EMPTY: [&str; 1] = ["suspicious_data"];

/// Every gold table of the checkout's DuckDB against the one in the data that an endpoint left.
pub(crate) fn assert_gold_is_the_same(checkout: &Checkout, data: &Path) {
    let gold = gold_models(checkout);
    assert!(gold.len() >= 4, "{gold:?}");
    for model in gold {
        let duckdb = Table::read(checkout, "", &format!("{BUILT}.{model}"));
        let attach = format!("attach '{}' as snowflake;", data.display());
        let place = format!("snowflake.{}.{}", BUILT.to_uppercase(), model.to_uppercase());
        let snowflake = Table::read(checkout, &attach, &place);
        let may_be_empty = MAY_BE_EMPTY.contains(&model.as_str());
        assert!(may_be_empty || !duckdb.rows.is_empty(), "{model} has no rows to compare");
        let differences = compare(&duckdb, &snowflake);
        let unexplained: Vec<&Difference> =
            differences.iter().filter(|found| !found.is_explained()).collect();
        assert!(
            unexplained.is_empty(),
            "{model}: {} of {}: {unexplained:#?}",
            unexplained.len(),
            differences.len()
        );
    }
}

/// `DBT_SEED_DIR` counts on Snowflake too, whatever the order of the columns, and a value that its type does not hold
/// stops the seed.
fn seeds_of_another_folder_are_checked(checkout: &Checkout, endpoint: &Endpoint) {
    let folder = checkout.path("other seeds");
    fs::create_dir(&folder).expect("a folder");
    write(
        &folder,
        "raw_suppliers",
        "supplier_name,supplier_id,country_code,lead_time_stddev_days,lead_time_days\n\"A, \"\"B\"\"\",S,DE,,7\n",
    );
    write(
        &folder,
        "raw_warehouses",
        "warehouse_id,warehouse_name,city,country_code,capacity_units\nW,A,B,DE,3.7\n",
    );
    let mut command = dbt(endpoint, checkout, &["seed", "--select", "raw_suppliers", "raw_warehouses"]);
    // in a separate schema: what was built stays as it was
    command.env("DBT_SEED_DIR", &folder).env("DBT_TARGET_SCHEMA", "issue_43");
    let said = Ended::of(command).expect(1).stdout;
    assert!(
        said.contains("other seeds/raw_warehouses.csv, column capacity_units: '3.7' is not integer"),
        "{said}"
    );
    assert!(said.contains("OK loaded seed file ISSUE_43.raw_suppliers"), "{said}");
}

fn write(folder: &Path, seed: &str, text: &str) {
    fs::write(folder.join(seed).with_extension("csv"), text).expect("a writable folder");
}

fn gold_models(checkout: &Checkout) -> Vec<String> {
    let mut models: Vec<String> = fs::read_dir(checkout.path("dbt/models/gold"))
        .expect("the gold models")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    models.sort();
    models
}

/// A relation as an engine has it: names in lower case, each value as the text that the engine writes.
struct Table {
    columns: Vec<(String, String)>,
    rows: Vec<Vec<Option<String>>>,
}

impl Table {
    fn read(checkout: &Checkout, before: &str, relation: &str) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let described = checkout.sql(&format!("{before} describe {relation}"));
        let part = |row: &Value, name: &str| text(&row[name]).expect("a description");
        let columns: Vec<(String, String)> =
            described.iter().map(|row| (part(row, "column_name"), part(row, "column_type"))).collect();
        // By the row's key, which rounding does not change, so that the rows of both engines line up.
        let keys: Vec<&str> = columns
            .iter()
            .filter(|(_, kind)| kind == "VARCHAR" || kind == "DATE")
            .map(|(name, _)| name.as_str())
            .collect();
        let rows = checkout
            .sql(&format!("{before} select columns(*)::varchar from {relation} order by {}", keys.join(", ")))
            .iter()
            .map(|row| columns.iter().map(|(name, _)| text(&row[name])).collect())
            .collect();
        let columns = columns.into_iter().map(|(name, kind)| (name.to_lowercase(), kind)).collect();
        Self { columns, rows }
    }
}

#[derive(Debug, PartialEq)]
enum Difference {
    /// Snowflake has one type for all integers.
    IntegerWidth {
        column: String,
    },
    /// One unit of the last digit: a double was rounded from the other side of the half.
    Rounding {
        column: String,
        row: usize,
    },
    Columns {
        duckdb: Vec<String>,
        snowflake: Vec<String>,
    },
    Type {
        column: String,
        duckdb: String,
        snowflake: String,
    },
    Rows {
        duckdb: usize,
        snowflake: usize,
    },
    Value {
        column: String,
        row: usize,
        duckdb: Option<String>,
        snowflake: Option<String>,
    },
}

impl Difference {
    fn is_explained(&self) -> bool {
        matches!(self, Self::IntegerWidth { .. } | Self::Rounding { .. })
    }
}

fn compare(duckdb: &Table, snowflake: &Table) -> Vec<Difference> {
    let names = |table: &Table| table.columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    if names(duckdb) != names(snowflake) {
        return vec![Difference::Columns { duckdb: names(duckdb), snowflake: names(snowflake) }];
    }
    let mut found: Vec<Difference> = duckdb
        .columns
        .iter()
        .zip(&snowflake.columns)
        .filter_map(|(ours, theirs)| compare_types(ours, &theirs.1))
        .collect();
    if duckdb.rows.len() != snowflake.rows.len() {
        found.push(Difference::Rows { duckdb: duckdb.rows.len(), snowflake: snowflake.rows.len() });
    }
    for (row, (ours, theirs)) in duckdb.rows.iter().zip(&snowflake.rows).enumerate() {
        for (((column, _), ours), theirs) in duckdb.columns.iter().zip(ours).zip(theirs) {
            found.extend(compare_values(column, row, ours.as_deref(), theirs.as_deref()));
        }
    }
    found
}

fn compare_types((column, duckdb): &(String, String), snowflake: &str) -> Option<Difference> {
    const INTEGERS: [&str; 4] = ["SMALLINT", "INTEGER", "BIGINT", "HUGEINT"];
    if duckdb == snowflake {
        return None;
    }
    let column = column.clone();
    if INTEGERS.contains(&duckdb.as_str()) && INTEGERS.contains(&snowflake) {
        return Some(Difference::IntegerWidth { column });
    }
    Some(Difference::Type { column, duckdb: duckdb.clone(), snowflake: snowflake.to_owned() })
}

fn compare_values(
    column: &str,
    row: usize,
    duckdb: Option<&str>,
    snowflake: Option<&str>,
) -> Option<Difference> {
    if duckdb == snowflake {
        return None;
    }
    let column = column.to_owned();
    match (duckdb.and_then(last_digits), snowflake.and_then(last_digits)) {
        (Some((ours, scale)), Some((theirs, same)))
            if scale == same && scale > 0 && ours.abs_diff(theirs) == 1 =>
        {
            Some(Difference::Rounding { column, row })
        }
        _ => {
            let [duckdb, snowflake] = [duckdb, snowflake].map(|value| value.map(str::to_owned));
            Some(Difference::Value { column, row, duckdb, snowflake })
        }
    }
}

/// A decimal as units of its last digit, and its number of digits after the point.
fn last_digits(text: &str) -> Option<(i128, usize)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction}").parse().ok().map(|units| (units, fraction.len()))
}

/// Each way to log in that the README names, by `dbt/profiles.yml` and the unmodified connector.
#[test]
fn the_profile_logs_in_in_every_way() {
    let endpoint = Endpoint::start();
    let key = PrivateKey::new();
    let folder = support::scratch();
    let file = folder.path().join("rsa_key.p8");
    fs::write(&file, &key.encrypted).expect("a writable folder");
    let file = file.to_str().expect("a path in UTF-8").to_owned();
    let user = ("SNOWFLAKE_USER", "builder".to_owned());
    let asks = |way: &str| ("SNOWFLAKE_AUTHENTICATOR", way.to_owned());
    let token = ("SNOWFLAKE_TOKEN", unsigned_token());

    let ways: Vec<(&str, Vec<(&str, String)>)> = vec![
        ("SNOWFLAKE", vec![user.clone(), ("SNOWFLAKE_PASSWORD", "12345".into())]),
        ("SNOWFLAKE_JWT", vec![user.clone(), ("SNOWFLAKE_PRIVATE_KEY", key.plain.replace('\n', "\\n"))]),
        (
            "SNOWFLAKE_JWT",
            vec![
                user.clone(),
                asks("snowflake_jwt"),
                ("SNOWFLAKE_PRIVATE_KEY_PATH", file),
                ("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", key.passphrase),
            ],
        ),
        ("OAUTH", vec![asks("oauth"), token.clone()]),
        ("PROGRAMMATIC_ACCESS_TOKEN", vec![user, asks("programmatic_access_token"), token.clone()]),
        // The connector gives its identity to hosts of Snowflake's domain only, so it gets there by a proxy.
        (
            "WORKLOAD_IDENTITY",
            vec![
                asks("workload_identity"),
                token,
                ("SNOWFLAKE_HOST", "org-account.snowflakecomputing.com".into()),
                ("SNOWFLAKE_PORT", "80".into()),
            ],
        ),
    ];
    let said = profile_logins(&endpoint, &ways);
    assert_eq!(said, vec!["ok"; ways.len()]);

    let logins = endpoint.logins();
    for (login, (authenticator, variables)) in logins.iter().zip(&ways) {
        assert_eq!(login["authenticator"], **authenticator, "{login}");
        let user =
            variables.iter().find(|(name, _)| *name == "SNOWFLAKE_USER").map(|(_, user)| user.to_uppercase());
        assert_eq!(login["user"].as_str(), user.as_deref(), "{login}");
        assert_eq!(login["role"], "BUILDER", "{login}");
        assert_eq!(login["schema"], BUILT.to_uppercase(), "{login}");
        assert_eq!(login["parameters"]["QUERY_TAG"], r#"{"tool":"xtask"}"#, "{login}");
    }
    assert_eq!(logins.len(), ways.len());
    assert_eq!(logins.last().unwrap()["provider"], "OIDC");
}

/// A string that looks like an OIDC token but has no valid signature.
fn unsigned_token() -> String {
    let part = |json: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
    let claims = r#"{"iss":"https://token.actions.githubusercontent.com","sub":"repo:o/r:environment:e"}"#;
    [part(r#"{"alg":"none"}"#), part(claims), part("signature")].join(".")
}

#[test]
fn a_difference_is_explained_by_rounding_and_integers_only() {
    let compared = |ours, theirs| compare_values("c", 0, Some(ours), Some(theirs));
    assert_eq!(compared("1.2500", "1.2500"), None);
    for (ours, theirs) in [("1.2500", "1.2501"), ("-0.01", "0.00"), ("9.99", "10.00")] {
        assert!(compared(ours, theirs).unwrap().is_explained(), "{ours} and {theirs}");
    }
    for (ours, theirs) in
        [("1.2500", "1.2502"), ("7", "8"), ("1.25", "1.250"), ("A", "B"), ("2026-01-01", "2026-01-02")]
    {
        assert!(!compared(ours, theirs).unwrap().is_explained(), "{ours} and {theirs}");
    }
    assert!(!compare_values("c", 0, Some("0"), None).unwrap().is_explained());

    let table = |kind: &str, rows: &[&str]| Table {
        columns: vec![("c".into(), kind.into())],
        rows: rows.iter().map(|value| vec![Some((*value).to_owned())]).collect(),
    };
    let explained = |ours: &Table, theirs: &Table| compare(ours, theirs).iter().all(Difference::is_explained);
    assert!(explained(&table("INTEGER", &["1"]), &table("BIGINT", &["1"])));
    assert!(!explained(&table("INTEGER", &["1"]), &table("DOUBLE", &["1"])));
    assert!(!explained(&table("INTEGER", &["1"]), &table("INTEGER", &["1", "2"])));
}
