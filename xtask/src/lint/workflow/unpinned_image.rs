//! A container whose image its owner can change at any time.

use super::contexts;
use super::expression::Expression;
use super::view::{Job, View};
use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "unpinned-image",
    group: Group::Workflow,
    severity: Severity::Low,
    summary: "The image of a container or service is not pinned to a digest.",
    why: "Tags move. Two runs of one commit can use different images, and an attacker who controls the registry's \
          account gets the secrets of the job.",
    example: "```yaml\ncontainer: python:3.13\n```\n\n```yaml\ncontainer: python:3.13@sha256:…\n```",
    remedy: "add the digest: `image:tag@sha256:…`",
};

pub(super) fn check(view: &View<'_>) -> Vec<Offence> {
    let mut offences = Vec::new();
    for job in &view.jobs {
        let services = job.node.get("services").map(Node::entries).unwrap_or_default();
        let containers =
            job.node.get("container").into_iter().chain(services.iter().map(|(_, service)| service));
        for container in containers {
            let named = if container.is_scalar() { Some(container) } else { container.get("image") };
            let Some(node) = named else { continue };
            if let Some(image) = images(view, job, node).into_iter().find(|image| is_unpinned(image)) {
                offences.push(view.offence(&RULE, node.span, format!("`{image}` is not pinned to a digest")));
            }
        }
    }
    offences
}

fn is_unpinned(image: &str) -> bool {
    !image.is_empty() && !image.contains("@sha256:") && !image.contains("${{")
}

/// The image, or those of the matrix that it is one of.
fn images<'a>(view: &View<'a>, job: &Job<'a>, node: &'a Node) -> Vec<&'a str> {
    match contexts::whole(view, node) {
        Some(Expression::Property(object, name)) if **object == Expression::Context("matrix".to_owned()) => {
            job.matrix_values(name).filter_map(Node::text).collect()
        }
        _ => node.text().into_iter().collect(),
    }
}
