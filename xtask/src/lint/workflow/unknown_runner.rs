//! A runner label that GitHub does not have, or labels that no runner has together.

use std::sync::LazyLock;

use anyhow::Result;
use regex::Regex;
use serde::Deserialize;

use super::contexts;
use super::expression::Expression;
use super::view::{Context, Job, View};
use crate::core::finding::{Group, Severity, Span};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "unknown-runner",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A job asks for a runner that GitHub does not offer.",
    why: "The job waits for a runner with all of its labels, for a day, and then fails. Images are removed after some \
          years, and two operating systems in one list are not a choice but a runner that has both.\n\nParameters: \
          `labels`, the labels of your own runners.",
    example: "```yaml\nruns-on: ubuntu-18.04\n---\nruns-on: [ubuntu-latest, windows-latest]\n```\n\n```yaml\nruns-on: \
              ubuntu-24.04\n```",
    remedy: "use a label of a current image, or a matrix for several systems; add your own labels to `labels`",
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    labels: Vec<String>,
}

/// What is written like a label of an image of GitHub: a system, and a version or a word.
static IMAGE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:ubuntu|windows|macos|linux|mac|osx|win|macosx)-(?:[a-z]+|[0-9.]+)$")
        .expect("a regular expression")
});

/// Images that are offered, with those of the coming years: Ubuntu since 22.04, Windows Server since 2022, macOS since 14.
static OFFERED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(?:ubuntu-(?:latest|slim|2[2-9]\.04|3[0-9]\.04)|windows-(?:latest|202[2-9]|203[0-9]|11)|macos-(?:latest|1[4-9]|[2-9][0-9]))(?:-(?:arm|xlarge|large|intel|vs[0-9]+))?$",
    )
    .expect("a regular expression")
});

/// Words after a system that people give to their own runners.
const SIZES: [&str; 12] =
    ["small", "medium", "large", "xlarge", "big", "xl", "huge", "arm", "gpu", "x", "self", "runner"];

pub(super) fn check(view: &View<'_>, _: &Context<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let settings: Settings = parameters.of(&RULE)?;
    let mut offences = Vec::new();
    for job in &view.jobs {
        let labels = labels(view, job);
        // A self-hosted runner can have any label.
        if labels.iter().any(|label| label.text == "self-hosted") {
            continue;
        }
        let mut known: Option<&Label<'_>> = None;
        for label in &labels {
            if settings.labels.iter().any(|own| own.eq_ignore_ascii_case(label.text)) {
                continue;
            }
            if let Some(message) = unknown(label.text) {
                offences.push(view.offence(&RULE, label.span, message));
            } else if let Some(other) = known.filter(|other| label.is_together_with(other)) {
                let message = format!(
                    "no runner is `{}` and `{}`: use a matrix for several systems",
                    other.text, label.text
                );
                offences.push(view.offence(&RULE, label.span, message));
            } else if OFFERED.is_match(&label.text.to_lowercase()) && label.choice.is_none() {
                known = Some(label);
            }
        }
    }
    Ok(offences)
}

struct Label<'a> {
    text: &'a str,
    span: Span,
    /// The name of the matrix value that it is one choice of.
    choice: Option<String>,
}

impl Label<'_> {
    fn is_together_with(&self, other: &Self) -> bool {
        system(self.text) != system(other.text)
            && OFFERED.is_match(&self.text.to_lowercase())
            && other.choice.is_none()
    }
}

fn system(label: &str) -> String {
    label.split('-').next().unwrap_or_default().to_lowercase()
}

fn unknown(label: &str) -> Option<String> {
    let lower = label.to_lowercase();
    let is_size = SIZES.iter().any(|size| lower.ends_with(&format!("-{size}")));
    (IMAGE.is_match(&lower) && !OFFERED.is_match(&lower) && !is_size)
        .then(|| format!("GitHub offers no runner `{label}`"))
}

/// The labels of a job, constant ones first, then the values of the matrix that it uses as a label.
fn labels<'a>(view: &View<'a>, job: &Job<'a>) -> Vec<Label<'a>> {
    let Some(runs_on) = job.node.get("runs-on") else { return Vec::new() };
    let listed = if runs_on.is_mapping() { runs_on.get("labels") } else { Some(runs_on) };
    let (mut constant, mut chosen) = (Vec::new(), Vec::new());
    for node in listed.map(Node::one_or_many).unwrap_or_default() {
        let Some(text) = node.text() else { continue };
        if !text.contains("${{") {
            constant.push(Label { text, span: node.span, choice: None });
        } else if let Some(Expression::Property(object, name)) = contexts::whole(view, node)
            && **object == Expression::Context("matrix".to_owned())
        {
            chosen.extend(choices(job, name));
        }
    }
    constant.extend(chosen);
    constant
}

fn choices<'a>(job: &Job<'a>, name: &str) -> Vec<Label<'a>> {
    let label = |node: &'a Node| {
        let text = node.text().filter(|text| !text.contains("${{"))?;
        Some(Label { text, span: node.span, choice: Some(name.to_owned()) })
    };
    job.matrix_values(name).filter_map(label).collect()
}
