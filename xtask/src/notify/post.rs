//! Sends what was composed. Each place is notified separately: one that cannot be reached does not affect the others.

use anyhow::{Context as _, Result, bail};
use reqwest::Method;
use serde_json::Value;

use super::facts::{Facts, variable};
use super::message::{Cause, Message, Verdict};
use super::{markdown, warn};
use crate::system::actions;
use crate::system::github::{self, Annotation, Check, CommitState, Conclusion, GitHub, Level, Status};
use crate::system::http::{self, Http, Patience};

const WEBHOOK: &str = "SLACK_WEBHOOK_URL";

/// Annotations a run: more than a page shows, few enough to be sent in a few requests.
const MOST_ANNOTATIONS: usize = 200;

/// GitHub's limits of a check's title and a status's description, in characters.
const TITLE: usize = 250;
const DESCRIPTION: usize = 140;

/// Send `rendered` to the webhook, if there is one; whether Slack accepted it.
pub(super) fn to_slack(rendered: &Value) -> Result<bool> {
    let Some(webhook) = variable(WEBHOOK) else {
        tracing::info!("{WEBHOOK} is not set, so nothing is sent to Slack");
        return Ok(false);
    };
    actions::mask(webhook.trim());
    let url = http::address(&webhook).with_context(|| format!("failed to use {WEBHOOK}"))?;
    let http = Http::new(Patience::default())?;
    let answer = http.send(http.request(Method::POST, url).json(rendered))?;
    if !answer.is_success() {
        bail!("Slack refused the message ({}): {}", answer.status, slack_reason(&answer.body, answer.status));
    }
    tracing::info!("sent to Slack");
    Ok(true)
}

/// Slack answers with one word. Anything else comes from a proxy in between and is not repeated.
fn slack_reason(body: &[u8], status: u16) -> String {
    let word = std::str::from_utf8(body).unwrap_or_default().trim();
    if !word.is_empty() && word.len() <= 60 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
        return word.to_owned();
    }
    match status {
        404 | 410 => format!("the webhook does not exist any more; make a new one and set {WEBHOOK}"),
        429 => "it asks to slow down for longer than this waits".to_owned(),
        _ => "it gave no reason".to_owned(),
    }
}

/// Write the summary, keep the comment up to date, set the check.
pub(super) fn to_github(message: &Message, facts: &Facts, number: Option<u64>) {
    if let Err(error) = actions::append_summary(&markdown::render(message)) {
        warn("the job's summary", &error);
    }
    let github = match GitHub::from_env() {
        Ok(github) => github,
        Err(error @ (github::Error::NoToken | github::Error::NoRepository)) => {
            tracing::info!("{error}; so nothing is written to GitHub");
            return;
        }
        Err(error) => return warn("GitHub", &error.into()),
    };
    if let Some(number) = number {
        keep_comment(&github, message, facts.origin.run, number);
    } else {
        tracing::info!("this pipeline belongs to no issue or pull request, so there is no comment");
    }
    // A clean-up says nothing about a commit, and must not cover what its build said.
    if message.is_cleanup {
        return;
    }
    if let Some(sha) = commit(facts) {
        tell_commit(&github, message, facts.origin.run, &sha);
    }
}

fn keep_comment(github: &GitHub, message: &Message, run: Option<(u64, u64)>, number: u64) {
    match sticky(github, message, run, number) {
        Ok(None) => tracing::info!("a newer run has reported in the comment already, so it stays as it is"),
        Ok(Some(url)) => {
            tracing::info!("{}", actions::harmless(&format!("the comment is up to date: {url}")));
        }
        Err(error) => {
            let error = lacking(error, "issues: write, pull-requests: write");
            warn(&format!("issue or pull request #{number}"), &error);
        }
    }
}

/// Update our comment if there is one, else create it. One that a newer run wrote is left as it is.
fn sticky(
    github: &GitHub,
    message: &Message,
    run: Option<(u64, u64)>,
    number: u64,
) -> Result<Option<String>, github::Error> {
    let body = markdown::comment(message, run);
    let comment = match github.own_comment(number, &markdown::marker(message))? {
        Some(known) if markdown::written_by(known.body()) > run => return Ok(None),
        Some(known) => match github.update_comment(known.id, &body) {
            // It was deleted since, or belongs to another account.
            Err(github::Error::NotFound(_) | github::Error::Forbidden(_)) => {
                github.create_comment(number, &body)?
            }
            updated => updated?,
        },
        None => github.create_comment(number, &body)?,
    };
    Ok(Some(comment.html_url))
}

/// The commit that was built: the event's own. On a pull request Actions checks out a temporary merge, whose checks
/// no page shows, and the newest commit may not be the one that was built.
fn commit(facts: &Facts) -> Option<String> {
    let is_pull_request = facts.origin.event.as_deref().is_some_and(|name| name.starts_with("pull_request"));
    let planned = facts.plan.as_ref().and_then(|plan| plan.event["commit"].as_str()).map(str::to_owned);
    let sha = planned.or_else(|| facts.origin.sha.clone().filter(|_| !is_pull_request));
    if sha.is_none() {
        tracing::info!("which commit was built is not known, so no commit gets a check");
    }
    sha.filter(|sha| matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn tell_commit(github: &GitHub, message: &Message, run: Option<(u64, u64)>, sha: &str) {
    let name = format!("dbt ({})", message.subject);
    // A run can build the same commit again, and the older one can end later.
    let newest = github.newest_check(sha, &name).unwrap_or_else(|error| {
        tracing::info!("{}", actions::harmless(&format!("failed to read the commit's checks: {error}")));
        None
    });
    if newest.as_deref().and_then(markdown::run_of) > run {
        return tracing::info!("a newer run has set the check {name:?} already, so it stays as it is");
    }
    let external_id = run.map(markdown::run_text);
    let check = Check {
        name: &name,
        head_sha: sha,
        conclusion: conclusion(message.verdict),
        details_url: message.run_url.as_deref(),
        external_id: external_id.as_deref(),
        title: &shortened(&message.headline, TITLE),
        summary: &markdown::render(message),
        annotations: annotations(message),
    };
    let Err(error) = github.create_check(&check) else {
        return tracing::info!("set the check {name:?}");
    };
    let forbidden = matches!(error, github::Error::Forbidden(_) | github::Error::NotFound(_));
    if !forbidden {
        return warn("the commit's check", &error.into());
    }
    tracing::info!("the token may not set checks (checks: write), so the commit gets a plain status");
    let status = Status {
        state: commit_state(message.verdict),
        target_url: message.run_url.as_deref(),
        description: &shortened(&message.headline, DESCRIPTION),
        context: &name,
    };
    match github.create_status(sha, &status) {
        Ok(()) => tracing::info!("set the status {name:?}"),
        Err(error) => warn("the commit", &lacking(error, "checks: write or statuses: write")),
    }
}

/// A refusal names the permissions that would have let it.
fn lacking(error: github::Error, permissions: &str) -> anyhow::Error {
    match error {
        github::Error::Forbidden(_) => anyhow::anyhow!("{error}: {permissions}"),
        error => error.into(),
    }
}

/// Annotations at a line of a file: first failures, then warnings.
pub(super) fn annotations(message: &Message) -> Vec<Annotation> {
    let failed = message.failures.iter().map(|cause| (Level::Failure, cause));
    let warned = message.warnings.iter().map(|cause| (Level::Warning, cause));
    let annotation = |(level, cause): (Level, &Cause)| {
        let place = cause.location.clone()?;
        Some(Annotation {
            path: place.path,
            start_line: place.line,
            end_line: place.line,
            annotation_level: level,
            title: shortened(&cause.title(), TITLE),
            message: cause.text(),
        })
    };
    failed.chain(warned).filter_map(annotation).take(MOST_ANNOTATIONS).collect()
}

fn conclusion(verdict: Verdict) -> Conclusion {
    match verdict {
        Verdict::Succeeded => Conclusion::Success,
        Verdict::Failed => Conclusion::Failure,
        Verdict::Cancelled => Conclusion::Cancelled,
        Verdict::Nothing | Verdict::Unknown => Conclusion::Neutral,
    }
}

/// A status has no "neutral": what did not run has not failed.
fn commit_state(verdict: Verdict) -> CommitState {
    match verdict {
        Verdict::Succeeded | Verdict::Nothing => CommitState::Success,
        Verdict::Failed => CommitState::Failure,
        Verdict::Cancelled | Verdict::Unknown => CommitState::Error,
    }
}

fn shortened(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}
