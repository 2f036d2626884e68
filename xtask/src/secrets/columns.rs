//! Tables: in a CSV file the name of a password is at the top of its column, far from its values.

use std::ops::Range;

use super::generic::{self, Word};

/// The longest first line that is read as a header, in bytes.
const HEADER_MOST: usize = 8 << 10;

/// Whether a file is a table by its name.
pub(super) fn is_table(path: &str) -> bool {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    matches!(ending.as_str(), "csv" | "tsv" | "psv")
}

/// Whether the head of a table names a column of passwords.
pub(super) fn has_passwords(bytes: &[u8]) -> bool {
    head(bytes).is_some_and(|head| !head.columns.is_empty())
}

/// The first line of a table: where it ends, and which columns hold passwords.
struct Head {
    end: usize,
    separator: u8,
    columns: Vec<usize>,
}

fn head(bytes: &[u8]) -> Option<Head> {
    let end = memchr::memchr(b'\n', &bytes[..bytes.len().min(HEADER_MOST)])?;
    let count = |separator: &u8| memchr::memchr_iter(*separator, &bytes[..end]).count();
    let separators = [b',', b';', b'\t', b'|'];
    let separator = separators.into_iter().max_by_key(count).filter(|most| count(most) > 0)?;
    let columns = fields(bytes, 0..end, separator)
        .enumerate()
        .filter(|(_, name)| names_password(&bytes[name.clone()]))
        .map(|(at, _)| at)
        .collect();
    Some(Head { end, separator, columns })
}

/// The passwords in the columns of a table whose names say so.
pub(super) fn passwords(bytes: &[u8]) -> Vec<Range<usize>> {
    let Some(Head { end, separator, columns }) = head(bytes) else { return Vec::new() };
    let Some(last) = columns.last() else { return Vec::new() };
    let mut found = Vec::new();
    let mut at = end + 1;
    while at < bytes.len() {
        let stop = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length);
        for (column, field) in fields(bytes, at..stop, separator).enumerate().take(last + 1) {
            if columns.contains(&column) && generic::is_password(&bytes[field.clone()]) {
                found.push(field);
            }
        }
        at = stop + 1;
    }
    found
}

fn names_password(name: &[u8]) -> bool {
    let lower = name.to_ascii_lowercase();
    let says = |(literal, word): &(&str, Word)| {
        *word == Word::Password
            && memchr::memmem::find_iter(&lower, literal.as_bytes())
                .any(|at| generic::means(literal.as_bytes(), name, at))
    };
    generic::WORDS.iter().any(says) && generic::may_name_secret(&generic::words(name))
}

/// The fields of a line, without their quotes; a separator between quotes separates nothing.
fn fields(bytes: &[u8], line: Range<usize>, separator: u8) -> impl Iterator<Item = Range<usize>> {
    let mut at = line.start;
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let quoted = bytes.get(at) == Some(&b'"') && at < line.end;
        let from = at + usize::from(quoted);
        let end = if quoted {
            memchr::memchr(b'"', &bytes[from..line.end]).map_or(line.end, |length| from + length)
        } else {
            memchr::memchr(separator, &bytes[from..line.end]).map_or(line.end, |length| from + length)
        };
        let next = memchr::memchr(separator, &bytes[end..line.end]);
        done = next.is_none();
        at = end + next.unwrap_or(0) + 1;
        let carriage = usize::from(end > from && bytes[end - 1] == b'\r');
        Some(from..end - carriage)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_passwords_is_read_by_its_name() {
        let password = ["Harb", "or48", "!t"].concat();
        for text in [
            format!("login,password,role\nmarta,{password},admin\njonas,,reader\n"),
            format!("login;\"user_pass\"\r\n\"marta; m\";\"{password}\"\r\n"),
            format!("pwd\tlogin\n{password}\tmarta"),
        ] {
            let found: Vec<&str> = passwords(text.as_bytes()).into_iter().map(|range| &text[range]).collect();
            assert_eq!(found, [password.as_str()], "{text}");
        }
        for text in [
            format!("login,password_hash\nmarta,{password}\n"),
            format!("login,bypass\nmarta,{password}\n"),
            "login,password\nmarta,password\njonas,********\n".to_owned(),
            "password".to_owned(),
        ] {
            assert!(passwords(text.as_bytes()).is_empty(), "{text}");
        }
    }
}
