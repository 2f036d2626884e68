//! The age of the data itself: columns of the policy, sources of dbt, and what `dbt source freshness` found.

use std::fs;

use serde_json::{Value, json};

use super::figure;
use crate::support::endpoint::Endpoint;
use crate::support::{Checkout, Ended};

const POLICY: &str = "[[data_time]]\nrelations = ['events', 'lost']\ncolumn = 'happened_at'\n\
                      [[data_time]]\nrelations = ['*']\ncolumn = 'loaded_at'\n";

/// An environment with tables whose newest rows are known, on either engine.
fn tables(schema: &str, landing: &str, now: &str) -> String {
    format!(
        "create table {schema}.events as select {now} - interval '2 hours' as happened_at
             union all select {now} - interval '3 days' union all select {now} + interval '400 days';
         create table {schema}.days as select cast({now} - interval '1 day' as date) as loaded_at;
         create table {schema}.empty as select {now} as loaded_at limit 0;
         create table {schema}.words as select 'yesterday' as loaded_at;
         create table {schema}.other as select 1 as id;
         create schema {landing};
         create table {landing}.orders as select {now} - interval '30 minutes' as landed_at;
         create table {landing}.stock as select {now} - interval '5 hours' as landed_at"
    )
}

const NOW: &str = "cast(now() at time zone 'utc' as timestamp)";

/// The manifest of a project with sources: on time, late, with an expression, and measured by dbt alone.
fn artifacts(checkout: &Checkout, environment: &str, landing: &str) {
    let source = |table: &str, more: Value| {
        let mut source = json!({"schema": "landing", "identifier": table, "name": table, "source_name": "shop",
                                "relation_name": format!("{landing}.{table}")});
        source.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        source
    };
    let hour = |count| json!({"count": count, "period": "hour"});
    let manifest = json!({"nodes": {}, "sources": {
        "source.p.shop.orders": source("orders", json!({"loaded_at_field": "landed_at",
            "freshness": {"warn_after": hour(1), "error_after": hour(2), "filter": null}})),
        "source.p.shop.stock": source("stock", json!({"config": {"loaded_at_field": "cast(landed_at as timestamp)",
            "freshness": {"warn_after": hour(1), "error_after": hour(4)}}})),
        "source.p.shop.remote": source("remote", json!({"loaded_at_field": "landed_at",
            "freshness": {"error_after": {"count": 1, "period": "day"}}})),
        "source.p.shop.plain": source("plain", json!({})),
    }});
    let folder = checkout.path(&format!("dbt/target/{environment}"));
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("manifest.json"), manifest.to_string()).expect("a manifest");
}

fn row<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rows = report["data_ages"]["rows"].as_array().expect("rows");
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {rows:?}"))
}

/// Hours, with some minutes for the test itself and some seconds by which the machine's clock may be set back.
#[track_caller]
fn expect_hours(report: &Value, name: &str, hours: i64) {
    let row = row(report, name);
    let age = row["age_seconds"].as_i64().unwrap_or_else(|| panic!("{row}"));
    assert!((hours * 3600 - 60..hours * 3600 + 1800).contains(&age), "{row}");
}

fn expect_ages(report: &Value) {
    expect_hours(report, "events", 2);
    assert!(row(report, "events")["reason"].as_str().is_some_and(|said| said.contains("after now")));
    let days = row(report, "days")["age_seconds"].as_i64().expect("an age");
    assert!((86_400..172_800 + 1800).contains(&days), "{days}");
    for (name, reason) in
        [("empty", "no rows"), ("lost", "no such table"), ("words", ""), ("shop.remote", "")]
    {
        let row = row(report, name);
        assert_eq!((&row["age_seconds"], &row["state"]), (&Value::Null, &Value::Null), "{row}");
        assert!(row["reason"].as_str().is_some_and(|said| said.len() > 10 && said.contains(reason)), "{row}");
    }
    assert_eq!(row(report, "shop.orders")["state"], "pass");
    assert_eq!(row(report, "shop.stock")["state"], "error");
    expect_hours(report, "shop.stock", 5);
    let names: Vec<&Value> =
        report["data_ages"]["rows"].as_array().expect("rows").iter().map(|row| &row["name"]).collect();
    assert!(!names.contains(&&json!("other")) && !names.contains(&&json!("shop.plain")), "{names:?}");

    let age = figure(report, "data_age_seconds");
    assert_eq!((age["value"].as_i64(), &age["status"]), (Some(days), &json!("truncated")));
    assert!(age["reason"].as_str().is_some_and(|said| said.starts_with("4 of 8 could not")), "{age}");
    assert_eq!(figure(report, "stale_sources")["value"], 1);
}

#[test]
fn ages_come_from_the_data_and_from_dbts_sources() {
    let checkout = Checkout::new();
    checkout.edit("policies/metrics.toml", |_| POLICY.to_owned());
    checkout.run(&["schema", "create", "--schema", "prod"]).expect(0);
    checkout.sql(&tables("prod", "prod.landing", NOW));
    artifacts(&checkout, "prod", "prod.landing");
    let json = ["metrics", "--schema", "prod", "--format", "json"];
    let mut command = checkout.command(&json);
    command.env("TZ", "Asia/Tokyo");
    let report = Ended::of(command).expect(0).json();
    expect_ages(&report);
    let alert =
        report["alerts"].as_array().expect("alerts").iter().find(|alert| alert["name"] == "sources are late");
    let alert = alert.expect("the alert");
    assert_eq!((&alert["state"], &alert["causes"][0]["name"]), (&json!("firing"), &json!("shop.stock")));
    assert_eq!(
        figure(&report, "freshness_seconds")["value"],
        Value::Null,
        "the age of the last run is another"
    );

    // What dbt measured fills the gap; it was fine when dbt looked.
    let measured = json!({"results": [
        {"unique_id": "source.p.shop.remote", "status": "pass", "max_loaded_at": "2026-01-01T00:00:00+00:00",
         "snapshotted_at": "2026-01-01T00:30:00Z", "criteria": {}},
        {"unique_id": "source.p.shop.gone", "status": "pass", "max_loaded_at": "2026-01-01T00:00:00Z"},
    ]});
    fs::write(checkout.path("dbt/target/prod/sources.json"), measured.to_string()).expect("results");
    let report = checkout.run(&json).expect(0).json();
    let remote = row(&report, "shop.remote");
    assert_eq!((&remote["state"], &remote["measured_by"]), (&json!("error"), &json!("dbt source freshness")));
    assert_eq!(remote["data_time"], "2026-01-01T00:00:00Z");
    assert_eq!(figure(&report, "stale_sources")["value"], 2);

    let text = checkout.run(&["metrics", "--schema", "prod"]).expect(0).stdout;
    assert!(text.contains("shop.stock") && text.contains("loaded_at_field"), "{text}");
    let csv = checkout.run(&["metrics", "--schema", "prod", "--format", "csv"]).expect(0).stdout;
    assert!(csv.contains("data_ages,prod/shop.remote,2026-01-01T00:00:00Z,state,error,"), "{csv}");
    let samples = checkout.run(&["metrics", "--schema", "prod", "--format", "prometheus"]).expect(0).stdout;
    let sample =
        "xtask_data_timestamp_seconds{environment=\"prod\",kind=\"source\",name=\"shop.remote\"} 1767225600";
    assert!(samples.contains(sample), "{samples}");
    let page = checkout.run(&["metrics", "--schema", "prod", "--format", "html"]).expect(0).stdout;
    assert!(page.contains("id=\"data-ages\""));
}

#[test]
fn without_a_column_and_in_the_past_the_age_is_unknown() {
    let checkout = Checkout::new();
    fs::remove_file(checkout.path("policies/metrics.toml")).expect("the policy");
    checkout.run(&["schema", "create", "--schema", "dev"]).expect(0);
    for (more, reason) in [(&[][..], "policies/metrics.toml"), (&["--until", "2026-03-08"], "current age")] {
        let args = [&["metrics", "--schema", "dev", "--format", "json"], more].concat();
        let report = checkout.run(&args).expect(0).json();
        for name in ["data_age_seconds", "stale_sources"] {
            let figure = figure(&report, name);
            assert_eq!((&figure["value"], &figure["status"]), (&Value::Null, &json!("no_data")));
            assert!(figure["reason"].as_str().is_some_and(|said| said.contains(reason)), "{figure}");
        }
    }
    fs::write(checkout.path("policies/metrics.toml"), "[[data_time]]\nrelations = ['a']\ncolumns = 'b'")
        .expect("a policy");
    let said = checkout.run(&["metrics", "--schema", "dev"]).expect(2).stderr;
    assert!(said.contains("metrics.toml") && said.contains("columns"), "{said}");
}

#[test]
fn the_ages_are_the_same_on_snowflake() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    checkout.edit("policies/metrics.toml", |_| POLICY.to_owned());
    endpoint.run(&checkout, &["schema", "create", "--schema", "prod"]).expect(0);
    endpoint.sql(&tables("prod", "landing", "sysdate()").replace(";\n", ";;\n"));
    artifacts(&checkout, "prod", "landing");
    let report =
        endpoint.run(&checkout, &["metrics", "--schema", "prod", "--format", "json"]).expect(0).json();
    expect_ages(&report);
}
