//! A property file of a shape that dbt rejects.

use crate::core::finding::{Group, Severity};
use crate::dbt::graph::Project;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "invalid-properties",
    group: Group::Dbt,
    severity: Severity::High,
    summary: "A property file has a list, an item or a test of a shape that dbt rejects.",
    why: "dbt stops with an error when it parses the project: no model is built.",
    example: "```yaml\nmodels:\n  name: orders          # not a list\n```\n\n```yaml\nmodels:\n  - name: orders\n    \
              columns:\n      - name: order_id\n        data_tests:\n          - not_null:\n              config: {severity: \
              warn}   # below the name, not beside it\n```",
    remedy: "write a list of mappings with a `name`, and one key for each test",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let offences =
        project.malformed.iter().map(|each| RULE.offence(each.path, each.span, each.message.clone()));
    offences.collect()
}
