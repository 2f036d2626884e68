//! The same histories on the local Snowflake: the same figures, from Snowflake's own query history.

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{figure, values};
use crate::support::endpoint::Endpoint;
use crate::support::{BUILT, Checkout, Ended};

/// The figures that come from the query log.
const OF_QUERIES: [&str; 9] = [
    "queries",
    "failed_queries",
    "query_failure_rate",
    "query_total_seconds",
    "query_mean_seconds",
    "query_p50_seconds",
    "query_p95_seconds",
    "query_max_seconds",
    "last_query_date",
];

/// The midnight that the window ends at. Snowflake's history covers only seven days, so the days depend on
/// the clock.
fn today() -> Date {
    jiff::Timestamp::now().to_zoned(TimeZone::UTC).date()
}

/// Queries of three days ago, skewed and on the borders of the day, and of others that are not ours.
fn history(schema: &str) -> String {
    let day = today().checked_sub(3.days()).expect("a day");
    let window = today().checked_sub(5.days()).expect("a day");
    format!(
        "select 'q' || row_number() over () as query_id, 'SELECT' as query_type,
             'LOGISTICS_DEMO' as database_name, {schema} as schema_name,
             'ann' as user_name, began as start_time, began + to_milliseconds(coalesce(ms, 0)) as end_time,
             ms as total_elapsed_time, status as execution_status, tag as query_tag
         from (
             values
                 (timestamp '{day} 00:00:00', 1000, 'SUCCESS', ''),
                 (timestamp '{day} 10:00:00', 1000, 'SUCCESS', 'no json'),
                 (timestamp '{day} 12:00:00', null, 'FAILED_WITH_INCIDENT', null),
                 (timestamp '{day} 23:59:59.999', 100000, 'FAILED_WITH_ERROR', '{{\"environment\": \"dev\"}}'),
                 (timestamp '{day} 12:00:00', 9000, 'SUCCESS', '{{\"environment\": \"prod\"}}'),
                 (timestamp '{window} 00:00:00', 2000, 'SUCCESS', null),
                 (timestamp '{window} 00:00:00' - interval 1 millisecond, 7000, 'SUCCESS', null)
         ) as given (began, ms, status, tag)"
    )
}

fn arguments<'a>(until: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["metrics", "--schema", "dev", "--days", "5", "--format", "json", "--until", until], more].concat()
}

#[test]
fn both_engines_report_the_same_figures_for_the_same_history() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    let (until, dev) = (today().to_string(), ["schema", "create", "--schema", "dev"]);
    endpoint.run(&checkout, &dev).expect(0);
    endpoint.remember(&history("'DEV'"));
    let theirs = endpoint.run(&checkout, &arguments(&until, &[])).expect(0).json();

    checkout.run(&dev).expect(0);
    checkout.sql(&format!(
        "insert into dev.ledger_queries by name select *, 'r' as run_id, 'n' as node_id from ({})",
        history("'dev'")
    ));
    let ours = checkout.run(&arguments(&until, &[])).expect(0).json();

    assert_eq!(values(&theirs, OF_QUERIES), values(&ours, OF_QUERIES));
    assert_eq!(theirs["daily"]["rows"], ours["daily"]["rows"]);
    // 1, 1, 2 and 100 seconds; percentile at 0.95 x 3 = 2.85 after the first: 2 + 0.85 x 98.
    let known = values(&theirs, ["queries", "failed_queries", "query_mean_seconds", "query_p95_seconds"]);
    assert_eq!(known, [json!(5), json!(2), json!(26.0), json!(85.3)]);
    assert_eq!(figure(&theirs, "queries")["source"], "INFORMATION_SCHEMA.QUERY_HISTORY");
    assert_eq!(theirs["by_warehouse"]["status"], "ok");

    let storage = figure(&theirs, "storage_bytes");
    assert_eq!((&storage["status"], &storage["source"]), (&json!("ok"), &json!("INFORMATION_SCHEMA.TABLES")));
    for name in ["storage_time_travel_bytes", "credits", "warehouse_credits"] {
        let figure = figure(&theirs, name);
        assert_eq!((&figure["value"], &figure["status"]), (&Value::Null, &json!("no_privilege")), "{name}");
        assert!(figure["reason"].is_string(), "{name}");
    }
}

#[test]
fn exactly_a_page_of_queries_is_read_again_in_halves() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.run(&checkout, &["schema", "create", "--schema", "dev"]).expect(0);
    let (until, day) =
        (today().yesterday().expect("a day").to_string(), today().checked_sub(2.days()).expect("a day"));
    endpoint.remember(&format!(
        "select 'q' || i as query_id, 'LOGISTICS_DEMO' as database_name, 'DEV' as schema_name, 'SUCCESS' as execution_status, i as total_elapsed_time,
             timestamp '{day}' + to_seconds(8 * i) as start_time, timestamp '{day}' + to_seconds(8 * i) as end_time
         from range(10000) as t(i)"
    ));
    let report = endpoint.run(&checkout, &arguments(&until, &[])).expect(0).json();
    let queries = figure(&report, "queries");
    assert_eq!((&queries["value"], &queries["status"]), (&json!(10_000), &json!("ok")));
    assert_eq!(figure(&report, "query_total_seconds")["value"], 49_995.0);

    let kept = endpoint.run(&checkout, &arguments(&today().to_string(), &[])).expect(0).json();
    let points = kept["history"]["rows"].as_array().expect("points");
    assert!(
        points.iter().any(|point| point["name"] == "queries" && point["value"] == 10_000.0),
        "{points:?}"
    );
}

#[test]
fn more_than_a_page_in_one_moment_is_reported_as_truncated() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    endpoint.run(&checkout, &["schema", "create", "--schema", "dev"]).expect(0);
    let (until, day) = (today().to_string(), today().checked_sub(2.days()).expect("a day"));
    // Exactly a page, and it cannot be proven that it is all: no slice is short enough to part them.
    endpoint.remember(&format!(
        "select 'q' || i as query_id, 'LOGISTICS_DEMO' as database_name, 'DEV' as schema_name, 'SUCCESS' as execution_status, 1000 as total_elapsed_time,
             timestamp '{day} 10:00:10' as start_time, timestamp '{day} 10:00:11' as end_time
         from range(10000) as t(i)"
    ));
    let report = endpoint.run(&checkout, &arguments(&until, &[])).expect(0).json();
    for name in ["queries", "failed_queries", "query_mean_seconds"] {
        let figure = figure(&report, name);
        assert_eq!(figure["status"], "truncated", "{name}");
        assert!(figure["reason"].as_str().is_some_and(|reason| reason.contains("10000")), "{figure}");
    }
    assert_eq!(values(&report, ["queries", "query_total_seconds"]), [json!(10_000), json!(10_000.0)]);
    assert_eq!(report["daily"]["status"], "truncated");
}

/// The part of a page that shows what the business asks.
fn business(page: &str) -> &str {
    let start = page.find("id=\"business\"").expect("the part for the business");
    let part = &page[start..];
    &part[..part.find("</section>").expect("its end")]
}

/// The reports on the environment that was built at `endpoint` and on that of `checkout`, by DuckDB.
pub(crate) fn assert_a_build_has_the_same_report(endpoint: &Endpoint, checkout: &Checkout) {
    let report = ["metrics", "--schema", BUILT, "--format", "json"];
    let paint = ["metrics", "--schema", BUILT, "--format", "html"];
    let (ours, our_page) = (checkout.run(&report).expect(0).json(), checkout.run(&paint).expect(0).stdout);

    let reads_history = |sql: &&String| sql.to_lowercase().contains("information_schema.query_history(");
    assert_eq!(endpoint.statements().iter().filter(reads_history).count(), 1, "once a build");
    cost_is_known(endpoint);
    checkout.edit("policies/metrics.toml", |text| text + "[cost]\ncredit_price = 2.0\ncurrency = \"EUR\"\n");
    let mut command = endpoint.command(checkout, &report);
    let events = checkout.path("events.ndjson");
    command.env("SNOWFLAKE_ROLE", "ACCOUNTADMIN").arg("--openlineage").arg(&events);
    let theirs = Ended::of(command).expect(0).json();

    // The ledgers are of the same project and the same seeds.
    for name in
        ["runs", "run_success_rate", "failing_environments", "tests", "failed_tests", "test_pass_rate"]
    {
        assert_eq!(figure(&theirs, name)["value"], figure(&ours, name)["value"], "{name}");
        assert_eq!(figure(&theirs, name)["status"], "ok", "{name}");
    }
    // The query log by day is a table at Snowflake, of at most the eight days that its history reaches back.
    let rows = |report: &Value| figure(report, "relation_rows")["value"].as_u64().expect("a number");
    assert!((rows(&ours)..=rows(&ours) + 8).contains(&rows(&theirs)), "{} {}", rows(&ours), rows(&theirs));
    // Except for the time at which each engine ran them.
    let layers = |report: &Value| {
        let mut rows = report["tests_by_layer"]["rows"].clone();
        for row in rows.as_array_mut().expect("rows") {
            row.as_object_mut().expect("a row").remove("oldest_result_at");
        }
        rows
    };
    assert_eq!(layers(&theirs), layers(&ours));
    assert_eq!(
        theirs["latest_run"]["rows"].as_array().map(Vec::len),
        ours["latest_run"]["rows"].as_array().map(Vec::len)
    );
    assert_eq!(theirs["slowest_nodes"]["status"], "ok");

    // Figures that only Snowflake has, for a role that may read them.
    for (name, value, status, source) in [
        ("credits", json!(1.75), "delayed", "ACCOUNT_USAGE.QUERY_ATTRIBUTION_HISTORY"),
        ("warehouse_credits", json!(4.5), "delayed", "ACCOUNT_USAGE.WAREHOUSE_METERING_HISTORY"),
        ("unattributed_credits", json!(2.75), "delayed", "credits, warehouse_credits"),
        ("warehouse_cost", json!(9.0), "delayed", "warehouse_credits"),
        ("storage_fail_safe_bytes", json!(0), "ok", "INFORMATION_SCHEMA.TABLE_STORAGE_METRICS"),
    ] {
        let figure = figure(&theirs, name);
        assert_eq!((&figure["value"], &figure["status"]), (&value, &json!(status)), "{name}");
        assert_eq!(figure["source"], source);
    }
    assert!(
        figure(&theirs, "credits")["reason"].as_str().is_some_and(|delay| delay.contains("8 hours behind"))
    );
    assert_eq!(theirs["cost"]["rows"], json!([{ "environment": BUILT, "credits": 1.75, "money": 3.5 }]));
    let by_node = json!([
        { "environment": BUILT, "node_id": "model.logistics.daily_kpis", "credits": 1.25, "money": 2.5 },
        { "environment": BUILT, "node_id": null, "credits": 0.5, "money": 1.0 },
    ]);
    assert_eq!((&theirs["cost_by_node"]["rows"], &theirs["currency"]), (&by_node, &json!("EUR")));
    assert!(theirs["costly_tests"]["rows"].as_array().is_some_and(|rows| rows.len() == 20));
    let storage = figure(&theirs, "storage_bytes");
    assert_eq!(storage["source"], "INFORMATION_SCHEMA.TABLE_STORAGE_METRICS");
    assert!(storage["value"].as_i64().is_some_and(|bytes| bytes > 0), "{storage}");

    let events = super::openlineage::events(&events);
    let namespace = &events.iter().find_map(|event| event["outputs"].get(0)).expect("an output")["namespace"];
    assert_eq!(namespace, "snowflake://ORG-ACCOUNT");
    let name = format!("LOGISTICS_DEMO.{}.", BUILT.to_uppercase());
    for output in events.iter().filter_map(|event| event["outputs"].get(0)) {
        assert!(output["name"].as_str().is_some_and(|full| full.starts_with(&name)), "{output}");
        assert!(output["facets"]["schema"]["fields"].is_array(), "{output}");
    }

    let their_page = endpoint.run(checkout, &paint).expect(0).stdout;
    let (ours, theirs) = (business(&our_page), business(&their_page));
    let rows = |part: &str| part.matches("<tr").count();
    assert!(rows(ours) > 20, "{} rows", rows(ours));
    assert_eq!(rows(theirs), rows(ours));
    assert!(!theirs.contains("query of this panel failed"), "a panel that Snowflake does not understand");
}

/// The account's own views with some hours of cost in them.
fn cost_is_known(endpoint: &Endpoint) {
    endpoint.sql_as("ACCOUNTADMIN", &format!(
        "create schema snowflake.account_usage;;
         create table snowflake.account_usage.query_attribution_history
             (query_tag varchar, start_time timestamp_ltz, credits_attributed_compute double, query_id varchar);;
         insert into snowflake.account_usage.query_attribution_history values
             ('{{\"environment\": \"{BUILT}\", \"database\": \"LOGISTICS_DEMO\"}}', current_timestamp(), 1.25, 'q1'),
             ('{{\"environment\": \"{BUILT}\", \"database\": \"LOGISTICS_DEMO\"}}', current_timestamp(), 0.5, 'q2'),
             ('{{\"environment\": \"{BUILT}\", \"database\": \"LOGISTICS_DEMO\"}}', dateadd('day', -60, current_timestamp()), 64, 'q3'),
             ('{{\"environment\": \"prod\", \"database\": \"LOGISTICS_DEMO\"}}', current_timestamp(), 16, 'q4'),
             ('of another tool', current_timestamp(), 9, 'q5');;
         create table snowflake.account_usage.query_history
             (query_id varchar, start_time timestamp_ltz, query_text varchar);;
         insert into snowflake.account_usage.query_history values
             ('q1', current_timestamp(), 'create table a as select 1 /* {{\"app\": \"dbt\", \"node_id\": \"model.logistics.daily_kpis\"}} */'),
             ('q2', current_timestamp(), 'select 1'), ('q4', current_timestamp(), 'select 1');;
         create table snowflake.account_usage.warehouse_metering_history
             (start_time timestamp_ltz, warehouse_name varchar, credits_used double);;
         insert into snowflake.account_usage.warehouse_metering_history values
             (current_timestamp(), 'SMALL_WH', 4.5), (current_timestamp(), 'OTHER_WH', 7),
             (dateadd('day', -60, current_timestamp()), 'SMALL_WH', 32)"
    ));
}
