//! A model that reads a later layer.

use anyhow::Result;

use super::layers::Layers;
use crate::core::finding::{Group, Severity};
use crate::dbt::graph::{Found, Project};
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "layer-order",
    group: Group::Dbt,
    severity: Severity::Medium,
    summary: "A model reads a later layer.",
    why: "Layers are read in one direction, so that each can be built, tested and trusted before the next. A silver \
          model that reads gold cannot be rebuilt when silver is repaired, and the next ref creates a cycle.\n\n\
          Parameters: `layers`, a list of layers from the first to the last, each a list of the folder names it may \
          have; `free`, folders that may read every layer and that no layer reads. They apply to all rules about \
          layers. A project with none of these folders has no layers.",
    example: "```sql\n-- models/silver/daily_demand.sql\nselect * from {{ ref('daily_kpis') }}  -- models/gold\n```\n\n\
              Move the shared part to the earlier layer, and read it from there in both.",
    remedy: "move the shared part to the earlier layer",
};

pub(super) fn check(project: &Project<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let order = Layers::load(parameters)?;
    let mut offences = Vec::new();
    for (_, node) in project.models() {
        let Some((layer, folder)) = order.folder(node) else { continue };
        for parent in &node.parents {
            let Found::Node(at) = parent.found else { continue };
            let read = &project.nodes[at];
            let behind = match order.folder(read) {
                Some((other, name)) if other > layer => name,
                None if order.is_free(read) => read.folders.first().copied().unwrap_or_default(),
                _ => continue,
            };
            offences.push(RULE.offence(
                node.path,
                parent.span,
                format!("a model of {folder} reads `{}` of {behind}", read.name),
            ));
        }
    }
    Ok(offences)
}
