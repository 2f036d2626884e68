//! Lists and tables of secrets: `passwords:` above `- …`, `"tokens": ["…"]`, `PASSWORDS = {"dev": "…"}`.
//!
//! The name is in the plural and before the bracket; what is assigned to names within is read like any other.

use std::ops::Range;

use super::assignment::{Assigned, Tie, line_start};
use super::generic::{may_name_secret, words};

/// How far a collection is read, in bytes, and how many values of it are looked at.
const REACH: usize = 4 << 10;
const VALUES_MOST: usize = 100;

/// Last words of names of collections of secrets.
const PLURALS: &[&str] =
    &["passwords", "passwds", "passphrases", "secrets", "tokens", "apikeys", "credentials", "pwds"];

/// Words before `keys` that make it the name of a collection of secrets.
const OF_KEYS: &[&str] =
    &["api", "access", "secret", "private", "auth", "signing", "encryption", "license", "service"];

/// The values of the collection with this name, each as if it was assigned to the name.
pub(super) fn values(bytes: &[u8], name: &Range<usize>) -> Vec<Assigned> {
    if !matches!(bytes[name.end - 1], b's' | b'S') || !is_plural(&bytes[name.clone()]) {
        return Vec::new();
    }
    let Some((at, list)) = opened(bytes, name) else { return Vec::new() };
    let ranges = match list {
        Opened::Lines => of_lines(bytes, name, at),
        Opened::Bracket => of_brackets(bytes, at),
    };
    ranges
        .into_iter()
        .map(|(value, quoted)| Assigned { name: name.clone(), value, quoted, tie: Tie::Operator })
        .collect()
}

fn is_plural(name: &[u8]) -> bool {
    let words = words(name);
    match words.as_slice() {
        [.., before, last] if last == "keys" => OF_KEYS.contains(&before.as_str()),
        [.., last] => PLURALS.contains(&last.as_str()),
        [] => false,
    }
}

#[derive(Clone, Copy)]
enum Opened {
    Lines,
    Bracket,
}

/// Where the values start behind a name, an operator and a bracket or the end of the line.
fn opened(bytes: &[u8], name: &Range<usize>) -> Option<(usize, Opened)> {
    let count = |at: usize, most: usize, wanted: fn(u8) -> bool| {
        bytes[at..].iter().take(most).take_while(|b| wanted(**b)).count()
    };
    let at = name.end + count(name.end, 2, |b| matches!(b, b'"' | b'\'' | b'\\'));
    let at = at + count(at, 24, |b| matches!(b, b' ' | b'\t'));
    let operator = count(at, 3, |b| matches!(b, b'=' | b':' | b'>'));
    if operator == 0 {
        return None;
    }
    let colon = operator == 1 && bytes[at] == b':';
    let at = at + operator;
    let at = at + count(at, 24, |b| matches!(b, b' ' | b'\t'));
    match bytes.get(at)? {
        b'[' | b'{' | b'(' => Some((at, Opened::Bracket)),
        b'\n' | b'\r' if colon => Some((at + count(at, 2, |b| matches!(b, b'\r' | b'\n')), Opened::Lines)),
        _ => None,
    }
}

/// The scalars of a list or a mapping of YAML, from the line below its name on.
fn of_lines(bytes: &[u8], name: &Range<usize>, from: usize) -> Vec<(Range<usize>, bool)> {
    let marks = |line: &[u8]| line.iter().take_while(|b| **b == b' ').count();
    let start = line_start(bytes, name.start);
    let base = marks(&bytes[start..name.start]);
    let end = (from + REACH).min(bytes.len());
    let mut found = Vec::new();
    let mut at = from;
    while at < end && found.len() < VALUES_MOST {
        let stop = memchr::memchr(b'\n', &bytes[at..end]).map_or(end, |length| at + length);
        let line = &bytes[at..stop];
        let indent = marks(line);
        let text = line.trim_ascii();
        let start = at + indent;
        at = stop + 1;
        if text.is_empty() || text.starts_with(b"#") {
            continue;
        }
        let item = text.starts_with(b"- ");
        if indent < base || indent == base && !item {
            break;
        }
        let value = if item {
            start + 1..stop
        } else {
            let Some(colon) = memchr::memmem::find(text, b": ") else { continue };
            if !may_name_secret(&words(&text[..colon])) {
                continue;
            }
            start + colon + 1..stop
        };
        found.extend(scalar(bytes, value));
    }
    found
}

/// A value of one line without its quotes and the comment behind it, and whether it had quotes.
fn scalar(bytes: &[u8], line: Range<usize>) -> Option<(Range<usize>, bool)> {
    let text = bytes[line.clone()].trim_ascii();
    let start = line.start + bytes[line.clone()].len() - bytes[line].trim_ascii_start().len();
    let first = *text.first()?;
    if matches!(first, b'"' | b'\'') {
        let length = memchr::memchr(first, &text[1..])?;
        // `- "name": …` is a mapping.
        let whole = text[length + 2..].trim_ascii_start().first().is_none_or(|b| *b == b'#');
        return (length > 0 && whole).then_some((start + 1..start + 1 + length, true));
    }
    let end = memchr::memmem::find(text, b" #").unwrap_or(text.len());
    let text = text[..end].trim_ascii_end();
    let plain = !matches!(first, b'{' | b'[' | b'&' | b'*' | b'|' | b'>' | b'!')
        && !text.iter().any(u8::is_ascii_whitespace)
        && !text.ends_with(b":");
    plain.then_some((start..start + text.len(), false))
}

/// The strings of a list, or those behind the names of a mapping, at the first level.
fn of_brackets(bytes: &[u8], open: usize) -> Vec<(Range<usize>, bool)> {
    let mapping = bytes[open] == b'{';
    let end = (open + REACH).min(bytes.len());
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut at = open;
    while at < end && found.len() < VALUES_MOST {
        match bytes[at] {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            quote @ (b'"' | b'\'' | b'`') => {
                let Some(length) = memchr::memchr2(quote, b'\n', &bytes[at + 1..end]) else { break };
                let value = at + 1..at + 1 + length;
                if depth == 1 && length > 0 && in_its_place(bytes, mapping, open, &value) {
                    found.push((value.clone(), true));
                }
                at = value.end + 1;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Whether a string is an item of a list, or the value behind a name that leaves room for a secret.
fn in_its_place(bytes: &[u8], mapping: bool, open: usize, value: &Range<usize>) -> bool {
    let before = bytes[open..value.start - 1].trim_ascii_end();
    let next = bytes[value.end + 1..].iter().find(|b| !b.is_ascii_whitespace());
    let last = matches!(next, Some(b',' | b']' | b'}' | b')'));
    if !mapping {
        return last && before.last().is_some_and(|b| matches!(b, b'[' | b'(' | b','));
    }
    let behind = before
        .strip_suffix(b":")
        .or_else(|| before.strip_suffix(b"=>"))
        .or_else(|| before.strip_suffix(b"="));
    let Some(behind) = behind else { return false };
    let name = behind.trim_ascii_end();
    let end = name.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |at| at + 1);
    let part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let start = name[..end].iter().rposition(|b| !part(b)).map_or(0, |at| at + 1);
    last && (start == end || may_name_secret(&words(&name[start..end])))
}

/// Where a collection starts that may reach from before `at` to there.
pub(super) fn around(bytes: &[u8], at: usize) -> usize {
    let floor = at.saturating_sub(REACH);
    let before = &bytes[floor..at];
    let names = [
        "passwords",
        "PASSWORDS",
        "Passwords",
        "tokens",
        "TOKENS",
        "Tokens",
        "secrets",
        "SECRETS",
        "Secrets",
        "keys",
        "KEYS",
        "Keys",
    ];
    names
        .iter()
        .filter_map(|name| memchr::memmem::find(before, name.as_bytes()))
        .min()
        .map_or(at, |found| line_start(bytes, floor + found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let end = text.find(['s', 'S'].map(|c| c).as_slice()).map_or(0, |_| name_end(text));
        let start = text[..end].rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |at| at + 1);
        values(text.as_bytes(), &(start..end)).into_iter().map(|found| &text[found.value]).collect()
    }

    fn name_end(text: &str) -> usize {
        let lower = text.to_ascii_lowercase();
        let ends = ["passwords", "tokens", "secrets", "keys"];
        ends.iter().find_map(|end| lower.find(end).map(|at| at + end.len())).expect("a name")
    }

    #[test]
    fn the_values_of_collections_are_read() {
        for text in [
            "passwords:\n  - v1\n  - \"v2\"\n",
            "passwords:\n- v1\n- v2 # of dev\nother:\n- v3\n",
            "  passwords:\n    dev: v1\n    prod: 'v2'\n  other: v3\n",
            "passwords: [\"v1\", 'v2']",
            "\"tokens\": [\n  \"v1\",\n  \"v2\"\n], \"x\": [\"v3\"]",
            "PASSWORDS = {\n    \"dev\": \"v1\",\n    \"prod\": \"v2\",\n}",
            "API_KEYS = ('v1', 'v2')",
            "$secrets = ['a' => 'v1', 'b' => 'v2'",
        ] {
            let expected: &[&str] = if text.starts_with('$') { &[] } else { &["v1", "v2"] };
            assert_eq!(found(text), expected, "{text}");
        }
    }

    #[test]
    fn other_items_are_not_read() {
        for text in [
            "passwords:\n  - name: v1\n  - {name: v1}\n",
            "passwords:\n  user: v1\n  id: v2\n",
            "passwords: v1",
            "passwords = load(\"v1\")",
            "keys: [\"v1\"]",
            "primary_keys: [\"v1\"]",
            "passwords: [[\"v1\"], {\"user\": \"v2\"}]",
            "passwords:\nother: v1\n",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }
}
