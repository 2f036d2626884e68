//! A call that does not match the interface of the called workflow.

use std::collections::HashSet;

use super::expression::Expression;
use super::view::{Context, Job, View, called};
use crate::core::finding::{Group, Severity, Span};
use crate::core::yaml::{Node, Style, Value};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "mismatched-call",
    group: Group::Workflow,
    severity: Severity::High,
    summary: "A call of a workflow does not match its declared inputs, secrets and outputs.",
    why: "GitHub loads every called workflow before anything runs. An input or secret that is missing or unknown, a \
          workflow that calls itself, or calls nested too deep make the whole file invalid: no event starts it. An \
          output that is not declared is read as an empty text.",
    example: "```yaml\njobs:\n  elt:\n    uses: ./.github/workflows/elt.yml\n    with:\n      shema: dev   # the \
              workflow declares `schema`, and requires it\n```",
    remedy: "make the call and the `on.workflow_call` of the called workflow agree",
};

/// "The top-level caller workflow and up to nine levels of reusable workflows" (docs.github.com, reusing
/// workflow configurations).
const MOST_LEVELS: usize = 10;
/// Called workflows of one file, those of nested calls included (`MaxFiles` of actions/runner, less the caller).
const MOST_CALLED: usize = 50;
/// The keys of a job that calls a workflow (`workflow-job` of workflow-v1.0.json in actions/runner, and
/// `cache-mode` of September 2026).
const KEYS: [&str; 9] =
    ["name", "uses", "with", "secrets", "needs", "if", "permissions", "concurrency", "strategy"];

pub(super) fn check(view: &View<'_>, repo: &Context<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    let mut say = |span: Span, message: String| offences.push(view.offence(&RULE, span, message));
    let mut reached = HashSet::new();
    for job in &view.jobs {
        keys(job, &mut say);
        let Some((uses, path)) = called(job.node) else { continue };
        let Some(root) = repo.workflow(path) else { continue };
        match declared(root) {
            None => say(uses.span, format!("{path} cannot be called: `on` has no `workflow_call`")),
            interface => call(job, uses, path, interface, &mut say),
        }
        if let Some(problem) = chain(repo, path, &mut vec![view.path], &mut reached) {
            say(uses.span, problem);
        }
    }
    if reached.len() > MOST_CALLED
        && let Some(job) = view.jobs.iter().find(|job| called(job.node).is_some())
    {
        say(
            job.key.span,
            format!("{} workflows are called from here; GitHub loads at most {MOST_CALLED}", reached.len()),
        );
    }
    outputs_of_jobs(view, repo, &mut say);
    outputs_of_this(view, repo, &mut say);
    offences
}

fn keys(job: &Job<'_>, say: &mut impl FnMut(Span, String)) {
    if job.node.get("uses").is_none() {
        return;
    }
    for (key, _) in job.node.entries() {
        let name = key.text().unwrap_or_default();
        // `steps` and `runs-on` are reported by `invalid-workflow`.
        if !KEYS.contains(&name) && !matches!(name, "steps" | "runs-on" | "cache-mode") {
            say(key.span, format!("`{}` calls a workflow, and such a job cannot have `{name}`", job.id));
        }
    }
}

/// `on.workflow_call` of a workflow; the bare name of the event declares nothing.
fn declared(root: &Node) -> Option<&Node> {
    let on = root.get("on")?;
    let named = || on.one_or_many().iter().find(|event| event.text() == Some("workflow_call"));
    on.get("workflow_call").or_else(named)
}

fn entries<'a>(interface: Option<&'a Node>, key: &str) -> &'a [(Node, Node)] {
    interface.and_then(|interface| interface.get(key)).map(Node::entries).unwrap_or_default()
}

/// GitHub compares names of inputs, secrets and outputs case-insensitively.
fn find<'a>(entries: &'a [(Node, Node)], name: &str) -> Option<&'a Node> {
    let is_it = |key: &Node| key.text().is_some_and(|text| text.eq_ignore_ascii_case(name));
    entries.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value)
}

fn is_required(spec: &Node) -> bool {
    spec.get("required").and_then(Node::truth) == Some(true)
}

fn call(
    job: &Job<'_>,
    uses: &Node,
    path: &str,
    interface: Option<&Node>,
    say: &mut impl FnMut(Span, String),
) {
    let given = job.node.get("with").map(Node::entries).unwrap_or_default();
    let inputs = entries(interface, "inputs");
    for (key, value) in given {
        let name = key.text().unwrap_or_default();
        match find(inputs, name) {
            None => say(key.span, format!("{path} declares no input `{name}`")),
            Some(spec) => {
                if let Some(kind) = misfit(spec, value) {
                    say(value.span, format!("the input `{name}` of {path} is a {kind}"));
                }
            }
        }
    }
    for (key, spec) in inputs {
        let name = key.text().unwrap_or_default();
        // A default does not make a required input optional: GitHub still rejects the call.
        if is_required(spec) && find(given, name).is_none() {
            say(uses.span, format!("the input `{name}` that {path} requires is not given"));
        }
    }
    let Some(given) = job.node.get("secrets") else {
        return required_secrets(uses, path, interface, &[], say);
    };
    if given.text() == Some("inherit") {
        return;
    }
    for (key, _) in given.entries() {
        let name = key.text().unwrap_or_default();
        if find(entries(interface, "secrets"), name).is_none() {
            say(key.span, format!("{path} declares no secret `{name}`"));
        }
    }
    required_secrets(uses, path, interface, given.entries(), say);
}

fn required_secrets(
    uses: &Node,
    path: &str,
    interface: Option<&Node>,
    given: &[(Node, Node)],
    say: &mut impl FnMut(Span, String),
) {
    for (key, spec) in entries(interface, "secrets") {
        let name = key.text().unwrap_or_default();
        if is_required(spec) && find(given, name).is_none() {
            say(uses.span, format!("the secret `{name}` that {path} requires is not given"));
        }
    }
}

/// The declared type of an input if the given literal has another type; the type of an expression is known
/// only at run time.
fn misfit<'a>(spec: &'a Node, given: &Node) -> Option<&'a str> {
    let kind = spec.get("type").and_then(Node::text)?;
    let Value::Scalar { text, style } = &given.value else { return Some(kind) };
    if text.contains("${{") {
        return None;
    }
    let is_plain = *style == Style::Plain;
    let fits = match kind {
        "boolean" => {
            is_plain && matches!(text.as_str(), "true" | "false" | "True" | "False" | "TRUE" | "FALSE")
        }
        "number" => is_plain && text.parse::<f64>().is_ok(),
        _ => true,
    };
    (!fits).then_some(kind)
}

/// The fault in the chain of calls that starts here: a cycle, or more levels than GitHub follows.
fn chain<'a>(
    repo: &'a Context<'_>,
    path: &'a str,
    above: &mut Vec<&'a str>,
    reached: &mut HashSet<&'a str>,
) -> Option<String> {
    if above.contains(&path) {
        let circle: Vec<&str> = above.iter().copied().chain([path]).collect();
        return Some(format!("these workflows call each other in a cycle: {}", circle.join(" -> ")));
    }
    let root = repo.workflow(path)?;
    if above.len() >= MOST_LEVELS {
        return Some(format!(
            "{path} is level {} of nested workflows; GitHub follows {MOST_LEVELS}",
            above.len() + 1
        ));
    }
    let is_new = reached.insert(path);
    above.push(path);
    let jobs = root.get("jobs").map(Node::entries).unwrap_or_default();
    let inner = jobs.iter().filter_map(|(_, job)| called(job));
    let mut problem = None;
    for (_, next) in inner {
        // A workflow that was visited before is visited again only to find its depth in this chain.
        if is_new || above.len() + 1 >= MOST_LEVELS || above.contains(&next) {
            problem = problem.or_else(|| chain(repo, next, above, reached));
        }
    }
    above.pop();
    problem
}

/// `needs.<job>.outputs.<name>` that the job, or the workflow it calls, does not declare.
fn outputs_of_jobs(view: &View<'_>, repo: &Context<'_>, say: &mut impl FnMut(Span, String)) {
    for found in &view.expressions {
        let Ok(expression) = &found.parsed else { continue };
        for (id, output) in read(expression, "needs") {
            if let Some(problem) = undeclared(view, repo, &id, &output) {
                say(found.span, problem);
            }
        }
    }
}

/// `jobs.<job>.outputs.<name>` in the outputs that the workflow itself declares.
fn outputs_of_this(view: &View<'_>, repo: &Context<'_>, say: &mut impl FnMut(Span, String)) {
    for (_, spec) in entries(declared(view.root), "outputs") {
        let Some(value) = spec.get("value") else { continue };
        for found in view.within(value) {
            let Ok(expression) = &found.parsed else { continue };
            for (id, output) in read(expression, "jobs") {
                if !view.jobs.iter().any(|job| job.id.eq_ignore_ascii_case(&id)) {
                    say(found.span, format!("no job is named `{id}`"));
                } else if let Some(problem) = undeclared(view, repo, &id, &output) {
                    say(found.span, problem);
                }
            }
        }
    }
}

/// Job and output of every `<context>.<job>.outputs.<output>` in an expression.
fn read(expression: &Expression, context: &str) -> Vec<(String, String)> {
    let paths = expression.paths().into_iter();
    paths
        .filter_map(|path| match path.as_slice() {
            [first, id, outputs, name, ..] if first == context && outputs.eq_ignore_ascii_case("outputs") => {
                Some((id.clone(), name.clone()))
            }
            _ => None,
        })
        .filter(|(id, name)| id != "*" && name != "*")
        .collect()
}

fn undeclared(view: &View<'_>, repo: &Context<'_>, id: &str, output: &str) -> Option<String> {
    let job = view.jobs.iter().find(|job| job.id.eq_ignore_ascii_case(id))?;
    let (declared, who) = if job.node.get("uses").is_none() {
        (job.node.get("outputs").map(Node::entries).unwrap_or_default(), format!("the job `{}`", job.id))
    } else {
        let (_, path) = called(job.node)?;
        (entries(declared(repo.workflow(path)?), "outputs"), path.to_owned())
    };
    find(declared, output).is_none().then(|| format!("{who} declares no output `{output}`"))
}
