//! Digests that identify a list of parts: each part is hashed with its length, so that no two lists of parts
//! have the same input.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::system::hex;

/// SHA-256 over parts. They are put together first: to hash each part, most of which are a few bytes, takes three times as long.
#[derive(Clone, Default)]
pub(crate) struct Digest(Vec<u8>);

impl Digest {
    #[must_use]
    pub(crate) fn with(mut self, part: impl AsRef<[u8]>) -> Self {
        self.add(part);
        self
    }

    pub(crate) fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.extend_from_slice(&(part.len() as u64).to_le_bytes());
        self.0.extend_from_slice(part);
    }

    /// All 64 hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        hex::encode(&Sha256::digest(&self.0))
    }

    /// 32 hexadecimal digits: enough to distinguish the items of one repository.
    pub(crate) fn short(self) -> String {
        hex::encode(&Sha256::digest(&self.0)[..16])
    }
}

/// The digest of a text of any length, with the same memory.
pub(crate) fn of_content(mut content: impl Read) -> io::Result<[u8; 32]> {
    struct Into(Sha256);
    impl Write for Into {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hash = Into(Sha256::new());
    io::copy(&mut content, &mut hash)?;
    Ok(hash.0.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let of = |parts: &[&str]| parts.iter().fold(Digest::default(), Digest::with).short();
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", ""]), of(&["a"]));
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
    }

    #[test]
    fn content_is_read_in_pieces() {
        let long = vec![7_u8; 300_000];
        let at_once: [u8; 32] = Sha256::digest(&long).into();
        assert_eq!(of_content(&long[..]).expect("memory can be read"), at_once);
    }
}
