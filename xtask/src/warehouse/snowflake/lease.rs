//! One writer of an environment at a time, across machines: a lock that is a table of the registry.
//!
//! A `create table` without `if not exists` succeeds for one of two runners, and records its holder from
//! the first moment. Nothing frees it when its runner is killed, so it is a lease: its holder extends it in
//! time, in a separate session that no long statement blocks, and a lease that has expired may be taken
//! over. To take it over, the old table is renamed to a name that only that holder's table can get: of two
//! runners one succeeds.

use std::sync::mpsc::{RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Snowflake;
use super::failure::{Failure, Kind};
use super::statements::{Database, literal};
use crate::core::environment::{Name, REGISTRY};
use crate::core::lock::{self, Holder};
use crate::system::interrupt;
use crate::warehouse::quote;

/// A living holder puts the end off so many times in the length of a lease.
const RENEWALS: u32 = 5;
const POLL: Duration = Duration::from_secs(2);
const REMIND: Duration = Duration::from_mins(1);

/// Names of the tables that leases which ran out are kept under, until `schema gc` sweeps them: a slow
/// second runner must find the name taken.
const TOMBSTONE: &str = "stale_";

/// The lock, held until dropped.
pub(crate) struct Lease {
    warehouse: Snowflake,
    name: Name,
    token: String,
    /// Who held it and was killed.
    pub(crate) left_by: Option<Holder>,
    /// When the end was last put off.
    renewed_at: Arc<Mutex<Instant>>,
    /// Taken away to stop the renewal.
    stop: Option<Sender<()>>,
}

/// The content of the lock's table.
struct Found {
    holder: Option<Holder>,
    token: String,
    is_stale: bool,
}

impl Lease {
    /// Take the lock of `name`; wait for its current holder, and log who that is.
    pub(crate) fn take(
        warehouse: &Snowflake,
        name: &Name,
        holder: &Holder,
        patience: Duration,
    ) -> Result<Self> {
        let begun = Instant::now();
        let token = uuid::Uuid::now_v7().simple().to_string();
        let mut left_by = None;
        let mut reminded: Option<Instant> = None;
        // Tried again only when the lock is free: a `create` that fails is a failed query in the history.
        while !create(warehouse, name, &token, holder)? {
            while let Some(found) = read(warehouse, name)? {
                if found.is_stale {
                    if retire(warehouse, name, &found)? {
                        left_by = found.holder;
                    }
                    break;
                }
                if begun.elapsed() >= patience {
                    bail!(lock::gave_up(name.as_str(), found.holder.as_ref(), patience));
                }
                if reminded.is_none_or(|since| since.elapsed() > REMIND) {
                    reminded = Some(Instant::now());
                    let by = found.holder.map_or_else(|| "another run".to_owned(), |other| other.describe());
                    tracing::info!("waiting: {by} holds {name}; Ctrl-C gives up");
                }
                wait(POLL)?;
            }
        }
        let renewed_at = Arc::new(Mutex::new(Instant::now()));
        let stop = Some(renew(warehouse, name, &token, &renewed_at)?);
        let (warehouse, name) = (warehouse.clone(), name.clone());
        Ok(Self { warehouse, name, token, left_by, renewed_at, stop })
    }

    /// Whether no other run can have taken the lock over: then it can be freed without reading it first.
    fn is_surely_ours(&self) -> bool {
        let renewed_at = *self.renewed_at.lock().unwrap_or_else(PoisonError::into_inner);
        renewed_at.elapsed() < length(&self.warehouse) / 2
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.stop.take());
        let free = || {
            // If it expired and another run took it over, it is not ours to free.
            if self.is_surely_ours()
                || read(&self.warehouse, &self.name)?.is_some_and(|found| found.token == self.token)
            {
                self.warehouse.send(&release(&self.warehouse.database, &self.name), None)?;
            }
            Ok(())
        };
        if let Err(error) = free() as Result<()> {
            tracing::warn!(
                "failed to free the lock of {}; it frees itself within {} s: {error:#}",
                self.name,
                length(&self.warehouse).as_secs()
            );
        }
    }
}

/// A killed runner keeps others waiting for so long.
fn length(warehouse: &Snowflake) -> Duration {
    Duration::from_secs(warehouse.settings.patience.lease_seconds)
}

/// Sleep in small steps, so that Ctrl-C takes effect soon.
fn wait(time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        interrupt::check()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn failure(error: &anyhow::Error) -> Option<&Failure> {
    error.downcast_ref::<Failure>()
}

/// Whether the lock was free and is ours now.
fn create(warehouse: &Snowflake, name: &Name, token: &str, holder: &Holder) -> Result<bool> {
    let holder = serde_json::to_string(holder)?;
    let sql = acquire(&warehouse.database, name, token, &holder, length(warehouse).as_secs());
    let ask = || match warehouse.send(&sql, None) {
        Ok(_) => Ok(true),
        Err(error) if failure(&error).is_some_and(Failure::is_already_there) => Ok(false),
        // The answer was lost, and may have been a success: the token shows whether the lock is ours.
        Err(error) if failure(&error).is_some_and(|why| why.kind == Kind::Passing) => {
            Ok(read(warehouse, name)?.is_some_and(|found| found.token == token))
        }
        Err(error) => Err(error),
    };
    match ask() {
        // The first environment of this database: there is no registry yet.
        Err(error) if failure(&error).is_some_and(Failure::is_absent) => {
            warehouse.send(&warehouse.database.create_registry(), None)?;
            ask()
        }
        answer => answer,
    }
    .with_context(|| format!("failed to lock {name}"))
}

fn read(warehouse: &Snowflake, name: &Name) -> Result<Option<Found>> {
    let rows = match warehouse.send(&look(&warehouse.database, name), None) {
        Err(error) if failure(&error).is_some_and(Failure::is_absent) => return Ok(None),
        rows => rows.with_context(|| format!("failed to read the lock of {name}"))?,
    };
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let text = |key: &str| row.get(key).and_then(|value| value.as_str()).unwrap_or_default();
    Ok(Some(Found {
        holder: serde_json::from_str(text("holder")).ok(),
        token: text("token").to_owned(),
        is_stale: row.get("is_stale").and_then(serde_json::Value::as_bool).unwrap_or(false),
    }))
}

/// Whether the lease that ran out was put away by us, and not by another runner.
fn retire(warehouse: &Snowflake, name: &Name, found: &Found) -> Result<bool> {
    // The token becomes a part of a name.
    if found.token.is_empty() || !found.token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        bail!(
            "the lock of {name} was not made by this toolkit; drop the table LOCK_{name} of the registry by hand"
        );
    }
    match warehouse.send(&bury(&warehouse.database, name, &found.token), None) {
        Ok(_) => Ok(true),
        Err(error) if failure(&error).is_some_and(|why| why.is_already_there() || why.is_absent()) => {
            wait(Duration::from_millis(500))?;
            Ok(false)
        }
        Err(error) => Err(error).with_context(|| format!("failed to take over the lock of {name}")),
    }
}

/// Put the end off until what is returned is dropped.
fn renew(
    warehouse: &Snowflake,
    name: &Name,
    token: &str,
    renewed_at: &Arc<Mutex<Instant>>,
) -> Result<Sender<()>> {
    let (stop, stopped) = channel::<()>();
    let renewed_at = Arc::clone(renewed_at);
    let sql = prolong(&warehouse.database, name, token, length(warehouse).as_secs());
    let (warehouse, name) = (warehouse.apart(), name.clone());
    let every = length(&warehouse) / RENEWALS;
    let renewal = move || {
        while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            let asked_at = Instant::now();
            match warehouse.send(&sql, None) {
                Ok(_) => *renewed_at.lock().unwrap_or_else(PoisonError::into_inner) = asked_at,
                // Freed meanwhile: there was nothing left to prolong.
                Err(_) if stopped.try_recv() == Err(TryRecvError::Disconnected) => return,
                Err(error) => tracing::warn!("failed to prolong the lock of {name}: {error:#}"),
            }
        }
    };
    std::thread::Builder::new()
        .name("lease".to_owned())
        .spawn(renewal)
        .context("failed to start a thread for the lock")?;
    Ok(stop)
}

fn table(database: &Database, name: &Name) -> String {
    format!("{}.{}", database.schema(REGISTRY), quote(&format!("LOCK_{name}").to_uppercase()))
}

pub(super) fn acquire(database: &Database, name: &Name, token: &str, holder: &str, seconds: u64) -> String {
    format!(
        "create transient table {} as select {} as holder, {} as token, \
         dateadd(second, {seconds}, current_timestamp()) as expires_at",
        table(database, name),
        literal(holder),
        literal(token)
    )
}

pub(super) fn look(database: &Database, name: &Name) -> String {
    format!(
        "select holder, token, expires_at < current_timestamp() as is_stale from {}",
        table(database, name)
    )
}

pub(super) fn prolong(database: &Database, name: &Name, token: &str, seconds: u64) -> String {
    format!(
        "update {} set expires_at = dateadd(second, {seconds}, current_timestamp()) where token = {}",
        table(database, name),
        literal(token)
    )
}

pub(super) fn bury(database: &Database, name: &Name, token: &str) -> String {
    let tombstone = format!("{TOMBSTONE}{token}").to_uppercase();
    format!(
        "alter table {} rename to {}.{}",
        table(database, name),
        database.schema(REGISTRY),
        quote(&tombstone)
    )
}

/// Drop what leases that ran out were renamed to.
pub(super) fn sweep(database: &Database, relation: &str) -> Option<String> {
    let token = relation.strip_prefix(TOMBSTONE)?;
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let table = quote(&relation.to_uppercase());
    Some(format!("drop table if exists {}.{table}", database.schema(REGISTRY)))
}

pub(super) fn release(database: &Database, name: &Name) -> String {
    format!("drop table if exists {}", table(database, name))
}
