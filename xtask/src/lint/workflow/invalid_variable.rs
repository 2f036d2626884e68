//! An environment variable whose name no shell can read.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "invalid-variable",
    group: Group::Workflow,
    severity: Severity::High,
    summary: "The name of an environment variable contains a character that such names cannot have.",
    why: "With `=` in its name the variable has another name and value than written; with a space or `&` no shell can \
          read it.",
    example: "```yaml\nenv:\n  SCHEMA=dev: x\n```\n\n```yaml\nenv:\n  SCHEMA: dev\n```",
    remedy: "use letters, digits and _",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let jobs = view.jobs.iter().map(|job| job.node);
    let containers = jobs.clone().filter_map(|job| job.get("container"));
    let services =
        jobs.clone().filter_map(|job| job.get("services")).flat_map(Node::entries).map(|(_, node)| node);
    let levels = std::iter::once(view.root)
        .chain(jobs)
        .chain(view.steps.iter().map(|step| step.node))
        .chain(containers)
        .chain(services);
    let names = levels.filter_map(|level| level.get("env")).flat_map(Node::entries);
    let offences = names.filter_map(|(key, _)| {
        let name = key.text().filter(|name| !name.contains("${{"))?;
        let is_invalid = name.is_empty() || name.contains(['=', '&', ' ', '\t', '\n']);
        is_invalid.then(|| view.offence(&RULE, key.span, format!("`{name}` is not a name for a variable")))
    });
    offences.collect()
}
