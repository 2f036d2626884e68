//! A release that is built from a cache that other runs can write.

use super::view::{Step, View};
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "cache-poisoning",
    group: Group::Workflow,
    severity: Severity::Low,
    summary: "A workflow that publishes restores a cache.",
    why: "Any run on the main branch can write the cache, also one with an injected line. A release that restores it \
          publishes what the attacker put there, signed with our name.",
    example: "```yaml\non: release\njobs:\n  publish:\n    steps:\n      - uses: actions/cache@…\n```",
    remedy: "build releases without a cache",
};

/// When an action uses a cache.
enum Uses {
    /// Unless the input is set to this value.
    Unless(&'static str, &'static str),
    /// If the input is set, and not to `false`.
    If(&'static str),
}

const CACHES: [(&str, Uses); 19] = [
    ("actions/cache", Uses::Unless("lookup-only", "true")),
    ("actions/cache/restore", Uses::Unless("lookup-only", "true")),
    ("actions/setup-dotnet", Uses::If("cache")),
    ("actions/setup-go", Uses::Unless("cache", "false")),
    ("actions/setup-java", Uses::If("cache")),
    ("actions/setup-node", Uses::If("cache")),
    ("actions/setup-python", Uses::If("cache")),
    ("actions-rust-lang/setup-rust-toolchain", Uses::Unless("cache", "false")),
    ("astral-sh/setup-uv", Uses::Unless("enable-cache", "false")),
    ("docker/setup-buildx-action", Uses::Unless("cache-binary", "false")),
    ("gradle/actions/setup-gradle", Uses::Unless("cache-disabled", "true")),
    ("jdx/mise-action", Uses::Unless("cache", "false")),
    ("mlugg/setup-zig", Uses::Unless("use-cache", "false")),
    ("oven-sh/setup-bun", Uses::Unless("no-cache", "true")),
    ("pnpm/action-setup", Uses::If("cache")),
    ("prefix-dev/setup-pixi", Uses::If("cache")),
    ("ramsey/composer-install", Uses::Unless("ignore-cache", "yes")),
    ("ruby/setup-ruby", Uses::If("bundler-cache")),
    ("swatinem/rust-cache", Uses::Unless("lookup-only", "true")),
];

/// Actions that publish.
const PUBLISHERS: [&str; 12] = [
    "actions/create-release",
    "crate-ci/cargo-release",
    "docker/build-push-action",
    "gradle/publish-plugin",
    "goreleaser/goreleaser-action",
    "js-devtools/npm-publish",
    "ncipollo/release-action",
    "pypa/gh-action-pypi-publish",
    "release-drafter/release-drafter",
    "rubygems/release-gem",
    "rust-lang/crates-io-auth-action",
    "softprops/action-gh-release",
];

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let releases = is_release(view.root);
    let mut offences = Vec::new();
    for step in &view.steps {
        let Some(uses) = step.uses().filter(|_| releases || publishes(view, step)) else { continue };
        let action = name(step);
        let cache = CACHES.iter().find(|(known, _)| *known == action).filter(|(_, uses)| is_used(step, uses));
        if cache.is_some() {
            let message = format!("`{action}` restores a cache in a workflow that publishes");
            offences.push(view.offence(&RULE, uses.span, message));
        }
    }
    offences
}

fn name(step: &Step<'_>) -> String {
    step.action().unwrap_or_default().to_lowercase()
}

/// Whether the events are those of a release: a release, a tag, a branch for releases.
fn is_release(root: &Node) -> bool {
    let Some(on) = root.get("on") else { return false };
    let names = on
        .one_or_many()
        .iter()
        .filter_map(Node::text)
        .chain(on.entries().iter().filter_map(|(key, _)| key.text()));
    let branches = on.at(&["push", "branches"]).map(Node::one_or_many).unwrap_or_default();
    let of_branch = branches.iter().filter_map(Node::text).any(|branch| branch.contains("release"));
    names.into_iter().any(|name| name == "release") || of_branch || on.at(&["push", "tags"]).is_some()
}

fn publishes(view: &View<'_>, step: &Step<'_>) -> bool {
    view.steps
        .iter()
        .filter(|other| other.job == step.job)
        .any(|other| PUBLISHERS.contains(&name(other).as_str()))
}

fn is_used(step: &Step<'_>, uses: &Uses) -> bool {
    let given = |input: &str| step.node.at(&["with", input]).and_then(Node::text);
    match uses {
        Uses::Unless(input, off) => given(input) != Some(off),
        Uses::If(input) => given(input).is_some_and(|value| !matches!(value, "false" | "")),
    }
}
