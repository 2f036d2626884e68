//! A run's result on a commit: a check with annotations, or a plain status if that is all the token may
//! set.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::{GitHub, Result};

/// GitHub takes so many annotations a request; more come in further ones.
const ANNOTATIONS_A_REQUEST: usize = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Conclusion {
    Success,
    Failure,
    Cancelled,
    Neutral,
}

/// A finished check of a commit.
#[derive(Debug)]
pub(crate) struct Check<'a> {
    pub(crate) name: &'a str,
    pub(crate) head_sha: &'a str,
    pub(crate) conclusion: Conclusion,
    pub(crate) details_url: Option<&'a str>,
    /// Which run set it.
    pub(crate) external_id: Option<&'a str>,
    pub(crate) title: &'a str,
    /// Markdown, at most 65,535 characters.
    pub(crate) summary: &'a str,
    pub(crate) annotations: Vec<Annotation>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Annotation {
    /// Relative to the repository's root.
    pub(crate) path: String,
    pub(crate) start_line: usize,
    pub(crate) end_line: usize,
    pub(crate) annotation_level: Level,
    pub(crate) title: String,
    pub(crate) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Failure,
    Warning,
}

/// The status of a commit, which has no room for details.
#[derive(Debug, Serialize)]
pub(crate) struct Status<'a> {
    pub(crate) state: CommitState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target_url: Option<&'a str>,
    /// At most 140 characters.
    pub(crate) description: &'a str,
    pub(crate) context: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CommitState {
    Success,
    Failure,
    Error,
}

#[derive(Serialize)]
struct NewCheck<'a> {
    name: &'a str,
    head_sha: &'a str,
    status: &'static str,
    conclusion: Conclusion,
    #[serde(skip_serializing_if = "Option::is_none")]
    details_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
    output: Output<'a>,
}

#[derive(Serialize)]
struct MoreOfCheck<'a> {
    output: Output<'a>,
}

#[derive(Serialize)]
struct Output<'a> {
    title: &'a str,
    summary: &'a str,
    annotations: &'a [Annotation],
}

#[derive(Deserialize)]
struct Created {
    #[serde(default)]
    id: u64,
}

impl GitHub {
    /// Create a check. Annotations that do not fit into the first request are added to it.
    pub(crate) fn create_check(&self, check: &Check<'_>) -> Result<()> {
        let output = |annotations| Output { title: check.title, summary: check.summary, annotations };
        let first = check.annotations.len().min(ANNOTATIONS_A_REQUEST);
        let (first, rest) = check.annotations.split_at(first);
        let new = NewCheck {
            name: check.name,
            head_sha: check.head_sha,
            status: "completed",
            conclusion: check.conclusion,
            details_url: check.details_url,
            external_id: check.external_id,
            output: output(first),
        };
        let created: Created = self.send(Method::POST, self.url(&["check-runs"])?, &new)?;
        for more in rest.chunks(ANNOTATIONS_A_REQUEST) {
            let url = self.url(&["check-runs", &created.id.to_string()])?;
            let _: Created = self.send(Method::PATCH, url, &MoreOfCheck { output: output(more) })?;
        }
        Ok(())
    }

    /// What the newest check of that name on a commit says of the run that set it.
    pub(crate) fn newest_check(&self, sha: &str, name: &str) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Listed {
            check_runs: Vec<Known>,
        }
        #[derive(Deserialize)]
        struct Known {
            external_id: Option<String>,
        }
        let mut url = self.url(&["commits", sha, "check-runs"])?;
        url.query_pairs_mut().append_pair("check_name", name).append_pair("filter", "latest");
        let listed: Listed = self.get(url)?;
        Ok(listed.check_runs.into_iter().find_map(|known| known.external_id))
    }

    pub(crate) fn create_status(&self, sha: &str, status: &Status<'_>) -> Result<()> {
        let _: Created = self.send(Method::POST, self.url(&["statuses", sha])?, status)?;
        Ok(())
    }
}
