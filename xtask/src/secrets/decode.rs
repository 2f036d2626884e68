//! Undoes the encodings that secrets hide in, a bounded number of bytes at a time.

use std::ops::Range;

/// Standard or URL-safe base64, with or without padding. None where it is not.
pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if text.len() < 2 || text.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let mut bits = 0_u32;
    let mut held = 0_u32;
    for &byte in text {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xFF) as u8);
        }
    }
    Some(out)
}

/// Pairs of hexadecimal digits.
pub(super) fn hex(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() % 2 == 1 {
        return None;
    }
    text.chunks_exact(2)
        .map(|pair| {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            u8::try_from(high << 4 | low).ok()
        })
        .collect()
}

/// The runs of a text that hold percent or `\\u00` escapes, with what they say.
///
/// A run ends at a blank or quote; one escape alone is no encoding, and a run is decoded once only.
pub(super) fn escaped(text: &[u8]) -> Vec<(Range<usize>, Vec<u8>)> {
    let mut runs = Vec::new();
    let mut until = 0;
    for at in memchr::memchr2_iter(b'%', b'\\', text) {
        if at < until || escape(&text[at..]).is_none() {
            continue;
        }
        let ends = |b: &u8| *b <= b' ' || matches!(b, b'"' | b'\'' | b'`' | b'<' | b'>');
        let floor = at.saturating_sub(RUN_MOST).max(until);
        let start = text[floor..at].iter().rposition(ends).map_or(floor, |found| floor + found + 1);
        let ceiling = (at + RUN_MOST).min(text.len());
        let end = text[at..ceiling].iter().position(ends).map_or(ceiling, |found| at + found);
        until = end;
        let (decoded, escapes) = unescape(&text[start..end]);
        if escapes > 1 {
            runs.push((start..end, decoded));
        }
    }
    runs
}

/// How far on each side of an escape its run is looked at, in bytes.
const RUN_MOST: usize = 1024;

/// The byte that `%41` or `\\u0041` at the start of a text stands for, and how long it is.
fn escape(text: &[u8]) -> Option<(u8, usize)> {
    let (digits, length) = match text {
        [b'%', high, low, ..] => ([*high, *low], 3),
        [b'\\', b'u', b'0', b'0', high, low, ..] => ([*high, *low], 6),
        _ => return None,
    };
    hex(&digits).map(|byte| (byte[0], length))
}

fn unescape(run: &[u8]) -> (Vec<u8>, usize) {
    let mut out = Vec::with_capacity(run.len());
    let (mut at, mut escapes) = (0, 0);
    while at < run.len() {
        if let Some((byte, length)) = escape(&run[at..]) {
            out.push(byte);
            at += length;
            escapes += 1;
        } else {
            out.push(run[at]);
            at += 1;
        }
    }
    (out, escapes)
}

/// Mostly printable ASCII: what a decoded secret or configuration looks like.
pub(super) fn printable(bytes: &[u8]) -> bool {
    let plain = bytes.iter().filter(|b| matches!(b, b' '..=b'~' | b'\n' | b'\r' | b'\t')).count();
    bytes.len() >= 12 && plain == bytes.len()
}

/// UTF-16 with a byte order mark, as UTF-8; other texts stay as they are.
pub(super) fn utf16(bytes: &[u8]) -> Option<Vec<u8>> {
    let (unit, rest): (fn([u8; 2]) -> u16, _) = if let Some(rest) = bytes.strip_prefix(b"\xFF\xFE") {
        (u16::from_le_bytes, rest)
    } else if let Some(rest) = bytes.strip_prefix(b"\xFE\xFF") {
        (u16::from_be_bytes, rest)
    } else {
        return None;
    };
    let units = rest.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Some(text.into_bytes())
}
