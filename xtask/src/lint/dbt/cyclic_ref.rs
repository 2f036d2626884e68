//! Models that depend on each other in a cycle.

use crate::core::finding::{Group, Severity};
use crate::dbt::graph::{Found, Project};
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "cyclic-ref",
    group: Group::Dbt,
    severity: Severity::High,
    summary: "Models depend on each other in a cycle.",
    why: "No build order exists: dbt rejects the whole project, not only these models.",
    example: "```sql\n-- a.sql\nselect * from {{ ref('b') }}\n-- b.sql\nselect * from {{ ref('a') }}\n```\n\nMove the \
              shared part into a third model. An incremental model reads itself as `{{ this }}`.",
    remedy: "move the shared part into a model that both read",
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    Done,
}

/// One offence per cycle, at the ref that closes it. Depth-first search with an explicit stack: a chain of models
/// may be deeper than a thread's stack allows.
pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let mut state = vec![State::New; project.nodes.len()];
    let mut offences = Vec::new();
    for start in 0..project.nodes.len() {
        if state[start] != State::New {
            continue;
        }
        // Each with the index of the parent to visit next.
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
                    offences.push(RULE.offence(node.path, parent.span, message(&names)));
                }
                State::Done => {}
            }
        }
    }
    offences
}

fn message(ring: &[&str]) -> String {
    match ring {
        [only] => format!("`{only}` is built from itself"),
        [first, .., last] if ring.len() > 5 => {
            format!(
                "`{first}` is built from `{}` and so on to `{last}`, which is built from `{first}`",
                ring[1]
            )
        }
        _ => {
            let mut nodes: Vec<String> = ring.iter().map(|name| format!("`{name}`")).collect();
            nodes.extend(nodes.first().cloned());
            nodes.join(" is built from ")
        }
    }
}
