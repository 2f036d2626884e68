//! What the tables and views of a schema are to Snowflake: each form is dropped and cloned by a statement that names it.

use super::{is_yes, text};
use crate::warehouse::Row;

/// The form of a relation, by `TABLE_TYPE` and the flags of `INFORMATION_SCHEMA.TABLES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    IcebergTable,
    /// Kept up to date by Snowflake from a query.
    DynamicTable,
    View,
    MaterializedView,
    /// External, event and temporary tables: no part of a copy.
    Other,
}

impl Form {
    pub(super) fn of(row: &Row) -> Self {
        match text(row, "table_type").unwrap_or_default().as_str() {
            "BASE TABLE" if is_yes(row, "is_dynamic") => Self::DynamicTable,
            "BASE TABLE" if is_yes(row, "is_iceberg") => Self::IcebergTable,
            "BASE TABLE" => Self::Table,
            "VIEW" => Self::View,
            "MATERIALIZED VIEW" => Self::MaterializedView,
            _ => Self::Other,
        }
    }

    /// Whether a copy has it: rows, and not a query that reads the base.
    pub(super) fn is_copied(self) -> bool {
        matches!(self, Self::Table | Self::IcebergTable)
    }

    /// Whether a clone of its schema has it, and would read the base.
    pub(super) fn reads_the_base(self) -> bool {
        matches!(self, Self::View | Self::MaterializedView | Self::DynamicTable)
    }

    /// The words between `drop` or `create` and the name.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Table | Self::Other => "table",
            Self::IcebergTable => "iceberg table",
            Self::DynamicTable => "dynamic table",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(kind: &str, dynamic: &str, iceberg: &str) -> Form {
        let row = json!({"table_type": kind, "is_dynamic": dynamic, "is_iceberg": iceberg});
        Form::of(&serde_json::from_value(row).expect("a row"))
    }

    #[test]
    fn each_form_has_its_own_drop() {
        for (kind, dynamic, iceberg, expected) in [
            ("BASE TABLE", "NO", "NO", "table"),
            ("BASE TABLE", "YES", "NO", "dynamic table"),
            ("BASE TABLE", "YES", "YES", "dynamic table"),
            ("BASE TABLE", "NO", "YES", "iceberg table"),
            ("VIEW", "NO", "NO", "view"),
            ("MATERIALIZED VIEW", "NO", "NO", "materialized view"),
        ] {
            assert_eq!(form(kind, dynamic, iceberg).words(), expected, "{kind}");
        }
        for kind in ["EXTERNAL TABLE", "EVENT TABLE", "TEMPORARY TABLE", "LOCAL TEMPORARY", ""] {
            let other = form(kind, "NO", "NO");
            assert!(!other.is_copied() && !other.reads_the_base(), "{kind}");
        }
    }
}
