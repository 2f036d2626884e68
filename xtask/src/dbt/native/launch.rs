//! Starts a native program so that it never outlives the process that started it.
//!
//! What dbt v1 gets from a thread in its own Python (`guard.py`), a program that we did not write cannot have inside.
//! So the toolkit starts itself as `dbt launch` in between. On Linux that process asks the kernel to be killed when
//! its parent dies and then becomes the program: there is no third process, and nothing to go wrong later. Elsewhere
//! it stays beside the program and holds the other end of a pipe, which closes when its parent dies.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// Start a program for another process of the toolkit.
#[derive(clap::Args, Debug)]
pub(crate) struct Launch {
    /// The process that must live.
    #[arg(long)]
    parent: u32,

    /// Stay beside the program instead of becoming it.
    #[arg(long)]
    stay: bool,

    program: PathBuf,

    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// The command that launches `program`; its arguments follow.
pub(super) fn command(program: &Path) -> Result<Command> {
    // The path of a program that was replaced while it runs (cargo does that) no longer leads to it.
    let ours = if cfg!(target_os = "linux") {
        PathBuf::from("/proc/self/exe")
    } else {
        std::env::current_exe().context("failed to find the toolkit's own program")?
    };
    let mut command = Command::new(ours);
    command.args(["dbt", "launch", "--parent", &std::process::id().to_string()]);
    if !cfg!(target_os = "linux") {
        command.arg("--stay");
    }
    command.arg("--").arg(program);
    Ok(command)
}

impl Launch {
    /// Become the program, or wait for it and end as it does. Returns only an error.
    pub(crate) fn run(&self) -> Result<std::convert::Infallible> {
        let mut command = Command::new(&self.program);
        command.args(&self.args);
        let failed = || format!("failed to start {}", self.program.display());
        if self.stay {
            let status = stay(&mut command, std::io::stdin()).with_context(failed)?;
            std::process::exit(status.code().unwrap_or(1));
        }
        Err(self.become_it(&mut command)).with_context(failed)
    }

    #[cfg(target_os = "linux")]
    fn become_it(&self, command: &mut Command) -> std::io::Error {
        use std::os::unix::process::CommandExt as _;
        use std::process::Stdio;

        use rustix::process::{Signal, getppid, set_parent_process_death_signal};

        if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
            return error.into();
        }
        // The parent may have died before the kernel knew whom to watch.
        if getppid().is_none_or(|parent| parent.as_raw_nonzero().get().unsigned_abs() != self.parent) {
            std::process::exit(1);
        }
        command.stdin(Stdio::null()).exec()
    }

    #[cfg(not(target_os = "linux"))]
    fn become_it(&self, command: &mut Command) -> std::io::Error {
        match stay(command, std::io::stdin()) {
            Ok(status) => std::process::exit(status.code().unwrap_or(1)),
            Err(error) => error,
        }
    }
}

/// Run the program to its end, and end it when `lifeline` does.
fn stay(
    command: &mut Command,
    mut lifeline: impl std::io::Read + Send + 'static,
) -> std::io::Result<std::process::ExitStatus> {
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::Duration;

    let child = Arc::new(Mutex::new(command.stdin(std::process::Stdio::null()).spawn()?));
    let watched = Arc::clone(&child);
    std::thread::spawn(move || {
        let mut byte = [0];
        while matches!(lifeline.read(&mut byte), Ok(1)) {}
        drop(watched.lock().unwrap_or_else(PoisonError::into_inner).kill());
    });
    loop {
        if let Some(status) = child.lock().unwrap_or_else(PoisonError::into_inner).try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn beside_a_program_the_end_of_the_pipe_ends_it() {
        let mut sleeping = Command::new("sleep");
        let status = stay(sleeping.arg("600"), std::io::empty()).expect("it ends");
        assert!(status.code().is_none(), "killed, not ended: {status}");
        let ended = stay(Command::new("sh").args(["-c", "exit 3"]), std::io::repeat(0)).expect("it ends");
        assert_eq!(ended.code(), Some(3));
    }
}
