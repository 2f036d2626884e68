//! A pinned action that installs whatever version of its tool is the newest.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "unpinned-tool",
    group: Group::Workflow,
    severity: Severity::Low,
    summary: "An action installs the newest version of a tool.",
    why: "The action is pinned, and what it downloads is not: two runs of one commit can use different tools, and a release \
          that an attacker makes is run at once.",
    example: "```yaml\n- uses: aquasecurity/setup-trivy@…\n  with: {version: latest}\n```\n\n```yaml\n- uses: aquasecurity/setup-trivy@…\n  \
              with: {version: v0.70.0}\n```",
    remedy: "name a version of the tool",
};

/// Actions that take the newest version where none is named, as their documentation says.
const NEWEST_BY_DEFAULT: [&str; 2] = ["1password/load-secrets-action", "aquasecurity/setup-trivy"];

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for step in &view.steps {
        let (Some(action), Some(uses)) = (step.action(), step.uses()) else { continue };
        match step.node.at(&["with", "version"]) {
            Some(version) if version.text() == Some("latest") => {
                offences.push(view.offence(
                    &RULE,
                    version.span,
                    format!("`{action}` installs the newest version"),
                ));
            }
            None if NEWEST_BY_DEFAULT.contains(&action) => {
                let message = format!("without `version`, `{action}` installs the newest one");
                offences.push(view.offence(&RULE, uses.span, message));
            }
            _ => {}
        }
    }
    offences
}
