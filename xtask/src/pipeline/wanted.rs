//! `cargo xtask wanted`: whether the issue, pull request or branch of an environment is still there.
//!
//! Minutes pass between an event and its build. What was closed meanwhile has had its clean-up already, so a build
//! would leave an environment that belongs to nothing: the workflow asks right before it provisions and right after
//! it built. An answer that could not be had is neither yes nor no, and stops nothing.

use anyhow::Result;

use super::plan::{Policy, environment_of_branch};
use crate::core::environment::{Kind, Name};
use crate::pipeline::event::is_label;
use crate::system::github::{self, GitHub, State};
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::system::{actions, console};

/// Show whether what an environment belongs to is still open; on Actions, as the output `wanted` too.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub(crate) struct Args {
    /// The environment, such as `issue_42`.
    #[arg(long, value_name = "ENV")]
    schema: Name,

    /// The branch of a `branch_…` environment.
    #[arg(long, value_name = "BRANCH", env = "GITHUB_REF_NAME")]
    branch: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Yes(String),
    No(String),
    Unknown(String),
}

impl Answer {
    fn output(&self) -> &'static str {
        match self {
            Self::Yes(_) => "true",
            Self::No(_) => "false",
            Self::Unknown(_) => "unknown",
        }
    }

    fn why(&self) -> &str {
        match self {
            Self::Yes(why) | Self::No(why) | Self::Unknown(why) => why,
        }
    }
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    let policy = Policy::load(repo)?;
    let answer = ask(args, &policy);
    let text = actions::harmless(&format!("wanted: {} ({})", answer.output(), answer.why()));
    if matches!(answer, Answer::Unknown(_)) {
        tracing::warn!("{text}");
    }
    console::print(&text)?;
    actions::set_outputs(&[("wanted", answer.output().to_owned())])?;
    Ok(Outcome::Clean)
}

fn ask(args: &Args, policy: &Policy) -> Answer {
    let name = &args.schema;
    let number = name.number();
    match (name.kind(), number) {
        (Kind::Issue, Some(number)) => {
            of_answer(name, GitHub::from_env().and_then(|github| github.issue(number)), |issue| {
                let is_labelled =
                    issue.labels.iter().any(|label| is_label(&label.name, policy.build_label()));
                match issue.state {
                    State::Closed => Answer::No(format!("issue {number} is closed")),
                    State::Open if !is_labelled => Answer::No(format!(
                        "issue {number} carries the label {:?} no more",
                        policy.build_label()
                    )),
                    State::Open => Answer::Yes(format!("issue {number} is open")),
                }
            })
        }
        (Kind::PullRequest, Some(number)) => {
            of_answer(name, GitHub::from_env().and_then(|github| github.pull_request(number)), |request| {
                match request.state {
                    State::Closed => Answer::No(format!("pull request {number} is closed")),
                    State::Open => Answer::Yes(format!("pull request {number} is open")),
                }
            })
        }
        (Kind::Branch, _) => {
            let branch = args.branch.as_deref().filter(|branch| environment_of_branch(branch) == *name);
            let Some(branch) = branch else {
                return Answer::Unknown(format!(
                    "which branch {name} belongs to is not known; give it with --branch"
                ));
            };
            of_answer(name, GitHub::from_env().and_then(|github| github.has_branch(branch)), |exists| {
                if exists {
                    Answer::Yes("its branch exists".to_owned())
                } else {
                    Answer::No("its branch was deleted".to_owned())
                }
            })
        }
        _ => Answer::Yes(format!("{name} belongs to no issue, pull request or branch that could be closed")),
    }
}

/// Status 410 means deleted; any other error leaves the question open.
fn of_answer<T>(name: &Name, answer: Result<T, github::Error>, decide: impl FnOnce(T) -> Answer) -> Answer {
    match answer {
        Ok(found) => decide(found),
        Err(github::Error::NotFound(410)) => Answer::No(format!("what {name} belongs to was deleted")),
        Err(error) => Answer::Unknown(error.to_string()),
    }
}
