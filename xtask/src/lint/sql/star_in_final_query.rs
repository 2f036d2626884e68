//! `select *` that hides which columns a model has.

use std::ops::Range;

use sqruff_lib_core::dialects::syntax::{SyntaxKind, SyntaxSet};
use sqruff_lib_core::parser::segments::ErasedSegment;

use super::Role;
use super::policy::{File, Objection, child, span};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::Rule;

pub(super) const RULE: Rule = Rule {
    name: "star-in-final-query",
    group: Group::Sql,
    severity: Severity::Medium,
    summary: "The final query of a model selects `*`, and the model does not name the columns.",
    why: "A column that is added or renamed upstream appears or disappears here unnoticed: contracts, unions and everything downstream break.",
    example: "\
```sql\n\
select * from {{ ref('stg_shop__orders') }}  -- reported\n\
\n\
with source as (select * from {{ ref('stg_shop__orders') }}),\n\
final as (select order_id, ordered_at from source)\n\
select * from final                          -- fine: `final` names its columns\n\
```\n\
A `*` of a CTE is fine as long as that CTE, or the one it takes its `*` from, names its columns. A CTE\n\
whose query a macro writes whole is taken to name them.",
    remedy: "name the columns in the last CTE, and select `*` from that",
};

pub(super) fn check(file: &File<'_>) -> Vec<Objection> {
    if file.role != Role::Model {
        return Vec::new();
    }
    let objection = |range| Objection {
        range,
        message: "the final query selects columns that this model does not name".to_owned(),
    };
    unnamed(file).into_iter().map(objection).collect()
}

/// The places of the stars of the final query whose columns are not named in the file.
pub(super) fn unnamed(file: &File<'_>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for select in outer_selects(file.tree) {
        for star in stars(&select) {
            let tokens = file.tokens_of(&star);
            let is_literal = tokens.iter().all(|token| token.is_literal);
            if is_literal && !is_named(file, &select, &star, &mut Vec::new()) {
                found.push(span(&tokens));
            }
        }
    }
    found
}

/// The selects of the final query: not those of CTEs and of subqueries.
fn outer_selects(tree: &ErasedSegment) -> Vec<ErasedSegment> {
    let inner = SyntaxSet::new(&[
        SyntaxKind::CommonTableExpression,
        SyntaxKind::FromClause,
        SyntaxKind::SelectClause,
        SyntaxKind::WhereClause,
    ]);
    tree.recursive_crawl(&SyntaxSet::single(SyntaxKind::SelectStatement), true, &inner, true)
}

/// The stars of a select's own list; that of `count(*)` does not count.
fn stars(select: &ErasedSegment) -> Vec<ErasedSegment> {
    let Some(clause) = child(select, SyntaxKind::SelectClause) else { return Vec::new() };
    clause
        .segments()
        .iter()
        .filter(|element| element.is_type(SyntaxKind::SelectClauseElement))
        .filter_map(|element| child(element, SyntaxKind::WildcardExpression))
        .collect()
}

/// Whether the columns that the star selects are named somewhere in this file.
fn is_named(file: &File<'_>, select: &ErasedSegment, star: &ErasedSegment, seen: &mut Vec<String>) -> bool {
    let qualifier =
        file.tokens_of(star).first().filter(|token| token.text != "*").map(|token| token.text.clone());
    let Some(from) = child(select, SyntaxKind::FromClause) else { return false };
    let inner = SyntaxSet::single(SyntaxKind::SelectStatement);
    let elements =
        from.recursive_crawl(&SyntaxSet::single(SyntaxKind::FromExpressionElement), false, &inner, true);
    let mut any = false;
    for element in elements {
        let tokens = file.tokens_of(&element);
        let alias = tokens.last().map(|token| token.text.clone());
        let name = tokens.first().map(|token| token.text.clone()).unwrap_or_default();
        if qualifier.is_some() && qualifier != alias && qualifier.as_deref() != Some(name.as_str()) {
            continue;
        }
        any = true;
        if !names_columns(file, &element, &name, seen) {
            return false;
        }
    }
    any
}

/// Whether the columns of a FROM element are named: a CTE or a subquery that names its own.
fn names_columns(file: &File<'_>, element: &ErasedSegment, name: &str, seen: &mut Vec<String>) -> bool {
    let query = if name == "(" {
        element.clone()
    } else {
        let is_path = file.tokens_of(element).get(1).is_some_and(|token| token.text == ".");
        let Some(cte) = file.ctes.get(name).filter(|_| !is_path && !seen.iter().any(|known| known == name))
        else {
            return false;
        };
        seen.push(name.to_owned());
        cte.clone()
    };
    let nested = SyntaxSet::new(&[SyntaxKind::FromClause, SyntaxKind::SelectClause, SyntaxKind::WhereClause]);
    let start = if name == "(" { child(&query, SyntaxKind::TableExpression).unwrap_or(query) } else { query };
    let selects = start.recursive_crawl(&SyntaxSet::single(SyntaxKind::SelectStatement), true, &nested, true);
    let named =
        selects.iter().all(|select| stars(select).iter().all(|star| is_named(file, select, star, seen)));
    if name != "(" {
        seen.pop();
    }
    named
}
