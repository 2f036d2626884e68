//! `.gitleaksignore`: findings that a repository accepted for gitleaks, one fingerprint a line.
//!
//! gitleaks writes `commit:path:rule:line`, or `path:rule:line` outside of a history. The rules have to be ours: a line
//! that can never match anything is an error, not a waiver that seems to work.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::rules::RuleSet;
use crate::core::finding::Finding;

const FILE: &str = ".gitleaksignore";

#[derive(Debug, Default)]
pub(super) struct Ignored(HashSet<Entry>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Entry {
    commit: Option<String>,
    path: String,
    rule: String,
    line: usize,
}

impl Ignored {
    /// Reads the file in the repository's root, if there is one.
    pub(super) fn load(root: &Path, rules: &RuleSet) -> Result<Self> {
        let path = root.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            read => read.with_context(|| format!("failed to read {}", path.display()))?,
        };
        let mut entries = HashSet::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if Entry::names_part_of_commit(line) {
                bail!("{}, line {}: write all 40 digits of the commit", path.display(), at + 1);
            }
            let Some(entry) = Entry::parse(line) else {
                bail!("{}, line {}: expected [commit:]path:rule:line", path.display(), at + 1);
            };
            if !rules.has(&entry.rule) {
                bail!(
                    "{}, line {}: `{}` is not the name of a rule here (gitleaks' own rules have other names); \
                     accept the finding with --update-baseline instead",
                    path.display(),
                    at + 1,
                    entry.rule
                );
            }
            entries.insert(entry);
        }
        Ok(Self(entries))
    }

    /// Takes out what is ignored; returns how many.
    pub(super) fn apply(&self, findings: &mut Vec<Finding>) -> usize {
        let before = findings.len();
        if !self.0.is_empty() {
            findings.retain(|finding| !self.has(finding));
        }
        before - findings.len()
    }

    fn has(&self, finding: &Finding) -> bool {
        let entry = |commit: Option<String>| Entry {
            commit,
            path: finding.path.clone(),
            rule: finding.rule.clone(),
            line: finding.span.line,
        };
        self.0.contains(&entry(None))
            || finding.commit.is_some() && self.0.contains(&entry(finding.commit.clone()))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(3, ':');
        let line = parts.next()?.parse().ok()?;
        let rule = parts.next().filter(|rule| !rule.is_empty())?.to_owned();
        let place = parts.next().filter(|place| !place.is_empty())?;
        let hex =
            |text: &str| matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (commit, path) = match place.split_once(':') {
            Some((commit, path)) if hex(commit) => (Some(commit.to_owned()), path),
            _ => (None, place),
        };
        let path = path.strip_prefix("./").unwrap_or(path);
        Some(Self { commit, path: path.to_owned(), rule, line })
    }

    /// Whether a line starts with the first digits of a commit only, which would match nothing.
    fn names_part_of_commit(line: &str) -> bool {
        let mut parts = line.split(':');
        let first = parts.next().unwrap_or_default();
        parts.count() == 3 && (7..40).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_hexdigit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_from_its_end() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let with = Entry::parse(&format!("{commit}:a:b.txt:rule:7")).expect("an entry");
        assert_eq!((with.commit.as_deref(), with.path.as_str(), with.line), (Some(commit), "a:b.txt", 7));
        let without = Entry::parse("a:b.txt:rule:7").expect("an entry");
        assert_eq!((without.commit, without.path.as_str(), without.rule.as_str()), (None, "a:b.txt", "rule"));
        assert_eq!(Entry::parse("./a.txt:rule:7"), Entry::parse("a.txt:rule:7"));
        assert!(Entry::names_part_of_commit("0123456789:a.txt:rule:7"));
        assert!(
            !Entry::names_part_of_commit("beef.txt:rule:7") && !Entry::names_part_of_commit("a:b.txt:rule:7")
        );
        for bad in ["", "a.txt", "a.txt:7", "a.txt:rule:x", ":rule:7"] {
            assert_eq!(Entry::parse(bad), None, "{bad}");
        }
    }
}
