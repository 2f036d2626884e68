//! Lead times: what the scorecard of each day knows of a supplier, and what the deliveries of a replayed order are.

use std::collections::BTreeMap;

use super::forecast::{float, rounded};
use super::records::{Kind, Purchase, Records, Second};
use super::settings::Settings;
use crate::seed::{Dice, Purpose};

/// A replayed order is delivered like one of so many orders of the supplier, those nearest in time, so that strikes
/// and closures stay where they were.
const NEAREST: usize = 8;
/// With fewer orders, a supplier's agreed figures are drawn from.
const FEWEST: usize = 4;
/// When goods come in if no record says so: 11:00.
const USUAL_SECOND: Second = 11 * 3600;

/// Where the lead times of replayed orders come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LeadTimes {
    /// The supplier's own deliveries around that time, late and split ones too.
    #[default]
    History,
    /// The agreed mean and deviation, in one delivery.
    Agreed,
}

/// A part of an order, and when it comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// Days after the order.
    pub(super) days: i32,
    pub(super) second: Second,
    /// Of the ordered units.
    pub(super) share: f64,
}

/// Planned lead time and its deviation, in days.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LeadTime {
    pub(super) days: f64,
    pub(super) stddev: f64,
}

pub(super) struct Supply {
    /// By supplier and day: what `supplier_scorecard` shows as planning lead time at the end of that day.
    planned: Vec<Vec<LeadTime>>,
    /// By supplier, in the order of time: the day of the order and its deliveries.
    history: Vec<Vec<(i32, Vec<Delivery>)>>,
    agreed: Vec<LeadTime>,
    source: LeadTimes,
    seed: u64,
}

impl Supply {
    pub(super) fn new(records: &Records, settings: &Settings, source: LeadTimes, seed: u64) -> Self {
        let receipts = receipts(records);
        let agreed: Vec<LeadTime> = records
            .suppliers
            .iter()
            .map(|supplier| LeadTime {
                days: supplier.lead_time_days,
                stddev: supplier.lead_time_stddev_days,
            })
            .collect();
        let planned = (0..agreed.len())
            .map(|supplier| planned(records, settings, &receipts, supplier, agreed[supplier]))
            .collect();
        let mut history = vec![Vec::new(); agreed.len()];
        for (purchase, receipts) in records.purchases.iter().zip(&receipts) {
            if purchase.day < records.last {
                let agreed = whole(agreed[purchase.supplier].days);
                // What is still open comes after the end of the data, and not before it is due.
                let open_days = (records.last + 1 - purchase.day).max(agreed);
                let deliveries = deliveries(purchase, receipts, open_days);
                history[purchase.supplier].push((purchase.day, deliveries));
            }
        }
        for orders in &mut history {
            orders.sort_by_key(|(day, _)| *day);
        }
        Self { planned, history, agreed, source, seed }
    }

    /// What the scorecard of `day` says.
    pub(super) fn planned(&self, supplier: usize, day: i32) -> LeadTime {
        let days = &self.planned[supplier];
        usize::try_from(day).ok().and_then(|day| days.get(day)).copied().unwrap_or(self.agreed[supplier])
    }

    /// The deliveries of an order: the same in every policy that orders for the shelf on that day.
    pub(super) fn draw(&self, supplier: usize, place: usize, day: i32, draw: u32) -> Vec<Delivery> {
        let index = (u64::from(draw) << 48) ^ ((place as u64) << 16) ^ u64::from(day.unsigned_abs());
        let mut dice = Dice::new(self.seed, Purpose::Backtest, index);
        let orders = &self.history[supplier];
        if self.source == LeadTimes::History && orders.len() >= FEWEST {
            let near = nearest(orders, day);
            let pick = dice.below(u32::try_from(near.len()).unwrap_or(1)) as usize;
            return near[pick].1.clone();
        }
        let LeadTime { days, stddev } = self.agreed[supplier];
        let days = whole(days + stddev * dice.normal()).max(1);
        vec![Delivery { days, second: USUAL_SECOND, share: 1.0 }]
    }
}

/// The orders nearest in time to `day`.
fn nearest(orders: &[(i32, Vec<Delivery>)], day: i32) -> &[(i32, Vec<Delivery>)] {
    let (mut low, mut high) = (0, orders.len());
    while high - low > NEAREST {
        if (orders[low].0 - day).abs() > (orders[high - 1].0 - day).abs() {
            low += 1;
        } else {
            high -= 1;
        }
    }
    &orders[low..high]
}

/// The receipts of each purchase: day, second and units, in the order of time.
fn receipts(records: &Records) -> Vec<Vec<(i32, Second, i64)>> {
    let mut all = vec![Vec::new(); records.purchases.len()];
    for movement in records.movements.iter().filter(|movement| movement.kind == Kind::Receipt) {
        if let Some(purchase) = movement.purchase {
            all[purchase].push((movement.day, movement.second, movement.units));
        }
    }
    all
}

fn deliveries(purchase: &Purchase, receipts: &[(i32, Second, i64)], open_days: i32) -> Vec<Delivery> {
    let share = |units: i64| float(units) / float(purchase.units.max(1));
    let mut parts: Vec<Delivery> = receipts
        .iter()
        .map(|&(day, second, units)| Delivery {
            days: (day - purchase.day).max(1),
            second,
            share: share(units),
        })
        .collect();
    let received: i64 = receipts.iter().map(|(_, _, units)| units).sum();
    if received < purchase.units {
        let share = share(purchase.units - received);
        parts.push(Delivery { days: open_days, second: USUAL_SECOND, share });
    }
    parts
}

/// One figure per day: of the lines that were complete by then, if there are enough.
fn planned(
    records: &Records,
    settings: &Settings,
    receipts: &[Vec<(i32, Second, i64)>],
    supplier: usize,
    agreed: LeadTime,
) -> Vec<LeadTime> {
    // Changes of the number of complete lines, of the sum and of the sum of squares of their lead times.
    let mut changes: BTreeMap<i32, [i64; 3]> = BTreeMap::new();
    for (purchase, receipts) in records.purchases.iter().zip(receipts) {
        if purchase.supplier != supplier {
            continue;
        }
        let (mut received, mut known) = (0, None);
        for &(day, _, units) in receipts {
            received += units;
            if received < purchase.units || purchase.day > day {
                continue;
            }
            let lead = i64::from(day - purchase.day);
            let change = changes.entry(day).or_default();
            let [count, sum, squares] = known.map_or([0; 3], |known: i64| [1, known, known * known]);
            for (total, change_by) in change.iter_mut().zip([1 - count, lead - sum, lead * lead - squares]) {
                *total += change_by;
            }
            known = Some(lead);
        }
    }
    let mut totals = [0_i64; 3];
    (0..=records.last)
        .map(|day| {
            if let Some(change) = changes.get(&day) {
                for (total, change_by) in totals.iter_mut().zip(change) {
                    *total += change_by;
                }
            }
            measured(settings, totals)
                .unwrap_or(LeadTime { days: rounded(agreed.days, 2), stddev: rounded(agreed.stddev, 2) })
        })
        .collect()
}

fn measured(settings: &Settings, [lines, sum, squares]: [i64; 3]) -> Option<LeadTime> {
    let enough = usize::try_from(lines).is_ok_and(|lines| lines >= settings.lead_time_min_lines.max(2));
    enough.then(|| LeadTime {
        days: rounded(float(sum) / float(lines), 2),
        stddev: rounded((float(lines * squares - sum * sum) / float(lines * (lines - 1))).sqrt(), 2),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and a lead time has few digits")]
fn whole(days: f64) -> i32 {
    days.round() as i32
}
