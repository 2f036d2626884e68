//! Every kind of failure in every place: the cause, with the row or the line, is within the first five lines.

use serde_json::{Value, json};

use super::facts::{Facts, Findings, Job, JobResult, Metrics, Run};
use super::message::{self, Message};
use super::{markdown, post, slack};

/// How many lines people read in a preview.
const LINES: usize = 5;

struct Kind {
    name: &'static str,
    facts: Facts,
    /// All of these are to be read.
    causes: &'static [&'static str],
}

fn node(kind: &str, name: &str, status: &str, message: &str, more: &Value) -> Value {
    let mut node = json!({"id": format!("{kind}.p.{name}"), "name": name, "kind": kind, "status": status,
                          "message": message, "seconds": 0.5});
    node.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    node
}

fn at(path: &str, line: u32) -> Value {
    json!({"location": {"path": path, "line": line}})
}

fn stage(name: &str, result: JobResult, error: Option<&str>) -> Job {
    Job { name: name.to_owned(), result, error: error.map(str::to_owned), is_unwanted: false }
}

/// A build whose run ended with these nodes.
fn built(nodes: &[Value]) -> Facts {
    run(json!({"schema": "issue_42", "status": "fail", "nodes": nodes, "seconds": 9.0}))
}

fn run(value: Value) -> Facts {
    let run: Run = serde_json::from_value(value).expect("a run");
    Facts {
        runs: vec![run],
        ..jobs(&[("security", JobResult::Success, None), ("elt", JobResult::Failure, None)])
    }
}

fn jobs(stages: &[(&str, JobResult, Option<&str>)]) -> Facts {
    let plan = json!({"action": "build", "schema": "issue_42", "target": "snowflake", "base": "dev",
        "stages": {"security": true, "elt": true, "observability": true}, "reasons": ["issue 42 carries the label"],
        "event": {"name": "issues", "number": 42, "title": "Slow movers", "actor": "octocat", "commit": "0123456789"}});
    let stages = stages.iter().map(|(name, result, error)| stage(name, *result, *error)).collect();
    Facts { plan: Some(serde_json::from_value(plan).expect("a plan")), stages, ..Facts::default() }
}

fn failed(name: &'static str, error: &'static str) -> Facts {
    jobs(&[(name, JobResult::Failure, Some(error))])
}

fn found(findings: &Value) -> Facts {
    let findings: Findings = serde_json::from_value(json!({"findings": findings})).expect("findings");
    Facts { findings: findings.findings, ..jobs(&[("security", JobResult::Failure, None)]) }
}

fn measured(alerts: &Value) -> Facts {
    let metrics: Metrics = serde_json::from_value(json!({"figures": [], "alerts": alerts})).expect("metrics");
    Facts { metrics: Some(metrics), ..jobs(&[("observability", JobResult::Failure, None)]) }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn kinds() -> Vec<Kind> {
    let kind = |name, facts, causes| Kind { name, facts, causes };
    let rows = json!({"location": {"path": "dbt/models/silver/orders.yml", "line": 12},
        "sample": [{"order_id": 7, "n": 2}, {"order_id": 9, "n": 3}, {"order_id": 10, "n": 2}, {"order_id": 11, "n": 2}]});
    let got = "Got 4 results, configured to fail if != 0";
    vec![
        kind(
            "data test",
            built(&[node("test", "unique_orders", "fail", got, &rows)]),
            &["unique_orders", "orders.yml:12", "Got 4 results", "n=2, order_id=7"],
        ),
        kind(
            "data test among many failures",
            built(&[
                node("test", "unique_orders", "fail", got, &rows),
                node("test", "b", "fail", got, &at("dbt/b.yml", 1)),
            ]),
            &["unique_orders", "order_id=7"],
        ),
        kind(
            "data test without rows",
            built(&[node("test", "unique_orders", "fail", got, &at("dbt/models/orders.yml", 3))]),
            &["unique_orders", "orders.yml:3", "Got 4 results"],
        ),
        kind(
            "test that could not run",
            built(&[node(
                "test",
                "positive",
                "error",
                "Database Error in test positive (models/x.yml)\n  Binder Error: no column qty",
                &at("dbt/models/x.yml", 8),
            )]),
            &["positive", "x.yml:8", "no column qty"],
        ),
        kind(
            "unit test",
            built(&[node(
                "unit_test",
                "sums",
                "fail",
                "actual differs from expected: @@, n\n-> 1→2",
                &at("dbt/models/u.yml", 20),
            )]),
            &["unit test", "sums", "u.yml:20", "actual differs"],
        ),
        kind(
            "model",
            built(&[node(
                "model",
                "stock",
                "error",
                "Runtime Error in model stock (models/stock.sql)\n  Binder Error: column nope not found",
                &at("dbt/models/stock.sql", 4),
            )]),
            &["stock", "stock.sql:4", "column nope not found"],
        ),
        kind(
            "model without a place",
            built(&[node("model", "stock", "error", "connection reset", &json!({}))]),
            &["model error", "stock", "connection reset"],
        ),
        kind(
            "contract",
            built(&[node(
                "model",
                "kpi",
                "error",
                "Compilation Error in model kpi (models/kpi.sql)\n  This model has an enforced contract that failed: day is missing",
                &at("dbt/models/kpi.sql", 1),
            )]),
            &["kpi.sql:1", "enforced contract", "day is missing"],
        ),
        kind(
            "seed",
            built(&[node(
                "seed",
                "raw_orders",
                "error",
                "could not convert 'many' to INTEGER in line 3",
                &at("dbt/seeds/raw_orders.csv", 3),
            )]),
            &["raw_orders.csv:3", "'many'"],
        ),
        kind(
            "snapshot",
            built(&[node(
                "snapshot",
                "prices",
                "error",
                "no unique key",
                &at("dbt/snapshots/prices.yml", 2),
            )]),
            &["snapshot error", "prices.yml:2", "no unique key"],
        ),
        kind(
            "hook",
            built(&[node("operation", "on-run-end-0", "error", "syntax error at grant", &json!({}))]),
            &["on-run-end-0", "syntax error at grant"],
        ),
        kind(
            "project that does not parse",
            run(
                json!({"schema": "issue_42", "status": "error", "nodes": [], "message": "Parsing Error\n  models/a.sql line 3: unexpected token"}),
            ),
            &["models/a.sql line 3"],
        ),
        kind(
            "build outside of its environment",
            failed(
                "elt",
                "dbt would write outside of issue_42: model x in schema prod; line 4 of models/x.sql",
            ),
            &["outside of issue_42", "line 4"],
        ),
        kind(
            "login",
            failed("elt", "failed to log in to Snowflake as GITHUB_ACTIONS: 390144 JWT token is invalid"),
            &["390144"],
        ),
        kind(
            "policy of lint",
            found(
                &json!([{"rule": "star-in-final-query", "path": "dbt/models/gold/kpi.sql", "line": 9, "message": "the last select lists no columns"}]),
            ),
            &["star-in-final-query", "kpi.sql:9", "lists no columns"],
        ),
        kind(
            "credential",
            found(
                &json!([{"rule": "github-token", "path": "load.py", "line": 7, "message": "GitHub token"}]),
            ),
            &["github-token", "load.py:7", "GitHub token"],
        ),
        kind(
            "credential of the history",
            found(
                &json!([{"rule": "aws-key", "path": "old.py", "line": 2, "message": "AWS key", "commit": "abcdef0123456789"}]),
            ),
            &["aws-key", "old.py:2", "in commit abcdef0123"],
        ),
        kind(
            "scan that could not run",
            failed("security", "policies/lint.toml: line 3: unknown rule x"),
            &["lint.toml", "line 3"],
        ),
        kind(
            "alert",
            measured(
                &json!([{"name": "query_failures", "state": "firing", "severity": "high", "gates": true, "message": "3 queries failed, at most 0"}]),
            ),
            &["query_failures", "3 queries failed"],
        ),
        kind(
            "metrics that could not be read",
            failed(
                "observability",
                "failed to read the ledger of issue_42: table ledger_runs does not exist",
            ),
            &["observability", "ledger_runs does not exist"],
        ),
        kind(
            "clean-up",
            failed("cleanup", "issue_42 does not carry our comment, so it is not dropped"),
            &["cleanup", "our comment"],
        ),
        kind("nightly clean-up", failed("janitor", "the role may not drop: 003001"), &["janitor", "003001"]),
        kind(
            "plan",
            failed("plan", "failed to understand policies/pipeline.toml: line 4: unknown key bse"),
            &["plan", "pipeline.toml", "line 4"],
        ),
        kind(
            "job without a word",
            jobs(&[("pages", JobResult::Failure, None)]),
            &["pages", "see the log of the run"],
        ),
    ]
}

/// Without markup, which is not readable text.
fn first_lines(text: &str) -> String {
    let text = text.lines().take(LINES).collect::<Vec<_>>().join("\n");
    let text = text.replace("<code>", "").replace("</code>", "").replace("&#61;", "=").replace("&gt;", ">");
    text.replace(['\u{200B}', '\u{2060}'], "")
}

/// A Slack message as it is read from the top: heads, then texts, line by line.
fn of_slack(message: &Message) -> String {
    let rendered = slack::render(message);
    let blocks = rendered["blocks"].as_array().expect("blocks");
    let texts = blocks.iter().filter_map(|block| block["text"]["text"].as_str());
    texts.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_kind_of_failure_shows_its_cause_within_five_lines() {
    let kinds = kinds();
    assert!(kinds.len() >= 20, "{}", kinds.len());
    for Kind { name, facts, causes } in kinds {
        let message = message::compose(&facts);
        let comment = markdown::comment(&message, Some((1, 1)));
        let summary = markdown::render(&message);
        let slack = of_slack(&message);
        let fallback = slack::render(&message)["text"].as_str().expect("a text").to_owned();
        for (place, text) in [("comment", &comment), ("summary", &summary), ("Slack", &slack)] {
            let shown = first_lines(text);
            for part in causes {
                assert!(shown.contains(part), "{name}, {place}: {part:?} is not in\n{shown}");
            }
        }
        // A notification has two lines, so files stay in the message.
        for part in causes.iter().filter(|part| !part.contains(':')) {
            assert!(
                first_lines(&fallback).contains(part),
                "{name}, notification: {part:?} is not in\n{fallback}"
            );
        }
        for annotation in post::annotations(&message).iter().take(1) {
            let text = format!(
                "{}\n{}:{}\n{}",
                annotation.title, annotation.path, annotation.start_line, annotation.message
            );
            // The heading that dbt gives a message takes a separate line here.
            for part in causes {
                assert!(first_lines(&text).contains(part), "{name}, annotation: {part:?} is not in\n{text}");
            }
        }
    }
}

#[test]
fn a_failing_test_shows_three_rows_and_no_more() {
    let message = message::compose(&kinds().remove(0).facts);
    for text in
        [markdown::render(&message), of_slack(&message), post::annotations(&message)[0].message.clone()]
    {
        let text = text.replace("&#61;", "=");
        for row in ["n=2, order_id=7", "n=3, order_id=9", "n=2, order_id=10"] {
            assert!(text.contains(row), "{row} is not in\n{text}");
        }
        assert!(!text.contains("order_id=11"), "{text}");
    }
}
