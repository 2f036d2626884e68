//! Who gave a token out: looks for providers' names around it.
//!
//! A random value beside the name of a service is that service's credential far more often than not.
//! The names are searched only around tokens that already look random, so knowing thousands of them
//! costs nothing on ordinary text.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::assess::{self, Shape};
use super::assignment::{line_end, line_start};
use super::engine::Source;
use super::generic::{self, Kind, Language};
use super::rules::RuleSet;

/// How far before a token its provider's name may be.
const BEFORE: usize = 160;

pub(super) struct Names {
    search: Option<AhoCorasick>,
    /// For each name: the providers that define token shapes.
    owners: Vec<Vec<usize>>,
    shapes: Vec<Vec<super::shape::TokenShape>>,
}

impl Names {
    pub(super) fn new(set: &RuleSet) -> Self {
        let mut index: std::collections::BTreeMap<String, Vec<usize>> = std::collections::BTreeMap::new();
        for (at, provider) in set.providers.iter().enumerate() {
            index.entry(provider.id.replace('-', "")).or_default().push(at);
            for keyword in &provider.keywords {
                index.entry(keyword.to_ascii_lowercase()).or_default().push(at);
            }
        }
        for name in &set.names {
            index.entry(name.to_ascii_lowercase()).or_default();
        }
        let (names, owners): (Vec<String>, Vec<Vec<usize>>) = index.into_iter().unzip();
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&names)
            .ok();
        Self { search, owners, shapes: set.providers.iter().map(|p| p.tokens.clone()).collect() }
    }

    /// Whose the token at `token` is, if it is a credential.
    pub(super) fn around(
        &self,
        bytes: &[u8],
        token: &Range<usize>,
        shape: &Shape,
        language: Language,
    ) -> Option<Source> {
        let value = &bytes[token.clone()];
        let search = self.search.as_ref()?;
        let line = line_start(bytes, token.start);
        let mut line = line;
        // Alone on its line, and the one before ends open: the name is there.
        let open = |at: usize| {
            bytes[..at]
                .trim_ascii_end()
                .last()
                .is_some_and(|b| matches!(b, b'=' | b':' | b'(' | b'{' | b'[' | b'>' | b'|' | b',' | b'\\'))
        };
        if line > 0 && !bytes[line..token.start].iter().any(u8::is_ascii_alphanumeric) && open(line - 1) {
            line = line_start(bytes, line - 1);
        }
        let before = line.max(token.start.saturating_sub(BEFORE))..token.start;
        let mut random = None;
        let mut is_random = || *random.get_or_insert_with(|| assess::random(value, shape));
        let mut named = false;
        let mut misfit = false;
        let apart = boundaries(bytes, token);
        // Digests of files, by their names.
        if memchr::memmem::find(&bytes[before.clone()], b"checksums").is_some() {
            return None;
        }
        // `(https://acme.io/join/…)`: an address up to its scheme.
        let address = value.starts_with(b"//") && bytes[..token.start].ends_with(b":");
        if !apart || address || in_query(bytes, token) || assess::of_clock(value) || assess::of_commit(value)
        {
            return None;
        }
        for found in search.find_overlapping_iter(&bytes[before.clone()]) {
            let name = before.start + found.start()..before.start + found.end();
            if !stands_alone(bytes, &name) {
                continue;
            }
            let owners = &self.owners[found.pattern().as_usize()];
            if !in_place(bytes, token, &name)
                || (shape.hex || language == Language::Code) && !tied(&bytes[name.end..token.start])
            {
                continue;
            }
            // A UUID under a provider's name in an object is an account, a workspace or a report, unless a word says
            // otherwise.
            let key = matches!(bytes.get(name.end), Some(b'"' | b'\''));
            if assess::uuid(value) && key && !says_secret(&bytes[name.end..token.start]) {
                continue;
            }
            for &owner in owners {
                let random =
                    shape.len < 16 && !assess::placeholder(value) || assess::as_if_random(value, shape);
                if random
                    && self.shapes[owner].iter().any(|shape| shape.fits(value))
                    && shape.distinct > 5
                    && !assess::code(value)
                    && !about(bytes, token)
                {
                    return Some(Source::Provider(owner));
                }
            }
            named = true;
            misfit |= !owners.is_empty();
        }
        if named
            && !misfit
            && usual_length(value, shape)
            && language == Language::Other
            && (!assess::uuid(value) || says_secret(last_name(bytes, token.start)))
            && !in_address(bytes, token)
            && !in_group(bytes, token)
            && is_random()
            && unlike_other(bytes, token, value)
        {
            return Some(Source::Generic(Kind::Named));
        }
        let marked = language == Language::Other && marked(value) && !about(bytes, token);
        marked.then_some(Source::Generic(Kind::Marked))
    }
}

impl Names {
    /// Whether a provider's name is in a name, or right before it.
    pub(super) fn any(&self, bytes: &[u8], name: &Range<usize>) -> bool {
        let from = line_start(bytes, name.start).max(name.start.saturating_sub(24));
        self.search.as_ref().is_some_and(|search| {
            search
                .find_overlapping_iter(&bytes[from..name.end])
                .any(|found| stands_alone(bytes, &(from + found.start()..from + found.end())))
        })
    }

    /// The provider whose name is in a name, and whose shape the value has: for credentials too short
    /// to be recognised by themselves.
    pub(super) fn owner(&self, bytes: &[u8], name: &Range<usize>, value: &Range<usize>) -> Option<usize> {
        let from = line_start(bytes, name.start).max(name.start.saturating_sub(24));
        let text = &bytes[value.clone()];
        let shape = Shape::of(text);
        if shape.distinct <= 3
            || shape.digits == 0 && shape.upper == 0
            || assess::placeholder(text)
            || assess::masked(text)
            || assess::code(text)
        {
            return None;
        }
        self.search.as_ref()?.find_overlapping_iter(&bytes[from..name.end]).find_map(|found| {
            let owners = &self.owners[found.pattern().as_usize()];
            let owner = owners
                .iter()
                .copied()
                .find(|owner| self.shapes[*owner].iter().any(|shape| shape.fits(text)))?;
            stands_alone(bytes, &(from + found.start()..from + found.end())).then_some(owner)
        })
    }

    /// The name around a value belongs to a provider whose credentials we know, and the value is not one of
    /// them: cut off, of another kind, or made up.
    pub(super) fn misfit(&self, bytes: &[u8], name: &Range<usize>, value: &Range<usize>) -> bool {
        let Some(search) = &self.search else { return false };
        let from = line_start(bytes, name.start).max(name.start.saturating_sub(24));
        let mut known = false;
        for found in search.find_overlapping_iter(&bytes[from..name.end]) {
            let owners = &self.owners[found.pattern().as_usize()];
            if owners.is_empty() || !stands_alone(bytes, &(from + found.start()..from + found.end())) {
                continue;
            }
            if owners
                .iter()
                .any(|owner| self.shapes[*owner].iter().any(|shape| shape.fits_length(value.len())))
            {
                return false;
            }
            known = true;
        }
        known
    }
}

/// What a name may be grown together with: `twitchtoken`.
const TAILS: &[&[u8]] = &[
    b"api",
    b"key",
    b"token",
    b"secret",
    b"access",
    b"auth",
    b"client",
    b"app",
    b"personal",
    b"oauth",
    b"io",
    b"hq",
    b"bot",
    b"id",
    b"user",
    b"pass",
    b"private",
    b"webhook",
    b"account",
    b"sdk",
    b"service",
];

/// The name is a separate word or the start of a longer name: not `front` in `frontend`.
fn stands_alone(bytes: &[u8], name: &Range<usize>) -> bool {
    let first = bytes[name.start];
    let before = name.start.checked_sub(1).map_or(b' ', |at| bytes[at]);
    let starts = !before.is_ascii_alphabetic() || before.is_ascii_lowercase() && first.is_ascii_uppercase();
    if !starts {
        return false;
    }
    let rest = &bytes[name.end..(name.end + 12).min(bytes.len())];
    let Some(&next) = rest.first() else { return true };
    if !next.is_ascii_alphabetic() {
        return true;
    }
    let last = bytes[name.end - 1];
    if last.is_ascii_lowercase() && next.is_ascii_uppercase() {
        return true;
    }
    TAILS.iter().any(|tail| rest.len() >= tail.len() && rest[..tail.len()].eq_ignore_ascii_case(tail))
}

/// The text between a name and its token connects them, and is not another sentence or value.
fn in_place(bytes: &[u8], token: &Range<usize>, name: &Range<usize>) -> bool {
    let between = &bytes[name.end..token.start];
    let Some(&last) = between.last() else { return false };
    if !matches!(
        last,
        b'"' | b'\'' | b'`' | b' ' | b'=' | b':' | b'>' | b'{' | b'(' | b',' | b'\t' | b'\n' | b'|'
    ) {
        return false;
    }
    // A URL that goes on to the token is an address, not a credential.
    memchr::memmem::find(between, b"://").is_none()
        || memchr::memchr2(b' ', b'"', between).is_some()
        || memchr::memchr(b'=', between).is_some()
}

/// The token is assigned to the name, or to a longer name that contains it, or there is a word for secrets
/// between them: digests and identifiers also occur near names, but not in this form.
fn tied(between: &[u8]) -> bool {
    let rest = between
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')))
        .unwrap_or(between.len());
    let tail = &between[rest..];
    let mark = |b: &u8| {
        matches!(
            b,
            b' ' | b'\t'
                | b'\n'
                | b'"'
                | b'\''
                | b'`'
                | b'='
                | b':'
                | b'>'
                | b'{'
                | b'('
                | b'['
                | b','
                | b'|'
                | b'-'
                | b'\\'
        )
    };
    let assigned = tail.iter().all(mark)
        && tail.iter().any(|b| matches!(b, b'=' | b':' | b'"' | b'\'' | b'>' | b'|'))
        // The next value of a row or a list.
        && !(tail.contains(&b',') && rest == 0);
    assigned || between.len() < 48 && says_secret(between)
}

/// Whether a text has a word for secrets in it.
fn says_secret(text: &[u8]) -> bool {
    let lower = text.to_ascii_lowercase();
    let says = |word: &&str| memchr::memmem::find(&lower, word.as_bytes()).is_some();
    ["key", "token", "secret", "auth", "password", "credential"].iter().any(says)
}

/// Marks of identifiers: of customers, payments, messages and other records.
const OF_IDS: &[&str] = &[
    "acct", "card", "ch", "cn", "cus", "dp", "evt", "fee", "ic", "ii", "in", "pi", "pm", "po", "price",
    "prod", "promo", "py", "re", "rcpt", "seti", "si", "sli", "src", "sub", "txn", "tr", "org", "user",
    "usr", "prj", "proj", "project", "team", "msg", "run", "thread", "step", "asst", "call", "batch", "file",
    "req", "chatcmpl", "resp", "conv", "env", "dep", "dpl", "build", "job", "task", "doc", "page", "img",
    "vid", "ws", "wf", "plan", "inv", "order", "item", "obj", "id",
];

/// Carries the mark of a record, and not of a token: `price_1G09…`, `prj_DT0x…`; which marks count is asked.
pub(super) fn of_record(value: &[u8], counts: impl Fn(&str) -> bool) -> bool {
    let Some(bar) = memchr::memchr(b'_', value) else { return false };
    let mark = OF_IDS.iter().find(|id| id.as_bytes() == &value[..bar]);
    mark.is_some_and(|mark| counts(mark)) && value.len() - bar <= 40
}

/// Carries a mark as modern tokens do: a short lower-case prefix, a bar, and a long random rest.
fn marked(value: &[u8]) -> bool {
    let Some(bar) = value.iter().rposition(|b| *b == b'_') else { return false };
    let (mark, rest) = (&value[..bar], &value[bar + 1..]);
    if OF_IDS.iter().any(|id| id.as_bytes() == mark) {
        return false;
    }
    let short = (2..=14).contains(&mark.len())
        && mark.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_');
    let shape = Shape::of(rest);
    let alphabet = rest.iter().all(u8::is_ascii_alphanumeric);
    let mixed = shape.lower > 2 && shape.upper > 2 && shape.digits > 1 && !shape.hex;
    short
        && mark[0].is_ascii_lowercase()
        && alphabet
        && matches!(rest.len(), 24 | 28 | 30 | 32 | 36 | 40 | 43 | 48 | 56 | 60 | 64)
        && mixed
        && assess::random(rest, &shape)
}

/// The token is a whole value: nothing that no token contains touches it.
fn boundaries(bytes: &[u8], token: &Range<usize>) -> bool {
    let next = bytes.get(token.end).copied().unwrap_or(b'\n');
    let previous = token.start.checked_sub(1).map_or(b'\n', |at| bytes[at]);
    if matches!(
        next,
        b'@' | b':' | b'(' | b'[' | b'?' | b'%' | b'*' | b'!' | b'^' | b'#' | b'$' | b'{' | b'=' | b'~'
    ) {
        return false;
    }
    // Cut off, as documentation shows the start of a token.
    if bytes[token.end..].starts_with(b"..") {
        return false;
    }
    if matches!(previous, b'?' | b'@' | b'%' | b'#' | b'$' | b'*' | b'!' | b'^' | b')' | b']' | b'~') {
        return false;
    }
    if matches!(previous, b'"' | b'\'') && next != previous && next != b'\\' {
        return false;
    }
    // `name=token`, but not one half of a value with a `=` in it.
    previous != b'=' || {
        let name = last_name(bytes, token.start);
        let shape = Shape::of(name);
        name.is_empty() || name.len() < 12 || !assess::random(name, &shape)
    }
}

/// Lengths that random bytes have in hexadecimal, base64 and what providers like; others beside a
/// bare name are more often cut or made up.
pub(super) fn usual_length(value: &[u8], shape: &Shape) -> bool {
    if shape.hex {
        return matches!(shape.len, 24 | 32 | 40 | 48 | 64 | 96 | 128);
    }
    assess::uuid(value)
        || shape.len > 64
        || matches!(shape.len, 16 | 20 | 22 | 24 | 30 | 32 | 40 | 43 | 44 | 48 | 50 | 60 | 64)
}

/// The name right before the token says that it is about a secret, not one.
fn about(bytes: &[u8], token: &Range<usize>) -> bool {
    let words = generic::words(last_name(bytes, token.start));
    !words.is_empty() && !generic::may_name_secret(&words)
}

/// Nothing else that looks random: a digest, an address, a path, part of a longer value.
fn unlike_other(bytes: &[u8], token: &Range<usize>, value: &[u8]) -> bool {
    if assess::code(value) || assess::other_kind(value) || about(bytes, token) {
        return false;
    }
    let line = &bytes[line_start(bytes, token.start)..line_end(bytes, token.end)];
    let digests = [&b"sha256"[..], b"sha512", b"SHA-256", b"SHA-512", b"SHA-1 ", b"SHA256"];
    // The parts of a key in JSON that everyone may see: `{"kty": "RSA", "n": …}`.
    let part_of_key =
        last_name(bytes, token.start).len() == 1 && memchr::memmem::find(line, b"\"kty\"").is_some();
    !part_of_key && !digests.iter().any(|digest| memchr::memmem::find(line, digest).is_some())
}

/// The address that the token at `token` is in, up to the token.
fn address<'a>(bytes: &'a [u8], token: &Range<usize>) -> Option<&'a [u8]> {
    // The slashes may have been taken for the start of the token.
    let slashes = if bytes[token.clone()].starts_with(b"//") { 2 } else { 0 };
    let line = &bytes[line_start(bytes, token.start)..token.start + slashes];
    let ends = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'`' | b'<' | b'>' | b'(');
    let text = &line[line.iter().rposition(ends).map_or(0, |at| at + 1)..];
    memchr::memmem::find(text, b"://").is_some().then_some(text)
}

/// The value of a parameter of an address whose name says nothing about secrets: `?s=20&t=…`, `?q=tbn:…`.
fn in_query(bytes: &[u8], token: &Range<usize>) -> bool {
    // Links to files of Firebase are public with their token; decoded twice, they have blanks.
    if bytes[..token.start].ends_with(b"alt=media&token=") {
        return true;
    }
    let Some(text) = address(bytes, token) else { return false };
    let Some(query) = memchr::memchr2(b'?', b'#', text) else { return false };
    let start = text[query..].iter().rposition(|b| matches!(b, b'?' | b'&' | b';' | b'#')).unwrap_or(0);
    let parameter = &text[query + start..];
    let name = &parameter[..memchr::memchr(b'=', parameter).unwrap_or(parameter.len())];
    !says_secret(name) || !generic::may_name_secret(&generic::words(name))
}

/// Part of the path of an address, or the label of a block of Terraform.
fn in_address(bytes: &[u8], token: &Range<usize>) -> bool {
    let path = address(bytes, token).is_some_and(|text| memchr::memchr2(b'?', b'#', text).is_none());
    let label = bytes[line_start(bytes, token.start)..token.start].trim_ascii_start();
    path || label.starts_with(b"resource \"") || label.starts_with(b"data \"")
}

/// A package of Java after its group, of which it repeats a word: `org.postgresql:r2dbc-postgresql`.
fn in_group(bytes: &[u8], token: &Range<usize>) -> bool {
    let Some(before) = bytes[..token.start].strip_suffix(b":") else { return false };
    let of_name = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    let start = before.iter().rposition(|b| !of_name(b)).map_or(0, |at| at + 1);
    let (group, package) = (&before[start..], &bytes[token.clone()]);
    let repeats = long_words(package).any(|word| long_words(group).any(|of_group| of_group == word));
    group.contains(&b'.') && package.iter().all(of_name) && repeats
}

fn long_words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| !b.is_ascii_alphanumeric()).filter(|word| word.len() > 3)
}

/// The name that the text before a token ends with: `"api_id": "`.
fn last_name(bytes: &[u8], at: usize) -> &[u8] {
    let line = &bytes[line_start(bytes, at)..at];
    let end = line.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |at| at + 1);
    let start = line[..end]
        .iter()
        .rposition(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')))
        .map_or(0, |at| at + 1);
    &line[start..end]
}
