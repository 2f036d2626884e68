//! The engine kept open while a command asks one question after another.
//!
//! To start it and to read the catalog of a file takes longer than most answers. As long as it is open no
//! program can write to its databases, so it ends before a change, and by itself soon after the last question.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::program::{Access, Open, call, rows, started, time_limit};
use super::waiting;
use crate::system::dialogue::Conversation;
use crate::warehouse::Row;

/// How long after a question the next one still finds the engine open: longer than the toolkit thinks between two
/// of them, and short beside the time that other programs wait for a file.
const IDLE: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct Session {
    open: Open,
    conversation: Conversation,
    /// What comes before the first question.
    preface: String,
}

/// The rows of every statement of `sql` that is a query, asked in `session` if it has the same databases open, and in
/// a new one if not.
pub(super) fn ask(
    session: &mut Option<Session>,
    program: &Path,
    open: &Open,
    sql: &str,
) -> Result<Vec<Vec<Row>>> {
    debug_assert!(open.access == Access::Read && !open.writes_attached, "a session only reads");
    if session.as_ref().is_none_or(|session| session.open != *open) {
        // The old one is to be gone first: it may have the same file open.
        drop(session.take());
        *session = Session::start(program, open);
    }
    let answer = session.as_mut().map(|session| session.ask(sql)).transpose();
    match answer {
        Ok(Some(Some(rows))) => Ok(rows),
        // It could not open a file, refused a statement, or had ended: a separate call can wait, and says why.
        Ok(_) => {
            *session = None;
            call(program, open, sql)
        }
        Err(error) => {
            *session = None;
            Err(error)
        }
    }
}

impl Session {
    pub(super) fn start(program: &Path, open: &Open) -> Option<Self> {
        waiting::record_all(program, open);
        let conversation = Conversation::start(&mut started(program, open), IDLE).ok()?;
        Some(Self { open: open.clone(), conversation, preface: open.preface() })
    }

    /// `None` if the engine has ended.
    pub(super) fn ask(&mut self, sql: &str) -> Result<Option<Vec<Vec<Row>>>> {
        let preface = std::mem::take(&mut self.preface);
        // No value is taken for it: it is new each time, and a line break in a value is printed as `\\n`.
        let end = uuid::Uuid::now_v7();
        let question = format!("{preface}{sql}\n;\nselect '{end}' as \"end\";\n");
        let answer = self
            .conversation
            .ask(question, &format!("[{{\"end\":\"{end}\"}}]"), time_limit()?)
            .with_context(|| format!("failed to ask {}", self.open.place()))?;
        answer.map(|stdout| rows(&stdout)).transpose()
    }
}
