//! Nodes by what they cost, how they grow and how often they fail.

use serde::Deserialize;

use crate::metrics::figures;
use crate::metrics::model::{NodeStats, Trend};

/// A row of `nodes.sql`: a node with its places among all of them.
#[derive(Deserialize)]
pub(super) struct Ranked {
    #[serde(flatten)]
    pub(super) stats: NodeStats,
    pub(super) timed_executions: i64,
    pub(super) previous_executions: i64,
    pub(super) previous_total_seconds: Option<f64>,
    pub(super) slowness: i64,
    pub(super) failing: i64,
    /// Among the tests, or among the others.
    pub(super) cost: i64,
    pub(super) growth: i64,
}

/// How many nodes a ranking holds; `nodes.sql` says the same.
pub(super) const RANKED: i64 = 20;

/// The slowest and the most failing, each in its own order.
pub(super) fn nodes(rows: &[Ranked]) -> (Vec<NodeStats>, Vec<NodeStats>) {
    let mut failing: Vec<&Ranked> =
        rows.iter().filter(|row| row.failing <= RANKED && row.stats.failed_executions > 0).collect();
    failing.sort_by_key(|row| row.failing);
    let slowest = rows.iter().filter(|row| row.slowness <= RANKED);
    (slowest.map(Ranked::stats).collect(), failing.into_iter().map(Ranked::stats).collect())
}

/// The tests that cost most, and the other nodes that grew most, each in their order.
pub(super) fn trends(rows: &[Ranked]) -> (Vec<Trend>, Vec<Trend>) {
    let is_test = |row: &&Ranked| matches!(row.stats.kind.as_str(), "test" | "unit_test");
    let timed = || rows.iter().filter(|row| row.timed_executions > 0);
    let mut tests: Vec<&Ranked> = timed().filter(is_test).filter(|row| row.cost <= RANKED).collect();
    tests.sort_by_key(|row| row.cost);
    let mut others: Vec<&Ranked> =
        timed().filter(|row| !is_test(row)).filter(|row| row.growth <= RANKED).collect();
    others.sort_by_key(|row| row.growth);
    let grew = |trend: &Trend| trend.change_seconds.is_some_and(|change| change > 0.0);
    (
        tests.into_iter().map(Ranked::trend).collect(),
        others.into_iter().map(Ranked::trend).filter(grew).collect(),
    )
}

impl Ranked {
    fn stats(&self) -> NodeStats {
        let stats = self.stats.clone();
        NodeStats {
            mean_seconds: figures::mean(stats.total_seconds, self.timed_executions),
            total_seconds: stats.total_seconds.map(figures::round),
            p95_seconds: stats.p95_seconds.map(figures::round),
            ..stats
        }
    }

    fn trend(&self) -> Trend {
        let stats = &self.stats;
        let mean = figures::mean(stats.total_seconds, self.timed_executions);
        let previous = figures::mean(self.previous_total_seconds, self.previous_executions);
        let change = mean.zip(previous).map(|(now, before)| figures::round(now - before));
        Trend {
            environment: stats.environment.clone(),
            node_id: stats.node_id.clone(),
            name: stats.name.clone(),
            kind: stats.kind.clone(),
            layer: stats.layer.clone(),
            executions: self.timed_executions,
            total_seconds: stats.total_seconds.map(figures::round),
            mean_seconds: mean,
            previous_executions: self.previous_executions,
            previous_mean_seconds: previous,
            change_seconds: change,
            change_ratio: change
                .zip(previous.filter(|before| *before > 0.0))
                .map(|(change, before)| figures::round(change / before)),
        }
    }
}
