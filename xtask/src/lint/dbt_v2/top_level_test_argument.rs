//! Arguments and configuration of a test at the same level.

use super::Test;
use super::lines::move_below;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::{self, Node as Yaml};
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "top-level-test-argument",
    group: Group::DbtV2,
    severity: Severity::Medium,
    summary: "An argument or a configuration of a test is directly below the test's name.",
    why: "dbt v1 distinguishes them by name. dbt v2 accepts arguments below `arguments:` and configuration below `config:` only, \
          and stops with an error.",
    example: "```yaml\ndata_tests:\n  - accepted_values:\n      values: [a, b]\n      severity: warn\n```\n\n```yaml\ndata_tests:\n  - accepted_values:\n      arguments:\n        values: [a, b]\n      config:\n        severity: warn\n```",
    remedy: "run `cargo xtask lint --only dbt-v2 --fix`, or write it below `arguments:` or `config:`",
};

/// Keys that a test accepts directly below its name.
const OWN: [&str; 6] = ["arguments", "column_name", "config", "description", "name", "test_name"];

/// Configuration that dbt v1 accepts there too (`CONFIG_ARGS` of dbt-core 1.11).
const CONFIG: [&str; 14] = [
    "alias",
    "database",
    "enabled",
    "error_if",
    "fail_calc",
    "limit",
    "meta",
    "schema",
    "severity",
    "store_failures",
    "store_failures_as",
    "tags",
    "warn_if",
    "where",
];

/// The key that one directly below the name of a test belongs to.
fn place_of(key: &str) -> &'static str {
    if CONFIG.contains(&key) { "config" } else { "arguments" }
}

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for Test { path, name, body } in super::tests(project) {
        for (key, _) in body.entries() {
            let Some(text) = key.text().filter(|text| !OWN.contains(text)) else { continue };
            let place = place_of(text);
            offences.push(RULE.offence(
                path,
                key.span,
                format!("`{text}` of `{name}` belongs below `{place}:`"),
            ));
        }
    }
    offences
}

/// Puts arguments below `arguments:` and configuration below `config:`.
pub(super) fn fix(text: &str) -> Option<String> {
    let mut text = text.to_owned();
    let mut has_changed = false;
    while let Some(next) = fix_one(&text) {
        text = next;
        has_changed = true;
    }
    has_changed.then_some(text)
}

fn fix_one(text: &str) -> Option<String> {
    let root = yaml::parse_one(text).ok()??;
    let mut bodies = Vec::new();
    collect(&root, &mut bodies);
    bodies
        .into_iter()
        .find_map(|body| ["config", "arguments"].iter().find_map(|place| wrap(text, body, place)))
}

/// Every body of a test in a file.
fn collect<'a>(node: &'a Yaml, bodies: &mut Vec<&'a Yaml>) {
    bodies.extend(
        super::tests_of(node, "")
            .into_iter()
            .map(|test| test.body)
            .filter(|body| body.get("test_name").is_none()),
    );
    node.entries().iter().for_each(|(_, value)| collect(value, bodies));
    node.items().iter().for_each(|item| collect(item, bodies));
}

/// Moves what belongs to `place`.
fn wrap(text: &str, body: &Yaml, place: &str) -> Option<String> {
    let keys = || body.entries().iter().filter_map(|(key, _)| Some((key, key.text()?)));
    let moving: Vec<&Yaml> = keys()
        .filter(|(_, name)| !OWN.contains(name) && place_of(name) == place)
        .map(|(key, _)| key)
        .collect();
    let inner = text.get(body.bytes.clone())?;
    if !inner.starts_with('{') {
        return move_below(text, body, &moving, place);
    }
    // The whole flow mapping, or nothing of it.
    (!moving.is_empty() && moving.len() == body.entries().len())
        .then(|| format!("{}{{{place}: {inner}}}{}", &text[..body.bytes.start], &text[body.bytes.end..]))
}
