//! A package without a pinned version.

use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::{Package, Project};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "unpinned-package",
    group: Group::Dbt,
    severity: Severity::Medium,
    summary: "A dbt package is not pinned.",
    why: "The macros of a package generate our SQL. With an open range or a branch, tomorrow's run may use other SQL \
          than was tested today, and anyone who can push there runs code with our credentials.",
    example: "```yaml\npackages:\n  - package: dbt-labs/dbt_utils\n    version: \">=1.0.0\"\n  - git: \
              https://github.com/example/shop.git\n    revision: main\n```\n\n```yaml\npackages:\n  - package: \
              dbt-labs/dbt_utils\n    version: [\">=1.0.0\", \"<2.0.0\"]\n  - git: https://github.com/example/shop.git\n    \
              revision: 4f2c0d1e9a7b3c5d6e8f0a1b2c3d4e5f6a7b8c9d\n```",
    remedy: "write a version with an upper bound; for git, a tag or, safer, a full commit",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let offences = project.packages.iter().filter_map(|package| {
        let (message, node) = unpinned(package)?;
        Some(RULE.offence(package.path, node.span, message))
    });
    offences.collect()
}

fn unpinned<'p>(package: &'p Package<'_>) -> Option<(String, &'p Yaml)> {
    let node = &package.node;
    let name = &package.name;
    if let Some(git) = node.get("git").or_else(|| node.get("private")) {
        return match node.get("revision") {
            None => Some((format!("`{name}` has no revision"), git)),
            Some(revision) if is_pinned(revision.text().unwrap_or_default()) => None,
            Some(revision) => {
                let text = revision.text().unwrap_or_default();
                Some((format!("the revision `{text}` of `{name}` is a branch"), revision))
            }
        };
    }
    let package = node.get("package")?;
    match node.get("version") {
        None => Some((format!("`{name}` has no version"), package)),
        Some(version) if is_bounded(version) => None,
        Some(version) => Some((format!("the version of `{name}` has no upper bound"), version)),
    }
}

/// A commit, or a tag that looks like a version.
fn is_pinned(revision: &str) -> bool {
    let is_commit =
        matches!(revision.len(), 40 | 64) && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number =
        revision.trim_start_matches(|c: char| c.is_ascii_alphabetic() || matches!(c, '-' | '_' | '/'));
    let parts: Vec<&str> = number.split('.').collect();
    let is_version =
        parts.len() >= 2 && parts[..2].iter().all(|part| part.bytes().any(|byte| byte.is_ascii_digit()));
    is_commit || is_version
}

fn is_bounded(version: &Yaml) -> bool {
    let bounds: Vec<&str> = version
        .one_or_many()
        .iter()
        .filter_map(Yaml::text)
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .collect();
    let exact = |text: &&str| text.trim_start_matches('=').starts_with(|c: char| c.is_ascii_digit());
    bounds.iter().any(|text| text.starts_with('<') || exact(text))
}
