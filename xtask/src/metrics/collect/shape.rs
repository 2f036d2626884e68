//! Rows as tables of a report: with their source, and the reason if rows are missing.

use crate::metrics::model::{Status, Table};

/// A table that says so if it has not all rows.
pub(super) fn limited<T>(shape: &Shape, limited: Limited<T>, why_none: &str) -> Table<T> {
    let table = shape.of(limited.rows, why_none);
    match limited.left_out {
        Some(reason) if table.status == Status::Ok => {
            Table { status: Status::Truncated, reason: Some(reason), ..table }
        }
        _ => table,
    }
}

/// Makes tables: rows with their source, or the reason why there are no rows.
pub(super) struct Shape {
    /// Why there is no environment to read.
    pub(super) empty: Option<&'static str>,
    pub(super) source: &'static str,
}

impl Shape {
    pub(super) fn of<T>(&self, rows: Vec<T>, why_none: &str) -> Table<T> {
        let reason = self.empty.unwrap_or(why_none);
        let none = rows.is_empty() || self.empty.is_some();
        Table {
            status: if none { Status::NoData } else { Status::Ok },
            source: self.source.to_owned(),
            reason: none.then(|| reason.to_owned()),
            rows: if self.empty.is_some() { Vec::new() } else { rows },
        }
    }
}

/// Rows of which a report shows the first; `all` says how many there are if some are left out.
pub(in crate::metrics) struct Limited<T> {
    pub(in crate::metrics) rows: Vec<T>,
    pub(in crate::metrics) left_out: Option<String>,
}

impl<T> Default for Limited<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), left_out: None }
    }
}
