//! Passwords that are arguments of calls without a name: `new NetworkCredential("svc", "…")`.

use std::ops::Range;

use super::super::assess::{self, Shape};
use super::super::assignment::{line_end, passes_on};
use super::strongest;

/// Which argument of a call is the password.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Argument {
    /// The last of at least two.
    Last,
    /// The one of this number, from zero on.
    At(usize),
    /// The first from this number on that looks like one; the ones before are a host, a port, a user.
    From(usize),
}
use Argument::{At, From, Last};

/// Calls with a password among their arguments; one that ends with a blank has them up to the end of the line.
const CALLS: &[(&str, Argument)] = &[
    ("networkcredential(", Last),
    ("basicauth(", Last),
    ("basic_auth(", Last),
    ("basic_auth '", Last),
    ("basic_auth \"", Last),
    ("passwordauthentication(", Last),
    ("usernamepasswordcredentials(", Last),
    ("passwordcredential(", Last),
    ("plaincredentials(", Last),
    ("plainauth(", At(2)),
    ("getconnection(", Last),
    ("mysqli(", At(2)),
    ("mysqli_connect(", At(2)),
    ("mysql_connect(", At(2)),
    ("pymysql.connect(", Last),
    ("new pdo(", At(2)),
    ("dbi->connect(", At(2)),
    ("ftp(", At(2)),
    ("oracledb.connect(", At(1)),
    ("cx_oracle.connect(", At(1)),
    (".connect(", From(2)),
    (":connect(", From(2)),
    ("mysqldb.connect(", From(2)),
    ("simple_bind_s(", Last),
    ("bind_s(", Last),
    ("wifi.begin(", Last),
    ("bearer_auth(", At(0)),
    ("bearerauth(", At(0)),
    ("symmetricsecuritykey(", At(0)),
    ("signwith(", Last),
    ("wallet(", At(0)),
    ("privatekeytoaccount(", At(0)),
    ("auth=(", Last),
    ("auth = (", Last),
    (".login(", Last),
    (".authenticate(", Last),
    ("jwt.sign(", At(1)),
    ("jwt.encode(", At(1)),
    ("jwt.verify(", At(1)),
    ("jwt.decode(", At(1)),
    ("createhmac(", At(1)),
    ("createcipheriv(", At(1)),
    ("secretkeyspec(", At(0)),
    ("hmac.new(", At(0)),
    ("fernet(", At(0)),
    ("secretstr(", At(0)),
    ("secretstring(", At(0)),
    ("securestring(", At(0)),
    ("guardedstring(", At(0)),
    ("protectedstring(", At(0)),
    ("unsafeplaintext(", At(0)),
    ("sequelize(", At(2)),
    ("postgresql(", From(3)),
    ("pgp_sym_encrypt(", At(1)),
    ("pgp_sym_decrypt(", At(1)),
    ("aes_encrypt(", At(1)),
    ("aes_decrypt(", At(1)),
    ("encryptbypassphrase(", At(0)),
    ("decryptbypassphrase(", At(0)),
    ("setvapiddetails(", Last),
];

/// Words in the names of calls that take a password or a key, whatever the library, and the first argument that may be it.
const STEMS: &[(&str, usize)] = &[
    ("login", 1),
    ("logon", 1),
    ("signin", 1),
    ("sign_in", 1),
    ("auth", 1),
    ("credential", 1),
    ("basic", 1),
    ("connect", 2),
    ("database", 2),
    ("hmac", 0),
    ("from_key", 0),
    ("fromkey", 0),
    ("privatekey", 0),
];

/// The longest rest of the name of a call behind its stem, in bytes.
const REST_MOST: usize = 24;

/// A string that becomes an array of characters, as interfaces of Java take passwords.
const CHARACTERS: &str = ".tochararray()";

/// How far a call is read, in bytes.
const CALL_MOST: usize = 400;

/// The literals at which an argument may be a password.
pub(super) fn literals() -> impl Iterator<Item = &'static str> {
    CALLS
        .iter()
        .map(|(call, _)| *call)
        .chain(STEMS.iter().map(|(stem, _)| *stem))
        .chain(std::iter::once(CHARACTERS))
}

/// The first argument that may be a password, if a literal is part of the names of calls.
pub(super) fn stem(literal: &[u8]) -> Option<usize> {
    STEMS.iter().find(|(stem, _)| stem.as_bytes().eq_ignore_ascii_case(literal)).map(|(_, first)| *first)
}

/// The password among the arguments of a call with the stem at `at` in its name.
pub(super) fn of_stem(bytes: &[u8], at: &Range<usize>, first: usize) -> Option<Range<usize>> {
    // `redis.auth("…")`, a method that takes nothing else.
    let method = bytes[at.end..].starts_with(b"(")
        && bytes[..at.start].last().is_some_and(|b| matches!(b, b'.' | b':'));
    let alone = method && bytes[at.clone()].eq_ignore_ascii_case(b"auth");
    named_call(bytes, at.end, if alone { 0 } else { first })
}

/// The password among the arguments of the call at `at`.
pub(super) fn argument(bytes: &[u8], at: &Range<usize>) -> Option<Range<usize>> {
    let literal = &bytes[at.clone()];
    let value = if literal.eq_ignore_ascii_case(CHARACTERS.as_bytes()) {
        before_quote(bytes, at.start)?
    } else {
        let (call, which) = CALLS.iter().find(|(call, _)| call.as_bytes().eq_ignore_ascii_case(literal))?;
        // The quote of the first argument is part of the literal.
        let bare = call.ends_with(['\'', '"']);
        in_call(bytes, at.end - usize::from(bare), *which, bare)?
    };
    password(&bytes[value.clone()]).then_some(value)
}

/// The password among the arguments of a call in whose name a stem ends at `at`: `BasicAuthCredentials("svc", "…")`,
/// `exec sp_addlogin 'svc', '…'`.
fn named_call(bytes: &[u8], at: usize, first: usize) -> Option<Range<usize>> {
    let part = |b: &&u8| b.is_ascii_alphanumeric() || **b == b'_';
    let rest = bytes[at..].iter().take(REST_MOST).take_while(part).count();
    // The author of something.
    if bytes[at..at + rest].starts_with(b"or") && !bytes[at..].starts_with(b"oriz") {
        return None;
    }
    let open = at + rest;
    let bare = match bytes.get(open..open + 2)? {
        [b'(', _] => false,
        [b' ', b'"' | b'\''] => true,
        _ => return None,
    };
    in_call(bytes, open + 1, From(first), bare)
}

/// The string that ends right before `at`.
fn before_quote(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let end = at.checked_sub(1).filter(|end| bytes[*end] == b'"')?;
    let floor = end.saturating_sub(CALL_MOST);
    let start =
        memchr::memrchr2(b'"', b'\n', &bytes[floor..end]).filter(|start| bytes[floor + start] == b'"')?;
    Some(floor + start + 1..end)
}

/// The string that is the argument looked for.
fn in_call(bytes: &[u8], from: usize, which: Argument, bare: bool) -> Option<Range<usize>> {
    let ceiling = if bare { line_end(bytes, from) } else { (from + CALL_MOST).min(bytes.len()) };
    let mut at = from;
    let mut last = None;
    let mut arguments = 0;
    let mut wrapped = 0;
    let begins = |at: usize| {
        let length = bytes[at..ceiling].iter().position(|b| matches!(b, b'"' | b'\'' | b',' | b')'));
        // `GetBytes("…")`: what wraps the argument.
        length.filter(|length| bytes[at..at + length].ends_with(b"("))
    };
    if which == At(0)
        && let Some(length) = begins(at)
    {
        at += length;
    }
    while at < ceiling {
        match bytes[at] {
            b'"' | b'\'' | b'`' => {
                let quote = bytes[at];
                let length = memchr::memchr2(quote, b'\n', &bytes[at + 1..ceiling])?;
                last = Some(at + 1..at + 1 + length).filter(|_| !is_named(&bytes[from..at]));
                at += length + 2;
                continue;
            }
            b',' if which == At(arguments) => return last,
            b',' if matches!(which, From(number) if arguments >= number)
                && last.as_ref().is_some_and(|text: &Range<usize>| argued(&bytes[text.clone()])) =>
            {
                return last;
            }
            b',' => {
                arguments += 1;
                last = None;
            }
            b'(' if last.is_none() && passes_on(&bytes[from..at]) => wrapped += 1,
            b')' if wrapped > 0 => wrapped -= 1,
            b')' => break,
            // `"…".getBytes()`: the argument was the string.
            b'(' if last.is_some() => return last.filter(|_| which == At(arguments)),
            b'(' | b'{' | b'[' | b';' => return None,
            _ => {}
        }
        at += 1;
    }
    let ends = bytes.get(at) == Some(&b')') || bare;
    let wanted = match which {
        Last => arguments >= 1,
        At(number) => arguments == number,
        From(number) => arguments >= number && last.as_ref().is_some_and(|text| argued(&bytes[text.clone()])),
    };
    last.filter(|_| wanted && ends)
}

/// Whether the text before an argument ends with a name for something else than a secret: `account="…"`.
fn is_named(before: &[u8]) -> bool {
    // In a string within a string the quote has a backslash.
    let before = before.strip_suffix(b"\\").unwrap_or(before);
    let Some(before) = before.trim_ascii_end().strip_suffix(b"=") else { return false };
    let before = before.trim_ascii_end();
    let part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let name = &before[before.iter().rposition(|b| !part(b)).map_or(0, |at| at + 1)..];
    !name.is_empty() && strongest(name).is_none()
}

/// Whether a string among arguments of a connection is a password, and not the name of a database or a signal.
fn argued(text: &[u8]) -> bool {
    let lone_name = text.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_');
    let mail = memchr::memchr(b'@', text).is_some_and(|at| text[at..].contains(&b'.'));
    password(text)
        && !mail
        && !address(text)
        && (!lone_name || text.iter().filter(|b| b.is_ascii_digit()).count() >= 3)
}

/// Whether a string is the address of a service: `db1:1521/shop`, `db1.acme.io`.
fn address(text: &[u8]) -> bool {
    let of_host = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let host = &text[..text.iter().take_while(|b| of_host(b)).count()];
    let letters = |part: &[u8]| part.len() >= 2 && part.iter().all(u8::is_ascii_lowercase);
    match text[host.len()..].split_first() {
        Some((b':', rest)) => {
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            digits >= 2 && matches!(rest.get(digits), None | Some(b'/' | b','))
        }
        Some((b'/', _)) | None => host.split(|b| *b == b'.').skip(1).last().is_some_and(letters),
        Some(_) => false,
    }
}

/// Whether a string among arguments is a password, and not a name or a message.
pub(super) fn password(text: &[u8]) -> bool {
    let shape = Shape::of(text);
    // The private key of a wallet.
    if let Some(key) = text.strip_prefix(b"0x") {
        return key.len() == 64 && assess::random(key, &Shape::of(key));
    }
    let password = assess::chosen_in_code(text)
        || assess::joined_words(text)
        || assess::of_groups(text)
        || assess::passphrase(text, true)
        || assess::drawn_with_symbols(text)
        // Documents in hexadecimal are longer than keys.
        || assess::random(text, &shape) && !(shape.hex && shape.len > 128) && !assess::other_kind(text);
    password && !assess::template(text)
}
