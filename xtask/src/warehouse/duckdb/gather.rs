//! The ledgers of many databases in one: a report about hundreds of environments opens each of their files once.
//!
//! Files that are open cost memory and time on every question, so the rows of each are copied into a temporary database
//! and the file is closed again. Of a ledger only what is the environment's own is copied: a copy of a base carries the
//! history of that along.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rayon::prelude::*;

use super::layout::MAIN;
use super::program::{Access, Open, call};
use super::session::Session;
use super::{DuckDb, LEDGER, look, waiting};
use crate::core::environment::{GATHERED, Name};
use crate::core::ledger::{self, tables::LEDGER as LEDGER_TABLES};
use crate::core::lock::{self, Holder, Lock};
use crate::system::interrupt;
use crate::warehouse::{Contents, Gathering, literal, quote};

/// So many files are read where they are: opening them again for a question costs less than copying their rows.
const FEW: usize = 16;

/// Files that are read in one call, and kept from being built that long.
const AT_ONCE: usize = 50;

/// How long environments that are in use are waited for: others look at them only for a moment, a build lasts longer.
pub(super) const MOMENT: Duration = Duration::from_secs(2);

const POLL: Duration = Duration::from_millis(50);

/// The database with the rows of all; it is removed with this value.
pub(super) struct Gathered {
    folder: tempfile::TempDir,
}

impl Gathered {
    fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("xtask-gathered-").tempdir();
        let folder =
            folder.context("failed to make a temporary folder for the ledgers of all environments")?;
        Ok(Self { folder })
    }

    /// Its name is that of the database.
    pub(super) fn file(&self) -> PathBuf {
        self.part(0)
    }

    /// A database of the engine has one writer, so each reader of environments has a file; the first becomes the whole.
    fn part(&self, number: usize) -> PathBuf {
        let suffix = if number == 0 { String::new() } else { format!("_{number}") };
        self.folder.path().join(format!("{GATHERED}{suffix}.duckdb"))
    }

    /// Add the rows of the other `parts` to the first.
    fn unite(&self, program: &Path, parts: usize) -> Result<()> {
        let mut open = Open::file(&self.file(), Access::Write);
        let mut script = TRANSACTION.to_owned();
        for number in 1..parts {
            let name = format!("part_{number}");
            for table in LEDGER_TABLES {
                let _ = writeln!(script, "insert into {0} by name from {name}.{MAIN}.{0};", table.name);
            }
            open.attached.push((name, self.part(number)));
        }
        if open.attached.is_empty() { Ok(()) } else { call(program, &open, &(script + COMMIT)).map(drop) }
    }
}

/// See [`crate::warehouse::Warehouse::gather`].
pub(super) fn gather(
    warehouse: &DuckDb,
    names: &[Name],
    holder: &Holder,
) -> Result<(Gathering, Option<Gathered>)> {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    if names.len() <= FEW {
        return Ok((hold(warehouse, &names, holder, MOMENT)?, None));
    }
    let gathered = Gathered::new()?;
    let files = warehouse.files(&names);
    let groups: Vec<&[Environment<'_>]> = files.chunks(AT_ONCE).collect();
    let readers = rayon::current_num_threads().min(groups.len()).max(1);
    let program = warehouse.program.as_path();
    let reader = |number: usize| {
        let into = Ledgers { program, file: gathered.part(number), holder };
        into.gather(groups.iter().skip(number).step_by(readers).copied())
    };
    let parts: Vec<Gathering> = (0..readers).into_par_iter().map(reader).collect::<Result<_>>()?;
    let mut all = Gathering::default();
    for part in parts {
        all.contents.extend(part.contents);
        all.busy.extend(part.busy);
    }
    gathered.unite(program, readers)?;
    let again: Vec<Environment<'_>> =
        files.into_iter().filter(|(name, _)| all.busy.contains_key(*name)).collect();
    if !again.is_empty() {
        let into = Ledgers { program, file: gathered.file(), holder };
        let held = into.add(&mut None, &again, MOMENT)?;
        all.contents.extend(held.contents);
        all.busy = held.busy;
    }
    Ok((all, Some(gathered)))
}

/// An environment and its file.
type Environment<'a> = (&'a str, PathBuf);

/// A database that ledgers are copied to.
struct Ledgers<'a> {
    program: &'a Path,
    file: PathBuf,
    holder: &'a Holder,
}

impl Ledgers<'_> {
    /// Make the database, and copy the ledgers of some groups of environments; those in use are not waited for.
    fn gather<'b>(&self, groups: impl Iterator<Item = &'b [Environment<'b>]>) -> Result<Gathering> {
        // Two environments may hold runs of the same id: one may be a copy of the other's file.
        let tables = LEDGER.replace(" primary key", " not null")
            + "alter table ledger_nodes add column of_environment varchar;
               alter table ledger_relations add column of_environment varchar;\n";
        call(self.program, &self.open(), &tables)?;
        let mut all = Gathering::default();
        let mut session = None;
        for group in groups {
            let held = self.add(&mut session, group, Duration::ZERO)?;
            all.contents.extend(held.contents);
            all.busy.extend(held.busy);
        }
        Ok(all)
    }

    fn open(&self) -> Open {
        Open::file(&self.file, Access::Write)
    }

    /// Copy the ledgers of environments that nothing uses, and keep them from being built meanwhile.
    fn add(
        &self,
        session: &mut Option<Session>,
        environments: &[Environment<'_>],
        patience: Duration,
    ) -> Result<Gathering> {
        let mut taken = take(environments, self.holder, patience)?;
        if let Some(contents) = self.add_at_once(session, &taken.free)? {
            return Ok(Gathering { contents, locks: taken.locks, busy: taken.busy });
        }
        // One of the files cannot be opened: which one, the answer to a single question shows it. The engine ended at it.
        *session = None;
        let (contents, used) = look::contents_of_free(self.program, &taken.free, patience)?;
        let readable: Vec<Environment<'_>> =
            taken.free.into_iter().filter(|(name, _)| contents.contains_key(*name)).collect();
        let open = Open { attached: attached(&readable), ..self.open() };
        call(self.program, &open, &copies(&readable, &contents))?;
        taken.busy.extend(used);
        Ok(Gathering { contents, locks: taken.locks, busy: taken.busy })
    }

    /// Look at environments and copy their ledgers, with an engine that is started once for all groups; `None` if it could
    /// not open all files.
    fn add_at_once(
        &self,
        session: &mut Option<Session>,
        environments: &[Environment<'_>],
    ) -> Result<Option<BTreeMap<String, Contents>>> {
        let open = Open { attached: attached(environments), ..self.open() };
        waiting::record_all(self.program, &open);
        if session.is_none() {
            *session = Session::start(self.program, &self.open());
        }
        let Some(session) = session else { return Ok(None) };
        let Some(mut rows) = session.ask(&(open.preface() + &look::listing()))? else { return Ok(None) };
        let mut contents = look::empty(environments);
        look::add(&mut contents, rows.pop().unwrap_or_default());
        contents.remove(GATHERED);
        let copied = session.ask(&(copies(environments, &contents) + &open.postface()))?;
        Ok(copied.map(|_| contents))
    }
}

fn attached(environments: &[Environment<'_>]) -> Vec<(String, PathBuf)> {
    environments.iter().map(|(name, file)| ((*name).to_owned(), file.clone())).collect()
}

/// Look at environments, and keep those that nothing uses from being built for as long as the result exists. The
/// others get the time `patience`; then who uses them is the answer.
pub(super) fn hold(
    warehouse: &DuckDb,
    names: &[&str],
    holder: &Holder,
    patience: Duration,
) -> Result<Gathering> {
    let mut taken = take(&warehouse.files(names), holder, patience)?;
    let (contents, used) = look::contents_of_free(&warehouse.program, &taken.free, patience)?;
    taken.busy.extend(used);
    Ok(Gathering { contents, locks: taken.locks, busy: taken.busy })
}

/// Environments that no other run of the toolkit uses.
struct Taken<'a> {
    free: Vec<Environment<'a>>,
    locks: Vec<Lock>,
    /// The others, with who uses them.
    busy: BTreeMap<String, String>,
}

/// Lock those of `environments` that are free, or become so within `patience`.
fn take<'a>(environments: &[Environment<'a>], holder: &Holder, patience: Duration) -> Result<Taken<'a>> {
    let deadline = Instant::now() + patience;
    loop {
        let (mut free, mut locks, mut busy) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (name, file) in environments {
            if let Some(lock) = Lock::take_if_free(file, holder)? {
                locks.push(lock);
                free.push((*name, file.clone()));
            } else {
                let user = lock::holder(file).map_or_else(|| "another run".to_owned(), |run| run.describe());
                busy.insert((*name).to_owned(), user);
            }
        }
        if busy.is_empty() || Instant::now() >= deadline {
            return Ok(Taken { free, locks, busy });
        }
        // No lock is held while others are waited for, or two commands could wait for each other.
        drop(locks);
        interrupt::check()?;
        std::thread::sleep(POLL);
    }
}

/// The tables are small: threads would only wait for each other. And each transaction waits for the disk.
const TRANSACTION: &str = "set threads = 1;\npragma force_compression = 'uncompressed';\nbegin;\n";
const COMMIT: &str = "commit;\n";

/// The statements that copy the ledgers of environments, which are open: one for each table, which is planned and run
/// in less time than one for each environment.
fn copies(environments: &[Environment<'_>], contents: &BTreeMap<String, Contents>) -> String {
    let has_ledger = |name: &str| contents.get(name).is_some_and(|of| ledger::holds_ledger(&of.relations));
    let names: Vec<&str> =
        environments.iter().map(|(name, _)| *name).filter(|name| has_ledger(name)).collect();
    if names.is_empty() {
        return String::new();
    }
    let mut script = TRANSACTION.to_owned();
    for table in ["ledger_runs", "ledger_nodes", "ledger_relations", "ledger_queries"] {
        let rows: Vec<String> = names.iter().map(|name| rows_of(table, name)).collect();
        let _ = writeln!(script, "insert into {table} by name {};", rows.join("\nunion all by name "));
    }
    script + COMMIT
}

/// The query for the rows of a ledger's table that are the environment's own.
fn rows_of(table: &str, name: &str) -> String {
    let own = literal(name);
    let from = |table: &str| [name, MAIN, table].map(quote).join(".");
    match table {
        "ledger_runs" => {
            format!("select {} from {} where schema_name = {own}", known(table, &[]), from(table))
        }
        // The environment of a query is that of its tag, else its schema.
        "ledger_queries" => format!(
            "select {}, {own} as schema_name from {} where \
             coalesce(try(json_extract_string(query_tag, '$.environment')), schema_name) = {own}",
            known(table, &["schema_name"]),
            from(table)
        ),
        _ => format!(
            "select {}, {own} as of_environment from {} where \
             run_id in (select run_id from {} where schema_name = {own})",
            known(table, &[]),
            from(table),
            from("ledger_runs")
        ),
    }
}

/// Those of a table's columns that this toolkit knows, but for some: an older ledger lacks some, and a newer one has
/// more.
fn known(table: &str, but: &[&str]) -> String {
    let columns = LEDGER_TABLES.iter().filter(|known| known.name == table).flat_map(|known| known.columns);
    let names: Vec<&str> = columns.map(|column| column.name).filter(|name| !but.contains(name)).collect();
    format!("columns('^({})$')", names.join("|"))
}
