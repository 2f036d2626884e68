//! What the repository lets workflows do: which actions they may use, and what their token may do by default.

use globset::{Glob, GlobSetBuilder};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::review::{Body, Review};
use crate::system::github::{Error, GitHub};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Found {
    enabled: bool,
    /// `all`, `local_only` or `selected`.
    allowed_actions: Option<String>,
    #[serde(skip)]
    selected: Selected,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Selected {
    github_owned_allowed: bool,
    verified_allowed: bool,
    patterns_allowed: Vec<String>,
}

/// `used`: the actions of the workflows, such as `actions/checkout@COMMIT`.
pub(super) fn look(github: &GitHub, used: &[String]) -> Result<Review, Error> {
    let mut found: Found = github.read(&["actions", "permissions"])?;
    if found.enabled && found.allowed_actions.as_deref() == Some("selected") {
        found.selected = github.read(&["actions", "permissions", "selected-actions"])?;
    }
    Ok(review(&found, used))
}

fn review(found: &Found, used: &[String]) -> Review {
    let allowed = found.allowed_actions.as_deref().unwrap_or("all");
    let words = if found.enabled { format!("{allowed} actions are allowed") } else { "off".to_owned() };
    let mut review = Review::new("actions", words.replace("local_only", "only local"));
    let permissions = ["actions", "permissions"];
    let selects = allowed != "all";
    if !found.enabled || allowed == "local_only" {
        let allowed = if selects { "selected" } else { "all" };
        review.step(
            if found.enabled { "allow selected actions" } else { "switch on GitHub Actions" },
            Method::PUT,
            &permissions,
            Body::Json(json!({"enabled": true, "allowed_actions": allowed})),
        );
    }
    let missing = missing(&found.selected, used);
    if selects && !missing.is_empty() {
        let mut patterns = found.selected.patterns_allowed.clone();
        patterns.extend(missing.iter().cloned());
        review.step(
            format!("allow the actions {}", missing.join(", ")),
            Method::PUT,
            &["actions", "permissions", "selected-actions"],
            Body::Json(json!({
                "github_owned_allowed": found.selected.github_owned_allowed,
                "verified_allowed": found.selected.verified_allowed,
                "patterns_allowed": patterns,
            })),
        );
    }
    review
}

/// Patterns for the actions that the settings do not allow. Which creators are verified is not known here, so an action
/// of another owner than GitHub needs a pattern.
fn missing(selected: &Selected, used: &[String]) -> Vec<String> {
    let mut patterns = GlobSetBuilder::new();
    for pattern in selected.patterns_allowed.iter().filter_map(|pattern| Glob::new(pattern).ok()) {
        patterns.add(pattern);
    }
    let patterns = patterns.build().unwrap_or_default();
    let of_github = |action: &str| action.starts_with("actions/") || action.starts_with("github/");
    let is_allowed = |action: &str| {
        let path = action.split('@').next().unwrap_or_default();
        selected.github_owned_allowed && of_github(action)
            || patterns.is_match(action)
            || patterns.is_match(path)
            || patterns.is_match(format!("{path}@"))
    };
    let mut missing: Vec<String> = used
        .iter()
        .filter(|action| !is_allowed(action))
        .map(|action| format!("{}@*", action.split('@').next().unwrap_or_default()))
        .collect();
    missing.sort();
    missing.dedup();
    missing
}

#[derive(Debug, Deserialize)]
struct Token {
    default_workflow_permissions: String,
}

pub(super) fn look_at_token(github: &GitHub) -> Result<Review, Error> {
    Ok(review_of_token(&github.read(&["actions", "permissions", "workflow"])?))
}

fn review_of_token(found: &Token) -> Review {
    let default = &found.default_workflow_permissions;
    let mut review = Review::new(
        "workflow permissions",
        format!("a workflow's token may {default} unless the workflow says otherwise"),
    );
    if default != "read" {
        review.step(
            "let the tokens of workflows only read by default",
            Method::PUT,
            &["actions", "permissions", "workflow"],
            Body::Json(json!({"default_workflow_permissions": "read"})),
        );
    }
    review
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used() -> Vec<String> {
        ["actions/checkout@abc", "github/codeql-action/upload-sarif@abc", "Swatinem/rust-cache@abc"]
            .map(str::to_owned)
            .into()
    }

    fn found(allowed: &str, github_owned_allowed: bool, patterns: &[&str]) -> Found {
        Found {
            enabled: true,
            allowed_actions: Some(allowed.to_owned()),
            selected: Selected {
                github_owned_allowed,
                verified_allowed: true,
                patterns_allowed: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
            },
        }
    }

    #[test]
    fn actions_that_the_workflows_use_are_allowed() {
        let titles = |found: &Found| -> Vec<String> {
            review(found, &used()).steps.into_iter().map(|step| step.title).collect()
        };
        assert!(titles(&found("all", false, &[])).is_empty());
        assert_eq!(titles(&found("selected", true, &[])), ["allow the actions Swatinem/rust-cache@*"]);
        for pattern in ["Swatinem/*", "Swatinem/rust-cache@*", "Swatinem/rust-cache@abc"] {
            assert!(titles(&found("selected", true, &[pattern])).is_empty(), "{pattern}");
        }
        assert_eq!(titles(&found("local_only", false, &[])).len(), 2);
        assert_eq!(titles(&Found::default()), ["switch on GitHub Actions"]);
    }

    #[test]
    fn a_token_that_may_write_by_default_is_limited() {
        let steps = |default: &str| {
            review_of_token(&Token { default_workflow_permissions: default.to_owned() }).steps.len()
        };
        assert_eq!((steps("read"), steps("write")), (0, 1));
    }
}
