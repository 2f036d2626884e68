//! A step whose inputs are not those of its action.

use super::known_actions;
use super::view::{Context, View};
use crate::core::finding::{Group, Severity, Span};
use crate::core::yaml::Node;
use crate::lint::nearest::nearest;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "mismatched-action",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "A step gives an action an input that it does not have, or leaves out one that it requires.",
    why: "GitHub ignores an unknown input with a warning in the log, so a misspelt name has no effect. The inputs of \
          actions of this repository are read from their `action.yml`; those of the most used public actions are known by \
          major version.",
    example: "```yaml\n- uses: actions/cache@v5\n  with:\n    paths: target   # path\n    key: ${{ hashFiles('Cargo.lock') }}\n```",
    remedy: "use a name that the action declares",
};

pub(super) fn check(view: &View<'_>, repo: &Context<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    let mut say = |span: Span, message: String| offences.push(view.offence(&RULE, span, message));
    for step in &view.steps {
        let Some(uses) = step.uses() else { continue };
        let text = uses.text().unwrap_or_default();
        let given = step.node.get("with");
        // What an expression gives is known only to a run.
        if given.is_some_and(Node::is_scalar) {
            continue;
        }
        let given = given.map(Node::entries).unwrap_or_default();
        let Some((names, required)) = declared(text, repo) else { continue };
        for (key, _) in given {
            let name = key.text().unwrap_or_default();
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) && !name.contains("${{") {
                say(key.span, format!("`{text}` has no input `{name}`{}", others(name, &names)));
            }
        }
        let is_given = |name: &str| {
            given.iter().any(|(key, _)| key.text().is_some_and(|key| key.eq_ignore_ascii_case(name)))
        };
        for missing in required.iter().filter(|name| !is_given(name)) {
            say(uses.span, format!("`{text}` requires the input `{missing}`"));
        }
    }
    offences
}

/// The inputs that it has, if they are few, or else the one that is probably meant.
fn others(name: &str, names: &[&str]) -> String {
    match names.len() {
        0 => "; it has none".to_owned(),
        1..=12 => format!("; it has {}", names.join(", ")),
        _ => nearest(name, 0, names.iter().copied()),
    }
}

/// The inputs of an action, and those that are required and have no default.
fn declared<'a>(uses: &str, repo: &'a Context<'_>) -> Option<(Vec<&'a str>, Vec<&'a str>)> {
    if let Some(known) = known_actions::find(uses) {
        let texts = |names: &'static [String]| names.iter().map(String::as_str).collect();
        return Some((texts(&known.inputs), texts(&known.required)));
    }
    let (_, action) = repo.action(uses)?;
    let using = action.at(&["runs", "using"]).and_then(Node::text)?;
    let inputs = action.get("inputs").map(Node::entries).unwrap_or_default();
    let mut names: Vec<&str> = inputs.iter().filter_map(|(key, _)| key.text()).collect();
    let is_required = |spec: &Node| {
        spec.get("required").and_then(Node::truth) == Some(true) && spec.get("default").is_none()
    };
    let required =
        inputs.iter().filter(|(_, spec)| is_required(spec)).filter_map(|(key, _)| key.text()).collect();
    if using == "docker" {
        names.extend(["args", "entrypoint"]);
    }
    Some((names, required))
}
