//! Reads a file that dbt has written while dbt goes on.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::SystemTime;

use anyhow::Result;
use serde::de::DeserializeOwned;

use super::read;

/// A file that is being read.
#[derive(Debug)]
pub(crate) struct Ahead<T> {
    path: PathBuf,
    /// As the file was before it was read.
    before: Option<Stamp>,
    reading: JoinHandle<Result<Option<T>>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
}

impl<T: DeserializeOwned + Send + 'static> Ahead<T> {
    pub(super) fn begin(path: PathBuf) -> Self {
        let (before, from) = (Stamp::of(&path), path.clone());
        Self { path, before, reading: std::thread::spawn(move || read(&from)) }
    }

    /// What it holds; `None` if it could not be read, or is not the same any more.
    pub(crate) fn finish(self) -> Option<T> {
        let found = self.reading.join().ok()?.ok()??;
        (self.before.is_some() && Stamp::of(&self.path) == self.before).then_some(found)
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let of = |meta: Metadata| Some(Self { modified: meta.modified().ok()?, bytes: meta.len() });
        fs::metadata(path).ok().and_then(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_again_is_not_taken_from_the_first_reading() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f.json");
        let begin = || Ahead::<Vec<i32>>::begin(path.clone());
        assert_eq!(begin().finish(), None, "it is not there");
        fs::write(&path, "[1, 2]").expect("written");
        assert_eq!(begin().finish(), Some(vec![1, 2]));
        let ahead = begin();
        fs::write(&path, "[1, 2, 3]").expect("written");
        assert_eq!(ahead.finish(), None);
        fs::write(&path, "[1, 2").expect("written");
        assert_eq!(begin().finish(), None, "half of it");
    }
}
