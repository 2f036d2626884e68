//! `cargo xtask wanted`: what it says of issues, pull requests and branches, as GitHub answers.

use std::fs;

use serde_json::{Value, json};

use crate::support::server::{Reply, Server};
use crate::support::{Ended, root, scratch, scrubbed};

/// The output `wanted` when GitHub answers so, and the paths that were asked for.
fn wanted(schema: &str, status: u16, body: &Value) -> (String, Vec<String>) {
    let reply = Reply::json(status, body);
    let server = Server::start(move |_| reply.clone());
    let folder = scratch();
    let output = folder.path().join("output");
    let mut command = scrubbed(root());
    command.args(["wanted", "--schema", schema, "--branch", "kpi_2"]).env("GITHUB_ACTIONS", "true");
    command.env("GITHUB_OUTPUT", &output).env("GITHUB_REPOSITORY", "octo/lab");
    command.env("GITHUB_API_URL", &server.url).env("GITHUB_TOKEN", ["ghs", "x"].join("_"));
    let ended = Ended::of(command).expect(0);
    let text = fs::read_to_string(output).unwrap();
    let value = text.lines().nth(1).unwrap().to_owned();
    assert!(ended.stdout.starts_with(&format!("wanted: {value} (")), "{}", ended.stdout);
    (value, server.requests().into_iter().map(|request| request.path).collect())
}

#[test]
fn what_github_says_decides_and_no_answer_stops_nothing() {
    let feature = json!([{"name": "Feature"}]);
    let none = json!({"message": "x"});
    for (schema, status, body, expected) in [
        ("issue_42", 200, json!({"state": "open", "labels": feature}), "true"),
        ("issue_42", 200, json!({"state": "open", "labels": [{"name": "bug"}]}), "false"),
        ("issue_42", 200, json!({"state": "closed", "labels": feature}), "false"),
        // A deleted issue; one that the token may not see is not known to be deleted.
        ("issue_42", 410, none.clone(), "false"),
        ("issue_42", 404, none.clone(), "unknown"),
        ("issue_42", 403, none.clone(), "unknown"),
        ("pr_7", 200, json!({"state": "open"}), "true"),
        ("pr_7", 200, json!({"state": "closed"}), "false"),
        ("pr_7", 401, none.clone(), "unknown"),
    ] {
        assert_eq!(wanted(schema, status, &body).0, expected, "{schema} {status} {body}");
    }
    let (_, asked) = wanted("pr_7", 200, &json!({"state": "open"}));
    assert_eq!(asked, ["/repos/octo/lab/pulls/7"]);
    let (answer, asked) = wanted("prod", 200, &json!({}));
    assert_eq!((answer.as_str(), asked.len()), ("true", 0), "prod belongs to nothing that could be closed");
    // Which environment a branch has follows from its name; of another one nothing is known.
    let (answer, asked) = wanted("branch_other", 404, &none);
    assert_eq!((answer.as_str(), asked.len()), ("unknown", 0));
    let (answer, asked) = wanted("branch_kpi_2", 404, &none);
    assert_eq!((answer.as_str(), asked), ("false", vec!["/repos/octo/lab/branches/kpi_2".to_owned()]));
}
