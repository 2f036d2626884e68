//! Where environments live: one small trait, one file an engine.
//!
//! The trait holds what every engine does the same way (statements, queries, rows in) and the few
//! things whose SQL differs. Deciding which of them to call is other files' work.

pub(crate) mod duckdb;

use std::fmt;

use anyhow::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::environment::Name;

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

    pub(crate) fn quoted(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(self.name))
    }
}

/// A step of a change. `--dry-run` prints these, a run applies them: there is no third way to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Statement {
    /// SQL, sent as it stands. Outside text reaches it only as a quoted [`Name`].
    Sql(String),
    /// Rows appended to a table. They travel as data, so no text in them can become SQL.
    Insert { table: Table, rows: Vec<Row> },
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

/// As `--dry-run` shows it; rows stand as a comment, since they are never part of the SQL.
impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(sql) => write!(f, "{sql};"),
            Self::Insert { table, rows } => {
                write!(f, "insert into {} by name; -- {} row(s) as data", table.quoted(), rows.len())?;
                rows.iter().try_for_each(|row| write!(f, "\n-- {}", Value::Object(row.clone())))
            }
        }
    }
}

/// A table or view that stands in a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) name: String,
    pub(crate) is_view: bool,
    /// `None` for views, whose rows would have to be computed to be counted.
    pub(crate) rows: Option<i64>,
    /// Bytes stored; `None` for views and where the engine does not say.
    pub(crate) bytes: Option<i64>,
}

pub(crate) trait Warehouse {
    /// `local` or `snowflake`, as `--target` names it.
    fn target(&self) -> &'static str;

    /// What and where, for people: it stands in messages.
    fn describe(&self) -> String;

    /// The database that environments are schemas of.
    fn database(&self) -> String;

    /// Apply all of `change`, or nothing of it.
    fn apply(&mut self, change: &[Statement]) -> Result<()>;

    /// The rows of one query that writes nothing.
    fn query(&mut self, sql: &str) -> Result<Vec<Row>>;

    /// The rows of each of `statements`, in one call where the engine can do that.
    fn query_many(&mut self, statements: &[String]) -> Result<Vec<Vec<Row>>> {
        statements.iter().map(|sql| self.query(sql)).collect()
    }

    /// Whether `schema` exists, and the names of what stands in it.
    fn relation_names(&mut self, schema: &str) -> Result<Option<Vec<String>>>;

    /// What stands in `schema`, measured: exact row counts of tables, bytes where the engine says.
    fn measure(&mut self, schema: &Name) -> Result<Vec<Relation>>;

    /// Create the schema and what the toolkit keeps in it, where any of it is missing.
    fn provision(&self, schema: &Name) -> Vec<Statement>;

    /// Create the registry, where it is missing.
    fn provision_registry(&self) -> Vec<Statement>;
}

/// The rows of `sql` as records.
pub(crate) fn records<T: DeserializeOwned>(warehouse: &mut dyn Warehouse, sql: &str) -> Result<Vec<T>> {
    let rows = warehouse.query(sql)?;
    rows.into_iter().map(|row| Ok(serde_json::from_value(Value::Object(row))?)).collect()
}

/// An identifier as SQL takes it whatever it holds.
pub(crate) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// A text as a standard SQL string literal.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
