//! Where the latest run spent its time: its timeline, node by node, and the path that decided when it ended.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::civil::DateTime;

use crate::metrics::html::chart::{self, Bar};
use crate::metrics::html::figure::{Figure, tone};
use crate::metrics::html::gather::Extra;
use crate::metrics::html::grid::{Cell, Grid, Unit, Words, many};
use crate::metrics::html::markup::{coordinate as c, escape};
use crate::metrics::html::models::{Nodes, is_test};
use crate::metrics::html::timeline::{self, Lanes, Span};
use crate::metrics::model::{Report, RunNode};

/// Height of a lane of the timeline, and of the bars in it, in pixels.
const LANE: f64 = 30.0;

const BAR: f64 = 20.0;

/// The timeline of the latest run and its critical path.
pub(super) fn latest_run(report: &Report, extra: &Extra, nodes: &mut Nodes) -> Vec<Figure> {
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
