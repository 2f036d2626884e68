//! Ask the warehouse for the newest times, and what follows from the answers.

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::Value as Json;

use super::{OF_FRESHNESS, Query, Subject};
use crate::core::clock;
use crate::metrics::figures;
use crate::metrics::model::DataAge;
use crate::warehouse::{Dialect, Row, Warehouse};

/// How far a clock may run ahead.
const CLOCK_SECONDS: i64 = 60;

/// Ask for the newest time of each, in one call if all can be answered.
pub(super) fn measure(warehouse: &mut dyn Warehouse, subjects: &mut [Subject], now: DateTime) {
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
pub(super) fn time(rows: &[Row]) -> Result<Option<DateTime>, String> {
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
    let epoch = |text: &str| match warehouse.dialect() {
        Dialect::DuckDb => format!("epoch({text})"),
        Dialect::Snowflake => format!("date_part(epoch_second, {text})"),
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
pub(super) fn settle(row: &mut DataAge, answer: Result<(Option<DateTime>, bool), String>, now: DateTime) {
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
