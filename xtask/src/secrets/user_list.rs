//! Lists of users and their passwords: files whose name says so and whose lines are `user:password`.

use std::ops::Range;

use super::generic::{self, Kind, Word};

/// How many lines are read: a list of passwords is short, a dictionary is not.
const LINES_MOST: usize = 10_000;

/// Whether a file lists passwords by its name: `sasl_passwd`, `rsyncd.secrets`, `passwd.client`.
pub(super) fn is_one(path: &str) -> bool {
    let name = path.rsplit(['/', '!']).next().unwrap_or(path).to_ascii_lowercase();
    let plain = name.contains("passwd") && !name.contains('.');
    // `davfs2/secrets`, `ppp/chap-secrets`.
    let secrets = name == "secrets" || name.ends_with("-secrets");
    plain || secrets || name.ends_with(".secrets") || name.ends_with(".passwd") || name == "passwd.client"
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
        if text.trim_ascii_start().starts_with(b"#") {
            continue;
        }
        // `https://host user password`, `user * password *`.
        let apart = memchr::memmem::find_iter(text, b"://").count() == fields;
        let mut words = text.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty()).skip(1);
        let password =
            words.find(|word| apart && word.iter().any(u8::is_ascii_digit) && is_password(word.trim_ascii()));
        if let Some(password) = password
            && let Some(from) = memchr::memmem::rfind(text, password)
        {
            found.push((Kind::Password, start + from..start + from + password.len()));
            continue;
        }
        // A line of `/etc/passwd` has more.
        if !(1..=4).contains(&fields) {
            continue;
        }
        let colon = memchr::memrchr(b':', text).unwrap_or(0);
        let value = &text[colon + 1..];
        let user = text[..colon].last().is_some_and(u8::is_ascii_alphanumeric);
        if user && is_password(value) {
            found.push((Kind::Password, start + colon + 1..start + text.len()));
        }
    }
    found
}

fn is_password(value: &[u8]) -> bool {
    generic::is_cell(b"password", Word::Password, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_passwords_are_known_by_their_names() {
        for path in [
            "etc/postfix/sasl_passwd",
            "rsyncd.secrets",
            "exim/passwd.client",
            "vsftpd.passwd",
            "ppp/chap-secrets",
        ] {
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
             root:x:0:0:root:/root:/bin/bash\n\
             https://dav.acme.io shop {password}\nshop * {password} *\nnobody:*\nopen:\nnote: {password}\n"
        );
        let found = passwords(text.as_bytes());
        assert_eq!(found.len(), 5);
        assert!(found.iter().all(|(_, range)| text[range.clone()] == password));
    }
}
