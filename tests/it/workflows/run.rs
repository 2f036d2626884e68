//! Runs a workflow as GitHub would: which jobs start for an event, with which inputs, in which concurrency
//! groups, and how each ends. Reading an undefined value is a panic: a job's output that no step sets, a
//! `needs` that is not listed, an input that is not declared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::expression::{self, Context};
use super::yaml;
use crate::support::root;

/// What happens around the workflow.
pub(super) struct World {
    /// The context `github`.
    pub(super) github: Value,
    /// The context `vars`.
    pub(super) vars: Value,
    /// What the step `plan` writes.
    pub(super) plan: BTreeMap<String, String>,
    /// Whether the environment that `elt` builds is a new one.
    pub(super) creates: bool,
    /// Jobs that fail when they run.
    pub(super) failing: BTreeSet<&'static str>,
    /// What `cargo xtask wanted` answers, before the build and after it.
    pub(super) wanted: [&'static str; 2],
    /// How many environments a clean-up drops.
    pub(super) dropped: u64,
    /// The run was cancelled when `plan` was done.
    pub(super) cancelled: bool,
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    pub(super) result: &'static str,
    pub(super) outputs: Map<String, Value>,
    pub(super) group: Option<String>,
    pub(super) cancels_in_progress: bool,
    /// `with` of a call.
    pub(super) inputs: Map<String, Value>,
    /// The GitHub environments it ran in.
    pub(super) environments: Vec<String>,
    /// The commands that ran, in their order.
    pub(super) lines: Vec<String>,
    /// Their variables: those of the job and of the step.
    pub(super) variables: Vec<BTreeMap<String, String>>,
}

pub(super) fn workflows() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join(".github/workflows"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .collect();
    files.sort();
    files
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// Whether the event starts the workflow: `on`, with its types and branches.
pub(super) fn triggers(workflow: &Value, event: &str, payload: &Value) -> bool {
    let Some(trigger) = workflow["on"].get(event) else { return false };
    let types = trigger.get("types").and_then(Value::as_array);
    let is_type = types.is_none_or(|types| types.contains(&payload["action"]));
    let branches = trigger.get("branches").and_then(Value::as_array);
    // A filter for branches only keeps the tags out.
    let reference = payload["ref"].as_str().unwrap_or_default();
    let is_branch = branches.is_none_or(|branches| {
        let branch = reference.strip_prefix("refs/heads/");
        branch.is_some_and(|branch| branches.iter().any(|pattern| pattern == "**" || pattern == branch))
    });
    is_type && is_branch
}

/// A text of the workflow or of a job that reads nothing but the event: a name, a concurrency group.
pub(super) fn text(text: &str, world: &World) -> String {
    let (none, jobs) = (Map::new(), BTreeMap::new());
    let scope = Scope {
        world,
        job: &Value::Null,
        jobs: &none,
        done: &jobs,
        inputs: &none,
        steps: None,
        failed: false,
    };
    expression::string(&expression::template(text, &scope))
}

/// Runs all jobs of a workflow, with the inputs it was called with.
pub(super) fn run(path: &Path, world: &World, inputs: &Map<String, Value>) -> BTreeMap<String, Job> {
    let workflow = yaml::read(path);
    let jobs = object(&workflow["jobs"]);
    let mut done: BTreeMap<String, Job> = BTreeMap::new();
    while done.len() < jobs.len() {
        let next = jobs.iter().find(|(name, job)| {
            !done.contains_key(*name) && needs(job).iter().all(|need| done.contains_key(need))
        });
        let (name, job) =
            next.unwrap_or_else(|| panic!("{}: jobs need each other in a circle", path.display()));
        let scope = Scope { world, job, jobs: &jobs, done: &done, inputs, steps: None, failed: false };
        let ended = run_job(name, job, &scope);
        done.insert(name.clone(), ended);
    }
    done
}

pub(super) fn needs(job: &Value) -> Vec<String> {
    match &job["needs"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(all) => all.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
        _ => Vec::new(),
    }
}

/// All jobs that must end before this one.
fn ancestors(job: &Value, jobs: &Map<String, Value>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut open = needs(job);
    while let Some(name) = open.pop() {
        open.extend(needs(&jobs[&name]));
        all.insert(name);
    }
    all
}

fn run_job(name: &str, job: &Value, scope: &Scope<'_>) -> Job {
    let mut ended = Job {
        result: "skipped",
        outputs: Map::new(),
        group: None,
        cancels_in_progress: false,
        inputs: Map::new(),
        environments: Vec::new(),
        lines: Vec::new(),
        variables: Vec::new(),
    };
    if !expression::condition(job.get("if"), scope) {
        return ended;
    }
    if let Some(concurrency) = job.get("concurrency") {
        let group = expression::template(concurrency["group"].as_str().unwrap(), scope);
        ended.group = Some(expression::string(&group));
        ended.cancels_in_progress = match &concurrency["cancel-in-progress"] {
            Value::String(text) => expression::truthy(&expression::template(text, scope)),
            flag => *flag != false,
        };
    }
    let fails = scope.world.failing.contains(name);
    ended.result = if fails { "failure" } else { "success" };
    match job.get("uses").and_then(Value::as_str) {
        Some(called) => call(called, job, scope, &mut ended),
        None => run_steps(job, scope, fails, &mut ended),
    }
    ended
}

/// A job that is another workflow. What it is given and what it takes must be the same.
fn call(called: &str, job: &Value, scope: &Scope<'_>, ended: &mut Job) {
    let path = root().join(called.strip_prefix("./").expect("a workflow of this repository"));
    let workflow = yaml::read(&path);
    let interface = &workflow["on"]["workflow_call"];
    let declared = object(&interface["inputs"]);
    let given = object(&job["with"]);
    for (name, value) in &given {
        let kind = declared.get(name).unwrap_or_else(|| panic!("{called} takes no input {name}"));
        let value = value.as_str().map_or_else(|| value.clone(), |text| expression::template(text, scope));
        let fits = if kind["type"] == "boolean" { value.is_boolean() } else { value.is_string() };
        assert!(fits, "{called}: {name} is {value}, and takes a {}", kind["type"]);
        ended.inputs.insert(name.clone(), value);
    }
    for (name, input) in &declared {
        assert!(input["required"] != true || given.contains_key(name), "{called} needs the input {name}");
    }
    let secrets = object(&interface["secrets"]);
    assert_eq!(job["secrets"].as_str(), None, "secrets are named one by one");
    assert!(object(&job["secrets"]).keys().eq(secrets.keys()), "{called}: its secrets and those it is given");
    let inner = run(&path, scope.world, &ended.inputs);
    for (name, output) in object(&interface["outputs"]) {
        let value = output["value"].as_str().unwrap();
        let scope = Called { jobs: &inner };
        ended.outputs.insert(name, expression::template(value, &scope));
    }
    for inner in inner.into_values() {
        ended.lines.extend(inner.lines);
        ended.variables.extend(inner.variables);
        ended.environments.extend(inner.environments);
    }
}

fn run_steps(job: &Value, scope: &Scope<'_>, fails: bool, ended: &mut Job) {
    if let Some(environment) = job.get("environment") {
        let name = environment.as_str().or_else(|| environment["name"].as_str()).unwrap();
        ended.environments.push(expression::string(&expression::template(name, scope)));
    }
    for text in object(&job["env"]).values().filter_map(Value::as_str) {
        expression::template(text, scope);
    }
    let mut steps = Map::new();
    let all = job["steps"].as_array().expect("steps");
    // Which of the steps fails matters not to what is asked here: the first that does the work of its job.
    let works =
        |step: &Value| step["run"].as_str().is_some_and(|line| !line.starts_with("cargo xtask wanted"));
    let breaks_at = all.iter().position(works).unwrap_or(0);
    let mut failed = false;
    for (at, step) in all.iter().enumerate() {
        let inner = Scope { steps: Some(&steps), failed, ..*scope };
        if !expression::condition(step.get("if"), &inner) {
            continue;
        }
        for text in object(&step["env"]).values().chain(object(&step["with"]).values()) {
            text.as_str().map(|text| expression::template(text, &inner));
        }
        let outputs = step_outputs(step, scope.world, steps.contains_key("wanted"));
        if let Some(line) = step["run"].as_str() {
            ended.lines.push(line.to_owned());
            let all = object(&job["env"]).into_iter().chain(object(&step["env"]));
            let text = |value: &Value| value.as_str().map(|text| expression::template(text, &inner));
            let set = all.filter_map(|(name, value)| Some((name, expression::string(&text(&value)?))));
            ended.variables.push(set.collect());
        }
        failed |= fails && at == breaks_at;
        if let Some(id) = step["id"].as_str() {
            // What `elt` writes it writes before it can fail; the other commands write at their end.
            let is_late = step["run"].as_str().is_some_and(|line| !line.starts_with("cargo xtask elt"));
            let written = if failed && is_late { Map::new() } else { outputs };
            steps.insert(id.to_owned(), json!({"outputs": written, "failed": failed}));
        }
    }
    let inner = Scope { steps: Some(&steps), failed, ..*scope };
    for (name, value) in object(&job["outputs"]) {
        ended.outputs.insert(name, expression::template(value.as_str().unwrap(), &inner));
    }
}

/// What a step writes: the toolkit's own outputs are the real ones, an action's are those it documents.
fn step_outputs(step: &Value, world: &World, asks_again: bool) -> Map<String, Value> {
    let action = step["uses"].as_str().unwrap_or_default();
    let names: &[&str] = match action.split('@').next().unwrap_or_default() {
        "actions/upload-artifact" => &["artifact-id", "artifact-url", "artifact-digest"],
        "actions/deploy-pages" => &["page_url"],
        "./.github/actions/setup" => &["compiled"],
        _ => &[],
    };
    let mut outputs: Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), format!("<{name}>").into())).collect();
    // What keeps a command of the toolkit from running; here none is kept from it.
    if step["run"].as_str().is_some_and(|line| line.starts_with("cargo xtask ")) {
        outputs.insert("error".to_owned(), "".into());
    }
    if step["run"].as_str().is_some_and(|line| line.starts_with("cargo xtask plan")) {
        outputs.extend(world.plan.iter().map(|(name, value)| (name.clone(), value.clone().into())));
    }
    if step["run"].as_str().is_some_and(|line| line.starts_with("cargo xtask wanted")) {
        outputs.insert("wanted".to_owned(), world.wanted[usize::from(asks_again)].into());
    }
    if step["run"].as_str().is_some_and(|line| line.starts_with("cargo xtask schema")) {
        outputs.insert("dropped".to_owned(), world.dropped.to_string().into());
    }
    if step["run"].as_str().is_some_and(|line| line.starts_with("cargo xtask elt")) {
        outputs.insert("created".to_owned(), world.creates.to_string().into());
        // It writes `false` if a newer run has built the environment; here none has.
        outputs.insert("wanted".to_owned(), "".into());
    }
    outputs
}

/// What an expression in a job sees.
#[derive(Clone, Copy)]
struct Scope<'a> {
    world: &'a World,
    job: &'a Value,
    jobs: &'a Map<String, Value>,
    done: &'a BTreeMap<String, Job>,
    inputs: &'a Map<String, Value>,
    /// In a step: what the steps before it wrote.
    steps: Option<&'a Map<String, Value>>,
    failed: bool,
}

impl Context for Scope<'_> {
    fn lookup(&self, path: &[String]) -> Value {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["github", rest @ ..] => walk(&self.world.github, rest),
            ["vars", name] => self.world.vars[name].clone(),
            ["inputs", name] => match self.inputs.get(*name) {
                Some(value) => value.clone(),
                // Left out by who called, or started by hand: empty.
                None => Value::Null,
            },
            ["secrets", _] => "<secret>".into(),
            ["runner", _] => "<runner>".into(),
            ["needs"] => {
                let all = needs(self.job).into_iter().map(|need| {
                    let ended = &self.done[&need];
                    (need, json!({"result": ended.result, "outputs": ended.outputs}))
                });
                Value::Object(all.collect())
            }
            ["needs", name, rest @ ..] => {
                assert!(needs(self.job).iter().any(|need| need == name), "{name} is not in needs");
                let ended = &self.done[*name];
                match rest {
                    ["result"] => ended.result.into(),
                    ["outputs", output] => {
                        assert!(self.writes(name, output), "{name} has no output {output}");
                        ended.outputs.get(*output).cloned().unwrap_or(Value::Null)
                    }
                    _ => panic!("needs.{name}.{rest:?}"),
                }
            }
            ["steps", id, "outputs", name] => {
                let Some(step) = self.steps.and_then(|steps| steps.get(*id)) else {
                    let all = self.job["steps"].as_array().unwrap();
                    assert!(all.iter().any(|step| step["id"] == *id), "no step is called {id}");
                    return Value::Null;
                };
                let value = step["outputs"].get(name).cloned();
                assert!(value.is_some() || step["failed"] == true, "the step {id} writes no output {name}");
                value.unwrap_or(Value::Null)
            }
            _ => panic!("{path:?} is unknown here"),
        }
    }

    fn status(&self, function: &str) -> bool {
        let cancelled = self.world.cancelled && !self.done.is_empty();
        if function == "cancelled" {
            return cancelled;
        }
        if self.steps.is_some() {
            return if function == "failure" { self.failed } else { !self.failed && !cancelled };
        }
        let mut before = ancestors(self.job, self.jobs).into_iter().map(|name| self.done[&name].result);
        match function {
            "success" => !cancelled && before.all(|result| result == "success"),
            "failure" => before.any(|result| result == "failure"),
            other => panic!("{other}()"),
        }
    }
}

impl Scope<'_> {
    /// Whether a job declares an output, itself or through the workflow it calls.
    fn writes(&self, job: &str, output: &str) -> bool {
        let job = &self.jobs[job];
        match job["uses"].as_str() {
            None => job["outputs"].get(output).is_some(),
            Some(called) => {
                let called = yaml::read(&root().join(called.strip_prefix("./").unwrap()));
                called["on"]["workflow_call"]["outputs"].get(output).is_some()
            }
        }
    }
}

/// What the outputs of a called workflow see: its jobs.
struct Called<'a> {
    jobs: &'a BTreeMap<String, Job>,
}

impl Context for Called<'_> {
    fn lookup(&self, path: &[String]) -> Value {
        match path {
            [jobs, job, outputs, name] if jobs == "jobs" && outputs == "outputs" => {
                let job = self.jobs.get(job).unwrap_or_else(|| panic!("no job {job}"));
                job.outputs.get(name).unwrap_or_else(|| panic!("the job has no output {name}")).clone()
            }
            _ => panic!("{path:?} is unknown here"),
        }
    }

    fn status(&self, function: &str) -> bool {
        panic!("{function}() in an output")
    }
}

fn walk(value: &Value, path: &[&str]) -> Value {
    path.iter().fold(value.clone(), |value, name| value.get(name).cloned().unwrap_or(Value::Null))
}
