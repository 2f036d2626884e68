//! The content of `.venv`, recorded in it, so that Python need not be started to check it.
//!
//! One small file, `.xtask-stamp.json`, replaced atomically. It says `installing` before the first byte of an
//! installation is written and `ready` after the last one, so an interrupted installation is always
//! recognised. A `.venv` without this file was not made by the toolkit.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::requirements::Lock;

/// Bumped when an older toolkit's environment must not be used by this one.
const SCHEMA: u32 = 1;

pub(crate) const FILE: &str = ".xtask-stamp.json";
/// Files whose names begin so are ours; see `condition`.
pub(crate) const OURS: &str = ".xtask-";

#[derive(Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum Stamp {
    Installing {
        schema: u32,
        pid: u32,
        since: jiff::Timestamp,
        /// Where it is being made.
        #[serde(default)]
        venv: Option<PathBuf>,
    },
    Ready(Ready),
}

/// A finished environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    schema: u32,
    /// Where it was made: programs in an environment name its folder, so it cannot be moved.
    venv: PathBuf,
    /// The sha256 of the lock of each set that is installed.
    pub(crate) sets: BTreeMap<String, String>,
    /// The program behind `bin/python` when it was made.
    pub(crate) base: PathBuf,
    pub(crate) python: String,
    /// `uv 0.13.9` or `pip`.
    pub(crate) installer: String,
    /// Relative to the environment; `None` if no installed set contains it.
    duckdb: Option<PathBuf>,
    pub(crate) installed_at: jiff::Timestamp,
}

/// The state found at the environment's path.
pub(crate) enum Condition {
    /// Nothing, or nothing worth keeping.
    Absent,
    /// Ours, and whole.
    Ready(Ready),
    /// Ours, and to be made again: the reason in words.
    Broken(String),
    /// Not made by us, so not ours to delete: a description of it.
    Foreign(String),
}

impl Ready {
    /// Whether everything that `locks` pin is installed.
    pub(crate) fn holds(&self, locks: &[Lock]) -> bool {
        locks.iter().all(|lock| self.sets.get(lock.set.name()) == Some(&lock.sha256))
    }

    /// The sets that are installed from another version of their lock.
    pub(crate) fn outdated<'a>(&self, locks: &'a [Lock]) -> Vec<&'a Lock> {
        locks
            .iter()
            .filter(|lock| self.sets.get(lock.set.name()).is_some_and(|installed| *installed != lock.sha256))
            .collect()
    }

    pub(crate) fn duckdb(&self, venv: &Path) -> Option<PathBuf> {
        self.duckdb.as_ref().map(|path| venv.join(path))
    }

    /// Describe the environment that was just finished in `venv`.
    pub(crate) fn describe(
        venv: &Path,
        locks: &[Lock],
        python: String,
        installer: String,
    ) -> std::io::Result<Self> {
        let packages = site_packages(venv);
        let program = if cfg!(windows) { "duckdb.exe" } else { "duckdb" };
        let duckdb = packages
            .map(|dir| dir.join("duckdb_cli").join(program))
            .filter(|path| path.is_file())
            .and_then(|path| path.strip_prefix(venv).map(Path::to_path_buf).ok());
        Ok(Self {
            schema: SCHEMA,
            venv: venv.to_path_buf(),
            sets: locks.iter().map(|lock| (lock.set.name().to_owned(), lock.sha256.clone())).collect(),
            base: interpreter(venv).canonicalize()?,
            python,
            installer,
            duckdb,
            installed_at: now(),
        })
    }

    /// Why this environment cannot be used as it is, if so. Looks at files, starts nothing.
    fn damage(&self, venv: &Path) -> Option<String> {
        if self.schema != SCHEMA {
            return Some("it was made by another version of the toolkit".to_owned());
        }
        let Ok(base) = interpreter(venv).canonicalize() else {
            return Some(format!("its Python, {}, no longer exists", self.base.display()));
        };
        // A patch release may move the program; another `python3.X` makes its packages invisible.
        if base != self.base && base.file_name() != self.base.file_name() {
            return Some(format!("its Python was {} and is now {}", self.base.display(), base.display()));
        }
        match self.duckdb(venv) {
            Some(path) if !path.is_file() => Some(format!("{} no longer exists", path.display())),
            _ => None,
        }
    }
}

/// Look at the place of the environment.
pub(crate) fn condition(venv: &Path) -> std::io::Result<Condition> {
    // The target of a link may not belong to the toolkit, and it would be emptied before the installation.
    if venv.is_symlink() {
        let target = std::fs::read_link(venv)?;
        return Ok(Condition::Foreign(format!(
            "is a symbolic link to {}, which is not followed",
            target.display()
        )));
    }
    match std::fs::read(venv.join(FILE)) {
        Ok(bytes) if made_elsewhere(&bytes, venv).is_some() => {
            let other = made_elsewhere(&bytes, venv).unwrap_or_default();
            Ok(Condition::Foreign(format!(
                "was made in {} and has been moved or copied here",
                other.display()
            )))
        }
        Ok(bytes) => Ok(match serde_json::from_slice(&bytes) {
            Ok(Stamp::Ready(ready)) => match ready.damage(venv) {
                None => Condition::Ready(ready),
                Some(why) => Condition::Broken(why),
            },
            Ok(Stamp::Installing { pid, since, .. }) => Condition::Broken(format!(
                "its installation by process {pid}, begun at {since}, did not finish"
            )),
            Err(_) => Condition::Broken(format!("its {FILE} was written by another version of the toolkit")),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => without_stamp(venv),
        Err(error) => Err(error),
    }
}

/// The path of the environment that a stamp describes, if it is not `venv`: only a stamp of this exact path
/// proves that the toolkit may replace the folder.
fn made_elsewhere(stamp: &[u8], venv: &Path) -> Option<PathBuf> {
    let stamp: serde_json::Value = serde_json::from_slice(stamp).ok()?;
    let made_in = Path::new(stamp.get("venv")?.as_str()?);
    (made_in != venv).then(|| made_in.to_path_buf())
}

fn without_stamp(venv: &Path) -> std::io::Result<Condition> {
    let entries = match std::fs::read_dir(venv) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Condition::Absent),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Ok(Condition::Foreign("is a file, not a folder".to_owned()));
        }
        Err(error) => return Err(error),
    };
    for entry in entries {
        if !entry?.file_name().to_string_lossy().starts_with(OURS) {
            let what = if venv.join("pyvenv.cfg").is_file() {
                "is a Python environment that this toolkit did not make"
            } else {
                "is a folder that this toolkit did not make"
            };
            return Ok(Condition::Foreign(what.to_owned()));
        }
    }
    Ok(Condition::Absent)
}

impl Stamp {
    pub(crate) fn installing(venv: &Path) -> Self {
        let venv = Some(venv.to_path_buf());
        Self::Installing { schema: SCHEMA, pid: std::process::id(), since: now(), venv }
    }

    /// Put this stamp in place of the one before, whole or not at all.
    pub(crate) fn write(&self, venv: &Path) -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(OURS).suffix(".tmp").tempfile_in(venv)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.persist(venv.join(FILE)).map_err(|error| error.error)?;
        Ok(())
    }
}

fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now)
}

/// The Python of an environment.
pub(crate) fn interpreter(venv: &Path) -> PathBuf {
    if cfg!(windows) { venv.join("Scripts").join("python.exe") } else { venv.join("bin").join("python") }
}

/// The folder that packages are installed in, once it exists.
pub(crate) fn site_packages(venv: &Path) -> Option<PathBuf> {
    if cfg!(windows) {
        return Some(venv.join("Lib").join("site-packages")).filter(|dir| dir.is_dir());
    }
    let entries = std::fs::read_dir(venv.join("lib")).ok()?;
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3."))
        .map(|entry| entry.path().join("site-packages"))
        .find(|dir| dir.is_dir())
}

/// Installed packages as `name-version`, read from the names of their metadata folders.
pub(crate) fn packages(venv: &Path) -> Vec<String> {
    let Some(entries) = site_packages(venv).and_then(|dir| std::fs::read_dir(dir).ok()) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".dist-info").map(str::to_owned))
        .collect();
    names.sort_unstable();
    names
}
