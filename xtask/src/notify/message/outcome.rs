//! How a pipeline went: the state of each stage, the verdict over all of them, and the headline that says it.

use super::text::{NAME, line};
use super::{State, Tests, Verdict};
use crate::core::stage::Stage;
use crate::notify::facts::{Facts, JobResult, Plan, Run};

/// Every stage with its state: those of the pipeline in their order, then other jobs that went wrong.
pub(super) fn stages(facts: &Facts) -> Vec<(String, State)> {
    let asked = |name: &str| facts.plan.as_ref().and_then(|plan| plan.stages.get(name)).copied();
    let given = |name: &str| facts.stages.iter().rfind(|stage| stage.name == name).map(|stage| stage.result);
    let names = Stage::ALL.map(Stage::label);
    let of_pipeline = names.into_iter().filter_map(|name| {
        let result = given(name).or_else(|| (name == "elt").then(|| of_runs(&facts.runs)).flatten());
        let state = match (result, asked(name)) {
            (Some(JobResult::Skipped) | None, Some(false)) => State::NotAsked,
            (Some(result), _) => State::from(result),
            (None, _) => return None,
        };
        Some((name.to_owned(), state))
    });
    let others = facts.stages.iter().filter(|stage| {
        !names.contains(&stage.name.as_str())
            && matches!(stage.result, JobResult::Failure | JobResult::Cancelled)
    });
    of_pipeline.chain(others.map(|stage| (line(&stage.name, NAME), State::from(stage.result)))).collect()
}

impl From<JobResult> for State {
    fn from(result: JobResult) -> Self {
        match result {
            JobResult::Success => Self::Success,
            JobResult::Failure => Self::Failure,
            JobResult::Cancelled => Self::Cancelled,
            JobResult::Skipped => Self::Skipped,
        }
    }
}

/// How the elt stage went, by the runs themselves.
fn of_runs(runs: &[Run]) -> Option<JobResult> {
    let is = |word: &str| runs.iter().any(|run| run.status == word);
    match runs {
        [] => None,
        _ if is("fail") || is("error") => Some(JobResult::Failure),
        _ if is("interrupted") => Some(JobResult::Cancelled),
        _ => Some(JobResult::Success),
    }
}

pub(super) fn verdict(facts: &Facts, stages: &[(String, State)]) -> Verdict {
    let is = |wanted: State| stages.iter().any(|(_, state)| *state == wanted);
    let runs = of_runs(&facts.runs);
    // A clean-up is reported as done only by the job that did it, and only if it dropped something.
    let cleaned = facts.dropped.map_or_else(|| has_cleaned(facts), |dropped| dropped > 0);
    if is(State::Failure) || runs == Some(JobResult::Failure) {
        Verdict::Failed
    } else if is(State::Cancelled) || runs == Some(JobResult::Cancelled) {
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
        .any(|stage| CLEANERS.contains(&stage.name.as_str()) && stage.result == JobResult::Success)
}

/// The jobs that drop environments.
const CLEANERS: [&str; 2] = ["cleanup", "janitor"];

pub(super) fn cleans(plan: Option<&Plan>) -> bool {
    plan.is_some_and(|plan| plan.action.as_deref() == Some("cleanup"))
}

pub(super) fn headline(
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
