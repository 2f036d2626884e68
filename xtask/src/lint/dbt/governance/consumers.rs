//! What reads the models from outside: exposures, and the groups that answer for models.

use super::{Check, Options, Place, check, declared, has_text, property};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::{Found, Kind, Node, Project, Role};

pub(super) const CHECKS: &[Check] = &[
    check(
        "exposure-description",
        "An exposure has no description.",
        "When a model under it changes, the purpose of the dashboard is unknown.",
        "Add `description:`.",
        "describe the exposure",
        exposure_description,
    ),
    check(
        "exposure-of-view",
        "An exposure reads a model that is a view.",
        "Every look at the dashboard runs all that is under the view.",
        "Materialize models that dashboards read as tables.",
        "materialize the model as a table",
        exposure_of_view,
    ),
    check(
        "exposure-owner",
        "An exposure has no owner with an e-mail address.",
        "Authors of a change to a model under it do not know whom to ask.",
        "Add `owner: {name: …, email: …}`.",
        "name an owner with an e-mail address",
        exposure_owner,
    ),
    check(
        "exposure-private-model",
        "An exposure reads a model that is not public.",
        "Models without `access: public` may change without notice.",
        "Declare `access: public` and a contract for models that dashboards read.",
        "make the model public, or read one that is",
        exposure_private_model,
    ),
    check(
        "exposure-url",
        "An exposure has no URL.",
        "Readers of the lineage cannot open it.",
        "Add `url:`.",
        "add the URL",
        exposure_url,
    ),
    check(
        "group-owner",
        "A group has no owner with an e-mail address.",
        "A group names the people responsible for its models.",
        "Add `owner: {name: …, email: …}`.",
        "name an owner",
        group_owner,
    ),
];

fn exposure_description(project: &Project<'_>, _: &Options) -> Vec<Place> {
    declared(project, "exposures", |node| !has_text(node, "description"), "has no description")
}

fn exposure_owner(project: &Project<'_>, _: &Options) -> Vec<Place> {
    declared(
        project,
        "exposures",
        |node| node.at(&["owner", "email"]).and_then(Yaml::text).is_none_or(str::is_empty),
        "has no owner with an e-mail address",
    )
}

fn exposure_private_model(project: &Project<'_>, _: &Options) -> Vec<Place> {
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
}

fn exposure_url(project: &Project<'_>, _: &Options) -> Vec<Place> {
    declared(project, "exposures", |node| !has_text(node, "url"), "has no url")
}

fn group_owner(project: &Project<'_>, _: &Options) -> Vec<Place> {
    declared(
        project,
        "groups",
        |node| node.at(&["owner", "email"]).and_then(Yaml::text).is_none_or(str::is_empty),
        "has no owner with an e-mail address",
    )
}

fn exposure_of_view(project: &Project<'_>, _: &Options) -> Vec<Place> {
    let is_view = |node: &Node<'_>| {
        node.kind == Kind::Model
            && !node.settings.is_unknown("materialized")
            && matches!(node.settings.text("materialized"), None | Some("view"))
    };
    let consumers = project.mentions.iter().filter(|mention| mention.role == Role::Consumer);
    consumers
        .filter_map(|mention| match mention.found {
            Found::Node(index) if is_view(&project.nodes[index]) => {
                let message = format!("reads `{}`, which is a view", project.nodes[index].name);
                Some((mention.path.to_owned(), mention.span, message))
            }
            _ => None,
        })
        .collect()
}
