//! Numbers and external text in readable form. External text (names, errors) can contain anything, so each
//! export escapes it for its own format; characters that no format needs are removed here.

use super::model::{Figure, Unit, Value};
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
        Unit::Ratio => format!("{:.1} %", number * 100.0),
        Unit::Seconds => seconds(number),
        Unit::Bytes => bytes(number),
        Unit::Credits => format!("{number:.2} credits"),
        Unit::Count | Unit::Rows | Unit::Date => whole(number),
    }
}

/// The change against the window before, with its sign.
pub(super) fn change(figure: &Figure) -> String {
    figure.change_ratio.map_or_else(String::new, |ratio| format!("{:+.1} %", ratio * 100.0))
}

#[expect(clippy::cast_possible_truncation, reason = "a count that is shown")]
fn whole(number: f64) -> String {
    if number.fract() == 0.0 { console::grouped(number as i64) } else { format!("{number:.2}") }
}

fn seconds(seconds: f64) -> String {
    let size = seconds.abs();
    if size < 10.0 {
        format!("{seconds:.3} s")
    } else if size < 120.0 {
        format!("{seconds:.1} s")
    } else if size < 7200.0 {
        format!("{:.1} min", seconds / 60.0)
    } else if size < 172_800.0 {
        format!("{:.1} h", seconds / 3600.0)
    } else {
        format!("{:.1} days", seconds / 86_400.0)
    }
}

fn bytes(bytes: f64) -> String {
    const STEP: f64 = 1024.0;
    let mut size = bytes;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size.abs() < STEP {
            return if unit == "B" { format!("{size:.0} B") } else { format!("{size:.1} {unit}") };
        }
        size /= STEP;
    }
    format!("{size:.1} TiB")
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
            (0.0, Unit::Seconds, "0.000 s"),
            (59.94, Unit::Seconds, "59.9 s"),
            (3600.0, Unit::Seconds, "60.0 min"),
            (172_800.0, Unit::Seconds, "2.0 days"),
            (1023.0, Unit::Bytes, "1023 B"),
            (1_610_612_736.0, Unit::Bytes, "1.5 GiB"),
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
