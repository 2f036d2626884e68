//! A variable that is set to itself.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "self-referring-env",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "An env variable is set to itself.",
    why: "At the top and in a job the `env` context does not have what is being set yet, nor what the machine's \
          environment has: the variable becomes empty, and the step runs without it.",
    example: "```yaml\nenv:\n  SNOWFLAKE_ROLE: ${{ env.SNOWFLAKE_ROLE }}\n```\n\nLeave the line out, or say where it comes \
              from:\n\n```yaml\nenv:\n  SNOWFLAKE_ROLE: ${{ vars.SNOWFLAKE_ROLE }}\n```",
    remedy: "leave it out, or take it from `vars`, `secrets` or `inputs`",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let levels = std::iter::once(view.root)
        .chain(view.jobs.iter().map(|job| job.node))
        .chain(view.steps.iter().map(|step| step.node));
    let mut offences = Vec::new();
    for (key, value) in levels.filter_map(|level| level.get("env")).flat_map(Node::entries) {
        let Some(name) = key.text() else { continue };
        let own = ["env".to_owned(), name.to_lowercase()];
        for found in view.within(value) {
            if found.parsed.as_ref().is_ok_and(|parsed| parsed.paths().iter().any(|path| *path == own)) {
                offences.push(view.offence(&RULE, found.span, format!("`{name}` is set to itself")));
            }
        }
    }
    offences
}
