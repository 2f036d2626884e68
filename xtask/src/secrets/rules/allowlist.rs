//! Allowlists: what is not reported although a rule matches.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::lower;
use super::regex::LazyRegex;

/// What is not a finding although a rule matches.
#[derive(Debug, Default)]
pub(crate) struct Allowlist {
    all: bool,
    target: Target,
    regexes: Vec<LazyRegex>,
    paths: Vec<LazyRegex>,
    commits: Vec<String>,
    stopwords: Vec<String>,
    /// Rules it is for; empty for all.
    pub(crate) rules: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Target {
    #[default]
    Secret,
    Match,
    Line,
}

/// What an allowlist is asked about.
pub(crate) struct Candidate<'a> {
    pub(crate) path: &'a str,
    pub(crate) commit: Option<&'a str>,
    pub(crate) secret: &'a [u8],
    pub(crate) matched: &'a [u8],
    pub(crate) line: &'a [u8],
}

impl Allowlist {
    /// The same, for one rule only.
    pub(crate) fn of_rule(self, id: &str) -> Self {
        Self { rules: vec![id.to_owned()], ..self }
    }

    pub(crate) fn allows(&self, candidate: &Candidate<'_>) -> bool {
        let target = match self.target {
            Target::Secret => candidate.secret,
            Target::Match => candidate.matched,
            Target::Line => candidate.line,
        };
        let lower = candidate.secret.to_ascii_lowercase();
        let checks = [
            (!self.commits.is_empty())
                .then(|| candidate.commit.is_some_and(|commit| self.names_commit(commit))),
            (!self.paths.is_empty())
                .then(|| self.paths.iter().any(|p| p.is_match(candidate.path.as_bytes()))),
            (!self.regexes.is_empty()).then(|| self.regexes.iter().any(|r| r.is_match(target))),
            (!self.stopwords.is_empty()).then(|| {
                self.stopwords.iter().any(|word| memchr::memmem::find(&lower, word.as_bytes()).is_some())
            }),
        ];
        let mut asked = checks.into_iter().flatten();
        if self.all {
            asked.next().is_some_and(|first| first && asked.all(|check| check))
        } else {
            asked.any(|check| check)
        }
    }

    pub(crate) fn names_commit(&self, commit: &str) -> bool {
        self.commits.iter().any(|own| own.eq_ignore_ascii_case(commit))
    }

    /// Whether a whole commit may be left out unread.
    pub(crate) fn allows_commit(&self, commit: &str) -> bool {
        let only_commits = self.regexes.is_empty() && self.stopwords.is_empty() && self.paths.is_empty();
        (only_commits || !self.all) && self.names_commit(commit)
    }

    /// Whether a whole file may be left out unread.
    pub(crate) fn allows_path(&self, path: &str) -> bool {
        let only_paths = self.regexes.is_empty() && self.stopwords.is_empty() && self.commits.is_empty();
        (only_paths || !self.all) && self.paths.iter().any(|p| p.is_match(path.as_bytes()))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawAllowlist {
    /// For people.
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    condition: String,
    #[serde(default)]
    regex_target: String,
    #[serde(default)]
    regexes: Vec<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    commits: Vec<String>,
    #[serde(default)]
    stopwords: Vec<String>,
    #[serde(default)]
    target_rules: Vec<String>,
}

impl RawAllowlist {
    pub(super) fn build(self, path: &Path, owner: &str, check: bool) -> Result<Allowlist> {
        let place = |what: &str| format!("{}: {owner}: {what}", path.display());
        let target = match self.regex_target.as_str() {
            "" | "secret" => Target::Secret,
            "match" => Target::Match,
            "line" => Target::Line,
            other => bail!(place(&format!("regexTarget is `{other}`, not secret, match or line"))),
        };
        let all = match self.condition.to_ascii_uppercase().as_str() {
            "" | "OR" | "||" => false,
            "AND" | "&&" => true,
            other => bail!(place(&format!("condition is `{other}`, not OR or AND"))),
        };
        if self.regexes.is_empty()
            && self.paths.is_empty()
            && self.commits.is_empty()
            && self.stopwords.is_empty()
        {
            bail!(place("an allowlist needs `regexes`, `paths`, `commits` or `stopwords`"));
        }
        let regexes: Vec<_> = self.regexes.iter().map(|r| LazyRegex::new(r)).collect();
        let paths: Vec<_> = self.paths.iter().map(|r| LazyRegex::new(r)).collect();
        if check {
            for regex in regexes.iter().chain(&paths) {
                regex.check().with_context(|| place("a regex of its allowlist is not understood"))?;
            }
        }
        Ok(Allowlist {
            all,
            target,
            regexes,
            paths,
            commits: self.commits,
            stopwords: lower(self.stopwords),
            rules: self.target_rules,
        })
    }
}
