//! Models that are built from each other.

use crate::core::finding::{Group, Severity};
use crate::dbt::graph::{Found, Project};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "cyclic-ref",
    group: Group::Dbt,
    severity: Severity::High,
    summary: "Models are built from each other in a ring.",
    why: "There is no order in which they could be built: dbt refuses the whole project, every model in it.",
    example: "```sql\n-- a.sql\nselect * from {{ ref('b') }}\n-- b.sql\nselect * from {{ ref('a') }}\n```\n\nMove what \
              both need into a third model. An incremental model reads itself as `{{ this }}`.",
    remedy: "move what they need of each other into a model that both read",
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    Done,
}

/// One offence a ring, at the ref that closes it. Depth first, with a stack of its own: a chain of models
/// may be longer than the stack of a thread.
pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let mut state = vec![State::New; project.nodes.len()];
    let mut offences = Vec::new();
    for start in 0..project.nodes.len() {
        if state[start] != State::New {
            continue;
        }
        // Each with the number of the parent to look at next.
        let mut open = vec![(start, 0)];
        state[start] = State::Open;
        while let Some((at, next)) = open.last_mut() {
            let (at, node) = (*at, &project.nodes[*at]);
            let Some(parent) = node.parents.get(*next) else {
                state[at] = State::Done;
                open.pop();
                continue;
            };
            *next += 1;
            let Found::Node(to) = parent.found else { continue };
            match state[to] {
                State::New => {
                    state[to] = State::Open;
                    open.push((to, 0));
                }
                State::Open => {
                    let ring = open.iter().skip_while(|(each, _)| *each != to);
                    let names: Vec<&str> = ring.map(|(each, _)| project.nodes[*each].name).collect();
                    offences.push(RULE.offence(node.path, parent.span, told(&names)));
                }
                State::Done => {}
            }
        }
    }
    offences
}

fn told(ring: &[&str]) -> String {
    match ring {
        [only] => format!("`{only}` is built from itself"),
        [first, .., last] if ring.len() > 5 => {
            format!(
                "`{first}` is built from `{}` and so on to `{last}`, which is built from `{first}`",
                ring[1]
            )
        }
        _ => {
            let mut told: Vec<String> = ring.iter().map(|name| format!("`{name}`")).collect();
            told.extend(told.first().cloned());
            told.join(" is built from ")
        }
    }
}
