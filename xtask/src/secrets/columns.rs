//! Tables: in a CSV file the name of a password is at the top of its column, far from its values.

use std::ops::Range;

use super::assignment::line_start;
use super::generic::{self, Kind, Word};

/// The longest first line that is read as a header, in bytes.
const HEADER_MOST: usize = 8 << 10;

/// Whether a file is a table by its name.
pub(super) fn is_table(path: &str) -> bool {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    matches!(ending.as_str(), "csv" | "tsv" | "psv")
}

/// Whether a file has a table with a column of secrets.
pub(super) fn has_secrets(path: &str, bytes: &[u8]) -> bool {
    if is_table(path) {
        return head(bytes).is_some_and(|head| !head.columns.is_empty());
    }
    generic::is_document(path) && !of_document(bytes).is_empty()
}

/// The secrets in the columns of the tables of a document: `| User | Password |` above `| --- | --- |`.
pub(super) fn of_document(bytes: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let mut found = Vec::new();
    let mut until = 0;
    for rule in memchr::memmem::find_iter(bytes, b"--- |").chain(memchr::memmem::find_iter(bytes, b"---|")) {
        let start = line_start(bytes, rule);
        let of_rule = bytes[start..rule].iter().all(|b| matches!(b, b'|' | b'-' | b' ' | b':'));
        if start < until || start == 0 || !of_rule {
            continue;
        }
        let head = line_start(bytes, start - 1)..start - 1;
        let columns = columns(bytes, head, b'|');
        until = memchr::memchr(b'\n', &bytes[rule..]).map_or(bytes.len(), |length| rule + length + 1);
        while !columns.is_empty() && bytes.get(until) == Some(&b'|') {
            let stop = memchr::memchr(b'\n', &bytes[until..]).map_or(bytes.len(), |length| until + length);
            cells(bytes, until..stop, b'|', &columns, &mut found);
            until = stop + 1;
        }
    }
    found
}

/// The first line of a table: where it ends, and which columns hold secrets.
struct Head {
    end: usize,
    separator: u8,
    columns: Vec<Column>,
}

struct Column {
    at: usize,
    name: Range<usize>,
    word: Word,
}

fn head(bytes: &[u8]) -> Option<Head> {
    let end = memchr::memchr(b'\n', &bytes[..bytes.len().min(HEADER_MOST)])?;
    let count = |separator: &u8| memchr::memchr_iter(*separator, &bytes[..end]).count();
    let separators = [b',', b';', b'\t', b'|'];
    let separator = separators.into_iter().max_by_key(count).filter(|most| count(most) > 0)?;
    Some(Head { end, separator, columns: columns(bytes, 0..end, separator) })
}

/// The columns of secrets that a first line names.
fn columns(bytes: &[u8], line: Range<usize>, separator: u8) -> Vec<Column> {
    fields(bytes, line, separator)
        .enumerate()
        .filter_map(|(at, name)| says_secret(&bytes[name.clone()]).map(|word| Column { at, name, word }))
        .collect()
}

/// The secrets of one row.
fn cells(
    bytes: &[u8],
    line: Range<usize>,
    separator: u8,
    columns: &[Column],
    found: &mut Vec<(Kind, Range<usize>)>,
) {
    let Some(last) = columns.last() else { return };
    for (number, field) in fields(bytes, line, separator).enumerate().take(last.at + 1) {
        let column = columns.iter().find(|column| column.at == number);
        if let Some(Column { name, word, .. }) = column
            && generic::is_cell(&bytes[name.clone()], *word, &bytes[field.clone()])
        {
            let kind = if *word == Word::Password { Kind::Password } else { Kind::Credential };
            found.push((kind, field));
        }
    }
}

/// The secrets in the columns of a table whose names say so.
pub(super) fn secrets(bytes: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let Some(Head { end, separator, columns }) = head(bytes) else { return Vec::new() };
    let mut found = Vec::new();
    let mut at = end + 1;
    while !columns.is_empty() && at < bytes.len() {
        let stop = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length);
        cells(bytes, at..stop, separator, &columns, &mut found);
        at = stop + 1;
    }
    found
}

/// Which secret the name of a column says it holds; a `key` joins tables more often than it opens anything.
pub(super) fn says_secret(name: &[u8]) -> Option<Word> {
    let said = generic::strongest(name).filter(|word| *word != Word::Key);
    said.filter(|_| generic::may_name_secret(&generic::words(name)))
}

/// The fields of a line, without their quotes; a separator between quotes separates nothing.
fn fields(bytes: &[u8], line: Range<usize>, separator: u8) -> impl Iterator<Item = Range<usize>> {
    let mut at = line.start;
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        // `user, password`: a blank behind the separator is no part of the field.
        at +=
            bytes[at.min(line.end)..line.end].iter().take_while(|b| **b == b' ' && separator != b' ').count();
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
        // In documents cells have blanks on both sides, and code has back quotes.
        let around = |b: &u8| matches!(b, b'\r') || separator == b'|' && matches!(b, b' ' | b'`');
        let field = &bytes[from..end];
        let tail = field.iter().rev().take_while(|b| around(b)).count();
        let head = field[..field.len() - tail].iter().take_while(|b| around(b)).count();
        Some(from + head..end - tail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        secrets(text.as_bytes()).into_iter().map(|(_, range)| &text[range]).collect()
    }

    #[test]
    fn tables_of_documents_are_read() {
        let password = ["Harb", "or48", "!t"].concat();
        for rule in ["| --- | --- |", "|---|---|", "|:-----|-----:|"] {
            let text = format!(
                "# Users\n\n| User | Password |\n{rule}\n| shop | `{password}` |\n| etl | {password} |\n\n| {password} |\n"
            );
            let found: Vec<&str> =
                of_document(text.as_bytes()).into_iter().map(|(_, range)| &text[range]).collect();
            assert_eq!(found, [password.as_str(), password.as_str()], "{rule}");
        }
        let text = "| Variable | Meaning |\n| --- | --- |\n| `DB_PASSWORD` | the password |\n---|\n";
        assert!(of_document(text.as_bytes()).is_empty());
    }

    #[test]
    fn a_column_of_secrets_is_read_by_its_name() {
        let password = ["Harb", "or48", "!t"].concat();
        for text in [
            format!("login,password,role\nmarta,{password},admin\njonas,,reader\n"),
            format!("login;\"user_pass\"\r\n\"marta; m\";\"{password}\"\r\n"),
            format!("pwd\tlogin\n{password}\tmarta"),
            format!("login, password\nmarta, {password}\n"),
        ] {
            assert_eq!(found(&text), [password.as_str()], "{text}");
        }
        let drawn = ["q7Rk2Zt9", "Wm4Lx8Vb", "3Np6"].concat();
        for head in ["client_id,client_secret", "name,api_key", "email,token"] {
            let text = format!("{head}\nshop,\nshop,{drawn}\n");
            assert_eq!(found(&text), [drawn.as_str()], "{text}");
        }
        for text in [
            format!("login,password_hash\nmarta,{password}\n"),
            format!("login,bypass\nmarta,{password}\n"),
            "login,password\nmarta,password\njonas,********\n".to_owned(),
            "password".to_owned(),
            format!("session_key,token_count\n{0},{0}\n", "f523a4e4dda38cbe3eee823c63420184"),
            "word,token\nharbor,harbor\n".to_owned(),
        ] {
            assert!(found(&text).is_empty(), "{text}");
        }
    }
}
