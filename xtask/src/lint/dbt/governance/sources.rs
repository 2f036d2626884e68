//! Tables of sources: whether they are described, fresh, tested and owned.

use super::{Check, Options, Place, check, has_text, tables, text};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::Project;

pub(super) const CHECKS: &[Check] = &[
    check(
        "source-column-description",
        "A column of a source is listed without a description.",
        "Staging models are written from the meaning of the columns.",
        "`- name: amt` alone. Add `description:`.",
        "describe the column",
        source_column_description,
    ),
    check(
        "source-description",
        "A table of a source has no description.",
        "Staging models are written from the meaning of the table.",
        "Describe the table.",
        "describe the table",
        source_description,
    ),
    check(
        "source-freshness",
        "A table of a source has no freshness.",
        "Stale data looks like current data.",
        "`config: {freshness: {warn_after: {count: 1, period: day}}}`.",
        "set `freshness` and `loaded_at_field`",
        source_freshness,
    ),
    check(
        "source-loader",
        "A source does not say what loads it.",
        "When it is late, the place to look is unknown.",
        "`loader: fivetran`.",
        "set `loader`",
        source_loader,
    ),
    check(
        "source-name",
        "The name of a source does not match `pattern`.",
        "Names that follow one pattern show which system data comes from.",
        "`pattern = \"^(shop|crm)(_[a-z]+)*$\"`.",
        "rename the source",
        source_name,
    ),
    check(
        "source-owner",
        "A source names no owner in `meta` under one of `names` (owner).",
        "When it is late, the question is whom to ask.",
        "`config: {meta: {owner: …}}`.",
        "add the owner to `meta`",
        source_owner,
    ),
    check(
        "source-test",
        "A table of a source has no test.",
        "What comes in wrong goes through all models.",
        "`data_tests: [unique, not_null]` on its key.",
        "test the table",
        source_test,
    ),
];

fn source_description(project: &Project<'_>, _: &Options) -> Vec<Place> {
    tables(project, |table| !has_text(&table.node, "description"), "has no description")
}

fn source_freshness(project: &Project<'_>, _: &Options) -> Vec<Place> {
    tables(
        project,
        |table| {
            let of =
                |node: &Yaml| node.get("freshness").or_else(|| node.at(&["config", "freshness"])).is_some();
            !of(&table.node) && !of(&table.parent)
        },
        "has no freshness",
    )
}

fn source_loader(project: &Project<'_>, _: &Options) -> Vec<Place> {
    tables(
        project,
        |table| !has_text(&table.parent, "loader") && !has_text(&table.node, "loader"),
        "has no loader",
    )
}

fn source_owner(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let names = options.names_or(&["owner"]);
    let has = |node: &Yaml, name: &str| {
        node.at(&["meta", name]).or_else(|| node.at(&["config", "meta", name])).is_some()
    };
    tables(
        project,
        |table| !names.iter().all(|name| has(&table.node, name) || has(&table.parent, name)),
        "names no owner",
    )
}

fn source_test(project: &Project<'_>, _: &Options) -> Vec<Place> {
    tables(
        project,
        |table| {
            let columns = table.node.get("columns").map(Yaml::items).unwrap_or_default();
            let has = |node: &Yaml| ["data_tests", "tests"].iter().any(|key| node.get(key).is_some());
            !has(&table.node) && !columns.iter().any(has)
        },
        "has no test",
    )
}

fn source_column_description(project: &Project<'_>, _: &Options) -> Vec<Place> {
    let columns = project.sources.iter().flat_map(|table| {
        let columns = table.node.get("columns").map(Yaml::items).unwrap_or_default();
        columns.iter().map(move |column| (table, column))
    });
    let undescribed = columns.filter(|(_, column)| !has_text(column, "description"));
    undescribed
        .map(|(table, column)| {
            let name = text(column, "name");
            let message =
                format!("the column `{name}` of `{}.{}` has no description", table.source, table.name);
            (table.path.to_owned(), column.span, message)
        })
        .collect()
}

fn source_name(project: &Project<'_>, options: &Options) -> Vec<Place> {
    tables(
        project,
        |table| !options.allows(&table.source),
        "is in a source whose name does not match the pattern",
    )
}
