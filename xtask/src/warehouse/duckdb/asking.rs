//! What is opened for a question, and which engine answers it.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::DuckDb;
use super::layout::{Layout, named};
use super::program::{Access, Open};
use super::session::{self, Session};
use crate::core::environment::{GATHERED, Name, REGISTRY};
use crate::warehouse::{Row, Warehouse as _};

impl DuckDb {
    /// What a statement needs to be open to be read; `None` if there is nothing to read.
    pub(super) fn opened_by(&self, sql: &str) -> Option<Open> {
        if let Layout::Shared(file) = &self.layout {
            // A file that is not there has no rows, and a read-only engine could not make it.
            return file.exists().then(|| Open::file(file, Access::Read));
        }
        let focus = self.focus.as_ref().map(Name::to_string);
        let mut names: Vec<String> = named(sql).into_iter().collect();
        if let (Some(gathered), true) = (&self.gathered, names.iter().any(|name| name == GATHERED)) {
            return Some(Open::file(&gathered.file(), Access::Read));
        }
        if names.is_empty() {
            names.extend(focus.clone());
        }
        let mut found: Vec<(String, PathBuf)> = names
            .into_iter()
            .map(|name| (self.layout.file(&name), name))
            .filter(|(file, _)| file.exists())
            .map(|(file, name)| (name, file))
            .collect();
        if found.is_empty() {
            return None;
        }
        // The main one gives its name to what names no database.
        let main = match found.iter().position(|(name, _)| Some(name) == focus.as_ref()) {
            Some(at) => Some(found.remove(at).1),
            None if found.len() == 1 => found.pop().map(|(_, file)| file),
            None => None,
        };
        Some(Open { main, attached: found, access: Access::Read, writes_attached: false })
    }

    /// The rows of every query of `sql`, which changes nothing.
    pub(super) fn ask(&self, open: &Open, sql: &str) -> Result<Vec<Vec<Row>>> {
        let of_registry = matches!(self.layout, Layout::Folder(_)) && open.has(&self.layout.file(REGISTRY));
        let session = if of_registry { &self.registry } else { &self.session };
        session::ask(&mut session.borrow_mut(), &self.program, open, sql)
    }

    /// Start the engine on the database that statements are about, if it is there and the engine has not been started on it
    /// before.
    pub(super) fn start(&mut self, access: Access) {
        let Some(open) = self.opened_by("").map(|open| Open { access, ..open }) else { return };
        if self.session.get_mut().as_mut().is_some_and(|session| session.is_ready(&open)) {
            return;
        }
        self.release();
        let early = self.early.take();
        let mut session = Session::opened(early, &self.program, &open);
        if let Some(session) = &mut session {
            session.open_now();
        }
        *self.session.get_mut() = session;
    }

    /// Close what is open, unless a change can be written with it.
    pub(super) fn let_go(&mut self) {
        self.leave_registry();
        if !self.session.get_mut().as_ref().is_some_and(Session::writes) {
            self.release();
        }
    }

    /// Start an engine for the next file that is opened to be written.
    pub(super) fn start_early(&self) {
        *self.early.borrow_mut() = Session::early(&self.program);
    }

    /// Run `script`, which writes to `file`.
    pub(super) fn write(&self, file: &Path, script: &str) -> Result<()> {
        let mut session = self.session.borrow_mut();
        if session.is_none()
            && let Some(early) = self.early.take()
        {
            *session = Session::opened(Some(early), &self.program, &Open::file(file, Access::Write));
        }
        session::write(&mut session, &self.program, file, script)
    }

    /// The rows of one query about an environment, whose file is the main one.
    pub(super) fn at(&self, name: &str, sql: &str) -> Result<Vec<Row>> {
        let file = self.layout.file(name);
        if !file.exists() {
            return Ok(Vec::new());
        }
        Ok(self.ask(&Open::file(&file, Access::Read), sql)?.pop().unwrap_or_default())
    }

    /// The environments of `names` that have a file, as many at once as one call takes, each with its file.
    pub(super) fn files<'a>(&self, names: &[&'a str]) -> Vec<(&'a str, PathBuf)> {
        let file = |name: &&'a str| (*name, self.layout.file(name));
        names.iter().map(file).filter(|(_, file)| file.exists()).collect()
    }
}
