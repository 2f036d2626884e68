//! The ruleset that requires the check `gate` before anything is merged.
//!
//! What counts is which rules apply to the branch, whichever ruleset they come from: an organisation may have set them.

use std::collections::BTreeSet;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::review::{Body, Review};
use crate::system::github::{Error, GitHub};

/// The name of the job that is required, and of the ruleset.
pub(super) const GATE: &str = "gate";

/// GitHub Actions as an app of github.com: with it nothing but a workflow can report the check.
const ACTIONS_APP: u64 = 15_368;

/// What applies to a branch, and our own ruleset if there is one.
#[derive(Debug, Default)]
struct Found {
    /// Rules of all rulesets, active ones only.
    rules: Vec<Value>,
    own: Option<Value>,
}

pub(super) fn look(github: &GitHub, branch: &str, is_on_github_com: bool) -> Result<Review, Error> {
    #[derive(Deserialize)]
    struct Listed {
        id: u64,
        name: String,
        #[serde(default)]
        source_type: Option<String>,
    }
    let rules = match github.read_all(&["rules", "branches", branch], None) {
        Err(Error::NotFound(_)) => Vec::new(),
        other => other?,
    };
    let all: Vec<Listed> = github.read_all(&["rulesets"], None)?;
    let is_own =
        |listed: &&Listed| listed.name == GATE && listed.source_type.as_deref() != Some("Organization");
    let own = match all.iter().find(is_own) {
        Some(listed) => Some(github.read(&["rulesets", &listed.id.to_string()])?),
        None => None,
    };
    Ok(review(&Found { rules, own }, branch, is_on_github_com))
}

fn review(found: &Found, branch: &str, is_on_github_com: bool) -> Review {
    let required = contexts(&found.rules);
    let has = |kind: &str| found.rules.iter().any(|rule| rule["type"] == kind);
    let mut review = Review::new(
        "ruleset",
        if required.is_empty() {
            format!("no check is required on {branch}")
        } else {
            let names: Vec<&str> = required.iter().map(String::as_str).collect();
            format!("required on {branch}: {}", names.join(", "))
        },
    );
    if required.contains(GATE) && has("deletion") && has("non_fast_forward") {
        return review;
    }
    let body = Body::Json(wanted(found.own.as_ref(), is_on_github_com));
    let title =
        |verb: &str| format!("{verb} the ruleset {GATE:?}, which requires the check {GATE:?} on {branch}");
    match found.own.as_ref().and_then(|own| own["id"].as_u64()) {
        Some(id) => review.step(title("change"), Method::PUT, &["rulesets", &id.to_string()], body),
        None => review.step(title("create"), Method::POST, &["rulesets"], body),
    }
    review
}

/// The checks that rules require.
fn contexts(rules: &[Value]) -> BTreeSet<String> {
    let checks = rules.iter().filter(|rule| rule["type"] == "required_status_checks");
    let checks = checks.filter_map(|rule| rule["parameters"]["required_status_checks"].as_array());
    checks.flatten().filter_map(|check| Some(check["context"].as_str()?.to_owned())).collect()
}

/// The ruleset as it is to be. Rules, exceptions and branches that people added to it stay.
fn wanted(own: Option<&Value>, is_on_github_com: bool) -> Value {
    let empty = Vec::new();
    let list = |value: Option<&Value>| value.and_then(Value::as_array).unwrap_or(&empty).clone();
    let known = list(own.map(|own| &own["rules"]));
    let mut checks: Vec<Value> = known
        .iter()
        .filter(|rule| rule["type"] == "required_status_checks")
        .flat_map(|rule| list(rule["parameters"].get("required_status_checks")))
        .filter(|check| check["context"] != GATE)
        .collect();
    let mut gate = json!({"context": GATE});
    if is_on_github_com {
        gate["integration_id"] = ACTIONS_APP.into();
    }
    checks.push(gate);
    let ours = ["required_status_checks", "deletion", "non_fast_forward"];
    let mut rules: Vec<Value> =
        known.into_iter().filter(|rule| !ours.iter().any(|kind| rule["type"] == *kind)).collect();
    rules.push(json!({"type": "deletion"}));
    rules.push(json!({"type": "non_fast_forward"}));
    rules.push(json!({"type": "required_status_checks", "parameters": {
        "required_status_checks": checks,
        "strict_required_status_checks_policy": false,
        // The first push of a new branch cannot have been checked.
        "do_not_enforce_on_create": true,
    }}));
    let refs = own.map(|own| &own["conditions"]["ref_name"]);
    let mut include = list(refs.map(|refs| &refs["include"]));
    let default = json!("~DEFAULT_BRANCH");
    if !include.contains(&default) && !include.contains(&json!("~ALL")) {
        include.push(default);
    }
    json!({
        "name": GATE,
        "target": "branch",
        "enforcement": "active",
        "bypass_actors": list(own.map(|own| &own["bypass_actors"])),
        "conditions": {"ref_name": {"include": include, "exclude": list(refs.map(|refs| &refs["exclude"]))}},
        "rules": rules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requires(context: &str) -> Value {
        json!({"type": "required_status_checks",
               "parameters": {"required_status_checks": [{"context": context}]}})
    }

    fn body(found: &Found) -> (String, Value) {
        let mut steps = review(found, "main", true).steps;
        let step = steps.pop().expect("a step");
        let Body::Json(body) = step.body else { panic!("no body") };
        (format!("{} {}", step.method, step.path.join("/")), body)
    }

    #[test]
    fn a_ruleset_is_created_once() {
        let (call, body) = body(&Found::default());
        assert_eq!(call, "POST rulesets");
        let rules = body["rules"].as_array().expect("rules").clone();
        assert_eq!(contexts(&rules), [GATE.to_owned()].into());
        assert!(
            review(&Found { rules, own: None }, "main", true).steps.is_empty(),
            "rules that people set satisfy it, too"
        );
    }

    #[test]
    fn what_people_added_to_it_stays() {
        let own = json!({"id": 7, "enforcement": "disabled",
            "bypass_actors": [{"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}],
            "conditions": {"ref_name": {"include": ["refs/heads/x"], "exclude": ["refs/heads/y"]}},
            "rules": [requires("own-check"), {"type": "pull_request"}]});
        let (call, body) = body(&Found { rules: vec![requires("own-check")], own: Some(own.clone()) });
        assert_eq!((call.as_str(), &body["enforcement"]), ("PUT rulesets/7", &json!("active")));
        assert_eq!(body["bypass_actors"], own["bypass_actors"]);
        assert_eq!(body["conditions"]["ref_name"]["include"], json!(["refs/heads/x", "~DEFAULT_BRANCH"]));
        let rules = body["rules"].as_array().expect("rules");
        assert_eq!(contexts(rules), ["own-check".to_owned(), GATE.to_owned()].into());
        assert!(rules.contains(&json!({"type": "pull_request"})));
    }
}
