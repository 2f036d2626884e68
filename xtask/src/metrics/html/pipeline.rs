//! The pipeline section of the page: run history, where the latest run spent its time, and the tests.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::civil::DateTime;

use super::chart::{self, Bar, Shape};
use super::figure::{Figure, tone};
use super::gather::Extra;
use super::grid::{Cell, Grid, Unit, Words, float, many};
use super::markup::{coordinate as c, escape};
use super::models::{Nodes, is_test};
use super::moment;
use super::timeline::{self, Lanes, Span};
use crate::dbt::artifacts::layer_rank;
use crate::metrics::model::{self, Report, RunNode, Status, Trend};

/// Runs that the history shows: a month of a busy environment.
const MOST_RUNS: usize = 60;
const NO_TIME: &str = "no time was recorded";
/// Height of a lane of the timeline, and of the bars in it, in pixels.
const LANE: f64 = 30.0;
const BAR: f64 = 20.0;

pub(super) fn figures(report: &Report, extra: &Extra, nodes: &mut Nodes) -> Vec<Figure> {
    let mut figures = vec![history(report, &extra.words), tests(report, &extra.words)];
    figures.extend(latest_run(report, extra, nodes));
    figures.push(slowest(report, &extra.words));
    figures.push(trend("growing", "Slower than before", &report.growing_nodes, &extra.words));
    figures.push(trend("costly-tests", "Tests by time", &report.costly_tests, &extra.words));
    figures.push(failing(report, &extra.words));
    figures.push(test_history(report, &extra.words));
    figures
}

fn history(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Run history";
    if let Some(missing) = Figure::unless_known("runs", TITLE, &report.runs) {
        return missing;
    }
    let mut grid = Grid::new(&[
        ("Started", Unit::Moment),
        ("Duration", Unit::Seconds),
        ("Status", Unit::Status),
        ("dbt", Unit::Seconds),
        ("Environment", Unit::Text),
        ("Commit", Unit::Text),
        ("Branch", Unit::Text),
        ("By", Unit::Text),
        ("dbt version", Unit::Text),
        ("Message", Unit::Text),
    ]);
    let mut tones = Vec::new();
    let text = |text: &Option<String>| Cell::text(text.clone().unwrap_or_default());
    for run in report.runs.rows.iter().take(MOST_RUNS).rev() {
        let status = if run.up_to_date { "up to date" } else { run.status.as_str() };
        tones.push(tone(status));
        let commit = run.git_commit.as_ref().map(|commit| commit.chars().take(9).collect::<String>());
        grid.rows.push(vec![
            Cell::text(moment(run.started_at)),
            Cell::number(run.seconds, "the duration of the run is not known"),
            Cell::text(status),
            Cell::number(run.dbt_seconds, "dbt was not started"),
            Cell::text(run.environment.clone()),
            text(&commit),
            text(&run.git_branch),
            text(&run.triggered_by),
            text(&run.dbt_version),
            text(&run.message),
        ]);
    }
    let shown = grid.rows.len();
    let well = report.runs.rows.iter().take(shown).filter(|run| run.status == "success").count();
    let mut figure =
        Figure::toned_steps("runs", TITLE, Shape::Columns, &grid, &[(1, "is-ok")], Some(&tones), words)
            .noting(format!("Each run by its duration, oldest first: {well} of {shown} succeeded"))
            .legend(&[("Success", "is-ok"), ("Failed", "is-fail"), ("Up to date or interrupted", "is-skip")]);
    figure = figure.qualified(&report.runs);
    if report.runs.rows.len() > MOST_RUNS {
        figure = figure.caveat(Some(format!("The newest {MOST_RUNS} of {} runs", report.runs.rows.len())));
    }
    figure
}

fn tests(report: &Report, words: &Words) -> Figure {
    const TITLE: &str = "Tests by layer";
    if let Some(missing) = Figure::unless_known("tests", TITLE, &report.tests_by_layer) {
        return missing;
    }
    let mut grid = Grid::new(&[
        ("Layer", Unit::Text),
        ("Tests", Unit::Count),
        ("Passed", Unit::Count),
        ("Failed", Unit::Count),
        ("Skipped", Unit::Count),
        ("Pass rate", Unit::Ratio),
    ]);
    let mut bars = Vec::new();
    let mut layers: Vec<&model::Layer> = report.tests_by_layer.rows.iter().collect();
    layers.sort_by_key(|layer| layer.layer.as_deref().map(|name| (layer_rank(name), name.to_owned())));
    for layer in layers {
        let name = layer.layer.clone().unwrap_or_else(|| "seeds and sources".to_owned());
        let evaluated = layer.passed + layer.failed;
        bars.push(Bar {
            label: name.clone(),
            parts: vec![
                (Some(float(layer.passed)), "is-ok"),
                (Some(float(layer.failed)), "is-fail"),
                (Some(float(layer.skipped)), "is-skip"),
            ],
            words: format!("{} of {} passed", layer.passed, evaluated),
        });
        grid.rows.push(vec![
            Cell::text(name),
            Cell::count(Some(layer.tests), ""),
            Cell::count(Some(layer.passed), ""),
            Cell::count(Some(layer.failed), ""),
            Cell::count(Some(layer.skipped), ""),
            Cell::number(layer.pass_rate, "no test of this layer passed or failed"),
        ]);
    }
    Figure::bars("tests", TITLE, &grid, &bars, None, words)
        .noting("The latest result of each test")
        .legend(&[("Passed", "is-ok"), ("Failed", "is-fail"), ("Skipped", "is-skip")])
}

/// The timeline of the latest run and its critical path.
fn latest_run(report: &Report, extra: &Extra, nodes: &mut Nodes) -> Vec<Figure> {
    const TITLE: &str = "Latest run, node by node";
    if let Some(missing) = Figure::unless_known("timeline", TITLE, &report.latest_run) {
        return vec![missing];
    }
    let timed: Vec<(&RunNode, DateTime, f64)> = report
        .latest_run
        .rows
        .iter()
        .filter(|node| node.status != "skipped")
        .filter_map(|node| Some((node, node.started_at?, node.seconds?)))
        .collect();
    let Some(origin) = timed.iter().map(|(_, start, _)| *start).min() else {
        return vec![Figure::missing("timeline", TITLE, "no node of the latest run has a start time")];
    };
    let spans: Vec<Span> = timed
        .iter()
        .map(|(node, start, seconds)| {
            let start = start.duration_since(origin).as_secs_f64();
            Span { start, end: start + seconds, thread: extra.threads.get(&node.node_id).cloned() }
        })
        .collect();
    for ((node, ..), span) in timed.iter().zip(&spans) {
        if let Some(place) = nodes.places.get(&node.node_id) {
            nodes.records[*place].began = Some(format!("+{}", extra.words.figure(span.start, Unit::Seconds)));
        }
    }
    let lanes = timeline::lanes(&spans);
    let run: Vec<&RunNode> = timed.iter().map(|(node, ..)| *node).collect();
    let path = if extra.project.reason.is_none() { critical(&run, &spans, extra) } else { Vec::new() };
    let mut figures = vec![gantt(&run, &spans, &lanes, &path, nodes, &extra.words)];
    if path.is_empty() {
        let reason =
            extra.project.reason.clone().unwrap_or_else(|| "no node of the run took any time".to_owned());
        figures.push(Figure::missing("critical-path", "Critical path", reason));
    } else {
        figures.push(critical_path(&run, &spans, &path, &extra.words));
    }
    figures
}

fn critical(run: &[&RunNode], spans: &[Span], extra: &Extra) -> Vec<usize> {
    let ids: Vec<&str> = run.iter().map(|node| node.node_id.as_str()).collect();
    let parents: HashMap<&str, Vec<&str>> = extra
        .project
        .parents
        .iter()
        .map(|(id, parents)| (id.as_str(), parents.iter().map(String::as_str).collect()))
        .collect();
    let waits = timeline::waits_for(&ids, &parents, |i| is_test(&run[i].kind));
    timeline::critical_path(spans, &waits)
}

fn end(spans: &[Span]) -> f64 {
    spans.iter().map(|span| span.end).fold(0.0, f64::max)
}

fn gantt(
    run: &[&RunNode],
    spans: &[Span],
    lanes: &Lanes,
    path: &[usize],
    nodes: &Nodes,
    words: &Words,
) -> Figure {
    let total = end(spans).max(0.001);
    let height = many(lanes.names.len()) * LANE;
    let mut svg = String::new();
    for lane in 0..=lanes.names.len() {
        let y = c(many(lane) * LANE);
        let _infallible = write!(svg, r#"<line class="rule" x1="0" x2="100%" y1="{y}" y2="{y}"/>"#);
    }
    for (i, (node, span)) in run.iter().zip(spans).enumerate() {
        let critical = if path.contains(&i) { " critical" } else { "" };
        let test = if is_test(&node.kind) { " test" } else { "" };
        let place = nodes.places.get(&node.node_id).map_or_else(String::new, |i| format!(r#" data-i="{i}""#));
        let _infallible = write!(
            svg,
            r#"<rect class="mark {}{test}{critical}"{place} x="{}%" y="{}" width="{}%" height="{BAR}" rx="2"/>"#,
            tone(&node.status),
            c(span.start / total * 100.0),
            c(many(lanes.of[i]) * LANE + (LANE - BAR) / 2.0),
            c(((span.end - span.start) / total * 100.0).max(0.15)),
        );
    }
    let mut html =
        format!(r#"<div class="frame gantt" style="--room:8ch"><div class="ys" style="height:{height}px">"#);
    for (lane, name) in lanes.names.iter().enumerate() {
        let _infallible =
            write!(html, r#"<span style="top:{}px">{}</span>"#, c((many(lane) + 0.5) * LANE), escape(name));
    }
    let _infallible = write!(
        html,
        r#"</div><svg class="marks" width="100%" height="{height}" focusable="false">{svg}</svg><div class="xs">"#
    );
    let (step, marks) = chart::ticks(0.0, total, Unit::Seconds);
    for (nth, mark) in marks.into_iter().filter(|mark| *mark <= total).enumerate() {
        let class = if nth % 2 == 1 { r#" class="minor""# } else { "" };
        let _infallible = write!(
            html,
            r#"<span{class} style="left:{}%">{}</span>"#,
            c(mark / total * 100.0),
            escape(&words.tick(mark, Unit::Seconds, step))
        );
    }
    html.push_str("</div></div>");

    let mut figure = Figure::drawn("timeline", "Latest run, node by node", &timings(run, spans, lanes), words, html)
        .wide()
        .noting(if lanes.are_threads {
            "When each node was built, by dbt thread; the critical path is outlined"
        } else {
            "When each node was built, with the critical path outlined; dbt's results of this run are not on this machine, so lanes are packed and are not threads"
        })
        .legend(&[("Built or passed", "is-ok"), ("Warned", "is-warn"), ("Failed", "is-fail")]);
    figure.summary = format!(
        "{} nodes in {} lanes over {}",
        run.len(),
        lanes.names.len(),
        words.figure(total, Unit::Seconds)
    );
    figure
}

/// The nodes of a run, the longest first.
fn timings(run: &[&RunNode], spans: &[Span], lanes: &Lanes) -> Grid {
    let mut grid = Grid::new(&[
        ("Node", Unit::Text),
        ("Kind", Unit::Text),
        ("Layer", Unit::Text),
        ("Status", Unit::Status),
        ("Began after", Unit::Seconds),
        ("Took", Unit::Seconds),
        ("Lane", Unit::Text),
    ]);
    let mut order: Vec<usize> = (0..run.len()).collect();
    let took = |i: usize| spans[i].end - spans[i].start;
    order.sort_by(|a, b| took(*b).total_cmp(&took(*a)).then(a.cmp(b)));
    grid.rows.extend(order.into_iter().map(|i| {
        vec![
            Cell::text(run[i].name.clone()),
            Cell::text(run[i].kind.clone()),
            Cell::text(run[i].layer.clone().unwrap_or_default()),
            Cell::text(run[i].status.clone()),
            Cell::Number(spans[i].start),
            Cell::Number(took(i)),
            Cell::text(lanes.names[lanes.of[i]].clone()),
        ]
    }));
    grid
}

fn critical_path(run: &[&RunNode], spans: &[Span], path: &[usize], words: &Words) -> Figure {
    let mut grid = Grid::new(&[
        ("Node", Unit::Text),
        ("Kind", Unit::Text),
        ("Waited before", Unit::Seconds),
        ("Took", Unit::Seconds),
        ("Share of the run", Unit::Ratio),
    ]);
    let total = end(spans);
    let mut bars = Vec::new();
    let mut before = 0.0;
    let mut worked = 0.0;
    for i in path {
        let (span, node) = (&spans[*i], run[*i]);
        let (waited, took) = ((span.start - before).max(0.0), span.end - span.start);
        let share = (total > 0.0).then(|| took / total);
        bars.push(Bar {
            label: node.name.clone(),
            parts: vec![
                (Some(span.start - waited), "is-clear"),
                (Some(waited), "is-wait"),
                (Some(took), if is_test(&node.kind) { "c3" } else { "c1" }),
            ],
            words: words.figure(took, Unit::Seconds),
        });
        grid.rows.push(vec![
            Cell::text(node.name.clone()),
            Cell::text(node.kind.clone()),
            Cell::Number(waited),
            Cell::Number(took),
            Cell::number(share, "the run took no time"),
        ]);
        before = span.end;
        worked += took;
    }
    Figure::bars("critical-path", "Critical path", &grid, &bars, Some(total), words)
        .noting(format!(
            "The run could not end before these {} nodes had ended: {} of work in {}",
            path.len(),
            words.figure(worked, Unit::Seconds),
            words.figure(total, Unit::Seconds)
        ))
        .legend(&[("Model or seed", "c1"), ("Test", "c3"), ("Waiting", "is-wait")])
}

fn slowest(report: &Report, words: &Words) -> Figure {
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
fn trend(id: &str, title: &str, table: &model::Table<Trend>, words: &Words) -> Figure {
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

fn failing(report: &Report, words: &Words) -> Figure {
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

fn test_history(report: &Report, words: &Words) -> Figure {
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
