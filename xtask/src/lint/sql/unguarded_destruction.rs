//! Statements of scripts that destroy data.

use super::Role;
use super::policy::{File, Objection, Token, begins, span};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::Rule;

pub(super) const RULE: Rule = Rule {
    name: "unguarded-destruction",
    group: Group::Sql,
    severity: Severity::Critical,
    summary: "A script drops, empties or overwrites something that it may not have created.",
    why: "Run twice, or with another schema than intended, it destroys data that cannot be restored.",
    example: "\
```sql\n\
drop table ledger_runs;                  -- reported: `drop table if exists …` can be repeated\n\
drop schema dev;                         -- reported, guarded or not: use `cargo xtask schema drop`\n\
truncate table ledger_runs;              -- reported\n\
delete from ledger_runs;                 -- reported: no `where`\n\
update ledger_runs set status = 'x';     -- reported: no `where`\n\
create or replace table ledger_runs …    -- reported: `create table if not exists …`\n\
alter table ledger_runs drop column x;   -- reported: `… drop column if exists x`\n\
create or replace view v as select 1;    -- fine: a view stores no data\n\
```",
    remedy: "guard it with `if exists`, `if not exists` or a `where`; leave schemas to `cargo xtask schema drop`",
};

pub(super) fn check(file: &File<'_>) -> Vec<Objection> {
    if file.role != Role::Script {
        return Vec::new();
    }
    let mut found = Vec::new();
    for tokens in &file.statements {
        if let Some(reason) = destroys(tokens) {
            found.push(Objection { range: span(&tokens[..tokens.len().min(3)]), message: reason.to_owned() });
        }
    }
    found
}

fn destroys(tokens: &[Token]) -> Option<&'static str> {
    let words: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    let has = |wanted: &[&str]| words.windows(wanted.len()).any(|window| window == wanted);
    let first = *words.first()?;
    let object = *words.get(1).unwrap_or(&"");
    match first {
        "drop" if matches!(object, "schema" | "database") => {
            Some("a schema or database is dropped by a script, without any proof that it may be")
        }
        "drop" if !has(&["if", "exists"]) => {
            Some("this drop fails where there is nothing to drop, and has no guard")
        }
        "truncate" => Some("this empties a table"),
        "delete" if !has(&["where"]) => Some("this deletes every row"),
        "update" if !has(&["where"]) => Some("this changes every row"),
        "alter" if has(&["drop", "column"]) && !has(&["drop", "column", "if", "exists"]) => {
            Some("this drops a column without a guard")
        }
        _ if begins(tokens, &["create", "or", "replace"]) => {
            let kind =
                words[3..].iter().find(|word| !matches!(**word, "transient" | "hybrid" | "dynamic"))?;
            matches!(*kind, "table" | "schema" | "database")
                .then_some("this replaces what is there, with all its rows")
        }
        _ => None,
    }
}
