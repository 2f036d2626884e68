//! How new the data itself is: the newest time in a column, beside the age of the last run.
//!
//! The columns are those that `policies/metrics.toml` names for the tables of an environment, and `loaded_at_field`
//! (or `loaded_at_query`) of dbt's sources. What `dbt source freshness` found is taken for sources that cannot be
//! measured here. A time after now does not count: one wrong row would make a source look new for years.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::Value as Json;

use super::collect::Request;
use super::figures::{self, From};
use super::model::{DataAge, Figure, Span, Status, Table, Unit, Value};
use super::policy::Policy;
use super::sql;
use crate::core::clock;
use crate::core::environment::{Kind, Name};
use crate::core::ledger;
use crate::dbt::artifacts::{Criteria, Manifest, SourceResult, SourceResults};
use crate::system::repo::Repo;
use crate::warehouse::{self, Row, Warehouse, quote};

/// Where the figures are from.
pub(super) const SOURCE: &str = "data";

const OF_POLICY: &str = "policies/metrics.toml";
const OF_FIELD: &str = "loaded_at_field";
const OF_FRESHNESS: &str = "dbt source freshness";

const NOT_NAMED: &str = "no column says how new the data is: name one in policies/metrics.toml, or set loaded_at_field \
                         of a source in dbt";
const OF_THE_PAST: &str = "only the current age can be measured";
const NO_CRITERIA: &str = "no source says when it is late (dbt's `freshness`)";

/// How far a clock may run ahead.
const CLOCK_SECONDS: i64 = 60;

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

/// The tables of the environment for which the policy names a column.
fn of_policy(warehouse: &mut dyn Warehouse, name: &Name, policy: &Policy) -> Result<Vec<Subject>> {
    if policy.data_time.is_empty() {
        return Ok(Vec::new());
    }
    let found = warehouse.columns(&[name.as_str()])?.remove(name.as_str()).unwrap_or_default();
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
fn results(targets: &[PathBuf]) -> Result<Vec<SourceResult>> {
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
fn of_sources(name: &Name, target: Option<&PathBuf>, results: &[SourceResult]) -> Result<Vec<Subject>> {
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
fn from_results(mut subject: Subject, found: Option<&SourceResult>) -> Subject {
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
fn checked(texts: &[Option<&str>]) -> Result<(), String> {
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

fn new(environment: &Name, name: &str, kind: &str, column: Option<&str>, measured_by: &str) -> DataAge {
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

/// Ask for the newest time of each, in one call if all can be answered.
fn measure(warehouse: &mut dyn Warehouse, subjects: &mut [Subject], now: DateTime) {
    let queries: Vec<String> = subjects
        .iter()
        .filter_map(|subject| subject.query.as_ref().ok())
        .map(|q| newest(warehouse, q, None))
        .collect();
    let together = if queries.len() > 1 { warehouse.query_many(&queries).ok() } else { None };
    let mut together = together.map(Vec::into_iter);
    for subject in subjects {
        let answer = match &subject.query {
            Err(reason) => Err(reason.clone()),
            Ok(query) => {
                let answered = if let Some(rows) = together.as_mut().and_then(Iterator::next) {
                    time(&rows)
                } else {
                    let sql = newest(warehouse, query, None);
                    ask(warehouse, &sql)
                };
                answered.and_then(|time| not_after(warehouse, query, time, now))
            }
        };
        settle(&mut subject.row, answer, now);
    }
}

/// The newest time that is not after `now`.
fn not_after(
    warehouse: &mut dyn Warehouse,
    query: &Query,
    time: Option<DateTime>,
    now: DateTime,
) -> Result<(Option<DateTime>, bool), String> {
    let is_ahead = time.is_some_and(|time| figures::seconds_between(now, time) > CLOCK_SECONDS);
    match (query, is_ahead) {
        (_, false) => Ok((time, false)),
        (Query::Whole(_), true) => Err("its query returns a time after now".to_owned()),
        (Query::Column { .. }, true) => {
            let sql = newest(warehouse, query, Some(now));
            Ok((ask(warehouse, &sql)?, true))
        }
    }
}

fn ask(warehouse: &mut dyn Warehouse, sql: &str) -> Result<Option<DateTime>, String> {
    let rows = warehouse.query(sql).map_err(|error| {
        let said = format!("{error:#}");
        let line = said.lines().find(|line| line.contains("Error")).or_else(|| said.lines().last());
        line.unwrap_or("the query failed").trim().to_owned()
    })?;
    time(&rows)
}

/// The answer of a query of [`newest`]: seconds since 1970, or null.
fn time(rows: &[Row]) -> Result<Option<DateTime>, String> {
    let value = rows.first().and_then(|row| row.values().next());
    let seconds = match value {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::Number(number)) => number.as_f64(),
        Some(Json::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "out of range is refused by the conversion")]
    let instant = seconds.map(|seconds: f64| Timestamp::from_microsecond((seconds * 1e6).round() as i64));
    match instant {
        Some(Ok(instant)) => Ok(Some(clock::utc(instant))),
        _ => Err("the newest value is not a time".to_owned()),
    }
}

/// The query for the newest time as seconds since 1970, whatever the type of the column.
fn newest(warehouse: &dyn Warehouse, query: &Query, until: Option<DateTime>) -> String {
    let epoch = |text: &str| {
        if sql::is_snowflake(warehouse) {
            format!("date_part(epoch_second, {text})")
        } else {
            format!("epoch({text})")
        }
    };
    match query {
        Query::Whole(query) => format!("select {} as newest", epoch(&format!("({query})"))),
        Query::Column { relation, expression, filter } => {
            let newest = match until {
                None => epoch(&format!("max({expression})")),
                Some(until) => {
                    let limit = figures::seconds_between(DateTime::constant(1970, 1, 1, 0, 0, 0, 0), until);
                    let each = epoch(expression);
                    format!("max(case when {each} <= {limit} then {each} end)")
                }
            };
            let condition = filter.as_ref().map(|filter| format!(" where {filter}")).unwrap_or_default();
            format!("select {newest} as newest from {relation}{condition}")
        }
    }
}

/// Fill in the row from the answer; one that could not be had leaves what dbt found, or says why.
fn settle(row: &mut DataAge, answer: Result<(Option<DateTime>, bool), String>, now: DateTime) {
    match answer {
        Ok((Some(time), is_ahead)) => {
            (row.data_time, row.measured_at) = (Some(time), Some(now));
            row.reason = is_ahead.then(|| "it holds times after now, which do not count".to_owned());
        }
        Ok((None, is_ahead)) => {
            (row.data_time, row.measured_at) = (None, Some(now));
            let why =
                if is_ahead { "all its times are after now" } else { "it holds no time: it has no rows" };
            row.reason = Some(why.to_owned());
        }
        Err(_) if row.data_time.is_some() => OF_FRESHNESS.clone_into(&mut row.measured_by),
        Err(reason) => row.reason = Some(reason),
    }
    row.age_seconds = row.data_time.map(|time| figures::seconds_between(time, now));
    row.state = state(row).map(str::to_owned);
}

/// In dbt's terms; `None` without criteria or without an age.
fn state(row: &DataAge) -> Option<&'static str> {
    let (warn, error) = (row.warn_after_seconds, row.error_after_seconds);
    warn.or(error)?;
    let age = row.age_seconds?;
    let is_over = |limit: Option<i64>| limit.is_some_and(|limit| age > limit);
    Some(if is_over(error) {
        "error"
    } else if is_over(warn) {
        "warn"
    } else {
        "pass"
    })
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
    if sql::is_snowflake(warehouse) && is_simple { quote(&name.to_uppercase()) } else { quote(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime = DateTime::constant(2026, 3, 8, 12, 0, 0, 0);

    fn row(warn: Option<i64>, error: Option<i64>) -> DataAge {
        let name: Name = "prod".parse().expect("a name");
        let row = new(&name, "raw.orders", "source", Some("loaded_at"), OF_FIELD);
        DataAge { warn_after_seconds: warn, error_after_seconds: error, ..row }
    }

    fn settled(warn: Option<i64>, error: Option<i64>, age: i64) -> DataAge {
        let mut row = row(warn, error);
        let time = NOW.checked_sub(jiff::SignedDuration::from_secs(age)).expect("a time");
        settle(&mut row, Ok((Some(time), false)), NOW);
        row
    }

    fn table(rows: Vec<DataAge>) -> Table<DataAge> {
        Table { status: Status::Ok, source: SOURCE.to_owned(), reason: None, rows }
    }

    fn values(rows: Vec<DataAge>) -> [(Option<Value>, Status); 2] {
        let figures = figures(&table(rows));
        [0, 1].map(|at| (figures[at].value.clone(), figures[at].status))
    }

    #[test]
    fn the_state_follows_from_the_age_at_the_time_of_the_report() {
        for (warn, error, age, state) in [
            (None, None, 10, None),
            (Some(60), Some(120), 60, Some("pass")),
            (Some(60), Some(120), 61, Some("warn")),
            (Some(60), Some(120), 121, Some("error")),
            (None, Some(120), 121, Some("error")),
            (Some(60), None, 999, Some("warn")),
        ] {
            assert_eq!(settled(warn, error, age).state.as_deref(), state, "{warn:?} {error:?} {age}");
        }
    }

    #[test]
    fn what_could_not_be_measured_is_unknown_and_makes_the_oldest_a_lower_bound() {
        let mut lost = row(None, Some(60));
        settle(&mut lost, Err("no such table".to_owned()), NOW);
        assert_eq!((lost.age_seconds, lost.state.as_deref()), (None, None));
        assert_eq!(values(vec![lost.clone()]), [(None, Status::NoData), (None, Status::NoData)]);
        let known = settled(None, Some(60), 100);
        let both = [(Some(Value::Whole(100)), Status::Truncated), (Some(Value::Whole(1)), Status::Truncated)];
        assert_eq!(values(vec![known, lost]), both);
        assert_eq!(values(vec![settled(None, None, 7)])[1], (None, Status::NoData), "no criteria");
    }

    #[test]
    fn what_dbt_measured_counts_if_there_is_nothing_else() {
        let found: SourceResult = serde_json::from_value(serde_json::json!({
            "unique_id": "source.p.raw.orders", "status": "pass", "max_loaded_at": "2026-03-08T11:00:00+00:00",
            "snapshotted_at": "2026-03-08T11:30:00.5Z",
        }))
        .expect("a result");
        let of = |answer| {
            let subject = Subject { row: row(None, Some(1800)), query: Err(String::new()) };
            let mut subject = from_results(subject, Some(&found));
            settle(&mut subject.row, answer, NOW);
            subject.row
        };
        let theirs = of(Err("not here".to_owned()));
        // It passed when dbt looked, and is late by now.
        assert_eq!((theirs.age_seconds, theirs.state.as_deref()), (Some(3600), Some("error")));
        assert_eq!((theirs.measured_by.as_str(), theirs.reason), (OF_FRESHNESS, None));
        let ours = of(Ok((Some(NOW), false)));
        assert_eq!((ours.age_seconds, ours.measured_by.as_str()), (Some(0), OF_FIELD));
    }

    #[test]
    fn an_expression_is_one_expression() {
        assert!(checked(&[Some("cast(loaded_at as timestamp)"), None]).is_ok());
        for text in ["a) from t; drop table t", "{{ column }}", "a -- b"] {
            assert!(checked(&[Some(text)]).is_err(), "{text}");
        }
    }

    #[test]
    fn the_answer_is_seconds_since_1970_or_nothing() {
        let answer = |json: &str| time(&[serde_json::from_str(json).expect("a row")]);
        assert_eq!(answer(r#"{"newest": 86400.5}"#), Ok("1970-01-02T00:00:00.5".parse().ok()));
        assert_eq!(answer(r#"{"NEWEST": "86400"}"#), Ok("1970-01-02T00:00:00".parse().ok()));
        assert_eq!(answer(r#"{"newest": null}"#), Ok(None));
        assert!(answer(r#"{"newest": "soon"}"#).is_err() && answer(r#"{"newest": 1e300}"#).is_err());
    }
}
