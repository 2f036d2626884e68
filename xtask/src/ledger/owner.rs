//! Which dbt project an environment belongs to, by its mark, the registry, and what its ledger knows.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use serde::Deserialize;

use super::{Mark, Owner, ledger, registry};
use crate::core::environment::{Name, REGISTRY};
use crate::warehouse::{self, Warehouse, literal};

/// What is recorded of the project of an environment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recorded<'a> {
    /// In the environment, unless the mark there is still that of a base.
    pub(super) mark: Option<&'a Mark>,
    pub(super) entry: Option<&'a Mark>,
    /// By the schema's comment.
    pub(super) comment: Option<&'a str>,
    pub(super) has_nodes: bool,
}

/// The project that the environment `name` belongs to, if that is another one than this command works for.
pub(super) fn other(
    warehouse: &mut dyn Warehouse,
    name: &Name,
    recorded: Recorded<'_>,
) -> Result<Option<Owner>> {
    let ours = warehouse.ours().clone();
    let marks = [recorded.mark, recorded.entry];
    if let Some(mark) = marks.into_iter().flatten().find(|mark| ours.is_other(&mark.owner)) {
        return Ok(Some(mark.owner.clone()));
    }
    if ours.is_alone {
        return Ok(None);
    }
    if recorded.mark.is_none() {
        // Its making was cut short.
        let project = recorded.comment.map(str::to_owned);
        let commented = Owner { project, ..Owner::default() };
        return Ok(Some(commented).filter(|owner| ours.is_other(owner)));
    }
    if marks.into_iter().flatten().any(|mark| mark.owner.project.is_some()) || !recorded.has_nodes {
        return Ok(None);
    }
    let found = packages(warehouse, &[name.as_str()])?;
    Ok(found.get(name.as_str()).and_then(|packages| ours.other_of(packages)))
}

/// The packages of the seeds, models and snapshots that the ledgers in `schemas` know.
pub(super) fn packages(
    warehouse: &mut dyn Warehouse,
    schemas: &[&str],
) -> Result<BTreeMap<String, BTreeSet<String>>> {
    #[derive(Deserialize)]
    struct Found {
        of_schema: String,
        package: String,
    }
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    if schemas.is_empty() {
        return Ok(all);
    }
    let select = |schema: &&str| {
        let nodes = warehouse.qualified(&ledger(schema, "ledger_nodes"));
        // Identifiers of runs ascend. Two projects that built here in turns have removed each other's nodes.
        format!(
            "select distinct {} as of_schema, split_part(node_id, '.', 2) as package from (select node_id, \
             max_by(status, run_id) as status from {nodes} where kind in ('model', 'seed', 'snapshot') group by node_id) \
             as known where status <> '{}'",
            literal(schema),
            super::REMOVED
        )
    };
    let sql = schemas.iter().map(select).collect::<Vec<_>>().join("\nunion all\n");
    for Found { of_schema, package } in warehouse::records(warehouse, &sql)? {
        all.entry(of_schema).or_default().insert(package);
    }
    Ok(all)
}

/// Those of the environments `marks` that belong to other projects. `has_nodes` says which have a ledger of nodes.
pub(crate) fn others(
    warehouse: &mut dyn Warehouse,
    marks: &[Mark],
    has_nodes: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Owner>> {
    let ours = warehouse.ours().clone();
    if ours.is_alone {
        return Ok(BTreeMap::new());
    }
    let unowned = |mark: &&Mark| mark.owner.project.is_none() && has_nodes(&mark.schema_name);
    let unowned: Vec<&str> = marks.iter().filter(unowned).map(|mark| mark.schema_name.as_str()).collect();
    let packages = packages(warehouse, &unowned)?;
    let other = |mark: &Mark| {
        let name = mark.schema_name.clone();
        let recorded = Some(&mark.owner).filter(|owner| ours.is_other(owner)).cloned();
        let other = recorded.or_else(|| packages.get(&name).and_then(|packages| ours.other_of(packages)))?;
        Some((name, other))
    };
    Ok(marks.iter().filter_map(other).collect())
}

/// Refuse at once, before any lock is taken, what the registry says belongs to another project. The lock's holder asks
/// again, and looks at the marks.
pub(crate) fn refuse_others<'a>(
    warehouse: &mut dyn Warehouse,
    names: impl IntoIterator<Item = &'a Name>,
) -> Result<()> {
    if warehouse.ours().is_alone || !warehouse.keeps_comments() {
        return Ok(());
    }
    let tables = warehouse.relation_names(REGISTRY)?.unwrap_or_default();
    if !tables.iter().any(|table| table == "environments") {
        return Ok(());
    }
    for name in names {
        if let Some(entry) = registry::entry(warehouse, name)?
            && warehouse.ours().is_other(&entry.owner)
        {
            bail!(refusal(warehouse, name, &entry.owner));
        }
    }
    Ok(())
}

/// Why nothing is done to the environment `name`, and what can be done.
pub(crate) fn refusal(warehouse: &dyn Warehouse, name: &Name, other: &Owner) -> String {
    let owner = &warehouse.ours().owner;
    let this = match &owner.project {
        Some(_) => format!("this is the project {owner}"),
        None => "the project of this command is unknown: run it in the folder of one, or name that with --project-dir"
            .to_owned(),
    };
    let apart = if warehouse.keeps_comments() {
        "give each project a database: [snowflake.databases] in policies/environments.toml for projects of one \
         repository, SNOWFLAKE_DATABASE for repositories"
    } else {
        "give each project a file: leave DBT_DUCKDB_PATH out, or let it name another file"
    };
    let fork = if owner.project == other.project && owner.repository_id.is_none() {
        " If this repository is a fork of that one, name that as a remote: git remote add upstream URL."
    } else {
        ""
    };
    format!(
        "the environment {name} of {} belongs to the dbt project {other}, and {this}; nothing was changed. Build under \
         another name, or {apart}.{fork} If it is the same project under a new name, take its environment over: \
         cargo xtask schema create --schema {name} --adopt-from '{other}'",
        warehouse.describe()
    )
}
