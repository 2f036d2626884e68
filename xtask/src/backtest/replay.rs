//! History again, with another buyer: the same customers, returns, losses and launches, and orders by a policy.
//!
//! Shelves do not depend on each other, so each is replayed by itself. Orders from before the start arrive as they
//! did. Transfers between warehouses are decisions of the planner, so the replay has only those that had left before
//! the start: the planner's figures include the help of the others.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::AddAssign;

use super::forecast::{Forecasts, ShelfForecasts};
use super::policy::{self, Policy, Stock};
use super::records::{Kind, Product, Records, Second};
use super::settings::Settings;
use super::supply::Supply;

/// What happened over the replayed days. Amounts in cents.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) days: i64,
    pub(super) shelf_days: i64,
    pub(super) empty_shelf_days: i64,
    pub(super) ordered_units: i64,
    /// Shipped on the day of the order.
    pub(super) filled_units: i64,
    /// Shipped then or to a customer who waited.
    pub(super) shipped_units: i64,
    pub(super) lost_margin_cents: i64,
    /// The sum over days.
    pub(super) stock_value_cents: i64,
    pub(super) order_lines: i64,
    pub(super) bought_cents: i64,
    /// Order lines although the position covered the need already.
    pub(super) repeated_order_lines: i64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.days = self.days.max(other.days);
        self.shelf_days += other.shelf_days;
        self.empty_shelf_days += other.empty_shelf_days;
        self.ordered_units += other.ordered_units;
        self.filled_units += other.filled_units;
        self.shipped_units += other.shipped_units;
        self.lost_margin_cents += other.lost_margin_cents;
        self.stock_value_cents += other.stock_value_cents;
        self.order_lines += other.order_lines;
        self.bought_cents += other.bought_cents;
        self.repeated_order_lines += other.repeated_order_lines;
    }
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// Goods that come in, from wherever.
    Arrival {
        units: i64,
        ordered: bool,
    },
    Loss(i64),
    Demand {
        units: i64,
        waits: bool,
    },
}

#[derive(Clone, Copy, Debug)]
struct Event {
    day: i32,
    second: Second,
    what: What,
}

/// A customer's line that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    day: i32,
    units: i64,
}

/// A shelf at the start, and what history brings to it afterwards.
#[derive(Clone, Default)]
struct Shelf {
    on_hand: i64,
    on_order: i64,
    waiting: VecDeque<Waiting>,
    /// In the order of time.
    events: Vec<Event>,
}

/// History, ready to be replayed.
pub(super) struct History<'a> {
    records: &'a Records,
    settings: &'a Settings,
    start: i32,
    shelves: Vec<Shelf>,
}

/// Which supplies of the data a replay repeats.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Supplies {
    /// Those that were decided on before the start.
    OrderedBefore,
    /// All, transfers too: the planner's own history.
    All,
}

impl<'a> History<'a> {
    /// From day `start` on.
    pub(super) fn new(records: &'a Records, settings: &'a Settings, start: i32) -> Self {
        let shelves = shelves(records, settings, start, Supplies::OrderedBefore);
        Self { records, settings, start, shelves }
    }

    /// On hand, on order, in transit and not owed to customers, by shelf, at the start.
    pub(super) fn positions(&self) -> Vec<i64> {
        let owed = |shelf: &Shelf| shelf.waiting.iter().map(|line| line.units).sum::<i64>();
        self.shelves.iter().map(|shelf| shelf.on_hand + shelf.on_order - owed(shelf)).collect()
    }

    /// What the buyers of the data did.
    pub(super) fn planner(&self) -> Tally {
        planner(self.records, self.settings, self.start)
    }

    /// The planner's own orders and transfers, replayed: near to [`History::planner`], or the replay is wrong.
    pub(super) fn planner_replayed(&self, forecasts: &Forecasts, supply: &Supply) -> Tally {
        let shelves = shelves(self.records, self.settings, self.start, Supplies::All);
        let bought = self.planner();
        let mut total =
            Tally { order_lines: bought.order_lines, bought_cents: bought.bought_cents, ..Tally::default() };
        for (place, forecasts) in forecasts.shelves.iter().enumerate() {
            let Some(forecasts) = forecasts else { continue };
            total += self.replay_shelf(place, &shelves[place], None, forecasts, supply, 0);
        }
        total
    }

    pub(super) fn replay(&self, policy: Policy, forecasts: &Forecasts, supply: &Supply, draw: u32) -> Tally {
        let mut total = Tally::default();
        for (place, forecasts) in forecasts.shelves.iter().enumerate() {
            let Some(forecasts) = forecasts else { continue };
            total += self.replay_shelf(place, &self.shelves[place], Some(policy), forecasts, supply, draw);
        }
        total
    }

    /// Without a policy nothing is ordered.
    fn replay_shelf(
        &self,
        place: usize,
        start: &Shelf,
        policy: Option<Policy>,
        forecasts: &ShelfForecasts,
        supply: &Supply,
        draw: u32,
    ) -> Tally {
        let product = self.records.product(place);
        let mut run = Run {
            product,
            start: self.start,
            backorder_days: self.settings.backorder_days,
            on_hand: start.on_hand,
            on_order: start.on_order,
            waiting: start.waiting.clone(),
            tally: Tally { days: i64::from(self.records.last - self.start + 1), ..Tally::default() },
        };
        let mut history = start.events.iter().copied().peekable();
        let mut deliveries: BTreeMap<(i32, Second), i64> = BTreeMap::new();
        for day in self.start..=self.records.last {
            loop {
                let next = history.peek().filter(|event| event.day == day).map(|event| event.second);
                let delivered = deliveries.first_key_value().map(|(key, _)| *key);
                match (next, delivered.filter(|(due, _)| *due == day)) {
                    (Some(second), Some((_, due))) if second <= due => run.apply_next(&mut history),
                    (_, Some(key)) => {
                        let units = deliveries.remove(&key).unwrap_or(0);
                        run.apply(day, What::Arrival { units, ordered: true });
                    }
                    (Some(_), None) => run.apply_next(&mut history),
                    (None, None) => break,
                }
            }
            let Some(outlook) = forecasts.on(day) else { continue };
            run.close(day);
            let Some(policy) = policy else { continue };
            if (day - self.start) % self.settings.review_days != 0 {
                continue;
            }
            let lead_time = supply.planned(product.supplier, day);
            let Some(levels) = policy::levels(policy, self.settings, product, outlook, lead_time) else {
                continue;
            };
            let position = run.position();
            let stock = if policy.stock == Stock::Position { position } else { run.on_hand };
            let (units, cost) = policy::order(self.settings, product, outlook.daily_units, levels, stock);
            if units == 0 {
                continue;
            }
            run.tally.order_lines += 1;
            run.tally.bought_cents += units * cost;
            run.tally.repeated_order_lines += i64::from(position > levels.reorder_point_units);
            run.on_order += units;
            for (delay, second, part) in
                parts(units, product.pack_size, &supply.draw(product.supplier, place, day, draw))
            {
                *deliveries.entry((day + delay, second)).or_default() += part;
            }
        }
        run.tally
    }
}

/// Every shelf at the start of day `start`, and what history brings to it from then on.
fn shelves(records: &Records, settings: &Settings, start: i32, supplies: Supplies) -> Vec<Shelf> {
    let mut shelves = vec![Shelf::default(); records.shelves()];
    let shipped = shipped_before(records, start);
    for (line, shipped) in records.lines.iter().zip(&shipped) {
        let shelf = &mut shelves[line.shelf];
        if line.day >= start && line.day <= records.last {
            let what = What::Demand { units: line.units, waits: line.waits };
            shelf.events.push(Event { day: line.day, second: line.second, what });
        } else if line.waits && is_open(line.day, start, settings) && line.units > *shipped {
            shelf.waiting.push_back(Waiting { day: line.day, units: line.units - shipped });
        }
    }
    let mut open: Vec<i64> = records
        .purchases
        .iter()
        .map(|purchase| if purchase.day < start { purchase.units } else { 0 })
        .collect();
    let left_before: HashMap<&str, i32> = records
        .movements
        .iter()
        .filter(|movement| movement.kind == Kind::TransferOut)
        .filter_map(|movement| Some((movement.transfer.as_deref()?, movement.day)))
        .collect();
    for movement in &records.movements {
        let shelf = &mut shelves[movement.shelf];
        if movement.day < start {
            shelf.on_hand += movement.units;
            if let Some(purchase) = movement.purchase {
                open[purchase] -= movement.units.min(open[purchase]);
            }
            continue;
        }
        let ordered_before = movement.purchase.is_none_or(|purchase| records.purchases[purchase].day < start);
        let sent_before = movement.transfer.as_deref().and_then(|id| left_before.get(id));
        let repeats = |decided_before: bool| decided_before || supplies == Supplies::All;
        let units = movement.units;
        let what = match movement.kind {
            Kind::Receipt if repeats(ordered_before) => {
                What::Arrival { units, ordered: movement.purchase.is_some() }
            }
            Kind::TransferIn if repeats(sent_before.is_some_and(|&day| day < start)) => {
                shelf.on_order += units;
                What::Arrival { units, ordered: true }
            }
            Kind::TransferOut if supplies == Supplies::All => What::Loss(-units),
            Kind::Adjustment if units < 0 => What::Loss(-units),
            Kind::Return | Kind::Adjustment => What::Arrival { units, ordered: false },
            _ => continue,
        };
        shelf.events.push(Event { day: movement.day, second: movement.second, what });
    }
    for (purchase, open) in records.purchases.iter().zip(open) {
        shelves[purchase.shelf].on_order += open;
    }
    for shelf in &mut shelves {
        shelf.events.sort_by_key(|event| (event.day, event.second));
    }
    shelves
}

/// The parts of an order in whole packs: days, second and units.
fn parts(units: i64, pack_size: i64, deliveries: &[super::supply::Delivery]) -> Vec<(i32, Second, i64)> {
    let packs = units / pack_size;
    let (mut share, mut sent) = (0.0, 0);
    let mut parts = Vec::with_capacity(deliveries.len());
    for (place, delivery) in deliveries.iter().enumerate() {
        share += delivery.share;
        let until = if place + 1 == deliveries.len() { packs } else { share_of(packs, share) };
        if until > sent {
            parts.push((delivery.days, delivery.second, (until - sent) * pack_size));
            sent = until;
        }
    }
    parts
}

#[expect(clippy::cast_possible_truncation, reason = "at most the number of packs")]
fn share_of(packs: i64, share: f64) -> i64 {
    (super::forecast::float(packs) * share.min(1.0)).round() as i64
}

/// One shelf on its way through the days.
struct Run<'a> {
    product: &'a Product,
    start: i32,
    backorder_days: i32,
    on_hand: i64,
    on_order: i64,
    waiting: VecDeque<Waiting>,
    tally: Tally,
}

impl Run<'_> {
    fn apply_next(&mut self, events: &mut impl Iterator<Item = Event>) {
        if let Some(event) = events.next() {
            self.apply(event.day, event.what);
        }
    }

    fn apply(&mut self, day: i32, what: What) {
        match what {
            What::Arrival { units, ordered } => {
                self.on_hand += units;
                if ordered {
                    self.on_order -= units.min(self.on_order);
                }
                self.serve(day);
            }
            What::Loss(units) => self.on_hand -= units.min(self.on_hand),
            What::Demand { units, waits } => {
                let shipped = units.min(self.on_hand);
                self.on_hand -= shipped;
                self.tally.ordered_units += units;
                self.tally.filled_units += shipped;
                self.tally.shipped_units += shipped;
                let missing = units - shipped;
                if waits && missing > 0 {
                    self.waiting.push_back(Waiting { day, units: missing });
                } else {
                    self.lose(missing);
                }
            }
        }
    }

    /// Ships to customers who wait, in the order in which they asked.
    fn serve(&mut self, day: i32) {
        self.give_up(day - self.backorder_days);
        while let Some(line) = self.waiting.front_mut() {
            let shipped = line.units.min(self.on_hand);
            if shipped == 0 {
                break;
            }
            self.on_hand -= shipped;
            line.units -= shipped;
            self.tally.shipped_units += if line.day >= self.start { shipped } else { 0 };
            self.tally.filled_units += if line.day == day { shipped } else { 0 };
            if line.units == 0 {
                self.waiting.pop_front();
            }
        }
    }

    /// Lines of this day and before have waited too long.
    fn give_up(&mut self, last: i32) {
        while let Some(line) = self.waiting.pop_front_if(|line| line.day <= last) {
            self.lose(if line.day >= self.start { line.units } else { 0 });
        }
    }

    fn close(&mut self, day: i32) {
        self.give_up(day - self.backorder_days - 1);
        self.tally.shelf_days += 1;
        self.tally.empty_shelf_days += i64::from(self.on_hand <= 0);
        self.tally.stock_value_cents += self.on_hand * self.product.unit_cost_cents;
    }

    fn lose(&mut self, units: i64) {
        self.tally.lost_margin_cents +=
            units * (self.product.list_price_cents - self.product.unit_cost_cents);
    }

    fn position(&self) -> i64 {
        self.on_hand + self.on_order - self.waiting.iter().map(|line| line.units).sum::<i64>()
    }
}

/// Whether a line of that day still waits at the end of the day before `start`.
fn is_open(day: i32, start: i32, settings: &Settings) -> bool {
    day < start && day + settings.backorder_days >= start - 1
}

/// Units of each line that were shipped before `start`.
fn shipped_before(records: &Records, start: i32) -> Vec<i64> {
    let mut shipped = vec![0; records.lines.len()];
    for movement in records.movements.iter().filter(|movement| movement.day < start) {
        if let (Kind::Shipment, Some(line)) = (movement.kind, movement.line) {
            shipped[line] -= movement.units;
        }
    }
    shipped
}

fn planner(records: &Records, settings: &Settings, start: i32) -> Tally {
    let mut tally = Tally { days: i64::from(records.last - start + 1), ..Tally::default() };
    let mut shipped = vec![(0, 0); records.lines.len()];
    for movement in &records.movements {
        if let (Kind::Shipment, Some(line)) = (movement.kind, movement.line) {
            let (same_day, all) = &mut shipped[line];
            *all -= movement.units;
            *same_day -= if movement.day == records.lines[line].day { movement.units } else { 0 };
        }
    }
    for (line, (same_day, all)) in records.lines.iter().zip(shipped) {
        if line.day < start || line.day > records.last {
            continue;
        }
        tally.ordered_units += line.units;
        tally.filled_units += same_day;
        tally.shipped_units += all;
        if !line.waits || records.last - line.day >= settings.backorder_days {
            let product = records.product(line.shelf);
            tally.lost_margin_cents +=
                (line.units - all) * (product.list_price_cents - product.unit_cost_cents);
        }
    }
    for purchase in records.purchases.iter().filter(|purchase| (start..=records.last).contains(&purchase.day))
    {
        tally.order_lines += 1;
        tally.bought_cents += purchase.units * purchase.unit_cost_cents;
    }
    tally += stock_of(records, start);
    tally
}

/// Stock as it was: days, empty days and value.
fn stock_of(records: &Records, start: i32) -> Tally {
    let mut changes: Vec<BTreeMap<i32, i64>> = vec![BTreeMap::new(); records.shelves()];
    for movement in &records.movements {
        *changes[movement.shelf].entry(movement.day).or_default() += movement.units;
    }
    for line in records.lines.iter().filter(|line| line.day <= records.last) {
        changes[line.shelf].entry(line.day).or_default();
    }
    let mut tally = Tally::default();
    for (shelf, changes) in changes.iter().enumerate() {
        let Some((&first, _)) = changes.first_key_value() else { continue };
        let cost = records.product(shelf).unit_cost_cents;
        let mut on_hand = 0;
        for day in first..=records.last {
            on_hand += changes.get(&day).copied().unwrap_or(0);
            if day >= start {
                tally.shelf_days += 1;
                tally.empty_shelf_days += i64::from(on_hand <= 0);
                tally.stock_value_cents += on_hand * cost;
            }
        }
    }
    tally
}
