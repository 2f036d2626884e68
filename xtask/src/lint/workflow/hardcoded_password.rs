//! A password of a container registry that is written into the workflow.

use super::view::View;
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "hardcoded-password",
    group: Group::Workflow,
    severity: Severity::High,
    summary: "The password for a container registry is written into the workflow.",
    why: "Everyone who can read the repository can use it, and it stays in the history after it is removed.",
    example: "```yaml\ncontainer:\n  image: registry.example/dbt\n  credentials: {username: ci, password: example}\n```\n\n\
              ```yaml\n  credentials:\n    username: ci\n    password: ${{ secrets.REGISTRY_PASSWORD }}\n```",
    remedy: "store it as a secret of the repository, and change it at the registry",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let jobs = view.jobs.iter().map(|job| job.node);
    let services =
        jobs.clone().filter_map(|job| job.get("services")).flat_map(Node::entries).map(|(_, node)| node);
    let containers = jobs.filter_map(|job| job.get("container")).chain(services);
    let offences = containers.filter_map(|container| {
        let password = container.at(&["credentials", "password"])?;
        let text = password.text().filter(|text| !text.is_empty() && !password.is_null())?;
        (!text.contains("${{")).then(|| view.offence(&RULE, password.span, "this password is not a secret"))
    });
    offences.collect()
}
