//! Passwords that a text says: `the password of the warehouse is …`.

use std::ops::Range;

use super::super::{assess, generic};
use super::{GAP_MOST, count, line_end};

/// How far after a name the end of its sentence may come, in bytes, and how many words may be between them.
const SENTENCE_MOST: usize = 80;

const SENTENCE_WORDS: usize = 6;

/// Words that follow a name in a sentence about it, in several languages.
const LINKS: &[&str] = &[
    "of", "for", "to", "on", "in", "from", "du", "de", "des", "del", "della", "di", "do", "da", "dla",
    "para", "per", "pour", "f\u{fc}r", "zum", "zur", "vom", "von", "van", "voor", "til", "f\u{f6}r", "k",
];

/// What says that it is something.
const IS: &[&str] = &[
    "is", "was", "est", "ist", "lautet", "war", "es", "era", "\u{e8}", "\u{e9}", "jest", "\u{e4}r", "er",
    "on",
];

/// What a sentence says that the name is: `the password of the warehouse is …`. Without quotes it has to look like one
/// value: letters and digits, of both cases or with a sign.
pub(super) fn said(bytes: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    if !matches!(bytes.get(name.end..name.end + 2), Some([b' ', b'a'..=b'z' | 0xC2..])) {
        return None;
    }
    let end = line_end(bytes, name.end).min(name.end + SENTENCE_MOST);
    let text = bytes[name.end..end].strip_prefix(b" ")?;
    let mut at = 0;
    for number in 0..=SENTENCE_WORDS {
        let length = count(text, at, GAP_MOST, |b| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'\'' | b'`' | 0x80..)
        });
        let word = &text[at..at + length];
        let is = IS.iter().any(|verb| verb.as_bytes() == word);
        let links = number > 0 || is || LINKS.iter().any(|link| link.as_bytes() == word);
        if length == 0 || !links {
            return None;
        }
        at += length;
        let colon = number > 0 && text.get(at) == Some(&b':');
        at += usize::from(colon);
        if text.get(at) != Some(&b' ') {
            return None;
        }
        at += 1;
        if is || colon {
            return one_value(bytes, name.end + 1 + at);
        }
    }
    None
}

fn one_value(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let quote = bytes.get(at).filter(|b| matches!(b, b'"' | b'\'' | b'`'));
    if let Some(quote) = quote {
        let length = count(bytes, at + 1, SENTENCE_MOST, |b| b != *quote && b != b'\n');
        let whole = length > 0 && bytes.get(at + 1 + length) == Some(quote);
        return whole.then_some(at + 1..at + 1 + length);
    }
    let length = count(bytes, at, SENTENCE_MOST, |b| b.is_ascii_graphic());
    let value = &bytes[at..at + length];
    let end = value.iter().rposition(|b| !matches!(b, b'.' | b',' | b';' | b')')).map_or(0, |at| at + 1);
    let value = &value[..end];
    let any = |kind: fn(&u8) -> bool| value.iter().any(kind);
    let sign = value.iter().any(|b| matches!(b, b'!' | b'@' | b'#' | b'$' | b'%' | b'*' | b'&' | b'?'));
    let mixed = any(u8::is_ascii_uppercase) && any(u8::is_ascii_lowercase);
    // `sonne8857`: words and at least three digits at the end.
    let digits = value.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let numbered = digits >= 3 && value.len() >= digits + 4;
    // `sonne.berlin25`, and what no word is.
    let known = assess::joined_words(value)
        || value.len() >= 20 && assess::random(value, &assess::Shape::of(value)) && !assess::uuid(value);
    (value.len() >= 7
        && any(u8::is_ascii_digit)
        && any(u8::is_ascii_alphabetic)
        && (mixed || sign || numbered || known))
        .then_some(at..at + end)
}

/// A password that comes before its name: `MOVE 'x' TO DB-PASSWORD`, "use `x` as password".
pub(super) fn said_before(bytes: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    // Asked of every name: most have another word before them.
    let [.., last, b' '] = &bytes[..name.start] else { return None };
    if !matches!(last.to_ascii_lowercase(), b'o' | b's' | b'r' | b'e') {
        return None;
    }
    let before = &bytes[..name.start - 1];
    let linked = [&b" to"[..], b" as", b" for", b" as the", b" for the"].iter().find_map(|link| {
        let start = before.len().checked_sub(link.len())?;
        before[start..].eq_ignore_ascii_case(link).then_some(start)
    })?;
    let quote = *before[..linked].last().filter(|b| matches!(b, b'"' | b'\'' | b'`'))?;
    if generic::strongest(&bytes[name.clone()]) != Some(generic::Word::Password) {
        return None;
    }
    let floor = linked.saturating_sub(SENTENCE_MOST);
    let start = memchr::memrchr2(quote, b'\n', &bytes[floor..linked - 1])? + floor;
    let value = start + 1..linked - 1;
    let text = &bytes[value.clone()];
    let password = assess::chosen_in_code(text) || assess::joined_words(text) || assess::of_groups(text);
    (bytes[start] == quote && password).then_some(value)
}
