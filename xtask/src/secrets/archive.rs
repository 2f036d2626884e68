//! Archives, on request: the contents of zip, tar, gzip, bzip2 and xz files, also nested ones.
//!
//! The kind of an archive follows from its name, else from its first bytes. A member is named
//! `archive.zip!folder/file`. How much one archive may unpack to, and how deep, is limited, as a few kilobytes can
//! hold terabytes; what exceeds a limit is counted and named.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use zip::ZipArchive;

use super::engine::Place;
use super::scanner::Scanner;
use crate::core::finding::Finding;

/// What one archive may unfold to, in bytes.
const BUDGET: u64 = 1 << 30;

/// How many times its size an archive may unfold to, and what is allowed whatever its size: text shrinks to a tenth or
/// a fiftieth, a bomb to a thousandth.
const RATIO: u64 = 200;
const ALLOWED: u64 = 16 << 20;

/// How large an archive inside another may be: it is held in memory.
const NESTED: u64 = 64 << 20;

/// How deep archives may be nested.
const DEPTH: usize = 4;

/// How many leading bytes identify the kind of an archive.
pub(super) const HEAD: usize = 264;

/// The memory that unpacking xz may take, in KiB: a file may ask for gigabytes.
const XZ_MEMORY: u32 = 128 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Zip,
    Tar,
    Packed(Packing),
    PackedTar(Packing),
    /// A kind that is known and not unpacked.
    Unsupported(&'static str),
}

/// Kinds of archives that are not unpacked: by ending and by first bytes.
const UNSUPPORTED: &[(&str, &[&str], &[u8])] = &[
    ("7z", &[".7z"], b"7z\xBC\xAF\x27\x1C"),
    ("RAR", &[".rar"], b"Rar!\x1A\x07"),
    ("Zstandard", &[".zst", ".tzst"], b"\x28\xB5\x2F\xFD"),
    ("LZ4", &[".lz4"], b"\x04\x22\x4D\x18"),
    ("LZMA", &[".lzma", ".tlz"], b"\x5D\x00\x00\x80\x00\xFF\xFF\xFF\xFF"),
    ("lzip", &[".lz"], b"LZIP\x01"),
    ("compress", &[".tar.z"], b"\x1F\x9D\x90"),
    ("cabinet", &[".cab"], b"MSCF\0\0\0\0"),
    ("cpio", &[".cpio"], b"070701"),
    ("ar", &[".deb"], b"!<arch>\ndebian-binary"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Bzip2,
    Xz,
}

/// What a file is by its name, else by its first bytes; everything that is a zip inside counts as one.
pub(super) fn kind(path: &str, head: &[u8]) -> Option<Kind> {
    by_name(path).or_else(|| by_content(head))
}

fn by_name(path: &str) -> Option<Kind> {
    let name = path.to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let packings = [
        (Packing::Gzip, &[".tar.gz", ".tgz"][..], ".gz"),
        (Packing::Bzip2, &[".tar.bz2", ".tbz2", ".tbz"], ".bz2"),
        (Packing::Xz, &[".tar.xz", ".txz"], ".xz"),
    ];
    for (packing, tar, ending) in packings {
        if ends(tar) {
            return Some(Kind::PackedTar(packing));
        }
        if ends(&[ending]) {
            return Some(Kind::Packed(packing));
        }
    }
    if ends(&[".tar"]) {
        return Some(Kind::Tar);
    }
    let zip = [
        ".zip", ".jar", ".war", ".ear", ".whl", ".egg", ".apk", ".aab", ".ipa", ".nupkg", ".vsix", ".docx",
        ".xlsx", ".pptx",
    ];
    if ends(&zip) {
        return Some(Kind::Zip);
    }
    UNSUPPORTED.iter().find(|(_, endings, _)| ends(endings)).map(|(kind, _, _)| Kind::Unsupported(kind))
}

fn by_content(head: &[u8]) -> Option<Kind> {
    if head.starts_with(b"PK\x03\x04") {
        Some(Kind::Zip)
    } else if head.starts_with(b"\x1F\x8B\x08") {
        Some(Kind::Packed(Packing::Gzip))
    } else if head.starts_with(b"BZh") && head.get(4..10) == Some(b"1AY&SY") {
        Some(Kind::Packed(Packing::Bzip2))
    } else if head.starts_with(b"\xFD7zXZ\0") {
        Some(Kind::Packed(Packing::Xz))
    } else if head.get(257..262) == Some(b"ustar") {
        Some(Kind::Tar)
    } else {
        let (kind, _, _) = UNSUPPORTED.iter().find(|(_, _, start)| head.starts_with(start))?;
        Some(Kind::Unsupported(kind))
    }
}

fn unpacked<'a>(packing: Packing, file: impl Read + 'a) -> Box<dyn Read + 'a> {
    match packing {
        Packing::Gzip => Box::new(MultiGzDecoder::new(file)),
        Packing::Bzip2 => Box::new(MultiBzDecoder::new(file)),
        Packing::Xz => Box::new(XzReader::new_mem_limit(file, true, XZ_MEMORY)),
    }
}

/// The findings in all members of an archive.
pub(super) fn scan(scanner: &Scanner, place: Place<'_>, kind: Kind, file: impl Read + Seek) -> Vec<Finding> {
    let mut file = file;
    let size = file.seek(SeekFrom::End(0)).and_then(|size| file.rewind().map(|()| size)).unwrap_or(0);
    let left = BUDGET.min(ALLOWED.max(size.saturating_mul(RATIO)));
    let mut unfolding =
        Unfolding { scanner, commit: place.commit, left, buffer: Vec::new(), findings: Vec::new() };
    unfolding.findings.extend(scanner.of_path(place));
    unfolding.archive(place.path, kind, file, 1);
    unfolding.findings
}

struct Unfolding<'a> {
    scanner: &'a Scanner,
    commit: Option<&'a str>,
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
            Kind::PackedTar(packing) => self.tar(path, unpacked(packing, file), depth),
            Kind::Unsupported(kind) => Err(io::Error::other(format!(
                "archives of {kind} are not unpacked; unpack it and scan the folder"
            ))),
            Kind::Packed(packing) => {
                let name = path.rsplit(['/', '!']).next().unwrap_or(path);
                let member = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
                self.member(&format!("{path}!{member}"), unpacked(packing, file), depth)
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
                    if let Err(error) = self.member(&name, member, depth) {
                        // One that is damaged or packed in another way says nothing about the others.
                        self.within_budget()?;
                        self.unreadable(&name, &error.to_string());
                    }
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
        let mut member = Lenient { inner: member, failed: None };
        let mut head = Vec::new();
        member.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
        let kind = kind(path, &head);
        let text = Cursor::new(head).chain(&mut member);
        if let Some(kind) = kind {
            self.nested(path, kind, text, depth + 1)?;
        } else {
            let mut counted = Counted { inner: text.take(self.left), read: 0 };
            let found =
                self.scanner.read(Place { path, commit: self.commit }, &mut counted, &mut self.buffer);
            self.left -= counted.read;
            self.findings.extend(found?);
        }
        // What was read before the damage counts.
        member.failed.map_or_else(|| self.within_budget(), Err)
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
            return Err(io::Error::other(
                "it unfolds to more than 1 GiB or 200 times its size; the rest was not scanned",
            ));
        }
        Ok(())
    }

    fn unreadable(&self, what: &str, why: &str) {
        self.scanner.unread(what, why);
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

/// A text that ends with the first error, which is kept.
struct Lenient<R> {
    inner: R,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Lenient<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failed.is_some() {
            return Ok(0);
        }
        match self.inner.read(buffer) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.failed = Some(error);
                Ok(0)
            }
            read => read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_the_first_bytes_tell_the_kind() {
        let mut tar = [0; HEAD];
        tar[257..262].copy_from_slice(b"ustar");
        for (name, head, expected) in [
            ("a.zip", &b""[..], Some(Kind::Zip)),
            ("B.JAR", b"", Some(Kind::Zip)),
            ("a.tar", b"", Some(Kind::Tar)),
            ("a.tar.gz", b"", Some(Kind::PackedTar(Packing::Gzip))),
            ("a.tgz", b"", Some(Kind::PackedTar(Packing::Gzip))),
            ("a.tar.xz", b"", Some(Kind::PackedTar(Packing::Xz))),
            ("a.tbz2", b"", Some(Kind::PackedTar(Packing::Bzip2))),
            ("dump.sql.gz", b"", Some(Kind::Packed(Packing::Gzip))),
            ("dump.sql.bz2", b"", Some(Kind::Packed(Packing::Bzip2))),
            ("dump.sql.xz", b"", Some(Kind::Packed(Packing::Xz))),
            ("a.gzip.txt", b"text", None),
            ("zip", b"PK", None),
            ("zip", b"PK\x03\x04", Some(Kind::Zip)),
            ("a", b"\x1F\x8B\x08", Some(Kind::Packed(Packing::Gzip))),
            ("a", b"BZh91AY&SY", Some(Kind::Packed(Packing::Bzip2))),
            ("a", b"\xFD7zXZ\0", Some(Kind::Packed(Packing::Xz))),
            ("a", &tar, Some(Kind::Tar)),
            ("a.7z", b"", Some(Kind::Unsupported("7z"))),
            ("a", b"Rar!\x1A\x07\x01", Some(Kind::Unsupported("RAR"))),
            ("dump.sql.zst", b"", Some(Kind::Unsupported("Zstandard"))),
        ] {
            assert_eq!(kind(name, head), expected, "{name}");
        }
    }
}
