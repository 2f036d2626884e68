//! The engine: bytes in, hits out. It reads no files and knows no formats.
//!
//! One pass of an automaton over the raw bytes finds the literals of every rule and the words of the
//! generic tier; a second, skipping pass finds long tokens. Only around what those two find is
//! anything else run: a rule's regex on a window, the reader of assignments, the look-up of provider
//! names. Each of them reads a bounded number of bytes, so the whole stays linear on hostile input.

mod pass;
#[cfg(test)]
mod places;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use anyhow::{Context as _, Result};

use super::columns;
use super::decode;
use super::generic::{self, Kind, Word};
use super::kubernetes;
use super::names::Names;
use super::pair::{self, Beside};
use super::rules::{Candidate, Rule, RuleSet};
use super::sql;
use super::terraform;
use super::tokens::{Token, Tokens};
use super::user_list;
use super::verify::Proof;

use self::pass::Scan;

/// How often a text is decoded within a decoded text, and how many bytes per file that may yield.
const DECODE_DEPTH: usize = 3;
const DECODE_MOST: usize = 4 << 20;

/// The shortest mark of a token that is remembered, in bytes.
const MARK: usize = 3;

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
    /// For each literal, the actions to run on a match.
    actions: Vec<Vec<Action>>,
    /// Rules without keywords: run on every text, as gitleaks does.
    always: Vec<usize>,
    /// Rules tried where a token starts with these, by first byte.
    bare: Vec<Vec<(Vec<u8>, usize)>>,
    names: OnceLock<Names>,
    /// The marks that tokens of the rules start with, by their first bytes in lower case.
    marks: OnceLock<HashMap<[u8; MARK], Vec<Vec<u8>>>>,
    /// Rules without a regex: a file of that path is the finding.
    paths: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Rule(usize),
    Word(Word),
    Url,
    UserFlag,
    Arguments,
    Manifest,
    Terraform,
    Insert,
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
    /// Its position; for a decoded secret, the position of the encoded text.
    pub(crate) range: Range<usize>,
    /// What the rule matched around it.
    pub(crate) matched: Range<usize>,
    pub(crate) secret: Vec<u8>,
    /// What its format proves, if it has one.
    pub(crate) proof: Proof,
    /// The id that goes with it.
    pub(crate) beside: Option<Beside>,
    /// Whether its name says little: `key` may be for anything.
    pub(crate) weak: bool,
    /// Whether it is not reported: an id that is reported with its secret, or allowed.
    pub(crate) silent: bool,
}

/// Where a text comes from: what allowlists and rules may ask besides the text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place<'a> {
    pub(crate) path: &'a str,
    /// The commit that brought it, where a history is read.
    pub(crate) commit: Option<&'a str>,
}

impl Engine {
    pub(crate) fn new(set: RuleSet) -> Result<Self> {
        let mut literals: Vec<String> = Vec::new();
        let mut actions: Vec<Vec<Action>> = Vec::new();
        let mut index = HashMap::new();
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
        for literal in generic::argument_literals() {
            add(literal, Action::Arguments);
        }
        for literal in kubernetes::LITERALS {
            add(literal, Action::Manifest);
        }
        for literal in terraform::LITERALS {
            add(literal, Action::Terraform);
        }
        add(sql::LITERAL, Action::Insert);
        add(" -u", Action::UserFlag);
        add("--user", Action::UserFlag);
        let mut always = Vec::new();
        let mut paths = Vec::new();
        let mut bare = vec![Vec::new(); 256];
        for (at, rule) in set.rules.iter().enumerate() {
            for start in rule.bare.iter().filter(|start| !start.is_empty()) {
                bare[usize::from(start.as_bytes()[0])].push((start.as_bytes().to_vec(), at));
            }
            if rule.regex.is_none() {
                paths.push(at);
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
            marks: OnceLock::new(),
            paths,
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
    pub(crate) fn scan(&self, place: Place<'_>, bytes: &[u8]) -> Vec<Hit> {
        let mut hits = Vec::new();
        self.scan_into(place, bytes, &mut hits);
        let mut budget = DECODE_MOST;
        self.decoded(place, bytes, 0, &mut budget, &mut hits);
        let mut hits = settle(hits);
        pair::join(bytes, &mut hits, &self.set);
        hits
    }

    /// Rules that are about the path alone, whatever the file holds.
    pub(crate) fn of_path(&self, place: Place<'_>) -> impl Iterator<Item = &Rule> {
        let candidate =
            Candidate { path: place.path, commit: place.commit, secret: b"", matched: b"", line: b"" };
        self.paths.iter().map(|at| &self.set.rules[*at]).filter(move |rule| {
            rule.path.as_ref().is_some_and(|path| path.is_match(place.path.as_bytes()))
                && !rule.disabled
                && !rule.allowlists.iter().any(|list| list.allows(&candidate))
                && !self.set.allows(&rule.id, &candidate)
        })
    }

    /// Scans a text as it is, without decoding anything.
    fn scan_into(&self, place: Place<'_>, bytes: &[u8], hits: &mut Vec<Hit>) {
        let mut scan = Scan::new(self, place, bytes, hits);
        for &rule in &self.always {
            scan.rule(rule, 0..0);
        }
        let Some(literals) = self.literals(bytes.len()) else { return };
        for found in literals.find_overlapping_iter(bytes) {
            for action in &self.actions[found.pattern().as_usize()] {
                scan.act(*action, found.range());
            }
        }
        scan.finish();
        for token in Tokens::of(bytes) {
            scan.token(token);
        }
        if columns::is_table(place.path) {
            scan.cells(columns::secrets(bytes));
        } else if user_list::is_one(place.path) {
            scan.cells(user_list::passwords(bytes));
        } else if generic::is_document(place.path) {
            scan.cells(columns::of_document(bytes));
        }
    }

    pub(super) fn names(&self) -> &Names {
        self.names.get_or_init(|| Names::new(&self.set))
    }

    /// Whether a value starts with the mark of a rule. If that rule did not match, the value is cut, altered or made up.
    fn has_mark(&self, value: &[u8]) -> bool {
        let marks = self.marks.get_or_init(|| {
            let mut marks: HashMap<[u8; MARK], Vec<Vec<u8>>> = HashMap::new();
            let of_tokens = |mark: &&String| mark.len() > MARK && mark.ends_with(['_', '-']);
            let keywords = self.set.rules.iter().flat_map(|rule| rule.keywords.iter().filter(of_tokens));
            let bare = self.set.rules.iter().flat_map(|rule| &rule.bare);
            for mark in keywords.chain(bare).map(|mark| mark.to_ascii_lowercase().into_bytes()) {
                if let Some(start) = mark.first_chunk::<MARK>() {
                    marks.entry(*start).or_default().push(mark);
                }
            }
            marks
        });
        let lower = value.to_ascii_lowercase();
        let of_start = lower.first_chunk::<MARK>().and_then(|start| marks.get(start));
        of_start.is_some_and(|marks| marks.iter().any(|mark| lower.starts_with(mark)))
    }

    /// Scans what is hidden in base64 and hexadecimal, nested.
    fn decoded(&self, place: Place<'_>, bytes: &[u8], depth: usize, budget: &mut usize, hits: &mut Vec<Hit>) {
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
            self.inner(place, &range, &inner, depth, budget, hits);
        }
        for (range, inner) in decode::escaped(bytes) {
            if range.len() <= *budget {
                self.inner(place, &range, &inner, depth, budget, hits);
            }
        }
    }

    /// Scans what a part of a text decodes to; its hits get the position of the encoded part.
    fn inner(
        &self,
        place: Place<'_>,
        range: &Range<usize>,
        inner: &[u8],
        depth: usize,
        budget: &mut usize,
        hits: &mut Vec<Hit>,
    ) {
        *budget -= range.len();
        let mut found = Vec::new();
        self.scan_into(place, inner, &mut found);
        self.decoded(place, inner, depth + 1, budget, &mut found);
        hits.extend(found.into_iter().map(|hit| Hit { range: range.clone(), matched: range.clone(), ..hit }));
    }

    pub(crate) fn rule(&self, at: usize) -> &Rule {
        &self.set.rules[at]
    }
}

/// One hit per place, in this order of preference: a dedicated rule, a provider's shape, what a rule may not report,
/// the generic tier.
fn settle(mut hits: Vec<Hit>) -> Vec<Hit> {
    let tier = |hit: &Hit| match hit.source {
        Source::Generic(_) => 2,
        _ => usize::from(hit.silent),
    };
    hits.sort_by(|a, b| {
        (tier(a), a.source, a.range.start, b.range.end).cmp(&(tier(b), b.source, b.range.start, a.range.end))
    });
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
