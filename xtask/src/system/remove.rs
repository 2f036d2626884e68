//! Removes what may be there.

use std::fs;
use std::io::{ErrorKind, Result as IoResult};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Remove a file, if there is one.
pub(crate) fn file(path: &Path) -> Result<()> {
    unless_absent(fs::remove_file(path), path)
}

/// Remove a folder with all that is in it, if there is one.
pub(crate) fn folder(path: &Path) -> Result<()> {
    unless_absent(fs::remove_dir_all(path), path)
}

fn unless_absent(removed: IoResult<()>, path: &Path) -> Result<()> {
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
