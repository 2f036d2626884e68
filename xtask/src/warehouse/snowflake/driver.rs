//! The ADBC driver that sessions load: which one it is, where it is from, and why one cannot be used.
//!
//! There are three places, in this order. A file that `XTASK_SNOWFLAKE_DRIVER` names, because its user decided so. The
//! manifest `snowflake.toml` that the standard installer writes (`dbc install snowflake`), because it was installed on
//! purpose, is maintained, and needs no Python. The pinned wheel, which is there on every machine. Nothing falls
//! through: if the first one that is found cannot be used, that is an error, since another driver than the expected one
//! is noticed late.

mod format;
mod manifest;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};

use adbc_core::options::AdbcVersion;
use adbc_driver_manager::ManagedDriver;
use anyhow::{Context as _, Result, anyhow, bail};

use super::login::Lookup;
use crate::core::context;
use crate::system::{digest, hex};

/// A library of the driver, or a manifest that names one.
const VARIABLE: &str = "XTASK_SNOWFLAKE_DRIVER";

/// The wheel's library has this name on every system.
const LIBRARY: &str = "adbc_driver_snowflake/libadbc_driver_snowflake.so";

/// What to do about a driver that the standard installer put there.
const INSTALL: &str =
    "`dbc install snowflake` installs it again, and without the manifest the pinned driver is used";

/// Who chose a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Variable,
    /// A manifest that was found by its name.
    Manifest(PathBuf),
    Wheel,
}

/// A driver that was found. It is loaded by a session, on the thread that uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Driver {
    library: PathBuf,
    /// The function to call first, if it is not the usual one.
    entrypoint: Option<String>,
    /// As the manifest or the wheel says.
    version: Option<String>,
    /// Who put it there, such as `dbc`.
    installer: Option<String>,
    source: Source,
}

impl Driver {
    /// The driver that the user chose or installed; `None` if it is the pinned one.
    pub(crate) fn installed() -> Result<Option<Self>> {
        Self::find(&|name| context::variable(name), &manifest::system())
    }

    fn find(variable: Lookup<'_>, system: &Path) -> Result<Option<Self>> {
        if let Some(given) = variable(VARIABLE) {
            return Self::given(Path::new(&given)).map(Some);
        }
        match manifest::find(variable, system) {
            Some(path) => Self::described(&path, Source::Manifest(path.clone())).map(Some),
            None => Ok(None),
        }
    }

    fn given(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).with_context(|| format!("failed to read {VARIABLE}"))?;
        if !path.is_file() {
            bail!(
                "{VARIABLE} is {}, which is not a file; give the path of a driver's library or of its manifest (.toml)",
                path.display()
            );
        }
        if path.extension().is_some_and(|end| end == "toml") {
            return Self::described(&path, Source::Variable);
        }
        Ok(Self { library: path, entrypoint: None, version: None, installer: None, source: Source::Variable })
    }

    fn described(path: &Path, source: Source) -> Result<Self> {
        let found = manifest::read(path)
            .map_err(|why| anyhow!("the driver manifest {} {why}; {}", path.display(), source.remedy()))?;
        Ok(Self {
            library: found.library,
            entrypoint: found.entrypoint,
            version: found.version,
            installer: found.installer,
            source,
        })
    }

    /// The driver of the pinned wheel, below the folder that Python packages are installed in.
    pub(crate) fn pinned(packages: &Path, version: Option<String>) -> Self {
        Self {
            library: packages.join(LIBRARY),
            entrypoint: None,
            version,
            installer: None,
            source: Source::Wheel,
        }
    }

    pub(crate) fn library(&self) -> &Path {
        &self.library
    }

    pub(crate) fn entrypoint(&self) -> Option<&str> {
        self.entrypoint.as_deref()
    }

    /// Refuse a library that the policy does not allow. All are allowed if it names none.
    pub(crate) fn allowed(self, digests: &[String]) -> Result<Self> {
        const KEY: &str = "policies/environments.toml: [snowflake] driver_sha256";
        if digests.is_empty() {
            return Ok(self);
        }
        let library = self.library.display();
        let digest = File::open(&self.library)
            .and_then(digest::of_content)
            .with_context(|| format!("failed to read the Snowflake driver {library}"))?;
        let digest = hex::encode(&digest);
        if digests.iter().any(|allowed| allowed.eq_ignore_ascii_case(&digest)) {
            return Ok(self);
        }
        bail!(
            "the Snowflake driver {library} ({}) has the SHA-256 {digest}, which {KEY} does not list; install a listed one, or \
             add it",
            self.source.label()
        )
    }

    /// Load the library. That changes nothing and asks no server.
    pub(super) fn load(&self) -> Result<ManagedDriver> {
        let unusable = |why: String| {
            anyhow!(
                "the Snowflake driver {} ({}) {why}; {}",
                self.library.display(),
                self.source.label(),
                self.source.remedy()
            )
        };
        if let Some(why) = format::obstacle(&self.library) {
            return Err(unusable(why));
        }
        let entrypoint = self.entrypoint.as_ref().map(String::as_bytes);
        ManagedDriver::load_dynamic_from_filename(&self.library, entrypoint, AdbcVersion::V110).map_err(
            |error| {
                let is_stranger = error.message.contains("symbol");
                let entry = self.entrypoint.as_deref().unwrap_or("AdbcDriverInit");
                unusable(if is_stranger {
                    format!("is not an ADBC driver: it has no function {entry}")
                } else {
                    format!("cannot be loaded: {}", error.message)
                })
            },
        )
    }

    /// The driver, if it can be loaded.
    pub(crate) fn checked(self) -> Result<Self> {
        self.load()?;
        Ok(self)
    }

    /// Version, file and origin, for people.
    pub(crate) fn describe(&self) -> String {
        let version = self.version.as_deref().unwrap_or("unknown version");
        let by = |name| format!(", installed by {name}");
        let installer = self.installer.as_ref().map(by).unwrap_or_default();
        format!("{version}, {} ({}{installer})", self.library.display(), self.source.label())
    }
}

impl Source {
    fn label(&self) -> String {
        match self {
            Self::Variable => format!("from {VARIABLE}"),
            Self::Manifest(path) => format!("from {}", path.display()),
            Self::Wheel => "the pinned wheel".to_owned(),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Variable => format!("correct {VARIABLE}, or unset it"),
            Self::Manifest(_) => INSTALL.to_owned(),
            Self::Wheel => "`cargo xtask python sync --set snowflake` installs it again".to_owned(),
        }
    }
}
