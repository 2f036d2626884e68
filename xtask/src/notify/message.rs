//! The content of a pipeline's message: facts in, content out, independent of where it will be shown.
//!
//! Failures are grouped by root cause: a node counts as one only if nothing that it is built from failed before
//! it. Skipped nodes are consequences and only counted. Texts here come from outside, in one line and of bounded
//! length; each renderer escapes them for its own place.

use super::facts::{Facts, Location, Node, Run};
use crate::core::environment::Name;

mod about;
mod causes;
mod figures;
mod outcome;
mod reproduce;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use self::about::number;
use self::about::{environment, trigger};
use self::causes::causes;
pub(crate) use self::causes::{ROWS, row, with_rows};
use self::figures::{alerts, figure};
use self::outcome::{cleans, headline, stages, verdict};
use self::reproduce::reproduce;
pub(super) use self::text::{LINE, NAME, line, link};

/// Causes and warnings that are kept: more than a reader needs.
const MOST_CAUSES: usize = 200;

const SLOWEST: usize = 5;

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
