//! What exists before anything happens: suppliers, products and warehouses.
//!
//! Every entry has its own dice and depends on `--seed` and its number only. So a longer `--days`, or a
//! later run with more products, finds the same first products, and two data sets can be compared.

use super::calendar::Day;
use super::dice::{Dice, Purpose, even_spread, whole};
use super::options::Spec;
use super::purchasing::{Tier, price_list};
use super::words::{CATEGORIES, CITIES, Category, ORIGINS, SUPPLIER_NAMES};

/// Units that the largest warehouse has room for, for each order the company gets on a day.
const ROOM_PER_DAILY_ORDER: f64 = 1_500.0;
/// How long before the end of the data a strike begins, so that most data sets end with empty shelves that need
/// action.
const STRIKE_DAYS: i32 = 60;

pub(super) struct Supplier {
    pub(super) name: String,
    pub(super) country: &'static str,
    pub(super) lead_days: u32,
    pub(super) deviation_hundredths: u32,
    /// Deliveries ordered on or after this day come weeks late.
    pub(super) on_strike_from: Option<Day>,
}

pub(super) struct Product {
    pub(super) name: String,
    pub(super) category: u32,
    pub(super) supplier: u32,
    pub(super) cost_cents: u32,
    pub(super) price_cents: u32,
    pub(super) pack_size: u32,
    pub(super) tiers: Vec<Tier>,
    pub(super) launched_on: Day,
    /// How much of the company's demand falls on it, relative to the others.
    pub(super) popularity: f64,
    pub(super) life: Life,
    /// Growth of demand a year, as a share of today's.
    pub(super) growth: f64,
}

/// A product's state on the last day of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Steady,
    Growing,
    Declining,
    /// Launched within the last year.
    New,
    /// There has been no demand since this day: the remaining stock is dead.
    Dead(Day),
}

pub(super) struct Warehouse {
    pub(super) name: String,
    pub(super) city: &'static str,
    pub(super) country: &'static str,
    /// Its share of all demand, relative to the others.
    pub(super) share: f64,
    pub(super) capacity_units: u32,
}

pub(super) struct Catalogue {
    pub(super) suppliers: Vec<Supplier>,
    pub(super) products: Vec<Product>,
    pub(super) warehouses: Vec<Warehouse>,
}

impl Catalogue {
    pub(super) fn new(spec: &Spec) -> Self {
        let offset = Dice::new(spec.seed, Purpose::Catalogue, 0).unit();
        let supplier_count = (spec.products / 5).clamp(4, 999);
        Self {
            suppliers: (0..supplier_count).map(|index| supplier(spec, index)).collect(),
            products: (0..spec.products).map(|index| product(spec, index, supplier_count, offset)).collect(),
            warehouses: (0..spec.warehouses).map(|index| warehouse(spec, index)).collect(),
        }
    }
}

impl Product {
    pub(super) fn category(&self) -> &'static Category {
        &CATEGORIES[self.category as usize]
    }

    /// Expensive products sell one at a time, to any customer.
    pub(super) fn is_dear(&self) -> bool {
        self.price_cents > 20_000
    }
}

fn supplier(spec: &Spec, index: u32) -> Supplier {
    let mut dice = Dice::new(spec.seed, Purpose::Supplier, u64::from(index));
    let stem = SUPPLIER_NAMES[index as usize % SUPPLIER_NAMES.len()];
    let origin = &ORIGINS[index as usize % ORIGINS.len()];
    let lead_days = dice.between(origin.lead_days.0, origin.lead_days.1);
    Supplier {
        name: numbered(&format!("{stem} {}", origin.form), index as usize / SUPPLIER_NAMES.len()),
        country: origin.country,
        lead_days,
        // The longer the way, the less sure the day: 10 to 25 % of the lead time.
        deviation_hundredths: whole(
            f64::from(lead_days * dice.between(10, 25)) * spec.world.lead_time_spread(),
        ),
        on_strike_from: spec
            .world
            .strike_every()
            .filter(|every| index % every == every / 2)
            .map(|_| spec.last.plus(-STRIKE_DAYS)),
    }
}

fn product(spec: &Spec, index: u32, supplier_count: u32, offset: f64) -> Product {
    let mut dice = Dice::new(spec.seed, Purpose::Product, u64::from(index));
    let category_count = u32::try_from(CATEGORIES.len()).unwrap_or(1);
    let category = index % category_count;
    let (low, high) = CATEGORIES[category as usize].cost_cents;
    let cost_cents = whole(low * libm::pow(high / low, dice.unit()));
    let life = life(even_spread(index, offset), spec.last, &mut dice);
    let supplier = dice.below(supplier_count);
    let price_cents = shelf_price(f64::from(cost_cents) * (1.55 + 0.65 * dice.unit()));
    let pack_size = pack_size(cost_cents, &mut dice);
    Product {
        name: product_name(&CATEGORIES[category as usize], (index / category_count) as usize),
        category,
        supplier,
        cost_cents,
        price_cents,
        pack_size,
        tiers: price_list(spec.seed, index, cost_cents, pack_size),
        launched_on: launch(life, spec.last, &mut dice),
        popularity: popularity(life, &mut dice),
        life,
        growth: growth(life, &mut dice),
    }
}

/// A small catalogue shows every kind of life too, hence the even spread.
fn life(position: f64, last: Day, dice: &mut Dice) -> Life {
    match whole(position * 100.0) {
        0..68 => Life::Steady,
        68..78 => Life::Growing,
        78..86 => Life::Declining,
        86..93 => Life::New,
        _ => Life::Dead(last.plus(-days(dice.between(110, 240)))),
    }
}

fn launch(life: Life, last: Day, dice: &mut Dice) -> Day {
    let age = if life == Life::New { dice.between(45, 300) } else { dice.between(700, 4_500) };
    last.plus(-days(age))
}

/// Zipf's law with a soft head: position 0.01 sells thirty times as much as position 0.5, and a fifth of
/// the products makes about three quarters of the demand.
fn popularity(life: Life, dice: &mut Dice) -> f64 {
    let position = match life {
        Life::Dead(_) => 0.4 + 0.6 * dice.unit(),
        Life::New => 0.1 + 0.5 * dice.unit(),
        _ => dice.unit(),
    };
    libm::pow(0.025 + position, -1.25)
}

fn growth(life: Life, dice: &mut Dice) -> f64 {
    match life {
        Life::Growing => 0.35 + 0.4 * dice.unit(),
        Life::Declining => -0.8 + 0.4 * dice.unit(),
        Life::Steady | Life::New | Life::Dead(_) => -0.08 + 0.2 * dice.unit(),
    }
}

fn pack_size(cost_cents: u32, dice: &mut Dice) -> u32 {
    *match cost_cents {
        0..500 => dice.pick(&[12, 24, 24, 48]),
        500..2_000 => dice.pick(&[6, 12, 12]),
        2_000..8_000 => dice.pick(&[2, 4, 6]),
        _ => dice.pick(&[1, 1, 2]),
    }
}

/// Prices end in 9, as they do: 0.89, 4.49, 129.99.
fn shelf_price(cents: f64) -> u32 {
    let step = match whole(cents) {
        0..1_000 => 10,
        1_000..5_000 => 50,
        _ => 100,
    };
    whole(cents).div_ceil(step) * step - 1
}

/// Unique for every `number` within the category: noun, variant, then the series.
fn product_name(category: &Category, number: usize) -> String {
    let (nouns, variants) = (category.nouns, category.variants);
    let variant = variants[(number / nouns.len() + number) % variants.len()];
    let series = number / (nouns.len() * variants.len());
    numbered(&format!("{} {variant}", nouns[number % nouns.len()]), series)
}

fn warehouse(spec: &Spec, index: u32) -> Warehouse {
    let (city, country) = CITIES[index as usize % CITIES.len()];
    let name = numbered(&format!("{city} Distribution Centre"), index as usize / CITIES.len());
    let mut dice = Dice::new(spec.seed, Purpose::Warehouse, u64::from(index));
    let share = 1.0 / (1.0 + 0.35 * f64::from(index));
    let needed = f64::from(spec.orders_per_day) * ROOM_PER_DAILY_ORDER * share;
    let capacity_units = whole(needed * (0.9 + 0.3 * dice.unit()) / 100.0 + 1.0) * 100;
    Warehouse { name, city, country, share, capacity_units }
}

/// `name`, and from the second use of a name on its number.
fn numbered(name: &str, earlier_uses: usize) -> String {
    if earlier_uses == 0 { name.to_owned() } else { format!("{name} {}", earlier_uses + 1) }
}

/// A count of days as a step for [`Day::plus`].
pub(super) fn days(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_prices_pay() {
        let catalogue = Catalogue::new(&Spec::sample(40, 3_000, 40));
        let names: HashSet<_> = catalogue.products.iter().map(|product| &product.name).collect();
        assert_eq!(names.len(), catalogue.products.len());
        let suppliers: HashSet<_> = catalogue.suppliers.iter().map(|supplier| &supplier.name).collect();
        assert_eq!(suppliers.len(), catalogue.suppliers.len());
        let warehouses: HashSet<_> = catalogue.warehouses.iter().map(|warehouse| &warehouse.name).collect();
        assert_eq!(warehouses.len(), catalogue.warehouses.len());
        for product in &catalogue.products {
            assert!(product.price_cents > product.cost_cents, "{}", product.name);
        }
    }

    #[test]
    fn a_longer_history_or_a_longer_catalogue_changes_no_product() {
        let print = |days, products| {
            let catalogue = Catalogue::new(&Spec::sample(days, products, 2));
            catalogue.products[..30]
                .iter()
                .map(|product| (product.name.clone(), product.cost_cents, product.launched_on, product.life))
                .collect::<Vec<_>>()
        };
        assert_eq!(print(10, 30), print(4_000, 30));
        assert_eq!(print(10, 30), print(10, 900));
    }

    #[test]
    fn every_life_occurs_in_a_small_catalogue() {
        let catalogue = Catalogue::new(&Spec::sample(400, 40, 1));
        let count = |wanted: fn(&Life) -> bool| {
            catalogue.products.iter().filter(|product| wanted(&product.life)).count()
        };
        assert!(count(|life| *life == Life::Growing) > 0);
        assert!(count(|life| *life == Life::Declining) > 0);
        assert!(count(|life| *life == Life::New) > 0);
        assert!(count(|life| matches!(life, Life::Dead(_))) > 0);
    }
}
