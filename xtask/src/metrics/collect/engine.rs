//! What the engine itself knows of queries, storage and cost; on DuckDB the ledger does.

use std::collections::BTreeSet;

use anyhow::Result;

use super::found::{Found, LEDGER_QUERIES, LEDGER_RELATIONS, Request};
use super::ledger::Ledger;
use super::shape::Shape;
use crate::metrics::figures::{self, Log};
use crate::metrics::model::{Cost, NodeCost, Relation, Status, Storage, Table};
use crate::metrics::{snowflake, sql};
use crate::warehouse::Warehouse;

/// The bytes of each environment, as its latest run measured them.
pub(super) fn storage(relations: &[Relation], empty: Option<&'static str>) -> Table<Storage> {
    let environments: BTreeSet<&str> =
        relations.iter().map(|relation| relation.environment.as_str()).collect();
    let of = |environment: &str| {
        let tables: Vec<&Relation> = relations
            .iter()
            .filter(|relation| relation.environment == environment && relation.relation_type == "table")
            .collect();
        let known: Vec<i64> = tables.iter().filter_map(|table| table.storage_bytes).collect();
        Storage {
            environment: environment.to_owned(),
            active_bytes: (!known.is_empty()).then(|| known.iter().sum()),
            time_travel_bytes: None,
            fail_safe_bytes: None,
            clone_retained_bytes: None,
            tables: figures::count(tables.len()),
            unmeasured_tables: figures::count(tables.len() - known.len()),
        }
    };
    let rows = environments.into_iter().map(of).collect();
    Shape { empty, source: LEDGER_RELATIONS }.of(rows, "no run has measured a relation yet")
}

/// The data of the engine itself, or on DuckDB of the ledger.
pub(super) struct Engine {
    pub(super) log: Log,
    pub(super) log_before: Option<Log>,
    pub(super) storage: Table<Storage>,
    pub(super) storage_before: Option<Table<Storage>>,
    pub(super) cost: Table<Cost>,
    pub(super) node_cost: Table<NodeCost>,
    pub(super) warehouse_cost: Table<Cost>,
}

pub(super) fn engine(
    warehouse: &mut dyn Warehouse,
    request: &Request<'_>,
    found: &Found,
    read: &mut Ledger,
) -> Result<Engine> {
    let names = &found.environments;
    if sql::keeps_log(warehouse) && !names.is_empty() {
        let (cost, warehouse_cost) = snowflake::cost(warehouse, request, names)?;
        return Ok(Engine {
            log: snowflake::log(warehouse, request, names)?,
            log_before: None,
            storage: snowflake::storage(warehouse, names)?,
            storage_before: None,
            cost,
            node_cost: snowflake::cost_by_node(warehouse, request, names)?,
            warehouse_cost,
        });
    }
    let empty = names.is_empty().then_some(figures::NO_ENVIRONMENT);
    let (log, log_before) = read.logs.take().unwrap_or((Log::new(LEDGER_QUERIES), Log::new(LEDGER_QUERIES)));
    Ok(Engine {
        log,
        log_before: Some(log_before),
        storage: storage(&read.now.relations, empty),
        storage_before: Some(storage(&read.before.relations, empty)),
        cost: no_cost(),
        node_cost: no_cost(),
        warehouse_cost: no_cost(),
    })
}

/// A table of the query log, which may be known only in part.
pub(super) fn of_log<T>(log: &Log, empty: Option<&'static str>, rows: Vec<T>) -> Table<T> {
    let table = Shape { empty, source: log.source }.of(rows, "no query ran in the window");
    if log.status == Status::Ok || table.rows.is_empty() {
        return table;
    }
    Table { status: log.status, reason: log.reason.clone(), ..table }
}

pub(super) fn not_supported<T>(source: &str, reason: &str) -> Table<T> {
    Table {
        status: Status::NotSupported,
        source: source.to_owned(),
        reason: Some(reason.to_owned()),
        rows: Vec::new(),
    }
}

pub(super) fn no_cost<T>() -> Table<T> {
    not_supported("none", "DuckDB runs on your own machine and bills nothing")
}

/// Storage at an earlier time: Snowflake has no view of it, but the history has its figures.
pub(super) fn unknown_storage() -> Table<Storage> {
    not_supported("none", "only the current value is available")
}
