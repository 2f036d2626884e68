//! A matrix whose values or exclusions have no effect.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::{Node, Value};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "ineffective-matrix",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A matrix has a value twice, or excludes a combination that it does not have.",
    why: "A value that occurs twice runs the same job twice. An exclusion with a misspelt value excludes nothing, and the \
          job that should not run does.",
    example: "```yaml\nmatrix:\n  target: [dev, prod]\n  exclude:\n    - target: production\n```",
    remedy: "correct the value, or remove it",
};

/// Keys of a matrix that are not rows.
const SPECIAL: [&str; 2] = ["include", "exclude"];

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for matrix in view.jobs.iter().filter_map(|job| job.node.at(&["strategy", "matrix"])) {
        let rows = || {
            matrix.entries().iter().filter(|(key, _)| key.text().is_some_and(|key| !SPECIAL.contains(&key)))
        };
        for (key, row) in rows() {
            for (at, value) in row.items().iter().enumerate() {
                if row.items()[..at].iter().take(MOST_VALUES).any(|earlier| is_same(earlier, value)) {
                    let message = format!("`{}` has this value twice", key.text().unwrap_or_default());
                    offences.push(view.offence(&RULE, value.span, message));
                }
            }
        }
        for (key, value) in
            matrix.get("exclude").map(Node::items).unwrap_or_default().iter().flat_map(Node::entries)
        {
            if let Some(message) = unmatched(matrix, key, value) {
                let span = if message.contains("no row") { key.span } else { value.span };
                offences.push(view.offence(&RULE, span, message));
            }
        }
    }
    offences
}

/// GitHub runs at most 256 jobs of a matrix.
const MOST_VALUES: usize = 256;

/// Why an entry of an exclusion matches nothing.
fn unmatched(matrix: &Node, key: &Node, excluded: &Node) -> Option<String> {
    let name = key.text().filter(|name| !name.contains("${{"))?;
    let is_it = |key: &Node| key.text().is_some_and(|text| text.eq_ignore_ascii_case(name));
    let includes = matrix.get("include");
    // Values that an expression gives are known only to a run.
    if includes.is_some_and(|node| node.text().is_some()) || is_computed(excluded) {
        return None;
    }
    let added = includes.map(Node::items).unwrap_or_default().iter().flat_map(Node::entries);
    let added: Vec<&Node> = added.filter(|(key, _)| is_it(key)).map(|(_, value)| value).collect();
    let row = matrix.entries().iter().find(|(key, _)| is_it(key)).map(|(_, row)| row);
    if row.is_none() && added.is_empty() {
        return Some(format!("the matrix has no row `{name}`, so this excludes nothing"));
    }
    if row.is_some_and(|row| row.text().is_some()) {
        return None;
    }
    let mut values =
        row.map(Node::items).unwrap_or_default().iter().chain(added).take(MOST_VALUES).peekable();
    let is_closed = values.peek().is_some() && values.clone().all(|value| !is_computed(value));
    (is_closed && !values.any(|value| covers(excluded, value)))
        .then(|| format!("no combination has this value of `{name}`, so this excludes nothing"))
}

fn is_computed(node: &Node) -> bool {
    match &node.value {
        Value::Scalar { text, .. } => text.contains("${{"),
        Value::Sequence(items) => items.iter().any(is_computed),
        Value::Mapping(entries) => entries.iter().any(|(key, value)| is_computed(key) || is_computed(value)),
    }
}

/// Whether all of the excluded value is in the value: an object may name some of the keys.
fn covers(excluded: &Node, value: &Node) -> bool {
    match (&excluded.value, &value.value) {
        (Value::Mapping(excluded), Value::Mapping(_)) => excluded.iter().all(|(key, part)| {
            key.text().and_then(|key| value.get(key)).is_some_and(|value| covers(part, value))
        }),
        (Value::Sequence(one), Value::Sequence(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| covers(one, other))
        }
        (Value::Scalar { text: one, .. }, Value::Scalar { text: other, .. }) => {
            one == other || same_number(one, other)
        }
        _ => false,
    }
}

fn same_number(one: &str, other: &str) -> bool {
    matches!((one.parse::<f64>(), other.parse::<f64>()), (Ok(one), Ok(other)) if (one - other).abs() < f64::EPSILON)
}

fn is_same(one: &Node, other: &Node) -> bool {
    !is_computed(one) && covers(one, other) && covers(other, one)
}
