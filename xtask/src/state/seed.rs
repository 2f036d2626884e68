//! The content of a seed, whatever its size: its bytes with the line ends of Unix outside quotes, without a byte
//! order mark and without empty lines at its end, so that a checkout on Windows is the same seed.

use std::fs;
use std::io::{self, BufRead as _, Read};
use std::path::{Path, PathBuf};

use crate::system::digest::Digest;

/// A short hash of the file's content.
pub(crate) fn digest(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut chunk = vec![0_u8; 1 << 16];
    let mut digest = Digest::default();
    let mut state = Fold::default();
    let mut folded = Vec::with_capacity(chunk.len() + 8);
    // The digest of a part depends on its length, so parts are cut at the same places whatever is read at once.
    let mut pending = Vec::new();
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        folded.clear();
        state.take(&chunk[..read], &mut folded);
        pending.extend_from_slice(&folded);
        let whole = pending.len() - pending.len() % (1 << 16);
        for part in pending[..whole].chunks(1 << 16) {
            digest.add(part);
        }
        pending.drain(..whole);
    }
    digest.add(&pending);
    Ok(digest.short()[..12].to_owned())
}

/// The first line: the columns.
pub(crate) fn header(path: &Path) -> io::Result<String> {
    let mut line = Vec::new();
    io::BufReader::new(fs::File::open(path)?.take(1 << 16)).read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line).into_owned();
    Ok(line.trim_start_matches('\u{feff}').trim_end().to_owned())
}

#[derive(Default)]
struct Fold {
    seen: usize,
    in_quotes: bool,
    has_return: bool,
    /// Line ends that are written only when something follows.
    ends: usize,
}

impl Fold {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
        for &byte in bytes {
            let at = self.seen;
            self.seen += 1;
            if at < 3 && byte == MARK[at] {
                continue;
            }
            if self.in_quotes {
                self.in_quotes = byte != b'"';
                out.push(byte);
                continue;
            }
            if self.has_return && byte != b'\n' {
                self.write(b'\r', out);
            }
            self.has_return = false;
            match byte {
                b'\r' => self.has_return = true,
                b'\n' => self.ends += 1,
                _ => {
                    self.in_quotes = byte == b'"';
                    self.write(byte, out);
                }
            }
        }
    }

    fn write(&mut self, byte: u8, out: &mut Vec<u8>) {
        out.extend(std::iter::repeat_n(b'\n', self.ends));
        self.ends = 0;
        out.push(byte);
    }
}

/// The files that a name with `*` means, sorted; or the one file.
pub(crate) fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text = path.to_string_lossy();
    if !text.contains(['*', '?', '[']) {
        return Ok(if path.is_file() { vec![path.to_path_buf()] } else { Vec::new() });
    }
    let Some(folder) = path.parent().filter(|folder| !folder.to_string_lossy().contains(['*', '?', '[']))
    else {
        return Ok(Vec::new());
    };
    let matcher = globset::Glob::new(&name).map_err(io::Error::other)?.compile_matcher();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| matcher.is_match(name)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), bytes).expect("written");
        digest(file.path()).expect("a digest")
    }

    #[test]
    fn line_ends_count_between_quotes_only() {
        let base = of(b"a,b\n1,2\n");
        for same in [&b"a,b\r\n1,2\r\n"[..], b"\xef\xbb\xbfa,b\n1,2", b"a,b\n1,2\n\n"] {
            assert_eq!(of(same), base);
        }
        assert_ne!(of(b"a,b\n1,3\n"), base);
        assert_ne!(of(b"a\n\"x\r\ny\"\n"), of(b"a\n\"x\ny\"\n"));
    }

    #[test]
    fn a_change_past_the_first_megabyte_is_seen() {
        let mut long = b"a\n".repeat(700_000);
        let before = of(&long);
        let last = long.len() - 2;
        long[last] = b'b';
        assert_ne!(of(&long), before);
    }
}
