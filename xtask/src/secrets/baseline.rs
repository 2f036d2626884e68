//! The baseline: findings that were looked at and accepted, one sorted entry each, without the value.
//!
//! An entry says why, and may say until when. One that has expired, or that no finding needs any more,
//! is a finding itself: a baseline only shrinks by being read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::core::finding::{Finding, Group, Severity, Span, display_path};
use crate::system::contract::Contract;

/// The default path of a baseline.
pub(super) const FILE: &str = "secrets-baseline.toml";

/// The reason that `--update-baseline` writes until a person replaces it with a better one.
const UNEXPLAINED: &str = "found when the baseline was made; say why it is no danger, or revoke it";

const HEADER: &str = "\
# Findings of `cargo xtask secrets` that were looked at and accepted. Written by --update-baseline;
# reasons and expiry dates are yours. No entry holds a secret: the fingerprint is a keyed hash.
";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    accepted: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Entry {
    fingerprint: String,
    rule: String,
    path: String,
    #[serde(default)]
    reason: String,
    expires: Option<String>,
    /// Found in the history: old commits keep it, so files without it do not make the entry unused.
    #[serde(default)]
    history: bool,
}

pub(super) fn contract() -> Contract {
    Contract::policy::<File>("policies/secrets-baseline", "policies/secrets-baseline.toml")
}

/// What a scan looked at: what it did not look at cannot show that an entry is unused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    Part,
    Files,
    History,
}

pub(super) struct Baseline {
    path: PathBuf,
    entries: BTreeMap<String, (Entry, usize)>,
}

impl Baseline {
    /// Reads a baseline; an absent file is an empty one, unless it was asked for by name.
    pub(super) fn load(path: &Path, required: bool) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => String::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read the baseline {}", path.display()));
            }
        };
        let file: File = toml::from_str(&text)
            .with_context(|| format!("failed to read {} as a baseline", path.display()))?;
        let mut entries = BTreeMap::new();
        for entry in file.accepted {
            if let Some(date) = &entry.expires {
                date.parse::<jiff::civil::Date>().with_context(|| {
                    format!("{}: `expires = \"{date}\"` is no date such as 2027-01-31", path.display())
                })?;
            }
            let line = text.find(&entry.fingerprint).map_or(1, |at| text[..at].matches('\n').count() + 1);
            entries.insert(entry.fingerprint.clone(), (entry, line));
        }
        Ok(Self { path: path.to_path_buf(), entries })
    }

    /// Takes out what is accepted and not expired; returns how many. Adds what is wrong with the
    /// baseline itself; unused entries only if the scan would have found what they accept.
    pub(super) fn apply(
        &self,
        findings: &mut Vec<Finding>,
        today: jiff::civil::Date,
        root: &Path,
        looked: Looked,
    ) -> usize {
        let before = findings.len();
        let mut used = std::collections::BTreeSet::new();
        findings.retain(|finding| match self.entries.get(&finding.fingerprint) {
            Some((entry, _)) => {
                used.insert(finding.fingerprint.clone());
                expired(entry, today)
            }
            None => true,
        });
        let accepted = before - findings.len();
        for (fingerprint, (entry, line)) in &self.entries {
            // A scan of the files does not see old commits, nor does one of the history see what is not committed.
            let would_find = match looked {
                Looked::Part => false,
                Looked::Files => !entry.history,
                Looked::History => entry.history,
            };
            let unused = would_find && !used.contains(fingerprint);
            if unused || expired(entry, today) {
                findings.push(self.complaint(entry, *line, unused, root));
            }
        }
        accepted
    }

    fn complaint(&self, entry: &Entry, line: usize, unused: bool, root: &Path) -> Finding {
        let (rule, message, remedy) = if unused {
            (
                "baseline-unused",
                format!("accepted finding of `{}` in {} is not there any more", entry.rule, entry.path),
                "remove the entry or run with --update-baseline; if old commits still hold it, set `history = true` in the entry",
            )
        } else {
            let date = entry.expires.as_deref().unwrap_or_default();
            (
                "baseline-expired",
                format!("accepted finding of `{}` in {} expired on {date}", entry.rule, entry.path),
                "revoke the secret, or give the entry a new reason and date",
            )
        };
        Finding {
            rule: rule.to_owned(),
            group: Group::Secrets,
            severity: Severity::Medium,
            path: display_path(root, &self.path),
            span: Span { line, column: 1, end_line: line, end_column: 1 },
            message,
            remedy: remedy.to_owned(),
            fingerprint: format!("{rule}:{}", entry.fingerprint),
            commit: None,
            excerpt: None,
        }
    }

    /// Writes a baseline that accepts exactly these findings, and keeps what people wrote before.
    /// A scan of files leaves what was accepted in the history as it is, and the other way round.
    pub(super) fn update(&self, findings: &[Finding], looked: Looked) -> Result<usize> {
        let mut entries: BTreeMap<(&str, &str, &str), Entry> = BTreeMap::new();
        for finding in findings {
            let known = self.entries.get(&finding.fingerprint).map(|(entry, _)| entry);
            let entry = Entry {
                fingerprint: finding.fingerprint.clone(),
                rule: finding.rule.clone(),
                path: finding.path.clone(),
                reason: known.map_or_else(|| UNEXPLAINED.to_owned(), |entry| entry.reason.clone()),
                expires: known.and_then(|entry| entry.expires.clone()),
                history: finding.commit.is_some() || known.is_some_and(|entry| entry.history),
            };
            entries.insert((&finding.path, &finding.rule, &finding.fingerprint), entry);
        }
        for (entry, _) in
            self.entries.values().filter(|(entry, _)| entry.history != (looked == Looked::History))
        {
            entries.entry((&entry.path, &entry.rule, &entry.fingerprint)).or_insert_with(|| entry.clone());
        }
        let text = format!("{HEADER}{}", entries.values().map(Entry::to_toml).collect::<String>());
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("failed to create {}", folder.display()))?;
        }
        std::fs::write(&self.path, text)
            .with_context(|| format!("failed to write the baseline {}", self.path.display()))?;
        Ok(entries.len())
    }
}

impl Entry {
    fn to_toml(&self) -> String {
        let mut text = format!(
            "\n[[accepted]]\nfingerprint = {}\nrule = {}\npath = {}\nreason = {}\n",
            quoted(&self.fingerprint),
            quoted(&self.rule),
            quoted(&self.path),
            quoted(&self.reason)
        );
        if self.history {
            text.push_str("history = true\n");
        }
        if let Some(date) = &self.expires {
            text = format!("{text}expires = {}\n", quoted(date));
        }
        text
    }
}

fn expired(entry: &Entry, today: jiff::civil::Date) -> bool {
    entry
        .expires
        .as_deref()
        .and_then(|date| date.parse().ok())
        .is_some_and(|date: jiff::civil::Date| date < today)
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
