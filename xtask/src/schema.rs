//! `cargo xtask schema`: create an environment, drop one, list them, and remove unneeded ones.
//!
//! A drop takes a proof (see `environment.rs`): the name, the mark in the schema and the registry must
//! agree. What a person may not drop by accident, no flag here can drop either.

mod gc;

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use schemars::JsonSchema;
use serde::Serialize;

use crate::core::context;
use crate::core::environment::{Kind, Name, Refusal};
use crate::core::lock::Holder;
use crate::ledger::{self, Adopt, LastRun, Mark, Need, Ours, Overview, Owner, State};
use crate::metrics;
use crate::system::actions;
use crate::system::console::Format;
use crate::system::console::{self, Align};
use crate::system::contract::Contract;
use crate::system::interrupt;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::target::{self, Opened};
use crate::warehouse::{Glimpse, Statement, Surveyed, Warehouse};

/// Create, drop, list and expire environments.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Make a schema an environment: the schema, its ledger, its ownership mark, its registration.
    Create(Create),
    /// Drop an environment of an issue, pull request or branch, with all that is in it.
    Drop(Drop),
    /// List the environments of this database.
    List(List),
    Gc(gc::Args),
}

#[derive(clap::Args, Debug)]
struct Create {
    #[command(flatten)]
    target: target::Args,

    /// The environment to make, such as `issue_42`.
    #[arg(long, value_name = "NAME")]
    schema: Name,

    #[command(flatten)]
    purpose: context::Purpose,

    /// Take over a schema that exists and that this toolkit did not make.
    #[arg(long)]
    adopt: bool,

    /// Take over an environment of this dbt project: it is this one under its former name. Written as in the message
    /// that refuses the environment.
    #[arg(long, value_name = "PROJECT")]
    adopt_from: Option<String>,

    /// Print the statements without running them.
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args, Debug)]
struct Drop {
    #[command(flatten)]
    target: target::Args,

    /// The environment to drop. Prod and dev are refused.
    #[arg(long, value_name = "NAME")]
    schema: Name,

    /// Succeed if the environment does not exist: a clean-up may run twice.
    #[arg(long)]
    if_exists: bool,

    /// Print the statements without running them.
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args, Debug)]
struct List {
    #[command(flatten)]
    target: target::Args,

    /// Read the last runs and the registry too, even if that resumes a suspended warehouse.
    #[arg(long)]
    full: bool,

    /// How to print the list.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The schemas of what these commands print.
pub(crate) fn contracts() -> [Contract; 2] {
    [Contract::output::<Vec<Listed>>("schema-list", "cargo xtask schema list --format json"), gc::contract()]
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    match &args.command {
        Command::Create(create) => create.run(repo),
        Command::Drop(drop) => drop.run(repo),
        Command::List(list) => list.run(repo),
        Command::Gc(gc) => gc.run(repo),
    }
}

impl Create {
    fn run(&self, repo: &Repo) -> Result<Outcome> {
        interrupt::listen()?;
        let opened = self.target.open(repo, Some(&self.schema), "schema create")?;
        let decide = |warehouse: &mut dyn Warehouse| {
            let state = State::read(warehouse, &self.schema)?;
            let origin = self.purpose.origin();
            if state.is_provisioned(&self.schema) && self.adopt_from.is_none() {
                // Also what was revoked by hand.
                return Ok(warehouse.grant(&self.schema, state.comment_text.as_deref(), true));
            }
            let adopt = Adopt { unmarked: self.adopt, from: self.adopt_from.as_deref() };
            ledger::ensure(warehouse, &self.schema, &state, &origin, Need::Environment, adopt)
        };
        if self.adopt_from.is_none() {
            let concerned = std::iter::once(&self.schema).chain(self.purpose.base.as_ref());
            ledger::refuse_others(opened.warehouse().as_mut(), concerned)?;
        }
        let intent = Intent::Make(self.purpose.base.as_ref());
        let step = Step { command: "schema create", intent, wait: self.target.wait() };
        if change(&opened, step, &self.schema, self.dry_run, decide)? {
            console::print(&format!("{} is ready ({})", self.schema, opened.warehouse().describe()))?;
        }
        Ok(Outcome::Clean)
    }
}

impl Drop {
    fn run(&self, repo: &Repo) -> Result<Outcome> {
        interrupt::listen()?;
        let opened = self.target.open(repo, Some(&self.schema), "schema drop")?;
        let decide = |warehouse: &mut dyn Warehouse| -> Result<Vec<Statement>> {
            let state = State::read(warehouse, &self.schema)?;
            if self.if_exists && is_protected(&self.schema) && state.relations.is_none() && !state.registered
            {
                return Ok(Vec::new());
            }
            let refused = || format!("refused to drop {}", self.schema);
            let decided = decide_drop(warehouse, &self.schema, &state).with_context(refused)?;
            let mut change = match decided {
                Some(change) => change,
                None if self.if_exists => return Ok(Vec::new()),
                None => return Err(unknown(&self.schema)).with_context(refused),
            };
            change.extend(metrics::forget(warehouse, &self.schema)?);
            Ok(change)
        };
        let mut dropped = 0;
        let counted = |warehouse: &mut dyn Warehouse| {
            let statements: Vec<Statement> = decide(warehouse)?;
            dropped = usize::from(!statements.is_empty());
            Ok(statements)
        };
        let step = Step { command: "schema drop", intent: Intent::Destroy, wait: self.target.wait() };
        if change(&opened, step, &self.schema, self.dry_run, counted)? {
            opened.remove_files(&self.schema)?;
            metrics::reported::drop_scope_in_file(self.schema.as_str())?;
            let what = if dropped == 0 { "does not exist, so nothing was dropped" } else { "is gone" };
            console::print(&format!("{} {what} ({})", self.schema, opened.warehouse().describe()))?;
            actions::set_outputs(&[("dropped", dropped.to_string())])?;
        }
        Ok(Outcome::Clean)
    }
}

/// What a drop would send, or why there will be none; `None` if nothing of the environment exists.
fn decide_drop(warehouse: &mut dyn Warehouse, name: &Name, state: &State) -> Result<Option<Vec<Statement>>> {
    if let Some(other) = &state.other
        && !is_protected(name)
    {
        bail!(Refusal::OfAnotherProject(name.clone(), other.to_string()));
    }
    if state.relations.is_none()
        && (name.kind() != Kind::Prod && name.kind() != Kind::Dev || !state.registered)
    {
        // It was dropped by hand, or its making was cut short: its entry is left, and further schemas of it.
        let mut change = warehouse.drop_rest(name)?;
        if state.registered {
            change.push(ledger::forget(warehouse, name));
        }
        return Ok((!change.is_empty()).then_some(change));
    }
    if let Some(mark) = &state.mark {
        ledger::refuse_newer(mark)?;
    }
    let doomed = state.prove_droppable(name.clone())?;
    ledger::drop_environment(warehouse, &doomed).map(Some)
}

fn is_protected(name: &Name) -> bool {
    matches!(name.kind(), Kind::Prod | Kind::Dev)
}

fn unknown(name: &Name) -> anyhow::Error {
    anyhow!("the schema {name} does not exist; `cargo xtask schema list` shows which do")
}

/// How sure a change is to happen: what decides whether the lock is taken before the first look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Intent<'a> {
    /// Refused as often as not; what is refused sends nothing but reads.
    Destroy,
    /// As a copy of a base, if there is one.
    Make(Option<&'a Name>),
}

/// What a change is, and how long it waits for its turn.
#[derive(Clone, Copy)]
struct Step<'a> {
    command: &'static str,
    intent: Intent<'a>,
    wait: Duration,
}

/// Decide under the lock, and apply what was decided; or print it, for which no lock is taken.
fn change(
    opened: &Opened,
    step: Step<'_>,
    name: &Name,
    dry_run: bool,
    mut decide: impl FnMut(&mut dyn Warehouse) -> Result<Vec<Statement>>,
) -> Result<bool> {
    let mut warehouse = opened.warehouse();
    if dry_run || step.intent == Intent::Destroy {
        let planned = decide(warehouse.as_mut())?;
        if dry_run {
            console::print(&warehouse.script(&planned).join("\n"))?;
            return Ok(false);
        }
    }
    let holder = Holder::this(step.command, name, None);
    let mut lock = opened.lock(name, &holder, step.wait)?;
    let base = match step.intent {
        Intent::Make(base) => opened.lock_base(name, base, &holder, step.wait)?,
        Intent::Destroy => None,
    };
    if let (Some(_), Intent::Make(Some(base))) = (&base, step.intent) {
        warehouse.copy_ahead(base, name, false)?;
    }
    let statements = decide(warehouse.as_mut())?;
    interrupt::check()?;
    warehouse.apply(&statements)?;
    if step.intent == Intent::Destroy {
        lock.remove_after_use(opened);
    }
    Ok(true)
}

/// An environment as `list` shows it.
#[derive(Debug, Serialize, JsonSchema)]
struct Listed {
    #[serde(flatten)]
    mark: Mark,
    /// The dbt project that it belongs to, if that is another one than this command works for.
    #[serde(skip)]
    other: Option<Owner>,
    /// Whether it belongs to the dbt project that this command works for.
    own: bool,
    /// False if the schema was dropped by hand.
    exists: bool,
    /// Whether `schema drop` would drop it; null if the registry was not read.
    droppable: Option<bool>,
    /// The run or process that uses it at this moment: then nothing of it could be read.
    in_use: Option<String>,
    /// Null if it could not be read.
    relations: Option<usize>,
    #[serde(flatten)]
    last_run: Option<LastRun>,
    /// Of the tables; null if one could not be measured.
    bytes: Option<i64>,
}

impl Listed {
    /// When it was last used: its latest run, or its creation.
    fn last_used(&self) -> jiff::civil::DateTime {
        self.last_run.as_ref().map_or(self.mark.created_at, |run| run.last_run_at.max(self.mark.created_at))
    }
}

impl List {
    fn run(&self, repo: &Repo) -> Result<Outcome> {
        let opened = self.target.open(repo, None, "schema list")?;
        let mut warehouse = opened.warehouse();
        let glance = if self.full { None } else { warehouse.glance()? };
        let listed = match glance {
            Some(glance) => {
                tracing::warn!(
                    "the warehouse {} is suspended, and a list does not resume it: last runs and what the registry records \
                     are not shown; `schema list --full` reads them",
                    glance.warehouse
                );
                let ours = warehouse.ours();
                glance.environments.into_iter().map(|found| glimpsed(found, ours)).collect()
            }
            None => listed(warehouse.as_mut(), &Holder::of_all("schema list"), None)?,
        };
        match self.format {
            Format::Json => console::print_json(&listed)?,
            Format::Human if listed.is_empty() => {
                console::print("no environments yet; `cargo xtask elt --schema dev` makes one")?;
            }
            Format::Human => console::print(&table(&listed))?,
        }
        Ok(Outcome::Clean)
    }
}

/// Everything that the registry knows, with what was found of it: as many questions for a hundred
/// environments as for one. Those that others use are not waited for. The caller holds the lock of `held`.
fn listed(warehouse: &mut dyn Warehouse, holder: &Holder, held: Option<&Name>) -> Result<Vec<Listed>> {
    let marks = ledger::environments(warehouse)?;
    let names: Vec<Name> = marks
        .iter()
        .map(|mark| mark.schema_name.parse().context("failed to read the registry"))
        .collect::<Result<_>>()?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let others: Vec<Name> = names.iter().filter(|name| Some(*name) != held).cloned().collect();
    let reading = warehouse.hold(&others, holder)?;
    let free: Vec<Name> =
        names.iter().filter(|name| !reading.busy.contains_key(name.as_str())).cloned().collect();
    let found = warehouse.survey(&free)?;
    let overview = Overview::read(warehouse, &found)?;
    let has_nodes = |name: &str| found.get(name).is_some_and(|of| ledger::has_nodes(&of.contents.relations));
    let others = ledger::others(warehouse, &marks, has_nodes)?;
    let of = |(name, mark): (Name, Mark)| {
        let found = found.get(name.as_str());
        let in_use = reading.busy.get(name.as_str()).cloned();
        let other = others.get(name.as_str()).cloned();
        describe(warehouse, &name, (mark, other), (found, in_use), &overview)
    };
    Ok(names.into_iter().zip(marks).map(of).collect())
}

/// An environment of which no table was read.
fn glimpsed((name, glimpse): (Name, Glimpse), ours: &Ours) -> Listed {
    let owner = Owner { project: glimpse.project, ..Owner::default() };
    let other = Some(&owner).filter(|owner| ours.is_other(owner)).cloned();
    Listed {
        own: other.is_none(),
        other,
        exists: true,
        droppable: None,
        in_use: None,
        relations: glimpse.relations,
        last_run: None,
        bytes: glimpse.bytes,
        mark: Mark {
            schema_name: name.to_string(),
            kind: name.kind().label().to_owned(),
            base: None,
            issue_number: name.number().filter(|_| name.kind() == Kind::Issue),
            object_name: None,
            created_at: glimpse.created_at,
            created_by: None,
            toolkit_version: "unknown".to_owned(),
            ledger_version: None,
            owner,
        },
    }
}

fn describe(
    warehouse: &dyn Warehouse,
    name: &Name,
    (mut mark, other): (Mark, Option<Owner>),
    (found, in_use): (Option<&Surveyed>, Option<String>),
    overview: &Overview,
) -> Listed {
    let relations = found.map(|found| found.relations.as_slice()).unwrap_or_default();
    // Unknown is never zero: one table that could not be measured makes the sum unknown.
    let bytes = relations.iter().filter(|relation| !relation.is_view).map(|relation| relation.bytes).sum();
    let count = relations.iter().filter(|relation| !ledger::is_ledger(&relation.name)).count();
    let contents = found.map(|found| &found.contents);
    let whose = other.as_ref().map(ToString::to_string);
    let is_droppable = overview.prove_droppable(warehouse, name.clone(), contents, whose.as_deref()).is_ok();
    if let (None, Some(other)) = (&mark.owner.project, &other) {
        // What its ledger says.
        mark.owner.project.clone_from(&other.project);
    }
    Listed {
        own: other.is_none(),
        other,
        exists: found.is_some() || in_use.is_some(),
        relations: in_use.is_none().then_some(count),
        in_use,
        last_run: overview.last_runs.get(name.as_str()).cloned(),
        droppable: Some(is_droppable),
        bytes: found.and(bytes),
        mark,
    }
}

fn table(listed: &[Listed]) -> String {
    let header = [
        "schema",
        "kind",
        "project",
        "issue",
        "created (UTC)",
        "by",
        "last run (UTC)",
        "status",
        "relations",
        "MiB",
        "drop",
    ];
    let aligns = [
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Right,
        Align::Left,
    ];
    let rows: Vec<Vec<String>> = listed.iter().map(row).collect();
    console::table(&header, &aligns, &rows)
}

fn row(listed: &Listed) -> Vec<String> {
    let unknown = || "-".to_owned();
    let minute = |time: jiff::civil::DateTime| time.strftime("%F %H:%M").to_string();
    let last = listed.last_run.as_ref();
    let status = match (&listed.in_use, last) {
        (Some(by), _) => format!("in use: {by}"),
        (None, _) if !listed.exists => "missing".to_owned(),
        (None, None) if listed.droppable.is_none() => "not read".to_owned(),
        (None, last) => last.map_or("never built", |run| run.last_status.label()).to_owned(),
    };
    vec![
        listed.mark.schema_name.clone(),
        listed.mark.kind.clone(),
        listed.mark.owner.project.clone().unwrap_or_else(unknown),
        listed.mark.issue_number.map_or_else(unknown, |number| number.to_string()),
        minute(listed.mark.created_at),
        listed.mark.created_by.clone().unwrap_or_else(unknown),
        last.map_or_else(unknown, |run| minute(run.last_run_at)),
        status,
        listed.relations.map_or_else(unknown, |count| count.to_string()),
        listed.bytes.map_or_else(unknown, mebibytes),
        listed.droppable.map_or_else(unknown, |is| if is { "yes" } else { "no" }.to_owned()),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
fn mebibytes(bytes: i64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::warehouse::duckdb::DuckDb;

    #[test]
    fn what_was_dropped_by_hand_is_only_forgotten() {
        let name: Name = "issue_42".parse().expect("a name");
        let state = State { registered: true, ..State::default() };
        let mut warehouse = DuckDb::new(Path::new("duckdb"), Path::new("none.duckdb"));
        let forgotten = decide_drop(&mut warehouse, &name, &state).expect("forgotten");
        assert_eq!(forgotten, Some(vec![ledger::forget(&warehouse, &name)]));
        assert_eq!(decide_drop(&mut warehouse, &name, &State::default()).expect("nothing"), None);
        let prod: Name = "prod".parse().expect("a name");
        assert!(decide_drop(&mut warehouse, &prod, &state).is_err());
    }
}
