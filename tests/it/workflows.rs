//! `.github/workflows/`: that the jobs which GitHub would run for an event are those that the plan asks for,
//! and that the files keep the rules which make them safe.

mod exhaustive;
mod expression;
mod interleaved;
mod run;
pub(crate) mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use self::run::{Job, World};
use crate::plan::{event_name, events, read_outputs, stages};
use crate::secrets::git;
use crate::support::{Ended, environment, root, scratch, scrubbed, shell};

fn orchestrator() -> PathBuf {
    root().join(".github/workflows/orchestrator.yml")
}

/// The variables of a repository that is set up for Snowflake and Pages, or for nothing.
fn vars(snowflake: bool) -> Value {
    if snowflake {
        json!({"SNOWFLAKE_ACCOUNT": "ab12345", "PUBLISH_PAGES": "true", "CODE_SCANNING": "true"})
    } else {
        json!({})
    }
}

/// What the step `plan` writes for an event: the program's own outputs, and the plan.
fn planned(case: &str, event: &Path, snowflake: bool) -> (BTreeMap<String, String>, Value) {
    let folder = scratch();
    let output = folder.path().join("output");
    let mut command = scrubbed(root());
    command
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", &output)
        .env("XTASK_TARGET", if snowflake { "snowflake" } else { "local" })
        .args(["plan", "--format", "json", "--event-name", event_name(case), "--event"])
        .arg(event);
    let plan = Ended::of(command).expect(0).json();
    (read_outputs(&fs::read_to_string(&output).unwrap()).into_iter().collect(), plan)
}

fn world(case: &str, event: &Path, snowflake: bool, run_id: u64) -> (World, Value) {
    let payload: Value = serde_json::from_str(&fs::read_to_string(event).unwrap()).unwrap();
    let (outputs, plan) = planned(case, event, snowflake);
    let github = json!({
        "event_name": event_name(case), "event": payload, "run_id": run_id, "token": "<token>",
        "ref": payload["ref"].as_str().unwrap_or("refs/heads/main"), "repository": "octo-lab/inventory",
    });
    let world = World {
        github,
        vars: vars(snowflake),
        plan: outputs,
        creates: true,
        wanted: ["true", "true"],
        dropped: 1,
        failing: BTreeSet::new(),
        cancelled: false,
    };
    (world, plan)
}

fn simulate(world: &World) -> BTreeMap<String, Job> {
    run::run(&orchestrator(), world, &Map::new())
}

fn ran(jobs: &BTreeMap<String, Job>) -> BTreeSet<&str> {
    jobs.iter().filter(|(_, job)| job.result != "skipped").map(|(name, _)| name.as_str()).collect()
}

/// The jobs that a plan asks for, if all goes well.
fn asked<'a>(plan: &'a Value, event: &Value, snowflake: bool) -> BTreeSet<&'a str> {
    let on_snowflake = plan["target"] == "snowflake";
    let is_cleanup = plan["action"] == "cleanup" && on_snowflake;
    let stages = plan["stages"].as_object().unwrap();
    let mut jobs = BTreeSet::from(["plan"]);
    let mut ask = |job: &'a str, wanted: bool| wanted.then(|| jobs.insert(job));
    let is_there = stages["elt"] == true || on_snowflake;
    let observes = stages["observability"] == true && is_there;
    for (stage, wanted) in stages {
        ask(stage, *wanted == true && (stage != "observability" || is_there));
    }
    ask("pages", observes && plan["publish"] == true && snowflake);
    ask("cleanup", is_cleanup && plan["schema"].is_string());
    ask("janitor", is_cleanup && plan["schema"].is_null());
    // What is merged waits for the check, so it comes also if nothing was asked for. Drafts cannot be merged.
    let may_be_merged = plan["event"]["action"] != "closed" && event["pull_request"]["draft"] != true;
    let name = &plan["event"]["name"];
    let waits = name == "merge_group" || name == "pull_request" && may_be_merged;
    ask("gate", plan["action"] != "none" || waits);
    jobs
}

#[test]
fn the_jobs_that_run_are_those_that_the_plan_asks_for() {
    let workflow = yaml::read(&orchestrator());
    for snowflake in [false, true] {
        for (case, event) in events() {
            let (world, plan) = world(&case, &event, snowflake, 1);
            if !run::triggers(&workflow, event_name(&case), &world.github["event"]) {
                assert_eq!(plan["action"], "none", "{case} asks for something and starts nothing");
                continue;
            }
            let jobs = simulate(&world);
            assert_eq!(ran(&jobs), asked(&plan, &world.github["event"], snowflake), "{case} {plan}");
            inputs_are_the_plans(&case, &jobs, &plan);
        }
    }
}

#[test]
fn the_orchestrator_knows_every_stage() {
    let workflow = yaml::read(&orchestrator());
    for stage in stages() {
        let input = &workflow["on"]["workflow_dispatch"]["inputs"][&stage];
        assert_eq!(input["type"], "boolean", "orchestrator.yml has no input {stage}");
        let output = &workflow["jobs"]["plan"]["outputs"][&stage];
        assert!(output.is_string(), "the job plan of orchestrator.yml has no output {stage}");
        assert!(workflow["jobs"][&stage].is_object(), "orchestrator.yml has no job {stage}");
        let gate = run::needs(&workflow["jobs"]["gate"]);
        assert!(gate.contains(&stage), "the job gate of orchestrator.yml does not need {stage}");
        let called = yaml::read(&root().join(format!(".github/workflows/{stage}.yml")));
        let error = &called["on"]["workflow_call"]["outputs"]["error"];
        assert!(error.is_object(), "{stage}.yml has no output error");
    }
}

/// What jobs are called with is what the plan says, and they run in its GitHub environment.
fn inputs_are_the_plans(case: &str, jobs: &BTreeMap<String, Job>, plan: &Value) {
    let text = |key: &str| Value::from(plan[key].as_str().unwrap_or_default());
    for (name, schema) in [
        ("elt", text("schema")),
        ("observability", text("observed")),
        ("cleanup", text("schema")),
        ("janitor", "".into()),
    ] {
        let job = &jobs[name];
        if job.result == "skipped" {
            continue;
        }
        assert_eq!(job.inputs["schema"], schema, "{case} {name}");
        assert_eq!(job.inputs["target"], plan["target"], "{case} {name}");
        assert_eq!(job.environments, [plan["deployment"].as_str().unwrap()], "{case} {name}");
    }
    if jobs["elt"].result != "skipped" {
        assert_eq!(jobs["elt"].inputs["base"], text("base"), "{case}");
    }
    if jobs["security"].result != "skipped" {
        let shown = plan["trusted"] == true && plan["target"] == "snowflake";
        assert_eq!(jobs["security"].inputs["upload_sarif"], shown, "{case}: a fork's token cannot upload");
    }
}

/// The required check has one name where something is merged. A push never reports under it: its commit may be the head
/// of a pull request, where a job that the push skipped would count as passed.
#[test]
fn the_required_check_is_reported_under_its_name_only_where_something_is_merged() {
    let workflow = yaml::read(&orchestrator());
    let name = workflow["jobs"]["gate"]["name"].as_str().unwrap();
    assert!(
        name.contains("${{"),
        "GitHub shows the name of a skipped job unevaluated, which is never `gate`"
    );
    for (case, event) in events() {
        let (world, _) = world(&case, &event, true, 1);
        let is_push = event_name(&case) == "push";
        let shown = run::text(name, &world);
        assert_eq!(shown, if is_push { "gate of the push" } else { "gate" }, "{case}");
    }
}

#[test]
fn a_gate_that_fails_stops_what_comes_after_it_and_people_are_told() {
    let case = "push.run-all-main";
    let event = root().join("tests/events/push.run-all-main.json");
    for (failing, expected) in [
        ("plan", vec!["plan", "gate"]),
        ("security", vec!["plan", "security", "gate"]),
        ("elt", vec!["elt", "observability", "pages", "plan", "security", "gate"]),
        ("observability", vec!["elt", "observability", "plan", "security", "gate"]),
        ("pages", vec!["elt", "observability", "pages", "plan", "security", "gate"]),
    ] {
        let (mut world, _) = world(case, &event, true, 1);
        world.failing.insert(failing);
        let jobs = simulate(&world);
        assert_eq!(ran(&jobs), BTreeSet::from_iter(expected), "{failing} fails");
        let last = ["notify github", "notify slack", "gate"];
        let lines = jobs["gate"].lines.iter().map(|line| line.trim_start_matches("cargo xtask "));
        assert!(lines.zip(last).all(|(line, start)| line.starts_with(start)), "{:?}", jobs["gate"].lines);
        assert_eq!(jobs["gate"].lines.len(), 3);
    }
    let (mut world, _) = world(case, &event, true, 1);
    world.cancelled = true;
    assert_eq!(ran(&simulate(&world)), BTreeSet::from(["plan", "gate"]), "cancelled");
}

#[test]
fn an_environment_whose_build_failed_is_dropped_only_if_the_policy_says_so() {
    let event = root().join("tests/events/issues.labeled-feature.json");
    for (drops, snowflake, creates) in
        [("false", true, true), ("true", true, true), ("true", false, true), ("true", true, false)]
    {
        let (mut world, _) = world("issues.labeled-feature", &event, snowflake, 1);
        world.failing.insert("elt");
        world.creates = creates;
        world.plan.insert("drop_on_failure".to_owned(), drops.to_owned());
        let jobs = simulate(&world);
        let expected = if drops == "true" && snowflake && creates { "success" } else { "skipped" };
        assert_eq!(jobs["discard"].result, expected, "{drops} {snowflake} {creates}");
        if expected == "success" {
            assert_eq!(jobs["discard"].inputs["schema"], "issue_42");
            let lines =
                ["cargo xtask schema drop --schema \"$SCHEMA\" --if-exists", "cargo xtask notify dropped"];
            assert_eq!(jobs["discard"].lines, lines);
        }
    }
}

/// Every `run:` line of a whole pipeline, in order, on a clean clone of this commit and with the variables that a runner
/// sets. The jobs share one folder, where on GitHub artifacts carry what they hand on; `cargo` is the program under
/// test, and neither GitHub nor Slack is reached.
#[test]
fn every_line_of_a_pipeline_passes_on_a_clean_clone_of_this_commit() {
    let folder = tempfile::tempdir().unwrap();
    let clone = folder.path().join("clone");
    git(folder.path(), &["clone", "-q", "--single-branch", root().to_str().unwrap(), "clone"]);
    let bin = folder.path().join("bin");
    fs::create_dir_all(clone.join(".xtask/run/report")).unwrap();
    let event = root().join("tests/events/push.run-all-main.json");
    let (world, _) = world("push.run-all-main", &event, false, 1);
    let jobs = simulate(&world);
    let advisories = crate::audit::rustsec(folder.path(), None);
    let service = crate::audit::osv(None);
    let mut ran = 0;
    let stages = stages();
    for name in ["plan"].into_iter().chain(stages.iter().map(String::as_str)).chain(["gate"]) {
        let job = &jobs[name];
        assert_eq!(job.result, "success", "{name}");
        for (line, variables) in job.lines.iter().zip(&job.variables) {
            let mut command = shell(&bin, &clone, line);
            let known =
                variables.iter().filter(|(_, value)| !value.contains("<secret>") && *value != "<token>");
            command.envs(known).env("GITHUB_ACTIONS", "true");
            command.env("GITHUB_EVENT_NAME", "push").env("GITHUB_EVENT_PATH", &event);
            command.env("GITHUB_WORKSPACE", &clone).env("RUNNER_TEMP", folder.path());
            command.env("GITHUB_REPOSITORY", "octo-lab/inventory").env("GITHUB_REF_NAME", "main");
            crate::audit::redirect(&mut command, folder.path(), &advisories, &service.url);
            for file in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV"] {
                command.env(file, folder.path().join(file));
            }
            let ended = Ended::of(command);
            assert_eq!(ended.code, Some(0), "{name}: {line}\n{}\n{}", ended.stdout, ended.stderr);
            ran += 1;
        }
    }
    assert!(ran >= 10, "{ran} lines");
}

#[test]
fn what_was_closed_before_its_build_is_not_built_and_what_was_closed_during_it_is_dropped() {
    let event = root().join("tests/events/issues.labeled-feature.json");
    for (wanted, builds, drops, measures) in [
        (["true", "true"], true, false, true),
        (["unknown", "unknown"], true, false, true),
        (["false", "false"], false, false, false),
        (["true", "false"], true, true, false),
    ] {
        let (mut world, _) = world("issues.labeled-feature", &event, true, 1);
        world.wanted = wanted;
        let jobs = simulate(&world);
        let ran = |line: &str| jobs["elt"].lines.iter().any(|other| other.starts_with(line));
        assert_eq!(ran("cargo xtask elt"), builds, "{wanted:?}");
        assert_eq!(ran("cargo xtask schema drop"), drops, "{wanted:?}");
        assert_eq!(jobs["observability"].result == "success", measures, "{wanted:?}");
        let mut gate = scrubbed(root());
        let needs: Map<String, Value> = jobs
            .iter()
            .filter(|(name, _)| *name != "gate")
            .map(|(name, job)| (name.clone(), json!({"result": job.result, "outputs": job.outputs})))
            .collect();
        gate.args(["gate", "--plan", &world.plan["plan"], "--needs", &Value::Object(needs).to_string()]);
        Ended::of(gate).expect(0);
    }
}

#[test]
fn a_clean_up_waits_for_nothing_and_nothing_takes_its_place() {
    let workflow = yaml::read(&orchestrator());
    let mut builds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut drops: BTreeSet<String> = BTreeSet::new();
    for run_id in [1, 2] {
        for (case, event) in events() {
            let (mut world, _) = world(&case, &event, true, run_id);
            // Every run has a distinct number.
            world.github["run_id"] = (run_id * 1000 + u64::try_from(drops.len()).unwrap()).into();
            if !run::triggers(&workflow, event_name(&case), &world.github["event"]) {
                continue;
            }
            for (name, job) in simulate(&world) {
                let Some(group) = job.group else { continue };
                assert!(!job.cancels_in_progress, "{case}: a build waits for the one before it");
                if name == "elt" {
                    let schema = job.inputs["schema"].as_str().unwrap().to_owned();
                    builds.entry(group.to_lowercase()).or_default().insert(schema);
                } else {
                    assert!(drops.insert(group.to_lowercase()), "{case}: {group} is another run's, too");
                }
            }
        }
    }
    assert!(drops.len() > 10 && builds.len() > 5, "{drops:?} {builds:?}");
    for (group, schemas) in &builds {
        assert_eq!(schemas.len(), 1, "{group} is one environment's");
        assert!(!drops.contains(group));
    }
    assert_eq!(workflow["jobs"]["elt"]["concurrency"]["queue"], "max", "no build that waits is replaced");
}

#[test]
fn only_the_next_commit_of_a_pull_request_cancels_a_run() {
    let concurrency = yaml::read(&orchestrator())["concurrency"].clone();
    assert_eq!(concurrency["cancel-in-progress"], true);
    let group = |name: &str, action: &str, number: u64, run_id: u64| {
        let event = json!({"action": action, "number": number});
        let world = World {
            github: json!({"event_name": name, "event": event, "run_id": run_id}),
            vars: json!({}),
            plan: BTreeMap::new(),
            creates: false,
            wanted: ["true", "true"],
            dropped: 0,
            failing: BTreeSet::new(),
            cancelled: false,
        };
        run::text(concurrency["group"].as_str().unwrap(), &world)
    };
    let first = group("pull_request", "opened", 7, 1);
    for action in ["synchronize", "reopened", "ready_for_review"] {
        assert_eq!(group("pull_request", action, 7, 2), first, "{action}");
    }
    for (name, action, number) in [
        ("pull_request", "synchronize", 8),
        ("pull_request", "closed", 7),
        ("pull_request", "unlabeled", 7),
        ("issues", "opened", 7),
        ("push", "", 7),
    ] {
        let other = group(name, action, number, 2);
        assert_ne!(other, first, "{name} {action} {number}");
        assert!(other == group(name, action, number, 2) && (number == 8 || other.ends_with('2')), "{other}");
    }
}

/// Every job and step of every workflow, with its location.
fn each_step(mut look: impl FnMut(&str, &Value, &Value)) {
    for path in run::workflows() {
        let workflow = yaml::read(&path);
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            let place = format!("{}: {name}", path.file_name().unwrap().to_string_lossy());
            for step in job["steps"].as_array().into_iter().flatten() {
                look(&place, job, step);
            }
        }
    }
    let action = yaml::read(&root().join(".github/actions/setup/action.yml"));
    for step in action["runs"]["steps"].as_array().unwrap() {
        look("setup", &action, step);
    }
}

#[test]
fn workflows_take_no_more_than_they_need() {
    for path in run::workflows() {
        let (workflow, name) = (yaml::read(&path), path.display().to_string());
        assert_eq!(workflow["permissions"], json!({}), "{name}: nothing unless a job says so");
        assert!(workflow["concurrency"].is_object(), "{name}");
        for (job_name, job) in workflow["jobs"].as_object().unwrap() {
            let place = format!("{name}: {job_name}");
            assert!(job["permissions"].is_object(), "{place} says what it may do");
            assert_ne!(job["secrets"], "inherit", "{place}");
            assert!(job["uses"].is_string() || job["timeout-minutes"].is_number(), "{place} has a time-out");
            let text = job["env"].to_string();
            assert!(!text.contains("secrets."), "{place}: secrets go to the steps that need them");
            // A job that needs others names the results it needs: otherwise a skip propagates unnoticed.
            let condition = job["if"].as_str().unwrap_or_default();
            let explicit = condition.contains("cancelled()") || condition.contains("always()");
            assert!(run::needs(job).is_empty() || explicit, "{place} has an `if` with a status function");
        }
    }
    each_step(|place, _, step| {
        if let Some(action) = step["uses"].as_str().filter(|action| !action.starts_with("./")) {
            let commit = action.split_once('@').unwrap_or_else(|| panic!("{place}: {action}")).1;
            assert!(commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{place}: {action}");
        }
        if step["uses"].as_str().is_some_and(|action| action.starts_with("actions/checkout")) {
            assert_eq!(step["with"]["persist-credentials"], false, "{place} leaves no token behind");
        }
        let line = step["run"].as_str().unwrap_or_default();
        assert!(!line.contains("${{"), "{place}: outside text goes through `env`: {line}");
        // An upload of findings reports; whether there are any was decided before it.
        let reports = step["uses"].as_str().is_some_and(|action| action.contains("/upload-sarif@"));
        assert!(
            !line.contains("|| true") && (reports || step["continue-on-error"].is_null()),
            "{place}: {line}"
        );
        assert!(!line.trim().contains('\n'), "{place}: one line a step");
    });
}

#[test]
fn forms_and_labels_are_the_ones_that_the_plan_reads() {
    let form = |name: &str| yaml::read(&root().join(".github/ISSUE_TEMPLATE").join(name));
    let labels = |form: &Value| -> Vec<String> {
        form["body"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|part| part["attributes"]["label"].as_str())
            .map(str::to_owned)
            .collect()
    };
    let (feature, cleanup) = (form("feature.yml"), form("cleanup.yml"));
    assert_eq!((&feature["labels"], &cleanup["labels"]), (&json!(["feature"]), &json!(["cleanup"])));
    // The deciding fields come before free text, which may contain any heading.
    assert_eq!(labels(&feature)[..3], ["Object name", "Base", "Options"]);
    assert_eq!(labels(&cleanup)[0], "Environment");
    let defined = fs::read_to_string(root().join(".github/labels.toml")).unwrap();
    for label in ["feature", "cleanup"] {
        assert!(defined.contains(&format!("name = \"{label}\"")), "{label}");
    }
}

#[test]
fn zizmor_has_nothing_to_say() {
    let zizmor = environment().join("bin/zizmor");
    let mut command = std::process::Command::new(&zizmor);
    command.args(["--offline", "--persona", "pedantic", "--no-progress"]).arg(root().join(".github"));
    let ended = Ended::of(command).expect(0);
    assert!(ended.stdout.contains("No findings to report"), "{}", ended.stdout);
}

/// What the maintained fork of actionlint finds in the workflows of a folder. Unlike the original and zizmor it
/// compares the permissions of nested jobs with those of their callers, as GitHub does before it starts anything.
fn actionlint(folder: &Path) -> Ended {
    let mut command = std::process::Command::new(environment().join("bin/actionlint"));
    // Scripts are one line each, and `lint` reads them; whether this machine has shellcheck changes nothing.
    command.args(["-shellcheck=", "-pyflakes=", "-no-color", "-oneline"]).current_dir(folder);
    Ended::of(command)
}

/// A copy of the workflows, with one text replaced.
fn changed(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q"]);
    for part in [".github/workflows", ".github/actions/setup", "policies"] {
        fs::create_dir_all(folder.path().join(part)).unwrap();
        for entry in fs::read_dir(root().join(part)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(part).join(entry.file_name())).unwrap();
        }
    }
    let path = folder.path().join(".github/workflows").join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from:?}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    folder
}

#[test]
fn actionlint_has_nothing_to_say() {
    actionlint(root()).expect(0);
    let wrong = changed("orchestrator.yml", "needs.plan.outputs.target", "nowhere.x");
    assert!(actionlint(wrong.path()).expect(1).stdout.contains("nowhere"));
}

/// Our own rules find what makes GitHub refuse to start a workflow, wherever one grant or name is missing.
#[test]
fn a_workflow_that_github_would_not_start_is_found_by_lint_and_by_actionlint() {
    let lint = |folder: &Path| {
        let mut command = scrubbed(folder);
        command.args(["lint", "--no-cache", "--only", "workflow"]);
        Ended::of(command)
    };
    lint(changed("orchestrator.yml", "name: orchestrator", "name: orchestrator").path()).expect(0);
    for (file, from, to, rule) in [
        (
            "orchestrator.yml",
            "      security-events: write",
            "      statuses: write",
            "uncovered-permissions",
        ),
        ("orchestrator.yml", "      pull-requests: read", "      statuses: read", "uncovered-permissions"),
        ("cleanup.yml", "      issues: read", "      issues: write", "uncovered-permissions"),
        ("orchestrator.yml", "      upload_sarif: ", "      sarif: ", "mismatched-call"),
        ("elt.yml", "    secrets:\n", "    secrets:\n      MISSING: {required: true}\n", "mismatched-call"),
        ("elt.yml", "  workflow_call:", "  workflow_run:", "mismatched-call"),
    ] {
        let folder = changed(file, from, to);
        let said = lint(folder.path()).expect(1).stdout;
        assert!(said.contains(&format!("[{rule}]")), "{file}: {from:?} -> {to:?}\n{said}");
        actionlint(folder.path()).expect(1);
    }
}
