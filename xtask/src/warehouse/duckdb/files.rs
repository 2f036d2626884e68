//! Changes of databases that are a file each: what of a change goes to which file, copies, and removals.
//!
//! The engine writes one database in a transaction. So each file gets its part of a change in one transaction of its
//! own, and the registry comes last: an environment that a killed command left without its entry is completed by the
//! next one, as any half-made environment is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::layout::{named, with_suffix};
use super::program::{Access, Open, call};
use super::session::{self, Session};
use super::{Announcements, DuckDb, kept, views, waiting};
use crate::core::environment::{Name, REGISTRY};
use crate::system::{remove, repo};
use crate::warehouse::{Statement, quote};

/// Apply `change` to the files that it is about.
pub(super) fn apply(warehouse: &mut DuckDb, change: &[Statement]) -> Result<()> {
    fs::create_dir_all(warehouse.layout.path())
        .and_then(|()| repo::keep_from_git(warehouse.layout.path()))
        .with_context(|| format!("failed to create {}", warehouse.layout.path().display()))?;
    for (database, part) in parts(warehouse, change) {
        let file = warehouse.layout.file(&database);
        if !file.exists() {
            // What an environment of this name has left that is gone.
            remove_beside(&file)?;
        }
        let mut watch = std::mem::take(&mut warehouse.watch);
        let applied = watch.around(&file, || apply_part(warehouse, &database, &part));
        warehouse.watch = watch;
        applied?;
    }
    Ok(())
}

/// The statements for each database, in the order in which they begin; those for the registry are last.
fn parts<'a>(warehouse: &DuckDb, change: &'a [Statement]) -> Vec<(String, Vec<&'a Statement>)> {
    let focus = warehouse.focus.as_ref().map_or(REGISTRY, Name::as_str);
    let mut parts: Vec<(String, Vec<&Statement>)> = Vec::new();
    for statement in change {
        let database = match statement {
            Statement::Sql(sql) => named(sql).pop_first().unwrap_or_else(|| focus.to_owned()),
            Statement::Insert { table, .. } => table.schema.clone(),
            Statement::Copy { name, .. } | Statement::Remove(name) => name.to_string(),
        };
        match parts.iter_mut().find(|(name, _)| *name == database) {
            Some((_, part)) => part.push(statement),
            None => parts.push((database, vec![statement])),
        }
    }
    parts.sort_by_key(|(name, _)| name == REGISTRY);
    parts
}

fn apply_part(warehouse: &DuckDb, database: &str, part: &[&Statement]) -> Result<()> {
    let file = warehouse.layout.file(database);
    let base = part.iter().find_map(|statement| match statement {
        Statement::Copy { base, .. } => Some(base),
        _ => None,
    });
    if part.iter().any(|statement| matches!(statement, Statement::Remove(_))) {
        return remove(&file);
    }
    let (script, _held) = warehouse.transaction(part.iter().copied())?;
    let Some(base) = base else {
        return warehouse.write(&file, &script);
    };
    let unfinished = with_suffix(&file, ".new");
    remove(&unfinished)?;
    // While the file is copied: one for it, and one for the registry, which comes last.
    let early = Session::early(&warehouse.program);
    warehouse.start_early();
    copy_file(warehouse, &warehouse.layout.file(base.as_str()), &unfinished)?;
    let open = Open::writing(database, &unfinished);
    let mut session = Session::opened(early, &warehouse.program, &open);
    let own = quote(database);
    let read = Open::attached(open.attached.clone());
    let answers = session::ask(&mut session, &warehouse.program, &read, &views::questions(database))?;
    let views = views::remade(answers, base, database);
    // In one go: each call would write the whole catalog.
    let mut send = |create: &str| {
        let views = format!("use {own};\nbegin;\n{}\n{create}commit;\n", views.drop);
        let script = format!("{views}{script}checkpoint {own};\nuse memory;\n{}", open.postface());
        session::send(&mut session, &warehouse.program, &open, &script)
    };
    if let Err(error) = send(&views.create) {
        if views.create.is_empty() {
            return Err(error);
        }
        tracing::info!("the views of {base} were not copied, so the next run builds them: {error:#}");
        send("")?;
    }
    let announced = Announcements::beside(&warehouse.layout.file(base.as_str())).read()?;
    if !announced.is_empty() {
        Announcements::beside(&file).add(&announced)?;
    }
    fs::rename(&unfinished, &file).with_context(|| format!("failed to create {}", file.display()))
}

/// Remove a database file with all that the engine and the toolkit keep beside it.
fn remove(file: &Path) -> Result<()> {
    remove_beside(file)?;
    remove_all([with_suffix(file, ".wal"), with_suffix(file, ".new"), file.to_path_buf()])
}

fn remove_beside(file: &Path) -> Result<()> {
    let others = [waiting::path_of(file), Announcements::beside(file).path()];
    remove_all(kept::paths(file).into_iter().chain(others))
}

pub(super) fn remove_all(paths: impl IntoIterator<Item = PathBuf>) -> Result<()> {
    paths.into_iter().try_for_each(|path| remove::file(&path))
}

/// Copy a database file. The caller keeps others from writing to it.
fn copy_file(warehouse: &DuckDb, from: &Path, to: &Path) -> Result<()> {
    // Without this the copy would lack what is still in the log beside the file.
    if with_suffix(from, ".wal").exists() {
        call(&warehouse.program, &Open::file(from, Access::Write), "checkpoint;\n")?;
    }
    let is_copied = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| flush(to, &is_copied));
        // The standard library copies within the kernel, which shares the blocks on file systems that can (APFS, Btrfs,
        // XFS): such a copy takes no time and no room.
        let copied = fs::copy(from, to);
        is_copied.store(true, Ordering::Relaxed);
        copied.with_context(|| format!("failed to copy {} to {}", from.display(), to.display()))
    })?;
    Ok(())
}

/// Write what has been copied so far to the disk, until `is_copied`: the engine writes the rest before it changes the copy, and
/// would otherwise begin only then.
fn flush(copy: &Path, is_copied: &AtomicBool) {
    loop {
        // A small file is copied by then.
        thread::sleep(Duration::from_millis(5));
        if is_copied.load(Ordering::Relaxed) {
            return;
        }
        // Whether it is on the disk in the end is seen by the engine.
        let _ = fs::File::open(copy).and_then(|file| file.sync_data());
    }
}
