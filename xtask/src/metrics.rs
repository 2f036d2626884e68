//! `cargo xtask metrics`: warehouse, pipeline and data metrics, per environment.
//!
//! Reading, evaluating and storing are separate: `collect` reads, `alerts` compares the figures with those that
//! `history` stored, and the exports only render. Nothing here acknowledges an alert: any number of calls may
//! come before `notify alerts` reports it. Every figure names its source; one that could not be read has a
//! reason instead of a value and is never zero.

mod alerts;
mod changed;
mod collect;
mod columns;
mod cost;
mod csv;
mod data_age;
mod figures;
mod history;
mod html;
pub(crate) mod model;
mod openlineage;
mod outputs;
mod owners;
mod policy;
mod prometheus;
pub(crate) mod reported;
mod snowflake;
mod sql;
mod tables;
mod tested;
mod text;
mod units;
mod utc;
mod window;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use jiff::civil::DateTime;

use self::collect::{Found, Request};
use self::history::{Past, Scope};
use self::model::{AlertState, Report, Window};
use self::openlineage::Sink;
use self::owners::Owners;
use self::prometheus::Flavour;
use crate::core::clock;
use crate::core::environment::{Name, REGISTRY};
use crate::core::lock::{Holder, Lock};
use crate::system::contract::Contract;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::system::{atomic, console, interrupt};
use crate::target;
use crate::target::Place;
use crate::warehouse::{Statement, Table, Warehouse, literal};

/// The schema name prefix of the environments in a report that names none.
const PREFIX: &str = "OBSERVABILITY_SCHEMA_PREFIX";

/// Report warehouse, pipeline and data metrics.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The environment to report on; without it, all of them.
    #[arg(long, value_name = "NAME")]
    schema: Option<Name>,

    /// Only environments whose names begin with this prefix.
    #[arg(long, value_name = "PREFIX", env = PREFIX, conflicts_with = "schema")]
    schema_prefix: Option<String>,

    /// UTC days to look back, today included.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=90))]
    days: u32,

    /// End of the window, in UTC, such as `2026-03-08` or `2026-03-08T12:30:00Z`; now, if not given.
    #[arg(long, value_name = "TIME", value_parser = utc_time)]
    until: Option<DateTime>,

    #[command(flatten)]
    target: target::Args,

    /// How to print the report.
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Write the report to this file instead of printing it.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Also write the report page to this file, made from the same measurement.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,

    /// Also send the latest dbt run as OpenLineage events: to this file, one event per line, or to the
    /// service at this address, with the key in `OPENLINEAGE_API_KEY` if it is set.
    #[arg(long, value_name = "FILE|URL")]
    openlineage: Option<String>,

    /// Fail while an alert fires whose severity is at least `gate` of `policies/alerts.toml`.
    #[arg(long)]
    gate: bool,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Tables for people.
    #[default]
    Human,
    /// Everything, in the format that xtask/src/metrics/report.schema.json documents.
    Json,
    /// Long format: one row per value.
    Csv,
    /// Tables for a summary or a comment.
    Markdown,
    /// Samples in Prometheus' text format.
    Prometheus,
    /// The same samples as `OpenMetrics`.
    Openmetrics,
    /// One self-contained HTML page.
    Html,
}

/// A day, or a time with its offset: a time without an offset is ambiguous.
fn utc_time(text: &str) -> Result<DateTime, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(clock::utc(instant));
    }
    // A day alone: a bare time of that day would be read as one too.
    let day = text.parse::<jiff::civil::Date>().ok().filter(|day| day.to_string() == text);
    day.map(|day| day.to_datetime(jiff::civil::Time::midnight())).ok_or_else(|| {
        "write a day (2026-03-08, which begins at midnight UTC) or a time with Z or an offset".to_owned()
    })
}

/// The schemas of its output and of its policies.
pub(crate) fn contracts() -> [Contract; 4] {
    [
        Contract::output::<Report>("metrics", "cargo xtask metrics --format json"),
        policy::contract(),
        alerts::contract(),
        html::policy::contract(),
    ]
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    let sink = args.openlineage.as_deref().map(Sink::parse).transpose()?;
    let opened = args.target.open(repo, args.schema.as_ref(), "metrics")?;
    interrupt::listen()?;
    let _lock = lock(&opened.place, "metrics", args.schema.as_ref(), args.target.wait())?;
    let mut warehouse = opened.warehouse();
    let (report, locks) = report(args, repo, warehouse.as_mut())?;
    // What is written now needs the environments no more, unless it asks for more of them.
    let locks = (args.format == Format::Html || args.page.is_some() || sink.is_some()).then_some(locks);
    write(args, repo, warehouse.as_mut(), &report)?;
    outputs::write(&report)?;
    if let Some(file) = &args.page {
        put(file, &page(repo, warehouse.as_mut(), &report)?)?;
    }
    if let Some(sink) = &sink {
        openlineage::send(repo, &opened.place, warehouse.as_mut(), &report, sink)?;
    }
    drop(locks);
    let fires = report.alerts.iter().any(|alert| alert.gates && alert.state == AlertState::Firing);
    Ok(if args.gate && fires { Outcome::Findings } else { Outcome::Clean })
}

/// The lock of the registry: DuckDB lets one process write. No build waits for it, unless all is in one file. Snowflake
/// needs no lock: a row that is stored twice is read once.
pub(crate) fn lock(
    place: &Place,
    command: &str,
    schema: Option<&Name>,
    wait: Duration,
) -> Result<Option<Lock>> {
    match place {
        Place::Local { layout, .. } if layout.path().exists() => {
            // The one that is asked for is waited for; of all, those in use are left out.
            if let Some(file) = schema.map(|name| layout.file(name.as_str())).filter(|file| file.exists()) {
                drop(Lock::take(&file, &holder(command, schema), wait)?);
            }
            Ok(Some(Lock::take(&layout.file(REGISTRY), &holder(command, schema), wait)?))
        }
        _ => Ok(None),
    }
}

fn holder(command: &str, schema: Option<&Name>) -> Holder {
    schema.map_or_else(|| Holder::of_all(command), |schema| Holder::this(command, schema, None))
}

/// Read, evaluate, and store the figures and alert states. The locks keep what was read from being built.
fn report(args: &Args, repo: &Repo, warehouse: &mut dyn Warehouse) -> Result<(Report, Vec<Lock>)> {
    let now = clock::now();
    if let Some(until) = args.until.filter(|until| *until > now) {
        bail!(
            "--until {until}Z is in the future (it is {}Z now): nothing is known of that time yet; leave the option \
             out for a report up to now",
            now.strftime("%FT%T")
        );
    }
    let window = Window::ending(args.until.unwrap_or(now), args.days)?;
    let prefix = args.schema_prefix.as_deref().filter(|prefix| !prefix.is_empty());
    let request = Request { schema: args.schema.as_ref(), prefix, window, now };
    let mut found = Found::read(warehouse, &request, &holder("metrics", request.schema))?;
    for used in &found.in_use {
        tracing::warn!("{} is left out, because it is in use: {}", used.environment, used.by);
    }
    let project = warehouse.project().filter(|_| found.is_shared && request.schema.is_none());
    let scope = Scope { name: scope_name(&request, project), days: args.days };
    let mut report = collect::collect(warehouse, &request, &found, &scope.name)?;
    let measures = policy::Policy::load(repo)?;
    report.data_ages = data_age::read(warehouse, repo, &request, &found.environments, &measures)?;
    report.figures.extend(data_age::figures(&report.data_ages));
    cost::complete(&mut report, &measures.cost);
    let policy = alerts::Policy::load(repo, &report.figures)?;
    let past = Past::read(warehouse, &found.registry, &scope, &report)?;
    past.complete(&mut report);
    let owners = owners(repo, &report)?;
    for node in &mut report.latest_run.rows {
        (node.owner, node.tags) = (owners.of(&node.node_id), owners.tags(&node.node_id));
    }
    report.alerts = policy.evaluate(&report, &past, &owners);
    if !found.environments.is_empty() {
        let states = history::states(&scope, &report, &past);
        let kept = history::keep(warehouse, &found.registry, &scope, &report, &states)
            .and_then(|change| warehouse.apply(&change));
        // A report that cannot be stored is still useful: the role may only be allowed to read.
        if let Err(error) = kept {
            tracing::warn!("the figures could not be stored in the registry: {error:#}");
        }
    }
    for alert in report.alerts.iter().filter(|alert| alert.state == AlertState::Firing) {
        tracing::warn!("{}: {}", outputs::headline(alert).1, text::plain(&alert.message));
    }
    Ok((report, std::mem::take(&mut found.locks)))
}

/// The owners that dbt's artifacts of the environment name, of several that of the latest run, if they are on this
/// machine.
fn owners(repo: &Repo, report: &Report) -> Result<Owners> {
    let newest = || report.latest_run.rows.first().map(|node| &node.environment);
    match (report.environment.as_ref().or_else(newest), repo.dbt_project()) {
        (Some(environment), Ok(project)) => Owners::read(&project.join("target").join(environment)),
        _ => Ok(Owners::default()),
    }
}

/// The statements that delete the figures and alerts of a dropped environment from the registry.
pub(crate) fn forget(warehouse: &mut dyn Warehouse, name: &Name) -> Result<Vec<Statement>> {
    let registry = registry_tables(warehouse)?;
    let delete = |table: &'static str| {
        let table = warehouse.qualified(&Table::new(REGISTRY, table));
        Statement::sql(format!("delete from {table} where scope = {}", literal(name.as_str())))
    };
    let kept = [history::FIGURES, history::ALERTS];
    let mut change: Vec<Statement> =
        kept.into_iter().filter(|table| registry.contains(*table)).map(delete).collect();
    if registry.contains(reported::TABLE) {
        change.extend(reported::drop_scope(warehouse, name.as_str()));
    }
    Ok(change)
}

/// The tables that the registry has, in lower case.
pub(crate) fn registry_tables(warehouse: &mut dyn Warehouse) -> Result<BTreeSet<String>> {
    let tables = warehouse.relation_names(REGISTRY)?.unwrap_or_default();
    Ok(tables.into_iter().map(|table| table.to_ascii_lowercase()).collect())
}

/// The scope that the history of a report is stored under; several projects in one database have a scope each.
fn scope_name(request: &Request<'_>, project: Option<&str>) -> String {
    let scope = match (request.schema, request.prefix) {
        (Some(name), _) => name.to_string(),
        (None, Some(prefix)) => format!("{}*", prefix.to_ascii_lowercase()),
        (None, None) => "*".to_owned(),
    };
    project.map_or_else(|| scope.clone(), |project| format!("{project}:{scope}"))
}

fn write(args: &Args, repo: &Repo, warehouse: &mut dyn Warehouse, report: &Report) -> Result<()> {
    let text = match args.format {
        Format::Human => tables::columns(report),
        Format::Json => serde_json::to_string_pretty(report)?,
        Format::Csv => csv::render(report)?,
        Format::Markdown => tables::markdown(report),
        Format::Prometheus => prometheus::render(report, Flavour::Text)?,
        Format::Openmetrics => prometheus::render(report, Flavour::OpenMetrics)?,
        Format::Html => page(repo, warehouse, report)?,
    };
    match &args.output {
        None => Ok(console::print(&text)?),
        Some(path) => put(path, &text),
    }
}

fn page(repo: &Repo, warehouse: &mut dyn Warehouse, report: &Report) -> Result<String> {
    html::render(report, &html::gather(repo, warehouse, report)?)
}

fn put(path: &Path, text: &str) -> Result<()> {
    replace(path, text).with_context(|| format!("failed to write {}", path.display()))
}

/// Replaces a file atomically: readers see the old content or the new, never a part.
pub(crate) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    atomic::publish(path, format!("{}\n", text.trim_end()).as_bytes())
}
