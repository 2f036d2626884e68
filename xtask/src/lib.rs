//! `cargo xtask`: the toolkit that delivers this repository's analytics.
//!
//! Parse, hand over to one command, turn its result into an exit code. Everything else lives in the
//! file that carries the command's name.

mod adopt;
mod audit;
mod backtest;
mod completions;
mod conformance;
mod core;
mod dbt;
mod dbt_command;
mod doctor;
mod elt;
mod github;
mod hooks;
mod ledger;
mod lint;
mod metrics;
mod notify;
mod pipeline;
mod python;
mod reference;
mod release;
mod report;
mod schema;
mod secrets;
mod seed;
mod state;
mod system;
mod target;
pub mod testing;
mod warehouse;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

use crate::system::outcome::Outcome;
use crate::system::repo::Repo;

/// Deliver Snowflake analytics with dbt: provision, seed, build, test, measure, report.
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
    verbosity: system::console::Verbosity,

    /// The folder of the dbt project, if the repository has several.
    #[arg(long, global = true, value_name = "DIR", env = "XTASK_PROJECT_DIR")]
    project_dir: Option<std::path::PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Elt(elt::Args),
    Schema(schema::Args),
    Seed(seed::Args),
    Backtest(backtest::Args),
    Lint(lint::Args),
    Metrics(metrics::Args),
    Secrets(secrets::Args),
    Audit(audit::Args),
    Plan(pipeline::plan::Args),
    Replay(pipeline::replay::Args),
    Gate(pipeline::gate::Args),
    Wanted(pipeline::wanted::Args),
    Notify(notify::Args),
    Github(github::Args),
    Doctor(doctor::Args),
    Conformance(conformance::Args),
    Hooks(hooks::Args),
    Python(python::Args),
    Dbt(dbt_command::Args),
    Init(adopt::Init),
    Upgrade(adopt::Upgrade),
    Release(release::Args),
    Completions(completions::Args),
    Reference(reference::Args),
}

/// Runs the command line that this process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    system::console::init(cli.verbosity);
    match run(&cli) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            system::console::error(&error);
            system::actions::report(&format!("{error:#}"));
            ExitCode::from(Outcome::COULD_NOT_RUN)
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<Outcome> {
    let folder = std::env::current_dir().context("failed to read the current folder")?;
    let given = cli.project_dir.as_deref().filter(|path| !path.as_os_str().is_empty());
    let repo = match given {
        Some(given) => Repo::of_project(&folder, given)?,
        None => Repo::discover(&folder),
    };
    run_command(&cli.command, &repo)
}

fn run_command(command: &Command, repo: &Repo) -> anyhow::Result<Outcome> {
    match command {
        Command::Elt(args) => elt::run(args, repo),
        Command::Schema(args) => schema::run(args, repo),
        Command::Seed(args) => seed::run(args, repo),
        Command::Backtest(args) => backtest::run(args, repo),
        Command::Lint(args) => lint::run(args, repo),
        Command::Metrics(args) => metrics::run(args, repo),
        Command::Secrets(args) => secrets::run(args, repo),
        Command::Audit(args) => audit::run(args, repo),
        Command::Plan(args) => pipeline::plan::run(args, repo),
        Command::Replay(args) => pipeline::replay::run(args, repo),
        Command::Gate(args) => pipeline::gate::run(args),
        Command::Wanted(args) => pipeline::wanted::run(args, repo),
        Command::Notify(args) => notify::run(args, repo),
        Command::Github(args) => github::run(args, repo),
        Command::Doctor(args) => doctor::run(args, repo),
        Command::Conformance(args) => conformance::run(args, repo),
        Command::Hooks(args) => hooks::run(args, repo),
        Command::Python(args) => python::run(args, repo),
        Command::Dbt(args) => dbt_command::run(args, repo),
        Command::Init(args) => args.run(repo),
        Command::Upgrade(args) => args.run(repo),
        Command::Release(args) => release::run(args, repo),
        Command::Completions(args) => completions::run(args),
        Command::Reference(args) => reference::run(args),
    }
}
