//! The statements that make an environment, complete one that was cut short, and drop one.

use anyhow::{Result, bail};
use thiserror::Error;

use super::registry::{forget, registry};
use super::state::{Missing, State, missing};
use super::{MARK, Mark, Origin, Owner, is_ledger, ledger, owner, tables};
use crate::core::clock;
use crate::core::environment::{Droppable, Name};
use crate::warehouse::{Statement, Table, Warehouse, literal};

#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum NotOurs {
    #[error(
        "the schema {0} exists, holds {1} relations and carries no ownership mark, so it was not made by this \
         toolkit; choose another name, or take it over with `cargo xtask schema create --schema {0} --adopt`"
    )]
    Unmarked(Name, usize),
    #[error(
        "the schema {0} carries the ownership mark of {1:?}, so it is a copy or was renamed; choose another name"
    )]
    MarkedForAnother(Name, String),
    #[error(
        "the schema {0} is a part of the environment {1}, which keeps the data of `+schema` in it; choose another name"
    )]
    PartOfAnother(Name, String),
}

/// What a command takes over that is not this project's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Adopt<'a> {
    /// A schema without a mark.
    pub(crate) unmarked: bool,
    /// An environment of the project of this name, as a refusal shows it.
    pub(crate) from: Option<&'a str>,
}

/// How much of an environment a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The schema with its mark and its entry: what a drop, a list and a copy use.
    Environment,
    /// The tables that a run is recorded in as well.
    Ledger,
}

/// The statements that complete `name` as an environment of ours, whatever of it exists already; none if
/// all of it does. This is the one way to make or repair an environment: every command that writes calls
/// it first, so a state that a killed command left is completed by the next one.
///
/// Another person's schema is not taken over silently: that would make it droppable.
pub(crate) fn ensure(
    warehouse: &mut dyn Warehouse,
    name: &Name,
    state: &State,
    origin: &Origin,
    need: Need,
    adopt: Adopt<'_>,
) -> Result<Vec<Statement>> {
    refuse_other(warehouse, name, state, adopt)?;
    let mut change = if state.is_provisioned(name) {
        // The policy may have changed since.
        warehouse.grant(name, state.comment_text.as_deref(), false)
    } else {
        provision(warehouse, name, state, origin, adopt)?
    };
    if need == Need::Ledger && !state.has_ledger() {
        for statement in warehouse.provision_ledger(name) {
            // An engine that makes all tables in one call has them in the change already.
            if !change.contains(&statement) {
                change.push(statement);
            }
        }
    }
    Ok(change)
}

/// An environment of another project is left alone, unless the command names that project.
fn refuse_other(warehouse: &dyn Warehouse, name: &Name, state: &State, adopt: Adopt<'_>) -> Result<()> {
    match (&state.other, adopt.from) {
        (None, None) => Ok(()),
        (Some(other), Some(from)) if other.to_string() == from => Ok(()),
        (Some(other), _) => bail!(owner::refusal(warehouse, name, other)),
        (None, Some(from)) => bail!(
            "--adopt-from {from}: the environment {name} of {} belongs to no other project; leave the option out",
            warehouse.describe()
        ),
    }
}

fn provision(
    warehouse: &mut dyn Warehouse,
    name: &Name,
    state: &State,
    origin: &Origin,
    adopt: Adopt<'_>,
) -> Result<Vec<Statement>> {
    let is_half_copied = state.is_half_copied(name);
    if let Some(mark) = &state.mark
        && mark.schema_name != name.as_str()
        && !is_half_copied
    {
        return Err(NotOurs::MarkedForAnother(name.clone(), mark.schema_name.clone()).into());
    }
    if let Some(mark) = &state.mark {
        refuse_newer(mark)?;
    }
    if let Some(whole) = state.part_of(name) {
        return Err(NotOurs::PartOfAnother(name.clone(), whole.to_owned()).into());
    }
    let strangers = state.relations.iter().flatten().filter(|relation| !is_ledger(relation)).count();
    if state.mark.is_none() && strangers > 0 && !adopt.unmarked && !is_half_copied {
        return Err(NotOurs::Unmarked(name.clone(), strangers).into());
    }
    if state.relations.is_none()
        && state.has_registry
        && let Some(other) = warehouse.other_further(name)?
    {
        let other = Owner { project: Some(other), ..Owner::default() };
        bail!(owner::refusal(warehouse, name, &other));
    }
    let base = origin.base.as_ref().filter(|base| state.relations.is_none() && *base != name);
    let (base, made) = begin(warehouse, name, base)?;
    // A copy that was cut short: its mark still names the base that it was copied from.
    let copied_from: Option<Name> = match &state.mark {
        Some(mark) if is_half_copied => mark.schema_name.parse().ok(),
        _ => None,
    };
    let mut change = if state.has_registry { Vec::new() } else { warehouse.provision_registry() };
    change.extend(made);
    if is_half_copied {
        change.extend(warehouse.complete_copy(name, copied_from.as_ref())?);
    }
    if state.relations.is_some() {
        change.extend(warehouse.comment(name, state.comment_text.as_deref()));
    }
    change.extend(warehouse.grant(name, state.comment_text.as_deref(), true));
    if state.other.is_some() {
        change.extend(warehouse.adopt_further(name)?);
    }
    // A copy has its base's tables, as old as they are.
    let mut lacking = state.missing.clone();
    if let Some(base) = base {
        let of_base = missing(warehouse, &[base.as_str()])?;
        lacking.extend(of_base.into_iter().map(|each| Missing { schema: name.to_string(), ..each }));
    }
    change.extend(migrate(warehouse, name, state, &lacking));
    change.extend(marking(warehouse, name, state, base.or(copied_from.as_ref()), origin)?);
    Ok(change)
}

/// What brings a ledger that exists to this toolkit's version. It can be cut short and begun again: the
/// version is written last.
pub(super) fn migrate(
    warehouse: &dyn Warehouse,
    name: &Name,
    state: &State,
    missing: &[Missing],
) -> Vec<Statement> {
    let added = missing.iter();
    let mut change: Vec<Statement> =
        added.map(|each| add_column(warehouse, &each.schema, each.table, &each.column)).collect();
    if state.is_ours(name) && !(state.is_current() && state.is_attributed) {
        let owner = warehouse.ours().recorded(state.mark.as_ref().map(|mark| &mark.owner));
        let value = |(column, value): (&str, Option<&str>)| {
            format!(", {column} = {}", value.map_or_else(|| "null".to_owned(), literal))
        };
        let owner: String = owner.columns().map(value).concat();
        for table in [ledger(name.as_str(), MARK), registry()] {
            change.push(Statement::sql(format!(
                "update {} set ledger_version = {}{owner} where schema_name = {}",
                warehouse.qualified(&table),
                tables::VERSION,
                literal(name.as_str())
            )));
        }
    }
    change
}

/// The statements that make the schema, and the base that it starts as a copy of; without one it is plain.
fn begin<'a>(
    warehouse: &mut dyn Warehouse,
    name: &Name,
    base: Option<&'a Name>,
) -> Result<(Option<&'a Name>, Vec<Statement>)> {
    if let Some(base) = base {
        if let Some(other) = other_of_base(warehouse, base)? {
            bail!("{name} is not made: {}", owner::refusal(warehouse, base, &other));
        }
        if let Some(copied) = warehouse.copy(base, name)? {
            return Ok((Some(base), copied));
        }
        tracing::info!("the base {base} does not exist, so the environment starts empty");
    }
    Ok((None, warehouse.provision(name)))
}

/// The project that a base belongs to, if that is another one.
fn other_of_base(warehouse: &mut dyn Warehouse, base: &Name) -> Result<Option<Owner>> {
    if warehouse.ours().is_alone { Ok(None) } else { Ok(State::read(warehouse, base)?.other) }
}

/// The mark in the schema and the entry in the registry, last: what has no mark yet is not ours.
fn marking(
    warehouse: &dyn Warehouse,
    name: &Name,
    state: &State,
    base: Option<&Name>,
    origin: &Origin,
) -> Result<Vec<Statement>> {
    let mut change = Vec::new();
    let mark = match &state.mark {
        Some(mark) if state.is_ours(name) => {
            Mark { owner: warehouse.ours().recorded(Some(&mark.owner)), ..mark.clone() }
        }
        foreign => {
            let mark = new_mark(name, base, origin, warehouse.ours().owner.clone());
            let table = ledger(name.as_str(), MARK);
            if foreign.is_some() || base.is_some() {
                change.push(Statement::sql(format!("delete from {}", warehouse.qualified(&table))));
            }
            change.push(Statement::insert(table, std::slice::from_ref(&mark))?);
            mark
        }
    };
    // The schema may have been dropped without our knowledge and created again: the entry follows the mark.
    if state.registered && !state.is_ours(name) {
        change.push(forget(warehouse, name));
    }
    if !state.registered || !state.is_ours(name) {
        change.push(Statement::insert(registry(), std::slice::from_ref(&mark))?);
    }
    Ok(change)
}

pub(super) fn new_mark(name: &Name, base: Option<&Name>, origin: &Origin, owner: Owner) -> Mark {
    Mark {
        schema_name: name.to_string(),
        kind: name.kind().label().to_owned(),
        base: base.map(Name::to_string),
        issue_number: name.number(),
        object_name: origin.object_name.clone(),
        created_at: clock::now(),
        created_by: origin.created_by.clone(),
        toolkit_version: env!("CARGO_PKG_VERSION").to_owned(),
        ledger_version: Some(tables::VERSION),
        owner,
    }
}

/// The only statements that drop a schema.
pub(crate) fn drop_environment(warehouse: &mut dyn Warehouse, doomed: &Droppable) -> Result<Vec<Statement>> {
    let mut change = warehouse.drop_schemas(doomed)?;
    change.push(forget(warehouse, doomed.name()));
    Ok(change)
}

/// The statement that adds a column to a table that exists. Always without a constraint: the rows that
/// are there have no value for it.
fn add_column(
    warehouse: &dyn Warehouse,
    schema: &str,
    table: &'static str,
    column: &tables::Column,
) -> Statement {
    Statement::sql(format!(
        "alter table {} add column if not exists {} {}",
        warehouse.qualified(&Table::new(schema, table)),
        warehouse.column(column.name),
        column.kind.sql(warehouse.timestamp_type())
    ))
}

/// Refuse to write to what a newer toolkit has written: this one would leave out what it does not know.
pub(crate) fn refuse_newer(mark: &Mark) -> Result<()> {
    let version = mark.ledger_version.unwrap_or(0);
    if version > tables::VERSION {
        bail!(
            "the ledger of {} has version {version}, written by a newer toolkit, and this one ({}) knows versions up \
             to {}; update the toolkit (`git pull`, or `cargo xtask upgrade`) and run this again",
            mark.schema_name,
            env!("CARGO_PKG_VERSION"),
            tables::VERSION
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_ledger_is_refused_with_advice() {
        let mark = |version| Mark { ledger_version: version, ..crate::ledger::tests::mark("issue_1") };
        assert!(refuse_newer(&mark(None)).is_ok() && refuse_newer(&mark(Some(tables::VERSION))).is_ok());
        let said = refuse_newer(&mark(Some(tables::VERSION + 1))).expect_err("refused").to_string();
        assert!(said.contains("issue_1") && said.contains("update the toolkit"), "{said}");
    }
}
