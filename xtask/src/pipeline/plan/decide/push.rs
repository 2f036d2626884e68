//! What a push asks for: the run-tags and skip-tags of its commits.

use super::{
    Circumstances, Decision, QUEUE, build, environment_of, gets_no_secrets, nothing, nothing_yet, secure,
};
use crate::core::stage::{Stage, Stages};
use crate::pipeline::event::{Event, Push, Tags, shown};
use crate::pipeline::plan::policy::{Forks, MergedCommits, Policy};
use crate::pipeline::plan::record::short_ref;
use crate::target::Target;

pub(super) fn on_push(
    event: &Event,
    push: &Push,
    policy: &Policy,
    circumstances: &Circumstances,
) -> Decision {
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
    if !tags.run.any() {
        return no_run(push, tags, is_settled, policy);
    }
    if gets_no_secrets(event) && policy.pull_request.forks == Forks::None {
        return nothing(
            "nothing runs: a push of Dependabot gets no secrets, and policies/pipeline.toml builds none such",
        );
    }
    let mut stages: Stages = tags.run.each().filter(|stage| !tags.skip.has(*stage)).collect();
    let mut reasons = vec![format!("run-tags of the pushed commits ask for {}", tags.run.names().join(", "))];
    if tags.skip.any() {
        reasons.push(format!("skip-tags, which go first, leave out {}", tags.skip.names().join(", ")));
    }
    reasons.extend(secure(&mut stages, tags.skip.has(Stage::Security), policy));
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
            "nothing runs: no run-tag in {commits} commit{}; the run-tags are #run_all, {}",
            if commits == 1 { "" } else { "s" },
            Stage::ALL.map(|stage| format!("#run_{}", stage.tags()[0])).join(", ")
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
