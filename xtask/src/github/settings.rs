//! Variables and secrets by name: which there are, in which scope, and which are missing.
//!
//! A job reads those of its environment first, then those of the repository, then those of the organisation. The job
//! that plans runs in no environment, so `SNOWFLAKE_ACCOUNT`, which switches the target, must be a variable of the
//! repository or the organisation.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::review::{Body, Hidden, Review};
use crate::system::github::{Error, GitHub};

/// Where a value goes: an environment, or the repository.
pub(super) type Scope = Option<String>;

/// Values that a caller gives.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) variables: BTreeMap<(Scope, String), String>,
    pub(super) secrets: BTreeMap<(Scope, String), Hidden>,
}

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Found {
    variables: BTreeMap<(Scope, String), String>,
    secrets: BTreeSet<(Scope, String)>,
    /// Of the organisation, as far as it shares them with the repository.
    shared_variables: BTreeMap<String, String>,
    shared_secrets: BTreeSet<String>,
}

/// What logs in with the toolkit, besides the account.
const NEEDED: [&str; 4] = ["SNOWFLAKE_USER", "SNOWFLAKE_ROLE", "SNOWFLAKE_WAREHOUSE", "SNOWFLAKE_DATABASE"];

pub(super) const ACCOUNT: &str = "SNOWFLAKE_ACCOUNT";
pub(super) const AUTHENTICATOR: &str = "SNOWFLAKE_AUTHENTICATOR";
pub(super) const WEBHOOK: &str = "SLACK_WEBHOOK_URL";

/// Each of them is a way to log in by itself.
const CREDENTIALS: [&str; 3] = ["SNOWFLAKE_PRIVATE_KEY", "SNOWFLAKE_TOKEN", "SNOWFLAKE_PASSWORD"];

#[derive(Deserialize)]
struct Variable {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Secret {
    name: String,
}

/// Reads all scopes. An organisation's are not shown to everybody, and a person's account has none.
pub(super) fn read(github: &GitHub, environments: &BTreeSet<String>) -> Result<Found, Error> {
    let mut found = Found::default();
    let scopes = std::iter::once(None).chain(environments.iter().cloned().map(Some));
    for scope in scopes {
        let path = |what| path(scope.as_deref(), what);
        let variables: Vec<Variable> = github.read_all(&path("variables"), Some("variables"))?;
        let secrets: Vec<Secret> = github.read_all(&path("secrets"), Some("secrets"))?;
        found
            .variables
            .extend(variables.into_iter().map(|variable| ((scope.clone(), variable.name), variable.value)));
        found.secrets.extend(secrets.into_iter().map(|secret| (scope.clone(), secret.name)));
    }
    let shared: Vec<Variable> =
        optional(github.read_all(&["actions", "organization-variables"], Some("variables")))?;
    found.shared_variables = shared.into_iter().map(|variable| (variable.name, variable.value)).collect();
    let shared: Vec<Secret> =
        optional(github.read_all(&["actions", "organization-secrets"], Some("secrets")))?;
    found.shared_secrets = shared.into_iter().map(|secret| secret.name).collect();
    Ok(found)
}

fn optional<T>(answer: Result<Vec<T>, Error>) -> Result<Vec<T>, Error> {
    match answer {
        Err(Error::NotFound(_) | Error::Forbidden(_)) => Ok(Vec::new()),
        other => other,
    }
}

fn path<'a>(scope: Option<&'a str>, what: &'a str) -> Vec<&'a str> {
    match scope {
        Some(environment) => vec!["environments", environment, what],
        None => vec!["actions", what],
    }
}

impl Found {
    /// What jobs outside of an environment read once the given values are set.
    pub(super) fn variable<'a>(&'a self, given: &'a Given, name: &str) -> Option<&'a str> {
        let key = (None, name.to_owned());
        let own = given.variables.get(&key).or_else(|| self.variables.get(&key));
        own.or_else(|| self.shared_variables.get(name)).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn variable_in<'a>(&'a self, given: &'a Given, environment: &str, name: &str) -> Option<&'a str> {
        let key = (Some(environment.to_owned()), name.to_owned());
        let own = given.variables.get(&key).or_else(|| self.variables.get(&key)).map(String::as_str);
        own.filter(|value| !value.is_empty()).or_else(|| self.variable(given, name))
    }

    fn has_secret(&self, given: &Given, environment: Option<&str>, name: &str) -> bool {
        let has = |scope: Option<&str>| {
            let key = (scope.map(str::to_owned), name.to_owned());
            self.secrets.contains(&key) || given.secrets.contains_key(&key)
        };
        environment.is_some_and(|environment| has(Some(environment)))
            || has(None)
            || self.shared_secrets.contains(name)
    }
}

/// Values that differ are set. Variables that the toolkit reads are checked against each other.
pub(super) fn variables(found: &Found, given: &Given, environments: &BTreeSet<String>) -> Review {
    let account = found.variable(given, ACCOUNT);
    let mut review = Review::new(
        "variables",
        match account {
            Some(account) => format!("{ACCOUNT} is {account}: environments live on Snowflake"),
            None => format!("no {ACCOUNT}: everything runs on DuckDB, on the runner"),
        },
    );
    for ((scope, name), value) in &given.variables {
        let place = place(scope.as_deref());
        let path = path(scope.as_deref(), "variables");
        match found.variables.get(&(scope.clone(), name.clone())) {
            Some(known) if known == value => {}
            Some(_) => review.step(
                format!("change the variable {name}{place}"),
                Method::PATCH,
                &[&path[..], &[name]].concat(),
                Body::Json(json!({"name": name, "value": value})),
            ),
            None => review.step(
                format!("create the variable {name}{place}"),
                Method::POST,
                &path,
                Body::Json(json!({"name": name, "value": value})),
            ),
        }
    }
    let as_secret =
        found.secrets.iter().any(|(_, name)| name == ACCOUNT) || found.shared_secrets.contains(ACCOUNT);
    if as_secret && account.is_none() {
        return review.fail(
            format!("{ACCOUNT} is a secret, which the workflows do not read: everything runs on DuckDB"),
            format!("cargo xtask github setup --variable {ACCOUNT}=ORG-ACCOUNT, and delete the secret"),
        );
    }
    if account.is_none() {
        let in_environment = found.variables.keys().find(|(scope, name)| scope.is_some() && name == ACCOUNT);
        return match in_environment {
            Some((scope, _)) => review.fail(
                format!(
                    "{ACCOUNT} is a variable{} only, and the job that plans runs in none",
                    place(scope.as_deref())
                ),
                format!("cargo xtask github setup --variable {ACCOUNT}=ORG-ACCOUNT"),
            ),
            None => review,
        };
    }
    for name in NEEDED {
        let lacking: Vec<&str> = environments
            .iter()
            .map(String::as_str)
            .filter(|environment| found.variable_in(given, environment, name).is_none())
            .collect();
        if !lacking.is_empty() {
            review = review.fail(
                format!("{name} is missing in {}", lacking.join(", ")),
                format!("cargo xtask github setup --variable {name}=VALUE, or ENVIRONMENT.{name}=VALUE"),
            );
        }
    }
    review
}

/// Secrets cannot be read back: those that are given are set again, and of the others only the names are checked.
pub(super) fn secrets(found: &Found, given: &Given, environments: &BTreeSet<String>) -> Review {
    let names: BTreeSet<&str> = found.secrets.iter().map(|(_, name)| name.as_str()).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let mut review =
        Review::new("secrets", if names.is_empty() { "there are no secrets".to_owned() } else { names });
    for ((scope, name), value) in &given.secrets {
        review.step(
            format!("set the secret {name}{}", place(scope.as_deref())),
            Method::PUT,
            &[&path(scope.as_deref(), "secrets")[..], &[name]].concat(),
            Body::Secret(value.clone()),
        );
    }
    if !found.has_secret(given, None, WEBHOOK) {
        let in_environment = found.secrets.iter().any(|(_, name)| name == WEBHOOK);
        if in_environment {
            review = review.warn(
                format!(
                    "{WEBHOOK} is a secret of an environment only, and the job that reports runs in none"
                ),
                format!("cargo xtask github setup --secret {WEBHOOK} < FILE"),
            );
        } else {
            review.found.push_str("\nno ");
            review.found.push_str(WEBHOOK);
            review.found.push_str(": nothing is sent to Slack");
        }
    }
    if found.variable(given, ACCOUNT).is_none() {
        return review;
    }
    for environment in environments {
        let authenticator = found.variable_in(given, environment, AUTHENTICATOR).unwrap_or_default();
        let is_federated = authenticator.eq_ignore_ascii_case("workload_identity");
        let has = |name: &&'static str| found.has_secret(given, Some(environment), name);
        if !is_federated && !CREDENTIALS.iter().any(has) {
            review = review.fail(
                format!("{environment} has no credentials: none of {}", CREDENTIALS.join(", ")),
                format!(
                    "cargo xtask github setup --variable {AUTHENTICATOR}=workload_identity, which needs no secret; or \
                     --secret {environment}.{} < key.p8",
                    CREDENTIALS[0]
                ),
            );
        }
    }
    let open: Vec<&str> =
        CREDENTIALS.into_iter().filter(|name| found.secrets.contains(&(None, (*name).to_owned()))).collect();
    if !open.is_empty() {
        review = review.warn(
            format!("{} of the repository can be read by the jobs of every branch", open.join(", ")),
            "make it a secret of each environment instead (--secret ENVIRONMENT.NAME), whose branches are limited",
        );
    }
    review
}

fn place(scope: Option<&str>) -> String {
    scope.map(|environment| format!(" of the environment {environment:?}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(scope: &str, name: &str) -> (Scope, String) {
        (Some(scope.to_owned()).filter(|scope| !scope.is_empty()), name.to_owned())
    }

    fn environments() -> BTreeSet<String> {
        ["prod".to_owned(), "preview".to_owned()].into()
    }

    fn remarks(review: &Review) -> String {
        review.remarks.iter().map(|remark| remark.what.as_str()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn variables_that_differ_are_set_and_others_left_alone() {
        let found = Found {
            variables: [(key("", "A"), "1".to_owned()), (key("", "B"), "1".to_owned())].into(),
            ..Found::default()
        };
        let given = Given {
            variables: [
                (key("", "A"), "1".to_owned()),
                (key("", "B"), "2".to_owned()),
                (key("prod", "B"), "3".to_owned()),
            ]
            .into(),
            ..Given::default()
        };
        let steps = variables(&found, &given, &environments()).steps;
        let calls: Vec<String> =
            steps.iter().map(|step| format!("{} {}", step.method, step.path.join("/"))).collect();
        assert_eq!(calls, ["PATCH actions/variables/B", "POST environments/prod/variables"]);
    }

    #[test]
    fn an_account_that_the_workflows_do_not_read_is_found() {
        let given = Given::default();
        let check = |found: Found| remarks(&variables(&found, &given, &environments()));
        assert_eq!(check(Found::default()), "");
        assert!(
            check(Found { secrets: [key("", ACCOUNT)].into(), ..Found::default() }).contains("is a secret")
        );
        let scoped = Found { variables: [(key("prod", ACCOUNT), "a".to_owned())].into(), ..Found::default() };
        assert!(check(scoped).contains("runs in none"));
        let mut found =
            Found { shared_variables: [(ACCOUNT.to_owned(), "a".to_owned())].into(), ..Found::default() };
        found.variables.insert(key("prod", "SNOWFLAKE_USER"), "u".to_owned());
        assert!(
            check(found)
                .contains("SNOWFLAKE_USER is missing in preview|SNOWFLAKE_ROLE is missing in preview, prod")
        );
    }

    #[test]
    fn every_environment_needs_credentials_or_workload_identity() {
        let account = (key("", ACCOUNT), "a".to_owned());
        let mut found = Found { variables: [account].into(), ..Found::default() };
        found.secrets.insert(key("prod", "SNOWFLAKE_TOKEN"));
        let said = remarks(&secrets(&found, &Given::default(), &environments()));
        assert!(said.contains("preview has no credentials") && !said.contains("prod has"), "{said}");
        found.variables.insert(key("", AUTHENTICATOR), "WORKLOAD_IDENTITY".to_owned());
        assert_eq!(remarks(&secrets(&found, &Given::default(), &environments())), "");
        found.secrets.insert(key("", "SNOWFLAKE_TOKEN"));
        assert!(remarks(&secrets(&found, &Given::default(), &environments())).contains("every branch"));
    }

    #[test]
    fn given_secrets_are_shown_nowhere() {
        let value = ["hunter", "2hunter"].concat();
        let given = Given { secrets: [(key("prod", "X"), Hidden(value.clone()))].into(), ..Given::default() };
        let review = secrets(&Found::default(), &given, &environments());
        let shown = format!("{review:?}{}", serde_json::to_string(&review.steps).expect("JSON"));
        assert!(
            !shown.contains(&value) && review.steps[0].path == ["environments", "prod", "secrets", "X"],
            "{shown}"
        );
    }
}
