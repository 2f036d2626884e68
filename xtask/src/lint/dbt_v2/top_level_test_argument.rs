//! Arguments and configuration of a test at the same level.

use super::Test;
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

/// Configuration that dbt v1 accepts there too.
const CONFIG: [&str; 13] = [
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
];

fn is_config(key: &str) -> bool {
    CONFIG.contains(&key) || key == "where" || key == "group"
}

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for Test { path, name, body } in super::tests(project) {
        for (key, _) in body.entries() {
            let Some(text) = key.text().filter(|text| !OWN.contains(text)) else { continue };
            let place = if is_config(text) { "config" } else { "arguments" };
            offences.push(RULE.offence(
                path,
                key.span,
                format!("`{text}` of `{name}` belongs below `{place}:`"),
            ));
        }
    }
    offences
}

/// Puts arguments below `arguments:`, for tests that have neither configuration there nor arguments already.
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
    bodies.into_iter().find_map(|body| wrap(text, body))
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

fn wrap(text: &str, body: &Yaml) -> Option<String> {
    let keys: Vec<&Yaml> = body.entries().iter().map(|(key, _)| key).collect();
    let arguments: Vec<&Yaml> =
        keys.iter().copied().filter(|key| key.text().is_some_and(|key| !OWN.contains(&key))).collect();
    let is_certain = !arguments.is_empty()
        && body.get("arguments").is_none()
        && arguments.iter().all(|key| key.text().is_some_and(|key| !is_config(key)));
    if !is_certain {
        return None;
    }
    if text.get(body.bytes.clone())?.starts_with('{') {
        // The whole flow mapping, or nothing of it.
        let inner = text.get(body.bytes.clone())?;
        return (arguments.len() == keys.len()).then(|| {
            format!("{}{{arguments: {inner}}}{}", &text[..body.bytes.start], &text[body.bytes.end..])
        });
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let indent = arguments[0].span.column - 1;
    let indent_of = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let is_block = |key: &Yaml| lines.get(key.span.line - 1).is_some_and(|line| indent_of(line) == indent);
    // One run of lines, each key on its own.
    let first = arguments[0].span.line - 1;
    let run = lines[first..].iter().enumerate().take_while(|(at, line)| {
        let starts_other = keys.iter().any(|key| {
            key.span.line - 1 == first + at && !arguments.iter().any(|argument| argument.span == key.span)
        });
        !starts_other && !line.trim().is_empty() && indent_of(line) >= indent
    });
    let end = first + run.count();
    let all_inside = arguments.iter().all(|key| is_block(key) && (first..end).contains(&(key.span.line - 1)));
    let has_text = lines[first..end].iter().any(|line| line.trim_end().ends_with(['|', '>', '-', '+']));
    if !all_inside || has_text || !text.ends_with('\n') {
        return None;
    }
    let mut out = lines[..first].concat();
    out.extend([&" ".repeat(indent), "arguments:\n"]);
    out.extend(lines[first..end].iter().flat_map(|line| ["  ", line]));
    out.push_str(&lines[end..].concat());
    Some(out)
}
