//! What a look at one concern of the repository gives: what is there, the calls that make it what is wanted, and what
//! only a person can decide.
//!
//! The deciders of the concerns return it and touch nothing. `github setup` makes the calls, `doctor --github` reports
//! them as what is missing, so the two cannot disagree.

use std::fmt;

use reqwest::Method;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::system::contract::Contract;
use crate::system::github::Error;

#[derive(Debug, Default)]
pub(crate) struct Review {
    /// The concern in one or two words.
    pub(crate) name: &'static str,
    /// What is there.
    pub(crate) found: String,
    /// The calls that make it what is wanted, in their order.
    pub(crate) steps: Vec<Step>,
    /// What no call settles.
    pub(crate) remarks: Vec<Remark>,
}

/// One change.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Step {
    /// Such as `create the label "feature"`.
    pub(crate) title: String,
    #[serde(serialize_with = "method")]
    #[schemars(with = "String")]
    pub(crate) method: Method,
    /// Below the repository.
    pub(crate) path: Vec<String>,
    pub(crate) body: Body,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Body {
    Empty,
    Json(Value),
    /// It is encrypted for the place it goes to right before it is sent.
    Secret(#[schemars(with = "String")] Hidden),
}

/// A value that is neither printed nor logged.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hidden(pub(super) String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

fn method<S: Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.as_str())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Weight {
    /// It works, with a drawback.
    Warn,
    /// Something will not work.
    Fail,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Remark {
    pub(crate) weight: Weight,
    pub(crate) what: String,
    pub(crate) advice: String,
}

pub(super) fn contract() -> Contract {
    Contract::output::<Vec<Step>>("github-setup", "cargo xtask github setup --dry-run --format json")
}

impl Review {
    pub(super) fn new(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, found: found.into(), ..Self::default() }
    }

    /// A concern that GitHub does not show to this token, or not in this kind of repository.
    pub(super) fn unread(name: &'static str, error: &Error) -> Self {
        let advice = match error {
            Error::Forbidden(_) => {
                "use a token that may administrate the repository; rulesets and protected environments of a private \
                 repository need a paid plan"
            }
            Error::NotFound(_) => "check the name of the repository and what the token may see",
            Error::RateLimited(_) => "run it again later",
            _ => "see the message",
        };
        Self::new(name, "could not be read").fail(error.to_string(), advice)
    }

    pub(super) fn step(&mut self, title: impl Into<String>, method: Method, path: &[&str], body: Body) {
        let path = path.iter().map(|&part| part.to_owned()).collect();
        self.steps.push(Step { title: title.into(), method, path, body });
    }

    pub(super) fn warn(self, what: impl Into<String>, advice: impl Into<String>) -> Self {
        self.remark(Weight::Warn, what.into(), advice.into())
    }

    pub(super) fn fail(self, what: impl Into<String>, advice: impl Into<String>) -> Self {
        self.remark(Weight::Fail, what.into(), advice.into())
    }

    fn remark(mut self, weight: Weight, what: String, advice: String) -> Self {
        self.remarks.push(Remark { weight, what, advice });
        self
    }
}
