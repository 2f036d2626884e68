//! Inline waivers: a comment on the line of a finding, or on the line before.

use super::assignment::{line_end, line_start};

/// Marks on the finding's own line: gitleaks', and detect-secrets'.
const HERE: &[&[u8]] = &[b"gitleaks:allow", b"pragma: allowlist secret", b"pragma: whitelist secret"];

/// Our mark. With names in parentheses behind it, it waives those rules of `lint` and no secret.
const OURS: &[u8] = b"xtask:allow";

/// The mark on the line before.
const NEXT: &[u8] = b"pragma: allowlist nextline secret";

/// Whether the line or lines of a finding carry a waiver.
pub(super) fn allowed(bytes: &[u8], start: usize, end: usize) -> bool {
    let line = line_start(bytes, start);
    let first = &bytes[line..line_end(bytes, start)];
    let last = &bytes[line_start(bytes, end)..line_end(bytes, end)];
    // Every mark has a colon, and most lines have none of them.
    let has = |text: &[u8], mark: &[u8]| {
        memchr::memchr(b':', text).is_some() && memchr::memmem::find(text, mark).is_some()
    };
    HERE.iter().any(|mark| has(first, mark) || has(last, mark))
        || ours(first)
        || ours(last)
        || line > 0 && has(&bytes[line_start(bytes, line - 1)..line], NEXT)
}

fn ours(text: &[u8]) -> bool {
    memchr::memchr(b':', text).is_some()
        && memchr::memmem::find_iter(text, OURS).any(|at| text.get(at + OURS.len()) != Some(&b'('))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiver_for_a_rule_of_lint_hides_no_secret() {
        let waived = |line: &[u8]| allowed(line, 0, 1);
        assert!(waived(b"k = v # xtask:allow"));
        assert!(!waived(b"k = v # xtask:allow(select-star)"));
        assert!(ours(b"xtask:allow(select-star) xtask:allow"));
    }
}
