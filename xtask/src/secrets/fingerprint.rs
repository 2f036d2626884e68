//! The fingerprint of a finding: the same in every mode, and useless to a reader who wants the secret.
//!
//! It is made of rule, path and a keyed hash of the value, and of no position or commit, so it holds
//! when lines move or history is rewritten. The key comes from `XTASK_SECRETS_KEY`; without one a fixed
//! key still keeps the hash from being looked up in tables of common passwords.

use sha2::{Digest as _, Sha256};

const FIXED_KEY: &str = "xtask secrets fingerprint, version 1";

#[derive(Clone, Copy)]
pub(super) struct Fingerprints {
    key: [u8; 32],
}

impl Fingerprints {
    pub(super) fn from_environment() -> Self {
        let key = std::env::var("XTASK_SECRETS_KEY").unwrap_or_default();
        let key = if key.is_empty() { FIXED_KEY } else { &key };
        Self { key: Sha256::digest(key.as_bytes()).into() }
    }

    /// Distinguishes this key from others without revealing it.
    pub(super) fn key_digest(&self) -> [u8; 32] {
        keyed(&self.key, &[b"key"])
    }

    /// 32 hexadecimal digits.
    pub(super) fn of(&self, rule: &str, path: &str, secret: &[u8]) -> String {
        let value = keyed(&self.key, &[secret.trim_ascii()]);
        let whole = keyed(&self.key, &[rule.as_bytes(), path.as_bytes(), &value]);
        crate::system::hex::encode(&whole[..16])
    }
}

/// HMAC-SHA-256 over parts, each with its length, so that no two lists of parts are the same text.
fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let mut inner = Sha256::new_with_prefix(pad(0x36));
    for part in parts {
        inner.update((part.len() as u64).to_be_bytes());
        inner.update(part);
    }
    Sha256::new_with_prefix(pad(0x5C)).chain_update(inner.finalize()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depends_on_rule_path_and_value_only() {
        let prints = Fingerprints { key: [7; 32] };
        let one = prints.of("rule", "a.txt", b"value");
        assert_eq!(one, prints.of("rule", "a.txt", b" value\n"));
        assert_ne!(one, prints.of("rule", "b.txt", b"value"));
        assert_ne!(one, prints.of("other", "a.txt", b"value"));
        assert_ne!(one, prints.of("rule", "a.txt", b"values"));
        assert_eq!(one.len(), 32);
    }
}
