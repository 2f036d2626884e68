//! Secrets that Terraform creates: in a resource whose type says so every literal value is one, whatever its name.

use std::ops::Range;

use super::kubernetes;

/// How far a resource is read, in bytes.
const REACH: usize = 8 << 10;

/// How many resources of a text are read.
pub(super) const RESOURCES_MOST: usize = 500;

/// What the automaton looks for, in lower case: how types of resources that hold secrets end, and what the state of
/// Terraform calls the passwords it drew.
pub(super) const LITERALS: &[&str] = &[
    "secret\"",
    "secret_v1\"",
    "secret_v2\"",
    "secret_version\"",
    "secret_data\"",
    "ssm_parameter\"",
    "random_password\"",
];

/// Attributes that hold the secret of such a resource.
const ATTRIBUTES: &[&str] = &[
    "value",
    "secret_string",
    "secret_data",
    "secret_value",
    "plaintext_value",
    "secret",
    "content",
    "value_wo",
    "string_value",
];

/// Whether a file may have a resource or a state with secrets.
pub(super) fn mentioned(path: &str, text: &[u8]) -> bool {
    let holds = |word: &&str| memchr::memmem::find(text, word.as_bytes()).is_some();
    [".tf", ".tfstate", ".tfstate.backup"].iter().any(|end| path.ends_with(end)) && LITERALS.iter().any(holds)
}

/// The secrets of the resource whose type ends at the end of `at`.
pub(super) fn values(bytes: &[u8], at: &Range<usize>) -> Vec<Range<usize>> {
    let part = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_';
    let floor = at.start.saturating_sub(64);
    let start =
        bytes[floor..at.end - 1].iter().rposition(|b| !part(b)).map_or(floor, |found| floor + found + 1);
    let kind = &bytes[start..at.end - 1];
    let before = bytes[start.saturating_sub(16)..start].trim_ascii_end();
    if kind == b"random_password" {
        return drawn(bytes, at.end).into_iter().collect();
    }
    if !before.strip_suffix(b"\"").is_some_and(|before| before.trim_ascii_end().ends_with(b"resource")) {
        return Vec::new();
    }
    let end = (at.end + REACH).min(bytes.len());
    let Some(open) = memchr::memchr(b'{', &bytes[at.end..end.min(at.end + 128)]) else { return Vec::new() };
    let block = block(bytes, at.end + open, end);
    // Parameters of Systems Manager are settings unless they are encrypted.
    if kind.ends_with(b"ssm_parameter")
        && memchr::memmem::find(&bytes[block.clone()], b"SecureString").is_none()
    {
        return Vec::new();
    }
    literals(bytes, block)
}

/// What is within the brackets that open at `open`, up to `end` at the most.
fn block(bytes: &[u8], open: usize, end: usize) -> Range<usize> {
    let mut depth = 0_usize;
    let close = bytes[open..end].iter().position(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    open + 1..close.map_or(end, |length| open + length)
}

/// The literals of the attributes for secrets, and all of the maps called `data`.
fn literals(bytes: &[u8], block: Range<usize>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut data: Option<bool> = None;
    let mut at = block.start;
    while at < block.end {
        let stop = memchr::memchr(b'\n', &bytes[at..block.end]).map_or(block.end, |length| at + length);
        let line = at..stop;
        at = stop + 1;
        let text = bytes[line.clone()].trim_ascii();
        if text.starts_with(b"}") {
            data = None;
        }
        let Some(equals) = memchr::memchr(b'=', text) else { continue };
        let name = text[..equals].trim_ascii();
        let name = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(name);
        if matches!(name, b"data" | b"binary_data" | b"data_wo") && text[equals..].ends_with(b"{") {
            data = Some(name == b"binary_data");
            continue;
        }
        let attribute = ATTRIBUTES.iter().any(|attribute| attribute.as_bytes() == name);
        let Some(encoded) = data.or_else(|| attribute.then_some(false)) else { continue };
        if let Some(value) = literal(bytes, line)
            && kubernetes::secret(name, &bytes[value.clone()], encoded)
        {
            found.push(value);
        }
    }
    found
}

/// The string that a line ends with.
fn literal(bytes: &[u8], line: Range<usize>) -> Option<Range<usize>> {
    let equals = line.start + memchr::memchr(b'=', &bytes[line.clone()])? + 1;
    let rest = &bytes[equals..line.end];
    let start = equals + rest.len() - rest.trim_ascii_start().len() + 1;
    let text = rest.trim_ascii().strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    Some(start..start + text.len())
}

/// The password that `random_password` drew, as the state of Terraform keeps it: `"result": "…"`.
fn drawn(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let end = (at + REACH).min(bytes.len());
    let name = memchr::memmem::find(&bytes[at..end], b"\"result\":")? + b"\"result\":".len();
    // Another resource may come before it.
    let between = &bytes[at..at + name];
    if memchr::memmem::find(between, b"\"type\":").is_some() {
        return None;
    }
    let rest = &bytes[at + name..end];
    let blank = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let text = rest[blank..].strip_prefix(b"\"")?;
    let length = memchr::memchr2(b'"', b'\n', text).filter(|length| *length >= 8)?;
    let start = at + name + blank + 1;
    Some(start..start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let lower = text.to_ascii_lowercase();
        let at = LITERALS.iter().find_map(|literal| lower.find(literal).map(|at| at..at + literal.len()));
        let found = values(text.as_bytes(), &at.expect("a literal"));
        found.into_iter().map(|range| text[range].to_owned()).collect()
    }

    #[test]
    fn every_literal_of_a_resource_for_secrets_is_one() {
        let password = ["Harb", "or48", "!t"].concat();
        for text in [
            "resource \"kubernetes_secret\" \"db\" {\n  metadata {\n    name = \"db48x-a!\"\n  }\n  data = {\n    DWH = \"#\"\n    username = \"#x\"\n  }\n}\nx = \"#\"\n",
            "resource \"aws_secretsmanager_secret_version\" \"db\" {\n  secret_id = \"x48-b!a\"\n  secret_string = \"#\"\n}\n",
            "resource \"aws_ssm_parameter\" \"db\" {\n  type = \"SecureString\"\n  value = \"#\"\n}\n",
            "resource \"github_actions_secret\" \"db\" {\n  plaintext_value = \"#\"\n}\n",
            "{\"type\": \"random_password\", \"instances\": [{\"attributes\": {\"result\": \"#\"}}]}",
        ] {
            assert_eq!(found(&text.replace('#', &password)), [password.as_str()], "{text}");
        }
        for text in [
            "resource \"kubernetes_secret\" \"db\" {\n  data = {\n    password = var.password\n    b = \"${var.x}\"\n  }\n}\n",
            "data \"kubernetes_secret\" \"db\" {\n  value = \"#\"\n}\n",
            "resource \"aws_ssm_parameter\" \"db\" {\n  type = \"String\"\n  value = \"#\"\n}\n",
            "resource \"random_password\" \"db\" {\n  length = 16\n}\n",
            "name: \"client_secret\"\nvalue = \"#\"\n",
            "{\"type\": \"random_password\", \"instances\": []}, {\"type\": \"random_id\", \"result\": \"#\"}",
        ] {
            assert!(found(&text.replace('#', &password)).is_empty(), "{text}");
        }
    }
}
