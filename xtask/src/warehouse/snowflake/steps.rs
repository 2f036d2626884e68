//! A change as it is sent: rows in transactions, everything else alone.

use anyhow::Result;
use serde_json::Value;

use super::Snowflake;
use super::classify::is_dml;
use crate::warehouse::{Row, Statement};

/// A text of JSON in one insert. Snowflake takes 16 MB.
const INSERT_BYTES: usize = 4 << 20;

impl Snowflake {
    /// A change's statements in groups: rows and what goes with them in one transaction each, the rest
    /// alone, because Snowflake commits before and after it anyway.
    pub(super) fn steps(&self, change: &[Statement]) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut rows: Vec<Step> = Vec::new();
        for statement in change {
            match statement {
                Statement::Sql(sql) if is_dml(sql) => rows.push(Step::plain(sql)),
                Statement::Sql(sql) => {
                    steps.extend(transaction(std::mem::take(&mut rows)));
                    steps.push(Step::plain(sql));
                }
                Statement::Insert { table, rows: data } => {
                    let of = |chunk: &[Row]| Step {
                        sql: self.database.insert(table, &chunk[0]),
                        rows: chunk.to_vec(),
                    };
                    rows.extend(chunks(data, INSERT_BYTES).into_iter().map(of));
                }
                // Environments are schemas of one database here.
                Statement::Copy { .. } | Statement::Remove(_) => {}
            }
        }
        steps.extend(transaction(rows));
        steps
    }
}

/// One statement as it is sent, with the rows that are bound to its `?`.
#[derive(Debug, PartialEq)]
pub(super) struct Step {
    pub(super) sql: String,
    pub(super) rows: Vec<Row>,
}

impl Step {
    pub(super) fn plain(sql: &str) -> Self {
        Self { sql: sql.to_owned(), rows: Vec::new() }
    }

    pub(super) fn bound(&self) -> Result<Option<String>> {
        if self.rows.is_empty() { Ok(None) } else { Ok(Some(serde_json::to_string(&self.rows)?)) }
    }
}

fn transaction(steps: Vec<Step>) -> Vec<Step> {
    if steps.len() < 2 {
        return steps;
    }
    std::iter::once(Step::plain("begin")).chain(steps).chain([Step::plain("commit")]).collect()
}

/// Rows in groups whose JSON stays below `limit`, except for a single row that is larger.
pub(super) fn chunks(rows: &[Row], limit: usize) -> Vec<&[Row]> {
    let mut all = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (index, row) in rows.iter().enumerate() {
        let bytes = Value::Object(row.clone()).to_string().len();
        if index > start && size + bytes > limit {
            all.push(&rows[start..index]);
            (start, size) = (index, 0);
        }
        size += bytes;
    }
    if start < rows.len() {
        all.push(&rows[start..]);
    }
    all
}
