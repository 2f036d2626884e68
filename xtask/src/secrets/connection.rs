//! Connection strings of pairs: ODBC, ADO.NET, and the properties of a JDBC address.
//!
//! A password next to a host and a user is a password in any kind of file, including source code, where a
//! password that a person chose cannot otherwise be distinguished from any other text.

use std::ops::Range;

use super::assess::{self, Shape};

/// How far a connection string is read on each side of its password, in bytes.
const REACH: usize = 400;

/// Names of the server, of the user; in lower case, without blanks.
const HOSTS: &[&str] = &[
    "server",
    "host",
    "hostname",
    "datasource",
    "address",
    "addr",
    "networkaddress",
    "servername",
    "endpoint",
    "hostaddr",
    "dbname",
];
const USERS: &[&str] = &["uid", "user", "userid", "username", "usr", "login"];

/// Whether the value at `password` is the password of a whole connection string.
pub(super) fn holds_password(bytes: &[u8], password: &Range<usize>) -> bool {
    let text = around(bytes, password);
    let mut host = false;
    let mut user = false;
    let text = &bytes[text];
    // Asked of every password without quotes: a name and a value for the user, and another pair or an address.
    let mut pairs = memchr::memchr_iter(b'=', text);
    if pairs.next().is_none() || pairs.next().is_none() && memchr::memmem::find(text, b"://").is_none() {
        return false;
    }
    // `host=db1 user=app password=…`, as libpq has it; with semicolons, names have blanks: `User ID`.
    let blanks = memchr::memchr2(b';', b'&', text).is_none();
    let apart = |byte: &u8| matches!(byte, b';' | b'&' | b'?') || blanks && byte.is_ascii_whitespace();
    let mut named = false;
    for part in text.split(apart) {
        let Some(equals) = memchr::memchr(b'=', part) else {
            host |= address(part);
            continue;
        };
        let name: String = part[..equals]
            .iter()
            .filter(|byte| byte.is_ascii_alphanumeric())
            .map(|byte| char::from(byte.to_ascii_lowercase()))
            .collect();
        named |= HOSTS.contains(&name.as_str());
        let value = part[equals + 1..].trim_ascii();
        if value.is_empty() || assess::template(value) {
            continue;
        }
        host |= HOSTS.contains(&name.as_str());
        user |= USERS.contains(&name.as_str());
    }
    // `DATABASE=shop;UID=app;PWD=…`, with the server on another line.
    let keyed = !named
        && memchr::memchr_iter(b';', text).count() >= 2
        && password
            .start
            .checked_sub(4)
            .is_some_and(|at| bytes[at..password.start].eq_ignore_ascii_case(b"pwd="));
    (host || keyed) && user && credible(&bytes[password.clone()])
}

/// `jdbc:postgresql://host/database`: the address before the properties.
fn address(part: &[u8]) -> bool {
    memchr::memmem::find(part, b"://").is_some_and(|at| {
        part.get(at + 3).is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'[' | b'/'))
    })
}

/// The string that contains a password: to the next quote, line end or angle bracket on both sides.
fn around(bytes: &[u8], password: &Range<usize>) -> Range<usize> {
    let ends = |byte: &u8| matches!(byte, b'"' | b'\'' | b'`' | b'\n' | b'\r' | b'<' | b'>');
    let floor = password.start.saturating_sub(REACH);
    let start = bytes[floor..password.start].iter().rposition(ends).map_or(floor, |at| floor + at + 1);
    let ceiling = (password.end + REACH).min(bytes.len());
    let end = bytes[password.end..ceiling].iter().position(ends).map_or(ceiling, |at| password.end + at);
    start..end
}

/// Chosen by a person, and not a placeholder word for a password.
fn credible(value: &[u8]) -> bool {
    let shape = Shape::of(value);
    assess::joined_words(value)
        || (assess::chosen(value, &shape) || shape.len >= 10)
            && shape.len >= 6
            && shape.distinct >= 4
            && !assess::template(value)
            && !assess::placeholder(value)
            && !assess::masked(value)
            && !(shape.symbols > 0 && assess::code(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, password: &str) -> bool {
        let start = text.rfind(password).expect("it is there");
        holds_password(text.as_bytes(), &(start..start + password.len()))
    }

    #[test]
    fn a_password_among_host_and_user() {
        let password = ["Tra", "vel", "ler9"].concat();
        for text in [
            "Driver={ODBC Driver 18 for SQL Server};Server=tcp:db.acme.io,1433;Uid=app;Pwd=#;Encrypt=yes",
            "Data Source=db1;Initial Catalog=Shop;User ID=app;Password=#",
            "conn = \"Host=db1;Username=app;Password=#;Database=shop\"",
            "jdbc:postgresql://db1:5432/shop?user=app&password=#",
            "jdbc:sqlserver://db1:1433;databaseName=shop;user=app;password=#;encrypt=true",
            "<add connectionString='Server=db1;User Id=app;Password=#'/>",
            "conn = connect(\"host=db1 dbname=shop user=app password=#\")",
        ] {
            assert!(found(&text.replace('#', &password), &password), "{text}");
        }
    }

    #[test]
    fn parts_and_placeholders_are_none() {
        let real = ["Tra", "vel", "ler9"].concat();
        for (text, password) in [
            ("Server=db1;Password=#", real.as_str()),
            ("Uid=app;Pwd=#", &real),
            ("Server=db1;Uid=app\nPwd=#", &real),
            ("Server=${HOST};Uid=app;Pwd=#", &real),
            ("Server=db1;Uid={user};Pwd=#", &real),
            ("Server=db1;Uid=app;Pwd=#", "${DB_PASSWORD}"),
            ("Server=db1;Uid=app;Pwd=#", "password"),
            ("Server=db1;Uid=app;Pwd=#", "secret"),
            ("Server=db1;Uid=app;Pwd=#", "your_pass"),
            ("Server=db1;Uid=app;Pwd=#", "******"),
        ] {
            let text = text.replace('#', password);
            assert!(!found(&text, password), "{text}");
        }
    }
}
