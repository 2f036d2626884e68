//! The one dbt process of a run: started, followed line by line, never left behind.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::boundary::Intended;
use super::engine::Engine;
use super::events::Event;
use super::messages::Redactor;
use crate::system::console::shell_word;
use crate::system::interrupt;
use crate::warehouse::snowflake::Secret;

/// How often we check whether the run is to stop.
const POLL: Duration = Duration::from_millis(100);

/// What dbt gets to cancel its queries and end, once it was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// A dbt command, ready to run.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) project: PathBuf,
    /// dbt's own arguments, the subcommand first.
    pub(crate) args: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Variables that are never shown; they are filled in just before dbt starts.
    pub(crate) secrets: Vec<(&'static str, Secret)>,
}

/// What the guard asks before dbt writes.
#[derive(Deserialize)]
struct Question {
    xtask: Writes,
}

#[derive(Deserialize)]
struct Writes {
    writes: Vec<Intended>,
}

/// A line that dbt or its guard wrote.
enum Line {
    Event(Box<Event>),
    Question(Vec<Intended>),
    Stray(String),
}

impl Line {
    fn read(line: &str) -> Self {
        if let Some(event) = Event::parse(line) {
            return Self::Event(Box::new(event));
        }
        match serde_json::from_str::<Question>(line) {
            Ok(question) => Self::Question(question.xtask.writes),
            Err(_) => Self::Stray(line.to_owned()),
        }
    }
}

/// How dbt ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) seconds: f64,
    /// What was said outside dbt's own log: Python's tracebacks and warnings.
    pub(crate) stray: String,
    pub(crate) interrupted: bool,
    /// What it was going to write; `None` if it did not come so far as to say it.
    pub(crate) intended: Option<Vec<Intended>>,
}

impl Invocation {
    /// The command as a person would type it in the project's folder.
    pub(crate) fn describe(&self) -> String {
        let variables = self.environment.iter().map(|(name, value)| format!("{name}={}", shell_word(value)));
        let words = std::iter::once("dbt".to_owned()).chain(self.args.iter().map(|arg| shell_word(arg)));
        variables.chain(words).collect::<Vec<_>>().join(" ")
    }

    /// Run it with `engine`, handing every event to `follow` as it comes. Before dbt writes anything,
    /// `allow` gets the relations that it is going to write; an error stops dbt and is returned.
    pub(crate) fn run(
        &self,
        engine: &Engine,
        mut allow: impl FnMut(&[Intended]) -> Result<()>,
        mut follow: impl FnMut(&Event),
    ) -> Result<Ended> {
        let begun = Instant::now();
        let redactor = self.redactor();
        let mut child = self.spawn(engine)?;
        // Held open as long as dbt may run: closing it makes dbt v1 stop.
        let mut lifeline = child.stdin.take();
        let lines = lines_of(&mut child);
        let errors = errors_of(&mut child);
        let mut stray = String::new();
        let mut asked = None;
        let mut intended = None;
        loop {
            match lines.recv_timeout(POLL) {
                Ok(line) => match Line::read(&redactor.hide(&line)) {
                    Line::Event(event) => follow(&event),
                    Line::Question(writes) => {
                        if let Err(refusal) = allow(&writes) {
                            drop(lifeline);
                            child.wait().context("failed to wait for dbt")?;
                            return Err(refusal);
                        }
                        intended = Some(writes);
                        if let Some(pipe) = &mut lifeline {
                            // A dbt that has ended meanwhile shows that by its exit code.
                            drop(pipe.write_all(b"y").and_then(|()| pipe.flush()));
                        }
                    }
                    Line::Stray(line) => push_line(&mut stray, &line),
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            match asked {
                None if interrupt::asked() => {
                    lifeline = None;
                    engine.interrupt(&mut child);
                    asked = Some(Instant::now());
                }
                // It did not stop within the grace period, whatever it waits for.
                Some(moment) if Instant::now().duration_since(moment) > GRACE => drop(child.kill()),
                _ => {}
            }
        }
        drop(lifeline);
        let status = child.wait().context("failed to wait for dbt")?;
        push_line(&mut stray, redactor.hide(errors.join().unwrap_or_default().trim()).as_ref());
        let interrupted = asked.is_some();
        Ok(Ended { status, seconds: begun.elapsed().as_secs_f64(), stray, interrupted, intended })
    }

    /// Hides the secrets of this invocation, and those of the environment that dbt reads.
    pub(crate) fn redactor(&self) -> Redactor {
        Redactor::new(self.secrets.iter().map(|(_, secret)| secret.reveal().to_owned()), std::env::vars())
    }

    fn spawn(&self, engine: &Engine) -> Result<Child> {
        let mut command = engine.command(&self.args)?;
        command.current_dir(&self.project);
        command.envs(self.environment.iter().map(|(name, value)| (*name, engine.setting(name, value))));
        command.envs(self.secrets.iter().map(|(name, secret)| (*name, secret.reveal())));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C reaches every process of the terminal's group: dbt leaves ours, so that there is one
        // way to stop it, and that way is ours.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn().with_context(|| engine.remedy())
    }
}

fn lines_of(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut bytes = Vec::new();
            // Bytes, not `lines()`: one line of bad UTF-8 must not end the reading.
            while matches!(reader.read_until(b'\n', &mut bytes), Ok(1..)) {
                let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                bytes.clear();
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

fn errors_of(child: &mut Child) -> std::thread::JoinHandle<String> {
    let stderr = child.stderr.take();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stderr) = stderr {
            drop(stderr.read_to_end(&mut bytes));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn push_line(text: &mut String, line: &str) {
    if !line.is_empty() {
        text.push_str(line);
        text.push('\n');
    }
}
