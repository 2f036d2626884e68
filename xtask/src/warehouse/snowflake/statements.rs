//! The SQL that is sent to Snowflake, as text: what makes, marks, opens, copies and drops environments.
//!
//! Pure, so that every statement is printed by `--dry-run` and parsed by a test. Environments reach
//! Snowflake in upper case and quoted; a name that came from elsewhere (a view's, a role's) is quoted
//! as it is. Everything is qualified down to the database: no statement depends on a session's state.

use serde_json::{Value, json};

use super::grants::{Applied, Record};
use super::relation::Form;
use crate::core::environment::{Identifier, Kind, Name, REGISTRY};
use crate::core::ledger::WRITE_ATTEMPT;
use crate::warehouse::{Row, Table, quote};

const LEDGER: &str = include_str!("../../../../sql/snowflake/ledger.sql");
const REGISTRY_TABLES: &str = include_str!("../../../../sql/snowflake/registry.sql");

/// A text as a literal of Snowflake, which takes a backslash for an escape.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// How the names of schemas that a question mentions are compared with those that Snowflake keeps.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names {
    /// Of environments, which Snowflake keeps in upper case.
    Folded,
    /// As Snowflake keeps them.
    Kept,
    /// However Snowflake keeps them: a project may quote the names of its schemas.
    InAnyCase,
}

/// The database that all statements are about.
#[derive(Clone, Debug)]
pub(super) struct Database {
    name: Identifier,
    /// The dbt project whose schemas are made.
    project: Option<String>,
}

impl Database {
    pub(super) fn new(name: &Identifier) -> Self {
        Self { name: name.clone(), project: None }
    }

    /// The same for the schemas of a dbt project.
    pub(super) fn of(self, project: Option<&str>) -> Self {
        Self { project: project.map(str::to_owned), ..self }
    }

    pub(super) fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    pub(super) fn quoted(&self) -> String {
        quote(self.name.as_str())
    }

    pub(super) fn schema(&self, schema: &str) -> String {
        self.place(&schema.to_uppercase())
    }

    /// A schema by the name that Snowflake keeps.
    pub(super) fn place(&self, stored: &str) -> String {
        format!("{}.{}", self.quoted(), quote(stored))
    }

    pub(super) fn table(&self, table: &Table) -> String {
        format!("{}.{}", self.schema(&table.schema), quote(&table.name.to_uppercase()))
    }

    /// What exists in `schemas`, in one question. The tables are restricted too: without that Snowflake gathers those of
    /// the whole database first, and refuses if they are too many (090030).
    pub(super) fn contents(&self, schemas: &[&str], names: Names) -> String {
        let compared = |name: &str| match names {
            Names::Folded | Names::Kept => name.to_owned(),
            Names::InAnyCase => format!("lower({name})"),
        };
        let spelled = |schema: &&str| match names {
            Names::Folded => literal(&schema.to_uppercase()),
            Names::Kept => literal(schema),
            Names::InAnyCase => literal(&schema.to_lowercase()),
        };
        let listed: Vec<String> = schemas.iter().map(spelled).collect();
        format!(
            "select s.schema_name, s.comment, s.is_transient as schema_is_transient, t.table_name, t.table_type,
    t.table_owner, t.is_transient, t.is_dynamic, t.is_iceberg, t.row_count, t.bytes
from {0}.information_schema.schemata as s
left join {0}.information_schema.tables as t on t.table_schema = s.schema_name and {2} in ({1})
where {3} in ({1})
order by 1, 4",
            self.quoted(),
            listed.join(", "),
            compared("t.table_schema"),
            compared("s.schema_name")
        )
    }

    pub(super) fn columns(&self, schemas: &[&str], tables: Option<&[&str]>) -> String {
        let of_tables =
            tables.map(|tables| format!(" and table_name in ({})", list(tables))).unwrap_or_default();
        format!(
            "select table_schema as schema_name, table_name, column_name from {}.information_schema.columns
where table_schema in ({}){of_tables}",
            self.quoted(),
            list(schemas)
        )
    }

    /// Prod and dev keep Snowflake's Time Travel; what is dropped again needs none, and pays for none.
    pub(super) fn create_schema(&self, name: &Name, granting: &Applied) -> String {
        self.create_further(&stored(name), name, granting)
    }

    /// A schema of the environment `name`: its first one, or a further one by the name that Snowflake keeps. The grants
    /// that come next are recorded before they are made.
    pub(super) fn create_further(&self, stored: &str, name: &Name, granting: &Applied) -> String {
        let (transient, retention) = lasting(name);
        format!(
            "create {transient}schema if not exists {} with managed access{retention} comment = {}",
            self.place(stored),
            literal(&self.comment(name, &Record::announced(granting)))
        )
    }

    pub(super) fn clone_schema(&self, base: &Name, name: &Name, record: &Record) -> String {
        self.clone_further((&stored(base), &stored(name)), name, record)
    }

    /// A schema of the environment `name`, as a clone of one of its base. It carries the grants of that.
    pub(super) fn clone_further(&self, (from, to): (&str, &str), name: &Name, record: &Record) -> String {
        let (transient, retention) = lasting(name);
        format!(
            "create {transient}schema {} clone {} with managed access{retention} comment = {}",
            self.place(to),
            self.place(from),
            literal(&self.comment(name, record))
        )
    }

    /// Schemas and `table` are named as Snowflake keeps them. A copy of a transient table is transient wherever it is.
    pub(super) fn clone_table(
        &self,
        base: &str,
        schema: &str,
        table: &Identifier,
        form: Form,
        is_transient: bool,
    ) -> String {
        // No other form of table can be transient.
        let transient = if is_transient && form == Form::Table { "transient " } else { "" };
        let table = quote(table.as_str());
        format!(
            "create {transient}{} if not exists {}.{table} clone {}.{table}",
            form.words(),
            self.place(schema),
            self.place(base)
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

    pub(super) fn comment_on_schema(&self, name: &Name, record: &Record) -> String {
        self.comment_on_further(&stored(name), name, record)
    }

    /// Marks a schema as one of the environment `name`.
    pub(super) fn comment_on_further(&self, stored: &str, name: &Name, record: &Record) -> String {
        format!("comment on schema {} is {}", self.place(stored), literal(&self.comment(name, record)))
    }

    /// The comment that marks a schema as ours, with the dbt project and the grants of the policy.
    pub(super) fn comment(&self, name: &Name, record: &Record) -> String {
        let mut comment = json!({"tool": "xtask", "environment": name.as_str()});
        if let Some(project) = &self.project {
            comment["project"] = json!(project);
        }
        for (key, grants) in [("grants", &record.applied), ("granting", &record.granting)] {
            if !grants.is_empty() {
                comment[key] = json!(grants);
            }
        }
        comment.to_string()
    }

    /// Makes a table and drops it, as dbt is going to do.
    pub(super) fn attempt(&self, name: &Name) -> [String; 2] {
        let table = self.table(&Table::new(name.as_str(), WRITE_ATTEMPT));
        [
            format!("create transient table if not exists {table} (a integer)"),
            format!("drop table if exists {table}"),
        ]
    }

    /// `schema` and `relation` are named as Snowflake keeps them.
    pub(super) fn drop_relation(&self, schema: &str, relation: &Identifier, form: Form) -> String {
        format!("drop {} if exists {}.{}", form.words(), self.place(schema), quote(relation.as_str()))
    }

    pub(super) fn drop_schema(&self, name: &Name) -> String {
        self.drop_further(&stored(name))
    }

    pub(super) fn drop_further(&self, stored: &str) -> String {
        format!("drop schema if exists {} cascade", self.place(stored))
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

/// The name of an environment's first schema, as Snowflake keeps it.
pub(super) fn stored(name: &Name) -> String {
    name.as_str().to_uppercase()
}

/// The environment that a comment of ours names.
pub(crate) fn marked_for(comment: &str) -> Option<String> {
    marked(comment, "environment")
}

/// The dbt project that a comment of ours names.
pub(crate) fn project_of(comment: &str) -> Option<String> {
    marked(comment, "project")
}

fn marked(comment: &str, key: &str) -> Option<String> {
    let value: Value = serde_json::from_str(comment).ok()?;
    if value.get("tool")? != "xtask" {
        return None;
    }
    Some(value.get(key)?.as_str()?.to_owned())
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
