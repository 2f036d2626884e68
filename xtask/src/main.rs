//! `cargo xtask`: the toolkit that delivers this repository's analytics.
//!
//! Parse, hand over to one command, turn its result into an exit code. Everything else lives in the
//! file that carries the command's name.

#[allow(dead_code)]
mod actions;
mod console;
mod context;
mod dbt;
mod doctor;
mod elt;
mod environment;
mod finding;
mod hex;
mod interrupt;
mod ledger;
#[allow(dead_code)]
mod lint;
mod lock;
mod metrics;
mod outcome;
mod policy;
mod probe;
mod python;
mod repo;
mod report;
mod schema;
mod secrets;
mod seed;
mod target;
mod warehouse;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

use crate::outcome::Outcome;
use crate::repo::Repo;

/// Deliver Snowflake analytics with dbt: provision, seed, build, test, measure, tell.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done or clean, 1 findings or a failed gate, 2 could not run."
)]
struct Cli {
    #[command(flatten)]
    verbosity: console::Verbosity,

    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Elt(elt::Args),
    Schema(schema::Args),
    Seed(seed::Args),
    Metrics(metrics::Args),
    Secrets(secrets::Args),
    Doctor(doctor::Args),
    Python(python::Args),
}

/// How a command prints its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Human,
    /// For programs; the field names are stable.
    Json,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    console::init(cli.verbosity);
    match run(&cli.command) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            console::error(&error);
            ExitCode::from(Outcome::COULD_NOT_RUN)
        }
    }
}

fn run(command: &Command) -> anyhow::Result<Outcome> {
    let repo = Repo::discover(&std::env::current_dir().context("failed to read the current folder")?);
    match command {
        Command::Elt(args) => elt::run(args, &repo),
        Command::Schema(args) => schema::run(args, &repo),
        Command::Seed(args) => seed::run(args, &repo),
        Command::Metrics(args) => metrics::run(args, &repo),
        Command::Secrets(args) => secrets::run(args, &repo),
        Command::Doctor(args) => doctor::run(args, &repo),
        Command::Python(args) => python::run(args, &repo),
    }
}
