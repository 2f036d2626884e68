//! The files of a set, which change together: a run that is killed leaves the old set or the new one.
//!
//! Files are written under other names in a folder inside the destination: it is on the same filesystem
//! even when the destination is a mount point, it needs no rights elsewhere, and no name in it ends in
//! `.csv`, so dbt never takes a half-written file for a seed. Several renames are not one step, so a marker
//! says when all are complete and on the disk: from then on any later run finishes the renames, and
//! before it any later run throws the folder away.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::system::locked::Locked;

/// The files of a set, as they are named in the destination.
pub(super) const FILES: [&str; FILE_COUNT] = [
    "raw_suppliers.csv",
    "raw_supplier_closures.csv",
    "raw_products.csv",
    "raw_price_breaks.csv",
    "raw_warehouses.csv",
    "raw_customer_orders.csv",
    "raw_purchase_orders.csv",
    "raw_inventory_movements.csv",
];

pub(super) const FILE_COUNT: usize = 8;

const FOLDER: &str = ".xtask-seed";
const MARKER: &str = "complete";
/// The folder ignores itself, so that the remains of a killed run are not committed.
const IGNORE: &str = ".gitignore";

/// A set in the making. Dropped without [`publish`](Self::publish), it leaves nothing behind.
pub(super) struct Staging {
    out: PathBuf,
    /// Whether the destination was made for this run.
    made_out: bool,
    /// Held to the end: a second run on the same folder must not sweep away this one's files.
    _lock: Locked,
    done: bool,
}

impl Staging {
    /// Prepare `out`, which is created when missing, and tidy up after a killed run.
    pub(super) fn open(out: &Path) -> Result<Self> {
        let made_out = !out.exists();
        fs::create_dir_all(out).with_context(|| format!("failed to create the folder {}", out.display()))?;
        let lock = lock(out)?;
        let staging = Self { out: out.to_path_buf(), made_out, _lock: lock, done: false };
        settle_locked(out)?;
        for name in FILES {
            if out.join(name).is_dir() {
                bail!(
                    "{} is a folder, and the data wants a file of that name there",
                    out.join(name).display()
                );
            }
        }
        let folder = out.join(FOLDER);
        fs::create_dir(&folder)
            .and_then(|()| fs::write(folder.join(IGNORE), "*\n"))
            .with_context(|| format!("failed to create {}; is the folder writable?", folder.display()))?;
        Ok(staging)
    }

    /// Where to write the file that will be `name`.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        part(&self.out, name)
    }

    /// Put all files in place. They must be complete and synced.
    pub(super) fn publish(mut self) -> Result<()> {
        let folder = self.out.join(FOLDER);
        sync_folder(&folder)
            .and_then(|()| write_marker(&folder.join(MARKER)))
            .and_then(|()| sync_folder(&folder))
            .with_context(|| format!("failed to write to {}", folder.display()))?;
        // From here on a later run finishes the work; throwing the files away would tear the set.
        self.done = true;
        settle_locked(&self.out)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if let Err(error) = sweep(&self.out.join(FOLDER)) {
            tracing::warn!("{error:#}");
        }
        if self.made_out {
            // Fails, as it should, if another process put a file there meanwhile.
            drop(fs::remove_dir(&self.out));
        }
    }
}

/// Finish or clear away what a killed run left in `out`. Cheap where there is nothing.
pub(super) fn settle(out: &Path) -> Result<()> {
    if !out.join(FOLDER).exists() {
        return Ok(());
    }
    let _lock = lock(out)?;
    settle_locked(out)
}

fn settle_locked(out: &Path) -> Result<()> {
    let folder = out.join(FOLDER);
    if folder.join(MARKER).exists() {
        for name in FILES {
            let (from, to) = (part(out, name), out.join(name));
            if from.exists() {
                fs::rename(&from, &to).with_context(|| {
                    format!(
                        "failed to put {} in place; the whole new set lies in {}, and the next \
                         `cargo xtask seed` to this folder finishes the job",
                        to.display(),
                        folder.display()
                    )
                })?;
            }
        }
        sync_folder(out).with_context(|| format!("failed to write to {}", out.display()))?;
    }
    sweep(&folder)
}

/// Remove our own files and the folder; anything else in it stays, and is complained about.
fn sweep(folder: &Path) -> Result<()> {
    let parts = FILES.map(part_name);
    // The marker goes last but for the folder: without it the parts are worth nothing.
    for name in parts.iter().map(String::as_str).chain([MARKER, IGNORE]) {
        ignore_missing(fs::remove_file(folder.join(name)))
            .with_context(|| format!("failed to remove {}", folder.join(name).display()))?;
    }
    ignore_missing(fs::remove_dir(folder)).with_context(|| {
        format!("failed to remove {}; if it holds files of yours, move them elsewhere", folder.display())
    })
}

/// An advisory lock on the folder itself, released when the process ends, however it ends.
fn lock(out: &Path) -> Result<Locked> {
    let folder = File::open(out).with_context(|| format!("failed to open the folder {}", out.display()))?;
    match folder.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!(
            "another `cargo xtask seed` is writing to {}; wait until it is done, or choose another --out",
            out.display()
        ),
        // Some network filesystems have no locks; one run at a time works there as well.
        Err(TryLockError::Error(error)) => tracing::debug!("{} cannot be locked: {error}", out.display()),
    }
    Ok(Locked::of(folder))
}

fn write_marker(path: &Path) -> io::Result<()> {
    let mut marker = File::create(path)?;
    marker.write_all(
        b"All files beside this one are complete. Run `cargo xtask seed` to put them in place.\n",
    )?;
    marker.sync_all()
}

/// Make the names in a folder survive a power cut. Only Unix lets a folder be synced.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn part(out: &Path, name: &str) -> PathBuf {
    out.join(FOLDER).join(part_name(name))
}

fn part_name(name: &str) -> String {
    format!("{name}.part")
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_parts(out: &Path, text: &str) {
        fs::create_dir_all(out.join(FOLDER)).expect("a folder");
        for name in FILES {
            fs::write(part(out, name), text).expect("written");
        }
    }

    fn contents(out: &Path) -> Vec<String> {
        FILES.map(|name| fs::read_to_string(out.join(name)).unwrap_or_default()).to_vec()
    }

    #[test]
    fn a_run_killed_before_the_marker_is_undone() {
        let out = tempfile::tempdir().expect("a scratch folder");
        for name in FILES {
            fs::write(out.path().join(name), "old").expect("written");
        }
        write_parts(out.path(), "half");
        settle(out.path()).expect("settled");
        assert_eq!(contents(out.path()), ["old"; FILE_COUNT]);
        assert!(!out.path().join(FOLDER).exists());
    }

    #[test]
    fn a_run_killed_between_renames_is_finished() {
        for renamed in 0..=FILES.len() {
            let out = tempfile::tempdir().expect("a scratch folder");
            write_parts(out.path(), "new");
            fs::write(out.path().join(FOLDER).join(MARKER), "").expect("written");
            for (place, name) in FILES.into_iter().enumerate() {
                if place < renamed {
                    fs::rename(part(out.path(), name), out.path().join(name)).expect("renamed");
                } else {
                    fs::write(out.path().join(name), "old").expect("written");
                }
            }
            settle(out.path()).expect("settled");
            assert_eq!(contents(out.path()), ["new"; FILE_COUNT], "killed after {renamed} renames");
            assert!(!out.path().join(FOLDER).exists());
        }
    }

    #[test]
    fn foreign_files_are_never_removed() {
        let out = tempfile::tempdir().expect("a scratch folder");
        write_parts(out.path(), "half");
        let theirs = out.path().join(FOLDER).join("thesis.txt");
        fs::write(&theirs, "precious").expect("written");
        let error = settle(out.path()).expect_err("the folder is not empty");
        assert!(format!("{error:#}").contains("files of yours"), "{error:#}");
        assert!(theirs.exists());
    }

    #[test]
    fn a_second_run_on_the_same_folder_is_refused() {
        let out = tempfile::tempdir().expect("a scratch folder");
        let first = Staging::open(out.path()).expect("free");
        let error = Staging::open(out.path()).err().expect("taken");
        assert!(error.to_string().contains("another `cargo xtask seed`"), "{error}");
        drop(first);
        assert!(Staging::open(out.path()).is_ok());
    }
}
