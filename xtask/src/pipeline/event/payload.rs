//! The fields of GitHub's webhook payloads that are read, as they are documented.
//!
//! Every field may be missing or null: which ones an event cannot do without is decided by its reader, so
//! that the message can name the field. Unknown fields are ignored; GitHub adds them all the time.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Payload {
    pub(super) action: Option<String>,
    pub(super) number: Option<u64>,
    pub(super) issue: Option<Issue>,
    pub(super) label: Option<Label>,
    pub(super) pull_request: Option<PullRequest>,
    pub(super) merge_group: Option<MergeGroup>,
    #[serde(rename = "ref")]
    pub(super) reference: Option<String>,
    pub(super) ref_type: Option<String>,
    pub(super) deleted: Option<bool>,
    pub(super) after: Option<String>,
    pub(super) compare: Option<String>,
    pub(super) commits: Option<Vec<Option<Commit>>>,
    pub(super) head_commit: Option<Commit>,
    pub(super) inputs: Option<BTreeMap<String, serde_json::Value>>,
    pub(super) repository: Option<Repository>,
    pub(super) sender: Option<User>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Issue {
    pub(super) number: Option<u64>,
    pub(super) title: Option<String>,
    pub(super) body: Option<String>,
    pub(super) user: Option<User>,
    pub(super) labels: Option<Vec<Label>>,
    pub(super) state: Option<String>,
    pub(super) author_association: Option<String>,
    pub(super) html_url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Label {
    pub(super) name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PullRequest {
    pub(super) number: Option<u64>,
    pub(super) title: Option<String>,
    pub(super) head: Option<Side>,
    pub(super) base: Option<Side>,
    pub(super) draft: Option<bool>,
    pub(super) labels: Option<Vec<Label>>,
    pub(super) html_url: Option<String>,
}

/// What a merge queue tests before it merges.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MergeGroup {
    pub(super) head_sha: Option<String>,
    pub(super) head_ref: Option<String>,
    pub(super) base_ref: Option<String>,
}

/// The head or the base of a pull request. The repository of a head is null once its fork was deleted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Side {
    #[serde(rename = "ref")]
    pub(super) reference: Option<String>,
    pub(super) sha: Option<String>,
    pub(super) repo: Option<Repository>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Commit {
    pub(super) message: Option<String>,
    pub(super) distinct: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Repository {
    pub(super) full_name: Option<String>,
    pub(super) owner: Option<User>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct User {
    pub(super) login: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}
