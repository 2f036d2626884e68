//! What is in databases: their tables, views and columns, measured, and tokens of what they hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::layout::{Layout, MAIN};
use super::program::{Access, Open, call_within};
use super::{DuckDb, columns, list};
use crate::core::environment::{Name, family_of};
use crate::core::ledger::{MARK, is_ledger};
use crate::warehouse::{Columns, Contents, Relation, Row, TableSize, Warehouse as _, literal, quote};

/// Databases that one call opens: more only cost memory.
const AT_ONCE: usize = 100;

/// The rows of `sql` over the files of `names`, each under its own name.
fn over(warehouse: &DuckDb, names: &[&str], sql: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for some in warehouse.files(names).chunks(AT_ONCE) {
        let open = match some {
            // It names its database after itself, so that the next question about it finds it open.
            [(_, file)] => Open::file(file, Access::Read),
            _ => Open::attached(some.iter().map(|(name, file)| ((*name).to_owned(), file.clone())).collect()),
        };
        rows.extend(warehouse.ask(&open, sql)?.pop().unwrap_or_default());
    }
    Ok(rows)
}

/// The databases of files: neither the engine's own nor the temporary one in memory.
const OF_FILES: &str = "database_name not in ('memory', 'system', 'temp')";

/// The columns of the tables of environments with files, of which `more` is true.
pub(super) fn columns_of_files(warehouse: &DuckDb, names: &[&str], more: &str) -> Result<Columns> {
    let sql = format!(
        "select database_name as schema_name, table_name, column_name from duckdb_columns()
         where {OF_FILES} and schema_name = '{MAIN}' and not internal{more}"
    );
    Ok(columns(&over(warehouse, names, &sql)?, str::to_owned))
}

/// What is in environments with files: relations of further schemas with the name of theirs.
pub(super) fn contents(warehouse: &DuckDb, names: &[&str]) -> Result<BTreeMap<String, Contents>> {
    let mut all = empty(&warehouse.files(names));
    add(&mut all, over(warehouse, names, &listing())?);
    Ok(all)
}

/// The same of those that can be opened within `patience`; of the others, who uses them.
pub(super) fn contents_of_free(
    program: &Path,
    environments: &[(&str, PathBuf)],
    patience: Duration,
) -> Result<(BTreeMap<String, Contents>, BTreeMap<String, String>)> {
    let mut files = environments.to_vec();
    let mut busy = BTreeMap::new();
    let deadline = Instant::now() + patience;
    loop {
        let attached = files.iter().map(|(name, file)| ((*name).to_owned(), file.clone())).collect();
        let left = deadline.saturating_duration_since(Instant::now());
        match call_within(program, &Open::attached(attached), &listing(), left)? {
            Ok(mut rows) => {
                let mut all = empty(&files);
                add(&mut all, rows.pop().unwrap_or_default());
                return Ok((all, busy));
            }
            Err(locked) => {
                let is_it = |(_, file): &(&str, PathBuf)| {
                    locked.file.as_ref().is_some_and(|locked| locked.file_name() == file.file_name())
                };
                // Without a name to leave out, none can be read.
                let at = files.iter().position(is_it).context(locked.by.clone())?;
                busy.insert(files.remove(at).0.to_owned(), locked.by);
            }
        }
    }
}

/// Environments, of which nothing is known yet to be in them.
pub(super) fn empty(environments: &[(&str, PathBuf)]) -> BTreeMap<String, Contents> {
    environments.iter().map(|(name, _)| ((*name).to_owned(), Contents::default())).collect()
}

impl DuckDb {
    /// Those of the `schemas` of one database that exist: of the environment's, or of the one for all.
    pub(super) fn schemas(
        &mut self,
        name: Option<&Name>,
        schemas: &[&str],
    ) -> Result<BTreeMap<String, Contents>> {
        let sql = format!(
            "select s.schema_name, relation.name from duckdb_schemas() as s
             left join (
                 select schema_name, table_name as name from duckdb_tables() where database_name = current_database()
                 union all
                 select schema_name, view_name from duckdb_views() where database_name = current_database()
             ) as relation on s.schema_name = relation.schema_name
             where s.database_name = current_database() and s.schema_name in ({})
             order by 1, 2",
            list(schemas)
        );
        let mut all: BTreeMap<String, Contents> = BTreeMap::new();
        let rows = match name {
            Some(name) => self.at(name.as_str(), &sql)?,
            None => self.query(&sql)?,
        };
        for row in rows {
            let text = |key: &str| Some(row.get(key)?.as_str()?.to_owned());
            let contents = all.entry(text("schema_name").unwrap_or_default()).or_default();
            contents.relations.extend(text("name"));
        }
        Ok(all)
    }
}

/// The relations of all databases of files.
pub(super) fn listing() -> String {
    format!(
        "select database_name, schema_name, name from (
             select database_name, schema_name, table_name as name from duckdb_tables()
             union all
             select database_name, schema_name, view_name from duckdb_views() where not internal
         ) where {OF_FILES} order by all"
    )
}

pub(super) fn add(all: &mut BTreeMap<String, Contents>, rows: Vec<Row>) {
    for row in rows {
        let name = shown(text(&row, "schema_name"), text(&row, "name"));
        all.entry(text(&row, "database_name").to_owned()).or_default().relations.push(name);
    }
}

/// A relation as an environment calls it.
fn shown(schema: &str, name: &str) -> String {
    if schema == MAIN { name.to_owned() } else { format!("{schema}.{name}") }
}

/// Sizes by schema and name, in lower case.
type Sizes = BTreeMap<(String, String), TableSize>;

/// The relations of an environment, measured. See [`measure`].
pub(super) fn measure_one(warehouse: &DuckDb, name: &Name, known: Option<&Sizes>) -> Result<Vec<Relation>> {
    Ok(measure(warehouse, &[name.as_str()], known)?.remove(name.as_str()).unwrap_or_default())
}

/// The relations of environments, measured, by environment; those that are not `known`, without the ledger's, if some are.
pub(super) fn measure(
    warehouse: &DuckDb,
    names: &[&str],
    known: Option<&Sizes>,
) -> Result<BTreeMap<String, Vec<Relation>>> {
    let mut all = BTreeMap::new();
    for some in names.chunks(AT_ONCE) {
        all.extend(measure_some(warehouse, some, known)?);
    }
    Ok(all)
}

fn measure_some(
    warehouse: &DuckDb,
    names: &[&str],
    measured: Option<&Sizes>,
) -> Result<BTreeMap<String, Vec<Relation>>> {
    let listing = |environment: &str, of: &str| {
        format!(
            "select {environment} as environment, database_name, schema_name, name, is_view from (
                 select database_name, schema_name, table_name as name, false as is_view from duckdb_tables()
                 union all
                 select database_name, schema_name, view_name, true from duckdb_views() where not internal
             ) where {of} order by all"
        )
    };
    let ask = |sql: &str| match &warehouse.layout {
        Layout::Shared(_) => warehouse.at("", sql),
        Layout::Folder(_) => over(warehouse, names, sql),
    };
    let rows = match &warehouse.layout {
        Layout::Shared(_) => ask(&listing("null", "database_name = current_database()"))?,
        Layout::Folder(_) => ask(&listing("database_name", OF_FILES))?,
    };
    // Schemas with a mark are environments, whatever their names begin with.
    let marked = rows.iter().filter(|row| text(row, "name") == MARK).map(|row| text(row, "schema_name"));
    let known: Vec<&str> = names.iter().copied().chain(marked).collect();
    let mut all: BTreeMap<String, Vec<Relation>> = BTreeMap::new();
    // Apart from each other: a query in a query takes the engine longer than both.
    let (mut counts, mut sizes) = (Vec::new(), Vec::new());
    for row in &rows {
        let (schema, name) = (text(row, "schema_name"), text(row, "name"));
        let (environment, shown) = match &warehouse.layout {
            Layout::Folder(_) => (text(row, "environment").to_owned(), shown(schema, name)),
            Layout::Shared(_) => {
                let of = family_of(schema, &known).unwrap_or(schema);
                if !names.contains(&of) {
                    continue;
                }
                (of.to_owned(), if schema == of { name.to_owned() } else { format!("{schema}.{name}") })
            }
        };
        let is_view = row.get("is_view").and_then(serde_json::Value::as_bool) == Some(true);
        if measured.is_some() && is_ledger(&shown) {
            continue;
        }
        let size = measured.and_then(|sizes| sizes.get(&(schema.to_lowercase(), name.to_lowercase())));
        let size = size.filter(|_| !is_view);
        if !is_view && size.is_none() {
            let place = [text(row, "database_name"), schema, name].map(quote).join(".");
            let table =
                format!("select {} as environment, {} as name", literal(&environment), literal(&shown));
            counts.push(format!("{table}, count(*) as row_count from {place}"));
            sizes.push(format!("{table}, {}", bytes_of(&literal(text(row, "database_name")), &place)));
        }
        let relation = Relation {
            name: shown,
            is_view,
            rows: size.map(|size| size.rows),
            bytes: size.map(|size| size.bytes),
        };
        all.entry(environment).or_default().push(relation);
    }
    for relations in all.values_mut() {
        relations.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let number = |row: &Row, key: &str| row.get(key).and_then(serde_json::Value::as_i64);
    for sql in together(&counts).chain(together(&sizes)) {
        for row in ask(&sql)? {
            let name = text(&row, "name");
            let relations = all.get_mut(text(&row, "environment"));
            if let Some(relations) = relations
                && let Ok(at) = relations.binary_search_by(|each| each.name.as_str().cmp(name))
            {
                let relation = &mut relations[at];
                relation.rows = relation.rows.or_else(|| number(&row, "row_count"));
                relation.bytes = relation.bytes.or_else(|| number(&row, "bytes"));
            }
        }
    }
    Ok(all)
}

/// `selects` of a row each, for about one table each, as few queries. The engine plans a union of more of them for longer
/// than it takes to ask another question.
pub(crate) fn together(selects: &[String]) -> impl Iterator<Item = String> {
    selects.chunks(20).map(|some| some.join("\nunion all\n"))
}

/// The schemas of an environment in the one file; its own, which holds its mark, is the last.
pub(super) fn schemas_of(warehouse: &DuckDb, name: &Name) -> Result<Vec<String>> {
    let rows = warehouse.at(
        name.as_str(),
        "select s.schema_name, t.table_name is not null as is_marked from duckdb_schemas() as s
         left join duckdb_tables() as t
         on s.database_name = t.database_name and s.schema_name = t.schema_name and t.table_name = 'ledger_environment'
         where s.database_name = current_database() order by s.schema_name desc",
    )?;
    let is_marked = |row: &&Row| row.get("is_marked").and_then(serde_json::Value::as_bool) == Some(true);
    let marked = rows.iter().filter(is_marked).map(|row| text(row, "schema_name"));
    let known: Vec<&str> = std::iter::once(name.as_str()).chain(marked).collect();
    let schemas = rows.iter().map(|row| text(row, "schema_name"));
    Ok(schemas
        .filter(|schema| family_of(schema, &known).unwrap_or(schema) == name.as_str())
        .map(str::to_owned)
        .collect())
}

/// The rest of a query for the bytes of a table: the blocks of the file are what it costs on disk. `database` is an expression.
pub(crate) fn bytes_of(database: &str, relation: &str) -> String {
    format!(
        "count(distinct block_id) filter (where block_id >= 0) \
         * (select any_value(block_size) from pragma_database_size() \
         where database_name = {database}) as bytes from pragma_storage_info({})",
        literal(relation)
    )
}

pub(super) fn text<'a>(row: &'a Row, key: &str) -> &'a str {
    row.get(key).and_then(|value| value.as_str()).unwrap_or_default()
}
