//! `cargo xtask`: the toolkit that delivers this repository's analytics.
//!
//! Parse, hand over to one command, turn its result into an exit code. Everything else lives in the
//! file that carries the command's name.

mod console;
mod dbt;
mod doctor;
mod outcome;
mod probe;
mod python;
mod repo;
mod seed;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser};

use crate::outcome::Outcome;
use crate::repo::Repo;

/// Deliver Snowflake analytics with dbt: provision, seed, build, test, measure, tell.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    verbosity: console::Verbosity,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check that everything the toolkit needs is here, and say how to mend what is not.
    Doctor(doctor::Args),

    /// Install or re-pin the Python packages that dbt runs on.
    Python(python::Args),
    Seed(seed::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    console::init(cli.verbosity);
    match run(cli.command) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            console::error(&error);
            ExitCode::from(Outcome::COULD_NOT_RUN)
        }
    }
}

fn run(command: Option<Command>) -> anyhow::Result<Outcome> {
    let repo = Repo::discover(&std::env::current_dir().context("failed to read the current folder")?);
    match command {
        Some(Command::Doctor(args)) => doctor::run(&args, &repo),
        Some(Command::Python(args)) => python::run(&args, &repo),
        Some(Command::Seed(args)) => seed::run(&args, &repo),
        None => {
            Cli::command().print_help()?;
            Ok(Outcome::Clean)
        }
    }
}
