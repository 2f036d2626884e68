//! What has an age: the tables for which the policy names a column, and the sources of the dbt project.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::Value as Json;

use super::{OF_FIELD, OF_FRESHNESS, OF_POLICY, Query, Subject};
use crate::core::clock;
use crate::core::environment::Name;
use crate::dbt::artifacts::{Criteria, Manifest, SourceResult, SourceResults};
use crate::ledger;
use crate::metrics::model::DataAge;
use crate::metrics::policy::Policy;
use crate::warehouse::{self, Dialect, Warehouse, quote};

/// The tables of the environment for which the policy names a column.
pub(super) fn of_policy(warehouse: &mut dyn Warehouse, name: &Name, policy: &Policy) -> Result<Vec<Subject>> {
    if policy.data_time.is_empty() {
        return Ok(Vec::new());
    }
    let found = warehouse.columns(&[name.as_str()], None)?.remove(name.as_str()).unwrap_or_default();
    let tables: BTreeSet<&str> = found.iter().map(|(table, _)| table.as_str()).collect();
    let column = |table: &str, column: &str| {
        let is = |(of, name): &&(String, String)| of == table && name.eq_ignore_ascii_case(column);
        found.iter().find(is).map(|(_, name)| name.clone())
    };
    let mut subjects = Vec::new();
    let named: Vec<(&str, &str)> = policy.named().collect();
    let is_named = |table: &str| named.iter().any(|(name, _)| name.eq_ignore_ascii_case(table));
    for table in tables.iter().copied().filter(|table| !ledger::is_ledger(table)) {
        let Some(wanted) = policy.column_of(table) else { continue };
        let query = match column(table, wanted) {
            Some(column) => Ok(Query::Column {
                relation: format!("{}.{}", schema(warehouse, name), identifier(warehouse, table)),
                expression: identifier(warehouse, &column),
                filter: None,
            }),
            None if is_named(table) => Err(format!("it has no column {wanted:?}, which {OF_POLICY} names")),
            // A pattern is about those that have the column.
            None => continue,
        };
        subjects.push(Subject { row: new(name, table, "relation", Some(wanted), OF_POLICY), query });
    }
    for (table, column) in
        named.iter().filter(|(name, _)| !tables.iter().any(|table| table.eq_ignore_ascii_case(name)))
    {
        let query = Err(format!("there is no such table in {name}"));
        subjects.push(Subject { row: new(name, table, "relation", Some(column), OF_POLICY), query });
    }
    Ok(subjects)
}

/// The newest results of `dbt source freshness`: of this environment, or of dbt called without the toolkit.
pub(super) fn results(targets: &[PathBuf]) -> Result<Vec<SourceResult>> {
    let mut all: Vec<SourceResult> = Vec::new();
    for target in targets {
        for result in SourceResults::read(target)?.unwrap_or_default().results {
            match all.iter_mut().find(|other| other.unique_id == result.unique_id) {
                Some(other) if other.snapshotted_at < result.snapshotted_at => *other = result,
                Some(_) => {}
                None => all.push(result),
            }
        }
    }
    Ok(all)
}

/// The sources of the project that have a time, by dbt's artifacts.
pub(super) fn of_sources(
    name: &Name,
    target: Option<&PathBuf>,
    results: &[SourceResult],
) -> Result<Vec<Subject>> {
    let manifest = target.map(|target| Manifest::read(target)).transpose()?.flatten();
    let mut subjects = Vec::new();
    let mut seen = BTreeSet::new();
    for (id, source) in manifest.iter().flat_map(|manifest| &manifest.sources) {
        seen.insert(id.as_str());
        let found = results.iter().find(|result| result.unique_id == *id);
        let criteria = source.criteria().or_else(|| found.and_then(|found| found.criteria.as_ref()));
        let relation = source
            .relation_name
            .clone()
            .unwrap_or_else(|| format!("{}.{}", quote(&source.schema), quote(&source.identifier)));
        let filter = criteria.and_then(|criteria| criteria.filter.clone());
        let query = match (source.loaded_at_field(), source.loaded_at_query()) {
            (Some(field), _) => checked(&[Some(field), filter.as_deref()]).map(|()| Query::Column {
                relation,
                expression: field.to_owned(),
                filter,
            }),
            (None, Some(query)) => checked(&[Some(query)]).map(|()| Query::Whole(query.to_owned())),
            (None, None) if criteria.is_some() || found.is_some() => {
                Err("dbt measures it without a column: `dbt source freshness` has not been run here"
                    .to_owned())
            }
            (None, None) => continue,
        };
        if !source.is_enabled() {
            continue;
        }
        let column = source.loaded_at_field().or(source.loaded_at_query());
        let mut row = new(name, source_name(id), "source", column, OF_FIELD);
        limits(&mut row, criteria);
        subjects.push(from_results(Subject { row, query }, found));
    }
    for result in results.iter().filter(|result| !seen.contains(result.unique_id.as_str())) {
        // Of a project whose manifest is not here; with one, it is a source that the project no longer has.
        if manifest.is_some() {
            continue;
        }
        let mut row = new(name, source_name(&result.unique_id), "source", None, OF_FRESHNESS);
        limits(&mut row, result.criteria.as_ref());
        let query = Err("it could not be measured".to_owned());
        subjects.push(from_results(Subject { row, query }, Some(result)));
    }
    Ok(subjects)
}

/// `source.project.orders.lines` is the table `lines` of the source `orders`.
fn source_name(id: &str) -> &str {
    id.splitn(3, '.').nth(2).unwrap_or(id)
}

/// Keep what `dbt source freshness` found, for a source that cannot be measured here.
pub(super) fn from_results(mut subject: Subject, found: Option<&SourceResult>) -> Subject {
    let Some(found) = found else { return subject };
    let parse = |text: &Option<String>| {
        let text = text.as_deref()?;
        text.parse::<Timestamp>().map(clock::utc).or_else(|_| text.parse::<DateTime>()).ok()
    };
    subject.row.data_time = parse(&found.max_loaded_at);
    subject.row.measured_at = parse(&found.snapshotted_at);
    if let (Err(reason), true) = (&mut subject.query, found.status == "runtime error") {
        let said = found.error.as_ref().and_then(Json::as_str).unwrap_or("dbt gives no reason");
        *reason = format!("dbt could not measure it: {said}");
    }
    subject
}

fn limits(row: &mut DataAge, criteria: Option<&Criteria>) {
    row.warn_after_seconds = criteria.and_then(Criteria::warn_after_seconds);
    row.error_after_seconds = criteria.and_then(Criteria::error_after_seconds);
}

/// Expressions of the project go into SQL, as dbt itself does it; but not as more than an expression.
pub(super) fn checked(texts: &[Option<&str>]) -> Result<(), String> {
    let texts = texts.iter().flatten();
    for text in texts {
        if text.contains("{{") || text.contains("{%") {
            return Err("its expression has Jinja in it, which only dbt can fill in".to_owned());
        }
        if text.contains(';') || text.contains("--") {
            return Err("its expression is more than one expression".to_owned());
        }
    }
    Ok(())
}

pub(super) fn new(
    environment: &Name,
    name: &str,
    kind: &str,
    column: Option<&str>,
    measured_by: &str,
) -> DataAge {
    DataAge {
        environment: environment.to_string(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        column: column.map(str::to_owned),
        data_time: None,
        age_seconds: None,
        measured_at: None,
        measured_by: measured_by.to_owned(),
        state: None,
        warn_after_seconds: None,
        error_after_seconds: None,
        reason: None,
    }
}

/// An environment's schema as SQL takes it.
fn schema(warehouse: &dyn Warehouse, name: &Name) -> String {
    let table = warehouse.qualified(&warehouse::Table::new(name.as_str(), "any"));
    table.rsplit_once('.').map_or_else(String::new, |(schema, _)| schema.to_owned())
}

/// A name as the engine lists it. Snowflake's names are listed in lower case if they need no quotes.
fn identifier(warehouse: &dyn Warehouse, name: &str) -> String {
    let mut characters = name.chars();
    let is_simple = characters.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '$'));
    match warehouse.dialect() {
        Dialect::Snowflake if is_simple => quote(&name.to_uppercase()),
        Dialect::Snowflake | Dialect::DuckDb => quote(name),
    }
}
