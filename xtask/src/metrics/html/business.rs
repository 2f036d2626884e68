//! The business section of the page: the panels of `policies/report.toml` with their results.

use std::collections::BTreeSet;

use super::card::{self, Card};
use super::chart::{Bar, Shape};
use super::figure::Figure;
use super::gather::{Answer, Business};
use super::grid::{Cell, Column, Grid, Unit, Words};
use super::policy::{Better, Kind, Panel};

/// Colours of series, in the order of their names.
const TONES: [&str; 6] = ["c1", "c2", "c3", "c4", "c5", "c6"];

/// The cards of a business, then its charts and lists.
pub(super) fn parts(business: &Business, words: &Words) -> (Vec<Card>, Vec<Figure>) {
    let mut cards = Vec::new();
    let mut figures = Vec::new();
    for answer in &business.answers {
        if answer.panel.kind == Kind::Figure {
            cards.push(card(answer, words));
        } else {
            figures.push(figure(answer, words));
        }
    }
    (cards, figures)
}

fn card(answer: &Answer, words: &Words) -> Card {
    let panel = &answer.panel;
    let grid = match &answer.grid {
        Ok(grid) if !grid.rows.is_empty() => grid,
        Ok(_) => return Card::unknown(&panel.title, empty(panel)),
        Err(reason) => return Card::unknown(&panel.title, reason.clone()),
    };
    let unit = grid.columns[1].unit;
    let values = grid.values(1);
    let when = grid.labels(0, words).pop().unwrap_or_default();
    let when = when.parse::<jiff::civil::Date>().map_or(when, |day| day.strftime("%-d %b %Y").to_string());
    let Some(value) = values.last().copied().flatten() else {
        return Card::unknown(&panel.title, format!("The latest row ({when}) has no value."));
    };
    let before = values.len().checked_sub(panel.compare_rows + 1).and_then(|at| values[at]);
    let better = panel.better.map(|better| better == Better::Higher);
    let since = match grid.columns[0].unit {
        Unit::Day => format!("in {} days", panel.compare_rows),
        _ => format!("in {} rows", panel.compare_rows),
    };
    Card::new(&panel.title, words.parts(value, unit))
        .noting(format!("{}, {when}", panel.note))
        .change(card::change(value, before, unit, better, &since))
        .trend(&values)
}

fn empty(panel: &Panel) -> String {
    panel.empty.clone().unwrap_or_else(|| "The query of this panel gives no rows.".to_owned())
}

fn figure(answer: &Answer, words: &Words) -> Figure {
    let panel = &answer.panel;
    let figure = match &answer.grid {
        Err(reason) => Figure::missing(&panel.id, &panel.title, reason.clone()),
        Ok(grid) if grid.rows.is_empty() => Figure::missing(&panel.id, &panel.title, empty(panel)),
        Ok(grid) => match panel.kind {
            Kind::Lines => steps(panel, Shape::Lines, grid, words),
            Kind::Columns => steps(panel, Shape::Columns, grid, words),
            Kind::Bars => bars(panel, grid, words),
            Kind::Table | Kind::Figure => Figure::list(&panel.id, &panel.title, grid, words),
        },
    };
    let figure = figure.noting(panel.note.clone());
    if panel.wide { figure.wide() } else { figure }
}

fn steps(panel: &Panel, shape: Shape, grid: &Grid, words: &Words) -> Figure {
    let pivoted;
    let grid = if panel.series.is_some() {
        pivoted = pivot(grid, words);
        &pivoted
    } else {
        grid
    };
    let series: Vec<(usize, &'static str)> =
        (1..grid.columns.len()).zip(TONES.iter().cycle().copied()).collect();
    Figure::steps(&panel.id, &panel.title, shape, grid, &series, words)
}

/// Pivots rows of axis, series and value into one row per step of the axis and one column per series. A
/// series without a row at a step is unknown there.
fn pivot(grid: &Grid, words: &Words) -> Grid {
    let (axis, names) = (grid.labels(0, words), grid.labels(1, words));
    let series: BTreeSet<&String> = names.iter().collect();
    let unit = grid.columns[2].unit;
    let mut columns = vec![grid.columns[0].clone()];
    columns.extend(series.iter().map(|name| Column::new((*name).clone(), unit)));
    let mut pivoted = Grid { columns, rows: Vec::new() };
    let mut last: Option<&String> = None;
    for (i, row) in grid.rows.iter().enumerate() {
        if last != Some(&axis[i]) {
            let mut blank = vec![row[0].clone()];
            blank.resize(series.len() + 1, Cell::Unknown("the query returns no row for it".to_owned()));
            pivoted.rows.push(blank);
            last = Some(&axis[i]);
        }
        let at = series.iter().position(|name| **name == names[i]).map_or(0, |at| at + 1);
        if let Some(target) = pivoted.rows.last_mut() {
            target[at] = row[2].clone();
        }
    }
    pivoted
}

fn bars(panel: &Panel, grid: &Grid, words: &Words) -> Figure {
    let names = grid.labels(0, words);
    let bars: Vec<Bar> = grid
        .rows
        .iter()
        .zip(names)
        .map(|(row, label)| {
            let beside =
                row.iter().zip(&grid.columns).skip(2).map(|(cell, column)| beside(cell, column, words));
            let mut said = vec![words.cell(&row[1], grid.columns[1].unit)];
            said.extend(beside);
            Bar { label, parts: vec![(row[1].value(), "c1")], words: said.join(" · ") }
        })
        .collect();
    let whole = (grid.columns[1].unit == Unit::Ratio).then_some(1.0);
    Figure::bars(&panel.id, &panel.title, grid, &bars, whole, words)
}

/// The text beside a bar: text as it is, counts with the name of what they count.
fn beside(cell: &Cell, column: &Column, words: &Words) -> String {
    let said = words.cell(cell, column.unit);
    match column.unit {
        Unit::Count => format!("{said} {}", column.label.to_lowercase()),
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_become_columns_and_what_is_missing_is_unknown() {
        let mut grid = Grid::new(&[("Day", Unit::Day), ("Place", Unit::Text), ("Units", Unit::Count)]);
        for (day, place, units) in
            [("2026-01-01", "B", 1.0), ("2026-01-01", "A", 2.0), ("2026-01-02", "A", 3.0)]
        {
            grid.rows.push(vec![Cell::text(day), Cell::text(place), Cell::Number(units)]);
        }
        let pivoted = pivot(&grid, &Words::default());
        assert_eq!(pivoted.columns.iter().map(|c| c.label.as_str()).collect::<Vec<_>>(), ["Day", "A", "B"]);
        assert_eq!(pivoted.values(1), [Some(2.0), Some(3.0)]);
        assert_eq!(pivoted.values(2), [Some(1.0), None]);
    }
}
