//! Values that follow their names without an operator: the next argument, the next word, what a call sets.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::super::generic::{strongest, words};
use super::{ARGUMENT_MOST, GAP_MOST, Tie, apart, blanks, count, line_end, line_start, operator};

/// How far behind a name its fallback may start, in bytes.
const FALLBACK_MOST: usize = 48;

/// What comes before a password on its line; made once, as every name in a text is asked for them.
static USERS: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| ["login ", "user ", "username "].map(Finder::new));

/// What ties a name to a value without an operator.
pub(super) fn no_operator(
    bytes: &[u8],
    name: &Range<usize>,
    at: usize,
    gap: usize,
    quoted_name: bool,
) -> Option<(usize, usize, Tie)> {
    let rest = &bytes[at..];
    if matches!(rest.first()?, b',' | b')' | b'.')
        && let Some(start) = apart::typed(bytes, name, at)
    {
        return Some((start, 0, Tie::Beside));
    }
    if let Some(start) = fallback(bytes, at, quoted_name) {
        return Some((start, 0, Tie::Operator));
    }
    match rest.first()? {
        // A longer name is text or a separate list, and so is one that only ends a string. A name in brackets looks
        // something up: `connect(os.environ["PASSWORD"], "db1")`.
        b',' if quoted_name
            && name.len() <= ARGUMENT_MOST
            && follows_quote(bytes, name.start)
            && !bytes[name.end..at].contains(&b']') =>
        {
            return Some((at, 1, Tie::Beside));
        }
        b'-' if gap > 0 && rest.get(1) == Some(&b' ') => return Some((at, 1, Tie::Loose)),
        b'"' | b'\'' | b'`' if gap > 0 => return Some((at, 0, Tie::Beside)),
        // `put(Context.SECURITY_CREDENTIALS, "x")`: a constant that names a setting.
        b',' if gap == 0 && is_constant_argument(bytes, name) => return Some((at, 1, Tie::Beside)),
        b'(' if is_setter(&bytes[name.clone()]) || is_builder(bytes, name) => {
            return Some((at, 1, Tie::Beside));
        }
        // `public string Password { get; set; } = "x"`, a property of C#.
        b'{' if rest.starts_with(b"{ get;") => {
            let end = memchr::memmem::find(&rest[..rest.len().min(GAP_MOST + 8)], b"} =")?;
            return Some((at + end + 2, 1, Tie::Operator));
        }
        _ => {}
    }
    if gap == 0 { None } else { behind_words(bytes, name, at, quoted_name) }
}

/// What ties a name to a value that blanks and perhaps a word are between.
fn behind_words(
    bytes: &[u8],
    name: &Range<usize>,
    at: usize,
    quoted_name: bool,
) -> Option<(usize, usize, Tie)> {
    let word = count(bytes, at, 12, |b| b.is_ascii_alphanumeric());
    let after = at + word + blanks(bytes, at + word);
    let text = &bytes[at..at + word];
    if text == b"is" || text == b"value" {
        return Some((after, 0, Tie::Loose));
    }
    // `"password" to "x"`, a pair of Kotlin.
    if text == b"to" && quoted_name && matches!(bytes.get(after), Some(b'"')) {
        return Some((after, 0, Tie::Beside));
    }
    // `os.environ.get("DB_PASSWORD") or "x"`.
    if text == b"or"
        && bytes[..at].trim_ascii_end().ends_with(b")")
        && matches!(bytes.get(after), Some(b'"' | b'\''))
    {
        return Some((after, 0, Tie::Beside));
    }
    // `password As String = "x"`, as Visual Basic declares it.
    if text.eq_ignore_ascii_case(b"as") {
        let kind = after + count(bytes, after, GAP_MOST, |b| b.is_ascii_alphanumeric() || b == b'.');
        let equals = kind + blanks(bytes, kind);
        return (bytes.get(equals) == Some(&b'=')).then_some((equals, 1, Tie::Operator));
    }
    // `d-i passwd/user-password password x`, with the type of the value, as Debian's installer has it.
    if matches!(text, b"password" | b"string")
        && bytes[line_start(bytes, name.start)..name.start].trim_ascii_start().starts_with(b"d-i ")
    {
        return Some((after, 0, Tie::Beside));
    }
    // `val apiSecret by lazy { "…" }`, a property of Kotlin.
    if text == b"by" && bytes[after..].starts_with(b"lazy {") {
        return Some((after, 0, Tie::Operator));
    }
    let (operator, _) = operator(bytes, after);
    let filler = text.iter().all(u8::is_ascii_digit)
        || [
            &b"string"[..],
            b"String",
            b"str",
            b"key",
            b"Key",
            b"token",
            b"id",
            b"ID",
            b"value",
            b"secret",
            b"Secret",
            b"Token",
        ]
        .contains(&text);
    // `IDENTIFIED WITH mysql_native_password BY 'x'`.
    if text.eq_ignore_ascii_case(b"by") && matches!(bytes.get(after), Some(b'\'')) {
        return Some((after, 0, Tie::Beside));
    }
    if operator > 0 && filler {
        return Some((after, operator, Tie::Operator));
    }
    if filler && bytes.get(after) == Some(&b'-') && bytes.get(after + 1) == Some(&b' ') {
        return Some((after, 1, Tie::Loose));
    }
    // `setValue("Bearer …", forHTTPHeaderField: …)`.
    let bearer = bytes[name.clone()].eq_ignore_ascii_case(b"bearer") && follows_quote(bytes, name.start);
    let flag = bearer || bytes[name.clone()].starts_with(b"-");
    let [login, user, username] = &*USERS;
    let netrc = login.find(&bytes[name.start.saturating_sub(120)..name.start]).is_some();
    let line = &bytes[line_start(bytes, name.start)..name.start];
    // `user admin insecure-password x`, `username admin password 0 x`.
    let of_user = user.find(line).is_some() || username.find(line).is_some();
    if of_user && text.len() == 1 && text[0].is_ascii_digit() && after > at + word {
        return Some((after, 0, Tie::Beside));
    }
    let netrc = netrc || of_user;
    let env = sets_variable(&bytes[line_start(bytes, name.start)..name.start]);
    (flag || netrc || env || alone_on_its_line(bytes, name, at) || is_spoken(bytes, at)).then_some((
        at,
        0,
        Tie::Beside,
    ))
}

/// `login ops, password Harbor@1964, valid until Friday`: what follows has both cases, digits and a sign, as words have not.
fn is_spoken(bytes: &[u8], at: usize) -> bool {
    let length = count(bytes, at, GAP_MOST, |b| b.is_ascii_graphic() && !matches!(b, b',' | b';'));
    let value = &bytes[at..at + length];
    let any = |kind: fn(&u8) -> bool| value.iter().any(kind);
    let sign = |b: &u8| matches!(b, b'!' | b'@' | b'#' | b'%' | b'*' | b'?' | b'+');
    value.len() >= 8
        && any(u8::is_ascii_digit)
        && any(u8::is_ascii_uppercase)
        && any(u8::is_ascii_lowercase)
        && any(sign)
        && value[0].is_ascii_alphanumeric()
}

fn follows_quote(bytes: &[u8], at: usize) -> bool {
    // `fill('#password', 'x')`: the selector of a field.
    let at = at - usize::from(bytes[..at].ends_with(b"#"));
    matches!(bytes[..at].last(), Some(b'"' | b'\'' | b'`' | b':'))
}

/// Whether a name is that of a constant in capitals and an argument of a call: `(SslConfigs.SSL_KEY_PASSWORD`, or of one
/// that sets an option: `curl_setopt($ch, CURLOPT_PASSWORD`.
fn is_constant_argument(bytes: &[u8], name: &Range<usize>) -> bool {
    let last = bytes[name.clone()].rsplit(|b| *b == b'.').next().unwrap_or_default();
    let before = &bytes[line_start(bytes, name.start)..name.start];
    let sets = || {
        let call = memchr::memrchr(b'(', before).map_or(&before[..0], |open| &before[..open]);
        let verb = call[call.len().saturating_sub(GAP_MOST)..].to_ascii_lowercase();
        [&b"set"[..], b"put", b"opt", b"with"].iter().any(|word| memchr::memmem::find(&verb, word).is_some())
    };
    (before.ends_with(b"(") || before.ends_with(b", ") && sets())
        && last.contains(&b'_')
        && last.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
}

/// `ENV NAME value` as Dockerfiles were written, `setenv NAME value` of csh, `set -gx NAME value` of fish.
fn sets_variable(before: &[u8]) -> bool {
    let mut words = before.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    match words.next() {
        Some(b"ENV" | b"setenv") => words.next().is_none(),
        Some(b"set") => words.next().is_some_and(|flags| flags.starts_with(b"-") && flags.ends_with(b"x")),
        _ => false,
    }
}

/// `spark.ssl.keyPassword  x`, `bindpw x`: a setting and its value, and nothing else on the line.
fn alone_on_its_line(bytes: &[u8], name: &Range<usize>, at: usize) -> bool {
    let before = &bytes[line_start(bytes, name.start)..name.start];
    let value = bytes[at..line_end(bytes, at)].trim_ascii();
    // `bindpw x`, `defAuthPassphrase x`, and not the first word of a heading.
    let part = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-');
    let setting = bytes[name.start].is_ascii_lowercase()
        && bytes[name.clone()].iter().all(part)
        && (value.iter().any(u8::is_ascii_digit) || value.iter().skip(1).any(u8::is_ascii_uppercase));
    (setting || memchr::memchr(b'.', &bytes[name.clone()]).is_some())
        && before.iter().all(|b| matches!(b, b' ' | b'\t'))
        && !value.is_empty()
        && !value.iter().any(u8::is_ascii_whitespace)
}

/// `setPassword`, `client.set_token`, `withApiKey`: what is in its parentheses is assigned.
fn is_setter(name: &[u8]) -> bool {
    let last = name.rsplit(|b| *b == b'.').next().unwrap_or(name);
    let begins = |word: &[u8]| last.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    begins(b"set") || begins(b"with")
}

/// First words of the names of calls that do something with a password other than to set it.
const ACTS: &[&str] = &[
    "get", "fetch", "read", "load", "find", "lookup", "check", "is", "has", "validate", "verify", "test",
    "assert", "expect", "hash", "encrypt", "decrypt", "generate", "create", "reset", "forgot", "change",
    "parse", "compare", "match", "matches", "require", "ask", "prompt", "input", "show", "hide", "render",
    "contains", "log", "print", "on", "handle", "delete", "remove", "revoke", "refresh", "need", "no",
    "missing", "expand", "quote", "tokenize", "peek", "consume",
];

/// `.username("shop").password("x")`, `ssh.Password("x")`: a call named for the secret, whose one argument is a string.
fn is_builder(bytes: &[u8], name: &Range<usize>) -> bool {
    // The argument first: most calls have another one, and words take longer.
    let Some(quote) = bytes.get(name.end + 1).filter(|b| matches!(b, b'"' | b'\'')) else { return false };
    let text = &bytes[name.end + 2..line_end(bytes, name.end + 1).max(name.end + 2)];
    let end = memchr::memchr(*quote, text);
    // What defines a function or its parameters has no string there.
    if !end.is_some_and(|end| matches!(text.get(end + 1), Some(b')' | b'.'))) {
        return false;
    }
    let last = bytes[name.clone()].rsplit(|b| *b == b'.').next().unwrap_or_default();
    let words = words(last);
    // `getpassword` is one word, and acts too.
    let act = |word: &String| {
        ACTS.iter().any(|act| word == act || words.len() == 1 && act.len() >= 3 && word.starts_with(act))
    };
    // `key_of(…)` is not named for what it is given.
    let named = words.last().is_some_and(|word| strongest(word.as_bytes()).is_some());
    let acts = words.first().is_none_or(act);
    !acts && named && words.len() <= 4
}

/// Where the value starts that is taken if a name has none: `ENV.fetch("TOKEN") { "…" }`,
/// `env::var("TOKEN").unwrap_or("…")`, `$ENV{TOKEN} // "…"`.
fn fallback(bytes: &[u8], at: usize, quoted_name: bool) -> Option<usize> {
    let rest = &bytes[at..line_end(bytes, at).min(at + FALLBACK_MOST)];
    if !matches!(rest.first()?, b'{' | b'.' | b'/') {
        return None;
    }
    let quote = rest.iter().position(|b| matches!(b, b'"' | b'\''))?;
    let way = &rest[..quote];
    let call = || {
        let name = &way[1..way.iter().position(|b| matches!(b, b'(' | b'{')).unwrap_or(1)];
        words(name).iter().any(|word| matches!(word.as_str(), "or" | "else" | "default" | "fallback"))
    };
    let called = bytes[..at].trim_ascii_end().ends_with(b")");
    let taken = match way[0] {
        b'{' => called && quoted_name && way.trim_ascii_end() == b"{",
        b'.' => called && call(),
        _ => way.trim_ascii_end() == b"//" && bytes[..at].trim_ascii_end().ends_with(b"}"),
    };
    taken.then_some(at + quote)
}
