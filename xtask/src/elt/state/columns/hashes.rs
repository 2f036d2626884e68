//! Hashes of some columns of a table, row by row: the same before and after if what can only read those sees no change.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::Value as Json;

use super::super::witness::{Key, Seen, key};
use crate::state::define::short;
use crate::warehouse::{Dialect, Row, Warehouse, literal, quote};

/// Columns with their types, by name.
pub(super) type Columns = BTreeSet<(String, String)>;

/// What is known of a table without reading its rows.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) columns: Columns,
    pub(super) rows: u64,
}

impl Shape {
    /// The columns that can be read by one of `names`, which are in lower case.
    pub(super) fn named(&self, names: &BTreeSet<String>) -> Columns {
        self.columns.iter().filter(|(name, _)| names.contains(&name.to_lowercase())).cloned().collect()
    }
}

pub(super) fn shapes(warehouse: &mut dyn Warehouse, tables: &BTreeSet<Key>) -> Result<BTreeMap<Key, Shape>> {
    if tables.is_empty() {
        return Ok(BTreeMap::new());
    }
    let listed = tables.iter().map(|(schema, name)| format!("({}, {})", literal(schema), literal(name)));
    let listed = listed.collect::<Vec<_>>().join(", ");
    let sql = match warehouse.dialect() {
        Dialect::DuckDb => format!(
            "select c.schema_name as s, c.table_name as n, c.column_name as c, c.data_type || ' ' || c.is_nullable as t, \
             t.estimated_size::varchar as r from duckdb_columns() as c join duckdb_tables() as t \
             on t.database_oid = c.database_oid and t.table_oid = c.table_oid where c.database_name = current_database() \
             and (lower(c.schema_name), lower(c.table_name)) in ({listed})"
        ),
        Dialect::Snowflake => {
            let own = format!("{}.information_schema", quote(&warehouse.database()));
            format!(
                "select c.table_schema as \"s\", c.table_name as \"n\", c.column_name as \"c\", \
             c.data_type || ' ' || c.is_nullable || ' ' || coalesce(c.numeric_scale, c.datetime_precision, 0) as \"t\", \
             t.row_count::varchar as \"r\" from {own}.columns as c join {own}.tables as t \
             on t.table_schema = c.table_schema and t.table_name = c.table_name \
             where (lower(c.table_schema), lower(c.table_name)) in ({listed})"
            )
        }
    };
    let mut found: BTreeMap<Key, Shape> = BTreeMap::new();
    for row in warehouse.query(&sql)? {
        let text = |name: &str| row.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let shape = found.entry(key(&text("s"), &text("n"))).or_default();
        shape.columns.insert((text("c"), text("t")));
        // A size that is not known is too much.
        shape.rows = text("r").parse().unwrap_or(u64::MAX);
    }
    Ok(found)
}

/// For each table and some of its columns the number of rows and a hash of those columns of all rows, in any order, as
/// one token; `None` if that could not be found out.
pub(super) fn tokens(warehouse: &mut dyn Warehouse, asked: &[(&Seen, Columns)]) -> Vec<Option<String>> {
    if asked.is_empty() {
        return Vec::new();
    }
    let mut of_tables: BTreeMap<Key, (&Seen, Vec<&Columns>)> = BTreeMap::new();
    for (seen, columns) in asked {
        let (_, lists) =
            of_tables.entry(key(&seen.schema, &seen.name)).or_insert_with(|| (*seen, Vec::new()));
        if !lists.contains(&columns) {
            lists.push(columns);
        }
    }
    let dialect = warehouse.dialect();
    let statements: Vec<String> =
        of_tables.values().map(|(seen, lists)| question(seen, lists, dialect)).collect();
    let answers = warehouse.query_many(&statements).unwrap_or_else(|error| {
        // One of them has a column that cannot be hashed, say: what it holds is not known.
        tracing::debug!("{error:#}");
        statements.iter().map(|sql| warehouse.query(sql).unwrap_or_default()).collect()
    });
    let rows: BTreeMap<&Key, &Row> =
        of_tables.keys().zip(&answers).filter_map(|(table, rows)| Some((table, rows.first()?))).collect();
    let token = |(seen, columns): &(&Seen, Columns)| {
        let table = key(&seen.schema, &seen.name);
        let (row, (_, lists)) = (rows.get(&table)?, of_tables.get(&table)?);
        let at = lists.iter().position(|list| *list == columns)?;
        let (number, hash) = (row.get("n")?, row.get(&format!("h{at}"))?);
        let said: Vec<String> = columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        Some(short(format!("{} {number} {hash}", said.join(","))))
    };
    asked.iter().map(token).collect()
}

/// One pass over a table for all `lists` of its columns.
fn question(seen: &Seen, lists: &[&Columns], dialect: Dialect) -> String {
    let hash = |(at, columns): (usize, &&Columns)| {
        let list = columns.iter().map(|(name, _)| quote(name)).collect::<Vec<_>>().join(", ");
        let hash = match dialect {
            _ if columns.is_empty() => "''".to_owned(),
            Dialect::DuckDb => format!("concat_ws(' ', sum(hash({list})), bit_xor(hash({list})))"),
            Dialect::Snowflake => format!("hash_agg({list})::varchar"),
        };
        format!("{hash} as {}", quote(&format!("h{at}")))
    };
    let hashes: Vec<String> = lists.iter().enumerate().map(hash).collect();
    format!(
        "select count(*)::varchar as \"n\", {} from {}.{} as \"t\"",
        hashes.join(", "),
        quote(&seen.schema),
        quote(&seen.name)
    )
}
