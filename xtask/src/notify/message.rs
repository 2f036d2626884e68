//! The content of a pipeline's message: facts in, content out, independent of where it will be shown.
//!
//! Failures are grouped by root cause: a node counts as one only if nothing that it is built from failed before
//! it. Skipped nodes are consequences and only counted. Texts here come from outside, in one line and of bounded
//! length; each renderer escapes them for its own place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::facts::{Facts, Figure, Finding, Location, Node, Plan, Run, STAGES, StageResult};
use crate::core::environment::Name;
use crate::system::console;

/// Causes and warnings that are kept: more than a reader needs.
const MOST_CAUSES: usize = 200;

const SLOWEST: usize = 5;

/// Alerts that are shown; the report has all.
const ALERTS: usize = 5;

/// Lengths in characters.
pub(super) const NAME: usize = 120;
pub(super) const LINE: usize = 300;
const DETAIL: usize = 1500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Succeeded,
    Failed,
    Cancelled,
    /// Nothing of what was asked for ran, or nothing was asked for.
    Nothing,
    /// No stage left a result.
    Unknown,
}

impl Verdict {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Succeeded => "✅",
            Self::Failed => "❌",
            Self::Cancelled => "🚫",
            Self::Nothing => "⚪",
            Self::Unknown => "❔",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Message {
    pub(super) verdict: Verdict,
    /// The environment's schema, or `pipeline` where no environment is known.
    pub(super) subject: String,
    pub(super) headline: String,
    pub(super) environment: Option<Environment>,
    pub(super) trigger: Trigger,
    pub(super) stages: Vec<(String, State)>,
    pub(super) tests: Option<Tests>,
    pub(super) seconds: Option<f64>,
    /// Root causes, the first one first.
    pub(super) causes: Vec<Cause>,
    /// All failed nodes, those too that another one explains.
    pub(super) failures: Vec<Cause>,
    pub(super) warnings: Vec<Cause>,
    /// Nodes that did not run because of the causes.
    pub(super) skipped: usize,
    pub(super) slowest: Vec<(String, f64)>,
    pub(super) figures: Vec<(String, String)>,
    /// Alerts that fire: how things are, whatever was reported of them before.
    pub(super) alerts: Vec<String>,
    pub(super) reasons: Vec<String>,
    pub(super) run_url: Option<String>,
    pub(super) report_url: Option<String>,
    /// Whether the environment was to go, not to be built.
    pub(super) is_cleanup: bool,
    /// One line for a shell.
    pub(super) reproduce: Option<String>,
    pub(super) gaps: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Environment {
    pub(super) kind: &'static str,
    pub(super) schema: String,
    pub(super) target: Option<String>,
    pub(super) base: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Trigger {
    /// `issue #42: title`, `push to develop`
    pub(super) what: Option<String>,
    pub(super) who: Option<String>,
    pub(super) commit: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Success,
    Failure,
    Cancelled,
    /// Asked for, but something before it kept it from running.
    Skipped,
    NotAsked,
}

impl State {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Success => "✅",
            Self::Failure => "❌",
            Self::Cancelled => "🚫",
            Self::Skipped => "⏭️",
            Self::NotAsked => "⚪",
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Success => "passed",
            Self::Failure => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "did not run",
            Self::NotAsked => "not asked for",
        }
    }
}

/// Tests by outcome; their sum is all tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tests {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) warned: usize,
    pub(super) skipped: usize,
}

impl Tests {
    pub(super) fn all(self) -> usize {
        self.passed + self.failed + self.warned + self.skipped
    }

    pub(super) fn words(self) -> String {
        let others = [(self.failed, "failed"), (self.warned, "warned"), (self.skipped, "skipped")];
        let others = others.into_iter().filter(|(count, _)| *count > 0);
        let passed = format!("{} of {} passed", self.passed, self.all());
        let words = others.map(|(count, word)| format!("{count} {word}"));
        std::iter::once(passed).chain(words).collect::<Vec<_>>().join(", ")
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Cause {
    /// dbt's word: `fail`, `error`, `warn`.
    pub(super) status: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) location: Option<Location>,
    /// The first informative line of the message.
    pub(super) line: Option<String>,
    /// The whole message, cut to a readable length.
    pub(super) detail: Option<String>,
    /// The first rows that a failing test found, each in one line.
    pub(super) rows: Vec<String>,
}

/// The content of the message about `facts`.
pub(crate) fn compose(facts: &Facts) -> Message {
    let plan = facts.plan.as_ref();
    let environment = environment(facts);
    let observed = || plan?.observed.as_deref()?.parse::<Name>().ok().map(|name| name.to_string());
    let subject = environment.as_ref().map(|found| found.schema.clone());
    let subject = subject.or_else(observed).unwrap_or_else(|| "pipeline".to_owned());
    let stages = stages(facts);
    let tests = tests(&facts.runs);
    let verdict = verdict(facts, &stages);
    let nodes = || facts.runs.iter().flat_map(|run| &run.nodes);
    let up_to_date = !facts.runs.is_empty() && facts.runs.iter().all(|run| run.up_to_date);
    Message {
        verdict,
        headline: headline(facts, verdict, &subject, &stages, tests, up_to_date),
        reproduce: reproduce(plan, &subject, &stages, verdict),
        is_cleanup: cleans(plan),
        subject,
        environment,
        trigger: trigger(facts),
        tests,
        seconds: facts.runs.iter().filter_map(|run| run.seconds).reduce(|sum, more| sum + more),
        causes: causes(facts, &stages),
        stages,
        failures: nodes().filter(|node| node.went_wrong()).take(MOST_CAUSES).map(Cause::of_node).collect(),
        warnings: nodes()
            .filter(|node| node.status == "warn")
            .take(MOST_CAUSES)
            .map(Cause::of_node)
            .collect(),
        skipped: nodes().filter(|node| node.status == "skipped").count(),
        slowest: if up_to_date { Vec::new() } else { slowest(nodes()) },
        figures: facts.metrics.iter().flat_map(|metrics| &metrics.figures).map(figure).collect(),
        alerts: alerts(facts),
        reasons: plan.iter().flat_map(|plan| &plan.reasons).map(|reason| line(reason, LINE)).collect(),
        run_url: facts.origin.run_url.as_deref().and_then(link),
        report_url: facts.report_url.as_deref().and_then(link),
        gaps: facts.gaps.iter().map(|gap| line(gap, LINE)).collect(),
    }
}

/// A name of the grammar, or none: what is not one is not shown as one.
fn schema(facts: &Facts) -> Option<Name> {
    let planned = facts.plan.as_ref().and_then(|plan| plan.schema.as_deref());
    let built = facts.runs.iter().map(|run| run.schema.as_str());
    planned.into_iter().chain(built).find_map(|text| text.parse().ok())
}

fn environment(facts: &Facts) -> Option<Environment> {
    let name = schema(facts)?;
    let planned = facts.plan.as_ref().and_then(|plan| plan.target.as_deref());
    let target = facts.runs.iter().find_map(|run| run.target.as_deref()).or(planned);
    Some(Environment {
        kind: match name.kind().label() {
            "pull_request" => "pull request",
            other => other,
        },
        schema: name.to_string(),
        target: target.map(|target| line(target, NAME)),
        base: facts.plan.as_ref().and_then(|plan| plan.base.as_deref()).map(|base| line(base, NAME)),
    })
}

/// The number of the issue or pull request that a pipeline belongs to: what its plan says, else what the
/// name of its environment says.
pub(crate) fn number(facts: &Facts) -> Option<u64> {
    let planned = facts.plan.as_ref().and_then(|plan| event_number(&plan.event));
    planned.or_else(|| schema(facts)?.number())
}

fn event_number(event: &Value) -> Option<u64> {
    ["number", "issue", "pull_request"].iter().find_map(|key| match &event[*key] {
        Value::Object(thing) => thing.get("number")?.as_u64(),
        number => number.as_u64(),
    })
}

fn event_text(event: &Value, keys: &[&str]) -> Option<String> {
    let text = keys.iter().find_map(|key| match &event[*key] {
        Value::Object(thing) => thing.get("login")?.as_str(),
        text => text.as_str(),
    })?;
    Some(line(text, NAME)).filter(|text| !text.is_empty())
}

fn trigger(facts: &Facts) -> Trigger {
    let event = facts.plan.as_ref().map_or(&Value::Null, |plan| &plan.event);
    let name = event_text(event, &["name", "event_name"]);
    let name = name.or_else(|| facts.origin.event.as_deref().map(|name| line(name, NAME)));
    let number = facts.plan.as_ref().and_then(|plan| event_number(&plan.event));
    let title = event_text(event, &["title"]);
    let git_ref = event_text(event, &["branch", "ref"]);
    let git_ref = git_ref.or_else(|| facts.origin.git_ref.as_deref().map(|name| line(name, NAME)));
    let what = match (name.as_deref(), number, git_ref) {
        (Some(name @ ("issues" | "pull_request" | "pull_request_target")), Some(number), _) => {
            let thing = if name == "issues" { "issue" } else { "pull request" };
            let title = title.map(|title| format!(": {title}")).unwrap_or_default();
            Some(format!("{thing} #{number}{title}"))
        }
        (Some("push"), _, Some(name)) => Some(format!("push to {name}")),
        (Some("delete"), _, Some(name)) => Some(format!("deletion of {name}")),
        (Some("workflow_dispatch"), ..) => Some("started by hand".to_owned()),
        (Some("schedule"), ..) => Some("schedule".to_owned()),
        (Some(other), ..) => Some(other.replace('_', " ")),
        (None, ..) => None,
    };
    let who = event_text(event, &["actor", "sender"]);
    let commit = event_text(event, &["commit", "sha"]);
    let commit = commit.or_else(|| facts.origin.sha.as_deref().map(|sha| line(sha, NAME)));
    Trigger {
        what,
        who: who.or_else(|| facts.origin.actor.as_deref().map(|actor| line(actor, NAME))),
        commit: commit.map(|sha| sha.chars().take(10).collect()),
    }
}

/// Every stage with its state: those of the pipeline in their order, then other jobs that went wrong.
fn stages(facts: &Facts) -> Vec<(String, State)> {
    let asked = |name: &str| facts.plan.as_ref().and_then(|plan| plan.stages.get(name)).copied();
    let given = |name: &str| facts.stages.iter().rfind(|stage| stage.name == name).map(|stage| stage.result);
    let of_pipeline = STAGES.into_iter().filter_map(|name| {
        let result = given(name).or_else(|| (name == "elt").then(|| of_runs(&facts.runs)).flatten());
        let state = match (result, asked(name)) {
            (Some(StageResult::Skipped) | None, Some(false)) => State::NotAsked,
            (Some(result), _) => State::from(result),
            (None, _) => return None,
        };
        Some((name.to_owned(), state))
    });
    let others = facts.stages.iter().filter(|stage| {
        !STAGES.contains(&stage.name.as_str())
            && matches!(stage.result, StageResult::Failure | StageResult::Cancelled)
    });
    of_pipeline.chain(others.map(|stage| (line(&stage.name, NAME), State::from(stage.result)))).collect()
}

impl From<StageResult> for State {
    fn from(result: StageResult) -> Self {
        match result {
            StageResult::Success => Self::Success,
            StageResult::Failure => Self::Failure,
            StageResult::Cancelled => Self::Cancelled,
            StageResult::Skipped => Self::Skipped,
        }
    }
}

/// How the elt stage went, by the runs themselves.
fn of_runs(runs: &[Run]) -> Option<StageResult> {
    let is = |word: &str| runs.iter().any(|run| run.status == word);
    match runs {
        [] => None,
        _ if is("fail") || is("error") => Some(StageResult::Failure),
        _ if is("interrupted") => Some(StageResult::Cancelled),
        _ => Some(StageResult::Success),
    }
}

fn verdict(facts: &Facts, stages: &[(String, State)]) -> Verdict {
    let is = |wanted: State| stages.iter().any(|(_, state)| *state == wanted);
    let runs = of_runs(&facts.runs);
    // A clean-up is reported as done only by the job that did it, and only if it dropped something.
    let cleaned = facts.dropped.map_or_else(|| has_cleaned(facts), |dropped| dropped > 0);
    if is(State::Failure) || runs == Some(StageResult::Failure) {
        Verdict::Failed
    } else if is(State::Cancelled) || runs == Some(StageResult::Cancelled) {
        Verdict::Cancelled
    } else if facts.asks_for_nothing() || facts.is_unwanted() {
        Verdict::Nothing
    } else if cleans(facts.plan.as_ref()) {
        if cleaned { Verdict::Succeeded } else { Verdict::Nothing }
    } else if is(State::Success) {
        Verdict::Succeeded
    } else if stages.is_empty() && facts.stages.is_empty() {
        Verdict::Unknown
    } else {
        Verdict::Nothing
    }
}

/// Whether a job that cleans up succeeded.
fn has_cleaned(facts: &Facts) -> bool {
    facts
        .stages
        .iter()
        .any(|stage| CLEANERS.contains(&stage.name.as_str()) && stage.result == StageResult::Success)
}

/// The jobs that drop environments.
const CLEANERS: [&str; 2] = ["cleanup", "janitor"];

fn cleans(plan: Option<&Plan>) -> bool {
    plan.is_some_and(|plan| plan.action.as_deref() == Some("cleanup"))
}

fn headline(
    facts: &Facts,
    verdict: Verdict,
    subject: &str,
    stages: &[(String, State)],
    tests: Option<Tests>,
    up_to_date: bool,
) -> String {
    let cleans = cleans(facts.plan.as_ref());
    let failed: Vec<&str> =
        stages.iter().filter(|(_, state)| *state == State::Failure).map(|(name, _)| name.as_str()).collect();
    let what = match verdict {
        Verdict::Failed if !failed.is_empty() && failed.iter().all(|name| CLEANERS.contains(name)) => {
            "the clean-up failed".to_owned()
        }
        Verdict::Failed if failed.is_empty() => "failed".to_owned(),
        Verdict::Failed => format!("{} failed", failed.join(" and ")),
        Verdict::Succeeded if cleans => match facts.dropped {
            Some(1) | None => "cleaned up".to_owned(),
            Some(dropped) => format!("cleaned up, {dropped} environments dropped"),
        },
        Verdict::Succeeded if up_to_date => "up to date".to_owned(),
        Verdict::Succeeded if facts.runs.is_empty() => "passed".to_owned(),
        Verdict::Succeeded => "built".to_owned(),
        Verdict::Cancelled => "cancelled".to_owned(),
        Verdict::Nothing => "nothing ran".to_owned(),
        Verdict::Unknown => "ended, but no stage left a result".to_owned(),
    };
    let tests = match tests {
        Some(tests) if tests.failed > 0 => format!(", {} of {} tests failed", tests.failed, tests.all()),
        Some(tests) if tests.all() > 0 && verdict == Verdict::Succeeded => {
            format!(", {} of {} tests passed", tests.passed, tests.all())
        }
        _ => String::new(),
    };
    line(&format!("{subject}: {what}{tests}"), NAME)
}

/// `None` if no run reported its tests: that does not mean that no test failed.
fn tests(runs: &[Run]) -> Option<Tests> {
    let mut tests = Tests::default();
    for node in runs.iter().flat_map(|run| &run.nodes).filter(|node| node.is_test()) {
        let count = match node.status.as_str() {
            "pass" | "success" => &mut tests.passed,
            "fail" | "error" => &mut tests.failed,
            "warn" => &mut tests.warned,
            _ => &mut tests.skipped,
        };
        *count += 1;
    }
    (!runs.is_empty()).then_some(tests)
}

fn causes(facts: &Facts, stages: &[(String, State)]) -> Vec<Cause> {
    let mut causes: Vec<Cause> = facts.runs.iter().flat_map(roots).map(Cause::of_node).collect();
    let said = facts.runs.iter().filter(|run| matches!(run.status.as_str(), "fail" | "error"));
    causes.extend(
        said.filter_map(|run| run.message.as_deref()).map(|message| Cause::of_stage("elt", Some(message))),
    );
    if stages.iter().any(|(name, state)| name == "security" && *state == State::Failure) {
        causes.extend(facts.findings.iter().map(Cause::of_finding));
    }
    for (name, state) in stages {
        // What a run says of itself is more than that its stage failed.
        let named = match name.as_str() {
            "elt" => !facts.runs.is_empty() && !causes.is_empty(),
            "security" => !facts.findings.is_empty(),
            _ => false,
        };
        if *state == State::Failure && !named {
            let error = facts.stages.iter().rfind(|stage| stage.name == *name);
            let error = error.and_then(|stage| stage.error.clone());
            causes.push(Cause::of_stage(name, gate(facts, name).or(error).as_deref()));
        }
    }
    causes.truncate(MOST_CAUSES);
    causes
}

/// Why the stage of the metrics failed, if an alert did that.
fn gate(facts: &Facts, stage: &str) -> Option<String> {
    let alerts = facts.metrics.iter().flat_map(|metrics| &metrics.alerts);
    let mut gating = alerts.filter(|alert| alert.state == "firing" && alert.gates);
    let first = gating.next().filter(|_| stage == "observability")?;
    let more = gating.count();
    let more = if more > 0 { format!(" (and {more} more that fail the gate)") } else { String::new() };
    Some(format!("the alert {} fires: {}{more}", first.name, first.message))
}

/// Rows that are shown of a failing test.
pub(crate) const ROWS: usize = 3;

/// Characters of a row.
const ROW: usize = 160;

/// A row of a table in one line: `order_id=7, quantity=-1`.
pub(crate) fn row(row: &Map<String, Value>) -> String {
    let cell = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={}", line(&value, NAME))
    };
    line(&row.iter().map(cell).collect::<Vec<_>>().join(", "), ROW)
}

/// `text` with rows below its first line.
pub(crate) fn with_rows(text: &str, rows: &[String]) -> String {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let rows = rows.iter().map(|row| format!("row: {row}"));
    let rest = Some(rest.to_owned()).filter(|rest| !rest.is_empty());
    std::iter::once(first.to_owned()).chain(rows).chain(rest).collect::<Vec<_>>().join("\n")
}

/// The failed nodes of a run that no other failure explains.
fn roots(run: &Run) -> impl Iterator<Item = &Node> {
    let nodes: BTreeMap<&str, &Node> = run.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    run.nodes.iter().filter(move |node| node.went_wrong() && !follows_from_another(node, &nodes))
}

fn follows_from_another(node: &Node, nodes: &BTreeMap<&str, &Node>) -> bool {
    let parents = |node: &Node| node.depends_on.iter().flatten().cloned().collect::<Vec<String>>();
    let mut ahead = parents(node);
    let mut seen = BTreeSet::from([node.id.clone()]);
    while let Some(id) = ahead.pop() {
        let Some(parent) = nodes.get(id.as_str()).filter(|_| seen.insert(id.clone())) else { continue };
        if parent.went_wrong() {
            return true;
        }
        ahead.extend(parents(parent));
    }
    false
}

impl Cause {
    /// `test fail: unique_orders`
    pub(crate) fn title(&self) -> String {
        format!("{} {}: {}", self.kind, self.status, self.name)
    }

    /// The message, or its replacement, and the rows below its first line: what follows may be long.
    pub(crate) fn text(&self) -> String {
        let text = self.detail.as_deref().or(self.line.as_deref()).unwrap_or("dbt gives no message");
        with_rows(text, &self.rows)
    }

    fn of_node(node: &Node) -> Self {
        let message = node.message.as_deref();
        Self {
            status: line(&node.status, NAME),
            kind: line(&node.kind, NAME).replace('_', " "),
            name: line(&node.name, NAME),
            location: node
                .location
                .as_ref()
                .map(|place| Location { path: line(&place.path, LINE), line: place.line }),
            line: message.and_then(first_line),
            detail: message.map(block),
            rows: node.sample.iter().take(ROWS).map(row).collect(),
        }
    }

    fn of_finding(finding: &Finding) -> Self {
        let short = |commit: &String| commit.chars().take(10).collect::<String>();
        let commit = finding.commit.as_ref().map(|commit| format!(" (in commit {})", short(commit)));
        let commit = commit.unwrap_or_default();
        Self {
            status: "finding".to_owned(),
            kind: "security".to_owned(),
            name: line(&finding.rule, NAME),
            location: (finding.line > 0)
                .then(|| Location { path: line(&finding.path, LINE), line: finding.line }),
            line: Some(line(&format!("{}{commit}", finding.message), LINE)),
            detail: Some(block(&finding.message)),
            rows: Vec::new(),
        }
    }

    fn of_stage(name: &str, message: Option<&str>) -> Self {
        Self {
            status: "failed".to_owned(),
            kind: "stage".to_owned(),
            name: line(name, NAME),
            location: None,
            line: message.map_or_else(|| Some("see the log of the run".to_owned()), first_line),
            detail: message.map(block),
            rows: Vec::new(),
        }
    }
}

/// dbt starts a message with where it comes from; what is wrong comes below.
fn first_line(message: &str) -> Option<String> {
    let is_head = |text: &str| {
        let kinds =
            ["Database Error", "Compilation Error", "Runtime Error", "Parsing Error", "dbt Runtime Error"];
        kinds.iter().any(|kind| {
            text.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with(" in "))
        })
    };
    let mut lines = message.lines().map(str::trim).filter(|text| !text.is_empty());
    let first = lines.next()?;
    let telling = if is_head(first) { lines.next().unwrap_or(first) } else { first };
    Some(line(telling, LINE))
}

fn slowest<'a>(nodes: impl Iterator<Item = &'a Node>) -> Vec<(String, f64)> {
    let mut timed: Vec<(String, f64)> =
        nodes.filter_map(|node| Some((line(&node.name, NAME), node.seconds?))).collect();
    timed.sort_by(|a, b| b.1.total_cmp(&a.1));
    timed.truncate(SLOWEST);
    timed
}

/// The alerts that fire. A comment is edited in place, so it shows them for as long as they do; a channel gets their
/// start and end from `notify alerts`.
fn alerts(facts: &Facts) -> Vec<String> {
    let alerts = facts.metrics.iter().flat_map(|metrics| &metrics.alerts);
    let firing = alerts.filter(|alert| alert.state == "firing");
    let words = firing.map(|alert| {
        let since =
            alert.since.as_deref().and_then(|since| since.get(..16)).map(|since| since.replace('T', " "));
        let since = since.map(|since| format!(" (since {since} UTC)")).unwrap_or_default();
        format!("🔔 {} [{}]: {}{since}", alert.name, alert.severity, alert.message)
    });
    words.map(|words| line(&words, LINE)).take(ALERTS).collect()
}

/// A figure in words. One without a value says why: unknown is not zero.
fn figure(figure: &Figure) -> (String, String) {
    let unit = figure.unit.as_deref().unwrap_or_default();
    let value = match &figure.value {
        Value::Number(ratio) if unit == "ratio" => ratio.as_f64().map(|ratio| trimmed(100.0 * ratio)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Some(console::grouped(whole)),
            (_, Some(float)) => Some(trimmed(float)),
            _ => Some(number.to_string()),
        },
        Value::String(text) if !text.trim().is_empty() => Some(line(text, NAME)),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    };
    let words = match value {
        Some(value) => match unit {
            "" | "count" | "date" => value,
            "ratio" => format!("{value} %"),
            unit => format!("{value} {}", line(unit, 20)),
        },
        None => match figure.reason.as_deref().or(figure.status.as_deref()) {
            Some(why) if !why.is_empty() => format!("unknown ({})", line(why, NAME)),
            _ => "unknown".to_owned(),
        },
    };
    (line(&figure.name, NAME), words)
}

fn trimmed(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The line that shows the same on a laptop: that of the first stage that failed, else that of what the plan asks
/// for. Made of names of the grammar and our fixed words.
fn reproduce(
    plan: Option<&Plan>,
    subject: &str,
    stages: &[(String, State)],
    verdict: Verdict,
) -> Option<String> {
    let failed = |name: &str| stages.iter().any(|(other, state)| other == name && *state == State::Failure);
    if failed("security") {
        return Some("cargo xtask lint && cargo xtask secrets --history && cargo xtask audit".to_owned());
    }
    let on = plan.and_then(|plan| plan.target.as_deref()).filter(|target| *target == "snowflake");
    let on = on.map(|target| format!(" --target {target}")).unwrap_or_default();
    let schema = subject.parse::<Name>();
    let names_environment = plan.is_none_or(|plan| plan.schema.is_some());
    let line = match schema {
        _ if failed("janitor") => format!("cargo xtask schema gc{on}"),
        Ok(name) if failed("cleanup") => format!("cargo xtask schema drop --schema {name} --if-exists{on}"),
        Ok(name) if failed("observability") && !failed("elt") => {
            format!("cargo xtask metrics --schema {name} --gate{on}")
        }
        Ok(name) if names_environment && !cleans(plan) => {
            let base = plan.and_then(|plan| plan.base.as_deref()).and_then(|base| base.parse::<Name>().ok());
            let base = base.map(|base| format!(" --base {base}")).unwrap_or_default();
            format!("cargo xtask elt --schema {name}{base}{on}")
        }
        _ => return None,
    };
    (verdict != Verdict::Nothing).then_some(line)
}

/// A web address that may be made into a link, free of what any of our formats gives a meaning to.
pub(super) fn link(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text.trim()).ok()?;
    let is_web = matches!(url.scheme(), "https" | "http") && url.has_host();
    let harmless = |c: char| match c {
        '<' | '>' | '|' | '"' | '\'' | '(' | ')' | '[' | ']' | '`' | '\\' | '*' | '@' => {
            format!("%{:02X}", c as u32)
        }
        c => c.to_string(),
    };
    let text: String = url.as_str().chars().map(harmless).collect();
    // GitHub's own addresses have a few hundred characters.
    (is_web && text.len() <= 600).then_some(text)
}

/// `text` in one line of at most `most` characters, without what turns or hides text.
pub(super) fn line(text: &str, most: usize) -> String {
    let mut words = String::new();
    for c in beginning(text, most) {
        if !c.is_whitespace() && !c.is_control() {
            words.push(c);
        } else if !words.is_empty() && !words.ends_with(' ') {
            words.push(' ');
        }
    }
    cut(words.trim_end(), most)
}

/// A message of several lines, cut to a readable length.
fn block(text: &str) -> String {
    let plain: String = beginning(text.trim(), DETAIL).filter(|&c| c == '\n' || !c.is_control()).collect();
    cut(&plain, DETAIL)
}

/// More than enough of `text` for `most` characters that can be seen. Some texts are megabytes.
fn beginning(text: &str, most: usize) -> impl Iterator<Item = char> {
    text.chars().take(4 * most).filter(|&c| !is_invisible(c))
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Characters without a shape: they hide text from readers or turn its direction.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{AD}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::facts::{Metrics, Origin, Stage};
    use super::*;

    fn node(id: &str, status: &str, depends_on: &[&str]) -> Value {
        let kind = id.split('.').next().unwrap_or_default();
        json!({
            "id": id, "name": id.rsplit('.').next(), "kind": kind, "status": status, "seconds": 1.5,
            "message": (status == "error").then_some("Database Error in model x (x.sql)\n  Binder Error: no y\n"),
            "depends_on": depends_on,
        })
    }

    fn run(status: &str, nodes: &[Value]) -> Run {
        serde_json::from_value(json!({
            "schema": "issue_42", "target": "local", "run_id": "r", "status": status, "nodes": nodes,
        }))
        .expect("a run")
    }

    fn plan(value: Value) -> Plan {
        serde_json::from_value(value).expect("a plan")
    }

    fn stages(list: &[&str]) -> Vec<Stage> {
        list.iter().map(|text| text.parse().expect("a stage")).collect()
    }

    fn named(message: &Message) -> Vec<&str> {
        message.causes.iter().map(|cause| cause.name.as_str()).collect()
    }

    #[test]
    fn a_failure_is_told_by_its_root_and_the_rest_is_counted() {
        let nodes = [
            node("model.p.a", "error", &[]),
            node("model.p.b", "error", &["model.p.between"]),
            node("model.p.between", "success", &["model.p.a"]),
            node("test.p.t", "fail", &["model.p.other"]),
            node("model.p.c", "skipped", &["model.p.a"]),
            node("model.p.d", "skipped", &[]),
            node("unit_test.p.u", "pass", &[]),
        ];
        let message = compose(&Facts { runs: vec![run("fail", &nodes)], ..Facts::default() });
        assert_eq!(named(&message), ["a", "t"], "b follows from a");
        assert_eq!((message.skipped, message.failures.len()), (2, 3));
        assert_eq!(message.causes[0].line.as_deref(), Some("Binder Error: no y"));
        assert_eq!(message.headline, "issue_42: elt failed, 1 of 2 tests failed");
        assert_eq!(message.reproduce.as_deref(), Some("cargo xtask elt --schema issue_42"));
    }

    #[test]
    fn nodes_that_depend_on_each_other_are_still_told() {
        let nodes = [node("model.p.a", "error", &["model.p.a"])];
        assert_eq!(named(&compose(&Facts { runs: vec![run("fail", &nodes)], ..Facts::default() })), ["a"]);
    }

    #[test]
    fn every_outcome_has_its_words() {
        let asked = |action: &str| {
            Some(plan(json!({"action": action, "schema": "issue_42", "stages": {"observability": false}})))
        };
        let passed = run("success", &[node("test.p.t", "pass", &[])]);
        let cases = [
            (
                asked("build"),
                vec![passed],
                &["security=success"][..],
                Verdict::Succeeded,
                "issue_42: built, 1 of 1 tests passed",
            ),
            (
                asked("build"),
                vec![],
                &["security=failure", "elt=skipped"],
                Verdict::Failed,
                "issue_42: security failed",
            ),
            (
                asked("build"),
                vec![],
                &["elt=failure", "security=failure"],
                Verdict::Failed,
                "issue_42: security and elt failed",
            ),
            (asked("build"), vec![], &["elt=cancelled"], Verdict::Cancelled, "issue_42: cancelled"),
            (asked("cleanup"), vec![], &["cleanup=success"], Verdict::Succeeded, "issue_42: cleaned up"),
            (
                asked("cleanup"),
                vec![],
                &["cleanup=failure"],
                Verdict::Failed,
                "issue_42: the clean-up failed",
            ),
            (
                asked("none"),
                vec![],
                &["plan=success", "elt=skipped"],
                Verdict::Nothing,
                "issue_42: nothing ran",
            ),
            // A job that is not a clean-up says nothing about one, and one that fails is named.
            (asked("cleanup"), vec![], &["plan=success"], Verdict::Nothing, "issue_42: nothing ran"),
            (
                asked("cleanup"),
                vec![],
                &["plan=success", "janitor=success", "observability=failure"],
                Verdict::Failed,
                "issue_42: observability failed",
            ),
            (None, vec![], &["plan=failure"], Verdict::Failed, "pipeline: plan failed"),
            (None, vec![], &[], Verdict::Unknown, "pipeline: ended, but no stage left a result"),
        ];
        for (plan, runs, results, verdict, headline) in cases {
            let message = compose(&Facts { plan, runs, stages: stages(results), ..Facts::default() });
            assert_eq!((message.verdict, message.headline.as_str()), (verdict, headline), "{results:?}");
        }
    }

    #[test]
    fn a_clean_up_reports_what_its_job_dropped() {
        let asked = || Some(plan(json!({"action": "cleanup", "observed": "prod", "target": "snowflake"})));
        for (dropped, results, verdict, headline) in [
            (Some(0), &["janitor=success"][..], Verdict::Nothing, "prod: nothing ran"),
            (Some(1), &["janitor=success"], Verdict::Succeeded, "prod: cleaned up"),
            (Some(3), &["janitor=success"], Verdict::Succeeded, "prod: cleaned up, 3 environments dropped"),
        ] {
            let message =
                compose(&Facts { plan: asked(), dropped, stages: stages(results), ..Facts::default() });
            assert_eq!((message.verdict, message.headline.as_str()), (verdict, headline));
        }
        let reproduce = |results: &[&str]| {
            compose(&Facts { plan: asked(), stages: stages(results), ..Facts::default() }).reproduce
        };
        let alert = reproduce(&["janitor=success", "observability=failure"]);
        assert_eq!(alert.as_deref(), Some("cargo xtask metrics --schema prod --gate --target snowflake"));
        let failed = reproduce(&["janitor=failure"]);
        assert_eq!(failed.as_deref(), Some("cargo xtask schema gc --target snowflake"));
        assert_eq!(reproduce(&["plan=failure"]), None, "no line shows a plan that failed");
    }

    #[test]
    fn a_failed_security_stage_shows_its_findings() {
        let finding = json!({"rule": "github-token", "path": "a.py", "line": 7, "message": "GitHub token"});
        let facts = Facts {
            plan: Some(plan(json!({"schema": "issue_42", "action": "build"}))),
            stages: stages(&["security=failure", "elt=skipped"]),
            findings: vec![serde_json::from_value(finding).expect("a finding")],
            ..Facts::default()
        };
        let message = compose(&facts);
        assert_eq!(message.causes.len(), 1, "the finding is the cause, not that the stage failed");
        let cause = &message.causes[0];
        assert_eq!((cause.name.as_str(), cause.line.as_deref()), ("github-token", Some("GitHub token")));
        assert_eq!(cause.location.as_ref().map(|place| place.line), Some(7));
        assert!(message.reproduce.is_some_and(|line| line.starts_with("cargo xtask lint")));
    }

    #[test]
    fn stages_come_in_their_order_and_say_what_was_not_asked_for() {
        let facts = Facts {
            plan: Some(plan(json!({"stages": {"security": true, "elt": true, "observability": false}}))),
            stages: stages(&[
                "plan=success",
                "observability=skipped",
                "notify=failure",
                "elt=skipped",
                "security=failure",
            ]),
            ..Facts::default()
        };
        let expected = [
            ("security", State::Failure),
            ("elt", State::Skipped),
            ("observability", State::NotAsked),
            ("notify", State::Failure),
        ];
        assert_eq!(compose(&facts).stages, expected.map(|(name, state)| (name.to_owned(), state)));
    }

    #[test]
    fn the_trigger_is_told_in_words() {
        let words = |event: Value| {
            compose(&Facts { plan: Some(plan(json!({"event": event}))), ..Facts::default() }).trigger.what
        };
        let issue = json!({"name": "issues", "number": 42, "title": "Slow\n\tmovers"});
        assert_eq!(words(issue).as_deref(), Some("issue #42: Slow movers"));
        assert_eq!(words(json!({"name": "push", "branch": "main"})).as_deref(), Some("push to main"));
        assert_eq!(words(json!({"name": "schedule"})).as_deref(), Some("schedule"));
        let origin = Origin { event: Some("workflow_dispatch".into()), ..Origin::default() };
        let message = compose(&Facts { origin, ..Facts::default() });
        assert_eq!(message.trigger.what.as_deref(), Some("started by hand"));
    }

    #[test]
    fn a_comment_goes_to_the_plans_issue_or_the_environments() {
        let of = |value| number(&Facts { plan: Some(plan(value)), ..Facts::default() });
        assert_eq!(of(json!({"schema": "issue_7", "event": {"number": 9}})), Some(9));
        assert_eq!(of(json!({"schema": "pr_7", "event": {"number": null}})), Some(7));
        assert_eq!(of(json!({"schema": "dev"})), None);
        assert_eq!(of(json!({"schema": "issue_7; drop"})), None);
    }

    #[test]
    fn an_unknown_figure_is_not_zero_and_alerts_that_fire_are_shown() {
        let figures = json!({"figures": [
            {"name": "queries", "value": 1_234_567, "unit": "count", "status": "ok"},
            {"name": "fill", "value": 0.97312, "unit": "ratio", "status": "ok"},
            {"name": "p95", "value": 1.5, "unit": "seconds", "status": "ok"},
            {"name": "cost", "value": null, "unit": "credits", "status": "no_privilege", "reason": "takes a role"},
            {"name": "lag", "value": null, "status": "delayed"},
        ], "alerts": [
            {"name": "a", "severity": "high", "state": "firing", "since": "2026-03-08T10:30:00Z", "message": "3 queries failed"},
            {"name": "b", "severity": "low", "state": "firing", "changed": false, "message": "known since yesterday"},
            {"name": "c", "state": "ok", "changed": true, "message": "data is fresh"},
            {"name": "d", "state": "unknown", "changed": true, "message": "not known"},
        ]});
        let metrics: Metrics = serde_json::from_value(figures).expect("metrics");
        let message = compose(&Facts { metrics: Some(metrics), ..Facts::default() });
        assert_eq!(
            message.alerts,
            [
                "🔔 a [high]: 3 queries failed (since 2026-03-08 10:30 UTC)",
                "🔔 b [low]: known since yesterday"
            ]
        );
        let words: Vec<&str> = message.figures.iter().map(|(_, words)| words.as_str()).collect();
        assert_eq!(
            words,
            ["1,234,567", "97.312 %", "1.5 seconds", "unknown (takes a role)", "unknown (delayed)"]
        );
    }

    #[test]
    fn only_web_addresses_become_links() {
        let safe = link("https://github.com/o/r/actions/runs/1?a=b&c=d#e");
        assert_eq!(safe.as_deref(), Some("https://github.com/o/r/actions/runs/1?a=b&c=d#e"));
        for text in ["javascript:alert(1)", "file:///etc/passwd", "nonsense", "https://"] {
            assert_eq!(link(text), None, "{text}");
        }
        let hostile = link("https://x.example/a|b>c)d`e\n<!channel>").expect("an address");
        assert!(!hostile.contains(['|', '>', '<', ')', '`', '\n']), "{hostile}");
    }

    #[test]
    fn texts_are_cut_by_characters() {
        assert_eq!(line("a\u{202E}b  \u{0}c\r\nd", 10), "ab c d");
        assert_eq!(line("ééééé", 4), "ééé…");
    }
}
