//! What the warehouse holds, as tokens that change whenever it does.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::state::define::short;
use crate::system::digest::Digest;
use crate::warehouse::duckdb::{bytes_of, together};
use crate::warehouse::{Dialect, Row, Warehouse, literal, quote};

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
    /// Of a table of DuckDB.
    #[serde(default)]
    pub(super) rows: Option<i64>,
    /// Of a table of DuckDB, if they were counted since it is what it is.
    #[serde(default)]
    pub(super) bytes: Option<i64>,
}

impl Seen {
    /// Schema and name, as SQL takes them.
    pub(super) fn place(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }
}

/// The relations of schemas by schema, as the catalog has them.
pub(super) type Listed = BTreeMap<String, BTreeMap<Key, Seen>>;

/// Those of `wanted` that exist. `before` are those that were seen earlier, `listed` what the catalog has said of schemas
/// since something may last have changed it.
pub(super) fn witnesses(
    warehouse: &mut dyn Warehouse,
    wanted: &BTreeSet<(String, String)>,
    before: &BTreeMap<Key, Seen>,
    listed: &mut Listed,
) -> Result<BTreeMap<Key, Seen>> {
    let schemas: BTreeSet<String> = wanted.iter().map(|(schema, _)| schema.to_lowercase()).collect();
    list(warehouse, schemas, listed)?;
    let seen = |(schema, name): &(String, String)| {
        let key = key(schema, name);
        let seen = listed.get(&key.0)?.get(&key)?.clone();
        Some((key, seen))
    };
    let mut found = wanted.iter().filter_map(seen).collect();
    match warehouse.dialect() {
        Dialect::DuckDb => add_storage(warehouse, before, &mut found)?,
        Dialect::Snowflake => {}
    }
    Ok(found)
}

/// Ask the catalog for the relations of those `schemas` that are not listed.
fn list(warehouse: &mut dyn Warehouse, schemas: BTreeSet<String>, listed: &mut Listed) -> Result<()> {
    let schemas: Vec<String> = schemas.into_iter().filter(|schema| !listed.contains_key(schema)).collect();
    if schemas.is_empty() {
        return Ok(());
    }
    let names = schemas.iter().map(|schema| literal(schema)).collect::<Vec<_>>().join(", ");
    listed.extend(schemas.into_iter().map(|schema| (schema, BTreeMap::new())));
    let sql = match warehouse.dialect() {
        // The text of a table holds its constraints.
        Dialect::DuckDb => format!(
            "select schema_name as s, table_name as n, false as is_view, \
             md5(replace(sql, schema_name || '.', '') || coalesce(comment, '') || index_count \
             || coalesce(said, '')) as witness, null as text from duckdb_tables() as t left join \
             (select table_oid as oid, string_agg(column_name || ' ' || comment, ';' order by column_index) as said \
             from duckdb_columns() where database_name = current_database() and comment is not null \
             group by table_oid) as c on c.oid = t.table_oid \
             where database_name = current_database() and lower(schema_name) in ({names}) \
             union all \
             select schema_name, view_name, true, md5(sql || coalesce(comment, '')), \
             md5(replace(sql, schema_name, chr(1))) from duckdb_views() \
             where database_name = current_database() and lower(schema_name) in ({names})"
        ),
        Dialect::Snowflake => format!(
            "select table_schema as \"s\", table_name as \"n\", table_type like '%VIEW%' as \"is_view\", \
             to_varchar(last_altered) || '|' || coalesce(to_varchar(last_ddl), '') as \"witness\" \
             from {}.information_schema.tables where lower(table_schema) in ({names})",
            quote(&warehouse.database())
        ),
    };
    let text = |row: &Row, key: &str| row.get(key).and_then(Json::as_str).map(str::to_owned);
    for row in warehouse.query(&sql)? {
        let (Some(schema), Some(name)) = (text(&row, "s"), text(&row, "n")) else { continue };
        let key = key(&schema, &name);
        let is_view = row.get("is_view").and_then(Json::as_bool) == Some(true);
        let (witness, text) = (text(&row, "witness"), text(&row, "text"));
        let seen = Seen { schema, name, is_view, witness, text, rows: None, bytes: None };
        listed.entry(key.0.clone()).or_default().insert(key, seen);
    }
    Ok(())
}

/// What DuckDB's witnesses begin with: another one whenever they are made from something else, so that one of an
/// earlier toolkit is not taken for a change of the table.
const FORM: &str = "2 ";

/// Whether a witness was made by a toolkit that made it from something else.
pub(super) fn is_of_another_form(witness: &str) -> bool {
    !witness.starts_with(FORM)
}

/// Add where DuckDB has put the rows of tables: that changes with any of them. A table of `before` that is the same still
/// has its size.
fn add_storage(
    warehouse: &mut dyn Warehouse,
    before: &BTreeMap<Key, Seen>,
    found: &mut BTreeMap<Key, Seen>,
) -> Result<()> {
    let mut storage = Vec::new();
    let mut counts = Vec::new();
    for (key, seen) in found.iter().filter(|(_, seen)| !seen.is_view) {
        let relation = seen.place();
        let table = format!("select {} as s, {} as n", literal(&key.0), literal(&key.1));
        // Numbers are added in any order: to sort the segments first takes longer than to read them.
        storage.push(format!(
            "{table}, sum(md5_number_lower(concat_ws(',', row_group_id, column_path, segment_id, \"start\", count, \
             block_id, block_offset, additional_block_ids, stats)))::varchar as stored from pragma_storage_info({})",
            literal(&relation)
        ));
        // Deleted rows stay where they are stored: only their number shows that they are gone.
        counts.push(format!("{table}, count(*) as row_count from {relation}"));
    }
    let mut stored = BTreeMap::new();
    for row in answers(warehouse, &storage, &counts)? {
        let Some(key) = named(&row) else { continue };
        if let Some(rows) = number(&row, "row_count") {
            if let Some(seen) = found.get_mut(&key) {
                seen.rows = Some(rows);
            }
        } else {
            // An empty table has nothing stored.
            let token = row.get("stored").and_then(Json::as_str).unwrap_or("empty").to_owned();
            stored.insert(key, token);
        }
    }
    for (key, seen) in found.iter_mut().filter(|(_, seen)| !seen.is_view) {
        let parts = seen.witness.take().zip(stored.get(key)).zip(seen.rows);
        seen.witness =
            parts.map(|((text, stored), rows)| format!("{FORM}{}", short(format!("{text} {stored} {rows}"))));
        let then = before.get(key).filter(|then| then.witness.is_some() && then.witness == seen.witness);
        seen.bytes = then.and_then(|then| then.bytes);
    }
    Ok(())
}

/// What a look at the storage is given. The engine reads a block of a table for each column of whole numbers; with little memory
/// they take the place of each other, and new memory costs more than to read them.
const MEMORY: &str = "16MB";

/// The rows of what is asked about the storage of tables, and of what counts their rows.
fn answers(warehouse: &mut dyn Warehouse, storage: &[String], counts: &[String]) -> Result<Vec<Row>> {
    // To look for better plans takes longer than these run.
    let (as_written, as_usual) = ("pragma disable_optimizer", "pragma enable_optimizer");
    let statements = |before: String, after: String| -> Vec<String> {
        let looks = std::iter::once(before).chain(together(storage)).chain([after]);
        looks.chain(together(counts)).collect()
    };
    let thrifty = statements(
        format!("set memory_limit = '{MEMORY}';\n{as_written}"),
        // To reset it changes only what the engine says of it (https://github.com/duckdb/duckdb/issues/22203).
        format!("reset memory_limit;\nset memory_limit = current_setting('memory_limit');\n{as_usual}"),
    );
    let found = warehouse.query_many(&thrifty).or_else(|error| {
        tracing::debug!("{error:#}");
        warehouse.query_many(&statements(as_written.to_owned(), as_usual.to_owned()))
    })?;
    Ok(found.into_iter().flatten().collect())
}

fn named(row: &Row) -> Option<Key> {
    let text = |key: &str| row.get(key).and_then(Json::as_str);
    Some(key(text("s")?, text("n")?))
}

fn number(row: &Row, key: &str) -> Option<i64> {
    row.get(key).and_then(Json::as_i64)
}

/// Count the bytes of tables of DuckDB of which that has not been done.
pub(super) fn add_bytes<'a>(
    warehouse: &mut dyn Warehouse,
    seen: impl Iterator<Item = (&'a Key, &'a mut Seen)>,
) -> Result<()> {
    let mut left: BTreeMap<&Key, &mut Seen> =
        seen.filter(|(_, seen)| !seen.is_view && seen.bytes.is_none()).collect();
    let asked: Vec<String> = left
        .iter()
        .map(|((schema, name), seen)| {
            format!(
                "select {} as s, {} as n, {}",
                literal(schema),
                literal(name),
                bytes_of("current_database()", &seen.place())
            )
        })
        .collect();
    let statements: Vec<String> = together(&asked).collect();
    for row in warehouse.query_many(&statements)?.into_iter().flatten() {
        if let Some(seen) = named(&row).and_then(|key| left.get_mut(&key)) {
            seen.bytes = number(&row, "bytes");
        }
    }
    Ok(())
}

/// What tables hold: their columns, the number of rows, and a hash of all rows in any order.
pub(super) fn data_versions(
    warehouse: &mut dyn Warehouse,
    tables: &BTreeMap<String, &Seen>,
) -> BTreeMap<String, String> {
    let dialect = warehouse.dialect();
    let select = |(id, seen): (&String, &&Seen)| {
        let (id, relation) = (literal(id), seen.place());
        match dialect {
            Dialect::DuckDb => format!(
                "select {id} as id, count(*)::varchar as n, coalesce(sum(hash(t)), 0)::varchar as a, \
                 coalesce(bit_xor(hash(t)), 0)::varchar as b from {relation} as t"
            ),
            Dialect::Snowflake => format!(
                "select {id} as \"id\", count(*)::varchar as \"n\", hash_agg(*)::varchar as \"a\", '' as \"b\" \
                 from {relation} as t"
            ),
        }
    };
    let mut found = BTreeMap::new();
    if tables.is_empty() {
        return found;
    }
    let columns = columns_of(&warehouse.database(), dialect, tables.values().copied());
    let counts: Vec<String> = tables.iter().map(select).collect();
    let asked = match dialect {
        // The engine reads small tables with one thread each, and the parts of a union side by side.
        Dialect::DuckDb => together(&counts).collect(),
        Dialect::Snowflake => counts.clone(),
    };
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
fn columns_of<'a>(database: &str, dialect: Dialect, tables: impl Iterator<Item = &'a Seen>) -> String {
    let (schemas, names): (BTreeSet<String>, BTreeSet<String>) =
        tables.map(|seen| (literal(&seen.schema), literal(&seen.name))).unzip();
    let listed = |texts: BTreeSet<String>| texts.into_iter().collect::<Vec<_>>().join(", ");
    let (schemas, names) = (listed(schemas), listed(names));
    match dialect {
        Dialect::DuckDb => format!(
            "select schema_name as s, table_name as t, string_agg(column_name || ' ' || data_type || ' ' \
             || is_nullable, ',' order by column_index) as c from duckdb_columns() \
             where database_name = current_database() and schema_name in ({schemas}) and table_name in ({names}) \
             group by all"
        ),
        Dialect::Snowflake => format!(
            "select table_schema as \"s\", table_name as \"t\", listagg(column_name || ' ' || data_type || ' ' \
             || is_nullable, ',') within group (order by ordinal_position) as \"c\" \
             from {}.information_schema.columns where table_schema in ({schemas}) \
             and table_name in ({names}) group by table_schema, table_name",
            quote(database)
        ),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::warehouse::duckdb::{DuckDb, scripted};

    /// An engine for which little memory is not enough.
    const ENGINE: &str = r#"#!/bin/sh
while read -r line; do
    case "$line" in
        *memory_limit*) exit 1 ;;
        pragma*) echo '[]' ;;
        *pragma_storage_info*) echo '[{"s":"main","n":"t","stored":"7"}]' ;;
        *row_count*) echo '[{"s":"main","n":"t","row_count":3}]' ;;
        "select '"*) id="${line#select ?}"; echo "[{\"end\":\"${id%%\'*}\"}]" ;;
    esac
done
"#;

    #[test]
    fn a_look_that_little_memory_is_not_enough_for_gets_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let (program, file) = scripted(folder.path(), ENGINE);
        let [schema, name] = ["main", "t"].map(str::to_owned);
        let witness = Some("text".to_owned());
        let seen = Seen { schema, name, is_view: false, witness, text: None, rows: None, bytes: None };
        let mut found = BTreeMap::from([(key("main", "t"), seen)]);
        add_storage(&mut DuckDb::new(&program, &file), &BTreeMap::new(), &mut found).expect("looked at");
        let seen = found.remove(&key("main", "t")).expect("it is there");
        assert_eq!((seen.rows, seen.witness), (Some(3), Some(format!("{FORM}{}", short("text 7 3")))));
    }
}
