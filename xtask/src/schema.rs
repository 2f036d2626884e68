//! `cargo xtask schema`: make an environment, drop one, list them.
//!
//! A drop takes a proof (see `environment.rs`): the name, the mark in the schema and the registry must
//! agree. What a person may not drop by accident, no flag here can drop either.

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::console::{self, Align};
use crate::environment::{Kind, Name};
use crate::ledger::{self, Mark, Origin, State};
use crate::local::Local;
use crate::lock::Holder;
use crate::outcome::Outcome;
use crate::repo::Repo;
use crate::warehouse::{Statement, Warehouse};
use crate::{Format, interrupt};

/// Make an environment, drop one, or list them.
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
}

#[derive(clap::Args, Debug)]
struct Create {
    /// The environment to make, such as `issue_42`.
    #[arg(long, value_name = "NAME")]
    schema: Name,

    /// Take over a schema that exists and that this toolkit did not make.
    #[arg(long)]
    adopt: bool,

    /// Print the statements without running them.
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args, Debug)]
struct Drop {
    /// The environment to drop. Prod and dev are refused.
    #[arg(long, value_name = "NAME")]
    schema: Name,

    /// Print the statements without running them.
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args, Debug)]
struct List {
    /// How to print the list.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    let local = Local::open(repo)?;
    match &args.command {
        Command::Create(create) => create.run(&local),
        Command::Drop(drop) => drop.run(&local),
        Command::List(list) => list.run(&local),
    }
}

impl Create {
    fn run(&self, local: &Local) -> Result<Outcome> {
        let done = format!("{} is ready", self.schema);
        change(local, "schema create", &self.schema, self.dry_run, &done, |warehouse| {
            let state = State::read(warehouse, &self.schema)?;
            let origin = Origin { created_by: crate::context::triggered_by(), ..Origin::default() };
            ledger::provision(warehouse, &self.schema, &state, &origin, self.adopt)
        })
    }
}

impl Drop {
    fn run(&self, local: &Local) -> Result<Outcome> {
        let done = format!("{} is gone", self.schema);
        change(local, "schema drop", &self.schema, self.dry_run, &done, |warehouse| {
            let state = State::read(warehouse, &self.schema)?;
            decide_drop(&self.schema, &state).with_context(|| format!("refused to drop {}", self.schema))
        })
    }
}

/// What a drop would send, or why there will be none.
fn decide_drop(name: &Name, state: &State) -> Result<Vec<Statement>> {
    if state.relations.is_none() && !matches!(name.kind(), Kind::Prod | Kind::Dev) {
        if !state.registered {
            bail!("the schema {name} does not exist; `cargo xtask schema list` shows which do");
        }
        // Somebody dropped it by hand: all that is left of it is its entry.
        return Ok(vec![ledger::forget(name)]);
    }
    let doomed = state.prove_droppable(name.clone())?;
    Ok(ledger::drop_environment(&doomed))
}

/// Decide under the lock, then print or apply.
fn change(
    local: &Local,
    command: &str,
    name: &Name,
    dry_run: bool,
    done: &str,
    decide: impl FnOnce(&mut dyn Warehouse) -> Result<Vec<Statement>>,
) -> Result<Outcome> {
    interrupt::listen()?;
    let holder = Holder {
        command: command.to_owned(),
        schema: name.to_string(),
        run_id: None,
        pid: std::process::id(),
        since: Timestamp::now(),
    };
    let _lock = local.lock(&holder)?;
    let mut warehouse = local.warehouse();
    let statements = decide(&mut warehouse)?;
    if dry_run {
        let statements: Vec<String> = statements.iter().map(ToString::to_string).collect();
        console::print(&statements.join("\n"))?;
    } else {
        interrupt::check()?;
        warehouse.apply(&statements)?;
        console::print(&format!("{done} ({})", warehouse.describe()))?;
    }
    Ok(Outcome::Clean)
}

/// An environment as `list` tells it.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    mark: Mark,
    /// False where the schema was dropped by hand.
    exists: bool,
    /// Whether `schema drop` would drop it.
    droppable: bool,
    relations: usize,
    #[serde(flatten)]
    last_run: Option<LastRun>,
}

#[derive(Debug, Serialize, Deserialize)]
struct LastRun {
    last_run_id: String,
    last_run_at: jiff::civil::DateTime,
    last_status: ledger::Status,
    bytes: Option<i64>,
}

impl List {
    fn run(&self, local: &Local) -> Result<Outcome> {
        let mut warehouse = local.warehouse();
        let listed = listed(&mut warehouse)?;
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

fn listed(warehouse: &mut dyn Warehouse) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for mark in ledger::environments(warehouse)? {
        let name: Name = mark.schema_name.parse().context("failed to read the registry")?;
        let state = State::read(warehouse, &name)?;
        let last_run = if state.is_ours(&name) { last_run(warehouse, &name)? } else { None };
        let of_project = state.relations.iter().flatten().filter(|relation| !ledger::is_ledger(relation));
        listed.push(Listed {
            exists: state.relations.is_some(),
            relations: of_project.count(),
            droppable: state.prove_droppable(name).is_ok(),
            last_run,
            mark,
        });
    }
    Ok(listed)
}

fn last_run(warehouse: &mut dyn Warehouse, name: &Name) -> Result<Option<LastRun>> {
    let Some(run) = ledger::last_run(warehouse, name)? else {
        return Ok(None);
    };
    let measured = warehouse.measure(name)?;
    // Unknown is never zero: one table that could not be measured makes the sum unknown.
    let bytes = measured.iter().filter(|relation| !relation.is_view).map(|relation| relation.bytes).sum();
    Ok(Some(LastRun { last_run_id: run.run_id, last_run_at: run.started_at, last_status: run.status, bytes }))
}

fn table(listed: &[Listed]) -> String {
    let header = [
        "schema",
        "kind",
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
    let status =
        if listed.exists { last.map_or("never built", |run| run.last_status.label()) } else { "missing" };
    vec![
        listed.mark.schema_name.clone(),
        listed.mark.kind.clone(),
        listed.mark.issue_number.map_or_else(unknown, |number| number.to_string()),
        minute(listed.mark.created_at),
        listed.mark.created_by.clone().unwrap_or_else(unknown),
        last.map_or_else(unknown, |run| minute(run.last_run_at)),
        status.to_owned(),
        listed.relations.to_string(),
        last.and_then(|run| run.bytes).map_or_else(unknown, mebibytes),
        if listed.droppable { "yes" } else { "no" }.to_owned(),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
fn mebibytes(bytes: i64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_by_hand_is_only_forgotten() {
        let name: Name = "issue_42".parse().expect("a name");
        let state = State { registered: true, ..State::default() };
        assert_eq!(decide_drop(&name, &state).expect("forgotten"), [ledger::forget(&name)]);
        assert!(decide_drop(&name, &State::default()).is_err());
        let prod: Name = "prod".parse().expect("a name");
        assert!(decide_drop(&prod, &state).is_err());
    }
}
