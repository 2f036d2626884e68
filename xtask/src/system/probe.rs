//! Run a program for one short answer, within a time limit.
//!
//! `python3` may be a shim that downloads something, `uv` a broken link, `git` a program that waits for a
//! password. In every case the result is an answer or a reason, and no process is left behind.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The output of a program.
pub(crate) struct Answer {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// The first line that is not blank, from stdout, else from stderr.
    pub(crate) fn first_line(&self) -> &str {
        let mut lines = self.stdout.lines().chain(self.stderr.lines()).map(str::trim);
        lines.find(|line| !line.is_empty()).unwrap_or_default()
    }
}

/// Run `command` and collect what it prints. The error is a reason in words, fit for a list of them.
pub(crate) fn ask(command: &mut Command, limit: Duration) -> Result<Answer, String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    // Read on threads: a program that prints more than a pipe holds would otherwise never end.
    let stdout = read_all(child.stdout.take());
    let stderr = read_all(child.stderr.take());
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                // A grandchild may hold the pipes open long after; what arrived by then is the answer.
                let patience =
                    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(200));
                return Ok(Answer {
                    success: status.success(),
                    stdout: stdout.recv_timeout(patience).unwrap_or_default(),
                    stderr: stderr.recv_timeout(Duration::from_millis(200)).unwrap_or_default(),
                });
            }
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                drop(child.kill());
                drop(child.wait());
                return Err(format!("gave no answer within {} s", limit.as_secs_f32()));
            }
            Err(error) => return Err(format!("cannot be waited for: {error}")),
        }
    }
}

fn read_all<R: std::io::Read + Send + 'static>(pipe: Option<R>) -> std::sync::mpsc::Receiver<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            drop(pipe.read_to_end(&mut bytes));
        }
        drop(sender.send(String::from_utf8_lossy(&bytes).into_owned()));
    });
    receiver
}

/// The program that `name` means: the first one on PATH, or the file itself if it is a path.
pub(crate) fn which(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let name = Path::new(name.as_ref());
    if name.components().count() > 1 {
        return is_program(name).then(|| name.to_path_buf());
    }
    let file = if cfg!(windows) && name.extension().is_none() {
        name.with_extension("exe")
    } else {
        name.to_path_buf()
    };
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(&file))
        .find(|candidate| is_program(candidate))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}
