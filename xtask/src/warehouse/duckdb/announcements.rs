//! What a run is about to touch, in a file beside the database. dbt opens the database next: to start the engine first
//! would take longer than all else that comes before dbt.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::layout::with_suffix;
use crate::system::remove;
use crate::warehouse::Row;

/// Rows for the ledger that are not in it yet. They stay until a run has recorded how it ended, so those of a run that
/// was killed are found by the next one.
#[derive(Debug)]
pub(crate) struct Announcements(PathBuf);

impl Announcements {
    pub(super) fn beside(database: &Path) -> Self {
        Self(with_suffix(database, ".announced"))
    }

    pub(super) fn path(self) -> PathBuf {
        self.0
    }

    /// Whether nothing is announced.
    pub(super) fn are_empty(&self) -> bool {
        self.0.metadata().map_or(true, |found| found.len() == 0)
    }

    /// Add `rows`, so that they are on the disk before anything that they announce.
    pub(crate) fn add(&self, rows: &[Row]) -> Result<()> {
        let add = || -> io::Result<()> {
            // The line before may have been cut short.
            let mut lines = vec![b'\n'];
            for row in rows {
                serde_json::to_writer(&mut lines, row)?;
                lines.push(b'\n');
            }
            let mut file = OpenOptions::new().append(true).create(true).open(&self.0)?;
            file.write_all(&lines)?;
            file.sync_data()
        };
        add().with_context(|| format!("failed to write to {}", self.0.display()))
    }

    /// All rows, in the order in which they were added. A line that was cut short is passed over: nothing that it would
    /// announce was begun.
    pub(crate) fn read(&self) -> Result<Vec<Row>> {
        // As bytes: a line may be cut short within a character.
        match fs::read(&self.0) {
            Ok(bytes) => {
                let lines = bytes.split(|byte| *byte == b'\n');
                Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).with_context(|| format!("failed to read {}", self.0.display())),
        }
    }

    /// Remove them: the ledger says how it ended.
    pub(crate) fn remove(&self) -> Result<()> {
        remove::file(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Row {
        serde_json::from_str(text).expect("a row")
    }

    #[test]
    fn a_row_that_was_cut_short_is_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let announcements = Announcements::beside(&folder.path().join("dev.duckdb"));
        assert!(announcements.are_empty() && announcements.read().expect("read").is_empty());
        announcements.add(&[row(r#"{"a": 1}"#), row(r#"{"a": 2}"#)]).expect("added");
        let path = folder.path().join("dev.duckdb.announced");
        let mut file = OpenOptions::new().append(true).open(&path).expect("opened");
        file.write_all(b"{\"a\": \"\xc3").expect("written");
        announcements.add(&[row(r#"{"a": 3}"#)]).expect("added");
        let rows = announcements.read().expect("read");
        assert_eq!(rows, [row(r#"{"a": 1}"#), row(r#"{"a": 2}"#), row(r#"{"a": 3}"#)]);
        assert!(!announcements.are_empty());
        announcements.remove().expect("removed");
        assert!(announcements.are_empty() && !path.exists());
    }
}
