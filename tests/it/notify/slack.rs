//! An incoming webhook: one message, within the limits, and a pipeline that never waits for it.

use std::process::Command;

use serde_json::{Value, json};

use super::{Left, assert_hidden, ended};
use crate::support::server::{Reply, Request, Server};

/// The part of the address that is a secret.
const PATH: &str = "/services/T000/B000/not-to-be-read";

/// Takes a message as Slack does, or says in Slack's words what is wrong with it.
fn take(request: &Request) -> Reply {
    let refuse = |why: &str| Reply::new(400, why);
    if request.method != "POST" || request.path != PATH {
        return Reply::new(404, "no_service");
    }
    if request.header("content-type") != Some("application/json") {
        return refuse("invalid_payload");
    }
    let Ok(message) = serde_json::from_str::<Value>(&request.body) else { return refuse("invalid_payload") };
    if message["text"].as_str().is_none_or(str::is_empty) {
        return refuse("no_text");
    }
    let long = |value: &Value, most: usize| {
        value.as_str().is_none_or(|text| text.chars().count() > most || text.is_empty())
    };
    let blocks = message["blocks"].as_array().map_or(&[][..], Vec::as_slice);
    let wrong = blocks.iter().any(|block| match block["type"].as_str() {
        Some("header") => block["text"]["type"] != "plain_text" || long(&block["text"]["text"], 150),
        Some("section") => {
            let fields = block["fields"].as_array().map_or(&[][..], Vec::as_slice);
            fields.len() > 10
                || fields.iter().any(|field| long(&field["text"], 2000))
                || fields.is_empty() && long(&block["text"]["text"], 3000)
        }
        Some("context") => block["elements"].as_array().is_none_or(|elements| elements.len() > 10),
        _ => true,
    });
    if blocks.len() > 50 || wrong || request.body.chars().count() > 9000 {
        return refuse("invalid_blocks");
    }
    Reply::new(200, "ok")
}

/// A webhook that first gives `first`, one a request.
fn webhook(first: Vec<Reply>) -> Server {
    let mut first = first.into_iter();
    Server::start(move |request| first.next().unwrap_or_else(|| take(request)))
}

fn send(left: &Left, server: &Server) -> Command {
    let mut command = left.notify("slack");
    command.env("SLACK_WEBHOOK_URL", format!("{}{PATH}", server.url));
    command
}

/// All texts of a message, as Slack shows them.
fn shown(message: &Value) -> String {
    match message {
        Value::String(text) => format!("{text}\n"),
        Value::Array(values) => values.iter().map(shown).collect(),
        Value::Object(map) => map.values().map(shown).collect(),
        _ => String::new(),
    }
}

#[test]
fn a_failed_pipeline_is_one_message_that_names_the_causes() {
    let (left, server) = (Left::failed(), webhook(vec![]));
    let mut command = send(&left, &server);
    command.args(["--report-url", "https://report.example.com/42"]);
    command.envs([
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_REPOSITORY", "octo/lab"),
        ("GITHUB_RUN_ID", "77"),
    ]);
    let ended = ended(command);
    assert!(ended.stderr.contains("sent to Slack"), "{}", ended.stderr);
    assert_hidden(&ended, "not-to-be-read");

    let requests = server.requests();
    assert_eq!(requests.len(), 1, "one message a pipeline");
    let text = shown(&requests[0].json());
    for part in [
        "issue_42: elt failed, 2 of 4 tests failed",
        "✅ security passed",
        "❌ elt failed",
        "⏭️ observability did not run",
        "issue on local, from dev",
        "issue #42: Slow movers &lt;!channel&gt;",
        "octocat",
        "1 of 4 passed, 2 failed, 1 warned",
        "orders_are_unique",
        "Got 3 results",
        "dbt/models/silver/stock.sql:4",
        ">Binder Error: no column \"nope\"",
        "7 skipped because of that",
        "stock 2.5 s",
        "query_failures: 3",
        "credits: unknown (DuckDB costs none)",
        "<https://github.com/octo/lab/actions/runs/77|Run>",
        "<https://report.example.com/42|Report>",
        "cargo xtask elt --schema issue_42 --base dev",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    for consequence in ["gold_0", "stock_is_positive:", "no table stock"] {
        assert!(!text.contains(consequence), "{consequence} is reported as a cause in\n{text}");
    }
}

#[test]
fn without_a_webhook_nobody_is_told_and_nothing_fails() {
    let ended = ended(Left::failed().notify("slack"));
    assert!(ended.stderr.contains("SLACK_WEBHOOK_URL is not set"), "{}", ended.stderr);
}

#[test]
fn a_busy_slack_is_asked_again_when_it_says() {
    let server = webhook(vec![Reply::new(429, "rate_limited").with("retry-after", "1"), Reply::new(503, "")]);
    let ended = ended(send(&Left::failed(), &server));
    assert!(ended.stderr.contains("sent to Slack"), "{}", ended.stderr);
    let bodies: Vec<String> = server.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

#[test]
fn a_slack_that_does_not_take_it_never_fails_the_pipeline() {
    let with = |reply: Reply| webhook(vec![reply]);
    for (server, said) in [
        (with(Reply::new(429, "").with("retry-after", "3600")), "slow down"),
        (with(Reply::new(404, "no_service")), "no_service"),
        (with(Reply::new(403, "<p>blocked by a proxy: https://x/not-to-be-read</p>")), "403"),
        (with(Reply::new(302, "").with("location", "https://evil.example.com/")), "302"),
        (with(Reply::new(400, "invalid_blocks")), "invalid_blocks"),
    ] {
        let ended = ended(send(&Left::failed(), &server));
        assert!(
            ended.stderr.contains("Slack was not updated") && ended.stderr.contains(said),
            "{}",
            ended.stderr
        );
        assert_hidden(&ended, "not-to-be-read");
        assert_eq!(server.requests().len(), 1, "{said}");
    }
    let left = Left::failed();
    let mut command = left.notify("slack");
    command.env("SLACK_WEBHOOK_URL", "hooks.example.com/not-to-be-read");
    let ended = ended(command);
    assert!(ended.stderr.contains("SLACK_WEBHOOK_URL") && ended.stderr.contains("https"), "{}", ended.stderr);
    assert_hidden(&ended, "not-to-be-read");
}

#[test]
fn what_is_missing_or_broken_is_told_too() {
    let (left, server) = (Left::failed(), webhook(vec![]));
    std::fs::write(left.path().join("run.json"), "{\"nodes\": ").unwrap();
    std::fs::write(left.path().join("metrics.json"), "{\"figures\": [{]}").unwrap();
    std::fs::remove_file(left.path().join("plan.json")).unwrap();
    ended(send(&left, &server));
    let text = shown(&server.requests()[0].json());
    for part in [
        "pipeline: elt failed",
        "result of the run (--run) could not be read",
        "metrics (--metrics)",
        "(--plan)",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("Tests"), "no tests are known, which is not that none failed\n{text}");

    // Neither is there anything of a pipeline whose first job failed.
    let mut bare = left.bare("slack");
    bare.env("XTASK_PLAN", "").env("SLACK_WEBHOOK_URL", format!("{}{PATH}", server.url));
    ended(bare);
    assert!(shown(&server.requests()[1].json()).contains("no stage left a result"));
}

#[test]
fn what_a_stage_could_not_leave_is_not_missed() {
    let (left, server) = (Left::failed(), webhook(vec![]));
    left.write(
        "needs.json",
        &json!({"security": {"result": "failure"}, "elt": {"result": "skipped"},
        "observability": {"result": "skipped"}}),
    );
    std::fs::write(left.path().join("run.json"), "").unwrap();
    std::fs::remove_file(left.path().join("metrics.json")).unwrap();
    ended(send(&left, &server));
    let text = shown(&server.requests()[0].json());
    assert!(text.contains("issue_42: security failed") && text.contains("see the log of the run"), "{text}");
    assert!(!text.contains("could not be read"), "{text}");

    left.write("needs.json", &json!({"elt": {"result": "success"}}));
    ended(send(&left, &server));
    let text = shown(&server.requests()[1].json());
    assert!(text.contains("result of the run (--run) could not be read"), "{text}");
}

#[test]
fn an_event_that_asks_for_nothing_is_no_news() {
    let (left, server) = (Left::failed(), webhook(vec![]));
    left.write("needs.json", &json!({"plan": {"result": "success"}, "elt": {"result": "skipped"}}));
    let mut command = left.bare("slack");
    command.env("XTASK_PLAN", json!({"action": "none"}).to_string()).args(["--needs", "needs.json"]);
    command.env("SLACK_WEBHOOK_URL", format!("{}{PATH}", server.url));
    assert!(ended(command).stderr.contains("nothing was asked for"));
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_dry_run_prints_the_message_and_sends_nothing() {
    let (left, server) = (Left::failed(), webhook(vec![]));
    let mut command = send(&left, &server);
    command.arg("--dry-run");
    let message = ended(command).json();
    assert_eq!(message["blocks"][0]["type"], "header");
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn secrets_in_an_error_do_not_reach_the_channel() {
    let (left, server) = (Left::failed(), webhook(vec![]));
    let password = ["correct horse", "battery staple"].join(" ");
    let mut run = super::failed_run();
    run["nodes"][2]["message"] = json!(format!("login as me with {password} failed"));
    left.write("run.json", &run);
    let mut command = send(&left, &server);
    command.env("SNOWFLAKE_PASSWORD", &password);
    ended(command);
    let text = shown(&server.requests()[0].json());
    assert!(text.contains("login as me with *** failed") && !text.contains("horse"), "{text}");
}

#[test]
fn a_wrong_option_is_an_error_of_the_workflow() {
    let left = Left::nothing();
    let mut command = left.bare("slack");
    command.args(["--stage", "elt=fine"]);
    let ended = crate::support::Ended::of(command).expect(2);
    assert!(ended.stderr.contains("--stage") && ended.stderr.contains("fine"), "{}", ended.stderr);
}
