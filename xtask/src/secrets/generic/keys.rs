//! Keys that open nothing: of tables, and of files of test vectors.

use super::super::assess;
use super::super::assignment::{Assigned, line_end, line_start};

/// A key among the inputs and outputs of a cipher, as files of test vectors list them by the hundred.
pub(super) fn in_test_vector(bytes: &[u8], found: &Assigned) -> bool {
    const PARTS: &[&[u8]] = &[
        b"\ninput",
        b"\nmsg",
        b"\nplaintext",
        b"\nciphertext",
        b"\npt =",
        b"\nct =",
        b"\nnonce",
        b"\niv =",
        b"\nmac",
        b"\ntag",
    ];
    if found.quoted {
        return in_vector_of_json(bytes, found);
    }
    let ceiling = (found.value.end + 1500).min(bytes.len());
    let after = bytes[found.value.end..ceiling].to_ascii_lowercase();
    // What belongs to one vector ends with an empty line.
    let end = memchr::memmem::find(&after, b"\n\n").unwrap_or(after.len());
    PARTS.iter().filter(|part| memchr::memmem::find(&after[..end], part).is_some()).count() >= 2
}

/// The same in JSON: `{"tcId": 1, "key": …, "iv": …, "msg": …}`.
fn in_vector_of_json(bytes: &[u8], found: &Assigned) -> bool {
    const PARTS: &[&[u8]] = &[
        b"\"iv\"",
        b"\"msg\"",
        b"\"ct\"",
        b"\"tag\"",
        b"\"aad\"",
        b"\"nonce\"",
        b"\"tcId\"",
        b"\"plaintext\"",
        b"\"ciphertext\"",
    ];
    if bytes.get(found.name.end) != Some(&b'"') {
        return false;
    }
    let floor = found.name.start.saturating_sub(300);
    let ceiling = (found.value.end + 300).min(bytes.len());
    let start = memchr::memrchr(b'{', &bytes[floor..found.name.start]).map_or(floor, |brace| floor + brace);
    let end = memchr::memchr(b'}', &bytes[found.value.end..ceiling])
        .map_or(ceiling, |brace| found.value.end + brace);
    PARTS.iter().filter(|part| memchr::memmem::find(&bytes[start..end], part).is_some()).count() >= 2
}

/// The UUID of a record among other pairs on the line of a log: `offset=19 key=… topic=orders`.
pub(super) fn of_log_record(bytes: &[u8], found: &Assigned, words: &[String]) -> bool {
    if words != ["key"] || found.quoted || !assess::uuid(&bytes[found.value.clone()]) {
        return false;
    }
    let line = &bytes[line_start(bytes, found.name.start)..line_end(bytes, found.value.end)];
    let pair = |word: &&[u8]| {
        let name = word.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')).count();
        name > 0 && word.get(name) == Some(&b'=')
    };
    line.split(|b| *b == b' ').filter(pair).count() >= 3
}

/// A digest that joins tables: `order_key` with an MD5, as dbt packages make surrogate keys. A key of a service or a
/// cipher says so in its name.
pub(super) fn surrogate_key(words: &[String], value: &[u8]) -> bool {
    const OF_SECRETS: &[&str] = &[
        "api",
        "apikey",
        "secret",
        "private",
        "access",
        "auth",
        "app",
        "application",
        "client",
        "cipher",
        "crypt",
        "crypto",
        "encryption",
        "encrypt",
        "decryption",
        "signing",
        "sign",
        "signature",
        "hmac",
        "aes",
        "des",
        "master",
        "service",
        "server",
        "license",
        "shared",
        "cookie",
        "subscription",
        "admin",
        "deploy",
        "integration",
        "ingest",
        "write",
        "read",
        "webhook",
        "jwt",
        "db",
    ];
    let [before @ .., last] = words else { return false };
    digest(value)
        && last == "key"
        && !before.is_empty()
        && !before.iter().any(|word| OF_SECRETS.contains(&word.as_str()))
        && before.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase()))
}

fn digest(value: &[u8]) -> bool {
    assess::uuid(value) || matches!(value.len(), 32 | 40 | 64) && value.iter().all(u8::is_ascii_hexdigit)
}

/// A digest in a column that is only called `key` or `_key`, where a condition of SQL says that it is a column:
/// `where _key != '…'`.
pub(super) fn in_condition(bytes: &[u8], found: &Assigned, words: &[String]) -> bool {
    const BEFORE: [&str; 7] = ["where", "and", "or", "on", "not", "having", "when"];
    if words != ["key"] || !digest(&bytes[found.value.clone()]) {
        return false;
    }
    // Code compares with `==`, SQL with `=`.
    if memchr::memmem::find(&bytes[found.name.end..found.value.start], b"==").is_some() {
        return false;
    }
    let before = &bytes[found.name.start.saturating_sub(80)..found.name.start];
    let before = String::from_utf8_lossy(before).to_ascii_lowercase();
    let before = before.trim_end_matches(['"', '`', '_']);
    let of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '"' | '`' | '.');
    // `and dim."_key" != '…'`.
    let before = if before.ends_with('.') { before.trim_end_matches(of_name) } else { before };
    // `on (key = '…'`, `where: "key = '…'"`.
    let before = before.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '(' | ':' | '"'));
    before.rsplit(|c: char| !c.is_ascii_alphabetic()).next().is_some_and(|word| BEFORE.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::assignment;

    #[test]
    fn a_key_of_a_test_vector_is_none() {
        let vector = |text: &str| {
            let name = text.find("Key").expect("a key");
            let found = assignment::assigned(text.as_bytes(), name..name + 3).expect("assigned");
            in_test_vector(text.as_bytes(), &found)
        };
        assert!(vector("Key = 00ff\nInput = 89da\nMAC = c85d\n"));
        assert!(vector("Key: 00ff\nNonce: 07\nCiphertext: c85d"));
        assert!(!vector("Key = 00ff\n\nInput = 89da\nMAC = c85d\n"));
        assert!(!vector("Key = 00ff\nTag = release\nregion = x\n"));
    }
}
