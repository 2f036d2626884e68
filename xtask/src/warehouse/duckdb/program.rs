//! Calls of the engine's program: what it is to open, what it answers, and what to do about its errors.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use super::layout::catalog;
use super::waiting;
use crate::core::{context, lock};
use crate::system::dialogue;
use crate::warehouse::{Row, literal, quote};

/// How long another program may hold a file before we give up. Runs of the toolkit queue on another lock, so what is
/// met here is a user's shell, a dbt process that is just going away, or another command at the registry.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one call may take before the engine is stopped, in seconds: more than any statement of ours
/// needs, so what lasts longer hangs.
const TIME_LIMIT: &str = "XTASK_DUCKDB_TIMEOUT";
const USUAL_LIMIT: u64 = 1800;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// The databases of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// The one that names without a database mean; none but a temporary one in memory otherwise.
    pub(super) main: Option<PathBuf>,
    pub(super) access: Access,
    /// Others by name, to be read, or to be written with [`Open::writing`].
    pub(super) attached: Vec<(String, PathBuf)>,
    pub(super) writes_attached: bool,
}

impl Open {
    pub(super) fn file(file: &Path, access: Access) -> Self {
        Self { main: Some(file.to_path_buf()), access, attached: Vec::new(), writes_attached: false }
    }

    pub(super) fn attached(attached: Vec<(String, PathBuf)>) -> Self {
        Self { main: None, access: Access::Read, attached, writes_attached: false }
    }

    /// `file` under another name than its own, to be written.
    pub(super) fn writing(name: &str, file: &Path) -> Self {
        let attached = vec![(name.to_owned(), file.to_path_buf())];
        Self { main: None, access: Access::Write, attached, writes_attached: true }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.main.iter().chain(self.attached.iter().map(|(_, file)| file))
    }

    pub(super) fn has(&self, file: &Path) -> bool {
        self.files().any(|each| each == file)
    }

    /// The statements that come before all others.
    pub(super) fn preface(&self) -> String {
        let mode = if self.writes_attached { "" } else { " (read_only)" };
        let attach = |(name, file): &(String, PathBuf)| {
            format!("attach {} as {}{mode};\n", literal(&file.to_string_lossy()), quote(name))
        };
        self.attached.iter().map(attach).collect()
    }

    /// The same for an engine that was started with nothing open.
    pub(super) fn late_preface(&self) -> String {
        let mode = if self.access == Access::Read { " (read_only)" } else { "" };
        let main = self.main.as_ref().map(|file| {
            let name = quote(&catalog(file));
            format!("attach {} as {name}{mode};\nuse {name};\n", literal(&file.to_string_lossy()))
        });
        main.unwrap_or_default() + &self.preface()
    }

    /// The statements that close what [`Open::preface`] opens.
    pub(super) fn postface(&self) -> String {
        let detach = |(name, _): &(String, PathBuf)| format!("detach {};\n", quote(name));
        self.attached.iter().map(detach).collect()
    }

    /// What is opened, for people.
    pub(super) fn place(&self) -> String {
        let files: Vec<&PathBuf> = self.files().collect();
        match files.as_slice() {
            [] => "duckdb".to_owned(),
            [file] => file.display().to_string(),
            [first, rest @ ..] => format!("{} and {} more files", first.display(), rest.len()),
        }
    }
}

/// The rows of every statement of `sql` that is a query.
pub(super) fn call(program: &Path, open: &Open, sql: &str) -> Result<Vec<Vec<Row>>> {
    call_within(program, open, sql, PATIENCE)?.map_err(|locked| anyhow!(locked.explained))
}

/// A file that another process keeps from being opened.
#[derive(Debug)]
pub(super) struct Locked {
    /// `None` if the engine does not name it.
    pub(super) file: Option<PathBuf>,
    pub(super) by: String,
    explained: String,
}

/// As [`call`], but a file that is still locked after `patience` is an answer.
pub(super) fn call_within(
    program: &Path,
    open: &Open,
    sql: &str,
    patience: Duration,
) -> Result<Result<Vec<Vec<Row>>, Locked>> {
    let deadline = Instant::now() + patience;
    waiting::record_all(program, open);
    loop {
        match call_once(program, open, sql)? {
            Ok(results) => return Ok(Ok(results)),
            Err(message) if is_locked(&message) => {
                if Instant::now() >= deadline {
                    let (file, by) = (file_in(&message), user_of(open, &message));
                    return Ok(Err(Locked { file, by, explained: explain(open, &message) }));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(message) => bail!(explain(open, &message)),
        }
    }
}

/// `Err` is what the engine had to say; the outer one is that it could not be asked.
pub(super) fn call_once(program: &Path, open: &Open, sql: &str) -> Result<Result<Vec<Vec<Row>>, String>> {
    let mut command = started(program, open);
    let input = open.preface() + sql;
    let output = dialogue::hold(&mut command, input.into_bytes(), time_limit()?)
        .with_context(|| format!("failed to use {}; {TIME_LIMIT} sets the limit in seconds", open.place()))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Ok(Err(if message.is_empty() {
            format!("duckdb ended with {}", output.status)
        } else {
            message
        }));
    }
    rows(&output.stdout).map(Ok)
}

/// The storage format of new files; those that exist keep theirs. Up to version 1.1 it stored the statistics of columns in
/// a form that takes most of the time in which a file is opened.
const STORAGE: &str = "v1.2.0";

/// The engine's command line for what is to be open; its input is not given yet.
pub(super) fn started(program: &Path, open: &Open) -> Command {
    let mut command = Command::new(program);
    // No start-up file: a user's `.duckdbrc` must not change what a statement means.
    command.args(["-no-init", "-batch", "-bail", "-json", "-storage-version", STORAGE]);
    if let Some(file) = &open.main {
        if open.access == Access::Read {
            command.arg("-readonly");
        }
        command.arg(file);
    }
    command
}

/// The rows of every query of which the engine printed the result.
pub(super) fn rows(stdout: &[u8]) -> Result<Vec<Vec<Row>>> {
    serde_json::Deserializer::from_slice(stdout)
        .into_iter::<Vec<Row>>()
        .collect::<Result<_, _>>()
        .context("failed to read duckdb's JSON")
}

pub(super) fn time_limit() -> Result<Duration> {
    Ok(Duration::from_secs(context::seconds(TIME_LIMIT)?.unwrap_or(USUAL_LIMIT)))
}

/// The engine's message with what to do about it.
fn explain(open: &Open, message: &str) -> String {
    let named = file_in(message).map(|file| file.display().to_string());
    let file = named.unwrap_or_else(|| open.place());
    if is_locked(message) {
        return format!("failed to open {file}: {}\n{message}", blocked_by(open, message));
    }
    if is_damaged(message) {
        return format!(
            "failed to open {file}: it is damaged or was not made by DuckDB; move it away (its .wal file too) and \
             build again with `cargo xtask elt`, or put a copy of it back\n{message}"
        );
    }
    let advice = if is_disk_full(message) {
        "the disk is full; free some space and try again"
    } else if is_corrupt(message) {
        "the file is damaged or not a DuckDB database; move it away (mv FILE FILE.bad) and build the environment again"
    } else if message.contains("Permission denied") || message.contains("Read-only file system") {
        "the file or its folder is not writable; set DBT_DUCKDB_PATH to a place that is"
    } else if message.contains("Ambiguous reference to catalog or schema") {
        "DuckDB names a database after its file, and this one has the name of the schema, so that neither can be named; \
         rename the file (DBT_DUCKDB_PATH) or choose another --schema"
    } else {
        return format!("duckdb refused a statement on {file}\n{message}");
    };
    format!("failed to use {file}: {advice}\n{message}")
}

/// The run that keeps the file from being opened, if it is one of the toolkit: the process that the engine names is
/// not always the one that holds our own lock.
fn run_with(open: &Open, message: &str) -> Option<lock::Holder> {
    let guarded = file_in(message).or_else(|| open.main.clone())?;
    let pid = holder_in(message);
    lock::holder(&guarded).filter(|ours| pid.is_none_or(|pid| pid == ours.pid || is_below(pid, ours.pid)))
}

/// Who keeps the file from being opened.
fn user_of(open: &Open, message: &str) -> String {
    run_with(open, message).map_or_else(
        || holder_in(message).map_or_else(|| "another program".to_owned(), lock::describe_process),
        |run| run.describe(),
    )
}

/// The same, with what to do.
fn blocked_by(open: &Open, message: &str) -> String {
    let user = user_of(open, message);
    if run_with(open, message).is_some() {
        format!("{user} is writing to it; try again when that has ended")
    } else {
        format!("{user} has the file open; close it and try again")
    }
}

/// Whether an engine's message says that there is no room left to write.
pub(crate) fn is_disk_full(message: &str) -> bool {
    message.contains("No space left on device") || message.contains("Disk quota exceeded")
}

fn is_corrupt(message: &str) -> bool {
    ["not a valid DuckDB database", "Serialization Error", "Corrupt database", "checksum"]
        .iter()
        .any(|part| message.contains(part))
}

fn is_locked(message: &str) -> bool {
    message.contains("Could not set lock on file")
}

fn is_damaged(message: &str) -> bool {
    [
        "not a valid DuckDB database file",
        "The file is not a valid",
        "Corrupt database file",
        "Failure while replaying WAL",
        "database file is corrupt",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// The file that the engine could not lock: `… lock on file "PATH"`.
fn file_in(message: &str) -> Option<PathBuf> {
    let (_, rest) = message.split_once("lock on file \"")?;
    let (path, _) = rest.split_once('"')?;
    Path::new(path).is_absolute().then(|| PathBuf::from(path))
}

/// The process that the engine names as the one that holds the file: `(PID 12)`.
fn holder_in(message: &str) -> Option<u32> {
    let rest = &message[message.find("(PID ")? + 5..];
    rest.split(')').next()?.trim().parse().ok()
}

/// Whether a process was started by `ancestor`, directly or not; unknown counts as no.
fn is_below(pid: u32, ancestor: u32) -> bool {
    let parent = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in brackets may hold spaces and brackets.
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
    };
    std::iter::successors(parent(pid), |pid| parent(*pid)).take(32).any(|pid| pid == ancestor)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_really_holds_the_file_is_named() {
        let open = Open::file(Path::new("w.duckdb"), Access::Read);
        let ours = std::process::id();
        let said = format!(
            "IO Error: Could not set lock on file \"/r/w.duckdb\": Conflicting lock is held in /bin/x (PID {ours}) by user u."
        );
        assert_eq!((holder_in(&said), file_in(&said)), (Some(ours), Some(PathBuf::from("/r/w.duckdb"))));
        let explained = explain(&open, &said);
        assert!(explained.contains(&format!("process {ours}")), "{explained}");
        assert!(explain(&open, "Could not set lock on file \"w\"").contains("another program"));
    }

    #[test]
    fn a_file_with_the_name_of_the_schema_gets_advice() {
        let open = Open::file(Path::new("shop.duckdb"), Access::Write);
        let said =
            explain(&open, "Binder Error: Ambiguous reference to catalog or schema \"shop\" - use a path");
        assert!(said.contains("rename the file"), "{said}");
    }

    #[test]
    fn a_damaged_file_gets_advice() {
        let open = Open::file(Path::new("w.duckdb"), Access::Read);
        let said =
            explain(&open, "IO Error: The file \"w\" exists, but it is not a valid DuckDB database file!");
        assert!(said.contains("move it away"), "{said}");
    }
}
