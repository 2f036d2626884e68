//! The structure of a workflow by GitHub's own schema: which keys and types each place takes, and which contexts and
//! functions an expression there may use.
//!
//! `schema.json` is `workflow-v1.0.json` of github.com/actions/runner (MIT licence) without its descriptions, with
//! the keys that GitHub has documented since.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value as Json;

use super::expression::Expression;
use super::invalid_workflow::RULE;
use super::view::{Found, Kind, View};
use crate::core::finding::Span;
use crate::core::yaml::{Node, Style, Value};
use crate::lint::rule::Offence;

static SCHEMA: LazyLock<HashMap<String, Json>> =
    LazyLock::new(|| serde_json::from_str(include_str!("schema.json")).expect("the schema is valid"));

/// Places whose keys `invalid-workflow` checks with lists that are newer than the schema.
const LISTED: [&str; 7] = [
    "workflow-root-strict",
    "on-mapping-strict",
    "permissions-mapping",
    "job-factory",
    "workflow-job",
    "run-step",
    "regular-step",
];

/// Definitions that are checked by a rule of another name.
const ELSEWHERE: [&str; 2] = ["on-string-strict", "permissions"];

/// Places whose shape `invalid-workflow` reports in its own words.
const SHAPED: [&str; 4] = ["on-strict", "jobs", "job", "steps-item"];

/// Documented since the schema was published.
const NEWER: [&str; 2] = ["typed", "untyped"];

/// How deep definitions nest in the schema, with a margin.
const MOST_DEPTH: usize = 40;

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut walk = Walk { view, offences: Vec::new() };
    if view.kind == Kind::Workflow && view.root.is_mapping() {
        let key = Key { text: "workflow", span: view.root.span };
        walk.node(view.root, "workflow-root-strict", &[], key, 0);
    }
    walk.offences
}

/// The key of a value, as messages name it; an item of a list has the key of the list and its own place.
#[derive(Clone, Copy)]
struct Key<'k> {
    text: &'k str,
    span: Span,
}

struct Walk<'v, 'a> {
    view: &'v View<'a>,
    offences: Vec<Offence>,
}

impl Walk<'_, '_> {
    fn say(&mut self, span: Span, message: String) {
        self.offences.push(self.view.offence(&RULE, span, message));
    }

    /// A value of this definition. `inherited` are the contexts and functions of the places around it.
    fn node(&mut self, node: &Node, name: &str, inherited: &[&'static str], key: Key<'_>, depth: usize) {
        let Some(definition) = SCHEMA.get(name) else { return self.built_in(node, name, inherited, key) };
        let is_shaped =
            SHAPED.contains(&name) && (node.text().is_some() || name != "on-strict" && !node.is_mapping());
        if ELSEWHERE.contains(&name) || is_shaped || depth > MOST_DEPTH {
            return;
        }
        let mut allowed = inherited.to_vec();
        allowed.extend(strings(definition.get("context")));
        if node.is_scalar() && self.has_expression(node) {
            self.expressions(node, &allowed, key);
            // What comes out is known only to a run.
            return;
        }
        if let Some(names) = definition.get("one-of") {
            let names: Vec<&'static str> = strings(Some(names)).collect();
            match choose(node, &names) {
                Some(chosen) => self.node(node, chosen, &allowed, key, depth + 1),
                None => self.misfit(node, name, key),
            }
        } else if let Some(mapping) = definition.get("mapping") {
            self.mapping(node, name, mapping, &allowed, key, depth);
        } else if let Some(sequence) = definition.get("sequence") {
            if !matches!(node.value, Value::Sequence(_)) {
                return self.misfit(node, name, key);
            }
            if let Some(item) = sequence.get("item-type").and_then(Json::as_str) {
                for each in node.items() {
                    let key = Key { text: key.text, span: each.span };
                    self.node(each, item, &allowed, key, depth + 1);
                }
            }
        } else if !accepts(node, name) {
            self.misfit(node, name, key);
        }
    }

    fn built_in(&mut self, node: &Node, name: &str, allowed: &[&'static str], key: Key<'_>) {
        self.expressions(node, allowed, key);
        let is_computed = node.is_scalar() && self.has_expression(node);
        if !is_computed && !accepts(node, name) {
            self.misfit(node, name, key);
        }
    }

    fn mapping(
        &mut self,
        node: &Node,
        name: &str,
        mapping: &'static Json,
        allowed: &[&'static str],
        key: Key<'_>,
        depth: usize,
    ) {
        if !node.is_mapping() {
            return self.misfit(node, name, key);
        }
        let properties = mapping.get("properties").and_then(Json::as_object);
        let loose = mapping.get("loose-value-type").and_then(Json::as_str);
        let mut seen: HashMap<String, &str> = HashMap::new();
        for (entry, value) in node.entries() {
            let text = entry.text().unwrap_or_default();
            if let Some(first) = seen.insert(text.to_lowercase(), text)
                && first != text
            {
                let message = format!("`{text}` is `{first}` again: GitHub compares keys case-insensitively");
                self.say(entry.span, message);
            }
            let property = properties.and_then(|all| all.get(text));
            let kind = property.and_then(|found| found.as_str().or_else(|| found.get("type")?.as_str()));
            match kind.or(loose) {
                // A key that is an expression, such as `${{ insert }}`.
                _ if text.contains("${{") => self.expressions(entry, allowed, Key { text, span: entry.span }),
                Some(kind) => self.node(value, kind, allowed, Key { text, span: entry.span }, depth + 1),
                None if name == "regular-step" && matches!(text, "shell" | "working-directory") => {
                    self.say(entry.span, format!("a step with `uses` has no `{text}`: it is for `run`"));
                }
                None if name == "run-step" && text == "with" => {
                    self.say(entry.span, "a step with `run` has no `with`: it is for `uses`".to_owned());
                }
                None if LISTED.contains(&name) => {}
                None => self.say(entry.span, format!("`{}` has no key `{text}`", key.text)),
            }
        }
        for (required, _) in properties.into_iter().flatten().filter(|(_, kind)| is_required(kind)) {
            if !LISTED.contains(&name) && node.get(required).is_none() {
                self.say(key.span, format!("`{}` has no `{required}`, which it needs", key.text));
            }
        }
    }

    fn misfit(&mut self, node: &Node, name: &str, key: Key<'_>) {
        let given = match &node.value {
            _ if node.is_null() => "is empty".to_owned(),
            Value::Scalar { text, .. } if text.is_empty() => "is empty".to_owned(),
            Value::Scalar { text, .. } => {
                format!("cannot be `{}`", text.lines().next().unwrap_or_default())
            }
            Value::Sequence(_) => "cannot be a list".to_owned(),
            Value::Mapping(_) => "cannot be a mapping".to_owned(),
        };
        let wanted = wanted(name, 0);
        self.say(node.span, format!("`{}` {given}; GitHub takes {}", key.text, wanted.join(", ")));
    }

    fn has_expression(&self, node: &Node) -> bool {
        self.view.within(node).next().is_some()
    }

    fn expressions(&mut self, node: &Node, allowed: &[&'static str], key: Key<'_>) {
        let view = self.view;
        for found in view.within(node) {
            self.expression(found, allowed, key);
        }
    }

    /// Whether the contexts and functions of one expression exist at its place.
    fn expression(&mut self, found: &Found, allowed: &[&'static str], key: Key<'_>) {
        let Ok(expression) = &found.parsed else { return };
        let span = found.span;
        let key = key.text;
        let (used, calls) = (used_contexts(expression), expression.placed_calls());
        // One of literals alone gives the same text in every run.
        if allowed.is_empty() {
            if !used.is_empty() || !calls.is_empty() {
                self.say(span, format!("`{key}` takes no expressions"));
            }
            return;
        }
        let names = |is_call: bool| -> Vec<String> {
            let names = allowed.iter().filter(|name| name.contains('(') == is_call);
            names.map(|name| name.split('(').next().unwrap_or_default().to_lowercase()).collect()
        };
        let (contexts, functions) = (names(false), names(true));
        for missing in used.into_iter().filter(|name| !contexts.contains(name)) {
            let known = contexts.join(", ");
            self.say(span, format!("`{missing}` does not exist in `{key}`; these do: {known}"));
        }
        for missing in calls.into_iter().filter(|name| !functions.contains(name)) {
            self.say(span, format!("the function `{missing}` cannot be used in `{key}`"));
        }
    }
}

fn used_contexts(expression: &Expression) -> Vec<String> {
    let mut names: Vec<String> =
        expression.paths().into_iter().filter_map(|path| path.into_iter().next()).collect();
    names.sort();
    names.dedup();
    names
}

fn strings(list: Option<&'static Json>) -> impl Iterator<Item = &'static str> {
    list.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

fn is_required(kind: &Json) -> bool {
    kind.get("required").and_then(Json::as_bool) == Some(true)
}

/// The alternative that the value is meant to be: of its shape, and with the keys that the alternative needs.
fn choose(node: &Node, names: &[&'static str]) -> Option<&'static str> {
    let fitting: Vec<&'static str> = names.iter().copied().filter(|name| fits(node, name, 0)).collect();
    let with_keys = fitting.iter().copied().find(|name| {
        let needed = SCHEMA
            .get(*name)
            .and_then(|definition| definition.get("mapping")?.get("properties")?.as_object());
        needed.is_none_or(|all| {
            all.iter().filter(|(_, kind)| is_required(kind)).all(|(key, _)| node.get(key).is_some())
        })
    });
    with_keys.or_else(|| fitting.first().copied())
}

/// Whether a value has the shape of a definition; of a scalar, whether it is one.
fn fits(node: &Node, name: &str, depth: usize) -> bool {
    let Some(definition) = SCHEMA.get(name).filter(|_| depth < MOST_DEPTH) else {
        return accepts(node, name);
    };
    if definition.get("one-of").is_some() {
        return strings(definition.get("one-of")).any(|name| fits(node, name, depth + 1));
    }
    match &node.value {
        Value::Mapping(_) => definition.get("mapping").is_some(),
        Value::Sequence(_) => definition.get("sequence").is_some(),
        Value::Scalar { .. } => {
            definition.get("mapping").is_none() && definition.get("sequence").is_none() && accepts(node, name)
        }
    }
}

/// Whether a value without an expression is one of a definition of scalars, or of a type that is built in.
fn accepts(node: &Node, name: &str) -> bool {
    let definition = SCHEMA.get(name);
    let has = |key: &str| definition.is_some_and(|definition| definition.get(key).is_some());
    let text = match &node.value {
        Value::Scalar { text, .. } => text.as_str(),
        Value::Sequence(_) => return matches!(name, "any" | "sequence"),
        Value::Mapping(_) => return matches!(name, "any" | "mapping"),
    };
    let is_plain = matches!(node.value, Value::Scalar { style: Style::Plain, .. });
    if let Some(values) = definition.and_then(|definition| definition.get("allowed-values")) {
        let is_listed = |values: &Vec<Json>| values.iter().any(|value| value.as_str() == Some(text));
        return NEWER.contains(&text) || values.as_array().is_some_and(is_listed);
    }
    if name == "any" {
        true
    } else if name == "null" || has("null") {
        node.is_null()
    } else if name == "boolean" || has("boolean") {
        is_plain && matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
    } else if name == "number" || has("number") {
        is_plain && is_number(text)
    } else if let Some(string) = definition.and_then(|definition| definition.get("string")) {
        let is_filled = string.get("require-non-empty").is_none() || !(text.is_empty() || node.is_null());
        is_filled && string.get("constant").and_then(Json::as_str).is_none_or(|constant| constant == text)
    } else {
        name == "string"
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0o"));
    digits.map_or_else(|| text.parse::<f64>().is_ok(), |digits| u64::from_str_radix(digits, 16).is_ok())
}

/// What a definition takes, in words.
fn wanted(name: &str, depth: usize) -> Vec<String> {
    let Some(definition) = SCHEMA.get(name).filter(|_| depth < 3) else { return vec![format!("a {name}")] };
    if let Some(values) = definition.get("allowed-values").and_then(Json::as_array) {
        return values.iter().filter_map(Json::as_str).map(|value| format!("`{value}`")).collect();
    }
    if definition.get("one-of").is_some() {
        let mut all: Vec<String> =
            strings(definition.get("one-of")).flat_map(|name| wanted(name, depth + 1)).collect();
        all.dedup();
        return all;
    }
    let constant = definition.get("string").and_then(|string| string.get("constant")?.as_str());
    let kind = ["mapping", "sequence", "boolean", "number", "null", "string"]
        .into_iter()
        .find(|kind| definition.get(kind).is_some());
    vec![match (constant, kind) {
        (Some(constant), _) => format!("`{constant}`"),
        (_, Some("mapping")) => "a mapping".to_owned(),
        (_, Some("sequence")) => "a list".to_owned(),
        (_, Some("boolean")) => "true or false".to_owned(),
        (_, Some("number")) => "a number".to_owned(),
        (_, Some("null")) => "nothing".to_owned(),
        _ => "a text".to_owned(),
    }]
}
