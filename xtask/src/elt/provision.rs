//! What is made before dbt writes anything: the environment, its further schemas, and the folder of external models.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};

use super::on_actions;
use crate::core::environment::Name;
use crate::dbt::boundary::{Boundary, Intended};
use crate::warehouse::{Statement, Warehouse};

pub(super) fn provision(
    change: &[Statement],
    is_new: bool,
    schema: &Name,
    warehouse: &mut dyn Warehouse,
) -> Result<()> {
    warehouse.apply(change).with_context(|| format!("failed to provision {schema}"))?;
    on_actions::provisioned(is_new)
}

/// Make the further schemas that dbt is going to write the environment's own by the statements `claimed`, and see that
/// they are.
pub(super) fn claim(
    schema: &Name,
    further: &BTreeSet<String>,
    claimed: &[Statement],
    warehouse: &mut dyn Warehouse,
) -> Result<()> {
    if claimed.is_empty() {
        return Ok(());
    }
    warehouse.apply(claimed).with_context(|| format!("failed to make the schemas of {schema}"))?;
    // Another run may have made one of them for its environment in the meantime: then this is refused.
    let left = warehouse.claim(schema, further)?;
    if !left.is_empty() {
        bail!("the schemas of {schema} were changed while they were made; run this again");
    }
    Ok(())
}

/// The last moment before dbt writes: everything that it is going to write is in the environment.
pub(super) fn allow(boundary: &Boundary, intended: &[Intended]) -> Result<()> {
    let outside = boundary.outside(intended);
    if !outside.is_empty() {
        bail!(boundary.refusal(&outside));
    }
    if let Some((folder, _)) = &boundary.files
        && intended.iter().any(Intended::is_external)
    {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to create {}, for external models", folder.display()))?;
    }
    Ok(())
}
