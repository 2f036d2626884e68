//! Models: who owns them, how they are configured, where they and their property files are.

use std::collections::HashSet;

use super::{Check, Options, Place, at, check, children, coverage, folder, is_public, property, stem, text};
use crate::core::clock;
use crate::core::finding::Lines;
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::{Entry, Node, Project};

pub(super) const CHECKS: &[Check] = &[
    check(
        "deprecated-model",
        "A model is read after its deprecation date.",
        "It may be removed at any time.",
        "A model with `deprecation_date: 2026-01-31` is still read in February. Move the readers.",
        "move its readers to the successor, or set a later date",
        deprecated_model,
    ),
    Check {
        needs_pattern: true,
        ..check(
            "forbidden-pattern",
            "The text of a model matches `pattern`.",
            "Some words never belong in a model: a function that costs too much, an old schema.",
            "`pattern = \"(?i)current_timestamp\"`.",
            "write it in another way",
            forbidden_pattern,
        )
    },
    check(
        "incremental-schema-change",
        "An incremental model does not set `on_schema_change`.",
        "The default silently ignores new columns.",
        "`config(materialized='incremental')`. Add `on_schema_change='append_new_columns'`.",
        "set `on_schema_change`",
        incremental_schema_change,
    ),
    check(
        "model-access",
        "A model does not set `access`.",
        "Without it every model is protected, and readers do not know which models are a stable interface.",
        "`access: public` or `access: private`.",
        "set `access`",
        model_access,
    ),
    check(
        "model-constraint",
        "A model has no constraint of a kind in `names` (primary_key).",
        "Constraints are documented in the warehouse, where tools read them, and some warehouses enforce them.",
        "`constraints: [{type: primary_key, columns: [order_id]}]`.",
        "add the constraint",
        model_constraint,
    ),
    check(
        "model-description-length",
        "A description of a model has fewer than `least` (30) characters.",
        "A description that only repeats the name helps no reader.",
        "`description: Orders.` for `orders`. Say what a row is and where it comes from.",
        "describe what a row is",
        model_description_length,
    ),
    check(
        "model-file-length",
        "A model has more than `most` (200) lines.",
        "Long models hide steps that should be separate, tested models.",
        "Move steps into separate models.",
        "split the model",
        model_file_length,
    ),
    check(
        "model-folder",
        "A model is not in one of the `folders`.",
        "A model's layer is determined by its folder; a model outside of the folders has no layer.",
        "`models/orders.sql` with `folders = [\"staging\", \"marts\"]`.",
        "move it into a layer's folder",
        model_folder,
    ),
    check(
        "model-group",
        "A model belongs to no group.",
        "Groups define who is responsible for a model, and who may read private ones.",
        "`group: finance`.",
        "set `group`",
        model_group,
    ),
    check(
        "model-materialization",
        "A model is materialized in a way that is not among `names`.",
        "Marts as views are slow; staging models as tables store and compute the data twice.",
        "Scope it: `include = [\"models/marts/**\"]`, `names = [\"table\", \"incremental\"]`.",
        "materialize it as one of the names",
        model_materialization,
    ),
    check(
        "model-owner",
        "A model names no owner in `meta` under one of `names` (owner).",
        "When it breaks, the person to ask is unknown.",
        "`config: {meta: {owner: data-team@example.org}}`.",
        "add the owner to `meta`",
        model_owner,
    ),
    check(
        "model-tags",
        "A model lacks one of the tags in `names`.",
        "Tags select what is built and tested.",
        "`names = [\"daily\"]`.",
        "add the tag",
        model_tags,
    ),
    check(
        "project-documentation",
        "Less than `percent` (100) of the models are described.",
        "Coverage shows whether documentation keeps up with new models.",
        "Describe models, or lower `percent`.",
        "describe more models",
        project_documentation,
    ),
    check(
        "property-file-folder",
        "A model is described in a file of another folder.",
        "Readers look for properties next to the model, and the two should move together.",
        "`models/marts/orders.sql` described in `models/schema.yml`.",
        "move the entry into the model's folder",
        property_file_folder,
    ),
    check(
        "property-file-name",
        "A model is described in a file with a different name.",
        "With one file per model, a change is easy to see and merge conflicts are rare.",
        "One `schema.yml` for all models. Write `orders.yml` next to `orders.sql`.",
        "move the entry into a file with the model's name",
        property_file_name,
    ),
    check(
        "public-model-contract",
        "A public model has no enforced contract.",
        "Other teams rely on its columns, and only a contract guarantees them.",
        "`access: public` with `contract: {enforced: true}`.",
        "enforce a contract",
        public_model_contract,
    ),
    check(
        "public-model-description",
        "A public model has no description.",
        "Other teams read it and cannot ask its authors.",
        "Describe it: its grain and its time range.",
        "describe the model",
        public_model_description,
    ),
    check(
        "versioned-model-latest",
        "A model with versions does not say which is the latest.",
        "Without `latest_version` the highest counts, also one that is a draft.",
        "`latest_version: 2`.",
        "set `latest_version`",
        versioned_model_latest,
    ),
];

fn deprecated_model(project: &Project<'_>, _: &Options) -> Vec<Place> {
    let today = clock::today().to_string();
    let children = children(project);
    let mut found = Vec::new();
    for (index, node) in project.models() {
        let Some(entry) = project.entry(node) else { continue };
        let day = text(&entry.node, "deprecation_date");
        let is_over = !day.is_empty() && day < today.as_str();
        if is_over && children.get(&index).is_some_and(|readers| !readers.is_empty()) {
            found.push(at(project, node, format!("deprecated since {day}, and still read")));
        }
    }
    found
}

fn incremental_schema_change(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .models()
        .filter(|(_, node)| {
            node.settings.text("materialized") == Some("incremental")
                && !node.settings.is_set("on_schema_change")
        })
        .map(|(_, node)| at(project, node, "does not set on_schema_change"))
        .collect()
}

fn model_access(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .models()
        .filter(|(_, node)| property(project, node, "access").is_none())
        .map(|(_, node)| at(project, node, "does not set access"))
        .collect()
}

fn model_file_length(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let most = options.most.unwrap_or(200);
    let long = project.models().filter(|(_, node)| node.text.lines().count() > most);
    long.map(|(_, node)| at(project, node, format!("{} lines, more than {most}", node.text.lines().count())))
        .collect()
}

fn model_folder(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let known = options.folders_or(&["staging", "intermediate", "marts"]);
    let outside = project
        .models()
        .filter(|(_, node)| !node.folders.first().is_some_and(|folder| known.contains(folder)));
    outside
        .map(|(_, node)| (node.path.to_owned(), node.span, format!("is in none of {}", known.join(", "))))
        .collect()
}

fn model_group(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .models()
        .filter(|(_, node)| property(project, node, "group").is_none())
        .map(|(_, node)| at(project, node, "belongs to no group"))
        .collect()
}

fn model_materialization(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let names = options.names_or(&["table", "view", "incremental", "ephemeral"]);
    let other = project.models().filter(|(_, node)| {
        !node.settings.is_unknown("materialized")
            && !names.contains(&node.settings.text("materialized").unwrap_or("view"))
    });
    other.map(|(_, node)| at(project, node, format!("is not one of {}", names.join(", ")))).collect()
}

fn model_owner(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let names = options.names_or(&["owner"]);
    let without = project.models().filter(|(_, node)| {
        !names.iter().all(|name| {
            let of_entry = project.entry(node).and_then(|entry| entry.node.at(&["meta", *name])).is_some();
            of_entry || node.settings.is_set(&format!("meta.{name}")) || node.settings.is_unknown("meta")
        })
    });
    without.map(|(_, node)| at(project, node, format!("its meta lacks {}", names.join(", ")))).collect()
}

fn model_tags(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let names = options.names_or(&[]);
    let tags = |node: &Node<'_>| -> Vec<String> {
        let of_entry =
            project.entry(node).map(|entry| [entry.node.get("tags"), entry.node.at(&["config", "tags"])]);
        let listed = of_entry.into_iter().flatten().flatten().flat_map(Yaml::one_or_many);
        listed.filter_map(Yaml::text).map(str::to_owned).collect()
    };
    let without = project.models().filter(|(_, node)| {
        let own = tags(node);
        names.iter().any(|name| !own.iter().any(|tag| tag == name) && !node.text.contains(*name))
    });
    without.map(|(_, node)| at(project, node, format!("lacks a tag of {}", names.join(", ")))).collect()
}

fn project_documentation(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let described = |node: &Node<'_>| project.entry(node).and_then(Entry::description).is_some();
    coverage(project, options.percent.unwrap_or(100), &described, "described")
}

fn property_file_folder(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .models()
        .filter_map(|(_, node)| Some((node, project.entry(node)?)))
        .filter(|(node, entry)| folder(node.path) != folder(entry.path))
        .map(|(node, entry)| (entry.path.to_owned(), entry.span, format!("describes {}", node.path)))
        .collect()
}

fn property_file_name(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .models()
        .filter_map(|(_, node)| Some((node, project.entry(node)?)))
        .filter(|(node, entry)| stem(node.path) != stem(entry.path).trim_start_matches('_'))
        .map(|(node, entry)| (entry.path.to_owned(), entry.span, format!("describes `{}`", node.name)))
        .collect()
}

fn public_model_contract(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .models()
        .filter(|(_, node)| {
            is_public(project, node)
                && node.settings.truth("contract.enforced") != Some(true)
                && !node.settings.is_unknown("contract")
        })
        .map(|(_, node)| at(project, node, "is public and has no enforced contract"))
        .collect()
}

fn public_model_description(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .models()
        .filter(|(_, node)| {
            is_public(project, node) && project.entry(node).and_then(Entry::description).is_none()
        })
        .map(|(_, node)| at(project, node, "is public and has no description"))
        .collect()
}

fn versioned_model_latest(project: &Project<'_>, _: &Options) -> Vec<Place> {
    project
        .entries
        .iter()
        .filter(|entry| entry.node.get("versions").is_some() && entry.node.get("latest_version").is_none())
        .map(|entry| (entry.path.to_owned(), entry.span, format!("`{}` sets no latest_version", entry.name)))
        .collect()
}

fn forbidden_pattern(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let Some(pattern) = &options.pattern else { return Vec::new() };
    let found = |node: &Node<'_>| {
        let first = pattern.find(node.text)?;
        let span = Lines::new(node.text.as_bytes()).span(first.start(), first.end());
        Some((node.path.to_owned(), span, format!("`{}` matches the pattern", node.name)))
    };
    project.models().filter_map(|(_, node)| found(node)).collect()
}

fn model_constraint(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let names = options.names_or(&["primary_key"]);
    let kinds = |node: &Node<'_>| -> HashSet<String> {
        let entry = project.entry(node);
        let of_model = entry.into_iter().map(|entry| &entry.node);
        let of_columns = entry.into_iter().flat_map(Entry::columns);
        let listed = of_model.chain(of_columns).filter_map(|each| each.get("constraints"));
        listed.flat_map(Yaml::items).map(|constraint| text(constraint, "type").to_owned()).collect()
    };
    let without = project.models().filter(|(_, node)| {
        let own = kinds(node);
        !names.iter().all(|name| own.contains(*name))
    });
    without.map(|(_, node)| at(project, node, format!("has no constraint {}", names.join(", ")))).collect()
}

fn model_description_length(project: &Project<'_>, options: &Options) -> Vec<Place> {
    let least = options.least.unwrap_or(30);
    let is_short = |said: &str| !said.contains("{{") && said.trim().chars().count() < least;
    let short = project
        .models()
        .filter(|(_, node)| project.entry(node).and_then(Entry::description).is_some_and(is_short));
    short
        .map(|(_, node)| at(project, node, format!("is described in fewer than {least} characters")))
        .collect()
}
