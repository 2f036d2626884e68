//! Where a value ends: with or without quotes, behind anchors and tags, in a block of YAML.

use std::ops::Range;

use super::{NAME_MOST, Tie, VALUE_MOST, blanks, count};

/// The value at `at`, without its quotes.
pub(in super::super) fn value_at(bytes: &[u8], at: usize, tie: Tie) -> Option<(Range<usize>, bool)> {
    let mut at = at + blanks(bytes, at);
    at += properties(bytes, at);
    if let Some(block) = block_scalar(bytes, at) {
        at = block;
    }
    // A value may be on the next line if it is quoted.
    if bytes.get(at) == Some(&b'\r') || bytes.get(at) == Some(&b'\n') {
        let next = at + count(bytes, at, 80, |b| matches!(b, b'\r' | b'\n' | b' ' | b'\t'));
        let element = bytes[..at].trim_ascii_end().ends_with(b">");
        if !matches!(bytes.get(next), Some(b'"' | b'\'')) && !element {
            return None;
        }
        at = next;
    }
    // `b"…"`, `r#"…"`, `String.raw`…: a prefix of a letter or two before a quote.
    let prefix = count(bytes, at, 3, |b| b.is_ascii_alphabetic() || matches!(b, b'#' | b'@'));
    if prefix > 0 && matches!(bytes.get(at + prefix), Some(b'"' | b'\'')) {
        at += prefix;
    }
    if bytes.get(at) == Some(&b'\\') && matches!(bytes.get(at + 1), Some(b'"' | b'\'')) {
        at += 1;
        return quoted(bytes, at, true);
    }
    match bytes.get(at)? {
        b'"' | b'\'' | b'`' => quoted(bytes, at, false),
        b'{' if tie == Tie::Operator => {
            let end = at
                + 1
                + count(bytes, at + 1, VALUE_MOST, |b| (b.is_ascii_graphic() || b == b' ') && b != b'}');
            // `{type: string, …}` is a mapping.
            if memchr::memmem::find(&bytes[at..end], b": ").is_some() {
                return None;
            }
            // `{AES abc…}`: the last word is the value.
            let word = memchr::memrchr(b' ', &bytes[at + 1..end]).map_or(at + 1, |blank| at + 1 + blank + 1);
            // `{…=}`: Maven encrypted it.
            (bytes.get(end) == Some(&b'}') && word > at + 1)
                .then_some((word..end, true))
                .filter(|(range, _)| range.len() >= 12)
        }
        _ => {
            let end = trim_closers(bytes, at, bare_end(bytes, at));
            (end > at).then_some((at..end, false))
        }
    }
}

/// Where the value without quotes ends that starts at `at`.
fn bare_end(bytes: &[u8], at: usize) -> usize {
    let part = |b: u8| {
        b > b' '
            && b < 0x7F
            && !matches!(b, b',' | b';' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'&' | b'|' | b'\\')
    };
    let end = at + count(bytes, at, VALUE_MOST, part);
    // `12|x7Yq…`: the number of a token, a bar, and a token of letters and digits.
    let numbered = bytes.get(end) == Some(&b'|') && end > at && bytes[at..end].iter().all(u8::is_ascii_digit);
    let token = |b: u8| b.is_ascii_alphanumeric() || b == b'|';
    let length = count(bytes, end + 1, VALUE_MOST, token);
    if numbered && length >= 20 { end + 1 + length } else { end }
}

/// The length of the anchor and the tag before a YAML value: `&anchor`, `!!str`.
fn properties(bytes: &[u8], at: usize) -> usize {
    let mut length = 0;
    while matches!(bytes.get(at + length), Some(b'&' | b'!')) {
        let mark = at + length;
        let name = count(bytes, mark + 1, NAME_MOST, |b| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'!' | b':' | b'/')
        });
        let gap = blanks(bytes, mark + 1 + name);
        if name == 0 || gap == 0 {
            break;
        }
        length += 1 + name + gap;
    }
    length
}

/// Where the first line of a block scalar of YAML starts, whose head (`|`, `>-`) is at `at`.
fn block_scalar(bytes: &[u8], at: usize) -> Option<usize> {
    let head = usize::from(matches!(bytes.get(at), Some(b'|' | b'>')));
    let end = at + head + count(bytes, at + head, 2, |b| matches!(b, b'-' | b'+' | b'1'..=b'9'));
    let end = end + count(bytes, end, 1, |b| b == b'\r');
    let indent = count(bytes, end + 1, 80, |b| b == b' ');
    (head == 1 && bytes.get(end) == Some(&b'\n') && indent > 0).then_some(end + 1 + indent)
}

fn trim_closers(bytes: &[u8], start: usize, mut end: usize) -> usize {
    while end > start && matches!(bytes[end - 1], b')' | b']' | b'}') {
        let (open, close) = match bytes[end - 1] {
            b')' => (b'(', b')'),
            b']' => (b'[', b']'),
            _ => (b'{', b'}'),
        };
        let of = |wanted: u8| memchr::memchr_iter(wanted, &bytes[start..end]).count();
        if of(open) >= of(close) {
            break;
        }
        end -= 1;
    }
    end
}

fn quoted(bytes: &[u8], at: usize, escaped: bool) -> Option<(Range<usize>, bool)> {
    let quote = bytes[at];
    let mut start = at + 1;
    if bytes.get(start) == Some(&quote) && bytes.get(start + 1) == Some(&quote) {
        start += 2;
    } else if quote == b'`' && bytes.get(start) == Some(&quote) {
        // Two back quotes of reStructuredText.
        start += 1;
    }
    let ceiling = (start + VALUE_MOST).min(bytes.len());
    let mut end = start;
    while end < ceiling {
        match bytes[end] {
            b if b == quote => break,
            b'\\' if escaped && bytes.get(end + 1) == Some(&quote) => break,
            b'\\' => end += 1,
            b'\n' | b'\r' => return None,
            _ => {}
        }
        end += 1;
    }
    let mut end = end.min(bytes.len());
    if end >= ceiling && ceiling < bytes.len() {
        return None;
    }
    while start < end && bytes[start] == b' ' {
        start += 1;
    }
    while end > start && bytes[end - 1] == b' ' {
        end -= 1;
    }
    (end > start).then_some((start..end, true))
}
