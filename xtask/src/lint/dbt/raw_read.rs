//! Raw data that is read outside the first layer.

use anyhow::Result;
use serde::Deserialize;

use super::layers::Layers;
use crate::core::finding::{Group, Severity};
use crate::dbt::graph::{Found, Kind, Project};
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "raw-read",
    group: Group::Dbt,
    severity: Severity::Medium,
    summary: "A source or seed is read outside the first layer.",
    why: "Raw columns are renamed and typed in one place, the first layer. A second reader sees other names and types, \
          and when the source changes, one of the two is not updated.\n\nParameters: `sources`, names of sources that \
          every layer may read; `seeds`, names of seeds that are look-up tables rather than raw data.",
    example: "```sql\n-- models/silver/daily_demand.sql\nselect * from {{ source('shop', 'orders') }}\n```\n\n\
              Read the staging model:\n\n```sql\nselect * from {{ ref('stg_shop__orders') }}\n```",
    remedy: "read the model of the first layer instead",
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    sources: Vec<String>,
    seeds: Vec<String>,
}

pub(super) fn check(project: &Project<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let layers = Layers::load(parameters)?;
    let settings: Settings = parameters.of(&RULE)?;
    let mut offences = Vec::new();
    for (_, node) in project.models() {
        let Some((_, folder)) = layers.folder(node).filter(|(layer, _)| *layer > 0) else { continue };
        for parent in &node.parents {
            let what = match parent.found {
                Found::Source(at) => {
                    let table = &project.sources[at];
                    if settings.sources.contains(&table.source) {
                        continue;
                    }
                    format!("the source `{}.{}`", table.source, table.name)
                }
                Found::Node(at) if project.nodes[at].kind == Kind::Seed => {
                    let seed = project.nodes[at].name;
                    if settings.seeds.iter().any(|name| name == seed) {
                        continue;
                    }
                    format!("the seed `{seed}`")
                }
                _ => continue,
            };
            offences.push(RULE.offence(node.path, parent.span, format!("a model of {folder} reads {what}")));
        }
    }
    Ok(offences)
}
