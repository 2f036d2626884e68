//! Where environments live: one small trait, one file an engine.
//!
//! The trait holds what every engine does the same way (statements, queries, rows in) and the few
//! things whose SQL differs. Deciding which of them to call is other files' work.

pub(crate) mod duckdb;
pub(crate) mod snowflake;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use self::duckdb::Announcements;
use crate::core::environment::{Droppable, Name};
use crate::core::ledger::Ours;
use crate::core::lock::{Holder, Lock};
pub(crate) use crate::core::sql::{literal, quote};

/// One row, by column name.
pub(crate) type Row = Map<String, Value>;

/// A table of this toolkit, in an environment's schema or in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: &'static str,
}

impl Table {
    pub(crate) fn new(schema: &str, name: &'static str) -> Self {
        Self { schema: schema.to_owned(), name }
    }
}

/// A step of a change. `--dry-run` prints these, a run applies them: there is no third way to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Statement {
    /// SQL, sent unchanged. Outside text reaches it only as a quoted [`Name`].
    Sql(String),
    /// Rows appended to a table. They travel as data, so no text in them can become SQL.
    Insert { table: Table, rows: Vec<Row> },
    /// The database of an environment made as a copy of its base's, where each has one. What else the change
    /// says of `name` happens before that name exists, so a copy is never seen with the mark of its base.
    Copy { base: Name, name: Name },
    /// The database of an environment removed, where each has one.
    Remove(Name),
}

impl Statement {
    pub(crate) fn sql(text: impl Into<String>) -> Self {
        Self::Sql(text.into())
    }

    pub(crate) fn insert<T: Serialize>(table: Table, records: &[T]) -> Result<Self> {
        let rows = records
            .iter()
            .map(|record| match serde_json::to_value(record)? {
                Value::Object(row) => Ok(row),
                other => anyhow::bail!("{} takes records, not {other}", table.name),
            })
            .collect::<Result<_>>()?;
        Ok(Self::Insert { table, rows })
    }
}

/// Rows as `--dry-run` shows them: in a comment, since they are never part of the SQL.
fn as_comments(rows: &[Row]) -> String {
    let lines = rows.iter().map(|row| Value::Object(row.clone()).to_string());
    lines.flat_map(|line| ["\n-- ".to_owned(), line]).collect()
}

/// The contents of a schema, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) relations: Vec<String>,
    /// The schema's own comment; `None` if it has none or the engine keeps none.
    pub(crate) comment: Option<String>,
}

/// The contents of a schema, by name and measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surveyed {
    pub(crate) contents: Contents,
    pub(crate) relations: Vec<Relation>,
}

/// How much a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableSize {
    pub(crate) rows: i64,
    pub(crate) bytes: i64,
}

/// A table or view in a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) name: String,
    pub(crate) is_view: bool,
    /// `None` for views, whose rows would have to be computed to be counted.
    pub(crate) rows: Option<i64>,
    /// Bytes stored; `None` for views and if the engine does not report them.
    pub(crate) bytes: Option<i64>,
}

/// What can be listed of environments while the compute that reads tables is suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glance {
    /// What is suspended.
    pub(crate) warehouse: String,
    pub(crate) environments: BTreeMap<Name, Glimpse>,
}

/// What is known of an environment without reading a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glimpse {
    pub(crate) created_at: jiff::civil::DateTime,
    /// The name of the dbt project that it belongs to, if that is recorded.
    pub(crate) project: Option<String>,
    /// Without those of the ledger.
    pub(crate) relations: Option<usize>,
    pub(crate) bytes: Option<i64>,
}

/// What was found of environments that have a database each.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    pub(crate) contents: BTreeMap<String, Contents>,
    /// Keeps them from being built as long as they are read.
    pub(crate) locks: Vec<Lock>,
    /// Those that could not be read, with who uses them.
    pub(crate) busy: BTreeMap<String, String>,
}

/// What an earlier command knew of an environment and is still so.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) content: Vec<u8>,
    /// Whether nothing has written to the registry since either.
    pub(crate) is_registry_same: bool,
}

/// Whose SQL a warehouse takes. What differs is decided by a `match` on it, so that the compiler shows what another
/// engine needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    DuckDb,
    Snowflake,
}

impl Dialect {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DuckDb => "duckdb",
            Self::Snowflake => "snowflake",
        }
    }
}

pub(crate) trait Warehouse {
    /// `local` or `snowflake`, as `--target` names it.
    fn target(&self) -> &'static str;

    fn dialect(&self) -> Dialect;

    /// What and where, for people: used in messages.
    fn describe(&self) -> String;

    /// The database that environments are schemas of.
    fn database(&self) -> String;

    /// The dbt project that the command works for. Others may have environments in the same database.
    fn ours(&self) -> &Ours;

    /// The name of the project, if known: it distinguishes the queries of projects.
    fn project(&self) -> Option<&str> {
        self.ours().owner.project.as_deref()
    }

    /// Whether a schema can carry a comment, so that the ownership mark has a second half.
    fn keeps_comments(&self) -> bool;

    /// A table's name as SQL takes it.
    fn qualified(&self, table: &Table) -> String;

    /// The name of the schema that dbt builds an environment into.
    fn own_schema(&self, name: &Name) -> String {
        name.to_string()
    }

    /// Whether each environment has a separate database, so that all its schemas are the environment's.
    fn is_alone(&self) -> bool {
        false
    }

    /// The name of the database that an environment is in.
    fn database_of(&self, _: &Name) -> String {
        self.database()
    }

    /// From now on mean the environment `name` if a statement names none.
    fn focus(&mut self, _: &Name) {}

    /// Schema and name of the views of `base` that a copy of it has too, as views of the copy. Others read the base
    /// until they are built again.
    fn copied_views(&mut self, _base: &Name) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    /// Begin what [`Statement::Copy`] does, while it is decided whether the environment is made at all: what is not used is
    /// removed again. `base` is locked. With `flushes` the copy is also written to the disk, for which nothing waits.
    fn copy_ahead(&mut self, _base: &Name, _name: &Name, _flushes: bool) -> Result<()> {
        Ok(())
    }

    /// A column's name as SQL takes it.
    fn column(&self, name: &str) -> String;

    /// The type of times, which are UTC and without a zone.
    fn timestamp_type(&self) -> &'static str;

    /// Whether a question more costs next to nothing, so that nothing need be taken on trust.
    fn looks_are_free(&self) -> bool {
        false
    }

    /// The columns of tables in `schemas`: of those with the names `tables`, or of all.
    fn columns(&mut self, schemas: &[&str], tables: Option<&[&str]>) -> Result<Columns>;

    /// What [`Warehouse::apply`] would send, statement by statement.
    fn script(&self, change: &[Statement]) -> Vec<String>;

    /// Apply `change` in its order: all or nothing of it, as far as the engine can undo. Where it cannot
    /// (Snowflake commits every `create` and `drop`), what was begun can be begun again.
    fn apply(&mut self, change: &[Statement]) -> Result<()>;

    /// What makes [`Warehouse::apply`] leave a change in the engine's log, where that is cheaper: the program that opens the
    /// database next, as dbt is about to, puts it in its place.
    fn left_in_log(&self) -> Vec<Statement> {
        Vec::new()
    }

    /// The rows of one query that writes nothing.
    fn query(&mut self, sql: &str) -> Result<Vec<Row>>;

    /// The rows of each of `statements`, in one call if the engine can do that.
    fn query_many(&mut self, statements: &[String]) -> Result<Vec<Vec<Row>>> {
        statements.iter().map(|sql| self.query(sql)).collect()
    }

    /// The environments that have a database each, by name; `None` if all share one.
    fn environments(&mut self) -> Result<Option<Vec<Name>>> {
        Ok(None)
    }

    /// Look at environments that have a database each, and keep them from being built while they are read. Those that
    /// are being built are not waited for.
    fn hold(&mut self, _: &[Name], _: &Holder) -> Result<Gathering> {
        Ok(Gathering::default())
    }

    /// Start what answers questions, if that takes time, so that it is ready for the first one.
    fn warm_up(&mut self) {}

    /// What has the database open is about to be done with it: start what answers questions as far as that is possible then.
    fn warm_up_early(&mut self) {}

    /// The same for questions after which something is written.
    fn warm_up_to_write(&mut self) {}

    /// Close what is open for reading, so that other programs can write. The next query opens it again.
    fn release(&mut self) {}

    /// The same of the registry alone.
    fn leave_registry(&mut self) {}

    /// From now on notice if anything but this process writes to the database of `name`, if it has a separate one.
    fn watch(&mut self, _name: &str) {}

    /// What was kept beside the environment's database, if nothing has written to the database since. From then on the
    /// database is watched.
    fn known(&mut self, _: &Name) -> Option<Known> {
        None
    }

    /// Keep what is known of an environment beside its database, if only this process has written to that since
    /// [`Warehouse::watch`].
    fn keep_known(&mut self, _: &Name, _content: &[u8]) -> Result<()> {
        Ok(())
    }

    /// What runs have announced beside the environment's database; `None` if they announce it in the ledger.
    fn announcements(&self, _: &Name) -> Option<Announcements> {
        None
    }

    /// Let a run that found nothing to do wait until something else writes to or asks the ledger; whether that is
    /// possible.
    fn record_later(&mut self, _: &Name, _run: &Row) -> Result<bool> {
        Ok(false)
    }

    /// As [`Warehouse::hold`]; the ledgers of many are brought together, so that what is asked from now on opens one
    /// database instead of all.
    fn gather(&mut self, names: &[Name], holder: &Holder) -> Result<Gathering> {
        self.hold(names, holder)
    }

    /// Whether [`Warehouse::gather`] has made one ledger of all.
    fn gathered(&self) -> bool {
        false
    }

    /// Those of the `schemas` of an environment that exist, with what is in them, by the names that dbt gives them.
    fn built(&mut self, _: &Name, schemas: &[&str]) -> Result<BTreeMap<String, Contents>> {
        self.contents(schemas)
    }

    /// Those of `schemas` that exist, with their contents.
    fn contents(&mut self, schemas: &[&str]) -> Result<BTreeMap<String, Contents>>;

    /// Whether `schema` exists, and the names of what it contains.
    fn relation_names(&mut self, schema: &str) -> Result<Option<Vec<String>>> {
        Ok(self.contents(&[schema])?.remove(schema).map(|contents| contents.relations))
    }

    /// The contents of `schema`, measured: exact row counts of tables, and bytes if the engine reports them.
    fn measure(&mut self, schema: &Name) -> Result<Vec<Relation>>;

    /// The same, where the tables `known`, by schema and name in lower case, were measured already. Those of the ledger may be left
    /// out.
    fn measure_rest(
        &mut self,
        schema: &Name,
        _known: &BTreeMap<(String, String), TableSize>,
    ) -> Result<Vec<Relation>> {
        self.measure(schema)
    }

    /// Those of `schemas` that exist, with their contents measured, in as few queries as the engine allows.
    fn survey(&mut self, schemas: &[Name]) -> Result<BTreeMap<String, Surveyed>> {
        let names: Vec<&str> = schemas.iter().map(Name::as_str).collect();
        let mut all = BTreeMap::new();
        for (name, contents) in self.contents(&names)? {
            let relations = self.measure(&name.parse()?)?;
            all.insert(name, Surveyed { contents, relations });
        }
        Ok(all)
    }

    /// The environments without what only a query of tables can find, if that query would resume suspended compute.
    fn glance(&mut self) -> Result<Option<Glance>> {
        Ok(None)
    }

    /// Create the schema and the table of its ownership mark, where any of it is missing.
    fn provision(&self, schema: &Name) -> Vec<Statement>;

    /// Create the ledger's other tables, where any is missing: a run needs them, an environment that was
    /// never built does not.
    fn provision_ledger(&self, schema: &Name) -> Vec<Statement>;

    /// Create the schema as a copy of `base`, with its tables and their history; `None` if there is no
    /// such base. Views are left out: a copied view would still read the base.
    fn copy(&mut self, base: &Name, schema: &Name) -> Result<Option<Vec<Statement>>>;

    /// The rest of a copy that was cut short after its schema was made: what [`Warehouse::copy`] sends
    /// after that, from `base` if it is known. Nothing on an engine whose copy is all or nothing.
    fn complete_copy(&mut self, _: &Name, _base: Option<&Name>) -> Result<Vec<Statement>> {
        Ok(Vec::new())
    }

    /// Write the half of the ownership mark that is attached to the schema; no statements if the engine keeps
    /// none. `comment` is the one that the schema has.
    fn comment(&self, schema: &Name, comment: Option<&str>) -> Vec<Statement>;

    /// Grant the roles of the policy their privileges in the environment, and revoke what the policy granted
    /// before. The schema's `comment` records what was granted; no statements if that is unchanged, unless `again`.
    fn grant(&self, schema: &Name, comment: Option<&str>, again: bool) -> Vec<Statement>;

    /// Write to an environment that exists what can be taken back, before dbt is started for it: an error says why
    /// nothing could be built. Nothing on an engine whose lock is such a write.
    fn try_write(&mut self, _: &Name) -> Result<()> {
        Ok(())
    }

    /// Make the further schemas that a build of the environment is going to write its own, by the names that the engine
    /// keeps; no statements if they are, or if it owns its database. Schemas of others are refused.
    fn claim(&mut self, _: &Name, _schemas: &BTreeSet<String>) -> Result<Vec<Statement>> {
        Ok(Vec::new())
    }

    /// The dbt project that further schemas of `name` belong to, if that is another one: it made them and not yet, or no
    /// longer, the first one.
    fn other_further(&mut self, _: &Name) -> Result<Option<String>> {
        Ok(None)
    }

    /// Mark the further schemas of an environment as those of this project, which had another name.
    fn adopt_further(&mut self, _: &Name) -> Result<Vec<Statement>> {
        Ok(Vec::new())
    }

    /// Drop an environment with all its schemas and what is in them.
    fn drop_schemas(&mut self, doomed: &Droppable) -> Result<Vec<Statement>>;

    /// Drop the schemas of an environment whose first one is gone: it was dropped by hand, or its making was cut short.
    fn drop_rest(&mut self, _: &Name) -> Result<Vec<Statement>> {
        Ok(Vec::new())
    }

    /// The further schemas of `environments` by the names that the engine keeps, each with its environment; none if an
    /// environment owns its database.
    fn further_schemas(&mut self, _environments: &[&str]) -> Result<BTreeMap<String, String>> {
        Ok(BTreeMap::new())
    }

    /// Drop what locks that were taken over have left in the registry, and schemas of copies that were given up.
    fn sweep(&mut self) -> Result<Vec<Statement>> {
        Ok(Vec::new())
    }

    /// Create the registry, if it is missing.
    fn provision_registry(&self) -> Vec<Statement>;
}

/// Which columns exist: of each schema the names of tables and columns.
pub(crate) type Columns = BTreeMap<String, BTreeSet<(String, String)>>;

/// Rows of schemas, tables and columns, with their names as `fold` writes them.
fn columns(rows: &[Row], fold: impl Fn(&str) -> String) -> Columns {
    let mut all = Columns::new();
    for row in rows {
        let name = |key: &str| row.get(key).and_then(Value::as_str).map(&fold).unwrap_or_default();
        let column = (name("table_name"), name("column_name"));
        all.entry(name("schema_name").to_lowercase()).or_default().insert(column);
    }
    all
}

/// The rows of `sql` as records.
pub(crate) fn records<T: DeserializeOwned>(warehouse: &mut dyn Warehouse, sql: &str) -> Result<Vec<T>> {
    let rows = warehouse.query(sql)?;
    rows.into_iter().map(|row| Ok(serde_json::from_value(Value::Object(row))?)).collect()
}
