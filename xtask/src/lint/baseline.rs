//! `policies/lint-baseline.toml`: findings from when a repository adopted `lint`, accepted until a date.
//!
//! A legacy project cannot be cleaned in one commit. Its findings are recorded once; only additional ones are
//! reported. Entries expire, and a run over the whole repository reports how many are no longer needed, so a baseline
//! only shrinks. Leaked credentials have a separate baseline, with reasons.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use jiff::ToSpan as _;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::core::finding::{Finding, Group};
use crate::system::contract::Contract;
use crate::system::digest::Digest;
use crate::system::repo::Repo;

/// Relative to the root.
pub(super) const FILE: &str = "policies/lint-baseline.toml";

const HEADER: &str = "\
# Findings of `cargo xtask lint` that were there before it was taken up, accepted until a day. Written by
# `cargo xtask lint --update-baseline`, which drops what is corrected and keeps the days of the rest.
";

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct File {
    accepted: Vec<Entry>,
}

/// The findings of one rule in one file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Entry {
    rule: String,
    path: String,
    #[schemars(with = "String")]
    until: toml::value::Datetime,
    /// One for each finding, by its message: lines may move.
    fingerprints: Vec<String>,
}

pub(super) fn contract() -> Contract {
    Contract::policy::<File>("policies/lint-baseline", "policies/lint-baseline.toml")
}

/// What is accepted: by fingerprint how often, and until when.
#[derive(Debug, Default)]
pub(super) struct Baseline(BTreeMap<String, (usize, Date)>);

/// What became of a run's findings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) accepted: usize,
    /// Findings that are reported again because their day is over.
    pub(super) expired: usize,
    /// Entries that no finding needed.
    pub(super) unused: usize,
}

impl Baseline {
    /// The repository's baseline; without the file nothing is accepted.
    pub(super) fn load(repo: &Repo) -> Result<Self> {
        let path = repo.root().join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {FILE}"))?;
        Self::parse(&text).with_context(|| {
            format!("failed to understand {FILE}; `cargo xtask lint --update-baseline` rewrites it")
        })
    }

    fn parse(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        let mut baseline = Self::default();
        for entry in file.accepted {
            let until = entry.until.to_string();
            let until: Date = until.parse().with_context(|| {
                format!("the entry of {} in {}: `until = {until}` is not a date", entry.rule, entry.path)
            })?;
            for fingerprint in entry.fingerprints {
                baseline.0.entry(fingerprint).or_insert((0, until)).0 += 1;
            }
        }
        Ok(baseline)
    }

    /// Takes out the findings that are accepted.
    pub(super) fn apply(&self, findings: &mut Vec<Finding>, today: Date) -> Applied {
        let mut left: BTreeMap<&str, usize> =
            self.0.iter().map(|(fingerprint, (count, _))| (fingerprint.as_str(), *count)).collect();
        let mut applied = Applied::default();
        findings.retain(|finding| {
            let print = fingerprint(finding);
            let Some(count) = left.get_mut(print.as_str()).filter(|count| **count > 0) else { return true };
            *count -= 1;
            let is_over = self.0.get(&print).is_some_and(|(_, until)| *until < today);
            *(if is_over { &mut applied.expired } else { &mut applied.accepted }) += 1;
            is_over
        });
        applied.unused = left.values().sum();
        applied
    }

    /// The file's text for these findings. Those that are known and not over keep their day, the others get
    /// `days` from today.
    pub(super) fn text(&self, findings: &[Finding], today: Date, days: u16) -> Result<String> {
        let fresh = today.checked_add(i64::from(days).days()).context("the last day is out of range")?;
        let mut entries: BTreeMap<(&str, &str, Date), Vec<String>> = BTreeMap::new();
        for finding in findings.iter().filter(|finding| is_covered(finding)) {
            let print = fingerprint(finding);
            let known = self.0.get(&print).map(|(_, until)| *until).filter(|until| *until >= today);
            let key = (finding.path.as_str(), finding.rule.as_str(), known.unwrap_or(fresh));
            entries.entry(key).or_default().push(print);
        }
        let mut text = HEADER.to_owned();
        for ((path, rule, until), mut prints) in entries {
            prints.sort();
            let (path, rule) = (toml::Value::from(path), toml::Value::from(rule));
            let prints = prints.iter().map(|print| format!("\"{print}\"")).collect::<Vec<_>>().join(", ");
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "\n[[accepted]]\nrule = {rule}\npath = {path}\nuntil = {until}\nfingerprints = [{prints}]\n"
            );
        }
        Ok(text)
    }
}

/// Whether the baseline may accept such a finding: not a leaked credential, nor a fault of a policy.
pub(super) fn is_covered(finding: &Finding) -> bool {
    !matches!(finding.group, Group::Secrets | Group::Policy)
}

/// Equal for findings of the same rule and message in the same file, at any position.
fn fingerprint(finding: &Finding) -> String {
    let digest = Digest::default().with(&finding.rule).with(&finding.path).with(&finding.message);
    digest.short().chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::core::finding::{Severity, Span};

    fn finding(rule: &str, path: &str, message: &str) -> Finding {
        Finding {
            rule: rule.to_owned(),
            group: Group::Dbt,
            severity: Severity::Low,
            path: path.to_owned(),
            span: Span::default(),
            message: message.to_owned(),
            remedy: String::new(),
            fingerprint: String::new(),
            commit: None,
            excerpt: None,
        }
    }

    #[test]
    fn what_was_there_is_accepted_until_its_day_and_what_comes_is_not() {
        let old = [finding("a", "x", "1"), finding("a", "x", "1"), finding("b", "y", "2")];
        let today = date(2026, 11, 1);
        let text = Baseline::default().text(&old, today, 90).expect("a baseline");
        assert!(text.contains("until = 2027-01-30") && text.matches("[[accepted]]").count() == 2, "{text}");
        let baseline = Baseline::parse(&text).expect("a baseline");
        let mut now = vec![finding("a", "x", "1"), finding("a", "x", "new"), finding("b", "z", "2")];
        let applied = baseline.apply(&mut now, today);
        assert_eq!(applied, Applied { accepted: 1, expired: 0, unused: 2 });
        assert_eq!(now.len(), 2);

        let mut later = old.to_vec();
        let applied = baseline.apply(&mut later, date(2027, 2, 1));
        assert_eq!((applied, later.len()), (Applied { accepted: 0, expired: 3, unused: 0 }, 3));

        // What is written again keeps its day; a copied finding more than before is new.
        let again = baseline.text(&[finding("b", "y", "2"), finding("c", "y", "3")], date(2026, 12, 1), 90);
        let again = again.expect("a baseline");
        assert!(again.contains("until = 2027-01-30") && again.contains("until = 2027-03-01"), "{again}");
        let mut three = vec![finding("a", "x", "1"), finding("a", "x", "1"), finding("a", "x", "1")];
        baseline.apply(&mut three, today);
        assert_eq!(three.len(), 1);
    }

    #[test]
    fn leaked_credentials_never_get_in() {
        let leaked = Finding { group: Group::Secrets, ..finding("github-token", "x", "1") };
        let text = Baseline::default().text(&[leaked], date(2026, 11, 1), 90).expect("a baseline");
        assert!(!text.contains("github-token"), "{text}");
    }
}
