//! What the ledger beside the data and the registry of environments consist of: their tables and records.
//!
//! State lives with the data: what an environment contains is recorded in tables of its schema, so a
//! clone includes it and a runner's disk holds nothing that matters. How they are read and written is above the
//! warehouse, in `ledger`.

mod owner;
mod records;
pub(crate) mod tables;
mod tags;

pub(crate) use self::owner::{Ours, Owner};
pub(crate) use self::records::{Mark, MeasuredRelation, Node, Origin, REMOVED, Run, Status};
pub(crate) use self::tags::{query_tag, tag_in};

/// The table that holds the ownership mark.
pub(crate) const MARK: &str = "ledger_environment";

pub(crate) const TABLES: [&str; 5] =
    [MARK, "ledger_runs", "ledger_nodes", "ledger_queries", "ledger_relations"];

/// Whether a relation is the table of the ownership mark.
pub(crate) fn is_mark(relation: &str) -> bool {
    relation == MARK
}

/// Whether the names of a schema's relations include all tables of the ledger, so that it can be read.
pub(crate) fn holds_ledger(relations: &[String]) -> bool {
    TABLES.iter().all(|table| relations.iter().any(|relation| relation == table))
}

/// Whether a relation belongs to the ledger and not to the project.
pub(crate) fn is_ledger(relation: &str) -> bool {
    relation == STATE || relation == WRITE_ATTEMPT || TABLES.contains(&relation)
}

/// The table that proves that a role may write; it remains only if a command is killed while it tries.
pub(crate) const WRITE_ATTEMPT: &str = "ledger_write_attempt";

/// The table that keeps what each node was last made from. It is made when the first run ends.
pub(crate) const STATE: &str = "ledger_state";

/// Whether the relations of a schema include the nodes of its ledger.
pub(crate) fn has_nodes(relations: &[String]) -> bool {
    let has = |table: &str| relations.iter().any(|relation| relation == table);
    has(MARK) && has("ledger_nodes")
}
