//! The SQL that is sent to Snowflake, as text: what makes, marks, opens, copies and drops environments.
//!
//! Pure, so that every statement is printed by `--dry-run` and parsed by a test. Environments reach
//! Snowflake in upper case and quoted; a name that came from elsewhere (a view's, a role's) is quoted
//! as it is. Everything is qualified down to the database: no statement depends on a session's state.

use serde_json::{Value, json};

use super::grants::Applied;
use crate::core::environment::{Identifier, Kind, Name, REGISTRY};
use crate::warehouse::{Row, Table, quote};

const LEDGER: &str = include_str!("../../../../sql/snowflake/ledger.sql");
const REGISTRY_TABLES: &str = include_str!("../../../../sql/snowflake/registry.sql");

/// A text as a literal of Snowflake, which takes a backslash for an escape.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The database that all statements are about.
#[derive(Clone, Debug)]
pub(super) struct Database(Identifier);

impl Database {
    pub(super) fn new(name: &Identifier) -> Self {
        Self(name.clone())
    }

    fn quoted(&self) -> String {
        quote(self.0.as_str())
    }

    pub(super) fn schema(&self, schema: &str) -> String {
        format!("{}.{}", self.quoted(), quote(&schema.to_uppercase()))
    }

    pub(super) fn table(&self, table: &Table) -> String {
        format!("{}.{}", self.schema(&table.schema), quote(&table.name.to_uppercase()))
    }

    /// What exists, in one question. `schemas` are compared as Snowflake keeps them.
    pub(super) fn contents(&self, schemas: &[&str]) -> String {
        format!(
            "select s.schema_name, s.comment, s.is_transient as schema_is_transient, t.table_name, t.table_type,
    t.table_owner, t.is_transient, t.row_count, t.bytes
from {0}.information_schema.schemata as s
left join {0}.information_schema.tables as t on t.table_schema = s.schema_name
where s.schema_name in ({1})
order by 1, 4",
            self.quoted(),
            list(schemas)
        )
    }

    /// The columns of all tables in `schemas`.
    pub(super) fn columns(&self, schemas: &[&str]) -> String {
        format!(
            "select table_schema as schema_name, table_name, column_name from {}.information_schema.columns
where table_schema in ({})",
            self.quoted(),
            list(schemas)
        )
    }

    /// Prod and dev keep Snowflake's Time Travel; what is dropped again needs none, and pays for none.
    pub(super) fn create_schema(&self, name: &Name) -> String {
        let (transient, retention) = lasting(name);
        format!(
            "create {transient}schema if not exists {} with managed access{retention} comment = {}",
            self.schema(name.as_str()),
            literal(&comment(name))
        )
    }

    pub(super) fn clone_schema(&self, base: &Name, name: &Name) -> String {
        let (transient, retention) = lasting(name);
        format!(
            "create {transient}schema {} clone {} with managed access{retention} comment = {}",
            self.schema(name.as_str()),
            self.schema(base.as_str()),
            literal(&comment(name))
        )
    }

    /// `table` is named as Snowflake keeps it. A copy of a transient table is transient wherever it is.
    pub(super) fn clone_table(
        &self,
        base: &Name,
        name: &Name,
        table: &Identifier,
        transient: bool,
    ) -> String {
        let transient = if transient || self.is_transient(name) { "transient " } else { "" };
        let table = quote(table.as_str());
        format!(
            "create {transient}table if not exists {}.{table} clone {}.{table}",
            self.schema(name.as_str()),
            self.schema(base.as_str())
        )
    }

    /// Whether the schema of `name` is made without Time Travel and Fail-safe.
    #[expect(clippy::unused_self, reason = "read with the other statements about schemas")]
    pub(super) fn is_transient(&self, name: &Name) -> bool {
        !matches!(name.kind(), Kind::Prod | Kind::Dev)
    }

    pub(super) fn create_registry(&self) -> String {
        format!("create schema if not exists {}", self.schema(REGISTRY))
    }

    /// The table of the ownership mark, which is the first of the file, and the others.
    pub(super) fn ledger_tables(&self, name: &Name) -> (String, Vec<String>) {
        let mut all = tables(LEDGER, &self.schema(name.as_str()));
        let mark = all.remove(0);
        (mark, all)
    }

    pub(super) fn registry_tables(&self) -> Vec<String> {
        tables(REGISTRY_TABLES, &self.schema(REGISTRY))
    }

    pub(super) fn comment_on_schema(&self, name: &Name, applied: &Applied) -> String {
        format!(
            "comment on schema {} is {}",
            self.schema(name.as_str()),
            literal(&comment_with(name, applied))
        )
    }

    /// `view` is named as Snowflake keeps it. A materialized view needs a different statement.
    pub(super) fn drop_view(&self, name: &Name, view: &Identifier, is_materialized: bool) -> String {
        let kind = if is_materialized { "materialized view" } else { "view" };
        format!("drop {kind} if exists {}.{}", self.schema(name.as_str()), quote(view.as_str()))
    }

    pub(super) fn drop_schema(&self, name: &Name) -> String {
        format!("drop schema if exists {} cascade", self.schema(name.as_str()))
    }

    /// Rows travel as one bound text of JSON. Every value goes in as text and is converted by the
    /// column's own type, so nothing is guessed and no text becomes SQL.
    pub(super) fn insert(&self, table: &Table, first: &Row) -> String {
        let columns: Vec<String> = first.keys().map(|name| quote(&name.to_uppercase())).collect();
        let values: Vec<String> =
            first.keys().map(|name| format!("value:{}::varchar", quote(name))).collect();
        format!(
            "insert into {} ({})\nselect {}\nfrom table(flatten(input => parse_json(?)))",
            self.table(table),
            columns.join(", "),
            values.join(", ")
        )
    }
}

/// The comment that marks a schema as ours.
pub(super) fn comment(name: &Name) -> String {
    comment_with(name, &Applied::new())
}

/// The same, with the grants of the policy that were applied to the schema.
pub(super) fn comment_with(name: &Name, applied: &Applied) -> String {
    let mut comment = json!({"tool": "xtask", "environment": name.as_str()});
    if !applied.is_empty() {
        comment["grants"] = json!(applied);
    }
    comment.to_string()
}

/// The environment that a comment of ours names.
pub(crate) fn marked_for(comment: &str) -> Option<String> {
    let value: Value = serde_json::from_str(comment).ok()?;
    if value.get("tool")? != "xtask" {
        return None;
    }
    Some(value.get("environment")?.as_str()?.to_owned())
}

fn lasting(name: &Name) -> (&'static str, &'static str) {
    match name.kind() {
        Kind::Prod | Kind::Dev => ("", ""),
        _ => ("transient ", " data_retention_time_in_days = 0"),
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| literal(&name.to_uppercase())).collect::<Vec<_>>().join(", ")
}

/// The statements of a file of ours, each with `schema` before the name of its table.
fn tables(file: &str, schema: &str) -> Vec<String> {
    let lines: Vec<&str> = file.lines().filter(|line| !line.starts_with("--")).collect();
    let statements = lines.join("\n");
    let statements =
        statements.split(";\n").map(|text| text.trim().trim_end_matches(';')).filter(|text| !text.is_empty());
    statements
        .map(|text| text.replacen("table if not exists ", &format!("table if not exists {schema}."), 1))
        .collect()
}
