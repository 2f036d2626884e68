//! The lock files of the Python packages: their paths, their pins, and whether they are current.
//!
//! `dbt/requirements/<set>.in` is written by people, `<set>.txt` by `cargo xtask python lock`. Each
//! `.txt` is complete: it pins everything its set needs and can be installed alone. All sets are
//! resolved together, so any of them can be installed side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::system::hex;
use crate::system::repo::{self, Repo};

/// A set of pinned packages: one lock file `dbt/requirements/<set>.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Set {
    /// dbt with DuckDB: all that a local build needs.
    Local,
    /// dbt and the driver for Snowflake.
    Snowflake,
    /// What this repository's tests need on top.
    Test,
    /// The programs that `cargo xtask audit` starts.
    Audit,
}

impl Set {
    pub(crate) const ALL: [Self; 4] = [Self::Local, Self::Snowflake, Self::Test, Self::Audit];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Snowflake => "snowflake",
            Self::Test => "test",
            Self::Audit => "audit",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// The file that people write.
    pub(crate) fn input(self) -> String {
        format!("{}.in", self.name())
    }

    /// The file that gets installed.
    pub(crate) fn output(self) -> String {
        format!("{}.txt", self.name())
    }
}

/// The folder of the lock files, whether or not it exists: of the project, else one for all projects of the
/// repository.
pub(crate) fn folder(repo: &Repo) -> Result<PathBuf> {
    let own = repo.dbt_project()?.join("requirements");
    let shared = [repo.root().join("dbt").join("requirements"), repo.policies().join("requirements")];
    Ok([own.clone()].into_iter().chain(shared).find(|folder| pins_anything(folder)).unwrap_or(own))
}

/// Whether the repository pins packages in `folder`; if not, the built-in locks apply.
pub(crate) fn pins_anything(folder: &Path) -> bool {
    Set::ALL.iter().any(|set| folder.join(set.output()).is_file() || folder.join(set.input()).is_file())
}

/// The toolkit's own lock, for repositories that pin nothing themselves.
fn built_in(set: Set) -> Option<String> {
    let path = repo::toolkit().join("dbt").join("requirements").join(set.output());
    if set == Set::Test { None } else { std::fs::read_to_string(path).ok() }
}

/// What every build of ours starts: a `local.in` that leads to none of these makes an environment without dbt or DuckDB.
const NEEDED: [&str; 4] = ["dbt-core", "dbt-duckdb", "duckdb", "duckdb-cli"];

/// Those of [`NEEDED`] that a lock's text does not pin, with the versions that the toolkit was tested with.
pub(crate) fn missing(text: &str) -> Vec<String> {
    let pinned: BTreeSet<&str> = pins(text).map(|pin| pin.name).collect();
    let tested = built_in(Set::Local).unwrap_or_default();
    let with_version = |name: &&str| {
        let pin = pins(&tested).find(|pin| pin.name == *name);
        pin.map_or_else(|| (*name).to_owned(), |pin| format!("{name}=={}", pin.version))
    };
    NEEDED.iter().filter(|name| !pinned.contains(**name)).map(with_version).collect()
}

/// A lock file as it is on disk now.
pub(crate) struct Lock {
    pub(crate) set: Set,
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
    text: String,
    is_built_in: bool,
}

/// One pinned package. A package may be pinned more than once, for different Pythons or platforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pin<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) marker: &'a str,
}

impl Lock {
    pub(crate) fn read(repo: &Repo, set: Set) -> Result<Self> {
        let path = folder(repo)?.join(set.output());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // The toolkit chooses the audit packages; the repository chooses the build packages as soon as it pins
                // any.
                let is_ours = set == Set::Audit || !path.parent().is_some_and(pins_anything);
                if let Some(text) = built_in(set).filter(|_| is_ours) {
                    let path = repo.root().join(".xtask").join("requirements").join(set.output());
                    let sha256 = sha256(text.as_bytes());
                    return Ok(Self { set, path, sha256, text, is_built_in: true });
                }
                bail!(
                    "no Python packages are pinned: {} does not exist; write {} beside it (one line per package, \
                     such as dbt-core==1.11.16) and run `cargo xtask python lock`, or copy the folder \
                     dbt/requirements/ of the toolkit's own repository",
                    repo.relative(&path).display(),
                    set.input()
                )
            }
            Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
        };
        Ok(Self { set, sha256: sha256(text.as_bytes()), path, text, is_built_in: false })
    }

    /// Make sure that the file exists, which an installer reads.
    pub(crate) fn put_in_place(&self, repo: &Repo) -> Result<()> {
        if !self.is_built_in {
            return Ok(());
        }
        let folder = repo.state()?.join("requirements");
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&self.path, &self.text))
            .with_context(|| format!("failed to write {}", self.path.display()))
    }

    /// What the file pins, in the file's order.
    pub(crate) fn pins(&self) -> impl Iterator<Item = Pin<'_>> {
        pins(&self.text)
    }

    /// The version of a package, if the file pins it.
    pub(crate) fn version_of(&self, package: &str) -> Option<&str> {
        self.pins().find(|pin| pin.name == package).map(|pin| pin.version)
    }

    /// The digest of the hand-written files that this lock was made from.
    pub(crate) fn made_from(&self) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(MADE_FROM)).map(str::trim)
    }
}

/// The line of a lock's header that ties it to the hand-written files.
pub(crate) const MADE_FROM: &str = "# Made from: ";

/// The pins of a lock file's text.
pub(crate) fn pins(text: &str) -> impl Iterator<Item = Pin<'_>> {
    text.lines().filter(|line| !line.starts_with(['#', ' ', '\t', '-'])).filter_map(|line| {
        let (name, rest) = line.split_once("==")?;
        let (version, marker) = rest
            .trim_end_matches(['\\', ' '])
            .split_once(';')
            .unwrap_or((rest.trim_end_matches(['\\', ' ']), ""));
        let name = name.split('[').next().unwrap_or(name);
        Some(Pin { name: name.trim(), version: version.trim(), marker: marker.trim() })
    })
}

/// How many packages the locks put on this machine: an estimate for a progress bar, since only the
/// markers that exclude a whole platform are looked at.
pub(crate) fn packages_here(locks: &[Lock]) -> u64 {
    let elsewhere = if cfg!(windows) { "== 'linux'" } else { "== 'win32'" };
    let names: BTreeSet<&str> = locks
        .iter()
        .flat_map(Lock::pins)
        .filter(|pin| !pin.marker.contains(elsewhere))
        .map(|pin| pin.name)
        .collect();
    names.len() as u64
}

/// The conflicts between the locks: one sentence per package. Empty if they can be installed side by side.
pub(crate) fn disagreements(locks: &[Lock]) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeMap<Set, BTreeSet<&str>>> = BTreeMap::new();
    for lock in locks {
        for pin in lock.pins() {
            versions.entry(pin.name).or_default().entry(lock.set).or_default().insert(pin.version);
        }
    }
    let mut found = Vec::new();
    for (name, by_set) in versions {
        let mut distinct: Vec<_> = by_set.values().collect();
        distinct.dedup();
        if distinct.len() > 1 {
            let places = by_set.iter().map(|(set, pinned)| {
                let pinned: Vec<_> = pinned.iter().copied().collect();
                format!("{} in {}", pinned.join(" or "), set.output())
            });
            found.push(format!("{name} is {}", places.collect::<Vec<_>>().join(", ")));
        }
    }
    found
}

/// The sets that have a hand-written file in `folder`.
pub(crate) fn sets_in(folder: &Path) -> Vec<Set> {
    Set::ALL.into_iter().filter(|set| folder.join(set.input()).is_file()).collect()
}

/// One digest for all hand-written files: they are resolved together, so a change in any of them is
/// a reason to lock all again. Comments and blank lines do not count.
pub(crate) fn inputs_digest(folder: &Path) -> Result<String> {
    let mut all = String::new();
    for set in sets_in(folder) {
        let path = folder.join(set.input());
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        all.extend([&set.input(), "\n"]);
        all.extend(requirements(&text).flat_map(|requirement| [requirement, "\n"]));
    }
    Ok(format!("sha256:{}", sha256(all.as_bytes())))
}

/// The requirements in a hand-written file, without comments.
pub(crate) fn requirements(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(|line| line.split(" #").next().unwrap_or(line).trim())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes))
}
