//! The query log of DuckDB environments, which is a table of their ledgers.

use jiff::civil::Date;
use serde::Deserialize;

use super::found::LEDGER_QUERIES;
use crate::metrics::figures::{self, Log};
use crate::metrics::model::{Day, Group, Load};

/// A row of `queries.sql`.
#[derive(Deserialize)]
pub(super) struct LoadRow {
    grouped_by: String,
    group_key: Option<String>,
    queries: i64,
    failed_queries: i64,
    timed_queries: i64,
    total_ms: Option<i64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    max_ms: Option<i64>,
}

impl LoadRow {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of 285,000 years are exact")]
    fn load(&self) -> Load {
        let seconds = |milliseconds: Option<i64>| milliseconds.map(|ms| ms as f64 / 1000.0);
        Load {
            queries: self.queries,
            failed_queries: self.failed_queries,
            timed_queries: self.timed_queries,
            total_seconds: seconds(self.total_ms),
            p50_seconds: self.p50_ms.map(|ms| figures::round(ms / 1000.0)),
            p95_seconds: self.p95_ms.map(|ms| figures::round(ms / 1000.0)),
            max_seconds: seconds(self.max_ms),
            ..Load::default()
        }
        .derived()
    }
}

/// The row of `queries_ahead.sql`.
#[derive(Deserialize)]
pub(super) struct Ahead {
    pub(super) ahead_of_clock: i64,
}

/// The row of `last_query.sql`.
#[derive(Deserialize)]
pub(super) struct LastQuery {
    pub(super) last_day: Option<Date>,
}

pub(super) fn log(rows: Vec<LoadRow>) -> Log {
    let mut log = Log::new(LEDGER_QUERIES);
    for row in rows {
        let load = row.load();
        match row.grouped_by.as_str() {
            "day" => {
                log.days
                    .extend(row.group_key.and_then(|day| Some(Day { date_day: day.parse().ok()?, load })));
            }
            "environment" => log.environments.push(Group { key: row.group_key, load }),
            "user" => log.users.push(Group { key: row.group_key, load }),
            _ => log.total = load,
        }
    }
    log.last_day = log.days.iter().map(|day| day.date_day).max();
    log
}
