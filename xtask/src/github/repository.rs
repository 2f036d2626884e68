//! The repository itself: who may set it up, whether its kind fits what is asked of it, and Pages.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::review::{Body, Review};
use crate::system::github::{Error, GitHub};

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Repository {
    pub(super) id: u64,
    pub(super) name: String,
    #[serde(default)]
    pub(super) private: bool,
    pub(super) default_branch: String,
    pub(super) owner: Owner,
    /// What the person of the token may do; a workflow's token has none.
    #[serde(default)]
    permissions: Option<Permissions>,
    #[serde(default)]
    security_and_analysis: Value,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Owner {
    pub(super) login: String,
    pub(super) id: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Permissions {
    admin: bool,
}

impl Repository {
    pub(super) fn read(github: &GitHub) -> Result<Self, Error> {
        github.read(&[])
    }

    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.owner.login, self.name)
    }

    /// Whether the token's person may change settings; `None` if GitHub does not say.
    pub(super) fn may_administrate(&self) -> Option<bool> {
        self.permissions.as_ref().map(|permissions| permissions.admin)
    }

    fn kind(&self) -> &'static str {
        if self.private { "private" } else { "public" }
    }

    /// The branch that issues, the schedule and the ruleset run on must be one of the pipeline's.
    pub(super) fn review<'a>(&self, mut settled: impl Iterator<Item = &'a str>) -> Review {
        let branch = &self.default_branch;
        let review = Review::new(
            "repository",
            format!("{}, {}, default branch {branch}", self.full_name(), self.kind()),
        );
        let review = if settled.any(|known| known == branch) {
            review
        } else {
            review.fail(
                format!("the default branch {branch} has no environment in policies/pipeline.toml"),
                format!("add it to [branches] of policies/pipeline.toml, or rename it: gh api -X POST repos/{}/branches/{branch}/rename -f new_name=main", self.full_name()),
            )
        };
        match self.may_administrate() {
            Some(false) => review.fail(
                "the token's account is not an administrator of the repository",
                "log in as one (gh auth login), or have one run it",
            ),
            _ => review,
        }
    }

    /// Code scanning takes findings of public repositories, and of private ones that pay for it.
    pub(super) fn code_scanning(&self, is_wanted: bool) -> Review {
        let name = "code scanning";
        if !is_wanted {
            return Review::new(name, "not asked for: CODE_SCANNING is not true");
        }
        let is = |key: &str| self.security_and_analysis[key]["status"] == "enabled";
        let review = Review::new(name, format!("findings are uploaded; the repository is {}", self.kind()));
        if !self.private || is("advanced_security") || is("code_security") {
            return review;
        }
        review.fail(
            "CODE_SCANNING is true, and a private repository without GitHub Code Security refuses the upload",
            "enable Code Security for the repository, or cargo xtask github setup --variable CODE_SCANNING=false",
        )
    }
}

#[derive(Debug, Deserialize)]
struct Pages {
    #[serde(default)]
    build_type: Option<String>,
    #[serde(default)]
    html_url: Option<String>,
    #[serde(default)]
    public: bool,
}

pub(super) fn look_at_pages(
    github: &GitHub,
    repository: &Repository,
    is_wanted: bool,
) -> Result<Review, Error> {
    let found = match github.read(&["pages"]) {
        Err(Error::NotFound(_)) => None,
        other => Some(other?),
    };
    Ok(pages(found.as_ref(), repository.private, is_wanted))
}

/// What is published is public, so Pages is switched on only if a variable asks for it.
fn pages(found: Option<&Pages>, is_private: bool, is_wanted: bool) -> Review {
    let name = "pages";
    if !is_wanted {
        return Review::new(name, "not asked for: PUBLISH_PAGES is not true");
    }
    let at = found.and_then(|found| found.html_url.clone()).unwrap_or_else(|| "not switched on".to_owned());
    let mut review = Review::new(name, at);
    let body = Body::Json(json!({"build_type": "workflow"}));
    match found.map(|found| found.build_type.as_deref()) {
        None => review.step("switch on Pages, published by a workflow", Method::POST, &["pages"], body),
        Some(Some("workflow")) => {}
        Some(_) => review.step("let a workflow publish Pages", Method::PUT, &["pages"], body),
    }
    if is_private && found.is_some_and(|found| found.public) {
        return review.warn(
            "the repository is private and its Pages are public: everybody can read the report",
            "limit who may see them in the settings of Pages, or set PUBLISH_PAGES to false",
        );
    }
    review
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(value: &Value) -> Repository {
        let mut all =
            json!({"id": 2, "name": "lab", "default_branch": "main", "owner": {"login": "octo", "id": 1}});
        all.as_object_mut().expect("an object").extend(value.as_object().expect("an object").clone());
        serde_json::from_value(all).expect("a repository")
    }

    #[test]
    fn code_scanning_of_a_private_repository_must_be_paid_for() {
        let fails = |value: Value| repository(&value).code_scanning(true).remarks.len();
        assert_eq!(fails(json!({"private": true})), 1);
        assert_eq!(fails(json!({"private": false})), 0);
        for key in ["advanced_security", "code_security"] {
            assert_eq!(
                fails(json!({"private": true, "security_and_analysis": {key: {"status": "enabled"}}})),
                0
            );
        }
        assert_eq!(repository(&json!({"private": true})).code_scanning(false).remarks.len(), 0);
    }

    #[test]
    fn pages_are_switched_on_only_if_asked_for() {
        let workflow = Pages { build_type: Some("workflow".into()), html_url: None, public: true };
        let branch = Pages { build_type: Some("legacy".into()), html_url: None, public: true };
        let methods = |found: Option<&Pages>, is_wanted| -> Vec<Method> {
            pages(found, false, is_wanted).steps.into_iter().map(|step| step.method).collect()
        };
        assert!(methods(None, false).is_empty() && methods(Some(&workflow), true).is_empty());
        assert_eq!(
            (methods(None, true), methods(Some(&branch), true)),
            (vec![Method::POST], vec![Method::PUT])
        );
        assert_eq!(pages(Some(&workflow), true, true).remarks.len(), 1);
    }

    #[test]
    fn the_default_branch_must_have_an_environment() {
        let review = |branches: &[&str], value: Value| {
            repository(&value).review(branches.iter().copied()).remarks.len()
        };
        assert_eq!(review(&["main"], json!({})), 0);
        assert_eq!(review(&["trunk"], json!({})), 1);
        assert_eq!(review(&["main"], json!({"permissions": {"admin": false}})), 1);
    }
}
