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

use super::layout::MAIN;
use super::program::{Access, Open, call};
use super::{DuckDb, LEDGER, look};
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
    /// Its name is that of the database.
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Gathered {
    fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("xtask-gathered-").tempdir();
        let folder =
            folder.context("failed to make a temporary folder for the ledgers of all environments")?;
        Ok(Self { file: folder.path().join(format!("{GATHERED}.duckdb")), _folder: folder })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
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
    // Two environments may hold runs of the same id: one may be a copy of the other's file.
    let tables = LEDGER.replace(" primary key", " not null")
        + "alter table ledger_nodes add column of_environment varchar;
           alter table ledger_relations add column of_environment varchar;\n";
    call(&warehouse.program, &Open::file(gathered.file(), Access::Write), &tables)?;
    let mut all = Gathering::default();
    for some in names.chunks(AT_ONCE) {
        let held = hold(warehouse, some, holder, Duration::ZERO)?;
        copy(warehouse, &gathered, &held.contents)?;
        all.contents.extend(held.contents);
        all.busy.extend(held.busy);
    }
    let again: Vec<&str> = names.into_iter().filter(|name| all.busy.contains_key(*name)).collect();
    if !again.is_empty() {
        let held = hold(warehouse, &again, holder, MOMENT)?;
        copy(warehouse, &gathered, &held.contents)?;
        all.contents.extend(held.contents);
        all.busy = held.busy;
    }
    Ok((all, Some(gathered)))
}

/// Look at environments, and keep those that nothing uses from being built for as long as the result exists. The
/// others get the time `patience`; then who uses them is the answer.
pub(super) fn hold(
    warehouse: &DuckDb,
    names: &[&str],
    holder: &Holder,
    patience: Duration,
) -> Result<Gathering> {
    let deadline = Instant::now() + patience;
    let (free, locks, mut busy) = loop {
        let (mut free, mut locks, mut busy) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (name, file) in warehouse.files(names) {
            if let Some(lock) = Lock::take_if_free(&file, holder)? {
                locks.push(lock);
                free.push(name);
            } else {
                let user = lock::holder(&file).map_or_else(|| "another run".to_owned(), |run| run.describe());
                busy.insert(name.to_owned(), user);
            }
        }
        if busy.is_empty() || Instant::now() >= deadline {
            break (free, locks, busy);
        }
        // No lock is held while others are waited for, or two commands could wait for each other.
        drop(locks);
        interrupt::check()?;
        std::thread::sleep(POLL);
    };
    let (contents, used) = look::contents_of_free(warehouse, &free, patience)?;
    busy.extend(used);
    Ok(Gathering { contents, locks, busy })
}

/// Copy the ledgers of some environments.
fn copy(warehouse: &DuckDb, gathered: &Gathered, contents: &BTreeMap<String, Contents>) -> Result<()> {
    // The tables are small: threads would only wait for each other.
    let mut script = "set threads = 1;\n".to_owned();
    for (name, _) in contents.iter().filter(|(_, of)| ledger::holds_ledger(&of.relations)) {
        script.push_str(&copied(name, &warehouse.layout.file(name)));
    }
    call(&warehouse.program, &Open::file(gathered.file(), Access::Write), &script).map(drop)
}

/// The statements that copy one environment's ledger.
fn copied(name: &str, file: &Path) -> String {
    let own = literal(name);
    let from = |table: &str| [name, MAIN, table].map(quote).join(".");
    let runs = format!("select run_id from {} where schema_name = {own}", from("ledger_runs"));
    let of_runs = |table: &str| {
        let columns = known(table, &[]);
        format!("select {columns}, {own} as of_environment from {} where run_id in ({runs})", from(table))
    };
    let of_schema =
        |table: &str| format!("select {} from {} where schema_name = {own}", known(table, &[]), from(table));
    let selects = [
        ("ledger_runs", of_schema("ledger_runs")),
        ("ledger_nodes", of_runs("ledger_nodes")),
        ("ledger_relations", of_runs("ledger_relations")),
        // The environment of a query is that of its tag, else its schema.
        (
            "ledger_queries",
            format!(
                "select {}, {own} as schema_name from {} where \
                 coalesce(try(json_extract_string(query_tag, '$.environment')), schema_name) = {own}",
                known("ledger_queries", &["schema_name"]),
                from("ledger_queries")
            ),
        ),
    ];
    let mut script = format!("attach {} as {} (read_only);\n", literal(&file.to_string_lossy()), quote(name));
    for (table, select) in selects {
        let _ = writeln!(script, "insert into {table} by name {select};");
    }
    let _ = writeln!(script, "detach {};", quote(name));
    script
}

/// Those of a table's columns that this toolkit knows, but for some: an older ledger lacks some, and a newer one has
/// more.
fn known(table: &str, but: &[&str]) -> String {
    let columns = LEDGER_TABLES.iter().filter(|known| known.name == table).flat_map(|known| known.columns);
    let names: Vec<&str> = columns.map(|column| column.name).filter(|name| !but.contains(name)).collect();
    format!("columns('^({})$')", names.join("|"))
}
