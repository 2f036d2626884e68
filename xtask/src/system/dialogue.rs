//! Communicate with another program through its standard streams without a deadlock.
//!
//! A pipe holds some 64 KiB. If one side writes all its data before it reads, and the other side answers
//! before it has read everything, both wait for ever. So each stream gets a thread, and each wait a limit.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// The output of a program, and how it ended.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Start `command`, write `input` and collect its output at the same time; kill it after `limit`.
///
/// A program may stop reading at the first error: its own message is more useful than our broken pipe.
pub(crate) fn hold(command: &mut Command, input: Vec<u8>, limit: Duration) -> Result<Answer> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {program}"))?;
    let deadline = Instant::now() + limit;
    if let Some(mut stdin) = child.stdin.take() {
        std::thread::spawn(move || drop(stdin.write_all(&input)));
    }
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let said = receive(&stdout, deadline).and_then(|said| Ok((said, receive(&stderr, deadline)?)));
    let ended = match said {
        Ok((stdout, stderr)) => end(&mut child, deadline)?.map(|status| Answer { status, stdout, stderr }),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
    };
    let Some(answer) = ended else {
        drop(child.kill());
        drop(child.wait());
        bail!("{program} did not end within {} s and was stopped", limit.as_secs());
    };
    Ok(answer)
}

fn collect<R: Read + Send + 'static>(pipe: Option<R>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            drop(pipe.read_to_end(&mut bytes));
        }
        drop(sender.send(bytes));
    });
    receiver
}

fn receive(stream: &Receiver<Vec<u8>>, deadline: Instant) -> Result<Vec<u8>, RecvTimeoutError> {
    stream.recv_timeout(deadline.saturating_duration_since(Instant::now()))
}

/// How a program ended that has closed its streams; `None` if it goes on running until the deadline.
fn end(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().context("failed to wait for a program")? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// A program whose output is read as it comes: ended when one wait for more of it lasts too long.
/// Time in which the reader is busy with what it has got does not count.
pub(crate) struct Watched {
    child: Arc<Mutex<Child>>,
    waiting_since: Arc<Mutex<Option<Instant>>>,
    /// Dropped with this: then the watch is over.
    _watching: Sender<()>,
}

impl Watched {
    pub(crate) fn new(child: Child, limit: Duration) -> Self {
        let (child, waiting_since) = (Arc::new(Mutex::new(child)), Arc::new(Mutex::new(None)));
        let (watching, over) = channel();
        let (victim, since) = (Arc::clone(&child), Arc::clone(&waiting_since));
        let step = (limit / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        std::thread::spawn(move || {
            while matches!(over.recv_timeout(step), Err(RecvTimeoutError::Timeout)) {
                let is_over = locked(&since).is_some_and(|since: Instant| since.elapsed() > limit);
                if is_over {
                    drop(locked(&victim).kill());
                    return;
                }
            }
        });
        Self { child, waiting_since, _watching: watching }
    }

    /// The stream `pipe` of the program; it ends early when the program is ended.
    pub(crate) fn read<R: Read>(&self, pipe: R) -> Watching<R> {
        Watching { pipe, waiting_since: Arc::clone(&self.waiting_since) }
    }

    pub(crate) fn kill(&self) {
        drop(locked(&self.child).kill());
    }

    /// Wait for a program that has closed its output.
    pub(crate) fn wait(self) -> io::Result<ExitStatus> {
        locked(&self.child).wait()
    }
}

pub(crate) struct Watching<R> {
    pipe: R,
    waiting_since: Arc<Mutex<Option<Instant>>>,
}

impl<R: Read> Read for Watching<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        *locked(&self.waiting_since) = Some(Instant::now());
        let read = self.pipe.read(buffer);
        *locked(&self.waiting_since) = None;
        read
    }
}

/// A program that is asked one question after another. It is left to end when it is not asked for a while.
#[derive(Debug)]
pub(crate) struct Conversation {
    child: Child,
    /// Dropped to end the program, which then finds the end of its input.
    questions: Option<Sender<Vec<u8>>>,
    lines: Receiver<Vec<u8>>,
    idle_since: IdleSince,
}

/// How many times the pause after which a program ends it may take to answer before no other question is put to it.
const LONG_ANSWER: u32 = 20;

/// When the last question was answered, or the program started; `None` as long as one is not, or the first is awaited.
type IdleSince = Arc<Mutex<Option<Instant>>>;

impl Conversation {
    /// Start `command`; what it says on its error stream is not kept.
    pub(crate) fn start(command: &mut Command, idle: Duration) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (questions, asked) = channel();
        let (said, lines) = channel();
        let idle_since = IdleSince::new(Mutex::new(Some(Instant::now())));
        if let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) {
            let since = Arc::clone(&idle_since);
            std::thread::spawn(move || pass_on(&asked, stdin, idle, &since));
            std::thread::spawn(move || split(stdout, &said));
        }
        Ok(Self { child, questions: Some(questions), lines, idle_since })
    }

    /// The same for a first question that may be long in coming.
    pub(crate) fn start_early(command: &mut Command, idle: Duration) -> io::Result<Self> {
        let conversation = Self::start(command, idle)?;
        *locked(&conversation.idle_since) = None;
        Ok(conversation)
    }

    /// Whether the program has ended by itself.
    pub(crate) fn is_over(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Send what the program does not answer; if it has ended, the next question shows that.
    pub(crate) fn tell(&self, text: String) {
        drop(self.questions.as_ref().map(|asked| asked.send(text.into_bytes())));
    }

    /// What the program says to `question`, up to the line `end`; `None` if it ended before it said that.
    pub(crate) fn ask(&mut self, question: String, end: &str, limit: Duration) -> Result<Option<Vec<u8>>> {
        *locked(&self.idle_since) = None;
        let is_asked = self.questions.as_ref().is_some_and(|asked| asked.send(question.into_bytes()).is_ok());
        if !is_asked {
            return Ok(None);
        }
        let deadline = Instant::now() + limit;
        let mut answer = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.trim_ascii_end() == end.as_bytes() => {
                    *locked(&self.idle_since) = Some(Instant::now());
                    return Ok(Some(answer));
                }
                Ok(line) => answer.extend(line),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {
                    drop(self.child.kill());
                    bail!("it did not answer within {} s and was stopped", limit.as_secs());
                }
            }
        }
    }
}

/// Ends the program and waits until it has let go of its files.
impl Drop for Conversation {
    fn drop(&mut self) {
        self.questions = None;
        drop(self.child.wait());
    }
}

fn pass_on(asked: &Receiver<Vec<u8>>, mut stdin: ChildStdin, idle: Duration, since: &IdleSince) {
    let (mut wait, mut asked_at) = (idle, Instant::now());
    loop {
        match asked.recv_timeout(wait) {
            Ok(question) => {
                asked_at = Instant::now();
                if stdin.write_all(&question).and_then(|()| stdin.flush()).is_err() {
                    return;
                }
                wait = idle;
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                // A long answer is no pause; after a very long one the program ends with it.
                let (limit, since) = match *locked(since) {
                    Some(answered) => (idle, answered),
                    None => (idle * LONG_ANSWER, asked_at),
                };
                wait = limit.saturating_sub(since.elapsed());
                if wait.is_zero() {
                    return;
                }
            }
        }
    }
}

fn split(stdout: ChildStdout, said: &Sender<Vec<u8>>) {
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    while matches!(stdout.read_until(b'\n', &mut line), Ok(1..)) {
        if said.send(std::mem::take(&mut line)).is_err() {
            return;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    #[test]
    fn output_during_input_is_read_without_deadlock() {
        // both ways are many times what a pipe holds
        let input = vec![b'x'; 4 << 20];
        let answer = hold(&mut Command::new("cat"), input.clone(), PATIENCE).expect("an answer");
        assert!(answer.status.success());
        assert_eq!(answer.stdout.len(), input.len());
    }

    #[test]
    fn both_outputs_are_read_at_once() {
        let script = "head -c 1000000 /dev/zero >&2; head -c 1000000 /dev/zero; exit 3";
        let answer = hold(Command::new("sh").args(["-c", script]), Vec::new(), PATIENCE).expect("an answer");
        assert_eq!(answer.status.code(), Some(3));
        assert_eq!((answer.stdout.len(), answer.stderr.len()), (1_000_000, 1_000_000));
    }

    #[test]
    fn a_program_that_never_ends_is_stopped() {
        let limit = Duration::from_millis(100);
        let error = hold(Command::new("sleep").arg("600"), Vec::new(), limit).expect_err("a limit");
        assert!(error.to_string().contains("sleep did not end"), "{error}");
        // it may also have closed its streams before
        let closed =
            hold(Command::new("sh").args(["-c", "exec >&- 2>&-; exec sleep 600"]), Vec::new(), limit);
        assert!(closed.is_err());
    }

    #[test]
    fn a_conversation_ends_when_nobody_asks() {
        let idle = Duration::from_millis(20);
        let mut cat = Conversation::start(&mut Command::new("cat"), PATIENCE).expect("a start");
        for large in [1, 1 << 20] {
            let question = format!("{}\nend\n", "x".repeat(large));
            let answer = cat.ask(question, "end", PATIENCE).expect("no limit").expect("an answer");
            assert_eq!(answer.len(), large + 1);
        }
        let mut idler = Conversation::start(&mut Command::new("cat"), idle).expect("a start");
        while idler.child.try_wait().expect("a child").is_none() {
            std::thread::sleep(idle);
        }
        assert!(idler.is_over());
        assert_eq!(idler.ask("end\n".to_owned(), "end", PATIENCE).expect("no limit"), None);
    }

    #[test]
    fn a_conversation_without_an_answer_is_ended() {
        let mut mute = Conversation::start(Command::new("sleep").arg("600"), PATIENCE).expect("a start");
        assert!(mute.ask("?\n".to_owned(), "end", Duration::from_millis(50)).is_err());
        let mut gone = Conversation::start(&mut Command::new("true"), PATIENCE).expect("a start");
        assert_eq!(gone.ask("?\n".to_owned(), "end", PATIENCE).expect("no limit"), None);
    }

    #[test]
    fn a_stream_that_stays_silent_is_ended() {
        let mut child = Command::new("sleep").arg("600").stdout(Stdio::piped()).spawn().expect("sleep");
        let pipe = child.stdout.take().expect("a pipe");
        let watched = Watched::new(child, Duration::from_millis(50));
        let mut bytes = Vec::new();
        watched.read(pipe).read_to_end(&mut bytes).expect("the end");
        assert!(!watched.wait().expect("ended").success());
    }
}
