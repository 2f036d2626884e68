//! The layers of a project: folders that data flows through in one direction. One definition for all rules,
//! in the parameters of `layer-order`.

use anyhow::Result;
use serde::Deserialize;

use super::layer_order;
use crate::dbt::graph::{Kind, Node, Project};
use crate::lint::rule::Parameters;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Layers {
    /// From the first to the last; each with the names that its folder may have.
    layers: Vec<Vec<String>>,
    /// Folders outside that order: they may read any layer, and no layer reads them.
    free: Vec<String>,
}

impl Default for Layers {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            layers: vec![
                names(&["bronze", "staging"]),
                names(&["silver", "intermediate"]),
                names(&["gold", "marts"]),
            ],
            free: names(&["monitoring"]),
        }
    }
}

impl Layers {
    pub(super) fn load(parameters: &Parameters) -> Result<Self> {
        parameters.of(&layer_order::RULE)
    }

    /// The index of a model's layer; `None` for nodes outside every layer and nodes that are not models.
    pub(super) fn of(&self, node: &Node<'_>) -> Option<usize> {
        self.folder(node).map(|(layer, _)| layer)
    }

    /// The same with the folder's name. The outermost folder that is a layer counts.
    pub(super) fn folder<'n>(&self, node: &Node<'n>) -> Option<(usize, &'n str)> {
        if node.kind != Kind::Model || self.is_free(node) {
            return None;
        }
        node.folders.iter().find_map(|&folder| {
            let layer = self.layers.iter().position(|names| names.iter().any(|name| name == folder))?;
            Some((layer, folder))
        })
    }

    pub(super) fn is_free(&self, node: &Node<'_>) -> bool {
        node.folders.iter().any(|folder| self.free.iter().any(|name| name == folder))
    }

    pub(super) fn last(&self) -> usize {
        self.layers.len().saturating_sub(1)
    }

    /// The folders that the project has of each layer.
    pub(super) fn present<'p>(&self, project: &'p Project<'_>) -> Vec<Option<&'p str>> {
        let mut present = vec![None; self.layers.len()];
        for (_, node) in project.models() {
            if let Some((layer, folder)) = self.folder(node) {
                present[layer].get_or_insert(folder);
            }
        }
        present
    }
}
