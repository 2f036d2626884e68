//! States, lower bounds and what dbt measured itself, without a warehouse.

use jiff::civil::DateTime;

use super::measure::{settle, time};
use super::subjects::{checked, from_results, new};
use super::*;
use crate::dbt::artifacts::SourceResult;

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
