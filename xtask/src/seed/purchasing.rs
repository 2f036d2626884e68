//! Purchase orders: what a buyer orders on a day, at which price, and in how many deliveries it comes.
//!
//! Its draws are separate from the rest of the day's, so that a change here moves no customer order.

use anyhow::Result;

use super::calendar::Day;
use super::catalogue::{Catalogue, Product, Supplier, days};
use super::csv_out::Table;
use super::dice::{Dice, Purpose};

/// How often a delivery comes in two parts.
const PARTIAL: f64 = 0.2;

/// A line of a purchase order before it has a number.
pub(super) struct Purchase {
    pub(super) supplier: u32,
    pub(super) warehouse: u32,
    pub(super) product: u32,
    pub(super) quantity: u32,
    /// Days until it arrives, if it comes in one part and the supplier is not closed meanwhile.
    pub(super) lead_days: u32,
}

/// One delivery for a line.
pub(super) struct Delivery {
    pub(super) days: u32,
    pub(super) quantity: u32,
}

/// A price that holds from a quantity on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tier {
    pub(super) from_units: u32,
    pub(super) cost_cents: u32,
}

/// The price list of a product: the first tier starts at the minimum order quantity, in whole packs.
pub(super) fn price_list(seed: u64, index: u32, cost_cents: u32, pack_size: u32) -> Vec<Tier> {
    let mut dice = Dice::new(seed, Purpose::Terms, u64::from(index));
    let minimum = *dice.pick(&[1, 1, 1, 1, 1, 1, 2, 2, 3, 4]) * pack_size;
    let mut tiers = vec![Tier { from_units: minimum, cost_cents }];
    if dice.chance(0.6) {
        let first = dice.between(2, 4);
        let from_units = minimum.max(pack_size * dice.between(6, 12)) + pack_size;
        tiers.push(Tier { from_units, cost_cents: reduced(cost_cents, first) });
        if dice.chance(0.5) {
            let cost_cents = reduced(cost_cents, first + dice.between(2, 4));
            tiers.push(Tier { from_units: from_units * 3, cost_cents });
        }
    }
    tiers.dedup_by_key(|tier| tier.cost_cents);
    tiers
}

fn reduced(cents: u32, percent: u32) -> u32 {
    (cents * (100 - percent) + 50) / 100
}

impl Product {
    /// Cost of a unit when so many are ordered at once.
    pub(super) fn cost_of(&self, quantity: u32) -> u32 {
        let held = self.tiers.iter().rev().find(|tier| quantity >= tier.from_units);
        held.map_or(self.cost_cents, |tier| tier.cost_cents)
    }

    /// The least that may be ordered at once.
    pub(super) fn minimum_order(&self) -> u32 {
        self.tiers.first().map_or(self.pack_size, |tier| tier.from_units)
    }
}

/// The days on which the suppliers of a country send nothing, as (month, first day, length in days).
fn closures_of(country: &str) -> &'static [(i8, i8, i32)] {
    match country {
        "CN" => &[(2, 8, 9), (10, 1, 7)],
        "IT" => &[(8, 8, 14), (12, 24, 10)],
        "IN" => &[(10, 28, 5)],
        "TR" => &[(4, 18, 5)],
        "US" => &[(11, 26, 4), (12, 24, 3)],
        _ => &[(12, 24, 9)],
    }
}

/// The supplier's closures that begin in `year`, as first and last day.
pub(super) fn closures(supplier: &Supplier, year: i16) -> impl Iterator<Item = (Day, Day)> {
    closures_of(supplier.country).iter().filter_map(move |&(month, day, length)| {
        let first = Day::of(jiff::civil::Date::new(year, month, day).ok()?);
        Some((first, first.plus(length - 1)))
    })
}

/// `lead_days` from `today`, and as many more as the supplier is closed meanwhile.
pub(super) fn with_closures(supplier: &Supplier, today: Day, lead_days: u32) -> u32 {
    let year = today.date().year();
    let mut arrival = today.plus(days(lead_days));
    for (first, last) in
        closures(supplier, year - 1).chain(closures(supplier, year)).chain(closures(supplier, year + 1))
    {
        if last >= today && first <= arrival {
            arrival = arrival.plus(last.since(first.max(today)) + 1);
        }
    }
    u32::try_from(arrival.since(today)).unwrap_or(lead_days)
}

/// In how many parts a line comes, and when.
pub(super) fn deliveries(
    purchase: &Purchase,
    product: &Product,
    days: u32,
    dice: &mut Dice,
) -> Vec<Delivery> {
    let packs = purchase.quantity / product.pack_size;
    if packs < 2 || !dice.chance(PARTIAL) {
        return vec![Delivery { days, quantity: purchase.quantity }];
    }
    let first = (packs * dice.between(40, 80) / 100).clamp(1, packs - 1) * product.pack_size;
    vec![
        Delivery { days, quantity: first },
        Delivery { days: days + dice.between(4, 21), quantity: purchase.quantity - first },
    ]
}

/// Numbers of purchase orders and their lines, and the file that they go to.
#[derive(Default)]
pub(super) struct Book {
    orders: u64,
    lines: u64,
    last: Option<(Day, u32, u32)>,
}

impl Book {
    /// Write one line and return its number. Lines of one supplier and warehouse on one day are one order, so
    /// they must come one after the other.
    pub(super) fn write(
        &mut self,
        file: &mut Table,
        catalogue: &Catalogue,
        day: Day,
        purchase: &Purchase,
    ) -> Result<u64> {
        let head = (day, purchase.supplier, purchase.warehouse);
        if self.last != Some(head) {
            self.orders += 1;
            self.last = Some(head);
        }
        self.lines += 1;
        let product = &catalogue.products[purchase.product as usize];
        let supplier = &catalogue.suppliers[purchase.supplier as usize];
        let promised = day.plus(days(with_closures(supplier, day, supplier.lead_days)));
        file.id("POL-", self.lines, 7)
            .id("PO-", self.orders, 7)
            .word(&day.to_string())
            .word(&promised.to_string())
            .id("SUP-", u64::from(purchase.supplier) + 1, 3)
            .id("WH-", u64::from(purchase.warehouse) + 1, 2)
            .id("PRD-", u64::from(purchase.product) + 1, 5)
            .number(u64::from(purchase.quantity))
            .hundredths(product.cost_of(purchase.quantity))
            .end()?;
        Ok(self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_order_never_costs_more_per_unit() {
        for index in 0..200 {
            let tiers = price_list(42, index, 1_000 + index * 37, 6);
            assert!(tiers.is_sorted_by(|one, next| one.from_units < next.from_units), "{tiers:?}");
            assert!(tiers.is_sorted_by(|one, next| one.cost_cents > next.cost_cents), "{tiers:?}");
            assert!(tiers.iter().all(|tier| tier.from_units % 6 == 0), "{tiers:?}");
        }
    }
}
