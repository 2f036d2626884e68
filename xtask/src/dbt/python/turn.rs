//! One process at a time changes an environment.
//!
//! The operating system's file lock: it goes when its holders are gone, however they end, so none is
//! ever stale. The installer gets the locked file as its stdin, which makes it a holder too: if xtask
//! is killed and pip lives on, the next xtask waits for that pip instead of racing with it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};

use super::failure;
use crate::console;

const FILE: &str = ".xtask-lock";

/// The right to change an environment, until dropped.
pub(crate) struct Turn {
    file: File,
    path: PathBuf,
}

impl Turn {
    /// Wait for the right to change `venv`, creating the folder if need be. Says for whom it waits.
    pub(crate) fn take(venv: &Path) -> Result<Self> {
        std::fs::create_dir_all(venv).map_err(|error| failure::of_folder("create", venv, error))?;
        let path = venv.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| failure::of_folder("write to", venv, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => wait(&mut file, venv)?,
            Err(TryLockError::Error(error)) => {
                // Some network file systems have no locks: rather unprotected than not at all.
                tracing::warn!("cannot lock {} ({error}): run nothing else here meanwhile", path.display());
            }
        }
        // For the one who comes next; it is no more than a courtesy, so a failure is no reason to stop.
        drop(sign(&mut file));
        Ok(Self { file, path })
    }

    /// The locked file, to be the stdin of a process that shares the turn.
    pub(crate) fn share(&self) -> Result<Stdio> {
        let file = self.file.try_clone();
        Ok(Stdio::from(file.with_context(|| format!("failed to share {}", self.path.display()))?))
    }
}

fn wait(file: &mut File, venv: &Path) -> Result<()> {
    let mut holder = String::new();
    drop(file.read_to_string(&mut holder));
    let holder = if holder.is_empty() { "another process" } else { holder.trim() };
    let message = format!("waiting for {holder}, which is setting up {}", venv.display());
    tracing::info!("{message}");
    let bar = console::spinner(&message);
    let locked = file.lock();
    bar.finish_and_clear();
    locked.with_context(|| format!("failed to wait for the lock in {}", venv.display()))
}

fn sign(file: &mut File) -> std::io::Result<()> {
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let now = jiff::Timestamp::now();
    let since = now.round(jiff::Unit::Second).unwrap_or(now);
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "process {} (`cargo xtask {command}`, since {since})", std::process::id())?;
    file.flush()
}
