//! `policies/lint.toml`: severities, scopes, parameters and waivers. Owned by people, so it is data.
//!
//! Rules only find. What becomes of an offence (off, another severity, out of scope, waived) is decided
//! here for all of them alike.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rule::Parameters;
use crate::core::finding::{Finding, Group, Severity, Span};
use crate::system::contract::Contract;
use crate::system::digest::Digest;
use crate::system::repo::Repo;

/// The path of the policy, as messages and findings name it.
pub(super) const FILE: &str = "policies/lint.toml";

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct File {
    rules: BTreeMap<String, RuleEntry>,
    waivers: Vec<WaiverEntry>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RuleEntry {
    severity: Option<Level>,
    include: Vec<String>,
    exclude: Vec<String>,
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    parameters: toml::Table,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    Off,
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WaiverEntry {
    rule: String,
    path: String,
    reason: String,
    #[schemars(with = "String")]
    until: toml::value::Datetime,
}

pub(super) fn contract() -> Contract {
    Contract::policy::<File>("policies/lint", "policies/lint.toml")
}

/// The policy, ready to be applied.
#[derive(Debug, Default)]
pub(super) struct Settings {
    rules: BTreeMap<String, Scope>,
    waivers: Vec<Waiver>,
    pub(super) parameters: Parameters,
    /// The text of the file, which results depend on.
    pub(super) text: String,
}

#[derive(Debug)]
struct Scope {
    level: Option<Level>,
    /// `None`: everywhere.
    include: Option<GlobSet>,
    exclude: GlobSet,
}

#[derive(Debug)]
struct Waiver {
    rule: String,
    path: GlobMatcher,
    until: Date,
    line: usize,
    used: usize,
}

impl Settings {
    /// The repository's policy; a repository without the file gets the defaults. `known` returns whether
    /// a rule of that name exists.
    pub(super) fn load(repo: &Repo, known: impl Fn(&str) -> bool) -> Result<Self> {
        let path = repo.root().join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {FILE}"))?;
        Self::parse(&text, known).with_context(|| format!("failed to understand {FILE}"))
    }

    pub(super) fn parse(text: &str, known: impl Fn(&str) -> bool) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        let check = |rule: &str| {
            if !known(rule) {
                bail!(
                    "there is no rule `{rule}`; `cargo xtask lint --rules` lists them \
                     (leaked credentials are accepted in policies/secrets-baseline.toml)"
                );
            }
            Ok(())
        };
        let mut settings = Self { text: text.to_owned(), ..Self::default() };
        for (name, entry) in file.rules {
            check(&name)?;
            let include = (!entry.include.is_empty()).then(|| globs(&entry.include)).transpose()?;
            let scope = Scope { level: entry.severity, include, exclude: globs(&entry.exclude)? };
            settings.parameters.0.insert(name.clone(), entry.parameters);
            settings.rules.insert(name, scope);
        }
        let lines = waiver_lines(text);
        for (waiver, line) in file.waivers.into_iter().zip(lines) {
            check(&waiver.rule)?;
            if waiver.reason.trim().is_empty() {
                bail!("line {line}: the waiver of `{}` gives no reason", waiver.rule);
            }
            let until = waiver.until.to_string();
            settings.waivers.push(Waiver {
                path: glob(&waiver.path)?.compile_matcher(),
                until: until.parse().with_context(|| {
                    format!("line {line}: `until = {until}` is not a date such as 2027-01-31")
                })?,
                rule: waiver.rule,
                line,
                used: 0,
            });
        }
        Ok(settings)
    }

    /// The severity that a rule has here; `None` if it is off.
    pub(super) fn severity(&self, rule: &str, default: Severity) -> Option<Severity> {
        match self.rules.get(rule).and_then(|scope| scope.level) {
            Some(Level::Off) => None,
            Some(Level::Low) => Some(Severity::Low),
            Some(Level::Medium) => Some(Severity::Medium),
            Some(Level::High) => Some(Severity::High),
            Some(Level::Critical) => Some(Severity::Critical),
            None => Some(default),
        }
    }

    /// Whether findings of a rule count in a file.
    pub(super) fn applies(&self, rule: &str, path: &str) -> bool {
        self.severity(rule, Severity::Low).is_some() && self.covers(rule, path)
    }

    /// Whether a rule applies to a path.
    fn covers(&self, rule: &str, path: &str) -> bool {
        self.rules.get(rule).is_none_or(|scope| {
            scope.include.as_ref().is_none_or(|include| include.is_match(path))
                && !scope.exclude.is_match(path)
        })
    }

    /// Leaves the findings that count, with the severity that they have here. Returns how many were
    /// waived.
    pub(super) fn apply(&mut self, findings: &mut Vec<Finding>, today: Date) -> usize {
        findings.retain_mut(|finding| {
            let Some(severity) = self.severity(&finding.rule, finding.severity) else { return false };
            finding.severity = severity;
            self.covers(&finding.rule, &finding.path)
        });
        let before = findings.len();
        findings.retain(|finding| {
            let waiver = self
                .waivers
                .iter_mut()
                .find(|waiver| waiver.rule == finding.rule && waiver.path.is_match(&finding.path));
            match waiver {
                Some(waiver) => {
                    waiver.used += 1;
                    waiver.until < today
                }
                None => true,
            }
        });
        before - findings.len()
    }

    /// Faults of the policy itself, after [`Settings::apply`]. Only a run over everything (`whole`) can find
    /// that a waiver is unused.
    pub(super) fn complaints(&self, today: Date, whole: bool) -> Vec<Finding> {
        let complain = |waiver: &Waiver| {
            let (rule, message, remedy) = if waiver.until < today {
                (
                    "waiver-expired",
                    format!("the waiver of `{}` expired on {}", waiver.rule, waiver.until),
                    "fix what it waives, or give it a new date and a reason that is still valid",
                )
            } else if whole && waiver.used == 0 {
                (
                    "waiver-unused",
                    format!("nothing needs the waiver of `{}`", waiver.rule),
                    "remove the waiver",
                )
            } else {
                return None;
            };
            Some(Finding {
                rule: rule.to_owned(),
                group: Group::Policy,
                severity: Severity::Medium,
                path: FILE.to_owned(),
                span: Span { line: waiver.line, column: 1, end_line: waiver.line, end_column: 1 },
                message,
                remedy: remedy.to_owned(),
                fingerprint: Digest::default()
                    .with(rule)
                    .with(&waiver.rule)
                    .with(waiver.path.glob().glob())
                    .short(),
                commit: None,
                excerpt: None,
            })
        };
        self.waivers.iter().filter_map(complain).collect()
    }
}

/// The lines that open a waiver, in order: TOML's values do not keep theirs.
fn waiver_lines(text: &str) -> impl Iterator<Item = usize> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.trim_start().starts_with("[[waivers]]"))
        .map(|(at, _)| at + 1)
}

/// A glob as `.gitignore` reads one: `*` stays in its folder, `**` does not.
fn glob(pattern: &str) -> Result<globset::Glob> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .with_context(|| format!("`{pattern}` is not a path pattern"))
}

fn globs(patterns: &[String]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(glob(pattern)?);
    }
    Ok(set.build()?)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn finding(rule: &str, path: &str) -> Finding {
        Finding {
            rule: rule.to_owned(),
            group: Group::Sql,
            severity: Severity::Medium,
            path: path.to_owned(),
            span: Span::default(),
            message: String::new(),
            remedy: String::new(),
            fingerprint: String::new(),
            commit: None,
            excerpt: None,
        }
    }

    fn left(policy: &str, findings: &[(&str, &str)]) -> (Vec<(String, Severity)>, Vec<String>) {
        let mut settings = Settings::parse(policy, |_| true).expect("a policy");
        let mut all: Vec<Finding> = findings.iter().map(|(rule, path)| finding(rule, path)).collect();
        let today = date(2026, 11, 23);
        settings.apply(&mut all, today);
        let complaints = settings.complaints(today, true).into_iter();
        let complaints =
            complaints.map(|finding| format!("{}:{}", finding.rule, finding.span.line)).collect();
        (all.into_iter().map(|finding| (finding.path, finding.severity)).collect(), complaints)
    }

    #[test]
    fn severity_and_scope_are_the_policys() {
        let policy = "[rules.a]\nseverity = 'high'\nexclude = ['x/*.sql']\n[rules.b]\nseverity = 'off'\n\
                      [rules.c]\ninclude = ['m/**']\n";
        let found =
            [("a", "x/1.sql"), ("a", "x/y/1.sql"), ("b", "q"), ("c", "q"), ("c", "m/n/q"), ("d", "q")];
        let (left, complaints) = left(policy, &found);
        let expected = [("x/y/1.sql", Severity::High), ("m/n/q", Severity::Medium), ("q", Severity::Medium)];
        assert_eq!(left, expected.map(|(path, severity)| (path.to_owned(), severity)));
        assert!(complaints.is_empty());
    }

    #[test]
    fn a_waiver_holds_until_its_day_and_must_be_needed() {
        let waiver = |path: &str, until: &str| {
            format!("[[waivers]]\nrule='a'\npath='{path}'\nreason='r'\nuntil={until}\n")
        };
        let policy =
            [waiver("x/**", "2026-11-23"), waiver("y", "2026-11-22"), waiver("z", "2027-01-01")].concat();
        let (left, complaints) = left(&policy, &[("a", "x/1"), ("a", "y"), ("b", "z")]);
        assert_eq!(left.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["y", "z"]);
        assert_eq!(complaints, ["waiver-expired:6", "waiver-unused:11"]);
    }

    #[test]
    fn bad_policies_say_where() {
        let error = |text: &str| {
            format!("{:#}", Settings::parse(text, |rule| rule == "a").expect_err("not a policy"))
        };
        assert!(error("[rules.nope]\n").contains("there is no rule `nope`"));
        assert!(error("[[waivers]]\nrule='a'\npath='x'\nreason=' '\nuntil=2027-01-01\n").contains("line 1"));
        assert!(error("[[waivers]]\nrule='a'\npath='x'\nuntil=2027-01-01\n").contains("reason"));
        assert!(error("[rules.a]\nseverity='loud'\n").contains("loud"));
        assert!(error("[rules.a]\ninclude=['x[']\n").contains("`x[`"));
    }
}
