//! `cargo xtask conformance`: checks that the connected Snowflake behaves as this toolkit assumes.
//!
//! The assumptions are one table of data, `sql/snowflake/conformance.toml`: a statement, and its expected
//! answer. They are tested in separate scratch schemas. A second process, the janitor, waits until this one
//! ends, in whatever way, and then drops the schemas: even a killed run leaves nothing behind.

mod dbt;
mod janitor;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::dbt::Built;
use self::janitor::Janitor;
use self::table::{Assumption, Observed, Scratch};
use crate::system::console::{self, Format};
use crate::system::contract::Contract;
use crate::system::interrupt;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::target::{self, Opened, Place, Target};
use crate::warehouse::Warehouse;

/// The version of that file; a change of its fields is a new one.
const RECORD_FORMAT: u32 = 1;

/// The file of a real account's answers.
const RECORDED: &str = "tests/snowflake/recorded.json";

/// Check that Snowflake behaves as this toolkit assumes, in scratch schemas that are dropped afterwards.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    target: target::Args,

    /// Try only assumptions whose name or group contains this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,

    /// TOML file of known differences: the name of an assumption and the reason why it does not hold here.
    #[arg(long, value_name = "FILE")]
    differences: Option<PathBuf>,

    /// Write the answers to this file, without names of the account [default on an account:
    /// tests/snowflake/recorded.json]
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Print the assumptions without trying them.
    #[arg(long)]
    list: bool,

    /// Drop the scratch schemas of this run once standard input is closed.
    #[arg(long, value_name = "ID", hide = true)]
    janitor: Option<String>,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    let assumptions = table::load()?;
    if args.list {
        console::print(&listing(&assumptions))?;
        return Ok(Outcome::Clean);
    }
    if args.target.target() != Target::Snowflake {
        bail!("conformance is about Snowflake: add `--target snowflake` and set the SNOWFLAKE_ variables");
    }
    if let Some(id) = &args.janitor {
        return janitor::wait_and_drop(id, args.target, repo);
    }
    let known = known(args, &assumptions)?;
    let place = args.target.place(repo)?;
    let record = record_to(args, repo, &place);
    let opened = args.target.open(repo, None, "conformance")?;
    interrupt::listen()?;
    let mut warehouse = opened.warehouse();
    let begun = Instant::now();
    let scratch = Scratch::new(warehouse.as_ref(), &place)?;
    janitor::drop_abandoned(warehouse.as_mut())?;
    let janitor = Janitor::start(repo, scratch.id())?;
    let trial = Trial { args, repo, opened: &opened, known: &known, scratch: &scratch };
    let tried = trial.all(&assumptions, warehouse.as_mut());
    janitor.finish()?;
    let report = Report::new(version(warehouse.as_mut())?, tried?, begun);
    if let Some(path) = record {
        let text = serde_json::to_string_pretty(&report.recorded())? + "\n";
        std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    match args.format {
        Format::Json => console::print_json(&report)?,
        Format::Human => console::print(&report.text())?,
    }
    Ok(if report.failing() == 0 { Outcome::Clean } else { Outcome::Findings })
}

fn listing(assumptions: &[Assumption]) -> String {
    let line = |assumption: &Assumption| format!("{:<10} {}\n", assumption.group, assumption.name);
    assumptions.iter().map(line).collect()
}

/// Only the answers of an account are recorded: an endpoint on this machine answers what we programmed.
fn record_to(args: &Args, repo: &Repo, place: &Place) -> Option<PathBuf> {
    let is_account = matches!(place, Place::Snowflake { login, .. } if !login.plain_http);
    let whole = args.only.is_none();
    args.record.clone().or_else(|| (is_account && whole).then(|| repo.root().join(RECORDED)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    /// The reason, by the name of the assumption.
    differences: BTreeMap<String, String>,
}

fn known(args: &Args, assumptions: &[Assumption]) -> Result<BTreeMap<String, String>> {
    let Some(path) = &args.differences else { return Ok(BTreeMap::new()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let known: Known =
        toml::from_str(&text).with_context(|| format!("failed to parse {}", path.display()))?;
    if let Some(name) = known.differences.keys().find(|name| assumptions.iter().all(|one| &one.name != *name))
    {
        bail!("{} names {name:?}, which is not an assumption; `--list` prints them", path.display());
    }
    Ok(known.differences)
}

fn version(warehouse: &mut dyn Warehouse) -> Result<String> {
    let rows = warehouse.query("select current_version() as version")?;
    let version = rows.first().and_then(|row| row.get("version")).and_then(|value| value.as_str());
    Ok(version.unwrap_or("unknown").to_owned())
}

/// What the assumptions are tried with.
struct Trial<'a> {
    args: &'a Args,
    repo: &'a Repo,
    opened: &'a Opened,
    known: &'a BTreeMap<String, String>,
    scratch: &'a Scratch,
}

impl Trial<'_> {
    fn is_wanted(&self, assumption: &Assumption) -> bool {
        let is_named = |text: &String| assumption.name.contains(text) || assumption.group.contains(text);
        self.args.only.as_ref().is_none_or(is_named)
    }

    fn all(&self, assumptions: &[Assumption], warehouse: &mut dyn Warehouse) -> Result<Vec<Tried>> {
        self.scratch.create(warehouse)?;
        // dbt builds once, before the first assumption about what it does.
        let mut built: Option<Result<Built>> = None;
        let mut all = Vec::new();
        for assumption in assumptions.iter().filter(|assumption| self.is_wanted(assumption)) {
            interrupt::check()?;
            if assumption.group == "dbt" && built.is_none() {
                built = Some(dbt::build(self.repo, self.opened, self.scratch));
                interrupt::check()?;
            }
            let observed = match (&assumption.node, &built) {
                (Some(node), Some(Ok(built))) => built.of(node),
                (Some(_), Some(Err(error))) => Observed::error(format!("{error:#}")),
                _ => assumption.try_on(self.scratch, warehouse),
            };
            let holds = assumption.is_met_by(&observed, self.scratch);
            tracing::debug!("{}: {}", assumption.name, if holds { "holds" } else { "does not hold" });
            all.push(Tried {
                name: assumption.name.clone(),
                group: assumption.group.clone(),
                statement: self.scratch.redact(&self.scratch.fill(&assumption.statement)),
                expected: assumption.expected(),
                observed: observed.redacted(self.scratch),
                holds,
                difference: self.known.get(&assumption.name).cloned(),
            });
        }
        if all.is_empty() {
            bail!("no assumption matches --only; `--list` prints them");
        }
        Ok(all)
    }
}

/// An assumption and its result.
#[derive(Debug, Serialize, JsonSchema)]
struct Tried {
    name: String,
    group: String,
    statement: String,
    expected: String,
    observed: Observed,
    holds: bool,
    /// Why it is known not to hold here.
    difference: Option<String>,
}

impl Tried {
    /// A difference that was not declared, or a declared one that no longer exists.
    fn is_failing(&self) -> bool {
        self.holds == self.difference.is_some()
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct Report {
    server_version: String,
    seconds: f64,
    assumptions: Vec<Tried>,
}

pub(crate) fn contract() -> Contract {
    Contract::output::<Report>("conformance", "cargo xtask conformance --format json")
}

impl Report {
    fn new(server_version: String, assumptions: Vec<Tried>, begun: Instant) -> Self {
        let seconds = (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        Self { server_version, seconds, assumptions }
    }

    fn failing(&self) -> usize {
        self.assumptions.iter().filter(|tried| tried.is_failing()).count()
    }

    /// The recorded part: the answers, which are the same on every account.
    fn recorded(&self) -> serde_json::Value {
        let answers: serde_json::Map<String, serde_json::Value> = self
            .assumptions
            .iter()
            .map(|tried| {
                (tried.name.clone(), serde_json::json!({"holds": tried.holds, "answer": tried.observed}))
            })
            .collect();
        serde_json::json!({
            "format": RECORD_FORMAT,
            "toolkit_version": env!("CARGO_PKG_VERSION"),
            "server_version": self.server_version,
            "assumptions": answers,
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for tried in &self.assumptions {
            let Tried { name, group, statement, expected, observed, holds, difference } = tried;
            // Writing to a String cannot fail.
            let _ = match (holds, difference) {
                (true, None) => writeln!(text, "holds    {group:<10} {name}"),
                (false, Some(reason)) => writeln!(text, "differs  {group:<10} {name}: {reason}"),
                (true, Some(reason)) => {
                    writeln!(
                        text,
                        "FAILS    {group:<10} {name}: it holds now; remove the declared difference ({reason})"
                    )
                }
                (false, None) => writeln!(
                    text,
                    "FAILS    {group:<10} {name}\n         {}\n         expected {expected}\n         observed {}",
                    statement.replace('\n', " "),
                    observed.text()
                ),
            };
        }
        let held = self.assumptions.iter().filter(|tried| tried.holds).count();
        let declared =
            self.assumptions.iter().filter(|tried| !tried.holds && tried.difference.is_some()).count();
        let _ = writeln!(
            text,
            "Snowflake {}: {held} of {} assumptions hold, {declared} declared differences, {} failing ({:.1} s)",
            self.server_version,
            self.assumptions.len(),
            self.failing(),
            self.seconds
        );
        text
    }
}
