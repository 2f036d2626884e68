//! A reference to an action or workflow that GitHub cannot resolve.

use super::view::{Step, View};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "invalid-uses",
    group: Group::Workflow,
    severity: Severity::High,
    summary: "A uses names an action or workflow in a form that GitHub does not accept.",
    why: "GitHub rejects the workflow, or fails the job before its first step.",
    example: "```yaml\n- uses: actions/checkout\n```\n\n```yaml\n- uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1  # v7.0.1\n```",
    remedy: "write owner/repository@version, ./folder for an action of this repository, or docker://image:tag",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let steps = view
        .steps
        .iter()
        .filter_map(Step::uses)
        .map(|uses| (uses, of_step as fn(&str) -> Option<&'static str>));
    let jobs = view
        .jobs
        .iter()
        .filter_map(|job| Some((job.node.get("uses")?, of_job as fn(&str) -> Option<&'static str>)));
    let offences = steps.chain(jobs).filter_map(|(uses, fault)| {
        let text = uses.text().filter(|text| !text.is_empty() && !text.contains("${{"))?;
        Some(view.offence(&RULE, uses.span, format!("`{text}` {}", fault(text)?)))
    });
    offences.collect()
}

fn is_own(uses: &str) -> bool {
    ["./", "../", "$/", ".\\"].iter().any(|start| uses.starts_with(start)) || matches!(uses, "." | "..")
}

fn of_step(uses: &str) -> Option<&'static str> {
    if let Some(image) = uses.strip_prefix("docker://") {
        let last = image.rsplit('/').next().unwrap_or_default();
        return (image.is_empty() || last.ends_with(':')).then_some("names no image and tag");
    }
    if is_own(uses) {
        return None;
    }
    let Some((action, version)) = uses.split_once('@') else {
        return Some("has no version: add @ and a commit");
    };
    let parts: Vec<&str> = action.split('/').collect();
    let is_whole =
        parts.len() >= 2 && parts.iter().take(2).all(|part| !part.is_empty()) && !version.is_empty();
    (!is_whole).then_some("is not owner/repository@version")
}

fn of_job(uses: &str) -> Option<&'static str> {
    if uses.starts_with("./") || uses.starts_with("$/") {
        return uses.contains('@').then_some("is of this repository, and such a path has no version");
    }
    let is_whole = uses.split_once('@').is_some_and(|(path, version)| {
        let parts: Vec<&str> = path.split('/').collect();
        parts.len() >= 3 && parts.iter().all(|part| !part.is_empty()) && !version.is_empty()
    });
    (!is_whole).then_some("is not owner/repository/path/to/workflow.yml@version, nor ./path")
}
