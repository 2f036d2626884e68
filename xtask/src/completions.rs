//! `cargo xtask completions`: completion scripts for shells.
//!
//! A shell completes the arguments of a program by its name, and `cargo xtask` is an argument of cargo itself. So the script
//! is made for an alias that the user chooses.

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::Cli;
use crate::system::console;
use crate::system::outcome::Outcome;

/// Print a completion script for a shell.
///
/// For bash, in ~/.bashrc: `alias xt='cargo xtask'` and the output of `cargo xtask completions bash --name xt`.
#[derive(clap::Args)]
pub(crate) struct Args {
    shell: Shell,

    /// The alias of `cargo xtask` whose arguments are completed.
    #[arg(long, default_value = "xt")]
    name: String,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), &args.name, &mut script);
    console::print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Outcome::Clean)
}
