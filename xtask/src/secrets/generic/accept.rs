//! Whether a value is a secret, given what its name says it is.

use super::super::assess::{self, Shape};
use super::super::assignment::{Assigned, Tie};
use super::super::verify;
use super::{Language, VALUE_MOST, Word};

/// Words of names whose UUIDs are credentials whatever else is in the name.
const UUID_NAMES: &[&str] = &[
    "api", "auth", "access", "secret", "key", "pass", "pwd", "client", "private", "bearer", "service", "app",
    "deploy", "personal",
];

/// Words before `token` that make its UUID the number of a request, a message or a row.
const UUID_OF_REQUESTS: &[&str] = &[
    "request",
    "session",
    "idempotency",
    "correlation",
    "message",
    "event",
    "order",
    "transaction",
    "tracking",
    "payment",
    "reset",
    "invite",
    "invitation",
    "verification",
    "confirmation",
    "unsubscribe",
    "upload",
    "job",
    "user",
    "device",
    "customer",
    "cart",
    "the",
];

/// Words of names whose secrets are objects of a cluster, by their names.
const OF_OBJECTS: &[&str] = &["existing", "pull", "image", "tls", "kubernetes", "k8s", "external"];

pub(super) fn accepts(
    value: &[u8],
    word: Word,
    found: &Assigned,
    language: Language,
    words_of_name: &[String],
    in_string: bool,
) -> bool {
    // `pass: "every image has a text"`: beside `fail` it is about a check.
    let sentence =
        memchr::memchr(b' ', value).is_some() && words_of_name.last().is_some_and(|word| word == "pass");
    if word == Word::Password && !sentence && accepts_password(value, found, language) {
        return true;
    }
    if value.len() < 4
        || value.len() > VALUE_MOST
        || assess::template(value)
        || assess::placeholder(value)
        || assess::other_kind(value)
        || assess::names_secret(value)
    {
        return false;
    }
    let phrase = word == Word::Credential && secret_of_words(value, words_of_name, language);
    if !(phrase && found.quoted) && value.iter().any(|b| b.is_ascii_whitespace() || *b < b' ') {
        return false;
    }
    if word == Word::Credential
        && found.tie != Tie::Loose
        && is_firm(found, language, in_string)
        && (chosen_secret(value, words_of_name) || phrase || found.quoted && drawn_behind_mark(value))
    {
        return true;
    }
    if word == Word::Key && found.quoted && of_all_signs(value) {
        return true;
    }
    if value.starts_with(b"eyJ") && memchr::memchr(b'.', value).is_some() && !verify::web_token(value) {
        return false;
    }
    if super::super::names::of_record(value, |mark| {
        word == Word::Key || words_of_name.iter().any(|word| word == mark)
    }) {
        return false;
    }
    if word != Word::Password && assess::numbered(value) {
        return false;
    }
    if assess::of_clock(value) {
        return false;
    }
    let shape = Shape::of(value);
    let firm = is_firm(found, language, in_string);
    let lenient = language == Language::Other && found.tie != Tie::Loose;
    if assess::uuid(value) && !uuid_opens(words_of_name) {
        return false;
    }
    let random = if lenient { assess::as_if_random(value, &shape) } else { assess::random(value, &shape) };
    let tokens = token_like(value) || found.quoted && long_token(value);
    match word {
        Word::Password => firm && !shape.dull() && random,
        Word::Credential | Word::Key if !tokens => false,
        Word::Credential if found.tie == Tie::Loose && !found.quoted => random && shape.len >= 16,
        Word::Credential => {
            firm && (random || short_credential(value, &shape) && language == Language::Other)
        }
        Word::Key => {
            firm && random
                && shape.len >= 16
                && !assess::holds_uuid(value)
                && usual_length(value, &shape)
                && (shape.hex || shape.surprise > 3.8)
        }
    }
}

/// A length that keys have, whole or behind a short mark: `sd_8530f2d2…`.
fn usual_length(value: &[u8], shape: &Shape) -> bool {
    let rest = memchr::memchr(b'_', value).filter(|bar| (2..=6).contains(bar)).map(|bar| &value[bar + 1..]);
    super::super::names::usual_length(value, shape)
        || rest.is_some_and(|rest| super::super::names::usual_length(rest, &Shape::of(rest)))
}

/// Drawn, and of a length that keys have: not cut off, as samples of tokens are.
pub(in super::super) fn is_whole(value: &[u8]) -> bool {
    let shape = Shape::of(value);
    shape.len >= 20 && usual_length(value, &shape) && assess::random(value, &shape)
}

/// Whether a UUID of this name is a credential: a mere `token` is often the number of a request, `fleetio_token` is not.
fn uuid_opens(words_of_name: &[String]) -> bool {
    let strong = |word: &String| UUID_NAMES.iter().any(|name| word.contains(name));
    let request = |word: &String| UUID_OF_REQUESTS.contains(&word.as_str());
    words_of_name.iter().any(strong)
        || words_of_name.len() >= 2
            && words_of_name.last().is_some_and(|word| word == "token" || word == "pat")
            && !words_of_name.iter().any(request)
}

/// Whether a value is tied to its name, and not only near it.
pub(super) fn is_firm(found: &Assigned, language: Language, in_string: bool) -> bool {
    found.quoted
        || found.tie == Tie::Operator && (language == Language::Other || in_string)
        || found.tie == Tie::Beside
}

/// A secret for sessions or signatures that a person chose or that was drawn with signs, as Django and `WordPress` do:
/// `JWT_SECRET`, `SECRET_KEY`.
fn chosen_secret(value: &[u8], words_of_name: &[String]) -> bool {
    let value = value.strip_prefix(b"django-insecure-").unwrap_or(value);
    // A single sign in a token is a fault of it.
    let signs = value.iter().filter(|b| b.is_ascii_punctuation()).count();
    let of_tokens = words_of_name.iter().any(|word| word.contains("token"));
    if signs >= 3 && !of_tokens && assess::drawn_with_symbols(value) {
        return true;
    }
    let last = words_of_name
        .last()
        .is_some_and(|word| word.ends_with("secret") || word == "credential" || word == "credentials");
    // Small letters and joints are how objects are named; `Coffee_6954` is not.
    let joined = value.iter().any(|b| matches!(b, b'-' | b'_' | b'.' | b'/' | b':'))
        && !(assess::joined_words(value) && value.iter().any(u8::is_ascii_uppercase));
    let shape = Shape::of(value);
    last && !words_of_name.iter().any(|word| OF_OBJECTS.contains(&word.as_str()))
        && !joined
        && shape.digits >= 2
        && assess::chosen_in_code(value)
}

/// A passphrase as the secret of sessions or signatures, under a name such as `JWT_SECRET`. Objects are named in
/// words with joints, too, so that in settings it has a blank or a capital.
fn secret_of_words(value: &[u8], words_of_name: &[String], language: Language) -> bool {
    let last =
        words_of_name.last().is_some_and(|word| word.ends_with("secret") || word.starts_with("geheim"));
    let marked = value.iter().any(|b| *b == b' ' || b.is_ascii_uppercase());
    // Constants and paths of modules are words with joints in code.
    let identifier = value.contains(&b'_') || value.contains(&b'.') && !marked;
    last && !words_of_name.iter().any(|word| OF_OBJECTS.contains(&word.as_str()))
        && !identifier
        && (language == Language::Code || marked)
        && assess::passphrase(value, true)
}

/// As long as keys are, and with signs that no encoding has: the keys and salts of `WordPress`.
fn of_all_signs(value: &[u8]) -> bool {
    let encoded =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'_' | b'-' | b'.' | b':');
    value.len() >= 40
        && value.iter().filter(|b| !encoded(b)).count() >= 5
        && assess::drawn_with_symbols(value)
}

/// A key behind what it is for: `agent:prod:…`, `*:production.…`, `4711$…`.
fn drawn_behind_mark(value: &[u8]) -> bool {
    let Some(mark) = value.iter().rposition(|b| matches!(b, b':' | b'$' | b'.')) else { return false };
    let (before, key) = (&value[..mark], &value[mark + 1..]);
    let named = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'*' | b'-' | b'_' | b'.');
    let lengths = matches!(key.len(), 32 | 40 | 48 | 56 | 64 | 96 | 128);
    (1..=40).contains(&before.len())
        && before.iter().all(named)
        && lengths
        && key.iter().all(u8::is_ascii_hexdigit)
        && assess::random(key, &Shape::of(key))
}

/// A password that a person chose or a password manager drew, besides those that look drawn at random.
fn accepts_password(value: &[u8], found: &Assigned, language: Language) -> bool {
    let configured = language == Language::Other && found.tie != Tie::Loose;
    let literal = found.quoted || configured;
    let encoded = value.ends_with(b"=") && assess::placeholder(value);
    if !literal || value.len() > VALUE_MOST || assess::masked(value) || assess::stored(value) || encoded {
        return false;
    }
    if assess::passphrase(value, language == Language::Code) || assess::of_groups(value) {
        return true;
    }
    if assess::joined_words(value) {
        return true;
    }
    if assess::call(value) {
        return false;
    }
    if assess::drawn_with_symbols(value)
        || (found.quoted || found.tie == Tie::Operator) && assess::drawn_letters(value)
    {
        return true;
    }
    // `password: String!`, a type of GraphQL.
    let name = value.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let rest = &value[name..];
    if !found.quoted && rest.starts_with(b"!") && rest.iter().all(u8::is_ascii_punctuation) {
        return false;
    }
    if language == Language::Code {
        return assess::chosen_in_code(value);
    }
    // The text before a bracket may be a call or a member of something.
    let start = value.split(|b| matches!(b, b'(' | b')' | b'[' | b']')).next().unwrap_or(value);
    let shape = Shape::of(value);
    !shape.dull()
        && assess::chosen(value, &shape)
        && !assess::template(value)
        && !assess::placeholder(value)
        && !assess::other_kind(value)
        && !assess::names_secret(value)
        && (assess::chosen_in_code(value) || !assess::code(start))
        && !value.iter().any(|b| b.is_ascii_whitespace() || *b < b' ')
}

/// Long and of token characters, with `=` and `%` anywhere, as some providers have it.
fn long_token(value: &[u8]) -> bool {
    value.len() >= 32
        && value
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'+' | b'/' | b'=' | b'%'))
}

/// A credential too short to be proven random, but nothing else either.
fn short_credential(value: &[u8], shape: &Shape) -> bool {
    shape.len >= 10
        && token_like(value)
        && !assess::code(value)
        && !shape.dull()
        && shape.digits >= 2
        && shape.letters() >= 3
        && shape.surprise > 4.0
}

/// Only characters that tokens are made of, with padding at the end only.
pub(super) fn token_like(value: &[u8]) -> bool {
    let end = value.iter().rposition(|b| *b != b'=').map_or(0, |at| at + 1);
    value.len() - end <= 3
        && value[..end].iter().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'+' | b'/' | b'~' | b':' | b'|')
        })
        && value.first().is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+' | b'/'))
}
