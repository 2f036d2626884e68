//! From a plan to the lines that carry it out. Pure; the workflows run the same lines.

use crate::core::stage::Stage;
use crate::pipeline::plan::{Action, Plan};

/// What a step belongs to. A failed gate stops what comes after it; notifications are always sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Stage(Stage),
    Cleanup,
    Notify,
}

impl Part {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Stage(stage) => stage.label(),
            Self::Cleanup => "cleanup",
            Self::Notify => "notify",
        }
    }
}

/// One `cargo xtask` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) part: Part,
    /// What follows `cargo xtask`.
    pub(super) argv: Vec<String>,
}

impl Step {
    fn new(part: Part, words: &[&str]) -> Self {
        Self { part, argv: words.iter().map(|word| (*word).to_owned()).collect() }
    }
}

/// The steps of a plan before the notifications, in their order.
pub(super) fn of(plan: &Plan) -> Vec<Step> {
    let target = plan.target.label();
    let mut steps = Vec::new();
    if plan.action == Action::Cleanup {
        steps.push(match &plan.environment {
            Some(name) => Step::new(
                Part::Cleanup,
                &["schema", "drop", "--schema", name.as_str(), "--if-exists", "--target", target],
            ),
            None => Step::new(Part::Cleanup, &["schema", "gc", "--target", target, "--yes"]),
        });
    }
    steps.extend(plan.stages.each().filter_map(|stage| of_stage(stage, plan)));
    steps
}

/// `None` if the stage needs an environment and the plan names none.
fn of_stage(stage: Stage, plan: &Plan) -> Option<Step> {
    let step = |words: &[&str]| Some(Step::new(Part::Stage(stage), words));
    let target = plan.target.label();
    match stage {
        Stage::Security => step(&["lint"]),
        Stage::Elt => {
            let mut words = vec!["elt", "--schema", plan.environment.as_ref()?.as_str(), "--target", target];
            words.extend(plan.base.iter().flat_map(|base| ["--base", base.as_str()]));
            // In one word: a name that begins with a dash is not an option.
            let object_name = plan.event.object_name.as_ref().map(|name| format!("--object-name={name}"));
            words.extend(object_name.as_deref());
            step(&words)
        }
        Stage::Observability => {
            step(&["metrics", "--schema", plan.observed.as_ref()?.as_str(), "--target", target, "--gate"])
        }
    }
}

/// How the stages ended, in GitHub's words for the results of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Success,
    Failure,
    Skipped,
}

impl Ended {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
        }
    }
}

/// The steps that send notifications, once it is known how the others ended.
pub(super) fn telling(plan: &str, results: &[(Part, Ended)]) -> Vec<Step> {
    let with = |to: &str| {
        let mut argv: Vec<String> = ["notify", to, "--plan", plan].map(str::to_owned).into();
        for (part, ended) in results {
            argv.extend(["--stage".to_owned(), format!("{}={}", part.label(), ended.label())]);
        }
        Step { part: Part::Notify, argv }
    };
    vec![with("github"), with("slack")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::event::Event;
    use crate::pipeline::plan::Policy;
    use crate::pipeline::plan::decide::{Circumstances, decide};
    use crate::target::Target;

    /// The lines of a saved event's plan.
    fn lines(case: &str, target: Target) -> Vec<String> {
        let path = format!("{}/../tests/events/{case}.json", env!("CARGO_MANIFEST_DIR"));
        let payload = std::fs::read(path).expect("a saved event");
        let (name, _) = case.split_once('.').expect("<event>.<case>");
        let event = Event::parse(name, &payload).expect("an event");
        let plan = decide(&event, &Policy::default(), &Circumstances::new(target));
        of(&plan).into_iter().map(|step| format!("{}: {}", step.part.label(), step.argv.join(" "))).collect()
    }

    #[test]
    fn stages_come_in_the_order_of_their_gates() {
        assert_eq!(
            lines("issues.labeled-feature", Target::Local),
            [
                "security: lint",
                "elt: elt --schema issue_42 --target local --base dev --object-name=GOLD.STOCK_OUT_RISK",
                "observability: metrics --schema issue_42 --target local --gate",
            ]
        );
        assert_eq!(
            lines("push.skip-obs", Target::Snowflake),
            ["security: lint", "elt: elt --schema prod --target snowflake"]
        );
        assert_eq!(
            lines("issues.closed", Target::Snowflake),
            ["cleanup: schema drop --schema issue_42 --if-exists --target snowflake"]
        );
        assert_eq!(
            lines("schedule.nightly", Target::Local),
            [
                "cleanup: schema gc --target local --yes",
                "observability: metrics --schema prod --target local --gate"
            ]
        );
        assert_eq!(
            lines("pull_request.opened-fork", Target::Snowflake)[1],
            "elt: elt --schema pr_18 --target local --base dev",
            "what gets no secrets is built here, wherever environments live"
        );
        assert!(lines("push.without-tag", Target::Local).is_empty());
    }

    #[test]
    fn people_are_told_how_every_stage_ended() {
        let results = [
            (Part::Stage(Stage::Security), Ended::Success),
            (Part::Stage(Stage::Elt), Ended::Failure),
            (Part::Stage(Stage::Observability), Ended::Skipped),
        ];
        let lines: Vec<String> =
            telling("{}", &results).into_iter().map(|step| step.argv.join(" ")).collect();
        let stages = "--stage security=success --stage elt=failure --stage observability=skipped";
        assert_eq!(
            lines,
            [format!("notify github --plan {{}} {stages}"), format!("notify slack --plan {{}} {stages}")]
        );
    }
}
