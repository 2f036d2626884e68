//! CSV rows built byte by byte.
//!
//! The files run to tens of millions of rows whose fields are ids, stamps and numbers: formatting them
//! into one buffer is several times faster than `write!`, and only names can ever need a quote.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Large enough that system calls do not count, small enough to stay in the cache.
const BUFFER_BYTES: usize = 256 * 1024;

/// One CSV file under construction.
pub(super) struct Table {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
    rows: u64,
    bytes: u64,
}

/// Rows and bytes of a finished file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Table {
    pub(super) fn create(path: &Path, header: &str) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("failed to create {}", path.display()))?;
        let mut buffer = Vec::with_capacity(BUFFER_BYTES + 1024);
        buffer.extend_from_slice(header.as_bytes());
        buffer.push(b'\n');
        Ok(Self { path: path.to_path_buf(), file, buffer, rows: 0, bytes: 0 })
    }

    /// Everything on the disk, not only with the system: what is renamed later must survive a power cut.
    pub(super) fn finish(mut self) -> Result<Size> {
        self.drain()
            .and_then(|()| self.file.sync_all())
            .with_context(|| format!("failed to write {}", self.path.display()))?;
        Ok(Size { rows: self.rows, bytes: self.bytes })
    }

    /// `prefix` and the number with at least `width` digits.
    #[inline]
    pub(super) fn id(&mut self, prefix: &str, number: u64, width: usize) -> &mut Self {
        self.buffer.extend_from_slice(prefix.as_bytes());
        push_digits(&mut self.buffer, number, width);
        self.comma()
    }

    #[inline]
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        push_digits(&mut self.buffer, number, 1);
        self.comma()
    }

    #[inline]
    pub(super) fn signed(&mut self, number: i64) -> &mut Self {
        if number < 0 {
            self.buffer.push(b'-');
        }
        self.number(number.unsigned_abs())
    }

    /// A count of hundredths as a decimal: 1999 is `19.99`.
    #[inline]
    pub(super) fn hundredths(&mut self, hundredths: u32) -> &mut Self {
        push_digits(&mut self.buffer, u64::from(hundredths / 100), 1);
        self.buffer.push(b'.');
        push_digits(&mut self.buffer, u64::from(hundredths % 100), 2);
        self.comma()
    }

    /// `2026-10-31 14:03:22` from the day's text and the second of the day.
    #[inline]
    pub(super) fn stamp(&mut self, date: &str, second: u32) -> &mut Self {
        self.buffer.extend_from_slice(date.as_bytes());
        for (separator, part) in [(b' ', second / 3600), (b':', second / 60 % 60), (b':', second % 60)] {
            self.buffer.push(separator);
            push_digits(&mut self.buffer, u64::from(part), 2);
        }
        self.comma()
    }

    /// A word of ours that never needs a quote; empty is null.
    #[inline]
    pub(super) fn word(&mut self, word: &str) -> &mut Self {
        self.buffer.extend_from_slice(word.as_bytes());
        self.comma()
    }

    #[inline]
    pub(super) fn null(&mut self) -> &mut Self {
        self.comma()
    }

    /// Any text, quoted as in RFC 4180 where it needs it.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        if text.contains(['"', ',', '\n', '\r']) {
            self.buffer.push(b'"');
            self.buffer.extend_from_slice(text.replace('"', "\"\"").as_bytes());
            self.buffer.push(b'"');
        } else {
            self.buffer.extend_from_slice(text.as_bytes());
        }
        self.comma()
    }

    /// End the row: its last comma becomes the line end.
    #[inline]
    pub(super) fn end(&mut self) -> Result<()> {
        if let Some(last) = self.buffer.last_mut() {
            *last = b'\n';
        }
        self.rows += 1;
        if self.buffer.len() >= BUFFER_BYTES {
            self.drain().with_context(|| format!("failed to write {}", self.path.display()))?;
        }
        Ok(())
    }

    #[inline]
    fn comma(&mut self) -> &mut Self {
        self.buffer.push(b',');
        self
    }

    fn drain(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

#[inline]
fn push_digits(buffer: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        // The remainder is below 10, so its low byte is all of it.
        digits[start] = b'0' + (number % 10).to_le_bytes()[0];
        number /= 10;
    }
    buffer.extend_from_slice(&digits[start.min(digits.len() - width)..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_the_format_says() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("t.csv");
        let mut table = Table::create(&path, "a,b,c,d,e,f,g").expect("created");
        table.id("OL-", 42, 7).stamp("2026-10-31", 50_602).hundredths(5).signed(-12).null();
        table.text("19\" shelf, 2 m").number(0).end().expect("written");
        table.id("OL-", 123_456_789, 7).stamp("2026-10-31", 0).hundredths(199_900).signed(3);
        table.word("x").text("Łódź").number(10).end().expect("written");
        let size = table.finish().expect("finished");
        let text = std::fs::read_to_string(&path).expect("readable");
        assert_eq!(
            text,
            "a,b,c,d,e,f,g\n\
             OL-0000042,2026-10-31 14:03:22,0.05,-12,,\"19\"\" shelf, 2 m\",0\n\
             OL-123456789,2026-10-31 00:00:00,1999.00,3,x,Łódź,10\n"
        );
        assert_eq!((size.rows, size.bytes), (2, text.len() as u64));
    }
}
