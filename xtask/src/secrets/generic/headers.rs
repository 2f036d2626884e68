//! Authorisation headers: `Bearer …`, `Basic …` and what providers made of them.

use std::ops::Range;

use super::super::assess::{self, Shape};
use super::super::assignment;
use super::super::decode;
use super::addresses::stands_for_password;
use super::token_like;

/// What an authorisation header may carry although it is too short to be proven random.
pub(super) fn header_token(value: &[u8]) -> bool {
    let shape = Shape::of(value);
    shape.len >= 12
        && shape.digits >= 2
        && shape.letters() >= 4
        && token_like(value)
        && !shape.dull()
        && !assess::placeholder(value)
        && !assess::template(value)
        && !assess::code(value)
}

/// What an authorisation header begins with, in lower case.
const SCHEMES: &[&[u8]] = &[
    b"bearer",
    b"token",
    b"basic",
    b"bot",
    b"apikey",
    b"api-key",
    b"key",
    b"digest",
    b"splunk",
    b"sso-key",
    b"oauth",
    b"aqaaabaaa",
    b"apitoken",
    b"api-token",
    b"genie-key",
    b"pat",
    b"jwt",
    b"zoho-oauthtoken",
    b"ssws",
    b"dop",
    b"authorization:",
];

/// Whether a value is, or begins with, the scheme of an authorisation header.
pub(super) fn begins_scheme(value: &[u8]) -> bool {
    let word = value.split(|b| *b == b' ').next().unwrap_or(value);
    let word = word.strip_suffix(b":").unwrap_or(word);
    let is = |scheme: &&[u8]| scheme.eq_ignore_ascii_case(word) || scheme.eq_ignore_ascii_case(value);
    SCHEMES.iter().any(is)
}

/// Skips `Bearer ` and its like; says whether there was one.
pub(super) fn after_scheme(bytes: &[u8], value: Range<usize>) -> (Range<usize>, bool) {
    let text = &bytes[value.clone()];
    // An unquoted value ended at the blank behind the scheme: go on from there.
    let whole = if SCHEMES.iter().any(|s| s.eq_ignore_ascii_case(text)) {
        let end = assignment::line_end(bytes, value.end);
        value.start..end.min(value.end + 600)
    } else {
        value.clone()
    };
    let text = &bytes[whole.clone()];
    let Some(blank) = memchr::memchr(b' ', text) else { return (value, false) };
    let scheme = text[..blank].strip_suffix(b":").unwrap_or(&text[..blank]);
    if !SCHEMES.iter().any(|s| s.eq_ignore_ascii_case(scheme)) {
        return (value, false);
    }
    let mut start = whole.start + blank + 1;
    if let Some(equals) = memchr::memmem::find(&bytes[start..whole.end.min(start + 10)], b"token=") {
        start += equals + 6;
    }
    let length = bytes[start..whole.end]
        .iter()
        .take_while(|b| **b > b' ' && !matches!(**b, b'"' | b'\'' | b'`' | b',' | b';' | b'\\' | b'<' | b'>'))
        .count();
    (start..start + length, true)
}

/// Whether `Basic` carries a user and a password; `None` if it is not such a header or does not decode.
pub(super) fn basic(bytes: &[u8], whole: &Range<usize>, value: &Range<usize>) -> Option<bool> {
    let scheme = &bytes[whole.start..value.start];
    if scheme.len() < 5 || !scheme[..5].eq_ignore_ascii_case(b"basic") {
        return None;
    }
    // Clients for the files of editors encode `user:password` themselves.
    let text = &bytes[value.clone()];
    let decoded = match memchr::memchr(b':', text) {
        Some(colon) if assess::chosen_in_code(&text[colon + 1..]) => text.to_vec(),
        _ => decode::base64(text)?,
    };
    let colon = memchr::memchr(b':', &decoded)?;
    let printable = decoded.iter().all(|byte| (b' '..0x7F).contains(byte));
    (printable && colon + 1 < decoded.len())
        .then(|| !assess::placeholder(&decoded) && !assess::template(&decoded) && !published(&decoded, colon))
}

/// The user and password of RFC 7617 and of its many copies, or words in their place.
fn published(pair: &[u8], colon: usize) -> bool {
    let lower = pair.to_ascii_lowercase();
    let (user, password) = (&lower[..colon], &lower[colon + 1..]);
    user == b"aladdin" && password.starts_with(b"open")
        || stands_for_password(password)
        || assess::names_secret(password)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_basic_header_carries_user_and_password() {
        let carried = |pair: &str| {
            let text = format!("Basic {}", STANDARD.encode(pair));
            basic(text.as_bytes(), &(0..text.len()), &(6..text.len()))
        };
        assert_eq!(carried(&["shop:", "tr4vel", "ler"].concat()), Some(true));
        for pair in [
            "Aladdin:open sesame",
            "aladdin:opensesame",
            "test-account-id:test-client-secret",
            "user:password",
            "user:${PASSWORD}",
        ] {
            assert_eq!(carried(pair), Some(false), "{pair}");
        }
        for text in ["no colon", "user:", "user:\u{1}"] {
            assert_eq!(carried(text), None, "{text}");
        }
        assert_eq!(basic(b"Bearer QWxh", &(0..11), &(7..11)), None);
    }
}
