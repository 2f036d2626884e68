//! Passwords that are arguments without a name: `sshpass -p …`, `new NetworkCredential("svc", "…")`.

use std::ops::Range;

use super::super::assignment::{self, Tie, line_end, line_start};
use super::super::judge::{self, Shape};

/// Commands that take a password behind a flag, and whether it may be grown together with the flag.
const COMMANDS: &[(&str, &[u8], bool)] = &[
    ("sshpass", b"-p", true),
    ("docker login", b"-p", false),
    ("podman login", b"-p", false),
    ("registry login", b"-p", false),
    ("az login", b"-p", false),
    ("oc login", b"-p", false),
    ("twine upload", b"-p", false),
    ("mysql", b"-p", true),
    ("redis-cli", b"-a", false),
    ("sqlcmd", b"-P", false),
    ("ldapsearch", b"-w", false),
    ("htpasswd -", b"-b", false),
    ("beeline", b"-p", false),
    ("bcp ", b"-P", false),
    ("openssl enc", b"-k", false),
];

/// Commands that read a password from their standard input, to which `echo` writes it on the same line.
const READERS: &[&str] = &["--password-stdin", "sudo -s", "passwd --stdin", "kinit "];

/// Calls whose last argument is a password.
const CALLS: &[&str] = &[
    "networkcredential(",
    "basicauth(",
    "basic_auth(",
    "passwordauthentication(",
    "usernamepasswordcredentials(",
    "passwordcredential(",
    "plaincredentials(",
    "plainauth(",
    "getconnection(",
    "mysqli(",
    "mysqli_connect(",
    "mysql_connect(",
    "pymysql.connect(",
    "new pdo(",
    "auth=(",
    "auth = (",
    ".login(",
    ".authenticate(",
];

/// How far a call is read, in bytes.
const CALL_MOST: usize = 400;

/// The literals at which a password may appear without a name.
pub(crate) fn literals() -> impl Iterator<Item = &'static str> {
    COMMANDS
        .iter()
        .map(|(command, _, _)| *command)
        .chain(READERS.iter().copied())
        .chain(CALLS.iter().copied())
}

/// The password among the arguments of the command or call at `at`.
pub(crate) fn in_arguments(bytes: &[u8], at: &Range<usize>) -> Option<Range<usize>> {
    if bytes[at.end - 1] == b'(' {
        return in_call(bytes, at.end);
    }
    if READERS.iter().any(|reader| reader.as_bytes().eq_ignore_ascii_case(&bytes[at.clone()])) {
        return echoed(bytes, at.start);
    }
    COMMANDS
        .iter()
        .filter(|(command, _, _)| command.as_bytes().eq_ignore_ascii_case(&bytes[at.clone()]))
        .find_map(|(_, flag, attached)| behind_flag(bytes, at.end, flag, *attached))
}

fn behind_flag(bytes: &[u8], from: usize, flag: &[u8], attached: bool) -> Option<Range<usize>> {
    let line = &bytes[from..line_end(bytes, from)];
    memchr::memmem::find_iter(line, flag).find_map(|found| {
        let end = from + found + flag.len();
        let before = *bytes[from..from + found].last()?;
        // `["sshpass", "-p", "…"]`: the next string is the value.
        let listed = matches!(before, b'"' | b'\'') && bytes[end..].starts_with(&[before, b',']);
        if !listed && !before.is_ascii_whitespace() {
            return None;
        }
        let end = if listed { end + 2 } else { end };
        let apart = bytes.get(end).is_some_and(u8::is_ascii_whitespace);
        if !apart && !attached {
            return None;
        }
        // A back quote ends the command in a document, or its output is the value.
        if bytes.get(end) == Some(&b'`') {
            return None;
        }
        let (value, _) = assignment::value_at(bytes, end, Tie::Beside)?;
        let text = &bytes[value.clone()];
        let plain = plain(text)
            // `-port`, `-param`: words grown together with the flag are other flags.
            && (apart || text.iter().any(|b| !b.is_ascii_lowercase()));
        plain.then_some(value)
    })
}

/// Written out as an argument, and not filled in or a sample.
fn plain(text: &[u8]) -> bool {
    text.len() >= 6
        && text[0] != b'-'
        && !judge::template(text)
        && !judge::placeholder(text)
        && !judge::masked(text)
        && !judge::sample(text)
        && !judge::other_kind(text)
        && !Shape::of(text).dull()
}

/// The argument of the `echo` that writes to the command at `at`.
fn echoed(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let start = line_start(bytes, at);
    let line = &bytes[start..at];
    let pipe = memchr::memrchr(b'|', line)?;
    let echo = memchr::memmem::rfind(&line[..pipe], b"echo ")? + b"echo ".len();
    let flags = line[echo..].iter().take_while(|b| matches!(b, b' ' | b'-' | b'n' | b'e')).count();
    let flags = line[echo..echo + flags].iter().rposition(|b| *b == b' ').map_or(0, |blank| blank + 1);
    let (value, quoted) = assignment::value_at(bytes, start + echo + flags, Tie::Beside)?;
    let text = &bytes[value.clone()];
    let shape = Shape::of(text);
    // Words without quotes are a message: one value with a digit or sign is a password.
    let password = quoted && judge::passphrase(text, false) || judge::chosen(text, &shape);
    (value.end <= start + pipe && plain(text) && password).then_some(value)
}

/// The last of at least two arguments, if it is a string that is a password.
fn in_call(bytes: &[u8], from: usize) -> Option<Range<usize>> {
    let ceiling = (from + CALL_MOST).min(bytes.len());
    let mut at = from;
    let mut last = None;
    let mut arguments = 0;
    while at < ceiling {
        match bytes[at] {
            b'"' | b'\'' | b'`' => {
                let quote = bytes[at];
                let length = memchr::memchr2(quote, b'\n', &bytes[at + 1..ceiling])?;
                last = Some(at + 1..at + 1 + length);
                at += length + 2;
                continue;
            }
            b',' => {
                arguments += 1;
                last = None;
            }
            b')' => break,
            b'(' | b'{' | b'[' | b';' => return None,
            _ => {}
        }
        at += 1;
    }
    let value = last.filter(|_| arguments >= 1 && bytes.get(at) == Some(&b')'))?;
    let text = &bytes[value.clone()];
    let shape = Shape::of(text);
    let password = judge::chosen_in_code(text)
        || judge::passphrase(text, true)
        || judge::drawn_with_symbols(text)
        || judge::random(text, &shape) && !judge::other_kind(text);
    (password && !judge::template(text)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<String> {
        let lower = text.to_ascii_lowercase();
        let at = |literal: &str| lower.find(literal).map(|start| start..start + literal.len());
        let found = literals().filter_map(at).find_map(|at| in_arguments(text.as_bytes(), &at))?;
        Some(text[found].to_owned())
    }

    #[test]
    fn passwords_of_commands_and_calls() {
        let password = ["Harb", "or48", "!t"].concat();
        for text in [
            "sshpass -p '#' ssh deploy@host1",
            "sshpass -p# scp a host1:",
            "docker login registry.io -u shop -p #",
            "mysql -h db1 -u shop -p'#' shop",
            "redis-cli -h cache1 -a #",
            "new NetworkCredential(\"svc\", \"#\")",
            "requests.get(url, auth=('svc', '#'))",
            "DriverManager.getConnection(url, user, \"#\")",
            "server.login('svc', '#')",
            "subprocess.run([\"sshpass\", \"-p\", \"#\", \"ssh\", \"host1\"])",
            "beeline -u jdbc:hive2://h -n svc -p #",
            "bcp t in f -S h -U sa -P '#'",
            "echo '#' | docker login -u shop --password-stdin",
            "echo -n # | sudo -S ls",
        ] {
            assert_eq!(found(&text.replace('#', &password)), Some(password.clone()), "{text}");
        }
        for text in [
            "sshpass -p \"$PASSWORD\" ssh host1",
            "mysql -port 3306 -h db1",
            "mysql -h db1 -p shop",
            "docker login -u shop -p ${TOKEN}",
            "mysql -uroot -prootroot",
            "auth=('user', 'password')",
            "echo $TOKEN | docker login --password-stdin",
            "echo ${{ secrets.TOKEN }} | docker login --password-stdin",
            "cat token.txt | docker login --password-stdin",
            "docker login --password-stdin",
            "a flag (`sshpass -p`), written to a command (`echo`)",
            "echo done && kinit svc1",
            "server.login(user, password)",
            "client.login('svc', get('harbor48!'))",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
