//! GitHub's REST API: one comment kept up to date, a summary, a check with its annotations.

mod fake;

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};

use self::fake::{Fake, Repository, answer, comment, refusal};
use super::{Left, SHA, assert_hidden, ended, failed_run, plan};
use crate::support::Ended;
use crate::support::server::{Reply, Server};

const MARKER: &str = "<!-- cargo-xtask environment=issue_42 -->";

#[test]
fn the_first_run_comments_and_the_next_ones_change_the_comment() {
    let (left, fake) = (Left::failed(), Fake::open());
    let first = ended(fake.notify(&left));
    assert!(first.stderr.contains("issuecomment-1"), "{}", first.stderr);
    assert_hidden(&first, "nobody_may_read_this");
    let body = |fake: &Fake| fake.repository.lock().unwrap().comments[0]["body"].as_str().unwrap().to_owned();
    let text = body(&fake);
    assert!(text.starts_with(MARKER), "{text}");
    for part in [
        "### ❌ issue_42: elt failed, 2 of 4 tests failed",
        "<code>elt</code> failed",
        "**Cause:** test fail <code>orders_are_unique</code>",
        "7 nodes were skipped",
        "<details><summary>2 failed</summary>",
        "<pre>Runtime Error in model stock",
        "```sh\ncargo xtask elt --schema issue_42 --base dev\n```",
        "DuckDB costs none",
        "Slow movers &#60;!channel&#62;",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(!text.contains("gold"), "skipped nodes are only counted");

    let mut run = failed_run();
    run["status"] = "success".into();
    run["nodes"] = json!([{"id": "test.p.a", "name": "a", "kind": "test", "status": "pass", "seconds": 1}]);
    left.write("run.json", &run);
    left.write("needs.json", &json!({"security": {"result": "success"}, "elt": {"result": "success"}}));
    ended(fake.notify(&left));
    assert!(body(&fake).contains("✅ issue_42: built, 1 of 1 tests passed"), "{}", body(&fake));
    assert_eq!(fake.repository.lock().unwrap().comments.len(), 1);
}

#[test]
fn the_comment_is_found_among_many_and_no_strangers_copy_is_taken() {
    let mut comments: Vec<Value> = (1..=230)
        .map(|id| {
            comment(
                id,
                "User",
                "NONE",
                if id == 7 { "<!-- cargo-xtask environment=issue_42 -->\nmine" } else { "me too" },
            )
        })
        .collect();
    comments.push(comment(231, "Bot", "NONE", &format!("> {MARKER}")));
    comments.push(comment(232, "Bot", "NONE", "<!-- cargo-xtask environment=issue_4 -->"));
    comments.push(comment(233, "Bot", "NONE", &format!("{MARKER}\nold")));
    let fake =
        Fake::new(Repository { comments, may_check: true, may_comment: true, ..Repository::default() });
    ended(fake.notify(&Left::failed()));
    let repository = fake.repository.lock().unwrap();
    assert_eq!(repository.comments.len(), 233);
    assert!(repository.comments[232]["body"].as_str().unwrap().contains("elt failed"));
    assert_eq!(repository.comments[6]["body"], format!("{MARKER}\nmine"));
}

#[test]
fn failures_are_annotated_where_they_are_written() {
    let (left, fake) = (Left::failed(), Fake::open());
    ended(fake.notify(&left));
    let repository = fake.repository.lock().unwrap();
    let check = &repository.checks[0];
    assert_eq!((&check["name"], &check["head_sha"]), (&"dbt (issue_42)".into(), &SHA.into()));
    assert_eq!(check["conclusion"], "failure");
    let places: Vec<String> = check["output"]["annotations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            format!("{}:{} {}", one["path"].as_str().unwrap(), one["start_line"], one["annotation_level"])
        })
        .collect();
    let expected = [
        "dbt/models/silver/orders.yml:12 \"failure\"",
        "dbt/models/silver/stock.sql:4 \"failure\"",
        "dbt/models/silver/stock.yml:8 \"failure\"",
        "dbt/models/silver/orders.yml:20 \"warning\"",
    ];
    assert_eq!(places, expected);
    assert!(repository.statuses.is_empty());
}

#[test]
fn many_annotations_come_in_several_requests() {
    let (left, fake) = (Left::failed(), Fake::open());
    let nodes: Vec<Value> = (0..120)
        .map(|at| {
            json!({"id": format!("test.p.t{at}"), "name": format!("t{at}"), "kind": "test", "status": "fail",
                   "message": "Got 1 result", "location": {"path": "dbt/models/a.yml", "line": at + 1}})
        })
        .collect();
    left.write("run.json", &json!({"schema": "issue_42", "status": "fail", "nodes": nodes}));
    ended(fake.notify(&left));
    let repository = fake.repository.lock().unwrap();
    assert_eq!(repository.checks.len(), 1);
    assert_eq!(repository.checks[0]["output"]["annotations"].as_array().unwrap().len(), 120);
}

#[test]
fn without_the_right_to_check_the_commit_gets_a_status() {
    let fake = Fake::new(Repository { may_comment: true, ..Repository::default() });
    let ended = ended(fake.notify(&Left::failed()));
    assert!(ended.stderr.contains("checks: write"), "{}", ended.stderr);
    let repository = fake.repository.lock().unwrap();
    let status = &repository.statuses[0];
    assert_eq!((&status["state"], &status["sha"]), (&"failure".into(), &SHA.into()));
    assert_eq!(status["description"], "issue_42: elt failed, 2 of 4 tests failed");
}

#[test]
fn a_pull_requests_check_is_on_the_commit_that_was_built() {
    let (left, fake) = (Left::failed(), Fake::open());
    left.write("plan.json", &plan("pull_request"));
    let mut command = fake.notify(&left);
    // Actions checks out a merge commit, and the head may have moved since.
    command.env("GITHUB_EVENT_NAME", "pull_request").env("GITHUB_SHA", "1".repeat(40));
    ended(command);
    assert_eq!(fake.repository.lock().unwrap().checks[0]["head_sha"], SHA);
    let mut unplanned = plan("pull_request");
    unplanned["event"]["commit"] = Value::Null;
    left.write("plan.json", &unplanned);
    let mut command = fake.notify(&left);
    command.env("GITHUB_EVENT_NAME", "pull_request").env("GITHUB_SHA", "1".repeat(40));
    assert!(ended(command).stderr.contains("which commit was built is not known"));
    assert_eq!(fake.repository.lock().unwrap().checks.len(), 1);
}

/// Three runs of one environment end in every order: the comment is the newest run's, and each commit has its own
/// result. The first two build the same commit.
#[test]
fn a_run_that_ends_late_leaves_what_a_newer_one_reported() {
    let runs = [("101", "a", "fail"), ("102", "a", "success"), ("103", "c", "fail")];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let fake = Fake::open();
        for at in order {
            let (id, commit, status) = runs[at];
            let left = Left::failed();
            let mut asked = plan("push");
            asked["event"]["commit"] = commit.repeat(40).into();
            left.write("plan.json", &asked);
            let mut run = failed_run();
            if status == "success" {
                run["status"] = "success".into();
                run["nodes"] = json!([]);
                left.write(
                    "needs.json",
                    &json!({"security": {"result": "success"}, "elt": {"result": "success"}}),
                );
            }
            left.write("run.json", &run);
            let mut command = fake.notify(&left);
            command.envs([("GITHUB_RUN_ID", id), ("GITHUB_RUN_ATTEMPT", "1")]);
            ended(command);
        }
        let repository = fake.repository.lock().unwrap();
        let body = repository.comments[0]["body"].as_str().unwrap();
        assert_eq!(repository.comments.len(), 1);
        assert!(
            body.contains("<!-- run=103 attempt=1 -->") && body.contains("elt failed"),
            "{order:?}\n{body}"
        );
        let shown = |commit: &str| {
            let of_commit = |check: &&Value| check["head_sha"] == commit.repeat(40);
            let last = repository.checks.iter().rev().find(of_commit).expect("a check");
            (
                last["conclusion"].as_str().unwrap().to_owned(),
                last["external_id"].as_str().unwrap().to_owned(),
            )
        };
        assert_eq!(shown("a"), ("success".to_owned(), "run=102 attempt=1".to_owned()), "{order:?}");
        assert_eq!(shown("c"), ("failure".to_owned(), "run=103 attempt=1".to_owned()), "{order:?}");
    }
}

/// What was closed before its turn, or built by a newer run, passed without a build.
#[test]
fn a_build_that_is_not_wanted_any_more_reports_nothing() {
    let (left, fake) = (Left::nothing(), Fake::open());
    left.write("plan.json", &plan("issues"));
    let elt = json!({"result": "success", "outputs": {"wanted": "false", "created": "", "error": ""}});
    let needs = |security: &str| {
        json!({
            "plan": {"result": "success"}, "security": {"result": security}, "elt": elt,
            "observability": {"result": "skipped"},
        })
    };
    left.write("needs.json", &needs("success"));
    let quiet = ended(fake.notify(&left));
    assert!(quiet.stderr.contains("nothing is sent"), "{}", quiet.stderr);
    let counted = || {
        let repository = fake.repository.lock().unwrap();
        repository.comments.len() + repository.checks.len()
    };
    assert_eq!(counted(), 0);
    // What failed beside it is reported.
    left.write("needs.json", &needs("failure"));
    ended(fake.notify(&left));
    assert!(counted() > 0);
}

/// The next commit of a pull request cancels the whole run, also before its plan is made.
#[test]
fn a_run_of_a_pull_request_that_its_next_commit_cancelled_reports_nothing() {
    for needs in [
        json!({"plan": {"result": "cancelled"}, "security": {"result": "skipped"}, "elt": {"result": "skipped"}}),
        json!({"plan": {"result": "success"}, "security": {"result": "cancelled"}, "elt": {"result": "skipped"}}),
    ] {
        let (left, fake) = (Left::nothing(), Fake::open());
        left.write("plan.json", &plan("pull_request"));
        left.write("needs.json", &needs);
        let mut command = fake.notify(&left);
        command.env("GITHUB_EVENT_NAME", "pull_request");
        ended(command);
        let repository = fake.repository.lock().unwrap();
        assert_eq!((repository.comments.len(), repository.checks.len()), (0, 0), "{needs}");
    }
}

/// A build that waited and was replaced by a newer one was cancelled; its commit is not marked so.
#[test]
fn a_build_that_was_replaced_while_it_waited_reports_nothing() {
    let (left, fake) = (Left::nothing(), Fake::open());
    left.write("plan.json", &plan("push"));
    left.write(
        "needs.json",
        &json!({
            "plan": {"result": "success"}, "security": {"result": "success"}, "elt": {"result": "cancelled"},
            "observability": {"result": "skipped"},
        }),
    );
    ended(fake.notify(&left));
    let repository = fake.repository.lock().unwrap();
    assert_eq!((repository.comments.len(), repository.checks.len(), repository.statuses.len()), (0, 0, 0));
}

/// What did nothing is not reported: on DuckDB every nightly run and every deleted branch.
#[test]
fn a_clean_up_that_dropped_nothing_reports_nothing() {
    let mut asked = plan("delete");
    asked["action"] = "cleanup".into();
    asked["stages"] = json!({"security": false, "elt": false, "observability": false});
    for needs in [
        json!({"plan": {"result": "success"}, "cleanup": {"result": "skipped", "outputs": {}}}),
        json!({"plan": {"result": "success"}, "cleanup": {"result": "success", "outputs": {"dropped": "0"}}}),
    ] {
        let (left, fake) = (Left::nothing(), Fake::open());
        left.write("plan.json", &asked);
        left.write("needs.json", &needs);
        ended(fake.notify(&left));
        assert_eq!(fake.server.requests().len(), 0, "{needs}");
    }
}

#[test]
fn a_clean_up_is_reported_and_leaves_the_commits_check_alone() {
    let (left, fake) = (Left::nothing(), Fake::open());
    let mut asked = plan("issues");
    asked["action"] = "cleanup".into();
    left.write("plan.json", &asked);
    let mut command = fake.notify(&left);
    command.args(["--stage", "cleanup=success"]);
    ended(command);
    let repository = fake.repository.lock().unwrap();
    assert!(repository.comments[0]["body"].as_str().unwrap().contains("issue_42: cleaned up"));
    assert!(repository.checks.is_empty());
}

#[test]
fn what_one_place_refuses_the_others_still_get() {
    let fake = Fake::new(Repository { may_check: true, ..Repository::default() });
    let ended = ended(fake.notify(&Left::failed()));
    assert!(ended.stderr.contains("issue or pull request #42 was not updated"), "{}", ended.stderr);
    assert!(ended.stderr.contains("issues: write"), "{}", ended.stderr);
    assert_eq!(fake.repository.lock().unwrap().checks.len(), 1);
}

#[test]
fn a_github_that_is_not_itself_never_fails_the_pipeline() {
    for (reply, said) in [
        (Reply::new(200, "<html>a proxy's page</html>"), "not what it should be"),
        (Reply::new(401, "{}"), "expired"),
        (Reply::new(403, r#"{"message": "secondary rate limit"}"#).with("retry-after", "3600"), "slow down"),
        (Reply::new(429, "{}").with("retry-after", "3600"), "slow down"),
        (Reply::new(404, r#"{"message": "Not Found"}"#), "404"),
    ] {
        let server = Server::start(move |_| reply.clone());
        let left = Left::failed();
        let mut command = Fake::open().notify(&left);
        command.env("GITHUB_API_URL", &server.url);
        let ended = ended(command);
        assert!(ended.stderr.contains("was not updated") && ended.stderr.contains(said), "{}", ended.stderr);
        assert_hidden(&ended, "nobody_may_read_this");
    }
}

#[test]
fn a_busy_github_is_asked_again_when_it_says() {
    let fake = Fake::open();
    let inner = Arc::clone(&fake.repository);
    let mut busy = vec![Reply::new(502, ""), refusal(403, "secondary rate limit").with("retry-after", "1")];
    let server = Server::start(move |request| match busy.pop() {
        Some(reply) => reply,
        None => answer(&mut inner.lock().expect("a repository"), request),
    });
    let left = Left::failed();
    let mut command = fake.notify(&left);
    command.env("GITHUB_API_URL", &server.url);
    let ended = ended(command);
    assert!(!ended.stderr.contains("not updated"), "{}", ended.stderr);
    assert_eq!(fake.repository.lock().unwrap().comments.len(), 1);
}

#[test]
fn without_a_token_the_summary_is_still_written() {
    let left = Left::failed();
    let summary = left.path().join("summary.md");
    let mut command = left.notify("github");
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
    let ended = ended(command);
    assert!(ended.stderr.contains("GITHUB_TOKEN is not set"), "{}", ended.stderr);
    let text = fs::read_to_string(summary).unwrap();
    assert!(text.contains("elt failed") && text.len() <= 1024 * 1024, "{text}");
}

#[test]
fn a_push_belongs_to_no_issue() {
    let (left, fake) = (Left::failed(), Fake::open());
    left.write(
        "plan.json",
        &json!({"action": "build", "schema": "dev", "event": {"name": "push", "branch": "develop"}}),
    );
    let mut run = failed_run();
    run["schema"] = "dev".into();
    left.write("run.json", &run);
    let ended = ended(fake.notify(&left));
    assert!(ended.stderr.contains("belongs to no issue"), "{}", ended.stderr);
    let repository = fake.repository.lock().unwrap();
    assert_eq!((repository.comments.len(), repository.checks.len()), (0, 1));
}

#[test]
fn a_dry_run_prints_the_comment_and_asks_nobody() {
    let (left, fake) = (Left::failed(), Fake::open());
    let mut command = fake.notify(&left);
    command.arg("--dry-run");
    assert!(ended(command).stdout.starts_with(MARKER));
    assert_eq!(fake.server.requests().len(), 0);
    let mut command = fake.notify(&left);
    command.args(["--number", "x"]);
    Ended::of(command).expect(2);
}
