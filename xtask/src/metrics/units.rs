//! Numbers with their units, written the same way in texts and on the page.

use crate::system::console;

/// In the largest unit of which there are at least two: a decimal point adds up where a colon would not.
pub(super) fn seconds(value: f64) -> (String, String) {
    let (scaled, unit) = match value.abs() {
        v if v < 120.0 => (value, "s"),
        v if v < 7200.0 => (value / 60.0, "min"),
        v if v < 172_800.0 => (value / 3600.0, "h"),
        _ => (value / 86_400.0, "days"),
    };
    let places = match scaled.abs() {
        v if v < 0.1 && v > 0.0 => 3,
        v if v < 1.0 && v > 0.0 => 2,
        v if v < 60.0 => 1,
        _ => 0,
    };
    (decimals(scaled, places), unit.to_owned())
}

/// Decimal units, as Snowflake bills them.
pub(super) fn bytes(value: f64) -> (String, String) {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut scaled = value;
    let mut unit = 0;
    while scaled.abs() >= 999.5 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    let places = usize::from(unit > 0 && scaled.abs() < 99.95 && scaled != 0.0);
    (decimals(scaled, places), UNITS[unit].to_owned())
}

fn places(value: f64) -> usize {
    match value.abs() {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 1.0 => 1,
        _ => 2,
    }
}

pub(super) fn whole_or_places(value: f64) -> usize {
    if value.fract() == 0.0 { 0 } else { places(value) }
}

pub(super) fn percent_places(ratio: f64) -> usize {
    usize::from(ratio != 0.0 && (ratio - 1.0).abs() > f64::EPSILON)
}

/// A number with `places` decimals and its thousands set apart.
pub(super) fn decimals(value: f64, places: usize) -> String {
    let text = format!("{:.places$}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let grouped = whole.parse::<i128>().map_or_else(|_| whole.to_owned(), console::grouped);
    // Rounding may have left nothing but the sign.
    let sign = if value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) { "\u{2212}" } else { "" };
    if fraction.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped}.{fraction}") }
}
