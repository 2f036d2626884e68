//! `cargo xtask elt`: the main job. Provision a schema, seed it, build and test it, record it, sum it up.
//!
//! `plan` decides and touches nothing; what follows executes and decides nothing, so `--dry-run` cannot
//! drift from a real run. One dbt process does all the building; everything else costs milliseconds.

mod announce;
mod ending;
mod failures;
mod follow;
mod locate;
mod on_actions;
mod parse_cache;
mod plan;
mod provision;
mod record;
mod removed;
mod report;
mod state;
mod summary;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};

use self::ending::Ending;
use self::parse_cache::ParseCache;
use self::plan::Plan;
use self::provision::{allow, claim, provision};
use self::record::Built;
use self::report::NotStarted;
use crate::core::context::{self, Commit};
use crate::core::environment::Name;
use crate::core::lock::Holder;
use crate::dbt::artifacts;
use crate::dbt::boundary::Intended;
use crate::dbt::engine::Generation;
use crate::dbt::project::Project;
use crate::dbt::runner::Ended;
use crate::dbt::seed_files;
use crate::ledger::{self, Run, Status};
use crate::seed;
use crate::system::console::Format;
use crate::system::contract::Contract;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::system::{actions, console, interrupt};
use crate::target::{self, Guard, Opened, Place};
#[cfg(unix)]
use crate::warehouse::snowflake;
use crate::warehouse::{Statement, Warehouse};

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

/// A value that dbt cannot mistake for one of its options.
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

/// The schemas of what this command prints.
pub(crate) fn contracts() -> [Contract; 3] {
    [report::contract(), plan::contract(), state::explain::contract()]
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    let project = Project::read(&repo.dbt_project()?)?;
    let place = args.target.place(repo)?;
    if args.dry_run || args.explain {
        return dry_run(args, repo, &project, place);
    }
    let mut run = record::new_run(args);
    // Git looks at every file, which nothing else has to wait for.
    let commit = Commit::ask(repo.root());
    let opened = place.open(repo, &record::query_tag(&run))?;
    run.dbt_version = opened.dbt()?.version().map(str::to_owned);
    interrupt::listen()?;
    let begun = Instant::now();
    let concerned = std::iter::once(&args.schema).chain(args.purpose.base.as_ref());
    ledger::refuse_others(opened.warehouse().as_mut(), concerned)?;
    let lock = opened.lock(
        &args.schema,
        &Holder::this("elt", &args.schema, Some(&run.run_id)),
        args.target.wait(),
    )?;
    let mut warehouse = opened.warehouse_of(&args.schema);
    if let Some(killed) = &lock.left_by {
        record::close_killed_run(warehouse.as_mut(), killed, &run)?;
    }
    // A `seed` that was killed while it put its files in place left the rest of them beside.
    seed::settle(args.seeds.as_deref().unwrap_or(&project.folder().join("seeds")))?;
    let holder = Holder::this("elt", &args.schema, Some(&run.run_id));
    let base = opened.lock_base(&args.schema, args.purpose.base.as_ref(), &holder, args.target.wait())?;
    if let (Some(_), Some(base)) = (&base, &args.purpose.base) {
        // dbt waits for all of it in the end.
        warehouse.copy_ahead(base, &args.schema, true)?;
    }
    // A run that was killed has left nothing that can be relied on.
    let loading = match lock.left_by {
        None => state::known::load(warehouse.as_mut(), &args.schema),
        Some(_) => None,
    };
    if loading.is_none() {
        warehouse.warm_up();
    }
    let prepared = plan::prepare(args, repo, &project, &opened.place)?;
    let versions = opened.dbt()?.versions(opened.place.adapter().kind());
    let facts =
        state::facts(args, &opened.place, &prepared.profile, &run.run_id, &versions, warehouse.as_ref());
    let artifacts = artifacts_folder(args, project.folder());
    let mut reader = state::Reader::new(project.folder(), facts, &artifacts);
    if prepared.packages.is_none() {
        // While the warehouse warms up.
        reader.read_ahead()?;
    }
    let known = loading.and_then(state::known::Loading::finish);
    let is_whole = known.as_ref().is_some_and(|known| known.is_whole);
    let mut plan =
        plan::decide(args, &project, &opened.place, prepared, &run.run_id, is_whole, warehouse.as_mut())?;
    if let Some(newer) = newer_run(&plan, &run, warehouse.as_mut())? {
        return leave_to(args, &newer);
    }
    if let Some(packages) = &plan.packages {
        plan.profile.write()?;
        packages.install(&plan.invocation, &plan.profile, opened.dbt()?)?;
        plan.packages = None;
    }
    let mut keeper = keeper(args, &plan, reader, known, warehouse.as_mut())?;
    record::add_commit(&mut run, commit);
    if let Some(refusal) = keeper.refusal() {
        match args.format {
            Format::Json => {
                let (schema, message) = (&args.schema, refusal.as_str());
                console::print_json(&NotStarted { schema, status: "fail", dbt_started: false, message })?;
            }
            Format::Human => console::print(&(refusal + "\n"))?,
        }
        return Ok(Outcome::Findings);
    }
    let same = if keeper.starts_nothing() { keeper.last_build(warehouse.as_mut())? } else { None };
    let (mut built, kept) = if let Some(same) = &same {
        // Nothing is missing, or columns that this toolkit is the first to write.
        provision(&plan.provision, plan.is_new, &args.schema, warehouse.as_mut())?;
        drop(base);
        keeper.take_over(warehouse.as_mut())?;
        keeper.remove(warehouse.as_mut())?;
        let nodes = keeper.current_nodes(warehouse.as_mut())?;
        let built = record::up_to_date(warehouse.as_mut(), run, same, nodes, begun)?;
        let kept = keeper.keep(warehouse.as_ref(), same, &built.nodes);
        (built, kept)
    } else {
        seed_files::check(&project, args.seeds.as_deref(), opened.place.adapter())?;
        build(plan, (&mut keeper, &artifacts), &opened, warehouse.as_mut(), run, base, begun)?
    };
    if let Some(Err(error)) = kept.map(|kept| kept.finish(warehouse.as_mut(), &args.schema)) {
        tracing::debug!("{error:#}");
    }
    if same.is_some() {
        built.nodes.retain(|node| keeper.covers(&node.node_id));
    }
    built.reused = keeper.reused();
    // The process ends: to give back thousands of nodes one by one is a twentieth of a run that finds nothing to do.
    std::mem::forget(keeper);
    conclude(args.format, repo, project.folder(), &opened.place, warehouse.as_mut(), built)
}

/// The page of a newer workflow run that has already built this environment. Runs can come to their turn in another
/// order than their events: an older commit must not replace a newer one.
fn newer_run(plan: &Plan, run: &Run, warehouse: &mut dyn Warehouse) -> Result<Option<String>> {
    let Some(ours) = run.run_url.as_deref().filter(|_| plan.has_ledger) else { return Ok(None) };
    let last = ledger::last_run(warehouse, &run.schema_name.parse()?)?.and_then(|last| last.run_url);
    Ok(last.filter(|url| context::is_newer_run(url, ours, context::run_attempt())))
}

/// Ends a run that a newer one has overtaken; the workflow then measures and reports nothing.
fn leave_to(args: &Args, newer: &str) -> Result<Outcome> {
    let message = format!(
        "{} is left as it is: the newer run {newer} has built it. Start this run again to build it all the same",
        args.schema
    );
    actions::set_outputs(&[("wanted", "false".to_owned())])?;
    match args.format {
        Format::Json => {
            let (schema, message) = (&args.schema, message.as_str());
            console::print_json(&NotStarted { schema, status: "superseded", dbt_started: false, message })?;
        }
        Format::Human => console::print(&message)?,
    }
    Ok(Outcome::Clean)
}

/// Where dbt puts what it compiles and the artifacts of this environment: a folder each, so that two
/// environments never read each other's.
fn artifacts_folder(args: &Args, project: &Path) -> PathBuf {
    project.join("target").join(args.schema.as_str())
}

/// The state of the environment, and what differs from it.
fn keeper(
    args: &Args,
    plan: &Plan,
    reader: state::Reader<'_>,
    known: Option<state::known::Known>,
    warehouse: &mut dyn Warehouse,
) -> Result<state::Keeper> {
    let asked = state::Asked {
        schema: &args.schema,
        run_id: &plan.run_id,
        select: args.select.as_deref(),
        force: args.force,
        full_refresh: args.full_refresh,
        changed: plan.changed,
        base: args.purpose.base.as_ref(),
        copies_file: plan.provision.iter().any(|statement| matches!(statement, Statement::Copy { .. })),
        found: match (plan.is_new, plan.has_ledger) {
            (true, _) => state::Found::Nothing,
            (false, false) => state::Found::WithoutLedger,
            (false, true) => state::Found::WithLedger,
        },
    };
    state::Keeper::read(&asked, reader, known, warehouse)
}

fn explain(keeper: &state::Keeper, format: Format) -> Result<Outcome> {
    let explained = keeper.explained();
    match format {
        Format::Json => console::print_json(&explained)?,
        Format::Human => console::print(&explained.text())?,
    }
    Ok(Outcome::Clean)
}

fn dry_run(args: &Args, repo: &Repo, project: &Project, mut place: Place) -> Result<Outcome> {
    let run_id = "RUN_ID";
    let tag = ledger::query_tag(Some(args.schema.as_str()), Some(run_id), "elt");
    let (mut warehouse, is_installed) = place.look(repo, Some(&args.schema), &tag)?;
    let known = state::known::load(warehouse.as_mut(), &args.schema).and_then(state::known::Loading::finish);
    let is_whole = known.as_ref().is_some_and(|known| known.is_whole);
    let prepared = plan::prepare(args, repo, project, &place)?;
    let versions = place.dbt_versions(repo)?.unwrap_or_default();
    let facts = state::facts(args, &place, &prepared.profile, run_id, &versions, warehouse.as_ref());
    let artifacts = artifacts_folder(args, project.folder());
    let reader = state::Reader::new(project.folder(), facts, &artifacts).looking();
    let plan = plan::decide(args, project, &place, prepared, run_id, is_whole, warehouse.as_mut())?;
    let keeper = keeper(args, &plan, reader, known, warehouse.as_mut())?;
    if args.explain {
        return explain(&keeper, args.format);
    }
    let unchanged = plan.has_ledger && plan.packages.is_none() && keeper.is_idle();
    let selection = keeper.selection(args.select.as_deref());
    plan.print(&args.schema, warehouse.as_ref(), is_installed, unchanged, &selection, args.format)?;
    Ok(Outcome::Clean)
}

fn build(
    mut plan: Plan,
    (keeper, artifacts_folder): (&mut state::Keeper, &Path),
    opened: &Opened,
    warehouse: &mut dyn Warehouse,
    mut run: Run,
    mut base: Option<Guard>,
    begun: Instant,
) -> Result<(Built, Option<state::known::Keeping>)> {
    interrupt::check()?;
    run.fingerprint = keeper.fingerprint();
    let schema: Name = run.schema_name.parse()?;
    if !plan.is_new {
        warehouse.try_write(&schema)?;
    }
    let mut follower = follow::Follower::new();
    let mut is_provisioned = false;
    let ended = artifacts::prepare(artifacts_folder).and_then(|()| {
        plan.profile.write()?;
        plan.invocation.secrets = opened.place.dbt_secrets()?;
        #[cfg(unix)]
        let broker = opened.place.broker()?;
        #[cfg(unix)]
        plan.invocation.environment.extend(broker.as_ref().map(snowflake::Broker::variable));
        let cache = ParseCache::of(&plan, opened, artifacts_folder)?;
        if cache.is_some() {
            plan.invocation.args.push(parse_cache::OPTION.to_owned());
        }
        let is_known = keeper.is_announced();
        let mut is_announced = is_known;
        // With a model that is switched off dbt would keep its tests.
        let mut is_parsed = is_known && keeper.removes_nothing();
        let mut known = BTreeSet::new();
        keeper.run(warehouse, &mut plan.invocation, artifacts_folder, |warehouse, invocation, wave| {
            // dbt has parsed the project: an environment is made only for what may be built in it.
            let mut expected = Vec::new();
            let mut allow = |intended: &[Intended]| {
                allow(&plan.boundary, intended)?;
                let further = plan.boundary.further(intended);
                let unknown: BTreeSet<String> = further.difference(&known).cloned().collect();
                // Refused, if at all, before anything is made.
                let mut claimed = warehouse.claim(&schema, &unknown)?;
                let mut along = None;
                if !is_provisioned {
                    along = wave.along(warehouse)?;
                    let made = [plan.provision.as_slice(), along.as_deref().unwrap_or_default()].concat();
                    provision(&made, plan.is_new, &schema, warehouse)?;
                    if !plan.provision.is_empty() && !claimed.is_empty() {
                        // The schema and the registry are made, and a copy has those of its base.
                        claimed = warehouse.claim(&schema, &unknown)?;
                    }
                    // It is copied.
                    drop(base.take());
                    is_provisioned = true;
                }
                claim(&schema, &unknown, &claimed, warehouse)?;
                known.extend(further);
                wave.begin(warehouse, along.is_some())?;
                // dbt needs the database for itself.
                warehouse.release();
                Ok(())
            };
            if opened.dbt()?.generation() == Generation::V1 {
                // Its process waits for the answer.
                let ended = invocation.run(opened.dbt()?, allow, |event| follower.follow(event));
                return ended.map(|ended| (ended, None));
            }
            let ending = Ending::new(artifacts_folder, &mut follower);
            if is_announced {
                allow(&[])?;
                if is_known {
                    expected = wave.intended();
                }
            } else {
                // It does not parse, which the build reports.
                let Some(intended) =
                    announce::intended(invocation, opened, cache.as_ref(), artifacts_folder)?
                else {
                    return ending.start(invocation, opened, cache.as_ref(), false, warehouse);
                };
                allow(&intended)?;
                artifacts::prepare(artifacts_folder)?;
                is_announced = true;
                is_parsed = true;
            }
            let (ended, manifest) = ending.start(invocation, opened, cache.as_ref(), is_parsed, warehouse)?;
            is_parsed = true;
            Ok((Ended { intended: ended.intended.or(Some(expected)), ..ended }, manifest))
        })
    });
    let redactor = plan.invocation.redactor();
    let seen = follower.finish();
    // A run that failed before it wrote anything is recorded too, but a refused one makes no environment.
    if !is_provisioned && (ended.is_ok() || !plan.is_new) {
        provision(&plan.provision, plan.is_new, &schema, warehouse)?;
        is_provisioned = true;
    }
    match ended {
        Ok(ended) => {
            let states = keeper.unwritten(warehouse)?;
            let (manifest, sizes) = (keeper.manifest.take(), keeper.sizes());
            let heard = record::Heard { ended: &ended, seen: &seen, manifest, sizes: &sizes };
            let (built, change) =
                record::ended(warehouse, run, artifacts_folder, &redactor, heard, states, begun)?;
            keeper.complete(warehouse);
            let kept = keeper.keep(warehouse, &built.run, &built.nodes);
            record::write(warehouse, &built.run, &change)?;
            keeper.is_written(warehouse)?;
            Ok((built, kept))
        }
        Err(error) => {
            if is_provisioned {
                record_error(keeper, warehouse, run, begun, &error);
            }
            Err(error)
        }
    }
}

/// What stopped the run is worth more than that it could not be recorded.
fn record_error(
    keeper: &mut state::Keeper,
    warehouse: &mut dyn Warehouse,
    run: Run,
    begun: Instant,
    error: &anyhow::Error,
) {
    let states = keeper.unwritten(warehouse).unwrap_or_default();
    let recorded = record::could_not_start(warehouse, run, states, begun, error);
    if let Err(unrecorded) = recorded.and_then(|()| keeper.is_written(warehouse)) {
        tracing::warn!("{unrecorded:#}");
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
    let details = failures::details(warehouse, &built, &located, repo);
    let is_part = built.run.selection.is_some();
    let report = report::Report::new(warehouse.target(), built, details);
    on_actions::report(&report)?;
    if report.status == Status::Success && report.nodes.is_empty() && (is_part || report.reused.is_empty()) {
        bail!(
            "the selection matches no node of the project, so nothing was built; `dbt ls --select …` lists matches"
        );
    }
    match format {
        Format::Json => console::print_json(&report)?,
        Format::Human => {
            let project = repo.relative(project).display().to_string();
            console::print(&summary::text(&report, &place.describe(repo, &report.schema), &project)?)?;
        }
    }
    match report.status {
        Status::Success => Ok(Outcome::Clean),
        Status::Fail => Ok(Outcome::Findings),
        Status::Interrupted => Err(interrupt::Interrupted.into()),
        Status::Error => bail!(report.message.unwrap_or_else(|| "dbt could not run".to_owned())),
    }
}
