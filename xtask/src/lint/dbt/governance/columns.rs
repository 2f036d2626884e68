//! Columns of models: whether they are described, typed, named by a pattern and listed at all.

use std::collections::HashSet;

use super::{Check, Options, Place, at, check, columns, has_text, text};
use crate::dbt::graph::{Node, Project, columns as selected};

pub(super) const CHECKS: &[Check] = &[
    check(
        "column-description",
        "A column is listed without a description.",
        "The column list is the documentation that readers and catalogues see.",
        "`- name: order_id` alone. Add `description:`.",
        "describe the column",
        column_description,
    ),
    check(
        "column-name",
        "A column's name does not match `pattern`.",
        "Names that follow one pattern can be guessed and searched.",
        "`OrderID` with the pattern `^[a-z][a-z0-9_]*$`. Write `order_id`.",
        "rename the column",
        column_name,
    ),
    check(
        "column-type",
        "A column is listed without a data type.",
        "Contracts and unit tests need it, and without it a changed type is not noticed.",
        "`- name: order_id` alone. Add `data_type: integer`.",
        "add `data_type`",
        column_type,
    ),
    check(
        "column-undocumented",
        "A column that the model selects is not in its property file.",
        "It has no description and no test, and no other check reports that.",
        "The model selects `discount`, but its `columns:` do not list it.",
        "list the column",
        column_undocumented,
    ),
    check(
        "model-column-count",
        "A model has more than `most` (100) columns.",
        "Wide models are slow to read and mean several things at once.",
        "Keep keys and measures in one model, and descriptive columns in another.",
        "split the model",
        model_column_count,
    ),
];

fn column_description(project: &Project<'_>, _: &Options) -> Vec<Place> {
    columns(project, |column| !has_text(column, "description"), "has no description")
}

fn column_name(project: &Project<'_>, options: &Options) -> Vec<Place> {
    columns(project, |column| !options.allows(text(column, "name")), "does not match the pattern")
}

fn column_type(project: &Project<'_>, _: &Options) -> Vec<Place> {
    columns(project, |column| !has_text(column, "data_type"), "has no data_type")
}

fn column_undocumented(project: &Project<'_>, _: &Options) -> Vec<Place> {
    let mut found = Vec::new();
    for (_, node) in project.models().filter(|(_, node)| node.is_sql()) {
        let (Some(entry), Some(selected)) = (project.entry(node), selected::of(node.text)) else {
            continue;
        };
        let listed: HashSet<String> =
            entry.columns().iter().map(|column| text(column, "name").to_lowercase()).collect();
        for column in selected.iter().filter(|column| !listed.contains(&column.to_lowercase())) {
            found.push((entry.path.to_owned(), entry.span, format!("the column `{column}` is not listed")));
        }
    }
    found
}

fn model_column_count(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let most = options.most.unwrap_or(100);
    // What a template or `*` selects is not known: then what is listed counts.
    let count = |node: &Node<'_>| {
        let listed = project.entry(node).map_or(0, |entry| entry.columns().len());
        let selected = node.is_sql().then(|| selected::of(node.text)).flatten();
        selected.map_or(listed, |columns| columns.len().max(listed))
    };
    let wide = project.models().map(|(_, node)| (node, count(node))).filter(|(_, count)| *count > most);
    wide.map(|(node, count)| at(project, node, format!("has {count} columns, more than {most}"))).collect()
}
