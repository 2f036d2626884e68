//! Who reads what: the shape of the graph.

use std::collections::{HashMap, HashSet};

use super::{Check, Options, Place, at, check, children};
use crate::dbt::graph::{Found, Kind, Node, Project};

pub(super) const CHECKS: &[Check] = &[
    check(
        "chained-views",
        "A view reads more views in a row than `most` (4).",
        "Every query of the last one runs all of them, which is slow and costs credits each time.",
        "`stg -> int_a -> int_b -> int_c -> mart`, all views. Materialize one in between as a table.",
        "materialize a model in between",
        chained_views,
    ),
    check(
        "direct-source-join",
        "A model reads a source together with other models.",
        "Sources belong in staging models, which rename and type their columns once.",
        "`from {{ source('shop', 'orders') }} join {{ ref('customers') }}`. Read `stg_shop__orders`.",
        "read a staging model of the source",
        direct_source_join,
    ),
    check(
        "model-fan-in",
        "A model reads more than `most` (10) others.",
        "A model with many inputs does several things at once.",
        "Join in steps, with one model per step.",
        "split the model",
        model_fan_in,
    ),
    check(
        "model-fan-out",
        "More than `most` (5) models read a model directly.",
        "Each reader repeats the same steps; a change touches them all.",
        "Move the shared steps into a model in between.",
        "put a model in between",
        model_fan_out,
    ),
    check(
        "multiple-sources",
        "A model reads more than one source table.",
        "Staging has one model per source table; joins come later.",
        "`stg_orders` reads `orders` and `customers`. Stage each.",
        "write one staging model for each",
        multiple_sources,
    ),
    check(
        "repeated-path",
        "A model reads a relation both directly and through one of its other parents.",
        "The two paths may be in different states, and the same data is joined twice.",
        "`orders -> int_orders -> mart` and `orders -> mart`. Add the missing columns to `int_orders`.",
        "read it through one of them",
        repeated_path,
    ),
    check(
        "root-model",
        "A model reads nothing.",
        "dbt does not know where its data comes from.",
        "`select * from prod.orders`. Declare a source.",
        "read sources and models by `source` and `ref`",
        root_model,
    ),
    check(
        "source-fan-out",
        "More than one model reads a table of a source.",
        "Columns are renamed and typed twice, and the two versions drift apart.",
        "Read the staging model instead.",
        "read the staging model",
        source_fan_out,
    ),
    check(
        "staging-reads-staging",
        "A staging model reads another staging model.",
        "Staging is one step from the source: joins come later.",
        "Scope by `folders` (staging).",
        "move the join into an intermediate model",
        staging_reads_staging,
    ),
    check(
        "unused-source",
        "No model reads a table of a source.",
        "It is loaded and tested at a cost, and no model uses it.",
        "Delete it, or stage it.",
        "delete the table, or stage it",
        unused_source,
    ),
];

fn chained_views(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let most = options.most.unwrap_or(4);
    let is_view = |node: &Node<'_>| {
        node.kind == Kind::Model && matches!(node.settings.text("materialized"), None | Some("view"))
    };
    let mut depths: HashMap<usize, usize> = HashMap::new();
    let deep = project.models().filter_map(|(index, node)| {
        let depth = view_depth(project, index, &is_view, &mut depths, 0);
        (is_view(node) && depth > most).then(|| at(project, node, format!("{depth} views in a row")))
    });
    deep.collect()
}

fn direct_source_join(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .models()
        .filter(|(_, node)| {
            reads_source(node) && node.parents.iter().any(|parent| matches!(parent.found, Found::Node(_)))
        })
        .map(|(_, node)| at(project, node, "reads a source and other models"))
        .collect()
}

fn model_fan_in(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let most = options.most.unwrap_or(10);
    let wide = project.models().filter(|(_, node)| node.parents.len() > most);
    wide.map(|(_, node)| {
        at(project, node, format!("reads {} relations, more than {most}", node.parents.len()))
    })
    .collect()
}

fn model_fan_out(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let most = options.most.unwrap_or(5);
    let children = children(project);
    let count = |index: usize| children.get(&index).map_or(0, Vec::len);
    let wide = project.models().filter(|(index, _)| count(*index) > most);
    wide.map(|(index, node)| {
        at(project, node, format!("is read by {} models, more than {most}", count(index)))
    })
    .collect()
}

fn multiple_sources(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .models()
        .filter(|(_, node)| sources_of(node) > 1)
        .map(|(_, node)| at(project, node, format!("reads {} source tables", sources_of(node))))
        .collect()
}

fn repeated_path(project: &Project<'_>, _: &Options) -> Vec<Place> {
    let mut found = Vec::new();
    for (_, node) in project.models() {
        let direct: HashSet<Found> = node.parents.iter().map(|parent| parent.found).collect();
        for parent in &node.parents {
            let Found::Node(index) = parent.found else { continue };
            let shared = project.nodes[index].parents.iter().find(|above| direct.contains(&above.found));
            if shared.is_some() {
                let message = format!("reads what `{}` reads too", project.nodes[index].name);
                found.push((node.path.to_owned(), parent.span, message));
            }
        }
    }
    found
}

fn root_model(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .models()
        .filter(|(_, node)| node.parents.is_empty() && node.uses.is_empty() && node.is_sql())
        .map(|(_, node)| at(project, node, "reads neither a source nor a model"))
        .collect()
}

fn source_fan_out(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let mut readers: HashMap<usize, Vec<&str>> = HashMap::new();
    for (_, node) in project.models() {
        for parent in &node.parents {
            if let Found::Source(index) = parent.found {
                readers.entry(index).or_default().push(node.name);
            }
        }
    }
    let most = options.most.unwrap_or(1);
    let wide = readers.into_iter().filter(|(_, names)| names.len() > most);
    wide.map(|(index, names)| {
        let table = &project.sources[index];
        (table.path.to_owned(), table.span, format!("`{}` is read by {}", table.name, names.join(", ")))
    })
    .collect()
}

fn staging_reads_staging(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let known = options.folders_or(&["staging"]);
    let is_staging = |node: &Node<'_>| node.folders.iter().any(|folder| known.contains(folder));
    let mut found = Vec::new();
    for (_, node) in project.models().filter(|(_, node)| is_staging(node)) {
        for parent in &node.parents {
            if let Found::Node(index) = parent.found
                && project.nodes[index].kind == Kind::Model
                && is_staging(&project.nodes[index])
            {
                let message = format!("reads the staging model `{}`", project.nodes[index].name);
                found.push((node.path.to_owned(), parent.span, message));
            }
        }
    }
    found
}

fn unused_source(project: &Project<'_>, _: &Options) -> Vec<Place> {
    let read: HashSet<usize> = project
        .nodes
        .iter()
        .flat_map(|node| &node.parents)
        .filter_map(|parent| match parent.found {
            Found::Source(index) => Some(index),
            _ => None,
        })
        .collect();
    let unread = project.sources.iter().enumerate().filter(|(index, _)| !read.contains(index));
    unread
        .map(|(_, table)| (table.path.to_owned(), table.span, format!("nothing reads `{}`", table.name)))
        .collect()
}

/// How many views in a row end at a node.
fn view_depth(
    project: &Project<'_>,
    index: usize,
    is_view: &impl Fn(&Node<'_>) -> bool,
    known: &mut HashMap<usize, usize>,
    level: usize,
) -> usize {
    /// Deeper chains count as that deep; a ring ends here.
    const DEEPEST: usize = 200;
    let node = &project.nodes[index];
    if !is_view(node) || level > DEEPEST {
        return 0;
    }
    if let Some(depth) = known.get(&index) {
        return *depth;
    }
    // For a ring: it is found to be no deeper than its first member so far.
    known.insert(index, 1);
    let above = node.parents.iter().filter_map(|parent| match parent.found {
        Found::Node(above) => Some(above),
        _ => None,
    });
    let above: Vec<usize> = above.collect();
    let deepest = above.into_iter().map(|above| view_depth(project, above, is_view, known, level + 1)).max();
    let depth = deepest.unwrap_or(0) + 1;
    known.insert(index, depth);
    depth
}

fn sources_of(node: &Node<'_>) -> usize {
    node.parents.iter().filter(|parent| matches!(parent.found, Found::Source(_))).count()
}

fn reads_source(node: &Node<'_>) -> bool {
    sources_of(node) > 0
}
