//! Credentials of no known provider: what is assigned to a name that says "secret", and what stands
//! in a URL or an authorisation header.
//!
//! The value decides, the name only says how much proof the value must bring. A password may be
//! chosen by a person; a token or key must look drawn at random.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use super::assignment::{self, Assigned, Tie};
use super::judge::{self, Shape};

/// What a name says about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Word {
    /// `key`, `auth`: may be anything.
    Key,
    /// `token`, `secret`, `credential`: random.
    Credential,
    /// `password`: chosen or random.
    Password,
}

/// The longest value that is judged: credentials of unknown kinds are short, and judging is not free.
const VALUE_MOST: usize = 512;

/// Words looked for in every text, in lower case; the automaton ignores case.
pub(super) const WORDS: &[(&str, Word)] = &[
    ("passw", Word::Password),
    ("passphrase", Word::Password),
    ("passcode", Word::Password),
    ("_pass", Word::Password),
    ("pwd", Word::Password),
    ("identified by", Word::Password),
    ("secret", Word::Credential),
    ("token", Word::Credential),
    ("credential", Word::Credential),
    ("bearer", Word::Credential),
    ("apikey", Word::Credential),
    ("api-key", Word::Credential),
    ("api_key", Word::Credential),
    ("webhook", Word::Key),
    ("_pat", Word::Credential),
    ("auth", Word::Key),
    ("key", Word::Key),
];

/// What kind of generic finding something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Password,
    Credential,
    Url,
    Header,
    Named,
    Marked,
}

impl Kind {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Password => "generic-password",
            Self::Credential => "generic-credential",
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
            Self::Url => "password in a URL",
            Self::Header => "credential in an authorisation header",
            Self::Named => "random value beside a provider's name",
            Self::Marked => "random value with a token's mark",
        }
    }
}

/// What kind of file a text is from: source code quotes its strings, and its samples are no secrets.
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
            | "exs" | "m" | "mm" | "md" | "html" | "css" | "S" | "asm" | "rst" => Self::Code,
            _ => Self::Other,
        }
    }
}

/// Last words of names whose values are about a secret, not the secret.
const ABOUT: &[&str] = &[
    "id",
    "ids",
    "name",
    "names",
    "path",
    "file",
    "filename",
    "dir",
    "url",
    "uri",
    "endpoint",
    "host",
    "type",
    "kind",
    "length",
    "len",
    "size",
    "count",
    "limit",
    "expiry",
    "expires",
    "expiration",
    "ttl",
    "label",
    "field",
    "column",
    "pattern",
    "regex",
    "prefix",
    "suffix",
    "policy",
    "arn",
    "version",
    "class",
    "method",
    "mode",
    "format",
    "hash",
    "hashed",
    "digest",
    "checksum",
    "fingerprint",
    "thumbprint",
    "hint",
    "placeholder",
    "error",
    "message",
    "description",
    "prompt",
    "text",
    "title",
    "table",
    "provider",
    "algorithm",
    "alg",
    "ref",
    "selector",
    "location",
    "store",
    "index",
    "range",
    "date",
    "time",
    "created",
    "updated",
    "input",
    "header",
    "var",
    "env",
    "variable",
    "code",
    "codes",
    "usage",
    "scope",
    "role",
    "status",
    "enabled",
    "required",
    "uid",
    "username",
    "user",
    "email",
    "domain",
    "server",
    "vault",
    "manager",
    "rotation",
    "icon",
    "image",
    "button",
    "component",
    "reference",
    "resource",
    "space",
    "frame",
    "press",
    "up",
    "down",
    "board",
    "word",
    "words",
    "chain",
    "stroke",
    "bindings",
    "oid",
    "size_t",
    "alias",
    "blob",
    "md5",
    "sha1",
    "sha256",
    "sha512",
    "sha",
];

/// Words of names whose UUIDs are credentials: a mere `token` is often an idempotency or request token.
const UUID_NAMES: &[&str] = &[
    "api", "auth", "access", "secret", "key", "pass", "pwd", "client", "private", "bearer", "service", "app",
    "deploy", "personal",
];

/// Words anywhere in a name that make its value public or a digest.
const PUBLIC: &[&str] = &[
    "public",
    "pub",
    "publishable",
    "hash",
    "sha",
    "sha1",
    "sha256",
    "sha512",
    "md5",
    "checksum",
    "digest",
    "integrity",
    "etag",
    "commit",
    "revision",
    "rev",
    "csrf",
    "xsrf",
    "cache",
    "idempotency",
    "primary",
    "foreign",
    "partition",
    "sort",
    "dummy",
    "fake",
    "example",
    "sample",
    "mock",
    "placeholder",
    "expected",
    "nonce",
    "salt",
    "fingerprint",
    "thumbprint",
    "cursor",
    "next",
    "page",
    "continuation",
    "pagination",
    "keyword",
    "keyboard",
    "monkey",
    "turkey",
    "hotkey",
    "author",
    "authors",
    "authority",
    "recv",
    "lookup",
    "sitekey",
    "site",
    "host",
    "known",
    "ssh",
];

/// Names as words, in lower case: `dbPassword`, `DB_PASSWORD` and `db.password` are the same two.
pub(super) fn words(name: &[u8]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut previous = b' ';
    for (at, &byte) in name.iter().enumerate() {
        if !byte.is_ascii_alphanumeric() {
            previous = b' ';
            continue;
        }
        let next_lower = name.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        let starts = previous == b' '
            || (previous.is_ascii_lowercase() && byte.is_ascii_uppercase())
            || (previous.is_ascii_uppercase() && byte.is_ascii_uppercase() && next_lower);
        if starts {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(char::from(byte.to_ascii_lowercase()));
        }
        previous = byte;
    }
    words
}

/// Whether the words of a name leave room for a secret.
pub(super) fn may_name_secret(words: &[String]) -> bool {
    let Some(last) = words.last() else { return false };
    let stem = last.trim_end_matches(|c: char| c.is_ascii_digit());
    !is_about(stem) && !is_about(last) && !words.iter().any(|word| is_public(word))
}

/// Asked of every assignment of a scan, so the lists are not walked.
fn is_about(word: &str) -> bool {
    static SET: LazyLock<HashSet<&str>> = LazyLock::new(|| ABOUT.iter().copied().collect());
    SET.contains(word)
}

fn is_public(word: &str) -> bool {
    static SET: LazyLock<HashSet<&str>> = LazyLock::new(|| PUBLIC.iter().copied().collect());
    SET.contains(word)
}

/// How strongly `key` in a name means a credential: alone it does not.
fn strengthen(word: Word, words: &[String]) -> Word {
    let strong = |w: &String| {
        matches!(
            w.as_str(),
            "api"
                | "access"
                | "private"
                | "client"
                | "signing"
                | "encryption"
                | "auth"
                | "account"
                | "master"
                | "secret"
                | "service"
                | "shared"
                | "app"
                | "application"
                | "license"
                | "admin"
                | "server"
                | "consumer"
                | "deploy"
                | "storage"
                | "subscription"
                | "authorization"
                | "function"
                | "write"
                | "ingest"
                | "personal"
        )
    };
    if word == Word::Key && words.len() > 1 && words.iter().any(strong) { Word::Credential } else { word }
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
    let name = &bytes[found.name.clone()];
    let words = words(name);
    if !may_name_secret(&words) {
        return None;
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
        && !judge::uuid(value)
        && value.len() < 32
    {
        return None;
    }
    if header && value_range.start > found.value.start && basic(bytes, &found.value, &value_range) {
        return Some((Kind::Header, value_range));
    }
    let kind = if word == Word::Password {
        Kind::Password
    } else if header {
        Kind::Header
    } else {
        Kind::Credential
    };
    let plain_header = header && value_range.start > found.value.start && header_token(value);
    (plain_header || accepts(value, word, found, language, &words)).then_some((kind, value_range))
}

/// What an authorisation header may carry although it is too short to be proven random.
fn header_token(value: &[u8]) -> bool {
    let shape = Shape::of(value);
    shape.len >= 12
        && shape.digits >= 2
        && shape.letters() >= 4
        && token_like(value)
        && !shape.dull()
        && !judge::placeholder(value)
        && !judge::template(value)
        && !judge::code(value)
}

fn accepts(value: &[u8], word: Word, found: &Assigned, language: Language, words_of_name: &[String]) -> bool {
    if value.len() < 4
        || value.len() > VALUE_MOST
        || judge::template(value)
        || judge::placeholder(value)
        || judge::other_kind(value)
    {
        return false;
    }
    if value.iter().any(|b| b.is_ascii_whitespace() || *b < b' ') {
        return false;
    }
    let shape = Shape::of(value);
    let firm =
        found.quoted || found.tie == Tie::Operator && language == Language::Other || found.tie == Tie::Beside;
    let lenient = language == Language::Other && found.tie != Tie::Loose;
    if judge::uuid(value) && !words_of_name.iter().any(|w| UUID_NAMES.iter().any(|name| w.contains(name))) {
        return false;
    }
    let random = if lenient { judge::as_if_random(value, &shape) } else { judge::random(value, &shape) };
    let tokens = token_like(value) || found.quoted && long_token(value);
    match word {
        Word::Password => {
            firm && !shape.dull()
                && (random
                    || !call(value)
                        && !judge::code(
                            value.split(|b| matches!(b, b'(' | b')' | b'[' | b']')).next().unwrap_or(value),
                        )
                        && judge::chosen(value, &shape)
                        && language == Language::Other)
        }
        Word::Credential | Word::Key if !tokens => false,
        Word::Credential if found.tie == Tie::Loose && !found.quoted => random && shape.len >= 16,
        Word::Credential => {
            firm && (random || short_credential(value, &shape) && language == Language::Other)
        }
        Word::Key => {
            firm && random
                && shape.len >= 16
                && super::names::usual_length(value, &shape)
                && (shape.hex || shape.surprise > 4.0)
        }
    }
}

/// Starts like a call or an index: `get_password("x")`, `args[0]`.
fn call(value: &[u8]) -> bool {
    let name =
        value.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':')).count();
    matches!(value.get(name), Some(b'(' | b'[')) && name >= 3 && judge::code(&value[..name])
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
        && !judge::code(value)
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

/// Skips `Bearer ` and its like; says whether there was one.
fn after_scheme(bytes: &[u8], value: Range<usize>) -> (Range<usize>, bool) {
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

/// `Basic` with something that decodes to `user:password`.
fn basic(bytes: &[u8], whole: &Range<usize>, value: &Range<usize>) -> bool {
    let scheme = &bytes[whole.start..value.start];
    scheme.len() >= 5
        && scheme[..5].eq_ignore_ascii_case(b"basic")
        && super::decode::base64(&bytes[value.clone()]).is_some_and(|decoded| {
            let colon = memchr::memchr(b':', &decoded);
            colon.is_some_and(|at| at + 1 < decoded.len())
                && decoded.iter().all(|b| (b' '..0x7F).contains(b))
                && !judge::placeholder(&decoded)
                && !judge::template(&decoded)
        })
}

/// The password of `scheme://user:password@host`, from the `://` at `at`.
pub(super) fn in_url(bytes: &[u8], at: usize, language: Language) -> Option<Range<usize>> {
    let start = at + 3;
    let ceiling = (start + 400).min(bytes.len());
    let length = bytes[start..ceiling]
        .iter()
        .take_while(|b| {
            **b > b' '
                && **b < 0x7F
                && !matches!(**b, b'/' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\' | b'|' | b'^')
        })
        .count();
    let authority = &bytes[start..start + length];
    let host = memchr::memrchr(b'@', authority)?;
    let colon = memchr::memchr(b':', &authority[..host])?;
    let password = start + colon + 1..start + host;
    let scheme_length = bytes[..at]
        .iter()
        .rev()
        .take(24)
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b':'))
        .count();
    let scheme = &bytes[at - scheme_length..at];
    if !authority.get(host + 1).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'[' | b'*' | b'/'))
    {
        return None;
    }
    if at > scheme_length && matches!(bytes[at - scheme_length - 1], b'?' | b'*') {
        return None;
    }
    let value = &bytes[password.clone()];
    let user = &authority[..colon];
    let host = authority.get(host + 1..)?;
    if scheme.is_empty()
        || value.len() < 2
        || host.is_empty()
        || judge::template(value)
        || judge::template(user)
        || judge::template(host)
    {
        return None;
    }
    if memchr::memchr2(b'{', b'*', value).is_some() || memchr::memchr(b'(', value).is_some() {
        return None;
    }
    let shape = Shape::of(value);
    if shape.distinct < 2 || value.starts_with(b"xx") || value.starts_with(b"..") {
        return None;
    }
    let proven = !judge::placeholder(value) && (judge::random(value, &shape) || judge::chosen(value, &shape));
    let web =
        scheme.to_ascii_lowercase().ends_with(b"http") || scheme.to_ascii_lowercase().ends_with(b"https");
    let plausible = if language == Language::Code {
        proven && shape.len >= 8 && !value.starts_with(b"pass")
    } else if web {
        proven || shape.len >= 6 && !judge::placeholder(value)
    } else {
        !value.starts_with(b"your")
    };
    plausible.then_some(password)
}

/// A shell variable somewhere in it: `$TOKEN`, but not the `$1` at the end of a password.
fn variable(value: &[u8]) -> bool {
    value.windows(2).any(|pair| {
        pair[0] == b'$' && (pair[1].is_ascii_alphabetic() || matches!(pair[1], b'{' | b'(' | b'_'))
    }) || value.first() == Some(&b'$')
}

/// The secret in `curl -u user:password`, from the flag's end at `at`.
pub(super) fn in_user_flag(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    memchr::memmem::find(&bytes[at.saturating_sub(400)..at], b"curl")?;
    let (value, _) =
        assignment::value_at(bytes, at + usize::from(bytes.get(at) == Some(&b'=')), Tie::Beside)?;
    let text = &bytes[value.clone()];
    let colon = memchr::memchr(b':', text)?;
    let password = value.start + colon + 1..value.end;
    let secret = &bytes[password.clone()];
    if colon == 0 && secret.is_empty() {
        return None;
    }
    // `token:` with nothing behind it: the user is the secret, as many providers ask for it.
    if colon == 0 && secret.is_empty() {
        return None;
    }
    if secret.is_empty() && matches!(bytes.get(value.end), Some(b'"' | b'\'')) {
        let (range, _) = assignment::value_at(bytes, value.end, Tie::Beside)?;
        let shape = Shape::of(&bytes[range.clone()]);
        return (judge::chosen(&bytes[range.clone()], &shape) && !judge::template(&bytes[range.clone()]))
            .then_some(range);
    }
    if secret.is_empty() {
        let user = value.start..value.start + colon;
        let shape = Shape::of(&bytes[user.clone()]);
        return (judge::random(&bytes[user.clone()], &shape) && !judge::template(&bytes[user.clone()]))
            .then_some(user);
    }
    let shape = Shape::of(secret);
    let lower = secret.to_ascii_lowercase();
    let sample = [&b"password"[..], b"pass", b"passwd", b"secret", b"token"].contains(&lower.as_slice())
        || text[..colon] == *secret;
    let good = secret.len() >= 3
        && !judge::template(secret)
        && !judge::template(&text[..colon])
        && memchr::memchr2(b'*', b'<', secret).is_none()
        && !variable(secret)
        && !sample
        && shape.distinct > 1
        && !lower.starts_with(b"xxx")
        && !lower.starts_with(b"your");
    good.then_some(password)
}
