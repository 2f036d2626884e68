//! What a message says for each way a pipeline can end: verdict, headline, causes, trigger and links.

use serde_json::{Value, json};

use super::*;
use crate::notify::facts::{Job, Metrics, Origin, Plan};

fn node(id: &str, status: &str, depends_on: &[&str]) -> Value {
    let kind = id.split('.').next().unwrap_or_default();
    json!({
        "id": id, "name": id.rsplit('.').next(), "kind": kind, "status": status, "seconds": 1.5,
        "message": (status == "error").then_some("Database Error in model x (x.sql)\n  Binder Error: no y\n"),
        "depends_on": depends_on,
    })
}

fn run(status: &str, nodes: &[Value]) -> Run {
    serde_json::from_value(json!({
        "schema": "issue_42", "target": "local", "run_id": "r", "status": status, "nodes": nodes,
    }))
    .expect("a run")
}

fn plan(value: Value) -> Plan {
    serde_json::from_value(value).expect("a plan")
}

fn stages(list: &[&str]) -> Vec<Job> {
    list.iter().map(|text| text.parse().expect("a stage")).collect()
}

fn named(message: &Message) -> Vec<&str> {
    message.causes.iter().map(|cause| cause.name.as_str()).collect()
}

#[test]
fn a_failure_is_told_by_its_root_and_the_rest_is_counted() {
    let nodes = [
        node("model.p.a", "error", &[]),
        node("model.p.b", "error", &["model.p.between"]),
        node("model.p.between", "success", &["model.p.a"]),
        node("test.p.t", "fail", &["model.p.other"]),
        node("model.p.c", "skipped", &["model.p.a"]),
        node("model.p.d", "skipped", &[]),
        node("unit_test.p.u", "pass", &[]),
    ];
    let message = compose(&Facts { runs: vec![run("fail", &nodes)], ..Facts::default() });
    assert_eq!(named(&message), ["a", "t"], "b follows from a");
    assert_eq!((message.skipped, message.failures.len()), (2, 3));
    assert_eq!(message.causes[0].line.as_deref(), Some("Binder Error: no y"));
    assert_eq!(message.headline, "issue_42: elt failed, 1 of 2 tests failed");
    assert_eq!(message.reproduce.as_deref(), Some("cargo xtask elt --schema issue_42"));
}

#[test]
fn nodes_that_depend_on_each_other_are_still_told() {
    let nodes = [node("model.p.a", "error", &["model.p.a"])];
    assert_eq!(named(&compose(&Facts { runs: vec![run("fail", &nodes)], ..Facts::default() })), ["a"]);
}

#[test]
fn every_outcome_has_its_words() {
    let asked = |action: &str| {
        Some(plan(json!({"action": action, "schema": "issue_42", "stages": {"observability": false}})))
    };
    let passed = run("success", &[node("test.p.t", "pass", &[])]);
    let cases = [
        (
            asked("build"),
            vec![passed],
            &["security=success"][..],
            Verdict::Succeeded,
            "issue_42: built, 1 of 1 tests passed",
        ),
        (
            asked("build"),
            vec![],
            &["security=failure", "elt=skipped"],
            Verdict::Failed,
            "issue_42: security failed",
        ),
        (
            asked("build"),
            vec![],
            &["elt=failure", "security=failure"],
            Verdict::Failed,
            "issue_42: security and elt failed",
        ),
        (asked("build"), vec![], &["elt=cancelled"], Verdict::Cancelled, "issue_42: cancelled"),
        (asked("cleanup"), vec![], &["cleanup=success"], Verdict::Succeeded, "issue_42: cleaned up"),
        (asked("cleanup"), vec![], &["cleanup=failure"], Verdict::Failed, "issue_42: the clean-up failed"),
        (asked("none"), vec![], &["plan=success", "elt=skipped"], Verdict::Nothing, "issue_42: nothing ran"),
        // A job that is not a clean-up says nothing about one, and one that fails is named.
        (asked("cleanup"), vec![], &["plan=success"], Verdict::Nothing, "issue_42: nothing ran"),
        (
            asked("cleanup"),
            vec![],
            &["plan=success", "janitor=success", "observability=failure"],
            Verdict::Failed,
            "issue_42: observability failed",
        ),
        (None, vec![], &["plan=failure"], Verdict::Failed, "pipeline: plan failed"),
        (None, vec![], &[], Verdict::Unknown, "pipeline: ended, but no stage left a result"),
    ];
    for (plan, runs, results, verdict, headline) in cases {
        let message = compose(&Facts { plan, runs, stages: stages(results), ..Facts::default() });
        assert_eq!((message.verdict, message.headline.as_str()), (verdict, headline), "{results:?}");
    }
}

#[test]
fn a_clean_up_reports_what_its_job_dropped() {
    let asked = || Some(plan(json!({"action": "cleanup", "observed": "prod", "target": "snowflake"})));
    for (dropped, results, verdict, headline) in [
        (Some(0), &["janitor=success"][..], Verdict::Nothing, "prod: nothing ran"),
        (Some(1), &["janitor=success"], Verdict::Succeeded, "prod: cleaned up"),
        (Some(3), &["janitor=success"], Verdict::Succeeded, "prod: cleaned up, 3 environments dropped"),
    ] {
        let message = compose(&Facts { plan: asked(), dropped, stages: stages(results), ..Facts::default() });
        assert_eq!((message.verdict, message.headline.as_str()), (verdict, headline));
    }
    let reproduce = |results: &[&str]| {
        compose(&Facts { plan: asked(), stages: stages(results), ..Facts::default() }).reproduce
    };
    let alert = reproduce(&["janitor=success", "observability=failure"]);
    assert_eq!(alert.as_deref(), Some("cargo xtask metrics --schema prod --gate --target snowflake"));
    let failed = reproduce(&["janitor=failure"]);
    assert_eq!(failed.as_deref(), Some("cargo xtask schema gc --target snowflake"));
    assert_eq!(reproduce(&["plan=failure"]), None, "no line shows a plan that failed");
}

#[test]
fn a_failed_security_stage_shows_its_findings() {
    let finding = json!({"rule": "github-token", "path": "a.py", "line": 7, "message": "GitHub token"});
    let facts = Facts {
        plan: Some(plan(json!({"schema": "issue_42", "action": "build"}))),
        stages: stages(&["security=failure", "elt=skipped"]),
        findings: vec![serde_json::from_value(finding).expect("a finding")],
        ..Facts::default()
    };
    let message = compose(&facts);
    assert_eq!(message.causes.len(), 1, "the finding is the cause, not that the stage failed");
    let cause = &message.causes[0];
    assert_eq!((cause.name.as_str(), cause.line.as_deref()), ("github-token", Some("GitHub token")));
    assert_eq!(cause.location.as_ref().map(|place| place.line), Some(7));
    assert!(message.reproduce.is_some_and(|line| line.starts_with("cargo xtask lint")));
}

#[test]
fn stages_come_in_their_order_and_say_what_was_not_asked_for() {
    let facts = Facts {
        plan: Some(plan(json!({"stages": {"security": true, "elt": true, "observability": false}}))),
        stages: stages(&[
            "plan=success",
            "observability=skipped",
            "notify=failure",
            "elt=skipped",
            "security=failure",
        ]),
        ..Facts::default()
    };
    let expected = [
        ("security", State::Failure),
        ("elt", State::Skipped),
        ("observability", State::NotAsked),
        ("notify", State::Failure),
    ];
    assert_eq!(compose(&facts).stages, expected.map(|(name, state)| (name.to_owned(), state)));
}

#[test]
fn the_trigger_is_told_in_words() {
    let words = |event: Value| {
        compose(&Facts { plan: Some(plan(json!({"event": event}))), ..Facts::default() }).trigger.what
    };
    let issue = json!({"name": "issues", "number": 42, "title": "Slow\n\tmovers"});
    assert_eq!(words(issue).as_deref(), Some("issue #42: Slow movers"));
    assert_eq!(words(json!({"name": "push", "branch": "main"})).as_deref(), Some("push to main"));
    assert_eq!(words(json!({"name": "schedule"})).as_deref(), Some("schedule"));
    let origin = Origin { event: Some("workflow_dispatch".into()), ..Origin::default() };
    let message = compose(&Facts { origin, ..Facts::default() });
    assert_eq!(message.trigger.what.as_deref(), Some("started by hand"));
}

#[test]
fn a_comment_goes_to_the_plans_issue_or_the_environments() {
    let of = |value| number(&Facts { plan: Some(plan(value)), ..Facts::default() });
    assert_eq!(of(json!({"schema": "issue_7", "event": {"number": 9}})), Some(9));
    assert_eq!(of(json!({"schema": "pr_7", "event": {"number": null}})), Some(7));
    assert_eq!(of(json!({"schema": "dev"})), None);
    assert_eq!(of(json!({"schema": "issue_7; drop"})), None);
}

#[test]
fn an_unknown_figure_is_not_zero_and_alerts_that_fire_are_shown() {
    let figures = json!({"figures": [
        {"name": "queries", "value": 1_234_567, "unit": "count", "status": "ok"},
        {"name": "fill", "value": 0.97312, "unit": "ratio", "status": "ok"},
        {"name": "p95", "value": 1.5, "unit": "seconds", "status": "ok"},
        {"name": "cost", "value": null, "unit": "credits", "status": "no_privilege", "reason": "takes a role"},
        {"name": "lag", "value": null, "status": "delayed"},
    ], "alerts": [
        {"name": "a", "severity": "high", "state": "firing", "since": "2026-03-08T10:30:00Z", "message": "3 queries failed"},
        {"name": "b", "severity": "low", "state": "firing", "changed": false, "message": "known since yesterday"},
        {"name": "c", "state": "ok", "changed": true, "message": "data is fresh"},
        {"name": "d", "state": "unknown", "changed": true, "message": "not known"},
    ]});
    let metrics: Metrics = serde_json::from_value(figures).expect("metrics");
    let message = compose(&Facts { metrics: Some(metrics), ..Facts::default() });
    assert_eq!(
        message.alerts,
        ["🔔 a [high]: 3 queries failed (since 2026-03-08 10:30 UTC)", "🔔 b [low]: known since yesterday"]
    );
    let words: Vec<&str> = message.figures.iter().map(|(_, words)| words.as_str()).collect();
    assert_eq!(
        words,
        ["1,234,567", "97.312 %", "1.5 seconds", "unknown (takes a role)", "unknown (delayed)"]
    );
}

#[test]
fn only_web_addresses_become_links() {
    let safe = link("https://github.com/o/r/actions/runs/1?a=b&c=d#e");
    assert_eq!(safe.as_deref(), Some("https://github.com/o/r/actions/runs/1?a=b&c=d#e"));
    for text in ["javascript:alert(1)", "file:///etc/passwd", "nonsense", "https://"] {
        assert_eq!(link(text), None, "{text}");
    }
    let hostile = link("https://x.example/a|b>c)d`e\n<!channel>").expect("an address");
    assert!(!hostile.contains(['|', '>', '<', ')', '`', '\n']), "{hostile}");
}

#[test]
fn texts_are_cut_by_characters() {
    assert_eq!(line("a\u{202E}b  \u{0}c\r\nd", 10), "ab c d");
    assert_eq!(line("ééééé", 4), "ééé…");
}
