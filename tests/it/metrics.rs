//! `cargo xtask metrics`: known histories with results calculated by hand, and every report format.

mod alerts;
mod data_age;
mod exports;
mod incidents;
mod lifetimes;
mod openlineage;
mod shared_account;
mod snowflake;

pub(crate) use self::snowflake::assert_a_build_has_the_same_report;
use serde_json::{Value, json};

use crate::support::{BUILT, Checkout, Ended};

/// A window of seven days: from 2026-03-02 00:00 to noon of 2026-03-08, in UTC.
const UNTIL: &str = "2026-03-08T12:00:00Z";

/// A checkout with an empty environment that began to run in January.
fn checkout() -> Checkout {
    let checkout = Checkout::new();
    checkout.run(&["schema", "create", "--schema", "dev"]).expect(0);
    run(&checkout, "first", "2026-01-01 08:00:00", "2026-01-01 08:01:00", "success");
    checkout
}

/// A run in the ledger of dev.
fn run(checkout: &Checkout, id: &str, started: &str, finished: &str, status: &str) {
    checkout.sql(&format!(
        "insert into dev.ledger_runs by name select '{id}' as run_id, 'dev' as schema_name,
             timestamp '{started}' as started_at, timestamp '{finished}' as finished_at, '{status}' as status,
             epoch(timestamp '{finished}' - timestamp '{started}') as seconds, true as dbt_started,
             false as up_to_date, false as full_refresh, '0' as toolkit_version"
    ));
}

/// A query in the ledger of dev: when it began, its milliseconds, and how it ended.
fn query(checkout: &Checkout, began: &str, elapsed_ms: &str, status: &str) {
    tagged_query(checkout, began, elapsed_ms, status, r#"{"environment": "dev"}"#);
}

fn tagged_query(checkout: &Checkout, began: &str, elapsed_ms: &str, status: &str, tag: &str) {
    checkout.sql(&format!(
        "insert into dev.ledger_queries by name select uuid() as query_id, 'first' as run_id, 'n' as node_id,
             'SELECT' as query_type, 'dev' as schema_name, 'ann' as user_name, timestamp '{began}' as start_time,
             {elapsed_ms} as total_elapsed_time, '{status}' as execution_status, '{tag}' as query_tag"
    ));
}

fn metrics<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["metrics", "--schema", "dev", "--until", UNTIL], more].concat()
}

fn report(checkout: &Checkout) -> Value {
    checkout.run(&metrics(&["--format", "json"])).expect(0).json()
}

#[track_caller]
fn figure<'a>(report: &'a Value, name: &str) -> &'a Value {
    let figures = report["figures"].as_array().expect("figures");
    figures.iter().find(|figure| figure["name"] == name).unwrap_or_else(|| panic!("no figure {name}"))
}

#[track_caller]
fn values<const N: usize>(report: &Value, names: [&str; N]) -> [Value; N] {
    names.map(|name| figure(report, name)["value"].clone())
}

#[test]
fn skewed_durations_are_summed_before_they_are_divided() {
    let checkout = checkout();
    for (began, elapsed_ms, status) in [
        // Midnight and the end are borders: the window takes its first moment and not its last.
        ("2026-03-02 00:00:00", "1000", "SUCCESS"),
        ("2026-03-02 10:00:00", "1000", "SUCCESS"),
        ("2026-03-02 23:59:59.999999", "1000", "SUCCESS"),
        ("2026-03-08 11:59:59.999999", "100000", "FAILED_WITH_ERROR"),
        ("2026-03-08 12:00:00", "7", "SUCCESS"),
        // The duration of this one is unknown; the incident is a failure too.
        ("2026-03-05 10:00:00", "null", "FAILED_WITH_INCIDENT"),
        // The window before ends at noon of 2026-03-01.
        ("2026-03-01 11:59:59", "2000", "SUCCESS"),
        ("2026-03-01 12:00:00", "4000", "SUCCESS"),
        ("2026-02-23 00:00:00", "3000", "SUCCESS"),
        ("2026-02-22 23:59:59", "5000", "SUCCESS"),
        // Written by a clock that runs ahead.
        ("2999-01-01 00:00:00", "1000", "SUCCESS"),
    ] {
        query(&checkout, began, elapsed_ms, status);
    }
    // A clone includes the log of its base; a query without a readable tag belongs to its schema.
    tagged_query(&checkout, "2026-03-05 10:00:00", "9000", "SUCCESS", r#"{"environment": "prod"}"#);
    tagged_query(&checkout, "2026-03-05 11:00:00", "1000", "SUCCESS", "no json");

    let mut command = checkout.command(&metrics(&["--format", "json"]));
    command.env("TZ", "America/New_York");
    let report = Ended::of(command).expect(0).json();

    assert_eq!(report["window"]["start"], "2026-03-02T00:00:00Z");
    let counts =
        values(&report, ["queries", "failed_queries", "query_failure_rate", "queries_ahead_of_clock"]);
    assert_eq!(counts, [json!(6), json!(2), json!(0.333_333), json!(1)]);
    // 1, 1, 1, 1 and 100 seconds; percentiles at 0.5 x 4 = 2 and 0.95 x 4 = 3.8: 1 + 0.8 x 99.
    let seconds = values(
        &report,
        ["query_total_seconds", "query_mean_seconds", "query_p50_seconds", "query_p95_seconds"],
    );
    assert_eq!(seconds, [json!(104.0), json!(20.8), json!(1.0), json!(80.2)]);
    assert_eq!(figure(&report, "query_max_seconds")["value"], 100.0);
    assert_eq!(figure(&report, "last_query_date")["value"], "2026-03-08");

    let days = report["daily"]["rows"].as_array().expect("days");
    let queries: Vec<&Value> = days.iter().map(|day| &day["queries"]).collect();
    assert_eq!(queries, [3, 0, 0, 2, 0, 0, 1]);
    let means = [&days[0]["mean_seconds"], &days[1]["mean_seconds"], &days[3]["mean_seconds"]];
    assert_eq!(means, [&json!(1.0), &Value::Null, &json!(1.0)], "the unknown time is left out, not zero");

    let before = figure(&report, "queries");
    assert_eq!((&before["previous"], &before["change_ratio"]), (&json!(2), &json!(2.0)));
    assert_eq!(figure(&report, "query_total_seconds")["previous"], 5.0);
    assert_eq!(report["by_user"]["rows"][0]["key"], "ann");
    assert_eq!(report["by_environment"]["rows"][0]["total_seconds"], 104.0);
    assert_eq!(report["by_warehouse"]["status"], "not_supported");
}

#[test]
fn nothing_is_not_zero_seconds() {
    let unused = Checkout::new();
    let report = unused.run(&["metrics", "--format", "json"]).expect(0).json();
    let first = figure(&report, "queries");
    assert_eq!((&first["value"], &first["status"]), (&Value::Null, &json!("no_data")));
    assert!(first["reason"].as_str().expect("a reason").contains("cargo xtask elt"));
    assert!(!unused.databases().exists(), "reading creates no database");
    let said = unused.run(&["metrics", "--schema", "dev"]).expect(2).stderr;
    assert!(said.contains("dev is not an environment"), "{said}");

    let checkout = checkout();
    let report = self::report(&checkout);
    assert_eq!(values(&report, ["queries", "failed_queries", "runs"]), [json!(0), json!(0), json!(0)]);
    for name in
        ["query_failure_rate", "query_mean_seconds", "query_p95_seconds", "run_success_rate", "storage_bytes"]
    {
        let figure = figure(&report, name);
        assert_eq!((&figure["value"], &figure["status"]), (&Value::Null, &json!("no_data")), "{name}");
        assert!(figure["reason"].is_string(), "{name}");
    }
    let credits = figure(&report, "credits");
    assert_eq!((&credits["value"], &credits["status"]), (&Value::Null, &json!("not_supported")));

    query(&checkout, "2026-03-04 00:00:00", "1500", "SUCCESS");
    let report = self::report(&checkout);
    let one = values(&report, ["queries", "query_mean_seconds", "query_p50_seconds", "query_p95_seconds"]);
    assert_eq!(one, [json!(1), json!(1.5), json!(1.5), json!(1.5)]);
}

#[test]
fn exactly_ten_thousand_queries_are_complete() {
    let checkout = checkout();
    checkout.sql(
        "insert into dev.ledger_queries by name
         select i::varchar as query_id, 'first' as run_id, 'n' as node_id, 'SELECT' as query_type,
             timestamp '2026-03-05' + interval (i) second as start_time, i as total_elapsed_time,
             'dev' as schema_name, if(i % 4 = 0, 'FAILED_WITH_ERROR', 'SUCCESS') as execution_status
         from range(1, 10001) as t(i)",
    );
    let report = report(&checkout);
    let figures = values(&report, ["queries", "failed_queries", "query_total_seconds", "query_p95_seconds"]);
    // 10,000 x 10,001 / 2 milliseconds; percentile at 0.95 x 9,999 = 9,499.05 after the first.
    assert_eq!(figures, [json!(10_000), json!(2_500), json!(50_005.0), json!(9.50005)]);
    assert_eq!(figure(&report, "queries")["status"], "ok");
}

#[test]
fn an_outage_lasts_from_the_first_failure_to_the_success_that_ends_it() {
    let checkout = checkout();
    for (id, started, finished, status) in [
        ("a", "2026-03-03 09:00:00", "2026-03-03 10:00:00", "fail"),
        ("b", "2026-03-03 11:00:00", "2026-03-03 11:30:00", "error"),
        ("c", "2026-03-03 12:00:00", "2026-03-03 12:00:10", "interrupted"),
        ("d", "2026-03-03 12:00:00", "2026-03-03 13:00:00", "success"),
        ("e", "2026-03-04 09:00:00", "2026-03-04 10:00:00", "success"),
        ("f", "2026-03-05 09:00:00", "2026-03-05 10:00:00", "fail"),
        ("g", "2026-03-05 10:30:00", "2026-03-05 11:00:00", "success"),
        ("h", "2026-03-08 09:00:00", "2026-03-08 10:00:00", "fail"),
    ] {
        run(&checkout, id, started, finished, status);
    }
    let report = report(&checkout);
    // Three hours and one hour.
    let outages = values(&report, ["recovery_mean_seconds", "failing_environments", "runs", "failed_runs"]);
    assert_eq!(outages, [json!(7200.0), json!(1), json!(8), json!(4)]);
    // Three of the seven that were not interrupted; the last success ended three days and an hour before the
    // end.
    assert_eq!(
        values(&report, ["run_success_rate", "freshness_seconds"]),
        [json!(0.428_571), json!(262_800)]
    );
    assert_eq!(report["runs"]["rows"][0]["run_id"], "h", "newest first");
    assert_eq!(report["lifetime"]["rows"].as_array().expect("rows").len(), 4);
}

#[test]
fn rows_and_bytes_are_compared_with_the_run_before() {
    let checkout = checkout();
    run(&checkout, "second", "2026-03-03 09:00:00", "2026-03-03 10:00:00", "success");
    checkout.sql(
        "insert into dev.ledger_relations
             (run_id, relation_name, relation_type, layer, row_count, bytes, measured_at) values
             ('first', 'a', 'table', 'gold', 10, 1000, timestamp '2026-01-01 08:01:00'),
             ('first', 'gone', 'table', 'gold', 7, 1000, timestamp '2026-01-01 08:01:00'),
             ('second', 'a', 'table', 'gold', 4, 1500, timestamp '2026-03-03 10:00:00'),
             ('second', 'b', 'view', 'gold', null, null, timestamp '2026-03-03 10:00:00'),
             ('second', 'c', 'table', 'gold', 5, null, timestamp '2026-03-03 10:00:00');
         insert into dev.ledger_nodes by name select 'second' as run_id, 'test.p.t' || i as node_id, 't' || i as name,
             'test' as kind, 'gold' as layer, case i when 1 then 'fail' when 2 then 'skipped' else 'pass' end as status,
             timestamp '2026-03-03 09:30:00' as started_at, i as seconds from range(1, 5) as t(i);
         insert into dev.ledger_nodes by name select 'second' as run_id, 'model.p.a' as node_id, 'a' as name,
             'model' as kind, 'success' as status, timestamp '2026-03-03 09:00:00' as started_at, 8 as seconds",
    );
    let report = report(&checkout);
    assert_eq!(
        values(&report, ["relation_rows", "row_change_ratio_max", "storage_bytes"]),
        [json!(9), json!(0.6), json!(1500)]
    );
    let remark = figure(&report, "storage_bytes")["reason"].as_str().expect("a remark");
    assert!(remark.contains("1 table(s) could not be measured"), "{remark}");
    assert_eq!(figure(&report, "storage_bytes")["previous"], 2000);
    let relations = report["relations"]["rows"].as_array().expect("relations");
    assert_eq!(relations.len(), 3, "a dropped relation is not listed");
    assert_eq!(
        (&relations[0]["row_count_change"], &relations[0]["age_seconds"]),
        (&json!(-6), &json!(442_800))
    );
    assert_eq!(relations[1]["row_count_change"], Value::Null);

    assert_eq!(
        values(&report, ["tests", "failed_tests", "test_pass_rate"]),
        [json!(4), json!(1), json!(0.666_667)]
    );
    assert_eq!(report["slowest_nodes"]["rows"][0]["name"], "a");
    let failing = report["failing_nodes"]["rows"].as_array().expect("nodes");
    assert_eq!((failing.len(), &failing[0]["name"]), (1, &json!("t1")));
}

#[test]
fn the_monitoring_models_and_the_report_agree() {
    let checkout = Checkout::built();
    let report = checkout.run(&["metrics", "--schema", BUILT, "--format", "json"]).expect(0).json();
    let model = |sql: &str| checkout.sql(&sql.replace("monitoring_", &format!("{BUILT}.monitoring_")));
    // Decimals come as text.
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    let close = |ours: &Value, theirs: &Value| match (number(ours), number(theirs)) {
        // The models round to four digits, seconds to three.
        (Some(ours), Some(theirs)) => (ours - theirs).abs() < 0.000_6,
        _ => ours == theirs,
    };
    let same = |ours: &Value, theirs: &Value, names: &[(&str, &str)]| {
        for (name, column) in names {
            assert!(
                close(&ours[*name], &theirs[*column]),
                "{name}: {} in\n{ours}\n{theirs}",
                theirs[*column]
            );
        }
    };

    let days = model("select *, cast(date_day as varchar) as day from monitoring_query_daily");
    assert!(!days.is_empty());
    for theirs in &days {
        let rows = report["daily"]["rows"].as_array().expect("days");
        let ours = rows.iter().find(|day| day["date_day"] == theirs["day"]).expect("the same day");
        same(
            ours,
            theirs,
            &[
                ("queries", "queries"),
                ("failed_queries", "failed_queries"),
                ("failure_rate", "failure_rate"),
                ("timed_queries", "timed_queries"),
                ("total_seconds", "total_seconds"),
                ("mean_seconds", "mean_seconds"),
                ("p50_seconds", "p50_seconds"),
                ("p95_seconds", "p95_seconds"),
                ("max_seconds", "max_seconds"),
            ],
        );
    }

    let storage = model("select cast(sum(storage_bytes) as bigint) as bytes from monitoring_storage");
    assert_eq!(figure(&report, "storage_bytes")["value"], storage[0]["bytes"]);

    let volumes = model("select * from monitoring_freshness_volume order by relation_name");
    let relations = report["relations"]["rows"].as_array().expect("relations");
    assert_eq!(relations.len(), volumes.len());
    for (ours, theirs) in relations.iter().zip(&volumes) {
        same(
            ours,
            theirs,
            &[
                ("relation_name", "relation_name"),
                ("layer", "layer"),
                ("row_count", "row_count"),
                ("row_count_change", "row_count_change"),
                ("row_count_change_ratio", "row_count_change_ratio"),
            ],
        );
    }

    let layers = model(
        "select layer, count(*) as tests, cast(sum(is_passed) as bigint) as passed,
             sum(is_passed) / count(is_passed) as pass_rate
         from monitoring_test_results group by layer order by layer nulls last",
    );
    let tests = report["tests_by_layer"]["rows"].as_array().expect("layers");
    assert_eq!(tests.len(), layers.len());
    for (ours, theirs) in tests.iter().zip(&layers) {
        same(
            ours,
            theirs,
            &[("layer", "layer"), ("tests", "tests"), ("passed", "passed"), ("pass_rate", "pass_rate")],
        );
    }
}

#[test]
fn a_prefix_is_not_a_pattern() {
    let checkout = Checkout::new();
    for name in ["issue_1", "issuex1", "dev"] {
        checkout.run(&["schema", "create", "--schema", name]).expect(0);
    }
    let read = |prefix: &str| {
        let mut command = checkout.command(&["metrics", "--format", "json"]);
        command.env("OBSERVABILITY_SCHEMA_PREFIX", prefix);
        Ended::of(command).expect(0).json()["environments"].clone()
    };
    assert_eq!(read("ISSUE_"), json!(["issue_1"]));
    assert_eq!(read("issue"), json!(["issue_1", "issuex1"]));
    assert_eq!(read("%"), json!([]));
    assert_eq!(read(""), json!(["dev", "issue_1", "issuex1"]));
}
