//! The history of each test: its results in the window, as far back as a report shows.

use jiff::civil::DateTime;
use serde::Deserialize;

use super::collect::Limited;
use super::model::{TestHistory, TestResult};

/// A row of `test_history.sql`: one result, with the totals of its test.
#[derive(Deserialize)]
pub(super) struct Row {
    environment: String,
    node_id: String,
    name: String,
    kind: String,
    layer: Option<String>,
    passed: i64,
    warned: i64,
    failed: i64,
    last_passed_at: Option<DateTime>,
    last_failed_at: Option<DateTime>,
    tests: i64,
    place: i64,
    run_id: String,
    run_started_at: DateTime,
    status: String,
    failures: Option<i64>,
}

/// The tests in the order of the rows, each with its results, the newest first.
pub(super) fn histories(rows: Vec<Row>) -> Limited<TestHistory> {
    let tests = rows.first().map_or(0, |row| row.tests);
    let mut all: Vec<(i64, TestHistory)> = Vec::new();
    for row in rows {
        let result = TestResult {
            run_id: row.run_id,
            at: row.run_started_at,
            status: row.status,
            failures: row.failures,
        };
        match all.last_mut().filter(|(place, _)| *place == row.place) {
            Some((_, history)) => history.results.push(result),
            None => all.push((
                row.place,
                TestHistory {
                    environment: row.environment,
                    node_id: row.node_id,
                    name: row.name,
                    kind: row.kind,
                    layer: row.layer,
                    passed: row.passed,
                    warned: row.warned,
                    failed: row.failed,
                    changes: 0,
                    last_passed_at: row.last_passed_at,
                    last_failed_at: row.last_failed_at,
                    results: vec![result],
                },
            )),
        }
    }
    let rows: Vec<TestHistory> = all.into_iter().map(|(_, history)| counted(history)).collect();
    let shown = super::figures::count(rows.len());
    let left_out = (tests > shown).then(|| format!("the {shown} of {tests} tests that fail or failed most"));
    Limited { rows, left_out }
}

/// With how often the result changed: a test that changes all the time shows nothing about the data.
fn counted(history: TestHistory) -> TestHistory {
    let failed = |result: &TestResult| matches!(result.status.as_str(), "fail" | "error");
    let changes = history.results.windows(2).filter(|pair| failed(&pair[0]) != failed(&pair[1])).count();
    TestHistory { changes: super::figures::count(changes), ..history }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_grouped_by_test_and_changes_counted() {
        let row = |place: i64, status: &str, tests: i64| -> Row {
            serde_json::from_value(serde_json::json!({
                "environment": "prod", "node_id": format!("test.p.{place}"), "name": "t", "kind": "test",
                "layer": null, "passed": 2, "warned": 0, "failed": 1, "last_passed_at": null,
                "last_failed_at": null, "tests": tests, "place": place, "run_id": "r",
                "run_started_at": "2026-03-08T10:00:00", "status": status, "failures": null
            }))
            .expect("a row")
        };
        let rows = vec![row(1, "fail", 9), row(1, "warn", 9), row(1, "error", 9), row(2, "pass", 9)];
        let found = histories(rows);
        let changes: Vec<i64> = found.rows.iter().map(|history| history.changes).collect();
        assert_eq!(changes, [2, 0]);
        assert_eq!(found.left_out.as_deref(), Some("the 2 of 9 tests that fail or failed most"));
        assert_eq!(histories(vec![row(1, "pass", 1)]).left_out, None);
    }
}
