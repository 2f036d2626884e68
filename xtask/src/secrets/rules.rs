//! Reads rules: our own `policies/secrets.toml`, and any file in gitleaks' format.
//!
//! The format is gitleaks' with two additions: `[[providers]]`, for the many credentials that have
//! no marks of their own and are known by the name beside them, and examples in every rule. Regexes
//! are kept as text here and compiled on their first use: compiling them all would cost more than
//! scanning most commits.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use super::shape::TokenShape;
use crate::finding::Severity;

/// The rules this toolkit was built with, for repositories that have no file of their own.
pub(crate) const BUILT_IN: &str = include_str!("../../../policies/secrets.toml");

/// Pieces of an example are joined with this, so that the rule file itself holds no credential.
#[cfg(test)]
pub(crate) const JOINT: &str = "<>";

/// How deep `[extend]` may nest: gitleaks' own limit.
const EXTEND_DEPTH: usize = 2;

#[derive(Debug, Default)]
pub(crate) struct RuleSet {
    pub(crate) rules: Vec<Rule>,
    pub(crate) providers: Vec<Provider>,
    pub(crate) names: Vec<String>,
    pub(crate) allowlists: Vec<Allowlist>,
}

/// A rule with a regex of its own.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
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
    /// Characters at the start of the secret that tell its kind and nothing more.
    pub(crate) reveal: usize,
    /// Bytes around a keyword that the regex may need; 0 for the whole file, as gitleaks does it.
    pub(crate) reach: usize,
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are for the tests"))]
    pub(crate) examples: Examples,
}

/// A provider whose credentials are known by the name beside them and their shape.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) keywords: Vec<String>,
    /// What the credential looks like; see `policies/README.md`.
    pub(crate) tokens: Vec<TokenShape>,
    /// Where it is revoked and made anew.
    #[serde(default)]
    pub(crate) revoke: String,
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are for the tests"))]
    pub(crate) examples: Examples,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Examples {
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are for the tests"))]
    pub(crate) secret: Vec<String>,
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "examples are for the tests"))]
    pub(crate) clean: Vec<String>,
}

#[cfg(test)]
impl Examples {
    /// An example as it would stand in a file.
    pub(crate) fn join(example: &str) -> String {
        example.replace(JOINT, "")
    }
}

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
    pub(crate) fn allows(&self, candidate: &Candidate<'_>) -> bool {
        let target = match self.target {
            Target::Secret => candidate.secret,
            Target::Match => candidate.matched,
            Target::Line => candidate.line,
        };
        let lower = candidate.secret.to_ascii_lowercase();
        let checks = [
            (!self.commits.is_empty())
                .then(|| candidate.commit.is_some_and(|c| self.commits.iter().any(|own| own == c))),
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

    /// Whether a whole file may be left out unread.
    pub(crate) fn allows_path(&self, path: &str) -> bool {
        let only_paths = self.regexes.is_empty() && self.stopwords.is_empty() && self.commits.is_empty();
        (only_paths || !self.all) && self.paths.iter().any(|p| p.is_match(path.as_bytes()))
    }
}

/// A regex in Go's or Rust's syntax, compiled on first use. Its text was checked while loading.
#[derive(Debug)]
pub(crate) struct LazyRegex {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl LazyRegex {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: from_go(text), compiled: OnceLock::new() }
    }

    pub(crate) fn get(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| compile(&self.text).ok()).as_ref()
    }

    /// The error of a regex that does not compile.
    pub(crate) fn check(&self) -> Result<()> {
        compile(&self.text).map(drop)
    }

    fn is_match(&self, text: &[u8]) -> bool {
        self.get().is_some_and(|regex| regex.is_match(text))
    }
}

/// Bytes first, as Go's classes are ASCII; Unicode where the pattern itself asks for it.
fn compile(text: &str) -> Result<Regex> {
    let build = |unicode| RegexBuilder::new(text).unicode(unicode).size_limit(32 << 20).build();
    Ok(build(false).or_else(|_| build(true))?)
}

/// Rewrites what Go accepts and Rust does not: a bare `{`, a `[` or set operators inside a class,
/// `\Q…\E`, and `\Z`.
pub(crate) fn from_go(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.char_indices().peekable();
    let mut class_start: Option<usize> = None;
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'Q')) => {
                    let rest = &text[at + 2..];
                    let quoted = rest.split("\\E").next().unwrap_or(rest);
                    out.push_str(&regex::escape(quoted));
                    let end = at + 2 + quoted.len() + 2;
                    while chars.peek().is_some_and(|(next, _)| *next < end) {
                        chars.next();
                    }
                }
                Some((_, 'Z')) => out.push_str("\\z"),
                Some((_, escaped @ ('<' | '>' | '_'))) => out.push(escaped),
                Some((_, escaped)) => out.extend(['\\', escaped]),
                None => out.push_str("\\\\"),
            },
            '[' if class_start.is_some() => {
                if text[at..].starts_with("[:") && text[at..].contains(":]") {
                    let end = at + text[at..].find(":]").unwrap_or(0) + 2;
                    out.push_str(&text[at..end]);
                    while chars.peek().is_some_and(|(next, _)| *next < end) {
                        chars.next();
                    }
                } else {
                    out.push_str("\\[");
                }
            }
            '[' => {
                class_start = Some(out.len() + 1);
                out.push('[');
                if text[at + 1..].starts_with('^') {
                    out.push('^');
                    chars.next();
                    class_start = Some(out.len());
                }
            }
            // A `]` that opens a class is itself a member.
            ']' if class_start == Some(out.len()) => out.push_str("\\]"),
            ']' => {
                class_start = None;
                out.push(']');
            }
            '&' | '~' if class_start.is_some() => out.extend(['\\', c]),
            '-' if class_start.is_some() && text[at + 1..].starts_with('-') => out.push_str("\\-"),
            '{' if class_start.is_none() && !is_repetition(&text[at..]) => out.push_str("\\{"),
            _ => out.push(c),
        }
    }
    out
}

fn is_repetition(text: &str) -> bool {
    text[1..].split_once('}').is_some_and(|(inside, _)| {
        let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
        !least.is_empty() && least.bytes().chain(most.bytes()).all(|b| b.is_ascii_digit())
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFile {
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

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawExtend {
    #[serde(default)]
    use_default: bool,
    path: Option<PathBuf>,
    #[serde(default)]
    disabled_rules: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRule {
    id: String,
    #[serde(default)]
    description: String,
    regex: Option<String>,
    path: Option<String>,
    #[serde(default)]
    secret_group: usize,
    #[serde(default)]
    entropy: f64,
    #[serde(default)]
    keywords: Vec<String>,
    /// gitleaks' composite rules, which are refused: half a condition would be another rule.
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
    reveal: usize,
    #[serde(default)]
    reach: usize,
    #[serde(default)]
    examples: Examples,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAllowlist {
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

impl RuleSet {
    /// The rules compiled into the toolkit.
    pub(crate) fn built_in() -> Result<Self> {
        // Examples are for the tests; leaving them out halves the time that starting takes.
        let mut text = String::with_capacity(BUILT_IN.len());
        text.extend(BUILT_IN.split_inclusive('\n').filter(|line| !line.starts_with("examples.")));
        Self::parse(&text, Path::new("policies/secrets.toml"), 0, false)
    }

    /// Rules from a file, ours or gitleaks'. Every regex is compiled once, so that an error names
    /// its rule now and not in the middle of a scan.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        Self::load_at(path, 0)
    }

    fn load_at(path: &Path, depth: usize) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read the secret rules {}", path.display()))?;
        if text == BUILT_IN {
            return Self::built_in();
        }
        Self::parse(&text, path, depth, true)
    }

    /// Adds the rules and allowlists of another file, as a repository's `.gitleaks.toml` has them.
    pub(crate) fn add(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read the secret rules {}", path.display()))?;
        let mut raw: RawFile = toml::from_str(&text)
            .with_context(|| format!("failed to read {} as rules in gitleaks' format", path.display()))?;
        // What it extends is here already: our own rules stand for gitleaks' default ones.
        raw.extend.use_default = false;
        self.merge(raw, path, 0, true)
    }

    pub(crate) fn parse(text: &str, path: &Path, depth: usize, check: bool) -> Result<Self> {
        let raw: RawFile = toml::from_str(text)
            .with_context(|| format!("failed to read {} as rules in gitleaks' format", path.display()))?;
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
        let disabled = &raw.extend.disabled_rules;
        self.rules.retain(|rule| !disabled.contains(&rule.id));
        self.providers.retain(|provider| !disabled.contains(&provider.id));
        for rule in raw.rules {
            self.take(rule, path, check)?;
        }
        self.providers.extend(raw.providers);
        self.names.extend(raw.names);
        for list in raw.allowlist.into_iter().chain(raw.allowlists) {
            let list = list.build(path, "the file's allowlist", check)?;
            self.allowlists.push(list);
        }
        Ok(())
    }

    fn base(extend: &RawExtend, path: &Path, depth: usize) -> Result<Self> {
        if depth > EXTEND_DEPTH {
            bail!("{}: [extend] nests deeper than {EXTEND_DEPTH} files", path.display());
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
    fn take(&mut self, raw: RawRule, path: &Path, check: bool) -> Result<()> {
        let place = |what: &str| format!("{}: rule `{}`: {what}", path.display(), raw.id);
        if raw.required.is_some() {
            bail!(place("`required` (a composite rule) is not supported; leave it out or split the rule"));
        }
        let mut allowlists = Vec::new();
        for list in raw.allowlist.into_iter().chain(raw.allowlists) {
            allowlists.push(list.build(path, &raw.id, check)?);
        }
        if let Some(known) = self.rules.iter_mut().find(|rule| rule.id == raw.id) {
            known.allowlists.append(&mut allowlists);
            if let Some(regex) = &raw.regex {
                known.regex = Some(LazyRegex::new(regex));
            }
            if !raw.keywords.is_empty() {
                known.keywords = lower(raw.keywords);
            }
            if raw.entropy > 0.0 {
                known.entropy = raw.entropy;
            }
            return Ok(());
        }
        if raw.regex.is_none() && raw.path.is_none() {
            bail!(place("it has neither `regex` nor `path`"));
        }
        let regex = raw.regex.as_deref().map(LazyRegex::new);
        let file = raw.path.as_deref().map(LazyRegex::new);
        if check {
            for regex in regex.iter().chain(&file) {
                regex.check().with_context(|| place("its regex is not understood"))?;
            }
        }
        self.rules.push(Rule {
            revoke: raw.revoke,
            id: raw.id,
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
            reach: raw.reach,
            examples: raw.examples,
        });
        Ok(())
    }
}

impl RawAllowlist {
    fn build(self, path: &Path, owner: &str, check: bool) -> Result<Allowlist> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::engine::{Engine, Source};

    fn found(engine: &Engine, text: &str) -> Vec<String> {
        let hits = engine.scan("example.txt", text.as_bytes());
        hits.iter()
            .map(|hit| match hit.source {
                Source::Rule(at) => engine.set.rules[at].id.clone(),
                Source::Provider(at) => engine.set.providers[at].id.clone(),
                Source::Generic(kind) => kind.id().to_owned(),
            })
            .collect()
    }

    fn with_examples() -> Engine {
        let set = RuleSet::parse(BUILT_IN, Path::new("policies/secrets.toml"), 0, true)
            .expect("our own rules are valid");
        Engine::new(set).expect("our own rules build")
    }

    #[test]
    fn every_example_of_every_rule_holds() {
        let engine = with_examples();
        let rules = engine.set.rules.iter().map(|rule| (&rule.id, &rule.examples));
        let providers = engine.set.providers.iter().map(|provider| (&provider.id, &provider.examples));
        let mut wrong = Vec::new();
        for (id, examples) in rules.chain(providers) {
            if examples.clean.is_empty() {
                wrong.push(format!("{id}: no clean example"));
            }
            for example in &examples.secret {
                if found(&engine, &Examples::join(example)).is_empty() {
                    wrong.push(format!("{id}: not found: {example}"));
                }
            }
            for example in &examples.clean {
                let ids = found(&engine, &Examples::join(example));
                if !ids.is_empty() {
                    wrong.push(format!("{id}: found by {ids:?}: {example}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{} examples:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn every_regex_finds_its_own_example() {
        let engine = with_examples();
        let mut wrong = Vec::new();
        for rule in &engine.set.rules {
            for example in &rule.examples.secret {
                let text = Examples::join(example);
                let matched = rule
                    .regex
                    .as_ref()
                    .and_then(LazyRegex::get)
                    .is_some_and(|regex| regex.is_match(text.as_bytes()));
                if !matched {
                    wrong.push(format!("{}: {example}", rule.id));
                }
            }
        }
        assert!(wrong.is_empty(), "{} rules:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn ids_are_unique_and_many() {
        let set = RuleSet::built_in().expect("our own rules are valid");
        let mut ids: Vec<&str> = set
            .rules
            .iter()
            .map(|r| r.id.as_str())
            .chain(set.providers.iter().map(|p| p.id.as_str()))
            .collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
        assert!(all >= 450, "{all}");
    }

    #[test]
    fn go_syntax_is_taken() {
        for (go, text) in [
            (r"a{b", "a{b"),
            (r"[[a]", "["),
            (r"[a&&b]", "&"),
            (r"\Qa.b\E+", "a.b"),
            (r"x\Z", "x"),
            (r"[]a]+", "]a"),
            (r"[[:alnum:]_]+", "a_1"),
            (r"[a-z]{2,3}", "abc"),
            (r"\<x\>", "<x>"),
            (r"(?i)AbC", "aBc"),
        ] {
            let regex = LazyRegex::new(go);
            regex.check().unwrap_or_else(|error| panic!("{go}: {error}"));
            assert!(regex.is_match(text.as_bytes()), "{go} as {}", regex.text);
        }
    }

    #[test]
    fn a_broken_regex_is_named_by_its_rule() {
        let text = "[[rules]]\nid = \"mine\"\nregex = '(' \n";
        let error = RuleSet::parse(text, Path::new("own.toml"), 0, true).expect_err("`(` is no regex");
        assert!(format!("{error:#}").contains("own.toml: rule `mine`"), "{error:#}");
    }

    #[test]
    fn allowlists_combine_as_gitleaks_does() {
        let text = r"
            [[rules]]
            id = 'mine'
            regex = 'tok-([a-z0-9]{8})'
            keywords = ['tok-']
            [[rules.allowlists]]
            condition = 'AND'
            paths = ['^docs/']
            regexes = ['^abc']
            [[rules.allowlists]]
            regexTarget = 'line'
            regexes = ['sample']
            stopwords = ['stop']
        ";
        let engine =
            Engine::new(RuleSet::parse(text, Path::new("x.toml"), 0, true).expect("valid")).expect("builds");
        let count = |path: &str, text: &str| engine.scan(path, text.as_bytes()).len();
        let (abc, xyz) = (["tok-", "abc12345"].concat(), ["tok-", "xyz12345"].concat());
        assert_eq!(count("src/a", &abc), 1);
        assert_eq!(count("docs/a", &abc), 0);
        assert_eq!(count("docs/a", &xyz), 1);
        assert_eq!(count("src/a", &format!("{xyz} sample")), 0);
        assert_eq!(count("src/a", &["tok-", "xystop12"].concat()), 0);
    }
}
