//! From an event to a plan. Pure: what the policy and the circumstances say comes in as arguments.
//!
//! Whatever the event is, an environment comes out only as a [`Name`], and every plan says why in words.
//! An event that asks for nothing is not an error: it gives a plan without stages and a reason.

mod dispatch;
mod issue;
mod pull_request;
mod push;

use self::dispatch::on_dispatch;
pub(crate) use self::issue::needs_permission;
use self::issue::on_issue;
use self::pull_request::on_pull_request;
use self::push::on_push;
use super::branch;
use super::policy::{BeforeElt, Failed, Policy};
use super::record::{About, Action, Plan, short_ref};
use crate::core::environment::{Kind, Name};
use crate::core::stage::{Stage, Stages};
use crate::pipeline::event::permission::Permission;
use crate::pipeline::event::{Delete, Event, MergeGroup, Subject, shown};
use crate::target::Target;

/// What is known beside the event.
#[derive(Clone, Debug)]
pub(crate) struct Circumstances {
    /// The branch that was asked for on the command line.
    pub(crate) reference: Option<String>,
    /// The branch that the workflow runs on: not what an issue or a pull request is about.
    pub(crate) run_reference: Option<String>,
    pub(crate) target: Target,
    /// What GitHub says of the sender, if it was asked.
    pub(crate) permission: Option<Permission>,
}

impl Circumstances {
    pub(crate) fn new(target: Target) -> Self {
        Self { reference: None, run_reference: None, target, permission: None }
    }
}

pub(crate) fn decide(event: &Event, policy: &Policy, circumstances: &Circumstances) -> Plan {
    let decision = match &event.subject {
        Subject::Issue(issue) => on_issue(event, issue, policy, circumstances),
        Subject::Push(push) => on_push(event, push, policy, circumstances),
        Subject::PullRequest(request) => on_pull_request(event, request, policy),
        Subject::MergeGroup(group) => on_merge_group(group),
        Subject::Dispatch(dispatch) => on_dispatch(dispatch, policy, circumstances),
        Subject::Schedule => on_schedule(policy),
        Subject::Delete(delete) => on_delete(event, delete, policy),
        Subject::Other => {
            nothing(format!("the pipeline does not listen to the event {}", shown(&event.name)))
        }
    };
    decision.into_plan(event, policy, circumstances)
}

/// What is decided, before it is a plan.
struct Decision {
    action: Action,
    environment: Option<Name>,
    base: Option<Name>,
    stages: Stages,
    /// Where it is not the circumstances' own.
    target: Option<Target>,
    observed: Option<Name>,
    reasons: Vec<String>,
}

impl Decision {
    fn because(mut self, reason: impl Into<String>) -> Self {
        self.reasons.push(reason.into());
        self
    }

    fn into_plan(self, event: &Event, policy: &Policy, circumstances: &Circumstances) -> Plan {
        let build = self.action == Action::Build;
        let environment = self.environment;
        let observed =
            self.observed.or_else(|| environment.clone().filter(|_| self.stages.has(Stage::Observability)));
        let kind = environment.as_ref().or(observed.as_ref()).map(Name::kind);
        let collects = self.action == Action::Cleanup && environment.is_none();
        let deployment = match kind {
            _ if collects => &policy.deployments.maintenance,
            Some(Kind::Prod) => &policy.deployments.prod,
            Some(Kind::Dev) => &policy.deployments.dev,
            _ => &policy.deployments.temporary,
        };
        Plan {
            action: self.action,
            schema: environment.clone(),
            base: self.base.filter(|base| Some(base) != environment.as_ref()),
            drop_on_failure: build
                && policy.failure.environment == Failed::Drop
                && environment.as_ref().is_some_and(is_temporary),
            publish: build
                && self.stages.has(Stage::Observability)
                && environment.as_ref() == Some(&policy.schedule.observe),
            environment,
            stages: self.stages,
            reasons: self.reasons,
            target: self.target.unwrap_or(circumstances.target),
            trusted: !gets_no_secrets(event),
            deployment: deployment.clone(),
            observed,
            event: About::of(event),
        }
    }
}

fn nothing(reason: impl Into<String>) -> Decision {
    Decision {
        action: Action::None,
        environment: None,
        base: None,
        stages: Stages::default(),
        target: None,
        observed: None,
        reasons: vec![reason.into()],
    }
}

fn build(environment: Name, stages: Stages, policy: &Policy) -> Decision {
    let base = (!is_settled(&environment)).then(|| policy.base.clone());
    Decision { action: Action::Build, environment: Some(environment), base, stages, ..nothing_yet() }
}

fn clean_up(environment: Name) -> Decision {
    if !is_temporary(&environment) {
        return nothing(format!(
            "{environment} is no environment of an issue, pull request or branch, and only those are cleaned up"
        ));
    }
    Decision { action: Action::Cleanup, environment: Some(environment), ..nothing_yet() }
}

fn nothing_yet() -> Decision {
    Decision { reasons: Vec::new(), ..nothing(String::new()) }
}

fn is_temporary(name: &Name) -> bool {
    matches!(name.kind(), Kind::Issue | Kind::PullRequest | Kind::Branch)
}

/// Prod and dev are built from their branches, and start from nothing but themselves.
fn is_settled(name: &Name) -> bool {
    matches!(name.kind(), Kind::Prod | Kind::Dev)
}

fn numbered(prefix: &str, number: u64) -> Name {
    format!("{prefix}_{number}").parse().expect("a prefix and a number are a name")
}

/// Where merge queues test; GitHub makes and deletes these branches.
const QUEUE: &str = "gh-readonly-queue/";

fn on_merge_group(group: &MergeGroup) -> Decision {
    if group.action != "checks_requested" {
        return nothing(format!("a merge group that is {} asks for nothing", shown(&group.action)));
    }
    let into = group.base.as_deref().map_or_else(|| "its branch".to_owned(), |base| shown(short_ref(base)));
    let stages = Stages::from_iter([Stage::Security]);
    Decision { action: Action::Build, stages, ..nothing_yet() }.because(format!(
        "the merge queue asks for checks before it merges into {into}; what it merges is built by the push that follows"
    ))
}

/// Security runs before ELT, as far as the policy says.
fn secure(stages: &mut Stages, skipped: bool, policy: &Policy) -> Option<String> {
    if !stages.has(Stage::Elt) || stages.has(Stage::Security) {
        return None;
    }
    match policy.security.before_elt {
        BeforeElt::Always => {
            stages.insert(Stage::Security);
            Some("security runs before elt, whatever is asked for (policies/pipeline.toml)".to_owned())
        }
        BeforeElt::UnlessSkipped if !skipped => {
            stages.insert(Stage::Security);
            Some("security runs before elt unless it is skipped (policies/pipeline.toml)".to_owned())
        }
        BeforeElt::UnlessSkipped | BeforeElt::WhenAsked => None,
    }
}

fn environment_of(branch: &str, policy: &Policy) -> Name {
    policy.branches.get(branch).cloned().unwrap_or_else(|| branch::environment(branch))
}

/// GitHub treats what Dependabot triggers as it treats a fork.
fn gets_no_secrets(event: &Event) -> bool {
    let is_fork = matches!(&event.subject, Subject::PullRequest(request) if request.is_fork);
    is_fork || event.actor() == Some("dependabot[bot]")
}

fn on_schedule(policy: &Policy) -> Decision {
    collect(policy).because("the schedule collects what is not needed any more, and reads the metrics")
}

/// Drop what is past its time to live or whose issue is closed, and see how the warehouse does.
fn collect(policy: &Policy) -> Decision {
    Decision {
        action: Action::Cleanup,
        stages: Stages::from_iter([Stage::Observability]),
        observed: Some(policy.schedule.observe.clone()),
        ..nothing_yet()
    }
}

fn on_delete(event: &Event, delete: &Delete, policy: &Policy) -> Decision {
    let branch = short_ref(&delete.reference);
    if !delete.is_branch {
        return nothing("a tag of git was deleted, and only branches have environments");
    }
    if branch.starts_with(QUEUE) {
        return nothing("the merge queue removed its own branch, of which nothing was built");
    }
    if branch.starts_with("dependabot/") || gets_no_secrets(event) {
        return nothing("what is built for Dependabot goes with the runner, so nothing has to be dropped");
    }
    if let Some(environment) = policy.branches.get(branch) {
        return nothing(format!(
            "the branch {} was deleted; its environment {environment} is never dropped",
            shown(branch)
        ));
    }
    clean_up(branch::environment(branch)).because(format!("the branch {} was deleted", shown(branch)))
}
