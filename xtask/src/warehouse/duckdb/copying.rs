//! The file of a database that is copied while other things are done.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, anyhow, bail};

use super::files::remove;
use super::token::Token;

/// A copy that is removed again unless it is finished.
#[derive(Debug)]
pub(super) struct Copying {
    from: PathBuf,
    to: PathBuf,
    /// What `from` was when it began.
    before: Option<Token>,
    copied: Option<JoinHandle<io::Result<()>>>,
    is_on_disk: Arc<AtomicBool>,
    is_finished: bool,
}

impl Copying {
    /// Begin to copy the database file `from`, which has no log. The caller keeps other commands from writing to it.
    ///
    /// The copy is left to the operating system, which writes it to the disk within about half a minute, as it does what `cp`
    /// copies: to wait for the disk takes several times as long. With `flushes` it begins at once.
    pub(super) fn start(from: &Path, to: &Path, flushes: bool) -> Result<Self> {
        remove(to)?;
        let before = Token::read(from);
        let is_on_disk = Arc::new(AtomicBool::new(false));
        let (source, target, done) = (from.to_path_buf(), to.to_path_buf(), Arc::clone(&is_on_disk));
        let copied = thread::spawn(move || {
            copy(&source, &target)?;
            if flushes {
                let copy = File::open(target)?;
                thread::spawn(move || done.store(copy.sync_data().is_ok(), Ordering::Relaxed));
            }
            Ok(())
        });
        let (from, to) = (from.to_path_buf(), to.to_path_buf());
        Ok(Self { from, to, before, copied: Some(copied), is_on_disk, is_finished: false })
    }

    pub(super) fn is(&self, from: &Path, to: &Path) -> bool {
        self.from == from && self.to == to
    }

    /// Wait until everything is copied; whether all of it is on the disk.
    pub(super) fn finish(mut self) -> Result<bool> {
        self.wait()
            .with_context(|| format!("failed to copy {} to {}", self.from.display(), self.to.display()))?;
        if Token::read(&self.from) != self.before {
            bail!(
                "{} was written to while it was copied; try again when nothing writes to it",
                self.from.display()
            );
        }
        self.is_finished = true;
        Ok(self.is_on_disk.load(Ordering::Relaxed))
    }

    fn wait(&mut self) -> Result<()> {
        let Some(copied) = self.copied.take() else { return Ok(()) };
        Ok(copied.join().map_err(|_| anyhow!("the copy panicked"))??)
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        drop(self.wait());
        if let Err(error) = remove(&self.to) {
            tracing::debug!("{error:#}");
        }
    }
}

/// Copy a file. File systems that can (Btrfs, XFS) share the blocks: such a copy takes no time and no room. The room is taken in one
/// piece on the others, which saves a sixth of the time on ext4.
#[cfg(target_os = "linux")]
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate, ioctl_ficlone};

    let (mut source, mut target) = (File::open(from)?, File::create(to)?);
    let about = source.metadata()?;
    target.set_permissions(about.permissions())?;
    if ioctl_ficlone(&target, &source).is_ok() {
        return Ok(());
    }
    if let Err(error) = fallocate(&target, FallocateFlags::empty(), 0, about.len()) {
        // If there is too little room, the copy will say so.
        tracing::debug!("no room was taken for {} before it was copied: {error}", to.display());
    }
    io::copy(&mut source, &mut target).map(drop)
}

/// The standard library shares the blocks on APFS.
#[cfg(not(target_os = "linux"))]
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::copy(from, to).map(drop)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn database(path: &Path, checkpoint: u8) {
        let mut bytes = vec![0; 3 * 4096];
        bytes[8..12].copy_from_slice(b"DUCK");
        bytes[4104] = checkpoint;
        fs::write(path, bytes).expect("a file");
    }

    #[test]
    fn a_copy_is_whole_or_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("dev.duckdb"), folder.path().join("pr_7.duckdb.new"));
        database(&from, 3);
        assert!(!Copying::start(&from, &to, false).expect("begun").finish().expect("copied"));
        assert_eq!(fs::read(&to).expect("a copy"), fs::read(&from).expect("a base"));
        fs::set_permissions(&from, fs::Permissions::from_mode(0o600)).expect("a mode");

        let copying = Copying::start(&from, &to, true).expect("begun");
        while !copying.is_on_disk.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        assert!(copying.finish().expect("copied"));
        assert_eq!(fs::metadata(&to).expect("a copy").permissions().mode() & 0o777, 0o600);

        drop(Copying::start(&from, &to, true).expect("begun"));
        assert!(!to.exists(), "not needed");

        let copying = Copying::start(&from, &to, false).expect("begun");
        // The same content could have the same times too.
        database(&from, 4);
        let error = copying.finish().expect_err("the base has changed").to_string();
        assert!(error.contains("was written to while it was copied"), "{error}");
        assert!(!to.exists(), "torn");

        fs::remove_file(&from).expect("no base");
        let error = Copying::start(&from, &to, false).expect("begun").finish().expect_err("no base");
        assert!(error.to_string().contains("failed to copy"), "{error}");
    }
}
