//! Finds what is assigned to a name: `name = "value"` in any of the ways files write it.
//!
//! Code, YAML, JSON, TOML, dotenv, properties, XML elements and attributes, SQL, command lines, log
//! lines and netrc differ in what separates a name from its value; all of it is parsed here by
//! hand, outwards from one word of the name and over a bounded number of bytes.

mod apart;
mod beside;
mod sentence;
mod value;
mod wrapped;

use std::ops::Range;

use super::assess;

pub(super) use value::value_at;
pub(super) use wrapped::passes_on;

/// The longest name and value looked at, and the widest gap between them, in bytes.
const NAME_MOST: usize = 64;
const VALUE_MOST: usize = 1024;
const GAP_MOST: usize = 24;
/// The longest name of a password that is an argument itself, in bytes: `("password", "x")`.
const ARGUMENT_MOST: usize = 40;

/// A value and the name it is assigned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assigned {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
    pub(super) quoted: bool,
    /// How firmly the two are tied.
    pub(super) tie: Tie,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    /// `=`, `:`, `=>`, an XML element or attribute.
    Operator,
    /// Next argument or next word: `"password", "x"`, `--password x`, `PASSWORD 'x'`.
    Beside,
    /// A dash or a word between: `token - 'x'`, `key is 'x'`.
    Loose,
}

/// The colon of Chinese and Japanese texts.
const WIDE_COLON: &[u8] = "\u{ff1a}".as_bytes();

/// The whole name around the word at `word`; letters of other scripts belong to it.
pub(super) fn name_around(bytes: &[u8], word: &Range<usize>) -> Range<usize> {
    let part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'$') || b >= 0x80;
    let floor = word.start.saturating_sub(NAME_MOST);
    let mut start = word.start;
    while start > floor && part(bytes[start - 1]) {
        start -= 1;
    }
    let ceiling = (word.end + NAME_MOST).min(bytes.len());
    let mut end = word.end;
    while end < ceiling && part(bytes[end]) && !bytes[end..].starts_with(WIDE_COLON) {
        end += 1;
    }
    // `token -` and `token.`: the mark is not part of the name.
    while end > word.end && matches!(bytes[end - 1], b'-' | b'.') {
        end -= 1;
    }
    start..end
}

/// The value assigned to the name, if there is one.
pub(super) fn assigned(bytes: &[u8], name: Range<usize>) -> Option<Assigned> {
    if apart::is_substituted(bytes, &name) {
        let value = apart::substitute(bytes, &name)?;
        return Some(Assigned { name, value, quoted: true, tie: Tie::Operator });
    }
    if let Some(at) = apart::value_of(bytes, &name) {
        let (value, quoted) = value_at(bytes, wrapped::unwrapped(bytes, at), Tie::Operator)?;
        // An element has an end as a string has.
        let quoted = quoted || bytes[..at].ends_with(b">");
        return Some(Assigned { name, value, quoted, tie: Tie::Operator });
    }
    if let Some(value) = sentence::said(bytes, &name) {
        return Some(Assigned { name, value, quoted: true, tie: Tie::Loose });
    }
    if let Some(value) = sentence::said_before(bytes, &name) {
        return Some(Assigned { name, value, quoted: true, tie: Tie::Loose });
    }
    let mut at = name.end;
    let quoted_name = matches!(bytes.get(at), Some(b'"' | b'\'' | b'`'));
    at += count(bytes, at, 3, |b| matches!(b, b'"' | b'\'' | b'`' | b']' | b')' | b'}' | b'\\' | b'*'));
    let gap = blanks(bytes, at);
    at += gap;
    let (mut operator, mut tie) = operator(bytes, at);
    // `"password" -> "x"`, a pair of Scala; behind a name without quotes it leads to a member in C.
    if operator == 0 && quoted_name && bytes[at..].starts_with(b"->") {
        operator = 2;
    }
    if operator == 0 && bytes[at..].starts_with(WIDE_COLON) {
        operator = WIDE_COLON.len();
    }
    if operator == 0 {
        (at, operator, tie) = beside::no_operator(bytes, &name, at, gap, quoted_name)?;
    }
    at += operator;
    // `name: Type = value`: this is the type.
    if bytes.get(at.saturating_sub(1)) == Some(&b':') {
        let start = at + blanks(bytes, at);
        let kind = count(bytes, start, GAP_MOST, |b| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'&' | b'<' | b'>' | b'?' | b'\'')
        });
        let after = start + kind + blanks(bytes, start + kind);
        let is_type = kind > 0 && !assess::entry_of_directory(&bytes[start..(start + 8).min(bytes.len())]);
        if is_type && bytes.get(after) == Some(&b'=') && bytes.get(after + 1) != Some(&b'=') {
            at = after + 1;
        }
    }
    let (value, quoted) = value_at(bytes, wrapped::unwrapped(bytes, at), tie)?;
    Some(Assigned { name, value, quoted, tie })
}

/// The operator at `at`: how many bytes it takes, and how it ties.
fn operator(bytes: &[u8], at: usize) -> (usize, Tie) {
    let length = count(bytes, at, 4, |b| matches!(b, b'=' | b':' | b'>' | b'?' | b'+' | b'~' | b'|' | b'.'));
    let text = &bytes[at..at + length];
    if text.iter().any(|b| matches!(b, b'=' | b':' | b'>')) && text != b"::" && text != b".." {
        return (length, Tie::Operator);
    }
    if text == b"|" {
        return (1, Tie::Loose);
    }
    // `headers["X-Token"] != "…"`.
    if length == 0 && bytes[at..].starts_with(b"!=") {
        return (2 + count(bytes, at + 2, 1, |b| b == b'='), Tie::Operator);
    }
    // `process.env.DB_PASSWORD || "…"`: what is taken if the name has no value.
    let next = at + length + blanks(bytes, at + length);
    if matches!(text, b"||" | b"??") && matches!(bytes.get(next), Some(b'"' | b'\'' | b'`')) {
        return (length, Tie::Operator);
    }
    (0, Tie::Operator)
}

/// Whether an assignment is a setting of a shell, the flag of a command or a separate line: `export DB_PASSWORD=x`,
/// `--password x`, `- password: x`.
pub(super) fn is_setting(bytes: &[u8], found: &Assigned) -> bool {
    let name = &bytes[found.name.clone()];
    let variable = name.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
        && bytes.get(found.name.end) == Some(&b'=')
        && found.value.start == found.name.end + 1;
    let line = line_start(bytes, found.name.start);
    let label = bytes[line..found.name.start].trim_ascii_start();
    let mark = |b: &u8| matches!(b, b' ' | b'\t' | b'-' | b'*' | b'>');
    // `Unseal key: …`, `Unseal key 1: …`: a label of a few words.
    let words = label.len() <= 24 && label.iter().all(|b| b.is_ascii_alphabetic() || *b == b' ');
    let number = count(bytes, found.name.end, 3, |b| b == b' ' || b.is_ascii_digit());
    let alone = (label.iter().all(mark) || words)
        && bytes.get(found.name.end + number) == Some(&b':')
        && bytes[found.value.end..line_end(bytes, found.value.end)].trim_ascii().is_empty();
    // `<code>password=x</code>`, `` `password=x` ``.
    let around = (found.name.start.checked_sub(1).map(|at| bytes[at]), bytes.get(found.value.end));
    let inline = matches!(around, (Some(b'>'), Some(b'<')) | (Some(b'`'), Some(b'`')));
    !found.quoted && (variable || name.starts_with(b"-") || alone || inline)
}

/// Where the line that `at` is on starts; at most 512 bytes back, so that a file of one line is
/// not read again for every word in it.
pub(super) fn line_start(bytes: &[u8], at: usize) -> usize {
    let floor = at.saturating_sub(512);
    memchr::memrchr(b'\n', &bytes[floor..at]).map_or(floor, |found| floor + found + 1)
}

/// Where the line that `at` is on ends; at most 512 bytes on.
pub(super) fn line_end(bytes: &[u8], at: usize) -> usize {
    let ceiling = (at + 512).min(bytes.len());
    memchr::memchr(b'\n', &bytes[at..ceiling]).map_or(ceiling, |found| at + found)
}

/// Whether the text at `at` is part of the name of an AWS resource, which may be the name of a secret:
/// `arn:aws:secretsmanager:eu-west-1:123456789012:secret:app-Zk3nV8`.
pub(super) fn in_resource_name(bytes: &[u8], at: usize) -> bool {
    let before = &bytes[at.saturating_sub(VALUE_MOST / 4)..at];
    let start = before.iter().rposition(|b| {
        b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'`' | b'=' | b'<' | b'>' | b'(')
    });
    before[start.map_or(0, |quote| quote + 1)..].starts_with(b"arn:")
}

/// Whether the text at `at` is the quotation of a page in its address: `https://acme.io/help#:~:text=An%20app%20password…`.
pub(super) fn in_text_fragment(bytes: &[u8], at: usize) -> bool {
    let before = &bytes[at.saturating_sub(VALUE_MOST / 4)..at];
    let ends = |b: &u8| matches!(b, b'\n' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'(' | b')');
    let start = before.iter().rposition(ends).map_or(0, |mark| mark + 1);
    memchr::memmem::find(&before[start..], b"#:~:text=").is_some()
}

fn blanks(bytes: &[u8], at: usize) -> usize {
    count(bytes, at, GAP_MOST, |b| b == b' ' || b == b'\t')
}

/// A plain loop: it is the innermost of all that reads names and values, and builds for development inline no iterators.
fn count(bytes: &[u8], at: usize, most: usize, wanted: impl Fn(u8) -> bool) -> usize {
    let ceiling = at.saturating_add(most).min(bytes.len());
    let mut end = at;
    while end < ceiling && wanted(bytes[end]) {
        end += 1;
    }
    end - at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, word: &str) -> Option<String> {
        let start = text.find(word).expect("the word is there");
        let name = name_around(text.as_bytes(), &(start..start + word.len()));
        let found = assigned(text.as_bytes(), name)?;
        Some(text[found.value].to_owned())
    }

    #[test]
    fn reads_every_way_to_assign() {
        for text in [
            "password = 'v4lue'",
            "password: v4lue",
            "\"password\": \"v4lue\"",
            "password := \"v4lue\"",
            "PASSWORD=v4lue",
            "<password>v4lue</password>",
            "password => 'v4lue'",
            "let password: &str = \"v4lue\";",
            "--password v4lue",
            "login x password v4lue",
            "('password', 'v4lue')",
            "CREATE USER u PASSWORD 'v4lue'",
            "password - 'v4lue'",
            "password ?= v4lue",
            "{\\\"password\\\":\\\"v4lue\\\"}",
            "var password string = \"v4lue\"",
            "url?password=v4lue&x=1",
            "- name: DB_PASSWORD\n  value: v4lue\n",
            "{\"name\": \"DB_PASSWORD\", \"value\": \"v4lue\"}",
            "{\"Key\":\"password\",\"Value\":\"v4lue\"}",
            "<add key=\"password\" value=\"v4lue\"/>",
            "variable \"password\" {\n  type = string\n  default = \"v4lue\"\n}",
            "ENV DB_PASSWORD v4lue",
            "<property>\n  <name>shop.password</name>\n  <value>v4lue</value>\n",
            "setenv DB_PASSWORD v4lue",
            "set -gx DB_PASSWORD v4lue",
            "Dim password As String = \"v4lue\"",
            "mapOf(\"password\" to \"v4lue\")",
            "spark.ssl.keypassword  v4lue\nspark.x y\n",
            "password: |\n  v4lue\n",
            "password: >-\n    v4lue",
            "password: &p v4lue",
            "? password\n: v4lue\n",
            "db:\n  ? \"password\"\n  : 'v4lue'\n",
            "@Value(\"${db.password:v4lue}\")",
            "DB=${DB_PASSWORD:-v4lue}",
            "${PASSWORD:='v4lue'}",
            "<key>password</key>\n  <string>v4lue</string>",
            "password:\n    Type: String\n    Default: v4lue\n",
            "\"password\": {\"Type\": \"String\", \"Default\": \"v4lue\"}",
            "add_argument(\"--password\", default=\"v4lue\")",
            "password = SecretStr(\"v4lue\")",
            "var password = []byte(\"v4lue\")",
            "process.env.PASSWORD || 'v4lue'",
            "os.environ.get(\"DB_PASSWORD\") or \"v4lue\"",
            "public string password { get; set; } = \"v4lue\";",
            "The password of the warehouse is `v4lue`.",
            "bind_password v4lue\n",
            "user admin insecure-password v4lue",
            "username admin password 0 v4lue",
            "page.fill('#password', 'v4lue')",
            "password: &p !!str 'v4lue'",
            "Map(\"password\" -> \"v4lue\")",
            "client.setpassword(\"v4lue\")",
            "<setting name='password' serializeAs='String'><value>v4lue</value></setting>",
        ] {
            let word = if text.contains("PASSWORD") { "PASSWORD" } else { "password" };
            assert_eq!(value(text, word).as_deref(), Some("v4lue"), "{text}");
        }
    }

    #[test]
    fn the_name_of_a_resource_holds_no_secret() {
        let at = |text: &str| in_resource_name(text.as_bytes(), text.find("app-").expect("it is there"));
        assert!(at("ARN = \"arn:aws:secretsmanager:eu-west-1:123456789012:secret:app-Zk3nV8\""));
        assert!(!at("arn: secret:app-Zk3nV8"));
    }

    #[test]
    fn prose_and_calls_assign_nothing() {
        for text in [
            "the password must be long",
            "password()",
            "password",
            "password\n",
            "spark.password must be set",
            "set the password v4lue",
            "\"A=$password\",\n \"B=v4lue\"",
            "<name>password</name><other>v4lue</other>",
            "password to v4lue",
            "password as v4lue",
            "password->v4lue",
            "- name: password\n- name: other\n  value: v4lue",
            "- name: password\n  valueFrom: v4lue",
            "variable \"password\" {\n  type = string\n}\nvariable \"other\" {\n  default = \"v4lue\"\n}",
            "getpassword(\"v4lue\")",
            "<input name='password'/><input name='other' value='v4lue'/>",
            "${password:?v4lue}",
            "password:\n  Type: String\nother:\n  Default: v4lue",
            "password: {type: string, minLength: 8}",
            "the password of the user must be v4lue",
            "connect(os.environ[\"password\"], \"v4lue\")",
        ] {
            assert_eq!(value(text, "password"), None, "{text}");
        }
    }
}
