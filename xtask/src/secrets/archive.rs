//! Archives, on request: what lies in zip, tar and gzip files, also inside one another.
//!
//! A member is named `archive.zip!folder/file`. How much one archive may unfold to, and how deep, is
//! bounded, as a few kilobytes can hold terabytes; what lies beyond is counted and named.

use std::io::{self, Cursor, Read, Seek};

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

use super::scanner::{Scanner, count};
use crate::core::finding::Finding;

/// What one archive may unfold to, in bytes.
const BUDGET: u64 = 1 << 30;

/// How large an archive inside another may be: it is held in memory.
const NESTED: u64 = 64 << 20;

/// How deep archives may lie in one another.
const DEPTH: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Zip,
    Tar,
    Gzip,
    TarGzip,
}

/// What a file is by its name; everything that is a zip inside counts as one.
pub(super) fn kind(path: &str) -> Option<Kind> {
    let name = path.to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends(&[".tar.gz", ".tgz"]) {
        Some(Kind::TarGzip)
    } else if ends(&[".gz"]) {
        Some(Kind::Gzip)
    } else if ends(&[".tar"]) {
        Some(Kind::Tar)
    } else if ends(&[
        ".zip", ".jar", ".war", ".ear", ".whl", ".egg", ".apk", ".aab", ".ipa", ".nupkg", ".vsix", ".docx",
        ".xlsx", ".pptx",
    ]) {
        Some(Kind::Zip)
    } else {
        None
    }
}

/// The findings in all members of an archive.
pub(super) fn scan(scanner: &Scanner, path: &str, kind: Kind, file: impl Read + Seek) -> Vec<Finding> {
    let mut unfolding = Unfolding { scanner, left: BUDGET, buffer: Vec::new(), findings: Vec::new() };
    unfolding.archive(path, kind, file, 1);
    unfolding.findings
}

struct Unfolding<'a> {
    scanner: &'a Scanner,
    /// Bytes that may still be unfolded.
    left: u64,
    buffer: Vec<u8>,
    findings: Vec<Finding>,
}

impl Unfolding<'_> {
    fn archive(&mut self, path: &str, kind: Kind, file: impl Read + Seek, depth: usize) {
        let result = match kind {
            Kind::Zip => self.zip(path, file, depth),
            Kind::Tar => self.tar(path, file, depth),
            Kind::TarGzip => self.tar(path, MultiGzDecoder::new(file), depth),
            Kind::Gzip => {
                let name = path.rsplit(['/', '!']).next().unwrap_or(path);
                let member = name.get(..name.len() - ".gz".len()).unwrap_or(name);
                self.member(&format!("{path}!{member}"), MultiGzDecoder::new(file), depth)
            }
        };
        if let Err(error) = result {
            self.unreadable(path, &error.to_string());
        }
    }

    fn zip(&mut self, path: &str, file: impl Read + Seek, depth: usize) -> io::Result<()> {
        let mut archive = ZipArchive::new(file)?;
        for at in 0..archive.len() {
            match archive.by_index(at) {
                Ok(member) if member.is_file() => {
                    let name = format!("{path}!{}", String::from_utf8_lossy(member.name_raw()));
                    self.member(&name, member, depth)?;
                }
                Ok(_) => {}
                // Encrypted, or packed in a way that we cannot unfold; the others still can be.
                Err(error) => self.unreadable(&format!("{path}, member {}", at + 1), &error.to_string()),
            }
        }
        Ok(())
    }

    fn tar(&mut self, path: &str, file: impl Read, depth: usize) -> io::Result<()> {
        for member in tar::Archive::new(file).entries()? {
            let member = member?;
            if member.header().entry_type().is_file() {
                let name = format!("{path}!{}", String::from_utf8_lossy(&member.path_bytes()));
                self.member(&name, member, depth)?;
            }
        }
        Ok(())
    }

    fn member(&mut self, path: &str, member: impl Read, depth: usize) -> io::Result<()> {
        if self.scanner.skips(path) {
            return Ok(());
        }
        if let Some(kind) = kind(path) {
            return self.nested(path, kind, member, depth + 1);
        }
        let mut counted = Counted { inner: member.take(self.left), read: 0 };
        let found = self.scanner.read(path, &mut counted, &mut self.buffer);
        self.left -= counted.read;
        self.findings.extend(found?);
        self.within_budget()
    }

    fn nested(&mut self, path: &str, kind: Kind, member: impl Read, depth: usize) -> io::Result<()> {
        if depth > DEPTH {
            self.unreadable(path, "it lies too deep in other archives");
            return Ok(());
        }
        let most = NESTED.min(self.left);
        let mut bytes = Vec::new();
        member.take(most).read_to_end(&mut bytes)?;
        self.left -= bytes.len() as u64;
        if bytes.len() as u64 == most {
            self.unreadable(path, "it is too large for an archive inside another");
        } else {
            self.archive(path, kind, Cursor::new(bytes), depth);
        }
        self.within_budget()
    }

    fn within_budget(&self) -> io::Result<()> {
        if self.left == 0 {
            return Err(io::Error::other("it unfolds to more than 1 GiB; the rest was not scanned"));
        }
        Ok(())
    }

    fn unreadable(&self, what: &str, why: &str) {
        tracing::warn!("not scanned: {what}: {why}");
        count(&self.scanner.counts.unreadable, 1);
    }
}

struct Counted<R> {
    inner: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_kind() {
        for (name, expected) in [
            ("a.zip", Some(Kind::Zip)),
            ("B.JAR", Some(Kind::Zip)),
            ("a.tar", Some(Kind::Tar)),
            ("a.tar.gz", Some(Kind::TarGzip)),
            ("a.tgz", Some(Kind::TarGzip)),
            ("dump.sql.gz", Some(Kind::Gzip)),
            ("a.gzip.txt", None),
            ("zip", None),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }
}
