//! The subject of the OIDC token that jobs log in to Snowflake with: what this repository really gets.
//!
//! Repositories that were created, renamed or transferred since mid-2026 have subjects with the numbers of owner and
//! repository in them, and an organisation may have defined a custom template. A Snowflake user with another
//! subject refuses the login.

use serde::Deserialize;

use super::repository::Repository;
use super::review::Review;
use crate::system::github::{Error, GitHub};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Template {
    use_default: Option<bool>,
    include_claim_keys: Vec<String>,
    use_immutable_subject: Option<bool>,
    /// The beginning of the default subject, as GitHub writes it.
    sub_claim_prefix: Option<String>,
}

pub(super) fn look<'a>(
    github: &GitHub,
    repository: &Repository,
    environments: impl Iterator<Item = &'a str>,
    is_used: bool,
) -> Result<Review, Error> {
    let template = match github.read(&["actions", "oidc", "customization", "sub"]) {
        Err(Error::NotFound(_)) => Template::default(),
        other => other?,
    };
    Ok(review(&template, repository, environments, is_used))
}

fn review<'a>(
    template: &Template,
    repository: &Repository,
    environments: impl Iterator<Item = &'a str>,
    is_used: bool,
) -> Review {
    let name = "oidc subject";
    if template.use_default == Some(false) && !template.include_claim_keys.is_empty() {
        let keys = template.include_claim_keys.join(", ");
        let review = Review::new(name, format!("made of the claims {keys}"));
        let tells_apart =
            template.include_claim_keys.iter().any(|key| matches!(key.as_str(), "context" | "environment"));
        if tells_apart {
            return review;
        }
        return review.fail(
            "all environments have the same subject: a job of any branch logs in as the user of prod",
            "add the claim `context` to the template of the subject (actions/oidc/customization/sub)",
        );
    }
    let subject = |environment: &str| format!("{}:environment:{environment}", prefix(template, repository));
    let subjects: Vec<String> =
        environments.map(|environment| format!("{environment}: {}", subject(environment))).collect();
    let review = Review::new(name, subjects.join("\n"));
    let is_known = template.use_immutable_subject.is_some() || template.sub_claim_prefix.is_some();
    if is_known || !is_used {
        return review;
    }
    review.warn(
        format!(
            "GitHub does not say whether subjects have numbers; then they begin with {}",
            immutable(repository)
        ),
        "`cargo xtask doctor --target snowflake` in a job of the environment shows the token's own subject",
    )
}

fn prefix(template: &Template, repository: &Repository) -> String {
    match &template.sub_claim_prefix {
        Some(prefix) => prefix.trim_end_matches(':').to_owned(),
        None if template.use_immutable_subject == Some(true) => immutable(repository),
        None => format!("repo:{}", repository.full_name()),
    }
}

fn immutable(repository: &Repository) -> String {
    let Repository { id, name, owner, .. } = repository;
    format!("repo:{}@{}/{name}@{id}", owner.login, owner.id)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(template: Value, is_used: bool) -> Review {
        let repository = serde_json::from_value(
            json!({"id": 34, "name": "lab", "default_branch": "main", "owner": {"login": "octo", "id": 12}}),
        )
        .expect("a repository");
        let template = serde_json::from_value(template).expect("a template");
        review(&template, &repository, ["prod"].into_iter(), is_used)
    }

    #[test]
    fn the_subject_is_the_one_that_github_writes() {
        let found = |template: Value| of(template, true).found;
        let plain = json!({"use_default": true, "use_immutable_subject": false});
        assert_eq!(found(plain), "prod: repo:octo/lab:environment:prod");
        let immutable = json!({"use_default": true, "use_immutable_subject": true});
        assert_eq!(found(immutable), "prod: repo:octo@12/lab@34:environment:prod");
        let prefix = json!({"use_default": true, "sub_claim_prefix": "repo:Octo@12/lab@34"});
        assert_eq!(found(prefix), "prod: repo:Octo@12/lab@34:environment:prod");
    }

    #[test]
    fn unknown_is_said_and_a_template_without_the_environment_refused() {
        assert_eq!(of(json!({}), false).remarks.len(), 0);
        assert!(of(json!({}), true).remarks[0].what.contains("repo:octo@12/lab@34"));
        let own =
            |keys: &[&str]| of(json!({"use_default": false, "include_claim_keys": keys}), true).remarks.len();
        assert_eq!((own(&["repo", "context"]), own(&["repo"]), own(&[])), (0, 1, 1));
    }
}
