//! A report in Prometheus' text format, for a textfile collector or a push gateway.
//!
//! A figure is a gauge over the report's window, named after it, in base units. Counters (`_total`) are
//! only what can never fall: the runs since an environment's ledger began. A figure that is unknown has no
//! sample, and `xtask_figure_known` says so.

use std::fmt::Write as _;

use super::model::{AlertState, Report, Unit, Value};

/// The report as samples, each family with its HELP and TYPE.
pub(super) fn render(report: &Report) -> Result<String, std::fmt::Error> {
    let mut out = Exposition { out: String::new() };
    let scope = scope(report);
    figures(&mut out, report, &scope)?;
    environments(&mut out, report)?;
    let lifetime = |of: fn(&super::model::Lifetime) -> Option<f64>| {
        let sample = move |row: &super::model::Lifetime| {
            Some((vec![("environment", row.environment.clone()), ("status", row.status.clone())], of(row)?))
        };
        report.lifetime.rows.iter().filter_map(sample).collect::<Vec<_>>()
    };
    out.family(
        "runs_total",
        "counter",
        "Runs since the ledger of the environment began.",
        lifetime(|row| Some(float(row.runs))),
    )?;
    out.family("run_seconds_total", "counter", "Seconds that those runs took.", lifetime(|row| row.seconds))?;
    let alerts = report.alerts.iter().filter(|alert| alert.state != AlertState::Unknown).map(|alert| {
        let labels =
            [scope.clone(), vec![("alert", alert.name.clone()), ("severity", alert.severity.clone())]]
                .concat();
        (labels, if alert.state == AlertState::Firing { 1.0 } else { 0.0 })
    });
    out.family("alert_firing", "gauge", "1 while an alert of policies/alerts.toml fires.", alerts.collect())?;
    Ok(out.out)
}

type Labels = Vec<(&'static str, String)>;

/// The labels of what is about the whole report: none where that is all environments.
fn scope(report: &Report) -> Labels {
    report.environment.iter().map(|name| ("environment", name.clone())).collect()
}

fn figures(out: &mut Exposition, report: &Report, scope: &Labels) -> std::fmt::Result {
    let days = [(
        "window_seconds",
        report.window.end.duration_since(report.window.start).as_secs_f64(),
        "Length of the window that gauges are over.",
    )];
    for (name, value, help) in days {
        out.family(name, "gauge", help, vec![(scope.clone(), value)])?;
    }
    for figure in &report.figures {
        let (name, value) = match (&figure.unit, &figure.value) {
            (Unit::Date, Some(Value::Text(day))) => {
                (format!("{}_timestamp_seconds", figure.name.trim_end_matches("_date")), epoch(day))
            }
            (_, value) => (figure.name.clone(), value.as_ref().and_then(Value::number)),
        };
        let help =
            format!("{} ({}), from {}.", figure.name.replace('_', " "), figure.unit.label(), figure.source);
        let samples = value.map(|value| (scope.clone(), value));
        out.family(&name, "gauge", &help, samples.into_iter().collect())?;
    }
    let known = report.figures.iter().map(|figure| {
        let labels = vec![("figure", figure.name.clone()), ("status", figure.status.label().to_owned())];
        ([scope.clone(), labels].concat(), if figure.value.is_some() { 1.0 } else { 0.0 })
    });
    out.family("figure_known", "gauge", "1 where a figure is known, 0 where it is not.", known.collect())
}

fn environments(out: &mut Exposition, report: &Report) -> std::fmt::Result {
    let groups = |of: fn(&super::model::Load) -> Option<f64>| {
        let sample = move |group: &super::model::Group| {
            Some((vec![("environment", group.key.clone().unwrap_or_default())], of(&group.load)?))
        };
        report.by_environment.rows.iter().filter_map(sample).collect::<Vec<_>>()
    };
    out.family(
        "environment_queries",
        "gauge",
        "Queries of the window by environment.",
        groups(|load| Some(float(load.queries))),
    )?;
    out.family(
        "environment_failed_queries",
        "gauge",
        "Failed queries of the window by environment.",
        groups(|load| Some(float(load.failed_queries))),
    )?;
    out.family(
        "environment_query_duration_seconds",
        "gauge",
        "Seconds that the queries of the window took by environment.",
        groups(|load| load.total_seconds),
    )?;
    let bytes =
        report.storage.rows.iter().filter_map(|row| {
            Some((vec![("environment", row.environment.clone())], float(row.active_bytes?)))
        });
    out.family("environment_storage_bytes", "gauge", "Bytes stored by environment.", bytes.collect())
}

struct Exposition {
    out: String,
}

impl Exposition {
    fn family(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: Vec<(Labels, f64)>,
    ) -> std::fmt::Result {
        if samples.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "# HELP xtask_{name} {}", help.replace('\\', "\\\\").replace('\n', "\\n"))?;
        writeln!(self.out, "# TYPE xtask_{name} {kind}")?;
        for (labels, value) in samples {
            let labels: Vec<String> =
                labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            writeln!(self.out, "xtask_{name}{labels} {value}")?;
        }
        Ok(())
    }
}

/// A label's value: everything but what would end it or its line may stand in it.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', " ")
}

#[expect(clippy::cast_precision_loss, reason = "samples are floats")]
fn float(count: i64) -> f64 {
    count as f64
}

/// A day's first second since 1970.
#[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact")]
fn epoch(day: &str) -> Option<f64> {
    let day: jiff::civil::Date = day.parse().ok()?;
    Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_itself() {
        assert_eq!(escape("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }

    #[test]
    fn a_day_is_the_second_it_begins_with() {
        assert_eq!(epoch("1970-01-02"), Some(86_400.0));
        assert_eq!(epoch("yesterday"), None);
    }
}
