//! Changes of the columns of relations between runs: added, removed, of another type, or in another order.

use jiff::civil::DateTime;
use serde::Deserialize;

use super::collect::Limited;
use super::model::{ColumnChange, SchemaChange};
use crate::ledger::columns::{self, Column};

/// Relations with changes that a report shows; `schema_changes.sql` returns one more.
const SHOWN: usize = 200;

/// A row of `schema_changes.sql`.
#[derive(Deserialize)]
pub(super) struct Row {
    environment: String,
    relation_name: String,
    run_id: String,
    measured_at: DateTime,
    column_types: String,
    previous_column_types: String,
    previous_measured_at: DateTime,
}

pub(super) fn changes(mut rows: Vec<Row>) -> Limited<SchemaChange> {
    let left_out =
        (rows.len() > SHOWN).then(|| format!("the newest {SHOWN} relations whose columns changed"));
    rows.truncate(SHOWN);
    Limited { rows: rows.iter().flat_map(of_row).collect(), left_out }
}

fn of_row(row: &Row) -> Vec<SchemaChange> {
    let (Some(now), Some(before)) =
        (columns::parse(&row.column_types), columns::parse(&row.previous_column_types))
    else {
        return Vec::new();
    };
    let change = |(change, column_name, previous_type, data_type)| SchemaChange {
        environment: row.environment.clone(),
        relation_name: row.relation_name.clone(),
        column_name,
        change,
        previous_type,
        data_type,
        run_id: row.run_id.clone(),
        measured_at: row.measured_at,
        previous_measured_at: row.previous_measured_at,
    };
    differences(&before, &now).into_iter().map(change).collect()
}

type Difference = (ColumnChange, Option<String>, Option<String>, Option<String>);

/// The columns that differ, in the order of the table; if none does, only the order of columns has changed.
fn differences(before: &[Column], now: &[Column]) -> Vec<Difference> {
    let of = |all: &[Column], name: &str| all.iter().find(|column| column.name == name).cloned();
    let mut found: Vec<Difference> = Vec::new();
    for column in now {
        let name = Some(column.name.clone());
        match of(before, &column.name) {
            None => found.push((ColumnChange::Added, name, None, Some(column.data_type.clone()))),
            Some(old) if old.data_type != column.data_type => {
                let (old, new) = (Some(old.data_type), Some(column.data_type.clone()));
                found.push((ColumnChange::Retyped, name, old, new));
            }
            Some(_) => {}
        }
    }
    let removed = before.iter().filter(|column| of(now, &column.name).is_none());
    found.extend(removed.map(|column| {
        (ColumnChange::Removed, Some(column.name.clone()), Some(column.data_type.clone()), None)
    }));
    if found.is_empty() {
        found.push((ColumnChange::Reordered, None, None, None));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_that_differs_is_one_change() {
        let all = |columns: &[(&str, &str)]| -> Vec<Column> {
            let column =
                |(name, kind): &(&str, &str)| Column { name: (*name).into(), data_type: (*kind).into() };
            columns.iter().map(column).collect()
        };
        let said = |before: &[(&str, &str)], now: &[(&str, &str)]| -> Vec<String> {
            let found = differences(&all(before), &all(now)).into_iter();
            found
                .map(|(change, name, old, new)| {
                    let part = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
                    format!("{change:?} {} {} {}", part(name), part(old), part(new))
                })
                .collect()
        };
        assert_eq!(
            said(
                &[("a", "INT"), ("b", "INT"), ("c", "INT")],
                &[("d", "DATE"), ("b", "BIGINT"), ("a", "INT")]
            ),
            ["Added d - DATE", "Retyped b INT BIGINT", "Removed c INT -"]
        );
        assert_eq!(said(&[("a", "INT"), ("b", "INT")], &[("b", "INT"), ("a", "INT")]), ["Reordered - - -"]);
    }

    #[test]
    fn more_relations_than_are_shown_are_counted_as_left_out() {
        let row = || -> Row {
            serde_json::from_value(serde_json::json!({
                "environment": "prod", "relation_name": "t", "run_id": "r", "measured_at": "2026-03-08T10:00:00",
                "column_types": "[[\"a\",\"INT\"]]", "previous_column_types": "[]",
                "previous_measured_at": "2026-03-07T10:00:00"
            }))
            .expect("a row")
        };
        let rows = |count: usize| std::iter::repeat_with(row).take(count).collect::<Vec<_>>();
        assert_eq!(changes(rows(200)).left_out, None);
        let found = changes(rows(201));
        assert!(found.left_out.is_some() && found.rows.len() == 200);
    }
}
