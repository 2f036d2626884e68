//! Passwords in addresses: `scheme://user:password@host`, and those of `curl -u user:password`.

use std::ops::Range;

use super::super::assess::{self, Shape};
use super::super::assignment::{self, Tie};
use super::{Language, calls, strongest};

/// The password of `scheme://user:password@host`, from the `://` at `at`.
pub(crate) fn in_url(bytes: &[u8], at: usize, language: Language) -> Option<Range<usize>> {
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
    // `snowflake://user:password@/database`: connections of Airflow and others leave the host out.
    let port =
        authority[host + 1..].strip_prefix(b":").is_some_and(|port| port.iter().all(u8::is_ascii_digit));
    let hostless = (host + 1 == length || port) && matches!(bytes.get(start + length), Some(b'/'));
    let starts_host = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'[' | b'*' | b'/');
    if !hostless && !authority.get(host + 1).is_some_and(starts_host) {
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
        || host.is_empty() && !hostless
        || assess::template(value)
        || assess::template(user)
        || assess::template(host)
    {
        return None;
    }
    if memchr::memchr2(b'{', b'(', value).is_some() || masked_with_stars(value) {
        return None;
    }
    let shape = Shape::of(value);
    if shape.distinct < 2 || value.starts_with(b"xx") || value.starts_with(b"..") {
        return None;
    }
    if [&b"foo"[..], b"bar", b"baz"].contains(&value) || assess::escapes_control(value) || made_up(value) {
        return None;
    }
    if (stands_for_password(value) || language == Language::Code) && reserved(host) {
        return None;
    }
    if default_account(user, value, host) {
        return None;
    }
    let proven =
        !assess::placeholder(value) && (assess::random(value, &shape) || assess::chosen(value, &shape));
    let web =
        scheme.to_ascii_lowercase().ends_with(b"http") || scheme.to_ascii_lowercase().ends_with(b"https");
    let plausible = if hostless {
        proven && !web && shape.len >= 8
    } else if language == Language::Code {
        proven && shape.len >= 8 && !value.starts_with(b"pass")
    } else if web {
        proven || shape.len >= 6 && !assess::placeholder(value)
    } else if is_told_more_than_used(scheme) {
        proven
    } else {
        !value.starts_with(b"your")
    };
    plausible.then_some(password)
}

/// The last of three arguments, of which an address is the first and a user the second:
/// `new Client("https://api.acme.io", "svc", "…")`. `at` is in the address.
pub(crate) fn beside_address(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let end = (at + 300).min(bytes.len());
    let close = at + bytes[at..end].iter().position(|b| matches!(b, b'"' | b'\'' | b'\n' | b' ' | b'`'))?;
    let quote = bytes[close];
    if !matches!(quote, b'"' | b'\'') {
        return None;
    }
    let mut at = close + 1;
    let mut last = None;
    for _ in 0..2 {
        let rest = &bytes[at.min(end)..end];
        let gap = rest.iter().take_while(|b| matches!(b, b',' | b' ' | b'\n' | b'\t')).count();
        let text = rest[gap..].strip_prefix(&[quote]).filter(|_| rest.first() == Some(&b','))?;
        let length = memchr::memchr2(quote, b'\n', text)?;
        let start = at + gap + 1;
        last = Some(start..start + length);
        at = start + length + 1;
    }
    let value = last.filter(|_| bytes.get(at) == Some(&b')'))?;
    calls::password(&bytes[value.clone()]).then_some(value)
}

/// Mostly asterisks: `p****d`, and not `88Jardin**`.
fn masked_with_stars(value: &[u8]) -> bool {
    let stars = memchr::memchr_iter(b'*', value).count();
    memchr::memmem::find(value, b"***").is_some() || stars >= 2 && stars * 3 > value.len()
}

/// A scheme whose addresses appear in documents and tests more often than in code that runs: they need more proof
/// than those of databases.
fn is_told_more_than_used(scheme: &[u8]) -> bool {
    [&b"telnet"[..], b"javascript", b"gopher", b"ws", b"wss", b"file", b"foo", b"test"]
        .iter()
        .any(|other| other.eq_ignore_ascii_case(scheme))
}

/// The word itself, as documentation has it in the password's place.
pub(super) fn stands_for_password(value: &[u8]) -> bool {
    [&b"password"[..], b"pass", b"passwd", b"pwd", b"secret"]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(value))
}

/// Words that say that this is not the password: `dummy_value`, `example-password`.
fn made_up(value: &[u8]) -> bool {
    const SAY_SO: &[&[u8]] = &[b"dummy", b"fake", b"example", b"sample", b"placeholder"];
    const BESIDE: &[&[u8]] = &[b"value", b"password", b"pass", b"pwd", b"secret", b"token", b"key"];
    // `DB_USERNAME:DB_PASSWORD@`: what is to be filled in.
    let constant = value.contains(&b'_') && value.iter().all(|b| b.is_ascii_uppercase() || *b == b'_');
    if constant && strongest(value).is_some() {
        return true;
    }
    let lower = value.to_ascii_lowercase();
    let mut words = lower.split(|b| matches!(b, b'_' | b'-' | b'.'));
    words.clone().any(|word| SAY_SO.contains(&word))
        && words.all(|word| SAY_SO.contains(&word) || BESIDE.contains(&word))
}

/// `user:password@host`, and the same word twice at a host of the machine or the network of containers itself:
/// `postgres:postgres@db`.
fn default_account(user: &[u8], password: &[u8], host: &[u8]) -> bool {
    let name = host.split(|b| matches!(b, b':' | b'/' | b'?' | b',')).next().unwrap_or(host);
    let near = memchr::memchr(b'.', name).is_none()
        || [&b"127.0.0.1"[..], b"0.0.0.0"].contains(&name)
        || name.ends_with(b".svc.cluster.local");
    let said = [&b"user"[..], b"username", b"login", b"<user>", b"usr"]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(user));
    near && user.eq_ignore_ascii_case(password)
        || said && stands_for_password(password) && !password.eq_ignore_ascii_case(b"secret")
}

/// A host of the names that are reserved for examples: `db.example.com`, `host.test`.
fn reserved(host: &[u8]) -> bool {
    let name = host.split(|byte| matches!(byte, b':' | b'/' | b'?')).next().unwrap_or(host);
    let mut labels = name.rsplit(|byte| *byte == b'.');
    let (top, second) = (labels.next().unwrap_or_default(), labels.next().unwrap_or_default());
    matches!(top, b"example" | b"test" | b"invalid")
        || second == b"example" && matches!(top, b"com" | b"org" | b"net")
}

/// A shell variable somewhere in it: `$TOKEN`, but not the `$1` at the end of a password.
fn variable(value: &[u8]) -> bool {
    value.windows(2).any(|pair| {
        pair[0] == b'$' && (pair[1].is_ascii_alphabetic() || matches!(pair[1], b'{' | b'(' | b'_'))
    }) || value.first() == Some(&b'$')
}

/// The secret in `curl -u user:password`, from the flag's end at `at`.
pub(crate) fn in_user_flag(bytes: &[u8], at: usize) -> Option<Range<usize>> {
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
    if secret.is_empty() && matches!(bytes.get(value.end), Some(b'"' | b'\'')) {
        let (range, _) = assignment::value_at(bytes, value.end, Tie::Beside)?;
        let shape = Shape::of(&bytes[range.clone()]);
        return (assess::chosen(&bytes[range.clone()], &shape) && !assess::template(&bytes[range.clone()]))
            .then_some(range);
    }
    // `token:` with nothing behind it: the user is the secret, as many providers ask for it.
    if secret.is_empty() {
        let user = value.start..value.start + colon;
        let shape = Shape::of(&bytes[user.clone()]);
        return (assess::random(&bytes[user.clone()], &shape) && !assess::template(&bytes[user.clone()]))
            .then_some(user);
    }
    let shape = Shape::of(secret);
    let lower = secret.to_ascii_lowercase();
    let sample = [&b"password"[..], b"pass", b"passwd", b"secret", b"token"].contains(&lower.as_slice())
        || text[..colon] == *secret;
    let good = secret.len() >= 3
        && !assess::template(secret)
        && !assess::template(&text[..colon])
        && memchr::memchr(b'<', secret).is_none()
        && memchr::memmem::find(secret, b"**").is_none()
        && !variable(secret)
        && !sample
        && shape.distinct > 1
        && !lower.starts_with(b"xxx")
        && !lower.starts_with(b"your");
    good.then_some(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Option<&str> {
        let at = text.find("://").expect("an address");
        in_url(text.as_bytes(), at, Language::Other).map(|range| &text[range])
    }

    #[test]
    fn the_last_argument_beside_an_address_and_a_user_is_a_password() {
        let password = ["Harb", "or48", "!t"].concat();
        let found = |text: &str| {
            let text = text.replace('#', &password);
            let at = text.find("://").expect("an address") + 3;
            beside_address(text.as_bytes(), at).map(|range| text[range].to_owned())
        };
        for text in
            ["new Client(\"https://api.acme.io\", \"svc\", \"#\")", "connect('jdbc:x://h/d', 'svc',\n  '#')"]
        {
            assert_eq!(found(text), Some(password.clone()), "{text}");
        }
        for text in [
            "get(\"https://api.acme.io\", \"#\")",
            "get(\"https://api.acme.io\", \"a\", \"#\", \"b\")",
            "get(\"https://api.acme.io\", \"a\", \"orders-v2\")",
            "get(\"https://api.acme.io\", user, \"#\")",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_read_unless_it_is_an_example() {
        for scheme in ["postgres", "mysql", "mongodb+srv", "amqp", "rediss", "jdbc:mariadb"] {
            let secret = ["tr4", "vel", "ler"].concat();
            let text = format!("{scheme}://app:{secret}@db1.acme.io:1234/shop");
            assert_eq!(password(&text), Some(secret.as_str()), "{text}");
        }
        let hostless = ["tr4", "vel", "ler"].concat();
        assert_eq!(password(&format!("snowflake://svc:{hostless}@/db?account=a")), Some(hostless.as_str()));
        assert_eq!(password(&format!("redshift://svc:{hostless}@:5439/db")), Some(hostless.as_str()));
        for text in [
            "postgres://app:password@db.example.com/shop",
            "mysql://app:pass@host.test/shop",
            "postgres://app:${PASSWORD}@db1/shop",
            "postgres://app:{{ password }}@db1/shop",
            "postgres://app@db1/shop",
            "postgres://app:word@/shop",
            "https://app:tr4vel9ler@/shop",
            "postgres://db1:5432/shop",
            "postgres://app:x@",
            "telnet://app:pass@db1:23/",
            "redis://foo:bar@db1:6379/0",
            "postgresql://loader:loader@localhost:5432/data",
            "postgres://postgres:postgres@0.0.0.0:5432/postgres",
            "postgres://feast:feast@db.shop.svc.cluster.local:5432/shop",
            "postgres://DB_USERNAME:DB_PASSWORD@DB_HOST:5432/shop",
            "snowflake://svc:dummy_value@acme.eu-west-1.aws/shop",
            "snowflake://svc:example-password@acme.eu-west-1.aws/shop",
            "mongodb://user:pass@host1:27017,host2:27017/shop",
            "https://user:pass%5B%7F@foo/bar",
        ] {
            assert_eq!(password(text), None, "{text}");
        }
    }
}
