//! What was last sent to each channel about each alert, so that `notify alerts` sends each start and each end once.
//!
//! It is stored in the registry, beside the data, so it survives runners. A DuckDB warehouse on Actions is lost
//! with its runner, so the same rows can be kept in a file that the workflow saves; the newer of the two counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use jiff::civil::DateTime;
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::collect;
use super::sql;
use crate::core::context::variable;
use crate::core::environment::REGISTRY;
use crate::warehouse::{self, Statement, Warehouse, literal};

pub(crate) const TABLE: &str = "metrics_reported";
const CREATE: &str = include_str!("../../../sql/metrics/reported_table.sql");
const READ: &str = include_str!("../../../sql/metrics/reported.sql");

/// The file that keeps the rows too.
pub(crate) const STATE: &str = "XTASK_ALERT_STATE";

/// Incremented when the file's format changes.
const FILE_VERSION: u32 = 1;

/// A row of `metrics_reported`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reported {
    pub(crate) scope: String,
    pub(crate) days: u32,
    /// The name of a webhook, `slack` if it has no other.
    pub(crate) channel: String,
    pub(crate) name: String,
    pub(crate) state: Sent,
    pub(crate) since: Option<DateTime>,
    /// The end of the window that the report was about.
    pub(crate) as_of: DateTime,
    pub(crate) reported_at: DateTime,
}

/// What was sent last about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sent {
    /// Its start.
    Firing,
    /// Its end.
    Ok,
    /// Its start; its environment has been dropped since, so its end is due.
    Dropped,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    version: u32,
    reported: Vec<Reported>,
}

/// The rows of a scope. `registry` names the tables that the registry has.
pub(crate) fn read(
    warehouse: &mut dyn Warehouse,
    registry: &BTreeSet<String>,
    scope: &str,
    days: u32,
) -> Result<Vec<Reported>> {
    select(warehouse, registry, &format!("scope = {} and days = {days}", literal(scope)))
}

/// The rows that meet a condition; none without the table.
fn select(warehouse: &mut dyn Warehouse, registry: &BTreeSet<String>, wanted: &str) -> Result<Vec<Reported>> {
    if !registry.contains(TABLE) {
        return Ok(Vec::new());
    }
    let tables = [("reported", table(warehouse))];
    let sql = sql::dialect(warehouse).registry(READ, &tables, context! { wanted })?;
    let rows = warehouse.query(&sql).context("failed to read what was reported of alerts")?;
    collect::records(rows)
}

/// The statements that replace the rows of these alerts and channels.
pub(crate) fn record(
    warehouse: &dyn Warehouse,
    registry: &BTreeSet<String>,
    rows: &[Reported],
) -> Result<Vec<Statement>> {
    let mut change = Vec::new();
    let reported = table(warehouse);
    if !registry.contains(TABLE) {
        change.extend(warehouse.provision_registry());
        let sql = sql::dialect(warehouse).registry(CREATE, &[("reported", reported.clone())], context! {})?;
        change.push(Statement::sql(sql.trim_end()));
    }
    change.extend(delete(warehouse, rows));
    change.push(Statement::insert(warehouse::Table::new(REGISTRY, TABLE), rows)?);
    Ok(change)
}

fn table(warehouse: &dyn Warehouse) -> String {
    warehouse.qualified(&warehouse::Table::new(REGISTRY, TABLE))
}

/// The rows of a file; none if it does not exist.
pub(crate) fn read_file(path: &Path) -> Result<Vec<Reported>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let read = || -> Result<Vec<Reported>> {
        let file: File = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        ensure!(
            file.version == FILE_VERSION,
            "it has version {}, this toolkit reads {FILE_VERSION}; delete it or use the toolkit that wrote it",
            file.version
        );
        Ok(file.reported)
    };
    read().with_context(|| format!("failed to read {}", path.display()))
}

/// Write `rows` into the file, which keeps its rows of other alerts.
pub(crate) fn write_file(path: &Path, rows: &[Reported]) -> Result<()> {
    let reported = newest(read_file(path)?.into_iter().chain(rows.iter().cloned()));
    write(path, reported)
}

/// The alerts that a channel was sent the start of and whose environment has been dropped since.
pub(crate) fn read_dropped(
    warehouse: &mut dyn Warehouse,
    registry: &BTreeSet<String>,
    channel: &str,
) -> Result<Vec<Reported>> {
    select(warehouse, registry, &format!("channel = {} and state = 'dropped'", literal(channel)))
}

/// The statements of a drop: an environment of the same name that is made later has no alerts of this one, and the
/// alerts that were open are kept until [`read_dropped`] has sent their end.
pub(crate) fn drop_scope(warehouse: &dyn Warehouse, scope: &str) -> [Statement; 2] {
    let (reported, scope) = (table(warehouse), literal(scope));
    [
        format!("delete from {reported} where scope = {scope} and state = 'ok'"),
        format!("update {reported} set state = 'dropped' where scope = {scope}"),
    ]
    .map(Statement::sql)
}

/// The statements that delete these rows.
pub(crate) fn delete(warehouse: &dyn Warehouse, rows: &[Reported]) -> Vec<Statement> {
    let reported = table(warehouse);
    rows.iter().map(|row| Statement::sql(format!("delete from {reported} where {}", same(row)))).collect()
}

/// The condition that finds the row of the same alert and channel.
fn same(row: &Reported) -> String {
    format!(
        "scope = {} and days = {} and channel = {} and name = {}",
        literal(&row.scope),
        row.days,
        literal(&row.channel),
        literal(&row.name)
    )
}

/// [`drop_scope`] in the file that [`STATE`] names, if there is one.
pub(crate) fn drop_scope_in_file(scope: &str) -> Result<()> {
    let Some(path) = variable(STATE).map(PathBuf::from).filter(|path| path.exists()) else { return Ok(()) };
    let before = read_file(&path)?;
    let mut after = before.clone();
    after.retain(|row| row.scope != scope || row.state != Sent::Ok);
    for row in after.iter_mut().filter(|row| row.scope == scope) {
        row.state = Sent::Dropped;
    }
    if after == before { Ok(()) } else { write(&path, after) }
}

/// [`delete`] in a file.
pub(crate) fn delete_in_file(path: &Path, rows: &[Reported]) -> Result<()> {
    let key = |row: &Reported| (row.scope.clone(), row.days, row.channel.clone(), row.name.clone());
    let deleted: BTreeSet<_> = rows.iter().map(key).collect();
    let mut kept = read_file(path)?;
    kept.retain(|row| !deleted.contains(&key(row)));
    write(path, kept)
}

fn write(path: &Path, reported: Vec<Reported>) -> Result<()> {
    let text = serde_json::to_string_pretty(&File { version: FILE_VERSION, reported })?;
    super::replace(path, &text).with_context(|| format!("failed to write {}", path.display()))
}

/// One row per alert and channel: what was sent last.
pub(crate) fn newest(rows: impl IntoIterator<Item = Reported>) -> Vec<Reported> {
    let mut kept: BTreeMap<(String, u32, String, String), Reported> = BTreeMap::new();
    for row in rows {
        let key = (row.scope.clone(), row.days, row.channel.clone(), row.name.clone());
        let is_older = kept
            .get(&key)
            .is_some_and(|other| (other.as_of, other.reported_at) > (row.as_of, row.reported_at));
        if !is_older {
            kept.insert(key, row);
        }
    }
    kept.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, state: Sent, as_of: &str) -> Reported {
        let time: DateTime = as_of.parse().expect("a time");
        Reported {
            scope: "prod".into(),
            days: 7,
            channel: "slack".into(),
            name: name.into(),
            state,
            since: Some(time),
            as_of: time,
            reported_at: time,
        }
    }

    #[test]
    fn the_newer_of_file_and_registry_counts() {
        let (old, new) =
            (row("a", Sent::Firing, "2026-03-01T00:00:00"), row("a", Sent::Ok, "2026-03-02T00:00:00"));
        let expected = vec![new.clone()];
        assert_eq!(newest([old.clone(), new.clone()]), expected);
        assert_eq!(newest([new, old]), expected);
    }

    #[test]
    fn a_file_keeps_other_alerts_and_refuses_another_version() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("alerts.json");
        write_file(&path, &[row("a", Sent::Firing, "2026-03-01T00:00:00")]).expect("written");
        write_file(&path, &[row("b", Sent::Firing, "2026-03-02T00:00:00")]).expect("written");
        assert_eq!(read_file(&path).expect("rows").len(), 2);
        std::fs::write(&path, r#"{"version": 2, "reported": []}"#).expect("written");
        assert!(format!("{:#}", read_file(&path).expect_err("another version")).contains("version 2"));
    }
}
