//! From an event to a plan. Pure: what the policy and the circumstances say comes in as arguments.
//!
//! Whatever the event is, an environment comes out only as a [`Name`], and every plan says why in words.
//! An event that asks for nothing is not an error: it gives a plan without stages and a reason.

use super::branch;
use super::policy::{BeforeElt, Drafts, Failed, Forks, MergedCommits, Policy};
use super::record::{About, Action, Plan, Stages, short_ref};
use crate::core::environment::{Kind, Name};
use crate::pipeline::event::permission::{self, Permission, Trust};
use crate::pipeline::event::{
    Delete, Dispatch, Event, Issue, MergeGroup, PullRequest, Push, Stage, Subject, Tags, is_label, shown,
};
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

/// Whether the plan depends on what the sender may do, so that GitHub should be asked.
pub(crate) fn needs_permission(event: &Event, policy: &Policy) -> bool {
    let Subject::Issue(issue) = &event.subject else { return false };
    let labels = &policy.labels;
    let label = issue.label.as_deref().unwrap_or_default();
    match issue.action.as_str() {
        "labeled" => is_label(label, &labels.build) || is_label(label, &labels.cleanup),
        "unlabeled" => is_label(label, &labels.build),
        "reopened" | "closed" => was_built(issue, policy),
        _ => false,
    }
}

/// Whether the issue carries the label that builds. Unknown counts as yes: a drop of what is not there is harmless.
fn was_built(issue: &Issue, policy: &Policy) -> bool {
    let labels = issue.labels.as_ref();
    labels.is_none_or(|all| all.iter().any(|label| is_label(label, &policy.labels.build)))
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
        let observed = self.observed.or_else(|| environment.clone().filter(|_| self.stages.observability));
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
                && self.stages.observability
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

fn on_issue(event: &Event, issue: &Issue, policy: &Policy, circumstances: &Circumstances) -> Decision {
    let labels = &policy.labels;
    let own = numbered("issue", issue.number);
    let label = issue.label.as_deref().unwrap_or_default();
    let number = issue.number;
    let trust = Trust { associations: &policy.permission.associations, bots: &policy.permission.bots };
    let allowed = || permission::decide(event, issue, trust, circumstances.permission);
    match issue.action.as_str() {
        "labeled" if is_label(label, &labels.build) => match allowed() {
            Ok(why) => on_feature(issue, own, policy).because(why),
            Err(why) => nothing(format!("nothing is provisioned: {why}")),
        },
        "reopened" if was_built(issue, policy) => match allowed() {
            Ok(why) => on_feature(issue, own, policy).because("it was reopened").because(why),
            Err(why) => nothing(format!("nothing is provisioned: {why}")),
        },
        "labeled" if is_label(label, &labels.cleanup) => match allowed() {
            Ok(why) => on_cleanup_label(issue, own, policy).because(why),
            Err(why) => nothing(format!("nothing is dropped: {why}")),
        },
        "labeled" => nothing(format!(
            "the label {} asks for nothing; {:?} builds and {:?} cleans up",
            shown(label),
            labels.build,
            labels.cleanup
        )),
        "unlabeled" if is_label(label, &labels.build) => match allowed() {
            Ok(why) => clean_up(own)
                .because(format!("the label {} was taken off issue {number}", shown(label)))
                .because(why),
            Err(why) => nothing(format!("nothing is dropped: {why}")),
        },
        "unlabeled" => nothing(format!("the label {} that was taken off asked for nothing", shown(label))),
        "closed" | "deleted" | "transferred" if !was_built(issue, policy) => nothing(format!(
            "issue {number} was {} and does not carry the label {:?}, so there is no environment of it",
            issue.action, labels.build
        )),
        // Authors may close their own issues, also those who may not write. What an outsider closes is left to
        // the nightly clean-up, which drops it a day later.
        "closed" => match allowed() {
            Ok(why) => clean_up(own).because(format!("issue {number} was closed")).because(why),
            Err(why) => nothing(format!("nothing is dropped before the nightly clean-up: {why}")),
        },
        // Both take permissions that include writing.
        "deleted" | "transferred" => clean_up(own).because(format!("issue {number} was {}", issue.action)),
        other => nothing(format!("an issue that is {} asks for nothing; its labels do", shown(other))),
    }
}

fn on_feature(issue: &Issue, own: Name, policy: &Policy) -> Decision {
    let mut stages = Stages::ALL;
    stages.observability = !issue.form.is_ticked("Options", "Leave out observability");
    let mut decision = build(own, stages, policy)
        .because(format!("issue {} carries the label {:?}", issue.number, policy.labels.build));
    if !stages.observability {
        decision = decision.because("its form leaves out observability");
    }
    let Some(asked) = issue.form.value("Base") else { return decision };
    match asked.parse::<Name>().ok().filter(|base| policy.bases.contains(base)) {
        Some(base) => {
            let reason = format!("its form asks for the base {base}");
            Decision { base: Some(base), ..decision }.because(reason)
        }
        None => decision.because(format!(
            "its form asks for the base {}, which is not one of [{}]; {} is used",
            shown(asked),
            policy.bases.iter().map(Name::as_str).collect::<Vec<_>>().join(", "),
            policy.base
        )),
    }
}

/// The label on an issue cleans up that issue's environment; on an issue that was created with the form for
/// clean-ups it is the environment that the form names.
fn on_cleanup_label(issue: &Issue, own: Name, policy: &Policy) -> Decision {
    const ENVIRONMENT: &str = "Environment";
    let number = issue.number;
    // A feature's issue is about its own environment, whatever its text says.
    let is_feature = issue.labels.iter().flatten().any(|label| is_label(label, &policy.labels.build));
    let form = Some(&issue.form).filter(|form| !is_feature && form.begins_with(ENVIRONMENT));
    let Some(form) = form else {
        return clean_up(own).because(format!("issue {number} was labelled for clean-up"));
    };
    let Some(asked) = form.value(ENVIRONMENT) else {
        return nothing(format!("the form of issue {number} names no environment to clean up"));
    };
    if !form.is_ticked("Confirmation", "") {
        return nothing(format!("the form of issue {number} is not confirmed: its box is not ticked"));
    }
    match asked.trim_matches('`').trim().parse::<Name>() {
        Ok(asked) => clean_up(asked).because(format!("the form of issue {number} names it")),
        Err(_) => nothing(format!(
            "the form of issue {number} asks to clean up {}, which is not the name of an environment such as issue_42",
            shown(asked)
        )),
    }
}

/// Where merge queues test; GitHub makes and deletes these branches.
const QUEUE: &str = "gh-readonly-queue/";

fn on_merge_group(group: &MergeGroup) -> Decision {
    if group.action != "checks_requested" {
        return nothing(format!("a merge group that is {} asks for nothing", shown(&group.action)));
    }
    let into = group.base.as_deref().map_or_else(|| "its branch".to_owned(), |base| shown(short_ref(base)));
    let stages = Stages { security: true, ..Stages::default() };
    Decision { action: Action::Build, stages, ..nothing_yet() }.because(format!(
        "the merge queue asks for checks before it merges into {into}; what it merges is built by the push that follows"
    ))
}

fn on_push(event: &Event, push: &Push, policy: &Policy, circumstances: &Circumstances) -> Decision {
    let reference = circumstances.reference.as_deref().unwrap_or(&push.reference);
    if reference.starts_with("refs/tags/") {
        return nothing(format!("{} is a tag of git, and only branches have environments", shown(reference)));
    }
    if push.deleted {
        return nothing("the branch was deleted; its `delete` event cleans up");
    }
    if short_ref(reference).starts_with(QUEUE) {
        return nothing(
            "the branch belongs to the merge queue, whose event `merge_group` is what asks for checks",
        );
    }
    let is_settled = policy.branches.contains_key(short_ref(reference));
    let counted = |is_new: bool| is_new || is_settled || policy.push.merged_commits == MergedCommits::Count;
    let messages = push.commits.iter().filter(|commit| counted(commit.is_new));
    let tags = messages.map(|commit| Tags::of(&commit.message)).fold(Tags::default(), Tags::with);
    if !tags.asks() {
        return no_run(push, tags, is_settled, policy);
    }
    if gets_no_secrets(event) && policy.pull_request.forks == Forks::None {
        return nothing(
            "nothing runs: a push of Dependabot gets no secrets, and policies/pipeline.toml builds none such",
        );
    }
    let mut stages = Stages {
        security: tags.asks_for(Stage::Security) && !tags.skips(Stage::Security),
        elt: tags.asks_for(Stage::Elt) && !tags.skips(Stage::Elt),
        observability: tags.asks_for(Stage::Observability) && !tags.skips(Stage::Observability),
    };
    let mut reasons =
        vec![format!("run-tags of the pushed commits ask for {}", listed(tags, Tags::asks_for))];
    if Stage::ALL.into_iter().any(|stage| tags.skips(stage)) {
        reasons.push(format!("skip-tags, which go first, leave out {}", listed(tags, Tags::skips)));
    }
    reasons.extend(secure(&mut stages, tags.skips(Stage::Security), policy));
    if !stages.any() {
        reasons.push("nothing is left to run".to_owned());
        return Decision { reasons, ..nothing_yet() };
    }
    let environment = environment_of(short_ref(reference), policy);
    let mut decision = build(environment, stages, policy);
    if gets_no_secrets(event) {
        decision.target = Some(Target::Local);
        reasons.push("Dependabot pushed, which gets no secrets, so it is built on DuckDB".to_owned());
    }
    decision.reasons = reasons;
    decision
}

/// The quiet case: most pushes carry no tag.
fn no_run(push: &Push, tags: Tags, is_settled: bool, policy: &Policy) -> Decision {
    let old = push.commits.iter().filter(|commit| !commit.is_new).count();
    let why = match (push.commits.len(), tags.is_empty()) {
        (0, _) => "nothing runs: the push brings no commit".to_owned(),
        (_, false) => "nothing runs: there are skip-tags but no run-tag".to_owned(),
        (commits, true) => format!(
            "nothing runs: no run-tag in {commits} commit{}; #run_all, #run_elt, #run_security and #run_obs in a \
             message run something",
            if commits == 1 { "" } else { "s" }
        ),
    };
    let decision = nothing(why);
    if old > 0 && !is_settled && policy.push.merged_commits == MergedCommits::Ignore {
        return decision.because(format!(
            "{old} of them were pushed before, where their run-tags had their run; a merge runs what its own message asks for"
        ));
    }
    decision
}

fn listed(tags: Tags, is: impl Fn(Tags, Stage) -> bool) -> String {
    let stages: Vec<&str> =
        Stage::ALL.into_iter().filter(|stage| is(tags, *stage)).map(Stage::label).collect();
    stages.join(", ")
}

/// Security runs before ELT, as far as the policy says.
fn secure(stages: &mut Stages, skipped: bool, policy: &Policy) -> Option<String> {
    if !stages.elt || stages.security {
        return None;
    }
    match policy.security.before_elt {
        BeforeElt::Always => {
            stages.security = true;
            Some("security runs before elt, whatever is asked for (policies/pipeline.toml)".to_owned())
        }
        BeforeElt::UnlessSkipped if !skipped => {
            stages.security = true;
            Some("security runs before elt unless it is skipped (policies/pipeline.toml)".to_owned())
        }
        BeforeElt::UnlessSkipped | BeforeElt::WhenAsked => None,
    }
}

fn environment_of(branch: &str, policy: &Policy) -> Name {
    policy.branches.get(branch).cloned().unwrap_or_else(|| branch::environment(branch))
}

fn on_pull_request(event: &Event, request: &PullRequest, policy: &Policy) -> Decision {
    let number = request.number;
    let environment = numbered("pr", number);
    let without_secrets = gets_no_secrets(event);
    let whose = if request.is_fork { "from a fork" } else { "of Dependabot" };
    let skip = &policy.labels.skip;
    let builds = match request.action.as_str() {
        "opened" | "synchronize" | "reopened" | "ready_for_review" => true,
        "unlabeled" => request.label.as_deref().is_some_and(|label| is_label(label, skip)),
        _ => false,
    };
    match request.action.as_str() {
        _ if builds && request.labels.iter().any(|label| is_label(label, skip)) => {
            nothing(format!("pull request {number} carries the label {skip:?}"))
        }
        _ if builds && request.is_draft && policy.pull_request.drafts == Drafts::Skip => {
            nothing(format!("pull request {number} is a draft; it is built when it is ready for review"))
        }
        _ if builds && without_secrets => match policy.pull_request.forks {
            Forks::Local => {
                let decision = build(environment, Stages::ALL, policy)
                    .because(format!("pull request {number} was {}", happened(&request.action)))
                    .because(format!("it is {whose}, which gets no secrets, so it is built on DuckDB"));
                Decision { target: Some(Target::Local), ..decision }
            }
            Forks::None => nothing(format!(
                "pull request {number} is {whose}, which gets no secrets, and policies/pipeline.toml builds none such"
            )),
        },
        _ if builds => build(environment, Stages::ALL, policy)
            .because(format!("pull request {number} was {}", happened(&request.action))),
        "closed" if without_secrets => {
            nothing(format!("pull request {number} is {whose}: what was built of it went with the runner"))
        }
        "closed" => clean_up(environment).because(format!("pull request {number} was closed")),
        other => nothing(format!("a pull request that is {} asks for nothing", shown(other))),
    }
}

/// GitHub treats what Dependabot triggers as it treats a fork.
fn gets_no_secrets(event: &Event) -> bool {
    let is_fork = matches!(&event.subject, Subject::PullRequest(request) if request.is_fork);
    is_fork || event.actor() == Some("dependabot[bot]")
}

fn happened(action: &str) -> &str {
    match action {
        "synchronize" => "pushed to",
        "ready_for_review" => "marked as ready for review",
        "unlabeled" => "released from its skip label",
        other => other,
    }
}

fn on_dispatch(dispatch: &Dispatch, policy: &Policy, circumstances: &Circumstances) -> Decision {
    let references = [&circumstances.reference, &dispatch.reference, &circumstances.run_reference];
    let Some(reference) = references.into_iter().flatten().next() else {
        return nothing("the event names no branch to run on; give one with --ref");
    };
    if reference.starts_with("refs/tags/") {
        return nothing(format!("{} is a tag of git, and only branches have environments", shown(reference)));
    }
    let of_branch = environment_of(short_ref(reference), policy);
    let asked = dispatch.input("schema").or_else(|| dispatch.input("environment"));
    let environment = match asked.map(str::parse::<Name>) {
        None => of_branch.clone(),
        Some(Ok(name)) => name,
        Some(Err(error)) => return nothing(format!("nothing runs: {}", shown(&error.to_string()))),
    };
    match dispatch.input("action").unwrap_or("build") {
        "build" if is_settled(&environment) && environment != of_branch => nothing(format!(
            "nothing runs: {environment} is built from its own branch only, and this is {}",
            shown(short_ref(reference))
        )),
        "build" => dispatched_build(dispatch, environment, policy),
        "cleanup" if asked.is_none() && is_settled(&environment) => nothing(format!(
            "nothing is dropped: {environment} is never cleaned up; name another in `schema`"
        )),
        "cleanup" => clean_up(environment).because("it was started by hand"),
        "gc" => collect(policy).because("it was started by hand"),
        other => nothing(format!("nothing runs: {} is not one of build, cleanup and gc", shown(other))),
    }
}

fn dispatched_build(dispatch: &Dispatch, environment: Name, policy: &Policy) -> Decision {
    let flag = |name: &str| dispatch.input(name).map(|value| value.eq_ignore_ascii_case("true"));
    let given = [flag("security"), flag("elt"), flag("observability")];
    // Nothing ticked and nothing unticked: a program started it and omitted all of them.
    let or_all = |value: Option<bool>| value.unwrap_or(given.iter().all(Option::is_none));
    let [security, elt, observability] = given.map(or_all);
    let mut stages = Stages { security, elt, observability };
    let added = secure(&mut stages, flag("security") == Some(false), policy);
    if !stages.any() {
        return nothing("nothing runs: no stage was ticked");
    }
    let mut decision = build(environment, stages, policy);
    decision.reasons.push("it was started by hand".to_owned());
    decision.reasons.extend(added);
    match dispatch.input("base").map(str::parse::<Name>) {
        None => decision,
        Some(Ok(base)) if policy.bases.contains(&base) => Decision { base: Some(base), ..decision },
        Some(_) => nothing(format!(
            "nothing runs: the base must be one of [{}]",
            policy.bases.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
        )),
    }
}

fn on_schedule(policy: &Policy) -> Decision {
    collect(policy).because("the schedule collects what is not needed any more, and reads the metrics")
}

/// Drop what is past its time to live or whose issue is closed, and see how the warehouse does.
fn collect(policy: &Policy) -> Decision {
    Decision {
        action: Action::Cleanup,
        stages: Stages { observability: true, ..Stages::default() },
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
