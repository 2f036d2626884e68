//! What someone asks for who starts the workflow by hand.

use super::{Circumstances, Decision, build, clean_up, collect, environment_of, is_settled, nothing, secure};
use crate::core::environment::Name;
use crate::core::stage::{Stage, Stages};
use crate::pipeline::event::{Dispatch, shown};
use crate::pipeline::plan::policy::Policy;
use crate::pipeline::plan::record::short_ref;

pub(super) fn on_dispatch(dispatch: &Dispatch, policy: &Policy, circumstances: &Circumstances) -> Decision {
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
    let flag = |stage: Stage| dispatch.input(stage.label()).map(|value| value.eq_ignore_ascii_case("true"));
    // Nothing ticked and nothing unticked: a program started it and omitted all of them.
    let omitted = Stage::ALL.into_iter().all(|stage| flag(stage).is_none());
    let mut stages: Stages = Stage::ALL.into_iter().filter(|stage| flag(*stage).unwrap_or(omitted)).collect();
    let added = secure(&mut stages, flag(Stage::Security) == Some(false), policy);
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
