//! What customers order on a day: how much, where, through which channel, at which price.
//!
//! A day's demand follows from `--seed`, the date and the catalogue alone, never from the days before or
//! from stock. Only the orders of one day are held at a time.

use super::calendar::Day;
use super::campaigns::Campaign;
use super::catalogue::{Catalogue, Life, Product};
use super::dice::{Dice, Purpose, Wheel, even_share, whole};
use super::options::Spec;
use super::words::{CATEGORIES, Category};
use super::world::World;

/// How a channel behaves. Figures are invented to look like a trading company's, not measured.
pub(super) struct Channel {
    pub(super) name: &'static str,
    /// Its share of all orders.
    share: f64,
    /// Orders by weekday from Monday, relative to its mean day.
    weekdays: [f64; 7],
    /// Its share of all customers.
    customers: f64,
    /// The price it pays, in percent of the shelf price.
    price_percent: u32,
    /// Whether it takes part in promotions.
    promoted: bool,
    /// How often a shipped line comes back.
    pub(super) return_rate: f64,
}

const ONLINE: u32 = 0;
const RETAIL: u32 = 1;
pub(super) const WHOLESALE: u32 = 2;

pub(super) const CHANNELS: [Channel; 4] = [
    Channel {
        name: "online",
        share: 0.46,
        weekdays: [1.15, 1.0, 0.95, 0.9, 0.85, 0.95, 1.2],
        customers: 0.6,
        price_percent: 100,
        promoted: true,
        return_rate: 0.08,
    },
    Channel {
        name: "retail",
        share: 0.24,
        weekdays: [1.0, 0.85, 0.9, 1.05, 1.3, 1.6, 0.3],
        customers: 0.1,
        price_percent: 88,
        promoted: true,
        return_rate: 0.02,
    },
    Channel {
        name: "wholesale",
        share: 0.1,
        weekdays: [1.6, 1.5, 1.4, 1.3, 1.15, 0.05, 0.0],
        customers: 0.05,
        price_percent: 80,
        promoted: false,
        return_rate: 0.01,
    },
    Channel {
        name: "marketplace",
        share: 0.2,
        weekdays: [0.95, 0.9, 0.9, 0.9, 1.0, 1.15, 1.2],
        customers: 0.25,
        price_percent: 96,
        promoted: true,
        return_rate: 0.1,
    },
];

/// Orders come in from 06:00 to 20:59, so that even the slowest picking is done before midnight.
const OPENS: u32 = 6 * 3600;
const OPEN_SECONDS: u32 = 15 * 3600;

/// A sudden fashion lasts this many days.
const SURGE_DAYS: i32 = 4;

pub(super) struct Order {
    pub(super) second: u32,
    pub(super) channel: u32,
    pub(super) customer: u32,
    pub(super) warehouse: u32,
    pub(super) lines: u32,
}

pub(super) struct Line {
    pub(super) product: u32,
    pub(super) quantity: u32,
    pub(super) price_cents: u32,
    /// The campaign's place among today's, none for the ordinary price.
    campaign: Option<u8>,
}

pub(super) struct Demand<'a> {
    spec: &'a Spec,
    catalogue: &'a Catalogue,
    products: Wheel,
    warehouses: Wheel,
    weights: Vec<f64>,
    promoted: Vec<Option<u8>>,
    campaigns: Vec<Campaign>,
    usual_weight: f64,
    /// The orders of the day in order of time, and their lines in the same order.
    pub(super) orders: Vec<Order>,
    pub(super) lines: Vec<Line>,
    keys: Vec<u64>,
}

impl<'a> Demand<'a> {
    pub(super) fn new(spec: &'a Spec, catalogue: &'a Catalogue) -> Self {
        let mut warehouses = Wheel::default();
        let shares: Vec<f64> = catalogue.warehouses.iter().map(|warehouse| warehouse.share).collect();
        warehouses.set(&shares);
        Self {
            spec,
            catalogue,
            products: Wheel::default(),
            warehouses,
            weights: Vec::new(),
            promoted: Vec::new(),
            campaigns: Vec::new(),
            usual_weight: catalogue.products.iter().map(|product| product.popularity).sum(),
            orders: Vec::new(),
            lines: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Units a day that a planner would expect of a product in a warehouse around `day`, were it on sale.
    pub(super) fn expected_units(&self, product: &Product, warehouse: u32, day: Day) -> f64 {
        let shares: f64 = self.catalogue.warehouses.iter().map(|warehouse| warehouse.share).sum();
        let share = self.catalogue.warehouses[warehouse as usize].share / shares;
        let units: f64 = (0_u32..)
            .zip(&CHANNELS)
            .map(|(index, channel)| channel.share * mean_lines(index) * mean_quantity(index, product))
            .sum();
        let trend = product.popularity * trend(product, self.spec.last.since(day)) / self.usual_weight;
        f64::from(self.spec.orders_per_day)
            * share
            * units
            * trend
            * self.spec.world.order_rate()
            * season(self.spec.world, product.category(), day.day_of_year())
    }

    /// How much better than around `day` a product will sell `later`, by the season alone: buyers know
    /// the calendar.
    pub(super) fn outlook(world: World, product: &Product, day: Day, later: Day) -> f64 {
        let now = season(world, product.category(), day.day_of_year());
        (season(world, product.category(), later.day_of_year()) / now).clamp(0.5, 2.0)
    }

    /// Make the orders of `day`, in place of those of the day before.
    pub(super) fn turn_to(&mut self, day: Day) {
        let has_events = self.spec.world.has_events();
        self.campaigns = if has_events { Campaign::running(self.spec.seed, day) } else { Vec::new() };
        self.weigh_products(day);
        let mut dice = Dice::new(self.spec.seed, Purpose::Orders, day.key());
        self.draw_times(day, &mut dice);
        self.orders.clear();
        self.lines.clear();
        for place in 0..self.keys.len() {
            let (second, channel) = unpack(self.keys[place]);
            self.draw_order(second, channel, &mut dice);
        }
    }

    pub(super) fn promotion_code(&self, line: &Line) -> &str {
        line.campaign.map_or("", |place| &self.campaigns[usize::from(place)].code)
    }

    fn weigh_products(&mut self, day: Day) {
        let day_of_year = day.day_of_year();
        let seasons = CATEGORIES.each_ref().map(|category| season(self.spec.world, category, day_of_year));
        self.weights.clear();
        self.promoted.clear();
        for (index, product) in (0_u32..).zip(&self.catalogue.products) {
            let campaign = self.campaigns.iter().position(|campaign| campaign.covers(index, product));
            let lift = campaign.map_or(1.0, |place| self.campaigns[place].lift);
            let weight = if on_sale(product, day) {
                product.popularity
                    * trend(product, self.spec.last.since(day))
                    * seasons[product.category as usize]
                    * start_up(product, day)
                    * if self.spec.world.has_events() { surge(self.spec.seed, index, day) } else { 1.0 }
                    * lift
            } else {
                0.0
            };
            self.weights.push(weight);
            self.promoted.push(campaign.and_then(|place| u8::try_from(place).ok()));
        }
        self.products.set(&self.weights);
    }

    /// How many orders each channel gets, and when: sorted keys of second, channel and a running number
    /// that keeps equal moments in a fixed order.
    fn draw_times(&mut self, day: Day, dice: &mut Dice) {
        let today: f64 = self.weights.iter().sum();
        let orders =
            f64::from(self.spec.orders_per_day) * self.spec.world.order_rate() * today / self.usual_weight;
        self.keys.clear();
        for (index, channel) in (0_u32..).zip(&CHANNELS) {
            for number in 0..dice.poisson(orders * channel.share * channel.weekdays[day.weekday()]) {
                self.keys.push(pack(order_second(index, dice), index, number));
            }
        }
        self.keys.sort_unstable();
    }

    fn draw_order(&mut self, second: u32, channel: u32, dice: &mut Dice) {
        let customer = self.draw_customer(channel, dice);
        // Customers live somewhere: most of their orders leave from the same warehouse.
        let warehouse = if dice.chance(0.8) {
            self.warehouses.at_share(even_share(customer))
        } else {
            self.warehouses.spin(dice)
        };
        let start = self.lines.len();
        for _ in 0..line_count(channel, dice) {
            let product = self.products.spin(dice);
            if self.lines[start..].iter().all(|line| line.product != product) {
                let line = self.draw_line(product, channel, dice);
                self.lines.push(line);
            }
        }
        let lines = u32::try_from(self.lines.len() - start).unwrap_or(0);
        self.orders.push(Order { second, channel, customer, warehouse, lines });
    }

    fn draw_line(&self, index: u32, channel: u32, dice: &mut Dice) -> Line {
        let product = &self.catalogue.products[index as usize];
        let terms = &CHANNELS[channel as usize];
        let campaign = self.promoted[index as usize].filter(|_| terms.promoted);
        let discount = campaign.map_or(0, |place| self.campaigns[usize::from(place)].discount_percent);
        let cents = u64::from(product.price_cents) * u64::from(terms.price_percent * (100 - discount));
        Line {
            product: index,
            quantity: quantity(channel, product, dice),
            price_cents: u32::try_from((cents + 5_000) / 10_000).unwrap_or(product.price_cents).max(1),
            campaign,
        }
    }

    /// A few customers of each channel order often, most seldom: the square of an even draw is skewed
    /// towards the first numbers.
    fn draw_customer(&self, channel: u32, dice: &mut Dice) -> u32 {
        let all = (f64::from(self.spec.orders_per_day) * 60.0).clamp(100.0, 4_000_000.0);
        let before: f64 = CHANNELS[..channel as usize].iter().map(|channel| channel.customers).sum();
        let skewed = dice.unit();
        1 + whole(all * (before + CHANNELS[channel as usize].customers * skewed * skewed))
    }
}

fn on_sale(product: &Product, day: Day) -> bool {
    let ended = matches!(product.life, Life::Dead(since) if day >= since);
    day >= product.launched_on && !ended
}

/// Growth seen back from the last day, `days_left` before its end; kept within bounds so that a history of
/// decades neither dies out nor explodes.
fn trend(product: &Product, days_left: i32) -> f64 {
    (1.0 - product.growth * f64::from(days_left) / 365.0).clamp(0.25, 2.0)
}

/// A new product needs two months to become known.
fn start_up(product: &Product, day: Day) -> f64 {
    0.3 + 0.7 * (f64::from(day.since(product.launched_on)) / 60.0).clamp(0.0, 1.0)
}

/// A sudden fashion, about once in three years for a product: what makes forecasts fail.
fn surge(seed: u64, index: u32, day: Day) -> f64 {
    let block = day.plus(-day.since(Day::monday(0)).rem_euclid(SURGE_DAYS));
    let mut dice = Dice::new(seed, Purpose::Surge, u64::from(index) << 32 | block.key());
    if dice.chance(0.004) { 3.0 + 4.0 * dice.unit() } else { 1.0 }
}

/// A wave over the year, and a tent over the weeks from Black Friday to Christmas.
fn season(world: World, category: &Category, day_of_year: i16) -> f64 {
    let day = f64::from(day_of_year);
    let wave = libm::cos((day - category.peak_day) * (core::f64::consts::TAU / 365.0));
    let to_height = libm::fabs(day - 340.0);
    let tent = (1.0 - to_height / 22.0).max(0.0);
    (1.0 + world.season_strength() * (category.swing * wave + category.festive * tent)).max(0.05)
}

/// The second of the day an order comes in: wholesale early, shops around noon, people in the evening.
fn order_second(channel: u32, dice: &mut Dice) -> u32 {
    let (one, other) = (dice.below(OPEN_SECONDS), dice.below(OPEN_SECONDS));
    OPENS
        + match channel {
            ONLINE => one.max(other),
            RETAIL => one.midpoint(other),
            WHOLESALE => one.min(other),
            _ => one,
        }
}

fn line_count(channel: u32, dice: &mut Dice) -> u32 {
    match channel {
        ONLINE => 1 + dice.streak(0.35, 4),
        RETAIL => dice.between(2, 4),
        WHOLESALE => dice.between(2, 6),
        _ => 1 + dice.streak(0.1, 2),
    }
}

/// The mean of [`line_count`].
fn mean_lines(channel: u32) -> f64 {
    match channel {
        ONLINE => 1.53,
        RETAIL => 3.0,
        WHOLESALE => 4.0,
        _ => 1.11,
    }
}

fn quantity(channel: u32, product: &Product, dice: &mut Dice) -> u32 {
    match channel {
        WHOLESALE => product.pack_size * dice.between(1, 4),
        RETAIL if !product.is_dear() => dice.between(2, 7),
        _ if product.is_dear() => 1,
        ONLINE => 1 + dice.streak(0.25, 4),
        _ => 1 + dice.streak(0.15, 2),
    }
}

/// The mean of [`quantity`].
fn mean_quantity(channel: u32, product: &Product) -> f64 {
    match channel {
        WHOLESALE => 2.5 * f64::from(product.pack_size),
        _ if product.is_dear() => 1.0,
        RETAIL => 4.5,
        ONLINE => 1.33,
        _ => 1.17,
    }
}

fn pack(second: u32, channel: u32, number: u32) -> u64 {
    u64::from(second) << 40 | u64::from(channel) << 32 | u64::from(number)
}

fn unpack(key: u64) -> (u32, u32) {
    let second = u32::try_from(key >> 40).unwrap_or(0);
    let channel = u32::try_from(key >> 32 & 0xFF).unwrap_or(0);
    (second, channel)
}
