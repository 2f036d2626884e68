//! Undoes the encodings that secrets hide in, a bounded number of bytes at a time.

use std::ops::Range;

/// Standard or URL-safe base64, with or without padding. `None` if it is neither.
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
/// A run ends at a blank or quote; one escape alone does not count as an encoding, and a run is decoded once only.
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

/// The byte that `%41` or `\\u0041` at the start of a text encodes, and the length of the escape.
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

/// How a text puts two bytes together.
type Unit = fn([u8; 2]) -> u16;

/// How much of a text without a byte order mark decides whether it is UTF-16.
const SAMPLE: usize = 4096;

/// Whether a text is UTF-16, by its mark or by its first characters.
pub(super) fn is_utf16(bytes: &[u8]) -> bool {
    unit_of(bytes).is_some()
}

/// The order of bytes of UTF-16, and how long its mark is. Without a mark most units have to be printable ASCII, in
/// one order and not in the other: so are texts that Windows writes, and so is hardly any binary file.
fn unit_of(bytes: &[u8]) -> Option<(Unit, usize)> {
    if bytes.starts_with(b"\xFF\xFE") {
        return Some((u16::from_le_bytes, 2));
    }
    if bytes.starts_with(b"\xFE\xFF") {
        return Some((u16::from_be_bytes, 2));
    }
    // ASCII in two bytes has a zero in every other one; most texts have none and need not be counted.
    memchr::memchr(0, &bytes[..bytes.len().min(SAMPLE)])?;
    let units = bytes[..bytes.len().min(SAMPLE)].as_chunks::<2>().0;
    let plain = |unit: Unit| {
        let text = |pair: &&[u8; 2]| matches!(unit(**pair), 0x20..=0x7E | 0x09 | 0x0A | 0x0D);
        units.len() >= 4 && units.iter().filter(text).count() * 10 >= units.len() * 7
    };
    let orders: [Unit; 2] = [u16::from_le_bytes, u16::from_be_bytes];
    orders.into_iter().find(|unit| plain(*unit)).map(|unit| (unit, 0))
}

/// UTF-16 as UTF-8; other texts stay as they are.
pub(super) fn utf16(bytes: &[u8]) -> Option<Vec<u8>> {
    let (unit, mark) = unit_of(bytes)?;
    let rest = &bytes[mark..];
    let units = rest.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Some(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_is_read_with_and_without_a_mark() {
        let text = "db_host = \u{e4}b\r\nx = 1\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [&little, &big, &[b"\xFF\xFE", &little[..]].concat(), &[b"\xFE\xFF", &big[..]].concat()]
        {
            assert_eq!(utf16(bytes).as_deref(), Some(text.as_bytes()));
        }
        for other in [text.as_bytes(), b"\0\0\0\0\0\0\0\0", b"\x7FELF\x02\x01\x01\0\0\0\0\0", b""] {
            assert!(!is_utf16(other));
        }
    }
}
