//! Kubernetes secrets: in a manifest with `kind: Secret` every value is one, whatever its name.

use std::ops::Range;

use super::assess::{self, Shape};
use super::decode;
use super::generic;

/// How far on each side of `kind: Secret` its manifest is read, in bytes.
const REACH: usize = 64 << 10;

/// What the automaton looks for, in lower case.
pub(super) const LITERALS: &[&str] =
    &["kind: secret", "kind: \"secret\"", "kind: 'secret'", "\"kind\": \"secret\"", "\"kind\":\"secret\""];

/// How many manifests of a text are read: each costs up to twice the reach, and a text could name thousands.
pub(super) const MANIFESTS_MOST: usize = 500;

/// Whether a text says that it is a manifest of a secret, in YAML or JSON; some texts that do not are taken for one.
pub(super) fn mentioned(bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, b"Secret")
        .any(|at| memchr::memmem::find(&bytes[at.saturating_sub(12)..at], b"kind").is_some())
}

/// The values of the manifest whose `kind: Secret` is at `at`.
pub(super) fn values(bytes: &[u8], at: &Range<usize>) -> Vec<Range<usize>> {
    let literal = &bytes[at.clone()];
    if memchr::memmem::find(literal, b"Secret").is_none() {
        return Vec::new();
    }
    if literal[0] == b'"' {
        return in_object(bytes, at);
    }
    let ends = |b: &u8| matches!(b, b'\n' | b'\r' | b' ' | b'\t');
    if bytes.get(at.end).is_none_or(ends) { in_yaml(bytes, at) } else { Vec::new() }
}

/// The values of a manifest in JSON. What is not an object by itself, as in a template, is not read.
fn in_object(bytes: &[u8], at: &Range<usize>) -> Vec<Range<usize>> {
    let floor = at.start.saturating_sub(REACH);
    let mut closed = 0_usize;
    let start = bytes[floor..at.start].iter().rposition(|byte| match byte {
        b'}' => {
            closed += 1;
            false
        }
        b'{' if closed == 0 => true,
        b'{' => {
            closed -= 1;
            false
        }
        _ => false,
    });
    let Some(start) = start.map(|start| floor + start) else { return Vec::new() };
    let text = &bytes[start..(at.end + REACH).min(bytes.len())];
    let Some(Ok(object)) = serde_json::Deserializer::from_slice(text).into_iter::<serde_json::Value>().next()
    else {
        return Vec::new();
    };
    if object.get("kind").and_then(serde_json::Value::as_str) != Some("Secret") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (section, encoded) in [("data", true), ("stringData", false)] {
        for (name, value) in object.get(section).and_then(serde_json::Value::as_object).into_iter().flatten()
        {
            let Some(value) = value.as_str().map(str::as_bytes) else { continue };
            let quoted = [b"\"", value, b"\""].concat();
            if secret(name.as_bytes(), value, encoded)
                && let Some(place) = memchr::memmem::find(text, &quoted)
            {
                found.push(start + place + 1..start + place + 1 + value.len());
            }
        }
    }
    found
}

/// The values of a manifest in YAML, which may be one of a list.
fn in_yaml(bytes: &[u8], at: &Range<usize>) -> Vec<Range<usize>> {
    let (start, end) = manifest(bytes, at);
    let base = column(bytes, at.start);
    let mut section: Option<bool> = None;
    let mut found = Vec::new();
    let mut lines = lines(bytes, start, end).peekable();
    while let Some(line) = lines.next() {
        let text = &bytes[line.clone()];
        let indent = text.iter().take_while(|b| matches!(b, b' ' | b'-')).count();
        if text.trim_ascii().is_empty() || text.trim_ascii_start().starts_with(b"#") {
            continue;
        }
        if indent <= base {
            let key = text[indent..].trim_ascii();
            let flow =
                |name: &[u8]| key.strip_prefix(name).is_some_and(|rest| rest.trim_ascii().starts_with(b"{"));
            section = match key {
                b"data:" => Some(true),
                b"stringData:" => Some(false),
                _ => None,
            };
            if flow(b"data:") || flow(b"stringData:") {
                found.extend(in_flow(bytes, line, key.starts_with(b"data")));
            }
            continue;
        }
        let Some(encoded) = section else { continue };
        let Some(colon) = memchr::memchr(b':', text) else { continue };
        let name = text[indent.min(colon)..colon].trim_ascii();
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

/// The values of `data: {name: value, …}` on one line.
fn in_flow(bytes: &[u8], line: Range<usize>, encoded: bool) -> Vec<Range<usize>> {
    let Some(open) = memchr::memchr(b'{', &bytes[line.clone()]) else { return Vec::new() };
    let mut at = line.start + open + 1;
    let mut found = Vec::new();
    while at < line.end {
        let stop = memchr::memchr2(b',', b'}', &bytes[at..line.end]).map_or(line.end, |length| at + length);
        if let Some(colon) = memchr::memchr(b':', &bytes[at..stop]) {
            let name = trimmed(bytes, at..at + colon);
            let value = trimmed(bytes, at + colon + 1..stop);
            if secret(&bytes[name], &bytes[value.clone()], encoded) {
                found.push(value);
            }
        }
        at = stop + 1;
    }
    found
}

/// The document that the place is in, between two `---`, or the item of a list in it.
fn manifest(bytes: &[u8], at: &Range<usize>) -> (usize, usize) {
    let floor = at.start.saturating_sub(REACH);
    let ceiling = (at.end + REACH).min(bytes.len());
    let start =
        memchr::memmem::rfind(&bytes[floor..at.start], b"\n---").map_or(floor, |found| floor + found + 1);
    let end = memchr::memmem::find(&bytes[at.end..ceiling], b"\n---").map_or(ceiling, |found| at.end + found);
    let base = column(bytes, at.start);
    if base == 0 {
        return (start, end);
    }
    // An item starts at the line whose dash is left of its keys, and ends before a line that is further left.
    let outside = |line: &Range<usize>| {
        let text = &bytes[line.clone()];
        !text.trim_ascii().is_empty() && text.iter().take_while(|b| **b == b' ').count() < base
    };
    let own = memchr::memrchr(b'\n', &bytes[start..at.start]).map_or(start, |found| start + found + 1);
    let before: Vec<Range<usize>> = lines(bytes, start, at.start).collect();
    let head = before.iter().rfind(|line| outside(line)).map_or(own, |line| {
        let dash = bytes[line.clone()].trim_ascii_start().starts_with(b"- ");
        if dash && column(bytes, text_start(bytes, line)) == base { line.start } else { line.end + 1 }
    });
    let next = memchr::memchr(b'\n', &bytes[at.end..end]).map_or(end, |found| at.end + found + 1);
    let tail = lines(bytes, next, end).find(outside).map_or(end, |line| line.start);
    (head.min(own), tail)
}

/// Where the text of a line starts, behind blanks and the dash of an item.
fn text_start(bytes: &[u8], line: &Range<usize>) -> usize {
    let marks = bytes[line.clone()].iter().take_while(|b| matches!(b, b' ' | b'-')).count();
    line.start + marks
}

/// The column of a key whose line starts with blanks and perhaps the dash of an item.
fn column(bytes: &[u8], at: usize) -> usize {
    bytes[..at].iter().rev().take_while(|b| matches!(b, b' ' | b'-')).count()
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

/// Whether a value of a manifest is a secret; in `data` values are in base64.
pub(super) fn secret(name: &[u8], value: &[u8], encoded: bool) -> bool {
    let words = generic::words(name);
    if value.len() < 4
        || name.starts_with(b"#")
        || assess::template(value)
        || assess::masked(value)
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
    // `url: redis.shop.svc.cluster.local:6379`, a setting in a block.
    let set = memchr::memmem::find(value, b": ").map_or(value, |colon| &value[colon + 2..]);
    (4..=256).contains(&value.len())
        && !value.contains(&b'\n')
        && !assess::template(value)
        && !assess::placeholder(value)
        && !assess::other_kind(value)
        && !assess::other_kind(set)
        && !assess::names_secret(value)
        && !shape.dull()
        && !assess::sample(value)
        && (assess::chosen(value, &shape)
            || assess::random(value, &shape)
            || assess::passphrase(value, false))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn found(text: &str) -> Vec<String> {
        let lower = text.to_ascii_lowercase();
        let at = LITERALS.iter().find_map(|literal| lower.find(literal).map(|at| at..at + literal.len()));
        values(text.as_bytes(), &at.expect("a manifest"))
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
    fn manifests_in_json_lists_and_flow_style_are_read() {
        let password = STANDARD.encode(["Harb", "or48", "!t"].concat());
        for text in [
            "{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"data\": {\"foo\": \"#\", \"username\": \"#\"}}",
            "{\"items\":[{\"kind\":\"ConfigMap\",\"data\":{\"a\":\"#x\"}},{\"data\":{\"foo\":\"#\"},\"kind\":\"Secret\"}]}",
            "{\n  \"kind\": \"Secret\",\n  \"data\": {\n    \"foo\": \"#\"\n  }\n}\n",
            "kind: \"Secret\"\ndata:\n  foo: #\n",
            "kind: Secret\ndata:\n* a comment\n  foo: #\n",
            "kind: Secret\nmetadata: {name: x}\ndata: {username: #, foo: #}\n",
            "items:\n- kind: ConfigMap\n  data:\n    a: #x\n- kind: Secret\n  data:\n    foo: #\n- kind: ConfigMap\n  data:\n    a: #x\n",
            "items:\n  - data:\n      foo: '#'\n    kind: Secret\n  - data:\n      a: #x\n    kind: ConfigMap\n",
        ] {
            let text = text.replace('#', &password).replace('*', "#");
            assert_eq!(found(&text), [password.as_str()], "{text}");
        }
        for text in [
            "{\"kind\": \"Secret\", \"data\": {\"foo\": \"#\"",
            "{\"ref\": {\"kind\": \"Secret\", \"name\": \"a\"}, \"data\": {\"foo\": \"#\"}}",
            "\"kind\": \"Secret\"",
        ] {
            assert!(found(&text.replace('#', &password)).is_empty(), "{text}");
        }
    }

    #[test]
    fn other_kinds_and_placeholders_are_not_reported() {
        let sample = STANDARD.encode("password");
        for text in [
            format!("kind: Secret\ndata:\n  password: {sample}\n"),
            "kind: SecretStore\ndata:\n  a: SGFyYm9yNDghdA==\n".to_owned(),
            "kind: Secret\nstringData:\n  redis: |\n    url: redis.shop.svc.cluster.local:6379\n".to_owned(),
            "kind: Secret\nstringData:\n  AWS_DEFAULT_REGION: us-east-1\n".to_owned(),
            "kind: Secret\nstringData:\n  password: ${DB_PASSWORD}\n  url: https://db1\n".to_owned(),
        ] {
            assert!(found(&text).is_empty(), "{text}");
        }
    }
}
