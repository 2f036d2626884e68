//! `cargo xtask backtest`: replay history with the recommended orders, and compare with what the buyers did.
//!
//! A reorder policy that only looks right can empty shelves or fill them five times over. So the policy of
//! `reorder_recommendations` is replayed walk-forward: on every day it knows what the data showed by then, its orders
//! arrive as the supplier delivered at that time, and the customers are those of the data. `forecast` and `policy`
//! compute what the models compute in SQL, which a test proves on the last day; `replay` is the warehouse; `report`
//! the comparison.

mod forecast;
mod frontier;
mod policy;
mod records;
mod replay;
mod report;
mod settings;
mod supply;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::value_parser;

use self::records::Records;
pub(crate) use self::report::contract;
use self::report::{DataSet, Report};
use self::settings::Settings;
use self::supply::LeadTimes;
use crate::dbt::project::Project;
use crate::seed::{self, World};
use crate::system::console::{self, Format};
use crate::system::interrupt;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;

/// Replay history with the recommended orders and compare with the planner's.
///
/// Prints fill rate, stock-outs, stock value, orders and costs of the planner, of the recommended policy and of
/// alternatives, and what fill rate each reaches at the planner's stock value. Settings are the variables of the dbt
/// project.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder of seed files, repeatable [default: the seeds folder of the repository's dbt project].
    #[arg(long, value_name = "DIR", conflicts_with_all = ["world", "seed"])]
    seeds: Vec<PathBuf>,

    /// Generate the data of this kind of company instead, repeatable.
    #[arg(long, value_enum)]
    world: Vec<World>,

    /// Generate the data of this random seed instead, repeatable.
    #[arg(long, value_name = "N")]
    seed: Vec<u64>,

    /// Days at the beginning that teach only.
    #[arg(long, value_name = "N", default_value_t = 91, value_parser = value_parser!(i32).range(1..=36_500))]
    warm_up_days: i32,

    /// Times that each policy is replayed with other deliveries drawn; the figures are means.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..=1_000))]
    draws: u32,

    /// Where the lead times of replayed orders come from.
    #[arg(long, value_enum, default_value_t)]
    lead_times: LeadTimes,

    /// Variables in place of those of the dbt project, as `elt` takes them: a mapping in YAML.
    #[arg(long, value_name = "YAML")]
    vars: Option<String>,

    /// Fail if the recommended policy fills this many percentage points less than the planner at the planner's stock
    /// value, on any data set.
    #[arg(long, value_name = "POINTS")]
    gate: Option<f64>,

    /// List what the policy orders on the last day too; it is what `reorder_recommendations` shows. Needs
    /// --format json.
    #[arg(long)]
    last_day: bool,

    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    if args.last_day && args.format == Format::Human {
        bail!("--last-day needs --format json");
    }
    interrupt::listen()?;
    let project = Project::read(&repo.dbt_project()?)?;
    let settings = Settings::read(&project, args.vars.as_deref())?;
    let mut data_sets = Vec::new();
    if args.world.is_empty() && args.seed.is_empty() {
        let usual = [project.folder().join("seeds")];
        for folder in if args.seeds.is_empty() { &usual[..] } else { &args.seeds } {
            seed::settle(folder)?;
            data_sets.push(data_set(args, &settings, &repo.relative(folder).display().to_string(), folder)?);
        }
    }
    for (world, seed) in wanted(args) {
        let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
        seed::generate(world, seed, folder.path())?;
        data_sets.push(data_set(args, &settings, &format!("{} {seed}", world.label()), folder.path())?);
    }
    let report = Report::new(data_sets);
    match args.format {
        Format::Human => console::print(&report.text())?,
        Format::Json => console::print_json(&report)?,
    }
    let Some(gate) = args.gate else { return Ok(Outcome::Clean) };
    Ok(if report.passes(gate) { Outcome::Clean } else { Outcome::Findings })
}

/// The data sets to generate: every world with every seed, each with its default if only the other is given.
fn wanted(args: &Args) -> Vec<(World, u64)> {
    if args.world.is_empty() && args.seed.is_empty() {
        return Vec::new();
    }
    let worlds = if args.world.is_empty() { vec![World::default()] } else { args.world.clone() };
    let seeds = if args.seed.is_empty() { vec![42] } else { args.seed.clone() };
    worlds.iter().flat_map(|&world| seeds.iter().map(move |&seed| (world, seed))).collect()
}

fn data_set(args: &Args, settings: &Settings, name: &str, folder: &Path) -> Result<DataSet> {
    let records = Records::read(folder, settings)?;
    if records.last <= args.warm_up_days {
        bail!(
            "{name} has {} days, and the first {} only teach; give a longer history or a smaller --warm-up-days",
            records.last + 1,
            args.warm_up_days
        );
    }
    tracing::info!("backtest: {name}, {} days", records.last + 1 - args.warm_up_days);
    let trial = frontier::Trial::new(&records, settings, args.warm_up_days, args.lead_times, args.draws);
    Ok(DataSet::new(name, &records, &trial, args.last_day))
}
