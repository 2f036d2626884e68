//! What concerns the files of every group: which are sources, that they are text, and waivers in
//! comments.

use super::rule::{Offence, Rule};
use crate::core::finding::{Group, Severity};

pub(super) const RULES: &[&Rule] = &[&NOT_UTF8, &WAIVER_EXPIRED, &WAIVER_UNUSED];

pub(super) static NOT_UTF8: Rule = Rule {
    name: "not-utf8",
    group: Group::Policy,
    severity: Severity::High,
    summary: "A source file or seed is not UTF-8.",
    why: "dbt, Snowflake and GitHub read sources as UTF-8: other bytes become wrong characters, or make the run fail.",
    example: "A file saved as Latin-1: `-- Stückzahl` with the single byte `FC`. Save it as UTF-8.",
    remedy: "save the file as UTF-8",
};

pub(super) static WAIVER_EXPIRED: Rule = Rule {
    name: "waiver-expired",
    group: Group::Policy,
    severity: Severity::Medium,
    summary: "A waiver in `policies/lint.toml` has expired.",
    why: "A waiver is a promise to fix something by a date. The waived findings are reported again.",
    example: "`until = 2026-01-31` in February. Fix the offence and remove the waiver, or renew date and reason.",
    remedy: "fix what it waives, or give it a new date and a reason that is still valid",
};

pub(super) static WAIVER_UNUSED: Rule = Rule {
    name: "waiver-unused",
    group: Group::Policy,
    severity: Severity::Medium,
    summary: "A waiver in `policies/lint.toml` matches no finding.",
    why: "It would hide a new offence, for a reason that was given for another one.",
    example: "The model was fixed, but its waiver was left. Remove it.",
    remedy: "remove the waiver",
};

/// Whether a group other than secrets may read the file.
pub(super) fn is_source(path: &str) -> bool {
    is_sql(path) || is_yaml(path) || is_sql_settings(path) || is_yamllint(path) || is_of_dbt(path)
}

/// A file that dbt loads as a table, which it reads as UTF-8.
pub(super) fn is_seed(path: &str) -> bool {
    has_extension(path, "csv") && path.split('/').any(|folder| folder == "seeds")
}

/// Files that only the dbt group reads.
fn is_of_dbt(path: &str) -> bool {
    has_extension(path, "md") || has_extension(path, "py")
}

/// Whether a file may contain settings for SQL, by sqlfluff's rules.
pub(super) fn is_sql_settings(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    super::sql::is_config(file) || file == ".sqlfluffignore"
}

pub(super) fn is_yamllint(path: &str) -> bool {
    matches!(path, ".yamllint" | ".yamllint.yml" | ".yamllint.yaml")
}

pub(super) fn is_sql(path: &str) -> bool {
    has_extension(path, "sql")
}

pub(super) fn is_yaml(path: &str) -> bool {
    has_extension(path, "yml") || has_extension(path, "yaml")
}

pub(super) fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, found)| found.eq_ignore_ascii_case(extension))
}

/// The group that checks the text of a file.
pub(super) fn group(path: &str) -> Group {
    if is_sql(path) {
        Group::Sql
    } else if is_seed(path) {
        Group::Dbt
    } else {
        Group::Yaml
    }
}

/// What opens a waiver in a comment: `xtask:allow(<rule>, <rule>)`. Without names it is one for secrets.
const ALLOW: &str = "xtask:allow(";

/// Whether there is a waiver with names anywhere in the text.
pub(super) fn has_waiver(text: &str) -> bool {
    text.contains(ALLOW)
}

/// Whether a comment on the line of the offence, or alone on the line before, names its rule. `line` gives a line by
/// its number.
pub(super) fn allowed_inline<'a>(offence: &Offence, line: impl Fn(usize) -> &'a str) -> bool {
    let before = offence.span.line.checked_sub(1).filter(|number| *number > 0).map_or("", &line).trim_start();
    let alone = ["--", "#", "{#", "/*", "<!--"].iter().any(|opening| before.starts_with(opening));
    names(line(offence.span.line), &offence.rule) || alone && names(before, &offence.rule)
}

/// Whether a comment anywhere in the text names the rule: its fixes are left out, since they could move the comment.
pub(super) fn allowed_anywhere(rule: &str, text: &str) -> bool {
    has_waiver(text) && text.lines().any(|line| names(line, rule))
}

fn names(line: &str, rule: &str) -> bool {
    let named = line.split_once(ALLOW).and_then(|(_, rest)| rest.split_once(')'));
    named.is_some_and(|(names, _)| names.split(',').any(|name| name.trim() == rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::finding::Span;

    #[test]
    fn a_comment_allows_the_rules_it_names() {
        let allowed = |text: &str, line: usize| {
            let offence = NOT_UTF8.offence("x.sql", Span { line, ..Span::default() }, "");
            allowed_inline(&offence, |number| text.lines().nth(number - 1).unwrap_or_default())
        };
        assert!(allowed("select 1 -- xtask:allow(not-utf8)", 1));
        assert!(allowed("select 1 -- xtask:allow(other, not-utf8) because", 1));
        assert!(allowed("  {# xtask:allow(not-utf8) #}\nselect 1", 2));
        assert!(!allowed("select 1 -- xtask:allow(not-utf8)\nselect 2", 2));
        assert!(!allowed("select 1 -- xtask:allow(not-utf88)", 1));
        assert!(!allowed("select 1 -- xtask:allow not-utf8", 1));
    }
}
