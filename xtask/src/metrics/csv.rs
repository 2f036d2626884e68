//! A report as CSV in long format: one row per value, so that any tool can group it.
//!
//! Spreadsheets run a cell that begins like a formula, so a text that does gets a quote in front, as OWASP
//! advises; numbers stay numbers.

use serde_json::Value as Json;

use super::model::Report;
use super::utc;

const HEADER: [&str; 9] = ["table", "key", "time", "metric", "value", "unit", "status", "source", "reason"];

/// The tables of a report, with the fields that name a row and the field that says when.
const TABLES: [(&str, &[&str], Option<&str>); 20] = [
    ("daily", &[], Some("date_day")),
    ("by_environment", &["key"], None),
    ("by_warehouse", &["key"], None),
    ("by_user", &["key"], None),
    ("storage", &["environment"], None),
    ("relations", &["environment", "relation_name"], Some("measured_at")),
    ("data_ages", &["environment", "name"], Some("data_time")),
    ("slowest_nodes", &["environment", "node_id"], None),
    ("failing_nodes", &["environment", "node_id"], None),
    ("failing_tests", &["environment", "node_id"], Some("last_run_at")),
    ("runs", &["environment", "run_id"], Some("started_at")),
    ("latest_run", &["environment", "node_id"], Some("started_at")),
    ("tests_by_layer", &["layer"], None),
    ("lifetime", &["environment", "status"], None),
    ("cost", &["environment"], None),
    ("cost_by_node", &["environment", "node_id"], None),
    ("growing_nodes", &["environment", "node_id"], None),
    ("costly_tests", &["environment", "node_id"], None),
    ("test_history", &["environment", "node_id"], Some("last_failed_at")),
    ("schema_changes", &["environment", "relation_name", "column_name"], Some("measured_at")),
];

/// The report as CSV (RFC 4180).
pub(super) fn render(report: &Report) -> anyhow::Result<String> {
    let whole = serde_json::to_value(report)?;
    let mut out = line(HEADER.map(str::to_owned));
    for figure in &report.figures {
        let value = figure.value.as_ref().map(ToString::to_string).unwrap_or_default();
        out.push_str(&line([
            "figures".to_owned(),
            report.environment.clone().unwrap_or_default(),
            utc::text(report.window.end),
            figure.name.clone(),
            value,
            figure.unit.label().to_owned(),
            figure.status.label().to_owned(),
            figure.source.clone(),
            figure.reason.clone().unwrap_or_default(),
        ]));
    }
    for (name, keys, time) in TABLES {
        table(&mut out, name, keys, time, &whole[name]);
    }
    for alert in &report.alerts {
        out.push_str(&line([
            "alerts".to_owned(),
            alert.name.clone(),
            alert.since.map(utc::text).unwrap_or_default(),
            alert.figure.clone(),
            alert.value.map(|value| value.to_string()).unwrap_or_default(),
            alert.unit.map(|unit| unit.label().to_owned()).unwrap_or_default(),
            alert.state.label().to_owned(),
            "policies/alerts.toml".to_owned(),
            alert.message.clone(),
        ]));
    }
    for point in &report.history.rows {
        out.push_str(&line([
            "history".to_owned(),
            report.environment.clone().unwrap_or_default(),
            point.date_day.to_string(),
            point.name.clone(),
            point.value.to_string(),
            String::new(),
            report.history.status.label().to_owned(),
            report.history.source.clone(),
            String::new(),
        ]));
    }
    Ok(out)
}

/// A line for each field of each row that is not part of the row's name.
fn table(out: &mut String, name: &str, keys: &[&str], time: Option<&str>, table: &Json) {
    let text = |value: &Json| match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    };
    for row in table["rows"].as_array().into_iter().flatten() {
        let key: Vec<String> = keys.iter().map(|key| text(&row[*key])).collect();
        let when = time.map(|time| text(&row[time])).unwrap_or_default();
        for (metric, value) in row.as_object().into_iter().flatten() {
            if keys.contains(&metric.as_str()) || time == Some(metric.as_str()) || value.is_null() {
                continue;
            }
            out.push_str(&line([
                name.to_owned(),
                key.join("/"),
                when.clone(),
                metric.clone(),
                text(value),
                unit(metric, value).to_owned(),
                text(&table["status"]),
                text(&table["source"]),
                text(&table["reason"]),
            ]));
        }
    }
}

/// The unit given by a field's name.
fn unit(metric: &str, value: &Json) -> &'static str {
    if !value.is_number() {
        return "";
    }
    match metric.rsplit('_').next() {
        Some("seconds") => "seconds",
        Some("bytes") => "bytes",
        Some("rate" | "ratio") => "ratio",
        Some("credits") => "credits",
        Some("money") => "money",
        _ => "count",
    }
}

fn line(cells: [String; HEADER.len()]) -> String {
    format!("{}\r\n", cells.map(|text| cell(&text)).join(","))
}

fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && text.parse::<f64>().is_err();
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_text_not_formulas() {
        for (text, written) in [
            ("plain", "plain"),
            ("-1.5", "-1.5"),
            ("=1+1", "'=1+1"),
            ("@sum(a1)", "'@sum(a1)"),
            ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
            ("+a,b", "\"'+a,b\""),
            ("\t=1", "'\t=1"),
            ("say \"hi\"\n", "\"say \"\"hi\"\"\n\""),
        ] {
            assert_eq!(cell(text), written);
        }
    }
}
