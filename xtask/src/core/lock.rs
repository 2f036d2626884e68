//! One writer at a time: a lock that the operating system frees when its holder dies.
//!
//! The lock is on an open file, never on the file's existence, so nothing stale can be left behind.
//! What the holder writes into the file is for people who wait, and for the next holder: text that is
//! still there when the lock is free was left by a run that was killed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::context;
use crate::core::environment::Name;
use crate::system::locked::Locked;
use crate::system::{interrupt, repo};

const POLL: Duration = Duration::from_millis(100);
const REMIND: Duration = Duration::from_secs(30);

/// Who holds a lock, since when and for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) command: String,
    pub(crate) schema: String,
    /// The run that the ledger will know it by; `None` for what the ledger does not record.
    pub(crate) run_id: Option<String>,
    pub(crate) pid: u32,
    pub(crate) since: Timestamp,
    /// The page of the workflow run, on GitHub Actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run_url: Option<String>,
}

impl Holder {
    /// This process, as of now.
    pub(crate) fn this(command: &str, schema: &Name, run_id: Option<&str>) -> Self {
        Self {
            command: command.to_owned(),
            schema: schema.to_string(),
            run_id: run_id.map(str::to_owned),
            pid: std::process::id(),
            since: Timestamp::now(),
            run_url: context::run_url(),
        }
    }

    /// This process, for a command about all environments.
    pub(crate) fn of_all(command: &str) -> Self {
        Self {
            command: command.to_owned(),
            schema: "all environments".to_owned(),
            run_id: None,
            run_url: context::run_url(),
            pid: std::process::id(),
            since: Timestamp::now(),
        }
    }

    pub(crate) fn describe(&self) -> String {
        let place = self.run_url.clone().unwrap_or_else(|| format!("process {}", self.pid));
        format!("{} of {} ({place}, since {:.0})", self.command, self.schema, self.since)
    }
}

/// The lock, held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: Locked,
    path: PathBuf,
    is_last: bool,
    /// Who held it before and went away without saying so: that run was killed.
    pub(crate) left_by: Option<Holder>,
}

impl Lock {
    /// Take the lock that guards `guarded`. While another process holds it, wait and report which, but no
    /// longer than `wait`.
    pub(crate) fn take(guarded: &Path, holder: &Holder, wait: Duration) -> Result<Self> {
        let path = path_beside(guarded);
        let mut waiting_since: Option<Instant> = None;
        let begun = Instant::now();
        loop {
            if let Some(file) = open_locked(&path)? {
                return Self::held(file, &path, holder);
            }
            let held_by = || read(&mut open(&path).ok()?);
            if waiting_since.is_none_or(|since| since.elapsed() > REMIND) {
                waiting_since = Some(Instant::now());
                tracing::info!("{}", waiting_for(held_by(), holder));
            }
            if begun.elapsed() >= wait {
                bail!(gave_up(guarded, held_by().as_ref(), wait));
            }
            interrupt::check()?;
            std::thread::sleep(POLL);
        }
    }

    /// Take the lock that guards `guarded` if it is free.
    pub(crate) fn take_if_free(guarded: &Path, holder: &Holder) -> Result<Option<Self>> {
        let path = path_beside(guarded);
        let Some(file) = open_locked(&path)? else { return Ok(None) };
        Self::held(file, &path, holder).map(Some)
    }

    fn held(mut file: Locked, path: &Path, holder: &Holder) -> Result<Self> {
        let left_by = read(&mut file);
        let mut lock = Self { file, path: path.to_path_buf(), left_by, is_last: false };
        lock.write(&serde_json::to_vec(holder)?)
            .with_context(|| format!("failed to write to {}", path.display()))?;
        Ok(lock)
    }

    /// Let nothing remain of the lock once it is given back: what it guards is gone.
    pub(crate) fn remove_after_use(&mut self) {
        self.is_last = true;
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(bytes)?;
        self.file.flush()
    }
}

impl Drop for Lock {
    /// An empty file says that its last holder came to its end; what a killed one left stays until it was taken note
    /// of. The file is removed only while it is locked, and
    /// a process that locks a file checks whether it is still the one of that name.
    fn drop(&mut self) {
        let left = self.left_by.as_ref().and_then(|left| serde_json::to_vec(left).ok());
        drop(self.write(&left.unwrap_or_default()));
        if self.is_last && cfg!(unix) {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// Who holds the lock that guards `guarded` at this moment.
pub(crate) fn holder(guarded: &Path) -> Option<Holder> {
    let mut file = File::open(path_beside(guarded)).ok()?;
    if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
        return read(&mut file);
    }
    // Asking must not look like holding to a process that takes the lock now.
    drop(Locked::of(file));
    None
}

/// Why a lock was not taken.
pub(crate) fn gave_up(guarded: impl AsRef<Path>, held_by: Option<&Holder>, wait: Duration) -> String {
    format!(
        "gave up after waiting {} s for {}: {} holds it; try again when that has ended, or wait longer with --wait",
        wait.as_secs(),
        guarded.as_ref().display(),
        held_by.map_or_else(|| "another run".to_owned(), Holder::describe)
    )
}

/// A process for people: its number, and what it runs if the system says.
pub(crate) fn describe_process(pid: u32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    match words.join(" ") {
        line if line.is_empty() => format!("process {pid}"),
        // The first words say which program it is; what follows may be a whole script.
        line => {
            let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(80).collect();
            format!("process {pid} (`{line}`)")
        }
    }
}

fn waiting_for(held_by: Option<Holder>, us: &Holder) -> String {
    match held_by {
        Some(other) if other.schema == us.schema => {
            format!("waiting: {} holds this schema; Ctrl-C gives up", other.describe())
        }
        Some(other) => {
            format!("waiting: {} holds the database file; Ctrl-C gives up", other.describe())
        }
        None => "waiting: another run holds the database file; Ctrl-C gives up".to_owned(),
    }
}

fn path_beside(guarded: &Path) -> PathBuf {
    let mut name = guarded.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn open(path: &Path) -> Result<File> {
    let open = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
            repo::keep_from_git(folder)?;
        }
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
    };
    open().with_context(|| {
        format!(
            "failed to open {}; its folder must be writable (DBT_DUCKDB_PATH chooses another)",
            path.display()
        )
    })
}

/// The lock's file, open and locked; `None` while another process holds it.
fn open_locked(path: &Path) -> Result<Option<Locked>> {
    loop {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) if is_of_name(&file, path) => return Ok(Some(Locked::of(file))),
            // Its last holder removed it after it was opened.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("failed to lock {}", path.display()));
            }
        }
    }
}

/// Whether `path` still names the file that is open.
#[cfg(unix)]
fn is_of_name(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(open), Ok(named)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// Elsewhere no lock file is removed.
#[cfg(not(unix))]
fn is_of_name(_: &File, _: &Path) -> bool {
    true
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_mins(10);

    fn holder_of(schema: &str) -> Holder {
        Holder {
            command: "elt".into(),
            schema: schema.into(),
            run_id: Some("r".into()),
            pid: 7,
            since: Timestamp::UNIX_EPOCH,
            run_url: None,
        }
    }

    #[test]
    fn a_released_lock_leaves_nothing_to_explain() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("w.duckdb");
        let lock = Lock::take(&database, &holder_of("issue_1"), WAIT).expect("free");
        assert_eq!(holder(&database), Some(holder_of("issue_1")));
        drop(lock);
        assert_eq!(holder(&database), None);
        assert_eq!(Lock::take(&database, &holder_of("issue_2"), WAIT).expect("free").left_by, None);
    }

    #[test]
    fn a_wait_has_a_limit_and_says_who_holds_the_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("w.duckdb");
        let _held = Lock::take(&database, &holder_of("issue_1"), WAIT).expect("free");
        let error = Lock::take(&database, &holder_of("issue_2"), Duration::ZERO).expect_err("held");
        let text = error.to_string();
        assert!(text.contains("elt of issue_1 (process 7") && text.contains("--wait"), "{text}");
    }

    #[test]
    fn the_folder_of_the_toolkit_keeps_itself_out_of_git() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join(".xtask/run/w.duckdb");
        drop(Lock::take(&database, &holder_of("issue_1"), WAIT).expect("free"));
        assert!(folder.path().join(".xtask/.gitignore").is_file());
        assert!(!folder.path().join(".gitignore").exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_described_by_what_it_runs() {
        let ours = std::process::id();
        assert!(describe_process(ours).starts_with(&format!("process {ours} (`")));
        assert_eq!(describe_process(u32::MAX), format!("process {}", u32::MAX));
    }

    #[test]
    fn what_a_killed_holder_left_is_handed_to_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("w.duckdb");
        let text = serde_json::to_string(&holder_of("issue_1")).expect("json");
        std::fs::write(folder.path().join("w.duckdb.lock"), text).expect("written");
        assert_eq!(holder(&database), None, "it is not held");
        let lock = Lock::take(&database, &holder_of("issue_2"), WAIT).expect("free");
        assert_eq!(lock.left_by, Some(holder_of("issue_1")));
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_was_removed_is_taken_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("w.duckdb");
        let mut last = Lock::take(&database, &holder_of("issue_1"), WAIT).expect("free");
        // As a process that opened the file while it was held.
        let opened_before = open(&path_beside(&database)).expect("open");
        assert!(Lock::take_if_free(&database, &holder_of("issue_2")).expect("asked").is_none());
        last.remove_after_use();
        drop(last);
        assert!(!path_beside(&database).exists());
        opened_before.try_lock().expect("free, but the name is gone");
        assert!(!is_of_name(&opened_before, &path_beside(&database)));
        let next = Lock::take_if_free(&database, &holder_of("issue_2")).expect("asked").expect("free");
        assert_eq!(next.left_by, None);
    }
}
