//! `cargo xtask notify`: report a pipeline's results in Slack and on GitHub.
//!
//! One message per pipeline, made from what its stages left: the plan, the run, the metrics and the results of
//! the jobs, as far as they exist. Reporting is not the pipeline's work itself: whatever goes wrong here is
//! logged as a warning, and the pipeline continues.

mod alerts;
mod dropped;
mod facts;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod kinds;
mod markdown;
mod message;
mod post;
mod slack;

use anyhow::Result;

use self::facts::{Facts, Job, Origin, Reader, Run};
use self::message::Verdict;
pub(crate) use self::message::{ROWS, Tests, row, with_rows};
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::system::{actions, console};

/// Report how a pipeline ended; never fails it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    to: To,
}

#[derive(clap::Subcommand, Debug)]
enum To {
    /// Send one message to the channel of the incoming webhook in `SLACK_WEBHOOK_URL`.
    Slack(Inputs),
    /// Keep one comment up to date on the issue or pull request, write the job's summary, and set a check.
    ///
    /// Takes `GITHUB_TOKEN` with `issues: write`, `pull-requests: write` and `checks: write` (or, in place of
    /// checks, `statuses: write`), `GITHUB_REPOSITORY` and `GITHUB_SHA`.
    Github(GithubArgs),
    /// Report alerts that started or ended to the channel of `SLACK_WEBHOOK_URL`, each start and each end once.
    Alerts(alerts::Args),
    /// Report the end of alerts whose environment was dropped to the channel of `SLACK_WEBHOOK_URL`, each once.
    Dropped(dropped::Args),
}

/// What is known of the pipeline. All of it may be missing.
#[derive(clap::Args, Debug)]
struct Inputs {
    /// The result of a run, as `elt --format json` printed it; may be given again.
    #[arg(long, value_name = "FILE")]
    run: Vec<String>,

    /// The plan, as `plan --format json` printed it: a file, or the JSON itself.
    #[arg(long, value_name = "FILE|JSON", env = "XTASK_PLAN", hide_env_values = true)]
    plan: Option<String>,

    /// Metrics, as `metrics --format json` printed them.
    #[arg(long, value_name = "FILE")]
    metrics: Option<String>,

    /// What `lint` and `secrets` printed with `--format json`, to show if security failed; files with commas between.
    #[arg(long, value_name = "FILE", env = "XTASK_FINDINGS", value_delimiter = ',')]
    findings: Vec<String>,

    /// How a stage ended, such as `security=success`; may be given again.
    #[arg(long, value_name = "NAME=RESULT")]
    stage: Vec<Job>,

    /// How the jobs ended: GitHub's `toJSON(needs)`, as a file or as such.
    #[arg(long, value_name = "FILE|JSON", env = "XTASK_NEEDS", hide_env_values = true)]
    needs: Option<String>,

    /// Where the report of the metrics can be read.
    #[arg(long, value_name = "URL", env = "XTASK_REPORT_URL")]
    report_url: Option<String>,

    /// Print the message instead of sending it.
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args, Debug)]
struct GithubArgs {
    #[command(flatten)]
    inputs: Inputs,

    /// The issue or pull request to comment on; by default the plan's, or the one that the environment is
    /// named after.
    #[arg(long, value_name = "NUMBER")]
    number: Option<u64>,
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    match &args.to {
        To::Slack(inputs) => {
            let facts = inputs.facts();
            let message = message::compose(&facts);
            let rendered = slack::render(&message);
            if inputs.dry_run {
                console::print_json(&rendered)?;
            } else if is_quiet(&facts, &message) || is_superseded(&facts, &message) {
                say_nothing();
            } else if let Err(error) = post::to_slack(&rendered).map(drop) {
                warn("Slack", &error);
            }
        }
        To::Alerts(args) => {
            if let Err(error) = alerts::run(args, repo) {
                warn("Slack", &error);
            }
        }
        To::Dropped(args) => {
            if let Err(error) = dropped::run(args, repo) {
                warn("Slack", &error);
            }
        }
        To::Github(args) => {
            let facts = args.inputs.facts();
            let message = message::compose(&facts);
            let number = args.number.or_else(|| message::number(&facts));
            if args.inputs.dry_run {
                console::print(&markdown::comment(&message, facts.origin.run))?;
            } else if is_quiet(&facts, &message) || is_superseded(&facts, &message) {
                say_nothing();
            } else {
                post::to_github(&message, &facts, number);
            }
        }
    }
    Ok(Outcome::Clean)
}

/// What the job that made a run reports about this run alone.
pub(crate) struct OfRun {
    pub(crate) markdown: String,
    pub(crate) tests: Option<Tests>,
}

pub(crate) fn of_run(run: Run) -> OfRun {
    let facts = Facts { runs: vec![run], ..Facts::default() };
    let message = message::compose(&facts);
    OfRun { markdown: markdown::render(&message), tests: message.tests }
}

impl Inputs {
    fn facts(&self) -> Facts {
        let mut reader = Reader::new();
        // An output of a job that did not run is an empty text.
        let given = |input: &Option<String>| input.clone().filter(|text| !text.trim().is_empty());
        let (mut stages, dropped) = given(&self.needs).map(|needs| reader.stages(&needs)).unwrap_or_default();
        stages.extend(self.stage.iter().cloned());
        let run = "the result of the run (--run)";
        let metrics = "the metrics (--metrics)";
        let security_failed =
            stages.iter().any(|stage| stage.name == "security" && stage.result == facts::JobResult::Failure);
        // A scan that did not come so far leaves no file.
        let left = self.findings.iter().filter(|file| security_failed && std::path::Path::new(file).exists());
        let findings: Vec<facts::Findings> =
            left.filter_map(|file| reader.read("the findings (--findings)", file)).collect();
        Facts {
            plan: given(&self.plan).and_then(|plan| reader.read("the plan (--plan)", &plan)),
            runs: self.run.iter().filter_map(|file| reader.left_by("elt", &stages, run, file)).collect(),
            metrics: given(&self.metrics)
                .and_then(|file| reader.left_by("observability", &stages, metrics, &file)),
            stages,
            dropped,
            findings: findings.into_iter().flat_map(|found| found.findings).collect(),
            origin: Origin::from_env(),
            report_url: self.report_url.clone(),
            gaps: reader.gaps,
        }
    }
}

/// What did nothing is not reported: an event that asked for nothing, a clean-up that dropped nothing, and a build that
/// nothing waits for any more.
fn is_quiet(facts: &Facts, message: &message::Message) -> bool {
    let nothing_to_report = facts.asks_for_nothing() || facts.is_unwanted() || message.is_cleanup;
    nothing_to_report && message.verdict == Verdict::Nothing
}

/// A build that was cancelled, since a newer one took its place, ends like one that a person cancelled; neither says
/// anything about the environment, whose newest build reports for itself. The new commit of a pull request cancels all
/// jobs of the run before it.
fn is_superseded(facts: &Facts, message: &message::Message) -> bool {
    let is_request = facts.origin.event.as_deref() == Some("pull_request");
    message.verdict == Verdict::Cancelled
        && facts.stages.iter().all(|stage| match stage.result {
            facts::JobResult::Cancelled => is_request || stage.name == "elt",
            _ => true,
        })
}

fn say_nothing() {
    tracing::info!("nothing was asked for or done, so nothing is sent");
}

/// Warn that a notification failed, and why.
fn warn(whom: &str, error: &anyhow::Error) {
    let text = actions::harmless(&format!("{whom} was not updated: {error:#}"));
    tracing::warn!("{text}");
    actions::annotate(&actions::Annotation {
        level: actions::Level::Warning,
        title: "notify",
        message: &text,
        file: None,
        line: None,
    });
}
