//! A model that skips the layer before its own.

use anyhow::Result;
use serde::Deserialize;

use super::layers::Layers;
use crate::core::finding::{Group, Severity};
use crate::dbt::graph::{Found, Project};
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "skipped-layer",
    group: Group::Dbt,
    severity: Severity::Medium,
    summary: "A model is built without the layer before its own.",
    why: "Work that the middle layer does once (grain, units, late rows, the calendar) is done a second time, and \
          differently, in a model that skips it. A dimension of the first layer joined to a fact of the middle one \
          is not a skip.\n\nParameters: `optional`, folders that may be skipped (default `intermediate`, which dbt's \
          own guide makes optional); `strict`, also report single refs past a layer.",
    example: "```sql\n-- models/gold/daily_kpis.sql\nselect * from {{ ref('stg_shop__orders') }}  -- models/bronze\n```\n\n\
              Read the silver model that conforms the orders; write it if it does not exist.",
    remedy: "read the layer in between; add a missing model there",
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    optional: Vec<String>,
    strict: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { optional: vec!["intermediate".to_owned()], strict: false }
    }
}

pub(super) fn check(project: &Project<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let layers = Layers::load(parameters)?;
    let settings: Settings = parameters.of(&RULE)?;
    let present = layers.present(project);
    // The first layer between the two that the project has and that may not be skipped.
    let between = |from: usize, to: usize| {
        present[(from + 1).min(to)..to]
            .iter()
            .flatten()
            .find(|folder| !settings.optional.iter().any(|name| name == *folder))
    };
    let mut offences = Vec::new();
    for (_, node) in project.models() {
        let Some((layer, folder)) = layers.folder(node) else { continue };
        let parents: Vec<_> = node
            .parents
            .iter()
            .filter_map(|parent| match parent.found {
                Found::Node(at) => Some((parent, &project.nodes[at], layers.of(&project.nodes[at])?)),
                _ => None,
            })
            .collect();
        let nearest = parents.iter().map(|(_, _, layer)| *layer).max();
        for (parent, read, other) in &parents {
            let counts = settings.strict || (Some(*other) == nearest);
            if let Some(skipped) = between(*other, layer).filter(|_| counts) {
                let message = format!("a model of {folder} reads `{}` past {skipped}", read.name);
                offences.push(RULE.offence(node.path, parent.span, message));
                if !settings.strict {
                    break;
                }
            }
        }
    }
    Ok(offences)
}
