//! A chart with its title, note, legend, text for screen readers, and the table behind it.

use serde::Serialize;

use super::chart::{self, Bar, Series, Shape};
use super::grid::{Cell, Grid, Unit, Words};
use crate::metrics::model;

/// Rows of a table that the page holds; `--format csv` has all of them.
const MOST_ROWS: usize = 200;

/// The same for a list that is shown for itself.
const MOST_LISTED: usize = 1000;

/// A chart or list, ready for the template.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) note: String,
    pub(super) wide: bool,
    pub(super) legend: Vec<Legend>,
    /// Markup that is made here and safe to insert into the page; `None` if there is nothing to draw.
    pub(super) marks: Option<String>,
    /// The marks in one sentence.
    pub(super) summary: String,
    /// Steps along the axis, each of which is a row of the table: what a pointer reads off.
    pub(super) steps: usize,
    /// Why there is nothing to show.
    pub(super) reason: Option<String>,
    /// Why the data that is shown is incomplete, if it is.
    pub(super) caveat: Option<String>,
    pub(super) table: Table,
    /// A list has no marks: the table itself is what is shown.
    pub(super) is_list: bool,
    /// This target does not have it: it gets a line instead of a card.
    pub(super) is_absent: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Legend {
    pub(super) label: String,
    pub(super) tone: &'static str,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Table {
    pub(super) head: Vec<Head>,
    pub(super) rows: Vec<Vec<Shown>>,
    /// The number of rows; more than `rows` holds if the list is cut.
    pub(super) total: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Head {
    label: String,
    numeric: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Shown {
    text: String,
    /// The number itself, to sort by.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tone: Option<&'static str>,
    /// Why it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Table {
    pub(super) fn of(grid: &Grid, words: &Words) -> Self {
        Self::with(grid, words, MOST_ROWS)
    }

    fn with(grid: &Grid, words: &Words, most: usize) -> Self {
        let numeric = |unit: Unit| !matches!(unit, Unit::Text | Unit::Status | Unit::Day | Unit::Moment);
        let shown = |cell: &Cell, unit: Unit| Shown {
            text: words.cell(cell, unit),
            value: cell.value(),
            tone: match (cell, unit) {
                (Cell::Text(text), Unit::Status) => Some(tone(text)),
                _ => None,
            },
            why: match cell {
                Cell::Unknown(why) => Some(why.clone()),
                _ => None,
            },
        };
        Self {
            head: grid
                .columns
                .iter()
                .map(|column| Head { label: column.label.clone(), numeric: numeric(column.unit) })
                .collect(),
            rows: grid
                .rows
                .iter()
                .take(most)
                .map(|row| {
                    row.iter().zip(&grid.columns).map(|(cell, column)| shown(cell, column.unit)).collect()
                })
                .collect(),
            total: grid.rows.len(),
        }
    }
}

/// The colour of a status of a run, node, test, alert or figure.
pub(super) fn tone(status: &str) -> &'static str {
    match status {
        "success" | "pass" | "passed" | "ok" => "is-ok",
        "warn" | "high" | "delayed" | "truncated" => "is-warn",
        "fail" | "error" | "failed" | "firing" | "critical" => "is-fail",
        "skipped" | "interrupted" | "up to date" => "is-skip",
        _ => "is-none",
    }
}

impl Figure {
    fn new(id: &str, title: &str, grid: &Grid, words: &Words) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            note: String::new(),
            wide: false,
            legend: Vec::new(),
            marks: None,
            summary: String::new(),
            steps: 0,
            reason: None,
            caveat: None,
            table: Table::of(grid, words),
            is_list: false,
            is_absent: false,
        }
    }

    /// A figure without data, with the reason that `table` gives; `None` if there is something to show.
    pub(super) fn unless_known<T>(id: &str, title: &str, table: &model::Table<T>) -> Option<Self> {
        if !table.rows.is_empty()
            && !matches!(table.status, model::Status::NoPrivilege | model::Status::NotSupported)
        {
            return None;
        }
        let reason =
            table.reason.clone().unwrap_or_else(|| format!("There is nothing in {} yet.", table.source));
        let is_absent = table.status == model::Status::NotSupported;
        Some(Self { is_absent, ..Self::missing(id, title, reason) })
    }

    /// A figure without data, and why.
    pub(super) fn missing(id: &str, title: &str, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::new(id, title, &Grid::default(), &Words::default()) }
    }

    /// Marks that were made elsewhere.
    pub(super) fn drawn(id: &str, title: &str, grid: &Grid, words: &Words, marks: String) -> Self {
        Self { marks: Some(marks), ..Self::new(id, title, grid, words) }
    }

    /// A list, with the table as its own picture.
    pub(super) fn list(id: &str, title: &str, grid: &Grid, words: &Words) -> Self {
        let table = Table::with(grid, words, MOST_LISTED);
        Self { is_list: true, wide: true, table, ..Self::new(id, title, &Grid::default(), words) }
    }

    /// Columns or lines over the first column of `grid`; each of `tones` is a further column.
    pub(super) fn steps(
        id: &str,
        title: &str,
        shape: Shape,
        grid: &Grid,
        series: &[(usize, &'static str)],
        words: &Words,
    ) -> Self {
        Self::toned_steps(id, title, shape, grid, series, None, words)
    }

    /// The same, with a separate colour for each column.
    pub(super) fn toned_steps(
        id: &str,
        title: &str,
        shape: Shape,
        grid: &Grid,
        series: &[(usize, &'static str)],
        tones: Option<&[&'static str]>,
        words: &Words,
    ) -> Self {
        let labels = short_labels(grid, words);
        let unit = series.first().and_then(|(at, _)| grid.columns.get(*at)).map_or(Unit::Count, |c| c.unit);
        let series: Vec<Series> = series
            .iter()
            .map(|(at, tone)| Series {
                label: grid.columns[*at].label.clone(),
                tone,
                values: grid.values(*at),
            })
            .collect();
        let marks = chart::steps(shape, &labels, &series, tones, unit, words);
        let mut figure = Self::drawn(id, title, grid, words, marks);
        figure.steps = grid.rows.len().min(MOST_ROWS);
        figure.summary =
            series.iter().map(|one| in_words(one, &labels, unit, words)).collect::<Vec<_>>().join("; ");
        if tones.is_none() && series.len() > 1 {
            figure.legend =
                series.into_iter().map(|one| Legend { label: one.label, tone: one.tone }).collect();
        }
        figure
    }

    /// A bar for each row.
    pub(super) fn bars(
        id: &str,
        title: &str,
        grid: &Grid,
        bars: &[Bar],
        whole: Option<f64>,
        words: &Words,
    ) -> Self {
        let mut figure = Self::drawn(id, title, grid, words, chart::bars(bars, whole));
        let said: Vec<String> = bars.iter().map(|bar| format!("{}: {}", bar.label, bar.words)).collect();
        figure.summary = said.join("; ");
        figure
    }

    pub(super) fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub(super) fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    /// What limits a report's table though there are rows: truncated, delayed.
    pub(super) fn qualified<T>(mut self, table: &model::Table<T>) -> Self {
        let reason = table.reason.clone().filter(|_| table.status != model::Status::Ok);
        self.caveat = [self.caveat.take(), reason].into_iter().flatten().reduce(|a, b| format!("{a}. {b}"));
        self
    }

    pub(super) fn legend(mut self, entries: &[(&str, &'static str)]) -> Self {
        self.legend =
            entries.iter().map(|(label, tone)| Legend { label: (*label).to_owned(), tone }).collect();
        self
    }

    pub(super) fn caveat(mut self, caveat: Option<String>) -> Self {
        self.caveat = caveat;
        self
    }
}

/// The labels below the axis: days and moments without their year, anything else as it is.
fn short_labels(grid: &Grid, words: &Words) -> Vec<String> {
    let mut labels = grid.labels(0, words);
    for label in &mut labels {
        match grid.columns.first().map(|column| column.unit) {
            Some(Unit::Day) => {
                if let Ok(day) = label.parse::<jiff::civil::Date>() {
                    *label = day.strftime("%-d %b").to_string();
                }
            }
            Some(Unit::Moment) => {
                if let Ok(moment) = label.parse::<jiff::civil::DateTime>() {
                    *label = moment.strftime("%-d %b %H:%M").to_string();
                }
            }
            _ => {}
        }
    }
    labels
}

/// A series in a sentence, for screen readers.
fn in_words(series: &Series, labels: &[String], unit: Unit, words: &Words) -> String {
    let known = || series.values.iter().zip(labels).filter_map(|(value, label)| Some(((*value)?, label)));
    let highest = known().max_by(|a, b| a.0.total_cmp(&b.0));
    let Some(((most, when), (last, _))) = highest.zip(known().next_back()) else {
        return format!("{}: nothing known", series.label);
    };
    format!(
        "{}: {} at the end, highest {} ({when})",
        series.label,
        words.figure(last, unit),
        words.figure(most, unit)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_why_a_figure_is_unknown() {
        let mut grid = Grid::new(&[("Day", Unit::Day), ("p95", Unit::Seconds)]);
        grid.rows.push(vec![Cell::text("2026-11-01"), Cell::number(None, "no query ended")]);
        let table = Table::of(&grid, &Words::default());
        assert_eq!(table.rows[0][1].text, "unknown");
        assert_eq!(table.rows[0][1].why.as_deref(), Some("no query ended"));
    }

    #[test]
    fn long_tables_say_how_much_they_leave_out() {
        let mut grid = Grid::new(&[("Day", Unit::Count)]);
        grid.rows = vec![vec![Cell::Number(1.0)]; MOST_ROWS + 1];
        let table = Table::of(&grid, &Words::default());
        assert_eq!((table.rows.len(), table.total), (MOST_ROWS, MOST_ROWS + 1));
    }

    #[test]
    fn a_chart_can_be_read_out() {
        let mut grid = Grid::new(&[("Day", Unit::Day), ("Queries", Unit::Count)]);
        for (day, value) in [("2026-11-01", Some(5.0)), ("2026-11-02", None), ("2026-11-03", Some(2.0))] {
            grid.rows.push(vec![Cell::text(day), Cell::number(value, "no log")]);
        }
        let figure = Figure::steps("q", "Q", Shape::Columns, &grid, &[(1, "c1")], &Words::default());
        assert_eq!(figure.summary, "Queries: 2 at the end, highest 5 (1 Nov)");
        assert_eq!(figure.steps, 3);
    }
}
