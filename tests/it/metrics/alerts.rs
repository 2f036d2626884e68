//! Alerts and history: what is stored from call to call, and when alerts fire.

use serde_json::{Value, json};

use super::{checkout, figure, query};
use crate::support::{Checkout, Ended};

const POLICY: &str = "policies/alerts.toml";

fn on(checkout: &Checkout, day: &str, more: &[&str]) -> Ended {
    checkout.run(&[&["metrics", "--schema", "dev", "--days", "1", "--until", day], more].concat())
}

fn alert(ended: &Ended) -> Value {
    ended.json()["alerts"][0].clone()
}

#[test]
fn reading_an_alert_changes_nothing_about_it() {
    let checkout = checkout();
    checkout.edit(POLICY, |_| {
        "[[alerts]]\nname = \"failures\"\nfigure = \"query_failure_rate\"\nseverity = \"high\"\nabove = 0.1\n".to_owned()
    });
    query(&checkout, "2026-03-02 10:00:00", "1", "SUCCESS");
    query(&checkout, "2026-03-03 10:00:00", "1", "FAILED_WITH_ERROR");
    query(&checkout, "2026-03-03 11:00:00", "1", "FAILED_WITH_ERROR");
    query(&checkout, "2026-03-05 10:00:00", "1", "SUCCESS");
    let gate = |day: &str| on(&checkout, day, &["--gate", "--format", "json"]);

    assert_eq!(alert(&gate("2026-03-03").expect(0))["state"], "ok");
    for at in ["2026-03-03T10:30:00Z", "2026-03-03T11:30:00Z", "2026-03-03T11:30:00Z"] {
        let fires = gate(at).expect(1);
        assert!(fires.stderr.contains("alert: failures (high)"), "{}", fires.stderr);
        assert_eq!((&alert(&fires)["changed"], &alert(&fires)["value"]), (&json!(true), &json!(1.0)));
        assert_eq!(alert(&fires)["since"], "2026-03-03T10:30:00Z");
    }
    let unknown = gate("2026-03-05").expect(0);
    assert_eq!(alert(&unknown)["state"], "unknown", "no query on that day");
    assert_eq!(alert(&gate("2026-03-06").expect(0))["state"], "ok");
}

#[test]
fn the_severity_decides_whether_the_gate_fails() {
    let checkout = checkout();
    query(&checkout, "2026-03-03 10:00:00", "1", "FAILED_WITH_ERROR");
    for (gate, severity, code) in [
        ("", "high", 1),
        ("", "medium", 0),
        ("gate = \"medium\"\n", "medium", 1),
        ("gate = \"critical\"\n", "high", 0),
    ] {
        checkout.edit(POLICY, |_| {
            format!("{gate}[[alerts]]\nname = \"a\"\nfigure = \"failed_queries\"\nseverity = \"{severity}\"\nabove = 0\n")
        });
        let ended = on(&checkout, "2026-03-03T12:00:00Z", &["--gate", "--format", "json"]).expect(code);
        assert_eq!((&alert(&ended)["state"], &alert(&ended)["gates"]), (&json!("firing"), &json!(code == 1)));
    }
}

#[test]
fn a_change_is_compared_with_the_median_of_the_days_before() {
    let checkout = checkout();
    checkout.edit(POLICY, |_| {
        "[[alerts]]\nname = \"slow\"\nfigure = \"query_max_seconds\"\nseverity = \"high\"\nrises_by = 0.5\nmin_days = 3\n"
            .to_owned()
    });
    for (day, ms) in [("01", "1000"), ("02", "2000"), ("03", "90000"), ("04", "2999"), ("05", "3000.0")] {
        query(&checkout, &format!("2026-03-{day} 10:00:00"), ms, "SUCCESS");
    }
    let at = |day: &str| on(&checkout, day, &["--gate", "--format", "json"]);
    assert_eq!(alert(&at("2026-03-02").expect(0))["state"], "unknown");
    assert_eq!(alert(&at("2026-03-03").expect(0))["state"], "unknown");
    assert_eq!(
        alert(&at("2026-03-04").expect(0))["state"],
        "unknown",
        "two days are known, three are required"
    );
    // The days before took 1, 2 and 90 seconds: 2 is the median, 3 the limit.
    let fine = alert(&at("2026-03-05").expect(0));
    assert_eq!(
        (&fine["state"], &fine["baseline"], &fine["threshold"]),
        (&json!("ok"), &json!(2.0), &json!(3.0))
    );

    query(&checkout, "2026-03-04 11:00:00", "3001", "SUCCESS");
    let ended = at("2026-03-05").expect(1);
    assert_eq!(alert(&ended)["state"], "firing");

    let report = at("2026-03-06").expect(0).json();
    let kept: Vec<&Value> = report["history"]["rows"]
        .as_array()
        .expect("points")
        .iter()
        .filter(|p| p["name"] == "query_max_seconds")
        .collect();
    assert_eq!(kept.len(), 4, "a second call of a day replaces the first");
    assert_eq!(kept[3], &json!({"date_day": "2026-03-04", "name": "query_max_seconds", "value": 3.001}));
    assert_eq!(figure(&report, "query_max_seconds")["previous"], 3.001);
}

#[test]
fn the_history_ends_by_the_clock_and_the_future_is_refused() {
    let checkout = checkout();
    let count = || {
        checkout.sql("select count(distinct as_of) as n from xtask_registry.metrics_history")[0]["n"].clone()
    };
    let keep = |scope: &str, days_ago: u32| {
        checkout.sql(&format!(
            "insert into xtask_registry.metrics_history select '{scope}', 1, current_date - {days_ago}, 'queries', 1,
                 'count', 'ok', 'ledger_queries', now()"
        ));
    };
    on(&checkout, "2026-03-02", &[]).expect(0);
    on(&checkout, "2026-03-02", &[]).expect(0);
    assert_eq!(count(), 1);
    keep("dev", 402);
    keep("other", 403);
    keep("dev", 390);
    let refused = on(&checkout, "2999-03-01", &[]).expect(2).stderr;
    assert!(refused.contains("in the future"), "{refused}");
    assert_eq!(count(), 4, "refused before anything is deleted");
    on(&checkout, "2026-03-03", &[]).expect(0);
    assert_eq!(count(), 4, "after 400 days a day of this scope is deleted, one of another scope is not");
}

#[test]
fn a_bad_policy_is_named_with_its_key() {
    let checkout = checkout();
    let start = "[[alerts]]\nname = \"a\"\nseverity = \"high\"\n";
    for (text, names) in [
        ("figure = \"queries\"\nabov = 1\n", "abov"),
        ("figure = \"query\"\nabove = 1\n", "no figure \"query\""),
        ("figure = \"queries\"\n", "give one of them"),
        ("figure = \"queries\"\nunknown = true\nabove = 1\n", "give one of them"),
        ("figure = \"queries\"\nabove = 1\nbelow = 0\n", "give one of them"),
        ("figure = \"queries\"\nabove = \"1\"\n", "above"),
        ("figure = \"queries\"\nrises_by = -1\n", "rises_by"),
        ("figure = \"queries\"\nabove = nan\n", "finite"),
        ("figure = \"queries\"\nrises_by = 1\nover_days = 400\n", "over_days"),
        ("figure = \"queries\"\nabove = 1\nonly_if = { queris = 1 }\n", "only_if"),
    ] {
        checkout.edit(POLICY, |_| format!("{start}{text}"));
        let said = on(&checkout, "2026-03-03", &[]).expect(2).stderr;
        assert!(said.contains("alerts.toml") && said.contains(names), "{text}\n{said}");
    }
}
