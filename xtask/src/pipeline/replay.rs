//! `cargo xtask replay`: carry out on this machine what an event of GitHub asks for.
//!
//! The plan is the workflow's own, and each of its steps is a line of `cargo xtask` that goes through the same
//! parser and the same functions as one that is typed. The gates are the workflow's, too: security, then
//! ELT, then observability, each only if the stages before it succeeded, and notifications at the end.

mod steps;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use self::steps::{Ended, Part, Step};
use crate::core::stage::Stage;
use crate::pipeline::plan;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::system::{actions, console};
use crate::{Cli, Command};

/// Run the plan of an event here: all stages in order, with the same gates as the workflow.
///
/// The event may be a saved one of tests/events/, or your own from a workflow's `GITHUB_EVENT_PATH`. Slack and
/// GitHub are notified only if `SLACK_WEBHOOK_URL` and `GITHUB_TOKEN` are set.
#[derive(clap::Args, Debug)]
#[group(skip)]
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
    let mut results: Vec<(Part, Ended)> = Vec::new();
    let mut gate = Outcome::Clean;
    let mut broken = None;
    for step in &steps {
        let is_open = gate == Outcome::Clean && broken.is_none();
        let ended = if is_open { carry_out(step, args.dry_run, repo) } else { Ok(None) };
        let result = match &ended {
            Ok(Some(Outcome::Clean)) => Ended::Success,
            Ok(None) => Ended::Skipped,
            Ok(Some(Outcome::Findings | Outcome::Incomplete)) | Err(_) => Ended::Failure,
        };
        results.push((step.part, result));
        match ended {
            Ok(outcome) => gate = outcome.unwrap_or(gate),
            Err(error) => broken = Some(error.context(format!("{} could not run", step.part.label()))),
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
fn report(results: &[(Part, Ended)]) {
    for (part, ended) in results {
        tracing::info!("{}: {}", part.label(), ended.label());
    }
}

/// Run one step as if it had been typed; `--dry-run` shows the line, and is passed on to commands that can show
/// their statements.
fn carry_out(step: &Step, dry_run: bool, repo: &Repo) -> Result<Option<Outcome>> {
    let _group = actions::group(&format!("{}: {}", step.part.label(), line(step)));
    let mut argv = step.argv.clone();
    if dry_run {
        console::print(&format!("\n# {}\ncargo xtask {}", step.part.label(), line(step)))?;
        if !tells_statements(step) {
            return Ok(Some(Outcome::Clean));
        }
        argv.retain(|word| word != "--yes");
        argv.push("--dry-run".to_owned());
    } else {
        tracing::info!("{}: cargo xtask {}", step.part.label(), actions::harmless(&line(step)));
    }
    let command = parse(&argv)?;
    crate::run_command(&command, repo).map(Some)
}

/// Commands that can show their statements.
fn tells_statements(step: &Step) -> bool {
    matches!(step.part, Part::Stage(Stage::Elt) | Part::Cleanup)
}

/// A step as it would be typed. The plan, pages of JSON that no user would type, is shown as `"$PLAN"`.
fn line(step: &Step) -> String {
    let mut words = Vec::with_capacity(step.argv.len());
    for (at, word) in step.argv.iter().enumerate() {
        let is_plan = at > 0 && step.argv[at - 1] == "--plan";
        words.push(if is_plan { "\"$PLAN\"".to_owned() } else { console::shell_word(word) });
    }
    words.join(" ")
}

fn parse(argv: &[String]) -> Result<Command> {
    let words = std::iter::once("cargo xtask").chain(argv.iter().map(String::as_str));
    let cli = Cli::try_parse_from(words).context("a step of the plan is no line of cargo xtask")?;
    Ok(cli.command)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `run:` lines of the workflows and the set-up action, with the file that each is in.
    fn lines() -> Vec<(String, String)> {
        let github = concat!(env!("CARGO_MANIFEST_DIR"), "/../.github");
        let mut found = Vec::new();
        for folder in ["workflows", "actions/setup"] {
            for entry in std::fs::read_dir(format!("{github}/{folder}")).expect("a folder") {
                let path = entry.expect("an entry").path();
                let text = std::fs::read_to_string(&path).expect("a file");
                let run =
                    |line: &str| line.trim_start_matches(['-', ' ']).strip_prefix("run: ").map(str::to_owned);
                found.extend(text.lines().filter_map(run).map(|line| (path.display().to_string(), line)));
            }
        }
        found
    }

    /// The words of a line as the shell hands them over, for the few forms that our lines have.
    fn words(line: &str) -> Vec<String> {
        let (line, _) = line.split_once(" > ").unwrap_or((line, ""));
        let line = line.replace("${BASE:+--base \"$BASE\"}", "--base dev");
        line.split_whitespace()
            .map(|word| match word {
                "\"$SCHEMA\"" => "issue_42".to_owned(),
                "\"$PLAN\"" | "\"$NEEDS\"" => "{}".to_owned(),
                "\"$TAG\"" => "v1.0.0".to_owned(),
                "\"$PAGE\"" => "page.html".to_owned(),
                "\"$GITHUB_REPOSITORY\"" => "octo/lab".to_owned(),
                plain => {
                    assert!(
                        plain.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=".contains(c)),
                        "{line}"
                    );
                    plain.to_owned()
                }
            })
            .collect()
    }

    #[test]
    fn every_line_of_the_workflows_is_one_that_is_known_here() {
        let set_up = ["mkdir -p .xtask/run/report", "bash .ci/run", "bash .ci/run unit"];
        let lines = lines();
        assert!(lines.len() > 12, "{lines:?}");
        for (file, line) in lines.iter().filter(|(_, line)| !set_up.contains(&line.as_str())) {
            let rest = line.strip_prefix("cargo xtask ").unwrap_or_else(|| panic!("{file}: {line}"));
            let mut words = words(rest);
            if rest == "gate" {
                words.extend(["--needs", "{}"].map(str::to_owned));
            }
            if rest == "plan" {
                // On Actions the runner says which event it is, in variables.
                words.extend(["--event-name", "push", "--event", "event.json"].map(str::to_owned));
            }
            if let Err(error) = parse(&words) {
                panic!("{file}: {line}\n{error:?}");
            }
        }
    }

    #[test]
    fn every_step_is_a_line_of_cargo_xtask() {
        use crate::pipeline::event::Event;
        use crate::pipeline::plan::Policy;
        use crate::pipeline::plan::decide::{Circumstances, decide};
        use crate::target::Target;

        let events = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/events");
        let mut seen = 0;
        for entry in std::fs::read_dir(events).expect("events") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let payload = std::fs::read(&path).expect("a payload");
            let event = Event::parse(name.split('.').next().expect("a name"), &payload).expect("an event");
            let plan = decide(&event, &Policy::default(), &Circumstances::new(Target::Snowflake));
            let messages = steps::telling(
                &serde_json::to_string(&plan).expect("JSON"),
                &[(Part::Stage(Stage::Elt), Ended::Failure)],
            );
            for step in steps::of(&plan).iter().chain(&messages) {
                if let Err(error) = parse(&step.argv) {
                    panic!("{name}: {}\n{error:?}", line(step));
                }
                seen += 1;
            }
        }
        assert!(seen > 100, "{seen}");
    }
}
