//! How new the data itself is: the newest time in a column, beside the age of the last run.
//!
//! The columns are those that `policies/metrics.toml` names for the tables of an environment, and `loaded_at_field`
//! (or `loaded_at_query`) of dbt's sources. What `dbt source freshness` found is taken for sources that cannot be
//! measured here. A time after now does not count: one wrong row would make a source look new for years.

mod measure;
mod subjects;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::Result;

use self::measure::measure;
use self::subjects::{of_policy, of_sources, results};
use super::collect::Request;
use super::figures::{self, From};
use super::model::{DataAge, Figure, Span, Status, Table, Unit, Value};
use super::policy::Policy;
use crate::core::environment::{Kind, Name};
use crate::system::repo::Repo;
use crate::warehouse::Warehouse;

/// Where the figures are from.
pub(super) const SOURCE: &str = "data";

const OF_POLICY: &str = "policies/metrics.toml";
const OF_FIELD: &str = "loaded_at_field";
const OF_FRESHNESS: &str = "dbt source freshness";

const NOT_NAMED: &str = "no column says how new the data is: name one in policies/metrics.toml, or set loaded_at_field \
                         of a source in dbt";
const OF_THE_PAST: &str = "only the current age can be measured";
const NO_CRITERIA: &str = "no source says when it is late (dbt's `freshness`)";

/// A table or source whose age is to be measured.
#[derive(Debug)]
struct Subject {
    row: DataAge,
    /// The relation, the expression for the time of a row, and a condition; or why it cannot be measured.
    query: Result<Query, String>,
}

#[derive(Clone, Debug)]
enum Query {
    Column { relation: String, expression: String, filter: Option<String> },
    Whole(String),
}

/// The age of all data that has a time. A report on several environments measures prod and dev: the data of each
/// is in a separate place, and temporary environments are copies.
pub(super) fn read(
    warehouse: &mut dyn Warehouse,
    repo: &Repo,
    request: &Request<'_>,
    environments: &[Name],
    policy: &Policy,
) -> Result<Table<DataAge>> {
    if request.window.end < request.now {
        return Ok(nothing(OF_THE_PAST));
    }
    let mut rows = Vec::new();
    for name in environments {
        if request.schema.is_none() && !matches!(name.kind(), Kind::Prod | Kind::Dev) {
            continue;
        }
        // Sources may name neither the database nor the environment.
        warehouse.focus(name);
        let mut subjects = of_policy(warehouse, name, policy)?;
        let target = repo.dbt_project().ok().map(|project| project.join("target"));
        let targets: Vec<PathBuf> =
            target.iter().flat_map(|target| [target.join(name.as_str()), target.clone()]).collect();
        subjects.extend(of_sources(name, targets.first(), &results(&targets)?)?);
        measure(warehouse, &mut subjects, request.now);
        rows.extend(subjects.into_iter().map(|subject| subject.row));
    }
    if rows.is_empty() {
        return Ok(nothing(NOT_NAMED));
    }
    rows.sort_by_key(|row| (row.age_seconds.is_none(), std::cmp::Reverse(row.age_seconds)));
    Ok(Table { status: Status::Ok, source: SOURCE.to_owned(), reason: None, rows })
}

fn nothing(reason: &str) -> Table<DataAge> {
    Table {
        status: Status::NoData,
        source: SOURCE.to_owned(),
        reason: Some(reason.to_owned()),
        rows: Vec::new(),
    }
}

/// The figures: how old the oldest data is, and how many sources are late.
pub(super) fn figures(table: &Table<DataAge>) -> Vec<Figure> {
    let from = From { source: SOURCE, span: Span::Latest };
    let why = table.reason.as_deref();
    let unmeasured: Vec<&DataAge> = table.rows.iter().filter(|row| row.age_seconds.is_none()).collect();
    let first = unmeasured.first().map(|row| {
        let reason = row.reason.as_deref().unwrap_or("it could not be read");
        format!("{} of {} could not be measured: {}: {reason}", unmeasured.len(), table.rows.len(), row.name)
    });
    let oldest = table.rows.iter().filter_map(|row| row.age_seconds).max().map(Value::Whole);
    let reason = first.as_deref().or(why).unwrap_or(NOT_NAMED);
    let mut age = from.figure("data_age_seconds", Unit::Seconds, oldest, reason);
    if let (Some(_), Some(first)) = (&age.value, &first) {
        // What could not be measured may be older.
        (age.status, age.reason) = (Status::Truncated, Some(first.clone()));
    }
    let limited =
        || table.rows.iter().filter(|row| row.error_after_seconds.or(row.warn_after_seconds).is_some());
    let late = limited().filter(|row| row.state.as_deref() == Some("error")).count();
    let unknown = limited().filter(|row| row.state.is_none()).count();
    let known = limited().count() > unknown;
    let why = if limited().count() == 0 { why.unwrap_or(NO_CRITERIA) } else { reason };
    let mut stale =
        from.figure("stale_sources", Unit::Count, known.then(|| Value::Whole(figures::count(late))), why);
    if known && unknown > 0 {
        (stale.status, stale.reason) = (Status::Truncated, first);
    }
    vec![age, stale]
}
