//! The engine: bytes in, hits out. It reads no files and knows no formats.
//!
//! One pass of an automaton over the raw bytes finds the literals of every rule and the words of the
//! generic tier; a second, skipping pass finds long tokens. Only around what those two find is
//! anything else run: a rule's regex on a window, the reader of assignments, the look-up of provider
//! names. Each of them reads a bounded number of bytes, so the whole stays linear on hostile input.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use anyhow::{Context as _, Result};

use super::assignment;
use super::decode;
use super::generic::{self, Kind, Language, Word};
use super::judge::{self, Shape};
use super::names::Names;
use super::rules::{Candidate, Rule, RuleSet};
use super::tokens::{Token, Tokens};
use super::verify;

/// How far before its keyword a regex with a `reach` may start to match, in bytes.
const BEHIND: usize = 256;

/// How often a text is decoded within a decoded text, and how many bytes that may yield a file.
const DECODE_DEPTH: usize = 3;
const DECODE_MOST: usize = 4 << 20;

/// The longest token that is asked whose it is, in bytes.
const TOKEN_MOST: usize = 1400;

/// From how many bytes on the dense automaton earns its construction.
const DENSE_FROM: usize = 2 << 20;

pub(crate) struct Engine {
    pub(crate) set: RuleSet,
    keywords: Vec<String>,
    /// Quick to build, slower to run: for the first megabytes.
    sparse: OnceLock<Option<AhoCorasick>>,
    /// Slower to build, quick to run: when there is much to scan.
    dense: OnceLock<Option<AhoCorasick>>,
    scanned: AtomicUsize,
    /// For each literal, who wants to know.
    actions: Vec<Vec<Action>>,
    /// Rules without keywords: run on every text, as gitleaks does.
    always: Vec<usize>,
    /// Rules tried where a token starts with these, by first byte.
    bare: Vec<Vec<(Vec<u8>, usize)>>,
    names: OnceLock<Names>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Rule(usize),
    Word(Word),
    Url,
    UserFlag,
}

/// Who found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Source {
    Rule(usize),
    Provider(usize),
    Generic(Kind),
}

/// A secret in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) source: Source,
    /// Where it stands; for a decoded secret, where the encoded text stands.
    pub(crate) range: Range<usize>,
    /// What the rule matched around it.
    pub(crate) matched: Range<usize>,
    pub(crate) secret: Vec<u8>,
    /// Whether its checksum holds, where it has one.
    pub(crate) checksum: Option<bool>,
}

impl Engine {
    pub(crate) fn new(set: RuleSet) -> Result<Self> {
        let mut literals: Vec<String> = Vec::new();
        let mut actions: Vec<Vec<Action>> = Vec::new();
        let mut index = std::collections::HashMap::new();
        let mut add = |literal: &str, action: Action| {
            let at = *index.entry(literal.to_owned()).or_insert_with(|| {
                literals.push(literal.to_owned());
                actions.push(Vec::new());
                literals.len() - 1
            });
            actions[at].push(action);
        };
        for (word, kind) in generic::WORDS {
            add(word, Action::Word(*kind));
        }
        add("://", Action::Url);
        add(" -u", Action::UserFlag);
        add("--user", Action::UserFlag);
        let mut always = Vec::new();
        let mut bare = vec![Vec::new(); 256];
        for (at, rule) in set.rules.iter().enumerate() {
            for start in rule.bare.iter().filter(|start| !start.is_empty()) {
                bare[usize::from(start.as_bytes()[0])].push((start.as_bytes().to_vec(), at));
            }
            if rule.regex.is_some() && rule.keywords.is_empty() && rule.bare.is_empty() {
                always.push(at);
            }
            for keyword in &rule.keywords {
                add(keyword, Action::Rule(at));
            }
        }
        let engine = Self {
            set,
            keywords: literals,
            sparse: OnceLock::new(),
            dense: OnceLock::new(),
            scanned: AtomicUsize::new(0),
            actions,
            always,
            bare,
            names: OnceLock::new(),
        };
        engine.literals(0).context("failed to build the literal search from the rules' keywords")?;
        Ok(engine)
    }

    /// The literal search that fits the amount of text so far.
    fn literals(&self, length: usize) -> Option<&AhoCorasick> {
        let scanned = self.scanned.fetch_add(length, Ordering::Relaxed) + length;
        let (slot, kind) = if scanned > DENSE_FROM {
            (&self.dense, AhoCorasickKind::DFA)
        } else {
            (&self.sparse, AhoCorasickKind::ContiguousNFA)
        };
        let build = || {
            AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .match_kind(MatchKind::Standard)
                .kind(Some(kind))
                .build(&self.keywords)
                .ok()
        };
        slot.get_or_init(build).as_ref()
    }

    /// Every secret in a text, in order, none twice.
    pub(crate) fn scan(&self, path: &str, bytes: &[u8]) -> Vec<Hit> {
        let mut hits = Vec::new();
        self.scan_into(path, bytes, &mut hits);
        let mut budget = DECODE_MOST;
        self.decoded(path, bytes, 0, &mut budget, &mut hits);
        settle(hits)
    }

    /// What a text holds as it stands, nothing decoded.
    fn scan_into(&self, path: &str, bytes: &[u8], hits: &mut Vec<Hit>) {
        let language = Language::of(path);
        let mut scan = Scan { engine: self, path, bytes, language, hits, done: Vec::new(), name_end: 0 };
        for &rule in &self.always {
            scan.rule(rule, 0..0);
        }
        let Some(literals) = self.literals(bytes.len()) else { return };
        for found in literals.find_overlapping_iter(bytes) {
            for action in &self.actions[found.pattern().as_usize()] {
                scan.act(*action, found.range());
            }
        }
        for token in Tokens::of(bytes) {
            scan.token(token);
        }
    }

    pub(super) fn names(&self) -> &Names {
        self.names.get_or_init(|| Names::new(&self.set))
    }

    /// Scans what is hidden in base64 and hexadecimal, nested.
    fn decoded(&self, path: &str, bytes: &[u8], depth: usize, budget: &mut usize, hits: &mut Vec<Hit>) {
        if depth >= DECODE_DEPTH {
            return;
        }
        for Token { range, .. } in Tokens::of(bytes) {
            let token = &bytes[range.clone()];
            if token.len() < 24 || token.len() > *budget {
                continue;
            }
            let Some(inner) =
                decode::hex(token).or_else(|| decode::base64(token)).filter(|d| decode::printable(d))
            else {
                continue;
            };
            self.inner(path, &range, &inner, depth, budget, hits);
        }
        for (range, inner) in decode::escaped(bytes) {
            if range.len() <= *budget {
                self.inner(path, &range, &inner, depth, budget, hits);
            }
        }
    }

    /// Scans what a part of a text decodes to; its hits stand where the encoded part stands.
    fn inner(
        &self,
        path: &str,
        range: &Range<usize>,
        inner: &[u8],
        depth: usize,
        budget: &mut usize,
        hits: &mut Vec<Hit>,
    ) {
        *budget -= range.len();
        let mut found = Vec::new();
        self.scan_into(path, inner, &mut found);
        self.decoded(path, inner, depth + 1, budget, &mut found);
        hits.extend(found.into_iter().map(|hit| Hit { range: range.clone(), matched: range.clone(), ..hit }));
    }

    pub(crate) fn rule(&self, at: usize) -> &Rule {
        &self.set.rules[at]
    }
}

/// One pass over one text.
struct Scan<'a> {
    engine: &'a Engine,
    path: &'a str,
    bytes: &'a [u8],
    language: Language,
    hits: &'a mut Vec<Hit>,
    /// For each rule that ran: up to where, so that no text is searched twice.
    done: Vec<(usize, usize)>,
    /// The end of the last name read, so that `secret_token_key` is read once.
    name_end: usize,
}

impl Scan<'_> {
    fn act(&mut self, action: Action, at: Range<usize>) {
        match action {
            Action::Rule(rule) => self.rule(rule, at),
            Action::Word(word) => self.word(word, at),
            Action::Url => {
                if let Some(range) = generic::in_url(self.bytes, at.start, self.language) {
                    self.generic(Kind::Url, range);
                }
            }
            Action::UserFlag => {
                if let Some(range) = generic::in_user_flag(self.bytes, at.end) {
                    self.generic(Kind::Header, range);
                }
            }
        }
    }

    /// Runs a rule's regex around one of its keywords.
    fn rule(&mut self, at: usize, keyword: Range<usize>) {
        let rule = &self.engine.set.rules[at];
        let Some(regex) = rule.regex.as_ref() else { return };
        let slot = self.done.iter().position(|(rule, _)| *rule == at);
        let done = slot.map_or(0, |slot| self.done[slot].1);
        if keyword.end < done {
            return;
        }
        let whole = rule.reach == 0 || rule.keywords.is_empty();
        let (start, end) = if whole {
            (0, self.bytes.len())
        } else {
            (
                keyword.start.saturating_sub(rule.reach.min(BEHIND)).max(done),
                (keyword.end + rule.reach).min(self.bytes.len()),
            )
        };
        if rule
            .path
            .as_ref()
            .is_some_and(|path| !path.get().is_some_and(|p| p.is_match(self.path.as_bytes())))
        {
            return;
        }
        let Some(regex) = regex.get() else { return };
        let haystack = &self.bytes[..end];
        let mut from = start;
        let mut last = start;
        while let Some(captures) = (from <= end).then(|| regex.captures_at(haystack, from)).flatten() {
            let Some(whole_match) = captures.get(0) else { break };
            let group = if rule.secret_group > 0 {
                captures.get(rule.secret_group)
            } else {
                captures.iter().skip(1).flatten().find(|group| !group.is_empty()).or(Some(whole_match))
            };
            if let Some(group) = group {
                self.matched(at, group.range(), whole_match.range());
            }
            last = whole_match.end();
            from = whole_match.end().max(from + 1).max(whole_match.start() + 1);
        }
        let upto = if whole { self.bytes.len() + 1 } else { last.max(keyword.end) };
        match slot {
            Some(slot) => self.done[slot].1 = upto,
            None => self.done.push((at, upto)),
        }
    }

    fn matched(&mut self, at: usize, range: Range<usize>, matched: Range<usize>) {
        let rule = &self.engine.set.rules[at];
        let secret = &self.bytes[range.clone()];
        if secret.is_empty() || rule.entropy > 0.0 && judge::entropy(secret) < rule.entropy {
            return;
        }
        if judge::masked(secret) || rule.random && !judge::random(secret, &Shape::of(secret)) {
            return;
        }
        let line = &self.bytes
            [assignment::line_start(self.bytes, range.start)..assignment::line_end(self.bytes, matched.end)];
        let candidate =
            Candidate { path: self.path, commit: None, secret, matched: &self.bytes[matched.clone()], line };
        if rule.allowlists.iter().any(|list| list.allows(&candidate)) || self.allowed(&rule.id, &candidate) {
            return;
        }
        let checksum = rule.checksum.as_deref().map(|kind| verify::holds(kind, secret));
        if checksum == Some(false) && verify::decides(rule.checksum.as_deref().unwrap_or_default()) {
            return;
        }
        self.hits.push(Hit { source: Source::Rule(at), range, matched, secret: secret.to_vec(), checksum });
    }

    fn allowed(&self, rule: &str, candidate: &Candidate<'_>) -> bool {
        let mut lists = self.engine.set.allowlists.iter();
        lists.any(|list| {
            (list.rules.is_empty() || list.rules.iter().any(|own| own == rule)) && list.allows(candidate)
        })
    }

    fn word(&mut self, word: Word, at: Range<usize>) {
        if at.start < self.name_end {
            return;
        }
        let name = assignment::name_around(self.bytes, &at);
        let next = name.end;
        let Some(found) = assignment::assigned(self.bytes, name) else { return };
        self.name_end = next;
        let strongest = self.strongest(word, &found.name);
        let Some((kind, range)) = generic::in_assignment(self.bytes, &found, strongest, self.language) else {
            if (6..super::tokens::LEAST).contains(&found.value.len())
                && self.language == Language::Other
                && generic::may_name_secret(&generic::words(&self.bytes[found.name.clone()]))
                && let Some(owner) = self.engine.names().owner(self.bytes, &found.name, &found.value)
            {
                self.push(Source::Provider(owner), found.value);
            }
            return;
        };
        if kind == Kind::Credential {
            let names = self.engine.names();
            let counting = judge::counting(&self.bytes[range.clone()]);
            if counting && !names.any(self.bytes, &found.name)
                || names.misfit(self.bytes, &found.name, &range)
            {
                return;
            }
        }
        self.generic(kind, range);
    }

    /// The strongest word in a name: `password_key` is about a password.
    fn strongest(&self, word: Word, name: &Range<usize>) -> Word {
        let text = self.bytes[name.clone()].to_ascii_lowercase();
        generic::WORDS
            .iter()
            .filter(|(_, kind)| *kind > word)
            .filter(|(literal, _)| memchr::memmem::find(&text, literal.as_bytes()).is_some())
            .map(|(_, kind)| *kind)
            .max()
            .unwrap_or(word)
    }

    fn generic(&mut self, kind: Kind, range: Range<usize>) {
        self.push(Source::Generic(kind), range);
    }

    fn push(&mut self, source: Source, range: Range<usize>) {
        let secret = &self.bytes[range.clone()];
        let line = &self.bytes
            [assignment::line_start(self.bytes, range.start)..assignment::line_end(self.bytes, range.end)];
        let candidate = Candidate { path: self.path, commit: None, secret, matched: line, line };
        let id = match source {
            Source::Rule(at) => self.engine.set.rules[at].id.as_str(),
            Source::Provider(at) => self.engine.set.providers[at].id.as_str(),
            Source::Generic(kind) => kind.id(),
        };
        if !self.allowed(id, &candidate) {
            self.hits.push(Hit {
                source,
                matched: range.clone(),
                secret: secret.to_vec(),
                range,
                checksum: None,
            });
        }
    }

    /// Tries the rules whose secrets start like the token at `start`.
    fn bare(&mut self, start: usize) {
        let engine = self.engine;
        for (mark, at) in &engine.bare[usize::from(self.bytes[start])] {
            if !self.bytes[start..].starts_with(mark) {
                continue;
            }
            let rule = &engine.set.rules[*at];
            let Some(regex) = rule.regex.as_ref().and_then(|regex| regex.get()) else { continue };
            let end = (start + rule.reach.max(BEHIND)).min(self.bytes.len());
            // From one byte before, so that the regex may ask what stands there.
            let Some(captures) = regex.captures_at(&self.bytes[..end], start.saturating_sub(1)) else {
                continue;
            };
            let Some(whole) = captures.get(0) else { continue };
            let secret = captures.iter().skip(1).flatten().find(|group| !group.is_empty()).unwrap_or(whole);
            if secret.start() == start {
                self.matched(*at, secret.range(), whole.range());
            }
        }
    }

    /// A long token: whose is it?
    fn token(&mut self, Token { range, core }: Token) {
        self.bare(range.start);
        if core != range.start {
            self.bare(core);
        }
        let value = &self.bytes[range.clone()];
        if value.len() > TOKEN_MOST || !value.iter().any(u8::is_ascii_digit) && value.len() < 20 {
            return;
        }
        let shape = Shape::of(value);
        if shape.distinct <= 5 {
            return;
        }
        if let Some(source) = self.engine.names().around(self.bytes, &range, &shape, self.language) {
            self.push(source, range);
        }
    }
}

/// One hit a place: a rule of its own before a provider's shape before the generic tier.
fn settle(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by(|a, b| (a.source, a.range.start, b.range.end).cmp(&(b.source, b.range.start, a.range.end)));
    let mut kept: Vec<Hit> = Vec::with_capacity(hits.len());
    let mut taken: std::collections::BTreeMap<usize, usize> = std::collections::BTreeMap::new();
    for hit in hits {
        let overlaps =
            taken.range(..hit.range.end).next_back().is_some_and(|(_, end)| *end > hit.range.start);
        if !overlaps {
            taken.insert(hit.range.start, hit.range.end);
            kept.push(hit);
        }
    }
    kept.sort_by_key(|hit| hit.range.start);
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn engine() -> &'static Engine {
        static ENGINE: OnceLock<Engine> = OnceLock::new();
        ENGINE.get_or_init(|| {
            Engine::new(RuleSet::built_in().expect("our own rules are valid")).expect("they build")
        })
    }

    /// How many cases a property gets; `PROPTEST_CASES` asks for a long run.
    fn cases() -> u32 {
        std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(96)
    }

    /// Secrets of many rules, and the noise that files put around them.
    fn pieces() -> impl Strategy<Value = Vec<String>> {
        let examples: Vec<String> = {
            let set = RuleSet::parse(super::super::rules::BUILT_IN, std::path::Path::new("x"), 0, false)
                .expect("valid");
            let all = set.rules.iter().flat_map(|rule| rule.examples.secret.iter());
            all.map(|example| super::super::rules::Examples::join(example)).collect()
        };
        let piece = prop_oneof![
            proptest::sample::select(examples),
            "[ -~]{0,40}",
            Just("\n".to_owned()),
            Just("key = \"".to_owned()),
            Just("\u{e4}\u{20ac}".to_owned()),
        ];
        proptest::collection::vec(piece, 1..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

        /// The prefilter never loses what the regexes alone find within their reach.
        #[test]
        fn the_prefilter_loses_nothing(pieces in pieces()) {
            let text = pieces.concat();
            let hits = engine().scan("x.txt", text.as_bytes());
            for (at, rule) in engine().set.rules.iter().enumerate().filter(|(_, rule)| !rule.keywords.is_empty() && rule.bare.is_empty()) {
                let Some(regex) = rule.regex.as_ref().and_then(|regex| regex.get()) else { continue };
                let lower = text.as_bytes().to_ascii_lowercase();
                for found in regex.captures_iter(text.as_bytes()) {
                    let group = found.iter().skip(1).flatten().find(|g| !g.is_empty()).or(found.get(0)).expect("a match");
                    let near = found.get(0).expect("a match").range();
                    let keyword = rule.keywords.iter().any(|k| memchr::memmem::find(&lower[near.clone()], k.as_bytes()).is_some());
                    let mut alone = Vec::new();
                    let mut scan = Scan { engine: engine(), path: "x.txt", bytes: text.as_bytes(), language: Language::Other, hits: &mut alone, done: Vec::new(), name_end: 0 };
                    scan.matched(at, group.range(), near.clone());
                    if keyword && !alone.is_empty() {
                        prop_assert!(
                            hits.iter().any(|hit| hit.range.start < group.end() && group.start() < hit.range.end),
                            "{} at {:?}", rule.id, group.range()
                        );
                    }
                }
            }
        }

        /// Whatever the bytes, a scan ends, and its hits lie in the text and in order.
        #[test]
        fn any_bytes_are_scanned(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let hits = engine().scan("x", &bytes);
            prop_assert!(hits.iter().all(|hit| hit.range.start < hit.range.end && hit.range.end <= bytes.len()));
            prop_assert!(hits.windows(2).all(|pair| pair[0].range.start <= pair[1].range.start));
        }

        /// Whatever a rule file says, loading it ends in rules or in an error.
        #[test]
        fn any_rule_file_is_loaded_or_refused(parts in proptest::collection::vec(proptest::sample::select(vec![
            "[[rules]]\n", "[extend]\n", "useDefault = true\n", "id = 'a'\n", "regex = '''", "'''\n", "(a", "[", "]", "{2,", "}", "\\Q", "\\E", "\\",
            "keywords = ['", "']\n", "[[rules.allowlists]]\n", "condition = 'AND'\n", "regexes = ['x']\n", "[[providers]]\n", "tokens = ['hex32']\n",
            "name = 'b'\n", "entropy = 3\n", "secretGroup = 9\n", "[^]", "&&", "--", "(?i)", "\u{e4}", "disabledRules = ['a']\n", "bare = ['q']\n",
        ]), 0..24)) {
            let text = parts.concat();
            if let Ok(set) = RuleSet::parse(&text, std::path::Path::new("x.toml"), 0, true) {
                let engine = Engine::new(set).expect("checked rules build");
                engine.scan("x", b"aab a2 qqqqqqqqqqqqqqqqq x");
            }
        }

        /// Text made of what the readers look for, in any order, breaks none of them.
        #[test]
        fn any_syntax_is_scanned(parts in proptest::collection::vec(proptest::sample::select(vec![
            "password", "token", "key", "=", ":", "\"", "'", "\\", "\n", " ", "://", "@", "{", "}", "curl -u ", "Authorization: Basic ", "<", ">", "%3D",
            "a1B2c3D4e5F6g7H8", "eyJhbGciOi", "-----BEGIN PRIVATE KEY-----", "\u{e4}", "login ", "|", "`", "secret_",
        ]), 0..60)) {
            let text = parts.concat();
            engine().scan("x", text.as_bytes());
        }
    }

    #[test]
    fn time_is_linear_on_hostile_text() {
        let one = [
            "a=",
            "key=",
            "password:",
            "://",
            "token ",
            "eyJ",
            "AKIA",
            "sk-",
            "{",
            "\"",
            "A1b2C3d4",
            "curl -u :",
            "%41",
        ];
        for piece in one {
            let text = piece.repeat((2 << 20) / piece.len());
            let start = std::time::Instant::now();
            engine().scan("x.txt", text.as_bytes());
            assert!(start.elapsed().as_secs() < 8, "{piece}: {:?} for 2 MB", start.elapsed());
        }
    }
}
