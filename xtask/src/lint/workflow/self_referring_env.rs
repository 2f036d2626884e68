//! A variable that is set to itself.

use std::collections::{HashMap, HashSet};

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "self-referring-env",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "An env variable is set to itself.",
    why: "At the top and in a job the `env` context contains neither the variables being set nor those of the runner's \
          environment: the variable becomes empty, and the step runs without it.",
    example: "```yaml\nenv:\n  SNOWFLAKE_ROLE: ${{ env.SNOWFLAKE_ROLE }}\n```\n\nRemove the line, or set it from its \
              source:\n\n```yaml\nenv:\n  SNOWFLAKE_ROLE: ${{ vars.SNOWFLAKE_ROLE }}\n```",
    remedy: "remove it, or take it from `vars`, `secrets` or `inputs`",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    let none = HashSet::new();
    report(view, view.root, &none, &mut offences);
    let of_workflow = names(view.root);
    let mut first_steps: HashMap<Option<usize>, &Node> = HashMap::new();
    for step in &view.steps {
        first_steps.entry(step.job).or_insert(step.node);
    }
    for (at, job) in view.jobs.iter().enumerate() {
        report(view, job.node, &of_workflow, &mut offences);
        // Any earlier step may have set the variable for those after it, so only the first step is certain.
        if let Some(step) = first_steps.get(&Some(at)) {
            let outer = &of_workflow | &names(job.node);
            report(view, step, &outer, &mut offences);
        }
    }
    offences
}

/// The variables that `level` sets, in lower case.
fn names(level: &Node) -> HashSet<String> {
    let entries = level.get("env").map(Node::entries).unwrap_or_default();
    entries.iter().filter_map(|(key, _)| Some(key.text()?.to_lowercase())).collect()
}

/// Reports the variables of `level` that are set to themselves and that no outer level sets.
fn report(view: &View<'_>, level: &Node, outer: &HashSet<String>, offences: &mut Vec<Offence>) {
    for (key, value) in level.get("env").map(Node::entries).unwrap_or_default() {
        let Some(name) = key.text().filter(|name| !outer.contains(&name.to_lowercase())) else { continue };
        let own = ["env".to_owned(), name.to_lowercase()];
        for found in view.within(value) {
            if found.parsed.as_ref().is_ok_and(|parsed| parsed.paths().iter().any(|path| *path == own)) {
                offences.push(view.offence(&RULE, found.span, format!("`{name}` is set to itself")));
            }
        }
    }
}
