//! Reads rules: our own `policies/secrets.toml`, and any file in gitleaks' format.
//!
//! The format is gitleaks' with two additions: `[[providers]]`, for the many credentials without a
//! distinctive mark that are recognised by the name beside them, and examples in every rule. Regexes
//! are kept as text here and compiled on their first use: compiling them all would cost more than
//! scanning most commits.

mod allowlist;
mod regex;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use self::allowlist::RawAllowlist;
pub(crate) use self::allowlist::{Allowlist, Candidate};
pub(crate) use self::regex::LazyRegex;
use super::engine::Source;
use super::generic::Kind;
use super::shape::TokenShape;
use super::verify;
use crate::core::finding::Severity;
use crate::system::contract::Contract;

/// The rules this toolkit was built with, for repositories without a rule file.
pub(crate) const BUILT_IN: &str = include_str!("../../../policies/secrets.toml");

/// The same without examples, as `build.rs` prepares them.
const PREPARED: &str = include_str!(concat!(env!("OUT_DIR"), "/secrets.json"));

/// Pieces of an example are joined with this, so that the rule file itself holds no credential.
#[cfg(test)]
pub(crate) const JOINT: &str = "<>";

/// How deep `[extend]` may nest: gitleaks' own limit.
const EXTEND_DEPTH: usize = 2;

/// The largest rule file that is read, in bytes: ten times our own.
const LARGEST: u64 = 8 << 20;

#[derive(Debug, Default)]
pub(crate) struct RuleSet {
    pub(crate) rules: Vec<Rule>,
    pub(crate) providers: Vec<Provider>,
    pub(crate) names: Vec<String>,
    pub(crate) allowlists: Vec<Allowlist>,
    /// Providers and generic kinds that a configuration switched off.
    pub(crate) disabled: Vec<String>,
}

/// A rule with its own regex.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    /// Switched off by a configuration. It still runs, so that no vaguer rule reports what it matches.
    pub(crate) disabled: bool,
    pub(crate) description: String,
    pub(crate) keywords: Vec<String>,
    /// Starts of tokens at which the regex is tried, for marks too short to be keywords.
    pub(crate) bare: Vec<String>,
    /// The secret must also look drawn at random.
    pub(crate) random: bool,
    pub(crate) secret_group: usize,
    pub(crate) entropy: f64,
    pub(crate) path: Option<LazyRegex>,
    pub(crate) regex: Option<LazyRegex>,
    pub(crate) allowlists: Vec<Allowlist>,
    pub(crate) severity: Severity,
    /// Where it is revoked.
    pub(crate) revoke: String,
    pub(crate) checksum: Option<String>,
    /// Characters at the start of the secret that show its kind and nothing more.
    pub(crate) reveal: usize,
    /// Rules of the secrets that this one's match is only the id of.
    pub(crate) half_of: Vec<String>,
    /// Bytes around a keyword that the regex may need; 0 for the whole file, as gitleaks does it.
    pub(crate) reach: usize,
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are for the tests"))]
    pub(crate) examples: Examples,
}

/// A provider whose credentials are known by the name beside them and their shape.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) keywords: Vec<String>,
    /// What the credential looks like; see `policies/README.md`.
    #[schemars(with = "Vec<String>")]
    pub(crate) tokens: Vec<TokenShape>,
    /// Where it is revoked and replaced.
    #[serde(default)]
    pub(crate) revoke: String,
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are for the tests"))]
    pub(crate) examples: Examples,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Examples {
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are for the tests"))]
    pub(crate) secret: Vec<String>,
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are for the tests"))]
    pub(crate) clean: Vec<String>,
    /// The file that contains them, for rules with a `path`.
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are for the tests"))]
    pub(crate) path: Option<String>,
}

#[cfg(test)]
impl Examples {
    /// An example as it would appear in a file.
    pub(crate) fn join(example: &str) -> String {
        example.replace(JOINT, "")
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawFile {
    /// For people, as is `description`; gitleaks' `minVersion` is about its own releases.
    #[serde(rename = "title")]
    _title: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "minVersion")]
    _min_version: Option<String>,
    #[serde(default)]
    extend: RawExtend,
    #[serde(default)]
    rules: Vec<RawRule>,
    #[serde(default)]
    providers: Vec<Provider>,
    #[serde(default)]
    names: Vec<String>,
    allowlist: Option<RawAllowlist>,
    #[serde(default)]
    allowlists: Vec<RawAllowlist>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawExtend {
    /// Rules at an address, which are refused: a scan reads what is in the repository.
    url: Option<String>,
    #[serde(default)]
    use_default: bool,
    path: Option<PathBuf>,
    #[serde(default)]
    disabled_rules: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawRule {
    id: String,
    #[serde(default)]
    description: String,
    /// For people, and for reports of gitleaks.
    #[serde(rename = "tags")]
    _tags: Option<Vec<String>>,
    #[serde(default)]
    skip_report: bool,
    regex: Option<String>,
    path: Option<String>,
    #[serde(default)]
    secret_group: usize,
    #[serde(default)]
    entropy: f64,
    #[serde(default)]
    keywords: Vec<String>,
    /// gitleaks' composite rules, which are refused: half a condition would be another rule.
    #[schemars(with = "Option<serde_json::Value>")]
    required: Option<toml::Value>,
    #[serde(default)]
    bare: Vec<String>,
    #[serde(default)]
    random: bool,
    allowlist: Option<RawAllowlist>,
    #[serde(default)]
    allowlists: Vec<RawAllowlist>,
    severity: Option<Severity>,
    #[serde(default)]
    revoke: String,
    checksum: Option<String>,
    #[serde(default)]
    half_of: Vec<String>,
    #[serde(default)]
    reveal: usize,
    #[serde(default)]
    reach: usize,
    #[serde(default)]
    examples: Examples,
}

pub(super) fn contract() -> Contract {
    Contract::policy::<RawFile>("policies/secrets", "policies/secrets.toml")
}

impl RuleSet {
    /// The name that findings, baselines and allowlists use.
    pub(crate) fn id(&self, source: Source) -> &str {
        match source {
            Source::Rule(at) => &self.rules[at].id,
            Source::Provider(at) => &self.providers[at].id,
            Source::Generic(kind) => kind.id(),
        }
    }

    /// Whether an allowlist of the whole file takes a match of this rule.
    pub(crate) fn allows(&self, rule: &str, candidate: &Candidate<'_>) -> bool {
        if self.disabled.iter().any(|off| off == rule) {
            return true;
        }
        let of_rule = |list: &&Allowlist| list.rules.is_empty() || list.rules.iter().any(|own| own == rule);
        self.allowlists.iter().filter(of_rule).any(|list| list.allows(candidate))
    }

    /// Whether a rule, a provider or a generic kind has this name.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.rules.iter().any(|rule| rule.id == id)
            || self.providers.iter().any(|provider| provider.id == id)
            || Kind::ALL.iter().any(|kind| kind.id() == id)
            || self.disabled.iter().any(|off| off == id)
    }

    /// An error for a name that no rule has: a setting without effect would pass for one that works.
    fn expect(&self, id: &str, path: &Path, what: &str) -> Result<()> {
        if self.has(id) {
            return Ok(());
        }
        bail!(
            "{}: {what} names `{id}`, which no rule here has (gitleaks' own rules have other names); \
             findings show the names, `cargo xtask lint --explain NAME` explains one",
            path.display()
        )
    }

    /// Whether any allowlist names this commit, so that what is found depends on it.
    pub(crate) fn asks_for_commit(&self, commit: &str) -> bool {
        let of_rules = self.rules.iter().flat_map(|rule| &rule.allowlists);
        self.allowlists.iter().chain(of_rules).any(|list| list.names_commit(commit))
    }

    /// Whether everything of a commit is allowed, whatever it holds.
    pub(crate) fn allows_commit(&self, commit: &str) -> bool {
        self.allowlists.iter().any(|list| list.rules.is_empty() && list.allows_commit(commit))
    }

    /// The rules compiled into the toolkit.
    pub(crate) fn built_in() -> Result<Self> {
        let raw = serde_json::from_str(PREPARED).context("failed to read the rules of the toolkit")?;
        Self::of(raw, Path::new("policies/secrets.toml"), 0, false)
    }

    /// Rules from a file, ours or gitleaks'. Every regex is compiled once, so that an error names
    /// its rule now and not in the middle of a scan.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        Self::load_at(path, 0)
    }

    fn load_at(path: &Path, depth: usize) -> Result<Self> {
        let text = read(path)?;
        if text == BUILT_IN {
            return Self::built_in();
        }
        Self::parse(&text, path, depth, true)
    }

    /// Adds the rules and allowlists of another file, as a repository's `.gitleaks.toml` has them.
    pub(crate) fn add(&mut self, path: &Path) -> Result<()> {
        let text = read(path)?;
        let mut raw: RawFile = toml::from_str(&text)
            .with_context(|| format!("failed to read {} as rules in gitleaks' format", path.display()))?;
        // What it extends is already loaded: our own rules take the place of gitleaks' default ones.
        raw.extend.use_default = false;
        self.merge(raw, path, 0, true)
    }

    pub(crate) fn parse(text: &str, path: &Path, depth: usize, check: bool) -> Result<Self> {
        let raw: RawFile = toml::from_str(text)
            .with_context(|| format!("failed to read {} as rules in gitleaks' format", path.display()))?;
        Self::of(raw, path, depth, check)
    }

    fn of(raw: RawFile, path: &Path, depth: usize, check: bool) -> Result<Self> {
        let mut set = Self::default();
        set.merge(raw, path, depth, check)?;
        Ok(set)
    }

    fn merge(&mut self, raw: RawFile, path: &Path, depth: usize, check: bool) -> Result<()> {
        let base = Self::base(&raw.extend, path, depth)?;
        self.rules.extend(base.rules);
        self.providers.extend(base.providers);
        self.names.extend(base.names);
        self.allowlists.extend(base.allowlists);
        self.disabled.extend(base.disabled);
        let disabled = raw.extend.disabled_rules;
        for id in &disabled {
            self.expect(id, path, "[extend] disabledRules")?;
        }
        for id in disabled {
            match self.rules.iter_mut().find(|rule| rule.id == id) {
                Some(rule) => rule.disabled = true,
                None => self.disabled.push(id),
            }
        }
        for rule in raw.rules {
            self.take(rule, path, check)?;
        }
        self.providers.extend(raw.providers);
        self.names.extend(raw.names);
        for list in raw.allowlist.into_iter().chain(raw.allowlists) {
            let list = list.build(path, "the file's allowlist", check)?;
            for id in &list.rules {
                self.expect(id, path, "targetRules of an allowlist")?;
            }
            self.allowlists.push(list);
        }
        Ok(())
    }

    fn base(extend: &RawExtend, path: &Path, depth: usize) -> Result<Self> {
        if depth > EXTEND_DEPTH {
            bail!("{}: [extend] nests deeper than {EXTEND_DEPTH} files", path.display());
        }
        if extend.url.is_some() {
            bail!("{}: [extend] url is not supported: copy the file and use `path`", path.display());
        }
        match &extend.path {
            Some(other) => {
                let beside = path.parent().unwrap_or(Path::new("")).join(other);
                let other = if beside.exists() { beside } else { other.clone() };
                Self::load_at(&other, depth + 1)
            }
            None if extend.use_default => Self::built_in(),
            None => Ok(Self::default()),
        }
    }

    /// Adds a rule, or changes the one of that name that was extended.
    fn take(&mut self, mut raw: RawRule, path: &Path, check: bool) -> Result<()> {
        let place = |what: &str| format!("{}: rule `{}`: {what}", path.display(), raw.id);
        if raw.required.is_some() {
            bail!(place("`required` (a composite rule) is not supported; leave it out or split the rule"));
        }
        let mut allowlists = Vec::new();
        for list in raw.allowlist.take().into_iter().chain(std::mem::take(&mut raw.allowlists)) {
            allowlists.push(list.build(path, &raw.id, check)?);
        }
        if let Some(known) = self.rules.iter_mut().find(|rule| rule.id == raw.id) {
            known.allowlists.append(&mut allowlists);
            known.disabled = false;
            return known.change(raw, path, check);
        }
        let others = self.providers.iter().map(|provider| provider.id.as_str());
        if raw.regex.is_none()
            && raw.path.is_none()
            && others.chain(Kind::ALL.iter().map(|kind| kind.id())).any(|id| id == raw.id)
        {
            // These have no regex to change; what is allowed can be said of them too.
            if raw.entropy > 0.0 || raw.secret_group > 0 || !raw.keywords.is_empty() || raw.severity.is_some()
            {
                bail!(place(
                    "it has no regex, so that `entropy`, `secretGroup`, `keywords` and `severity` change nothing; \
                     only its allowlists can be set"
                ));
            }
            self.allowlists.extend(allowlists.into_iter().map(|list| list.of_rule(&raw.id)));
            return Ok(());
        }
        if raw.regex.is_none() && raw.path.is_none() {
            bail!(place("it has neither `regex` nor `path`, and no rule of that name is extended"));
        }
        if let Some(kind) = raw.checksum.as_deref().filter(|kind| !verify::KINDS.contains(kind)) {
            bail!(place(&format!("checksum is `{kind}`, none of {}", verify::KINDS.join(", "))));
        }
        if raw.skip_report {
            bail!(place("`skipReport` is for composite rules, which are not supported; remove the rule"));
        }
        let regex = raw.regex.as_deref().map(LazyRegex::new);
        let file = raw.path.as_deref().map(LazyRegex::new);
        if check {
            for regex in regex.iter().chain(&file) {
                regex.check().with_context(|| place("its regex is not understood"))?;
            }
            let groups =
                regex.as_ref().and_then(LazyRegex::get).map_or(1, ::regex::bytes::Regex::captures_len);
            if raw.secret_group >= groups {
                bail!(place(&format!(
                    "secretGroup is {}, but its regex has {} groups",
                    raw.secret_group,
                    groups - 1
                )));
            }
        }
        self.rules.push(Rule {
            revoke: raw.revoke,
            id: raw.id,
            disabled: false,
            description: raw.description,
            keywords: lower(raw.keywords),
            bare: raw.bare,
            random: raw.random,
            secret_group: raw.secret_group,
            entropy: raw.entropy,
            path: file,
            regex,
            allowlists,
            severity: raw.severity.unwrap_or(Severity::High),
            checksum: raw.checksum,
            reveal: raw.reveal,
            half_of: raw.half_of,
            reach: raw.reach,
            examples: raw.examples,
        });
        Ok(())
    }
}

impl Rule {
    /// Takes over what a file says about a rule that it extends.
    fn change(&mut self, raw: RawRule, path: &Path, check: bool) -> Result<()> {
        for (what, own) in [(raw.regex, &mut self.regex), (raw.path, &mut self.path)] {
            if let Some(text) = what {
                let regex = LazyRegex::new(&text);
                if check {
                    regex.check().with_context(|| {
                        format!("{}: rule `{}`: its regex is not understood", path.display(), raw.id)
                    })?;
                }
                *own = Some(regex);
            }
        }
        if !raw.keywords.is_empty() {
            self.keywords = lower(raw.keywords);
        }
        if !raw.description.is_empty() {
            self.description = raw.description;
        }
        if raw.entropy > 0.0 {
            self.entropy = raw.entropy;
        }
        if raw.secret_group > 0 {
            self.secret_group = raw.secret_group;
        }
        self.severity = raw.severity.unwrap_or(self.severity);
        Ok(())
    }
}

/// The text of a rule file; a device or a huge file named by `[extend]` is refused.
fn read(path: &Path) -> Result<String> {
    let failed = || format!("failed to read the secret rules {}", path.display());
    let meta = path.metadata().with_context(failed)?;
    if !meta.is_file() || meta.len() > LARGEST {
        bail!("{} is no rule file: a file of at most {} MiB is expected", path.display(), LARGEST >> 20);
    }
    std::fs::read_to_string(path).with_context(failed)
}

/// What to do about a leaked credential, from what it is and where it is revoked.
pub(crate) fn remedy(what: &str, revoke: &str) -> String {
    let at = if revoke.is_empty() { "at its provider".to_owned() } else { format!("at {revoke}") };
    let what = if what.is_empty() { "credential" } else { what };
    format!(
        "revoke this {what} {at}, make a new one and keep it in a secret store; removing the line is not enough, as the history keeps it"
    )
}

fn lower(mut words: Vec<String>) -> Vec<String> {
    for word in &mut words {
        word.make_ascii_lowercase();
    }
    words
}
