//! A variable without a value and without a default.

use std::collections::BTreeSet;

use crate::core::finding::{Group, Severity};
use crate::core::yaml::Node as Yaml;
use crate::dbt::graph::Project;
use crate::dbt::graph::jinja::Literal;
use crate::lint::nearest::nearest;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "undefined-variable",
    group: Group::Dbt,
    severity: Severity::Medium,
    summary: "A template reads a variable that `dbt_project.yml` does not set, and gives no default.",
    why: "dbt stops at it unless every command gives the variable with `--vars`, which is why this is no more than \
          medium. Values in `vars:` for the project count, those for packages do not.",
    example: "```sql\nwhere day >= '{{ var('start_day') }}'      -- nowhere in dbt_project.yml\n```\n\n```sql\nwhere day >= \
              '{{ var('start_day', '2024-01-01') }}'\n```",
    remedy: "set it in `vars:` of dbt_project.yml, or give a default",
};

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let set = variables(project);
    let mut offences: Vec<Offence> = Vec::new();
    for node in project.nodes.iter().filter(|node| node.is_rendered()) {
        for called in &node.template.calls {
            // The template may ask `var.has_var` first.
            if called.call.name != "var" || called.is_conditional || called.call.is_conditional {
                continue;
            }
            let [(None | Some("name"), Literal::Text(name))] = called.call.arguments[..] else { continue };
            if !set.contains(name) {
                let near = nearest(name, offences.len(), set.iter().copied());
                let message = format!("the variable `{name}` has neither a value nor a default{near}");
                offences.push(RULE.offence(node.path, called.span, message));
            }
        }
    }
    offences
}

/// What `vars:` sets for the project: at the top, or below its name.
fn variables<'p>(project: &'p Project<'_>) -> BTreeSet<&'p str> {
    let names = |vars: Option<&'p Yaml>| vars.map(Yaml::entries).unwrap_or_default().iter();
    let vars = project.settings.get("vars");
    let own = project.name().and_then(|name| vars?.get(name));
    names(vars).chain(names(own)).filter_map(|(name, _)| name.text()).collect()
}
