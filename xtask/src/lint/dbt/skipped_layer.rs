//! A model that reads past the layer before its own.

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
    why: "What the middle layer settles once (grain, units, late rows, the calendar) is settled a second time, and \
          differently, in a model that goes round it. A dimension of the first layer beside a fact of the middle one \
          is no skip.\n\nParameters: `optional`, folders that may be passed over (default `intermediate`, which dbt's \
          own guide makes optional); `strict`, also object to single refs past a layer.",
    example: "```sql\n-- models/gold/daily_kpis.sql\nselect * from {{ ref('stg_shop__orders') }}  -- models/bronze\n```\n\n\
              Read the silver model that conforms the orders; write it if there is none.",
    remedy: "read the layer in between; add the model that is missing there",
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
    // The first layer between the two that the project has and that may not be passed over.
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
