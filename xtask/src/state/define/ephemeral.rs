//! Ephemeral models: their inputs are those of whatever reads them.

use std::collections::HashMap;

use super::{Definition, settle};

/// An ephemeral model is part of the SQL of whatever reads it.
pub(super) fn inline_ephemerals(nodes: &mut [Definition]) {
    let by_id: HashMap<String, usize> =
        nodes.iter().enumerate().map(|(at, each)| (each.id.clone(), at)).collect();
    let mut done = vec![false; nodes.len()];
    for at in 0..nodes.len() {
        inline(nodes, &by_id, &mut done, at, 0);
    }
}

pub(super) fn inline(
    nodes: &mut [Definition],
    by_id: &HashMap<String, usize>,
    done: &mut [bool],
    at: usize,
    depth: usize,
) {
    if done[at] || depth > 500 {
        return;
    }
    done[at] = true;
    let parents: Vec<String> = nodes[at].parents.iter().cloned().collect();
    for parent in parents {
        let Some(&of) = by_id.get(&parent) else { continue };
        if nodes[of].materialized != "ephemeral" || nodes[of].kind != "model" {
            continue;
        }
        inline(nodes, by_id, done, of, depth + 1);
        let ephemeral = nodes[of].clone();
        let node = &mut nodes[at];
        node.parents.remove(&parent);
        node.parents.extend(ephemeral.parents.iter().cloned());
        node.follows.extend(ephemeral.follows.iter().cloned());
        for (name, hash) in &ephemeral.parts {
            // What every node has says nothing here.
            if !matches!(name.as_str(), "dbt" | "DuckDB" | "relation" | "quoting") {
                let is_other = node.parts.get(name).is_some_and(|own| own != hash);
                let label = match name.as_str() {
                    "sql" => format!("sql of {}", ephemeral.name),
                    // A variable of another package, say.
                    name if is_other => format!("{name} of {}", ephemeral.name),
                    name => name.to_owned(),
                };
                if let Some(place) = ephemeral.places.get(name) {
                    node.places.entry(label.clone()).or_insert_with(|| place.clone());
                }
                node.parts.entry(label).or_insert_with(|| hash.clone());
            }
        }
        node.has_more_parents |= ephemeral.has_more_parents;
        node.class = node.class.max(ephemeral.class);
        node.reasons.extend(ephemeral.reasons.iter().cloned());
        node.volatile.extend(ephemeral.volatile.iter().cloned());
        node.random.extend(ephemeral.random.iter().cloned());
        node.period = node.period.take().or(ephemeral.period);
        settle(node);
    }
}
