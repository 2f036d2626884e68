//! Credentials of no known provider: what is assigned to a name that says "secret", and what appears
//! in a URL or an authorisation header.
//!
//! The value decides, the name only says how much proof the value must bring. A password may be
//! chosen by a person; a token or key must look drawn at random.

mod accept;
mod addresses;
mod calls;
mod commands;
mod headers;
mod keys;
mod vocabulary;

use std::ops::Range;

use super::assess;
use super::assignment::{Assigned, Tie, line_start};
use super::connection;

pub(super) use accept::is_whole;
use accept::{accepts, is_firm, token_like};
pub(super) use addresses::{beside_address, in_url, in_user_flag};
pub(super) use commands::{in_arguments, literals as argument_literals};
use headers::{after_scheme, basic, begins_scheme, header_token};
use keys::{in_condition, in_test_vector, of_log_record, surrogate_key};
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
    let connected = word == Word::Password
        && !found.quoted
        && found.tie == Tie::Operator
        && connection::holds_password(bytes, &found.value);
    // Most values of code are names and calls, which are no literals: they are not looked at closer.
    let literal = found.tie != Tie::Operator || is_firm(found, language, in_string(bytes, found));
    if !connected && !literal && !begins_scheme(&bytes[found.value.clone()]) {
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
    let joins_tables =
        || surrogate_key(&words, &bytes[found.value.clone()]) || in_condition(bytes, found, &words);
    if !may_name_secret(&words) || !setting && joins_tables() {
        return None;
    }
    let words = with_word_before(bytes, found, words);
    if connected {
        return Some((Kind::Connection, found.value.clone()));
    }
    let word = strengthen(word, &words);
    if word == Word::Key
        && !words.iter().any(|w| {
            ["key", "keys", "auth", "webhook", "clave", "chave", "chiave", "schluessel"]
                .iter()
                .any(|end| w.ends_with(end))
                || w == "authorization"
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
    if !header
        && is_firm(found, language, in_string(bytes, found))
        && let Some(password) = of_pair(&words, value)
    {
        return Some((Kind::Password, value_range.start + password..value_range.end));
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
    let listed =
        |word| word == Word::Key && (in_test_vector(bytes, found) || of_log_record(bytes, found, &words));
    (accepted && !listed(word)).then_some((kind, value_range))
}

/// Where the password starts in `user:password` under a name for both: `BASIC_AUTH`, `CURLOPT_USERPWD`, `credentials`.
fn of_pair(words: &[String], value: &[u8]) -> Option<usize> {
    const BOTH: &[&str] =
        &["auth", "userpwd", "userpass", "login", "credential", "credentials", "creds", "account"];
    let said = words.last().is_some_and(|word| BOTH.contains(&word.as_str()))
        || words.windows(2).any(|pair| pair[0] == "user" && pair[1].starts_with("pass"));
    let colon = memchr::memchr(b':', value).filter(|_| said)?;
    let (user, password) = (&value[..colon], &value[colon + 1..]);
    let named = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'@' | b'\\');
    // `md:shop?ttl=0s`, `snowflake://…`: an address.
    let address = password.starts_with(b"//")
        || memchr::memchr(b'?', password).is_some_and(|query| password[query..].contains(&b'='));
    ((2..=40).contains(&user.len()) && user.iter().all(named) && !address && calls::password(password))
        .then_some(colon + 1)
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
