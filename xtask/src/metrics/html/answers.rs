//! The first screen of the page: whether all is well, what changed since yesterday, and what to do.

use jiff::ToSpan as _;
use jiff::civil::DateTime;
use serde::Serialize;

use super::grid::{Unit, Words, float};
use super::moment;
use crate::metrics::figures::seconds_between;
use crate::metrics::model::{Alert, AlertState, FailingTest, Report, Run, RunNode};

/// Entries of one kind that an answer lists.
const MOST: usize = 4;

/// A question with its answer in a few words, and what the answer is based on.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    id: &'static str,
    question: String,
    tone: &'static str,
    short: String,
    points: Vec<Point>,
}

#[derive(Debug, Default, Serialize)]
struct Point {
    /// A word in front, with its colour.
    tag: Option<String>,
    tone: &'static str,
    text: String,
    /// A command to copy.
    command: Option<String>,
    note: Option<String>,
}

impl Point {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    fn tagged(tag: &str, tone: &'static str, text: impl Into<String>) -> Self {
        Self { tag: Some(tag.to_owned()), tone, ..Self::new(text) }
    }

    fn command(self, command: String) -> Self {
        Self { command: Some(command), ..self }
    }

    fn noting(self, note: Option<String>) -> Self {
        Self { note, ..self }
    }
}

pub(super) fn answers(report: &Report, words: &Words) -> [Answer; 3] {
    [healthy(report, words), changed(report, words), to_do(report)]
}

fn firing(report: &Report) -> Vec<&Alert> {
    report.alerts.iter().filter(|alert| alert.state == AlertState::Firing).collect()
}

fn subject(report: &Report) -> String {
    report.environment.clone().unwrap_or_else(|| "everything".to_owned())
}

fn plural(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// How long ago something was, at the end of the window.
fn ago(report: &Report, at: DateTime, words: &Words) -> String {
    let seconds = seconds_between(at, report.window.end);
    if seconds < 60 {
        "just now".to_owned()
    } else {
        format!("{} ago", words.figure(float(seconds), Unit::Seconds))
    }
}

fn healthy(report: &Report, words: &Words) -> Answer {
    let firing = firing(report);
    let grave = firing.iter().filter(|alert| alert.gates).count();
    let last = report.runs.rows.iter().find(|run| run.status != "interrupted");
    let failed = last.is_some_and(|run| run.status != "success");
    let (tone, short) = match (firing.len(), last) {
        (0, _) if failed => ("is-fail", "No: the last run failed".to_owned()),
        (0, Some(_)) => ("is-ok", "Yes".to_owned()),
        (0, None) => ("is-none", "Not known: no run in this window".to_owned()),
        (count, _) if grave > 0 || failed => {
            let verb = if count == 1 { "fires" } else { "fire" };
            ("is-fail", format!("No: {} {verb}", plural(count, "alert")))
        }
        (count, _) => ("is-warn", format!("Mostly: {} of low or medium severity", plural(count, "alert"))),
    };
    let mut points: Vec<Point> = firing
        .iter()
        .map(|alert| {
            let tone = if alert.gates { "is-fail" } else { "is-warn" };
            let since = alert.since.map(|at| format!("since {} UTC", moment(at)));
            Point::tagged(&alert.severity, tone, format!("{}: {}", alert.name, alert.message)).noting(since)
        })
        .collect();
    points.extend(last.map(|run| of_run(report, run, words)));
    points.push(tests(report));
    points.extend(data(report, words));
    Answer { id: "healthy", question: format!("Is {} healthy?", subject(report)), tone, short, points }
}

fn of_run(report: &Report, run: &Run, words: &Words) -> Point {
    let ended = ago(report, run.finished_at.unwrap_or(run.started_at), words);
    let took = run.seconds.map(|seconds| format!(", took {}", words.figure(seconds, Unit::Seconds)));
    let what = match (run.status.as_str(), run.up_to_date) {
        ("success", true) => "found everything up to date",
        ("success", false) => "succeeded",
        _ => "failed",
    };
    let tone = if run.status == "success" { "is-ok" } else { "is-fail" };
    Point::tagged("run", tone, format!("The last run {what} {ended}{}", took.unwrap_or_default()))
        .noting(run.message.as_deref().and_then(|text| text.lines().next()).map(str::to_owned))
}

fn tests(report: &Report) -> Point {
    let sum =
        |of: fn(&crate::metrics::model::Layer) -> i64| report.tests_by_layer.rows.iter().map(of).sum::<i64>();
    let (passed, failed, skipped) =
        (sum(|layer| layer.passed), sum(|layer| layer.failed), sum(|layer| layer.skipped));
    if passed + failed + skipped == 0 {
        return Point::tagged("tests", "is-none", "No test has run yet");
    }
    let tone = match (failed, skipped) {
        (0, 0) => "is-ok",
        (0, _) => "is-warn",
        _ => "is-fail",
    };
    let without = if skipped > 0 { format!(", {skipped} without a result") } else { String::new() };
    Point::tagged("tests", tone, format!("{passed} of {} tests passed{without}", passed + failed))
}

fn data(report: &Report, words: &Words) -> Option<Point> {
    let oldest = report
        .data_ages
        .rows
        .iter()
        .filter_map(|row| Some((row.age_seconds?, row)))
        .max_by_key(|(age, _)| *age);
    let (age, row) = oldest?;
    let late = report.data_ages.rows.iter().filter(|row| row.state.as_deref() == Some("error")).count();
    let tone = if late > 0 { "is-fail" } else { "is-none" };
    let age = words.figure(float(age), Unit::Seconds);
    Some(Point::tagged("data", tone, format!("The oldest data is {age} old ({})", row.name)))
}

fn changed(report: &Report, words: &Words) -> Answer {
    let yesterday = report.window.end.checked_sub(1.day()).unwrap_or(report.window.start);
    let mut points = Vec::new();
    let runs: Vec<&Run> = report.runs.rows.iter().filter(|run| run.started_at >= yesterday).collect();
    let well = runs.iter().filter(|run| run.status == "success").count();
    let alerts = report.alerts.iter().filter(|alert| alert.since.is_some_and(|since| since >= yesterday));
    for alert in alerts.clone().filter(|alert| alert.state == AlertState::Firing) {
        points.push(Point::tagged("began", "is-fail", alert.name.clone()));
    }
    for alert in alerts.filter(|alert| alert.state == AlertState::Ok && alert.changed) {
        points.push(Point::tagged("ended", "is-ok", alert.name.clone()));
    }
    let broke = |test: &&FailingTest| test.last_passed_at.is_some_and(|at| at >= yesterday);
    let broken: Vec<&FailingTest> = report.failing_tests.rows.iter().filter(broke).collect();
    for test in broken.iter().take(MOST) {
        points.push(Point::tagged("fails now", "is-fail", test.name.clone()));
    }
    let mut rows: Vec<_> = report
        .relations
        .rows
        .iter()
        .filter(|relation| relation.measured_at >= yesterday)
        .filter_map(|relation| Some((relation.row_count_change.filter(|change| *change != 0)?, relation)))
        .collect();
    rows.sort_by_key(|(change, _)| std::cmp::Reverse(change.abs()));
    for (change, relation) in rows.iter().take(MOST) {
        let sign = if *change > 0 { "+" } else { "\u{2212}" };
        let share = relation
            .row_count_change_ratio
            .map(|ratio| format!(" ({sign}{})", words.figure(ratio.abs(), Unit::Ratio)));
        let count = words.figure(float(change.abs()), Unit::Count);
        let text = format!("{}: {sign}{count} rows{}", relation.relation_name, share.unwrap_or_default());
        points.push(Point::tagged("rows", "is-none", text));
    }
    let more = rows.len().saturating_sub(MOST);
    if more > 0 {
        points.push(Point::new(format!("and {} with other row counts", plural(more, "table"))));
    }
    points.extend(columns(report, yesterday));
    let short = match (runs.len(), points.len()) {
        (0, 0) => "Nothing: no run".to_owned(),
        (0, _) => "No run".to_owned(),
        (count, _) if well == count => format!("{}, all succeeded", plural(count, "run")),
        (count, _) => format!("{}, {well} succeeded", plural(count, "run")),
    };
    if points.is_empty() && !runs.is_empty() {
        points.push(Point::new(
            "No alert began or ended, no test began to fail, and no table has other rows or columns than before.",
        ));
    }
    let tone = if well < runs.len() || !broken.is_empty() { "is-fail" } else { "is-none" };
    Answer { id: "changed", question: "What changed since yesterday?".to_owned(), tone, short, points }
}

/// Tables whose columns changed, each in one line.
fn columns(report: &Report, since: DateTime) -> Vec<Point> {
    let mut tables: Vec<(&str, Vec<String>)> = Vec::new();
    for change in report.schema_changes.rows.iter().filter(|change| change.measured_at >= since) {
        let words = match &change.column_name {
            Some(column) => format!("{column} {}", change.change.label()),
            None => "order of columns".to_owned(),
        };
        match tables.iter_mut().find(|(name, _)| *name == change.relation_name) {
            Some((_, all)) => all.push(words),
            None => tables.push((&change.relation_name, vec![words])),
        }
    }
    let shown = tables.iter().take(MOST).map(|(name, all)| {
        let more = all.len().saturating_sub(MOST);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let first = all.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
        Point::tagged("columns", "is-warn", format!("{name}: {first}{more}"))
    });
    let mut points: Vec<Point> = shown.collect();
    let more = tables.len().saturating_sub(MOST);
    if more > 0 {
        points.push(Point::new(format!("and {} with other columns", plural(more, "table"))));
    }
    points
}

fn to_do(report: &Report) -> Answer {
    let mut points = Vec::new();
    let schema = |environment: &str| format!("cargo xtask elt --schema {environment}");
    if let Some(run) = report.runs.rows.first().filter(|run| matches!(run.status.as_str(), "fail" | "error"))
    {
        let failed: Vec<&RunNode> = report
            .latest_run
            .rows
            .iter()
            .filter(|node| node.run_id == run.run_id && matches!(node.status.as_str(), "fail" | "error"))
            .collect();
        for node in failed.iter().take(MOST) {
            let what = if matches!(node.kind.as_str(), "test" | "unit_test") {
                "Find out why the test"
            } else {
                "Repair the node"
            };
            let verb = if what.starts_with("Find") { " fails" } else { "" };
            let note = node.message.as_deref().and_then(|text| text.lines().next()).map(str::to_owned);
            let place = node.path.as_deref().map(|path| format!(" ({path})")).unwrap_or_default();
            points.push(
                Point::new(format!("{what} {}{verb}{place}", node.name))
                    .command(format!("{} --select {}", schema(&node.environment), selector(&node.name)))
                    .noting(note),
            );
        }
        if failed.len() > MOST {
            points.push(Point::new(format!("and {} more that failed, under Pipeline", failed.len() - MOST)));
        }
        if failed.is_empty() {
            let why = run.message.as_deref().and_then(|text| text.lines().next()).map(str::to_owned);
            points.push(
                Point::new("Repair what stopped the run").command(schema(&run.environment)).noting(why),
            );
        }
    }
    let known: Vec<String> = points.iter().map(|point| point.text.clone()).collect();
    let new = |test: &&FailingTest| !known.iter().any(|text| text.contains(&test.name));
    let failing: Vec<&FailingTest> = report.failing_tests.rows.iter().filter(new).collect();
    for test in failing.iter().take(MOST) {
        let rows = test.failures.map(|rows| format!("; it finds {rows} rows")).unwrap_or_default();
        points.push(Point::new(format!("Find out why the test {} fails{rows}", test.name)).command(format!(
            "{} --select {}",
            schema(&test.environment),
            selector(&test.name)
        )));
    }
    let others = firing(report);
    points.extend(others.iter().filter_map(|alert| for_alert(alert, report)));
    if report.runs.rows.is_empty() && report.lifetime.rows.is_empty() {
        let name = report.environment.as_deref().unwrap_or("issue_42");
        points.push(Point::new("Build it for the first time").command(schema(name)));
    }
    let (tone, short) = match points.len() {
        0 => ("is-ok", "Nothing".to_owned()),
        count => ("is-warn", plural(count, "thing")),
    };
    if points.is_empty() {
        points.push(Point::new("No run or test fails, and no alert fires."));
    }
    Answer { id: "to-do", question: "What should I do?".to_owned(), tone, short, points }
}

/// What an alert asks for that is not about a failed run or test, which have their own entries.
fn for_alert(alert: &Alert, report: &Report) -> Option<Point> {
    let first = alert.causes.first().map(|cause| cause.name.clone());
    let of = |what: &str| first.clone().map_or_else(|| what.to_owned(), |name| format!("{what}: {name}"));
    let point = match alert.figure.as_str() {
        "failed_tests" | "test_pass_rate" | "failing_environments" | "failed_runs" => return None,
        "run_success_rate" => Point::new("Find out why runs fail so often, under Pipeline"),
        "freshness_seconds" => {
            let point = Point::new("Build it: no run has succeeded for too long");
            match &report.environment {
                Some(name) => point.command(format!("cargo xtask elt --schema {name}")),
                None => point,
            }
        }
        "data_age_seconds" | "stale_sources" => Point::new(of("Check what loads the data")),
        "volume_deviation_ratio_max" | "row_change_ratio_max" => Point::new(of("Check the number of rows")),
        "query_failure_rate" | "failed_queries" => Point::new(of("Find out why queries fail")),
        figure if figure.starts_with("query_") => {
            Point::new("See which queries slowed down, under Warehouse")
        }
        figure if figure.starts_with("storage") => Point::new("See what takes the storage, under Warehouse"),
        figure if figure.contains("credits") => Point::new("See what uses the credits, under Warehouse"),
        _ => Point::new(format!("Look at the alert {}", alert.name)),
    };
    Some(point.noting(alert.owner.as_ref().map(|owner| format!("ask {owner}"))))
}

/// A name as dbt's selection takes it, in quotes if a shell needs them.
fn selector(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if is_plain { name.to_owned() } else { format!("'{}'", name.replace('\'', "'\\''")) }
}
