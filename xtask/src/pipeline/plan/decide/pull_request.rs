//! What a pull request asks for.

use super::{Decision, build, clean_up, gets_no_secrets, nothing, numbered};
use crate::core::stage::Stages;
use crate::pipeline::event::{Event, PullRequest, is_label, shown};
use crate::pipeline::plan::policy::{Drafts, Forks, Policy};
use crate::target::Target;

pub(super) fn on_pull_request(event: &Event, request: &PullRequest, policy: &Policy) -> Decision {
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

fn happened(action: &str) -> &str {
    match action {
        "synchronize" => "pushed to",
        "ready_for_review" => "marked as ready for review",
        "unlabeled" => "released from its skip label",
        other => other,
    }
}
