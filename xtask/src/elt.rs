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
mod removed;
mod report;
mod state;
mod summary;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use self::plan::Plan;
use self::record::Built;
use crate::core::context;
use crate::core::environment::Name;
use crate::core::ledger::{self, Need, Run, State, Status};
use crate::core::lock::Holder;
use crate::dbt::artifacts;
use crate::dbt::runner::Invocation;
use crate::seed;
use crate::system::console::Format;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::system::{console, interrupt};
use crate::target::{self, Guard, Opened, Place};
use crate::warehouse::Warehouse;
#[cfg(unix)]
use crate::warehouse::snowflake;

/// Provision a schema, seed it, build and test the models layer by layer, and sum it up.
#[derive(clap::Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// The environment to build, such as `issue_42`, `pr_7`, `dev` or a name of your own.
    #[arg(long, value_name = "NAME", env = "DBT_TARGET_SCHEMA")]
    schema: Name,

    #[command(flatten)]
    target: target::Args,

    #[command(flatten)]
    purpose: context::Purpose,

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

    /// Print what would be built and tested, and for each node and test why, and do none of it.
    #[arg(long, conflicts_with = "dry_run")]
    explain: bool,

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
    let project = repo.dbt_project()?;
    let place = args.target.place(repo)?;
    if args.dry_run || args.explain {
        return dry_run(args, repo, &project, &place);
    }
    let mut run = record::new_run(args, repo.root());
    let opened = place.open(repo, &record::query_tag(&run))?;
    run.dbt_version = opened.dbt.version().map(str::to_owned);
    interrupt::listen()?;
    let begun = Instant::now();
    let lock = opened.lock(
        &args.schema,
        &Holder::this("elt", &args.schema, Some(&run.run_id)),
        args.target.wait(),
    )?;
    let mut warehouse = opened.warehouse();
    if let Some(killed) = &lock.left_by {
        record::close_killed_run(warehouse.as_mut(), killed, &run)?;
    }
    // A `seed` that was killed while it put its files in place left the rest of them beside.
    seed::settle(args.seeds.as_deref().unwrap_or(&project.join("seeds")))?;
    let holder = Holder::this("elt", &args.schema, Some(&run.run_id));
    let base = opened.lock_base(&args.schema, args.purpose.base.as_ref(), &holder, args.target.wait())?;
    let plan = plan(args, &project, &opened.place, &run.run_id, warehouse.as_mut())?;
    let version = run.dbt_version.as_deref();
    let mut keeper =
        keeper(args, &project, &opened.place, version, &run.run_id, plan.has_ledger, warehouse.as_mut())?;
    let same =
        if keeper.starts_nothing() { ledger::last_build(warehouse.as_mut(), &args.schema)? } else { None };
    let mut built = if let Some(same) = &same {
        // Columns that this toolkit is the first to write.
        warehouse.apply(&plan.provision)?;
        keeper.remove(warehouse.as_mut())?;
        record::up_to_date(warehouse.as_mut(), run, same, begun)?
    } else {
        let folder = artifacts_folder(args, &project);
        build(plan, (&mut keeper, &folder), &opened, warehouse.as_mut(), run, base, begun)?
    };
    if same.is_some() {
        built.nodes.retain(|node| keeper.covers(&node.node_id));
    }
    built.reused = keeper.reused();
    conclude(args.format, repo, &project, &opened.place, warehouse.as_mut(), built)
}

/// Where dbt puts what it compiles and the artifacts of this environment: a folder each, so that two
/// environments never read each other's.
fn artifacts_folder(args: &Args, project: &Path) -> PathBuf {
    project.join("target").join(args.schema.as_str())
}

/// The state of the environment, and what differs from it.
fn keeper(
    args: &Args,
    project: &Path,
    place: &Place,
    dbt_version: Option<&str>,
    run_id: &str,
    is_ours: bool,
    warehouse: &mut dyn Warehouse,
) -> Result<state::Keeper> {
    let asked = state::Asked {
        schema: &args.schema,
        run_id,
        select: args.select.as_deref(),
        force: args.force,
        full_refresh: args.full_refresh,
        base: args.purpose.base.as_ref(),
        is_ours,
    };
    let vars = args.vars.as_deref();
    let engine = dbt_version.unwrap_or_default();
    let facts = state::facts(&asked, place, vars, args.seeds.as_deref(), engine, &warehouse.database());
    state::Keeper::read(&asked, project, &facts, warehouse)
}

fn explain(keeper: &state::Keeper, format: Format) -> Result<Outcome> {
    let explained = keeper.explained();
    match format {
        Format::Json => console::print_json(&explained)?,
        Format::Human => console::print(&explained.text())?,
    }
    Ok(Outcome::Clean)
}

fn dry_run(args: &Args, repo: &Repo, project: &Path, place: &Place) -> Result<Outcome> {
    let run_id = "RUN_ID";
    let tag = ledger::query_tag(Some(args.schema.as_str()), Some(run_id), "elt");
    let (mut warehouse, is_installed) = place.look(repo, &tag)?;
    let plan = plan(args, project, place, run_id, warehouse.as_mut())?;
    let version = place.dbt_version(repo)?;
    let has_ledger = plan.has_ledger;
    let keeper = keeper(args, project, place, version.as_deref(), run_id, has_ledger, warehouse.as_mut())?;
    if args.explain {
        return explain(&keeper, args.format);
    }
    let unchanged = has_ledger && keeper.is_idle();
    plan.print(&args.schema, warehouse.as_ref(), is_installed, unchanged, args.format)?;
    Ok(Outcome::Clean)
}

fn plan(
    args: &Args,
    project: &Path,
    place: &Place,
    run_id: &str,
    warehouse: &mut dyn Warehouse,
) -> Result<Plan> {
    let state = State::read(warehouse, &args.schema)?;
    let seeds = args.seeds.as_deref();
    let options = [format!("select {:?}", args.select), format!("vars {:?}", args.vars)];
    let fingerprint = context::fingerprint(project, seeds, &options)?;
    let origin = args.purpose.origin();
    let provision = ledger::ensure(warehouse, &args.schema, &state, &origin, Need::Ledger, false)?;
    Ok(Plan {
        provision,
        is_new: !state.is_ours(&args.schema),
        has_ledger: state.is_ours(&args.schema) && state.has_ledger(),
        invocation: plan::invocation(args, project, place, seeds, run_id),
        fingerprint,
    })
}

fn build(
    mut plan: Plan,
    (keeper, artifacts_folder): (&mut state::Keeper, &Path),
    opened: &Opened,
    warehouse: &mut dyn Warehouse,
    run: Run,
    base: Option<Guard>,
    begun: Instant,
) -> Result<Built> {
    interrupt::check()?;
    warehouse.apply(&plan.provision).with_context(|| format!("failed to provision {}", run.schema_name))?;
    // It is copied.
    drop(base);
    on_actions::provisioned(plan.is_new)?;
    if plan.is_new {
        keeper.start_from_base(warehouse)?;
    }
    let mut follower = follow::Follower::new();
    let ended = artifacts::prepare(artifacts_folder).and_then(|()| {
        plan.invocation.secrets = opened.place.dbt_secrets()?;
        #[cfg(unix)]
        let broker = opened.place.broker()?;
        #[cfg(unix)]
        plan.invocation.environment.extend(broker.as_ref().map(snowflake::Broker::variable));
        let start = |invocation: &Invocation| invocation.run(&opened.dbt, |event| follower.follow(event));
        keeper.run(warehouse, &mut plan.invocation, artifacts_folder, start)
    });
    let seen = follower.finish();
    match ended {
        Ok(ended) => record::ended(warehouse, run, artifacts_folder, &plan, &ended, &seen, begun),
        Err(error) => {
            record::could_not_start(warehouse, run, begun, &error)?;
            Err(error)
        }
    }
}

fn conclude(
    format: Format,
    repo: &Repo,
    project: &Path,
    place: &Place,
    warehouse: &mut dyn Warehouse,
    built: Built,
) -> Result<Outcome> {
    let located = locate::Project { folder: project, name: repo.relative(project) };
    let details = failures::details(warehouse, &built, &located);
    let report = report::Report::new(warehouse.target(), built, details);
    on_actions::tell(&report)?;
    match format {
        Format::Json => console::print_json(&report)?,
        Format::Human => {
            let project = repo.relative(project).display().to_string();
            console::print(&summary::text(&report, &place.describe(repo), &project)?)?;
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
