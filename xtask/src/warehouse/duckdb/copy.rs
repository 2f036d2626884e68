//! Copies of environments within one database file: tables with all that belongs to them.
//!
//! `create table … as` copies rows only. So each table is created by its own definition, moved to the new
//! schema, then filled; indexes and comments follow. Views are left out: their text names the base.

use std::collections::BTreeSet;

use anyhow::Result;

use super::DuckDb;
use super::look::{schemas_of, text};
use crate::core::environment::Name;
use crate::core::ledger::{STATE, is_ledger};
use crate::warehouse::{Row, Statement, Warehouse as _, literal, quote};

/// The schemas of a copy.
#[derive(Clone, Copy)]
pub(super) struct Between<'a> {
    /// The schema's name.
    pub(super) from: &'a str,
    /// The same as SQL takes it in the database that is written.
    pub(super) source: &'a str,
    pub(super) to: &'a str,
}

impl DuckDb {
    /// The statements that copy the contents of `base` into `schema`, which exists and has a ledger, and those of the
    /// base's further schemas into separate schemas.
    pub(super) fn copied(&mut self, base: &Name, schema: &Name) -> Result<Vec<Statement>> {
        let mut change = Vec::new();
        for from in schemas_of(self, base)? {
            let rest = from.strip_prefix(base.as_str()).unwrap_or_default();
            let to = format!("{schema}{rest}");
            if !rest.is_empty() {
                change.push(Statement::sql(format!("create schema if not exists {}", quote(&to))));
            }
            let between = Between { from: &from, source: &quote(&from), to: &to };
            let exists = |name: &str| rest.is_empty() && is_ledger(name) && name != STATE;
            change.extend(self.copied_between(&between, exists)?);
        }
        Ok(change)
    }

    /// The statements that copy the tables of a schema with all that belongs to them. Of those that `exist` in the
    /// other schema only the rows are copied.
    pub(super) fn copied_between(
        &mut self,
        between: &Between<'_>,
        exist: impl Fn(&str) -> bool,
    ) -> Result<Vec<Statement>> {
        let Between { from: base, source, to: schema } = *between;
        let of_base = format!("database_name = current_database() and schema_name = {}", literal(base));
        let questions = [
            format!(
                "select sequence_name as name, sql, last_value from duckdb_sequences() where {of_base} order by 1"
            ),
            format!(
                "select table_name as name, sql, comment from duckdb_tables() where {of_base} order by 1"
            ),
            format!(
                "select table_name as name, referenced_table from duckdb_constraints()
                 where {of_base} and constraint_type = 'FOREIGN KEY' order by 1, 2"
            ),
            format!(
                "select sql from duckdb_indexes() where {of_base} and sql is not null order by index_name"
            ),
            format!(
                "select table_name as name, column_name, comment from duckdb_columns()
                 where {of_base} and comment is not null order by 1, column_index"
            ),
        ];
        let mut answers = self.query_many(&questions)?.into_iter();
        let mut next = || answers.next().unwrap_or_default();
        let (sequences, tables, references, indexes, columns) = (next(), next(), next(), next(), next());
        let mut change: Vec<Statement> =
            sequences.iter().map(|row| Statement::sql(sequence(row, schema))).collect();
        for table in in_order(&tables, &references) {
            let name = text(table, "name");
            let (from, to) = (format!("{source}.{}", quote(name)), place(schema, name));
            if exist(name) {
                change.push(Statement::sql(format!("insert into {to} by name select * from {from}")));
                continue;
            }
            let definition = text(table, "sql");
            if definition.contains("GENERATED ALWAYS AS") {
                // A generated column takes no rows.
                change.push(Statement::sql(format!("create table {to} as select * from {from}")));
            } else {
                change.push(Statement::sql(moved(definition, base, schema)));
                change.push(Statement::sql(format!("insert into {to} by name select * from {from}")));
            }
            if let Some(comment) = table.get("comment").and_then(|comment| comment.as_str()) {
                change.push(Statement::sql(format!("comment on table {to} is {}", literal(comment))));
            }
        }
        change.extend(indexes.iter().map(|row| Statement::sql(moved(text(row, "sql"), base, schema))));
        // A view has columns with comments too, and is left out.
        let is_copied = |row: &&Row| {
            let name = text(row, "name");
            !exist(name) && tables.iter().any(|table| text(table, "name") == name)
        };
        let columns = columns.iter().filter(is_copied);
        change.extend(columns.map(|row| {
            let column = format!("{}.{}", place(schema, text(row, "name")), quote(text(row, "column_name")));
            Statement::sql(format!("comment on column {column} is {}", literal(text(row, "comment"))))
        }));
        Ok(change)
    }
}

fn place(schema: &str, relation: &str) -> String {
    format!("{}.{}", quote(schema), quote(relation))
}

/// A sequence that continues after the last value of the one it copies.
fn sequence(row: &Row, schema: &str) -> String {
    let name = text(row, "name");
    let options = text(row, "sql").trim_end_matches(';');
    let options = options.split_once(" INCREMENT BY ").map_or("1", |(_, options)| options);
    let options = match row.get("last_value").and_then(serde_json::Value::as_i64) {
        Some(last) => {
            let step: i64 = options.split(' ').next().and_then(|step| step.parse().ok()).unwrap_or(1);
            let (before, after) = options.split_once(" START ").unwrap_or((options, ""));
            let rest = after.split_once(' ').map_or("", |(_, rest)| rest);
            format!("{before} START {} {rest}", last.saturating_add(step))
        }
        None => options.to_owned(),
    };
    format!("create sequence {} INCREMENT BY {}", place(schema, name), options.trim_end())
}

/// Tables that others refer to come before those.
fn in_order<'a>(tables: &'a [Row], references: &[Row]) -> Vec<&'a Row> {
    let mut left: Vec<&Row> = tables.iter().collect();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let waits = |row: &&Row, done: &BTreeSet<&str>| {
            references.iter().any(|reference| {
                let other = text(reference, "referenced_table");
                text(reference, "name") == text(row, "name")
                    && other != text(row, "name")
                    && !done.contains(other)
            })
        };
        let (ready, later): (Vec<&Row>, Vec<&Row>) = left.iter().partition(|row| !waits(row, &done));
        if ready.is_empty() {
            // Tables that refer to each other cannot be made by `create table`: the engine reports which.
            ordered.extend(later);
            return ordered;
        }
        done.extend(ready.iter().map(|row| text(row, "name")));
        ordered.extend(ready);
        left = later;
    }
    ordered
}

/// A definition as the engine writes it, with all names of the schema `from` in it made names of `to`.
fn moved(definition: &str, from: &str, to: &str) -> String {
    let mut out = String::with_capacity(definition.len() + 16);
    let mut rest = definition.trim_end().trim_end_matches(';');
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => quoted(rest, first),
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        // A name of a table has the schema and a dot before it; one of a column never does here.
        let is_schema = after.starts_with('.')
            && !out.ends_with('.')
            && (token == from || token.trim_matches('"') == from);
        if is_schema {
            out.push_str(&quote(to));
        } else if let (Some(name), true) = (sequence_of(token, from), out.ends_with("nextval(")) {
            out.push_str(&literal(&format!("{}.{name}", quote(to))));
        } else {
            out.push_str(token);
        }
        rest = after;
    }
    out
}

/// The length of the quoted text that `rest` begins with; a doubled quote belongs to it.
pub(super) fn quoted(rest: &str, quote: char) -> usize {
    let mut at = 1;
    while let Some(end) = rest[at..].find(quote) {
        at += end + 1;
        if !rest[at..].starts_with(quote) {
            return at;
        }
        at += 1;
    }
    rest.len()
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The sequence of `from` that a literal such as `'dev.numbers'` names.
fn sequence_of<'a>(token: &'a str, from: &str) -> Option<&'a str> {
    let name = token.strip_prefix('\'')?.strip_suffix('\'')?;
    let (schema, sequence) = name.split_once('.')?;
    (schema.trim_matches('"') == from).then_some(sequence)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: serde_json::Value) -> Row {
        serde_json::from_value(value).expect("a row")
    }

    #[test]
    fn only_names_of_the_schema_are_moved() {
        for (definition, expected) in [
            ("CREATE TABLE dev.k(dev INTEGER NOT NULL);", r#"CREATE TABLE "pr_7".k(dev INTEGER NOT NULL)"#),
            (
                "CREATE TABLE dev.k(b INTEGER, FOREIGN KEY (b) REFERENCES dev.p(id));",
                r#"CREATE TABLE "pr_7".k(b INTEGER, FOREIGN KEY (b) REFERENCES "pr_7".p(id))"#,
            ),
            (
                "CREATE TABLE dev.k(s VARCHAR DEFAULT('see dev.k; it''s'), \"dev.x\" INTEGER)",
                "CREATE TABLE \"pr_7\".k(s VARCHAR DEFAULT('see dev.k; it''s'), \"dev.x\" INTEGER)",
            ),
            (
                "CREATE TABLE dev.k(a INTEGER DEFAULT(nextval('dev.sq')))",
                "CREATE TABLE \"pr_7\".k(a INTEGER DEFAULT(nextval('\"pr_7\".sq')))",
            ),
            ("CREATE INDEX ix ON dev.k(b);", r#"CREATE INDEX ix ON "pr_7".k(b)"#),
            (
                r#"CREATE TABLE "dev"."odd (na""me"(a INTEGER)"#,
                r#"CREATE TABLE "pr_7"."odd (na""me"(a INTEGER)"#,
            ),
            ("CREATE TABLE dev.dev(dev INTEGER)", r#"CREATE TABLE "pr_7".dev(dev INTEGER)"#),
        ] {
            assert_eq!(moved(definition, "dev", "pr_7"), expected);
        }
    }

    #[test]
    fn tables_come_after_those_they_refer_to() {
        let table = |name: &str| row(json!({"name": name}));
        let tables = [table("a"), table("b"), table("c")];
        let refers = |from: &str, to: &str| row(json!({"name": from, "referenced_table": to}));
        let names = |references: &[Row]| -> Vec<String> {
            in_order(&tables, references).iter().map(|row| text(row, "name").to_owned()).collect()
        };
        assert_eq!(names(&[]), ["a", "b", "c"]);
        assert_eq!(names(&[refers("a", "b"), refers("b", "c"), refers("c", "c")]), ["c", "b", "a"]);
        assert_eq!(names(&[refers("a", "b"), refers("b", "a")]).len(), 3);
    }

    #[test]
    fn a_sequence_goes_on_where_its_original_is() {
        let sql = "CREATE SEQUENCE sq INCREMENT BY 2 MINVALUE 1 MAXVALUE 9 START 5 NO CYCLE;";
        let new = row(json!({"name": "sq", "sql": sql, "last_value": null}));
        let expected = r#"create sequence "pr_7"."sq" INCREMENT BY 2 MINVALUE 1 MAXVALUE 9 START 5 NO CYCLE"#;
        assert_eq!(sequence(&new, "pr_7"), expected);
        let used = row(json!({"name": "sq", "sql": sql, "last_value": 7}));
        assert_eq!(sequence(&used, "pr_7"), expected.replace("START 5", "START 9"));
    }
}
