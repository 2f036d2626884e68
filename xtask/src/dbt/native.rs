//! dbt v2: a native program, installed for one repository, with the drivers that it connects through.
//!
//! Everything is below one folder, `.xtask/dbt` (or `XTASK_DBT_DIR`), a folder for each part: `dbt` the program,
//! `duckdb` the library that dbt loads and the program that the toolkit asks, `snowflake` the driver of both. A part
//! is unpacked beside its place and renamed into it, so it is there whole or not at all. Drivers are shown to dbt by
//! manifests in a folder of ours and a variable: nothing of the user's own configuration is read or changed.

mod download;
mod launch;
mod pins;
mod unpack;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use self::download::Source;
use self::pins::{Pin, Platform};
use self::unpack::{require, unpack};
use crate::core::context::variable;
use crate::system::locked::Locked;
use crate::system::repo::Repo;
use crate::system::{interrupt, probe};
use crate::warehouse::snowflake;

pub(crate) use launch::Launch;

/// Bumped when an older toolkit's installation must not be used by this one.
const SCHEMA: u32 = 1;
const STAMP: &str = "xtask-stamp.json";

/// The folder with the manifest of a driver that is not one of ours.
const INSTALLED: &str = "installed-driver";

/// Which published dbt v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The newest stable release.
    Release,
    /// The newest one that the package index itself carries as a wheel with a binary.
    Wheel,
}

/// The drivers that a target needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    DuckDb,
    Snowflake,
}

/// A ready dbt v2.
#[derive(Clone, Debug)]
pub(crate) struct Native {
    program: PathBuf,
    version: String,
    /// The folder that holds the parts.
    root: PathBuf,
}

/// What a finished part says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Stamp {
    schema: u32,
    /// The digests of what it was unpacked from.
    sha256: Vec<String>,
    /// Of the program dbt: which one it is, and the version in its own words.
    #[serde(default)]
    kind: Option<Kind>,
    #[serde(default)]
    version: Option<String>,
}

impl Native {
    /// In dbt's own words, such as `2.0.0-alpha.4`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// DuckDB's program.
    pub(crate) fn duckdb(&self) -> PathBuf {
        self.root.join(Driver::DuckDb.folder()).join("duckdb")
    }

    /// The pinned Snowflake driver, which is unpacked as a Python package is.
    pub(crate) fn snowflake_driver(&self) -> snowflake::Driver {
        let packages = self.root.join(Driver::Snowflake.folder());
        snowflake::Driver::pinned(&packages, Some(pins::SNOWFLAKE.to_owned()))
    }

    /// dbt's process, ready to start: it ends when the process that starts it does.
    pub(crate) fn command(&self) -> Result<Command> {
        let mut command = launch::command(&self.program)?;
        let mut drivers = Vec::new();
        for driver in [Driver::DuckDb, Driver::Snowflake] {
            drivers.extend(self.manifests(driver)?);
        }
        // The user's own manifests stay visible behind ours.
        drivers.extend(std::env::var_os("ADBC_DRIVER_PATH").iter().flat_map(std::env::split_paths));
        let drivers = std::env::join_paths(drivers)
            .with_context(|| format!("{} holds a path separator; move it", self.root.display()))?;
        command.env("ADBC_DRIVER_PATH", drivers);
        // Without it dbt downloads another Snowflake driver instead of loading the installed one by name.
        command.env("DBT_LOAD_STANDARD_SNOWFLAKE_DRIVER", "1");
        Ok(command)
    }
}

impl Native {
    /// The folder with the manifest of a driver, if it is installed. A manifest holds the library's path, which is
    /// another one when the repository was moved.
    fn manifests(&self, driver: Driver) -> Result<Option<PathBuf>> {
        let Some(platform) = pins::here() else { return Ok(None) };
        let part = self.root.join(driver.folder());
        let (folder, manifest) = if let Some(own) = driver.installed()? {
            // Under the name that dbt asks for, which is not that of the user's manifest.
            (self.root.join(INSTALLED), manifest(platform.adbc, own.library(), own.entrypoint()))
        } else if part.join(STAMP).is_file() {
            let library = part.join(driver.library());
            (part.join("manifests"), manifest(platform.adbc, &library, driver.entrypoint()))
        } else {
            return Ok(None);
        };
        let path = folder.join(driver.name()).with_extension("toml");
        if fs::read_to_string(&path).is_ok_and(|written| written == manifest) {
            return Ok(Some(folder));
        }
        let write = || {
            fs::create_dir_all(&folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            std::io::Write::write_all(&mut file, manifest.as_bytes())?;
            file.persist(&path).map_err(|error| error.error)
        };
        write().with_context(|| format!("failed to write {}", path.display()))?;
        Ok(Some(folder))
    }
}

impl Driver {
    fn folder(self) -> &'static str {
        match self {
            Self::DuckDb => "duckdb",
            Self::Snowflake => "snowflake",
        }
    }

    /// The name that dbt asks a driver manager for.
    fn name(self) -> &'static str {
        match self {
            Self::DuckDb => "duckdb",
            Self::Snowflake => "adbc_driver_snowflake",
        }
    }

    fn pin(self, platform: &Platform) -> &Pin {
        match self {
            Self::DuckDb => &platform.duckdb,
            Self::Snowflake => &platform.snowflake,
        }
    }

    /// Where its library is, below the part's folder.
    fn library(self) -> &'static str {
        match self {
            Self::DuckDb if cfg!(target_os = "macos") => "libduckdb.dylib",
            Self::DuckDb => "libduckdb.so",
            // The wheel's library has this name on every system.
            Self::Snowflake => "adbc_driver_snowflake/libadbc_driver_snowflake.so",
        }
    }

    /// The function to call first, if it is not the usual one.
    fn entrypoint(self) -> Option<&'static str> {
        match self {
            Self::DuckDb => Some("duckdb_adbc_init"),
            Self::Snowflake => None,
        }
    }

    /// The driver that the user chose or installed instead of the pinned one.
    fn installed(self) -> Result<Option<snowflake::Driver>> {
        match self {
            Self::DuckDb => Ok(None),
            Self::Snowflake => snowflake::Driver::installed(),
        }
    }
}

/// The manifest by which a driver manager finds a library, whatever its path.
fn manifest(adbc: &str, library: &Path, entrypoint: Option<&str>) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let entry = entrypoint.map(|name| format!("entrypoint = {}\n", quoted(name))).unwrap_or_default();
    let library = quoted(&library.to_string_lossy());
    format!("manifest_version = 1\n\n[Driver]\n{entry}\n[Driver.shared]\n{adbc} = {library}\n")
}

impl Kind {
    fn pin(self, platform: &Platform) -> &Pin {
        match self {
            Self::Release => &platform.release,
            Self::Wheel => &platform.wheel,
        }
    }
}

/// Where dbt v2 is installed for a repository, whether or not it is.
pub(crate) fn place(repo: &Repo) -> Result<PathBuf> {
    match variable("XTASK_DBT_DIR").map(PathBuf::from) {
        None => Ok(repo.root().join(".xtask").join("dbt")),
        Some(path) if path.is_absolute() => Ok(path),
        Some(path) => bail!("XTASK_DBT_DIR is {}; it must be an absolute path", path.display()),
    }
}

/// Which dbt v2 is installed here, if one is.
pub(crate) fn installed(repo: &Repo) -> Result<Option<Kind>> {
    Ok(stamp(&place(repo)?.join("dbt")).and_then(|stamp| stamp.kind))
}

/// dbt v2 with `driver`, if all of it is installed. Installs nothing.
pub(crate) fn find(repo: &Repo, driver: Driver) -> Result<Option<Native>> {
    let root = place(repo)?;
    let Some(platform) = pins::here() else { return Ok(None) };
    if driver.installed()?.is_none() && !is_current(&root.join(driver.folder()), driver.pin(platform)) {
        return Ok(None);
    }
    if let Some(own) = own()? {
        return Ok(Some(Native { root, ..own }));
    }
    let folder = root.join("dbt");
    let Some(Stamp { kind: Some(kind), version: Some(version), .. }) = stamp(&folder) else {
        return Ok(None);
    };
    let ready = is_current(&folder, kind.pin(platform));
    Ok(ready.then(|| Native { program: folder.join(PROGRAM), version, root }))
}

/// dbt v2 with `driver`, installed as far as it is missing. `kind` is which one to install, and `from` a folder that
/// holds the downloads already.
pub(crate) fn ensure(repo: &Repo, kind: Option<Kind>, driver: Driver, from: Option<&Path>) -> Result<Native> {
    if kind.is_none_or(|kind| installed(repo).is_ok_and(|installed| installed == Some(kind)))
        && let Some(native) = find(repo, driver)?
    {
        return Ok(native);
    }
    let platform = pins::here().with_context(|| {
        format!(
            "dbt v2 is not published for {} {}; use v1, or set XTASK_DBT to a dbt v2 of your own",
            std::env::consts::OS,
            std::env::consts::ARCH
        )
    })?;
    let root = place(repo)?;
    // So that the folder ignores itself in git.
    repo.state()?;
    fs::create_dir_all(&root)
        .with_context(|| format!("failed to create {}; is its parent writable?", root.display()))?;
    let _turn = lock(&root)?;
    let parts = Parts { root: &root, source: Source::choose(from)? };
    if driver.installed()?.is_none() {
        parts.driver(driver, platform)?;
    }
    let native = match own()? {
        Some(own) => Native { root: root.clone(), ..own },
        None => parts.dbt(kind.or(installed(repo)?).unwrap_or(Kind::Release), platform)?,
    };
    Ok(native)
}

/// Remove what is installed here. Whether there was anything.
pub(crate) fn remove(repo: &Repo) -> Result<bool> {
    let root = place(repo)?;
    if !root.join("dbt").join(STAMP).is_file() {
        return Ok(false);
    }
    let _turn = lock(&root)?;
    for part in ["dbt", Driver::DuckDb.folder(), Driver::Snowflake.folder()] {
        let folder = root.join(part);
        // Only what carries our stamp is ours to remove.
        if folder.join(STAMP).is_file() {
            fs::remove_dir_all(&folder).with_context(|| format!("failed to remove {}", folder.display()))?;
        }
    }
    // Only a manifest, which is written again when it is needed.
    drop(fs::remove_dir_all(root.join(INSTALLED)));
    Ok(true)
}

/// The dbt that `XTASK_DBT` names.
fn own() -> Result<Option<Native>> {
    let Some(path) = variable("XTASK_DBT") else { return Ok(None) };
    let program = probe::which(&path)
        .with_context(|| format!("XTASK_DBT is {path}, which is not a program; give the path of a dbt v2"))?;
    let version = version(&program)?;
    if !version.starts_with("2.") {
        bail!(
            "XTASK_DBT is dbt {version}; only dbt v2 can be given so (dbt v1 is installed by the toolkit: unset \
             XTASK_DBT and set XTASK_DBT_ENGINE=v1)"
        );
    }
    Ok(Some(Native { program, version, root: PathBuf::new() }))
}

/// The version that a dbt reports, such as `2.0.0-alpha.4`: the first word that is a version.
fn version(program: &Path) -> Result<String> {
    let answer = probe::ask(Command::new(program).arg("--version"), Duration::from_secs(20))
        .map_err(|reason| anyhow!("{} {reason}", program.display()))?;
    let word = answer
        .stdout
        .split_whitespace()
        .map(|word| word.trim_start_matches(['=', 'v']))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    word.map(str::to_owned)
        .with_context(|| format!("{} does not run: {}", program.display(), answer.first_line()))
}

const PROGRAM: &str = if cfg!(windows) { "dbt.exe" } else { "dbt" };

fn stamp(folder: &Path) -> Option<Stamp> {
    let stamp: Stamp = serde_json::from_slice(&fs::read(folder.join(STAMP)).ok()?).ok()?;
    (stamp.schema == SCHEMA).then_some(stamp)
}

fn is_current(folder: &Path, pin: &Pin) -> bool {
    let wanted = pin.downloads.iter().map(|file| file.sha256);
    stamp(folder).is_some_and(|stamp| wanted.eq(stamp.sha256.iter().map(String::as_str)))
}

/// One process at a time installs. The system frees the lock however its holder ends.
fn lock(root: &Path) -> Result<Locked> {
    let path = root.join(".xtask-lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("failed to write {}", path.display()))?;
    let mut has_said = false;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {}
            // Some network file systems have no locks: continue unprotected rather than fail.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(Locked::of(file)),
        }
        if !has_said {
            has_said = true;
            tracing::info!("waiting for another process, which is installing dbt in {}", root.display());
        }
        interrupt::check()?;
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Installs parts, while the lock is held.
struct Parts<'a> {
    root: &'a Path,
    source: Source,
}

impl Parts<'_> {
    fn driver(&self, driver: Driver, platform: &Platform) -> Result<()> {
        let folder = self.root.join(driver.folder());
        let pin = driver.pin(platform);
        if is_current(&folder, pin) {
            return Ok(());
        }
        tracing::info!("installing the {} driver {}", driver.folder(), pin.version);
        self.install(&folder, pin, |new| {
            require(&new.join(driver.library()))?;
            Ok((None, None))
        })
    }

    fn dbt(&self, kind: Kind, platform: &Platform) -> Result<Native> {
        let folder = self.root.join("dbt");
        let pin = kind.pin(platform);
        if !is_current(&folder, pin) {
            tracing::info!("installing dbt v2 ({})", pin.version);
            self.install(&folder, pin, |new| {
                let program = new.join(PROGRAM);
                require(&program)?;
                let version = version(&program).context(
                    "the installed dbt does not start; on an older system set XTASK_DBT to a dbt v2 of your own",
                )?;
                Ok((Some(kind), Some(version)))
            })?;
        }
        let version = stamp(&folder).and_then(|stamp| stamp.version).context("the stamp of dbt is gone")?;
        Ok(Native { program: folder.join(PROGRAM), version, root: self.root.to_path_buf() })
    }

    /// Unpack the downloads of `pin`, let `finish` check and complete them, and put them in place at once.
    fn install(
        &self,
        folder: &Path,
        pin: &Pin,
        finish: impl FnOnce(&Path) -> Result<(Option<Kind>, Option<String>)>,
    ) -> Result<()> {
        let new = tempfile::Builder::new()
            .prefix(".xtask-new-")
            .tempdir_in(self.root)
            .with_context(|| format!("failed to write to {}", self.root.display()))?;
        for file in pin.downloads {
            let name = file.from.file_name();
            let content = self.source.fetch(file, self.root)?;
            unpack(content, &name, new.path()).with_context(|| format!("failed to unpack {name}"))?;
        }
        let (kind, version) = finish(new.path())?;
        let sha256 = pin.downloads.iter().map(|file| file.sha256.to_owned()).collect();
        let stamp = serde_json::to_vec_pretty(&Stamp { schema: SCHEMA, sha256, kind, version })?;
        let put = || {
            fs::write(new.path().join(STAMP), stamp)?;
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::rename(new.path(), folder)
        };
        put().with_context(|| format!("failed to write {}", folder.display()))?;
        // Renamed, so there is nothing left to remove.
        let _ = new.keep();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_the_library_whatever_its_path() {
        let library = Path::new("/a \"b\"/libduckdb.so");
        let text = manifest("linux_amd64", library, Driver::DuckDb.entrypoint());
        let manifest: toml::Table = text.parse().expect("TOML");
        assert_eq!(manifest["Driver"]["shared"]["linux_amd64"].as_str(), Some("/a \"b\"/libduckdb.so"));
        assert_eq!(manifest["Driver"]["entrypoint"].as_str(), Some("duckdb_adbc_init"));
    }
}
