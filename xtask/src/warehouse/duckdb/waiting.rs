//! Runs that found nothing to do. They wait in a file beside the database until something else is a reason to start
//! the engine, which costs more than all the rest of such a run.
//!
//! What waits beside a file is recorded before the engine opens it, so that each question of the toolkit about a ledger finds
//! all runs in it. Only an engine that is opened to write to the file records them itself, with its change.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::layout::with_suffix;
use super::program::{Access, Open, call_once};
use super::token::Token;
use super::{insert_from, kept};
use crate::warehouse::Row;

pub(super) fn path_of(database: &Path) -> PathBuf {
    with_suffix(database, ".runs")
}

/// Let a row of the table of runs wait beside `database`.
pub(super) fn add(database: &Path, run: &Row) -> Result<()> {
    let path = path_of(database);
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
        file.lock()?;
        let mut line = serde_json::to_vec(run)?;
        line.push(b'\n');
        file.write_all(&line)
    };
    write().with_context(|| format!("failed to write to {}", path.display()))
}

/// Record what waits beside the files of `open`. If that is not possible, because another program has one of them
/// open, say, it goes on waiting.
pub(super) fn record_all(program: &Path, open: &Open) {
    for file in open.files() {
        let path = path_of(file);
        if path.metadata().is_ok_and(|found| found.len() > 0)
            && let Err(error) = record(program, file, &path)
        {
            tracing::debug!("{}: {error:#}", path.display());
        }
    }
}

fn record(program: &Path, database: &Path, path: &Path) -> Result<()> {
    let waiting = OpenOptions::new().read(true).append(true).open(path)?;
    waiting.lock()?;
    let Some(runs) = Waiting::read(path)? else { return Ok(()) };
    let before = Token::read(database);
    match call_once(program, &Open::file(database, Access::Write), &runs.statement)? {
        Ok(_) => {
            waiting.set_len(0)?;
            kept::follow(database, before.as_ref());
        }
        Err(message) => tracing::debug!("{}: {message}", path.display()),
    }
    Ok(())
}

/// Runs that wait, for an engine that has their database open to be written.
#[derive(Debug)]
pub(super) struct Waiting {
    path: PathBuf,
    text: Vec<u8>,
    /// Records them, but for those that are recorded.
    pub(super) statement: String,
}

impl Waiting {
    /// What waits beside `database`.
    pub(super) fn beside(database: &Path) -> Option<Self> {
        let path = path_of(database);
        if !path.exists() {
            return None;
        }
        Self::read(&path).inspect_err(|error| tracing::debug!("{}: {error:#}", path.display())).ok().flatten()
    }

    fn read(path: &Path) -> Result<Option<Self>> {
        let text = std::fs::read(path)?;
        let mut rows = serde_json::Deserializer::from_slice(&text).into_iter::<Row>();
        let Some(first) = rows.next() else { return Ok(None) };
        let table = "main.ledger_runs";
        let insert = insert_from(path, table, &first.context("failed to read the runs that wait")?);
        let statement = format!("{insert} where run_id not in (select run_id from {table});\n");
        Ok(Some(Self { path: path.to_path_buf(), text, statement }))
    }

    /// The statement was run: they wait no longer, unless another one came to them.
    pub(super) fn recorded(self) {
        let empty = || -> std::io::Result<()> {
            let file = OpenOptions::new().read(true).append(true).open(&self.path)?;
            file.lock()?;
            if std::fs::read(&self.path)? == self.text { file.set_len(0) } else { Ok(()) }
        };
        if let Err(error) = empty() {
            tracing::debug!("{}: {error}", self.path.display());
        }
    }
}
