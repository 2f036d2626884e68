//! One pass over one text: what a literal or a long token sets off.

use std::ops::Range;

use super::super::assess::{self, Shape};
use super::super::assignment::{self, Assigned};
use super::super::collections;
use super::super::generic::{self, Kind, Language, Word};
use super::super::kubernetes;
use super::super::rules::{Candidate, LazyRegex};
use super::super::sql;
use super::super::terraform;
use super::super::tokens::{self, Token};
use super::super::verify::{self, Proof};
use super::{Action, Engine, Hit, Place, Source};

/// How far before its keyword a regex with a `reach` may start to match, in bytes.
const BEHIND: usize = 256;

/// The longest token that is asked whose it is, in bytes.
const TOKEN_MOST: usize = 1400;

/// A lock file or a list of checksums. Addresses in it may still hold passwords.
fn lists_checksums(path: &str) -> bool {
    let name = path.rsplit(['/', '!']).next().unwrap_or(path).to_ascii_lowercase();
    let names = [
        "go.sum",
        "package-lock.json",
        "npm-shrinkwrap.json",
        "pnpm-lock.yaml",
        "bun.lock",
        ".terraform.lock.hcl",
    ];
    let endings =
        [".lock", ".sum", ".sha256", ".sha512", ".md5", "sha256sums", "sha512sums", "checksums.txt"];
    names.contains(&name.as_str()) || endings.iter().any(|ending| name.ends_with(ending))
}

fn is_password(source: Source) -> bool {
    matches!(source, Source::Generic(Kind::Password | Kind::Connection | Kind::Url | Kind::Header))
}

/// One pass over one text.
pub(super) struct Scan<'a> {
    engine: &'a Engine,
    place: Place<'a>,
    bytes: &'a [u8],
    language: Language,
    /// Text about code, with commands in it.
    document: bool,
    /// A list of checksums: what looks random there is one.
    checksums: bool,
    hits: &'a mut Vec<Hit>,
    /// For each rule whose keywords occur: the stretch of text around the last of them, which is yet to be searched.
    stretches: Vec<(usize, Range<usize>)>,
    /// The end of the last name read, so that `secret_token_key` is read once.
    name_end: usize,
    /// How many manifests of Kubernetes and resources of Terraform were read.
    manifests: usize,
    resources: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(engine: &'a Engine, place: Place<'a>, bytes: &'a [u8], hits: &'a mut Vec<Hit>) -> Self {
        let language = Language::of(place.path);
        let checksums = lists_checksums(place.path);
        Self {
            engine,
            place,
            bytes,
            language,
            document: generic::is_document(place.path),
            checksums,
            hits,
            stretches: Vec::new(),
            name_end: 0,
            manifests: 0,
            resources: 0,
        }
    }

    pub(super) fn act(&mut self, action: Action, at: Range<usize>) {
        match action {
            Action::Rule(rule) => self.rule(rule, at),
            Action::Word(word) => self.word(word, at),
            Action::Url => {
                if let Some(range) = generic::in_url(self.bytes, at.start, self.language) {
                    self.generic(Kind::Url, range);
                } else if let Some(range) = generic::beside_address(self.bytes, at.end) {
                    self.generic(Kind::Password, range);
                }
            }
            Action::UserFlag => {
                if let Some(range) = generic::in_user_flag(self.bytes, at.end) {
                    self.generic(Kind::Header, range);
                }
            }
            Action::Arguments => {
                if let Some(range) = generic::in_arguments(self.bytes, &at) {
                    self.generic(Kind::Password, range);
                }
            }
            Action::Manifest if self.manifests < kubernetes::MANIFESTS_MOST => {
                self.manifests += 1;
                for range in kubernetes::values(self.bytes, &at) {
                    self.generic(Kind::Credential, range);
                }
            }
            Action::Terraform if self.resources < terraform::RESOURCES_MOST => {
                self.resources += 1;
                for range in terraform::values(self.bytes, &at) {
                    self.generic(Kind::Credential, range);
                }
            }
            Action::Insert => self.cells(sql::values(self.bytes, at.end)),
            Action::Manifest | Action::Terraform => {}
        }
    }

    /// Notes one of a rule's keywords. Its regex runs later, once over each stretch of text: keywords that are close to
    /// one another would have the same text searched again for each of them.
    pub(super) fn rule(&mut self, at: usize, keyword: Range<usize>) {
        let rule = &self.engine.set.rules[at];
        let whole = rule.reach == 0 || rule.keywords.is_empty();
        let around = if whole {
            0..self.bytes.len()
        } else {
            keyword.start.saturating_sub(rule.reach.min(BEHIND))
                ..(keyword.end + rule.reach).min(self.bytes.len())
        };
        let Some(slot) = self.stretches.iter().position(|(rule, _)| *rule == at) else {
            self.stretches.push((at, around));
            return;
        };
        let stretch = &mut self.stretches[slot].1;
        if around.start <= stretch.end {
            stretch.end = stretch.end.max(around.end);
        } else {
            let before = std::mem::replace(stretch, around);
            self.search(at, before);
        }
    }

    /// Searches the stretches that are left when the text ends.
    pub(super) fn finish(&mut self) {
        for (at, stretch) in std::mem::take(&mut self.stretches) {
            self.search(at, stretch);
        }
    }

    /// Runs a rule's regex over a stretch of the text.
    fn search(&mut self, at: usize, stretch: Range<usize>) {
        let rule = &self.engine.set.rules[at];
        let here =
            |path: &LazyRegex| path.get().is_some_and(|path| path.is_match(self.place.path.as_bytes()));
        if !rule.path.as_ref().is_none_or(here) {
            return;
        }
        let Some(regex) = rule.regex.as_ref().and_then(|regex| regex.get()) else { return };
        let haystack = &self.bytes[..stretch.end];
        let mut from = stretch.start;
        while let Some(captures) = (from <= stretch.end).then(|| regex.captures_at(haystack, from)).flatten()
        {
            let Some(whole_match) = captures.get(0) else { break };
            let group = if rule.secret_group > 0 {
                captures.get(rule.secret_group)
            } else {
                captures.iter().skip(1).flatten().find(|group| !group.is_empty()).or(Some(whole_match))
            };
            if let Some(group) = group {
                self.matched(at, group.range(), whole_match.range());
            }
            from = whole_match.end().max(from + 1).max(whole_match.start() + 1);
        }
    }

    pub(super) fn matched(&mut self, at: usize, range: Range<usize>, matched: Range<usize>) {
        let rule = &self.engine.set.rules[at];
        let secret = &self.bytes[range.clone()];
        if secret.is_empty() || rule.entropy > 0.0 && assess::entropy(secret) < rule.entropy {
            return;
        }
        if assess::masked(secret) || rule.random && !assess::random(secret, &Shape::of(secret)) {
            return;
        }
        let line = &self.bytes
            [assignment::line_start(self.bytes, range.start)..assignment::line_end(self.bytes, matched.end)];
        let candidate = self.candidate(secret, &self.bytes[matched.clone()], line);
        let allowed = rule.disabled
            || rule.allowlists.iter().any(|list| list.allows(&candidate))
            || self.engine.set.allows(&rule.id, &candidate);
        let mut proof = rule.checksum.as_deref().map_or(Proof::Plausible, |kind| verify::prove(kind, secret));
        if proof == Proof::Refuted {
            return;
        }
        // A mark alone proves nothing about what counts, follows a pattern or says that it is an example.
        if proof == Proof::Plausible
            && (assess::counting(secret) || assess::placeholder(secret) || assess::patterned(secret))
        {
            proof = Proof::Doubtful;
        }
        // `xoxb-your-bot-token`: words without a digit behind a mark.
        let words = (assess::placeholder(secret) || assess::names_secret(secret))
            && !secret.iter().any(u8::is_ascii_digit);
        self.hit(Source::Rule(at), range, matched, proof);
        self.silence_if(allowed || words);
    }

    /// Keeps the last hit from being reported. It stays, as what a rule may not report is not a finding of a vaguer
    /// rule either.
    fn silence_if(&mut self, allowed: bool) {
        if let Some(hit) = self.hits.last_mut() {
            hit.silent |= allowed;
        }
    }

    fn weaken_if(&mut self, weak: bool) {
        if let Some(hit) = self.hits.last_mut() {
            hit.weak |= weak;
        }
    }

    fn candidate<'b>(&self, secret: &'b [u8], matched: &'b [u8], line: &'b [u8]) -> Candidate<'b>
    where
        'a: 'b,
    {
        Candidate { path: self.place.path, commit: self.place.commit, secret, matched, line }
    }

    fn hit(&mut self, source: Source, range: Range<usize>, matched: Range<usize>, proof: Proof) {
        let secret = self.bytes[range.clone()].to_vec();
        self.hits.push(Hit {
            source,
            range,
            matched,
            secret,
            proof,
            beside: None,
            weak: false,
            silent: false,
        });
    }

    fn word(&mut self, word: Word, at: Range<usize>) {
        if at.start < self.name_end || !generic::means(&self.bytes[at.clone()], self.bytes, at.start) {
            return;
        }
        let name = assignment::name_around(self.bytes, &at);
        let next = name.end;
        for item in collections::values(self.bytes, &name) {
            self.item(word, &item);
        }
        let Some(found) = assignment::assigned(self.bytes, name) else { return };
        self.name_end = next;
        // Too long for a credential, and so is what is assigned within it, up to its last part: names without
        // end in a text without blanks would otherwise be read a thousand times over.
        if !found.quoted && found.value.len() > generic::VALUE_MOST {
            self.name_end = next.max(found.value.end - generic::VALUE_MOST);
            return;
        }
        let said =
            (word != Word::Password).then(|| generic::strongest(&self.bytes[found.name.clone()])).flatten();
        let strongest = said.map_or(word, |said| said.max(word));
        let language = self.language_of(&found);
        let Some((kind, range)) = generic::in_assignment(self.bytes, &found, strongest, language) else {
            if (6..tokens::LEAST).contains(&found.value.len())
                && language == Language::Other
                && generic::may_name_secret(&generic::words(&self.bytes[found.name.clone()]))
                && let Some(owner) = self.engine.names().owner(self.bytes, &found.name, &found.value)
            {
                self.push(Source::Provider(owner), found.value);
            }
            return;
        };
        if kind == Kind::Credential {
            let names = self.engine.names();
            let counting = assess::counting(&self.bytes[range.clone()]);
            // A service has more kinds of credentials than its rules know: one of the wrong form is reported as doubtful
            // if it is drawn and whole.
            let bare = generic::is_bare(&self.bytes[found.name.clone()]);
            let misfit = names.misfit(self.bytes, &found.name, &range);
            if counting && !names.any(self.bytes, &found.name)
                || misfit && (bare || !generic::is_whole(&self.bytes[range.clone()]))
            {
                return;
            }
            let weak = misfit || bare;
            self.generic(kind, range);
            self.weaken_if(weak);
            return;
        }
        self.generic(kind, range);
    }

    /// One of several values of a name in the plural.
    fn item(&mut self, word: Word, item: &Assigned) {
        let word = generic::strongest(&self.bytes[item.name.clone()]).map_or(word, |said| said.max(word));
        if let Some((kind, range)) = generic::in_assignment(self.bytes, item, word, self.language)
            // Lists of tokens are lists of words more often: a short one proves nothing.
            && (kind == Kind::Password || range.len() >= 16)
        {
            self.generic(kind, range);
        }
    }

    /// Commands and settings in a document are not code.
    fn language_of(&self, found: &Assigned) -> Language {
        let setting = self.document && assignment::is_setting(self.bytes, found);
        if setting { Language::Other } else { self.language }
    }

    fn generic(&mut self, kind: Kind, range: Range<usize>) {
        self.push(Source::Generic(kind), range);
    }

    fn push(&mut self, source: Source, range: Range<usize>) {
        if assignment::in_resource_name(self.bytes, range.start)
            || assignment::in_text_fragment(self.bytes, range.start)
            || self.checksums && !is_password(source)
        {
            return;
        }
        let secret = &self.bytes[range.clone()];
        let line = &self.bytes
            [assignment::line_start(self.bytes, range.start)..assignment::line_end(self.bytes, range.end)];
        let candidate = self.candidate(secret, line, line);
        let allowed = self.engine.set.allows(self.engine.set.id(source), &candidate);
        if allowed && matches!(source, Source::Generic(_)) {
            return;
        }
        let proof = if self.engine.has_mark(secret) { Proof::Doubtful } else { Proof::Plausible };
        self.hit(source, range.clone(), range, proof);
        self.silence_if(allowed);
    }

    /// Cells of columns of passwords and tokens.
    pub(super) fn cells(&mut self, cells: Vec<(Kind, Range<usize>)>) {
        for (kind, range) in cells {
            self.generic(kind, range);
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
            // From one byte before, so that the regex may check the preceding byte.
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
    pub(super) fn token(&mut self, Token { range, core }: Token) {
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
