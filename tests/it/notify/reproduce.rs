//! The command that a message gives to reproduce a failure ends with the exit code of what failed.

use serde_json::{Value, json};

use super::Left;
use crate::secrets::git;
use crate::support::endpoint::{Endpoint, SECRET};
use crate::support::{BUILT, Checkout, Ended, environment, shell};

/// The line that the comment on a failure of `stage` gives, with what the stage left.
fn line(stage: &str, run: Option<&str>) -> String {
    let plan = json!({"action": "build", "schema": BUILT, "target": "local",
                      "stages": {"security": true, "elt": true, "observability": true}});
    line_of(&plan, stage, run)
}

fn line_of(plan: &Value, stage: &str, run: Option<&str>) -> String {
    let left = Left::nothing();
    left.write("plan.json", plan);
    left.write("needs.json", &json!({stage: {"result": "failure", "outputs": {}}}));
    let mut command = left.bare("github");
    command.args(["--dry-run", "--plan", "plan.json", "--needs", "needs.json"]);
    if let Some(run) = run {
        left.write("run.json", &serde_json::from_str::<Value>(run).expect("a run"));
        command.args(["--run", "run.json"]);
    }
    let comment = Ended::of(command).expect(0).stdout;
    let fence = comment.split("```sh\n").nth(1).unwrap_or_else(|| panic!("no line in {comment}"));
    fence.split('\n').next().expect("a line").to_owned()
}

/// Runs the line, and expects the exit code.
#[track_caller]
fn reproduces(checkout: &Checkout, line: &str, code: i32) -> Ended {
    let mut command = shell(&checkout.path("bin"), checkout.root(), line);
    command.env("XTASK_VENV", environment());
    let ended = Ended::of(command);
    assert_eq!(ended.code, Some(code), "{line}\n{}\n{}", ended.stdout, ended.stderr);
    ended
}

#[test]
fn a_failed_test_shows_its_rows_and_its_command_fails_again() {
    let checkout = Checkout::built();
    checkout.edit("dbt/seeds/raw_products.csv", |text| {
        let row = text.lines().nth(3).expect("a row").to_owned();
        format!("{text}{row}\n")
    });
    let ended = checkout.run(&["elt", "--schema", BUILT, "--format", "json"]).expect(1);
    let line = line("elt", Some(&ended.stdout));
    assert_eq!(line, format!("cargo xtask elt --schema {BUILT}"));
    let left = Left::nothing();
    left.write("run.json", &ended.json());
    let mut slack = left.bare("slack");
    slack.args(["--dry-run", "--run", "run.json"]);
    let message = Ended::of(slack).expect(0).json();
    let cause = message["blocks"][1]["text"]["text"].as_str().expect("a text");
    assert!(cause.contains("row: ") && cause.contains("PRD-00003"), "{cause}");
    reproduces(&checkout, &line, 1);
    // A command that looks at the environment ends the same way, whether an alert fires or not.
    let looked = checkout.run(&["metrics", "--schema", BUILT, "--gate"]);
    reproduces(&checkout, &self::line("observability", None), looked.code.expect("an exit code"));
}

#[test]
fn a_clean_up_that_is_refused_is_refused_again() {
    let (endpoint, checkout) = (Endpoint::start(), Checkout::new());
    for name in [BUILT, "issue_7"] {
        endpoint.create(&checkout, name).expect(0);
    }
    // What is not in the registry is never dropped.
    endpoint.sql("delete from LOGISTICS_DEMO.XTASK_REGISTRY.ENVIRONMENTS where schema_name = 'issue_42'");
    let again = |line: &str, place: &[(&str, &str)]| {
        let mut command = shell(&checkout.path("bin"), checkout.root(), line);
        command.envs(endpoint.place()).env("SNOWFLAKE_USER", "DEPLOYER").env("SNOWFLAKE_PASSWORD", SECRET);
        command.env("XTASK_VENV", environment()).envs(place.iter().copied());
        Ended::of(command)
    };
    // The lines of `cleanup.yml` for one environment, and for all that are not needed any more.
    for (stage, schema, job, place) in [
        ("cleanup", json!(BUILT), &["schema", "drop", "--schema", BUILT, "--if-exists"][..], &[][..]),
        ("janitor", Value::Null, &["schema", "gc"], &[("SNOWFLAKE_ROLE", "NO_SUCH_ROLE")]),
    ] {
        let mut command = endpoint.command(&checkout, job);
        command.envs(place.iter().copied());
        let failed = Ended::of(command).expect(2);
        let plan = json!({"action": "cleanup", "schema": schema, "target": "snowflake", "stages": {}});
        let line = line_of(&plan, stage, None);
        let ended = again(&line, place);
        assert_eq!(ended.code, failed.code, "{line}\n{}", ended.stderr);
        let reason =
            |ended: &Ended| ended.stderr.lines().find(|line| line.starts_with("error")).map(str::to_owned);
        assert_eq!(reason(&ended), reason(&failed), "{line}");
    }
}

#[test]
fn a_project_that_does_not_parse_fails_again() {
    let checkout = Checkout::built();
    checkout.edit("dbt/dbt_project.yml", |text| format!("{text}\nname: [broken\n"));
    let ended = checkout.run(&["elt", "--schema", BUILT, "--format", "json"]).expect(2);
    assert!(ended.stderr.contains("dbt_project.yml"), "{}", ended.stderr);
    reproduces(&checkout, &line("elt", None), 2);
}

#[test]
fn findings_are_found_again() {
    let checkout = Checkout::new();
    let commit = |message: &str| {
        git(checkout.root(), &["add", "-A"]);
        git(
            checkout.root(),
            &["-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-qm", message],
        );
    };
    git(checkout.root(), &["init", "-q"]);
    let line = line("security", None);
    std::fs::write(checkout.path("dbt/models/gold/bad.sql"), "select 1 as a;\n").expect("a model");
    commit("a broken policy");
    checkout.run(&["lint"]).expect(1);
    reproduces(&checkout, &line, 1);
    // A credential in the history is not in the files.
    std::fs::remove_file(checkout.path("dbt/models/gold/bad.sql")).expect("removed");
    let key = ["ghp", "_", "n7Yw3kPz1QvR8tLx5BcD2fGh6JmN4sUa0Ex9"].concat();
    std::fs::write(checkout.path("key.txt"), format!("token = \"{key}\"\n")).expect("a file");
    commit("a credential");
    std::fs::remove_file(checkout.path("key.txt")).expect("removed");
    commit("without it");
    let found = checkout.run(&["secrets", "--history", "--format", "json"]).expect(1);
    reproduces(&checkout, &line, 1);
    let left = Left::nothing();
    left.write("history.json", &found.json());
    left.write("needs.json", &json!({"security": {"result": "failure", "outputs": {}}}));
    let mut comment = left.bare("github");
    comment.args(["--dry-run", "--needs", "needs.json", "--findings", "missing.json,history.json"]);
    let comment = Ended::of(comment).expect(0).stdout;
    let head = comment.lines().take(5).collect::<Vec<_>>().join("\n");
    assert!(head.contains("key.txt:1") && head.contains("in commit") && !comment.contains(&key), "{comment}");
}
