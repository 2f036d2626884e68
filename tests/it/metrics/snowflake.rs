//! The same histories on the local Snowflake: the same figures, from Snowflake's own query history.

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{figure, values};
use crate::support::Checkout;
use crate::support::endpoint::Endpoint;

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

/// The midnight that the window ends at. Snowflake tells of seven days only, so the days are those of now.
fn today() -> Date {
    jiff::Timestamp::now().to_zoned(TimeZone::UTC).date()
}

/// Queries of three days ago, skewed and on the borders of the day, and of others that are not ours.
fn history(schema: &str) -> String {
    let day = today().checked_sub(3.days()).expect("a day");
    let window = today().checked_sub(5.days()).expect("a day");
    format!(
        "select 'q' || row_number() over () as query_id, 'SELECT' as query_type, {schema} as schema_name,
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
fn both_engines_tell_the_same_of_the_same_history() {
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
    let (until, day) = (today().to_string(), today().checked_sub(2.days()).expect("a day"));
    endpoint.remember(&format!(
        "select 'q' || i as query_id, 'DEV' as schema_name, 'SUCCESS' as execution_status, i as total_elapsed_time,
             timestamp '{day}' + to_seconds(8 * i) as start_time, timestamp '{day}' + to_seconds(8 * i) as end_time
         from range(10000) as t(i)"
    ));
    let report = endpoint.run(&checkout, &arguments(&until, &[])).expect(0).json();
    let queries = figure(&report, "queries");
    assert_eq!((&queries["value"], &queries["status"]), (&json!(10_000), &json!("ok")));
    assert_eq!(figure(&report, "query_total_seconds")["value"], 49_995.0);

    let kept = endpoint
        .run(&checkout, &arguments(&today().tomorrow().expect("a day").to_string(), &[]))
        .expect(0)
        .json();
    let points = kept["history"]["rows"].as_array().expect("points");
    assert!(
        points.iter().any(|point| point["name"] == "queries" && point["value"] == 10_000.0),
        "{points:?}"
    );
}
