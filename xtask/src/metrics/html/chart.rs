//! Charts as fluid SVG: rendered here, so that the page shows them without a script, prints them, and fits
//! them to a phone.
//!
//! Heights are in pixels. Widths are relative to the available room: rectangles are placed at percentages,
//! lines are drawn in a nested picture that is stretched while its strokes are not. Colour comes from the
//! style sheet by class, so light, dark and print share one drawing. Text is in HTML around the marks, where
//! it keeps its size. An unknown value is a gap with a separate mark, never a zero.

use std::fmt::Write as _;

use super::grid::{Unit, Words, many};
use super::markup::{coordinate as c, escape};

/// Height of the area in which columns and lines are drawn, in pixels.
const HEIGHT: f64 = 184.0;
/// Width of the stretched picture that lines are drawn in.
const SPAN: f64 = 1000.0;

/// One row of values, drawn in one colour.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) label: String,
    /// A class of the style sheet, such as `c1` or `is-fail`.
    pub(super) tone: &'static str,
    pub(super) values: Vec<Option<f64>>,
}

/// The kind of chart over an axis of days, runs or other steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Columns, the series on top of each other.
    Columns,
    /// A line for each series; one alone is filled below.
    Lines,
}

/// Round steps of time, in seconds: 1,000 seconds on an axis say little.
const TIMES: [f64; 20] = [
    10.0,
    15.0,
    20.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1800.0,
    3600.0,
    7200.0,
    10_800.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    432_000.0,
    604_800.0,
    1_209_600.0,
];

/// Round marks of an axis that covers `lowest` to `highest`: 1, 2, 2.5 or 5 times a power of ten apart.
pub(super) fn ticks(lowest: f64, highest: f64, unit: Unit) -> (f64, Vec<f64>) {
    let highest = if highest > 0.0 { highest } else { 1.0 };
    let rough = (highest - lowest) / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|f| f * power >= rough - 1e-12).unwrap_or(10.0);
    let mut step = factor * power;
    if unit == Unit::Seconds && rough > 5.0 {
        step = TIMES
            .into_iter()
            .find(|time| *time >= rough)
            .unwrap_or_else(|| (rough / 86_400.0).ceil() * 86_400.0);
    }
    // Counts have no fractional marks.
    if unit == Unit::Count && step < 1.0 {
        step = 1.0;
    }
    let first = (lowest / step).floor();
    let mut marks = vec![first * step];
    while marks.last().is_some_and(|last| *last < highest - step * 1e-9) {
        marks.push(step * (first + many(marks.len())));
    }
    (step, marks)
}

/// The lowest value of an axis for lines: zero, unless all lines are far above it. Columns always start at
/// zero, since readers compare their lengths.
fn floor(series: &[Series]) -> f64 {
    let known = || series.iter().flat_map(|s| &s.values).filter_map(|value| *value);
    let (low, high) = known().fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    if low > high / 2.0 && low < high { low } else { 0.0 }
}

/// Columns or lines over `labels`, with axes. `tones`, if given, colours each column separately.
pub(super) fn steps(
    shape: Shape,
    labels: &[String],
    series: &[Series],
    tones: Option<&[&'static str]>,
    unit: Unit,
    words: &Words,
) -> String {
    let total = |i: usize| series.iter().filter_map(|s| s.values.get(i).copied().flatten()).sum::<f64>();
    let (lowest, highest) = match shape {
        Shape::Columns => (0.0, (0..labels.len()).map(total).fold(0.0, f64::max)),
        Shape::Lines => {
            (floor(series), series.iter().flat_map(|s| &s.values).filter_map(|v| *v).fold(0.0, f64::max))
        }
    };
    let (step, marks) = ticks(lowest, highest, unit);
    let (bottom, top) = (marks[0], marks.last().copied().unwrap_or(1.0));
    let y = |value: f64| HEIGHT - (value - bottom) / (top - bottom) * HEIGHT;

    let mut svg = String::new();
    for mark in &marks {
        let at = c(y(*mark));
        let class = if *mark <= bottom { "axis" } else { "rule" };
        let _infallible = write!(svg, r#"<line class="{class}" x1="0" x2="100%" y1="{at}" y2="{at}"/>"#);
    }
    match shape {
        Shape::Columns => columns(&mut svg, labels.len(), series, tones, y),
        Shape::Lines => lines(&mut svg, labels.len(), series, y),
    }
    let words_of_y: Vec<String> = marks.iter().map(|mark| words.tick(*mark, unit, step)).collect();
    frame(&svg, &marks.iter().map(|mark| y(*mark)).zip(words_of_y).collect::<Vec<_>>(), labels)
}

fn columns(
    svg: &mut String,
    count: usize,
    series: &[Series],
    tones: Option<&[&'static str]>,
    y: impl Fn(f64) -> f64,
) {
    let slot = 100.0 / many(count.max(1));
    let share = match count {
        0..=3 => 0.3,
        4..=10 => 0.52,
        _ => 0.72,
    };
    for i in 0..count {
        let (x, width) = (c((many(i) + (1.0 - share) / 2.0) * slot), c(slot * share));
        let known: Vec<(f64, &str)> = series
            .iter()
            .filter_map(|s| {
                let tone = tones.and_then(|tones| tones.get(i).copied()).unwrap_or(s.tone);
                Some((s.values.get(i).copied().flatten()?, tone))
            })
            .collect();
        if known.is_empty() {
            let _infallible = write!(
                svg,
                r#"<rect class="gap" x="{x}%" y="{}" width="{width}%" height="8"/>"#,
                c(HEIGHT - 8.0)
            );
            continue;
        }
        let mut base = 0.0;
        for (value, tone) in known.into_iter().filter(|(value, _)| *value > 0.0) {
            let (low, high) = (y(base), y(base + value));
            // A failure among thousands must still be seen.
            let height = (low - high).max(2.0);
            let _infallible = write!(
                svg,
                r#"<rect class="mark {tone}" x="{x}%" y="{}" width="{width}%" height="{}" rx="2"/>"#,
                c(low - height),
                c(height)
            );
            base += value;
        }
    }
}

fn lines(svg: &mut String, count: usize, series: &[Series], y: impl Fn(f64) -> f64) {
    let x = |i: usize| (many(i) + 0.5) * SPAN / many(count.max(1));
    let _infallible = write!(
        svg,
        r#"<svg viewBox="0 0 {SPAN} {HEIGHT}" preserveAspectRatio="none" width="100%" height="{HEIGHT}">"#
    );
    for (nth, one) in series.iter().enumerate().rev() {
        for run in runs(&one.values) {
            let points: Vec<String> =
                run.iter().map(|(i, value)| format!("{} {}", c(x(*i)), c(y(*value)))).collect();
            let path = points.join("L");
            if let ([(first, _), ..], [.., (last, _)], true) =
                (&run[..], &run[..], nth == 0 && series.len() == 1 && run.len() > 1)
            {
                let _infallible = write!(
                    svg,
                    r#"<path class="area {}" d="M{} {HEIGHT}L{path}L{} {HEIGHT}Z"/>"#,
                    one.tone,
                    c(x(*first)),
                    c(x(*last))
                );
            }
            let _infallible = write!(svg, r#"<path class="line {}" d="M{path}"/>"#, one.tone);
            // With few points each is marked; a point alone would not be seen at all.
            if count <= 31 || run.len() == 1 {
                let dots: String = points.iter().fold(String::new(), |dots, point| dots + "M" + point + "h0");
                let _infallible = write!(svg, r#"<path class="dots {}" d="{dots}"/>"#, one.tone);
            }
        }
    }
    svg.push_str("</svg>");
}

/// The stretches of a series without a gap, with the place of each value.
fn runs(values: &[Option<f64>]) -> Vec<Vec<(usize, f64)>> {
    let mut runs: Vec<Vec<(usize, f64)>> = vec![Vec::new()];
    for (i, value) in values.iter().enumerate() {
        match value {
            Some(value) => {
                if let Some(run) = runs.last_mut() {
                    run.push((i, *value));
                }
            }
            None => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// Marks with the words of their axes around them.
fn frame(svg: &str, marks: &[(f64, String)], labels: &[String]) -> String {
    let room = marks.iter().map(|(_, word)| word.chars().count()).max().unwrap_or(1);
    let mut html =
        format!(r#"<div class="frame" style="--room:{room}ch"><div class="ys" style="height:{HEIGHT}px">"#);
    for (at, word) in marks {
        let _infallible = write!(html, r#"<span style="top:{}px">{}</span>"#, c(*at), escape(word));
    }
    let _infallible = write!(
        html,
        r#"</div><svg class="marks" width="100%" height="{HEIGHT}" focusable="false">{svg}</svg><div class="xs">{}</div></div>"#,
        axis_words(labels)
    );
    html
}

/// At most eight labels below an axis, fewer if they are long; every other one is hidden on a phone.
fn axis_words(labels: &[String]) -> String {
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(1);
    let every = labels.len().div_ceil((64 / (longest + 2)).clamp(2, 8)).max(1);
    let mut html = String::new();
    for (i, label) in labels.iter().enumerate() {
        let from_the_last = labels.len() - 1 - i;
        if !from_the_last.is_multiple_of(every) {
            continue;
        }
        let nth = from_the_last / every;
        let at = (many(i) + 0.5) * 100.0 / many(labels.len());
        // The last label ends where the axis ends: otherwise it would extend beyond the page on a phone.
        let class = match (nth.is_multiple_of(2), at > if longest > 8 { 85.0 } else { 95.0 }) {
            (_, true) => r#" class="last""#,
            (true, _) => "",
            (false, _) => r#" class="minor""#,
        };
        let _infallible = write!(html, r#"<span{class} style="left:{}%">{}</span>"#, c(at), escape(label));
    }
    html
}

/// One bar of a list: its name, its parts in their colours, and what is written at its end.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) parts: Vec<(Option<f64>, &'static str)>,
    pub(super) words: String,
}

/// Bars below each other, all to one scale: as long as `whole`, or the longest of them.
pub(super) fn bars(bars: &[Bar], whole: Option<f64>) -> String {
    let sum = |bar: &Bar| bar.parts.iter().filter_map(|(value, _)| *value).sum::<f64>();
    let longest = whole.unwrap_or_else(|| bars.iter().map(sum).fold(0.0, f64::max));
    let mut html = String::from(r#"<div class="bars">"#);
    for bar in bars {
        let is_known = bar.parts.iter().any(|(value, _)| value.is_some());
        let mut svg = String::from(if is_known {
            r#"<rect class="track" width="100%" height="10" rx="3"/>"#
        } else {
            r#"<rect class="gap" x="0.5" y="0.5" width="99%" height="9" rx="3"/>"#
        });
        let mut x = 0.0;
        for (value, tone) in bar.parts.iter().filter_map(|(value, tone)| Some(((*value)?, tone))) {
            let width = if longest > 0.0 { value / longest * 100.0 } else { 0.0 };
            if width > 0.0 {
                let _infallible = write!(
                    svg,
                    r#"<rect class="mark {tone}" x="{}%" width="{}%" height="10" rx="3"/>"#,
                    c(x),
                    c(width.max(0.4))
                );
            }
            x += width;
        }
        let _infallible = write!(
            html,
            r#"<div class="bar"><bdi class="bar-label">{}</bdi><span class="bar-words">{}</span><svg class="marks" width="100%" height="10" focusable="false">{svg}</svg></div>"#,
            escape(&bar.label),
            escape(&bar.words)
        );
    }
    html.push_str("</div>");
    html
}

/// A trend without axes, for a card.
pub(super) fn spark(values: &[Option<f64>]) -> Option<String> {
    const HIGH: f64 = 32.0;
    let known: Vec<f64> = values.iter().filter_map(|value| *value).collect();
    if known.len() < 2 {
        return None;
    }
    let low = known.iter().copied().fold(f64::INFINITY, f64::min);
    let high = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let flat = (high - low).abs() < f64::EPSILON;
    let y =
        |value: f64| if flat { HIGH / 2.0 } else { HIGH - 3.0 - (value - low) / (high - low) * (HIGH - 6.0) };
    let x = |i: usize| many(i) / many(values.len() - 1) * 100.0;
    let mut svg = format!(
        r#"<svg class="spark" viewBox="0 0 100 {HIGH}" preserveAspectRatio="none" aria-hidden="true" focusable="false">"#
    );
    for run in runs(values) {
        let points: Vec<String> =
            run.iter().map(|(i, value)| format!("{} {}", c(x(*i)), c(y(*value)))).collect();
        let _infallible = write!(svg, r#"<path class="line" d="M{}"/>"#, points.join("L"));
    }
    svg.push_str("</svg>");
    Some(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[Option<f64>]) -> Series {
        Series { label: "a".into(), tone: "c1", values: values.to_vec() }
    }

    fn labels(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("d{i}")).collect()
    }

    #[test]
    fn axes_have_round_marks_that_hold_the_highest_value() {
        for (lowest, highest, unit, marks) in [
            (0.0, 7.0, Unit::Seconds, vec![0.0, 2.0, 4.0, 6.0, 8.0]),
            (0.0, 220.0, Unit::Seconds, vec![0.0, 60.0, 120.0, 180.0, 240.0]),
            (0.0, 100.0, Unit::Count, vec![0.0, 25.0, 50.0, 75.0, 100.0]),
            (0.0, 2.0, Unit::Count, vec![0.0, 1.0, 2.0]),
            (0.0, 0.0, Unit::Count, vec![0.0, 1.0]),
            (70.0, 100.0, Unit::Days, vec![70.0, 80.0, 90.0, 100.0]),
        ] {
            assert_eq!(ticks(lowest, highest, unit).1, marks, "{highest}");
        }
    }

    #[test]
    fn unknown_values_are_gaps_zeros_are_not() {
        let words = Words::default();
        let columns = |value| {
            let series = [series(&[Some(4.0), value])];
            steps(Shape::Columns, &labels(2), &series, None, Unit::Count, &words)
        };
        assert_eq!(columns(None).matches(r#"class="gap""#).count(), 1);
        assert_eq!(columns(Some(0.0)).matches(r#"class="gap""#).count(), 0);
        assert_eq!(columns(Some(0.0)).matches(r#"class="mark "#).count(), 1);
    }

    #[test]
    fn lines_break_at_unknown_values() {
        assert_eq!(
            runs(&[Some(1.0), Some(2.0), None, Some(3.0), None]),
            [vec![(0, 1.0), (1, 2.0)], vec![(3, 3.0)]]
        );
        let drawn = steps(
            Shape::Lines,
            &labels(3),
            &[series(&[Some(1.0), None, Some(3.0)])],
            None,
            Unit::Seconds,
            &Words::default(),
        );
        assert_eq!(drawn.matches(r#"class="line"#).count(), 2);
    }

    #[test]
    fn the_smallest_part_of_a_column_can_still_be_seen() {
        let series = [series(&[Some(10_000.0)]), Series { tone: "is-fail", ..series(&[Some(1.0)]) }];
        let drawn = steps(Shape::Columns, &labels(1), &series, None, Unit::Count, &Words::default());
        assert!(drawn.contains(r#"height="2" rx"#), "{drawn}");
    }

    #[test]
    fn only_lines_far_above_zero_leave_it_out() {
        assert!((floor(&[series(&[Some(90.0), Some(100.0)])]) - 90.0).abs() < f64::EPSILON);
        assert!(floor(&[series(&[Some(90.0)]), series(&[Some(10.0)])]).abs() < f64::EPSILON);
        assert!(floor(&[series(&[Some(5.0), Some(5.0)])]).abs() < f64::EPSILON);
    }

    #[test]
    fn names_are_text() {
        let bar = Bar { label: "<b>".into(), parts: vec![(Some(1.0), "c1")], words: "1".into() };
        assert!(bars(&[bar], None).contains("&lt;b&gt;"));
    }

    #[test]
    fn a_trend_needs_two_points() {
        assert!(spark(&[Some(1.0), None]).is_none());
        assert!(spark(&[Some(1.0), Some(1.0)]).is_some());
    }
}
