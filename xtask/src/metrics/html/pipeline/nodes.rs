//! Nodes over the window: which took the most time, became slower or failed, and the results of each test.

use crate::metrics::html::chart::Bar;
use crate::metrics::html::figure::Figure;
use crate::metrics::html::grid::{Cell, Grid, Unit, Words};
use crate::metrics::html::moment;
use crate::metrics::model::{self, Report, Status, Trend};

const NO_TIME: &str = "no time was recorded";

pub(super) fn slowest(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Where the time goes";
    if let Some(missing) = Figure::unless_known("slowest", TITLE, &report.slowest_nodes) {
        return missing;
    }
    let mut grid = Grid::new(&[
        ("Node", Unit::Text),
        ("Total", Unit::Seconds),
        ("Runs", Unit::Count),
        ("Mean", Unit::Seconds),
        ("p95", Unit::Seconds),
        ("Longest", Unit::Seconds),
        ("Environment", Unit::Text),
        ("SQL", Unit::Text),
    ]);
    for node in &report.slowest_nodes.rows {
        grid.rows.push(vec![
            Cell::text(node.name.clone()),
            Cell::number(node.total_seconds, NO_TIME),
            Cell::count(Some(node.executions), ""),
            Cell::number(node.mean_seconds, NO_TIME),
            Cell::number(node.p95_seconds, NO_TIME),
            Cell::number(node.max_seconds, NO_TIME),
            Cell::text(node.environment.clone()),
            Cell::text(node.path.clone().unwrap_or_default()),
        ]);
    }
    let bars: Vec<Bar> = report
        .slowest_nodes
        .rows
        .iter()
        .take(10)
        .map(|node| Bar {
            label: node.name.clone(),
            parts: vec![(node.total_seconds, "c1")],
            words: node
                .total_seconds
                .map_or_else(|| "unknown".to_owned(), |s| words.figure(s, Unit::Seconds)),
        })
        .collect();
    Figure::bars("slowest", TITLE, &grid, &bars, None, words)
        .noting(format!("The {} nodes with the most time in the window", bars.len()))
        .qualified(&report.slowest_nodes)
}

/// Nodes with their time in the window and in the window before.
pub(super) fn trend(id: &str, title: &str, table: &model::Table<Trend>, words: &Words) -> Figure {
    const NOT_BEFORE: &str = "it did not run in the window before";
    let is_growth = id == "growing";
    if let Some(missing) = Figure::unless_known(id, title, table) {
        // That nothing became slower needs no box.
        return Figure { is_absent: true, ..missing };
    }
    let mut grid = Grid::new(&[
        ("Node", Unit::Text),
        ("Mean", Unit::Seconds),
        ("Mean before", Unit::Seconds),
        ("Change", Unit::Ratio),
        ("Total", Unit::Seconds),
        ("Runs", Unit::Count),
        ("Layer", Unit::Text),
        ("Environment", Unit::Text),
    ]);
    for row in &table.rows {
        grid.rows.push(vec![
            Cell::text(row.name.clone()),
            Cell::number(row.mean_seconds, NO_TIME),
            Cell::number(row.previous_mean_seconds, NOT_BEFORE),
            Cell::number(row.change_ratio, NOT_BEFORE),
            Cell::number(row.total_seconds, NO_TIME),
            Cell::count(Some(row.executions), ""),
            Cell::text(row.layer.clone().unwrap_or_default()),
            Cell::text(row.environment.clone()),
        ]);
    }
    let bars: Vec<Bar> = table.rows.iter().take(10).map(|row| of_trend(row, is_growth, words)).collect();
    let note = if is_growth {
        "Mean time of a build in this window against the window before, the largest growth first"
    } else {
        "The tests with the most time in the window"
    };
    Figure::bars(id, title, &grid, &bars, None, words).noting(note).qualified(table)
}

fn of_trend(row: &Trend, is_growth: bool, words: &Words) -> Bar {
    let seconds =
        |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |s| words.figure(s, Unit::Seconds));
    let growth = row.previous_mean_seconds.zip(row.change_seconds).filter(|_| is_growth);
    let (parts, said) = match growth {
        Some((before, more)) => (
            vec![(Some(before), "is-skip"), (Some(more), "is-warn")],
            format!("{} → {}", seconds(Some(before)), seconds(row.mean_seconds)),
        ),
        None => (vec![(row.total_seconds, "c3")], seconds(row.total_seconds)),
    };
    Bar { label: row.name.clone(), parts, words: said }
}

pub(super) fn failing(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "What failed";
    if report.failing_nodes.rows.is_empty() && report.failing_nodes.status == Status::Ok {
        return Figure::missing("failing", TITLE, "Nothing failed in the window.");
    }
    if let Some(missing) = Figure::unless_known("failing", TITLE, &report.failing_nodes) {
        return missing;
    }
    let mut grid = Grid::new(&[
        ("Node", Unit::Text),
        ("Failed", Unit::Count),
        ("Runs", Unit::Count),
        ("Last", Unit::Status),
        ("Layer", Unit::Text),
        ("dbt's message", Unit::Text),
        ("SQL", Unit::Text),
    ]);
    for node in &report.failing_nodes.rows {
        grid.rows.push(vec![
            Cell::text(node.name.clone()),
            Cell::count(Some(node.failed_executions), ""),
            Cell::count(Some(node.executions), ""),
            Cell::text(node.last_status.clone()),
            Cell::text(node.layer.clone().unwrap_or_default()),
            Cell::text(node.last_message.clone().unwrap_or_default()),
            Cell::text(node.path.clone().unwrap_or_default()),
        ]);
    }
    Figure::list("failing", TITLE, &grid, words).noting("Most often first").qualified(&report.failing_nodes)
}

pub(super) fn test_history(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Test history";
    if let Some(missing) = Figure::unless_known("test-history", TITLE, &report.test_history) {
        return missing;
    }
    let mut grid = Grid::new(&[
        ("Test", Unit::Text),
        ("Now", Unit::Status),
        ("Results, newest first", Unit::Text),
        ("Passed", Unit::Count),
        ("Warned", Unit::Count),
        ("Failed", Unit::Count),
        ("Changes", Unit::Count),
        ("Failed last", Unit::Moment),
        ("Layer", Unit::Text),
        ("Environment", Unit::Text),
    ]);
    for test in &report.test_history.rows {
        let failed = test.last_failed_at.map_or_else(
            || Cell::Unknown("it did not fail in the window".to_owned()),
            |at| Cell::text(moment(at)),
        );
        grid.rows.push(vec![
            Cell::text(test.name.clone()),
            Cell::text(test.results.first().map(|result| result.status.clone()).unwrap_or_default()),
            Cell::text(in_turns(test.results.iter().map(|result| result.status.as_str()))),
            Cell::count(Some(test.passed), ""),
            Cell::count(Some(test.warned), ""),
            Cell::count(Some(test.failed), ""),
            Cell::count(Some(test.changes), ""),
            failed,
            Cell::text(test.layer.clone().unwrap_or_default()),
            Cell::text(test.environment.clone()),
        ]);
    }
    Figure::list("test-history", TITLE, &grid, words)
        .noting("The results of each test in the window; those that fail now or failed most first")
        .qualified(&report.test_history)
}

/// `2 × fail, 13 × pass`.
fn in_turns<'a>(statuses: impl Iterator<Item = &'a str>) -> String {
    let mut turns: Vec<(usize, &str)> = Vec::new();
    for status in statuses {
        match turns.last_mut().filter(|(_, known)| *known == status) {
            Some((count, _)) => *count += 1,
            None => turns.push((1, status)),
        }
    }
    turns.iter().map(|(count, status)| format!("{count} × {status}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_are_said_in_turns() {
        assert_eq!(
            super::in_turns(["fail", "fail", "pass", "fail"].into_iter()),
            "2 × fail, 1 × pass, 1 × fail"
        );
    }
}
