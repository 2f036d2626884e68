//! Changes of databases that are a file each: what of a change goes to which file, copies, and removals.
//!
//! The engine writes one database in a transaction. So each file gets its part of a change in one transaction of its
//! own, and the registry comes last: an environment that a killed command left without its entry is completed by the
//! next one, as any half-made environment is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::copying::Copying;
use super::layout::{has_log, log_of, named, with_suffix};
use super::program::{Access, Open, call};
use super::session::{self, Session};
use super::views::{self, Remade};
use super::{Announcements, DuckDb, LEFT_IN_LOG, kept, waiting};
use crate::core::environment::{Name, REGISTRY};
use crate::system::{remove, repo};
use crate::warehouse::{Statement, quote};

/// Apply `change` to the files that it is about.
pub(super) fn apply(warehouse: &mut DuckDb, change: &[Statement]) -> Result<()> {
    fs::create_dir_all(warehouse.layout.path())
        .and_then(|()| repo::keep_from_git(warehouse.layout.path()))
        .with_context(|| format!("failed to create {}", warehouse.layout.path().display()))?;
    // While questions about the base can still be asked.
    let mut copies = change.iter().filter_map(|statement| match statement {
        Statement::Copy { base, name } => Some((base, name)),
        _ => None,
    });
    let mut begun = copies.next().map(|(base, name)| begin_copy(warehouse, base, name)).transpose()?;
    debug_assert!(copies.next().is_none(), "a change makes one environment");
    warehouse.let_go();
    for (database, part) in parts(warehouse, change) {
        let file = warehouse.layout.file(&database);
        if !file.exists() {
            // What an environment of this name has left that is gone.
            remove_beside(&file)?;
        }
        let mut watch = std::mem::take(&mut warehouse.watch);
        let applied = watch.around(&file, || apply_part(warehouse, &database, &part, &mut begun));
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

fn apply_part(
    warehouse: &DuckDb,
    database: &str,
    part: &[&Statement],
    begun: &mut Option<Begun>,
) -> Result<()> {
    let file = warehouse.layout.file(database);
    if part.iter().any(|statement| matches!(statement, Statement::Remove(_))) {
        return remove(&file);
    }
    let (script, _held) = warehouse.transaction(part.iter().copied())?;
    match begun.take_if(|begun| begun.file == file) {
        Some(begun) => finish_copy(warehouse, database, begun, &script),
        None => warehouse.write(&file, &script),
    }
}

/// A copy of a base that is being made.
struct Begun {
    base: PathBuf,
    /// What it becomes.
    file: PathBuf,
    copying: Copying,
    views: Remade,
}

/// The name of a copy as long as it is not finished.
fn unfinished(file: &Path) -> PathBuf {
    with_suffix(file, ".new")
}

/// Begin to copy an environment's file before it is known whether the copy is needed: it is removed again if not.
pub(super) fn copy_ahead(warehouse: &DuckDb, base: &Name, name: &Name, flushes: bool) -> Result<Copying> {
    let (from, file) = (warehouse.layout.file(base.as_str()), warehouse.layout.file(name.as_str()));
    // The first question about the base would write to it what waits.
    waiting::record_all(&warehouse.program, &Open::file(&from, Access::Read));
    // Without this the copy would lack what is still in the log beside the file.
    if has_log(&from) {
        call(&warehouse.program, &Open::file(&from, Access::Write), "checkpoint;\n")?;
    }
    Copying::start(&from, &unfinished(&file), flushes)
}

fn begin_copy(warehouse: &mut DuckDb, base: &Name, name: &Name) -> Result<Begun> {
    let (from, file) = (warehouse.layout.file(base.as_str()), warehouse.layout.file(name.as_str()));
    let ahead = warehouse.copying.take().filter(|begun| begun.is(&from, &unfinished(&file)));
    let copying = if let Some(begun) = ahead {
        begun
    } else {
        warehouse.let_go();
        copy_ahead(warehouse, base, name, false)?
    };
    // The views of the base are those of the copy, and can be asked for while it is made.
    let open = Open::file(&from, Access::Read);
    let views = views::remade(warehouse.ask(&open, &views::questions(base.as_str()))?, base, name.as_str());
    Ok(Begun { base: from, file, copying, views })
}

/// Make a copy the database of its environment. The engine waits for the disk before it puts changes in their place: as long as
/// not all of the copy is there, they stay in the log.
fn finish_copy(warehouse: &DuckDb, database: &str, begun: Begun, script: &str) -> Result<()> {
    let Begun { base, file, copying, views } = begun;
    let copy = unfinished(&file);
    // While the file is copied: one for it, and one for the registry, which comes last.
    let early = Session::early(&warehouse.program);
    warehouse.start_early();
    let is_on_disk = copying.finish()?;
    let open = Open::writing(database, &copy);
    let mut session = Session::opened(early, &warehouse.program, &open);
    let own = quote(database);
    let (first, last) = if is_on_disk {
        (String::new(), format!("checkpoint {own};\n"))
    } else {
        (format!("{LEFT_IN_LOG};\n"), String::new())
    };
    // In one go: each call would write the whole catalog.
    let mut send = |create: &str| {
        let views = format!("use {own};\nbegin;\n{}\n{create}commit;\n", views.drop);
        let script = format!("{first}{views}{script}{last}use memory;\n{}", open.postface());
        session::send(&mut session, &warehouse.program, &open, &script)
    };
    if let Err(error) = send(&views.create) {
        if views.create.is_empty() {
            return Err(error);
        }
        tracing::info!(
            "the views of {} were not copied, so the next run builds them: {error:#}",
            base.display()
        );
        send("")?;
    }
    let announced = Announcements::beside(&base).read()?;
    if !announced.is_empty() {
        Announcements::beside(&file).add(&announced)?;
    }
    // The log first: a log alone is no environment, and a copy without its log would have the views of its base.
    if has_log(&copy) {
        rename(&log_of(&copy), &log_of(&file))?;
    }
    rename(&copy, &file)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("failed to create {}", to.display()))
}

/// Remove a database file with all that the engine and the toolkit keep beside it. The file goes first: without its log a copy
/// would have the mark and the views of its base.
pub(super) fn remove(file: &Path) -> Result<()> {
    let unfinished = unfinished(file);
    remove_all([file.to_path_buf(), log_of(&unfinished), unfinished])?;
    remove_beside(file)
}

fn remove_beside(file: &Path) -> Result<()> {
    let others = [log_of(file), waiting::path_of(file), Announcements::beside(file).path()];
    remove_all(kept::paths(file).into_iter().chain(others))
}

pub(super) fn remove_all(paths: impl IntoIterator<Item = PathBuf>) -> Result<()> {
    paths.into_iter().try_for_each(|path| remove::file(&path))
}
