//! What the warehouse holds, as tokens that change whenever it does.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::state::define::short;
use crate::system::digest::Digest;
use crate::warehouse::duckdb::{BYTES, together};
use crate::warehouse::{Row, TableSize, Warehouse, literal, quote};

/// Schema and name, both in lower case.
pub(super) type Key = (String, String);

pub(super) fn key(schema: &str, name: &str) -> Key {
    (schema.to_lowercase(), name.to_lowercase())
}

/// A relation that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// As the warehouse spells them.
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) is_view: bool,
    /// Another one whenever the relation is; `None` if it could not be read.
    pub(super) witness: Option<String>,
    /// Of a view: its text, the same in each environment; `None` if the warehouse does not give it.
    pub(super) text: Option<String>,
    /// Of a table of DuckDB, where its witness depends on its rows.
    #[serde(skip)]
    pub(super) size: Option<TableSize>,
}

/// Those of `wanted` that exist.
pub(super) fn witnesses(
    warehouse: &mut dyn Warehouse,
    wanted: &BTreeSet<(String, String)>,
) -> Result<BTreeMap<Key, Seen>> {
    let schemas: BTreeSet<String> =
        wanted.iter().map(|(schema, _)| literal(&schema.to_lowercase())).collect();
    if schemas.is_empty() {
        return Ok(BTreeMap::new());
    }
    let listed = schemas.into_iter().collect::<Vec<_>>().join(", ");
    let is_local = warehouse.target() == "local";
    let sql = if is_local {
        // The text of a table holds its constraints.
        format!(
            "select schema_name as s, table_name as n, false as is_view, \
             md5(replace(sql, schema_name || '.', '') || coalesce(comment, '') || index_count \
             || coalesce(said, '')) as witness, null as text from duckdb_tables() as t left join \
             (select table_oid as oid, string_agg(column_name || ' ' || comment, ';' order by column_index) as said \
             from duckdb_columns() where database_name = current_database() and comment is not null \
             group by table_oid) as c on c.oid = t.table_oid \
             where database_name = current_database() and lower(schema_name) in ({listed}) \
             union all \
             select schema_name, view_name, true, md5(sql || coalesce(comment, '')), \
             md5(replace(sql, schema_name, chr(1))) from duckdb_views() \
             where database_name = current_database() and lower(schema_name) in ({listed})"
        )
    } else {
        format!(
            "select table_schema as \"s\", table_name as \"n\", table_type like '%VIEW%' as \"is_view\", \
             to_varchar(last_altered) || '|' || coalesce(to_varchar(last_ddl), '') as \"witness\" \
             from {}.information_schema.tables where lower(table_schema) in ({listed})",
            quote(&warehouse.database())
        )
    };
    let text = |row: &Row, key: &str| row.get(key).and_then(Json::as_str).map(str::to_owned);
    let wanted: BTreeSet<Key> = wanted.iter().map(|(schema, name)| key(schema, name)).collect();
    let mut found = BTreeMap::new();
    for row in warehouse.query(&sql)? {
        let (Some(schema), Some(name)) = (text(&row, "s"), text(&row, "n")) else { continue };
        let key = key(&schema, &name);
        if wanted.contains(&key) {
            let is_view = row.get("is_view").and_then(Json::as_bool) == Some(true);
            let (witness, text) = (text(&row, "witness"), text(&row, "text"));
            found.insert(key, Seen { schema, name, is_view, witness, text, size: None });
        }
    }
    if is_local {
        add_storage(warehouse, &mut found)?;
    }
    Ok(found)
}

/// Add where DuckDB has put the rows of tables: that changes with any of them.
fn add_storage(warehouse: &mut dyn Warehouse, found: &mut BTreeMap<Key, Seen>) -> Result<()> {
    let asked: Vec<String> = found
        .iter()
        .filter(|(_, seen)| !seen.is_view)
        .map(|(key, seen)| {
            let relation = format!("{}.{}", quote(&seen.schema), quote(&seen.name));
            // Deleted rows stay where they are stored: only their number shows that they are gone.
            format!(
                "select {} as s, {} as n, md5(string_agg(concat_ws(',', row_group_id, column_path, segment_id, \
                 \"start\", count, block_id, block_offset, additional_block_ids, stats), ';' \
                 order by row_group_id, column_path, segment_id)) as witness, \
                 (select count(*) from {relation}) as row_count, {BYTES} as bytes from pragma_storage_info({})",
                literal(&key.0),
                literal(&key.1),
                literal(&relation)
            )
        })
        .collect();
    for sql in together(&asked) {
        for row in warehouse.query(&sql)? {
            let text = |key: &str| row.get(key).and_then(Json::as_str);
            let (Some(schema), Some(name)) = (text("s"), text("n")) else { continue };
            if let Some(seen) = found.get_mut(&key(schema, name)) {
                let number = |key: &str| row.get(key).and_then(Json::as_i64);
                seen.size =
                    number("row_count").zip(number("bytes")).map(|(rows, bytes)| TableSize { rows, bytes });
                let rows = seen.size.map_or(0, |size| size.rows);
                // An empty table has nothing stored.
                let storage =
                    text("witness").map_or("empty".to_owned(), |storage| format!("{storage}{rows}"));
                seen.witness = seen.witness.as_ref().map(|witness| short(format!("{witness} {storage}")));
            }
        }
    }
    Ok(())
}

/// What tables hold: their columns, the number of rows, and a hash of all rows in any order.
pub(super) fn data_versions(
    warehouse: &mut dyn Warehouse,
    tables: &BTreeMap<String, &Seen>,
) -> BTreeMap<String, String> {
    let is_local = warehouse.target() == "local";
    let select = |(id, seen): (&String, &&Seen)| {
        let (id, relation) = (literal(id), format!("{}.{}", quote(&seen.schema), quote(&seen.name)));
        if is_local {
            format!(
                "select {id} as id, count(*)::varchar as n, coalesce(sum(hash(t)), 0)::varchar as a, \
                 coalesce(bit_xor(hash(t)), 0)::varchar as b from {relation} as t"
            )
        } else {
            format!(
                "select {id} as \"id\", count(*)::varchar as \"n\", hash_agg(*)::varchar as \"a\", '' as \"b\" \
                 from {relation} as t"
            )
        }
    };
    let mut found = BTreeMap::new();
    if tables.is_empty() {
        return found;
    }
    let columns = columns_of(&warehouse.database(), is_local, tables.values().copied());
    let counts: Vec<String> = tables.iter().map(select).collect();
    // The engine reads small tables with one thread each, and the parts of a union side by side.
    let asked = if is_local { together(&counts).collect() } else { counts.clone() };
    let statements: Vec<String> = std::iter::once(columns.clone()).chain(asked).collect();
    let mut answers = match warehouse.query_many(&statements) {
        Ok(answers) => answers,
        // One of them has a column that cannot be hashed, say: what it holds is unknown, which counts as other data.
        Err(error) => {
            tracing::debug!("{error:#}");
            let each = std::iter::once(&columns).chain(&counts);
            each.map(|sql| warehouse.query(sql).unwrap_or_default()).collect()
        }
    };
    let text = |row: &Row, key: &str| row.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    let columns: BTreeMap<Key, String> =
        answers.remove(0).iter().map(|row| ((text(row, "s"), text(row, "t")), text(row, "c"))).collect();
    for row in answers.into_iter().flatten() {
        let id = text(&row, "id");
        let relation = tables.get(&id).map(|seen| (seen.schema.clone(), seen.name.clone()));
        let Some(columns) = relation.and_then(|relation| columns.get(&relation)) else { continue };
        let counted = ["n", "a", "b"].iter().fold(Digest::default(), |d, key| d.with(text(&row, key)));
        found.insert(id, short(counted.with(columns).finish()));
    }
    for id in tables.keys() {
        found.entry(id.clone()).or_insert_with(|| short(uuid::Uuid::now_v7().to_string()));
    }
    found
}

/// The query for the columns of tables, with their types: one look at the catalog for all.
fn columns_of<'a>(database: &str, is_local: bool, tables: impl Iterator<Item = &'a Seen>) -> String {
    let schemas: BTreeSet<String> = tables.map(|seen| literal(&seen.schema)).collect();
    let schemas = schemas.into_iter().collect::<Vec<_>>().join(", ");
    if is_local {
        format!(
            "select schema_name as s, table_name as t, string_agg(column_name || ' ' || data_type || ' ' \
             || is_nullable, ',' order by column_index) as c from duckdb_columns() \
             where database_name = current_database() and schema_name in ({schemas}) group by all"
        )
    } else {
        format!(
            "select table_schema as \"s\", table_name as \"t\", listagg(column_name || ' ' || data_type || ' ' \
             || is_nullable, ',') within group (order by ordinal_position) as \"c\" \
             from {}.information_schema.columns where table_schema in ({schemas}) group by table_schema, table_name",
            quote(database)
        )
    }
}
