//! The options of `cargo xtask seed`, and what they mean once they are known to make sense.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::value_parser;
use jiff::civil::{Date, date};

use super::calendar::Day;
use super::catalogue::days;
use super::world::World;

/// Before this no history begins. A typing error in a year is likelier than data of the sixties.
const EARLIEST: Date = date(1970, 1, 1);
/// And after this none ends: four digits of a year, and room for launch dates around it.
const LATEST: Date = date(2199, 12, 31);
/// State is kept for each product in each warehouse, about 50 bytes: this many are 100 MB.
const MOST_PAIRS: u32 = 2_000_000;

/// Write the deterministic synthetic inventory data.
///
/// Suppliers with their closures, products with their price lists, warehouses, customer orders, purchase orders and
/// the inventory movements that follow from them, as CSV files. The same options give the same bytes on any machine. The defaults make the small set
/// that is committed in `dbt/seeds`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Days of history, counted back from --end.
    #[arg(long, value_name = "N", default_value_t = 396, allow_negative_numbers = true)]
    #[arg(value_parser = value_parser!(u32).range(1..=36_500))]
    days: u32,

    /// Products in the catalogue.
    #[arg(long, value_name = "N", default_value_t = 40, allow_negative_numbers = true)]
    #[arg(value_parser = value_parser!(u32).range(1..=99_999))]
    products: u32,

    /// Number of warehouses; each stocks every product.
    #[arg(long, value_name = "N", default_value_t = 3, allow_negative_numbers = true)]
    #[arg(value_parser = value_parser!(u32).range(1..=99))]
    warehouses: u32,

    /// Orders on an average day, each of about two lines [default: one for every 16 products in a
    /// warehouse].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = value_parser!(u32).range(1..=1_000_000))]
    orders_per_day: Option<u32>,

    /// Random seed.
    #[arg(long, value_name = "N", default_value_t = 42, allow_negative_numbers = true)]
    seed: u64,

    /// What kind of company the data shows.
    #[arg(long, value_enum, default_value_t)]
    world: World,

    /// The last day of the data.
    #[arg(long, value_name = "DATE", default_value = "2026-10-31", value_parser = parse_end)]
    end: Date,

    /// The folder to write to; made when missing. Files of other names in it stay as they are
    /// [default: the seeds folder of the repository's dbt project].
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) seed: u64,
    pub(super) first: Day,
    pub(super) last: Day,
    pub(super) products: u32,
    pub(super) warehouses: u32,
    pub(super) orders_per_day: u32,
    pub(super) world: World,
}

impl Args {
    /// What the options ask for together. Each alone was checked while it was parsed.
    pub(super) fn spec(&self) -> Result<Spec> {
        let pairs = self.products * self.warehouses;
        if pairs > MOST_PAIRS {
            bail!(
                "--products {} in --warehouses {} makes {pairs} stocks to keep, and at most {MOST_PAIRS} are \
                 possible; ask for fewer of either",
                self.products,
                self.warehouses
            );
        }
        let last = Day::of(self.end);
        let first = last.plus(1 - days(self.days));
        if first < Day::of(EARLIEST) {
            bail!(
                "--days {} back from --end {} begins before {EARLIEST}; ask for fewer days or a later end",
                self.days,
                self.end
            );
        }
        Ok(Spec {
            seed: self.seed,
            first,
            last,
            products: self.products,
            warehouses: self.warehouses,
            orders_per_day: self.orders_per_day.unwrap_or((pairs / 16).max(1)),
            world: self.world,
        })
    }
}

/// The defaults with this world and seed.
pub(super) fn usual(world: World, seed: u64) -> Result<Spec> {
    #[derive(clap::Parser)]
    struct Defaults {
        #[command(flatten)]
        args: Args,
    }
    let defaults = <Defaults as clap::Parser>::try_parse_from(["seed"])?;
    Args { seed, world, ..defaults.args }.spec()
}

fn parse_end(text: &str) -> Result<Date, String> {
    let date: Date = text
        .parse()
        .ok()
        .filter(|date: &Date| date.to_string() == text)
        .ok_or("not a date; write one like 2026-10-31")?;
    if date < EARLIEST || date > LATEST {
        return Err(format!("the data must end between {EARLIEST} and {LATEST}"));
    }
    Ok(date)
}

impl Spec {
    pub(super) fn days(&self) -> u32 {
        u32::try_from(self.last.since(self.first) + 1).unwrap_or(0)
    }

    #[cfg(test)]
    pub(super) fn sample(days: i32, products: u32, warehouses: u32) -> Self {
        let last = Day::of(date(2026, 10, 31));
        let world = World::Mixed;
        Self { seed: 42, first: last.plus(1 - days), last, products, warehouses, orders_per_day: 10, world }
    }
}
