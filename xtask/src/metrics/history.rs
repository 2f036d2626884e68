//! The figures of earlier calls, stored in the registry so that trends outlive the query log.
//!
//! One row per figure, scope, window length and day: a later call of the same day replaces the earlier one,
//! and days older than [`KEPT_DAYS`] are deleted, so the table holds at most that many rows for each figure
//! of a scope. A second table holds the alert states, one row per alert and scope.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::model::{Alert, AlertState, Figure, Point, Report, Span, Status, Table, Value, Window};
use super::reported::{self, Reported};
use super::sql;
use super::{collect, figures};
use crate::core::environment::REGISTRY;
use crate::warehouse::{self, Statement, Warehouse, literal};

/// A year and a month, so that a month can be compared with that of the year before.
const KEPT_DAYS: i64 = 400;

/// The days of history in a report.
const REPORTED_DAYS: i64 = 90;

pub(super) const FIGURES: &str = "metrics_history";
pub(super) const ALERTS: &str = "metrics_alerts";
const TABLES: [&str; 2] = [
    include_str!("../../../sql/metrics/history_table.sql"),
    include_str!("../../../sql/metrics/alerts_table.sql"),
];
const POINTS: &str = include_str!("../../../sql/metrics/history.sql");
const STATES: &str = include_str!("../../../sql/metrics/alert_states.sql");

/// The key that figures are stored under: windows of different lengths are separate series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The environment, or `*` for all.
    pub(super) name: String,
    pub(super) days: u32,
}

/// A row of `metrics_history`.
#[derive(Debug, Serialize)]
struct Kept<'a> {
    scope: &'a str,
    days: u32,
    as_of: Date,
    name: &'a str,
    value: f64,
    unit: &'static str,
    status: &'static str,
    source: &'a str,
    recorded_at: DateTime,
}

/// A row of `metrics_alerts`: the state of an alert when it was last evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AlertRow {
    pub(super) scope: String,
    pub(super) days: u32,
    pub(super) name: String,
    pub(super) state: AlertState,
    pub(super) since: DateTime,
    pub(super) as_of: DateTime,
}

/// The data stored by earlier calls.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// By day.
    pub(super) points: Vec<Point>,
    pub(super) alerts: Vec<AlertRow>,
    /// What was last sent to each channel.
    pub(super) reported: Vec<Reported>,
}

impl Past {
    /// Read it, in one call. `registry` lists the tables that exist there.
    pub(super) fn read(
        warehouse: &mut dyn Warehouse,
        registry: &BTreeSet<String>,
        scope: &Scope,
        report: &Report,
    ) -> Result<Self> {
        let window = report.window;
        if !exist(registry) {
            return Ok(Self::default());
        }
        let since = window.as_of().checked_sub(REPORTED_DAYS.max(2 * i64::from(window.days)).days())?;
        let fill = |template| {
            let (since, before) = (format!("date '{since}'"), format!("date '{}'", window.as_of()));
            let latest = report.figures.iter().filter(|figure| figure.span == Span::Latest);
            let latest = latest.map(|figure| literal(&figure.name)).collect::<Vec<_>>().join(", ");
            let scope = context! { scope => literal(&scope.name), days => scope.days, since, before, latest };
            sql::dialect(warehouse).registry(template, &tables(warehouse), scope)
        };
        let statements = [fill(POINTS)?, fill(STATES)?];
        let mut results =
            warehouse.query_many(&statements).context("failed to read the history of metrics")?;
        let alerts = collect::records(results.pop().unwrap_or_default())?;
        let points = collect::records(results.pop().unwrap_or_default())?;
        let reported = reported::read(warehouse, registry, &scope.name, scope.days)?;
        Ok(Self { points, alerts, reported })
    }

    /// A figure as it was one window ago: the newest value that shares no day with the window.
    pub(super) fn one_window_ago(&self, name: &str, window: Window) -> Option<f64> {
        let latest = window.as_of().checked_sub(i64::from(window.days).days()).ok()?;
        let earliest = latest.checked_sub(i64::from(window.days).days()).ok()?;
        let fits =
            |point: &&Point| point.name == name && point.date_day <= latest && point.date_day > earliest;
        self.points.iter().rev().find(fits).map(|point| point.value)
    }

    /// The values of a figure over the `days` before `day`, oldest first.
    pub(super) fn trailing(&self, name: &str, day: Date, days: u32) -> Vec<f64> {
        let first = day.checked_sub(i64::from(days).days()).unwrap_or(Date::MIN);
        let fits = |point: &&Point| point.name == name && point.date_day >= first && point.date_day < day;
        self.points.iter().filter(fits).map(|point| point.value).collect()
    }

    /// Add to a report what comes from the history.
    pub(super) fn complete(&self, report: &mut Report) {
        let window = report.window;
        for figure in &mut report.figures {
            if figure.previous.is_none() {
                let before = self.one_window_ago(&figure.name, window);
                figures::set_previous(figure, before.map(Value::Real));
            }
        }
        let none = self.points.is_empty();
        report.history = Table {
            status: if none { Status::NoData } else { Status::Ok },
            source: format!("{REGISTRY}.{FIGURES}"),
            reason: none.then(|| "no earlier day was kept for this scope and length of window".to_owned()),
            rows: self.points.clone(),
        };
    }
}

/// The statements that store the figures and alert states of this call. `registry` lists the tables that
/// exist there.
pub(super) fn keep(
    warehouse: &dyn Warehouse,
    registry: &BTreeSet<String>,
    scope: &Scope,
    report: &Report,
    states: &[AlertRow],
) -> Result<Vec<Statement>> {
    let as_of = report.window.as_of();
    // By the clock, not by the report: one about the past or the future must not decide which days are
    // deleted.
    let oldest = report.generated_at.date().checked_sub(KEPT_DAYS.days())?;
    let tables = tables(warehouse);
    let [(_, figures), (_, alerts)] = &tables;
    let mut change = Vec::new();
    if !exist(registry) {
        change.extend(warehouse.provision_registry());
        for template in TABLES {
            let sql = sql::dialect(warehouse).registry(template, &tables, context! {})?;
            change.push(Statement::sql(sql.trim_end()));
        }
    }
    let ours = format!("scope = {} and days = {}", literal(&scope.name), scope.days);
    change.push(Statement::sql(format!("delete from {figures} where {ours} and as_of = date '{as_of}'")));
    change.push(Statement::sql(format!("delete from {figures} where {ours} and as_of < date '{oldest}'")));
    change.push(Statement::insert(warehouse::Table::new(REGISTRY, FIGURES), &kept(scope, report))?);
    change.push(Statement::sql(format!("delete from {alerts} where {ours}")));
    change.push(Statement::insert(warehouse::Table::new(REGISTRY, ALERTS), states)?);
    Ok(change)
}

/// The figures that are fully known; a partial one would look like a drop later.
fn kept<'a>(scope: &'a Scope, report: &'a Report) -> Vec<Kept<'a>> {
    let known = report.figures.iter().filter(|figure| matches!(figure.status, Status::Ok | Status::Delayed));
    let row = |figure: &'a Figure| {
        Some(Kept {
            scope: &scope.name,
            days: scope.days,
            as_of: report.window.as_of(),
            name: &figure.name,
            value: figure.value.as_ref()?.number()?,
            unit: figure.unit.label(),
            status: figure.status.label(),
            source: &figure.source,
            recorded_at: report.generated_at,
        })
    };
    known.filter_map(row).collect()
}

/// The rows to store for the alerts of a report: one that could not be evaluated keeps its earlier state.
pub(super) fn states(scope: &Scope, report: &Report, past: &Past) -> Vec<AlertRow> {
    let state = |alert: &Alert| {
        let before = past.alerts.iter().find(|row| row.name == alert.name);
        // A report about the past does not change the current state.
        let is_older = before.is_some_and(|row| row.as_of > report.window.end);
        if alert.state == AlertState::Unknown || is_older {
            return before.cloned();
        }
        Some(AlertRow {
            scope: scope.name.clone(),
            days: scope.days,
            name: alert.name.clone(),
            state: alert.state,
            since: alert.since.unwrap_or(report.window.end),
            as_of: report.window.end,
        })
    };
    report.alerts.iter().filter_map(state).collect()
}

/// The tables of the history, as the templates call them.
fn tables(warehouse: &dyn Warehouse) -> [(&'static str, String); 2] {
    let table = |name| warehouse.qualified(&warehouse::Table::new(REGISTRY, name));
    [("figures", table(FIGURES)), ("alerts", table(ALERTS))]
}

fn exist(registry: &BTreeSet<String>) -> bool {
    [FIGURES, ALERTS].iter().all(|table| registry.contains(*table))
}
