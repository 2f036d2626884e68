//! A plan as data: what `--format json` prints and what a workflow gets. The field names are a contract.

use schemars::JsonSchema;
use serde::Serialize;

use crate::core::environment::Name;
use crate::core::stage::Stages;
use crate::pipeline::event::{Event, Subject};
use crate::system::contract::Contract;
use crate::target::Target;

/// What an event asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Plan {
    pub(crate) action: Action,
    /// The environment to build or to clean up; `None` if there is nothing to do, or if a clean-up covers all
    /// unused environments.
    pub(crate) environment: Option<Name>,
    /// Its schema: an environment is exactly one.
    pub(crate) schema: Option<Name>,
    /// The environment that a new one starts from.
    pub(crate) base: Option<Name>,
    pub(crate) stages: Stages,
    /// In words, for people.
    pub(crate) reasons: Vec<String>,
    pub(crate) target: Target,
    /// Whether the run gets secrets and a token that may write: not for a fork, nor for Dependabot.
    pub(crate) trusted: bool,
    /// The GitHub environment whose secrets, reviewers and OIDC subject apply.
    pub(crate) deployment: String,
    /// The environment that observability looks at.
    pub(crate) observed: Option<Name>,
    /// Whether a new environment whose build failed goes at once instead of after its time to live.
    pub(crate) drop_on_failure: bool,
    /// Whether the report is for the public page.
    pub(crate) publish: bool,
    pub(crate) event: About,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Build,
    Cleanup,
    None,
}

pub(crate) fn contract() -> Contract {
    Contract::output::<Plan>("plan", "cargo xtask plan --format json")
}

impl Action {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Cleanup => "cleanup",
            Self::None => "none",
        }
    }
}

/// What happened, for people and for messages. All of it is outside text, made short and of one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) action: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) repository: Option<String>,
    /// Of the issue or pull request.
    pub(crate) number: Option<u64>,
    pub(crate) title: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) branch: Option<String>,
    pub(crate) commit: Option<String>,
    /// What the form asks to be made, as the requester calls it. Recorded, never used as SQL.
    pub(crate) object_name: Option<String>,
    pub(crate) url: Option<String>,
}

impl About {
    pub(super) fn of(event: &Event) -> Self {
        let about = Self {
            name: one_line(&event.name),
            actor: event.actor().map(one_line),
            repository: event.repository.as_deref().map(one_line),
            ..Self::default()
        };
        match &event.subject {
            Subject::Issue(issue) => Self {
                action: Some(one_line(&issue.action)),
                number: Some(issue.number),
                title: Some(one_line(&issue.title)),
                label: issue.label.as_deref().map(one_line),
                object_name: issue.form.value("Object name").map(one_line),
                url: issue.url.as_deref().and_then(link),
                ..about
            },
            Subject::Push(push) => Self {
                branch: Some(one_line(short_ref(&push.reference))),
                commit: push.head.as_deref().and_then(commit),
                url: push.url.as_deref().and_then(link),
                ..about
            },
            Subject::PullRequest(request) => Self {
                action: Some(one_line(&request.action)),
                number: Some(request.number),
                title: Some(one_line(&request.title)),
                branch: Some(one_line(&request.branch)),
                commit: request.head.as_deref().and_then(commit),
                url: request.url.as_deref().and_then(link),
                ..about
            },
            Subject::MergeGroup(group) => Self {
                action: Some(one_line(&group.action)),
                branch: group.reference.as_deref().map(short_ref).map(one_line),
                commit: group.head.as_deref().and_then(commit),
                ..about
            },
            Subject::Dispatch(dispatch) => {
                Self { branch: dispatch.reference.as_deref().map(short_ref).map(one_line), ..about }
            }
            Subject::Delete(delete) => Self { branch: Some(one_line(short_ref(&delete.reference))), ..about },
            Subject::Schedule | Subject::Other => about,
        }
    }

    /// The event in a few words: `issues labeled "feature" #42 by ann`.
    pub(super) fn describe(&self) -> String {
        let mut words = vec![self.name.clone()];
        words.extend(self.action.clone());
        words.extend(self.label.as_ref().map(|label| format!("{label:?}")));
        words.extend(self.number.map(|number| format!("#{number}")));
        words.extend(self.branch.as_ref().map(|branch| format!("{branch:?}")));
        words.extend(self.actor.as_ref().map(|actor| format!("by {actor}")));
        words.join(" ")
    }
}

/// `refs/heads/x` as people say it.
pub(super) fn short_ref(reference: &str) -> &str {
    ["refs/heads/", "refs/tags/"]
        .iter()
        .find_map(|prefix| reference.strip_prefix(prefix))
        .unwrap_or(reference)
}

/// Text from outside on one line, of at most 200 characters.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 200;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.trim().chars().take(LONGEST).map(clean).collect();
    if text.trim().chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

fn link(url: &str) -> Option<String> {
    let plain = url.len() <= 500 && url.bytes().all(|b| b.is_ascii_graphic() && !b"\"'<>`\\|".contains(&b));
    (plain && (url.starts_with("https://") || url.starts_with("http://"))).then(|| url.to_owned())
}

fn commit(id: &str) -> Option<String> {
    let is_id = matches!(id.len(), 40 | 64) && id.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}
