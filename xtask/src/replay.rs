//! `cargo xtask replay`: carry out on this machine what an event of GitHub asks for.
//!
//! The plan is the workflow's own, and each of its steps is a line of `cargo xtask` that goes through the same
//! parser and the same functions as one that is typed. The gates are the workflow's, too: security, then
//! ELT, then observability, each only if what comes before it went well, and in the end people are told.

mod steps;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use self::steps::{Ended, Stage, Step};
use crate::outcome::Outcome;
use crate::plan;
use crate::repo::Repo;
use crate::{Cli, Command, actions, console};

/// Run the plan of an event here: all stages in order, with the same gates as the workflow.
///
/// The event may be a saved one of tests/events/, or your own from a workflow's $GITHUB_EVENT_PATH. Slack and
/// GitHub are told only where SLACK_WEBHOOK_URL and GITHUB_TOKEN are set.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    source: plan::Source,

    /// Print every command and statement instead of running them.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    let plan = args.source.plan(repo)?;
    console::print(&plan::text(&plan)?)?;
    let steps = steps::of(&plan);
    if steps.is_empty() {
        return Ok(Outcome::Clean);
    }
    let mut results: Vec<(Stage, Ended)> = Vec::new();
    let mut gate = Outcome::Clean;
    let mut broken = None;
    for step in &steps {
        let is_open = gate == Outcome::Clean && broken.is_none();
        let ended = if is_open { carry_out(step, args.dry_run, repo) } else { Ok(None) };
        let result = match &ended {
            Ok(Some(Outcome::Clean)) => Ended::Success,
            Ok(None) => Ended::Skipped,
            Ok(Some(Outcome::Findings)) | Err(_) => Ended::Failure,
        };
        results.push((step.stage, result));
        match ended {
            Ok(outcome) => gate = outcome.unwrap_or(gate),
            Err(error) => broken = Some(error.context(format!("{} could not run", step.stage.label()))),
        }
    }
    let json = serde_json::to_string(&plan)?;
    for step in steps::telling(&json, &results) {
        carry_out(&step, args.dry_run, repo)?;
    }
    report(&results);
    broken.map_or(Ok(gate), Err)
}

/// How the stages ended, in a line each.
fn report(results: &[(Stage, Ended)]) {
    for (stage, ended) in results {
        tracing::info!("{}: {}", stage.label(), ended.label());
    }
}

/// Run one step as if it had been typed; `--dry-run` shows the line, and goes into commands that can tell
/// their statements.
fn carry_out(step: &Step, dry_run: bool, repo: &Repo) -> Result<Option<Outcome>> {
    let _group = actions::group(&format!("{}: {}", step.stage.label(), line(step)));
    let mut argv = step.argv.clone();
    if dry_run {
        console::print(&format!("\n# {}\ncargo xtask {}", step.stage.label(), line(step)))?;
        if !tells_statements(step) {
            return Ok(Some(Outcome::Clean));
        }
        argv.retain(|word| word != "--yes");
        argv.push("--dry-run".to_owned());
    } else {
        tracing::info!("{}: cargo xtask {}", step.stage.label(), actions::harmless(&line(step)));
    }
    let command = parse(&argv)?;
    crate::run_command(&command, repo).map(Some)
}

/// Commands with statements of their own to show.
fn tells_statements(step: &Step) -> bool {
    matches!(step.stage, Stage::Elt | Stage::Cleanup)
}

fn line(step: &Step) -> String {
    step.argv.iter().map(|word| console::shell_word(word)).collect::<Vec<_>>().join(" ")
}

fn parse(argv: &[String]) -> Result<Command> {
    let words = std::iter::once("cargo xtask").chain(argv.iter().map(String::as_str));
    let cli = Cli::try_parse_from(words).context("a step of the plan is no line of cargo xtask")?;
    Ok(cli.command)
}
