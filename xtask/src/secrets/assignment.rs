//! Finds what is assigned to a name: `name = "value"` in any of the ways files write it.
//!
//! Code, YAML, JSON, TOML, dotenv, properties, XML elements and attributes, SQL, command lines, log
//! lines and netrc differ in what separates a name from its value; all of it is parsed here by
//! hand, outwards from one word of the name and over a bounded number of bytes.

mod apart;

use std::ops::Range;

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
        let (value, quoted) = value_at(bytes, apart::unwrapped(bytes, at), Tie::Operator)?;
        // An element has an end as a string has.
        let quoted = quoted || bytes[..at].ends_with(b">");
        return Some(Assigned { name, value, quoted, tie: Tie::Operator });
    }
    if let Some(value) = apart::said(bytes, &name) {
        return Some(Assigned { name, value, quoted: true, tie: Tie::Loose });
    }
    let mut at = name.end;
    let quoted_name = matches!(bytes.get(at), Some(b'"' | b'\'' | b'`'));
    at += count(bytes, at, 3, |b| matches!(b, b'"' | b'\'' | b'`' | b']' | b')' | b'}' | b'\\'));
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
        (at, operator, tie) = no_operator(bytes, &name, at, gap, quoted_name)?;
    }
    at += operator;
    // `name: Type = value`: this is the type.
    if bytes.get(at.saturating_sub(1)) == Some(&b':') {
        let start = at + blanks(bytes, at);
        let kind = count(bytes, start, GAP_MOST, |b| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'&' | b'<' | b'>' | b'?' | b'\'')
        });
        let after = start + kind + blanks(bytes, start + kind);
        if kind > 0 && bytes.get(after) == Some(&b'=') && bytes.get(after + 1) != Some(&b'=') {
            at = after + 1;
        }
    }
    let (value, quoted) = value_at(bytes, apart::unwrapped(bytes, at), tie)?;
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

/// What ties a name to a value without an operator.
fn no_operator(
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
    match rest.first()? {
        // A longer name is text or a separate list, and so is one that only ends a string.
        b',' if quoted_name && name.len() <= ARGUMENT_MOST && follows_quote(bytes, name.start) => {
            return Some((at, 1, Tie::Beside));
        }
        b'-' if gap > 0 && rest.get(1) == Some(&b' ') => return Some((at, 1, Tie::Loose)),
        b'"' | b'\'' | b'`' if gap > 0 => return Some((at, 0, Tie::Beside)),
        // `put(Context.SECURITY_CREDENTIALS, "x")`: a constant that names a setting.
        b',' if gap == 0 && is_constant_argument(bytes, name) => return Some((at, 1, Tie::Beside)),
        b'(' if is_setter(&bytes[name.clone()]) => return Some((at, 1, Tie::Beside)),
        // `public string Password { get; set; } = "x"`, a property of C#.
        b'{' if rest.starts_with(b"{ get;") => {
            let end = memchr::memmem::find(&rest[..rest.len().min(GAP_MOST + 8)], b"} =")?;
            return Some((at + end + 2, 1, Tie::Operator));
        }
        _ => {}
    }
    if gap == 0 {
        return None;
    }
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
    let netrc = memchr::memmem::find(&bytes[name.start.saturating_sub(120)..name.start], b"login ").is_some();
    let line = &bytes[line_start(bytes, name.start)..name.start];
    // `user admin insecure-password x`, `username admin password 0 x`.
    let of_user = [&b"user "[..], b"username "].iter().any(|word| memchr::memmem::find(line, word).is_some());
    if of_user && text.len() == 1 && text[0].is_ascii_digit() && after > at + word {
        return Some((after, 0, Tie::Beside));
    }
    let netrc = netrc || of_user;
    let env = sets_variable(&bytes[line_start(bytes, name.start)..name.start]);
    (flag || netrc || env || alone_on_its_line(bytes, name, at)).then_some((at, 0, Tie::Beside))
}

fn follows_quote(bytes: &[u8], at: usize) -> bool {
    // `fill('#password', 'x')`: the selector of a field.
    let at = at - usize::from(bytes[..at].ends_with(b"#"));
    matches!(bytes[..at].last(), Some(b'"' | b'\'' | b'`' | b':'))
}

/// Whether a name is that of a constant in capitals and the first argument of a call: `(SslConfigs.SSL_KEY_PASSWORD`.
fn is_constant_argument(bytes: &[u8], name: &Range<usize>) -> bool {
    let last = bytes[name.clone()].rsplit(|b| *b == b'.').next().unwrap_or_default();
    bytes[..name.start].ends_with(b"(")
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
    let small = |b: &u8| b.is_ascii_lowercase() || matches!(b, b'_' | b'-');
    let setting = bytes[name.clone()].iter().all(small) && value.iter().any(u8::is_ascii_digit);
    (setting || memchr::memchr(b'.', &bytes[name.clone()]).is_some())
        && before.iter().all(|b| matches!(b, b' ' | b'\t'))
        && !value.is_empty()
        && !value.iter().any(u8::is_ascii_whitespace)
}

/// `setPassword`, `client.set_token`, `withApiKey`: what is in its parentheses is assigned.
fn is_setter(name: &[u8]) -> bool {
    let last = name.rsplit(|b| *b == b'.').next().unwrap_or(name).to_ascii_lowercase();
    last.starts_with(b"set") || last.starts_with(b"with")
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
    !found.quoted && (variable || name.starts_with(b"-") || alone)
}

/// The value at `at`, without its quotes.
pub(super) fn value_at(bytes: &[u8], at: usize, tie: Tie) -> Option<(Range<usize>, bool)> {
    let mut at = at + blanks(bytes, at);
    at += properties(bytes, at);
    if let Some(block) = block_scalar(bytes, at) {
        at = block;
    }
    // A value may be on the next line if it is quoted.
    if bytes.get(at) == Some(&b'\r') || bytes.get(at) == Some(&b'\n') {
        let next = at + count(bytes, at, 80, |b| matches!(b, b'\r' | b'\n' | b' ' | b'\t'));
        let element = bytes[..at].trim_ascii_end().ends_with(b">");
        if !matches!(bytes.get(next), Some(b'"' | b'\'')) && !element {
            return None;
        }
        at = next;
    }
    // `b"…"`, `r#"…"`, `String.raw`…: a prefix of a letter or two before a quote.
    let prefix = count(bytes, at, 3, |b| b.is_ascii_alphabetic() || matches!(b, b'#' | b'@'));
    if prefix > 0 && matches!(bytes.get(at + prefix), Some(b'"' | b'\'')) {
        at += prefix;
    }
    if bytes.get(at) == Some(&b'\\') && matches!(bytes.get(at + 1), Some(b'"' | b'\'')) {
        at += 1;
        return quoted(bytes, at, true);
    }
    match bytes.get(at)? {
        b'"' | b'\'' | b'`' => quoted(bytes, at, false),
        b'{' if tie == Tie::Operator => {
            let end = at
                + 1
                + count(bytes, at + 1, VALUE_MOST, |b| (b.is_ascii_graphic() || b == b' ') && b != b'}');
            // `{type: string, …}` is a mapping.
            if memchr::memmem::find(&bytes[at..end], b": ").is_some() {
                return None;
            }
            // `{AES abc…}`: the last word is the value.
            let word = memchr::memrchr(b' ', &bytes[at + 1..end]).map_or(at + 1, |blank| at + 1 + blank + 1);
            // `{…=}`: Maven encrypted it.
            (bytes.get(end) == Some(&b'}') && word > at + 1)
                .then_some((word..end, true))
                .filter(|(range, _)| range.len() >= 12)
        }
        _ => {
            let end = trim_closers(bytes, at, bare_end(bytes, at));
            (end > at).then_some((at..end, false))
        }
    }
}

/// Where the value without quotes ends that starts at `at`.
fn bare_end(bytes: &[u8], at: usize) -> usize {
    let part = |b: u8| {
        b > b' '
            && b < 0x7F
            && !matches!(b, b',' | b';' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'&' | b'|' | b'\\')
    };
    let end = at + count(bytes, at, VALUE_MOST, part);
    // `12|x7Yq…`: the number of a token, a bar, and a token of letters and digits.
    let numbered = bytes.get(end) == Some(&b'|') && end > at && bytes[at..end].iter().all(u8::is_ascii_digit);
    let token = |b: u8| b.is_ascii_alphanumeric() || b == b'|';
    let length = count(bytes, end + 1, VALUE_MOST, token);
    if numbered && length >= 20 { end + 1 + length } else { end }
}

/// The length of the anchor and the tag before a YAML value: `&anchor`, `!!str`.
fn properties(bytes: &[u8], at: usize) -> usize {
    let mut length = 0;
    while matches!(bytes.get(at + length), Some(b'&' | b'!')) {
        let mark = at + length;
        let name = count(bytes, mark + 1, NAME_MOST, |b| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'!' | b':' | b'/')
        });
        let gap = blanks(bytes, mark + 1 + name);
        if name == 0 || gap == 0 {
            break;
        }
        length += 1 + name + gap;
    }
    length
}

/// Where the first line of a block scalar of YAML starts, whose head (`|`, `>-`) is at `at`.
fn block_scalar(bytes: &[u8], at: usize) -> Option<usize> {
    let head = usize::from(matches!(bytes.get(at), Some(b'|' | b'>')));
    let end = at + head + count(bytes, at + head, 2, |b| matches!(b, b'-' | b'+' | b'1'..=b'9'));
    let end = end + count(bytes, end, 1, |b| b == b'\r');
    let indent = count(bytes, end + 1, 80, |b| b == b' ');
    (head == 1 && bytes.get(end) == Some(&b'\n') && indent > 0).then_some(end + 1 + indent)
}

fn trim_closers(bytes: &[u8], start: usize, mut end: usize) -> usize {
    while end > start && matches!(bytes[end - 1], b')' | b']' | b'}') {
        let (open, close) = match bytes[end - 1] {
            b')' => (b'(', b')'),
            b']' => (b'[', b']'),
            _ => (b'{', b'}'),
        };
        let of = |wanted: u8| memchr::memchr_iter(wanted, &bytes[start..end]).count();
        if of(open) >= of(close) {
            break;
        }
        end -= 1;
    }
    end
}

fn quoted(bytes: &[u8], at: usize, escaped: bool) -> Option<(Range<usize>, bool)> {
    let quote = bytes[at];
    let mut start = at + 1;
    if bytes.get(start) == Some(&quote) && bytes.get(start + 1) == Some(&quote) {
        start += 2;
    } else if quote == b'`' && bytes.get(start) == Some(&quote) {
        // Two back quotes of reStructuredText.
        start += 1;
    }
    let ceiling = (start + VALUE_MOST).min(bytes.len());
    let mut end = start;
    while end < ceiling {
        match bytes[end] {
            b if b == quote => break,
            b'\\' if escaped && bytes.get(end + 1) == Some(&quote) => break,
            b'\\' => end += 1,
            b'\n' | b'\r' => return None,
            _ => {}
        }
        end += 1;
    }
    let mut end = end.min(bytes.len());
    if end >= ceiling && ceiling < bytes.len() {
        return None;
    }
    while start < end && bytes[start] == b' ' {
        start += 1;
    }
    while end > start && bytes[end - 1] == b' ' {
        end -= 1;
    }
    (end > start).then_some((start..end, true))
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

fn blanks(bytes: &[u8], at: usize) -> usize {
    count(bytes, at, GAP_MOST, |b| b == b' ' || b == b'\t')
}

fn count(bytes: &[u8], at: usize, most: usize, wanted: impl Fn(u8) -> bool) -> usize {
    bytes[at.min(bytes.len())..].iter().take(most).take_while(|b| wanted(**b)).count()
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
        ] {
            assert_eq!(value(text, "password"), None, "{text}");
        }
    }
}
