//! What is written where a secret would go: templates, words for one, masks, counting.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::super::decode;

/// Words that people write in place of a secret: they mark a placeholder anywhere in the value.
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

/// Words that may occur in a secret by chance or as a mark: they mark a placeholder if they are most of the value.
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

/// Counting sequences, which pad examples to length: a secret only if the name beside it leaves no doubt.
const COUNTING: &[&str] =
    &["abcdefghijkl", "abcd1234", "0123456789", "1234567890", "123456789", "abcdef12", "12345678"];

/// A search for any of the words, in any case: values are asked for a hundred words each, and by the thousand.
pub(super) fn any_of(words: &[&str]) -> Option<AhoCorasick> {
    AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(words).ok()
}

/// Counts up instead of being drawn.
pub(in super::super) fn counting(value: &[u8]) -> bool {
    static COUNTED: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| any_of(COUNTING));
    let lower = value.to_ascii_lowercase();
    COUNTED.as_ref().is_some_and(|words| words.is_match(value)) || bytes_count(&lower)
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

/// Typed along the rows of a keyboard, or through the alphabet: `qwertyuiopasdf`, `a1b2c3d4e5f6`. Examples are, and so
/// are a few real passwords.
pub(in super::super) fn along_the_keyboard(value: &[u8]) -> bool {
    if value.len() < 16 {
        return false;
    }
    let letters: Vec<u8> =
        value.iter().filter(|b| b.is_ascii_alphabetic()).map(u8::to_ascii_lowercase).collect();
    let mut steps = 0;
    for at in 1..letters.len() {
        let (previous, next) = (letters[at - 1], letters[at]);
        steps += usize::from(next == previous + 1 || NEXT_KEY[usize::from(previous - b'a')] == next);
    }
    letters.len() >= 8 && steps * 4 >= (letters.len() - 1) * 3
}

/// The letter to the right of each letter on a keyboard, from `a` on.
const NEXT_KEY: &[u8; 26] = b"snvfrghjokl\0\0mp\0wtdyibecux";

pub(super) fn hex(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii_hexdigit)
}

/// Filled up with one character, as documentation shows a token's form: no rule is so sure of
/// itself that this would be a secret.
pub(in super::super) fn masked(value: &[u8]) -> bool {
    let filler = |b: u8| matches!(b, b'x' | b'*' | b'.' | b'0' | b'#');
    let (mut run, mut longest, mut previous) = (0, 0, b' ');
    // Rows of another digit take longer to be sure of.
    let (mut digits, mut most_digits) = (0, 0);
    for byte in value {
        let byte = byte.to_ascii_lowercase();
        run = if !filler(byte) {
            0
        } else if byte == previous {
            run + 1
        } else {
            1
        };
        longest = longest.max(run);
        digits = if byte.is_ascii_digit() && byte == previous { digits + 1 } else { 0 };
        most_digits = most_digits.max(digits);
        previous = byte;
    }
    longest >= if value.len() < 40 { 6 } else { 8 } || most_digits >= 11 || alphabet(value)
}

/// Holds all letters in the order of the alphabet or of the keyboard: what tokens are made of, and not one.
fn alphabet(value: &[u8]) -> bool {
    const ORDERS: [&[u8; 26]; 2] = [b"abcdefghijklmnopqrstuvwxyz", b"qwertyuiopasdfghjklzxcvbnm"];
    value.windows(26).any(|part| ORDERS.iter().any(|order| order.eq_ignore_ascii_case(part)))
}

/// A placeholder for a secret, or an example of what one looks like.
pub(in super::super) fn placeholder(value: &[u8]) -> bool {
    static ANYWHERE: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| any_of(PLACEHOLDERS));
    static MOSTLY: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| any_of(FILLERS));
    let mostly = |found: aho_corasick::Match| found.len() * 5 >= value.len() * 2;
    ANYWHERE.as_ref().is_some_and(|words| words.is_match(value))
        || MOSTLY.as_ref().is_some_and(|words| words.find_overlapping_iter(value).any(mostly))
        || encoded(value).is_some_and(|text| text.len() < value.len() && words_only(&text))
}

/// Filled in later by a shell, a template engine or a formatter.
pub(in super::super) fn template(value: &[u8]) -> bool {
    filled_in(value)
        || value.first().is_some_and(|b| matches!(b, b'$' | b'%' | b'@' | b'<' | b'[' | b'{' | b'&' | b'('))
        || value.starts_with(b"!!")
        || value.ends_with(b"...")
        || value.ends_with(b"}")
        || (value.ends_with(b"%") && value.starts_with(b"%"))
}

/// Holds the start of a template's or a shell's expression. By index in one pass: building a search for each of the
/// marks takes longer than a value does, and this is asked of every value.
pub(super) fn filled_in(value: &[u8]) -> bool {
    const MARKS: [&[u8; 2]; 7] = [b"${", b"{{", b"$(", b"{%", b"<%", b"#{", b"%("];
    let mut at = 1;
    while at < value.len() {
        if matches!(value[at], b'{' | b'(' | b'%') && MARKS.contains(&&[value[at - 1], value[at]]) {
            return true;
        }
        at += 1;
    }
    false
}

/// What a value in base64 says, if that is text. Padding shows that a shorter one is encoded, too.
fn encoded(value: &[u8]) -> Option<Vec<u8>> {
    let short = |text: &[u8]| {
        value.ends_with(b"=") && text.len() >= 8 && text.iter().all(|b| matches!(b, b' '..=b'~'))
    };
    (value.len() >= 12 && value.iter().any(u8::is_ascii_uppercase))
        .then(|| decode::base64(value).filter(|text| decode::printable(text) || short(text)))?
}

/// Words and what joins them, as `example-app-secret` and `{"fake": true}`: what is encoded is not drawn at random.
fn words_only(text: &[u8]) -> bool {
    let drawn = |run: &[u8]| run.len() >= 16 && super::random(run, &super::Shape::of(run));
    let object = text.first() == Some(&b'{') && text.last() == Some(&b'}');
    object && !text.split(|b| !b.is_ascii_alphanumeric()).any(drawn)
        || text.iter().filter(|b| b.is_ascii_whitespace()).count() >= 3
        || placeholder(text)
        || super::sample(text) && !text.iter().any(|b| b.is_ascii_digit() || *b == b':')
}
