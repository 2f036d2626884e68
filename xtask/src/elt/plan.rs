//! What a run will do, decided before it does any of it, and printed by `--dry-run`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Serialize;

use super::Args;
use crate::core::context;
use crate::core::environment::{Name, REGISTRY};
use crate::core::policy::{Changed, Environments};
use crate::dbt::boundary::Boundary;
use crate::dbt::packages::Packages;
use crate::dbt::profile::Profile;
use crate::dbt::project::Project;
use crate::dbt::runner::Invocation;
use crate::ledger::{self, Adopt, Need, State};
use crate::system::console;
use crate::system::console::Format;
use crate::system::contract::Contract;
use crate::system::repo::Repo;
use crate::target::Place;
use crate::warehouse::{Statement, Warehouse};

/// The decision about one run.
#[derive(Debug)]
pub(super) struct Plan {
    /// What makes the schema an environment of ours.
    pub(super) provision: Vec<Statement>,
    /// Whether the environment is one that was not there before.
    pub(super) is_new: bool,
    /// Whether it has a ledger to read.
    pub(super) has_ledger: bool,
    pub(super) run_id: String,
    pub(super) profile: Profile,
    pub(super) boundary: Boundary,
    pub(super) invocation: Invocation,
    /// The packages to install first.
    pub(super) packages: Option<Packages>,
    /// What happens to incremental models whose definition changed.
    pub(super) changed: Changed,
}

/// What is decided before the warehouse is asked.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) profile: Profile,
    /// The packages to install first.
    pub(super) packages: Option<Packages>,
    /// What happens to incremental models whose definition changed.
    pub(super) changed: Changed,
}

/// Decide what no warehouse has to be asked for.
pub(super) fn prepare(args: &Args, repo: &Repo, project: &Project, place: &Place) -> Result<Prepared> {
    let policy = Environments::load(repo)?;
    let settings = match place {
        Place::Local { .. } => &policy.local.profile,
        Place::Snowflake { .. } => &policy.snowflake.profile,
    };
    Ok(Prepared {
        profile: Profile::decide(repo.root(), project, place.adapter(), settings, threads(place)?)?,
        packages: Packages::wanted(project)?,
        changed: policy.incremental.changed(args.schema.kind()),
    })
}

/// Decide the rest.
pub(super) fn decide(
    args: &Args,
    project: &Project,
    place: &Place,
    Prepared { profile, packages, changed }: Prepared,
    run_id: &str,
    is_whole: bool,
    warehouse: &mut dyn Warehouse,
) -> Result<Plan> {
    let state = if is_whole {
        State::whole(warehouse, &args.schema)
    } else {
        warehouse.watch(REGISTRY);
        State::read(warehouse, &args.schema)?
    };
    let seeds = args.seeds.as_deref();
    let origin = args.purpose.origin();
    let provision = ledger::ensure(warehouse, &args.schema, &state, &origin, Need::Ledger, Adopt::default())?;
    Ok(Plan {
        provision,
        is_new: !state.is_ours(&args.schema),
        has_ledger: state.is_ours(&args.schema) && state.has_ledger(),
        run_id: run_id.to_owned(),
        invocation: invocation(args, project.folder(), place, &profile, seeds, run_id),
        boundary: place.boundary(&args.schema, project.folder()),
        profile,
        packages,
        changed,
    })
}

/// The one dbt command of a run.
pub(super) fn invocation(
    args: &Args,
    project: &Path,
    place: &Place,
    profile: &Profile,
    seeds: Option<&Path>,
    run_id: &str,
) -> Invocation {
    let mut words = vec!["build".to_owned()];
    words.extend(profile.build_options());
    words.extend(["--target-path".to_owned(), format!("target/{}", args.schema)]);
    if let Some(vars) = &args.vars {
        words.extend(["--vars".to_owned(), vars.clone()]);
    }
    if args.full_refresh {
        words.push("--full-refresh".to_owned());
    }
    let mut environment =
        vec![("XTASK_RUN_ID", run_id.to_owned()), ("XTASK_ENVIRONMENT", args.schema.to_string())];
    let tag = ledger::query_tag(Some(args.schema.as_str()), Some(run_id), "elt");
    environment.extend(place.dbt_variables(&args.schema, &tag));
    if let Some(seeds) = seeds {
        environment.push(("DBT_SEED_DIR", seeds.to_string_lossy().into_owned()));
    }
    Invocation { project: project.to_path_buf(), args: words, environment, secrets: Vec::new() }
}

/// Nodes that dbt builds at once. dbt's own work holds Python's lock, so more threads than processors
/// only wait for each other; DuckDB spreads a large query over all of them by itself. At Snowflake dbt
/// mostly waits.
pub(super) fn threads(place: &Place) -> Result<usize> {
    if let Some(text) = context::variable("DBT_THREADS") {
        return match text.trim().parse() {
            Ok(threads @ 1..=1024) => Ok(threads),
            _ => bail!("DBT_THREADS is {text:?}; it takes a number from 1 to 1024"),
        };
    }
    Ok(match place {
        Place::Local { .. } => std::thread::available_parallelism().map_or(1, usize::from).min(4),
        Place::Snowflake { .. } => 8,
    })
}

#[derive(Serialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "answers of a report")]
struct Shown<'a> {
    schema: &'a Name,
    target: &'static str,
    dry_run: bool,
    up_to_date: bool,
    install: bool,
    /// Whether `dbt deps` comes first.
    deps: bool,
    statements: Vec<String>,
    dbt: Option<String>,
}

pub(super) fn contract() -> Contract {
    Contract::output::<Shown<'_>>("elt-dry-run", "cargo xtask elt --dry-run --format json")
}

impl Plan {
    /// Print what would be done. `installed` is whether the chosen dbt is there.
    pub(super) fn print(
        &self,
        schema: &Name,
        warehouse: &dyn Warehouse,
        installed: bool,
        unchanged: bool,
        selection: &[String],
        format: Format,
    ) -> Result<()> {
        let shown = Shown {
            schema,
            target: warehouse.target(),
            dry_run: true,
            up_to_date: unchanged,
            install: !installed,
            deps: !unchanged && self.packages.is_some(),
            statements: if unchanged { Vec::new() } else { warehouse.script(&self.provision) },
            dbt: (!unchanged).then(|| {
                let words = selection.iter().map(|word| format!(" {}", console::shell_word(word)));
                self.invocation.describe() + &words.collect::<String>()
            }),
        };
        match format {
            Format::Json => console::print_json(&shown),
            Format::Human => Ok(console::print(&shown.text(&self.invocation.project)?)?),
        }
    }
}

impl Shown<'_> {
    fn text(&self, project: &Path) -> std::result::Result<String, std::fmt::Error> {
        let mut out = String::new();
        if self.install {
            writeln!(out, "-- would install the chosen dbt first (cargo xtask dbt use v1 or v2)")?;
        }
        let Some(dbt) = &self.dbt else {
            writeln!(
                out,
                "-- {} is up to date: nothing would be done (--force builds it anyway)",
                self.schema
            )?;
            return Ok(out);
        };
        writeln!(out, "-- would provision {}", self.schema)?;
        for statement in &self.statements {
            writeln!(out, "{statement}")?;
        }
        writeln!(out, "-- would run in {}", project.display())?;
        if self.deps {
            writeln!(out, "dbt deps")?;
        }
        writeln!(out, "{dbt}")?;
        writeln!(out, "-- would then record the run, its nodes, queries and relations in the ledger")?;
        Ok(out)
    }
}
