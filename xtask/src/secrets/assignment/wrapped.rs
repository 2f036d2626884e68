//! Values in a call that makes or converts them: `SecretStr("…")`, `[]byte("…")`, `new TextEncoder().encode("…")`.

use super::super::generic::words;
use super::blanks;

/// How far from its operator a wrapped value may start, in bytes.
const WAY_MOST: usize = 64;

/// Last words of the names of calls that pass on what they are given, whatever the library.
const MAKERS: &[&str] = &[
    "str",
    "string",
    "secret",
    "password",
    "text",
    "plaintext",
    "byte",
    "bytes",
    "char",
    "chars",
    "buffer",
    "encode",
    "decode",
    "hex",
    "fromhex",
    "unhex",
    "unhexlify",
    "base64",
    "b64",
    "b64decode",
    "b64encode",
    "base64decode",
    "base64encode",
    "atob",
    "btoa",
    "stringify",
    "lazy",
    "some",
    "just",
    "of",
    "from",
    "new",
    "make",
    "field",
    "state",
    "ref",
    "signal",
    "observable",
    "literal",
    "value",
    "sensitive",
    "redacted",
];

/// First words of the names of calls that look something up by what they are given.
const LOOKS_UP: &[&str] =
    &["get", "fetch", "read", "load", "find", "lookup", "resolve", "access", "env", "config"];

/// Behind the bracket of a call that starts at `at`, if its argument is a string that it passes on.
pub(super) fn unwrapped(bytes: &[u8], at: usize) -> usize {
    let start = at + blanks(bytes, at);
    let begins = bytes.get(start).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'[');
    if begins { passed_on(bytes, start).unwrap_or(at) } else { at }
}

fn passed_on(bytes: &[u8], start: usize) -> Option<usize> {
    let reach = &bytes[start..(start + WAY_MOST).min(bytes.len())];
    let quote = reach.iter().position(|b| matches!(b, b'"' | b'\'' | b'\n' | b';' | b',' | b'#'))?;
    if !matches!(reach[quote], b'"' | b'\'') {
        return None;
    }
    // `bytes(b"…")`, `Field(default="…")`.
    let way = reach[..quote].strip_suffix(b"(b").map_or(&reach[..quote], |_| &reach[..quote - 1]);
    let call = way.strip_suffix(b"default=").unwrap_or(way).trim_ascii_end();
    let name = call.strip_suffix(b"(").or_else(|| call.strip_suffix(b"{"))?;
    let path = |b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'_' | b'.' | b':' | b'<' | b'>' | b'[' | b']' | b'(' | b')' | b' ')
    };
    // A call on the way has no arguments: `new TextEncoder().encode(`.
    let plain = || name.iter().all(path) && name.windows(2).all(|pair| pair[0] != b'(' || pair[1] == b')');
    (passes_on(name) && plain()).then_some(start + way.len())
}

/// Whether a call of that name has the value of its argument.
pub(in super::super) fn passes_on(call: &[u8]) -> bool {
    let call = call.trim_ascii_end();
    let start = call.iter().rposition(|b| !(b.is_ascii_alphanumeric() || *b == b'_')).map_or(0, |at| at + 1);
    let name = &call[start..];
    // `get_…(`, in small letters: without taking the words apart.
    let looks_up = |word: &&str| {
        name.strip_prefix(word.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"_") && !rest.to_ascii_lowercase().ends_with(b"bytes"))
    };
    if LOOKS_UP.iter().any(looks_up) {
        return false;
    }
    let words = words(name);
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return false };
    let owner = call[..start].strip_suffix(b".").unwrap_or_default();
    let settings = [&b"env"[..], b"config", b"settings", b"conf"].iter().any(|word| {
        owner.len() >= word.len() && owner[owner.len() - word.len()..].eq_ignore_ascii_case(word)
    });
    // `key_of(…)` looks up, `Optional.of(…)` does not.
    if words.len() > 1 && last == "of" {
        return false;
    }
    let made = last == "bytes" || !LOOKS_UP.contains(&first.as_str());
    made && !settings && MAKERS.contains(&last.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_passes_on_is_the_value() {
        // The mark of bytes is read with the string.
        assert_eq!(unwrapped(b"bytes(b\"v\")", 0), 6);
        for text in [
            "SecretStr(",
            "SecretString::from(",
            "new GuardedString(",
            "Secret.fromPlainText(",
            "pulumi.secret(",
            "Field(default=",
            "Some(",
            "Optional.of(",
            "[]byte(",
            "new TextEncoder().encode(",
            "bytes.fromhex(",
            "Encoding.UTF8.GetBytes(",
            "hex.DecodeString(",
            "useState(",
            "lazy { ",
        ] {
            let quoted = format!(" {text}\"v\")");
            assert_eq!(unwrapped(quoted.as_bytes(), 0), text.len() + 1, "{text}");
        }
        for text in [
            "get_secret(",
            "os.getenv(",
            "config.get_string(",
            "env.str(",
            "sha256(",
            "t(",
            "open(",
            "f(x).encode(",
        ] {
            let quoted = format!("{text}\"v\")");
            assert_eq!(unwrapped(quoted.as_bytes(), 0), 0, "{text}");
        }
    }
}
