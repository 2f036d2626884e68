//! `cargo xtask seed`: write the deterministic synthetic inventory data.
//!
//! A warehouse project without data shows nothing, and real data cannot be published. So the data is made:
//! the same options give the same bytes on any machine, a small set is committed, and any size can be had
//! for a load test. `options` decides what to make, `catalogue`, `demand` and `simulation` make it one day
//! at a time, `staging` puts the files in place.

mod agenda;
mod calendar;
mod campaigns;
mod catalogue;
mod csv_out;
mod demand;
mod dice;
mod options;
mod purchasing;
mod simulation;
mod staging;
mod stock;
mod summary;
mod tables;
mod words;
mod world;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

pub(crate) use self::calendar::Day;
use self::catalogue::Catalogue;
use self::csv_out::Size;
pub(crate) use self::dice::{Dice, Purpose};
pub(crate) use self::options::Args;
use self::options::Spec;
use self::simulation::{Files, Simulation};
use self::staging::{FILE_COUNT, FILES, Staging};
use self::summary::Summary;
pub(crate) use self::world::World;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::system::{console, interrupt};

/// How often a log without a live line hears of a long run.
const NEWS_EVERY: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    interrupt::listen()?;
    let spec = args.spec()?;
    let out = args.out.clone().map_or_else(|| seeds_folder(repo), Ok)?;
    let began = Instant::now();
    let sizes = write(&spec, &out)?;
    // A folder is named as the user named it, so that the next command can be pasted.
    let shown = args.out.as_deref().unwrap_or(repo.relative(&out));
    let summary = Summary { spec: &spec, out: shown, own_folder: args.out.is_some() };
    console::print(&summary.text(&sizes, began.elapsed()))?;
    Ok(Outcome::Clean)
}

/// Finish or remove what a killed `seed` left in `folder`; code that reads seeds calls this first.
pub(crate) fn settle(folder: &Path) -> Result<()> {
    staging::settle(folder)
}

/// Write the data set of these two options, and the defaults of the others, to `folder`. The caller listens for
/// interrupts.
pub(crate) fn generate(world: World, seed: u64, folder: &Path) -> Result<()> {
    write(&options::usual(world, seed)?, folder).map(|_| ())
}

fn seeds_folder(repo: &Repo) -> Result<PathBuf> {
    let project = repo.dbt_project().context("failed to find a folder to write to; name one with --out")?;
    Ok(project.join("seeds"))
}

/// Write all files to `out`, or none. Sizes come in the order of [`FILES`].
fn write(spec: &Spec, out: &Path) -> Result<[Size; FILE_COUNT]> {
    let staging = Staging::open(out)?;
    let catalogue = Catalogue::new(spec);
    let [suppliers, closures, products, price_breaks, warehouses, orders, purchases, movements] =
        FILES.map(|name| staging.path(name));
    let suppliers = tables::suppliers(&suppliers, &catalogue)?;
    let closures = tables::supplier_closures(&closures, spec, &catalogue)?;
    let products = tables::products(&products, &catalogue)?;
    let price_breaks = tables::price_breaks(&price_breaks, &catalogue)?;
    let warehouses = tables::warehouses(&warehouses, &catalogue)?;
    let mut files = Files {
        orders: tables::orders(&orders)?,
        purchases: tables::purchase_orders(&purchases)?,
        movements: tables::movements(&movements)?,
    };
    let mut progress = Progress::new(spec);
    Simulation::new(spec, &catalogue, &mut files).run(|rows| {
        progress.day_done(rows);
        Ok(interrupt::check()?)
    })?;
    drop(progress);
    let sizes = [
        suppliers,
        closures,
        products,
        price_breaks,
        warehouses,
        files.orders.finish()?,
        files.purchases.finish()?,
        files.movements.finish()?,
    ];
    staging.publish()?;
    Ok(sizes)
}

/// A bar on a terminal; elsewhere a line now and then, so that a log shows a long run is alive.
struct Progress {
    bar: indicatif::ProgressBar,
    news: Instant,
}

impl Progress {
    fn new(spec: &Spec) -> Self {
        let template = "seed {wide_bar} {percent:>3} %  {msg} rows  {eta} left";
        Self { bar: console::bar(u64::from(spec.days()), template), news: Instant::now() }
    }

    fn day_done(&mut self, rows: u64) {
        self.bar.inc(1);
        if console::is_live() {
            self.bar.set_message(console::grouped(rows));
        } else if self.news.elapsed() >= NEWS_EVERY {
            self.news = Instant::now();
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
            tracing::info!("seed: day {done} of {all}, {} rows", console::grouped(rows));
        }
    }
}

impl Drop for Progress {
    /// On every exit path: an error must not appear below half a bar.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
