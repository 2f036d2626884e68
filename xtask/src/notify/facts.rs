//! What is known of a pipeline when it has ended: read from what its stages wrote, whatever of it exists.
//!
//! Every input may be missing or broken, most of all when the run went wrong; then the message reports that
//! too, instead of nothing. Values of this process's secret variables are removed here, before anything is
//! rendered: GitHub masks its logs, but neither a comment nor a Slack message.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::core::context;
use crate::system::actions;
use crate::system::redact::{redact, secrets};

#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(super) plan: Option<Plan>,
    pub(super) runs: Vec<Run>,
    pub(super) metrics: Option<Metrics>,
    pub(super) stages: Vec<Job>,
    /// How many environments the clean-up jobs report to have dropped; `None` if none reports it.
    pub(super) dropped: Option<u64>,
    /// What `lint` and the scan of the history found, if security failed.
    pub(super) findings: Vec<Finding>,
    pub(super) origin: Origin,
    pub(super) report_url: Option<String>,
    /// What should have been there and could not be read.
    pub(super) gaps: Vec<String>,
}

impl Facts {
    pub(super) fn asks_for_nothing(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.action.as_deref() == Some("none"))
    }

    /// Whether nothing was left in the environment since it was closed, or built by a newer run.
    pub(super) fn is_unwanted(&self) -> bool {
        self.stages.iter().any(|stage| stage.is_unwanted)
    }
}

/// The plan, as `plan --format json` writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Plan {
    pub(super) action: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) base: Option<String>,
    pub(super) observed: Option<String>,
    pub(super) target: Option<String>,
    pub(super) stages: BTreeMap<String, bool>,
    pub(super) reasons: Vec<String>,
    pub(super) event: Value,
}

/// A run, as `elt --format json` writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Run {
    pub(super) schema: String,
    pub(super) target: Option<String>,
    pub(super) run_id: String,
    pub(super) status: String,
    pub(super) up_to_date: bool,
    pub(super) message: Option<String>,
    pub(super) nodes: Vec<Node>,
    pub(super) seconds: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) seconds: Option<f64>,
    pub(super) message: Option<String>,
    pub(super) location: Option<Location>,
    pub(super) depends_on: Option<Vec<String>>,
    /// The first rows that a failing test found.
    pub(super) sample: Vec<Map<String, Value>>,
}

impl Node {
    pub(super) fn is_test(&self) -> bool {
        matches!(self.kind.as_str(), "test" | "unit_test")
    }

    pub(super) fn went_wrong(&self) -> bool {
        matches!(self.status.as_str(), "error" | "fail")
    }
}

/// A finding, as `lint`, `secrets --history` and `audit` with `--format json` write it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Finding {
    pub(super) rule: String,
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) message: String,
    /// Of the history: the commit that brought it.
    pub(super) commit: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Findings {
    pub(super) findings: Vec<Finding>,
}

/// A line of a file of the repository.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Location {
    pub(super) path: String,
    pub(super) line: usize,
}

/// Metrics, as `metrics --format json` writes them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Metrics {
    pub(super) figures: Vec<Figure>,
    pub(super) alerts: Vec<Alert>,
}

/// An alert rule and its state.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Alert {
    pub(super) name: String,
    pub(super) severity: String,
    pub(super) state: String,
    pub(super) since: Option<String>,
    /// Whether it fails the gate while it fires.
    pub(super) gates: bool,
    pub(super) message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Figure {
    pub(super) name: String,
    /// Null where it could not be read; `status` says why.
    pub(super) value: Value,
    pub(super) unit: Option<String>,
    pub(super) status: Option<String>,
    pub(super) reason: Option<String>,
}

/// A job of the pipeline: that of a stage, or another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(super) name: String,
    pub(super) result: JobResult,
    /// What kept its command from running, as the job reports it.
    pub(super) error: Option<String>,
    /// The job says that its environment is closed, or was built by a newer run: it passed without a build.
    pub(super) is_unwanted: bool,
}

/// GitHub's words for how a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JobResult {
    Success,
    Failure,
    Cancelled,
    Skipped,
}

impl FromStr for Job {
    type Err = String;

    /// `elt=success`
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, result) =
            text.split_once('=').ok_or("it is written as NAME=RESULT, such as elt=success")?;
        let result = match result.trim() {
            "success" => JobResult::Success,
            "failure" => JobResult::Failure,
            "cancelled" => JobResult::Cancelled,
            "skipped" => JobResult::Skipped,
            other => return Err(format!("{other:?} is not one of success, failure, cancelled, skipped")),
        };
        if name.trim().is_empty() {
            return Err("the name of the stage is missing".to_owned());
        }
        Ok(Self { name: name.trim().to_owned(), result, error: None, is_unwanted: false })
    }
}

/// Where the pipeline runs and who triggered it, from GitHub's variables.
#[derive(Debug, Default)]
pub(super) struct Origin {
    pub(super) event: Option<String>,
    pub(super) actor: Option<String>,
    pub(super) git_ref: Option<String>,
    pub(super) sha: Option<String>,
    pub(super) run_url: Option<String>,
    /// Number and attempt of the run: GitHub counts them up, so a greater one is a newer run.
    pub(super) run: Option<(u64, u64)>,
}

impl Origin {
    pub(super) fn from_env() -> Self {
        Self {
            event: variable("GITHUB_EVENT_NAME"),
            actor: context::triggered_by(),
            git_ref: variable("GITHUB_REF_NAME").or_else(|| variable("GITHUB_REF")),
            sha: variable("GITHUB_SHA"),
            run_url: context::run_url(),
            run: variable("GITHUB_RUN_ID").and_then(|id| {
                let attempt = variable("GITHUB_RUN_ATTEMPT").and_then(|attempt| attempt.parse().ok());
                Some((id.parse().ok()?, attempt.unwrap_or(1)))
            }),
        }
    }
}

pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Reads inputs and remembers which it could not read.
pub(super) struct Reader {
    secrets: Vec<String>,
    pub(super) gaps: Vec<String>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { secrets: secrets(std::env::vars()), gaps: Vec::new() }
    }

    /// What `stage` should have left in the file `given`. A missing file is a gap only if the stage passed: if it
    /// did not pass, that is expected.
    pub(super) fn left_by<T: DeserializeOwned>(
        &mut self,
        stage: &str,
        stages: &[Job],
        what: &str,
        given: &str,
    ) -> Option<T> {
        let did_not_pass = stages
            .iter()
            .any(|known| known.name == stage && (known.result != JobResult::Success || known.is_unwanted));
        if did_not_pass && is_nothing(Path::new(given)) {
            tracing::info!("{stage} did not pass and left no {given}");
            return None;
        }
        self.read(what, given)
    }

    /// JSON that is given as such, or as the file that holds it. What cannot be read becomes a gap.
    pub(super) fn read<T: DeserializeOwned>(&mut self, what: &str, given: &str) -> Option<T> {
        let read = || {
            let mut value = json(given)?;
            redact(&mut value, &self.secrets);
            serde_json::from_value(value).context("it has not the expected fields")
        };
        match read() {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::warn!("{}", actions::harmless(&format!("failed to read {what}: {error:#}")));
                self.gaps.push(format!("{what} could not be read"));
                None
            }
        }
    }

    /// Stages from `toJSON(needs)`: every job with its result; and what the clean-ups among them dropped.
    pub(super) fn stages(&mut self, given: &str) -> (Vec<Job>, Option<u64>) {
        #[derive(Deserialize)]
        struct Said {
            result: JobResult,
            #[serde(default)]
            outputs: BTreeMap<String, Value>,
        }
        let jobs: BTreeMap<String, Said> =
            self.read("the results of the stages (--needs)", given).unwrap_or_default();
        let dropped = |job: &Said| job.outputs.get("dropped")?.as_str()?.parse::<u64>().ok();
        let dropped = jobs.values().filter_map(dropped).reduce(|sum, more| sum + more);
        let error = |job: &Said| {
            let error = job.outputs.get("error")?.as_str()?.trim();
            (!error.is_empty()).then(|| error.to_owned())
        };
        let is_unwanted = |job: &Said| job.outputs.get("wanted").is_some_and(|wanted| wanted == "false");
        let stage = |(name, job): (String, Said)| Job {
            name,
            result: job.result,
            error: error(&job),
            is_unwanted: is_unwanted(&job),
        };
        (jobs.into_iter().map(stage).collect(), dropped)
    }
}

fn is_nothing(file: &Path) -> bool {
    std::fs::metadata(file).map_or(true, |file| file.len() == 0)
}

fn json(given: &str) -> Result<Value> {
    let text = if given.trim_start().starts_with('{') {
        given.to_owned()
    } else {
        let path = Path::new(given);
        std::fs::read_to_string(path).with_context(|| format!("failed to open {}", path.display()))?
    };
    if text.trim().is_empty() {
        bail!("it is empty: the command that should have written it ended before");
    }
    serde_json::from_str(&text).context("it is no JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(secrets: &[&str]) -> Reader {
        Reader { secrets: secrets.iter().map(|&secret| secret.to_owned()).collect(), gaps: Vec::new() }
    }

    #[test]
    fn what_is_missing_or_broken_is_a_gap_and_no_error() {
        let mut reader = reader(&[]);
        assert!(reader.read::<Run>("the run", "/no/such/file.json").is_none());
        assert!(reader.read::<Run>("the plan", "{broken").is_none());
        assert!(reader.read::<Run>("the metrics", r#"{"nodes": 7}"#).is_none());
        assert_eq!(reader.gaps.len(), 3);
        let run: Run = reader.read("the run", r#"{"schema": "issue_1", "new": [1]}"#).expect("a run");
        assert_eq!((run.schema.as_str(), run.nodes.len()), ("issue_1", 0));
    }

    #[test]
    fn stages_are_read_from_jobs_and_from_options() {
        let needs =
            r#"{"elt": {"result": "failure", "outputs": {"x": "y"}}, "security": {"result": "success"}}"#;
        let (stages, dropped) = reader(&[]).stages(needs);
        assert_eq!(dropped, None, "no clean-up reports anything");
        let cleaned = r#"{"janitor": {"result": "success", "outputs": {"dropped": "3"}},
                          "cleanup": {"result": "skipped", "outputs": {"dropped": ""}}}"#;
        assert_eq!(reader(&[]).stages(cleaned).1, Some(3));
        let expected = ["elt=failure", "security=success"].map(|text| text.parse::<Job>().expect("a stage"));
        assert_eq!(stages, expected);
        for wrong in ["elt", "elt=fine", "=success"] {
            assert!(wrong.parse::<Job>().is_err(), "{wrong}");
        }
    }
}
