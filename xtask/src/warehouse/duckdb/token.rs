//! What a database file is at a moment, seen without opening it as a database: as long as its token is the same, nothing
//! has written to it.
//!
//! Every checkpoint raises a number in the file's header, and what was committed without one is in a log beside the
//! file. So a token is the header, the identity, size and times of the file, and that there is no log. Two tokens of
//! which the later has the next number show that exactly one program has written in between.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::layout::has_log;
use crate::system::digest::Digest;

/// The main header and the two of the database, which are written in turns.
const HEADERS: usize = 3 * 4096;

/// Times of files advance in steps: a change within the step of another one may leave the same time.
const STEP: Duration = Duration::from_millis(20);

/// The same on file systems that keep no fractions of seconds.
const LONG_STEP: Duration = Duration::from_secs(2);

/// What a database file was at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    path: PathBuf,
    /// Device and number of the file.
    identity: (u64, u64),
    size: u64,
    /// When its content and what the file system says of it last changed, in nanoseconds.
    times: [i128; 2],
    header: String,
    checkpoint: u64,
}

impl Token {
    /// `None` if the file is not there, has a log, or is in no form that we know.
    pub(super) fn read(path: &Path) -> Option<Self> {
        // In this order: a log that is written between the two looks is followed by no other header.
        let (identity, size, times) = stat(path)?;
        let mut header = vec![0; HEADERS];
        File::open(path).ok()?.read_exact(&mut header).ok()?;
        let is_as_before = stat(path)? == (identity, size, times);
        let has_log = has_log(path);
        let is_known = header.get(8..12) == Some(b"DUCK");
        if !is_as_before || has_log || !is_known {
            return None;
        }
        let number = |at: usize| Some(u64::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
        let checkpoint = number(4096 + 8)?.max(number(8192 + 8)?);
        let header = Digest::default().with(&header).short();
        Some(Self { path: path.to_path_buf(), identity, size, times, header, checkpoint })
    }

    /// The same, at a time from which on any change gives the file another time.
    pub(super) fn settled(path: &Path) -> Option<Self> {
        let token = Self::read(path)?;
        let last = token.times.into_iter().max()?;
        let now = i128::try_from(SystemTime::UNIX_EPOCH.elapsed().ok()?.as_nanos()).ok()?;
        let age = Duration::from_nanos(u64::try_from(now - last).ok()?);
        if token.times.iter().all(|time| time % 1_000_000_000 == 0) {
            return (age > LONG_STEP).then_some(token);
        }
        if let Some(left) = STEP.checked_sub(age) {
            thread::sleep(left);
        }
        Self::read(path).filter(|later| *later == token)
    }

    /// Whether the file is still the same.
    pub(crate) fn holds(&self) -> bool {
        Self::read(&self.path).as_ref() == Some(self)
    }

    /// Whether one program has written to the file since `before`, once.
    pub(super) fn is_next_after(&self, before: &Self) -> bool {
        self.identity == before.identity && before.checkpoint.checked_add(1) == Some(self.checkpoint)
    }
}

#[cfg(unix)]
fn stat(path: &Path) -> Option<((u64, u64), u64, [i128; 2])> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(path).ok()?;
    let time = |seconds: i64, nanoseconds: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    let times = [time(found.mtime(), found.mtime_nsec()), time(found.ctime(), found.ctime_nsec())];
    Some(((found.dev(), found.ino()), found.len(), times))
}

/// Elsewhere nothing shows that a file is the same as before.
#[cfg(not(unix))]
fn stat(_: &Path) -> Option<((u64, u64), u64, [i128; 2])> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    fn database(path: &Path, checkpoint: u64) {
        let mut bytes = vec![0; HEADERS + 100];
        bytes[8..12].copy_from_slice(b"DUCK");
        bytes[4104..4112].copy_from_slice(&checkpoint.to_le_bytes());
        fs::write(path, bytes).expect("a file");
    }

    #[test]
    fn a_token_holds_until_anything_of_the_file_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.duckdb");
        assert_eq!(Token::read(&path), None, "no file");
        fs::write(&path, "DUCK").expect("a file");
        assert_eq!(Token::read(&path), None, "no header");
        database(&path, 3);
        let token = Token::settled(&path).expect("a token");
        assert!(token.holds() && token.checkpoint == 3);

        let log = folder.path().join("a.duckdb.wal");
        fs::write(&log, "").expect("a log");
        assert!(!token.holds(), "a log");
        fs::remove_file(&log).expect("no log");
        assert!(token.holds());

        // The same bytes, in place and in another file.
        database(&path, 3);
        assert!(!token.holds(), "written again");
        let token = Token::settled(&path).expect("a token");
        let copy = folder.path().join("b.duckdb");
        fs::copy(&path, &copy).expect("a copy");
        fs::rename(&copy, &path).expect("renamed");
        assert!(!token.holds(), "another file");
    }

    #[test]
    fn changes_by_two_programs_are_not_those_of_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.duckdb");
        database(&path, 3);
        let before = Token::read(&path).expect("a token");
        database(&path, 4);
        assert!(Token::read(&path).expect("a token").is_next_after(&before));
        database(&path, 5);
        assert!(!Token::read(&path).expect("a token").is_next_after(&before));
        assert!(!before.is_next_after(&before));
    }
}
