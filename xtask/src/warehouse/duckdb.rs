//! The embedded engine, through its command-line program: a wheel in the Python environment.
//!
//! A call costs about 15 ms, and compiling the engine into the toolkit would cost every user many
//! minutes. SQL goes in on standard input, so nothing of it shows in the list of processes; rows go
//! in as a file of JSON, so nothing in them is ever read as SQL.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    Columns, Contents, Relation, Row, Statement, Table, Warehouse, as_comments, columns, literal, quote,
};
use crate::core::environment::{Droppable, Name, REGISTRY};
use crate::core::ledger::{MARK, tables};
use crate::core::{context, lock};
use crate::system::dialogue;

mod copy;

const LEDGER: &str = include_str!("../../../sql/duckdb/ledger.sql");
const REGISTRY_TABLES: &str = include_str!("../../../sql/duckdb/registry.sql");

/// How long another program may hold the file before we give up. Our own runs queue on a lock of
/// their own, so what is met here is a user's shell or a dbt process that is just going away.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one call may take before the engine is stopped, in seconds: more than any statement of ours
/// needs, so what lasts longer hangs.
const TIME_LIMIT: &str = "XTASK_DUCKDB_TIMEOUT";
const USUAL_LIMIT: u64 = 1800;

pub(crate) struct DuckDb {
    program: PathBuf,
    file: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl DuckDb {
    /// The database in `file`, driven by the `duckdb` program at `program`. Nothing is opened yet.
    pub(crate) fn new(program: &Path, file: &Path) -> Self {
        Self { program: program.to_path_buf(), file: file.to_path_buf() }
    }

    /// The rows of every statement of `sql` that is a query.
    fn call(&self, sql: &str, access: Access) -> Result<Vec<Vec<Row>>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.call_once(sql, access)? {
                Ok(results) => return Ok(results),
                Err(message) if is_locked(&message) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(message) => bail!(self.explain(&message)),
            }
        }
    }

    /// `Err` is what the engine had to say; the outer one is that it could not be asked.
    fn call_once(&self, sql: &str, access: Access) -> Result<Result<Vec<Vec<Row>>, String>> {
        let mut command = Command::new(&self.program);
        // No start-up file: a user's `.duckdbrc` must not change what a statement means.
        command.args(["-no-init", "-batch", "-bail", "-json"]);
        if access == Access::Read {
            command.arg("-readonly");
        }
        let output = dialogue::hold(command.arg(&self.file), sql.as_bytes().to_vec(), time_limit()?)
            .with_context(|| {
                format!("failed to use {}; {TIME_LIMIT} sets the limit in seconds", self.file.display())
            })?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Ok(Err(if message.is_empty() {
                format!("duckdb ended with {}", output.status)
            } else {
                message
            }));
        }
        let results = serde_json::Deserializer::from_slice(&output.stdout)
            .into_iter::<Vec<Row>>()
            .collect::<Result<_, _>>()
            .with_context(|| {
                let said = String::from_utf8_lossy(&output.stdout);
                format!("failed to read duckdb's JSON: {}", said.chars().take(300).collect::<String>())
            })?;
        Ok(Ok(results))
    }

    /// The schemas of an environment: that of its name, and those whose names go on with `_`, as dbt names custom
    /// schemas. A schema with a mark is an environment, whatever its name begins with. That of the name, which holds
    /// the mark, is the last.
    fn schemas_of(&mut self, name: &Name) -> Result<Vec<String>> {
        let rows = self.query(&format!(
            "select s.schema_name, t.table_name is not null as is_marked from duckdb_schemas() as s
             left join duckdb_tables() as t on s.database_name = t.database_name
                 and s.schema_name = t.schema_name and t.table_name = {}
             where s.database_name = current_database() order by s.schema_name desc",
            literal(MARK)
        ))?;
        let text = |row: &Row| row.get("schema_name").and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        let is_marked = |row: &&Row| row.get("is_marked").and_then(serde_json::Value::as_bool) == Some(true);
        let mut known: Vec<String> = rows.iter().filter(is_marked).map(text).collect();
        known.push(name.to_string());
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        Ok(rows.iter().map(text).filter(|schema| owner(schema, &known) == name.as_str()).collect())
    }

    /// Who keeps the file from being opened, and what to do: the process that the engine names, which is not
    /// always the one that holds our own lock.
    fn blocked_by(&self, message: &str) -> String {
        let pid = holder_in(message);
        match lock::holder(&self.file) {
            Some(ours) if pid.is_none_or(|pid| pid == ours.pid || is_below(pid, ours.pid)) => {
                format!("{} is writing to it; try again when that has ended", ours.describe())
            }
            _ => match pid {
                Some(pid) => {
                    format!("{} has the file open; close it and try again", lock::describe_process(pid))
                }
                None => "another program has the file open; close it and try again".to_owned(),
            },
        }
    }

    /// The engine's message with what to do about it.
    fn explain(&self, message: &str) -> String {
        let file = self.file.display();
        if is_locked(message) {
            return format!("failed to open {file}: {}\n{message}", self.blocked_by(message));
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
        } else {
            return format!("duckdb refused a statement on {file}\n{message}");
        };
        format!("failed to use {file}: {advice}\n{message}")
    }
}

impl Warehouse for DuckDb {
    fn target(&self) -> &'static str {
        "local"
    }

    fn describe(&self) -> String {
        format!("DuckDB file {}", self.file.display())
    }

    fn database(&self) -> String {
        self.file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn keeps_comments(&self) -> bool {
        false
    }

    fn qualified(&self, table: &Table) -> String {
        qualified(table)
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

    fn columns(&mut self, schemas: &[&str]) -> Result<Columns> {
        let wanted: Vec<String> = schemas.iter().map(|schema| literal(schema)).collect();
        let sql = format!(
            "select schema_name, table_name, column_name from duckdb_columns()
             where database_name = current_database() and schema_name in ({})",
            wanted.join(", ")
        );
        Ok(columns(&self.query(&sql)?, str::to_owned))
    }

    /// Rows are inserted from a file that exists only during the insert, so their statement is described in words.
    fn script(&self, change: &[Statement]) -> Vec<String> {
        let show = |statement: &Statement| match statement {
            Statement::Sql(sql) => format!("{sql};"),
            Statement::Insert { table, rows } => format!(
                "insert into {} by name; -- {} row(s) as data{}",
                qualified(table),
                rows.len(),
                as_comments(rows)
            ),
        };
        change.iter().map(show).collect()
    }

    fn apply(&mut self, change: &[Statement]) -> Result<()> {
        if change.is_empty() {
            return Ok(());
        }
        // Held until the engine has read them.
        let mut files = Vec::new();
        let mut script = String::from("begin;\n");
        for statement in change {
            match statement {
                Statement::Sql(sql) => script.push_str(sql),
                Statement::Insert { rows, .. } if rows.is_empty() => continue,
                Statement::Insert { table, rows } => {
                    let file = rows_file(rows)?;
                    script.push_str(&insert_from(file.path(), table, &rows[0]));
                    files.push(file);
                }
            }
            script.push_str(";\n");
        }
        script.push_str("commit;\n");
        self.call(&script, Access::Write).map(drop)
    }

    fn query(&mut self, sql: &str) -> Result<Vec<Row>> {
        // A file that is not there has no rows, and a read-only engine could not make it.
        if !self.file.exists() {
            return Ok(Vec::new());
        }
        Ok(self.call(sql, Access::Read)?.pop().unwrap_or_default())
    }

    fn query_many(&mut self, statements: &[String]) -> Result<Vec<Vec<Row>>> {
        if !self.file.exists() {
            return Ok(vec![Vec::new(); statements.len()]);
        }
        let results = self.call(&statements.join(";\n"), Access::Read)?;
        ensure!(
            results.len() == statements.len(),
            "duckdb gave {} results for {} queries",
            results.len(),
            statements.len()
        );
        Ok(results)
    }

    fn contents(&mut self, schemas: &[&str]) -> Result<BTreeMap<String, Contents>> {
        let wanted: Vec<String> = schemas.iter().map(|schema| literal(schema)).collect();
        let sql = format!(
            "select s.schema_name, relation.name from duckdb_schemas() as s
             left join (
                 select schema_name, table_name as name from duckdb_tables() where database_name = current_database()
                 union all
                 select schema_name, view_name from duckdb_views() where database_name = current_database()
             ) as relation on s.schema_name = relation.schema_name
             where s.database_name = current_database() and s.schema_name in ({})
             order by 1, 2",
            wanted.join(", ")
        );
        let mut all: BTreeMap<String, Contents> = BTreeMap::new();
        for row in self.query(&sql)? {
            let text = |key: &str| Some(row.get(key)?.as_str()?.to_owned());
            let contents = all.entry(text("schema_name").unwrap_or_default()).or_default();
            contents.relations.extend(text("name"));
        }
        Ok(all)
    }

    fn measure(&mut self, schema: &Name) -> Result<Vec<Relation>> {
        let wanted: Vec<String> = self.schemas_of(schema)?.iter().map(|schema| literal(schema)).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let of = format!("database_name = current_database() and schema_name in ({})", wanted.join(", "));
        let rows = self.query(&format!(
            "select schema_name, table_name as name, false as is_view from duckdb_tables() where {of}
             union all
             select schema_name, view_name, true from duckdb_views() where {of}
             order by schema_name, name"
        ))?;
        let mut relations = Vec::new();
        let mut questions = Vec::new();
        for row in &rows {
            let text = |key: &str| row.get(key).and_then(|value| value.as_str()).unwrap_or_default();
            let (place, name) = (text("schema_name"), text("name"));
            let shown = if place == schema.as_str() { name.to_owned() } else { format!("{place}.{name}") };
            let is_view = row.get("is_view").and_then(serde_json::Value::as_bool) == Some(true);
            if !is_view {
                questions.push(measure_table(&shown, &format!("{}.{}", quote(place), quote(name))));
            }
            relations.push(Relation { name: shown, is_view, rows: None, bytes: None });
        }
        if questions.is_empty() {
            return Ok(relations);
        }
        for row in self.query(&questions.join("\nunion all\n"))? {
            let name = row.get("name").and_then(|v| v.as_str()).unwrap_or_default();
            if let Some(relation) = relations.iter_mut().find(|r| r.name == name) {
                relation.rows = row.get("row_count").and_then(serde_json::Value::as_i64);
                relation.bytes = row.get("bytes").and_then(serde_json::Value::as_i64);
            }
        }
        Ok(relations)
    }

    fn provision(&self, schema: &Name) -> Vec<Statement> {
        vec![
            Statement::sql(format!("create schema if not exists {}", quote(schema.as_str()))),
            Statement::sql(format!("set schema = {}", literal(schema.as_str()))),
            Statement::sql(LEDGER.trim_end().trim_end_matches(';')),
        ]
    }

    /// The engine makes all tables in one call, so there is nothing to put off.
    fn provision_ledger(&self, schema: &Name) -> Vec<Statement> {
        self.provision(schema)
    }

    fn copy(&mut self, base: &Name, schema: &Name) -> Result<Option<Vec<Statement>>> {
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
        let drop = |schema: &String| Statement::sql(format!("drop schema {} cascade", quote(schema)));
        Ok(self.schemas_of(doomed.name())?.iter().map(drop).collect())
    }

    fn provision_registry(&self) -> Vec<Statement> {
        vec![
            Statement::sql(format!("create schema if not exists {}", quote(REGISTRY))),
            Statement::sql(format!("set schema = {}", literal(REGISTRY))),
            Statement::sql(REGISTRY_TABLES.trim_end().trim_end_matches(';')),
        ]
    }
}

fn time_limit() -> Result<Duration> {
    Ok(Duration::from_secs(context::seconds(TIME_LIMIT)?.unwrap_or(USUAL_LIMIT)))
}

fn qualified(table: &Table) -> String {
    format!("{}.{}", quote(&table.schema), quote(table.name))
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

/// Count a table's rows, and the blocks of the file that hold it: blocks are what it costs on disk.
fn measure_table(name: &str, relation: &str) -> String {
    format!(
        "select {name} as name, (select count(*) from {relation}) as row_count,
             (select count(distinct block_id) * (select any_value(block_size) from pragma_database_size())
              from pragma_storage_info({text}) where block_id >= 0) as bytes",
        name = literal(name),
        text = literal(relation),
    )
}

/// The environment of `names` that a schema belongs to: the longest that it begins with.
fn owner<'a>(schema: &'a str, names: &[&'a str]) -> &'a str {
    let fits = |name: &&&str| {
        schema.strip_prefix(**name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    names.iter().filter(fits).max_by_key(|name| name.len()).copied().unwrap_or(schema)
}

fn rows_file(rows: &[Row]) -> Result<tempfile::NamedTempFile> {
    let write = || -> std::io::Result<tempfile::NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix("xtask-rows-").suffix(".json").tempfile()?;
        for row in rows {
            serde_json::to_writer(&mut file, row)?;
            file.write_all(b"\n")?;
        }
        file.flush()?;
        Ok(file)
    };
    write().with_context(|| format!("failed to write rows to {}", std::env::temp_dir().display()))
}

/// Every column is read as text and converted by the table's own types: the engine guesses nothing.
fn insert_from(file: &Path, table: &Table, first: &Row) -> String {
    let columns: Vec<String> = first.keys().map(|name| format!("{}: 'varchar'", quote(name))).collect();
    format!(
        "insert into {} by name\nselect * from read_json({}, format = 'newline_delimited', columns = {{{}}})",
        qualified(table),
        literal(&file.to_string_lossy()),
        columns.join(", ")
    )
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// An engine that answers `answer` before it has read what it is asked.
    fn engine(folder: &Path, answer: &str) -> DuckDb {
        let program = folder.join("duckdb");
        let script = format!("#!/bin/sh\n{answer}\ncat >/dev/null\n");
        std::fs::write(&program, script).expect("a script");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let file = folder.join("w.duckdb");
        std::fs::write(&file, "").expect("a file");
        DuckDb::new(&program, &file)
    }

    #[test]
    fn the_process_that_really_holds_the_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let warehouse = engine(folder.path(), "");
        let ours = std::process::id();
        let said = format!(
            "IO Error: Could not set lock on file \"w\": Conflicting lock is held in /bin/x (PID {ours}) by user u."
        );
        assert_eq!(holder_in(&said), Some(ours));
        let explained = warehouse.explain(&said);
        assert!(explained.contains(&format!("process {ours}")), "{explained}");
        assert!(warehouse.explain("Could not set lock on file \"w\"").contains("another program"));
    }

    #[test]
    fn a_damaged_file_gets_advice() {
        let folder = tempfile::tempdir().expect("a folder");
        let said = engine(folder.path(), "")
            .explain("IO Error: The file \"w\" exists, but it is not a valid DuckDB database file!");
        assert!(said.contains("move it away"), "{said}");
    }

    #[test]
    fn a_schema_belongs_to_the_longest_name_that_fits() {
        let names = ["issue_1", "branch_a", "branch_a_b"];
        for (schema, name) in [
            ("issue_1_raw", "issue_1"),
            ("issue_12", "issue_12"),
            ("branch_a_b", "branch_a_b"),
            ("branch_a_b_raw", "branch_a_b"),
            ("branch_a_raw", "branch_a"),
        ] {
            assert_eq!(owner(schema, &names), name, "{schema}");
        }
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
