//! DDL, DML and grants in a file that may contain only a query.

use super::policy::{File, Objection};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::Rule;

pub(super) const RULE: Rule = Rule {
    name: "statement-in-model",
    group: Group::Sql,
    severity: Severity::High,
    summary: "A model, test or snapshot has a statement that is not a query.",
    why: "dbt builds the relation from a query; DDL, DML or a grant in it fails, or changes something that belongs to no environment and that no clean-up removes.",
    example: "\
```sql\n\
create table orders as select 1 as id  -- reported\n\
grant select on orders to role x       -- reported: dbt's `grants` config does that\n\
select 1 as id\n\
```",
    remedy: "write only the query; materialization, grants and hooks belong in its configuration",
};

const STATEMENTS: &[&str] = &[
    "alter", "begin", "call", "comment", "commit", "copy", "create", "delete", "drop", "execute", "grant",
    "insert", "merge", "put", "remove", "replace", "revoke", "rollback", "set", "truncate", "undrop",
    "unset", "update", "use",
];

pub(super) fn check(file: &File<'_>) -> Vec<Objection> {
    if !file.role.is_built() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for tokens in &file.statements {
        let Some(first) = tokens.first() else { continue };
        if STATEMENTS.contains(&first.text.as_str()) {
            found.push(Objection {
                range: first.range.clone(),
                message: format!("`{}` begins a statement that is not a query", first.text),
            });
        }
    }
    found
}
