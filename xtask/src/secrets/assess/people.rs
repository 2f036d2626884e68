//! Passwords that people choose or password managers draw: words, phrases, signs.

use super::placeholder::filled_in;
use super::{Shape, call, masked, other_kind, placeholder, sample, template};

/// A password that a person chose: no proof of chance, so the name it is given to must be strong.
pub(in super::super) fn chosen(value: &[u8], shape: &Shape) -> bool {
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

/// Drawn from all keyboard characters, as password managers do: its brackets and signs are not code or a template.
pub(in super::super) fn drawn_with_symbols(value: &[u8]) -> bool {
    let shape = Shape::of(value);
    // A word between brackets is code; letters in a row that spell nothing are chance.
    let spells = |run: &[u8]| run.len() >= 5 && Shape::of(run).pair_surprise < 4.3;
    let signs = value.iter().filter(|b| b.is_ascii_punctuation() && !is_joint(**b)).count();
    (12..=64).contains(&shape.len)
        && value.iter().all(u8::is_ascii_graphic)
        && shape.lower >= 1
        && shape.upper >= 1
        && shape.letters() >= 4
        && (shape.digits >= 1 || signs >= 2)
        && shape.symbols >= 2
        && shape.symbols * 5 <= shape.len * 3
        // Long values repeat signs by chance.
        && shape.distinct * 3 >= shape.len.min(40) * 2
        && !value.split(|b| !b.is_ascii_alphabetic()).any(spells)
        && !filled_in(value)
        && memchr::memmem::find(value, b"://").is_none()
        && !call(value)
        && !masked(value)
}

/// Letters of both cases that spell nothing, as password managers draw them without digits: `kZRxkpLnuujk`.
pub(in super::super) fn drawn_letters(value: &[u8]) -> bool {
    let shape = Shape::of(value);
    let capitals_inside =
        value.windows(2).filter(|pair| pair[0].is_ascii_uppercase() && pair[1].is_ascii_uppercase()).count();
    (10..=64).contains(&shape.len)
        && shape.letters() == shape.len
        && shape.upper >= 3
        && shape.lower >= 3
        // `HTTPRequestURL` has capitals in a row too; its small letters make words.
        && capitals_inside * 3 < shape.len * 2
        && shape.pair_surprise >= 5.0
        && shape.distinct * 3 >= shape.len * 2
        && !sample(value)
        && !placeholder(value)
}

/// Words of names and messages: words joined by dashes are not a passphrase if one of these is among them.
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
pub(in super::super) fn passphrase(value: &[u8], strict: bool) -> bool {
    let Some(separator) = value.iter().copied().find(|b| matches!(b, b'-' | b'_' | b'.' | b' ')) else {
        return false;
    };
    let mut words: Vec<Vec<u8>> = value.split(|b| *b == separator).map(<[u8]>::to_ascii_lowercase).collect();
    // `Tulip-Ocean-Saddle-Salmon45`: a number right behind the last word.
    if let Some(last) = words.last_mut() {
        let letters = last.iter().take_while(|b| b.is_ascii_lowercase()).count();
        if letters >= 3 && last.len() - letters <= 4 && last[letters..].iter().all(u8::is_ascii_digit) {
            last.truncate(letters);
        }
    }
    let least = 3 + usize::from(strict || matches!(separator, b'_' | b'.' | b' '));
    // Words with blanks between are sentences more often: no capital, no short word.
    if separator == b' '
        && (value.iter().any(u8::is_ascii_uppercase)
            || words.iter().any(|word| word.len() < 4 && !word.iter().all(u8::is_ascii_digit)))
    {
        return false;
    }
    let distinct: std::collections::BTreeSet<&Vec<u8>> = words.iter().collect();
    let is_word = |word: &Vec<u8>| (3..=14).contains(&word.len()) && word.iter().all(u8::is_ascii_lowercase);
    let lone_number = |word: &Vec<u8>| (1..=4).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    value.len() >= 16
        && (least..=8).contains(&words.iter().filter(|word| is_word(word)).count())
        && words.iter().all(|word| is_word(word) || lone_number(word))
        && words.iter().filter(|word| lone_number(word)).count() <= 1
        && distinct.len() == words.len()
        && !words.iter().any(|word| naming(word))
        && !(words.iter().any(|word| word == b"battery") && words.iter().any(|word| word == b"staple"))
}

/// Whether a word, in lower case, is of names and messages.
fn naming(word: &[u8]) -> bool {
    NAMING.iter().any(|name| name.as_bytes() == word)
}

/// Words that a person joined by one sign, with a number of at least two digits at the end: `kaffee.roma64`,
/// `Honda-Civic-98`. Names of settings and members look like it too, so the name beside it has to leave no doubt.
pub(in super::super) fn joined_words(value: &[u8]) -> bool {
    let Some(separator) = value.iter().copied().find(|b| matches!(b, b'-' | b'_' | b'.' | b'+')) else {
        return false;
    };
    let end = value.iter().rposition(|b| !b.is_ascii_digit()).map_or(0, |at| at + 1);
    let words: Vec<Vec<u8>> = value[..end]
        .split(|b| *b == separator)
        .filter(|word| !word.is_empty())
        .map(<[u8]>::to_ascii_lowercase)
        .collect();
    let is_word = |word: &Vec<u8>| word.len() >= 4 && word.iter().all(u8::is_ascii_lowercase);
    (2..=4).contains(&(value.len() - end))
        && (2..=4).contains(&words.len())
        && words.iter().all(|word| is_word(word) && !naming(word))
        && !sample(value)
        && !placeholder(value)
        && !other_kind(value)
}

/// Three groups of six characters with one capital and one digit among them, as Apple's devices suggest passwords.
pub(in super::super) fn of_groups(value: &[u8]) -> bool {
    let groups = || value.split(|b| *b == b'-');
    let count = |wanted: fn(&u8) -> bool| value.iter().filter(|b| wanted(b)).count();
    value.len() == 20
        && groups().count() == 3
        && groups().all(|group| group.len() == 6 && group.iter().all(u8::is_ascii_alphanumeric))
        && count(u8::is_ascii_digit) == 1
        && count(u8::is_ascii_uppercase) == 1
}

/// Words for a secret at the end of a name: `shop-db-password`, `airflow_token`.
const FOR_SECRETS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secrets",
    "token",
    "tokens",
    "key",
    "keys",
    "credential",
    "credentials",
    "creds",
];

/// The name of a secret rather than a secret: lower-case words joined by dashes, dots or slashes, one of which says so.
pub(in super::super) fn names_secret(value: &[u8]) -> bool {
    let pieces: Vec<&[u8]> = value.split(|b| is_joint(*b)).collect();
    // `key_8530f2d2…`: the mark of a token.
    let drawn = |piece: &&[u8]| piece.len() >= 24 && piece.iter().any(u8::is_ascii_digit);
    pieces.len() >= 2
        && !pieces.last().is_some_and(drawn)
        && value.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || is_joint(*b))
        && pieces.iter().any(|piece| FOR_SECRETS.iter().any(|word| word.as_bytes() == *piece))
}

/// A person's password in a string of source code: letters with digits or signs, and not what identifiers, samples and
/// the words of messages look like.
pub(in super::super) fn chosen_in_code(value: &[u8]) -> bool {
    let shape = Shape::of(value);
    let sign = value.iter().any(|b| b.is_ascii_punctuation() && !is_joint(*b));
    (8..=64).contains(&shape.len)
        && value.iter().all(u8::is_ascii_graphic)
        && shape.digits >= 1
        && shape.letters() >= if sign { 2 } else { 3 }
        && shape.symbols * 3 <= shape.len
        && shape.distinct >= 6
        && !identifier(value, &shape)
        && !sample(value)
        && !template(value)
        && !placeholder(value)
        && !other_kind(value)
        && !names_secret(value)
}

/// Words joined as names in programs are, a version or a number at the end: `shop_v2`, `field-12`, `config.step3`.
fn identifier(value: &[u8], shape: &Shape) -> bool {
    let signs = value.iter().filter(|b| !b.is_ascii_alphanumeric() && !is_joint(**b)).count();
    let pieces: Vec<&[u8]> = value.split(|b| is_joint(*b)).collect();
    let numbered = |piece: &&[u8]| {
        let letters = piece.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        piece[letters..].iter().all(u8::is_ascii_digit) && piece.len() - letters <= 2 && letters > 0
            || piece.len() <= 2
    };
    signs == 0
        && (pieces.len() > 1 && (pieces.iter().all(numbered) || shape.upper == 0 && value.contains(&b'/'))
            || pieces.len() == 1 && shape.digits == 1)
}

fn is_joint(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b'.' | b'/' | b':')
}
