//! `cargo xtask schema gc`: remove the environments that are no longer needed.
//!
//! Two passes: the first notes what is no longer needed, a later one drops what is still unneeded after a
//! grace period. Running anything in the environment in between keeps it.
//! [`decide`] decides and touches nothing; a drop takes the same proofs as `schema drop`.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use jiff::ToSpan as _;
use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Listed, decide_drop, listed, unknown};
use crate::core::clock;
use crate::core::context;
use crate::core::environment::{Kind, Name};
use crate::core::lock::Holder;
use crate::core::policy::{Environments, Lifetime};
use crate::ledger::{self, Condemned, State};
use crate::metrics;
use crate::system::actions;
use crate::system::console::Format;
use crate::system::console::{self, Align};
use crate::system::contract::Contract;
use crate::system::github::{self, GitHub};
use crate::system::interrupt;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::target::{self, Opened};
use crate::warehouse::{Statement, Warehouse};

/// Drop the environments whose time is up or whose issue is closed: noted by one pass, dropped by a later one.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    target: target::Args,

    /// Numbers of issues and pull requests that are closed.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    closed_issues: Vec<u64>,

    /// Ask GitHub which issues and pull requests are closed, with `GITHUB_TOKEN` and `GITHUB_REPOSITORY`.
    #[arg(long)]
    ask_github: bool,

    /// Apply the changes (default on GitHub Actions; elsewhere they are only printed).
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,

    /// Print what would be done, and do none of it.
    #[arg(long)]
    dry_run: bool,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What becomes of an environment, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Verdict {
    schema: String,
    action: Action,
    reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    /// Needed, or not ours to decide about.
    Keep,
    /// Needed again since an earlier pass noted it.
    Spare,
    /// Needed no more, seen for the first time.
    Note,
    /// Noted, and in its grace.
    Wait,
    Drop,
}

impl Action {
    fn label(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Spare => "spare",
            Self::Note => "note",
            Self::Wait => "wait",
            Self::Drop => "drop",
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct Report<'a> {
    dry_run: bool,
    environments: &'a [Verdict],
    statements: Vec<String>,
}

pub(super) fn contract() -> Contract {
    Contract::output::<Report<'_>>("schema-gc", "cargo xtask schema gc --format json")
}

impl Args {
    pub(super) fn run(&self, repo: &Repo) -> Result<Outcome> {
        let lifetime = Environments::load(repo)?.lifetime;
        let opened = self.target.open(repo, None, "schema gc")?;
        interrupt::listen()?;
        let mut warehouse = opened.warehouse();
        let examined = self.examine(warehouse.as_mut(), &lifetime, None)?;
        let mut change = notes(warehouse.as_ref(), &examined)?;
        change.extend(warehouse.sweep()?);
        let dry_run = self.dry_run || !(self.yes || context::on_actions());
        let mut statements = warehouse.script(&change);
        for name in examined.doomed()? {
            let doomed = dropping(warehouse.as_mut(), &name)?;
            statements.extend(warehouse.script(&doomed));
        }
        if !dry_run {
            let dropped = self.apply(&opened, &examined, &change, &lifetime)?;
            actions::set_outputs(&[("dropped", dropped.to_string())])?;
        }
        let environments = &examined.verdicts;
        match self.format {
            Format::Json => console::print_json(&Report { dry_run, environments, statements })?,
            Format::Human => console::print(&human(environments, dry_run.then_some(&statements)))?,
        }
        Ok(Outcome::Clean)
    }

    /// The caller holds the lock of `held`.
    fn examine(
        &self,
        warehouse: &mut dyn Warehouse,
        lifetime: &Lifetime,
        held: Option<&Name>,
    ) -> Result<Examined> {
        let environments = listed(warehouse, &Holder::of_all("schema gc"), held)?;
        let noted = ledger::condemned(warehouse)?;
        let mut closed: BTreeSet<u64> = self.closed_issues.iter().copied().collect();
        if self.ask_github {
            closed.extend(closed_on_github(&environments)?);
        }
        let now = clock::now();
        let verdicts = decide(&environments, &noted, &closed, lifetime, now);
        Ok(Examined { verdicts, noted, now })
    }

    /// Returns how many environments were dropped.
    fn apply(
        &self,
        opened: &Opened,
        examined: &Examined,
        change: &[Statement],
        lifetime: &Lifetime,
    ) -> Result<usize> {
        let mut warehouse = opened.warehouse();
        let mut dropped = 0;
        for name in examined.doomed()? {
            interrupt::check()?;
            // A build may have been running until now: decide again once we hold the lock.
            let mut lock = opened.lock(&name, &Holder::this("schema gc", &name, None), self.target.wait())?;
            if self.examine(warehouse.as_mut(), lifetime, Some(&name))?.doomed()?.contains(&name) {
                let change = dropping(warehouse.as_mut(), &name)?;
                warehouse.apply(&change)?;
                dropped += 1;
                opened.remove_files(&name)?;
                metrics::reported::drop_scope_in_file(name.as_str())?;
                lock.remove_after_use(opened);
                tracing::info!("dropped {name}");
            }
        }
        if !change.is_empty() {
            warehouse.apply(&warehouse.provision_registry())?;
            warehouse.apply(change)?;
        }
        Ok(dropped)
    }
}

/// What a pass found, and when.
struct Examined {
    verdicts: Vec<Verdict>,
    /// What earlier passes wrote down.
    noted: Vec<Condemned>,
    now: DateTime,
}

impl Examined {
    fn doomed(&self) -> Result<Vec<Name>> {
        let doomed = self.verdicts.iter().filter(|verdict| verdict.action == Action::Drop);
        doomed.map(|verdict| Ok(verdict.schema.parse()?)).collect()
    }
}

/// The numbers behind `environments` that GitHub says are closed or deleted. One that GitHub gives
/// no answer for counts as open: its environment is still removed when its time is up.
fn closed_on_github(environments: &[Listed]) -> Result<Vec<u64>> {
    let github = GitHub::from_env()?;
    let numbers: BTreeSet<u64> =
        environments.iter().filter_map(|environment| environment.mark.issue_number).collect();
    let is_closed = |number: &u64| match github.issue_state(*number) {
        Ok(state) => state == github::State::Closed,
        Err(github::Error::NotFound(410)) => true,
        Err(error) => {
            tracing::warn!("failed to ask GitHub whether #{number} is closed: {error}");
            false
        }
    };
    Ok(numbers.into_iter().filter(is_closed).collect())
}

/// What becomes of each environment, in the order of the registry.
fn decide(
    environments: &[Listed],
    noted: &[Condemned],
    closed: &BTreeSet<u64>,
    lifetime: &Lifetime,
    now: DateTime,
) -> Vec<Verdict> {
    let examine = |environment: &Listed| {
        let schema = environment.mark.schema_name.clone();
        if let Some(other) = &environment.other {
            // Its notes are that project's too.
            let reason = format!("it belongs to the dbt project {other}");
            return Verdict { schema, action: Action::Keep, reason };
        }
        let earlier = noted.iter().find(|entry| entry.schema_name == schema);
        let (action, reason) = match (unneeded(environment, closed, lifetime, now), earlier) {
            (Err(why), None) => (Action::Keep, why),
            (Err(why), Some(_)) => (Action::Spare, why),
            (Ok(why), None) => (Action::Note, why),
            // Used after it was noted, then unused for long again: its grace period starts over.
            (Ok(why), Some(entry)) if entry.noted_at < environment.last_used() => (Action::Note, why),
            (Ok(why), Some(entry)) => {
                let grace = i64::from(lifetime.grace_hours).hours();
                let over = entry.noted_at.checked_add(grace).is_ok_and(|end| end <= now);
                (if over { Action::Drop } else { Action::Wait }, why)
            }
        };
        Verdict { schema, action, reason }
    };
    environments.iter().map(examine).collect()
}

/// Why an environment is needed no more, or why it stays.
fn unneeded(
    environment: &Listed,
    closed: &BTreeSet<u64>,
    lifetime: &Lifetime,
    now: DateTime,
) -> Result<String, String> {
    let kind = environment.mark.schema_name.parse::<Name>().map_or(Kind::Custom, |name| name.kind());
    let Some(days) = lifetime.days(kind) else {
        return Err(format!("{} environments are never dropped", kind.label()));
    };
    if let Some(by) = &environment.in_use {
        return Err(format!("in use: {by}"));
    }
    if !environment.exists {
        return Ok("its schema is gone, only the registry knows it".to_owned());
    }
    if environment.droppable != Some(true) {
        return Err("it lacks a proof of ownership; `schema drop` says which".to_owned());
    }
    if let Some(number) = environment.mark.issue_number.filter(|number| closed.contains(number)) {
        return Ok(format!("#{number} is closed"));
    }
    let last = environment.last_used();
    let until = last.checked_add(i64::from(days).days()).unwrap_or(DateTime::MAX);
    let since = last.strftime("%F");
    if until <= now {
        Ok(format!("unused since {since}, more than {days} days"))
    } else {
        Err(format!("used on {since}; kept for {days} days"))
    }
}

/// What a pass writes down for the next one.
fn notes(warehouse: &dyn Warehouse, examined: &Examined) -> Result<Vec<Statement>> {
    let Examined { verdicts, noted, now } = examined;
    let mut change = Vec::new();
    for Verdict { schema, action, reason } in verdicts {
        let is_known = noted.iter().any(|entry| entry.schema_name == *schema);
        if is_known && matches!(action, Action::Spare | Action::Note) {
            change.push(ledger::spare(warehouse, schema));
        }
        if *action == Action::Note {
            let entry = Condemned { schema_name: schema.clone(), reason: reason.clone(), noted_at: *now };
            change.push(ledger::condemn(&entry)?);
        }
    }
    // The notes of environments that were dropped by hand are left over.
    let gone = |entry: &&Condemned| verdicts.iter().all(|verdict| verdict.schema != entry.schema_name);
    change.extend(noted.iter().filter(gone).map(|entry| ledger::spare(warehouse, &entry.schema_name)));
    Ok(change)
}

/// The drop of one environment, with its note.
fn dropping(warehouse: &mut dyn Warehouse, name: &Name) -> Result<Vec<Statement>> {
    let state = State::read(warehouse, name)?;
    let refused = || format!("refused to drop {name}");
    let decided = decide_drop(warehouse, name, &state).with_context(refused)?;
    let mut change = decided.ok_or_else(|| unknown(name)).with_context(refused)?;
    change.push(ledger::spare(warehouse, name.as_str()));
    change.extend(metrics::forget(warehouse, name)?);
    Ok(change)
}

fn human(verdicts: &[Verdict], planned: Option<&Vec<String>>) -> String {
    if verdicts.is_empty() {
        return "no environments yet".to_owned();
    }
    let rows: Vec<Vec<String>> = verdicts
        .iter()
        .map(|verdict| {
            vec![verdict.schema.clone(), verdict.action.label().to_owned(), verdict.reason.clone()]
        })
        .collect();
    let table = console::table(&["schema", "action", "why"], &[Align::Left; 3], &rows);
    match planned {
        None => table,
        Some(statements) if statements.is_empty() => format!("{table}\n\n-- nothing to do"),
        Some(statements) => {
            format!("{table}\n\n-- would send (--yes does it)\n{}", statements.join("\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{LastRun, Mark, Owner, Status};

    const NOW: &str = "2026-11-20T12:00:00";

    fn at(text: &str) -> DateTime {
        text.parse().expect("a time")
    }

    fn environment(name: &str, created: &str, last_run: Option<&str>) -> Listed {
        let parsed: Name = name.parse().expect("a name");
        Listed {
            mark: Mark {
                ledger_version: None,
                schema_name: name.to_owned(),
                kind: parsed.kind().label().to_owned(),
                base: None,
                issue_number: parsed.number(),
                object_name: None,
                created_at: at(created),
                created_by: None,
                toolkit_version: "1".into(),
                owner: Owner::default(),
            },
            other: None,
            own: true,
            exists: true,
            droppable: Some(true),
            in_use: None,
            relations: Some(0),
            last_run: last_run.map(|text| LastRun {
                last_run_id: "r".into(),
                last_run_at: at(text),
                last_status: Status::Success,
            }),
            bytes: None,
        }
    }

    fn note(name: &str, noted: &str) -> Condemned {
        Condemned { schema_name: name.into(), reason: "x".into(), noted_at: at(noted) }
    }

    fn action(environment: &Listed, noted: &[Condemned], closed: &[u64]) -> Action {
        let closed = closed.iter().copied().collect();
        let verdicts =
            decide(std::slice::from_ref(environment), noted, &closed, &Lifetime::default(), at(NOW));
        verdicts[0].action
    }

    #[test]
    fn what_is_needed_no_more_is_noted_then_dropped_after_its_grace() {
        let old = environment("issue_4", "2026-10-01T00:00:00", Some("2026-11-06T11:00:00"));
        assert_eq!(action(&old, &[], &[]), Action::Note);
        assert_eq!(action(&old, &[note("issue_4", "2026-11-20T00:00:00")], &[]), Action::Wait);
        assert_eq!(action(&old, &[note("issue_4", "2026-11-19T12:00:00")], &[]), Action::Drop);
        let used = environment("issue_4", "2026-10-01T00:00:00", Some("2026-11-20T11:00:00"));
        assert_eq!(action(&used, &[note("issue_4", "2026-11-19T00:00:00")], &[]), Action::Spare);
        assert_eq!(action(&used, &[], &[]), Action::Keep);
    }

    #[test]
    fn a_closed_issue_needs_nothing_whatever_ran() {
        let used = environment("pr_7", "2026-11-19T00:00:00", Some("2026-11-20T00:00:00"));
        assert_eq!(action(&used, &[], &[7]), Action::Note);
        assert_eq!(action(&used, &[note("pr_7", "2026-11-19T12:00:00")], &[7]), Action::Note, "used since");
        assert_eq!(action(&used, &[], &[8]), Action::Keep);
    }

    #[test]
    fn environments_of_other_projects_are_left_alone() {
        let mut foreign = environment("issue_4", "2020-01-01T00:00:00", None);
        foreign.other = Some(Owner { project: Some("stock".into()), ..Owner::default() });
        for noted in [&[][..], &[note("issue_4", "2020-01-01T00:00:00")]] {
            assert_eq!(action(&foreign, noted, &[4]), Action::Keep, "and its note is not touched");
        }
    }

    #[test]
    fn what_never_goes_stays_however_old() {
        for name in ["prod", "dev", "scratch"] {
            assert_eq!(action(&environment(name, "2020-01-01T00:00:00", None), &[], &[]), Action::Keep);
        }
        let mut foreign = environment("issue_4", "2020-01-01T00:00:00", None);
        foreign.droppable = Some(false);
        assert_eq!(action(&foreign, &[note("issue_4", "2020-01-01T00:00:00")], &[4]), Action::Spare);
        assert_eq!(action(&environment("branch_x", "2026-11-13T13:00:00", None), &[], &[]), Action::Keep);
        assert_eq!(action(&environment("branch_x", "2026-11-13T11:00:00", None), &[], &[]), Action::Note);
    }
}
