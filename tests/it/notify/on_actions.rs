//! In a job of GitHub Actions: outputs, summary and annotations that no text from outside can forge.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Left, ended, failed_run, plan};
use crate::support::server::{Reply, Server};
use crate::support::{BUILT, Checkout, Ended};

/// An output file as the runner reads it.
fn outputs(path: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(path).expect("outputs");
    let mut lines = text.lines();
    let mut read = Vec::new();
    while let Some(head) = lines.next() {
        let (name, delimiter) = head.split_once("<<").expect("a heredoc");
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
        read.push((name.to_owned(), value.join("\n")));
    }
    read
}

/// The lines that the runner takes for commands.
fn commands(ended: &Ended) -> Vec<&str> {
    let lines = ended.stdout.lines().chain(ended.stderr.lines());
    lines.filter(|line| line.trim_start().starts_with("::") || line.contains("##[")).collect()
}

fn on_actions(command: &mut Command, folder: &Path) {
    command
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", folder.join("outputs"))
        .env("GITHUB_STEP_SUMMARY", folder.join("summary.md"));
}

#[test]
fn a_failed_run_is_annotated_where_it_is_written_and_told_from_its_own_report() {
    let checkout = Checkout::built();
    // Twice the same key, and a name that would like to be a command.
    checkout.edit("dbt/seeds/raw_products.csv", |text| {
        let row = text.lines().nth(3).expect("a row").to_owned();
        format!("{text}{row}\n")
    });
    let mut command = checkout.command(&["elt", "--schema", BUILT, "--format", "json"]);
    on_actions(&mut command, checkout.root());
    let run = Ended::of(command).expect(1);
    let report = run.json();

    let written = outputs(&checkout.path("outputs"));
    let output =
        |name: &str| written.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!((output("status"), output("schema")), (Some("fail"), Some(BUILT)));
    assert_eq!(output("run_id"), report["run_id"].as_str());
    assert_eq!(output("created"), Some("false"), "what existed before is not dropped for a failed build");
    let of_status = |status: &[&str]| {
        let nodes = report["nodes"].as_array().expect("nodes").iter();
        let tests = nodes.filter(|node| node["kind"] == "test" || node["kind"] == "unit_test");
        tests.filter(|node| status.iter().any(|word| node["status"] == *word)).count().to_string()
    };
    assert_eq!(output("tests_passed"), Some(of_status(&["pass", "success"]).as_str()));
    assert_eq!(output("tests_failed"), Some(of_status(&["fail", "error"]).as_str()));
    assert_ne!(output("tests_failed"), Some("0"));

    let failed: Vec<&Value> = report["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .filter(|node| node["status"] == "fail" || node["status"] == "error")
        .collect();
    let annotated = commands(&run);
    assert_eq!(annotated.len(), failed.len().min(10), "{annotated:?}");
    for (node, line) in failed.iter().zip(&annotated) {
        let (path, number) =
            (node["location"]["path"].as_str().unwrap(), node["location"]["line"].as_u64().unwrap());
        assert!(
            line.starts_with("::error ") && line.contains(&format!(",file={path},line={number}::")),
            "{line}"
        );
        let text =
            fs::read_to_string(checkout.path(path)).expect("an annotation names a file of the repository");
        assert!(number > 1 || !path.contains(".yml"), "{path}:{number} in {text}");
    }
    let summary = fs::read_to_string(checkout.path("summary.md")).expect("a summary");
    assert!(summary.contains("**Cause:**") && summary.contains("nodes were skipped"), "{summary}");

    // The report is what `notify` reads, whole.
    let file = checkout.path("run.json");
    fs::write(&file, &run.stdout).unwrap();
    let dry =
        checkout.run(&["notify", "slack", "--run", file.to_str().unwrap(), "--dry-run"]).expect(0).json();
    let text = dry.to_string();
    assert!(
        text.contains(failed[0]["name"].as_str().unwrap()) && text.contains("skipped because of that"),
        "{text}"
    );
    assert!(!text.contains("could not be read"), "{text}");
}

#[test]
fn a_run_that_fails_in_a_new_environment_says_that_it_made_it() {
    let checkout = Checkout::built();
    let mut command = checkout.command(&["elt", "--schema", "issue_77", "--select", "no_such_model"]);
    on_actions(&mut command, checkout.root());
    Ended::of(command).expect(2);
    let written = outputs(&checkout.path("outputs"));
    let created: Vec<&str> =
        written.iter().filter(|(name, _)| name == "created").map(|(_, value)| value.as_str()).collect();
    assert_eq!(created, ["true"]);
}

#[test]
fn no_text_from_outside_becomes_a_command_of_the_job() {
    let hostile =
        "x\n::error::forged\r\n::set-output name=a::b\n##[add-mask]x\n%0A::stop-commands::y <!channel>";
    let left = Left::failed();
    let mut run = failed_run();
    for node in run["nodes"].as_array_mut().unwrap() {
        node["name"] = hostile.into();
        node["message"] = hostile.into();
    }
    left.write("run.json", &run);
    let mut asked = plan("issues");
    asked["event"]["title"] = hostile.into();
    asked["reasons"] = json!([hostile]);
    left.write("plan.json", &asked);
    left.write("metrics.json", &json!({"figures": hostile}));

    let server = Server::start(move |_| Reply::json(403, &json!({"message": hostile})));
    let mut github = left.notify("github");
    github.envs([
        ("GITHUB_TOKEN", "some-token"),
        ("GITHUB_REPOSITORY", "octo/lab"),
        ("GITHUB_SHA", super::SHA),
    ]);
    github.env("GITHUB_API_URL", &server.url);
    let mut slack = left.notify("slack");
    slack.env("SLACK_WEBHOOK_URL", format!("{}/x", server.url));
    for mut command in [github, slack] {
        on_actions(&mut command, left.path());
        let ended = ended(command);
        let forged: Vec<&str> = commands(&ended)
            .into_iter()
            .filter(|line| {
                !line.starts_with("::warning title=notify::") && !line.starts_with("::add-mask::http")
            })
            .collect();
        assert_eq!(forged, Vec::<&str>::new(), "{}", ended.stderr);
        assert!(commands(&ended).iter().any(|line| line.starts_with("::warning")), "{}", ended.stderr);
    }
    assert!(!left.path().join("outputs").exists());
}
