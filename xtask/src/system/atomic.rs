//! Files that are written whole or not at all: readers see the old content or the new, never a part.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// Replace a file by one that only its owner can read.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    write(path, content, |_| Ok(()))
}

/// Replace a file by one that everyone can read, as a source or a report: a temporary file is private.
pub(crate) fn publish(path: &Path, content: &[u8]) -> io::Result<()> {
    write(path, content, open_to_all)
}

fn write(path: &Path, content: &[u8], prepare: fn(&File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    prepare(file.as_file())?;
    file.persist(path)?;
    Ok(())
}

#[cfg(unix)]
fn open_to_all(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn open_to_all(_: &File) -> io::Result<()> {
    Ok(())
}
