//! The words of names: which say that a value is a secret, which that it is only about one.

use std::collections::HashSet;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// What a name says about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Word {
    /// `key`, `auth`: may be anything.
    Key,
    /// `token`, `secret`, `credential`: random.
    Credential,
    /// `password`: chosen or random.
    Password,
}

/// Words looked for in every text, in lower case; the automaton ignores case.
pub(crate) const WORDS: &[(&str, Word)] = &[
    ("passw", Word::Password),
    ("passphrase", Word::Password),
    ("passcode", Word::Password),
    ("pass", Word::Password),
    ("pwd", Word::Password),
    ("pw", Word::Password),
    ("psk", Word::Password),
    ("identified by", Word::Password),
    ("kennwort", Word::Password),
    ("motdepasse", Word::Password),
    ("mot_de_passe", Word::Password),
    ("mot-de-passe", Word::Password),
    ("mot de passe", Word::Password),
    ("mdp", Word::Password),
    ("contrase", Word::Password),
    ("contrasena", Word::Password),
    ("senha", Word::Password),
    ("wachtwoord", Word::Password),
    ("adgangskode", Word::Password),
    ("losenord", Word::Password),
    ("l\u{f6}senord", Word::Password),
    ("haslo", Word::Password),
    ("has\u{142}o", Word::Password),
    ("heslo", Word::Password),
    ("parola", Word::Password),
    ("salasana", Word::Password),
    ("\u{43f}\u{430}\u{440}\u{43e}\u{43b}\u{44c}", Word::Password),
    ("\u{5bc6}\u{7801}", Word::Password),
    ("\u{30d1}\u{30b9}\u{30ef}\u{30fc}\u{30c9}", Word::Password),
    ("passord", Word::Password),
    ("kodeord", Word::Password),
    ("pswd", Word::Password),
    ("jelsz", Word::Password),
    ("sifre", Word::Password),
    ("\u{15f}ifre", Word::Password),
    ("lozinka", Word::Password),
    ("geslo", Word::Password),
    ("\u{5bc6}\u{78bc}", Word::Password),
    ("\u{53e3}\u{4ee4}", Word::Password),
    ("\u{be44}\u{bc00}\u{bc88}\u{d638}", Word::Password),
    ("secret", Word::Credential),
    ("geheim", Word::Credential),
    ("token", Word::Credential),
    ("credential", Word::Credential),
    ("bearer", Word::Credential),
    ("apikey", Word::Credential),
    ("api-key", Word::Credential),
    ("api_key", Word::Credential),
    ("webhook", Word::Key),
    ("pat", Word::Credential),
    ("auth", Word::Key),
    ("key", Word::Key),
    ("clave", Word::Key),
    ("chave", Word::Key),
    ("chiave", Word::Key),
    ("schluessel", Word::Key),
];

/// Words that end with `pass` and are not about passwords.
const OTHER_PASS: &[&str] = &[
    "bypass",
    "compass",
    "encompass",
    "overpass",
    "surpass",
    "trespass",
    "underpass",
    "multipass",
    "minipass",
];

/// What short words may be grown together with.
const BEFORE_SHORT: &[&str] = &[
    "admin", "bind", "bot", "db", "ftp", "left", "ldap", "mail", "right", "root", "smtp", "ssh", "sql",
    "user", "my", "wifi", "wpa",
];

/// Words that mean what they say only if they are words by themselves: in others they are a part of a word.
const WHOLE: &[&str] = &[
    "pw", "psk", "pat", "senha", "haslo", "heslo", "parola", "contrase", "pswd", "sifre", "geslo", "lozinka",
    "mdp", "clave", "chave", "chiave",
];

/// Whether a literal of [`WORDS`] at a place of a text means what it says: `pass` is the end of a word there, as in
/// `db_pass` and `userPass`, and not in `passive` and `bypass`; `pw` is a word, as in `bindpw` and `rootPW`.
pub(crate) fn means(literal: &[u8], text: &[u8], at: usize) -> bool {
    // Asked of every literal of a text, so that the first letter excludes most.
    let may_be_short =
        literal.first().is_some_and(|b| matches!(b | 0x20, b'p' | b's' | b'h' | b'c' | b'g' | b'l' | b'm'));
    let short = may_be_short
        && literal.len() <= 8
        && WHOLE.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(literal));
    if !short && !literal.eq_ignore_ascii_case(b"pass") {
        return true;
    }
    let end = at + literal.len();
    let ends = text.get(end).is_none_or(|next| {
        !next.is_ascii_alphabetic() || next.is_ascii_uppercase() && text[end - 1].is_ascii_lowercase()
    });
    if !ends {
        return false;
    }
    let floor = at.saturating_sub(16);
    let start = text[floor..at]
        .iter()
        .rposition(|b| !b.is_ascii_alphabetic())
        .map_or(floor, |found| floor + found + 1);
    if short {
        let before = &text[start..at];
        let hump = text[at].is_ascii_uppercase() && before.last().is_some_and(u8::is_ascii_lowercase);
        let digit = text[..at].last().is_some_and(u8::is_ascii_digit)
            || text.get(end).is_some_and(u8::is_ascii_digit);
        return !digit
            && (before.is_empty()
                || hump
                || BEFORE_SHORT.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(before)));
    }
    !OTHER_PASS.iter().any(|other| other.as_bytes().eq_ignore_ascii_case(&text[start..end]))
}

/// The strongest word in a name: `password_key` is about a password.
pub(crate) fn strongest(name: &[u8]) -> Option<Word> {
    static SEARCH: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(WORDS.iter().map(|(literal, _)| literal))
            .ok()
    });
    let said = SEARCH.as_ref()?.find_overlapping_iter(name).filter_map(|found| {
        let (literal, word) = WORDS[found.pattern().as_usize()];
        means(literal.as_bytes(), name, found.start()).then_some(word)
    });
    said.max()
}

/// Last words of names whose values are about a secret, not the secret.
const ABOUT: &[&str] = &[
    "guid",
    "clsid",
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
    "encryption",
    "plugin",
    "encoder",
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
    "parent",
    "size_t",
    "alias",
    "blob",
    "md5",
    "sha1",
    "sha256",
    "sha512",
    "sha",
];

/// Words anywhere in a name that make its value public or a digest.
const PUBLIC: &[&str] = &[
    "public",
    "pub",
    "publishable",
    "hash",
    "hashed",
    "sha",
    "sha1",
    "sha256",
    "sha512",
    "md5",
    "checksum",
    "digest",
    "integrity",
    "etag",
    "csrf",
    "xsrf",
    "authenticity",
    "idempotency",
    "foreign",
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
    "continuation",
    "pagination",
    "keyword",
    "non",
    "invalid",
    "wrong",
    "malformed",
    "keyboard",
    "monkey",
    "turkey",
    "hotkey",
    "recv",
    "sitekey",
    "known",
    "ssh",
];

/// Words that make only the word behind them public: `cache_key` and `page_token`, but not `CACHE_PASSWORD` and
/// `page_access_token`.
const PUBLIC_BEFORE: &[&str] = &[
    "author",
    "authors",
    "authority",
    "cache",
    "commit",
    "doc",
    "document",
    "gpg",
    "host",
    "lookup",
    "next",
    "page",
    "partition",
    "pgp",
    "primary",
    "rev",
    "revision",
    "sheet",
    "site",
    "sort",
    "verification",
];

/// Names as words, in lower case: `dbPassword`, `DB_PASSWORD` and `db.password` are the same two.
pub(crate) fn words(name: &[u8]) -> Vec<String> {
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
pub(crate) fn may_name_secret(words: &[String]) -> bool {
    // `x-amz-id-2`, `token_hash_1`: a number is not the last word.
    let number = |word: &&String| word.bytes().all(|b| b.is_ascii_digit());
    // A name in another script has no words in this one.
    let Some(last) = words.iter().rev().find(|word| !number(word)) else { return words.is_empty() };
    let stem = last.trim_end_matches(|c: char| c.is_ascii_digit());
    // The primary key of an account, not of a table.
    let of_account = |word: &String| {
        matches!(
            word.as_str(),
            "cosmos" | "account" | "storage" | "azure" | "access" | "eventhub" | "servicebus" | "master"
        )
    };
    // The password for SSH is not the key that everyone may see, and that for a salt is not the salt.
    let of_login = |word: &String| word.starts_with("pass") || word == "pwd" || word == "pw";
    let of_keys =
        |word: &String| ["ssh", "salt", "nonce", "known", "foreign", "recv"].contains(&word.as_str());
    let login = words.iter().rposition(of_login);
    let public = |word: &String| {
        is_public(word) && !(of_keys(word) && login > words.iter().position(|other| other == word))
    };
    // Its last word says what a name is about, too.
    let alone = || PUBLIC_BEFORE.contains(&last.as_str());
    let before = || {
        matches!(last.as_str(), "key" | "keys" | "token" | "tokens")
            && words.windows(2).any(|pair| {
                let primary = pair[0] == "primary" && words.iter().any(of_account);
                &pair[1] == last
                    && PUBLIC_BEFORE.contains(&pair[0].as_str())
                    && !primary
                    && (pair[0] != "verification" || words.iter().any(|word| word == "request"))
            })
    };
    !is_about(stem) && !is_about(last) && !words.iter().any(public) && !alone() && !before()
}

/// A name that is only the word: what `key` or `token` by itself is for, the name does not say.
pub(crate) fn is_bare(name: &[u8]) -> bool {
    const BARE: &[&str] = &["key", "keys", "token", "tokens", "secret", "secrets", "auth", "credential"];
    BARE.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(name))
}

/// Asked of every assignment of a scan, so the lists are not walked.
fn is_about(word: &str) -> bool {
    static SET: LazyLock<HashSet<&str>> = LazyLock::new(|| ABOUT.iter().copied().collect());
    SET.contains(word)
}

fn is_public(word: &str) -> bool {
    static SET: LazyLock<HashSet<&str>> = LazyLock::new(|| PUBLIC.iter().copied().collect());
    SET.contains(word) || word.starts_with("csrf") || word.starts_with("xsrf")
}

/// How strongly `key` in a name means a credential: alone it does not.
pub(super) fn strengthen(word: Word, words: &[String]) -> Word {
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
                | "functions"
                | "write"
                | "ingest"
                | "personal"
                | "unseal"
                | "recovery"
                | "session"
                | "cookie"
                | "sdk"
                | "symmetric"
                | "hmac"
        )
    };
    if word == Word::Key && words.len() > 1 && words.iter().any(strong) { Word::Credential } else { word }
}
