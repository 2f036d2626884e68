//! The outputs of `metrics` in a workflow: step outputs, the step's summary, and annotations of alerts.

use anyhow::Result;

use super::model::{Alert, AlertState, Figure, Report, Value};
use super::{tables, text};
use crate::system::actions::{self, Annotation, Level};

/// The outputs of the pipeline before this one, and the figures that they correspond to. `wk_` is the
/// report's window.
const EARLIER: [(&str, &str); 5] = [
    ("last_date", "last_query_date"),
    ("wk_total_queries", "queries"),
    ("wk_failed_queries", "failed_queries"),
    ("wk_avg_sec", "query_mean_seconds"),
    ("storage_gb", "storage_bytes"),
];

/// Write the outputs on Actions; does nothing elsewhere.
pub(super) fn write(report: &Report) -> Result<()> {
    if !actions::active() {
        return Ok(());
    }
    let outputs = outputs(report);
    let outputs: Vec<(&str, String)> =
        outputs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    actions::set_outputs(&outputs)?;
    actions::append_summary(&tables::markdown(report))?;
    let ended = |alert: &&Alert| alert.changed && alert.state == AlertState::Ok;
    let firing = |alert: &&Alert| alert.state == AlertState::Firing;
    for alert in report.alerts.iter().filter(|alert| firing(alert) || ended(alert)) {
        let (level, title) = headline(alert);
        actions::annotate(&Annotation {
            level,
            title: &title,
            message: &text::plain(&alert.message),
            file: None,
            line: None,
        });
    }
    Ok(())
}

/// The title of an alert that fires or has ended; an error if it fails `--gate`.
pub(super) fn headline(alert: &Alert) -> (Level, String) {
    let name = text::plain(&alert.name);
    match alert.state {
        AlertState::Firing if alert.gates => (Level::Error, format!("alert: {name} ({})", alert.severity)),
        AlertState::Firing => (Level::Warning, format!("alert: {name} ({})", alert.severity)),
        AlertState::Ok | AlertState::Unknown => (Level::Notice, format!("recovered: {name}")),
    }
}

fn outputs(report: &Report) -> Vec<(String, String)> {
    let find = |name: &str| report.figures.iter().find(|figure| figure.name == name);
    let mut outputs: Vec<(String, String)> = EARLIER
        .iter()
        .map(|(output, name)| {
            ((*output).to_owned(), find(name).map_or_else(unknown, |figure| earlier(output, figure)))
        })
        .collect();
    outputs.extend(report.figures.iter().map(|figure| (figure.name.clone(), plain(figure))));
    let count = |is: fn(&Alert) -> bool| report.alerts.iter().filter(|alert| is(alert)).count().to_string();
    outputs.push(("alerts_firing".to_owned(), count(|alert| alert.state == AlertState::Firing)));
    outputs.push(("alerts_changed".to_owned(), count(|alert| alert.changed)));
    outputs
}

/// Gigabytes are the decimal ones that storage is billed by.
fn earlier(output: &str, figure: &Figure) -> String {
    match (output, figure.value.as_ref().and_then(Value::number)) {
        ("storage_gb", Some(bytes)) => format!("{:.6}", bytes / 1e9),
        _ => plain(figure),
    }
}

/// The bare value; a word if it is unknown, since an empty text could be read as zero.
fn plain(figure: &Figure) -> String {
    figure.value.as_ref().map_or_else(unknown, ToString::to_string)
}

fn unknown() -> String {
    text::UNKNOWN.to_owned()
}
