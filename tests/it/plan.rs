//! `cargo xtask plan`: every event in `tests/events/` against its expected plan, and how the plan is passed
//! on.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Ended, root, scratch, scrubbed};

/// The saved events, by name: `<event>.<case>.json`.
pub(crate) fn events() -> Vec<(String, PathBuf)> {
    let mut events: Vec<(String, PathBuf)> = fs::read_dir(root().join("tests/events"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    events.sort();
    events
}

/// GitHub's name of a saved event.
pub(crate) fn event_name(case: &str) -> &str {
    case.split_once('.').expect("<event>.<case>").0
}

fn plan(case: &str, event: &Path, more: &[&str]) -> Ended {
    let mut command = scrubbed(root());
    command.args(["plan", "--event-name", event_name(case), "--event"]).arg(event).args(more);
    Ended::of(command)
}

/// The names of all stages in the order in which they run, from the published schema of a plan.
pub(crate) fn stages() -> Vec<String> {
    let schema = fs::read_to_string(root().join("docs/schemas/plan.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    serde_json::from_value(schema["$defs"]["Stages"]["required"].clone()).unwrap()
}

fn row(case: &str, plan: &Value) -> String {
    let text = |key: &str| plan[key].as_str().unwrap_or("-").to_owned();
    let stages = stages().into_iter().filter(|stage| plan["stages"][stage].as_bool().unwrap());
    let stages: Vec<String> = stages.collect();
    let stages = if stages.is_empty() { "-".to_owned() } else { stages.join(" ") };
    let last = plan["reasons"].as_array().unwrap().iter().map(|reason| reason.as_str().unwrap());
    let reasons = last.collect::<Vec<_>>().join("; ").replace('|', "\\|");
    let cells = [
        case.to_owned(),
        text("action"),
        text("environment"),
        text("base"),
        stages,
        text("observed"),
        text("target"),
        reasons,
    ];
    format!("| {} |", cells.join(" | "))
}

#[test]
fn every_saved_event_has_its_plan() {
    let mut table = String::from(
        "# The plan of every event in this folder\n\n\
         `XTASK_BLESS=1 cargo test every_saved_event` rewrites this file; review the difference before you commit it.\n\n\
         | event | action | environment | base | stages | observed | target | reasons |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (case, path) in events() {
        let plan = plan(&case, &path, &["--format", "json"]).expect(0).json_of("plan");
        assert_eq!(plan["schema"], plan["environment"], "{case}: an environment is one schema");
        table.push_str(&row(&case, &plan));
        table.push('\n');
    }
    let file = root().join("tests/events/README.md");
    if std::env::var_os("XTASK_BLESS").is_some() {
        fs::write(&file, &table).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap();
    for (line, (now, then)) in table.lines().zip(expected.lines()).enumerate() {
        assert_eq!(now, then, "tests/events/README.md:{}", line + 1);
    }
    assert_eq!(table.len(), expected.len());
}

#[test]
fn the_human_output_is_a_table_with_reasons() {
    let event = root().join("tests/events/issues.labeled-feature.json");
    let said = plan("issues.labeled-feature", &event, &[]).expect(0).stdout;
    for words in [
        "event        issues labeled \"feature\" #42 by ann-analyst",
        "environment  issue_42",
        &format!("stages       {}", stages().join(", ")),
        "- issue 42 carries the label \"feature\"",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    let event = root().join("tests/events/push.without-tag.json");
    let said = plan("push.without-tag", &event, &[]).expect(0);
    assert!(said.stdout.contains("nothing runs: no run-tag in 2 commits"), "{}", said.stdout);
    assert_eq!(said.stderr, "", "an event that triggers nothing prints no message");
}

#[test]
fn a_workflow_gets_outputs_that_nothing_in_the_event_can_forge() {
    let folder = scratch();
    let (output, summary) = (folder.path().join("output"), folder.path().join("summary"));
    for (case, event) in events().iter().filter(|(case, _)| case.contains("hostile")) {
        for file in [&output, &summary] {
            fs::write(file, "").unwrap();
        }
        let mut command = scrubbed(root());
        command
            .envs([("GITHUB_ACTIONS", "true"), ("GITHUB_EVENT_NAME", event_name(case))])
            .env("GITHUB_EVENT_PATH", event)
            .env("GITHUB_OUTPUT", &output)
            .env("GITHUB_STEP_SUMMARY", &summary)
            .args(["plan", "--format", "json"]);
        let plan = Ended::of(command).expect(0).json();
        let outputs = read_outputs(&fs::read_to_string(&output).unwrap());
        let value = |name: &str| {
            let mut all = outputs.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
            let value = all.next().unwrap_or_else(|| panic!("{case}: no output {name}"));
            assert_eq!(all.next(), None, "{case}: {name} is set once");
            value
        };
        assert_eq!(value("action"), plan["action"], "{case}");
        assert_eq!(value("schema"), plan["schema"].as_str().unwrap_or_default(), "{case}");
        assert_eq!(value("object_name"), plan["event"]["object_name"].as_str().unwrap_or_default(), "{case}");
        assert_eq!(value("elt"), plan["stages"]["elt"].to_string(), "{case}");
        assert_eq!(serde_json::from_str::<Value>(value("plan")).unwrap(), plan, "{case}");
        assert_eq!(outputs.len(), 12 + stages().len(), "{case}: {outputs:?}");
        let summary = fs::read_to_string(&summary).unwrap();
        assert!(summary.starts_with("### Plan\n\n```text\n"), "{summary}");
        assert_eq!(summary.matches("```").count(), 2, "{case}: no text ends the code block");
    }
}

/// Reads an output file as the runner does: `name<<DELIMITER`, lines, the delimiter alone on a line.
pub(crate) fn read_outputs(text: &str) -> Vec<(String, String)> {
    let mut lines = text.split('\n');
    let mut read = Vec::new();
    while let Some(head) = lines.next().filter(|line| !line.is_empty()) {
        let (name, delimiter) = head.split_once("<<").expect("a heredoc");
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
        read.push((name.to_owned(), value.join("\n")));
    }
    read
}

#[test]
fn an_unreadable_event_is_reported_with_file_and_reason() {
    let folder = scratch();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    for (event, words) in [
        (folder.path().join("missing.json"), "missing.json"),
        (write("broken.json", "{"), "not a payload"),
        (write("list.json", "[1]"), "not a payload"),
        (write("empty.json", ""), "not a payload"),
        (write("other.json", "{\"zen\": \"Keep it logically awesome.\"}"), "no `issue`"),
        (write("zero.json", "{\"action\": \"labeled\", \"issue\": {\"number\": 0}}"), "counts from 1"),
    ] {
        let said = plan("issues.x", &event, &[]).expect(2).stderr;
        assert!(said.contains(words), "{words}\n{said}");
    }
    let unnamed = Ended::of({
        let mut command = scrubbed(root());
        command.arg("plan");
        command
    });
    assert!(unnamed.expect(2).stderr.contains("--event-name"));
}

#[test]
fn the_policy_of_the_repository_decides() {
    let folder = scratch();
    fs::create_dir(folder.path().join("policies")).unwrap();
    let policy = folder.path().join("policies/pipeline.toml");
    let of = |case: &str, text: &str| {
        fs::write(&policy, text).unwrap();
        let mut command = scrubbed(folder.path());
        let event = root().join("tests/events").join(format!("{case}.json"));
        command.args(["plan", "--format", "json", "--event-name", event_name(case), "--event"]).arg(event);
        Ended::of(command)
    };
    let trunk = of("push.run-all-main", "[branches]\ntrunk = 'prod'").expect(0).json();
    assert!(trunk["environment"].as_str().unwrap().starts_with("branch_main"), "{trunk}");
    let merged = of("push.merge", "[push]\nmerged_commits = 'count'").expect(0).json();
    assert_eq!(merged["stages"]["elt"], true);
    let hurried = of("push.skip-security", "[security]\nbefore_elt = 'unless-skipped'").expect(0).json();
    assert_eq!((&hurried["stages"]["security"], &hurried["stages"]["elt"]), (&false.into(), &true.into()));
    let alone = of("push.run-elt-branch", "[security]\nbefore_elt = 'when-asked'").expect(0).json();
    assert_eq!(alone["stages"]["security"], false);
    let fork = of("pull_request.opened-fork", "[pull_request]\nforks = 'none'").expect(0).json();
    assert_eq!(fork["action"], "none");
    let renamed = of("issues.labeled-question-on-feature", "[labels]\nbuild = 'question'").expect(0).json();
    assert_eq!(renamed["environment"], "issue_42");
    let failed = of("issues.labeled-feature", "[failure]\nenvironment = 'drop'").expect(0).json();
    assert_eq!(failed["drop_on_failure"], true);
    let prod = of("push.run-all-main", "[failure]\nenvironment = 'drop'").expect(0).json();
    assert_eq!(prod["drop_on_failure"], false, "prod is never dropped");
    assert!(of("push.merge", "[push]\nmerged = 1").expect(2).stderr.contains("pipeline.toml"));
}

#[test]
fn the_labelling_user_decides_not_the_author() {
    let of = |case: &str, permission: &str| {
        let event = root().join("tests/events").join(format!("{case}.json"));
        plan(case, &event, &["--format", "json", "--sender-permission", permission]).expect(0).json()
    };
    assert_eq!(of("issues.labeled-feature-by-outsider", "write")["action"], "build");
    assert_eq!(of("issues.labeled-feature-by-hand", "triage")["action"], "none");
    assert_eq!(of("issues.labeled-cleanup", "read")["action"], "none");
    assert_eq!(of("issues.labeled-feature-by-bot", "admin")["action"], "none");
    assert_eq!(of("issues.closed", "write")["action"], "cleanup");
    assert_eq!(
        of("issues.closed", "read")["action"],
        "none",
        "an author may close an issue and not drop its environment"
    );
    assert_eq!(of("issues.unlabeled-feature", "triage")["action"], "none");
}

#[test]
fn the_ref_can_be_given() {
    let event = root().join("tests/events/push.run-elt-branch.json");
    for (reference, environment) in [("main", "prod"), ("refs/heads/develop", "dev"), ("kpi", "branch_kpi")] {
        let plan = plan("push.x", &event, &["--format", "json", "--ref", reference]).expect(0).json();
        assert_eq!(plan["environment"], environment);
    }
    // The branch a workflow runs on is not what an issue is about.
    let mut command = scrubbed(root());
    command.env("GITHUB_REF", "refs/heads/main").args([
        "plan",
        "--format",
        "json",
        "--event-name",
        "issues",
        "--event",
    ]);
    command.arg(root().join("tests/events/issues.labeled-feature.json"));
    assert_eq!(Ended::of(command).expect(0).json()["environment"], "issue_42");
}
