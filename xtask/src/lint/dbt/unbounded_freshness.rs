//! A source that may become stale unnoticed.

use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::{Project, SourceTable};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "unbounded-freshness",
    group: Group::Dbt,
    severity: Severity::Medium,
    summary: "A source's freshness has no `error_after`.",
    why: "A load that stopped weeks ago then passes every check, with at most a warning that is easily missed. A \
          table with a `loaded_at_field` and no freshness at all is not checked either. `freshness: null` declares \
          that this is intended.",
    example: "```yaml\nloaded_at_field: loaded_at\nfreshness:\n  warn_after: {count: 12, period: hour}\n```\n\n```yaml\n\
              freshness:\n  warn_after: {count: 12, period: hour}\n  error_after: {count: 36, period: hour}\n```",
    remedy: "give it an `error_after` with count and period",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let offences = project.sources.iter().filter_map(|table| {
        let own = setting(&table.node, "freshness");
        let (path, name) = (table.path, format!("{}.{}", table.source, table.name));
        let bounds: Vec<&Yaml> = own.into_iter().chain(setting(&table.parent, "freshness")).collect();
        match (bounds.first(), loaded_at(table)) {
            (Some(nearest), _) if nearest.is_null() => None,
            (Some(nearest), _) if !bounds.iter().any(|each| has_bound(each)) => {
                let message = format!("the freshness of `{name}` has no error_after");
                Some(RULE.offence(path, if own.is_some() { nearest.span } else { table.span }, message))
            }
            (None, Some(field)) => {
                let message = format!("`{name}` has a loaded_at_field and no freshness");
                Some(RULE.offence(path, field.span, message))
            }
            _ => None,
        }
    });
    offences.collect()
}

/// Under `config:` since dbt 1.10, and as before next to the name.
fn setting<'y>(node: &'y Yaml, key: &str) -> Option<&'y Yaml> {
    node.at(&["config", key]).or_else(|| node.get(key))
}

fn loaded_at<'t>(table: &'t SourceTable<'_>) -> Option<&'t Yaml> {
    ["loaded_at_field", "loaded_at_query"].iter().find_map(|key| setting(&table.node, key))
}

fn has_bound(freshness: &Yaml) -> bool {
    let complete = |bound: &Yaml| bound.get("count").is_some() && bound.get("period").is_some();
    freshness.get("error_after").is_some_and(complete)
}
