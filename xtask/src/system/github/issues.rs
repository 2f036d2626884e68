//! Issues and pull requests: their comments, whether they are open, and who may ask for things.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::{Error, GitHub, Result};

/// A comment as far as it is needed to find one's own again.
#[derive(Debug, Deserialize)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) html_url: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    author_association: String,
    #[serde(default)]
    user: Option<User>,
}

#[derive(Debug, Deserialize)]
struct User {
    #[serde(default, rename = "type")]
    kind: String,
}

impl Comment {
    pub(crate) fn body(&self) -> &str {
        self.body.as_deref().unwrap_or_default()
    }

    /// Whether this toolkit wrote it under `marker`. Any user may write a comment that looks like it, so the
    /// author counts too: a workflow's own account, or an owner, member or collaborator.
    fn is_ours(&self, marker: &str) -> bool {
        let by_us = self.user.as_ref().is_some_and(|user| user.kind == "Bot")
            || matches!(self.author_association.as_str(), "OWNER" | "MEMBER" | "COLLABORATOR");
        by_us && self.body.as_deref().is_some_and(|body| body.starts_with(marker))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Open,
    Closed,
}

/// What a person may do in the repository; custom roles count as the one they are built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Permission {
    None,
    Read,
    Write,
    Admin,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Issue {
    pub(crate) state: State,
    #[serde(default)]
    pub(crate) labels: Vec<Label>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Label {
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PullRequest {
    pub(crate) state: State,
}

#[derive(Serialize)]
struct Body<'a> {
    body: &'a str,
}

impl GitHub {
    /// The comment on issue or pull request `number` that begins with `marker` and is ours.
    pub(crate) fn own_comment(&self, number: u64, marker: &str) -> Result<Option<Comment>> {
        let mut url = self.url(&["issues", &number.to_string(), "comments"])?;
        url.set_query(Some("per_page=100"));
        self.find(url, |comment: &Comment| comment.is_ours(marker))
    }

    pub(crate) fn create_comment(&self, number: u64, body: &str) -> Result<Comment> {
        let url = self.url(&["issues", &number.to_string(), "comments"])?;
        self.send(Method::POST, url, &Body { body })
    }

    pub(crate) fn update_comment(&self, id: u64, body: &str) -> Result<Comment> {
        let url = self.url(&["issues", "comments", &id.to_string()])?;
        self.send(Method::PATCH, url, &Body { body })
    }

    /// Whether an issue (or a pull request, which is one) is open. For the clean-up of unused environments.
    pub(crate) fn issue_state(&self, number: u64) -> Result<State> {
        Ok(self.issue(number)?.state)
    }

    pub(crate) fn issue(&self, number: u64) -> Result<Issue> {
        self.get(self.url(&["issues", &number.to_string()])?)
    }

    pub(crate) fn has_branch(&self, name: &str) -> Result<bool> {
        match self.get::<serde_json::Value>(self.url(&["branches", name])?) {
            Ok(_) => Ok(true),
            Err(Error::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn pull_request(&self, number: u64) -> Result<PullRequest> {
        self.get(self.url(&["pulls", &number.to_string()])?)
    }

    /// What `user` may do in the repository; a user who is not a collaborator may do nothing.
    pub(crate) fn permission(&self, user: &str) -> Result<Permission> {
        #[derive(Deserialize)]
        struct Granted {
            permission: Permission,
        }
        match self.get::<Granted>(self.url(&["collaborators", user, "permission"])?) {
            Ok(granted) => Ok(granted.permission),
            Err(Error::NotFound(_)) => Ok(Permission::None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_ours_by_its_beginning_and_its_author() {
        let comment = |body: &str, kind: &str, association: &str| -> Comment {
            serde_json::from_value(serde_json::json!({
                "id": 1, "body": body, "user": {"type": kind}, "author_association": association, "new": {}
            }))
            .expect("a comment")
        };
        let marker = "<!-- m -->";
        assert!(comment("<!-- m -->\nx", "Bot", "NONE").is_ours(marker));
        assert!(comment("<!-- m -->\nx", "User", "OWNER").is_ours(marker));
        assert!(!comment("<!-- m -->\nx", "User", "NONE").is_ours(marker), "a marker can be copied");
        assert!(!comment("> <!-- m -->", "Bot", "NONE").is_ours(marker), "a quotation is not the comment");
        let bare: Comment = serde_json::from_str(r#"{"id": 1, "body": null, "user": null}"#).expect("one");
        assert!(!bare.is_ours(marker));
    }

    #[test]
    fn permissions_have_an_order() {
        let read = |text: &str| serde_json::from_str::<Permission>(text).expect("a permission");
        assert!(read("\"admin\"") > read("\"write\"") && read("\"write\"") > read("\"read\""));
        assert!(read("\"none\"") < Permission::Write);
    }
}
