//! A description that refers to a docs block that does not exist.

use crate::core::finding::{Group, Severity};
use crate::dbt::graph::Project;
use crate::lint::nearest::nearest;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "missing-docs-block",
    group: Group::Dbt,
    severity: Severity::High,
    summary: "A description names a `{% docs %}` block that the project does not have.",
    why: "dbt rejects the whole project when it parses it: no model is built. A declared package that is not \
          installed may define the block; then nothing is reported.",
    example: "```yaml\ndescription: \"{{ doc('orders_stauts') }}\"\n```\n\n```yaml\ndescription: \"{{ doc('orders_status') \
              }}\"   # {% docs orders_status %} is in a .md file\n```",
    remedy: "correct the name, or add the block to a .md file",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let own = project.name().unwrap_or_default();
    let mut offences: Vec<Offence> = Vec::new();
    for mention in &project.doc_mentions {
        let name = mention.name.as_str();
        let is_known = match mention.package.as_deref() {
            Some("dbt") => true,
            Some(package) if package != own => {
                project.installed.has_docs(name) || !project.installed.has_package(package)
            }
            Some(_) => project.docs.contains_key(name),
            None => {
                project.docs.contains_key(name)
                    || project.installed.has_docs(name)
                    || !project.installed.is_complete
                    || name.starts_with("__")
            }
        };
        if !is_known {
            let near = nearest(name, offences.len(), project.docs.keys().copied());
            let message = format!("no docs block is named `{name}`{near}");
            offences.push(RULE.offence(mention.path, mention.span, message));
        }
    }
    offences
}
