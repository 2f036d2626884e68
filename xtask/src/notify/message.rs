//! The content of a pipeline's message: facts in, content out, independent of where it will be shown.
//!
//! Failures are grouped by root cause: a node counts as one only if nothing that it is built from failed before
//! it. Skipped nodes are consequences and only counted. Texts here come from outside, in one line and of bounded
//! length; each renderer escapes them for its own place.

use serde_json::Value;

use super::facts::{Facts, Figure, Location, Node, Plan, Run, STAGES, StageResult};
use crate::core::environment::Name;
use crate::system::console;

mod causes;
#[cfg(test)]
mod tests;
mod text;

use self::causes::causes;
pub(crate) use self::causes::{ROWS, row, with_rows};
pub(super) use self::text::{LINE, NAME, line, link};

/// Causes and warnings that are kept: more than a reader needs.
const MOST_CAUSES: usize = 200;

const SLOWEST: usize = 5;

/// Alerts that are shown; the report has all.
const ALERTS: usize = 5;

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
