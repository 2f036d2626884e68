//! Rows that SQL inserts: the name of a password is among the columns, apart from its value.

use std::ops::Range;

use super::columns::says_secret;
use super::generic::{self, Kind, Word};

/// What the automaton looks for, in lower case.
pub(super) const LITERAL: &str = "insert into";

/// How far a statement is read, in bytes.
const REACH: usize = 8 << 10;

/// The secrets among the values of the statement whose `insert into` ends at `at`.
pub(super) fn values(bytes: &[u8], at: usize) -> Vec<(Kind, Range<usize>)> {
    let end = (at + REACH).min(bytes.len());
    let Some(open) = memchr::memchr2(b'(', b';', &bytes[at..end]).map(|open| at + open) else {
        return Vec::new();
    };
    let Some((names, close)) = fields(bytes, open, end) else { return Vec::new() };
    let columns: Vec<(usize, Range<usize>, Word)> = names
        .into_iter()
        .enumerate()
        .filter_map(|(number, name)| says_secret(&bytes[name.clone()]).map(|word| (number, name, word)))
        .collect();
    let rest = bytes[close..end].trim_ascii_start();
    if columns.is_empty() || !rest.get(..6).is_some_and(|word| word.eq_ignore_ascii_case(b"values")) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut at = end - rest.len() + 6;
    while let Some(open) = bytes[at..end].iter().position(|b| !b.is_ascii_whitespace() && *b != b',') {
        let Some((row, close)) = fields(bytes, at + open, end) else { break };
        for (number, name, word) in &columns {
            let Some(value) = row.get(*number).and_then(|value| quoted(bytes, value)) else { continue };
            if generic::is_cell(&bytes[name.clone()], *word, &bytes[value.clone()]) {
                let kind = if *word == Word::Password { Kind::Password } else { Kind::Credential };
                found.push((kind, value));
            }
        }
        at = close;
    }
    found
}

/// What is between the brackets that open at `at`, and where they end; a comma in a string separates nothing.
fn fields(bytes: &[u8], at: usize, end: usize) -> Option<(Vec<Range<usize>>, usize)> {
    if bytes.get(at) != Some(&b'(') {
        return None;
    }
    let mut fields = Vec::new();
    let (mut start, mut string, mut depth) = (at + 1, false, 0_usize);
    for (place, byte) in bytes.iter().enumerate().take(end).skip(at) {
        match byte {
            b'\'' => string = !string,
            _ if string => {}
            b'(' => depth += 1,
            b')' if depth > 1 => depth -= 1,
            b')' => {
                fields.push(start..place);
                return Some((fields, place + 1));
            }
            b',' if depth == 1 => {
                fields.push(start..place);
                start = place + 1;
            }
            _ => {}
        }
    }
    None
}

/// The text of a string.
fn quoted(bytes: &[u8], field: &Range<usize>) -> Option<Range<usize>> {
    let text = &bytes[field.clone()];
    let start = field.start + text.len() - text.trim_ascii_start().len() + 1;
    let text = text.trim_ascii().strip_prefix(b"'")?.strip_suffix(b"'")?;
    Some(start..start + text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_columns_of_secrets_are_read() {
        let password = ["Harb", "or48", "!t"].concat();
        let found = |text: &str| {
            let text = text.replace('#', &password);
            let found = values(text.as_bytes(), LITERAL.len());
            found.into_iter().map(|(_, range)| text[range].to_owned()).collect::<Vec<_>>()
        };
        for text in [
            "insert into users (login, password) values ('shop', '#')",
            "INSERT INTO shop.users (id, login, \"user_password\", note)\nVALUES\n  (1, 'a, (b', '#', 'x'),\n  (2, 'c', null, '#');",
            "insert into users(password,login) values (md5('#'), 'x'), ('#', lower('a,b'))",
        ] {
            assert_eq!(found(text), [password.as_str()], "{text}");
        }
        for text in [
            "insert into users (login, password) select login, '#' from x",
            "insert into users (login, password_hash) values ('shop', '#')",
            "insert into users values ('shop', '#')",
            "insert into users (login, password) values ('shop', :password)",
            "insert into users (login, password",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }
}
