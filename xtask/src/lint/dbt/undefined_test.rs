//! A generic test that does not exist.

use std::collections::HashSet;

use crate::core::finding::{Group, Severity};
use crate::dbt::graph::{Applied, Project};
use crate::lint::nearest::nearest;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "undefined-test",
    group: Group::Dbt,
    severity: Severity::High,
    summary: "A property file applies a test that neither the project, nor its packages, nor dbt has.",
    why: "dbt stops with an error when it parses the project: no model is built. For declared packages that are not \
          installed nothing is reported.",
    example: "```yaml\ncolumns:\n  - name: order_id\n    data_tests: [uniqe]\n```\n\n```yaml\n    data_tests: [unique]\n```",
    remedy: "correct the name, or write the test in `tests/generic` or `macros`",
};

/// The generic tests of dbt.
const OF_DBT: [&str; 4] = ["accepted_values", "not_null", "relationships", "unique"];

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    // A test of any package may be named without it, and a package that is not here may have it.
    if !project.installed.is_complete {
        return Vec::new();
    }
    let own: HashSet<&str> =
        project.macros.iter().map(|each| each.name.trim_start_matches("test_")).collect();
    let mut offences: Vec<Offence> = Vec::new();
    for applied in project.applied.iter().filter(|applied| is_built(project, applied)) {
        let name = applied.name.rsplit('.').next().unwrap_or_default().trim_start_matches("test_");
        let is_known = own.contains(name)
            || OF_DBT.contains(&name)
            || [name, &format!("test_{name}")].iter().any(|name| project.installed.has_macro(name));
        if is_known || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let near = nearest(name, offences.len(), own.iter().copied().chain(OF_DBT));
        let message = format!("no test is named `{}`{near}", applied.name);
        offences.push(RULE.offence(applied.path, applied.span, message));
    }
    offences
}

/// Whether dbt may read the test: it skips those of disabled nodes.
fn is_built(project: &Project<'_>, applied: &Applied<'_>) -> bool {
    let Some(entry) = applied.entry else { return true };
    let about = &project.entries[entry].about;
    about.iter().any(|at| project.nodes[*at].is_enabled && !project.nodes[*at].may_be_disabled)
}
