//! Lists of users and their passwords: files whose name says so and whose lines are `user:password`.

use std::ops::Range;

use super::generic::{self, Kind, Word};

/// How many lines are read: a list of passwords is short, a dictionary is not.
const LINES_MOST: usize = 10_000;

/// Whether a file lists passwords by its name: `sasl_passwd`, `rsyncd.secrets`, `passwd.client`.
pub(super) fn is_one(path: &str) -> bool {
    let name = path.rsplit(['/', '!']).next().unwrap_or(path).to_ascii_lowercase();
    let plain = name.contains("passwd") && !name.contains('.');
    plain || name.ends_with(".secrets") || name.ends_with(".passwd") || name == "passwd.client"
}

/// The last field of each line that has two or three.
pub(super) fn passwords(bytes: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in bytes.split(|b| *b == b'\n').take(LINES_MOST) {
        let start = at;
        at += line.len() + 1;
        let text = line.trim_ascii_end();
        let fields = memchr::memchr_iter(b':', text).count();
        // A comment, or a line of `/etc/passwd`.
        if text.trim_ascii_start().starts_with(b"#") || !(1..=4).contains(&fields) {
            continue;
        }
        let colon = memchr::memrchr(b':', text).unwrap_or(0);
        let value = &text[colon + 1..];
        let user = text[..colon].last().is_some_and(u8::is_ascii_alphanumeric);
        if user && generic::is_cell(b"password", Word::Password, value) {
            found.push((Kind::Password, start + colon + 1..start + text.len()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_passwords_are_known_by_their_names() {
        for path in ["etc/postfix/sasl_passwd", "rsyncd.secrets", "exim/passwd.client", "vsftpd.passwd"] {
            assert!(is_one(path), "{path}");
        }
        for path in ["secrets.toml", "src/passwd.rs", "users.txt"] {
            assert!(!is_one(path), "{path}");
        }
    }

    #[test]
    fn the_last_field_of_a_line_is_a_password() {
        let password = ["Harb", "or48", "!t"].concat();
        let text = format!(
            "# users\nbackup:{password}\n[smtp.acme.io]:587 mailer:{password}\n*.acme.io:mailer:{password}\r\n\
             root:x:0:0:root:/root:/bin/bash\nnobody:*\nopen:\nnote: {password}\n"
        );
        let found = passwords(text.as_bytes());
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|(_, range)| text[range.clone()] == password));
    }
}
