//! Relations that are written out instead of using `ref` or `source`.

use std::collections::BTreeSet;

use sqruff_lib_core::dialects::syntax::SyntaxKind;

use super::policy::{File, Objection, all, child, span};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::Rule;

pub(super) const RULE: Rule = Rule {
    name: "hard-coded-relation",
    group: Group::Sql,
    severity: Severity::High,
    summary: "A model, test or snapshot reads a table by its literal name.",
    why: "dbt does not know of the read: the lineage has a gap, the build order is not defined, and an issue environment reads the table of another one.",
    example: "\
```sql\n\
select * from logistics_demo.dev.raw_orders  -- reported\n\
select * from raw_orders                     -- reported: no CTE of this file has that name\n\
select * from {{ source('shop', 'raw_orders') }}\n\
select * from {{ ref('stg_shop__orders') }}\n\
```\n\
Relations whose path holds a name of `allow` (by default `information_schema`) are let pass.",
    remedy: "read it through `{{ ref('…') }}` or `{{ source('…', '…') }}`",
};

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// A relation with one of these names in its path may be written out.
    allow: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { allow: vec!["information_schema".to_owned()] }
    }
}

pub(super) fn check(file: &File<'_>, settings: &Settings) -> Vec<Objection> {
    if !file.role.is_built() {
        return Vec::new();
    }
    // `from orders, orders.lines` reads the column of a relation that is named already.
    let aliases: BTreeSet<String> = all(file.tree, SyntaxKind::AliasExpression)
        .iter()
        .filter_map(|alias| file.tokens_of(alias).last().map(|token| token.text.clone()))
        .collect();
    let mut found = Vec::new();
    for element in all(file.tree, SyntaxKind::FromExpressionElement) {
        let Some(table) = child(&element, SyntaxKind::TableExpression)
            .and_then(|expression| child(&expression, SyntaxKind::TableReference))
        else {
            continue;
        };
        let tokens = file.tokens_of(&table);
        let names: Vec<&str> =
            tokens.iter().map(|token| token.text.as_str()).filter(|text| *text != ".").collect();
        let Some(first) = names.first().copied() else { continue };
        let is_known = file.ctes.contains_key(first) || (names.len() > 1 && aliases.contains(first));
        let is_allowed =
            names.iter().any(|name| settings.allow.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)));
        let is_stage = first.starts_with('@') || first.starts_with('$');
        if tokens.iter().all(|token| token.is_literal) && !is_known && !is_allowed && !is_stage {
            found.push(Objection {
                range: span(&tokens),
                message: format!("the relation `{}` is written out", names.join(".")),
            });
        }
    }
    found
}
