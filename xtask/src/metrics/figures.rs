//! Computes the figures of a report from the data that was read. Pure: every sum, rate and change is computed
//! here, once, for every engine.

use jiff::civil::{Date, DateTime};
use serde::Deserialize;

use super::collect::{LEDGER_NODES, LEDGER_RELATIONS, LEDGER_RUNS};
use super::model::{
    Cost, Day, Figure, Group, Layer, Load, Relation, Span, Status, Storage, Table, Unit, Value, Window,
};
use super::snowflake;

/// Why there is nothing to read while every environment is in use.
pub(super) const ALL_IN_USE: &str = "every environment is in use; try again when that has ended";

pub(super) const NO_ENVIRONMENT: &str = "no environment has a ledger yet; `cargo xtask elt` makes one";

/// The query log of a window, counted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Log {
    pub(super) source: &'static str,
    /// `Ok`, or `Truncated` if the log holds more than could be read.
    pub(super) status: Status,
    pub(super) reason: Option<String>,
    pub(super) total: Load,
    /// Days with queries.
    pub(super) days: Vec<Day>,
    pub(super) environments: Vec<Group>,
    /// `None` if there are no warehouses.
    pub(super) warehouses: Option<Vec<Group>>,
    pub(super) users: Vec<Group>,
    pub(super) last_day: Option<Date>,
    /// Queries that begin after now.
    pub(super) ahead_of_clock: Option<i64>,
}

/// The ledgers' data about one window, or about the state at its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Latest {
    pub(super) relations: Vec<Relation>,
    pub(super) runs: RunTotals,
    pub(super) recovery: Recovery,
    pub(super) successes: Vec<Success>,
    pub(super) tests: Vec<Layer>,
}

/// The row of `run_totals.sql`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct RunTotals {
    runs: i64,
    successful_runs: i64,
    failed_runs: i64,
    timed_runs: i64,
    total_seconds: Option<f64>,
    p50_seconds: Option<f64>,
    p95_seconds: Option<f64>,
}

/// The row of `recovery.sql`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Recovery {
    recoveries: i64,
    total_seconds: Option<f64>,
    failing_environments: i64,
    evaluated_environments: i64,
}

/// A row of `freshness.sql`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Success {
    last_success_at: DateTime,
}

/// The input of all figures.
pub(super) struct Facts<'a> {
    /// Why no figure is known, if that is so: there is no environment, or it had no run by then.
    pub(super) absent: Option<&'static str>,
    /// `None` if the log does not reach back that far.
    pub(super) log: Option<&'a Log>,
    pub(super) latest: &'a Latest,
    pub(super) storage: &'a Table<Storage>,
    pub(super) cost: &'a Table<Cost>,
    /// Of all warehouses, including idle time.
    pub(super) warehouse_cost: &'a Table<Cost>,
}

impl Log {
    pub(super) fn new(source: &'static str) -> Self {
        Self {
            source,
            status: Status::Ok,
            reason: None,
            total: Load::default(),
            days: Vec::new(),
            environments: Vec::new(),
            warehouses: None,
            users: Vec::new(),
            last_day: None,
            ahead_of_clock: None,
        }
    }

    /// A row for each day of the window: for a day without queries the count is known to be 0.
    pub(super) fn daily(&self, window: Window) -> Vec<Day> {
        let of = |date: Date| {
            let day = self.days.iter().find(|day| day.date_day == date);
            day.copied().unwrap_or(Day { date_day: date, load: Load::default() })
        };
        window.dates().map(of).collect()
    }
}

impl Load {
    /// With the rate and the mean derived from its counts and sums.
    pub(super) fn derived(self) -> Self {
        Self {
            failure_rate: ratio_of_counts(Some(self.failed_queries), Some(self.queries)),
            mean_seconds: mean(self.total_seconds, self.timed_queries),
            ..self
        }
    }
}

/// The figures, in display order.
pub(super) fn figures(facts: &Facts<'_>, window: Window) -> Vec<Figure> {
    let mut figures: Vec<Figure> = facts.log.map(query_figures).unwrap_or_default();
    figures.extend(run_figures(&facts.latest.runs, &facts.latest.recovery));
    figures.extend(test_figures(&facts.latest.tests));
    figures.extend(data_figures(facts.latest, window));
    if let Some(reason) = facts.absent {
        for figure in &mut figures {
            figure.value = None;
            figure.status = Status::NoData;
            figure.reason = Some(reason.to_owned());
        }
    }
    figures.extend(storage_figures(facts.storage));
    figures.push(cost_figure("credits", facts.cost));
    figures.push(cost_figure("warehouse_credits", facts.warehouse_cost));
    figures
}

/// Give each figure the value that it had in the window before.
pub(super) fn compare(figures: &mut [Figure], earlier: &[Figure]) {
    for figure in figures {
        let before = earlier.iter().find(|other| other.name == figure.name);
        set_previous(figure, before.and_then(|before| before.value.clone()));
    }
}

pub(super) fn set_previous(figure: &mut Figure, previous: Option<Value>) {
    figure.change_ratio =
        match (figure.value.as_ref().and_then(Value::number), previous.as_ref().and_then(Value::number)) {
            (Some(now), Some(before)) if before != 0.0 => Some(round(now / before - 1.0)),
            _ => None,
        };
    figure.previous = previous;
}

/// Makes figures of one source.
pub(super) struct From {
    pub(super) source: &'static str,
    pub(super) span: Span,
}

impl From {
    pub(super) fn figure(&self, name: &str, unit: Unit, value: Option<Value>, why_not: &str) -> Figure {
        Figure {
            name: name.to_owned(),
            status: if value.is_some() { Status::Ok } else { Status::NoData },
            reason: value.is_none().then(|| why_not.to_owned()),
            value,
            unit,
            span: self.span,
            source: self.source.to_owned(),
            previous: None,
            change_ratio: None,
        }
    }

    fn count(&self, name: &str, count: i64) -> Figure {
        self.figure(name, Unit::Count, Some(Value::Whole(count)), "")
    }

    pub(super) fn real(&self, name: &str, unit: Unit, value: Option<f64>, why_not: &str) -> Figure {
        self.figure(name, unit, value.map(|value| Value::Real(round(value))), why_not)
    }
}

fn query_figures(log: &Log) -> Vec<Figure> {
    const NONE: &str = "no query ran in the window";
    const UNTIMED: &str = "no query of the window has a known time";
    let from = From { source: log.source, span: Span::Window };
    let load = &log.total;
    let seconds = |name: &str, value: Option<f64>| {
        from.real(name, Unit::Seconds, value, if load.queries == 0 { NONE } else { UNTIMED })
    };
    let last_day = log.last_day.map(|day| Value::Text(day.to_string()));
    let mut figures = vec![
        from.count("queries", load.queries),
        from.count("failed_queries", load.failed_queries),
        from.real("query_failure_rate", Unit::Ratio, load.failure_rate, NONE),
        seconds("query_total_seconds", load.total_seconds),
        seconds("query_mean_seconds", load.mean_seconds),
        seconds("query_p50_seconds", load.p50_seconds),
        seconds("query_p95_seconds", load.p95_seconds),
        seconds("query_max_seconds", load.max_seconds),
        From { source: log.source, span: Span::Latest }.figure(
            "last_query_date",
            Unit::Date,
            last_day,
            "the log holds no query before the end of the window",
        ),
        From { source: log.source, span: Span::Latest }.figure(
            "queries_ahead_of_clock",
            Unit::Count,
            log.ahead_of_clock.map(Value::Whole),
            "only the current value is available",
        ),
    ];
    if log.status != Status::Ok {
        for figure in &mut figures {
            figure.status = log.status;
            figure.reason.clone_from(&log.reason);
        }
    }
    figures
}

fn run_figures(runs: &RunTotals, recovery: &Recovery) -> Vec<Figure> {
    const NONE: &str = "no run of the window has ended";
    let from = From { source: LEDGER_RUNS, span: Span::Window };
    let evaluated = runs.successful_runs + runs.failed_runs;
    vec![
        from.count("runs", runs.runs),
        from.count("failed_runs", runs.failed_runs),
        from.real(
            "run_success_rate",
            Unit::Ratio,
            ratio_of_counts(Some(runs.successful_runs), Some(evaluated)),
            NONE,
        ),
        from.real("run_mean_seconds", Unit::Seconds, mean(runs.total_seconds, runs.timed_runs), NONE),
        from.real("run_p50_seconds", Unit::Seconds, runs.p50_seconds, NONE),
        from.real("run_p95_seconds", Unit::Seconds, runs.p95_seconds, NONE),
        from.real(
            "recovery_mean_seconds",
            Unit::Seconds,
            mean(recovery.total_seconds, recovery.recoveries),
            "no environment recovered from a failed run in the window",
        ),
        From { source: LEDGER_RUNS, span: Span::Latest }.figure(
            "failing_environments",
            Unit::Count,
            (recovery.evaluated_environments > 0).then_some(Value::Whole(recovery.failing_environments)),
            "no run has ended yet",
        ),
    ]
}

fn test_figures(layers: &[Layer]) -> Vec<Figure> {
    const NONE: &str = "no test has run yet";
    let from = From { source: LEDGER_NODES, span: Span::Latest };
    let sum = |of: fn(&Layer) -> i64| layers.iter().map(of).sum::<i64>();
    let (tests, passed, failed) =
        (sum(|layer| layer.tests), sum(|layer| layer.passed), sum(|layer| layer.failed));
    let known = |count: i64| (tests > 0).then_some(Value::Whole(count));
    vec![
        from.figure("tests", Unit::Count, known(tests), NONE),
        from.figure("failed_tests", Unit::Count, known(failed), NONE),
        from.real("test_pass_rate", Unit::Ratio, ratio_of_counts(Some(passed), Some(passed + failed)), NONE),
    ]
}

fn data_figures(latest: &Latest, window: Window) -> Vec<Figure> {
    let from = From { source: LEDGER_RELATIONS, span: Span::Latest };
    let rows: Vec<i64> = latest.relations.iter().filter_map(|relation| relation.row_count).collect();
    let changes = latest.relations.iter().filter_map(|relation| relation.row_count_change_ratio);
    let oldest =
        latest.successes.iter().map(|success| seconds_between(success.last_success_at, window.end)).max();
    vec![
        From { source: LEDGER_RUNS, span: Span::Latest }.figure(
            "freshness_seconds",
            Unit::Seconds,
            oldest.map(Value::Whole),
            "no run has succeeded yet",
        ),
        from.figure(
            "relation_rows",
            Unit::Rows,
            (!rows.is_empty()).then(|| Value::Whole(rows.iter().sum())),
            "no run has counted rows yet",
        ),
        from.real(
            "row_change_ratio_max",
            Unit::Ratio,
            changes.map(f64::abs).max_by(f64::total_cmp),
            "no relation was counted twice",
        ),
        from.real(
            "volume_deviation_ratio_max",
            Unit::Ratio,
            latest.relations.iter().filter_map(volume_deviation).map(f64::abs).max_by(f64::total_cmp),
            "no relation was counted on 3 earlier days",
        ),
    ]
}

/// The days that must be known before rows are compared with them.
pub(super) const VOLUME_MIN_DAYS: i64 = 3;

/// The smallest denominator of a deviation, in rows: small tables double and halve every day.
const VOLUME_FLOOR_ROWS: f64 = 100.0;

/// The difference between the rows of a relation and the median of the days before, as a fraction of that
/// median.
#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 need no last digit")]
pub(super) fn volume_deviation(relation: &Relation) -> Option<f64> {
    let (rows, usual) = (relation.row_count? as f64, relation.baseline_row_count?);
    (relation.baseline_days? >= VOLUME_MIN_DAYS).then(|| (rows - usual) / usual.max(VOLUME_FLOOR_ROWS))
}

fn storage_figures(storage: &Table<Storage>) -> Vec<Figure> {
    let figure = |name: &str, of: fn(&Storage) -> Option<i64>| {
        let known: Vec<i64> = storage.rows.iter().filter_map(of).collect();
        Figure {
            name: name.to_owned(),
            value: (!known.is_empty()).then(|| Value::Whole(known.iter().sum())),
            unit: Unit::Bytes,
            span: Span::Latest,
            status: storage.status,
            source: storage.source.clone(),
            reason: storage.reason.clone(),
            previous: None,
            change_ratio: None,
        }
    };
    let mut active = figure("storage_bytes", |storage| storage.active_bytes);
    let unmeasured: i64 = storage.rows.iter().map(|storage| storage.unmeasured_tables).sum();
    if unmeasured > 0 {
        active.reason = Some(format!("{unmeasured} table(s) could not be measured and are not in the sum"));
    }
    if active.value.is_none() && active.status == Status::Ok {
        active.status = Status::NoData;
    }
    let mut figures = vec![
        active,
        figure("storage_time_travel_bytes", |storage| storage.time_travel_bytes),
        figure("storage_fail_safe_bytes", |storage| storage.fail_safe_bytes),
        figure("storage_clone_retained_bytes", |storage| storage.clone_retained_bytes),
    ];
    for figure in &mut figures[1..] {
        if figure.value.is_none() {
            // Snowflake has these in a view that few roles may read.
            let hidden = figure.source == snowflake::TABLES;
            figure.status = if hidden { Status::NoPrivilege } else { Status::NotSupported };
            if !hidden {
                figure.reason = Some(format!("not available from {}", figure.source));
            }
        }
    }
    figures
}

fn cost_figure(name: &str, cost: &Table<Cost>) -> Figure {
    let known: Vec<f64> = cost.rows.iter().filter_map(|row| row.credits).collect();
    Figure {
        name: name.to_owned(),
        value: (!known.is_empty()).then(|| Value::Real(round(known.iter().sum()))),
        unit: Unit::Credits,
        span: Span::Window,
        status: cost.status,
        source: cost.source.clone(),
        reason: cost.reason.clone(),
        previous: None,
        change_ratio: None,
    }
}

/// To the microsecond, or the millionth part: further digits are noise of binary fractions.
pub(super) fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// The sum over the count; unknown if there is nothing to divide.
#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 need no last digit")]
pub(super) fn mean(sum: Option<f64>, count: i64) -> Option<f64> {
    sum.filter(|_| count > 0).map(|sum| round(sum / count as f64))
}

#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 need no last digit")]
pub(super) fn ratio_of_counts(part: Option<i64>, whole: Option<i64>) -> Option<f64> {
    let (part, whole) = (part?, whole?);
    (whole != 0).then(|| round(part as f64 / whole as f64))
}

pub(super) fn seconds_between(from: DateTime, to: DateTime) -> i64 {
    to.duration_since(from).as_secs()
}

pub(super) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
