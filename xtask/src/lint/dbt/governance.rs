//! Governance: conventions of teams that run many models. Each check is off until `policies/lint.toml` names it, with
//! its severity, its scope (`include`, `exclude`) and its parameters.
//!
//! One family in one file: a check is one entry of texts and one function from the graph to places, and the checks
//! share the queries about models, columns, sources and declarations.
//!
//! ```toml
//! [rules.model-fan-out]
//! include = ["models/marts/**"]
//! parameters = { most = 10 }
//! ```

#![expect(clippy::unnecessary_wraps, reason = "checks share one signature, and some read a pattern")]

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result};
use regex::Regex;
use serde::Deserialize;

use super::reported_at;
use crate::core::finding::{Group, Severity, Span};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::{Declared, Entry, Found, Kind, Macro, Node, Project, Role, SourceTable, columns};
use crate::lint::rule::{Offence, Parameters, Rule};

/// A path, a place in it, and the message.
type Place = (String, Span, String);

/// The `parameters` of the checks; each check reads those that its summary names.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    folders: Vec<String>,
    names: Vec<String>,
    tests: Vec<String>,
    pattern: Option<String>,
    most: Option<usize>,
    least: Option<usize>,
    percent: Option<usize>,
}

impl Options {
    fn folders_or<'o>(&'o self, default: &[&'o str]) -> Vec<&'o str> {
        given_or(&self.folders, default)
    }

    fn names_or<'o>(&'o self, default: &[&'o str]) -> Vec<&'o str> {
        given_or(&self.names, default)
    }

    fn tests_or<'o>(&'o self, default: &[&'o str]) -> Vec<&'o str> {
        given_or(&self.tests, default)
    }

    fn pattern(&self, default: &str) -> Result<Regex> {
        let pattern = self.pattern.as_deref().unwrap_or(default);
        Regex::new(pattern).with_context(|| format!("`pattern = {pattern}` is not a regular expression"))
    }
}

fn given_or<'o>(given: &'o [String], default: &[&'o str]) -> Vec<&'o str> {
    if given.is_empty() { default.to_vec() } else { given.iter().map(String::as_str).collect() }
}

type Find = fn(&Project<'_>, &Options) -> Result<Vec<Place>>;

const fn rule(
    name: &'static str,
    summary: &'static str,
    why: &'static str,
    example: &'static str,
    remedy: &'static str,
) -> Rule {
    Rule { name, group: Group::Dbt, severity: Severity::Low, summary, why, example, remedy }
}

/// The offences of the checks that `parameters` name.
pub(super) fn check(project: &Project<'_>, parameters: &Parameters) -> Result<Vec<Offence>> {
    let mut offences = Vec::new();
    for (rule, find) in RULES.iter().zip(FINDS) {
        // A check that is not enabled costs nothing.
        if !parameters.0.contains_key(rule.name) {
            continue;
        }
        let options: Options = parameters.of(rule)?;
        let found = find(project, &options).with_context(|| format!("[rules.{}.parameters]", rule.name))?;
        offences.extend(found.into_iter().map(|(path, span, message)| rule.offence(&path, span, message)));
    }
    Ok(offences)
}

/// Sorted by name.
pub(crate) const RULES: &[Rule] = &[
    rule(
        "chained-views",
        "A view reads more views in a row than `most` (4).",
        "Every query of the last one runs all of them, which is slow and costs credits each time.",
        "`stg -> int_a -> int_b -> int_c -> mart`, all views. Materialize one in between as a table.",
        "materialize a model in between",
    ),
    rule(
        "column-description",
        "A column is listed without a description.",
        "The column list is the documentation that readers and catalogues see.",
        "`- name: order_id` alone. Add `description:`.",
        "describe the column",
    ),
    rule(
        "column-name",
        "A column's name does not match `pattern`.",
        "Names that follow one pattern can be guessed and searched.",
        "`OrderID` with the pattern `^[a-z][a-z0-9_]*$`. Write `order_id`.",
        "rename the column",
    ),
    rule(
        "column-type",
        "A column is listed without a data type.",
        "Contracts and unit tests need it, and without it a changed type is not noticed.",
        "`- name: order_id` alone. Add `data_type: integer`.",
        "add `data_type`",
    ),
    rule(
        "column-undocumented",
        "A column that the model selects is not in its property file.",
        "It has no description and no test, and no other check reports that.",
        "The model selects `discount`, but its `columns:` do not list it.",
        "list the column",
    ),
    rule(
        "deprecated-model",
        "A model is read after its deprecation date.",
        "It may be removed at any time.",
        "A model with `deprecation_date: 2026-01-31` is still read in February. Move the readers.",
        "move its readers to the successor, or set a later date",
    ),
    rule(
        "direct-source-join",
        "A model reads a source together with other models.",
        "Sources belong in staging models, which rename and type their columns once.",
        "`from {{ source('shop', 'orders') }} join {{ ref('customers') }}`. Read `stg_shop__orders`.",
        "read a staging model of the source",
    ),
    rule(
        "exposure-description",
        "An exposure has no description.",
        "When a model under it changes, the purpose of the dashboard is unknown.",
        "Add `description:`.",
        "describe the exposure",
    ),
    rule(
        "exposure-owner",
        "An exposure has no owner with an e-mail address.",
        "Authors of a change to a model under it do not know whom to ask.",
        "Add `owner: {name: …, email: …}`.",
        "name an owner with an e-mail address",
    ),
    rule(
        "exposure-private-model",
        "An exposure reads a model that is not public.",
        "Models without `access: public` may change without notice.",
        "Declare `access: public` and a contract for models that dashboards read.",
        "make the model public, or read one that is",
    ),
    rule(
        "exposure-url",
        "An exposure has no URL.",
        "Readers of the lineage cannot open it.",
        "Add `url:`.",
        "add the URL",
    ),
    rule(
        "group-owner",
        "A group has no owner with an e-mail address.",
        "A group names the people responsible for its models.",
        "Add `owner: {name: …, email: …}`.",
        "name an owner",
    ),
    rule(
        "incremental-schema-change",
        "An incremental model does not set `on_schema_change`.",
        "The default silently ignores new columns.",
        "`config(materialized='incremental')`. Add `on_schema_change='append_new_columns'`.",
        "set `on_schema_change`",
    ),
    rule(
        "macro-argument-description",
        "An argument of a macro is not described.",
        "Callers must read the macro to know which values to pass.",
        "List it under `arguments:` with a description.",
        "describe the argument",
    ),
    rule(
        "macro-argument-type",
        "A described argument of a macro has no type.",
        "dbt checks arguments against their types since version 1.10.",
        "`arguments: [{name: column, type: string}]`.",
        "add `type`",
    ),
    rule(
        "macro-description",
        "A macro is not described in a property file.",
        "Callers must read it to know what it does.",
        "`macros: [{name: cents, description: …}]`.",
        "describe the macro",
    ),
    rule(
        "macro-file-name",
        "No macro in a macro file has the file's name.",
        "Readers look for a macro by the name of its file.",
        "`macros/money.sql` with `cents` alone. Name it `macros/cents.sql`.",
        "name the file after the macro in it",
    ),
    rule(
        "model-access",
        "A model does not set `access`.",
        "Without it every model is protected, and readers do not know which models are a stable interface.",
        "`access: public` or `access: private`.",
        "set `access`",
    ),
    rule(
        "model-fan-in",
        "A model reads more than `most` (10) others.",
        "A model with many inputs does several things at once.",
        "Join in steps, with one model per step.",
        "split the model",
    ),
    rule(
        "model-fan-out",
        "More than `most` (5) models read a model directly.",
        "Each reader repeats the same steps; a change touches them all.",
        "Move the shared steps into a model in between.",
        "put a model in between",
    ),
    rule(
        "model-file-length",
        "A model has more than `most` (200) lines.",
        "Long models hide steps that should be separate, tested models.",
        "Move steps into separate models.",
        "split the model",
    ),
    rule(
        "model-folder",
        "A model is not in one of the `folders`.",
        "A model's layer is determined by its folder; a model outside of the folders has no layer.",
        "`models/orders.sql` with `folders = [\"staging\", \"marts\"]`.",
        "move it into a layer's folder",
    ),
    rule(
        "model-group",
        "A model belongs to no group.",
        "Groups define who is responsible for a model, and who may read private ones.",
        "`group: finance`.",
        "set `group`",
    ),
    rule(
        "model-materialization",
        "A model is materialized in a way that is not among `names`.",
        "Marts as views are slow; staging models as tables store and compute the data twice.",
        "Scope it: `include = [\"models/marts/**\"]`, `names = [\"table\", \"incremental\"]`.",
        "materialize it as one of the names",
    ),
    rule(
        "model-owner",
        "A model names no owner in `meta` under one of `names` (owner).",
        "When it breaks, the person to ask is unknown.",
        "`config: {meta: {owner: data-team@example.org}}`.",
        "add the owner to `meta`",
    ),
    rule(
        "model-tags",
        "A model lacks one of the tags in `names`.",
        "Tags select what is built and tested.",
        "`names = [\"daily\"]`.",
        "add the tag",
    ),
    rule(
        "model-test-count",
        "A model has fewer than `least` (1) data tests.",
        "Errors in an untested model are found by its readers.",
        "`data_tests: [unique, not_null]` on its key.",
        "add tests",
    ),
    rule(
        "model-test-kind",
        "A model lacks one of the kinds of tests in `tests` (unique, not_null).",
        "Each kind finds errors that the others miss.",
        "`tests = [\"unique\", \"relationships\"]`.",
        "add a test of that kind",
    ),
    rule(
        "model-unit-test",
        "A model has no unit test.",
        "Data tests check today's data; a unit test checks chosen edge cases.",
        "`unit_tests: [{name: …, model: …, given: …, expect: …}]`.",
        "add a unit test",
    ),
    rule(
        "multiple-sources",
        "A model reads more than one source table.",
        "Staging has one model per source table; joins come later.",
        "`stg_orders` reads `orders` and `customers`. Stage each.",
        "write one staging model for each",
    ),
    rule(
        "project-documentation",
        "Less than `percent` (100) of the models are described.",
        "Coverage shows whether documentation keeps up with new models.",
        "Describe models, or lower `percent`.",
        "describe more models",
    ),
    rule(
        "project-test-coverage",
        "Less than `percent` (100) of the models have a data test.",
        "Coverage shows whether tests keep up with new models.",
        "Test models, or lower `percent`.",
        "test more models",
    ),
    rule(
        "project-unit-test-coverage",
        "Less than `percent` (100) of the models have a unit test.",
        "Coverage shows whether unit tests keep up with new models.",
        "Add unit tests, or lower `percent`.",
        "add unit tests",
    ),
    rule(
        "property-file-folder",
        "A model is described in a file of another folder.",
        "Readers look for properties next to the model, and the two should move together.",
        "`models/marts/orders.sql` described in `models/schema.yml`.",
        "move the entry into the model's folder",
    ),
    rule(
        "property-file-name",
        "A model is described in a file with a different name.",
        "With one file per model, a change is easy to see and merge conflicts are rare.",
        "One `schema.yml` for all models. Write `orders.yml` next to `orders.sql`.",
        "move the entry into a file with the model's name",
    ),
    rule(
        "public-model-contract",
        "A public model has no enforced contract.",
        "Other teams rely on its columns, and only a contract guarantees them.",
        "`access: public` with `contract: {enforced: true}`.",
        "enforce a contract",
    ),
    rule(
        "public-model-description",
        "A public model has no description.",
        "Other teams read it and cannot ask its authors.",
        "Describe it: its grain and its time range.",
        "describe the model",
    ),
    rule(
        "repeated-path",
        "A model reads a relation both directly and through one of its other parents.",
        "The two paths may be in different states, and the same data is joined twice.",
        "`orders -> int_orders -> mart` and `orders -> mart`. Add the missing columns to `int_orders`.",
        "read it through one of them",
    ),
    rule(
        "root-model",
        "A model reads nothing.",
        "dbt does not know where its data comes from.",
        "`select * from prod.orders`. Declare a source.",
        "read sources and models by `source` and `ref`",
    ),
    rule(
        "seed-column-type",
        "A seed does not give the types of its columns.",
        "The loader infers the types, and may infer others when the data changes.",
        "`config: {column_types: {id: integer}}`.",
        "set `column_types`",
    ),
    rule(
        "seed-description",
        "A seed has no description.",
        "The origin of its rows and the people who may change them are unknown.",
        "`seeds: [{name: …, description: …}]`.",
        "describe the seed",
    ),
    rule(
        "singular-test-description",
        "A singular test is not described.",
        "Its description explains what a failure means.",
        "`data_tests: [{name: …, description: …}]`.",
        "describe the test",
    ),
    rule(
        "snapshot-description",
        "A snapshot has no description.",
        "Readers cannot know which history it records.",
        "`snapshots: [{name: …, description: …}]`.",
        "describe the snapshot",
    ),
    rule(
        "source-description",
        "A table of a source has no description.",
        "Staging models are written from the meaning of the table.",
        "Describe the table.",
        "describe the table",
    ),
    rule(
        "source-fan-out",
        "More than one model reads a table of a source.",
        "Columns are renamed and typed twice, and the two versions drift apart.",
        "Read the staging model instead.",
        "read the staging model",
    ),
    rule(
        "source-freshness",
        "A table of a source has no freshness.",
        "Stale data looks like current data.",
        "`config: {freshness: {warn_after: {count: 1, period: day}}}`.",
        "set `freshness` and `loaded_at_field`",
    ),
    rule(
        "source-loader",
        "A source does not say what loads it.",
        "When it is late, the place to look is unknown.",
        "`loader: fivetran`.",
        "set `loader`",
    ),
    rule(
        "source-owner",
        "A source names no owner in `meta` under one of `names` (owner).",
        "When it is late, the question is whom to ask.",
        "`config: {meta: {owner: …}}`.",
        "add the owner to `meta`",
    ),
    rule(
        "source-test",
        "A table of a source has no test.",
        "What comes in wrong goes through all models.",
        "`data_tests: [unique, not_null]` on its key.",
        "test the table",
    ),
    rule(
        "staging-reads-staging",
        "A staging model reads another staging model.",
        "Staging is one step from the source: joins come later.",
        "Scope by `folders` (staging).",
        "move the join into an intermediate model",
    ),
    rule(
        "unit-test-description",
        "A unit test has no description.",
        "Its name rarely says which case it is about.",
        "`description: refunds do not count as orders`.",
        "describe the case",
    ),
    rule(
        "unit-test-inputs",
        "A unit test gives no input.",
        "It then tests nothing but constants.",
        "`given: [{input: ref('orders'), rows: […]}]`.",
        "give the inputs of the model",
    ),
    rule(
        "unused-macro",
        "A macro is called by nothing in the project.",
        "It is read, kept and translated for nothing.",
        "Delete it, or call it. Macros that dbt calls by their names are left out.",
        "delete the macro",
    ),
    rule(
        "unused-source",
        "No model reads a table of a source.",
        "It is loaded and tested at a cost, and no model uses it.",
        "Delete it, or stage it.",
        "delete the table, or stage it",
    ),
    rule(
        "versioned-model-latest",
        "A model with versions does not say which is the latest.",
        "Without `latest_version` the highest counts, also one that is a draft.",
        "`latest_version: 2`.",
        "set `latest_version`",
    ),
];

/// In the order of [`RULES`].
const FINDS: &[Find] = &[
    chained_views,
    column_description,
    column_name,
    column_type,
    column_undocumented,
    deprecated_model,
    direct_source_join,
    exposure_description,
    exposure_owner,
    exposure_private_model,
    exposure_url,
    group_owner,
    incremental_schema_change,
    macro_argument_description,
    macro_argument_type,
    macro_description,
    macro_file_name,
    model_access,
    model_fan_in,
    model_fan_out,
    model_file_length,
    model_folder,
    model_group,
    model_materialization,
    model_owner,
    model_tags,
    model_test_count,
    model_test_kind,
    model_unit_test,
    multiple_sources,
    project_documentation,
    project_test_coverage,
    project_unit_test_coverage,
    property_file_folder,
    property_file_name,
    public_model_contract,
    public_model_description,
    repeated_path,
    root_model,
    seed_column_type,
    seed_description,
    singular_test_description,
    snapshot_description,
    source_description,
    source_fan_out,
    source_freshness,
    source_loader,
    source_owner,
    source_test,
    staging_reads_staging,
    unit_test_description,
    unit_test_inputs,
    unused_macro,
    unused_source,
    versioned_model_latest,
];

fn chained_views(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
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
    };
    Ok(found)
}

fn column_description(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(columns(project, |column| !has_text(column, "description"), "has no description"))
}

fn column_name(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let pattern = options.pattern(r"^[a-z][a-z0-9_]*$")?;
        columns(project, |column| !pattern.is_match(text(column, "name")), "does not match the pattern")
    };
    Ok(found)
}

fn column_type(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(columns(project, |column| !has_text(column, "data_type"), "has no data_type"))
}

fn column_undocumented(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let mut found = Vec::new();
        for (_, node) in project.models().filter(|(_, node)| node.is_sql()) {
            let (Some(entry), Some(selected)) = (project.entry(node), columns::of(node.text)) else {
                continue;
            };
            let listed: HashSet<String> =
                entry.columns().iter().map(|column| text(column, "name").to_lowercase()).collect();
            for column in selected.iter().filter(|column| !listed.contains(&column.to_lowercase())) {
                found.push((
                    entry.path.to_owned(),
                    entry.span,
                    format!("the column `{column}` is not listed"),
                ));
            }
        }
        found
    };
    Ok(found)
}

fn deprecated_model(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let today = jiff::Zoned::now().date().to_string();
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
    };
    Ok(found)
}

fn direct_source_join(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .models()
        .filter(|(_, node)| {
            reads_source(node) && node.parents.iter().any(|parent| matches!(parent.found, Found::Node(_)))
        })
        .map(|(_, node)| at(project, node, "reads a source and other models"))
        .collect())
}

fn exposure_description(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(declared(project, "exposures", |node| !has_text(node, "description"), "has no description"))
}

fn exposure_owner(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(declared(
        project,
        "exposures",
        |node| node.at(&["owner", "email"]).and_then(Yaml::text).is_none_or(str::is_empty),
        "has no owner with an e-mail address",
    ))
}

fn exposure_private_model(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let mut found = Vec::new();
        for mention in project.mentions.iter().filter(|mention| mention.role == Role::Consumer) {
            if let Found::Node(index) = mention.found
                && property(project, &project.nodes[index], "access").as_deref() != Some("public")
            {
                let message = format!("reads `{}`, which is not public", project.nodes[index].name);
                found.push((mention.path.to_owned(), mention.span, message));
            }
        }
        found
    };
    Ok(found)
}

fn exposure_url(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(declared(project, "exposures", |node| !has_text(node, "url"), "has no url"))
}

fn group_owner(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(declared(
        project,
        "groups",
        |node| node.at(&["owner", "email"]).and_then(Yaml::text).is_none_or(str::is_empty),
        "has no owner with an e-mail address",
    ))
}

fn incremental_schema_change(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .models()
        .filter(|(_, node)| {
            node.settings.text("materialized") == Some("incremental")
                && !node.settings.is_set("on_schema_change")
        })
        .map(|(_, node)| at(project, node, "does not set on_schema_change"))
        .collect())
}

fn macro_argument_description(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let mut found = Vec::new();
        for each in project.macros.iter().filter(|each| each.keyword == "macro") {
            let Some(entry) = declaration(project, "macros", each.name) else { continue };
            let arguments = entry.node.get("arguments").map(Yaml::items).unwrap_or_default();
            for parameter in &each.parameters {
                let is_described = arguments.iter().any(|argument| {
                    text(argument, "name") == *parameter && has_text(argument, "description")
                });
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
    };
    Ok(found)
}

fn macro_argument_type(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let mut found = Vec::new();
        for each in declarations(project, "macros") {
            let arguments = each.node.get("arguments").map(Yaml::items).unwrap_or_default();
            for argument in arguments.iter().filter(|argument| !has_text(argument, "type")) {
                let message = format!("the argument `{}` has no type", text(argument, "name"));
                found.push((each.path.to_owned(), argument.span, message));
            }
        }
        found
    };
    Ok(found)
}

fn macro_description(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .macros
        .iter()
        .filter(|each| each.keyword == "macro")
        .filter(|each| {
            declaration(project, "macros", each.name)
                .is_none_or(|entry| !has_text(&entry.node, "description"))
        })
        .map(|each| (each.path.to_owned(), each.span, format!("the macro `{}` is not described", each.name)))
        .collect())
}

fn macro_file_name(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let mut files: HashMap<&str, Vec<&Macro<'_>>> = HashMap::new();
        for each in project.macros.iter().filter(|each| each.keyword == "macro") {
            files.entry(each.path).or_default().push(each);
        }
        files
            .into_iter()
            .filter(|(path, macros)| !macros.iter().any(|each| each.name == stem(path)))
            .map(|(path, macros)| {
                (path.to_owned(), macros[0].span, "no macro has the file's name".to_owned())
            })
            .collect()
    };
    Ok(found)
}

fn model_access(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .models()
        .filter(|(_, node)| property(project, node, "access").is_none())
        .map(|(_, node)| at(project, node, "does not set access"))
        .collect())
}

fn model_fan_in(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let most = options.most.unwrap_or(10);
        let wide = project.models().filter(|(_, node)| node.parents.len() > most);
        wide.map(|(_, node)| {
            at(project, node, format!("reads {} relations, more than {most}", node.parents.len()))
        })
        .collect()
    };
    Ok(found)
}

fn model_fan_out(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let most = options.most.unwrap_or(5);
        let children = children(project);
        let count = |index: usize| children.get(&index).map_or(0, Vec::len);
        let wide = project.models().filter(|(index, _)| count(*index) > most);
        wide.map(|(index, node)| {
            at(project, node, format!("is read by {} models, more than {most}", count(index)))
        })
        .collect()
    };
    Ok(found)
}

fn model_file_length(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let most = options.most.unwrap_or(200);
        let long = project.models().filter(|(_, node)| node.text.lines().count() > most);
        long.map(|(_, node)| {
            at(project, node, format!("{} lines, more than {most}", node.text.lines().count()))
        })
        .collect()
    };
    Ok(found)
}

fn model_folder(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let known = options.folders_or(&["staging", "intermediate", "marts"]);
        let outside = project
            .models()
            .filter(|(_, node)| !node.folders.first().is_some_and(|folder| known.contains(folder)));
        outside
            .map(|(_, node)| (node.path.to_owned(), node.span, format!("is in none of {}", known.join(", "))))
            .collect()
    };
    Ok(found)
}

fn model_group(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .models()
        .filter(|(_, node)| property(project, node, "group").is_none())
        .map(|(_, node)| at(project, node, "belongs to no group"))
        .collect())
}

fn model_materialization(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let names = options.names_or(&["table", "view", "incremental", "ephemeral"]);
        let other = project.models().filter(|(_, node)| {
            !node.settings.is_unknown("materialized")
                && !names.contains(&node.settings.text("materialized").unwrap_or("view"))
        });
        other.map(|(_, node)| at(project, node, format!("is not one of {}", names.join(", ")))).collect()
    };
    Ok(found)
}

fn model_owner(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let names = options.names_or(&["owner"]);
        let without = project.models().filter(|(_, node)| {
            !names.iter().all(|name| {
                let of_entry =
                    project.entry(node).and_then(|entry| entry.node.at(&["meta", *name])).is_some();
                of_entry || node.settings.is_set(&format!("meta.{name}")) || node.settings.is_unknown("meta")
            })
        });
        without.map(|(_, node)| at(project, node, format!("its meta lacks {}", names.join(", ")))).collect()
    };
    Ok(found)
}

fn model_tags(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
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
    };
    Ok(found)
}

fn model_test_count(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let least = options.least.unwrap_or(1);
        let tests = |node: &Node<'_>| project.entry(node).map_or(0, |entry| entry.tests().len());
        let few = project.models().filter(|(_, node)| tests(node) < least);
        few.map(|(_, node)| at(project, node, format!("has {} tests, fewer than {least}", tests(node))))
            .collect()
    };
    Ok(found)
}

fn model_test_kind(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let kinds = options.tests_or(&["unique", "not_null"]);
        let missing = |node: &Node<'_>| -> Vec<&str> {
            let own = project.entry(node).map(Entry::tests).unwrap_or_default();
            let has = |kind: &str| own.iter().any(|test| test.rsplit('.').next() == Some(kind));
            kinds.iter().copied().filter(|kind| !has(kind)).collect()
        };
        let without = project.models().filter(|(_, node)| !missing(node).is_empty());
        without
            .map(|(_, node)| at(project, node, format!("has no test {}", missing(node).join(", "))))
            .collect()
    };
    Ok(found)
}

fn model_unit_test(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let tested: HashSet<&str> =
            declarations(project, "unit_tests").map(|each| text(&each.node, "model")).collect();
        let without = project.models().filter(|(_, node)| !tested.contains(node.name));
        without.map(|(_, node)| at(project, node, "has no unit test".to_owned())).collect()
    };
    Ok(found)
}

fn multiple_sources(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .models()
        .filter(|(_, node)| sources_of(node) > 1)
        .map(|(_, node)| at(project, node, format!("reads {} source tables", sources_of(node))))
        .collect())
}

fn project_documentation(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let described = |node: &Node<'_>| project.entry(node).and_then(Entry::description).is_some();
        coverage(project, options.percent.unwrap_or(100), &described, "described")
    };
    Ok(found)
}

fn project_test_coverage(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let tested = |node: &Node<'_>| project.entry(node).is_some_and(|entry| !entry.tests().is_empty());
        coverage(project, options.percent.unwrap_or(100), &tested, "tested")
    };
    Ok(found)
}

fn project_unit_test_coverage(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let units: HashSet<&str> =
            declarations(project, "unit_tests").map(|each| text(&each.node, "model")).collect();
        coverage(project, options.percent.unwrap_or(100), &|node| units.contains(node.name), "unit-tested")
    };
    Ok(found)
}

fn property_file_folder(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .models()
        .filter_map(|(_, node)| Some((node, project.entry(node)?)))
        .filter(|(node, entry)| folder(node.path) != folder(entry.path))
        .map(|(node, entry)| (entry.path.to_owned(), entry.span, format!("describes {}", node.path)))
        .collect())
}

fn property_file_name(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .models()
        .filter_map(|(_, node)| Some((node, project.entry(node)?)))
        .filter(|(node, entry)| stem(node.path) != stem(entry.path).trim_start_matches('_'))
        .map(|(node, entry)| (entry.path.to_owned(), entry.span, format!("describes `{}`", node.name)))
        .collect())
}

fn public_model_contract(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .models()
        .filter(|(_, node)| {
            is_public(project, node)
                && node.settings.truth("contract.enforced") != Some(true)
                && !node.settings.is_unknown("contract")
        })
        .map(|(_, node)| at(project, node, "is public and has no enforced contract"))
        .collect())
}

fn public_model_description(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .models()
        .filter(|(_, node)| {
            is_public(project, node) && project.entry(node).and_then(Entry::description).is_none()
        })
        .map(|(_, node)| at(project, node, "is public and has no description"))
        .collect())
}

fn repeated_path(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
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
    };
    Ok(found)
}

fn root_model(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .models()
        .filter(|(_, node)| node.parents.is_empty() && node.uses.is_empty() && node.is_sql())
        .map(|(_, node)| at(project, node, "reads neither a source nor a model"))
        .collect())
}

fn seed_column_type(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .relations()
        .filter(|(_, node)| node.kind == Kind::Seed && !node.settings.is_set("column_types"))
        .map(|(_, node)| at(project, node, "sets no column_types".to_owned()))
        .collect())
}

fn seed_description(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .relations()
        .filter(|(_, node)| {
            node.kind == Kind::Seed && project.entry(node).and_then(Entry::description).is_none()
        })
        .map(|(_, node)| at(project, node, "has no description".to_owned()))
        .collect())
}

fn singular_test_description(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .nodes
        .iter()
        .filter(|node| node.kind == Kind::Test && node.is_enabled)
        .filter(|node| {
            let known = ["data_tests", "tests"].iter().find_map(|key| declaration(project, key, node.name));
            known.is_none_or(|entry| !has_text(&entry.node, "description"))
        })
        .map(|node| (node.path.to_owned(), node.span, "is not described".to_owned()))
        .collect())
}

fn snapshot_description(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .relations()
        .filter(|(_, node)| {
            node.kind == Kind::Snapshot && project.entry(node).and_then(Entry::description).is_none()
        })
        .map(|(_, node)| at(project, node, "has no description".to_owned()))
        .collect())
}

fn source_description(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(tables(project, |table| !has_text(&table.node, "description"), "has no description"))
}

fn source_fan_out(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
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
    };
    Ok(found)
}

fn source_freshness(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(tables(
        project,
        |table| {
            let of =
                |node: &Yaml| node.get("freshness").or_else(|| node.at(&["config", "freshness"])).is_some();
            !of(&table.node) && !of(&table.parent)
        },
        "has no freshness",
    ))
}

fn source_loader(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(tables(
        project,
        |table| !has_text(&table.parent, "loader") && !has_text(&table.node, "loader"),
        "has no loader",
    ))
}

fn source_owner(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
        let names = options.names_or(&["owner"]);
        let has = |node: &Yaml, name: &str| {
            node.at(&["meta", name]).or_else(|| node.at(&["config", "meta", name])).is_some()
        };
        tables(
            project,
            |table| !names.iter().all(|name| has(&table.node, name) || has(&table.parent, name)),
            "names no owner",
        )
    };
    Ok(found)
}

fn source_test(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(tables(
        project,
        |table| {
            let columns = table.node.get("columns").map(Yaml::items).unwrap_or_default();
            let has = |node: &Yaml| ["data_tests", "tests"].iter().any(|key| node.get(key).is_some());
            !has(&table.node) && !columns.iter().any(has)
        },
        "has no test",
    ))
}

fn staging_reads_staging(project: &Project<'_>, options: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
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
    };
    Ok(found)
}

fn unit_test_description(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(declared(project, "unit_tests", |node| !has_text(node, "description"), "has no description"))
}

fn unit_test_inputs(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(declared(
        project,
        "unit_tests",
        |node| node.get("given").map(Yaml::items).unwrap_or_default().is_empty(),
        "gives no input",
    ))
}

fn unused_macro(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
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
    };
    Ok(found)
}

fn unused_source(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    let found: Vec<Place> = {
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
    };
    Ok(found)
}

fn versioned_model_latest(project: &Project<'_>, _: &Options) -> Result<Vec<Place>> {
    Ok(project
        .entries
        .iter()
        .filter(|entry| entry.node.get("versions").is_some() && entry.node.get("latest_version").is_none())
        .map(|entry| (entry.path.to_owned(), entry.span, format!("`{}` sets no latest_version", entry.name)))
        .collect())
}

fn at(project: &Project<'_>, node: &Node<'_>, message: impl Into<String>) -> Place {
    let (path, span) = reported_at(project, node);
    (path.to_owned(), span, format!("`{}`: {}", node.name, message.into()))
}

fn text<'y>(node: &'y Yaml, key: &str) -> &'y str {
    node.get(key).and_then(Yaml::text).unwrap_or_default()
}

fn has_text(node: &Yaml, key: &str) -> bool {
    !text(node, key).trim().is_empty()
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn stem(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split_once('.').map_or(file, |(stem, _)| stem)
}

/// Listed columns of enabled models that are `wrong`.
fn columns(project: &Project<'_>, wrong: impl Fn(&Yaml) -> bool, what: &str) -> Vec<Place> {
    let entries = project.models().filter_map(|(_, node)| project.entry(node));
    let mut seen = HashSet::new();
    entries
        .filter(|entry| seen.insert((entry.path, entry.span.line, entry.span.column)))
        .flat_map(|entry| entry.columns().iter().map(move |column| (entry, column)))
        .filter(|(_, column)| wrong(column))
        .map(|(entry, column)| {
            (entry.path.to_owned(), column.span, format!("the column `{}` {what}", text(column, "name")))
        })
        .collect()
}

/// Tables of sources that are `wrong`.
fn tables(project: &Project<'_>, wrong: impl Fn(&SourceTable<'_>) -> bool, what: &str) -> Vec<Place> {
    let tables = project.sources.iter().filter(|table| wrong(table));
    tables
        .map(|table| (table.path.to_owned(), table.span, format!("`{}.{}` {what}", table.source, table.name)))
        .collect()
}

fn declarations<'p, 'a>(project: &'p Project<'a>, key: &'p str) -> impl Iterator<Item = &'p Declared<'a>> {
    project.declared.iter().filter(move |each| each.key == key)
}

fn declaration<'p, 'a>(project: &'p Project<'a>, key: &'p str, name: &str) -> Option<&'p Declared<'a>> {
    declarations(project, key).find(|each| text(&each.node, "name") == name)
}

/// Exposures, groups and the like that are `wrong`.
fn declared(project: &Project<'_>, key: &str, wrong: impl Fn(&Yaml) -> bool, what: &str) -> Vec<Place> {
    declarations(project, key)
        .filter(|each| wrong(&each.node))
        .map(|each| (each.path.to_owned(), each.span, format!("`{}` {what}", text(&each.node, "name"))))
        .collect()
}

/// A property that may be written at the entry or as a setting.
fn property(project: &Project<'_>, node: &Node<'_>, key: &str) -> Option<String> {
    let of_entry = project.entry(node).and_then(|entry| entry.node.get(key)).and_then(Yaml::text);
    of_entry.or_else(|| node.settings.text(key)).map(str::to_owned)
}

fn is_public(project: &Project<'_>, node: &Node<'_>) -> bool {
    property(project, node, "access").as_deref() == Some("public")
}

fn sources_of(node: &Node<'_>) -> usize {
    node.parents.iter().filter(|parent| matches!(parent.found, Found::Source(_))).count()
}

fn reads_source(node: &Node<'_>) -> bool {
    sources_of(node) > 0
}

/// The models that read each node.
fn children(project: &Project<'_>) -> HashMap<usize, Vec<usize>> {
    let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, node) in project.models() {
        for parent in &node.parents {
            if let Found::Node(above) = parent.found {
                children.entry(above).or_default().push(index);
            }
        }
    }
    children
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

/// The project itself, if fewer models than `percent` of all are covered.
fn coverage(
    project: &Project<'_>,
    percent: usize,
    is_covered: &impl Fn(&Node<'_>) -> bool,
    what: &str,
) -> Vec<Place> {
    let all = project.models().count();
    let covered = project.models().filter(|(_, node)| is_covered(node)).count();
    if all == 0 || covered * 100 >= percent * all {
        return Vec::new();
    }
    let span = Span { line: 1, column: 1, end_line: 1, end_column: 1 };
    let share = covered * 100 / all;
    vec![(
        project.path.to_owned(),
        span,
        format!("{share} % of {all} models are {what}, less than {percent} %"),
    )]
}
