//! `cargo xtask dbt`: which dbt builds this repository.
//!
//! Calling it is optional: without it dbt v1 is installed when it is first needed. `use v2` installs the native engine
//! for this repository alone, and `use v1` goes back.

use std::path::PathBuf;

use anyhow::Result;

use crate::dbt::engine::{self, Choice, Engine, Generation};
use crate::dbt::native::{self, Kind, Launch};
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::system::{console, interrupt};
use crate::target;

/// Choose the dbt that builds: v1 (dbt-core 1.x, in Python) or v2 (the native engine).
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Install an engine for this repository and use it from now on.
    ///
    /// v2 goes to .xtask/dbt (`XTASK_DBT_DIR` names another place, as an absolute path): dbt's binary and the driver
    /// of the target, each checked against a pinned SHA-256. Your own configuration of dbt and of drivers is neither
    /// read nor changed. v1 removes them again.
    ///
    /// `[dbt] engine` in policies/environments.toml and `XTASK_DBT_ENGINE` decide before what is installed;
    /// `XTASK_DBT` names a dbt v2 of your own.
    Use(Use),

    #[command(hide = true)]
    Launch(Launch),
}

#[derive(clap::Args)]
struct Use {
    /// The engine.
    #[arg(value_enum)]
    engine: Generation,

    /// Install the v2 that the package index itself carries (a pre-release), for networks that reach only the index.
    /// The stable release is downloaded from dbt's release page.
    #[arg(long)]
    wheel: bool,

    /// Take the downloads from this folder instead of the network.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,

    #[command(flatten)]
    target: target::Args,
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    match &args.command {
        Command::Use(args) => use_engine(args, repo),
        Command::Launch(launch) => match launch.run()? {},
    }
}

fn use_engine(args: &Use, repo: &Repo) -> Result<Outcome> {
    interrupt::listen()?;
    let driver = args.target.target().driver();
    let engine = match args.engine {
        Generation::V1 => {
            native::remove(repo)?;
            Engine::ensure_v1(repo, driver)?
        }
        Generation::V2 => {
            let kind = if args.wheel { Kind::Wheel } else { Kind::Release };
            Engine::V2(native::ensure(repo, Some(kind), driver, args.from.as_deref())?)
        }
    };
    let Choice { generation, because } = engine::choose(repo)?;
    if generation != args.engine {
        tracing::warn!(
            "{} is installed, but runs use {}, because {because}",
            args.engine.label(),
            generation.label()
        );
    }
    console::print(&engine.describe())?;
    Ok(Outcome::Clean)
}
