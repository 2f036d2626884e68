//! A ref or source that cannot be resolved.

use std::collections::HashSet;

use crate::core::finding::{Group, Severity};
use crate::dbt::graph::{Found, Mention, Owned, Project, Target};
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
            Target::Ref { name, .. } => match each.found {
                Found::Nothing => Some(missing(project, name, offences.len())),
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
            Owned::Ref { name, .. } if mention.found == Found::Nothing => {
                Some(missing(project, name, offences.len()))
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

fn missing(project: &Project<'_>, name: &str, before: usize) -> String {
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

/// How many unknown names are compared with all others: if more are wrong, spelling is not the cause.
const MOST_GUESSES: usize = 50;

/// A suggestion, given only if a name is close.
pub(super) fn nearest<'n>(name: &str, before: usize, names: impl Iterator<Item = &'n str>) -> String {
    if before >= MOST_GUESSES {
        return String::new();
    }
    let most = (name.chars().count() / 4).clamp(1, 3);
    names
        .filter_map(|each| Some((distance(name, each, most)?, each)))
        .min()
        .map(|(_, each)| format!("; `{each}` is"))
        .unwrap_or_default()
}

/// Edits from one name to another, if no more than `most`.
fn distance(from: &str, to: &str, most: usize) -> Option<usize> {
    if from.len().abs_diff(to.len()) > most || from.len() > 200 {
        return None;
    }
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let here = (before + usize::from(a != b)).min(row[j] + 1).min(row[j + 1] + 1);
            before = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row.last().copied().filter(|edits| *edits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_edits() {
        for (from, to, edits) in
            [("abc", "abc", Some(0)), ("abc", "abd", Some(1)), ("abc", "ac", Some(1)), ("abcd", "xyzt", None)]
        {
            assert_eq!(distance(from, to, 2), edits, "{from} {to}");
        }
    }
}
