//! The frontier of a policy: fill rate against stock value, over service levels.

use rayon::prelude::*;

use super::forecast::{Forecasts, Method, float};
use super::policy::{self, Policy};
use super::records::Records;
use super::replay::{History, Tally};
use super::settings::Settings;
use super::supply::{LeadTimes, Supply};

/// Steps of the service level on both sides of the setting.
const STEPS: [f64; 9] = [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0];
/// Further steps until the frontier reaches the planner's stock value.
const MOST_STEPS: f64 = 12.0;
/// The same random deliveries on every run.
const SEED: u64 = 20;

/// What a policy came to, as means over the draws.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Point {
    pub(super) control: f64,
    pub(super) fill_rate: f64,
    pub(super) shipped_rate: f64,
    pub(super) stock_out_rate: f64,
    pub(super) mean_stock_value: f64,
    pub(super) order_lines: f64,
    pub(super) bought_value: f64,
    pub(super) lost_margin: f64,
    pub(super) holding_cost: f64,
    pub(super) repeated_order_lines: f64,
}

/// A policy as it is set, and with other service levels, by stock value.
pub(super) struct Frontier {
    pub(super) policy: Policy,
    pub(super) as_set: Point,
    pub(super) points: Vec<Point>,
}

pub(super) struct Trial<'a> {
    pub(super) records: &'a Records,
    pub(super) settings: &'a Settings,
    pub(super) start: i32,
    pub(super) supply: Supply,
    pub(super) by_class: Forecasts,
    moving_average: Forecasts,
    history: History<'a>,
    draws: u32,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        records: &'a Records,
        settings: &'a Settings,
        start: i32,
        lead_times: LeadTimes,
        draws: u32,
    ) -> Self {
        Self {
            records,
            settings,
            start,
            supply: Supply::new(records, settings, lead_times, SEED),
            by_class: Forecasts::new(records, settings, Method::ByClass),
            moving_average: Forecasts::new(records, settings, Method::MovingAverage),
            history: History::new(records, settings, start),
            draws,
        }
    }

    pub(super) fn planner(&self) -> Point {
        self.point(0.0, &[self.history.planner()])
    }

    pub(super) fn planner_replayed(&self) -> Point {
        self.point(0.0, &[self.history.planner_replayed(&self.by_class, &self.supply)])
    }

    pub(super) fn frontiers(&self) -> Vec<Frontier> {
        let target = self.planner().mean_stock_value;
        policy::policies(self.settings).into_par_iter().map(|policy| self.frontier(policy, target)).collect()
    }

    fn frontier(&self, policy: Policy, target: f64) -> Frontier {
        let at = |step: f64| self.play(policy.moved(step));
        let mut points: Vec<Point> = STEPS.par_iter().map(|&step| at(step)).collect();
        let as_set = points[STEPS.len() / 2];
        // Less risk is more stock.
        let (mut low, mut high) = (STEPS[0], STEPS[STEPS.len() - 1]);
        while points.iter().all(|point| point.mean_stock_value < target) && low > -MOST_STEPS {
            low -= 2.0;
            points.push(at(low));
        }
        while points.iter().all(|point| point.mean_stock_value > target) && high < MOST_STEPS {
            high += 2.0;
            points.push(at(high));
        }
        points.sort_by(|one, next| one.mean_stock_value.total_cmp(&next.mean_stock_value));
        points.dedup_by(|one, next| one.mean_stock_value.total_cmp(&next.mean_stock_value).is_eq());
        Frontier { policy, as_set, points }
    }

    fn play(&self, policy: Policy) -> Point {
        let forecasts = if policy.method == Method::ByClass { &self.by_class } else { &self.moving_average };
        let tallies: Vec<Tally> = (0..self.draws)
            .into_par_iter()
            .map(|draw| self.history.replay(policy, forecasts, &self.supply, draw))
            .collect();
        self.point(policy.control(), &tallies)
    }

    fn point(&self, control: f64, tallies: &[Tally]) -> Point {
        let mut total = Tally::default();
        for tally in tallies {
            total += *tally;
        }
        let draws = float(i64::try_from(tallies.len()).unwrap_or(1));
        let mean = |sum: i64| float(sum) / draws;
        let ratio = |part: i64, whole: i64| if whole > 0 { float(part) / float(whole) } else { f64::NAN };
        let days = float(total.days);
        let mean_stock_value = mean(total.stock_value_cents) / 100.0 / days;
        Point {
            control,
            fill_rate: ratio(total.filled_units, total.ordered_units),
            shipped_rate: ratio(total.shipped_units, total.ordered_units),
            stock_out_rate: ratio(total.empty_shelf_days, total.shelf_days),
            mean_stock_value,
            order_lines: mean(total.order_lines),
            bought_value: mean(total.bought_cents) / 100.0,
            lost_margin: mean(total.lost_margin_cents) / 100.0,
            holding_cost: mean_stock_value * self.settings.holding_rate * days / 365.0,
            repeated_order_lines: mean(total.repeated_order_lines),
        }
    }
}

impl Frontier {
    /// A figure at a stock value, between the points on both sides of it; `None` outside of the frontier.
    pub(super) fn at_value(&self, value: f64, figure: fn(&Point) -> f64) -> Option<f64> {
        let high = self.points.iter().position(|point| point.mean_stock_value >= value)?;
        let above = self.points[high];
        let below = self.points.get(high.checked_sub(1)?)?;
        let share = (value - below.mean_stock_value) / (above.mean_stock_value - below.mean_stock_value);
        Some(figure(below) + share * (figure(&above) - figure(below)))
    }
}
