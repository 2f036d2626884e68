//! Numbers and external text in readable form. External text (names, errors) can contain anything, so each
//! export escapes it for its own format; characters that no format needs are removed here.

use super::model::{Figure, Unit, Value};
use super::units;
use crate::system::console;

/// Shown instead of an unknown figure.
pub(super) const UNKNOWN: &str = "unknown";

/// A figure's value with its unit, or that it is unknown.
pub(super) fn value(figure: &Figure) -> String {
    match &figure.value {
        Some(Value::Text(text)) => text.clone(),
        Some(value) => {
            value.number().map_or_else(|| UNKNOWN.to_owned(), |number| quantity(number, figure.unit))
        }
        None => format!("{UNKNOWN} ({})", figure.status.label()),
    }
}

/// A number with its unit.
pub(super) fn quantity(number: f64, unit: Unit) -> String {
    match unit {
        Unit::Ratio => format!("{} %", units::decimals(number * 100.0, units::percent_places(number))),
        Unit::Seconds => joined(units::seconds(number)),
        Unit::Bytes => joined(units::bytes(number)),
        Unit::Credits => format!("{number:.2} credits"),
        Unit::Money => format!("{number:.2}"),
        Unit::Count | Unit::Rows | Unit::Date => whole(number),
    }
}

fn joined((number, unit): (String, String)) -> String {
    format!("{number} {unit}")
}

/// A time in whole seconds.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(super) fn age(seconds: i64) -> String {
    quantity(seconds as f64, Unit::Seconds)
}

/// The change against the window before, with its sign.
pub(super) fn change(figure: &Figure) -> String {
    figure.change_ratio.map_or_else(String::new, |ratio| format!("{:+.1} %", ratio * 100.0))
}

#[expect(clippy::cast_possible_truncation, reason = "a count that is shown")]
fn whole(number: f64) -> String {
    if number.fract() == 0.0 { console::grouped(number as i64) } else { format!("{number:.2}") }
}

/// External text in one line, without characters that move the cursor or change the text direction.
pub(super) fn plain(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if harmful(c) { ' ' } else { c }).collect()
}

/// A row of bars, as high as the values; a gap where one is unknown.
pub(super) fn sparkline(values: &[Option<f64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = values.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |value: &Option<f64>| match value {
        None => ' ',
        Some(value) if highest <= 0.0 || *value <= 0.0 => BARS[0],
        Some(value) => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of 7")]
            let height = (value / highest * 7.0).round() as usize;
            BARS[height.min(7)]
        }
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_carry_their_unit() {
        for (number, unit, text) in [
            (1_234_567.0, Unit::Count, "1,234,567"),
            (0.0123, Unit::Ratio, "1.2 %"),
            (1.0, Unit::Ratio, "100 %"),
            (0.0, Unit::Seconds, "0.0 s"),
            (59.94, Unit::Seconds, "59.9 s"),
            (3600.0, Unit::Seconds, "60 min"),
            (172_800.0, Unit::Seconds, "2.0 days"),
            (999.0, Unit::Bytes, "999 B"),
            (1_610_612_736.0, Unit::Bytes, "1.6 GB"),
            (1.5, Unit::Credits, "1.50 credits"),
        ] {
            assert_eq!(quantity(number, unit), text);
        }
    }

    #[test]
    fn a_sparkline_has_one_bar_per_day_and_gaps_for_unknowns() {
        assert_eq!(sparkline(&[Some(0.0), Some(7.0), None, Some(3.0)]), "▁█ ▄");
        assert_eq!(sparkline(&[Some(0.0), Some(0.0)]), "▁▁");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn no_text_moves_the_cursor_or_changes_direction() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{202e}d\u{200b}é🚚"), "a [2Jb c d é🚚");
    }
}
