//! Two halves of one credential are one finding: the secret, reported with its id.
//!
//! An access key's id is of no use alone, nor is its secret without the account it belongs to. They are on
//! neighbouring lines, and both are revoked together.

use std::ops::Range;

use super::assess;
use super::assignment::{self, line_start};
use super::engine::{Hit, Source};
use super::rules::RuleSet;

/// How far apart the two may be, in bytes: a few lines.
const NEAR: usize = 400;

/// How names of secrets end, and how that of the id ends in its place; in lower case.
const ENDINGS: &[(&str, &str)] = &[
    ("secret_access_key", "access_key_id"),
    ("secretaccesskey", "accesskeyid"),
    ("secret-access-key", "access-key-id"),
    ("auth_token", "account_sid"),
    ("authtoken", "accountsid"),
    ("consumer_secret", "consumer_key"),
    ("consumersecret", "consumerkey"),
    ("secret_key", "access_key"),
    ("secretkey", "accesskey"),
    ("secret", "id"),
];

/// The id that belongs to a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beside {
    /// What it is: a rule's description or the name it is assigned to.
    pub(crate) what: String,
    pub(crate) at: usize,
}

/// Joins the hits of a text that are halves of one credential. The id's own hit stays, marked as silent, so
/// that excerpts go on hiding it.
pub(super) fn join(bytes: &[u8], hits: &mut [Hit], set: &RuleSet) {
    for at in 0..hits.len() {
        if let Source::Rule(rule) = hits[at].source
            && !set.rules[rule].half_of.is_empty()
            && let Some(owner) = nearest(hits, at, |hit| owns(set, hit, &set.rules[rule].half_of))
        {
            hits[owner].beside =
                Some(Beside { what: set.rules[rule].description.clone(), at: hits[at].range.start });
            hits[at].silent = true;
        }
    }
    for hit in hits.iter_mut().filter(|hit| hit.beside.is_none() && !hit.silent) {
        hit.beside = named(bytes, &hit.range);
    }
}

/// Whether a hit is of one of the rules named.
fn owns(set: &RuleSet, hit: &Hit, rules: &[String]) -> bool {
    let id = set.id(hit.source);
    !hit.silent && hit.beside.is_none() && rules.iter().any(|rule| rule == id)
}

/// The hit next to the one at `at` that is wanted, if one is near enough.
fn nearest(hits: &[Hit], at: usize, wanted: impl Fn(&Hit) -> bool) -> Option<usize> {
    let place = &hits[at].range;
    let apart = |other: &Range<usize>| {
        if other.start >= place.end { other.start - place.end } else { place.start.saturating_sub(other.end) }
    };
    let near = |other: &usize| *other != at && apart(&hits[*other].range) <= NEAR;
    (0..hits.len())
        .filter(near)
        .filter(|other| wanted(&hits[*other]))
        .min_by_key(|other| apart(&hits[*other].range))
}

/// The id whose name differs from the secret's only in that: `GOOGLE_CLIENT_ID` beside `GOOGLE_CLIENT_SECRET`.
fn named(bytes: &[u8], secret: &Range<usize>) -> Option<Beside> {
    let name = name_before(bytes, secret.start).to_ascii_lowercase();
    // Most names have none of the endings, and reading around each of them is not free.
    if !ENDINGS.iter().any(|(ending, _)| name.ends_with(ending.as_bytes())) {
        return None;
    }
    let floor = secret.start.saturating_sub(NEAR);
    let ceiling = (secret.end + NEAR).min(bytes.len());
    let window = bytes[floor..ceiling].to_ascii_lowercase();
    ENDINGS.iter().find_map(|(ending, other)| {
        let stem = name.strip_suffix(ending.as_bytes())?;
        let wanted = [stem, other.as_bytes()].concat();
        memchr::memmem::find_iter(&window, &wanted).find_map(|found| {
            let place = floor + found..floor + found + wanted.len();
            let whole = assignment::name_around(bytes, &place) == place;
            let value = assignment::assigned(bytes, place.clone()).filter(|_| whole)?.value;
            let real = value.len() >= 4 && !assess::template(&bytes[value.clone()]) && value != *secret;
            real.then(|| Beside {
                what: String::from_utf8_lossy(&bytes[place]).into_owned(),
                at: value.start,
            })
        })
    })
}

/// The name that a value is assigned to, as far as it is on the same line.
fn name_before(bytes: &[u8], at: usize) -> &[u8] {
    let line = &bytes[line_start(bytes, at)..at];
    let end = line.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |at| at + 1);
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$');
    let start = line[..end].iter().rposition(|byte| !part(byte)).map_or(0, |at| at + 1);
    &line[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside(text: &str, secret: &str) -> Option<String> {
        let start = text.find(secret).expect("it is there");
        named(text.as_bytes(), &(start..start + secret.len())).map(|beside| beside.what)
    }

    #[test]
    fn the_id_is_named_like_its_secret() {
        for (text, expected) in [
            ("GOOGLE_CLIENT_ID=abc-123\nGOOGLE_CLIENT_SECRET=s3cr3t", Some("GOOGLE_CLIENT_ID")),
            ("clientSecret: 's3cr3t',\nclientId: 'abc-123'", Some("clientId")),
            ("TWILIO_ACCOUNT_SID=AC1234\n\nTWILIO_AUTH_TOKEN=s3cr3t", Some("TWILIO_ACCOUNT_SID")),
            ("{\"client_id\": \"abc1\", \"client_secret\": \"s3cr3t\"}", Some("client_id")),
            ("client_secret = s3cr3t", None),
            ("OTHER_CLIENT_ID=abc-123\nGOOGLE_CLIENT_SECRET=s3cr3t", None),
            ("client_id=${ID}\nclient_secret=s3cr3t", None),
            ("client_id\nclient_secret=s3cr3t", None),
        ] {
            assert_eq!(beside(text, "s3cr3t").as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn far_apart_is_not_together() {
        let text = format!("client_id=abc-123\n{}client_secret=s3cr3t", "# line\n".repeat(70));
        assert_eq!(beside(&text, "s3cr3t"), None);
    }
}
