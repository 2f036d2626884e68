//! The repository on GitHub: what `cargo xtask github setup` would change, and what only a person can.

use anyhow::Result;

use super::{Status, Verdict};
use crate::github::{self, Place, Review, Weight};
use crate::system::repo::Repo;

/// One verdict per concern.
pub(super) fn examine(place: &Place, repo: &Repo) -> Result<Vec<(&'static str, Verdict)>> {
    Ok(github::examine(place, repo)?.into_iter().map(|review| (review.name, verdict(&review))).collect())
}

fn verdict(review: &Review) -> Verdict {
    let fails = !review.steps.is_empty() || review.remarks.iter().any(|remark| remark.weight == Weight::Fail);
    let status = match (fails, review.remarks.is_empty()) {
        (true, _) => Status::Fail,
        (false, false) => Status::Warn,
        (false, true) => Status::Ok,
    };
    let mut found = vec![review.found.clone()];
    found.extend(review.steps.iter().map(|step| format!("to do: {}", step.title)));
    found.extend(review.remarks.iter().map(|remark| remark.what.clone()));
    let set_up = (!review.steps.is_empty()).then(|| "cargo xtask github setup".to_owned());
    let advice = review.remarks.iter().map(|remark| remark.advice.clone());
    let remedy: Vec<String> = set_up.into_iter().chain(advice).collect();
    Verdict {
        status,
        found: found.join("\n"),
        remedy: Some(remedy.join("\n")).filter(|remedy| !remedy.is_empty()),
    }
}
