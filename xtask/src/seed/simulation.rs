//! The company at work, one day after the other: orders come in, goods move, buyers buy.
//!
//! A day's events are put in order of time first and applied in that order, so the running balance of the
//! file is the balance of the shelf, and "never below zero" holds because nothing leaves a shelf that is
//! not on it. State is one shelf for each product and warehouse, what is under way, and one day.

use std::collections::{HashMap, VecDeque};

use anyhow::Result;

use super::agenda::{Agenda, Event, HORIZON_DAYS, What};
use super::calendar::Day;
use super::catalogue::{Catalogue, Product, Supplier, days};
use super::csv_out::Table;
use super::demand::{CHANNELS, Demand, Order, WHOLESALE};
use super::dice::{Dice, Purpose, hash};
use super::options::Spec;
use super::purchasing::{self, Book, Purchase};
use super::stock::{Shelf, lead_time};

/// Events by the hour they happen at. The early ones exclude each other, so that a count or a transfer
/// decided on last night's stock meets that stock.
const OPENING: (u32, u32) = (4 * 3600, 5 * 3600);
const COUNTING: (u32, u32) = (5 * 3600, 5 * 3600 + 1800);
const DEPARTURE: (u32, u32) = (5 * 3600 + 1800, 6 * 3600);
const ARRIVAL: (u32, u32) = (6 * 3600, 11 * 3600);
const RECEIPT: (u32, u32) = (7 * 3600, 15 * 3600);
const RETURN: (u32, u32) = (9 * 3600, 18 * 3600);
const MISHAP: (u32, u32) = (8 * 3600, 20 * 3600);
/// Seconds from an order to its shipment.
const PICKING: (u32, u32) = (15 * 60, 170 * 60);

/// Each shelf is counted once in this many days.
const COUNT_DAYS: u32 = 91;
const SUNDAY: usize = 6;

/// Days that a wholesale customer waits for goods that were not on the shelf; after that the rest is cancelled.
const BACKORDER_DAYS: i32 = 28;

/// The files that grow with the days.
pub(super) struct Files {
    pub(super) orders: Table,
    pub(super) purchases: Table,
    pub(super) movements: Table,
}

pub(super) struct Simulation<'a> {
    spec: &'a Spec,
    catalogue: &'a Catalogue,
    demand: Demand<'a>,
    files: &'a mut Files,
    shelves: Vec<Shelf>,
    agenda: Agenda,
    dice: Dice,
    day: Day,
    date: String,
    events: Vec<Event>,
    /// The second of each event above its place in `events`.
    order_of_events: Vec<u64>,
    /// Open wholesale lines by shelf, the oldest first.
    backorders: HashMap<u32, VecDeque<Backorder>>,
    book: Book,
    orders: u64,
    lines: u64,
    transfers: u64,
    movements: u64,
}

/// What is left of an order line that waits for goods.
struct Backorder {
    line: u64,
    units: u32,
    cancelled_on: Day,
}

impl<'a> Simulation<'a> {
    pub(super) fn new(spec: &'a Spec, catalogue: &'a Catalogue, files: &'a mut Files) -> Self {
        let shelves = (spec.products * spec.warehouses) as usize;
        Self {
            spec,
            catalogue,
            demand: Demand::new(spec, catalogue),
            files,
            shelves: vec![Shelf::default(); shelves],
            agenda: Agenda::new(),
            dice: Dice::new(spec.seed, Purpose::Operations, 0),
            day: spec.first,
            date: String::new(),
            events: Vec::new(),
            order_of_events: Vec::new(),
            backorders: HashMap::new(),
            book: Book::default(),
            orders: 0,
            lines: 0,
            transfers: 0,
            movements: 0,
        }
    }

    /// Play every day. After each, `watch` hears the rows so far, and may call the whole thing off.
    pub(super) fn run(mut self, mut watch: impl FnMut(u64) -> Result<()>) -> Result<()> {
        while self.day <= self.spec.last {
            self.play()?;
            watch(self.lines + self.movements)?;
            self.day = self.day.plus(1);
            self.agenda.next_day();
        }
        Ok(())
    }

    fn play(&mut self) -> Result<()> {
        self.date = self.day.to_string();
        self.dice = Dice::new(self.spec.seed, Purpose::Operations, self.day.key());
        self.events.clear();
        self.order_of_events.clear();
        self.open_shelves();
        self.count_shelves();
        self.rebalance();
        self.have_mishaps();
        self.expect_arrivals();
        self.take_orders()?;
        self.apply_events()?;
        self.buy()
    }

    /// Opening stock on the first day, and on its launch for a product that comes later.
    fn open_shelves(&mut self) {
        for (index, product) in (0_u32..).zip(&self.catalogue.products) {
            if product.launched_on.max(self.spec.first) != self.day {
                continue;
            }
            let supplier = &self.catalogue.suppliers[product.supplier as usize];
            let mut dice = Dice::new(self.spec.seed, Purpose::Opening, u64::from(index));
            let outlook = self.outlook(product, supplier);
            for warehouse in 0..self.spec.warehouses {
                let mean = self.demand.expected_units(product, warehouse, self.day);
                let empty = Shelf::expecting(mean, 2.0 + f64::from(product.pack_size) / 2.0);
                let quantity = empty.opening(product, supplier, outlook, &mut dice);
                let slot = self.slot(index, warehouse);
                self.shelves[slot as usize] = empty;
                self.at(OPENING, Event { slot, quantity, what: What::Opening });
            }
        }
    }

    fn count_shelves(&mut self) {
        let all = self.slot(self.spec.products, 0);
        let offset = u32::try_from(self.day.since(Day::monday(0)).rem_euclid(days(COUNT_DAYS))).unwrap_or(0);
        for slot in (offset..all).step_by(COUNT_DAYS as usize) {
            let on_hand = self.shelves[slot as usize].on_hand;
            if on_hand == 0 || !self.dice.chance(0.4) {
                continue;
            }
            let quantity = 1 + self.dice.below(1 + on_hand / 40);
            let lost = self.dice.chance(0.6);
            let what = if lost { What::Loss("cycle_count") } else { What::Gain("cycle_count") };
            self.at(COUNTING, Event { slot, quantity, what });
        }
    }

    /// On weekdays a fifth of the products is looked at: where one warehouse is about to run dry and
    /// another has plenty, goods are sent over. Some are in transit when the data ends.
    fn rebalance(&mut self) {
        let weekday = u32::try_from(self.day.weekday()).unwrap_or(0);
        for product in (0..self.spec.products).filter(|product| product % 5 == weekday) {
            let Some((from, to)) = self.best_transfer(product) else { continue };
            let (giver, taker) = (self.slot(product, from), self.slot(product, to));
            let quantity = self.shelves[giver as usize].surplus().min(self.shelves[taker as usize].need());
            let days = 2 + hash(u64::from(from) << 32 | u64::from(to)) % 4;
            if quantity > 1 {
                let what = What::Departure { to: taker, days };
                self.at(DEPARTURE, Event { slot: giver, quantity, what });
            }
        }
    }

    /// The warehouse with the most to spare and the one in greatest need.
    fn best_transfer(&self, product: u32) -> Option<(u32, u32)> {
        let state = |warehouse: &u32| &self.shelves[self.slot(product, *warehouse) as usize];
        let from = (0..self.spec.warehouses).max_by_key(|warehouse| state(warehouse).surplus())?;
        let to = (0..self.spec.warehouses).max_by_key(|warehouse| state(warehouse).need())?;
        (from != to).then_some((from, to))
    }

    fn have_mishaps(&mut self) {
        let all = self.slot(self.spec.products, 0);
        for (what, a_day) in
            [(What::Loss("damage"), 0.0016), (What::Loss("theft"), 0.0006), (What::Gain("found"), 0.0004)]
        {
            for _ in 0..self.dice.poisson(f64::from(all) * a_day) {
                let slot = self.dice.below(all);
                let quantity = 1 + self.dice.streak(0.4, 5);
                if self.shelves[slot as usize].on_hand > 0 {
                    self.at(MISHAP, Event { slot, quantity, what });
                }
            }
        }
    }

    fn expect_arrivals(&mut self) {
        for place in 0..self.agenda.today().len() {
            let event = self.agenda.today()[place];
            let hours = match event.what {
                What::Arrival { .. } => ARRIVAL,
                What::Return { .. } => RETURN,
                _ => RECEIPT,
            };
            self.at(hours, event);
        }
    }

    /// Write today's orders; each line is picked a while later.
    fn take_orders(&mut self) -> Result<()> {
        self.demand.turn_to(self.day);
        let mut first = 0;
        for place in 0..self.demand.orders.len() {
            let order = &self.demand.orders[place];
            self.orders += 1;
            let (second, channel, warehouse) = (order.second, order.channel, order.warehouse);
            let end = first + order.lines as usize;
            for line in first..end {
                self.lines += 1;
                self.write_line(place, line)?;
                let line = &self.demand.lines[line];
                let (slot, quantity) = (self.slot(line.product, warehouse), line.quantity);
                self.shelves[slot as usize].asked += quantity;
                let shipped_at = second + self.dice.between(PICKING.0, PICKING.1);
                let what = What::Shipment { line: self.lines, channel };
                self.at((shipped_at, shipped_at + 1), Event { slot, quantity, what });
            }
            first = end;
        }
        Ok(())
    }

    fn write_line(&mut self, order: usize, line: usize) -> Result<()> {
        let order: &Order = &self.demand.orders[order];
        let line = &self.demand.lines[line];
        self.files
            .orders
            .id("OL-", self.lines, 7)
            .id("SO-", self.orders, 7)
            .stamp(&self.date, order.second)
            .id("CUS-", u64::from(order.customer), 5)
            .word(CHANNELS[order.channel as usize].name)
            .id("WH-", u64::from(order.warehouse) + 1, 2)
            .id("PRD-", u64::from(line.product) + 1, 5)
            .number(u64::from(line.quantity))
            .hundredths(line.price_cents)
            .word(self.demand.promotion_code(line))
            .end()
    }

    fn apply_events(&mut self) -> Result<()> {
        self.order_of_events.sort_unstable();
        for place in 0..self.order_of_events.len() {
            let key = self.order_of_events[place];
            let (second, event) = (key >> 32, self.events[(key & 0xFFFF_FFFF) as usize]);
            self.apply(u32::try_from(second).unwrap_or(0), event)?;
        }
        Ok(())
    }

    /// Let the event happen as far as the shelf allows, and write what happened.
    fn apply(&mut self, second: u32, event: Event) -> Result<()> {
        let state = &mut self.shelves[event.slot as usize];
        let leaves = matches!(event.what, What::Shipment { .. } | What::Departure { .. } | What::Loss(_));
        let quantity = if leaves { event.quantity.min(state.on_hand) } else { event.quantity };
        if let What::Shipment { line, channel: WHOLESALE } = event.what
            && quantity < event.quantity
        {
            let units = event.quantity - quantity;
            let cancelled_on = self.day.plus(BACKORDER_DAYS);
            self.backorders.entry(event.slot).or_default().push_back(Backorder { line, units, cancelled_on });
        }
        if quantity == 0 {
            return Ok(());
        }
        if leaves {
            state.on_hand -= quantity;
        } else {
            state.on_hand += quantity;
        }
        if matches!(event.what, What::Receipt { .. } | What::Arrival { .. }) {
            state.on_order -= quantity;
        }
        self.follow_up(event, quantity);
        self.write_movement(second, event, if leaves { -i64::from(quantity) } else { i64::from(quantity) })?;
        if leaves { Ok(()) } else { self.serve_backorders(second, event.slot) }
    }

    /// Goods have come in: ship what customers wait for, in the order in which they asked.
    fn serve_backorders(&mut self, second: u32, slot: u32) -> Result<()> {
        let Some(mut waiting) = self.backorders.remove(&slot) else { return Ok(()) };
        waiting.retain(|open| open.cancelled_on > self.day);
        while let Some(open) = waiting.front_mut() {
            let state = &mut self.shelves[slot as usize];
            let units = open.units.min(state.on_hand);
            if units == 0 {
                break;
            }
            state.on_hand -= units;
            open.units -= units;
            let what = What::Shipment { line: open.line, channel: WHOLESALE };
            if open.units == 0 {
                waiting.pop_front();
            }
            self.write_movement(second, Event { slot, quantity: units, what }, -i64::from(units))?;
        }
        if !waiting.is_empty() {
            self.backorders.insert(slot, waiting);
        }
        Ok(())
    }

    /// What an event brings about later.
    fn follow_up(&mut self, event: Event, quantity: u32) {
        match event.what {
            What::Departure { to, days } => {
                self.transfers += 1;
                self.shelves[to as usize].on_order += quantity;
                let what = What::Arrival { transfer: self.transfers };
                self.agenda.plan(days, Event { slot: to, quantity, what });
            }
            What::Shipment { line, channel } if self.dice.chance(CHANNELS[channel as usize].return_rate) => {
                let days = self.dice.between(3, 14);
                let quantity = self.dice.between(1, quantity);
                let event = Event { slot: event.slot, quantity, what: What::Return { line } };
                self.agenda.plan(days, event);
            }
            _ => {}
        }
    }

    fn write_movement(&mut self, second: u32, event: Event, quantity: i64) -> Result<()> {
        self.movements += 1;
        let (product, warehouse) = (event.slot / self.spec.warehouses, event.slot % self.spec.warehouses);
        let (kind, line, transfer, reason, purchase) = match event.what {
            What::Opening => ("receipt", 0, 0, "", 0),
            What::Receipt { purchase } => ("receipt", 0, 0, "", purchase),
            What::Shipment { line, .. } => ("shipment", line, 0, "", 0),
            What::Return { line } => ("return", line, 0, "", 0),
            What::Departure { .. } => ("transfer_out", 0, self.transfers, "", 0),
            What::Arrival { transfer } => ("transfer_in", 0, transfer, "", 0),
            What::Loss(reason) | What::Gain(reason) => ("adjustment", 0, 0, reason, 0),
        };
        let row = self.files.movements.id("MV-", self.movements, 7).stamp(&self.date, second);
        row.id("PRD-", u64::from(product) + 1, 5).id("WH-", u64::from(warehouse) + 1, 2);
        row.word(kind).signed(quantity);
        optional_id(row, "OL-", line);
        optional_id(row, "TR-", transfer);
        row.word(reason);
        optional_id(row, "POL-", purchase);
        row.end()
    }

    /// Close the books of the day. Each supplier is sent orders on one weekday for each warehouse, and
    /// delivers on any day but Sunday.
    fn buy(&mut self) -> Result<()> {
        let mut purchases = Vec::new();
        let weekday = u32::try_from(self.day.weekday()).unwrap_or(0);
        for (index, product) in (0_u32..).zip(&self.catalogue.products) {
            if product.launched_on > self.day {
                continue;
            }
            let supplier = &self.catalogue.suppliers[product.supplier as usize];
            let outlook = self.outlook(product, supplier);
            for warehouse in 0..self.spec.warehouses {
                let slot = index * self.spec.warehouses + warehouse;
                let state = &mut self.shelves[slot as usize];
                state.close_day();
                if (product.supplier + warehouse) % 5 != weekday {
                    continue;
                }
                let quantity = state.wanted(product, supplier, outlook);
                if quantity > 0 {
                    state.on_order += quantity;
                    let lead_days =
                        lead_time(supplier, self.spec.world, self.day, HORIZON_DAYS - 1, &mut self.dice);
                    let (supplier, product) = (product.supplier, index);
                    purchases.push(Purchase { supplier, warehouse, product, quantity, lead_days });
                }
            }
        }
        self.place(purchases)
    }

    /// Write the day's purchase orders and expect their deliveries.
    fn place(&mut self, mut purchases: Vec<Purchase>) -> Result<()> {
        purchases.sort_by_key(|purchase| (purchase.supplier, purchase.warehouse, purchase.product));
        let mut dice = Dice::new(self.spec.seed, Purpose::Purchasing, self.day.key());
        for ordered in &purchases {
            let line = self.book.write(&mut self.files.purchases, self.catalogue, self.day, ordered)?;
            let supplier = &self.catalogue.suppliers[ordered.supplier as usize];
            let product = &self.catalogue.products[ordered.product as usize];
            let lead_days = purchasing::with_closures(supplier, self.day, ordered.lead_days);
            for delivery in purchasing::deliveries(ordered, product, lead_days, &mut dice) {
                let sunday = self.day.plus(days(delivery.days)).weekday() == SUNDAY;
                let slot = self.slot(ordered.product, ordered.warehouse);
                let what = What::Receipt { purchase: line };
                self.agenda.plan(
                    (delivery.days + u32::from(sunday)).min(HORIZON_DAYS),
                    Event { slot, quantity: delivery.quantity, what },
                );
            }
        }
        Ok(())
    }

    /// How the season will be when an order of the next review arrives.
    fn outlook(&self, product: &Product, supplier: &Supplier) -> f64 {
        Demand::outlook(self.spec.world, product, self.day, self.day.plus(days(supplier.lead_days + 7)))
    }

    /// Put an event of today on the list, at a moment within `hours`.
    fn at(&mut self, hours: (u32, u32), event: Event) {
        let second = hours.0 + self.dice.below(hours.1 - hours.0);
        let place = self.events.len() as u64;
        self.order_of_events.push(u64::from(second) << 32 | place);
        self.events.push(event);
    }

    fn slot(&self, product: u32, warehouse: u32) -> u32 {
        product * self.spec.warehouses + warehouse
    }
}

fn optional_id(row: &mut Table, prefix: &str, number: u64) {
    if number == 0 {
        row.null()
    } else {
        row.id(prefix, number, 7)
    };
}
