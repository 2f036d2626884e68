//! DDL, DML and grants where only a query belongs.

use super::policy::{File, Objection};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::Rule;

pub(super) const RULE: Rule = Rule {
    name: "statement-in-model",
    group: Group::Sql,
    severity: Severity::High,
    summary: "A model, test or snapshot has a statement that is not a query.",
    why: "dbt makes the relation from a query; DDL, DML or a grant in it fails, or changes something that no environment owns and no clean-up removes.",
    example: "\
```sql\n\
create table orders as select 1 as id  -- objected to\n\
grant select on orders to role x       -- objected to: dbt's `grants` config does that\n\
select 1 as id\n\
```",
    remedy: "write the query alone; materialization, grants and hooks belong into its configuration",
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
