//! A ref or source that cannot be resolved.

use std::collections::HashSet;

use crate::core::finding::{Group, Severity};
use crate::dbt::graph::{Found, Mention, Owned, Project, Target};
use crate::lint::nearest::nearest;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "unresolved-ref",
    group: Group::Dbt,
    severity: Severity::High,
    summary: "A ref or source names something that the project does not have.",
    why: "dbt fails before it builds anything: no model, no test, no report. Often the model was renamed and this \
          reader was forgotten. If packages with models are declared, a name may be one of theirs, and nothing \
          is reported.",
    example: "```sql\nselect * from {{ ref('daily_invetory') }}\n```\n\nWrite the name of the model's file, without \
              its extension; declare sources in a `sources:` list.",
    remedy: "correct the name, or add the missing node",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let mut offences: Vec<Offence> = Vec::new();
    let of_nodes = project
        .nodes
        .iter()
        .filter(|node| node.is_enabled && !node.may_be_disabled)
        .flat_map(|node| node.uses.iter().map(|each| (node.path, each)));
    // The macros of a project without models are for other projects, which may have the named nodes.
    let has_models = project.models().next().is_some();
    let of_macros = project
        .macros
        .iter()
        .filter(|_| has_models)
        .flat_map(|each| each.uses.iter().map(move |used| (each, used)))
        .filter(|(each, used)| each.is_reached || !used.is_conditional)
        .map(|(each, used)| (each.path, used));
    for (path, each) in of_nodes.chain(of_macros) {
        let problem = match each.target {
            Target::Ref { package, name } => match each.found {
                Found::Nothing => Some(missing(project, package, name, offences.len())),
                Found::Node(at) if !each.is_conditional => disabled(project, at, name),
                _ => None,
            },
            Target::Source { source, table } if each.found == Found::Nothing => {
                Some(sourced(project, source, table, offences.len()))
            }
            _ => None,
        };
        offences.extend(problem.map(|message| RULE.offence(path, each.span, message)));
    }
    for mention in project.mentions.iter().filter(|mention| is_about_something(project, mention)) {
        let problem = match &mention.target {
            // dbt skips the tests of disabled nodes, and reports that.
            Owned::Ref { package, name } if mention.found == Found::Nothing => {
                Some(missing(project, package.as_deref(), name, offences.len()))
            }
            Owned::Source { source, table } if mention.found == Found::Nothing => {
                Some(sourced(project, source, table, offences.len()))
            }
            _ => None,
        };
        offences.extend(problem.map(|message| RULE.offence(mention.path, mention.span, message)));
    }
    offences
}

/// Whether the entry's node may be built: dbt drops the tests of all others.
fn is_about_something(project: &Project<'_>, mention: &Mention<'_>) -> bool {
    mention.entry.is_none_or(|at| {
        let about = &project.entries[at].about;
        about.is_empty()
            || about.iter().any(|node| {
                let node = &project.nodes[*node];
                node.is_enabled && !node.may_be_disabled
            })
    })
}

fn missing(project: &Project<'_>, package: Option<&str>, name: &str, before: usize) -> String {
    if let Some(package) = package.filter(|package| Some(*package) != project.name()) {
        return if project.installed.has_package(package) {
            format!("the package `{package}` has no model, seed or snapshot `{name}`")
        } else {
            format!("`{package}` is neither this project nor one of its packages")
        };
    }
    let near = nearest(name, before, project.relations().map(|(_, node)| node.name));
    format!("no model, seed or snapshot is named `{name}`{near}")
}

fn disabled(project: &Project<'_>, at: usize, name: &str) -> Option<String> {
    // Others with that name may be enabled.
    let is_off = project.named(name).iter().all(|at| !project.nodes[*at].is_enabled);
    (!project.nodes[at].is_enabled && is_off).then(|| format!("`{name}` is disabled, so nothing can read it"))
}

fn sourced(project: &Project<'_>, source: &str, table: &str, before: usize) -> String {
    let tables: HashSet<&str> =
        project.sources.iter().filter(|each| each.source == source).map(|each| each.name.as_str()).collect();
    if tables.is_empty() {
        let sources = project.sources.iter().map(|each| each.source.as_str());
        return format!("no source is named `{source}`{}", nearest(source, before, sources));
    }
    format!("the source `{source}` has no table `{table}`{}", nearest(table, before, tables.into_iter()))
}
