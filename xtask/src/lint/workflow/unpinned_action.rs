//! An action or image whose code its owner can change at any time.

use anyhow::Result;
use serde::Deserialize;

use super::view::{Context, Step, View};
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "unpinned-action",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "An action is not pinned to a full commit.",
    why: "Tags and branches move. An attacker who controls the action's repository, or its owner's account, can move \
          `v4` to code that reads our secrets, and the next run executes it; that has happened to actions with tens of \
          thousands of users. A full commit cannot be changed.\n\nParameters: `trusted`, owners or repositories \
          whose tags are accepted.",
    example: "```yaml\n- uses: actions/checkout@v4\n```\n\n```yaml\n- uses: \
              actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1  # v7.0.1\n```",
    remedy: "write the 40 characters of the commit, and the tag in a comment after it",
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    trusted: Vec<String>,
}

pub(super) fn check(view: &View<'_>, _: &Context<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let settings: Settings = parameters.of(&RULE)?;
    let of_steps = view.steps.iter().filter_map(Step::uses);
    let of_jobs = view.jobs.iter().filter_map(|job| job.node.get("uses"));
    let of_action = view.root.at(&["runs", "image"]).filter(|image| is_docker(image)).into_iter();
    let offences = of_steps.chain(of_jobs).chain(of_action).filter_map(|uses| {
        let message = unpinned(uses.text()?, &settings)?;
        Some(view.offence(&RULE, uses.span, message))
    });
    Ok(offences.collect())
}

fn is_docker(image: &Node) -> bool {
    image.text().is_some_and(|text| text.starts_with("docker://"))
}

fn unpinned(uses: &str, settings: &Settings) -> Option<String> {
    // `$/` is this repository at the commit that runs.
    let is_own = ["./", "../", "$/"].iter().any(|start| uses.starts_with(start));
    if is_own || uses.contains("${{") {
        return None;
    }
    if let Some(image) = uses.strip_prefix("docker://") {
        let digest = image.split_once("@sha256:").map(|(_, digest)| digest);
        let is_pinned = digest.is_some_and(|digest| digest.len() == 64 && is_hex(digest));
        return (!is_pinned).then(|| format!("`{image}` is not pinned to a digest (@sha256:…)"));
    }
    // Without a version it is reported by `invalid-uses`.
    let (action, version) = uses.split_once('@')?;
    let owner_and_name = action.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
    let owner = action.split('/').next().unwrap_or_default();
    let is_trusted = settings.trusted.iter().any(|each| each == owner || *each == owner_and_name);
    let is_commit = version.len() == 40 && is_hex(version);
    (!is_commit && !is_trusted).then(|| format!("`{action}` is pinned to `{version}`, which can move"))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
