//! `cargo xtask doctor`: checks that everything the toolkit needs is present, and says what to do if not.
//!
//! Reads only: it installs no package and writes no file. Each check is one function from a checkout to a
//! verdict; all run at once, each on its own thread, so a check that hangs or crashes affects only its own
//! line.

mod checkout;
mod engine;
mod github;
mod ledgers;
mod packages;
mod project;
mod snowflake;
mod tools;

use std::fmt::Write as _;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use crate::system::console;
use crate::system::console::Format;
use crate::system::contract::Contract;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::target::{self, Target};

/// Users wait for it before they start to work: an answer without the slow part is better than a late one.
const LIMIT: Duration = Duration::from_millis(4500);

/// Check that everything the toolkit needs is present, and print how to fix what is not.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: target::Args,

    /// Check the repository on GitHub instead of this machine: labels, environments, variables, secrets, the ruleset,
    /// Pages, the permissions of workflows, and the subject of the OIDC token.
    #[arg(long)]
    github: bool,

    #[command(flatten)]
    place: crate::github::Place,

    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    /// Works, or will by itself, but is worth knowing.
    Warn,
    /// Something will not work until it is fixed.
    Fail,
}

/// What a check found.
#[derive(Debug)]
struct Verdict {
    status: Status,
    found: String,
    /// What to do about it; `None` if nothing is wrong.
    remedy: Option<String>,
}

impl Verdict {
    fn ok(found: impl Into<String>) -> Self {
        Self { status: Status::Ok, found: found.into(), remedy: None }
    }

    fn warn(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Warn, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn fail(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Fail, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// From an error whose first part says what was found and whose rest says how to fix it, as in all errors
    /// of this toolkit.
    fn from_error(error: &anyhow::Error) -> Self {
        let text = format!("{error:#}");
        match text.split_once("; ") {
            Some((found, remedy)) => Self::fail(found, remedy),
            None => Self::fail(text, "see the message"),
        }
    }
}

type Check = (&'static str, fn(&Repo) -> Verdict);

/// In the order in which a user would fix them.
const COMMON: [Check; 12] = [
    ("git", tools::git),
    ("engine", engine::engine),
    ("python", tools::python),
    ("uv", tools::uv),
    ("dbt project", checkout::dbt_project),
    ("profile", project::profile),
    ("dbt packages", project::packages),
    ("seeds", project::seeds),
    ("schemas", project::schemas),
    ("policies", checkout::policies),
    ("locks", packages::locks),
    ("environment", packages::environment),
];

const LOCAL: [Check; 3] =
    [("duckdb", packages::duckdb), ("storage", checkout::storage), ("ledgers", ledgers::local)];

const SNOWFLAKE: [Check; 5] = [
    ("settings", snowflake::settings),
    ("database", snowflake::database),
    ("driver", snowflake::driver),
    ("identity", snowflake::identity),
    ("login", snowflake::login),
];

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    let verdicts = if args.github { github::examine(&args.place, repo)? } else { local(args, repo) };
    let report = Report::new(verdicts);
    match args.format {
        Format::Human => console::print(&human(&report))?,
        Format::Json => console::print_json(&report)?,
    }
    Ok(if report.status == Status::Fail { Outcome::Findings } else { Outcome::Clean })
}

/// The checks of this machine and of the target.
fn local(args: &Args, repo: &Repo) -> Vec<(&'static str, Verdict)> {
    let of_target: &[Check] = match args.target.target() {
        Target::Local => &LOCAL,
        Target::Snowflake => &SNOWFLAKE,
    };
    let checks = [&COMMON, of_target].concat();
    let limit = match args.target.target() {
        Target::Local => LIMIT,
        // A suspended warehouse resumes within this; the limit does not delay a check that ends earlier.
        Target::Snowflake => LIMIT + snowflake::PATIENCE,
    };
    examine(&checks, repo, limit)
}

/// What `--format json` prints.
#[derive(Serialize, JsonSchema)]
struct Report {
    /// The worst of all checks.
    status: Status,
    checks: Vec<Line>,
}

#[derive(Serialize, JsonSchema)]
struct Line {
    name: &'static str,
    status: Status,
    found: String,
    #[serde(rename = "fix")]
    remedy: Option<String>,
}

pub(crate) fn contract() -> Contract {
    Contract::output::<Report>("doctor", "cargo xtask doctor --format json")
}

impl Report {
    fn new(verdicts: Vec<(&'static str, Verdict)>) -> Self {
        let status = verdicts.iter().map(|(_, verdict)| verdict.status).max().unwrap_or(Status::Ok);
        let line = |(name, Verdict { status, found, remedy })| Line { name, status, found, remedy };
        Self { status, checks: verdicts.into_iter().map(line).collect() }
    }
}

/// Run all checks at once. One that crashes or is not done after `limit` yields a warning.
fn examine(checks: &[Check], repo: &Repo, limit: Duration) -> Vec<(&'static str, Verdict)> {
    let deadline = Instant::now() + limit;
    let started: Vec<_> = checks
        .iter()
        .map(|&(name, check)| {
            let (sender, receiver) = channel();
            let repo = repo.clone();
            std::thread::spawn(move || drop(sender.send(check(&repo))));
            (name, receiver)
        })
        .collect();
    let patience = || deadline.saturating_duration_since(Instant::now());
    started
        .into_iter()
        .map(|(name, receiver)| (name, verdict(receiver.recv_timeout(patience()), limit)))
        .collect()
}

fn verdict(answer: Result<Verdict, std::sync::mpsc::RecvTimeoutError>, limit: Duration) -> Verdict {
    use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
    match answer {
        Ok(verdict) => verdict,
        Err(Timeout) => Verdict::warn(
            format!("no answer within {} s", limit.as_secs_f32()),
            "run it again; if it happens again, something here hangs (a network folder, a program that waits)",
        ),
        Err(Disconnected) => Verdict::warn(
            "this check crashed",
            "this is a bug in the toolkit: please report it with the message above",
        ),
    }
}

fn human(report: &Report) -> String {
    let mut text = String::new();
    let width = report.checks.iter().map(|line| line.name.len()).max().unwrap_or_default().max(12);
    let indented = |text: &str| text.replace('\n', &format!("\n{:1$}", "", width + 7));
    for Line { name, status, found, remedy } in &report.checks {
        let word = match status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "fail",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{word:<5} {name:<width$} {}", indented(found));
        if let Some(remedy) = remedy {
            let _ = writeln!(text, "      {:<width$} -> {}", "", indented(remedy));
        }
    }
    let count = |wanted| report.checks.iter().filter(|line| line.status == wanted).count();
    let verdict = match (count(Status::Fail), count(Status::Warn)) {
        (0, 0) => "all checks passed".to_owned(),
        (0, warnings) => format!("no failures, {warnings} warning(s)"),
        (failures, _) => format!("{failures} to fix"),
    };
    let _ = writeln!(text, "{verdict}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo() -> Repo {
        Repo::discover(&std::env::temp_dir())
    }

    #[test]
    fn a_check_that_crashes_or_hangs_affects_only_its_own_line() {
        let checks: [Check; 3] = [
            ("crashes", |_| panic!("on purpose")),
            ("hangs", |_| {
                std::thread::sleep(Duration::from_mins(1));
                Verdict::ok("late")
            }),
            ("works", |_| Verdict::ok("fine")),
        ];
        let started = Instant::now();
        let report = Report::new(examine(&checks, &repo(), Duration::from_millis(300)));
        assert!(started.elapsed() < Duration::from_secs(5));
        let statuses: Vec<_> = report.checks.iter().map(|line| (line.name, line.status)).collect();
        assert_eq!(statuses, [("crashes", Status::Warn), ("hangs", Status::Warn), ("works", Status::Ok)]);
        assert_eq!(report.status, Status::Warn);
    }

    #[test]
    fn one_failure_decides_and_is_counted() {
        let report = Report::new(vec![
            ("a", Verdict::ok("fine")),
            ("b", Verdict::warn("so so", "maybe")),
            ("c", Verdict::fail("broken", "fix it")),
        ]);
        assert_eq!(report.status, Status::Fail);
        let text = human(&report);
        assert!(text.contains("-> fix it") && text.ends_with("1 to fix\n"), "{text}");
    }
}
