//! Run uv or pip, show their progress, and log their output.
//!
//! `uv` if it is installed, since it is ten times faster; else the `venv` and `pip` of Python itself, so that
//! a user needs only Python. Both take wheels only (no package's code runs during an installation) and only
//! those whose hashes are in the lock.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use indicatif::ProgressBar;

use super::interpreter::{self, Interpreter, Search};
use super::requirements::Lock;
use super::turn::Turn;
use super::{failure, redact, stamp};
use crate::system::{console, interrupt, probe};

/// Variables that would install to another place or change what is installed. Variables about the source of
/// packages (indexes, proxies, certificates, caches) are left alone.
pub(crate) const MISLEADING: [&str; 17] = [
    "CONDA_PREFIX",
    "PIP_CONSTRAINT",
    "PIP_LOG",
    "PIP_PREFIX",
    "PIP_PYTHON",
    "PIP_REQUIREMENT",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_ROOT",
    "PIP_TARGET",
    "PYTHONHOME",
    "PYTHONPATH",
    "UV_CONSTRAINT",
    "UV_OVERRIDE",
    "UV_PROJECT_ENVIRONMENT",
    "UV_SYSTEM_PYTHON",
    "UV_WORKING_DIRECTORY",
    "VIRTUAL_ENV",
];

/// Which of the two does the work.
#[derive(Clone, Debug)]
pub(crate) enum Tool {
    Uv {
        program: PathBuf,
        /// Such as `uv 0.13.9`.
        version: String,
    },
    Pip,
}

impl Tool {
    /// uv if it works, else pip. `XTASK_INSTALLER=pip` or `uv` overrides this.
    pub(crate) fn choose() -> Result<Self> {
        let wish = std::env::var("XTASK_INSTALLER").unwrap_or_default();
        match (wish.as_str(), uv()) {
            ("" | "uv", Some(uv)) => Ok(uv),
            ("" | "pip", _) => Ok(Self::Pip),
            ("uv", None) => {
                bail!("XTASK_INSTALLER is uv, but no working uv is on PATH; install it or unset it")
            }
            (other, _) => bail!("XTASK_INSTALLER is {other:?}; it can be uv, pip or unset"),
        }
    }

    pub(crate) fn is_uv(&self) -> bool {
        matches!(self, Self::Uv { .. })
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Uv { version, .. } => version,
            Self::Pip => "pip",
        }
    }
}

/// The uv on PATH, if it works: a shim of a version manager may exist without working.
pub(crate) fn uv() -> Option<Tool> {
    let program = probe::which("uv")?;
    let answer = probe::ask(Command::new(&program).arg("--version"), Duration::from_secs(10)).ok()?;
    let version: Vec<&str> = answer.first_line().split(' ').take(2).collect();
    (answer.success && version.first() == Some(&"uv"))
        .then(|| Tool::Uv { program, version: version.join(" ") })
}

/// Does the work in one environment, during one turn.
pub(crate) struct Installer<'a> {
    pub(crate) tool: &'a Tool,
    pub(crate) venv: &'a Path,
    pub(crate) turn: &'a Turn,
    pub(crate) log: &'a Path,
}

impl Installer<'_> {
    /// Make the empty environment. Returns the version of its Python.
    pub(crate) fn create(&self) -> Result<String> {
        let python = match interpreter::search(!self.tool.is_uv())? {
            Search::Found(python) => Some(python),
            // uv can fetch one itself.
            Search::Nothing { .. } if self.tool.is_uv() => None,
            Search::Nothing { rejected } => bail!(interpreter::nothing_found(&rejected)),
        };
        let label = python
            .as_ref()
            .map_or_else(|| "Python".to_owned(), |python| format!("Python {}", python.version));
        tracing::info!("making {} with {label} and {}", self.venv.display(), self.tool.name());
        self.run(self.creation(python.as_ref()), &Progress::new("making the environment", 0)).map_err(
            |error| match python {
                Some(python) => {
                    error.context(format!("failed to make an environment with {}", python.path.display()))
                }
                None => error.context(interpreter::nothing_found(&[])),
            },
        )?;
        self.version()
    }

    fn creation(&self, python: Option<&Interpreter>) -> Command {
        match (self.tool, python) {
            (Tool::Uv { program, .. }, python) => {
                let wanted = python
                    .map_or_else(|| OsString::from(">=3.10,<3.14"), |python| python.path.clone().into());
                let mut command = uv_command(program);
                command
                    .args(["venv", "--no-project", "--allow-existing", "--python"])
                    .arg(wanted)
                    .arg(self.venv);
                command
            }
            (Tool::Pip, python) => {
                let mut command =
                    Command::new(python.map_or_else(|| Path::new("python3"), |python| python.path.as_path()));
                command.args(["-I", "-m", "venv"]).arg(self.venv);
                command
            }
        }
    }

    /// The version in `pyvenv.cfg`, which both tools write.
    fn version(&self) -> Result<String> {
        let path = self.venv.join("pyvenv.cfg");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("failed to make an environment: {} is missing", path.display()))?;
        let version = text.lines().filter_map(|line| line.split_once('=')).find_map(|(key, value)| {
            matches!(key.trim(), "version" | "version_info").then(|| value.trim().to_owned())
        });
        version.with_context(|| format!("no version in {}", path.display()))
    }

    /// Install the packages that the locks pin; with uv, also remove the others.
    pub(crate) fn install(&self, locks: &[Lock], expected: u64) -> Result<()> {
        let python = stamp::interpreter(self.venv);
        let mut command = match self.tool {
            Tool::Uv { program, .. } => {
                let mut command = uv_command(program);
                command.args([
                    "pip",
                    "sync",
                    "--require-hashes",
                    "--compile-bytecode",
                    "--only-binary",
                    ":all:",
                ]);
                command.arg("--python").arg(python);
                command.args(locks.iter().map(|lock| &lock.path));
                command
            }
            Tool::Pip => {
                let mut command = Command::new(python);
                command.args([
                    "-I",
                    "-m",
                    "pip",
                    "install",
                    "--no-deps",
                    "--require-hashes",
                    "--only-binary",
                    ":all:",
                ]);
                command.args(["--no-input", "--no-warn-script-location", "--progress-bar", "off"]);
                for lock in locks {
                    command.arg("-r").arg(&lock.path);
                }
                command
            }
        };
        // A user's pip.conf may say `user = true`, which no environment can satisfy.
        command.env("PIP_USER", "0").env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
        self.run(command, &Progress::new("downloading", expected))
            .with_context(|| format!("failed to install the Python packages of {}", names(locks)))
    }

    /// Run to the end; its output goes to the log, the relevant part of it into the error.
    fn run(&self, mut command: Command, progress: &Progress) -> Result<()> {
        for name in MISLEADING {
            command.env_remove(name);
        }
        command
            .current_dir(self.venv)
            .stdin(self.turn.share()?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let program = command.get_program().to_string_lossy().into_owned();
        let mut log = open_log(self.log)?;
        let mut child = command.spawn().with_context(|| format!("failed to start {program}"))?;
        self.turn.name_installer(child.id());
        let lines = lines_of(child.stdout.take(), child.stderr.take());
        let said = self.follow(&mut child, &lines, &mut log, progress);
        let status = child.wait().with_context(|| format!("failed to wait for {program}"))?;
        progress.bar.finish_and_clear();
        interrupt::check()?;
        if status.success() { Ok(()) } else { Err(self.explain(&said, status)) }
    }

    /// Read lines until there are no more, moving the bar. Returns the last ones.
    fn follow(
        &self,
        child: &mut Child,
        lines: &Receiver<String>,
        log: &mut File,
        progress: &Progress,
    ) -> VecDeque<String> {
        let mut last = VecDeque::new();
        let mut ticker = Ticker::new();
        loop {
            match lines.recv_timeout(Duration::from_millis(200)) {
                Ok(line) => {
                    let line = redact::addresses(&line);
                    // A full disk must not hide what the installer says about it.
                    drop(writeln!(log, "{line}"));
                    progress.line(&line);
                    last.push_back(line);
                    if last.len() > 60 {
                        last.pop_front();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if interrupt::asked() {
                        drop(child.kill());
                    }
                    progress.look(self.venv);
                    ticker.tick(progress);
                }
                Err(RecvTimeoutError::Disconnected) => return last,
            }
        }
    }

    fn explain(&self, said: &VecDeque<String>, status: ExitStatus) -> anyhow::Error {
        let all = said.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        let telling: Vec<&str> =
            said.iter().map(String::as_str).map(str::trim_end).filter(|line| !is_noise(line)).collect();
        let telling = telling[telling.len().saturating_sub(8)..].join("\n");
        let words = if telling.is_empty() { status.to_string() } else { telling };
        let error = anyhow!("{words}\n(all of it: {})", self.log.display());
        match failure::reason(&all) {
            Some(reason) => error.context(format!("{}; {}", reason.what, reason.remedy)),
            None => error,
        }
    }
}

fn names(locks: &[Lock]) -> String {
    locks.iter().map(|lock| lock.set.output()).collect::<Vec<_>>().join(", ")
}

fn is_noise(line: &str) -> bool {
    let starts = [
        "Looking in ",
        "Ignoring ",
        "Collecting ",
        "  Downloading ",
        "  Using cached ",
        "Using Python ",
        "[notice]",
    ];
    line.trim().is_empty() || starts.iter().any(|start| line.starts_with(start))
}

fn open_log(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("failed to write {}", path.display()))
}

/// Lines of both pipes in the order of arrival; ends when both are closed.
fn lines_of(
    stdout: Option<impl Read + Send + 'static>,
    stderr: Option<impl Read + Send + 'static>,
) -> Receiver<String> {
    let (sender, receiver) = channel();
    let other = sender.clone();
    let forward = |pipe: Option<Box<dyn Read + Send>>, sender: std::sync::mpsc::Sender<String>| {
        std::thread::spawn(move || {
            for line in pipe.map(BufReader::new).into_iter().flat_map(|reader| reader.split(b'\n')) {
                let Ok(line) = line else { return };
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
    };
    forward(stdout.map(|pipe| Box::new(pipe) as Box<dyn Read + Send>), sender);
    forward(stderr.map(|pipe| Box::new(pipe) as Box<dyn Read + Send>), other);
    receiver
}

/// `uv` that reads the user's own configuration (it may name a company's mirror) and no project's.
pub(crate) fn uv_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    match user_config() {
        Some(path) => command.arg("--config-file").arg(path),
        None if std::env::var_os("UV_CONFIG_FILE").is_some() => &mut command,
        None => command.arg("--no-config"),
    };
    for (name, value) in bridged() {
        command.env(name, value);
    }
    command
}

fn user_config() -> Option<PathBuf> {
    if std::env::var_os("UV_CONFIG_FILE").is_some() {
        return None;
    }
    let home = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")));
    let places = home.into_iter().chain([PathBuf::from("/etc")]);
    places.map(|dir| dir.join("uv").join("uv.toml")).find(|path| path.is_file())
}

/// pip's settings for the source of packages, translated for uv: users who set up a mirror for pip should not
/// have to know which installer is used. uv's own variables take precedence.
fn bridged() -> Vec<(&'static str, OsString)> {
    const TABLE: [(&str, &str, &[&str]); 5] = [
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", &["UV_DEFAULT_INDEX", "UV_INDEX_URL"]),
        ("PIP_EXTRA_INDEX_URL", "UV_INDEX", &["UV_INDEX", "UV_EXTRA_INDEX_URL"]),
        ("PIP_FIND_LINKS", "UV_FIND_LINKS", &["UV_FIND_LINKS"]),
        ("PIP_NO_INDEX", "UV_NO_INDEX", &["UV_NO_INDEX"]),
        ("PIP_CERT", "SSL_CERT_FILE", &["SSL_CERT_FILE"]),
    ];
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    TABLE
        .iter()
        .filter(|(from, _, ours)| is_set(from) && !ours.iter().any(is_set))
        .filter_map(|(from, to, _)| {
            let value = std::env::var(from).ok()?;
            // pip separates several places by spaces, uv this one by commas.
            let value = if *to == "UV_FIND_LINKS" {
                value.split_whitespace().collect::<Vec<_>>().join(",")
            } else {
                value
            };
            Some((*to, OsString::from(value)))
        })
        .collect()
}

/// The progress of an installation, from the installer's output and from the packages that appear on disk.
struct Progress {
    bar: ProgressBar,
    total: u64,
}

impl Progress {
    fn new(message: &str, total: u64) -> Self {
        let bar = if total == 0 {
            console::spinner(message)
        } else {
            console::bar(total, "{spinner} {pos}/{len} {bar:24} {elapsed:.dim} {msg}")
                .with_message(message.to_owned())
        };
        Self { bar, total }
    }

    /// Both tools name what they fetch, and say when they begin to unpack.
    fn line(&self, line: &str) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("Collecting ") {
            let name = name.split(['=', ' ']).next().unwrap_or(name);
            self.bar.set_message(format!("downloading {name}"));
            self.bar.inc(1);
        } else if let Some(name) = line.strip_prefix("Downloading ").filter(|name| !name.contains(".whl")) {
            self.bar.set_message(format!("downloading {name}"));
        } else if line.starts_with("Installing collected packages") || line.starts_with("Prepared ") {
            self.bar.set_message("installing");
            self.bar.set_position(0);
        } else if line.starts_with("Installed ") {
            // The longest part with uv; it makes the first start of dbt seconds shorter.
            self.bar.set_message("compiling");
        }
    }

    /// Packages that have appeared.
    fn look(&self, venv: &Path) {
        if self.total > 0 && !self.bar.message().starts_with("downloading ") {
            let packages = stamp::packages(venv);
            self.bar.set_position((packages.len() as u64).min(self.total));
        }
    }
}

/// If no bar is drawn, a line now and then shows that the installation is still running.
struct Ticker {
    next: Instant,
}

impl Ticker {
    const EVERY: Duration = Duration::from_secs(10);

    fn new() -> Self {
        Self { next: Instant::now() + Self::EVERY }
    }

    fn tick(&mut self, progress: &Progress) {
        if !console::is_live() && Instant::now() >= self.next {
            self.next += Self::EVERY;
            let bar = &progress.bar;
            if progress.total > 0 {
                tracing::info!("  {} ({} of {})", bar.message(), bar.position(), progress.total);
            } else {
                tracing::info!("  {}", bar.message());
            }
        }
    }
}
