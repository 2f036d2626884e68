//! A figure on a card: value and unit, the change against the window before, and the trend.

use serde::Serialize;

use super::chart;
use super::grid::{Unit, Words};

#[derive(Debug, Default, Serialize)]
pub(super) struct Card {
    label: String,
    number: String,
    unit: String,
    note: String,
    change: Option<Change>,
    trend: Option<String>,
    /// Why the figure is unknown.
    reason: Option<String>,
}

/// The change of a figure since its earlier value.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    /// An arrow that screen readers skip.
    arrow: &'static str,
    text: String,
    /// `is-good`, `is-bad`, or neither.
    tone: &'static str,
}

impl Card {
    pub(super) fn new(label: &str, (number, unit): (String, String)) -> Self {
        Self { label: label.to_owned(), number, unit, ..Self::default() }
    }

    pub(super) fn unknown(label: &str, reason: impl Into<String>) -> Self {
        Self { label: label.to_owned(), reason: Some(reason.into()), ..Self::default() }
    }

    pub(super) fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub(super) fn change(mut self, change: Change) -> Self {
        self.change = Some(change);
        self
    }

    pub(super) fn trend(mut self, values: &[Option<f64>]) -> Self {
        self.trend = chart::spark(values);
        self
    }
}

/// The change from `before` to `value`: shares in percentage points, anything else in percent.
/// `higher_is_better` is `None` if a change is neither good nor bad.
pub(super) fn change(
    value: f64,
    before: Option<f64>,
    unit: Unit,
    higher_is_better: Option<bool>,
    since: &str,
) -> Change {
    let Some(before) = before else {
        return Change { arrow: "", text: "nothing to compare with yet".to_owned(), tone: "" };
    };
    let difference = value - before;
    let said = match unit {
        Unit::Ratio => format!("{:.1} points", (difference * 100.0).abs()),
        _ if before == 0.0 && difference != 0.0 => {
            let was = Words::default().figure(before, unit);
            return Change {
                arrow: "",
                text: format!("from {was} {since}"),
                tone: toned(difference, higher_is_better),
            };
        }
        _ if before == 0.0 => "0.0\u{a0}%".to_owned(),
        _ => format!("{:.1}\u{a0}%", (difference / before * 100.0).abs()),
    };
    if said.starts_with("0.0") {
        return Change { arrow: "", text: format!("unchanged {since}"), tone: "" };
    }
    let (arrow, direction) = if difference > 0.0 { ("▲", "up") } else { ("▼", "down") };
    Change { arrow, text: format!("{direction} {said} {since}"), tone: toned(difference, higher_is_better) }
}

fn toned(difference: f64, higher_is_better: Option<bool>) -> &'static str {
    match higher_is_better {
        Some(better) if better == (difference > 0.0) => "is-good",
        Some(_) => "is-bad",
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_how_much_since_when_and_whether_it_is_good() {
        for (value, before, unit, better, text, tone) in [
            (110.0, Some(100.0), Unit::Count, None, "up 10.0\u{a0}% in 7 days", ""),
            (0.9, Some(0.95), Unit::Ratio, Some(true), "down 5.0 points in 7 days", "is-bad"),
            (2.0, Some(4.0), Unit::Seconds, Some(false), "down 50.0\u{a0}% in 7 days", "is-good"),
            (3.0, Some(3.0), Unit::Count, Some(false), "unchanged in 7 days", ""),
            (3.0, Some(0.0), Unit::Count, Some(false), "from 0 in 7 days", "is-bad"),
            (3.0, None, Unit::Count, Some(false), "nothing to compare with yet", ""),
        ] {
            let change = change(value, before, unit, better, "in 7 days");
            assert_eq!((change.text.as_str(), change.tone), (text, tone));
        }
    }
}
