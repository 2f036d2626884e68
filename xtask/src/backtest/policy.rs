//! What to order at the end of a day: what `reorder_recommendations` computes in SQL, and the alternatives to it.

use super::forecast::{Method, Outlook, float, rounded};
use super::records::Product;
use super::settings::Settings;
use super::supply::LeadTime;

/// How service levels are set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Service {
    /// Lower for items of higher cost: the risk of a stock-out in proportion to the cost of a unit.
    RiskPerCost(f64),
    /// The same for all items.
    Same(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stock {
    /// On hand and on order, less what customers are owed.
    Position,
    OnHand,
}

/// A way to decide on orders.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) method: Method,
    pub(super) stock: Stock,
    pub(super) service: Service,
    pub(super) safety_factor: f64,
}

/// The recommended policy first; each other differs from it in one thing.
pub(super) fn policies(settings: &Settings) -> Vec<Policy> {
    let recommended = Policy {
        name: "recommended",
        about: "reorder_recommendations as it is",
        method: Method::ByClass,
        stock: Stock::Position,
        service: Service::RiskPerCost(settings.risk_per_cost),
        safety_factor: settings.safety_factor,
    };
    vec![
        recommended,
        Policy {
            name: "moving_average",
            about: "forecast by the mean of the demand window",
            method: Method::MovingAverage,
            ..recommended
        },
        Policy {
            name: "one_service_level",
            about: "the same service level for all items",
            service: Service::Same(0.98),
            ..recommended
        },
        Policy {
            name: "normal_safety_stock",
            about: "safety stock without the factor for lumpy demand",
            safety_factor: 1.0,
            ..recommended
        },
        Policy {
            name: "on_hand_only",
            about: "orders follow stock on hand, so that a need is ordered again each day",
            stock: Stock::OnHand,
            ..recommended
        },
    ]
}

impl Policy {
    /// The same policy with its service level moved: `step` 0 is as it is, each step about halves or doubles the risk.
    pub(super) fn moved(self, step: f64) -> Self {
        let factor = 2_f64.powf(step);
        let service = match self.service {
            Service::RiskPerCost(risk) => Service::RiskPerCost(risk * factor),
            Service::Same(level) => Service::Same(1.0 - (1.0 - level) * factor),
        };
        Self { service, ..self }
    }

    /// The setting that [`Policy::moved`] changes.
    pub(super) fn control(self) -> f64 {
        match self.service {
            Service::RiskPerCost(risk) => risk,
            Service::Same(level) => level,
        }
    }

    fn service_level(self, settings: &Settings, unit_cost: f64) -> f64 {
        let level = match self.service {
            Service::RiskPerCost(risk) => 1.0 - risk * unit_cost,
            Service::Same(level) => level,
        };
        rounded(level.max(settings.service_level_min).min(settings.service_level_max), 6)
    }
}

/// The levels of one item on one day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Levels {
    pub(super) safety_stock_units: f64,
    pub(super) reorder_point_units: i64,
    pub(super) order_up_to_units: i64,
}

/// Levels from a forecast and a lead time; `None` as long as the forecast error is unknown.
pub(super) fn levels(
    policy: Policy,
    settings: &Settings,
    product: &Product,
    outlook: Outlook,
    lead_time: LeadTime,
) -> Option<Levels> {
    let error = outlook.error_stddev?;
    let forecast = outlook.daily_units;
    let z =
        rounded(normal_quantile(policy.service_level(settings, float(product.unit_cost_cents) / 100.0)), 6);
    let protection = lead_time.days + f64::from(settings.review_days);
    let spread =
        (protection * error * error + forecast * forecast * lead_time.stddev * lead_time.stddev).sqrt();
    let safety = rounded(policy.safety_factor * z * spread, 4);
    let protected = rounded(forecast * protection, 4);
    let reorder_point = ceiling(protected + safety);
    let cycle = ceiling(rounded(forecast * settings.order_cycle_days, 4));
    Some(Levels {
        safety_stock_units: safety,
        reorder_point_units: reorder_point,
        order_up_to_units: reorder_point + cycle,
    })
}

/// Units to order for a stock of so many units, 0 for none, and the cost of one in cents.
pub(super) fn order(
    settings: &Settings,
    product: &Product,
    forecast: f64,
    levels: Levels,
    stock_units: i64,
) -> (i64, i64) {
    if forecast <= 0.0 || stock_units > levels.reorder_point_units {
        return (0, product.unit_cost_cents);
    }
    let minimum = product.tiers.first().map_or(1, |&(units, _)| units);
    let missing = (levels.order_up_to_units - stock_units).max(minimum);
    let needed = (missing + product.pack_size - 1).div_euclid(product.pack_size) * product.pack_size;
    let units = price_break(settings, product, forecast, needed).unwrap_or(needed);
    (units, cost_of(product, units))
}

/// A larger quantity whose lower price saves more than holding the units costs that are not needed yet, each for as
/// long as the needed ones last.
fn price_break(settings: &Settings, product: &Product, forecast: f64, needed: i64) -> Option<i64> {
    let usual = cost_of(product, needed);
    let offer = product.tiers.iter().rev().find(|&&(units, cost)| {
        let more = float(units - needed);
        units > needed
            && units % product.pack_size == 0
            && more <= forecast * settings.price_break_days
            && float(units * (usual - cost))
                > more * float(cost) * settings.holding_rate / 365.0 * float(needed) / forecast
    });
    offer.map(|&(units, _)| units)
}

fn cost_of(product: &Product, units: i64) -> i64 {
    let reached = product.tiers.iter().filter(|(from, _)| units >= *from);
    reached.map(|&(_, cost)| cost).min().unwrap_or(product.unit_cost_cents)
}

/// Abramowitz and Stegun (1964), 26.2.23, as the macro `normal_quantile`.
fn normal_quantile(probability: f64) -> f64 {
    let t = (-2.0 * (1.0 - probability).ln()).sqrt();
    t - (2.515_517 + 0.802_853 * t + 0.010_328 * t * t)
        / (1.0 + 1.432_788 * t + 0.189_269 * t * t + 0.001_308 * t * t * t)
}

/// Sums of figures with four decimals are exact in SQL: what binary fractions add is taken off first.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and stock has far fewer digits")]
fn ceiling(units: f64) -> i64 {
    rounded(units, 4).ceil() as i64
}
