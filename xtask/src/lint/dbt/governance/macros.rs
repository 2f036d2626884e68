//! Macros: whether they are described, found by their file, and called.

use std::collections::{HashMap, HashSet};

use super::{Check, Options, Place, check, declaration, declarations, has_text, stem, text};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::{Macro, Project};

pub(super) const CHECKS: &[Check] = &[
    check(
        "macro-argument-description",
        "An argument of a macro is not described.",
        "Callers must read the macro to know which values to pass.",
        "List it under `arguments:` with a description.",
        "describe the argument",
        macro_argument_description,
    ),
    check(
        "macro-argument-type",
        "A described argument of a macro has no type.",
        "dbt checks arguments against their types since version 1.10.",
        "`arguments: [{name: column, type: string}]`.",
        "add `type`",
        macro_argument_type,
    ),
    check(
        "macro-description",
        "A macro is not described in a property file.",
        "Callers must read it to know what it does.",
        "`macros: [{name: cents, description: …}]`.",
        "describe the macro",
        macro_description,
    ),
    check(
        "macro-file-name",
        "No macro in a macro file has the file's name.",
        "Readers look for a macro by the name of its file.",
        "`macros/money.sql` with `cents` alone. Name it `macros/cents.sql`.",
        "name the file after the macro in it",
        macro_file_name,
    ),
    check(
        "macro-length",
        "A macro has more than `most` (100) lines.",
        "A long macro does several things, which cannot be tested or used one by one.",
        "Move steps into separate macros.",
        "split the macro",
        macro_length,
    ),
    check(
        "unused-macro",
        "A macro is called by nothing in the project.",
        "It is read, kept and translated for nothing.",
        "Delete it, or call it. Macros that dbt calls by their names are left out.",
        "delete the macro",
        unused_macro,
    ),
];

fn macro_argument_description(project: &Project<'_>, _: &Options) -> Vec<Place> {
    let mut found = Vec::new();
    for each in project.macros.iter().filter(|each| each.keyword == "macro") {
        let Some(entry) = declaration(project, "macros", each.name) else { continue };
        let arguments = entry.node.get("arguments").map(Yaml::items).unwrap_or_default();
        for parameter in &each.parameters {
            let is_described = arguments
                .iter()
                .any(|argument| text(argument, "name") == *parameter && has_text(argument, "description"));
            if !is_described {
                found.push((
                    entry.path.to_owned(),
                    entry.span,
                    format!("the argument `{parameter}` of `{}` is not described", each.name),
                ));
            }
        }
    }
    found
}

fn macro_argument_type(project: &Project<'_>, _: &Options) -> Vec<Place> {
    let mut found = Vec::new();
    for each in declarations(project, "macros") {
        let arguments = each.node.get("arguments").map(Yaml::items).unwrap_or_default();
        for argument in arguments.iter().filter(|argument| !has_text(argument, "type")) {
            let message = format!("the argument `{}` has no type", text(argument, "name"));
            found.push((each.path.to_owned(), argument.span, message));
        }
    }
    found
}

fn macro_description(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .macros
        .iter()
        .filter(|each| each.keyword == "macro")
        .filter(|each| {
            declaration(project, "macros", each.name)
                .is_none_or(|entry| !has_text(&entry.node, "description"))
        })
        .map(|each| (each.path.to_owned(), each.span, format!("the macro `{}` is not described", each.name)))
        .collect()
}

fn macro_file_name(project: &Project<'_>, _: &Options) -> Vec<Place> {
    let mut files: HashMap<&str, Vec<&Macro<'_>>> = HashMap::new();
    for each in project.macros.iter().filter(|each| each.keyword == "macro") {
        files.entry(each.path).or_default().push(each);
    }
    files
        .into_iter()
        .filter(|(path, macros)| !macros.iter().any(|each| each.name == stem(path)))
        .map(|(path, macros)| (path.to_owned(), macros[0].span, "no macro has the file's name".to_owned()))
        .collect()
}

fn unused_macro(project: &Project<'_>, _: &Options) -> Vec<Place> {
    let of_dbt = ["generate_", "on_", "get_custom", "ref", "source"];
    let strings: HashSet<&str> = project.strings().map(|(text, _)| text).collect();
    project
        .macros
        .iter()
        .filter(|each| each.keyword == "macro" && !each.is_reached && !each.name.contains("__"))
        .filter(|each| {
            !of_dbt.iter().any(|start| each.name.starts_with(start)) && !strings.contains(each.name)
        })
        .filter(|each| !project.settings_mention(each.name))
        .map(|each| (each.path.to_owned(), each.span, format!("nothing calls `{}`", each.name)))
        .collect()
}

fn macro_length(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let most = options.most.unwrap_or(100);
    let lines = |each: &Macro<'_>| each.text[each.body.clone()].trim().lines().count();
    let long = project.macros.iter().filter(|each| lines(each) > most);
    long.map(|each| {
        let message = format!("`{}` has {} lines, more than {most}", each.name, lines(each));
        (each.path.to_owned(), each.span, message)
    })
    .collect()
}
