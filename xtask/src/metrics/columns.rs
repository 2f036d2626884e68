//! The columns of dbt's nodes in an environment, and the catalogue by which SQL is followed from column to column.

use anyhow::Result;

use crate::core::environment::Name;
use crate::dbt::artifacts::Manifest;
use crate::dbt::lineage::Catalog;
use crate::ledger::columns::{self, Column, Columns};
use crate::warehouse::Warehouse;

/// The columns of all relations that the project builds in an environment.
pub(super) fn read(
    warehouse: &mut dyn Warehouse,
    name: &Name,
    manifest: Option<&Manifest>,
) -> Result<Columns> {
    let nodes = manifest.into_iter().flat_map(Manifest::all);
    let schemas = nodes.map(|(_, node)| node.schema.as_str()).filter(|schema| !schema.is_empty());
    columns::read(warehouse, name, schemas)
}

/// Those of a node or a source; `None` if they are not known.
pub(super) fn of<'a>(columns: &'a Columns, manifest: &Manifest, id: &str) -> Option<&'a [Column]> {
    if let Some(source) = manifest.sources.get(id) {
        let is_here =
            source.database.as_ref().is_none_or(|database| database.eq_ignore_ascii_case(&columns.database));
        return columns.get(&source.schema, &source.identifier).filter(|_| is_here);
    }
    let node = manifest.node(id)?;
    columns.get(&node.schema, node.relation())
}

/// What SQL of the project can read, with the columns that are known.
pub(super) fn catalog(columns: &Columns, manifest: &Manifest) -> Catalog {
    Catalog::new(manifest, |id| {
        let found = of(columns, manifest, id)?;
        Some(found.iter().map(|column| column.name.clone()).collect())
    })
}
