//! A version of a model that does not exist.

use std::collections::BTreeSet;

use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::{Entry, Found, Kind, Project, Target};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "missing-version",
    group: Group::Dbt,
    severity: Severity::High,
    summary: "A ref or `latest_version` names a version that the model does not have.",
    why: "dbt fails before it builds anything.",
    example: "```yaml\nmodels:\n  - name: customers\n    latest_version: 3\n    versions: [{v: 1}, {v: 2}]\n```\n\nName one of \
              the versions, or leave `v=` and `latest_version` out to get the latest.",
    remedy: "name a version that exists, or add it to `versions:`",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for entry in project.entries.iter().filter(|entry| entry.kind == Kind::Model) {
        let known = versions(entry);
        if let Some(latest) = entry.node.get("latest_version")
            && let Some(version) = latest.text()
            && !known.is_empty()
            && !known.contains(version)
        {
            offences.push(RULE.offence(entry.path, latest.span, message(&entry.name, version, &known)));
        }
    }
    let enabled = project.nodes.iter().filter(|node| node.is_enabled && !node.may_be_disabled);
    for (path, each) in enabled.flat_map(|node| node.uses.iter().map(|each| (node.path, each))) {
        let (Target::Ref { name, package: None }, Some(version)) = (&each.target, each.version) else {
            continue;
        };
        if each.is_conditional || !matches!(each.found, Found::Node(_)) {
            continue;
        }
        let about = project.entries.iter().filter(|entry| entry.kind == Kind::Model && entry.name == *name);
        let known: BTreeSet<&str> = about.flat_map(versions).collect();
        if !known.contains(version) {
            offences.push(RULE.offence(path, each.span, message(name, version, &known)));
        }
    }
    offences
}

fn versions<'e>(entry: &'e Entry<'_>) -> BTreeSet<&'e str> {
    let versions = entry.node.get("versions").map(Yaml::items).unwrap_or_default();
    versions.iter().filter_map(|version| version.get("v")?.text()).collect()
}

fn message(name: &str, version: &str, known: &BTreeSet<&str>) -> String {
    if known.is_empty() {
        return format!("`{name}` has no versions, so there is no version {version}");
    }
    let known: Vec<&str> = known.iter().copied().collect();
    format!("`{name}` has no version {version}, only {}", known.join(", "))
}
