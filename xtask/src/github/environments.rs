//! GitHub's environments: which branches may use them, and who must approve.
//!
//! They hold the secrets and are the subject of the OIDC token. Without a branch policy everybody who may push a branch
//! can run a job in `prod` and log in as prod.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::review::{Body, Review};
use crate::system::github::{Error, GitHub};

/// What an environment is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The branches whose jobs may use it; `None` for all.
    pub(super) branches: Option<BTreeSet<String>>,
    /// Who approves its jobs, as `octocat` or `ORG/team`; `None` leaves that as it is.
    pub(super) reviewers: Option<Vec<String>>,
    /// Jobs of it run at night, when a reviewer would hold them up.
    pub(super) runs_at_night: bool,
}

/// A user or a team that approves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reviewer {
    /// `User` or `Team`.
    kind: String,
    id: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    wait_timer: u64,
    prevents_self_review: bool,
    reviewers: Vec<Reviewer>,
    policy: Branches,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Branches {
    #[default]
    All,
    /// Those with a protection rule.
    Protected,
    /// These, each with its number and its kind, `branch` or `tag`.
    These(Vec<(String, u64, String)>),
}

/// Names of the environments that exist.
pub(super) fn names(github: &GitHub) -> Result<BTreeSet<String>, Error> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let all: Vec<Named> = github.read_all(&["environments"], Some("environments"))?;
    Ok(all.into_iter().map(|environment| environment.name).collect())
}

pub(super) fn look(github: &GitHub, wanted: &BTreeMap<String, Wanted>) -> Result<Review, Error> {
    let all: Vec<Value> = github.read_all(&["environments"], Some("environments"))?;
    let mut found = BTreeMap::new();
    for value in &all {
        let name = value["name"].as_str().unwrap_or_default();
        if wanted.contains_key(name) {
            found.insert(name.to_owned(), read(github, name, value)?);
        }
    }
    let names = wanted.values().filter_map(|wanted| wanted.reviewers.as_ref()).flatten();
    let mut known: BTreeMap<&str, Reviewer> = BTreeMap::new();
    let mut unknown = Vec::new();
    for name in names {
        match reviewer(github, name) {
            Ok(reviewer) => drop(known.insert(name, reviewer)),
            Err(Error::NotFound(_)) => unknown.push(name),
            Err(error) => return Err(error),
        }
    }
    let review = review(&found, wanted, &known);
    Ok(unknown.into_iter().fold(review, |review, name| {
        review.fail(
            format!("GitHub knows no reviewer {name:?}"),
            "correct [reviewers] in policies/github.toml: a user as \"octocat\", a team as \"ORG/team\"",
        )
    }))
}

fn read(github: &GitHub, name: &str, value: &Value) -> Result<Found, Error> {
    #[derive(Deserialize)]
    struct Policy {
        id: u64,
        name: String,
        #[serde(default, rename = "type")]
        kind: Option<String>,
    }
    let mut found = Found::default();
    for rule in value["protection_rules"].as_array().into_iter().flatten() {
        match rule["type"].as_str() {
            Some("wait_timer") => found.wait_timer = rule["wait_timer"].as_u64().unwrap_or_default(),
            Some("required_reviewers") => {
                found.prevents_self_review = rule["prevent_self_review"] == true;
                let reviewer = |entry: &Value| {
                    let kind = entry["type"].as_str()?.to_owned();
                    Some(Reviewer { kind, id: entry["reviewer"]["id"].as_u64()? })
                };
                found.reviewers =
                    rule["reviewers"].as_array().into_iter().flatten().filter_map(reviewer).collect();
            }
            _ => {}
        }
    }
    let policy = &value["deployment_branch_policy"];
    if policy["custom_branch_policies"] == true {
        let parts = ["environments", name, "deployment-branch-policies"];
        let all: Vec<Policy> = github.read_all(&parts, Some("branch_policies"))?;
        let of =
            |policy: Policy| (policy.name, policy.id, policy.kind.unwrap_or_else(|| "branch".to_owned()));
        found.policy = Branches::These(all.into_iter().map(of).collect());
    } else if policy["protected_branches"] == true {
        found.policy = Branches::Protected;
    }
    Ok(found)
}

fn reviewer(github: &GitHub, name: &str) -> Result<Reviewer, Error> {
    #[derive(Deserialize)]
    struct Numbered {
        id: u64,
    }
    let (kind, parts) = match name.split_once('/') {
        Some((org, team)) => ("Team", vec!["orgs", org, "teams", team]),
        None => ("User", vec!["users", name]),
    };
    let Numbered { id } = github.read_elsewhere(&parts)?;
    Ok(Reviewer { kind: kind.to_owned(), id })
}

fn review(
    found: &BTreeMap<String, Found>,
    wanted: &BTreeMap<String, Wanted>,
    known: &BTreeMap<&str, Reviewer>,
) -> Review {
    let words = |(name, wanted): (&String, &Wanted)| {
        let branches = wanted.branches.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
        let branches = if wanted.branches.is_none() { "any branch".to_owned() } else { branches };
        let reviewers = found.get(name).map_or(0, |found| found.reviewers.len());
        let plural = if reviewers == 1 { "" } else { "s" };
        format!("{name}: {branches}, {reviewers} reviewer{plural}")
    };
    let mut review = Review::new("environments", wanted.iter().map(words).collect::<Vec<_>>().join("\n"));
    for (name, wanted) in wanted {
        let there = found.get(name);
        let reviewers = wanted.reviewers.as_ref().map(|names| {
            names.iter().filter_map(|name| known.get(name.as_str()).cloned()).collect::<Vec<_>>()
        });
        environment(&mut review, name, there, wanted, reviewers.as_deref());
        let is_held_up = wanted.runs_at_night
            && reviewers.as_ref().map_or_else(
                || there.is_some_and(|there| !there.reviewers.is_empty()),
                |all| !all.is_empty(),
            );
        if is_held_up {
            review = review.warn(
                format!("{name} has reviewers, so the nightly clean-up waits for them"),
                format!("remove the reviewers of {name}"),
            );
        }
        if let (None, Some(Branches::Protected | Branches::These(_))) =
            (&wanted.branches, there.map(|there| &there.policy))
        {
            review = review.warn(
                format!("{name} is limited to some branches, so issues or pull requests may not use it"),
                format!("allow all branches in {name}, or check that all that build are among them"),
            );
        }
    }
    review
}

fn environment(
    review: &mut Review,
    name: &str,
    found: Option<&Found>,
    wanted: &Wanted,
    reviewers: Option<&[Reviewer]>,
) {
    let nothing = Found::default();
    let there = found.unwrap_or(&nothing);
    let sorted = |all: &[Reviewer]| {
        let mut all = all.to_vec();
        all.sort();
        all
    };
    let other_reviewers = reviewers.is_some_and(|wanted| sorted(wanted) != sorted(&there.reviewers));
    let limits = wanted.branches.is_some() && !matches!(there.policy, Branches::These(_));
    if found.is_none() || other_reviewers || limits {
        let title = match (found, limits) {
            (None, _) => format!("create the environment {name:?}"),
            (Some(_), true) => format!("limit the environment {name:?} to its branches"),
            (Some(_), false) => format!("set the reviewers of the environment {name:?}"),
        };
        let as_json = |all: &[Reviewer]| -> Vec<Value> {
            all.iter().map(|one| json!({"type": one.kind, "id": one.id})).collect()
        };
        // What is left out of this call is taken away, so it repeats what is there.
        let policy = match (&wanted.branches, &there.policy) {
            (Some(_), _) | (None, Branches::These(_)) => {
                json!({"protected_branches": false, "custom_branch_policies": true})
            }
            (None, Branches::Protected) => {
                json!({"protected_branches": true, "custom_branch_policies": false})
            }
            (None, Branches::All) => Value::Null,
        };
        let body = json!({
            "wait_timer": there.wait_timer,
            "prevent_self_review": there.prevents_self_review,
            "reviewers": as_json(reviewers.unwrap_or(&there.reviewers)),
            "deployment_branch_policy": policy,
        });
        review.step(title, Method::PUT, &["environments", name], Body::Json(body));
    }
    let Some(branches) = &wanted.branches else { return };
    let known: &[(String, u64, String)] = match &there.policy {
        Branches::These(listed) => listed,
        _ => &[],
    };
    let path = ["environments", name, "deployment-branch-policies"];
    for branch in branches {
        if !known.iter().any(|(known, _, kind)| known == branch && kind == "branch") {
            review.step(
                format!("let the branch {branch:?} use the environment {name:?}"),
                Method::POST,
                &path,
                Body::Json(json!({"name": branch, "type": "branch"})),
            );
        }
    }
    for (other, id, kind) in known {
        if kind != "branch" || !branches.contains(other) {
            review.step(
                format!("keep the {kind} {other:?} from using the environment {name:?}"),
                Method::DELETE,
                &[&path[..], &[&id.to_string()]].concat(),
                Body::Empty,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(branches: Option<&[&str]>, reviewers: Option<&[&str]>) -> Wanted {
        let all = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<String>>();
        Wanted {
            branches: branches.map(|names| all(names).into_iter().collect()),
            reviewers: reviewers.map(all),
            runs_at_night: false,
        }
    }

    fn steps(found: Option<Found>, wanted: Wanted) -> Vec<(String, Value)> {
        let known = BTreeMap::from([("octocat", Reviewer { kind: "User".into(), id: 1 })]);
        let found = found.into_iter().map(|found| ("prod".to_owned(), found)).collect();
        let review = review(&found, &[("prod".to_owned(), wanted)].into(), &known);
        let body = |body| match body {
            Body::Json(value) => value,
            _ => Value::Null,
        };
        review
            .steps
            .into_iter()
            .map(|step| (format!("{} {}", step.method, step.path.join("/")), body(step.body)))
            .collect()
    }

    #[test]
    fn an_environment_is_limited_to_its_branches() {
        let new = steps(None, wanted(Some(&["main"]), None));
        assert_eq!(new[0].0, "PUT environments/prod");
        assert_eq!(new[0].1["deployment_branch_policy"]["custom_branch_policies"], true);
        assert_eq!(new[1].0, "POST environments/prod/deployment-branch-policies");
        let these = |names: &[&str]| {
            let all = names.iter().zip(1..).map(|(name, id)| ((*name).to_owned(), id, "branch".to_owned()));
            Found { policy: Branches::These(all.collect()), ..Found::default() }
        };
        assert!(steps(Some(these(&["main"])), wanted(Some(&["main"]), None)).is_empty());
        let changed = steps(Some(these(&["*", "main"])), wanted(Some(&["main"]), None));
        assert_eq!(changed[0].0, "DELETE environments/prod/deployment-branch-policies/1");
        assert_eq!(changed.len(), 1);
        let open = Found { policy: Branches::Protected, ..Found::default() };
        assert_eq!(steps(Some(open.clone()), wanted(Some(&["main"]), None)).len(), 2);
        assert!(
            steps(Some(open), wanted(None, None)).is_empty(),
            "more is not asked for than that it is there"
        );
    }

    #[test]
    fn what_people_set_stays_when_something_else_is_changed() {
        let found = Found {
            wait_timer: 30,
            prevents_self_review: true,
            reviewers: vec![Reviewer { kind: "Team".into(), id: 9 }],
            policy: Branches::All,
        };
        let limited = &steps(Some(found.clone()), wanted(Some(&["main"]), None))[0].1;
        assert_eq!(limited["reviewers"], json!([{"type": "Team", "id": 9}]));
        assert_eq!((&limited["wait_timer"], &limited["prevent_self_review"]), (&json!(30), &json!(true)));
        let named = &steps(Some(found.clone()), wanted(None, Some(&["octocat"])))[0].1;
        assert_eq!(named["reviewers"], json!([{"type": "User", "id": 1}]));
        assert_eq!(named["deployment_branch_policy"], Value::Null);
        assert_eq!(steps(Some(found), wanted(None, Some(&[])))[0].1["reviewers"], json!([]));
    }

    #[test]
    fn a_reviewer_of_the_nightly_job_is_remarked() {
        let found = Found { reviewers: vec![Reviewer { kind: "User".into(), id: 1 }], ..Found::default() };
        let wanted = Wanted { runs_at_night: true, ..wanted(None, None) };
        let review =
            review(&[("m".to_owned(), found)].into(), &[("m".to_owned(), wanted)].into(), &BTreeMap::new());
        assert!(review.remarks[0].what.contains("nightly clean-up waits"));
    }
}
