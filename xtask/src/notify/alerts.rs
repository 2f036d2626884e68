//! `cargo xtask notify alerts`: report each alert once when it starts and once when it ends.
//!
//! `metrics` evaluates alerts and may be called any number of times; what a channel has been sent is recorded here,
//! after the channel accepted it. So a report that could not be sent is sent by the next call, and reading never
//! swallows an alert. `due` decides and touches nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jiff::civil::DateTime;
use serde::Deserialize;

use super::facts::Reader;
use super::message::{LINE, NAME, line, link};
use super::{post, slack};
use crate::core::{clock, context};
use crate::metrics::model::{Alert, AlertState, Window};
use crate::metrics::reported::{self, Reported, Sent};
use crate::system::console;
use crate::system::repo::Repo;
use crate::warehouse::Warehouse;
use crate::{metrics, target};

/// Causes of an alert that a message shows.
const CAUSES: usize = 3;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Metrics, as `metrics --format json` printed them.
    #[arg(long, value_name = "FILE")]
    metrics: String,

    #[command(flatten)]
    to: To,

    /// Where the report of the metrics can be read.
    #[arg(long, value_name = "URL", env = "XTASK_REPORT_URL")]
    report_url: Option<String>,
}

/// Where alerts are reported, and where that is recorded.
#[derive(clap::Args, Debug)]
pub(super) struct To {
    /// The name of the channel behind `SLACK_WEBHOOK_URL`. What was sent is recorded by channel: give each webhook
    /// a separate name, and each is sent every start and every end once.
    #[arg(long, value_name = "NAME", env = "XTASK_ALERT_CHANNEL", default_value = "slack", value_parser = channel)]
    pub(super) channel: String,

    /// Also keep what was reported in this file, for a warehouse that is lost with its runner.
    #[arg(long, value_name = "FILE", env = reported::STATE)]
    pub(super) state: Option<PathBuf>,

    #[command(flatten)]
    pub(super) target: target::Args,

    /// Print the message instead of sending and recording it.
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// A name that can be read in tables and logs.
fn channel(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '#' | ' ');
    if text.is_empty() || text.chars().count() > 80 || !text.chars().all(is_plain) {
        return Err("a channel's name is 1 to 80 letters, digits, spaces or any of _-.#".to_owned());
    }
    Ok(text.to_owned())
}

/// What is needed of a report.
#[derive(Debug, Deserialize)]
struct Measured {
    scope: String,
    environment: Option<String>,
    window: Window,
    alerts: Vec<Alert>,
}

/// An alert that a channel is to be sent the start or the end of.
#[derive(Debug, PartialEq)]
pub(super) struct Due {
    /// `Firing` for a start, `Ok` for an end.
    pub(super) state: Sent,
    pub(super) name: String,
    pub(super) since: Option<DateTime>,
    pub(super) about: About,
}

/// What there is to say about it.
#[derive(Debug, PartialEq)]
pub(super) enum About {
    Evaluated(Box<Alert>),
    /// The policy no longer has it.
    Removed,
    /// Its environment was dropped.
    Dropped,
}

impl About {
    fn alert(&self) -> Option<&Alert> {
        match self {
            Self::Evaluated(alert) => Some(alert),
            Self::Removed | Self::Dropped => None,
        }
    }

    fn message(&self) -> &str {
        match self {
            Self::Evaluated(alert) => &alert.message,
            Self::Removed => "the alert is no longer in policies/alerts.toml, or no longer applies",
            Self::Dropped => "its environment was dropped",
        }
    }
}

/// Starts and ends that `sent` does not show yet. An alert that cannot be evaluated neither starts nor ends, and a
/// report that is older than what was sent changes nothing.
fn due(alerts: &[Alert], sent: &[Reported], end: DateTime) -> Vec<Due> {
    let of = |name: &str| sent.iter().find(|row| row.name == name);
    let is_stale = |name: &str| of(name).is_some_and(|row| row.as_of > end);
    let open = |name: &str| of(name).is_some_and(|row| row.state == Sent::Firing);
    let change = |alert: &Alert| match alert.state {
        AlertState::Firing if !open(&alert.name) => Some((Sent::Firing, alert.since)),
        AlertState::Ok if open(&alert.name) => Some((Sent::Ok, of(&alert.name).and_then(|row| row.since))),
        _ => None,
    };
    let changed = alerts.iter().filter(|alert| !is_stale(&alert.name)).filter_map(|alert| {
        let (state, since) = change(alert)?;
        Some(Due { state, name: alert.name.clone(), since, about: About::Evaluated(Box::new(alert.clone())) })
    });
    let mut due: Vec<Due> = changed.collect();
    let known: BTreeSet<&str> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    let removed = sent.iter().filter(|row| {
        row.state == Sent::Firing && !known.contains(row.name.as_str()) && !is_stale(&row.name)
    });
    due.extend(removed.map(|row| Due {
        state: Sent::Ok,
        name: row.name.clone(),
        since: row.since,
        about: About::Removed,
    }));
    due
}

pub(super) fn run(args: &Args, repo: &Repo) -> Result<()> {
    let mut reader = Reader::new();
    let Some(measured) = reader.read::<Measured>("the metrics (--metrics)", &args.metrics) else {
        anyhow::bail!("{} could not be read, so no alert can be reported", args.metrics);
    };
    let schema = measured.environment.as_deref().and_then(|name| name.parse().ok());
    let opened = args.to.target.open(repo, schema.as_ref(), "notify")?;
    let _lock = metrics::lock(&opened.place, "notify alerts", schema.as_ref(), args.to.target.wait())?;
    let mut warehouse = opened.warehouse();
    let registry = metrics::registry_tables(warehouse.as_mut())?;
    let days = measured.window.days;
    let mut sent = reported::read(warehouse.as_mut(), &registry, &measured.scope, days)?;
    if let Some(file) = &args.to.state {
        sent.extend(reported::read_file(file)?);
    }
    sent.retain(|row| row.scope == measured.scope && row.days == days && row.channel == args.to.channel);
    let due = due(&measured.alerts, &reported::newest(sent), measured.window.end);
    if due.is_empty() {
        tracing::info!("no alert started or ended since the last report");
        return Ok(());
    }
    let links = [context::run_url(), args.report_url.clone()].map(|url| url.as_deref().and_then(link));
    let rendered = slack::alerts(&headline(&measured.scope, &due), &texts(&due), &links);
    if args.to.dry_run {
        return console::print_json(&rendered);
    }
    if !post::to_slack(&rendered)? {
        return Ok(());
    }
    let rows: Vec<Reported> = due.iter().map(|due| record(due, &args.to.channel, &measured)).collect();
    keep(args, warehouse.as_mut(), &registry, &rows)
        .context("the message was sent, but that could not be recorded, so the next call sends it again")
}

fn record(due: &Due, channel: &str, measured: &Measured) -> Reported {
    Reported {
        scope: measured.scope.clone(),
        days: measured.window.days,
        channel: channel.to_owned(),
        name: due.name.clone(),
        state: due.state,
        since: due.since,
        as_of: measured.window.end,
        reported_at: clock::now(),
    }
}

/// In the file first: it can be written where the warehouse cannot.
fn keep(
    args: &Args,
    warehouse: &mut dyn Warehouse,
    registry: &BTreeSet<String>,
    rows: &[Reported],
) -> Result<()> {
    if let Some(file) = &args.to.state {
        reported::write_file(file, rows)?;
    }
    let change = reported::record(warehouse, registry, rows)?;
    warehouse.apply(&change)
}

/// `🔔 prod: alert started: tests fail`, `🔕 prod: 2 alerts ended`
pub(super) fn headline(scope: &str, due: &[Due]) -> String {
    let scope = match scope.strip_suffix(":*") {
        Some(project) => format!("all environments of {project}"),
        None if scope == "*" => "all environments".to_owned(),
        None => scope.to_owned(),
    };
    let (started, ended): (Vec<&Due>, Vec<&Due>) = due.iter().partition(|due| due.state == Sent::Firing);
    let symbol = if started.is_empty() { "🔕" } else { "🔔" };
    let words = |due: &[&Due], verb: &str| match due {
        [] => None,
        [one] => Some(format!("alert {verb}: {}", one.name)),
        several => Some(format!("{} alerts {verb}", several.len())),
    };
    let words: Vec<String> =
        [words(&started, "started"), words(&ended, "ended")].into_iter().flatten().collect();
    line(&format!("{symbol} {scope}: {}", words.join(", ")), NAME)
}

/// One text per alert: plain lines, the first one its title.
pub(super) fn texts(due: &[Due]) -> Vec<Vec<String>> {
    due.iter().map(text).collect()
}

fn text(due: &Due) -> Vec<String> {
    let time = |time: DateTime| time.strftime("%F %H:%M UTC").to_string();
    let alert = due.about.alert();
    let severity = alert.map(|alert| format!(" ({})", alert.severity)).unwrap_or_default();
    let title = match due.state {
        Sent::Firing => "🔔 started",
        Sent::Ok | Sent::Dropped => "🔕 ended",
    };
    let mut lines = vec![format!("{title}: {}{severity}", due.name), due.about.message().to_owned()];
    if let (Sent::Firing, Some(alert)) = (due.state, alert) {
        lines.extend(alert.causes.iter().take(CAUSES).map(cause));
        let more = alert.causes.len().saturating_sub(CAUSES);
        if more > 0 {
            lines.push(format!("… and {more} more"));
        }
    }
    let since = due.since.map(|since| format!("since {}", time(since)));
    let owner = alert.and_then(|alert| alert.owner.as_ref()).map(|owner| format!("owner: {owner}"));
    let facts: Vec<String> = [since, owner].into_iter().flatten().collect();
    if !facts.is_empty() {
        lines.push(facts.join(" · "));
    }
    lines.iter().map(|text| line(text, LINE)).collect()
}

fn cause(cause: &metrics::model::AlertCause) -> String {
    let rows = cause.rows.map(|rows| format!(": {} rows", console::grouped(rows))).unwrap_or_default();
    let message = cause.message.as_deref().and_then(|text| text.lines().find(|line| !line.trim().is_empty()));
    let message = message.map(|message| format!(", {message}")).unwrap_or_default();
    let owner = cause.owner.as_ref().map(|owner| format!(" [{owner}]")).unwrap_or_default();
    format!("• {} in {}{rows}{owner}{message}", cause.name, cause.environment)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn alert(name: &str, state: &str) -> Alert {
        serde_json::from_value(json!({
            "name": name, "figure": "failed_tests", "severity": "high", "state": state, "changed": false, "gates": true,
            "since": "2026-03-08T10:30:00Z", "value": 1.0, "unit": "count", "threshold": 0.0, "baseline": null,
            "message": "failed_tests is 1; at most 0 is fine", "owner": "Ann",
            "causes": [{"environment": "prod", "name": "unique_orders", "rows": 3, "message": "Got 3 results\nmore",
                        "owner": null, "url": null}],
        }))
        .expect("an alert")
    }

    fn time(text: &str) -> DateTime {
        text.parse().expect("a time")
    }

    fn sent(name: &str, state: Sent, as_of: &str) -> Reported {
        Reported {
            scope: "prod".into(),
            days: 7,
            channel: "slack".into(),
            name: name.into(),
            state,
            since: Some(time("2026-03-01T00:00:00")),
            as_of: time(as_of),
            reported_at: time(as_of),
        }
    }

    fn names(alerts: &[Alert], sent: &[Reported]) -> Vec<(Sent, String)> {
        due(alerts, sent, time("2026-03-08T12:00:00")).into_iter().map(|due| (due.state, due.name)).collect()
    }

    #[test]
    fn a_start_and_an_end_are_due_once() {
        const BEFORE: &str = "2026-03-07T12:00:00";
        let a = || "a".to_owned();
        assert_eq!(names(&[alert("a", "firing")], &[]), [(Sent::Firing, a())]);
        assert_eq!(names(&[alert("a", "firing")], &[sent("a", Sent::Firing, BEFORE)]), []);
        assert_eq!(names(&[alert("a", "ok")], &[sent("a", Sent::Firing, BEFORE)]), [(Sent::Ok, a())]);
        assert_eq!(names(&[alert("a", "ok")], &[sent("a", Sent::Ok, BEFORE)]), []);
        assert_eq!(names(&[alert("a", "ok")], &[]), []);
        assert_eq!(names(&[alert("a", "firing")], &[sent("a", Sent::Ok, BEFORE)]), [(Sent::Firing, a())]);
    }

    #[test]
    fn unknown_neither_starts_nor_ends_and_a_removed_rule_ends() {
        const BEFORE: &str = "2026-03-07T12:00:00";
        assert_eq!(names(&[alert("a", "unknown")], &[]), []);
        assert_eq!(names(&[alert("a", "unknown")], &[sent("a", Sent::Firing, BEFORE)]), []);
        assert_eq!(names(&[], &[sent("a", Sent::Firing, BEFORE)]), [(Sent::Ok, "a".to_owned())]);
        assert_eq!(names(&[], &[sent("a", Sent::Ok, BEFORE)]), []);
    }

    #[test]
    fn an_older_report_changes_nothing() {
        const AFTER: &str = "2026-03-09T12:00:00";
        assert_eq!(names(&[alert("a", "firing")], &[sent("a", Sent::Ok, AFTER)]), []);
        assert_eq!(names(&[], &[sent("a", Sent::Firing, AFTER)]), []);
    }

    #[test]
    fn a_message_names_alert_severity_cause_since_and_owner() {
        let due = due(&[alert("tests fail", "firing")], &[], time("2026-03-08T12:00:00"));
        assert_eq!(headline("prod", &due), "🔔 prod: alert started: tests fail");
        let lines = texts(&due).remove(0);
        assert_eq!(
            lines,
            [
                "🔔 started: tests fail (high)",
                "failed_tests is 1; at most 0 is fine",
                "• unique_orders in prod: 3 rows, Got 3 results",
                "since 2026-03-08 10:30 UTC · owner: Ann",
            ]
        );
    }
}
