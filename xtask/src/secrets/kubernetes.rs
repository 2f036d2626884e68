//! Kubernetes secrets: in a manifest with `kind: Secret` every value is one, whatever its name.

use std::ops::Range;

use super::decode;
use super::generic;
use super::judge::{self, Shape};

/// How far on each side of `kind: Secret` its manifest is read, in bytes.
const REACH: usize = 64 << 10;

/// What the automaton looks for, in lower case.
pub(super) const LITERAL: &str = "kind: secret";

/// Whether a text says that it is a manifest of a secret, in YAML or JSON; some texts that do not are taken for one.
pub(super) fn mentioned(bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, b"Secret")
        .any(|at| memchr::memmem::find(&bytes[at.saturating_sub(12)..at], b"kind").is_some())
}

/// The values of the manifest whose `kind: Secret` is at `at`.
pub(super) fn values(bytes: &[u8], at: &Range<usize>) -> Vec<Range<usize>> {
    let exact = bytes[at.clone()].ends_with(b"Secret")
        && bytes.get(at.end).is_none_or(|b| matches!(b, b'\n' | b'\r' | b' '));
    if !exact {
        return Vec::new();
    }
    let (start, end) = manifest(bytes, at);
    let base = indent_of(bytes, at.start);
    let mut section: Option<bool> = None;
    let mut found = Vec::new();
    let mut lines = lines(bytes, start, end).peekable();
    while let Some(line) = lines.next() {
        let text = &bytes[line.clone()];
        let indent = text.iter().take_while(|b| **b == b' ').count();
        if text.trim_ascii().is_empty() {
            continue;
        }
        if indent <= base {
            let key = text.trim_ascii();
            section = match key {
                b"data:" => Some(true),
                b"stringData:" => Some(false),
                _ => None,
            };
            continue;
        }
        let Some(encoded) = section else { continue };
        let Some(colon) = memchr::memchr(b':', text) else { continue };
        let name = text[indent..colon].trim_ascii();
        let mut value = trimmed(bytes, line.start + colon + 1..line.end);
        if matches!(bytes.get(value.start), Some(b'|' | b'>')) {
            let mut block: Option<Range<usize>> = None;
            while let Some(next) = lines.next_if(|next| {
                let text = &bytes[(*next).clone()];
                text.trim_ascii().is_empty() || text.iter().take_while(|b| **b == b' ').count() > indent
            }) {
                let next = trimmed(bytes, next);
                if !next.is_empty() {
                    block = Some(block.map_or(next.start, |block| block.start)..next.end);
                }
            }
            let Some(block) = block else { continue };
            value = block;
        }
        if secret(name, &bytes[value.clone()], encoded) {
            found.push(value);
        }
    }
    found
}

/// The document that the place is in: between two `---`.
fn manifest(bytes: &[u8], at: &Range<usize>) -> (usize, usize) {
    let floor = at.start.saturating_sub(REACH);
    let ceiling = (at.end + REACH).min(bytes.len());
    let start =
        memchr::memmem::rfind(&bytes[floor..at.start], b"\n---").map_or(floor, |found| floor + found + 1);
    let end = memchr::memmem::find(&bytes[at.end..ceiling], b"\n---").map_or(ceiling, |found| at.end + found);
    (start, end)
}

fn indent_of(bytes: &[u8], at: usize) -> usize {
    bytes[..at].iter().rev().take_while(|b| **b == b' ').count()
}

fn lines(bytes: &[u8], start: usize, end: usize) -> impl Iterator<Item = Range<usize>> {
    let mut at = start;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let stop = memchr::memchr(b'\n', &bytes[at..end]).map_or(end, |found| at + found);
        let line = at..stop;
        at = stop + 1;
        Some(line)
    })
}

/// Without blanks and quotes around it.
fn trimmed(bytes: &[u8], mut range: Range<usize>) -> Range<usize> {
    let around = |b: u8| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'');
    while range.start < range.end && around(bytes[range.start]) {
        range.start += 1;
    }
    while range.end > range.start && around(bytes[range.end - 1]) {
        range.end -= 1;
    }
    range
}

fn secret(name: &[u8], value: &[u8], encoded: bool) -> bool {
    let words = generic::words(name);
    if value.len() < 4
        || name.starts_with(b"#")
        || judge::template(value)
        || judge::masked(value)
        || !generic::may_name_secret(&words)
        || words.last().is_some_and(|word| matches!(word.as_str(), "crt" | "cert" | "ca" | "pem" | "login"))
    {
        return false;
    }
    if !encoded {
        return text(value);
    }
    let packed: Vec<u8> = value.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let Some(decoded) = decode::base64(&packed) else { return false };
    let readable = decoded.iter().all(|b| matches!(b, b' '..=b'~' | b'\n' | b'\r' | b'\t'));
    if readable { text(decoded.trim_ascii()) } else { decoded.len() >= 12 }
}

/// A value that could be read: a password or a token, and not the name of something or a whole file, which is scanned
/// by itself.
fn text(value: &[u8]) -> bool {
    let shape = Shape::of(value);
    (4..=256).contains(&value.len())
        && !value.contains(&b'\n')
        && !judge::template(value)
        && !judge::placeholder(value)
        && !judge::other_kind(value)
        && !judge::names_secret(value)
        && !shape.dull()
        && !judge::sample(value)
        && (judge::chosen(value, &shape) || judge::random(value, &shape) || judge::passphrase(value, false))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn found(text: &str) -> Vec<String> {
        let at = text.to_ascii_lowercase().find(LITERAL).expect("a manifest");
        values(text.as_bytes(), &(at..at + LITERAL.len()))
            .into_iter()
            .map(|range| text[range].to_owned())
            .collect()
    }

    #[test]
    fn every_value_of_a_secret_is_one() {
        let drawn = STANDARD
            .encode((0_u8..90).map(|n| n.wrapping_mul(89).wrapping_add(7) | 0x80).collect::<Vec<_>>());
        let password = STANDARD.encode(["Harb", "or48", "!t"].concat());
        let (first, second) = drawn.split_at(60);
        let text = format!(
            "kind: ConfigMap\ndata:\n  other: {password}\n---\napiVersion: v1\ndata:\n  foo: |\n    {first}\n    {second}\n  \
             bar: \"{password}\"\n  username: {password}\n  empty: {{{{ .Values.x }}}}\nkind: Secret\nmetadata:\n  name: {password}\n"
        );
        let found = found(&text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with(first) && found[0].ends_with(second) && found[1] == password);
    }

    #[test]
    fn other_kinds_and_placeholders_are_not_reported() {
        let sample = STANDARD.encode("password");
        for text in [
            format!("kind: Secret\ndata:\n  password: {sample}\n"),
            "kind: SecretStore\ndata:\n  a: SGFyYm9yNDghdA==\n".to_owned(),
            "kind: Secret\nstringData:\n  password: ${DB_PASSWORD}\n  url: https://db1\n".to_owned(),
        ] {
            assert!(found(&text).is_empty(), "{text}");
        }
    }
}
