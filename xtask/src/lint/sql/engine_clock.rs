//! Models whose result depends on when they are built.

use super::Role;
use super::policy::{File, Objection};
use crate::core::finding::{Group, Severity};
use crate::lint::rule::Rule;

pub(super) const RULE: Rule = Rule {
    name: "engine-clock",
    group: Group::Sql,
    severity: Severity::Medium,
    summary: "A model reads the clock of the engine.",
    why: "Two builds of the same inputs differ, the model cannot be rebuilt as of a past day, and a test of it is valid only today.",
    example: "\
```sql\n\
where ordered_at >= current_date - 7                      -- reported\n\
where ordered_at >= {{ dbt.dateadd('day', -7, as_of()) }} -- the project's own clock\n\
```\n\
The output of a macro is not reported: the project's clock is read in a macro.",
    remedy: "take the day from the project's clock (a variable such as `as_of`, through a macro) or from the data",
};

const CLOCKS: &[&str] = &[
    "current_date",
    "current_time",
    "current_timestamp",
    "getdate",
    "localtime",
    "localtimestamp",
    "now",
    "sysdate",
    "systimestamp",
    "today",
];

pub(super) fn check(file: &File<'_>) -> Vec<Objection> {
    if !matches!(file.role, Role::Model | Role::Snapshot) {
        return Vec::new();
    }
    let tokens = &file.tokens;
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if !token.is_literal || !CLOCKS.contains(&token.text.as_str()) {
            continue;
        }
        let before = at.checked_sub(1).map_or("", |before| tokens[before].text.as_str());
        let after = tokens.get(at + 1).map_or("", |after| after.text.as_str());
        let is_call = after == "(";
        // These need no parentheses; the others without them are columns.
        let is_bare = token.text.starts_with("current_") || token.text.starts_with("local");
        let is_name = matches!(before, "." | "as") || after == ".";
        if (is_call || is_bare) && !is_name {
            found.push(Objection {
                range: token.range.clone(),
                message: format!("`{}` differs in each build", token.text),
            });
        }
    }
    found
}
