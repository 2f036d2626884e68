//! What a backtest prints, for people and for programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::forecast::rounded;
use super::frontier::{Frontier, Point, Trial};
use super::policy;
use super::records::Records;
use super::replay::History;
use crate::system::console::{self, Align};
use crate::system::contract::Contract;

#[derive(Serialize, JsonSchema)]
pub(super) struct Report {
    version: u32,
    data_sets: Vec<DataSet>,
    summary: Vec<Summary>,
}

/// A policy over all data sets; unknown if a frontier does not reach the planner's stock value.
#[derive(Serialize, JsonSchema)]
struct Summary {
    policy: &'static str,
    mean_points_above_planner: Option<f64>,
    least_points_above_planner: Option<f64>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct DataSet {
    name: String,
    start_day: String,
    last_day: String,
    planner: Figures,
    /// The planner's own orders and transfers in the replay: how exact the replay is.
    planner_replayed: Figures,
    policies: Vec<PolicyReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recommendations: Option<Vec<Recommendation>>,
}

#[derive(Serialize, JsonSchema)]
struct PolicyReport {
    policy: &'static str,
    description: &'static str,
    as_set: Figures,
    fill_rate_at_planner_value: Option<f64>,
    points_above_planner: Option<f64>,
    shipped_points_above_planner: Option<f64>,
    frontier: Vec<Figures>,
}

/// Rates are shares of 1, amounts are in the currency of the data, and both are of the replayed days.
#[derive(Serialize, JsonSchema)]
struct Figures {
    /// The setting that moves the policy along its frontier: risk per unit of cost, or the service level.
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<f64>,
    fill_rate: f64,
    shipped_rate: f64,
    stock_out_rate: f64,
    mean_stock_value: f64,
    order_lines: f64,
    bought_value: f64,
    holding_cost: f64,
    lost_margin: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeated_order_lines: Option<f64>,
}

/// A row of `reorder_recommendations`.
#[derive(Serialize, JsonSchema)]
struct Recommendation {
    product_id: String,
    warehouse_id: String,
    position_units: i64,
    forecast_daily_units: f64,
    lead_time_days: f64,
    safety_stock_units: Option<f64>,
    reorder_point_units: Option<i64>,
    order_up_to_units: Option<i64>,
    suggested_units: Option<i64>,
    order_unit_cost: f64,
}

pub(crate) fn contract() -> Contract {
    Contract::output::<Report>("backtest", "cargo xtask backtest --format json")
}

impl Report {
    pub(super) fn new(data_sets: Vec<DataSet>) -> Self {
        let names: Vec<&'static str> = data_sets
            .first()
            .map(|set| set.policies.iter().map(|policy| policy.policy).collect())
            .unwrap_or_default();
        let summary = names
            .into_iter()
            .enumerate()
            .map(|(place, policy)| {
                let points: Option<Vec<f64>> =
                    data_sets.iter().map(|set| set.policies[place].points_above_planner).collect();
                Summary {
                    policy,
                    mean_points_above_planner: points.as_deref().map(|points| rounded(mean(points), 3)),
                    least_points_above_planner: points
                        .map(|points| points.into_iter().fold(f64::INFINITY, f64::min)),
                }
            })
            .collect();
        Self { version: 1, data_sets, summary }
    }

    /// Whether the recommended policy is nowhere more than so many points below the planner.
    pub(super) fn passes(&self, gate: f64) -> bool {
        self.summary
            .first()
            .and_then(|summary| summary.least_points_above_planner)
            .is_some_and(|least| least >= -gate)
    }

    pub(super) fn text(&self) -> String {
        let mut parts: Vec<String> = self.data_sets.iter().map(DataSet::text).collect();
        if self.data_sets.len() > 1 {
            let rows: Vec<Vec<String>> = self
                .summary
                .iter()
                .map(|row| {
                    let least = points(row.least_points_above_planner);
                    vec![row.policy.to_owned(), points(row.mean_points_above_planner), least]
                })
                .collect();
            let header = ["all data sets, at the planner's stock value", "mean points", "least points"];
            parts.push(console::table(&header, &[Align::Left, Align::Right, Align::Right], &rows));
        }
        parts.join("\n\n") + "\n"
    }
}

impl DataSet {
    pub(super) fn new(name: &str, records: &Records, trial: &Trial<'_>, last_day: bool) -> Self {
        let planner = trial.planner();
        let policies =
            trial.frontiers().iter().map(|frontier| PolicyReport::new(frontier, &planner)).collect();
        Self {
            name: name.to_owned(),
            start_day: records.first.plus(trial.start).to_string(),
            last_day: records.first.plus(records.last).to_string(),
            planner: Figures::new(&planner, false),
            planner_replayed: Figures::new(&trial.planner_replayed(), false),
            policies,
            recommendations: last_day.then(|| recommendations(trial)),
        }
    }

    fn text(&self) -> String {
        let title = format!("{}: {} to {}", self.name, self.start_day, self.last_day);
        let header = [
            "policy",
            "fill rate",
            "later too",
            "stock-outs",
            "stock value",
            "orders",
            "bought",
            "holding cost",
            "lost margin",
            "repeated",
            "at planner's value",
        ];
        let mut aligns = [Align::Right; 11];
        aligns[0] = Align::Left;
        let mut rows = vec![
            self.planner.row("planner", String::new()),
            self.planner_replayed.row("planner, replayed", String::new()),
        ];
        rows.extend(
            self.policies
                .iter()
                .map(|policy| policy.as_set.row(policy.policy, points(policy.points_above_planner))),
        );
        let mut text = format!("{title}\n{}", console::table(&header, &aligns, &rows));
        if let Some(recommended) = self.policies.first() {
            let rows: Vec<Vec<String>> = recommended
                .frontier
                .iter()
                .map(|point| {
                    let control = point.control.unwrap_or(0.0);
                    vec![format!("{control:.6}"), percent(point.fill_rate), amount(point.mean_stock_value)]
                })
                .collect();
            let header = ["frontier: risk_per_cost", "fill rate", "stock value"];
            text += "\n\n";
            text += &console::table(&header, &[Align::Right; 3], &rows);
        }
        text
    }
}

impl PolicyReport {
    fn new(frontier: &Frontier, planner: &Point) -> Self {
        let at_value = |figure: fn(&Point) -> f64| frontier.at_value(planner.mean_stock_value, figure);
        let above = |figure: fn(&Point) -> f64| {
            at_value(figure).map(|reached| rounded((reached - figure(planner)) * 100.0, 3))
        };
        Self {
            policy: frontier.policy.name,
            description: frontier.policy.about,
            as_set: Figures::new(&frontier.as_set, true),
            fill_rate_at_planner_value: at_value(|point| point.fill_rate).map(|rate| rounded(rate, 5)),
            points_above_planner: above(|point| point.fill_rate),
            shipped_points_above_planner: above(|point| point.shipped_rate),
            frontier: frontier.points.iter().map(|point| Figures::new(point, true)).collect(),
        }
    }
}

impl Figures {
    fn new(point: &Point, is_replayed: bool) -> Self {
        Self {
            control: is_replayed.then_some(point.control),
            fill_rate: rounded(point.fill_rate, 5),
            shipped_rate: rounded(point.shipped_rate, 5),
            stock_out_rate: rounded(point.stock_out_rate, 5),
            mean_stock_value: rounded(point.mean_stock_value, 2),
            order_lines: rounded(point.order_lines, 1),
            bought_value: rounded(point.bought_value, 2),
            holding_cost: rounded(point.holding_cost, 2),
            lost_margin: rounded(point.lost_margin, 2),
            repeated_order_lines: is_replayed.then(|| rounded(point.repeated_order_lines, 1)),
        }
    }

    fn row(&self, name: &str, above: String) -> Vec<String> {
        vec![
            name.to_owned(),
            percent(self.fill_rate),
            percent(self.shipped_rate),
            percent(self.stock_out_rate),
            amount(self.mean_stock_value),
            amount(self.order_lines),
            amount(self.bought_value),
            amount(self.holding_cost),
            amount(self.lost_margin),
            self.repeated_order_lines.map(amount).unwrap_or_default(),
            above,
        ]
    }
}

/// What the recommended policy orders at the end of the last day, from the stock of the data.
fn recommendations(trial: &Trial<'_>) -> Vec<Recommendation> {
    let (records, settings) = (trial.records, trial.settings);
    let Some(&recommended) = policy::policies(settings).first() else { return Vec::new() };
    let positions = History::new(records, settings, records.last + 1).positions();
    let shelves = trial.by_class.shelves.iter().zip(positions).enumerate();
    shelves
        .filter_map(|(shelf, (forecasts, position_units))| {
            let outlook = forecasts.as_ref()?.on(records.last)?;
            let product = records.product(shelf);
            let lead_time = trial.supply.planned(product.supplier, records.last);
            let levels = policy::levels(recommended, settings, product, outlook, lead_time);
            let order = levels
                .map(|levels| policy::order(settings, product, outlook.daily_units, levels, position_units));
            let cost = order.map_or(product.unit_cost_cents, |(_, cost)| cost);
            Some(Recommendation {
                product_id: product.id.clone(),
                warehouse_id: records.warehouses[records.warehouse(shelf)].clone(),
                position_units,
                forecast_daily_units: outlook.daily_units,
                lead_time_days: lead_time.days,
                safety_stock_units: levels.map(|levels| levels.safety_stock_units),
                reorder_point_units: levels.map(|levels| levels.reorder_point_units),
                order_up_to_units: levels.map(|levels| levels.order_up_to_units),
                suggested_units: order.map(|(units, _)| units),
                order_unit_cost: rounded(super::forecast::float(cost) / 100.0, 2),
            })
        })
        .collect()
}

fn mean(values: &[f64]) -> f64 {
    let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
    values.iter().sum::<f64>() / f64::from(count)
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn points(points: Option<f64>) -> String {
    points.map_or_else(|| "not reached".to_owned(), |points| format!("{points:+.2}"))
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates; amounts are shown without decimals")]
fn amount(value: f64) -> String {
    console::grouped(value.round() as i64)
}
