//! Tests: which models have them, of which kinds, and whether they are described.

use std::collections::HashSet;

use super::{
    Check, Options, Place, at, check, coverage, declaration, declarations, declared, has_text, text,
};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::{Entry, Kind, Node, Project};

pub(super) const CHECKS: &[Check] = &[
    check(
        "model-test-count",
        "A model has fewer than `least` (1) data tests.",
        "Errors in an untested model are found by its readers.",
        "`data_tests: [unique, not_null]` on its key.",
        "add tests",
        model_test_count,
    ),
    check(
        "model-test-kind",
        "A model lacks one of the kinds of tests in `tests` (unique, not_null).",
        "Each kind finds errors that the others miss.",
        "`tests = [\"unique\", \"relationships\"]`.",
        "add a test of that kind",
        model_test_kind,
    ),
    check(
        "model-unit-test",
        "A model has no unit test.",
        "Data tests check today's data; a unit test checks chosen edge cases.",
        "`unit_tests: [{name: …, model: …, given: …, expect: …}]`.",
        "add a unit test",
        model_unit_test,
    ),
    check(
        "project-test-coverage",
        "Less than `percent` (100) of the models have a data test.",
        "Coverage shows whether tests keep up with new models.",
        "Test models, or lower `percent`.",
        "test more models",
        project_test_coverage,
    ),
    check(
        "project-unit-test-coverage",
        "Less than `percent` (100) of the models have a unit test.",
        "Coverage shows whether unit tests keep up with new models.",
        "Add unit tests, or lower `percent`.",
        "add unit tests",
        project_unit_test_coverage,
    ),
    check(
        "singular-test-description",
        "A singular test is not described.",
        "Its description explains what a failure means.",
        "`data_tests: [{name: …, description: …}]`.",
        "describe the test",
        singular_test_description,
    ),
    check(
        "unit-test-description",
        "A unit test has no description.",
        "Its name rarely says which case it is about.",
        "`description: refunds do not count as orders`.",
        "describe the case",
        unit_test_description,
    ),
    check(
        "unit-test-inputs",
        "A unit test gives no input.",
        "It then tests nothing but constants.",
        "`given: [{input: ref('orders'), rows: […]}]`.",
        "give the inputs of the model",
        unit_test_inputs,
    ),
];

fn model_test_count(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let least = options.least.unwrap_or(1);
    let tests = |node: &Node<'_>| project.entry(node).map_or(0, |entry| entry.tests().len());
    let few = project.models().filter(|(_, node)| tests(node) < least);
    few.map(|(_, node)| at(project, node, format!("has {} tests, fewer than {least}", tests(node)))).collect()
}

fn model_test_kind(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let kinds = options.tests_or(&["unique", "not_null"]);
    let missing = |node: &Node<'_>| -> Vec<&str> {
        let own = project.entry(node).map(Entry::tests).unwrap_or_default();
        let has = |kind: &str| own.iter().any(|test| test.rsplit('.').next() == Some(kind));
        kinds.iter().copied().filter(|kind| !has(kind)).collect()
    };
    let without = project.models().filter(|(_, node)| !missing(node).is_empty());
    without.map(|(_, node)| at(project, node, format!("has no test {}", missing(node).join(", ")))).collect()
}

fn model_unit_test(project: &Project<'_>, _: &Options) -> Vec<Place> {
    let tested: HashSet<&str> =
        declarations(project, "unit_tests").map(|each| text(&each.node, "model")).collect();
    let without = project.models().filter(|(_, node)| !tested.contains(node.name));
    without.map(|(_, node)| at(project, node, "has no unit test".to_owned())).collect()
}

fn project_test_coverage(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let tested = |node: &Node<'_>| project.entry(node).is_some_and(|entry| !entry.tests().is_empty());
    coverage(project, options.percent.unwrap_or(100), &tested, "tested")
}

fn project_unit_test_coverage(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let units: HashSet<&str> =
        declarations(project, "unit_tests").map(|each| text(&each.node, "model")).collect();
    coverage(project, options.percent.unwrap_or(100), &|node| units.contains(node.name), "unit-tested")
}

fn singular_test_description(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .nodes
        .iter()
        .filter(|node| node.kind == Kind::Test && node.is_enabled)
        .filter(|node| {
            let known = ["data_tests", "tests"].iter().find_map(|key| declaration(project, key, node.name));
            known.is_none_or(|entry| !has_text(&entry.node, "description"))
        })
        .map(|node| (node.path.to_owned(), node.span, "is not described".to_owned()))
        .collect()
}

fn unit_test_description(project: &Project<'_>, _: &Options) -> Vec<Place> {
    declared(project, "unit_tests", |node| !has_text(node, "description"), "has no description")
}

fn unit_test_inputs(project: &Project<'_>, _: &Options) -> Vec<Place> {
    declared(
        project,
        "unit_tests",
        |node| node.get("given").map(Yaml::items).unwrap_or_default().is_empty(),
        "gives no input",
    )
}
