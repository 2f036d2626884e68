//! Every rule of `lint` by name, with its texts: our own, and those of the style libraries.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use anyhow::{Result, bail};

use super::rule::Rule;
use super::{common, dbt, dbt_v2, prose, sql, workflow, yaml};
use crate::core::finding::{Group, Severity};
use crate::secrets;
use crate::system::repo::Repo;

/// A rule as users see it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Cow<'static, str>,
    /// Of a style library, which documents it at length.
    is_style: bool,
    pub(super) group: Group,
    pub(super) severity: Severity,
    pub(super) summary: Cow<'static, str>,
    pub(super) why: Cow<'static, str>,
    pub(super) example: Cow<'static, str>,
    pub(super) remedy: Cow<'static, str>,
}

impl From<&'static Rule> for Entry {
    fn from(rule: &'static Rule) -> Self {
        Self {
            name: rule.name.into(),
            is_style: false,
            group: rule.group,
            severity: rule.severity,
            summary: rule.summary.into(),
            why: rule.why.into(),
            example: rule.example.into(),
            remedy: rule.remedy.into(),
        }
    }
}

/// sqruff's rules carry sqlfluff's names, so sqlfluff's documentation is theirs.
impl From<sql::Described> for Entry {
    fn from(rule: sql::Described) -> Self {
        Self {
            name: rule.name.into(),
            is_style: true,
            group: Group::Sql,
            severity: Severity::Low,
            summary: format!("{} ({}).", rule.summary.trim_end_matches('.'), rule.code).into(),
            why: format!("Style that `.sqlfluff` asks for; sqlfluff documents it: {}", rule.url()).into(),
            example: rule.explanation.trim().into(),
            remedy: "run `cargo xtask lint --fix`, or write it as the example has it".into(),
        }
    }
}

impl From<&'static yaml::Described> for Entry {
    fn from(rule: &'static yaml::Described) -> Self {
        Self {
            name: rule.name.into(),
            is_style: true,
            group: Group::Yaml,
            severity: Severity::Low,
            summary: rule.summary.into(),
            why: format!("A style rule that `.yamllint.yml` enables; yamllint documents it: {}", rule.url())
                .into(),
            example: Cow::default(),
            remedy: "run `cargo xtask lint --fix`, or change it as the message says".into(),
        }
    }
}

static ALL: LazyLock<BTreeMap<String, Entry>> = LazyLock::new(|| {
    let ours =
        [common::RULES, dbt::RULES, dbt_v2::RULES, prose::RULES, sql::RULES, workflow::RULES, yaml::RULES];
    let ours = ours.into_iter().flatten().map(|rule| Entry::from(*rule));
    let style = sql::described().into_iter().map(Entry::from).chain(yaml::DESCRIBED.iter().map(Entry::from));
    // Our own rule replaces one of a library with the same name.
    style.chain(ours).map(|entry| (entry.name.to_string(), entry)).collect()
});

/// Whether `policies/lint.toml` may name this rule.
pub(super) fn knows(rule: &str) -> bool {
    ALL.contains_key(rule)
}

/// What a rule is about, in one line.
pub(super) fn describe(rule: &str) -> Option<String> {
    ALL.get(rule).map(|entry| entry.summary.to_string())
}

/// What is known of a rule. A library may report under a name that it does not list: that is style.
pub(super) fn entry(rule: &str) -> Entry {
    ALL.get(rule).cloned().unwrap_or_else(|| Entry {
        name: rule.to_owned().into(),
        is_style: true,
        group: Group::Sql,
        severity: Severity::Medium,
        summary: "A rule of the style library.".into(),
        why: Cow::default(),
        example: Cow::default(),
        remedy: "see the message".into(),
    })
}

/// `--explain RULE`.
pub(super) fn explain(rule: &str, repo: &Repo) -> Result<String> {
    if let Some(entry) = ALL.get(rule) {
        return Ok(format!("{}\n{}", section(entry), how_to_waive(entry)));
    }
    if let Some(found) = secrets::explain(rule, repo)? {
        return Ok(found);
    }
    let close: Vec<&str> = ALL.keys().map(String::as_str).filter(|name| name.contains(rule)).collect();
    let hint =
        if close.is_empty() { String::new() } else { format!(" (did you mean {}?)", close.join(", ")) };
    bail!("there is no rule `{rule}`{hint}; `cargo xtask lint --rules` lists all rules")
}

fn how_to_waive(entry: &Entry) -> String {
    format!(
        "To accept one place, end its line with a comment:\n\n    xtask:allow({name})\n\n{noqa}\
         To accept it in some files until a day, add to policies/lint.toml:\n\n    \
         [[waivers]]\n    rule = \"{name}\"\n    path = \"dbt/models/legacy/**\"\n    \
         reason = \"why it is safe, and what will be done\"\n    until = 2027-01-31\n\n\
         To change its severity everywhere:\n\n    [rules.{quoted}]\n    severity = \"low\"   # or \"off\"\n",
        name = entry.name,
        noqa = if entry.group == Group::Sql {
            format!("or use sqlfluff's `-- noqa: {}`.\n\n", entry.name)
        } else {
            String::new()
        },
        quoted =
            if entry.name.contains('.') { format!("\"{}\"", entry.name) } else { entry.name.to_string() },
    )
}

/// `--rules`: all of them in Markdown, the content of `policies/RULES.md`.
pub(super) fn document() -> String {
    let mut text = String::from(
        "# Rules of `cargo xtask lint`\n\n\
         Written by `cargo xtask lint --rules > policies/RULES.md`; a test keeps it current. `cargo xtask lint --explain RULE`\n\
         prints one, and how to waive it. Severities, scopes, parameters and waivers are set in `policies/lint.toml`.\n\
         The rules for leaked credentials are in `policies/secrets.toml`. Those of style are\n\
         [sqlfluff's](https://docs.sqlfluff.com/en/stable/reference/rules.html), configured in `.sqlfluff`, and\n\
         [yamllint's](https://yamllint.readthedocs.io/en/stable/rules.html), configured in `.yamllint.yml`.\n",
    );
    for group in
        [Group::Sql, Group::Yaml, Group::Dbt, Group::DbtV2, Group::Workflow, Group::Prose, Group::Policy]
    {
        let of_group = || ALL.values().filter(|entry| entry.group == group);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n## {}\n\n| rule | severity | what it reports |\n| --- | --- | --- |\n",
            group.name()
        );
        for entry in of_group() {
            let summary = entry.summary.replace('|', "\\|");
            let _ = writeln!(text, "| `{}` | {} | {summary} |", entry.name, entry.severity.name());
        }
        for entry in of_group().filter(|entry| !entry.is_style) {
            let _ = write!(text, "\n{}", section(entry));
        }
    }
    text
}

fn section(entry: &Entry) -> String {
    let mut text = format!("### {}\n\n{}\n", entry.name, entry.summary);
    if !entry.why.is_empty() {
        let _ = write!(text, "\n**Why:** {}\n", entry.why);
    }
    if !entry.example.is_empty() {
        let _ = write!(text, "\n**Example:**\n\n{}\n", entry.example);
    }
    let _ = write!(text, "\n**What to do:** {}\n", entry.remedy);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_ours_says_all_that_is_asked_of_it() {
        for entry in ALL.values() {
            assert!(!entry.summary.is_empty() && !entry.remedy.is_empty(), "{}", entry.name);
        }
    }
}
