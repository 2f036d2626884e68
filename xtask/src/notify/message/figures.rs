//! Figures and alerts of the metrics in words.

use serde_json::Value;

use super::text::{LINE, NAME, line};
use crate::notify::facts::{Facts, Figure};
use crate::system::console;

/// Alerts that are shown; the report has all.
const ALERTS: usize = 5;

/// The alerts that fire. A comment is edited in place, so it shows them for as long as they do; a channel gets their
/// start and end from `notify alerts`.
pub(super) fn alerts(facts: &Facts) -> Vec<String> {
    let alerts = facts.metrics.iter().flat_map(|metrics| &metrics.alerts);
    let firing = alerts.filter(|alert| alert.state == "firing");
    let words = firing.map(|alert| {
        let since =
            alert.since.as_deref().and_then(|since| since.get(..16)).map(|since| since.replace('T', " "));
        let since = since.map(|since| format!(" (since {since} UTC)")).unwrap_or_default();
        format!("🔔 {} [{}]: {}{since}", alert.name, alert.severity, alert.message)
    });
    words.map(|words| line(&words, LINE)).take(ALERTS).collect()
}

/// A figure in words. One without a value says why: unknown is not zero.
pub(super) fn figure(figure: &Figure) -> (String, String) {
    let unit = figure.unit.as_deref().unwrap_or_default();
    let value = match &figure.value {
        Value::Number(ratio) if unit == "ratio" => ratio.as_f64().map(|ratio| trimmed(100.0 * ratio)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Some(console::grouped(whole)),
            (_, Some(float)) => Some(trimmed(float)),
            _ => Some(number.to_string()),
        },
        Value::String(text) if !text.trim().is_empty() => Some(line(text, NAME)),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    };
    let words = match value {
        Some(value) => match unit {
            "" | "count" | "date" => value,
            "ratio" => format!("{value} %"),
            unit => format!("{value} {}", line(unit, 20)),
        },
        None => match figure.reason.as_deref().or(figure.status.as_deref()) {
            Some(why) if !why.is_empty() => format!("unknown ({})", line(why, NAME)),
            _ => "unknown".to_owned(),
        },
    };
    (line(&figure.name, NAME), words)
}

fn trimmed(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
