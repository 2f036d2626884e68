//! Values that are not right behind an operator after their names: in the next element, in a field called `value` or
//! `default`, in the default of a placeholder, in a constructor, at the end of a sentence.

use std::ops::Range;

use super::{GAP_MOST, blanks, count, line_end, line_start, operator};

/// How far after a name the word `value` may come, in bytes.
const PAIR_MOST: usize = 64;
/// How far after a name a declaration is read, in bytes.
const DECLARATION_MOST: usize = 300;

/// The start of the value that a name has in another field, element or line.
pub(super) fn value_of(bytes: &[u8], name: &Range<usize>) -> Option<usize> {
    beside_its_name(bytes, name)
        .or_else(|| default_of(bytes, name))
        .or_else(|| default_of_parameter(bytes, name))
        .or_else(|| default_of_argument(bytes, name))
        .or_else(|| returned(bytes, name))
        .or_else(|| of_explicit_key(bytes, name))
        .or_else(|| printed(bytes, name))
}

/// The start of what a command at a prompt printed: `$ echo $DB_PASSWORD` above the value.
fn printed(bytes: &[u8], name: &Range<usize>) -> Option<usize> {
    let before = &bytes[line_start(bytes, name.start)..name.start];
    let end = line_end(bytes, name.end);
    let ends = |b: &u8| matches!(b, b'}' | b'"' | b'\'' | b'\r' | b' ');
    if !before.starts_with(b"$ ") || !bytes[name.end..end].iter().all(ends) || end >= bytes.len() {
        return None;
    }
    let next = bytes[end + 1..line_end(bytes, end + 1)].trim_ascii();
    let one = !next.iter().any(u8::is_ascii_whitespace) && next.iter().any(u8::is_ascii_digit);
    one.then_some(end + 1)
}

/// The start of the value for a name that is itself the value of `name` or `key`: `{"name": "API_TOKEN", "value": …}`,
/// `- name: API_TOKEN` above `value: …`, `<add key="ApiToken" value="…"/>`.
fn beside_its_name(bytes: &[u8], name: &Range<usize>) -> Option<usize> {
    if let Some(at) = in_next_element(bytes, name) {
        return Some(at);
    }
    let quote = |b: &u8| matches!(b, b'"' | b'\'');
    let unquoted = |text: &'_ [u8]| text.len() - usize::from(text.last().is_some_and(quote));
    let before = bytes[name.start.saturating_sub(12)..name.start].trim_ascii_end();
    let before = before[..unquoted(before)].trim_ascii_end();
    let label = before.strip_suffix(b":").or_else(|| before.strip_suffix(b"="))?.trim_ascii_end();
    let label = &label[..unquoted(label)];
    if ![&b"name"[..], b"key"].iter().any(|word| ends_with_word(label, word)) {
        return None;
    }
    // The text between them belongs to the same object, element or item.
    let between = &bytes[name.end..(name.end + PAIR_MOST).min(bytes.len())];
    let at = between.windows(5).position(|word| word.eq_ignore_ascii_case(b"value"))?;
    let apart = |b: &u8| matches!(b, b'{' | b'}' | b';' | b'/' | b'(' | b')');
    let item = |pair: &[u8]| pair == b"- ";
    if between[..at].iter().any(apart) || between[..at].windows(2).any(item) {
        return None;
    }
    let mut at = name.end + at + 5;
    at += count(bytes, at, 1, |b| matches!(b, b'"' | b'\''));
    at += blanks(bytes, at);
    let (length, _) = operator(bytes, at);
    (length == 1).then_some(at + 1)
}

/// The start of the value in `<name>javax.jdo.option.ConnectionPassword</name> <value>…`, as Hadoop writes properties,
/// in `<key>Password</key> <string>…`, as property lists of Apple have them, and in the next cell of a table.
fn in_next_element(bytes: &[u8], name: &Range<usize>) -> Option<usize> {
    const PAIRS: [[&[u8]; 3]; 6] = [
        [b"<name>", b"</name>", b"<value>"],
        [b"<key>", b"</key>", b"<string>"],
        [b"<td>", b"</td>", b"<td>"],
        [b"<th>", b"</th>", b"<td>"],
        [b"<dt>", b"</dt>", b"<dd>"],
        [b"<", b">", b"<Value>"],
    ];
    // Asked of every name: most are in no element.
    if !bytes[..name.start].ends_with(b"<") && !bytes[..name.start].ends_with(b">") {
        return None;
    }
    PAIRS.iter().find_map(|[open, close, next]| {
        let rest = bytes[name.end..(name.end + DECLARATION_MOST).min(bytes.len())].strip_prefix(*close)?;
        let blank = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        (bytes[..name.start].ends_with(open) && rest[blank..].starts_with(next))
            .then_some(name.end + close.len() + blank + next.len())
    })
}

/// The start of the default that Terraform gives the variable of that name: `variable "api_token" { default = … }`.
fn default_of(bytes: &[u8], name: &Range<usize>) -> Option<usize> {
    if !bytes[..name.start].ends_with(b"variable \"") {
        return None;
    }
    let block = &bytes[name.end..(name.end + DECLARATION_MOST).min(bytes.len())];
    let block = &block[..memchr::memchr(b'}', block).unwrap_or(block.len())];
    let at = name.end + memchr::memmem::find(block, b" default")? + b" default".len();
    let at = at + blanks(bytes, at);
    (bytes.get(at) == Some(&b'=')).then_some(at + 1)
}

/// Whether the text ends with the word in any case, and not with a longer one: `username` is not `name`.
fn ends_with_word(text: &[u8], word: &[u8]) -> bool {
    let Some(start) = text.len().checked_sub(word.len()) else { return false };
    text[start..].eq_ignore_ascii_case(word) && !text[..start].last().is_some_and(u8::is_ascii_alphanumeric)
}

/// The start of the default of a parameter of `CloudFormation`, of an input of an action or of a schema:
/// `DbPassword: {Type: String, Default: …}`, in YAML and JSON.
fn default_of_parameter(bytes: &[u8], name: &Range<usize>) -> Option<usize> {
    let at = name.end + count(bytes, name.end, 1, |b| matches!(b, b'"' | b'\''));
    if bytes.get(at) != Some(&b':') {
        return None;
    }
    let at = at + 1 + blanks(bytes, at + 1);
    let block = &bytes[at..(at + DECLARATION_MOST).min(bytes.len())];
    let block = match block.first()? {
        b'{' => &block[..memchr::memchr(b'}', block).unwrap_or(block.len())],
        b'\n' | b'\r' => &block[..deeper(block, indent(&bytes[line_start(bytes, name.start)..name.start]))],
        _ => return None,
    };
    // `"adminPassword": {"value": …}`, as parameters of templates are set.
    let set = block.strip_prefix(b"{").map(<[u8]>::trim_ascii_start).and_then(|text| {
        // `"password": {"type": "SecureString", "value": …}`, as Data Factory has it.
        let typed = text.strip_prefix(b"\"type\"").and_then(|rest| {
            let quote = memchr::memmem::find(rest, b"\",")?;
            memchr::memmem::find(&rest[..quote], b"ecure")?;
            Some(rest[quote + 2..].trim_ascii_start())
        });
        let rest = typed.unwrap_or(text).strip_prefix(b"\"value\"")?;
        Some(block.len() - rest.len())
    });
    let key = set.or_else(|| {
        [&b"Default"[..], b"default"].iter().find_map(|word| {
            let found = memchr::memmem::find(block, word)?;
            let apart =
                |b: Option<&u8>| !b.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
            (apart(block[..found].last()) && apart(block.get(found + word.len())))
                .then_some(found + word.len())
        })
    })?;
    let colon = key + count(block, key, 1, |b| matches!(b, b'"' | b'\''));
    let colon = colon + blanks(block, colon);
    (block.get(colon) == Some(&b':')).then_some(at + colon + 1)
}

/// How much of a text, from the end of a line on, is further right than a key is.
fn deeper(block: &[u8], base: usize) -> usize {
    let mut end = 0;
    for line in block.split_inclusive(|b| *b == b'\n') {
        if !line.trim_ascii().is_empty() && indent(line) <= base {
            break;
        }
        end += line.len();
    }
    end
}

fn indent(line: &[u8]) -> usize {
    line.iter().take_while(|b| **b == b' ').count()
}

/// The start of the default in `add_argument("--password", default="…")` and `option("--token", default="…")`.
fn default_of_argument(bytes: &[u8], name: &Range<usize>) -> Option<usize> {
    let quote = bytes[..name.start].last().filter(|b| matches!(b, b'"' | b'\''))?;
    if bytes.get(name.end) != Some(quote) || bytes.get(name.end + 1) != Some(&b',') {
        return None;
    }
    let rest = &bytes[name.end..line_end(bytes, name.end).min(name.end + DECLARATION_MOST)];
    let at = memchr::memmem::find(rest, b"default")? + b"default".len();
    // `default_value = "…"` of clap, `default: "…"`, `defaultValue = "…"`.
    let at = at + count(rest, at, 8, |b| b.is_ascii_alphabetic() || b == b'_');
    let at = at + blanks(rest, at);
    let operator = rest.get(at).is_some_and(|b| matches!(b, b'=' | b':'));
    operator.then_some(name.end + at + 1)
}

/// How far after its name a function returns a value, in bytes.
const BODY_MOST: usize = 120;

/// What precedes the name of a function.
const KEYWORDS: &[&[u8]] =
    &[b"def", b"fn", b"func", b"function", b"fun", b"String", b"string", b"sub", b"str"];

/// The start of the string that a function of that name returns: `def api_token(): return "…"`.
fn returned(bytes: &[u8], name: &Range<usize>) -> Option<usize> {
    if bytes.get(name.end..name.end + 2) != Some(b"()") {
        return None;
    }
    let line = bytes[line_start(bytes, name.start)..name.start].trim_ascii();
    let word = line.rsplit(|b| !b.is_ascii_alphanumeric()).next().unwrap_or_default();
    if !KEYWORDS.contains(&word) {
        return None;
    }
    let body = &bytes[name.end..(name.end + BODY_MOST).min(bytes.len())];
    let at = memchr::memmem::find(body, b"return ")? + b"return ".len();
    matches!(body.get(at), Some(b'"' | b'\'' | b'`')).then_some(name.end + at)
}

/// Where what is typed into the field starts that a string names: behind the string at `at` come its value, or calls that
/// fill it in.
pub(super) fn typed(bytes: &[u8], name: &Range<usize>, at: usize) -> Option<usize> {
    const FILLS: &[&[u8]] =
        &[b".fill(", b".type(", b".send_keys(", b".sendKeys(", b".setValue(", b".set_value(", b".fill_in("];
    let arguments = bytes[line_start(bytes, name.start)..name.start].rsplit(|b| *b == b'(').next()?;
    let start = arguments.iter().position(|b| matches!(b, b'"' | b'\'' | b'`'))?;
    let (open, selector) = (arguments[start], &arguments[start + 1..]);
    if arguments.len() > GAP_MOST * 2 || selector.contains(&open) || !bytes[name.end..at].contains(&open) {
        return None;
    }
    let rest = &bytes[at..line_end(bytes, at)];
    // `type('input[name=password]', 'x')`, where the name is not the whole string: that is asked elsewhere.
    if let Some(next) = rest.strip_prefix(b", ") {
        let field = selector.contains(&b'[') || selector.contains(&b'#') || selector.contains(&b'.');
        return (field && matches!(next.first(), Some(b'"' | b'\'' | b'`'))).then_some(at + 2);
    }
    let rest = rest.strip_prefix(b")").unwrap_or(rest);
    let fill = FILLS.iter().find(|fill| rest.starts_with(fill))?;
    Some(line_end(bytes, at) - rest.len() + fill.len())
}

/// The start of the value of a key that YAML marks as one: `? password` above `: …`.
fn of_explicit_key(bytes: &[u8], name: &Range<usize>) -> Option<usize> {
    // Asked of every name: most have no mark before them.
    let before = &bytes[name.start.saturating_sub(4)..name.start];
    memchr::memchr(b'?', before)?;
    let line = &bytes[line_start(bytes, name.start)..name.start];
    let line = line.strip_suffix(b"\"").or_else(|| line.strip_suffix(b"'")).unwrap_or(line);
    if !matches!(line.trim_ascii(), b"?" | b"- ?" | b"{ ?" | b"{?") {
        return None;
    }
    let at = name.end + count(bytes, name.end, 1, |b| matches!(b, b'"' | b'\''));
    let at = at + count(bytes, at, 80, |b| b.is_ascii_whitespace());
    (bytes.get(at) == Some(&b':') && bytes.get(at + 1).is_some_and(u8::is_ascii_whitespace)).then_some(at + 1)
}

/// Whether a name is that of a placeholder with something behind it.
pub(super) fn is_substituted(bytes: &[u8], name: &Range<usize>) -> bool {
    bytes[..name.start].ends_with(b"${") && bytes.get(name.end) == Some(&b':')
}

/// The value that is used if a setting has none: `${DB_PASSWORD:-…}` of shells, `${db.password:…}` of Spring.
pub(super) fn substitute(bytes: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    let start = name.end + 1 + count(bytes, name.end + 1, 1, |b| matches!(b, b'-' | b'='));
    let ends = |b: u8| matches!(b, b'}' | b'\n' | b'\r' | b'$');
    let end = start + count(bytes, start, DECLARATION_MOST, |b| !ends(b));
    // `${TOKEN:?is missing}` and `${TOKEN:+set}` hold messages.
    if bytes.get(end) != Some(&b'}') || matches!(bytes.get(start), Some(b'?' | b'+')) {
        return None;
    }
    let quote = |b: &u8| matches!(b, b'"' | b'\'');
    let quoted = end - start >= 2 && quote(&bytes[start]) && bytes[end - 1] == bytes[start];
    let value = if quoted { start + 1..end - 1 } else { start..end };
    (!value.is_empty()).then_some(value)
}
