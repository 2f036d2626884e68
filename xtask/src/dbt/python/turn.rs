//! One process at a time changes an environment.
//!
//! The operating system's file lock: it is released when its holders end, however they end, so it is never
//! stale. The installer gets the locked file as its stdin, which makes it a holder too: if xtask is killed
//! and pip lives on, the next xtask ends that pip, or waits for it, instead of racing with it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::failure;
use crate::system::{console, interrupt};

const FILE: &str = ".xtask-lock";

/// The right to change an environment, until dropped.
pub(crate) struct Turn {
    file: File,
    path: PathBuf,
}

impl Turn {
    /// Wait for the right to change `venv`, creating the folder if needed. Reports the process that it waits
    /// for.
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
                // Some network file systems have no locks: continue unprotected rather than fail.
                tracing::warn!("cannot lock {} ({error}): run nothing else here meanwhile", path.display());
            }
        }
        // For the next process to wait; it is only informational, so a failure is ignored.
        drop(sign(&file, None));
        Ok(Self { file, path })
    }

    /// Record the installer's process, so that it can be found if this process is killed.
    pub(crate) fn name_installer(&self, process: u32) {
        drop(sign(&self.file, Some(process)));
    }

    /// The locked file, to be the stdin of a process that shares the turn.
    pub(crate) fn share(&self) -> Result<Stdio> {
        let file = self.file.try_clone();
        Ok(Stdio::from(file.with_context(|| format!("failed to share {}", self.path.display()))?))
    }
}

/// Wait until the lock is free. The process named in it is only checked for being alive.
fn wait(file: &mut File, venv: &Path) -> Result<()> {
    let holder = Holder::read(file);
    let message = format!("waiting for {}, which is setting up {}", holder.words, venv.display());
    tracing::info!("{message}");
    let bar = console::spinner(&message);
    let locked = loop {
        match file.try_lock() {
            Ok(()) => break Ok(()),
            Err(TryLockError::Error(error)) => break Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        interrupt::check()?;
        // Read again: the installer may have been started, or another process may have held the lock.
        Holder::read(file).end_if_orphaned(venv);
        std::thread::sleep(Duration::from_millis(100));
    };
    bar.finish_and_clear();
    locked.with_context(|| format!("failed to wait for the lock in {}", venv.display()))
}

/// Who signed the lock file last.
struct Holder {
    words: String,
    process: Option<i32>,
    installer: Option<i32>,
}

impl Holder {
    fn read(file: &mut File) -> Self {
        let mut text = String::new();
        drop(file.rewind().and_then(|()| file.read_to_string(&mut text)));
        let number_after = |start: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(start))?;
            line.split(' ').next()?.parse().ok()
        };
        Self {
            words: text.lines().next().unwrap_or("another process").to_owned(),
            process: number_after("process "),
            installer: number_after("installer "),
        }
    }

    /// End an installer whose xtask was killed: no process marks its work as finished, and one that hangs on
    /// a slow network would block all others.
    fn end_if_orphaned(&self, venv: &Path) {
        let (Some(process), Some(installer)) = (self.process, self.installer) else { return };
        if !is_alive(process) && holds_as_stdin(installer, &venv.join(FILE)) {
            tracing::info!("ending the installer (process {installer}) that {} left behind", self.words);
            end(installer);
        }
    }
}

#[cfg(unix)]
fn is_alive(process: i32) -> bool {
    rustix::process::Pid::from_raw(process)
        .is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(unix)]
fn end(process: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(process) {
        // It may have ended in the meantime.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(not(unix))]
fn is_alive(_: i32) -> bool {
    true
}

#[cfg(not(unix))]
fn end(_: i32) {}

/// Checks that a process is the recorded installer, since its id may have been reused. Only Linux shows this;
/// elsewhere an orphan is waited for.
fn holds_as_stdin(process: i32, path: &Path) -> bool {
    std::fs::read_link(format!("/proc/{process}/fd/0"))
        .is_ok_and(|open| path.canonicalize().is_ok_and(|path| path == open))
}

fn sign(mut file: &File, installer: Option<u32>) -> std::io::Result<()> {
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let now = jiff::Timestamp::now();
    let since = now.round(jiff::Unit::Second).unwrap_or(now);
    let installer = installer.map(|process| format!("installer {process}\n")).unwrap_or_default();
    let text =
        format!("process {} (`cargo xtask {command}`, since {since})\n{installer}", std::process::id());
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}
