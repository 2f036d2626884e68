//! The embedded engine, through its command-line program: a wheel in the Python environment.
//!
//! A call costs about 15 ms, and compiling the engine into the toolkit would cost every user many
//! minutes. SQL goes in on standard input, so nothing of it shows in the list of processes; rows go
//! in as a file of JSON, so nothing in them is ever read as SQL.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use self::layout::MAIN;
use self::program::{Access, Open};
use self::rows::{insert_from, rows_file};
use self::session::Session;
use super::{
    Columns, Contents, Dialect, Gathering, Known, Relation, Row, Statement, Surveyed, Table, TableSize,
    Warehouse, as_comments, columns, literal, quote,
};
use crate::core::environment::{Droppable, Name, REGISTRY};
use crate::core::ledger::{Ours, tables};
use crate::core::lock::Holder;

mod announcements;
mod asking;
mod copy;
mod copying;
mod files;
mod gather;
mod kept;
mod layout;
mod look;
mod program;
mod rows;
mod session;
mod split;
mod token;
mod views;
mod waiting;
mod watch;

pub(crate) use self::announcements::Announcements;
pub(crate) use self::layout::Layout;
pub(crate) use self::look::{bytes_of, together};
pub(crate) use self::program::is_disk_full;
pub(crate) use self::split::{Found, found, split as split_file};

const LEDGER: &str = include_str!("../../../sql/duckdb/ledger.sql");
const REGISTRY_TABLES: &str = include_str!("../../../sql/duckdb/registry.sql");

pub(crate) struct DuckDb {
    program: PathBuf,
    layout: Layout,
    /// The environment that statements are about, if they name no other.
    focus: Option<Name>,
    ours: Ours,
    gathered: Option<gather::Gathered>,
    session: RefCell<Option<Session>>,
    /// The engine with the registry open: only for some questions in a row, since the commands of all environments write
    /// to that.
    registry: RefCell<Option<Session>>,
    /// An engine that has nothing open yet.
    early: RefCell<Option<Session>>,
    watch: watch::Watch,
    /// The file of an environment that may be made.
    copying: Option<copying::Copying>,
}

/// Changes of a call stay in the log of the database: the program that opens it next, as dbt is about to, puts them in their
/// place.
const LEFT_IN_LOG: &str = "pragma disable_checkpoint_on_shutdown";

/// Names as SQL takes them in `in (…)`.
fn list(names: &[&str]) -> String {
    names.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ")
}

impl DuckDb {
    /// The one database in `file`, driven by the `duckdb` program at `program`. Nothing is opened yet.
    pub(crate) fn new(program: &Path, file: &Path) -> Self {
        Self::laid_out(program, Layout::Shared(file.to_path_buf()), None)
    }

    /// The databases of `layout`. Statements that name no database are about `focus`.
    pub(crate) fn laid_out(program: &Path, layout: Layout, focus: Option<Name>) -> Self {
        Self {
            program: program.to_path_buf(),
            layout,
            focus,
            ours: Ours::default(),
            gathered: None,
            session: RefCell::default(),
            registry: RefCell::default(),
            early: RefCell::default(),
            watch: watch::Watch::default(),
            copying: None,
        }
    }

    /// The same for the dbt project `ours`.
    pub(crate) fn of(self, ours: Ours) -> Self {
        Self { ours, ..self }
    }
}

impl Warehouse for DuckDb {
    fn ours(&self) -> &Ours {
        &self.ours
    }

    fn target(&self) -> &'static str {
        "local"
    }

    fn dialect(&self) -> Dialect {
        Dialect::DuckDb
    }

    fn describe(&self) -> String {
        match &self.layout {
            Layout::Shared(file) => format!("DuckDB file {}", file.display()),
            Layout::Folder(folder) => format!("DuckDB files in {}", folder.display()),
        }
    }

    fn database(&self) -> String {
        self.layout.database()
    }

    fn keeps_comments(&self) -> bool {
        false
    }

    fn qualified(&self, table: &Table) -> String {
        let (schema, name) = (quote(&table.schema), quote(table.name));
        match &self.layout {
            Layout::Shared(_) => format!("{schema}.{name}"),
            Layout::Folder(_) => format!("{schema}.{}.{name}", quote(MAIN)),
        }
    }

    fn is_alone(&self) -> bool {
        matches!(self.layout, Layout::Folder(_))
    }

    fn database_of(&self, name: &Name) -> String {
        self.layout.catalog(name)
    }

    fn focus(&mut self, name: &Name) {
        self.focus = Some(name.clone());
    }

    fn copied_views(&mut self, base: &Name) -> Result<Vec<(String, String)>> {
        match self.layout {
            Layout::Shared(_) => Ok(Vec::new()),
            Layout::Folder(_) => Ok(views::remakeable(&self.at(base.as_str(), views::ALL)?, base)),
        }
    }

    fn copy_ahead(&mut self, base: &Name, name: &Name, flushes: bool) -> Result<()> {
        if let Layout::Folder(_) = self.layout {
            self.copying = Some(files::copy_ahead(self, base, name, flushes)?);
            // It is going to be asked for its views, at least.
            let open = Open::file(&self.layout.file(base.as_str()), Access::Read);
            *self.session.get_mut() = Session::start(&self.program, &open);
        }
        Ok(())
    }

    fn own_schema(&self, name: &Name) -> String {
        self.layout.schema(name).to_owned()
    }

    fn column(&self, name: &str) -> String {
        tables::column(name)
    }

    fn timestamp_type(&self) -> &'static str {
        "timestamp"
    }

    fn looks_are_free(&self) -> bool {
        true
    }

    fn columns(&mut self, schemas: &[&str], tables: Option<&[&str]>) -> Result<Columns> {
        let of_tables =
            tables.map(|tables| format!(" and table_name in ({})", list(tables))).unwrap_or_default();
        let Layout::Shared(_) = self.layout else {
            return look::columns_of_files(self, schemas, &of_tables);
        };
        let sql = format!(
            "select schema_name, table_name, column_name from duckdb_columns()
             where database_name = current_database() and schema_name in ({}){of_tables}",
            list(schemas)
        );
        Ok(columns(&self.query(&sql)?, str::to_owned))
    }

    /// Rows are inserted from a file that exists only during the insert, so their statement is described in words.
    fn script(&self, change: &[Statement]) -> Vec<String> {
        let show = |statement: &Statement| match statement {
            Statement::Sql(sql) => format!("{sql};"),
            Statement::Insert { table, rows } => format!(
                "insert into {} by name; -- {} row(s) as data{}",
                self.qualified(table),
                rows.len(),
                as_comments(rows)
            ),
            Statement::Copy { base, name } => format!(
                "-- copy {} to {}",
                self.layout.file(base.as_str()).display(),
                self.layout.file(name.as_str()).display()
            ),
            Statement::Remove(name) => format!("-- remove {}", self.layout.file(name.as_str()).display()),
        };
        change.iter().map(show).collect()
    }

    fn apply(&mut self, change: &[Statement]) -> Result<()> {
        if change.is_empty() {
            return Ok(());
        }
        let Layout::Shared(file) = &self.layout else { return files::apply(self, change) };
        let file = file.clone();
        self.let_go();
        let (script, _held) = self.transaction(change)?;
        self.write(&file, &script)
    }

    fn left_in_log(&self) -> Vec<Statement> {
        vec![Statement::sql(LEFT_IN_LOG)]
    }

    fn query(&mut self, sql: &str) -> Result<Vec<Row>> {
        let Some(open) = self.opened_by(sql) else { return Ok(Vec::new()) };
        Ok(self.ask(&open, sql)?.pop().unwrap_or_default())
    }

    fn query_many(&mut self, statements: &[String]) -> Result<Vec<Vec<Row>>> {
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let sql = statements.join(";\n");
        let Some(open) = self.opened_by(&sql) else { return Ok(vec![Vec::new(); statements.len()]) };
        let results = self.ask(&open, &sql)?;
        ensure!(
            results.len() == statements.len(),
            "duckdb gave {} results for {} queries",
            results.len(),
            statements.len()
        );
        Ok(results)
    }

    fn environments(&mut self) -> Result<Option<Vec<Name>>> {
        match self.layout {
            Layout::Shared(_) => Ok(None),
            Layout::Folder(_) => self.layout.environments().map(Some),
        }
    }

    fn hold(&mut self, names: &[Name], holder: &Holder) -> Result<Gathering> {
        let Layout::Folder(_) = self.layout else { return Ok(Gathering::default()) };
        let names: Vec<&str> = names.iter().map(Name::as_str).collect();
        gather::hold(self, &names, holder, gather::MOMENT)
    }

    fn warm_up(&mut self) {
        self.start(Access::Read);
    }

    fn warm_up_early(&mut self) {
        self.start_early();
    }

    fn warm_up_to_write(&mut self) {
        self.start(Access::Write);
    }

    fn release(&mut self) {
        drop(self.session.take());
        self.leave_registry();
    }

    fn leave_registry(&mut self) {
        drop(self.registry.take());
    }

    fn watch(&mut self, name: &str) {
        if let Layout::Folder(_) = self.layout {
            self.watch.begin(&self.layout.file(name));
        }
    }

    fn known(&mut self, name: &Name) -> Option<Known> {
        // What was kept says nothing of what a run that was killed has announced.
        let announcements = self.announcements(name)?;
        let kept = announcements.are_empty().then(|| self.layout.file(name.as_str()));
        let kept = kept::read(&kept?, &mut self.watch)?;
        let registry = self.layout.file(REGISTRY);
        let is_registry_same = kept.registry.is_some_and(|then| {
            self.watch.begin(&registry);
            self.watch.has(&registry, &then)
        });
        Some(Known { content: kept.content, is_registry_same })
    }

    fn keep_known(&mut self, name: &Name, content: &[u8]) -> Result<()> {
        let Layout::Folder(_) = self.layout else { return Ok(()) };
        let file = self.layout.file(name.as_str());
        let (token, registry) = (self.watch.proof(&file), self.watch.proof(&self.layout.file(REGISTRY)));
        kept::write(&file, token, registry, content)
    }

    fn announcements(&self, name: &Name) -> Option<Announcements> {
        match self.layout {
            Layout::Shared(_) => None,
            Layout::Folder(_) => Some(Announcements::beside(&self.layout.file(name.as_str()))),
        }
    }

    fn record_later(&mut self, name: &Name, run: &Row) -> Result<bool> {
        let Layout::Folder(_) = self.layout else { return Ok(false) };
        waiting::add(&self.layout.file(name.as_str()), run)?;
        Ok(true)
    }

    fn gather(&mut self, names: &[Name], holder: &Holder) -> Result<Gathering> {
        self.release();
        let (gathering, gathered) = gather::gather(self, names, holder)?;
        self.gathered = gathered;
        Ok(gathering)
    }

    fn gathered(&self) -> bool {
        self.gathered.is_some()
    }

    fn contents(&mut self, schemas: &[&str]) -> Result<BTreeMap<String, Contents>> {
        let Layout::Shared(_) = self.layout else { return look::contents(self, schemas) };
        self.schemas(None, schemas)
    }

    fn built(&mut self, name: &Name, schemas: &[&str]) -> Result<BTreeMap<String, Contents>> {
        self.schemas(Some(name), schemas)
    }

    fn measure(&mut self, schema: &Name) -> Result<Vec<Relation>> {
        look::measure_one(self, schema, None)
    }

    fn measure_rest(
        &mut self,
        schema: &Name,
        known: &BTreeMap<(String, String), TableSize>,
    ) -> Result<Vec<Relation>> {
        look::measure_one(self, schema, Some(known))
    }

    fn survey(&mut self, schemas: &[Name]) -> Result<BTreeMap<String, Surveyed>> {
        let names: Vec<&str> = schemas.iter().map(Name::as_str).collect();
        let contents = self.contents(&names)?;
        let found: Vec<&str> = contents.keys().map(String::as_str).collect();
        let mut measured = look::measure(self, &found, None)?;
        let of = |(name, contents): (String, Contents)| {
            let relations = measured.remove(&name).unwrap_or_default();
            (name, Surveyed { contents, relations })
        };
        Ok(contents.into_iter().map(of).collect())
    }

    fn provision(&self, schema: &Name) -> Vec<Statement> {
        self.made(schema.as_str(), LEDGER)
    }

    /// The engine makes all tables in one call, so there is nothing to put off.
    fn provision_ledger(&self, schema: &Name) -> Vec<Statement> {
        self.provision(schema)
    }

    fn copy(&mut self, base: &Name, schema: &Name) -> Result<Option<Vec<Statement>>> {
        if let Layout::Folder(_) = self.layout {
            let is_there = self.layout.file(base.as_str()).exists();
            return Ok(is_there.then(|| vec![Statement::Copy { base: base.clone(), name: schema.clone() }]));
        }
        if self.relation_names(base.as_str())?.is_none() {
            return Ok(None);
        }
        let mut change = self.provision(schema);
        change.extend(self.copied(base, schema)?);
        Ok(Some(change))
    }

    fn comment(&self, _: &Name, _: Option<&str>) -> Vec<Statement> {
        Vec::new()
    }

    fn grant(&self, _: &Name, _: Option<&str>, _: bool) -> Vec<Statement> {
        Vec::new()
    }

    fn drop_schemas(&mut self, doomed: &Droppable) -> Result<Vec<Statement>> {
        if let Layout::Folder(_) = self.layout {
            return Ok(vec![Statement::Remove(doomed.name().clone())]);
        }
        let drop = |schema: &String| Statement::sql(format!("drop schema {} cascade", quote(schema)));
        Ok(look::schemas_of(self, doomed.name())?.iter().map(drop).collect())
    }

    fn provision_registry(&self) -> Vec<Statement> {
        self.made(REGISTRY, REGISTRY_TABLES)
    }
}

impl DuckDb {
    /// The statements that make the tables of `sql` for an environment or the registry.
    fn made(&self, database: &str, sql: &str) -> Vec<Statement> {
        let sql = sql.trim_end().trim_end_matches(';');
        match self.layout {
            Layout::Shared(_) => vec![
                Statement::sql(format!("create schema if not exists {}", quote(database))),
                Statement::sql(format!("set schema = {}", literal(database))),
                Statement::sql(sql),
            ],
            Layout::Folder(_) => {
                let table = format!("create table if not exists {}.{}.", quote(database), quote(MAIN));
                vec![Statement::sql(sql.replace("create table if not exists ", &table))]
            }
        }
    }

    /// `change` as one transaction, with the files of its rows, which are needed until the engine has read them.
    fn transaction<'a>(
        &self,
        change: impl IntoIterator<Item = &'a Statement>,
    ) -> Result<(String, Vec<tempfile::NamedTempFile>)> {
        let mut files = Vec::new();
        let mut script = String::from("begin;\n");
        for statement in change {
            match statement {
                Statement::Sql(sql) => script.push_str(sql),
                Statement::Insert { rows, .. } if rows.is_empty() => continue,
                Statement::Insert { table, rows } => {
                    let file = rows_file(rows)?;
                    script.push_str(&insert_from(file.path(), &self.qualified(table), &rows[0]));
                    files.push(file);
                }
                // Whole files are no part of a transaction.
                Statement::Copy { .. } | Statement::Remove(_) => continue,
            }
            script.push_str(";\n");
        }
        script.push_str("commit;\n");
        Ok((script, files))
    }
}

/// In `folder`: a program that does what `script` says in place of the engine, and a file for its database.
#[cfg(all(test, unix))]
pub(crate) fn scripted(folder: &Path, script: &str) -> (PathBuf, PathBuf) {
    let [text, program, file] = ["duckdb.sh", "duckdb", "w.duckdb"].map(|name| folder.join(name));
    std::fs::write(&text, script).expect("a script");
    // Written by another process: what this one has open to be written is for a moment open in each program that another
    // test starts, and cannot be run as long ("text file busy").
    let mut install = std::process::Command::new("install");
    let installed = install.args(["-m", "755"]).args([&text, &program]).status().expect("install");
    assert!(installed.success(), "{installed}");
    std::fs::write(&file, "").expect("a file");
    (program, file)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// An engine that answers `answer` before it has read what it is asked.
    fn engine(folder: &Path, answer: &str) -> DuckDb {
        let (program, file) = scripted(folder, &format!("#!/bin/sh\n{answer}\ncat >/dev/null\n"));
        DuckDb::new(&program, &file)
    }

    #[test]
    fn more_sql_and_more_rows_than_a_pipe_holds() {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = r#"i=0; while [ $i -lt 4000 ]; do echo '[{"a":"0123456789012345678901234567890123456789"}]'; i=$((i+1)); done"#;
        let statement = format!("select {}", literal(&"x".repeat(100)));
        let read = engine(folder.path(), rows).query_many(&vec![statement; 4000]).expect("rows");
        assert_eq!(read.len(), 4000);
    }
}
