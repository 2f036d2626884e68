//! A model that nothing uses.

use std::collections::{HashMap, HashSet};

use anyhow::Result;

use super::layers::Layers;
use crate::core::finding::{Group, Severity};
use crate::dbt::graph::{Found, Project, Role};
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "orphan-model",
    group: Group::Dbt,
    severity: Severity::Low,
    summary: "A model of an early layer is not used.",
    why: "It is built and tested on every run, costs credits, and needs maintenance without benefit. Models of the \
          last layer and of free folders are read by people; all others must be read by models, exposures or \
          semantic models. A test does not count as a use.",
    example: "A `models/silver/old_demand.sql` that no `ref` and no exposure names.\n\nDelete it (git keeps it), or \
              declare who reads it as an `exposure`.",
    remedy: "delete it, or declare its readers as an exposure",
};

pub(super) fn check(project: &Project<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let layers = Layers::load(parameters)?;
    let mut used = HashSet::new();
    let mut note = |found: Found| {
        if let Found::Node(at) = found {
            used.insert(at);
        }
    };
    for (at, node) in project.relations() {
        node.parents
            .iter()
            .map(|parent| parent.found)
            .filter(|found| *found != Found::Node(at))
            .for_each(&mut note);
    }
    project.mentions.iter().filter(|each| each.role == Role::Consumer).for_each(|each| note(each.found));
    // A `ref` of a variable takes its name from some text: any text equal to the name counts as a use.
    let mut named: HashMap<&str, HashSet<&str>> = HashMap::new();
    for (string, path) in project.strings() {
        if !project.named(string).is_empty() {
            named.entry(string).or_default().insert(path);
        }
    }
    let offences = project.models().filter_map(|(at, node)| {
        let (layer, folder) = layers.folder(node)?;
        let is_named =
            || named.get(node.name).is_some_and(|paths| paths.iter().any(|path| *path != node.path));
        let is_orphan = layer < layers.last() && !used.contains(&at) && !is_named();
        is_orphan
            .then(|| RULE.offence(node.path, node.span, format!("nothing uses `{}` of {folder}", node.name)))
    });
    Ok(offences.collect())
}
