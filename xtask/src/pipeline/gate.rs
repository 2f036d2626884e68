//! `cargo xtask gate`: whether everything that the plan asked for succeeded.
//!
//! The last job of the orchestrator, `gate`, runs it: one check with one name that a ruleset or a merge queue can
//! require, whatever an event asks for. `problems` decides and reads nothing.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::core::stage::Stage;
use crate::system::outcome::Outcome;
use crate::system::{actions, console};

/// Check that everything a plan asked for succeeded: the required check `gate`.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub(crate) struct Args {
    /// The plan, as `plan --format json` printed it.
    #[arg(long, value_name = "JSON", env = "XTASK_PLAN", hide_env_values = true, default_value = "")]
    plan: String,

    /// How the jobs ended: GitHub's `toJSON(needs)`.
    #[arg(long, value_name = "JSON", env = "XTASK_NEEDS", hide_env_values = true)]
    needs: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Plan {
    action: String,
    schema: Option<String>,
    target: String,
    stages: BTreeMap<String, bool>,
}

#[derive(Debug, Deserialize)]
struct Job {
    result: String,
    #[serde(default)]
    outputs: BTreeMap<String, Value>,
}

type Jobs = BTreeMap<String, Job>;

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let jobs: Jobs = serde_json::from_str(&args.needs)
        .context("failed to read the results of the jobs; --needs or XTASK_NEEDS takes toJSON(needs)")?;
    // The output of a job that did not run is an empty text.
    let plan: Plan = if args.plan.trim().is_empty() {
        Plan::default()
    } else {
        serde_json::from_str(&args.plan)
            .context("failed to read the plan; --plan or XTASK_PLAN takes its JSON")?
    };
    let problems = problems(&plan, &jobs);
    for problem in &problems {
        let text = actions::harmless(problem);
        actions::annotate(&actions::Annotation {
            level: actions::Level::Error,
            title: "gate",
            message: &text,
            file: None,
            line: None,
        });
        console::print(&text)?;
    }
    if problems.is_empty() {
        console::print("everything that was asked for succeeded")?;
        return Ok(Outcome::Clean);
    }
    Ok(Outcome::Findings)
}

/// Why the gate stays closed: what was asked for and did not succeed, and what failed beside it.
fn problems(plan: &Plan, jobs: &Jobs) -> Vec<String> {
    let mut problems = Vec::new();
    let mut asked = vec!["plan"];
    let runs = |stage: &str| plan.stages.get(stage) == Some(&true);
    // An issue or pull request that was closed meanwhile is not built, and has nothing to be measured.
    let is_wanted =
        jobs.get("elt").and_then(|job| job.outputs.get("wanted")).is_none_or(|wanted| wanted != "false");
    // On DuckDB an environment disappears with its runner: without a build there is nothing to look at.
    let is_there = plan.target != "local" || runs("elt");
    let stages = Stage::ALL.into_iter().filter(|stage| runs(stage.label()));
    let stages = stages.filter(|stage| *stage != Stage::Observability || is_wanted && is_there);
    asked.extend(stages.map(Stage::label));
    if plan.action == "cleanup" && plan.target != "local" {
        asked.push(if plan.schema.is_some() { "cleanup" } else { "janitor" });
    }
    for name in &asked {
        let result = jobs.get(*name).map_or("missing", |job| job.result.as_str());
        if result != "success" {
            problems.push(format!("{name} was asked for and its result is {result}"));
        }
    }
    for (name, job) in jobs.iter().filter(|(name, _)| !asked.contains(&name.as_str())) {
        if !matches!(job.result.as_str(), "success" | "skipped") {
            problems.push(format!("the result of {name} is {}", job.result));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::stage::Stages;

    fn of(plan: &str, jobs: &[(&str, &str)]) -> Vec<String> {
        let plan: Plan = serde_json::from_str(plan).expect("a plan");
        let job = |result: &str| Job { result: result.to_owned(), outputs: BTreeMap::new() };
        let jobs: Jobs = jobs.iter().map(|(name, result)| ((*name).to_owned(), job(result))).collect();
        problems(&plan, &jobs)
    }

    fn build() -> String {
        json!({"action": "build", "schema": "dev", "target": "snowflake", "stages": Stages::ALL}).to_string()
    }

    /// How all jobs end if all goes well: those that were asked for come first.
    fn all() -> Vec<(&'static str, &'static str)> {
        let asked = ["plan"].into_iter().chain(Stages::ALL.names()).map(|name| (name, "success"));
        asked.chain([("cleanup", "skipped"), ("janitor", "skipped")]).collect()
    }

    #[test]
    fn every_result_but_success_of_what_was_asked_for_closes_the_gate() {
        let build = build();
        let asked = 1 + Stage::ALL.len();
        assert!(of(&build, &all()).is_empty());
        for at in 0..asked {
            for result in ["failure", "cancelled", "skipped", "something new"] {
                let mut jobs = all();
                jobs[at].1 = result;
                assert_eq!(of(&build, &jobs).len(), 1, "{jobs:?}");
            }
        }
        for result in ["failure", "cancelled"] {
            let mut jobs = all();
            jobs[asked].1 = result;
            assert_eq!(of(&build, &jobs).len(), 1, "what failed beside it counts too");
        }
        assert_eq!(of(&build, &all()[1..]), ["plan was asked for and its result is missing"]);
    }

    #[test]
    fn nothing_asked_for_opens_the_gate_and_a_failed_plan_does_not() {
        assert!(of(r#"{"action": "none"}"#, &[("plan", "success"), ("elt", "skipped")]).is_empty());
        assert_eq!(of("{}", &[("plan", "failure"), ("elt", "skipped")]).len(), 1);
        let nightly = r#"{"action": "cleanup", "target": "TARGET", "stages": {"observability": true}}"#;
        let idle = [("plan", "success"), ("janitor", "skipped"), ("observability", "skipped")];
        assert!(of(&nightly.replace("TARGET", "local"), &idle).is_empty());
        assert_eq!(of(&nightly.replace("TARGET", "snowflake"), &idle).len(), 2);
    }

    #[test]
    fn a_build_that_is_wanted_no_more_needs_no_metrics() {
        let job = |result: &str| Job { result: result.to_owned(), outputs: BTreeMap::new() };
        let mut jobs: Jobs = all().into_iter().map(|(name, result)| (name.to_owned(), job(result))).collect();
        jobs.get_mut("observability").expect("a job").result = "skipped".to_owned();
        let plan: Plan = serde_json::from_str(&build()).expect("a plan");
        assert_eq!(problems(&plan, &jobs).len(), 1);
        let outputs = &mut jobs.get_mut("elt").expect("a job").outputs;
        outputs.insert("wanted".to_owned(), "false".into());
        assert!(problems(&plan, &jobs).is_empty());
    }
}
