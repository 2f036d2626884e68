//! Credentials of no known provider: what is assigned to a name that says "secret", and what appears
//! in a URL or an authorisation header.
//!
//! The value decides, the name only says how much proof the value must bring. A password may be
//! chosen by a person; a token or key must look drawn at random.

mod addresses;
mod calls;
mod commands;
mod headers;
mod vocabulary;

use std::ops::Range;

use super::assess::{self, Shape};
use super::assignment::{Assigned, Tie, line_start};
use super::connection;
use super::verify;

pub(super) use addresses::{beside_address, in_url, in_user_flag};
pub(super) use commands::{in_arguments, literals as argument_literals};
use headers::{after_scheme, basic, header_token};
use vocabulary::strengthen;
pub(super) use vocabulary::{WORDS, Word, is_bare, may_name_secret, means, strongest, words};

/// The longest value that is evaluated: credentials of unknown kinds are short, and evaluation is not free.
pub(super) const VALUE_MOST: usize = 512;

/// What kind of generic finding something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Password,
    Credential,
    Connection,
    Url,
    Header,
    Named,
    Marked,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Password,
        Self::Credential,
        Self::Connection,
        Self::Url,
        Self::Header,
        Self::Named,
        Self::Marked,
    ];

    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Password => "generic-password",
            Self::Credential => "generic-credential",
            Self::Connection => "generic-connection-string",
            Self::Url => "generic-url-password",
            Self::Header => "generic-authorization-header",
            Self::Named => "generic-provider-token",
            Self::Marked => "generic-token",
        }
    }

    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Credential => "random value under a secret's name",
            Self::Connection => "password in a connection string",
            Self::Url => "password in a URL",
            Self::Header => "credential in an authorisation header",
            Self::Named => "random value beside a provider's name",
            Self::Marked => "random value with a token's mark",
        }
    }
}

/// What kind of file a text is from: source code quotes its strings, and its samples are not secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Code,
    Other,
}

impl Language {
    pub(super) fn of(path: &str) -> Self {
        let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
        match extension {
            "rs" | "go" | "py" | "js" | "jsx" | "ts" | "tsx" | "mjs" | "cjs" | "java" | "kt" | "scala"
            | "c" | "h" | "cc" | "cpp" | "hpp" | "cs" | "swift" | "rb" | "php" | "lua" | "zig" | "ex"
            | "exs" | "m" | "mm" | "md" | "mdx" | "html" | "css" | "S" | "asm" | "rst" | "adoc" | "ipynb"
            | "vue" | "svelte" | "dart" | "pl" | "pm" | "r" | "R" | "jl" | "groovy" | "gradle" => Self::Code,
            _ => Self::Other,
        }
    }
}

/// Whether a file is text about code, in which settings and commands are as they are typed.
pub(super) fn is_document(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    matches!(extension, "md" | "mdx" | "rst" | "adoc" | "ipynb" | "html")
}

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

/// The secret in what is assigned to a name with one of `WORDS` in it.
pub(super) fn in_assignment(
    bytes: &[u8],
    found: &Assigned,
    word: Word,
    language: Language,
) -> Option<(Kind, Range<usize>)> {
    if found.value.len() > VALUE_MOST {
        return None;
    }
    let name = &bytes[found.name.clone()];
    // `checksum/secret: …`, as Helm charts have it.
    if bytes[..found.name.start].ends_with(b"checksum/") {
        return None;
    }
    let words = words(name);
    // A setting in capitals is no column of a table.
    let setting = name.contains(&b'_') && !name.iter().any(u8::is_ascii_lowercase);
    if !may_name_secret(&words) || !setting && surrogate_key(&words, &bytes[found.value.clone()]) {
        return None;
    }
    let words = with_word_before(bytes, found, words);
    if word == Word::Password
        && !found.quoted
        && found.tie == Tie::Operator
        && connection::holds_password(bytes, &found.value)
    {
        return Some((Kind::Connection, found.value.clone()));
    }
    let word = strengthen(word, &words);
    if word == Word::Key
        && !words.iter().any(|w| {
            ["key", "keys", "auth", "webhook"].iter().any(|end| w.ends_with(end)) || w == "authorization"
        })
    {
        return None;
    }
    let (value_range, header) = after_scheme(bytes, found.value.clone());
    let value = &bytes[value_range.clone()];
    if word == Word::Credential && name.to_ascii_lowercase().ends_with(b"_path") {
        return None;
    }
    if words.last().is_some_and(|w| w == "authorization")
        && !header
        && !assess::uuid(value)
        && value.len() < 32
    {
        return None;
    }
    if header
        && value_range.start > found.value.start
        && let Some(real) = basic(bytes, &found.value, &value_range)
    {
        return real.then_some((Kind::Header, value_range));
    }
    let kind = if word == Word::Password {
        Kind::Password
    } else if header {
        Kind::Header
    } else {
        Kind::Credential
    };
    let plain_header = header && value_range.start > found.value.start && header_token(value);
    // An encrypted value, as Renovate has it, `"encrypted": {"token": …}`, or as Sealed Secrets do.
    if value.len() >= 200 && [&b"AgA"[..], b"AgB", b"AgC"].iter().any(|start| value.starts_with(start)) {
        return None;
    }
    let near = &bytes[found.name.start.saturating_sub(32)..found.name.start];
    if memchr::memmem::find(near, b"ncrypted\"").is_some() {
        return None;
    }
    let accepted = plain_header || accepts(value, word, found, language, &words, in_string(bytes, found));
    // Asked last, as it reads the most.
    let listed = |word| word == Word::Key && in_test_vector(bytes, found);
    (accepted && !listed(word)).then_some((kind, value_range))
}

/// The words of a name of two words in a text: `Unseal key: …`.
fn with_word_before(bytes: &[u8], found: &Assigned, mut words: Vec<String>) -> Vec<String> {
    if words.len() == 1 && words[0] == "key" {
        let line = &bytes[line_start(bytes, found.name.start)..found.name.start];
        if let Some(text) = line.strip_suffix(b" ") {
            let start = text.iter().rposition(|b| !b.is_ascii_alphabetic()).map_or(0, |at| at + 1);
            words.splice(0..0, vocabulary::words(&text[start..]));
        }
    }
    words
}

/// A key among the inputs and outputs of a cipher, as files of test vectors list them by the hundred.
fn in_test_vector(bytes: &[u8], found: &Assigned) -> bool {
    const PARTS: &[&[u8]] = &[
        b"\ninput",
        b"\nmsg",
        b"\nplaintext",
        b"\nciphertext",
        b"\npt =",
        b"\nct =",
        b"\nnonce",
        b"\niv =",
        b"\nmac",
        b"\ntag",
    ];
    if found.quoted {
        return in_vector_of_json(bytes, found);
    }
    let ceiling = (found.value.end + 1500).min(bytes.len());
    let after = bytes[found.value.end..ceiling].to_ascii_lowercase();
    // What belongs to one vector ends with an empty line.
    let end = memchr::memmem::find(&after, b"\n\n").unwrap_or(after.len());
    PARTS.iter().filter(|part| memchr::memmem::find(&after[..end], part).is_some()).count() >= 2
}

/// The same in JSON: `{"tcId": 1, "key": …, "iv": …, "msg": …}`.
fn in_vector_of_json(bytes: &[u8], found: &Assigned) -> bool {
    const PARTS: &[&[u8]] = &[
        b"\"iv\"",
        b"\"msg\"",
        b"\"ct\"",
        b"\"tag\"",
        b"\"aad\"",
        b"\"nonce\"",
        b"\"tcId\"",
        b"\"plaintext\"",
        b"\"ciphertext\"",
    ];
    if bytes.get(found.name.end) != Some(&b'"') {
        return false;
    }
    let floor = found.name.start.saturating_sub(300);
    let ceiling = (found.value.end + 300).min(bytes.len());
    let start = memchr::memrchr(b'{', &bytes[floor..found.name.start]).map_or(floor, |brace| floor + brace);
    let end = memchr::memchr(b'}', &bytes[found.value.end..ceiling])
        .map_or(ceiling, |brace| found.value.end + brace);
    PARTS.iter().filter(|part| memchr::memmem::find(&bytes[start..end], part).is_some()).count() >= 2
}

/// A digest that joins tables: `order_key` with an MD5, as dbt packages make surrogate keys. A key of a service or a
/// cipher says so in its name.
fn surrogate_key(words: &[String], value: &[u8]) -> bool {
    const OF_SECRETS: &[&str] = &[
        "api",
        "apikey",
        "secret",
        "private",
        "access",
        "auth",
        "app",
        "application",
        "client",
        "cipher",
        "crypt",
        "crypto",
        "encryption",
        "encrypt",
        "decryption",
        "signing",
        "sign",
        "signature",
        "hmac",
        "aes",
        "des",
        "master",
        "service",
        "server",
        "license",
        "shared",
        "cookie",
        "subscription",
        "admin",
        "deploy",
        "integration",
        "ingest",
        "write",
        "read",
        "webhook",
        "jwt",
        "db",
    ];
    let [before @ .., last] = words else { return false };
    let digest =
        assess::uuid(value) || matches!(value.len(), 32 | 40 | 64) && value.iter().all(u8::is_ascii_hexdigit);
    digest
        && last == "key"
        && !before.is_empty()
        && !before.iter().any(|word| OF_SECRETS.contains(&word.as_str()))
        && before.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase()))
}

fn accepts(
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
    if value.iter().any(|b| b.is_ascii_whitespace() || *b < b' ') {
        return false;
    }
    if word == Word::Credential
        && found.tie != Tie::Loose
        && is_firm(found, language, in_string)
        && chosen_secret(value, words_of_name)
    {
        return true;
    }
    if value.starts_with(b"eyJ") && memchr::memchr(b'.', value).is_some() && !verify::web_token(value) {
        return false;
    }
    if super::names::of_record(value, |mark| {
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
pub(super) fn usual_length(value: &[u8], shape: &Shape) -> bool {
    let rest = memchr::memchr(b'_', value).filter(|bar| (2..=6).contains(bar)).map(|bar| &value[bar + 1..]);
    super::names::usual_length(value, shape)
        || rest.is_some_and(|rest| super::names::usual_length(rest, &Shape::of(rest)))
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
fn is_firm(found: &Assigned, language: Language, in_string: bool) -> bool {
    found.quoted
        || found.tie == Tie::Operator && (language == Language::Other || in_string)
        || found.tie == Tie::Beside
}

/// A secret for sessions or signatures that a person chose or that was drawn with signs, as Django and `WordPress` do:
/// `JWT_SECRET`, `SECRET_KEY`.
fn chosen_secret(value: &[u8], words_of_name: &[String]) -> bool {
    const OF_OBJECTS: &[&str] = &["existing", "pull", "image", "tls", "kubernetes", "k8s", "external"];
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
    let joined = value.iter().any(|b| matches!(b, b'-' | b'_' | b'.' | b'/' | b':'));
    let shape = Shape::of(value);
    last && !words_of_name.iter().any(|word| OF_OBJECTS.contains(&word.as_str()))
        && !joined
        && shape.digits >= 2
        && assess::chosen_in_code(value)
}

/// A password that a person chose or a password manager drew, besides those that look drawn at random.
fn accepts_password(value: &[u8], found: &Assigned, language: Language) -> bool {
    let configured = language == Language::Other && found.tie != Tie::Loose;
    let literal = found.quoted || configured;
    if !literal || value.len() > VALUE_MOST || assess::masked(value) {
        return false;
    }
    if assess::passphrase(value, language == Language::Code) || assess::of_groups(value) {
        return true;
    }
    if assess::joined_words(value) && (found.quoted || found.tie == Tie::Operator) {
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

/// A header, a parameter of an address or a part of a connection string within a string: `'X-API-KEY: …'`, `?api_key=…`.
fn in_string(bytes: &[u8], found: &Assigned) -> bool {
    let before = found.name.start.checked_sub(1).map_or(b' ', |at| bytes[at]);
    let after = bytes.get(found.value.end).copied().unwrap_or(b' ');
    matches!(before, b'?' | b'&') || matches!(before, b'"' | b'\'') && after == before
}

/// Whether the cell of a column whose name says so is a secret.
pub(super) fn is_cell(name: &[u8], word: Word, value: &[u8]) -> bool {
    let found = Assigned { name: 0..0, value: 0..value.len(), quoted: true, tie: Tie::Operator };
    let words = words(name);
    !surrogate_key(&words, value) && accepts(value, word, &found, Language::Other, &words, false)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::assignment;

    #[test]
    fn a_key_of_a_test_vector_is_none() {
        let vector = |text: &str| {
            let name = text.find("Key").expect("a key");
            let found = assignment::assigned(text.as_bytes(), name..name + 3).expect("assigned");
            in_test_vector(text.as_bytes(), &found)
        };
        assert!(vector("Key = 00ff\nInput = 89da\nMAC = c85d\n"));
        assert!(vector("Key: 00ff\nNonce: 07\nCiphertext: c85d"));
        assert!(!vector("Key = 00ff\n\nInput = 89da\nMAC = c85d\n"));
        assert!(!vector("Key = 00ff\nTag = release\nregion = x\n"));
    }
}
