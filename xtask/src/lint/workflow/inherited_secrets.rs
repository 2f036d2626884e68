//! `secrets: inherit`.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "inherited-secrets",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A called workflow is given every secret.",
    why: "It gets all secrets of the repository and organisation, including those added later, and the call does not \
          show which ones it uses.",
    example: "```yaml\nuses: ./.github/workflows/build.yml\nsecrets: inherit\n```\n\n```yaml\nuses: \
              ./.github/workflows/build.yml\nsecrets:\n  SNOWFLAKE_TOKEN: ${{ secrets.SNOWFLAKE_TOKEN }}\n```",
    remedy: "name the secrets that it needs",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let offences = view
        .jobs
        .iter()
        .filter_map(|job| job.node.get("secrets").filter(|secrets| secrets.text() == Some("inherit")))
        .map(|secrets| view.offence(&RULE, secrets.span, "the called workflow is given every secret"));
    offences.collect()
}
