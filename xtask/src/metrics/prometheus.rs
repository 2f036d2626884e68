//! A report in Prometheus' text format, for a textfile collector or a push gateway, or in `OpenMetrics`.
//!
//! A figure is a gauge over the report's window, named after it, in base units. Only values that never decrease are
//! counters (`_total`): the runs since an environment's ledger began. A file of samples is read long after it was
//! written, so it contains timestamps instead of ages. Every series has a label `environment` (`*` for a report on
//! all), so that none is a total without labels beside its parts. An unknown figure has no sample, and
//! `xtask_figure_known` is 0 for it.

use std::fmt::Write as _;

use jiff::civil::DateTime;

use super::model::{AlertState, Lifetime, Load, Report, Unit, Value};

/// How samples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    /// Text format 0.0.4: a counter's family has the name of its samples.
    Text,
    /// `OpenMetrics` 1.0: a counter's family has the name without `_total`, and the file says where it ends.
    OpenMetrics,
}

/// The report as samples, each family with its HELP and TYPE.
pub(super) fn render(report: &Report, flavour: Flavour) -> Result<String, std::fmt::Error> {
    let mut out = Exposition { out: String::new(), flavour };
    figures(&mut out, report)?;
    environments(&mut out, report)?;
    runs(&mut out, report)?;
    models(&mut out, report)?;
    data(&mut out, report)?;
    alerts(&mut out, report)?;
    if flavour == Flavour::OpenMetrics {
        out.out.push_str("# EOF\n");
    }
    Ok(out.out)
}

type Labels = Vec<(&'static str, String)>;

/// The label of what is about the whole report.
fn scope(report: &Report) -> Labels {
    of(&report.scope)
}

fn of(environment: &str) -> Labels {
    vec![("environment", environment.to_owned())]
}

/// A figure's name here. Two differ: a gauge must not be named as the counter `xtask_runs_total` is.
fn family(figure: &str) -> String {
    match figure {
        "runs" => "window_runs".to_owned(),
        name => name.to_owned(),
    }
}

fn figures(out: &mut Exposition, report: &Report) -> std::fmt::Result {
    let scope = scope(report);
    let gauge = |value: f64| vec![(scope.clone(), value)];
    let length = report.window.end.duration_since(report.window.start).as_secs_f64();
    out.gauge("window_seconds", "Length of the window that gauges are over.", gauge(length))?;
    let end = gauge(seconds(report.window.end));
    out.gauge("window_end_timestamp_seconds", "End of the window that gauges are over.", end)?;
    for figure in &report.figures {
        let (name, value) = match (&figure.unit, &figure.value) {
            (Unit::Date, Some(Value::Text(day))) => {
                (format!("{}_timestamp_seconds", figure.name.trim_end_matches("_date")), epoch(day))
            }
            // Ages: their timestamps are below, by environment.
            _ if AGES.contains(&figure.name.as_str()) => continue,
            (_, value) => (family(&figure.name), value.as_ref().and_then(Value::number)),
        };
        let help =
            format!("{} ({}), from {}.", figure.name.replace('_', " "), figure.unit.label(), figure.source);
        out.gauge(&name, &help, value.map(|value| (scope.clone(), value)).into_iter().collect())?;
    }
    let known = report.figures.iter().map(|figure| {
        let labels = vec![("figure", figure.name.clone()), ("status", figure.status.label().to_owned())];
        ([scope.clone(), labels].concat(), if figure.value.is_some() { 1.0 } else { 0.0 })
    });
    out.gauge("figure_known", "1 if a figure is known, 0 if it is not.", known.collect())
}

/// Ages, which would go on growing after the file is written.
const AGES: [&str; 2] = ["freshness_seconds", "data_age_seconds"];

fn environments(out: &mut Exposition, report: &Report) -> std::fmt::Result {
    let groups = |value: fn(&Load) -> Option<f64>| -> Vec<(Labels, f64)> {
        let rows = report.by_environment.rows.iter();
        rows.filter_map(|group| Some((of(group.key.as_deref().unwrap_or("(none)")), value(&group.load)?)))
            .collect()
    };
    let queries = groups(|load| Some(float(load.queries)));
    out.gauge("environment_queries", "Queries of the window by environment.", queries)?;
    let failed = groups(|load| Some(float(load.failed_queries)));
    out.gauge("environment_failed_queries", "Failed queries of the window by environment.", failed)?;
    let took = groups(|load| load.total_seconds);
    let help = "Seconds that the queries of the window took by environment.";
    out.gauge("environment_query_duration_seconds", help, took)?;
    let bytes = report.storage.rows.iter();
    let bytes = bytes.filter_map(|row| Some((of(&row.environment), float(row.active_bytes?))));
    out.gauge("environment_storage_bytes", "Bytes stored by environment.", bytes.collect())
}

fn runs(out: &mut Exposition, report: &Report) -> std::fmt::Result {
    let lifetime = |value: fn(&Lifetime) -> Option<f64>| -> Vec<(Labels, f64)> {
        let labels = |row: &Lifetime| [of(&row.environment), vec![("status", row.status.clone())]].concat();
        report.lifetime.rows.iter().filter_map(|row| Some((labels(row), value(row)?))).collect()
    };
    let count = lifetime(|row| Some(float(row.runs)));
    out.counter("runs", "Runs since the ledger of the environment began.", count)?;
    out.counter("run_seconds", "Seconds that those runs took.", lifetime(|row| row.seconds))?;
    let last = lifetime(|row| row.last_finished_at.map(seconds));
    let (succeeded, _): (Vec<_>, Vec<_>) =
        last.iter().cloned().partition(|(labels, _)| labels.iter().any(|(_, value)| value == "success"));
    let without_status = succeeded.into_iter().map(|(labels, value)| (labels[..1].to_vec(), value)).collect();
    out.gauge("last_success_timestamp_seconds", "When the last successful run ended.", without_status)?;
    out.gauge("last_run_timestamp_seconds", "When the last run of each status ended.", last)
}

fn models(out: &mut Exposition, report: &Report) -> std::fmt::Result {
    type Of<'a> = &'a dyn Fn(&super::model::Relation) -> Option<f64>;
    let relations = |value: Of<'_>| -> Vec<(Labels, f64)> {
        let labels = |row: &super::model::Relation| {
            [of(&row.environment), vec![("model", row.relation_name.clone())]].concat()
        };
        report.relations.rows.iter().filter_map(|row| Some((labels(row), value(row)?))).collect()
    };
    let rows = relations(&|row| row.row_count.map(float));
    out.gauge("model_rows", "Rows of a table when it was last counted.", rows)?;
    let bytes = relations(&|row| row.storage_bytes.map(float));
    out.gauge("model_storage_bytes", "Bytes of a table when it was last measured.", bytes)?;
    let built = relations(&|row| row.last_built_at.map(seconds));
    out.gauge("model_last_built_timestamp_seconds", "When a table or view was last built.", built)?;
    let nodes =
        report.latest_run.rows.iter().filter(|node| !matches!(node.kind.as_str(), "test" | "unit_test"));
    let took = nodes.filter_map(|node| {
        let labels = vec![("node", node.node_id.clone()), ("status", node.status.clone())];
        Some(([of(&node.environment), labels].concat(), node.seconds?))
    });
    out.gauge("model_build_seconds", "Seconds that a model took in the latest run.", took.collect())?;
    let failing = report.failing_tests.rows.iter().map(|test| {
        let labels = vec![("test", test.node_id.clone())];
        ([of(&test.environment), labels].concat(), test.failures.map_or(0.0, float))
    });
    out.gauge(
        "failing_test_rows",
        "Rows that a failing test found, 0 if it could not run.",
        failing.collect(),
    )
}

fn data(out: &mut Exposition, report: &Report) -> std::fmt::Result {
    let labels = |row: &super::model::DataAge| {
        [of(&row.environment), vec![("kind", row.kind.clone()), ("name", row.name.clone())]].concat()
    };
    let rows = || report.data_ages.rows.iter();
    let newest = rows().filter_map(|row| Some((labels(row), seconds(row.data_time?))));
    out.gauge("data_timestamp_seconds", "Newest time in the data of a table or source.", newest.collect())?;
    let limited = rows().filter(|row| row.error_after_seconds.or(row.warn_after_seconds).is_some());
    let limit = limited.filter_map(|row| Some((labels(row), float(row.error_after_seconds?))));
    let help = "Age at which dbt counts the data of a source as late.";
    out.gauge("data_error_after_seconds", help, limit.collect())
}

fn alerts(out: &mut Exposition, report: &Report) -> std::fmt::Result {
    let labels = |alert: &super::model::Alert| {
        let own = vec![("alert", alert.name.clone()), ("severity", alert.severity.clone())];
        [scope(report), own].concat()
    };
    let known = || report.alerts.iter().filter(|alert| alert.state != AlertState::Unknown);
    let firing =
        known().map(|alert| (labels(alert), if alert.state == AlertState::Firing { 1.0 } else { 0.0 }));
    out.gauge("alert_firing", "1 while an alert of policies/alerts.toml fires.", firing.collect())?;
    let since = known().filter_map(|alert| Some((labels(alert), seconds(alert.since?))));
    out.gauge("alert_since_timestamp_seconds", "Since when an alert is in its state.", since.collect())
}

struct Exposition {
    out: String,
    flavour: Flavour,
}

impl Exposition {
    fn gauge(&mut self, name: &str, help: &str, samples: Vec<(Labels, f64)>) -> std::fmt::Result {
        self.family(name, name, "gauge", help, samples)
    }

    fn counter(&mut self, name: &str, help: &str, samples: Vec<(Labels, f64)>) -> std::fmt::Result {
        let total = format!("{name}_total");
        let family = if self.flavour == Flavour::OpenMetrics { name } else { &total };
        self.family(family, &total, "counter", help, samples)
    }

    fn family(
        &mut self,
        family: &str,
        name: &str,
        kind: &str,
        help: &str,
        samples: Vec<(Labels, f64)>,
    ) -> std::fmt::Result {
        if samples.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "# HELP xtask_{family} {}", help.replace('\\', "\\\\").replace('\n', "\\n"))?;
        writeln!(self.out, "# TYPE xtask_{family} {kind}")?;
        for (labels, value) in samples {
            let labels: Vec<String> =
                labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
            writeln!(self.out, "xtask_{name}{{{}}} {value}", labels.join(","))?;
        }
        Ok(())
    }
}

/// A label's value: everything but what would end it or its line may be in it. Some readers end a line at a carriage
/// return, which the format cannot escape; it becomes the text `\r`, and not a space, since another name may have that.
fn escape(text: &str) -> String {
    text.replace('\r', "\\r").replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[expect(clippy::cast_precision_loss, reason = "samples are floats")]
fn float(count: i64) -> f64 {
    count as f64
}

/// Seconds since 1970 of a UTC time.
fn seconds(time: DateTime) -> f64 {
    time.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).as_secs_f64()
}

/// A day's first second since 1970.
fn epoch(day: &str) -> Option<f64> {
    let day: jiff::civil::Date = day.parse().ok()?;
    Some(seconds(day.to_datetime(jiff::civil::Time::midnight())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_itself() {
        assert_eq!(escape("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
        assert_eq!(escape("a\rb"), "a\\\\rb", "two names stay two series");
    }

    #[test]
    fn a_day_is_the_second_it_begins_with() {
        assert_eq!(epoch("1970-01-02"), Some(86_400.0));
        assert_eq!(epoch("yesterday"), None);
    }
}
