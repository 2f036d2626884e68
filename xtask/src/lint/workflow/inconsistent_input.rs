//! An input of a workflow whose declaration contradicts itself.

use super::contexts::whole;
use super::expression::Expression;
use super::view::View;
use crate::core::finding::{Group, Severity, Span};
use crate::core::yaml::{Node, Style, Value};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "inconsistent-input",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "The default, the options and the type of an input do not fit each other.",
    why: "GitHub rejects a default of another type or outside of the options, and never uses the default of an input \
          that every caller has to give.",
    example: "```yaml\non:\n  workflow_dispatch:\n    inputs:\n      target:\n        type: choice\n        options: [dev, \
              prod]\n        default: production\n```",
    remedy: "make type, options and default agree",
};

/// Of `workflow_dispatch` (docs.github.com, workflow syntax).
const MOST_INPUTS: usize = 25;

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    let mut say = |span: Span, message: String| offences.push(view.offence(&RULE, span, message));
    let Some(on) = view.root.get("on") else { return offences };
    for event in ["workflow_dispatch", "workflow_call"] {
        let Some((key, inputs)) = on.entry(event).and_then(|(key, event)| Some((key, event.get("inputs")?)))
        else {
            continue;
        };
        if event == "workflow_dispatch" && inputs.entries().len() > MOST_INPUTS {
            say(key.span, format!("{} inputs; GitHub takes at most {MOST_INPUTS}", inputs.entries().len()));
        }
        for (name, spec) in inputs.entries() {
            let of_default = spec.get("default").filter(|default| !default.is_null());
            if let Some(default) = of_default
                && event == "workflow_call"
                && spec.get("required").and_then(Node::truth) == Some(true)
            {
                say(
                    default.span,
                    "callers have to give this input, so that its default is never used".to_owned(),
                );
            }
            if let Some(message) = of_default.and_then(|default| misfit(view, inputs, spec, default)) {
                say(of_default.map_or(name.span, |default| default.span), message);
            }
            if event == "workflow_dispatch" {
                options(name, spec, &mut say);
            }
        }
    }
    offences
}

/// Why a default is not a value of the input's type.
fn misfit(view: &View<'_>, inputs: &Node, spec: &Node, default: &Node) -> Option<String> {
    let kind = spec.get("type").and_then(Node::text)?;
    let Value::Scalar { text, style } = &default.value else { return None };
    if text.contains("${{") {
        return computed(view, inputs, kind, default);
    }
    let fits = match kind {
        "boolean" => matches!(text.to_lowercase().as_str(), "true" | "false"),
        "number" => text.parse::<f64>().is_ok(),
        "choice" => spec
            .get("options")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .any(|option| option.text() == Some(text)),
        _ => true,
    };
    let shown = if *style == Style::Literal { "this text" } else { text };
    (!fits).then(|| match kind {
        "choice" => format!("`{shown}` is not one of the options"),
        kind => format!("`{shown}` is not a {kind}"),
    })
}

/// A default that is another input of another type.
fn computed(view: &View<'_>, inputs: &Node, kind: &str, default: &Node) -> Option<String> {
    let Some(Expression::Property(object, name)) = whole(view, default) else { return None };
    if **object != Expression::Context("inputs".to_owned()) {
        return None;
    }
    let (_, spec) = inputs
        .entries()
        .iter()
        .find(|(key, _)| key.text().is_some_and(|key| key.eq_ignore_ascii_case(name)))?;
    let given = spec.get("type").and_then(Node::text)?;
    let is_other = given != kind && matches!(kind, "boolean" | "number");
    is_other.then(|| format!("`{name}` is a {given}, and this input is a {kind}"))
}

fn options(name: &Node, spec: &Node, say: &mut impl FnMut(Span, String)) {
    let is_choice = spec.get("type").and_then(Node::text) == Some("choice");
    let id = name.text().unwrap_or_default();
    match spec.entry("options") {
        None if is_choice => say(name.span, format!("`{id}` is a choice without options")),
        Some((key, _)) if !is_choice => say(key.span, format!("`{id}` has options and is not a choice")),
        Some((_, options)) => {
            for (at, option) in options.items().iter().enumerate() {
                if options.items()[..at]
                    .iter()
                    .any(|earlier| earlier.text().is_some() && earlier.text() == option.text())
                {
                    say(option.span, format!("`{}` is an option already", option.text().unwrap_or_default()));
                }
            }
        }
        None => {}
    }
}
