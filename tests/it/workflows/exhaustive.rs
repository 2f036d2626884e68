//! Every `if:` of the orchestrator, over all results of the jobs before it and all outputs of the plan that it reads:
//! what runs is what should run, as a few lines say here independently of the workflow. GitHub's published package
//! evaluates every one of these expressions too, if npm is here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use regex::Regex;
use serde_json::{Map, Value, json};

use super::expression::{self, Context};
use super::{orchestrator, run, yaml};
use crate::plan::stages;
use crate::support::root;

/// One state of the world: values by path, and whether the run was cancelled.
struct Case {
    values: BTreeMap<String, Value>,
    cancelled: bool,
    /// What was read of it: the rest cannot have mattered.
    read: RefCell<BTreeSet<String>>,
}

impl Context for Case {
    fn lookup(&self, path: &[String]) -> Value {
        let path = path.join(".");
        let value = self.values.get(&path).unwrap_or_else(|| panic!("{path} has no values here")).clone();
        self.read.borrow_mut().insert(path);
        value
    }

    fn status(&self, function: &str) -> bool {
        assert_eq!(function, "cancelled", "an `if` that asks {function}() leaves out what was skipped");
        self.cancelled
    }
}

impl Case {
    fn text(&self, path: &str) -> &str {
        self.values.get(path).and_then(Value::as_str).unwrap_or_default()
    }

    fn result(&self, job: &str) -> &str {
        self.text(&format!("needs.{job}.result"))
    }

    fn plan(&self, output: &str) -> &str {
        self.text(&format!("needs.plan.outputs.{output}"))
    }

    /// The values as GitHub nests them.
    fn nested(&self) -> Value {
        let mut all = json!({});
        for (path, value) in &self.values {
            let mut place = &mut all;
            for part in path.split('.') {
                place = place.as_object_mut().unwrap().entry(part).or_insert_with(|| json!({}));
            }
            *place = value.clone();
        }
        all
    }
}

/// What a path of an expression can hold.
fn domain(path: &str, stages: &[String]) -> Vec<Value> {
    let last = path.rsplit('.').next().unwrap();
    let texts: &[&str] = match (path, last) {
        (_, "result") => &["success", "failure", "cancelled", "skipped"],
        ("github.event.pull_request.draft", _) => return vec![true.into(), false.into(), Value::Null],
        ("github.event.action", _) => &["opened", "closed", ""],
        ("github.event_name", _) => &["push", "pull_request", "merge_group", "issues"],
        (_, "action") => &["none", "build", "cleanup"],
        (_, "target") => &["local", "snowflake"],
        (_, "schema") => &["", "issue_42", "pr_7"],
        (_, "wanted") => &["true", "false", "unknown", ""],
        (_, "created") => &["true", "false", ""],
        (_, "drop_on_failure" | "publish" | "PUBLISH_PAGES") => &["true", "false"],
        (_, output) if stages.iter().any(|stage| stage == output) => &["true", "false"],
        _ => panic!("{path} has no values here"),
    };
    texts.iter().map(|&text| text.into()).collect()
}

/// All combinations of what an expression reads.
fn cases(text: &str) -> Vec<Case> {
    let path = Regex::new(r"\b(?:needs|github|vars)(?:\.\w+)+").unwrap();
    let paths: BTreeSet<&str> = path.find_iter(text).map(|found| found.as_str()).collect();
    let mut all = vec![BTreeMap::new()];
    let stages = stages();
    for path in paths {
        let values = domain(path, &stages);
        all = all
            .into_iter()
            .flat_map(|known| {
                values.iter().map(move |value| {
                    let mut known = known.clone();
                    known.insert(path.to_owned(), value.clone());
                    known
                })
            })
            .collect();
    }
    let both = |values: BTreeMap<String, Value>| {
        [false, true].map(|cancelled| Case { values: values.clone(), cancelled, read: RefCell::default() })
    };
    all.into_iter().flat_map(both).collect()
}

/// Whether a job should run.
fn should_run(job: &str, case: &Case) -> bool {
    let planned = case.result("plan") == "success" && !case.cancelled;
    let secured = match case.plan("security") {
        "true" => case.result("security") == "success",
        _ => matches!(case.result("security"), "success" | "skipped"),
    };
    let on_snowflake = case.plan("target") == "snowflake";
    match job {
        "plan" => true,
        "security" => planned && case.plan("security") == "true",
        "elt" => planned && secured && case.plan("elt") == "true",
        "observability" => {
            let is_there = match case.result("elt") {
                "success" => case.text("needs.elt.outputs.wanted") != "false",
                "failure" => case.plan("drop_on_failure") != "true",
                "skipped" => case.plan("elt") == "false" && on_snowflake,
                _ => false,
            };
            planned && secured && is_there && case.plan("observability") == "true"
        }
        "pages" => {
            let asked = case.plan("publish") == "true" && case.text("vars.PUBLISH_PAGES") == "true";
            !case.cancelled && asked && case.result("observability") == "success"
        }
        "cleanup" => {
            planned && on_snowflake && case.plan("action") == "cleanup" && !case.plan("schema").is_empty()
        }
        "janitor" => {
            planned && on_snowflake && case.plan("action") == "cleanup" && case.plan("schema").is_empty()
        }
        // Also when the run was cancelled: what it made and did not finish goes.
        "discard" => {
            let broken = match case.result("elt") {
                "failure" => true,
                "cancelled" => !case.plan("schema").starts_with("pr_"),
                _ => false,
            };
            let ours = case.text("needs.elt.outputs.created") == "true";
            broken && ours && on_snowflake && case.plan("drop_on_failure") == "true"
        }
        "gate" => {
            let may_be_merged = case.text("github.event.action") != "closed"
                && case.values["github.event.pull_request.draft"] != true;
            let waits = match case.text("github.event_name") {
                "merge_group" => true,
                "pull_request" => may_be_merged,
                _ => false,
            };
            case.result("plan") != "success" || case.plan("action") != "none" || waits
        }
        other => panic!("nothing says when {other} should run"),
    }
}

#[test]
fn no_job_runs_wrongly_whatever_the_results_and_outputs() {
    let workflow = yaml::read(&orchestrator());
    let mut asked: BTreeMap<String, Value> = BTreeMap::new();
    let mut count = 0;
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        let Some(text) = job["if"].as_str() else { continue };
        for case in cases(text) {
            let runs = expression::condition(Some(&text.into()), &case);
            assert_eq!(
                runs,
                should_run(name, &case),
                "{name}: {:?} cancelled {}",
                case.values,
                case.cancelled
            );
            count += 1;
            remember(&mut asked, text, &case, runs);
        }
    }
    assert!(count > 5000, "{count}");
    // The expressions of the workflows that are called: the results are GitHub's alone to compare.
    for path in run::workflows().into_iter().filter(|path| *path != orchestrator()) {
        for job in yaml::read(&path)["jobs"].as_object().unwrap().values() {
            for text in job["steps"].as_array().into_iter().flatten().filter_map(|step| step["if"].as_str()) {
                for case in of_step(text) {
                    let runs = expression::condition(Some(&text.into()), &case);
                    remember_step(&mut asked, text, &case, runs);
                }
            }
        }
    }
    published(&asked.into_values().collect::<Vec<_>>());
}

/// Steps ask how the steps before them went, and read inputs and outputs of steps.
struct Step {
    values: BTreeMap<String, Value>,
    failed: bool,
    cancelled: bool,
}

impl Context for Step {
    fn lookup(&self, path: &[String]) -> Value {
        self.values.get(&path.join(".")).cloned().unwrap_or(Value::Null)
    }

    fn status(&self, function: &str) -> bool {
        match function {
            "failure" => self.failed && !self.cancelled,
            "cancelled" => self.cancelled,
            _ => !self.failed && !self.cancelled,
        }
    }
}

fn of_step(text: &str) -> Vec<Step> {
    let path = Regex::new(r"\b(?:steps|inputs|github|env)(?:\.[\w-]+)+").unwrap();
    let paths: Vec<&str> = path.find_iter(text).map(|found| found.as_str()).collect();
    let mut all = Vec::new();
    for value in [
        json!("true"),
        json!("false"),
        json!(""),
        json!("local"),
        json!("snowflake"),
        json!(true),
        json!(false),
    ] {
        for (failed, cancelled) in [(false, false), (true, false), (false, true)] {
            let values = paths.iter().map(|path| ((*path).to_owned(), value.clone())).collect();
            all.push(Step { values, failed, cancelled });
        }
    }
    all
}

fn remember(asked: &mut BTreeMap<String, Value>, text: &str, case: &Case, runs: bool) {
    // What was not read changes nothing, and the package reads the same or differs.
    let read = case.read.borrow();
    let key: Vec<String> = read.iter().map(|path| format!("{path}={}", case.values[path])).collect();
    let key = format!("{text} {} {}", key.join(" "), case.cancelled);
    asked.entry(key).or_insert_with(|| {
        json!({"text": inner(text), "context": case.nested(), "status": {"cancelled": case.cancelled}, "runs": runs})
    });
}

fn remember_step(asked: &mut BTreeMap<String, Value>, text: &str, case: &Step, runs: bool) {
    let whole = Case { values: case.values.clone(), cancelled: case.cancelled, read: RefCell::default() };
    let status: Map<String, Value> = ["success", "failure", "cancelled"]
        .map(|name| (name.to_owned(), case.status(name).into()))
        .into_iter()
        .collect();
    let has_status = ["success(", "failure(", "cancelled(", "always("].iter().any(|call| text.contains(call));
    let text = if has_status { inner(text) } else { format!("success() && ({})", inner(text)) };
    let key = format!("{text} {:?} {status:?}", case.values);
    asked.insert(key, json!({"text": text, "context": whole.nested(), "status": status, "runs": runs}));
}

fn inner(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix("${{").and_then(|text| text.strip_suffix("}}")).unwrap_or(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Compares with the package that GitHub publishes, at the version and content that the lock file pins.
fn published(asked: &[Value]) {
    let folder = tempfile::tempdir().unwrap();
    for file in ["package.json", "package-lock.json", "evaluate.mjs"] {
        std::fs::copy(root().join("tests/expressions").join(file), folder.path().join(file)).unwrap();
    }
    let installed = Command::new("npm")
        .args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder.path())
        .output();
    if !installed.as_ref().is_ok_and(|output| output.status.success()) {
        println!("left out: npm cannot install @actions/expressions here ({installed:?})");
        return;
    }
    let mut node = Command::new("node");
    node.arg("evaluate.mjs").current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = node.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = serde_json::to_string(asked).unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let answers: Vec<bool> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers.len(), asked.len());
    for (case, answer) in asked.iter().zip(answers) {
        assert_eq!(case["runs"], answer, "GitHub's package differs in {case:#}");
    }
    println!("{} evaluations are those of GitHub's package", asked.len());
}
