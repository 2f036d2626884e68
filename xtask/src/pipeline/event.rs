//! Events of GitHub as a plan needs them: who did what to which issue, branch or pull request.
//!
//! A payload is outside text from end to end. It is read with serde into the few fields below, and what
//! is not as GitHub documents it is an error here, so that deciding never has to doubt a field. Nothing
//! in this module reaches a shell, SQL or a log by itself.

mod form;
mod payload;
pub(crate) mod permission;
mod tags;

use anyhow::{Context as _, Result, bail, ensure};

pub(crate) use self::form::Form;
pub(crate) use self::tags::Tags;

/// One event, whatever it asks for.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// GitHub's word for it: `issues`, `push`, `pull_request`.
    pub(crate) name: String,
    /// Who caused it. Not always who wrote the issue or the commits.
    pub(crate) sender: Option<Sender>,
    /// `owner/name`.
    pub(crate) repository: Option<String>,
    pub(crate) subject: Subject,
}

#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) login: String,
    /// An app or a workflow; its events say nothing of the person behind it.
    pub(crate) is_bot: bool,
    /// The repository belongs to this very account.
    pub(crate) is_owner: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Issue(Issue),
    Push(Push),
    PullRequest(PullRequest),
    MergeGroup(MergeGroup),
    Dispatch(Dispatch),
    Schedule,
    Delete(Delete),
    /// An event that the pipeline does not listen to.
    Other,
}

#[derive(Clone, Debug)]
pub(crate) struct Issue {
    pub(crate) action: String,
    pub(crate) number: u64,
    /// The label that was put on or taken off, in these two actions.
    pub(crate) label: Option<String>,
    /// All labels that the issue carries after the event; unknown in a payload without them.
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) title: String,
    pub(crate) form: Form,
    pub(crate) author: Option<String>,
    /// What the author, not the sender, is to the repository.
    pub(crate) association: String,
    pub(crate) url: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Push {
    /// As git writes it: `refs/heads/main`.
    pub(crate) reference: String,
    pub(crate) deleted: bool,
    pub(crate) commits: Vec<Commit>,
    pub(crate) head: Option<String>,
    pub(crate) url: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) message: String,
    /// False if the commit was pushed before, to whichever branch: a merge brings such commits along. To the
    /// branch of this push every commit of it is new.
    pub(crate) is_new: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct PullRequest {
    pub(crate) action: String,
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) branch: String,
    pub(crate) head: Option<String>,
    /// Its branch lives in another repository, or in one that was deleted.
    pub(crate) is_fork: bool,
    pub(crate) is_draft: bool,
    pub(crate) labels: Vec<String>,
    /// The label that was put on or taken off, in these two actions.
    pub(crate) label: Option<String>,
    pub(crate) url: Option<String>,
}

/// The branch that a merge queue made to test what it will merge.
#[derive(Clone, Debug)]
pub(crate) struct MergeGroup {
    pub(crate) action: String,
    pub(crate) head: Option<String>,
    pub(crate) reference: Option<String>,
    /// The branch it is to be merged into.
    pub(crate) base: Option<String>,
}

/// What a person filled in to start the workflow by hand. GitHub hands every input over as a string.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dispatch {
    pub(crate) reference: Option<String>,
    pub(crate) inputs: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Delete {
    pub(crate) reference: String,
    pub(crate) is_branch: bool,
}

impl Event {
    /// Reads a payload as GitHub sends it with the event `name`.
    pub(crate) fn parse(name: &str, payload: &[u8]) -> Result<Self> {
        // serde would take a list for an object without fields.
        ensure!(payload.trim_ascii_start().starts_with(b"{"), "it is not a payload of a GitHub event");
        let payload: payload::Payload =
            serde_json::from_slice(payload).context("it is not a payload of a GitHub event")?;
        let repository = payload.repository.as_ref();
        let owner = repository.and_then(|repository| repository.owner.as_ref()?.login.clone());
        let sender = payload.sender.as_ref().and_then(|sender| {
            let login = sender.login.clone()?;
            let is_bot = sender.kind.as_deref() == Some("Bot") || login.ends_with("[bot]");
            Some(Sender { is_bot, is_owner: owner.as_ref() == Some(&login), login })
        });
        Ok(Self {
            name: name.to_owned(),
            repository: repository.and_then(|repository| repository.full_name.clone()),
            sender,
            subject: Subject::of(name, payload)?,
        })
    }

    pub(crate) fn actor(&self) -> Option<&str> {
        self.sender.as_ref().map(|sender| sender.login.as_str())
    }
}

impl Subject {
    fn of(name: &str, payload: payload::Payload) -> Result<Self> {
        Ok(match name {
            "issues" => Self::Issue(issue(payload)?),
            "push" => Self::Push(push(payload)?),
            "pull_request" => Self::PullRequest(pull_request(payload)?),
            "merge_group" => Self::MergeGroup(merge_group(payload)?),
            "workflow_dispatch" => Self::Dispatch(dispatch(payload)),
            "schedule" => Self::Schedule,
            "delete" => Self::Delete(delete(payload)?),
            _ => Self::Other,
        })
    }
}

fn issue(payload: payload::Payload) -> Result<Issue> {
    let issue = payload.issue.context("it has no `issue`, which every `issues` event has")?;
    Ok(Issue {
        action: payload.action.context("it has no `action`, which every `issues` event has")?,
        number: numbered(issue.number)?,
        label: payload.label.and_then(|label| label.name),
        labels: issue.labels.map(names),
        title: issue.title.unwrap_or_default(),
        form: Form::parse(issue.body.as_deref().unwrap_or_default()),
        author: issue.user.and_then(|user| user.login),
        association: issue.author_association.unwrap_or_default(),
        url: issue.html_url,
    })
}

fn push(payload: payload::Payload) -> Result<Push> {
    let commits = match (payload.commits, payload.head_commit) {
        (Some(commits), _) => commits,
        (None, head) => vec![head],
    };
    let commits = commits.into_iter().flatten().map(|commit| Commit {
        is_new: commit.distinct.unwrap_or(true),
        message: commit.message.unwrap_or_default(),
    });
    Ok(Push {
        reference: payload.reference.context("it has no `ref`, which every `push` event has")?,
        deleted: payload.deleted.unwrap_or_default(),
        commits: commits.collect(),
        head: payload.after,
        url: payload.compare,
    })
}

fn pull_request(payload: payload::Payload) -> Result<PullRequest> {
    let request =
        payload.pull_request.context("it has no `pull_request`, which every `pull_request` event has")?;
    let head = request.head.context("its pull request has no `head`")?;
    let head_repository = head.repo.and_then(|repository| repository.full_name);
    let base_repository = request
        .base
        .and_then(|base| base.repo)
        .and_then(|repository| repository.full_name)
        .or_else(|| payload.repository.and_then(|repository| repository.full_name));
    Ok(PullRequest {
        action: payload.action.context("it has no `action`, which every `pull_request` event has")?,
        number: numbered(request.number.or(payload.number))?,
        title: request.title.unwrap_or_default(),
        branch: head.reference.unwrap_or_default(),
        head: head.sha,
        // Unknown counts as foreign: secrets go to what is known to be ours.
        is_fork: head_repository.is_none() || head_repository != base_repository,
        is_draft: request.draft.unwrap_or_default(),
        labels: request.labels.map(names).unwrap_or_default(),
        label: payload.label.and_then(|label| label.name),
        url: request.html_url,
    })
}

fn names(labels: Vec<payload::Label>) -> Vec<String> {
    labels.into_iter().filter_map(|label| label.name).collect()
}

fn merge_group(payload: payload::Payload) -> Result<MergeGroup> {
    let group =
        payload.merge_group.context("it has no `merge_group`, which every `merge_group` event has")?;
    Ok(MergeGroup {
        action: payload.action.context("it has no `action`, which every `merge_group` event has")?,
        head: group.head_sha,
        reference: group.head_ref,
        base: group.base_ref,
    })
}

/// GitHub compares labels in any case: a repository has `Feature` or `feature`, never both.
pub(crate) fn is_label(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

fn dispatch(payload: payload::Payload) -> Dispatch {
    let inputs = payload.inputs.unwrap_or_default().into_iter().filter_map(|(name, value)| {
        let value = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Bool(flag) => flag.to_string(),
            serde_json::Value::Number(number) => number.to_string(),
            _ => return None,
        };
        Some((name, value.trim().to_owned()))
    });
    Dispatch { inputs: inputs.collect(), reference: payload.reference }
}

impl Dispatch {
    /// What was filled in; an empty field counts as left out.
    pub(crate) fn input(&self, name: &str) -> Option<&str> {
        let named = self.inputs.iter().find(|(other, _)| other == name);
        named.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

fn delete(payload: payload::Payload) -> Result<Delete> {
    Ok(Delete {
        reference: payload.reference.context("it has no `ref`, which every `delete` event has")?,
        is_branch: payload.ref_type.as_deref() == Some("branch"),
    })
}

fn numbered(number: Option<u64>) -> Result<u64> {
    match number {
        Some(number) if number > 0 => Ok(number),
        Some(_) => bail!("its `number` is 0, and GitHub counts from 1"),
        None => bail!("it has no `number`"),
    }
}

/// A short text from outside in quotation marks, for a sentence: one line, and never long.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text.chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push_of(json: &str) -> Push {
        match Event::parse("push", json.as_bytes()).expect("a push").subject {
            Subject::Push(push) => push,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn commits_may_be_missing_null_or_empty() {
        for json in [
            r#"{"ref": "refs/heads/x"}"#,
            r#"{"ref": "refs/heads/x", "commits": null, "head_commit": null}"#,
            r#"{"ref": "refs/heads/x", "commits": [], "head_commit": {"message": "old #run_all"}}"#,
            r#"{"ref": "refs/heads/x", "commits": [null], "head_commit": null}"#,
        ] {
            assert!(push_of(json).commits.is_empty(), "{json}");
        }
        let only_head = push_of(r#"{"ref": "refs/heads/x", "head_commit": {"message": "new"}}"#);
        assert_eq!(only_head.commits[0].message, "new");
        let no_message = push_of(r#"{"ref": "refs/heads/x", "commits": [{"message": null}, {}]}"#);
        assert_eq!(no_message.commits.len(), 2);
    }

    #[test]
    fn what_github_would_not_send_is_an_error() {
        for (name, json) in [
            ("push", "{}"),
            ("push", r#"{"ref": 7}"#),
            ("push", r#"{"ref": "refs/heads/x", "commits": "all"}"#),
            ("issues", r#"{"action": "labeled"}"#),
            ("issues", r#"{"action": "labeled", "issue": {"number": 0}}"#),
            ("issues", r#"{"action": "labeled", "issue": {"number": -1}}"#),
            ("issues", r#"{"issue": {"number": 1}}"#),
            ("pull_request", r#"{"action": "opened", "number": 1}"#),
            ("delete", "{}"),
            ("schedule", "[]"),
            ("push", "not json"),
            ("push", ""),
        ] {
            assert!(Event::parse(name, json.as_bytes()).is_err(), "{name} {json}");
        }
    }

    #[test]
    fn a_pull_request_of_unknown_origin_is_foreign() {
        let of = |head: &str| {
            let json = format!(
                r#"{{"action": "opened", "repository": {{"full_name": "o/r"}},
                     "pull_request": {{"number": 1, "head": {head}}}}}"#
            );
            match Event::parse("pull_request", json.as_bytes()).expect("a pull request").subject {
                Subject::PullRequest(request) => request.is_fork,
                other => panic!("{other:?}"),
            }
        };
        assert!(!of(r#"{"ref": "x", "repo": {"full_name": "o/r"}}"#));
        assert!(of(r#"{"ref": "x", "repo": {"full_name": "fork/r"}}"#));
        assert!(of(r#"{"ref": "x", "repo": null}"#), "the fork was deleted");
        assert!(of("{}"));
    }
}
