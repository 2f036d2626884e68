//! `policies/alerts.toml`: the alert rules, and the state of each alert.
//!
//! An alert compares a figure with a fixed threshold, or with the median of the days before, which a single bad day
//! does not move. An unknown figure neither fires nor recovers, unless the rule is about unknown figures.
//! Evaluating has no side effects: `notify alerts` reports starts and ends. Pure except for reading the policy.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use schemars::JsonSchema;
use serde::Deserialize;

use super::figures::{VOLUME_MIN_DAYS, volume_deviation};
use super::history::Past;
use super::model::{Alert, AlertCause, AlertState, Figure, Report, Status, Unit};
use super::owners::Owners;
use crate::core::finding::Severity;
use crate::system::contract::Contract;
use crate::system::repo::Repo;

const FILE: &str = "alerts.toml";

/// Causes that an alert lists.
const CAUSES: usize = 10;

/// The alert rules of a repository; none if it has no such file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    /// The lowest severity that fails `metrics --gate`.
    #[serde(default = "gate")]
    gate: Severity,
    #[serde(default)]
    alerts: Vec<Rule>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// The alert's name, unique within the file.
    name: String,
    /// The figure that it evaluates.
    figure: String,
    severity: Severity,
    /// Fires when the figure is larger than this.
    above: Option<f64>,
    /// Fires when the figure is smaller than this.
    below: Option<f64>,
    /// Fires when the figure is larger than the trailing median by this fraction of it.
    rises_by: Option<f64>,
    /// Fires when the figure is smaller than the trailing median by this fraction of it.
    falls_by: Option<f64>,
    /// The days that the median is over.
    #[serde(default = "over_days")]
    over_days: u32,
    /// The number of known days that a median requires.
    #[serde(default = "min_days")]
    min_days: usize,
    /// Other figures with their minimum values: below these there is too little data to evaluate.
    #[serde(default)]
    only_if: BTreeMap<String, f64>,
    /// Fires when the figure cannot be known.
    #[serde(default)]
    unknown: bool,
    /// Only in reports about one of these environments.
    environments: Option<Vec<String>>,
    /// The people to ask; without it, the dbt owners of the alert's causes.
    owner: Option<String>,
}

pub(super) fn contract() -> Contract {
    Contract::policy::<Policy>("policies/alerts", "policies/alerts.toml")
}

fn gate() -> Severity {
    Severity::High
}

impl Default for Policy {
    fn default() -> Self {
        Self { gate: gate(), alerts: Vec::new() }
    }
}

fn over_days() -> u32 {
    28
}

fn min_days() -> usize {
    5
}

/// What a rule compares its figure with.
#[derive(Clone, Copy)]
enum Bound {
    Above(f64),
    Below(f64),
    RisesBy(f64),
    FallsBy(f64),
    Unknown,
}

impl Policy {
    /// The repository's policy. `known` lists the existing figures.
    pub(super) fn load(repo: &Repo, known: &[Figure]) -> Result<Self> {
        let path = repo.policies().join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let known: Vec<&str> = known.iter().map(|figure| figure.name.as_str()).collect();
        Self::parse(&text, &known).with_context(|| format!("failed to understand {}", path.display()))
    }

    fn parse(text: &str, known: &[&str]) -> Result<Self> {
        let policy: Self = toml::from_str(text)?;
        for (i, rule) in policy.alerts.iter().enumerate() {
            rule.check(known).with_context(|| format!("alerts[{i}] ({:?})", rule.name))?;
            let first = policy.alerts.iter().position(|other| other.name == rule.name);
            ensure!(
                first == Some(i),
                "alerts[{i}].name: {:?} is used twice; give each alert a separate name",
                rule.name
            );
        }
        Ok(policy)
    }

    /// The state of every alert that applies to this report's scope and to the figures of its target.
    pub(super) fn evaluate(&self, report: &Report, past: &Past, owners: &Owners) -> Vec<Alert> {
        let covers = |rule: &&Rule| {
            let environment = report.environment.as_deref();
            rule.environments.as_ref().is_none_or(|only| {
                environment.is_some_and(|name| only.iter().any(|other| other.eq_ignore_ascii_case(name)))
            })
        };
        let exists = |rule: &&Rule| {
            let figure = report.figures.iter().find(|figure| figure.name == rule.figure);
            figure.is_none_or(|figure| figure.status != Status::NotSupported)
        };
        let evaluate = |rule: &Rule| {
            let mut alert = rule.evaluate(report, past);
            alert.gates = rule.severity >= self.gate;
            if alert.state == AlertState::Firing {
                alert.causes = causes(&rule.figure, report, owners);
                alert.owner = rule.owner.clone().or_else(|| owner_of(&alert.causes));
            }
            alert
        };
        self.alerts.iter().filter(covers).filter(exists).map(evaluate).collect()
    }
}

impl Rule {
    fn check(&self, known: &[&str]) -> Result<()> {
        ensure!(!self.name.trim().is_empty(), "name: it is empty; say what the alert is about");
        let names = std::iter::once(("figure", &self.figure))
            .chain(self.only_if.keys().map(|name| ("only_if", name)));
        for (key, name) in names {
            ensure!(
                known.contains(&name.as_str()),
                "{key}: there is no figure {name:?}; there are {}",
                known.join(", ")
            );
        }
        let bound = self.bound()?;
        if let Bound::Above(value) | Bound::Below(value) | Bound::RisesBy(value) | Bound::FallsBy(value) =
            bound
        {
            ensure!(value.is_finite(), "the threshold must be a finite number, not {value}");
        }
        if let Bound::RisesBy(part) | Bound::FallsBy(part) = bound {
            ensure!(part > 0.0, "rises_by, falls_by: a part of the median above 0, such as 0.5, not {part}");
        }
        ensure!(self.min_days >= 1, "min_days: a median takes at least 1 day");
        ensure!(
            (self.min_days..=90).contains(&(self.over_days as usize)),
            "over_days: from min_days ({}) to 90, not {}",
            self.min_days,
            self.over_days
        );
        Ok(())
    }

    fn bound(&self) -> Result<Bound> {
        let given = [
            self.above.map(Bound::Above),
            self.below.map(Bound::Below),
            self.rises_by.map(Bound::RisesBy),
            self.falls_by.map(Bound::FallsBy),
            self.unknown.then_some(Bound::Unknown),
        ];
        let mut given = given.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(bound), None) => Ok(bound),
            _ => bail!("above, below, rises_by, falls_by, unknown: give one of them"),
        }
    }

    fn evaluate(&self, report: &Report, past: &Past) -> Alert {
        let find = |name: &str| report.figures.iter().find(|figure| figure.name == name);
        // A figure that lacks environments is not the figure of all.
        let whole = |name: &str| find(name).filter(|figure| figure.status != Status::InUse);
        let number = |name: &str| whole(name).and_then(|figure| figure.value.as_ref()?.number());
        let value = number(&self.figure);
        let mut alert = Alert {
            name: self.name.clone(),
            figure: self.figure.clone(),
            severity: self.severity.name().to_owned(),
            state: AlertState::Unknown,
            changed: false,
            gates: false,
            since: None,
            value,
            unit: find(&self.figure).map(|figure| figure.unit),
            threshold: None,
            baseline: None,
            message: String::new(),
            owner: None,
            causes: Vec::new(),
        };
        let small =
            self.only_if.iter().find(|(name, least)| number(name).is_none_or(|number| number < **least));
        let is_known = find(&self.figure).is_some_and(|figure| figure.value.is_some());
        (alert.state, alert.message) = match (value, small) {
            // What fired was about environments that were dropped since.
            _ if !self.unknown && report.environment.is_none() && has_none(report) => {
                (AlertState::Ok, "there is no environment any more that this could be about".to_owned())
            }
            (_, Some((name, least))) if self.unknown => (AlertState::Unknown, too_small(name, *least)),
            _ if self.unknown && is_known => (AlertState::Ok, format!("{} is known", self.figure)),
            (None, _) => {
                let why = find(&self.figure)
                    .and_then(|figure| figure.reason.as_deref())
                    .unwrap_or("it could not be read");
                let state = if self.unknown { AlertState::Firing } else { AlertState::Unknown };
                (state, format!("{} is not known: {why}", self.figure))
            }
            // Too little data is not a recovery.
            (Some(_), Some((name, least))) => (AlertState::Unknown, too_small(name, *least)),
            (Some(value), None) => self.compare(value, &mut alert, report, past),
        };
        alert.follow(past, report);
        alert
    }

    /// Compare `value` with the bound; fills in what it was compared with.
    fn compare(&self, value: f64, alert: &mut Alert, report: &Report, past: &Past) -> (AlertState, String) {
        let Ok(bound) = self.bound() else {
            return (AlertState::Unknown, "the alert has no threshold".to_owned());
        };
        if let Bound::RisesBy(_) | Bound::FallsBy(_) = bound {
            let days = past.trailing(&self.figure, report.window.as_of(), self.over_days);
            if days.len() < self.min_days {
                let message = format!(
                    "{} of the {} earlier days that a median requires are known",
                    days.len(),
                    self.min_days
                );
                return (AlertState::Unknown, message);
            }
            alert.baseline = median(days);
        }
        let baseline = alert.baseline.unwrap_or_default();
        let (threshold, fires) = match bound {
            Bound::Above(limit) => (limit, value > limit),
            Bound::Below(limit) => (limit, value < limit),
            Bound::RisesBy(by) => (baseline * (1.0 + by), value > baseline * (1.0 + by)),
            Bound::FallsBy(by) => (baseline * (1.0 - by), value < baseline * (1.0 - by)),
            Bound::Unknown => (value, false),
        };
        alert.threshold = Some(threshold);
        (if fires { AlertState::Firing } else { AlertState::Ok }, self.sentence(value, threshold, alert))
    }

    fn sentence(&self, value: f64, threshold: f64, alert: &Alert) -> String {
        let shown = |number: f64| super::text::quantity(number, alert.unit.unwrap_or(Unit::Count));
        let bound = if self.above.is_some() || self.rises_by.is_some() { "at most" } else { "at least" };
        let median = alert.baseline.map(|median| format!(" (median of the days before: {})", shown(median)));
        format!(
            "{} is {}; {bound} {} is fine{}",
            self.figure,
            shown(value),
            shown(threshold),
            median.unwrap_or_default()
        )
    }
}

impl Alert {
    /// Sets since when the alert has been in this state, and whether a channel has yet to be notified.
    fn follow(&mut self, past: &Past, report: &Report) {
        let before = past.alerts.iter().find(|row| row.name == self.name);
        self.since = match before {
            Some(row) if row.state == self.state || self.state == AlertState::Unknown => Some(row.since),
            _ => Some(report.window.end),
        };
        let sent = || past.reported.iter().filter(|row| row.name == self.name);
        let is_newest = sent().all(|row| row.as_of <= report.window.end);
        let sent_start = sent().any(|row| row.state == super::reported::Sent::Firing);
        self.changed = is_newest
            && match self.state {
                AlertState::Firing => !sent_start,
                AlertState::Ok => sent_start,
                AlertState::Unknown => false,
            };
    }
}

/// Whether a report on several environments covers none, not even one that is in use.
fn has_none(report: &Report) -> bool {
    report.environments.is_empty() && report.in_use.is_empty()
}

fn too_small(name: &str, least: f64) -> String {
    format!("not evaluated: {name} is below {least}, too little to compare")
}

/// The causes of an alert that are in the report, the largest first.
fn causes(figure: &str, report: &Report, owners: &Owners) -> Vec<AlertCause> {
    let causes: Vec<AlertCause> = match figure {
        "failed_tests" | "test_pass_rate" => {
            report.failing_tests.rows.iter().map(|test| of_test(test, owners)).collect()
        }
        "failing_environments" | "failed_runs" | "run_success_rate" => failed_runs(report),
        "query_failure_rate" | "failed_queries" => {
            report.failing_nodes.rows.iter().map(|node| of_node(node, owners)).collect()
        }
        "volume_deviation_ratio_max" => volumes(report),
        "data_age_seconds" => ages(report, |_| true),
        "stale_sources" => ages(report, |row| row.state.as_deref() == Some("error")),
        _ => Vec::new(),
    };
    causes.into_iter().take(CAUSES).collect()
}

fn of_test(test: &super::model::FailingTest, owners: &Owners) -> AlertCause {
    AlertCause {
        environment: test.environment.clone(),
        name: test.name.clone(),
        rows: test.failures,
        message: test.message.clone(),
        owner: owners.of(&test.node_id),
        url: None,
    }
}

fn of_node(node: &super::model::NodeStats, owners: &Owners) -> AlertCause {
    AlertCause {
        environment: node.environment.clone(),
        name: node.name.clone(),
        rows: None,
        message: node.last_message.clone(),
        owner: owners.of(&node.node_id),
        url: None,
    }
}

/// The newest failed run of each environment.
fn failed_runs(report: &Report) -> Vec<AlertCause> {
    let mut seen = std::collections::BTreeSet::new();
    let failed = report.runs.rows.iter().filter(|run| matches!(run.status.as_str(), "fail" | "error"));
    let newest = failed.filter(|run| seen.insert(run.environment.clone()));
    newest
        .map(|run| AlertCause {
            environment: run.environment.clone(),
            name: format!("run {} ({})", run.run_id, run.status),
            rows: None,
            message: run.message.clone(),
            owner: None,
            url: run.run_url.clone(),
        })
        .collect()
}

/// The relations whose rows differ most from those of the days before.
fn volumes(report: &Report) -> Vec<AlertCause> {
    let mut relations: Vec<_> = report
        .relations
        .rows
        .iter()
        .filter_map(|relation| Some((volume_deviation(relation)?, relation)))
        .collect();
    relations.sort_by(|(a, _), (b, _)| b.abs().total_cmp(&a.abs()));
    let cause = |(deviation, relation): (f64, &super::model::Relation)| AlertCause {
        environment: relation.environment.clone(),
        name: relation.relation_name.clone(),
        rows: relation.row_count,
        message: Some(format!(
            "{:+.0} % against the median of {} days",
            100.0 * deviation,
            relation.baseline_days.unwrap_or(VOLUME_MIN_DAYS)
        )),
        owner: None,
        url: None,
    };
    relations.into_iter().take(3).map(cause).collect()
}

/// The tables and sources with the oldest data.
fn ages(report: &Report, counts: impl Fn(&super::model::DataAge) -> bool) -> Vec<AlertCause> {
    let rows = report.data_ages.rows.iter().filter(|row| counts(row));
    let old = rows.filter_map(|row| Some((row, row.age_seconds?, row.data_time?)));
    let cause = |(row, age, time): (&super::model::DataAge, i64, jiff::civil::DateTime)| AlertCause {
        environment: row.environment.clone(),
        name: row.name.clone(),
        rows: None,
        message: Some(format!(
            "newest data of {} UTC, {} old",
            time.strftime("%F %H:%M"),
            super::text::age(age)
        )),
        owner: None,
        url: None,
    };
    old.map(cause).collect()
}

/// The owners of the causes, each once.
fn owner_of(causes: &[AlertCause]) -> Option<String> {
    let owners: std::collections::BTreeSet<&str> =
        causes.iter().filter_map(|cause| cause.owner.as_deref()).collect();
    (!owners.is_empty()).then(|| owners.into_iter().collect::<Vec<_>>().join(", "))
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}
