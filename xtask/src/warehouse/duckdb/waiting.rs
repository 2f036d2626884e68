//! Runs that found nothing to do. They wait in a file beside the database until something else is a reason to start
//! the engine, which costs more than all the rest of such a run.
//!
//! Every call of the engine first records what waits beside the files that it opens, so that each question of the
//! toolkit about a ledger finds all runs in it.

use std::fs::{File, OpenOptions};
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
    let Some(first) = first_row(path)? else { return Ok(()) };
    let table = "main.ledger_runs";
    let insert = insert_from(path, table, &first);
    let before = Token::read(database);
    let sql = format!("{insert} where run_id not in (select run_id from {table});\n");
    match call_once(program, &Open::file(database, Access::Write), &sql)? {
        Ok(_) => {
            waiting.set_len(0)?;
            kept::follow(database, before.as_ref());
        }
        Err(message) => tracing::debug!("{}: {message}", path.display()),
    }
    Ok(())
}

fn first_row(path: &Path) -> Result<Option<Row>> {
    let mut rows = serde_json::Deserializer::from_reader(File::open(path)?).into_iter::<Row>();
    rows.next().transpose().context("failed to read the runs that wait")
}
