//! Where environments are: a database file each, or all in the one file that the user names.
//!
//! With a file each, the name of the file is DuckDB's name of the database, and the tables of the environment are in
//! the schema `main` of it: DuckDB can rename no schema, so only a schema whose name is the same everywhere lets an
//! environment start as a copy of its base's file. `issue_42.daily_kpis` names the same table in both layouts, since
//! DuckDB takes it for a table of the database `issue_42`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::core::environment::{GATHERED, Name, REGISTRY};

/// The schema of an environment's tables in its own file.
pub(crate) const MAIN: &str = "main";

const ENDING: &str = "duckdb";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One file for all environments and the registry: each is a schema of it.
    Shared(PathBuf),
    /// A file for each environment and one for the registry, in this folder.
    Folder(PathBuf),
}

impl Layout {
    /// The layout of a policy's database: a folder of its name, without the ending that the one file had.
    pub(crate) fn of_policy(database: &Path) -> Self {
        if database.extension().is_none() && database.is_file() {
            return Self::Shared(database.to_path_buf());
        }
        Self::Folder(database.with_extension(""))
    }

    /// The file that holds an environment, or the registry.
    pub(crate) fn file(&self, database: &str) -> PathBuf {
        match self {
            Self::Shared(file) => file.clone(),
            Self::Folder(folder) => folder.join(format!("{database}.{ENDING}")),
        }
    }

    /// The schema that dbt builds an environment into.
    pub(crate) fn schema<'a>(&self, name: &'a Name) -> &'a str {
        match self {
            Self::Shared(_) => name.as_str(),
            Self::Folder(_) => MAIN,
        }
    }

    /// DuckDB's name of the database that holds an environment.
    pub(crate) fn catalog(&self, name: &Name) -> String {
        match self {
            Self::Shared(file) => catalog(file),
            Self::Folder(_) => name.to_string(),
        }
    }

    /// The name of the whole, as the ledger and lineage call the database.
    pub(crate) fn database(&self) -> String {
        let path = self.path();
        let name = if matches!(self, Self::Shared(_)) { path.file_stem() } else { path.file_name() };
        name.unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The file, or the folder of the files.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Shared(path) | Self::Folder(path) => path,
        }
    }

    /// The folder of the files that external models of an environment write.
    pub(crate) fn external_files(&self, name: &Name) -> PathBuf {
        let folder = match self {
            Self::Shared(file) => file.with_extension("files"),
            Self::Folder(folder) => with_suffix(folder, ".files"),
        };
        folder.join(name.as_str())
    }

    /// The environments that have a file, by name.
    pub(crate) fn environments(&self) -> Result<Vec<Name>> {
        let Self::Folder(folder) = self else { return Ok(Vec::new()) };
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("failed to list {}", folder.display()))?,
        };
        let name = |path: PathBuf| -> Option<Name> {
            let is_database = path.extension().is_some_and(|ending| ending == ENDING);
            path.file_stem().filter(|_| is_database)?.to_str()?.parse().ok()
        };
        let mut names: Vec<Name> =
            entries.filter_map(Result::ok).filter_map(|entry| name(entry.path())).collect();
        names.sort_unstable();
        Ok(names)
    }
}

/// `path` with `suffix` after its last part.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The engine's log of changes that are not in the database file yet.
pub(super) fn log_of(file: &Path) -> PathBuf {
    with_suffix(file, ".wal")
}

/// Whether there are such changes, so that the file alone is not all of the database.
pub(super) fn has_log(file: &Path) -> bool {
    log_of(file).symlink_metadata().is_ok()
}

/// The name that DuckDB gives to the database in `file`: up to the first dot.
pub(super) fn catalog(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.trim_start_matches('.').split('.').next().unwrap_or_default().to_owned()
}

/// The databases whose tables a statement names in full, as `Warehouse::qualified` writes them.
pub(super) fn named(sql: &str) -> BTreeSet<String> {
    const BETWEEN: &str = "\".\"main\".";
    let before = |(at, _): (usize, &str)| {
        let name = sql[..at].rsplit('"').next()?;
        ([REGISTRY, GATHERED].contains(&name) || name.parse::<Name>().is_ok()).then(|| name.to_owned())
    };
    sql.match_indices(BETWEEN).filter_map(before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[test]
    fn an_environment_has_a_file_of_its_name() {
        let layout = Layout::of_policy(Path::new("/r/.xtask/shop.duckdb"));
        assert_eq!(layout, Layout::Folder("/r/.xtask/shop".into()));
        assert_eq!(layout.file("issue_7"), Path::new("/r/.xtask/shop/issue_7.duckdb"));
        assert_eq!(layout.external_files(&name("issue_7")), Path::new("/r/.xtask/shop.files/issue_7"));
        assert_eq!((layout.database(), layout.catalog(&name("dev"))), ("shop".to_owned(), "dev".to_owned()));
        let shared = Layout::Shared("/r/w.x.duckdb".into());
        assert_eq!(shared.file("issue_7"), Path::new("/r/w.x.duckdb"));
        assert_eq!((shared.database(), shared.catalog(&name("dev"))), ("w.x".to_owned(), "w".to_owned()));
    }

    #[test]
    fn statements_name_the_databases_that_they_need() {
        let sql = r#"select "dev"."a" from "dev"."main"."x" join "xtask_registry"."main"."environments" using (a)
                     join "main"."main"."y" join "Odd name"."main"."z" where b = '"dev"."main"'"#;
        assert_eq!(named(sql), ["dev", REGISTRY].map(str::to_owned).into());
    }
}
