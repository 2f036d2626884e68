//! What an issue asks for: its labels, its form, and its end.

use super::{Circumstances, Decision, build, clean_up, nothing, numbered};
use crate::core::environment::Name;
use crate::core::stage::{Stage, Stages};
use crate::pipeline::event::permission::{self, Trust};
use crate::pipeline::event::{Event, Issue, Subject, is_label, shown};
use crate::pipeline::plan::policy::Policy;

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

pub(super) fn on_issue(
    event: &Event,
    issue: &Issue,
    policy: &Policy,
    circumstances: &Circumstances,
) -> Decision {
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
    if issue.form.is_ticked("Options", "Leave out observability") {
        stages.remove(Stage::Observability);
    }
    let mut decision = build(own, stages, policy)
        .because(format!("issue {} carries the label {:?}", issue.number, policy.labels.build));
    if !stages.has(Stage::Observability) {
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
