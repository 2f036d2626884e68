//! Sorting that no reader of a table can rely on.

use sqruff_lib_core::dialects::syntax::SyntaxKind;

use super::Role;
use super::policy::{File, Objection, all, child, span};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::Rule;

pub(super) const RULE: Rule = Rule {
    name: "order-by-without-limit",
    group: Group::Sql,
    severity: Severity::Low,
    summary: "A model sorts its rows without a limit.",
    why: "A table has no order: every reader has to sort again, so the warehouse sorts for nothing, often with spilling to disk.",
    example: "\
```sql\n\
select * from final order by ordered_at           -- reported\n\
select * from final order by ordered_at limit 10  -- fine: it decides which rows\n\
```",
    remedy: "leave the sorting to the model's readers, or add a `limit` if the order decides which rows are kept",
};

pub(super) fn check(file: &File<'_>) -> Vec<Objection> {
    if !matches!(file.role, Role::Model | Role::Snapshot) {
        return Vec::new();
    }
    let owners = [SyntaxKind::SelectStatement, SyntaxKind::SetExpression, SyntaxKind::WithCompoundStatement];
    let limits = [SyntaxKind::LimitClause, SyntaxKind::FetchClause];
    let mut found = Vec::new();
    for owner in owners.iter().flat_map(|kind| all(file.tree, *kind)) {
        let Some(order) = child(&owner, SyntaxKind::OrderbyClause) else { continue };
        let tokens = file.tokens_of(&order);
        let takes_top = child(&owner, SyntaxKind::SelectClause)
            .is_some_and(|clause| file.tokens_of(&clause).get(1).is_some_and(|token| token.text == "top"));
        let is_limited = takes_top || limits.iter().any(|kind| child(&owner, *kind).is_some());
        if !is_limited && tokens.first().is_some_and(|token| token.is_literal) {
            found.push(Objection {
                range: span(&tokens),
                message: "the rows are sorted, which no reader of a table can rely on".to_owned(),
            });
        }
    }
    found
}
