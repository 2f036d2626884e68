//! Seeds and snapshots.

use super::{Check, Options, Place, at, check};
use crate::dbt::graph::{Entry, Kind, Project};

pub(super) const CHECKS: &[Check] = &[
    check(
        "seed-column-type",
        "A seed does not give the types of its columns.",
        "The loader infers the types, and may infer others when the data changes.",
        "`config: {column_types: {id: integer}}`.",
        "set `column_types`",
        seed_column_type,
    ),
    check(
        "seed-description",
        "A seed has no description.",
        "The origin of its rows and the people who may change them are unknown.",
        "`seeds: [{name: …, description: …}]`.",
        "describe the seed",
        seed_description,
    ),
    check(
        "seed-name",
        "The name of a seed does not match `pattern`.",
        "Names that follow one pattern show that a table is a file in the repository.",
        "`pattern = \"^raw_\"`.",
        "rename the seed",
        seed_name,
    ),
    check(
        "seed-test",
        "A seed has no data test.",
        "People edit seeds by hand, and errors in them reach all models.",
        "`data_tests: [unique, not_null]` on its key.",
        "test the seed",
        seed_test,
    ),
    check(
        "snapshot-description",
        "A snapshot has no description.",
        "Readers cannot know which history it records.",
        "`snapshots: [{name: …, description: …}]`.",
        "describe the snapshot",
        snapshot_description,
    ),
];

fn seed_column_type(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .relations()
        .filter(|(_, node)| node.kind == Kind::Seed && !node.settings.is_set("column_types"))
        .map(|(_, node)| at(project, node, "sets no column_types".to_owned()))
        .collect()
}

fn seed_description(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .relations()
        .filter(|(_, node)| {
            node.kind == Kind::Seed && project.entry(node).and_then(Entry::description).is_none()
        })
        .map(|(_, node)| at(project, node, "has no description".to_owned()))
        .collect()
}

fn snapshot_description(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .relations()
        .filter(|(_, node)| {
            node.kind == Kind::Snapshot && project.entry(node).and_then(Entry::description).is_none()
        })
        .map(|(_, node)| at(project, node, "has no description".to_owned()))
        .collect()
}

fn seed_name(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let seeds = project.relations().filter(|(_, node)| node.kind == Kind::Seed);
    let other = seeds.filter(|(_, node)| !options.allows(node.name));
    other.map(|(_, node)| at(project, node, "does not match the pattern")).collect()
}

fn seed_test(project: &Project<'_>, _: &Options) -> Vec<Place> {
    let seeds = project.relations().filter(|(_, node)| node.kind == Kind::Seed);
    let untested = seeds.filter(|(_, node)| project.entry(node).is_none_or(|entry| entry.tests().is_empty()));
    untested.map(|(_, node)| at(project, node, "has no test")).collect()
}
