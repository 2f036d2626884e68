//! A token of a GitHub App with more rights than a job needs.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "broad-app-token",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A token of a GitHub App has all rights of the app, all its repositories, or outlives the job.",
    why: "Without `permission-…` inputs the token can do everything that the app can, in every repository if `owner` is \
          given without `repositories`.",
    example: "```yaml\n- uses: actions/create-github-app-token@…\n  with:\n    owner: ${{ github.repository_owner }}\n```\n\n```yaml\n  \
              with:\n    owner: ${{ github.repository_owner }}\n    repositories: docs\n    permission-contents: write\n```",
    remedy: "name the permissions and repositories, and let the token be revoked",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for step in view.steps.iter().filter(|step| step.action() == Some("actions/create-github-app-token")) {
        let (Some(uses), Some(with)) = (step.uses(), step.node.get("with")) else { continue };
        if let Some((key, value)) = with.entry("skip-token-revoke")
            && value.text() != Some("false")
        {
            offences.push(view.offence(&RULE, key.span, "the token is valid after the job"));
        }
        if let Some((key, _)) = with.entry("owner").filter(|_| with.get("repositories").is_none()) {
            offences.push(view.offence(&RULE, key.span, "the token is for all repositories of the owner"));
        }
        let is_named = |(key, _): &(Node, Node)| key.text().is_some_and(|key| key.starts_with("permission-"));
        if !with.entries().iter().any(is_named) {
            offences.push(view.offence(&RULE, uses.span, "the token has all permissions of the app"));
        }
    }
    offences
}
