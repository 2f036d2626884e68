//! An expression that uses a value as something that it is not.

use super::contexts::{OfFile, OfJob, whole};
use super::invalid_expression;
use super::types::{Fault, Type, infer};
use super::view::{Context, View};
use crate::core::finding::{Group, Severity};
use crate::core::yaml::{Node, Value};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "mistyped-expression",
    group: Group::Workflow,
    severity: Severity::Medium,
    summary: "An expression compares, indexes or prints a value of a type that does not fit.",
    why: "GitHub converts values silently: an object in a text becomes the word `Object`, a comparison of a list with \
          a text is always false, and a property of a text is empty. The step runs, with the wrong value.",
    example: "```yaml\nstrategy:\n  matrix:\n    node: [{version: 22}]\nsteps:\n  - run: echo \"${{ matrix.node }}\"   # \
              Object\n```\n\n```yaml\n  - run: echo \"${{ matrix.node.version }}\"\n```",
    remedy: "use the part of the value that is meant, or `toJSON(…)` for all of it",
};

/// Keys whose value is a mapping, also if an expression gives it.
const MAPPINGS: [&str; 3] = ["env", "services", "credentials"];

/// Keys, or parents of keys, whose values become texts.
const TEXTS: [&str; 6] = ["run", "name", "env", "with", "outputs", "working-directory"];

pub(super) fn check(view: &View<'_>, repo: &Context<'_>) -> Vec<Offence> {
    let file = OfFile::new(view);
    let mut walk = Walk { view, first_step: 0, offences: Vec::new() };
    let outside = OfJob::new(view, repo, &file, None);
    for (key, value) in view.root.entries().iter().filter(|(key, _)| key.text() != Some("jobs")) {
        walk.node(value, [key.text().unwrap_or_default(), ""], &outside, None);
    }
    for (number, job) in view.jobs.iter().enumerate() {
        let of_job = OfJob::new(view, repo, &file, Some(number));
        walk.node(job.node, [job.id, "jobs"], &of_job, None);
        walk.first_step +=
            view.steps[walk.first_step..].iter().take_while(|step| step.job == Some(number)).count();
    }
    walk.offences
}

struct Walk<'v, 'a> {
    view: &'v View<'a>,
    /// The number of the first step of the job.
    first_step: usize,
    offences: Vec<Offence>,
}

impl Walk<'_, '_> {
    /// A value with its key and the key around it, in a step or outside of the steps.
    fn node(&mut self, node: &Node, keys: [&str; 2], job: &OfJob<'_>, step: Option<usize>) {
        match &node.value {
            Value::Scalar { .. } => self.scalar(node, keys, job, step),
            Value::Sequence(items) => {
                for (number, item) in items.iter().enumerate() {
                    let is_step = keys[0] == "steps" && step.is_none();
                    let step = if is_step { Some(self.first_step + number) } else { step };
                    self.node(item, keys, job, step);
                }
            }
            Value::Mapping(entries) => {
                for (key, value) in entries {
                    self.scalar(key, ["", ""], job, step);
                    self.node(value, [key.text().unwrap_or_default(), keys[0]], job, step);
                }
            }
        }
    }

    fn scalar(&mut self, node: &Node, keys: [&str; 2], job: &OfJob<'_>, step: Option<usize>) {
        let view = self.view;
        let whole = whole(view, node).is_some();
        for found in view.within(node) {
            let Ok(expression) = &found.parsed else { continue };
            let mut faults = Vec::new();
            let kind = infer(expression, &job.at(step), &mut faults);
            faults.extend(misplaced(&kind, keys, whole));
            for fault in faults {
                // Jobs with similar matrices often share steps, so that a missing value may be meant to be empty.
                let (rule, message) = match fault {
                    Fault::Undefined(message) if message.starts_with("`matrix") => (&RULE, message),
                    Fault::Undefined(message) | Fault::Broken(message) => {
                        (&invalid_expression::RULE, message)
                    }
                    Fault::Misfit(message) => (&RULE, message),
                };
                self.offences.push(view.offence(rule, found.span, message));
            }
        }
    }
}

/// A value whose type does not fit its place.
fn misplaced(kind: &Type, [key, parent]: [&str; 2], is_whole: bool) -> Option<Fault> {
    let becomes_text =
        !is_whole && key != "if" || TEXTS.contains(&parent) || TEXTS.contains(&key) && key != "env";
    let message = match kind {
        Type::Null if becomes_text => "null becomes an empty text here".to_owned(),
        Type::List(_) if becomes_text => "a list becomes the text `Array` here".to_owned(),
        Type::Object(..) if becomes_text => "an object becomes the text `Object` here".to_owned(),
        Type::Object(known, None) if key == "runs-on" => {
            let is_runner = known.keys().any(|name| matches!(name.as_str(), "group" | "labels"));
            return (!is_runner)
                .then(|| Fault::Misfit("`runs-on` takes a label or a list of labels".to_owned()));
        }
        Type::Any | Type::Object(..) => return None,
        kind if is_whole && MAPPINGS.contains(&key) && !TEXTS.contains(&parent) => {
            format!("`{key}` is a mapping, and the expression gives {}", kind.name())
        }
        _ => return None,
    };
    Some(Fault::Misfit(message))
}
