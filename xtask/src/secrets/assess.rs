//! Classifies a value by itself: is it random, chosen by a person, or not a secret at all?
//!
//! Stop words and Shannon entropy alone call `getElementById` random and `hunter2` harmless. This
//! looks at what the characters are (classes and their changes), at how letters follow one another
//! compared with words people write, at runs and repeats, and at the many shapes that are values of
//! something else: templates, code, paths, versions, dates, digests.

mod kind;
mod pattern;
mod people;
mod placeholder;
mod sample;

use super::bigrams::SURPRISE;

pub(super) use self::kind::{
    call, code, entry_of_directory, escapes_control, numbered, of_commit, other_kind, stored,
};
pub(super) use self::pattern::patterned;
pub(super) use self::people::{
    chosen, chosen_in_code, drawn_letters, drawn_with_symbols, joined_words, names_secret, of_groups,
    passphrase,
};
pub(super) use self::placeholder::{along_the_keyboard, counting, masked, placeholder, template};
pub(super) use self::sample::sample;

/// What the characters of a value are, counted in one pass.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    pub(super) len: usize,
    pub(super) lower: usize,
    pub(super) upper: usize,
    pub(super) digits: usize,
    pub(super) symbols: usize,
    pub(super) distinct: usize,
    /// Mean surprise of a character after the one before, in bits.
    pub(super) surprise: f32,
    /// Neighbours that count up or down by one, or repeat: `abcd`, `4321`, `aaaa`.
    pub(super) runs: usize,
    /// Letters right after letters, and their mean surprise: how words look, whatever is between them.
    pub(super) pairs: usize,
    pub(super) pair_surprise: f32,
    pub(super) hex: bool,
}

impl Shape {
    #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^23")]
    pub(super) fn of(value: &[u8]) -> Self {
        let mut shape = Self { len: value.len(), hex: true, ..Self::default() };
        let mut seen = [false; 256];
        let mut quarters = 0_u32;
        let mut pair_quarters = 0_u32;
        let mut previous = b' ';
        for &byte in value {
            match byte {
                b'a'..=b'z' => shape.lower += 1,
                b'A'..=b'Z' => shape.upper += 1,
                b'0'..=b'9' => shape.digits += 1,
                _ => shape.symbols += 1,
            }
            shape.hex &= byte.is_ascii_hexdigit();
            if !seen[usize::from(byte)] {
                seen[usize::from(byte)] = true;
                shape.distinct += 1;
            }
            if byte.is_ascii_alphanumeric() && byte.abs_diff(previous) <= 1 {
                shape.runs += 1;
            }
            quarters += step(previous, byte);
            if byte.is_ascii_alphabetic()
                && previous.is_ascii_alphabetic()
                && !(previous.is_ascii_lowercase() && byte.is_ascii_uppercase())
            {
                shape.pairs += 1;
                pair_quarters += step(previous, byte);
            }
            previous = byte;
        }
        shape.hex &= shape.len > 0 && !(shape.lower_hex_and_upper(value));
        shape.pair_surprise = pair_quarters as f32 / 4.0 / shape.pairs.max(1) as f32;
        shape.surprise = quarters as f32 / 4.0 / value.len().max(1) as f32;
        shape
    }

    pub(super) fn letters(&self) -> usize {
        self.lower + self.upper
    }

    /// Digests are written in one case: `aB` together is base64 or base62.
    fn lower_hex_and_upper(&self, value: &[u8]) -> bool {
        self.lower > 0 && self.upper > 0 && value.iter().any(u8::is_ascii_lowercase)
    }

    /// One repeated character, or a counting sequence: not a real key.
    pub(super) fn dull(&self) -> bool {
        self.distinct * 4 <= self.len.min(24) || self.distinct <= 3 || self.runs * 2 >= self.len
    }
}

/// The surprise of `byte` after `previous`, in quarter bits.
fn step(previous: u8, byte: u8) -> u32 {
    let letter = |b: u8| b.is_ascii_alphabetic();
    let row = |b: u8| usize::from(b.to_ascii_lowercase() - b'a');
    match (previous, byte) {
        // A capital inside a word starts the next one, as identifiers do.
        (p, b) if p.is_ascii_lowercase() && b.is_ascii_uppercase() => 17,
        (p, b) if letter(p) && letter(b) => u32::from(SURPRISE[row(p)][row(b)]),
        (p, b) if letter(p) && b.is_ascii_digit() => 22,
        (p, b) if p.is_ascii_digit() && letter(b) => 24,
        (p, b) if p.is_ascii_digit() && b.is_ascii_digit() => 14,
        (_, b) if letter(b) || b.is_ascii_digit() => 16,
        _ => 8,
    }
}

/// Shannon entropy of the bytes, in bits a byte: what gitleaks' `entropy` threshold means.
#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
pub(super) fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0_usize; 256];
    for &byte in value {
        counts[usize::from(byte)] += 1;
    }
    let len = value.len() as f64;
    counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| {
            let share = count as f64 / len;
            -share * share.log2()
        })
        .sum()
}

/// Random, as far as the value alone shows.
pub(super) fn random(value: &[u8], shape: &Shape) -> bool {
    !shape.dull() && !counting(value) && as_if_random(value, shape)
}

/// Random, or an example that counts to fill the length of something random: enough if the name
/// beside it leaves no doubt.
pub(super) fn as_if_random(value: &[u8], shape: &Shape) -> bool {
    if shape.len < 12 || shape.distinct <= 5 || placeholder(value) || masked(value) || cuid(value) {
        return false;
    }
    if uuid(value) || ends_with_uuid(value) {
        return true;
    }
    if shape.hex {
        return shape.len >= 16 && drawn_hex(shape);
    }
    if grouped(value, shape) {
        return true;
    }
    if let Some(rest) = behind_mark(value).map(Shape::of)
        && rest.hex
        && rest.len >= 24
    {
        return drawn_hex(&rest);
    }
    if shape.symbols * 4 > shape.len {
        return false;
    }
    let mixed = shape.digits > 0 && shape.letters() > 0;
    if mixed {
        let need = match shape.len {
            ..16 => 4.2,
            16..24 => 4.0,
            _ => 3.8,
        };
        let words = shape.pairs >= 6 && shape.pair_surprise < 4.3;
        return shape.surprise >= need && !words && pieces(value) > 8;
    }
    // Letters only: base62 without a digit is rare, prose is not. Ask for much more.
    shape.digits == 0
        && shape.len >= 16
        && shape.runs * 3 < shape.len
        && shape.surprise >= 4.9
        && pieces(value) >= 14
}

/// Hexadecimal digits as chance mixes them.
fn drawn_hex(shape: &Shape) -> bool {
    shape.digits * 8 >= shape.len && shape.letters() >= 2 && shape.distinct >= 7
}

/// What follows the short mark of a token: `key_8530f2d2…`, `u7091007-30e96f…`.
fn behind_mark(value: &[u8]) -> Option<&[u8]> {
    let joint = value.iter().rposition(|b| matches!(b, b'_' | b'-'))?;
    let mark = &value[..joint];
    let short = (1..=16).contains(&mark.len())
        && mark[0].is_ascii_alphabetic()
        && mark.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    short.then_some(&value[joint + 1..])
}

/// Groups of capitals and digits, as licences and some services have their keys: `PCW5S-EQPZ3-9H0UW-B9TE3`.
fn grouped(value: &[u8], shape: &Shape) -> bool {
    let groups = || value.split(|b| *b == b'-');
    let drawn = |group: &&[u8]| group.iter().any(u8::is_ascii_digit);
    shape.lower == 0
        && shape.digits >= 4
        && shape.upper >= 4
        && groups().count() >= 3
        && groups().all(|group| (4..=8).contains(&group.len()) && group.iter().all(u8::is_ascii_alphanumeric))
        && groups().filter(drawn).count() * 3 >= groups().count() * 2
}

/// The longest stretch between separators: words joined with `-`, `_`, `.` or `/` have short ones.
fn pieces(value: &[u8]) -> usize {
    value.split(|b| !b.is_ascii_alphanumeric()).map(<[u8]>::len).max().unwrap_or(0)
}

/// `8-4-4-4-12` in hexadecimal.
pub(super) fn uuid(value: &[u8]) -> bool {
    value.len() == 36
        && value.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_alphanumeric(),
        })
}

/// A UUID, alone or behind the short mark of a token: `sk_live_8e6bbf52-…`.
fn ends_with_uuid(value: &[u8]) -> bool {
    let Some(start) = value.len().checked_sub(36) else { return false };
    let (mark, rest) = value.split_at(start);
    uuid(rest)
        && rest.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-')
        && (mark.is_empty()
            || mark.len() <= 16
                && mark[0].is_ascii_alphabetic()
                && matches!(mark.last(), Some(b'_' | b'-'))
                && mark.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')))
}

/// A UUID among other characters, as identifiers of objects have it: `Q-8e6bbf52-…-0`.
pub(super) fn holds_uuid(value: &[u8]) -> bool {
    value.len() > 36
        && value
            .windows(36)
            .any(|part| uuid(part) && part.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-'))
}

/// The identifier of a record as Prisma and others make it from a clock, a counter and the machine:
/// `c` and 24 small letters and digits, of which those of the counter are still low.
fn cuid(value: &[u8]) -> bool {
    // The second character is the clock's, from 2014 to 2037.
    value.len() == 25
        && value[0] == b'c'
        && matches!(value[1], b'i'..=b'q')
        && &value[9..11] == b"00"
        && value.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// A UUID made from a clock and the address of a machine (version 1): it can be guessed, so it opens nothing.
pub(super) fn of_clock(value: &[u8]) -> bool {
    uuid(value) && value[14] == b'1' && matches!(value[19].to_ascii_lowercase(), b'8' | b'9' | b'a' | b'b')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_random(value: &str) -> bool {
        random(value.as_bytes(), &Shape::of(value.as_bytes()))
    }

    #[test]
    fn words_and_counting_are_not_random() {
        for value in [
            "getElementById",
            "application_name_2",
            "some-long-package-name-v2",
            "abcdefghijklmnop123",
            "aaaaaaaaaaaaaaaaaaaa",
            "content-type-header",
            "2026-11-23T04:29:05Z",
            "x86_64-unknown-linux-gnu",
            "useStateCallbackRef12",
            "cls0jni4t000008jk3kyy803r",
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0",
        ] {
            assert!(!is_random(value), "{value}");
        }
    }

    #[test]
    fn passwords_of_people_and_of_password_managers() {
        for pieces in [["kX(7]v", "<Qm2,zR9{e", "+wL4"], ["#t7Kw9", "!zQ(m2L", "p}4x"]] {
            assert!(drawn_with_symbols(pieces.concat().as_bytes()), "{pieces:?}");
        }
        for value in [
            "os.environ[\"A1\"]",
            "get(\"a-B-c-12\")[0]",
            "${A}-{{ b }}-12-Bc",
            "2026-11-23T04:29:05Z",
            "Abc-12-!",
        ] {
            assert!(!drawn_with_symbols(value.as_bytes()), "{value}");
        }
        for pieces in [["Harbor", "@48213", "!tiger"], ["mar", "ta1", "987"], ["Winter", "20", "31!"]] {
            assert!(chosen_in_code(pieces.concat().as_bytes()), "{pieces:?}");
        }
        for value in [
            "Password123!",
            "P@ssw0rd9!",
            "Test@12345678",
            "{User}@48213!",
            "sh0rt@A",
            "shop-config-v2",
            "field_12.step3",
            "my-project-45e35d85a593.json",
            "oauth2.googleapis.com",
            "shop-db2-password",
            "keycloak987",
        ] {
            assert!(!chosen_in_code(value.as_bytes()), "{value}");
        }
        for pieces in [["copper-", "harbor-", "violet"], ["Maple.orbit", ".Candle.", "Tunnel"]] {
            assert!(passphrase(pieces.concat().as_bytes(), false), "{pieces:?}");
        }
        assert!(passphrase(["copper harbor ", "violet lantern 12"].concat().as_bytes(), true));
        for value in [
            "shop-database-password",
            "reset-your-password",
            "copper-harbor",
            "a-b-c-d-e-f-g-h-i",
            "the password is wrong",
            "Required element not present",
            "every element has one label",
        ] {
            assert!(!passphrase(value.as_bytes(), false), "{value}");
        }
    }

    #[test]
    fn drawn_values_are_random() {
        for pieces in [
            ["k7Fq2", "Zx9Lm", "4Tn8W", "pR3vB"],
            ["9f8e2", "b7a61", "c04d3", "e5f12"],
            ["zq81h", "w0x7c", "9v2m4", "k6j3b"],
        ] {
            assert!(is_random(&pieces.concat()), "{pieces:?}");
        }
    }

    #[test]
    fn drawn_letters_are_not_identifiers() {
        for pieces in [["kZRxkp", "Lnuujk"], ["DZFlRJ", "mCGmUX"], ["vGpLZV", "YMGhQt"], ["WpznXz", "ZKKRdv"]]
        {
            assert!(drawn_letters(pieces.concat().as_bytes()), "{pieces:?}");
        }
        for value in [
            "getElementById",
            "HTTPRequestURL",
            "passwordField",
            "XMLHttpRequest",
            "newPasswordInput",
            "SnowflakeDSN",
            "MyStrongWord",
            "AbstractFactoryBean",
            "useStateRef",
            "shopSqlDbConn",
        ] {
            assert!(!drawn_letters(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn the_number_of_a_rule_is_not_drawn() {
        assert!(numbered(b"SSC-EWI-DBTOPS0002") && numbered(b"SHOP_4123"));
        for value in ["A3-46FQEM-QYKXSA", "AKIA2345", "SSC-EWI-12345678901", "ssc-ewi-1"] {
            assert!(!numbered(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn a_uuid_of_a_clock_is_not_drawn() {
        assert!(of_clock(b"743b294a-cd03-11ec-9d64-0242ac120002"));
        for value in
            ["007e65c7-635d-4d54-8294-f360cb8e2e3f", "743b294a-cd03-11ec-0d64-0242ac120002", "11ec-9d64"]
        {
            assert!(!of_clock(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn hashes_of_databases_and_host_names_are_no_credentials() {
        let hash = ["md5", "153c434b4b77c89e", "6b94f12c5393af5b"].concat();
        for value in [
            hash.as_str(),
            "SCRAM-SHA-256$4096:c2FsdA==$a:b",
            "xn--vnd619as6ig6k.xn",
            "pass%5B%7F",
            "v0.0.0-20250102033503-faa5f7b0171c",
            "v1.2.4-0.20250102033503-faa5f7b0171c",
            "10H3V12H14V10M14",
            "postgresql+psycopg2",
            "redis.feast.svc.cluster.local:6379",
            "us-east-1",
            "europe-west4",
            "com.nimbusds:oauth2-oidc-sdk:11.38.2",
            "cn=expirein10",
            "CN=expirein10,ou=policies,dc=acme,dc=com",
        ] {
            assert!(other_kind(value.as_bytes()), "{value}");
        }
        for value in [
            &hash[..34],
            "v0.0.0-20250102033503-k7Fq2Zx9Lm4T",
            "10H3V12HH4V10M14",
            "tiger+lion2",
            "ab.c:d:e",
            "pw=x",
        ] {
            assert!(!other_kind(value.as_bytes()), "{value}");
        }
    }
}
