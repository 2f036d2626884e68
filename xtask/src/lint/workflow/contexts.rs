//! What the contexts of an expression contain at its place: the steps before it, the needs and the matrix of its job,
//! the inputs of its file.

use std::collections::{BTreeMap, HashMap};

use super::expression::Expression;
use super::types::{Contexts, Type, infer};
use super::view::{Context, Kind, View};
use crate::core::yaml::{Node, Style, Value};

/// The texts of `github` (docs.github.com, contexts reference).
const GITHUB: [&str; 44] = [
    "action",
    "action_path",
    "action_ref",
    "action_repository",
    "action_status",
    "actor",
    "actor_id",
    "api_url",
    "artifact_cache_size_limit",
    "base_ref",
    "env",
    "event_name",
    "event_path",
    "graphql_url",
    "head_ref",
    "job",
    "job_workflow_ref",
    "job_workflow_sha",
    "output",
    "path",
    "ref",
    "ref_name",
    "ref_type",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "repository_visibility",
    "repositoryurl",
    "retention_days",
    "run_attempt",
    "run_id",
    "run_number",
    "secret_source",
    "server_url",
    "sha",
    "state",
    "step_summary",
    "token",
    "triggering_actor",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "workspace",
];

const RUNNER: [&str; 9] =
    ["arch", "debug", "environment", "home", "name", "os", "temp", "tool_cache", "workspace"];

const JOB: [&str; 6] =
    ["status", "workflow_file_path", "workflow_ref", "workflow_repository", "workflow_sha", "check_run_id"];

/// The contexts of one file that do not depend on the job.
pub(super) struct OfFile {
    inputs: Type,
    secrets: Type,
    github: Type,
}

/// The contexts of one job.
pub(super) struct OfJob<'f> {
    file: &'f OfFile,
    needs: Type,
    matrix: Type,
    /// The steps that have an id, with their numbers and outputs.
    steps: HashMap<String, (usize, Type)>,
    in_job: bool,
    is_top: bool,
}

/// The contexts at a place in a job.
pub(super) struct At<'j, 'f> {
    job: &'j OfJob<'f>,
    /// The number of the step; `None` outside of the steps, which sees the outputs of all of them.
    step: Option<usize>,
}

impl OfFile {
    pub(super) fn new(view: &View<'_>) -> Self {
        let events = view.events();
        let event = |name: &str| view.root.get("on").and_then(|on| on.get(name));
        let dispatch = event("workflow_dispatch").and_then(|event| event.get("inputs"));
        let call = event("workflow_call").and_then(|event| event.get("inputs"));
        let declared = |node: Option<&Node>, unknown: &Type| {
            let entries = node.map(Node::entries).unwrap_or_default().iter();
            Type::object(
                entries.filter_map(|(key, spec)| Some((key.text()?.to_lowercase(), input(spec, unknown)))),
            )
        };
        let inputs = match view.kind {
            Kind::Action => declared(view.root.get("inputs"), &Type::Text),
            Kind::Workflow => declared(dispatch, &Type::Text).or(declared(call, &Type::Any)),
        };
        let secrets = match event("workflow_call").and_then(|event| event.get("secrets")) {
            // A caller that passes `inherit` gives more; a workflow that declares its secrets does not count on that.
            Some(secrets) if events == ["workflow_call"] && (secrets.is_mapping() || secrets.is_null()) => {
                let names = secrets.entries().iter().filter_map(|(key, _)| Some(key.text()?.to_lowercase()));
                let always =
                    ["github_token", "actions_runner_debug", "actions_step_debug"].map(str::to_owned);
                Type::object(names.chain(always).map(|name| (name, Type::Text)))
            }
            _ => Type::map(Type::Text),
        };
        let mut event = Type::map(Type::Any);
        if let (["workflow_dispatch"], Type::Object(known, _)) = (events.as_slice(), &mut event) {
            let texts = dispatch.map(Node::entries).unwrap_or_default().iter();
            let texts = texts.filter_map(|(key, _)| Some((key.text()?.to_lowercase(), Type::Text)));
            known.insert("inputs".to_owned(), Type::object(texts));
        }
        let mut github = Type::texts(&GITHUB);
        if let Type::Object(known, _) = &mut github {
            known.insert("event".to_owned(), event);
            known.insert("ref_protected".to_owned(), Type::Truth);
        }
        Self { inputs, secrets, github }
    }
}

/// The type of an input by its declaration.
fn input(spec: &Node, unknown: &Type) -> Type {
    match spec.get("type").and_then(Node::text) {
        Some("boolean") => Type::Truth,
        Some("number") => Type::Number,
        Some("string" | "choice" | "environment") => Type::Text,
        _ => unknown.clone(),
    }
}

impl<'f> OfJob<'f> {
    /// Of the job of this number; without one, of the steps of an action or of the top of a workflow.
    pub(super) fn new(view: &View<'_>, repo: &Context<'_>, file: &'f OfFile, job: Option<usize>) -> Self {
        let mut steps = HashMap::new();
        for (number, step) in view.steps.iter().enumerate().filter(|(_, step)| step.job == job) {
            if let Some(id) = step.node.get("id").and_then(Node::text) {
                let outputs = outputs(step.uses().and_then(Node::text), repo);
                steps.entry(id.to_lowercase()).or_insert((number, outputs));
            }
        }
        let is_top = job.is_none() && view.kind == Kind::Workflow;
        let mut of_job =
            OfJob { file, needs: Type::Any, matrix: Type::Any, steps, in_job: job.is_some(), is_top };
        if let Some(job) = job.map(|job| view.jobs[job].node) {
            let needs = job.get("needs").map(Node::one_or_many).unwrap_or_default().iter();
            let needs = needs.filter_map(Node::text).map(|name| (name.to_lowercase(), need()));
            of_job.needs = if has_expression(job.get("needs")) { Type::Any } else { Type::object(needs) };
            of_job.matrix = matrix(view, job.at(&["strategy", "matrix"]), &of_job);
        }
        of_job
    }

    pub(super) fn at(&self, step: Option<usize>) -> At<'_, 'f> {
        At { job: self, step }
    }
}

fn has_expression(node: Option<&Node>) -> bool {
    node.and_then(Node::text).is_some_and(|text| text.contains("${{"))
}

/// `needs.<job>`; the names of its outputs are checked by `mismatched-call`.
fn need() -> Type {
    Type::object([("result".to_owned(), Type::Text), ("outputs".to_owned(), Type::map(Type::Text))])
}

/// The outputs of a step: those that an action of this repository declares, or any.
fn outputs(uses: Option<&str>, repo: &Context<'_>) -> Type {
    let any = Type::map(Type::Text);
    let Some(uses) = uses else { return any };
    let Some((_, action)) = repo.action(uses) else {
        let Some(names) = super::known_actions::outputs(uses) else { return any };
        return Type::object(names.map(|name| (name.to_lowercase(), Type::Text)));
    };
    let names = action.get("outputs").map(Node::entries).unwrap_or_default().iter();
    let is_closed = action.at(&["runs", "using"]).and_then(Node::text).is_some();
    let names = names.filter_map(|(key, _)| Some((key.text()?.to_lowercase(), Type::Text)));
    if is_closed { Type::object(names) } else { any }
}

fn step(outputs: Type) -> Type {
    Type::object([
        ("outputs".to_owned(), outputs),
        ("outcome".to_owned(), Type::Text),
        ("conclusion".to_owned(), Type::Text),
    ])
}

/// The values of a matrix by name, those that `include` adds among them.
fn matrix(view: &View<'_>, matrix: Option<&Node>, contexts: &OfJob<'_>) -> Type {
    let Some(matrix) = matrix else { return Type::object([]) };
    if !matrix.is_mapping() {
        return Type::Any;
    }
    let mut known: BTreeMap<String, Type> = BTreeMap::new();
    let mut add = |name: &Node, value: Type| {
        let Some(name) = name.text().map(str::to_lowercase) else { return };
        let merged = known.remove(&name).map_or_else(|| value.clone(), |known| known.or(value.clone()));
        known.insert(name, merged);
    };
    let mut rest = None;
    for (key, value) in matrix.entries() {
        match key.text() {
            Some("exclude") => {}
            Some("include") => match &value.value {
                Value::Sequence(items) => {
                    for item in items {
                        if !item.is_mapping() {
                            rest = Some(Box::new(Type::Any));
                        }
                        for (key, value) in item.entries() {
                            add(key, literal(view, value, contexts));
                        }
                    }
                }
                _ => rest = Some(Box::new(Type::Any)),
            },
            _ => match literal(view, value, contexts) {
                Type::List(item) => add(key, *item),
                _ => add(key, Type::Any),
            },
        }
    }
    Type::Object(known, rest)
}

/// The type of a value as YAML writes it.
fn literal(view: &View<'_>, node: &Node, contexts: &OfJob<'_>) -> Type {
    match &node.value {
        Value::Sequence(items) => {
            let items = items.iter().map(|item| literal(view, item, contexts));
            Type::List(Box::new(items.reduce(Type::or).unwrap_or(Type::Any)))
        }
        Value::Mapping(entries) => {
            let entries = entries.iter();
            Type::object(entries.filter_map(|(key, value)| {
                Some((key.text()?.to_lowercase(), literal(view, value, contexts)))
            }))
        }
        Value::Scalar { text, .. } if text.contains("${{") => match whole(view, node) {
            Some(expression) => infer(expression, &contexts.at(None), &mut Vec::new()),
            None => Type::Text,
        },
        Value::Scalar { text, style: Style::Plain } => match text.as_str() {
            _ if node.is_null() => Type::Any,
            "true" | "false" => Type::Truth,
            text if text.parse::<f64>().is_ok() => Type::Number,
            _ => Type::Text,
        },
        Value::Scalar { .. } => Type::Text,
    }
}

/// The expression that is the whole value of a scalar.
pub(super) fn whole<'v>(view: &'v View<'_>, node: &Node) -> Option<&'v Expression> {
    let text = node.text()?.trim();
    let is_whole = text.starts_with("${{") && text.ends_with("}}");
    let mut found = view.within(node);
    let first = found.next().filter(|_| is_whole)?;
    if found.next().is_some() { None } else { first.parsed.as_ref().ok() }
}

impl Contexts for At<'_, '_> {
    fn whole(&self, context: &str) -> Type {
        match context {
            "github" => self.job.file.github.clone(),
            "inputs" => self.job.file.inputs.clone(),
            "secrets" => self.job.file.secrets.clone(),
            "env" | "vars" => Type::map(Type::Text),
            "runner" => Type::texts(&RUNNER),
            "needs" => self.job.needs.clone(),
            "matrix" => self.job.matrix.clone(),
            // Their use outside of jobs is reported by the schema.
            "steps" if self.job.is_top => Type::Any,
            "steps" => {
                let before =
                    self.job.steps.iter().filter(|(_, (at, _))| self.step.is_none_or(|step| *at < step));
                Type::object(before.map(|(id, (_, outputs))| (id.clone(), step(outputs.clone()))))
            }
            "job" => {
                let container = Type::texts(&["id", "network"]);
                let service = Type::object([
                    ("id".to_owned(), Type::Text),
                    ("network".to_owned(), Type::Text),
                    ("ports".to_owned(), Type::map(Type::Text)),
                ]);
                let texts = JOB.iter().map(|name| ((*name).to_owned(), Type::Text));
                Type::object(texts.chain([
                    ("container".to_owned(), container),
                    ("services".to_owned(), Type::map(service)),
                ]))
            }
            "strategy" => Type::object([
                ("fail-fast".to_owned(), Type::Truth),
                ("job-index".to_owned(), Type::Number),
                ("job-total".to_owned(), Type::Number),
                ("max-parallel".to_owned(), Type::Number),
            ]),
            _ => Type::Any,
        }
    }

    fn one(&self, context: &str, name: &str) -> Option<Type> {
        let of = |of: &Type| match of {
            Type::Object(known, _) => known.get(name).cloned(),
            _ => None,
        };
        match context {
            "github" => of(&self.job.file.github),
            "inputs" => of(&self.job.file.inputs),
            "matrix" => of(&self.job.matrix),
            "needs" => of(&self.job.needs),
            "steps" => {
                let (at, outputs) = self.job.steps.get(name)?;
                self.step.is_none_or(|step| *at < step).then(|| step(outputs.clone()))
            }
            _ => None,
        }
    }

    fn missing(&self, context: &str, name: &str) -> Option<String> {
        match context {
            "steps" if self.job.steps.contains_key(&name.to_lowercase()) => {
                Some(format!("the step `{name}` has not run yet: it is this step or a later one"))
            }
            "steps" if self.job.in_job => Some(format!("no step of this job has the id `{name}`")),
            "steps" => Some(format!("no step of this action has the id `{name}`")),
            "needs" => Some(format!("this job does not need `{name}`")),
            _ => None,
        }
    }
}
