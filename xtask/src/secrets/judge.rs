//! Judges a value on its own: is it drawn at random, chosen by a person, or no secret at all?
//!
//! Stop words and Shannon entropy alone call `getElementById` random and `hunter2` harmless. This
//! looks at what the characters are (classes and their changes), at how letters follow one another
//! compared with words people write, at runs and repeats, and at the many shapes that are values of
//! something else: templates, code, paths, versions, dates, digests.

use super::bigrams::SURPRISE;
use super::decode;

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

    /// One character over and over, or counting: nobody's key.
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

/// Drawn at random, as far as one can tell from the value alone.
pub(super) fn random(value: &[u8], shape: &Shape) -> bool {
    !shape.dull() && !counting(value) && as_if_random(value, shape)
}

/// Random, or an example that counts to fill the length of something random: enough where the name
/// beside it leaves no doubt.
pub(super) fn as_if_random(value: &[u8], shape: &Shape) -> bool {
    if shape.len < 12 || shape.distinct <= 5 || placeholder(value) || masked(value) {
        return false;
    }
    if uuid(value) {
        return true;
    }
    if shape.hex {
        return shape.len >= 16
            && shape.digits * 8 >= shape.len
            && shape.letters() >= 2
            && shape.distinct >= 7;
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

/// Words that people write where a secret would go: they settle it wherever they stand.
const PLACEHOLDERS: &[&str] = &[
    "xxxx",
    "****",
    "....",
    "____",
    "----",
    "your",
    "<",
    "example",
    "placeholder",
    "changeme",
    "change_me",
    "change-me",
    "redacted",
    "insert",
    "foobar",
    "mysecret",
    "my-secret",
    "my_secret",
    "notreal",
    "not-a",
    "not_a",
    "goes here",
    "goes_here",
    "goes-here",
    "lorem",
    "token_here",
    "%s",
    "{}",
    "put_",
];

/// Words that may stand in a secret by chance or as a mark: they settle it when they are most of it.
const FILLERS: &[&str] = &[
    "fake",
    "sample",
    "dummy",
    "replace",
    "todo",
    "fixme",
    "testtest",
    "undefined",
    "default",
    "yyyy",
    "zzzz",
    "asdfgh",
    "qwerty",
    "deadbeef",
    "masked",
    "hidden",
    "encrypted",
    "secret_key",
    "secret-key",
    "api_key",
    "api-key",
    "apikey",
    "password",
    "access_token",
    "access-token",
    "00000000",
    "ffffffff",
    "11111111",
    "short",
    "invalid",
    "test",
];

/// Counting, which examples do for length's sake: a secret only where the name beside it is firm.
const COUNTING: &[&str] =
    &["abcdefghijkl", "abcd1234", "0123456789", "1234567890", "123456789", "abcdef12", "12345678"];

/// Counts up instead of being drawn.
pub(super) fn counting(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    COUNTING.iter().any(|word| memchr::memmem::find(&lower, word.as_bytes()).is_some()) || bytes_count(&lower)
}

/// Bytes that count, in hexadecimal: `000102…1f`, as ciphers are tried with.
fn bytes_count(lower: &[u8]) -> bool {
    if lower.len() < 16 || !hex(lower) {
        return false;
    }
    let bytes = decode::hex(&lower[..lower.len() & !1]).unwrap_or_default();
    let steps = bytes.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
    steps * 4 >= bytes.len() * 3
}

fn hex(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii_hexdigit)
}

/// Filled up with one character, as documentation shows a token's form: no rule is so sure of
/// itself that this would be a secret.
pub(super) fn masked(value: &[u8]) -> bool {
    let filler = |b: u8| matches!(b.to_ascii_lowercase(), b'x' | b'*' | b'.' | b'0' | b'#');
    let run = |length: usize| {
        value.windows(length).any(|w| filler(w[0]) && w.iter().all(|b| b.eq_ignore_ascii_case(&w[0])))
    };
    run(6) && (value.len() < 40 || run(8))
}

/// Stands where a secret will be put, or shows what one looks like.
pub(super) fn placeholder(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    let holds = |word: &str| memchr::memmem::find(&lower, word.as_bytes()).is_some();
    PLACEHOLDERS.iter().any(|word| holds(word))
        || FILLERS.iter().any(|word| word.len() * 5 >= lower.len() * 2 && holds(word))
}

/// Filled in later by a shell, a template engine or a formatter.
pub(super) fn template(value: &[u8]) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(value, needle).is_some();
    has(b"${")
        || has(b"{{")
        || has(b"$(")
        || has(b"{%")
        || has(b"<%")
        || has(b"#{")
        || has(b"%(")
        || value.first().is_some_and(|b| matches!(b, b'$' | b'%' | b'@' | b'<' | b'[' | b'{' | b'&' | b'('))
        || value.starts_with(b"!!")
        || value.ends_with(b"...")
        || value.ends_with(b"}")
        || (value.ends_with(b"%") && value.starts_with(b"%"))
}

/// A reference in code rather than a literal: calls, member paths, indexing, operators.
pub(super) fn code(value: &[u8]) -> bool {
    let has = |byte: u8| memchr::memchr(byte, value).is_some();
    if has(b'(')
        || has(b')')
        || has(b'[')
        || has(b']')
        || memchr::memmem::find(value, b"::").is_some()
        || memchr::memmem::find(value, b"->").is_some()
    {
        return true;
    }
    // `os.environ`, `self.token`, `config/secret.yml`: words joined by dots or slashes.
    value.split(|b| matches!(b, b'.' | b'/' | b'_' | b'-')).all(wordy)
}

/// One word as people and programmers write them: letters with at most a short number at the end.
pub(super) fn wordy(word: &[u8]) -> bool {
    let letters = word.iter().rposition(|b| !b.is_ascii_digit()).map_or(0, |at| at + 1);
    if word.len() - letters > 4 {
        return false;
    }
    let stem = &word[..letters];
    if !stem.iter().all(u8::is_ascii_alphabetic) {
        return false;
    }
    stem.len() < 5 || Shape::of(stem).surprise < 4.7
}

/// A value of another known kind: number, version, date, path, address, MIME type, colour, digest.
pub(super) fn other_kind(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return true };
    let numeric = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b':' | b'-' | b'/' | b'+' | b',' | b'_' | b' '));
    numeric
        || text.starts_with("http://")
        || text.starts_with("https://")
        || text.contains("://")
        || text.starts_with("./")
        || text.starts_with("../")
        || text.starts_with("~/")
        || text.starts_with('#')
        || text.starts_with("sha256:")
        || text.starts_with("sha1-")
        || text.starts_with("sha256-")
        || text.starts_with("sha384-")
        || text.starts_with("sha512-")
        || text.starts_with("arn:")
        || text.starts_with("urn:")
        || text.starts_with("data:")
        || text.starts_with("ssh-")
        || text.starts_with("0x")
        || text.starts_with("xn--")
        || escapes_control(value)
        || text.starts_with("SCRAM-SHA-256$")
        || text.strip_prefix("md5").is_some_and(|rest| rest.len() == 32 && hex(rest.as_bytes()))
        || (text.starts_with('/')
            && text.bytes().filter(|b| *b == b'/').count() >= 2
            && !text.contains(['+', '=']))
        || (text.starts_with('^') || text.ends_with('$') && text.contains('\\'))
}

/// Percent-escapes of what nobody types, as tests of URLs are full of: `%00` to `%1F`, `%7F`.
pub(super) fn escapes_control(value: &[u8]) -> bool {
    value.windows(3).any(|escape| {
        escape[0] == b'%'
            && (matches!(escape[1], b'0' | b'1') && escape[2].is_ascii_hexdigit()
                || escape[1] == b'7' && escape[2].eq_ignore_ascii_case(&b'F'))
    })
}

/// A password that a person chose: no proof of chance, so the name it is given to must be strong.
pub(super) fn chosen(value: &[u8], shape: &Shape) -> bool {
    if shape.len < 4 || shape.len > 128 || shape.distinct <= 2 {
        return false;
    }
    let classes = usize::from(shape.lower > 0)
        + usize::from(shape.upper > 0)
        + usize::from(shape.digits > 0)
        + usize::from(shape.symbols > 0);
    classes >= 2 && shape.digits > 0 && shape.letters() > 0
        || classes >= 3
            && value.iter().any(|b| matches!(b, b'!' | b'@' | b'#' | b'$' | b'%' | b'^' | b'&' | b'*'))
}

/// Drawn from all that a keyboard has, as password managers do: brackets and signs in it are no code and no template.
pub(super) fn drawn_with_symbols(value: &[u8]) -> bool {
    let shape = Shape::of(value);
    let letters = value.split(|b| !b.is_ascii_alphabetic()).map(<[u8]>::len).max().unwrap_or(0);
    let has = |needle: &[u8]| memchr::memmem::find(value, needle).is_some();
    let filled_in =
        [&b"${"[..], b"{{", b"$(", b"{%", b"<%", b"#{", b"%(", b"://"].iter().any(|mark| has(mark));
    (12..=64).contains(&shape.len)
        && value.iter().all(u8::is_ascii_graphic)
        && shape.lower >= 2
        && shape.upper >= 2
        && shape.digits >= 2
        && shape.symbols >= 3
        && shape.symbols * 5 <= shape.len * 3
        && shape.distinct * 4 >= shape.len * 3
        && letters <= 4
        && !filled_in
        && !masked(value)
}

/// Words that stand in names and messages, so that words joined by dashes are no passphrase.
const NAMING: &[&str] = &[
    "password",
    "passwd",
    "pass",
    "passphrase",
    "secret",
    "secrets",
    "token",
    "key",
    "keys",
    "name",
    "user",
    "users",
    "username",
    "admin",
    "root",
    "database",
    "data",
    "prod",
    "production",
    "staging",
    "test",
    "testing",
    "tests",
    "demo",
    "example",
    "sample",
    "dummy",
    "fake",
    "mock",
    "local",
    "default",
    "service",
    "services",
    "server",
    "client",
    "account",
    "cluster",
    "namespace",
    "config",
    "configuration",
    "vault",
    "file",
    "path",
    "store",
    "field",
    "input",
    "label",
    "form",
    "text",
    "button",
    "error",
    "errors",
    "message",
    "reset",
    "forgot",
    "change",
    "changed",
    "update",
    "create",
    "new",
    "old",
    "your",
    "the",
    "and",
    "for",
    "with",
    "not",
    "must",
    "are",
    "here",
    "this",
    "that",
    "from",
    "into",
    "enter",
    "please",
    "value",
    "string",
    "type",
    "model",
    "encrypted",
    "hashed",
    "hash",
    "credentials",
    "credential",
    "auth",
    "login",
    "access",
    "web",
    "api",
    "app",
    "db",
    "postgres",
    "mysql",
    "redis",
    "snowflake",
    "mongodb",
    "kafka",
    "minio",
    "grafana",
    "airflow",
    "invalid",
    "wrong",
    "placeholder",
    "replace",
    "insert",
    "put",
    "set",
    "get",
    "validation",
    "validator",
    "policy",
    "manager",
    "provider",
    "hidden",
    "visible",
    "show",
    "toggle",
    "confirm",
    "confirmation",
    "current",
    "random",
    "generated",
    "some",
    "any",
    "more",
    "than",
    "will",
    "can",
    "only",
    "has",
    "have",
    "was",
    "use",
    "used",
    "using",
];

/// Words drawn to be remembered, joined by one separator: `copper-harbor-violet-lantern`. `strict` asks for one more.
pub(super) fn passphrase(value: &[u8], strict: bool) -> bool {
    let Some(separator) = value.iter().copied().find(|b| matches!(b, b'-' | b'_' | b'.' | b' ')) else {
        return false;
    };
    let words: Vec<Vec<u8>> = value.split(|b| *b == separator).map(<[u8]>::to_ascii_lowercase).collect();
    let least = 3 + usize::from(strict || matches!(separator, b'_' | b'.' | b' '));
    let distinct: std::collections::BTreeSet<&Vec<u8>> = words.iter().collect();
    let is_word = |word: &Vec<u8>| (3..=10).contains(&word.len()) && word.iter().all(u8::is_ascii_lowercase);
    let lone_number = |word: &Vec<u8>| (1..=4).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    value.len() >= 16
        && (least..=8).contains(&words.iter().filter(|word| is_word(word)).count())
        && words.iter().all(|word| is_word(word) || lone_number(word))
        && words.iter().filter(|word| lone_number(word)).count() <= 1
        && distinct.len() == words.len()
        && !words.iter().any(|word| NAMING.iter().any(|name| name.as_bytes() == word.as_slice()))
}

/// A person's password with letters of both cases, digits and a sign between, in a string of source code: more than an
/// identifier or a sample would have.
pub(super) fn chosen_with_care(value: &[u8]) -> bool {
    let shape = Shape::of(value);
    let lower = value.to_ascii_lowercase();
    let sample =
        [&b"pass"[..], b"passw", b"secret", b"test", b"sample", b"demo", b"abc", b"1234", b"user", b"admin"]
            .iter()
            .any(|word| memchr::memmem::find(&lower, word).is_some());
    let signs = value
        .iter()
        .filter(|b| matches!(b, b'!' | b'@' | b'#' | b'$' | b'%' | b'^' | b'&' | b'*' | b'?'))
        .count();
    (10..=64).contains(&shape.len)
        && value.iter().all(u8::is_ascii_graphic)
        && shape.lower > 0
        && shape.upper > 0
        && shape.digits >= 2
        && (1..=4).contains(&signs)
        && shape.symbols <= signs + 1
        && shape.distinct >= 8
        && !sample
        && !template(value)
        && !placeholder(value)
        && !other_kind(value)
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
        assert!(chosen_with_care(["Harbor", "@48213", "!tiger"].concat().as_bytes()));
        for value in ["Password123!", "Test@12345678", "Harbor48213tiger", "{User}@48213!", "short@1A"] {
            assert!(!chosen_with_care(value.as_bytes()), "{value}");
        }
        for pieces in [["copper-", "harbor-", "violet"], ["Maple.orbit", ".Candle.", "Tunnel"]] {
            assert!(passphrase(pieces.concat().as_bytes(), false), "{pieces:?}");
        }
        for value in [
            "shop-database-password",
            "reset-your-password",
            "copper-harbor",
            "a-b-c-d-e-f-g-h-i",
            "the password is wrong",
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
    fn hashes_of_databases_and_host_names_are_no_credentials() {
        let hash = ["md5", "153c434b4b77c89e", "6b94f12c5393af5b"].concat();
        for value in [hash.as_str(), "SCRAM-SHA-256$4096:c2FsdA==$a:b", "xn--vnd619as6ig6k.xn", "pass%5B%7F"]
        {
            assert!(other_kind(value.as_bytes()), "{value}");
        }
        assert!(!other_kind(&hash.as_bytes()[..34]));
    }
}
