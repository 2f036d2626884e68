//! Semicolons, which break the statement that dbt makes from a query.

use super::policy::{File, Objection};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::Rule;

pub(super) const RULE: Rule = Rule {
    name: "semicolon-in-model",
    group: Group::Sql,
    severity: Severity::High,
    summary: "A model, test or snapshot has a semicolon.",
    why: "dbt wraps the query into another statement (`create view … as (…)`), in which a semicolon is a syntax error.",
    example: "\
```sql\n\
select * from final;  -- reported\n\
select * from final\n\
```",
    remedy: "leave the semicolon out",
};

pub(super) fn check(file: &File<'_>) -> Vec<Objection> {
    if !file.role.is_built() {
        return Vec::new();
    }
    let semicolons = file.tokens.iter().filter(|token| token.text == ";" && token.is_literal);
    semicolons
        .map(|token| Objection {
            range: token.range.clone(),
            message: "dbt wraps this query into another statement, which the semicolon breaks".to_owned(),
        })
        .collect()
}
