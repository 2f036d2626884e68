//! `policies/alerts.toml`: when a figure is worth a word, and how each alert stands.
//!
//! An alert holds a figure against a fixed threshold, or against the median of the days before: a median
//! does not follow a single bad day. What is not known neither fires nor recovers. Pure but for reading the
//! policy.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::history::Past;
use super::model::{Alert, AlertState, Figure, Report, Status, Unit};
use crate::core::finding::Severity;
use crate::system::repo::Repo;

const FILE: &str = "alerts.toml";

/// The alerts of a repository; one without the file has none.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    #[serde(default)]
    alerts: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// How people call it; a name stands once.
    name: String,
    /// The figure that it watches.
    figure: String,
    severity: Severity,
    /// Fires when the figure is larger than this.
    above: Option<f64>,
    /// Fires when the figure is smaller than this.
    below: Option<f64>,
    /// Fires when the figure is larger than the trailing median by this part of it.
    rises_by: Option<f64>,
    /// Fires when the figure is smaller than the trailing median by this part of it.
    falls_by: Option<f64>,
    /// The days that the median is over.
    #[serde(default = "over_days")]
    over_days: u32,
    /// The days that must be known for a median to mean something.
    #[serde(default = "min_days")]
    min_days: usize,
    /// Other figures, and how large they must be for this one to say something.
    #[serde(default)]
    only_if: BTreeMap<String, f64>,
    /// Only in reports about one of these environments.
    environments: Option<Vec<String>>,
}

fn over_days() -> u32 {
    28
}

fn min_days() -> usize {
    5
}

/// What a rule holds its figure against.
#[derive(Clone, Copy)]
enum Bound {
    Above(f64),
    Below(f64),
    RisesBy(f64),
    FallsBy(f64),
}

impl Policy {
    /// The repository's policy. `known` are the figures that there are.
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
                "alerts[{i}].name: {:?} stands twice; give each alert a name of its own",
                rule.name
            );
        }
        Ok(policy)
    }

    /// How every alert stands that speaks of this report's scope, and of what its target has.
    pub(super) fn judge(&self, report: &Report, past: &Past) -> Vec<Alert> {
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
        self.alerts.iter().filter(covers).filter(exists).map(|rule| rule.judge(report, past)).collect()
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
        let (Bound::Above(value) | Bound::Below(value) | Bound::RisesBy(value) | Bound::FallsBy(value)) =
            bound;
        ensure!(value.is_finite(), "the threshold must be a finite number, not {value}");
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
        ];
        let mut given = given.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(bound), None) => Ok(bound),
            _ => bail!("above, below, rises_by, falls_by: give one of them"),
        }
    }

    fn judge(&self, report: &Report, past: &Past) -> Alert {
        let find = |name: &str| report.figures.iter().find(|figure| figure.name == name);
        let number = |name: &str| find(name).and_then(|figure| figure.value.as_ref()?.number());
        let value = number(&self.figure);
        let mut alert = Alert {
            name: self.name.clone(),
            figure: self.figure.clone(),
            severity: self.severity.name().to_owned(),
            state: AlertState::Unknown,
            changed: false,
            since: None,
            value,
            unit: find(&self.figure).map(|figure| figure.unit),
            threshold: None,
            baseline: None,
            message: String::new(),
        };
        let small =
            self.only_if.iter().find(|(name, least)| number(name).is_none_or(|number| number < **least));
        (alert.state, alert.message) = match (value, small) {
            (None, _) => {
                let why = find(&self.figure)
                    .and_then(|figure| figure.reason.as_deref())
                    .unwrap_or("it could not be read");
                (AlertState::Unknown, format!("{} is not known: {why}", self.figure))
            }
            (Some(_), Some((name, least))) => {
                (AlertState::Ok, format!("not judged: {name} is below {least}, too little to say something"))
            }
            (Some(value), None) => self.compare(value, &mut alert, report, past),
        };
        alert.follow(past, report);
        alert
    }

    /// Hold `value` against the bound; fills in what it was held against.
    fn compare(&self, value: f64, alert: &mut Alert, report: &Report, past: &Past) -> (AlertState, String) {
        let Ok(bound) = self.bound() else {
            return (AlertState::Unknown, "the alert has no threshold".to_owned());
        };
        if let Bound::RisesBy(_) | Bound::FallsBy(_) = bound {
            let days = past.trailing(&self.figure, report.window.as_of(), self.over_days);
            if days.len() < self.min_days {
                let message = format!(
                    "{} of the {} earlier days that a median takes are known",
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
    /// Say since when it stands so, and whether that is new.
    fn follow(&mut self, past: &Past, report: &Report) {
        let before = past.alerts.iter().find(|row| row.name == self.name);
        let was = before.map_or(AlertState::Ok, |row| row.state);
        let is_newest = before.is_none_or(|row| row.as_of <= report.window.end);
        self.changed = is_newest && self.state != AlertState::Unknown && self.state != was;
        self.since = match before {
            Some(row) if !self.changed => Some(row.since),
            _ => Some(report.window.end),
        };
    }
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}
