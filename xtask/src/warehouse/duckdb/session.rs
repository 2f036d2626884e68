//! The engine kept open while a command asks one question after another.
//!
//! To start it and to read the catalog of a file takes longer than most answers. As long as it is open no
//! program can write to its databases, so it ends before a change, and by itself soon after the last question. After a
//! build, when questions are followed by the record of the run, it is opened to be written: it ends with the change.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::program::{Access, Open, call, rows, started, time_limit};
use super::waiting::{self, Waiting};
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
    /// Runs to record with the change: until then the file is to stay what the build has left.
    waiting: Option<Waiting>,
}

/// Run `script`, which writes to `file`: in `session`, which then ends, if it has the file open to be written, and in a separate
/// call if not.
pub(super) fn write(session: &mut Option<Session>, program: &Path, file: &Path, script: &str) -> Result<()> {
    send(session, program, &Open::file(file, Access::Write), script)
}

/// The same with the databases of `open`.
pub(super) fn send(session: &mut Option<Session>, program: &Path, open: &Open, script: &str) -> Result<()> {
    if let Some(mut session) = session.take_if(|session| session.open == *open) {
        let waiting = session.waiting.take();
        let record = waiting.as_ref().map_or("", |waiting| &waiting.statement);
        let script = format!("{record}{}", script.trim_end().trim_end_matches(';'));
        if session.ask(&script)?.is_some() {
            // The engine ends at the first statement that it refuses, so an answer shows that all were run.
            if let Some(waiting) = waiting {
                waiting.recorded();
            }
            return Ok(());
        }
        // It refused a statement, say, of which nothing is left: a separate call says why.
        tracing::debug!("the engine that had {} open did not write to it", open.place());
    }
    call(program, open, script).map(drop)
}

/// The rows of every statement of `sql` that is a query, asked in `session` if it has the same databases open, and in
/// a new one if not.
pub(super) fn ask(
    session: &mut Option<Session>,
    program: &Path,
    open: &Open,
    sql: &str,
) -> Result<Vec<Vec<Row>>> {
    debug_assert!(open.access == Access::Read && !open.writes_attached, "a question only reads");
    if session.as_ref().is_none_or(|session| !session.answers(open)) {
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
        let waiting = record_or_take(program, open);
        let conversation = Conversation::start(&mut started(program, open), IDLE).ok()?;
        Some(Self { open: open.clone(), conversation, preface: open.preface(), waiting })
    }

    /// Start the engine with nothing open, where the file is still being made: [`Session::opened`] opens it.
    pub(super) fn early(program: &Path) -> Option<Self> {
        let open = Open::attached(Vec::new());
        let conversation = Conversation::start_early(&mut started(program, &open), IDLE).ok()?;
        Some(Self { open, conversation, preface: String::new(), waiting: None })
    }

    /// The engine that `early` may have started, or another one, with the databases of `open`.
    pub(super) fn opened(early: Option<Self>, program: &Path, open: &Open) -> Option<Self> {
        let Some(mut session) = early else { return Self::start(program, open) };
        if session.conversation.is_over() {
            return Self::start(program, open);
        }
        let waiting = record_or_take(program, open);
        Some(Self { open: open.clone(), preface: open.late_preface(), waiting, ..session })
    }

    /// Open the databases now instead of with the first question. If that is not possible the engine ends, which the first
    /// question finds.
    pub(super) fn open_now(&mut self) {
        self.conversation.tell(std::mem::take(&mut self.preface));
    }

    /// Whether it has just these databases open and still runs.
    pub(super) fn is_ready(&mut self, open: &Open) -> bool {
        self.open == *open && !self.conversation.is_over()
    }

    /// Whether it has the databases of a question open, to be read or to be written.
    fn answers(&self, open: &Open) -> bool {
        let is_same = self.open.main == open.main && self.open.attached == open.attached;
        is_same && (self.open == *open || self.writes())
    }

    /// Whether the engine can write.
    pub(super) fn writes(&self) -> bool {
        self.open.access == Access::Write
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

/// Record the runs that wait beside the databases of `open`, or leave them to the engine that is about to open the one database
/// to write to it: another call of the engine would have to wait until it can, and to write the whole catalog.
fn record_or_take(program: &Path, open: &Open) -> Option<Waiting> {
    if let (Some(file), Access::Write, []) = (&open.main, open.access, open.attached.as_slice()) {
        return Waiting::beside(file);
    }
    waiting::record_all(program, open);
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::warehouse::duckdb::scripted;

    /// An engine that answers questions with nothing but their end, ends at a statement that says so, and notes each start.
    const ENGINE: &str = r#"#!/bin/sh
echo start >>"$(dirname "$0")/starts"
while read -r line; do
    case "$line" in
        *fail*) exit 1 ;;
        "select '"*) id="${line#select ?}"; echo "[{\"end\":\"${id%%\'*}\"}]" ;;
    esac
done
"#;

    /// How often the engine in `folder` was started.
    fn starts_in(folder: &Path) -> usize {
        std::fs::read_to_string(folder.join("starts")).unwrap_or_default().lines().count()
    }

    #[test]
    fn runs_that_wait_are_recorded_by_the_engine_that_writes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (program, file) = scripted(folder.path(), ENGINE);
        let starts = || starts_in(folder.path());
        let run = |id: &str| Row::from_iter([("run_id".to_owned(), id.into())]);
        let wait = |id: &str| waiting::add(&file, &run(id)).expect("written");
        let waits = || std::fs::metadata(waiting::path_of(&file)).expect("a file").len() > 0;
        let to_write = Open::file(&file, Access::Write);
        let write = |session: Session, script: &str| send(&mut Some(session), &program, &to_write, script);

        wait("a");
        let mut session = Session::start(&program, &to_write).expect("a session");
        assert!(session.ask("select 1").expect("in time").is_some() && waits());
        write(session, "begin;\ncommit;\n").expect("written");
        assert_eq!((starts(), waits()), (1, false));

        // One that came later is not in what the engine was sent.
        wait("b");
        let session = Session::start(&program, &to_write).expect("a session");
        wait("c");
        write(session, "begin;\ncommit;\n").expect("written");
        assert!(waits());

        // The engine that ends has recorded nothing; the separate call has another one record it before.
        let session = Session::start(&program, &to_write).expect("a session");
        assert!(write(session, "begin;\nfail;\ncommit;\n").is_err());
        assert_eq!((starts(), waits()), (5, false));

        // As has one that only reads.
        wait("d");
        let mut session = Session::start(&program, &Open::file(&file, Access::Read)).expect("a session");
        assert!(!waits());
        assert!(session.ask("select 1").expect("in time").is_some());
        assert_eq!(starts(), 7);
    }

    #[test]
    fn what_is_open_to_be_written_answers_and_ends_with_the_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let (program, file) = scripted(folder.path(), ENGINE);
        let starts = || starts_in(folder.path());
        let (read, to_write) = (Open::file(&file, Access::Read), Open::file(&file, Access::Write));

        let mut session = Session::start(&program, &to_write);
        assert_eq!(ask(&mut session, &program, &read, "select 1").expect("rows").len(), 0);
        write(&mut session, &program, &file, "begin;\ncommit;\n").expect("written");
        assert!(session.is_none(), "others can write again");
        assert_eq!(starts(), 1);

        // One that can only read, and none: a separate call.
        session = Session::start(&program, &read);
        assert!(session.as_mut().expect("a session").ask("").expect("in time").is_some());
        assert!(!session.as_ref().expect("a session").answers(&to_write));
        drop(session.take());
        write(&mut session, &program, &file, "begin;\ncommit;\n").expect("written");
        assert_eq!(starts(), 3);

        // What was started before there was a file opens it with the first question, if it still runs.
        session = Session::opened(Session::early(&program), &program, &to_write);
        assert!(session.as_ref().expect("a session").preface.starts_with("attach '"));
        assert_eq!(ask(&mut session, &program, &read, "select 1").expect("rows").len(), 0);
        drop(session.take());
        let mut opened = Session::opened(Session::early(&program), &program, &to_write).expect("a session");
        opened.open_now();
        assert!(opened.preface.is_empty() && opened.is_ready(&to_write) && !opened.is_ready(&read));
        assert!(opened.ask("").expect("in time").is_some());
        drop(opened);
        let mut over = Session::early(&program).expect("a session");
        assert_eq!(over.ask("fail").expect("in time"), None);
        while !over.conversation.is_over() {
            std::thread::yield_now();
        }
        session = Session::opened(Some(over), &program, &to_write);
        assert!(session.as_mut().expect("a session").ask("").expect("in time").is_some());
        drop(session.take());
        assert_eq!(starts(), 7);

        // What the session refuses is sent again, by a call that can say why.
        session = Session::start(&program, &to_write);
        assert!(write(&mut session, &program, &file, "begin;\nfail;\ncommit;\n").is_err());
        assert_eq!(starts(), 9);
    }
}
