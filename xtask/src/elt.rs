//! `cargo xtask elt`: the main job. Provision a schema, seed it, build and test it, record it, sum it up.
//!
//! `plan` decides and touches nothing; what follows executes and decides nothing, so `--dry-run` cannot
//! drift from a real run. One dbt process does all the building; everything else costs milliseconds.

mod failures;
mod follow;
mod locate;
mod on_actions;
mod plan;
mod record;
mod report;
mod summary;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use self::plan::Plan;
use self::record::Built;
use crate::dbt::artifacts;
use crate::dbt::python::{self, Python, Set};
use crate::environment::Name;
use crate::ledger::{self, Run, State, Status};
use crate::local::Local;
use crate::outcome::Outcome;
use crate::repo::Repo;
use crate::warehouse::Warehouse;
use crate::warehouse::duckdb::DuckDb;
use crate::{Format, console, context, interrupt, local, seed};

/// Provision a schema, seed it, build and test the models layer by layer, and sum it up.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The environment to build, such as `issue_42`, `pr_7`, `dev` or a name of your own.
    #[arg(long, value_name = "NAME", env = "DBT_TARGET_SCHEMA")]
    schema: Name,

    /// Build only these nodes, in dbt's selection syntax, such as `daily_kpis+` or `tag:gold`.
    #[arg(long, short, value_name = "SELECTION", value_parser = for_dbt)]
    select: Option<String>,

    /// Take the seeds' CSV files from this folder instead of the project's own.
    #[arg(long, value_name = "DIR", value_parser = existing_folder)]
    seeds: Option<PathBuf>,

    /// Variables for dbt as YAML, such as `{as_of: 2026-10-01}`.
    #[arg(long, value_name = "YAML", value_parser = for_dbt)]
    vars: Option<String>,

    /// Rebuild incremental models and seeds from nothing.
    #[arg(long)]
    full_refresh: bool,

    /// Build even if nothing has changed since the last successful run.
    #[arg(long)]
    force: bool,

    /// Print what would be done, statement by statement, and do none of it.
    #[arg(long)]
    dry_run: bool,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A value that dbt cannot take for an option of its own.
fn for_dbt(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.split_whitespace().any(|word| word.starts_with('-')) {
        return Err("it must not be empty, and no word of it may start with `-`".to_owned());
    }
    Ok(text.to_owned())
}

fn existing_folder(text: &str) -> Result<PathBuf, String> {
    let folder = std::fs::canonicalize(text).map_err(|error| error.to_string())?;
    if folder.is_dir() { Ok(folder) } else { Err("it is not a folder".to_owned()) }
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    let place = Place { project: repo.dbt_project()?, database: local::database(repo)? };
    if args.dry_run {
        return dry_run(args, repo, &place);
    }
    let local = Local::open(repo)?;
    interrupt::listen()?;
    let begun = Instant::now();
    let run = record::new_run(args, repo.root(), local.python.dbt_version());
    let lock = local.lock(&record::holder(&run))?;
    let mut warehouse = local.warehouse();
    if let Some(killed) = &lock.left_by {
        record::close_killed_run(&mut warehouse, killed, &run)?;
    }
    // A `seed` that was killed while it put its files in place left the rest of them beside.
    seed::settle(args.seeds.as_deref().unwrap_or(&place.project.join("seeds")))?;
    let plan = plan(args, &place, &run.run_id, &mut warehouse)?;
    let built = match &plan.up_to_date {
        Some(same) => record::up_to_date(&mut warehouse, run, same, begun)?,
        None => build(&plan, &place.artifacts(args), &local.python, &mut warehouse, run, begun)?,
    };
    conclude(args.format, repo, &place, &mut warehouse, built)
}

/// Where the project and its warehouse are.
struct Place {
    project: PathBuf,
    database: PathBuf,
}

impl Place {
    /// Where dbt puts what it compiles and the artifacts of this environment: a folder each, so that
    /// two environments never read each other's.
    fn artifacts(&self, args: &Args) -> PathBuf {
        self.project.join("target").join(args.schema.as_str())
    }
}

fn dry_run(args: &Args, repo: &Repo, place: &Place) -> Result<Outcome> {
    // Nothing is installed for a look. Without the engine there is no telling what stands in the file.
    let python = python::find(repo, &[Set::Local])?;
    if python.is_none() && place.database.exists() {
        bail!(
            "failed to read {}: the Python environment is not installed; `cargo xtask python sync` installs it",
            place.database.display()
        );
    }
    let program = python.as_ref().map_or(Path::new("duckdb"), Python::duckdb);
    let mut warehouse = DuckDb::new(program, &place.database);
    let plan = plan(args, place, "RUN_ID", &mut warehouse)?;
    plan.print(&args.schema, warehouse.target(), python.is_some(), args.format)?;
    Ok(Outcome::Clean)
}

fn plan(args: &Args, place: &Place, run_id: &str, warehouse: &mut dyn Warehouse) -> Result<Plan> {
    let state = State::read(warehouse, &args.schema)?;
    let seeds = args.seeds.as_deref();
    let options = [format!("select {:?}", args.select), format!("vars {:?}", args.vars)];
    let fingerprint = context::fingerprint(&place.project, seeds, &options)?;
    let may_rest = state.is_ours(&args.schema) && !args.force && !args.full_refresh;
    let up_to_date =
        if may_rest { plan::unchanged_since(warehouse, &args.schema, &fingerprint)? } else { None };
    Ok(Plan {
        provision: ledger::provision(warehouse, &args.schema, &state, &context::origin(), false)?,
        invocation: plan::invocation(args, &place.project, &place.database, seeds, run_id),
        fingerprint,
        up_to_date,
    })
}

fn build(
    plan: &Plan,
    artifacts_folder: &Path,
    python: &Python,
    warehouse: &mut dyn Warehouse,
    run: Run,
    begun: Instant,
) -> Result<Built> {
    interrupt::check()?;
    warehouse.apply(&plan.provision).with_context(|| format!("failed to provision {}", run.schema_name))?;
    let mut follower = follow::Follower::new();
    let ended = artifacts::prepare(artifacts_folder)
        .and_then(|()| plan.invocation.run(python.interpreter(), |event| follower.follow(event)));
    let seen = follower.finish();
    match ended {
        Ok(ended) => record::ended(warehouse, run, artifacts_folder, plan, &ended, &seen, begun),
        Err(error) => {
            record::could_not_start(warehouse, run, begun, &error)?;
            Err(error)
        }
    }
}

fn conclude(
    format: Format,
    repo: &Repo,
    place: &Place,
    warehouse: &mut dyn Warehouse,
    built: Built,
) -> Result<Outcome> {
    let project = locate::Project { folder: &place.project, name: repo.relative(&place.project) };
    let details = failures::details(warehouse, &built, &project);
    let report = report::Report::new(warehouse.target(), built, details);
    on_actions::tell(&report)?;
    match format {
        Format::Json => console::print_json(&report)?,
        Format::Human => {
            let database = repo.relative(&place.database).display().to_string();
            let project = repo.relative(&place.project).display().to_string();
            console::print(&summary::text(&report, &database, &project)?)?;
        }
    }
    if report.status == Status::Success && report.nodes.is_empty() {
        bail!(
            "the selection matches no node of the project, so nothing was built; `dbt ls --select …` lists matches"
        );
    }
    match report.status {
        Status::Success => Ok(Outcome::Clean),
        Status::Fail => Ok(Outcome::Findings),
        Status::Interrupted => Err(interrupt::Interrupted.into()),
        Status::Error => bail!(report.message.unwrap_or_else(|| "dbt could not run".to_owned())),
    }
}
