//! What a chart shows, as rows and columns: the chart, the table behind it and the text shown at the pointer
//! all come from one [`Grid`], so they cannot disagree.
//!
//! An unknown figure is [`Cell::Unknown`], with the reason; nothing here makes it a zero.

use schemars::JsonSchema;
use serde::Serialize;

use crate::metrics::units::{bytes, decimals, percent_places, seconds, whole_or_places};

/// What a number counts, which decides how it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// Text, as it is.
    #[default]
    Text,
    /// A calendar day.
    Day,
    /// A moment, in UTC.
    Moment,
    Count,
    /// A share of one, written in percent.
    Ratio,
    Seconds,
    Bytes,
    Days,
    /// An amount of money, in the currency that the policy names.
    Money,
    /// How something went, in dbt's words.
    Status,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Text(String),
    Number(f64),
    /// Not known, and why.
    Unknown(String),
}

impl Cell {
    pub(super) fn number(value: Option<f64>, why_not: &str) -> Self {
        value
            .filter(|value| value.is_finite())
            .map_or_else(|| Self::Unknown(why_not.to_owned()), Self::Number)
    }

    pub(super) fn count(value: Option<i64>, why_not: &str) -> Self {
        Self::number(value.map(float), why_not)
    }

    pub(super) fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }

    pub(super) fn value(&self) -> Option<f64> {
        match self {
            Self::Number(value) => Some(*value),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) label: String,
    pub(crate) unit: Unit,
}

impl Column {
    pub(super) fn new(label: impl Into<String>, unit: Unit) -> Self {
        Self { label: label.into(), unit }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Grid {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Grid {
    pub(super) fn new(columns: &[(&str, Unit)]) -> Self {
        let columns = columns.iter().map(|(label, unit)| Column::new(*label, *unit)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// The numbers of a column; an unknown value is `None`.
    pub(super) fn values(&self, column: usize) -> Vec<Option<f64>> {
        self.rows.iter().map(|row| row.get(column).and_then(Cell::value)).collect()
    }

    /// The cells of a column, as people read them.
    pub(super) fn labels(&self, column: usize, words: &Words) -> Vec<String> {
        let unit = self.columns.get(column).map_or(Unit::Text, |column| column.unit);
        self.rows
            .iter()
            .map(|row| row.get(column).map_or_else(String::new, |cell| words.cell(cell, unit)))
            .collect()
    }
}

/// How figures are written: the same everywhere on the page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    /// Such as `EUR`; without it, amounts are shown without a unit.
    pub(crate) currency: Option<String>,
}

impl Words {
    pub(super) fn cell(&self, cell: &Cell, unit: Unit) -> String {
        match cell {
            Cell::Text(text) => text.clone(),
            Cell::Number(value) => self.figure(*value, unit),
            Cell::Unknown(_) => "unknown".to_owned(),
        }
    }

    /// A figure with its unit, in one piece.
    pub(super) fn figure(&self, value: f64, unit: Unit) -> String {
        let (number, unit) = self.parts(value, unit);
        if unit.is_empty() { number } else { format!("{number}\u{a0}{unit}") }
    }

    /// A figure and its unit apart, so that a card can set them in two sizes.
    pub(super) fn parts(&self, value: f64, unit: Unit) -> (String, String) {
        match unit {
            Unit::Seconds => seconds(value),
            Unit::Bytes => bytes(value),
            Unit::Ratio => (decimals(value * 100.0, percent_places(value)), "%".to_owned()),
            Unit::Days => (
                decimals(value, whole_or_places(value)),
                if (value - 1.0).abs() < 1e-9 { "day" } else { "days" }.to_owned(),
            ),
            Unit::Money => (decimals(value, 0), self.currency.clone().unwrap_or_default()),
            _ => (decimals(value, whole_or_places(value)), String::new()),
        }
    }

    /// A mark on an axis: as short as it can be without being wrong.
    pub(super) fn tick(&self, value: f64, unit: Unit, step: f64) -> String {
        match unit {
            Unit::Ratio => {
                let places = usize::from(step < 0.01);
                format!("{}\u{a0}%", decimals(value * 100.0, places))
            }
            Unit::Bytes | Unit::Seconds | Unit::Days if value == 0.0 => "0".to_owned(),
            // All marks of an axis in the unit of its steps.
            Unit::Seconds if step >= 10.0 => {
                let (size, unit) = match step {
                    s if s >= 86_400.0 => (86_400.0, "days"),
                    s if s >= 3600.0 => (3600.0, "h"),
                    s if s >= 60.0 => (60.0, "min"),
                    _ => (1.0, "s"),
                };
                format!("{}\u{a0}{unit}", decimals(value / size, 0))
            }
            Unit::Bytes | Unit::Seconds | Unit::Days => {
                self.figure(value, unit).replace(".0\u{a0}", "\u{a0}")
            }
            _ if value.abs() >= 10_000.0 => short(value),
            _ => decimals(value, if step < 1.0 { 1 + usize::from(step < 0.1) } else { 0 }),
        }
    }
}

/// `1.2k`, `3M`: for axes only.
fn short(value: f64) -> String {
    let (scaled, suffix) = match value.abs() {
        v if v >= 1e9 => (value / 1e9, "B"),
        v if v >= 1e6 => (value / 1e6, "M"),
        _ => (value / 1e3, "k"),
    };
    format!("{}{suffix}", decimals(scaled, usize::from(scaled.fract().abs() > 0.04)))
}

#[expect(clippy::cast_precision_loss, reason = "a figure on a page needs no 16th digit")]
pub(super) fn float(value: i64) -> f64 {
    value as f64
}

/// A number of things, for arithmetic with coordinates.
#[expect(clippy::cast_precision_loss, reason = "no page has 2^52 marks")]
pub(super) fn many(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_carry_their_unit() {
        let words = Words { currency: Some("EUR".into()) };
        for (value, unit, shown) in [
            (1_234_567.0, Unit::Count, "1,234,567"),
            (-3.0, Unit::Count, "\u{2212}3"),
            (-0.001, Unit::Count, "0.00"),
            (0.9871, Unit::Ratio, "98.7\u{a0}%"),
            (1.0, Unit::Ratio, "100\u{a0}%"),
            (0.0, Unit::Ratio, "0\u{a0}%"),
            (0.084, Unit::Seconds, "0.084\u{a0}s"),
            (7.58, Unit::Seconds, "7.6\u{a0}s"),
            (125.4, Unit::Seconds, "2.1\u{a0}min"),
            (7325.0, Unit::Seconds, "2.0\u{a0}h"),
            (259_200.0, Unit::Seconds, "3.0\u{a0}days"),
            (999.0, Unit::Bytes, "999\u{a0}B"),
            (6_565_888.0, Unit::Bytes, "6.6\u{a0}MB"),
            (999_999.0, Unit::Bytes, "1.0\u{a0}MB"),
            (1.0, Unit::Days, "1\u{a0}day"),
            (8.7, Unit::Days, "8.7\u{a0}days"),
            (4210.5, Unit::Money, "4,210\u{a0}EUR"),
        ] {
            assert_eq!(words.figure(value, unit), shown, "{value} {unit:?}");
        }
    }

    #[test]
    fn marks_of_a_time_axis_have_one_unit() {
        let words = Words::default();
        let shown = |step: f64| [1.0, 2.0, 3.0].map(|n| words.tick(n * step, Unit::Seconds, step));
        assert_eq!(shown(60.0), ["1\u{a0}min", "2\u{a0}min", "3\u{a0}min"]);
        assert_eq!(shown(20.0), ["20\u{a0}s", "40\u{a0}s", "60\u{a0}s"]);
        assert_eq!(shown(2.0), ["2\u{a0}s", "4\u{a0}s", "6\u{a0}s"]);
        assert_eq!(shown(7200.0)[0], "2\u{a0}h");
    }

    #[test]
    fn unknown_values_are_never_numbers() {
        let cell = Cell::number(None, "no privilege");
        assert_eq!(cell.value(), None);
        assert_eq!(Words::default().cell(&cell, Unit::Count), "unknown");
        assert_eq!(Cell::number(Some(f64::NAN), "not a number").value(), None);
    }
}
