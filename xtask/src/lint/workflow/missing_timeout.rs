//! A job that can hang for six hours.

use super::view::{Kind, View};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "missing-timeout",
    group: Group::Workflow,
    severity: Severity::Low,
    summary: "A job has no timeout-minutes.",
    why: "GitHub's own limit is 360 minutes. A job that hangs on a warehouse blocks its runner and its concurrency group \
          and, with an open query, costs Snowflake credits until then.",
    example: "```yaml\njobs:\n  build:\n    runs-on: ubuntu-24.04\n    timeout-minutes: 30\n```",
    remedy: "set `timeout-minutes` to about three times the job's duration",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let offences = view
        .jobs
        .iter()
        // The jobs of a called workflow have their own limits.
        .filter(|job| view.kind == Kind::Workflow && job.node.get("uses").is_none() && job.node.is_mapping())
        .filter(|job| job.node.get("timeout-minutes").is_none())
        .map(|job| view.offence(&RULE, job.key.span, format!("`{}` has no timeout-minutes", job.id)));
    offences.collect()
}
