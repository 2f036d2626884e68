//! A description that does not say what one row is.

use anyhow::Result;
use serde::Deserialize;

use crate::core::finding::{Group, Severity};
use crate::dbt::graph::jinja::{calls, tokens};
use crate::dbt::graph::{Kind, Project};
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "missing-grain",
    group: Group::Dbt,
    severity: Severity::Low,
    summary: "A model's description does not state its grain.",
    why: "Many wrong numbers come from joins on the wrong grain: rows multiply, sums grow, and every query still runs. \
          Readers must know the grain before the first join, and the key test has to prove it.\n\nParameters: \
          `words`, texts of which the description must contain one, in upper or lower case.",
    example: "```yaml\ndescription: Daily demand.\n```\n\n```yaml\ndescription: Demand. Grain, one row per day, product \
              and warehouse.\n```",
    remedy: "add a sentence to the description: \"Grain, one row per …\"",
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    words: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { words: ["grain", "one row", "each row", "a row per"].map(str::to_owned).into() }
    }
}

pub(super) fn check(project: &Project<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let settings: Settings = parameters.of(&RULE)?;
    let words: Vec<String> = settings.words.iter().map(|word| word.to_lowercase()).collect();
    let mut offences = Vec::new();
    for (_, node) in project.relations().filter(|(_, node)| node.kind != Kind::Seed) {
        let Some(entry) = project.entry(node) else { continue };
        let Some(description) = entry.description().and_then(|text| whole(project, text)) else { continue };
        // The line breaks of a folded scalar are spaces.
        let lowered = description.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        if !words.iter().any(|word| lowered.contains(word)) {
            let message = format!("the description of `{}` does not say what one row is", node.name);
            offences.push(RULE.offence(entry.path, entry.span, message));
        }
    }
    Ok(offences)
}

/// The description with its `{{ doc('…') }}` blocks; `None` if one of them is not available.
fn whole(project: &Project<'_>, text: &str) -> Option<String> {
    let mut whole = text.to_owned();
    if text.contains("{{") {
        for call in calls(&tokens(text, 0..text.len(), false)).iter().filter(|call| call.name == "doc") {
            let name = call.positional().last()?.text()?;
            whole.push(' ');
            whole.push_str(project.docs.get(name)?);
        }
    }
    Some(whole)
}
