//! What is known of one environment: its schema, its mark, its entry, and what its tables lack.

use std::collections::BTreeSet;

use anyhow::Result;

use super::owner::{self, Recorded};
use super::provision::new_mark;
use super::{MARK, Mark, Origin, Owner, has_nodes, holds_ledger, ledger, registry, tables};
use crate::core::environment::{self, Comment, Droppable, Evidence, Name, REGISTRY, Refusal};
use crate::core::ledger::TABLES;
use crate::warehouse::snowflake::{marked_for, project_of};
use crate::warehouse::{self, Contents, Warehouse};

/// What is known of an environment before anything is done to it.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// `None` if the schema does not exist, else what it contains.
    pub(crate) relations: Option<Vec<String>>,
    pub(crate) mark: Option<Mark>,
    /// The half of the mark that is attached to the schema; `None` if the engine keeps none.
    pub(crate) comment: Option<CommentMark>,
    /// The schema's comment as it is.
    pub(crate) comment_text: Option<String>,
    pub(crate) registered: bool,
    /// Whether the registry has all its tables.
    pub(crate) has_registry: bool,
    /// Columns that this toolkit writes and that tables which exist do not have.
    pub(crate) missing: Vec<Missing>,
    /// The dbt project that it belongs to, if that is another one than this command works for.
    pub(crate) other: Option<Owner>,
    /// Whether the mark and the registry name this project as it is.
    pub(crate) is_attributed: bool,
}

/// A column that a table which exists does not have yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) schema: String,
    pub(crate) table: &'static str,
    pub(crate) column: tables::Column,
}

/// The environment that a schema's comment names, if it is one of ours.
pub(crate) type CommentMark = Option<String>;

impl State {
    pub(crate) fn read(warehouse: &mut dyn Warehouse, name: &Name) -> Result<Self> {
        let mut found = warehouse.contents(&[name.as_str(), REGISTRY])?;
        let registry_tables = found.remove(REGISTRY).unwrap_or_default().relations;
        let contents = found.remove(name.as_str());
        let comment = comment_mark(warehouse, contents.as_ref());
        let comment_text = contents.as_ref().and_then(|contents| contents.comment.clone());
        let relations = contents.map(|contents| contents.relations);
        let mark: Option<Mark> = if relations.iter().flatten().any(|relation| relation == MARK) {
            let sql = format!("select * from {}", warehouse.qualified(&ledger(name.as_str(), MARK)));
            warehouse::records(warehouse, &sql)?.into_iter().next()
        } else {
            None
        };
        let has = |table: &str| registry_tables.iter().any(|other| other == table);
        let entry = if has("environments") { registry::entry(warehouse, name)? } else { None };
        let commented = comment_text.as_deref().and_then(project_of);
        let recorded = Recorded {
            mark: mark.as_ref().filter(|mark| mark.schema_name == name.as_str()),
            entry: entry.as_ref(),
            comment: commented.as_deref(),
            has_nodes: has_nodes(relations.as_deref().unwrap_or_default()),
        };
        let other = owner::other(warehouse, name, recorded)?;
        let ours = warehouse.ours();
        let is_attributed = other.is_none()
            && [recorded.mark, recorded.entry]
                .into_iter()
                .flatten()
                .all(|mark| ours.owner.project.is_none() || ours.recorded(Some(&mark.owner)) == mark.owner);
        let registered = entry.is_some();
        let has_registry = has("environments") && has("condemned");
        let mut state = Self {
            relations,
            mark,
            comment,
            comment_text,
            registered,
            has_registry,
            missing: Vec::new(),
            other,
            is_attributed,
        };
        let is_there = state.relations.is_some() || !registry_tables.is_empty();
        if is_there && (warehouse.looks_are_free() || !state.is_current()) {
            state.missing = missing(warehouse, &[name.as_str(), REGISTRY])?;
        }
        warehouse.leave_registry();
        Ok(state)
    }

    /// The state of an environment that is known to be whole.
    pub(crate) fn whole(warehouse: &dyn Warehouse, name: &Name) -> Self {
        Self {
            relations: Some(TABLES.iter().map(|table| (*table).to_owned()).collect()),
            mark: Some(new_mark(name, None, &Origin::default(), warehouse.ours().owner.clone())),
            comment: warehouse.keeps_comments().then(|| Some(name.to_string())),
            comment_text: None,
            registered: true,
            has_registry: true,
            missing: Vec::new(),
            other: None,
            is_attributed: true,
        }
    }

    /// Whether the mark says that the ledger is of this toolkit's version.
    pub(super) fn is_current(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.ledger_version == Some(tables::VERSION))
    }

    /// Whether the environment is ours and whole, so that its ledger can be read.
    pub(crate) fn is_ours(&self, name: &Name) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.schema_name == name.as_str())
    }

    /// Whether there is nothing left to make of it.
    pub(crate) fn is_provisioned(&self, name: &Name) -> bool {
        let is_commented =
            self.comment.as_ref().is_none_or(|marked| marked.as_deref() == Some(name.as_str()));
        let is_made = self.is_ours(name) && is_commented && self.registered && self.has_registry;
        is_made && self.missing.is_empty() && self.is_current() && self.is_attributed
    }

    /// Whether the making of the schema was cut short: it carries our comment for `name`, which comes first,
    /// and not its own mark, which comes last. A schema that only lost its mark is still registered.
    pub(super) fn is_half_copied(&self, name: &Name) -> bool {
        let is_commented =
            self.comment.as_ref().is_some_and(|marked| marked.as_deref() == Some(name.as_str()));
        is_commented && !self.is_ours(name) && (self.mark.is_some() || !self.registered)
    }

    /// The environment that the schema is a further one of: `issue_42` of `issue_42_raw`, by its comment.
    pub(super) fn part_of(&self, name: &Name) -> Option<&str> {
        let whole = self.comment.as_ref()?.as_deref().filter(|_| self.mark.is_none())?;
        environment::is_named_after(name.as_str(), whole).then_some(whole)
    }

    /// Whether a run can be recorded in it, and the runs of earlier ones read.
    pub(crate) fn has_ledger(&self) -> bool {
        holds_ledger(self.relations.as_deref().unwrap_or_default())
    }

    pub(crate) fn prove_droppable(&self, name: Name) -> Result<Droppable, Refusal> {
        let marked_for = self.mark.as_ref().map(|mark| mark.schema_name.as_str());
        let comment = evidence(self.comment.as_ref());
        let other = self.other.as_ref().map(ToString::to_string);
        let registered = self.registered;
        environment::prove_droppable(
            name,
            Evidence { marked_for, comment, registered, other: other.as_deref() },
        )
    }
}

/// The columns that this toolkit knows and that the ledgers in `schemas` do not have.
pub(crate) fn missing(warehouse: &mut dyn Warehouse, schemas: &[&str]) -> Result<Vec<Missing>> {
    let known = tables::LEDGER.iter().chain(&tables::REGISTRY);
    let names: Vec<&str> = known.map(|definition| definition.name).collect();
    let found = warehouse.columns(schemas, Some(&names))?;
    let of_schema = |(schema, columns): (&String, &BTreeSet<(String, String)>)| -> Vec<Missing> {
        let definitions: &[tables::Definition] =
            if schema == REGISTRY { &tables::REGISTRY } else { &tables::LEDGER };
        let lacking = tables::missing(definitions, columns).into_iter();
        lacking.map(|(table, column)| Missing { schema: schema.clone(), table, column: *column }).collect()
    };
    Ok(found.iter().flat_map(of_schema).collect())
}

pub(super) fn evidence(comment: Option<&CommentMark>) -> Comment<'_> {
    match comment {
        None => Comment::Unsupported,
        Some(None) => Comment::Absent,
        Some(Some(marked)) => Comment::For(marked),
    }
}

pub(super) fn comment_mark(warehouse: &dyn Warehouse, contents: Option<&Contents>) -> Option<CommentMark> {
    warehouse.keeps_comments().then(|| contents.and_then(|contents| marked_for(contents.comment.as_deref()?)))
}
