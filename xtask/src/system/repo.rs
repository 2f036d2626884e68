//! Where things are in the checkout that a command was called in.
//!
//! The toolkit works on the repository of the current folder, whichever that is: nothing here
//! assumes that this is the repository the toolkit was compiled in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A checkout: its root folder, and what is found from there.
#[derive(Clone, Debug)]
pub(crate) struct Repo {
    root: PathBuf,
}

impl Repo {
    /// The repository around `folder`: the nearest folder upwards with a `.git` (a file in worktrees
    /// and submodules), else the nearest one that holds a dbt project, else `folder` itself.
    pub(crate) fn discover(folder: &Path) -> Self {
        let root = folder
            .ancestors()
            .find(|dir| dir.join(".git").exists())
            .or_else(|| folder.ancestors().find(|dir| project_in(dir).is_some()))
            .unwrap_or(folder);
        Self { root: root.to_path_buf() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the dbt project: `dbt/`, or the root of a repository that is one itself.
    pub(crate) fn dbt_project(&self) -> Result<PathBuf> {
        project_in(&self.root).with_context(|| {
            format!(
                "no dbt project: neither {0}/dbt/dbt_project.yml nor {0}/dbt_project.yml exists; \
                 run this in a repository with a dbt project",
                self.root.display()
            )
        })
    }

    /// Policies that people other than the toolkit's authors own.
    pub(crate) fn policies(&self) -> PathBuf {
        self.root.join("policies")
    }

    /// The Python environment that holds dbt.
    pub(crate) fn venv(&self) -> PathBuf {
        self.root.join(".venv")
    }

    /// Local state that may be deleted at any time but for the embedded warehouse. It ignores itself,
    /// so that a repository which copied the toolkit never commits it.
    pub(crate) fn state(&self) -> Result<PathBuf> {
        let dir = self.root.join(STATE);
        fs::create_dir_all(&dir)
            .and_then(|()| keep_from_git(&dir))
            .with_context(|| format!("failed to create {}; is the folder writable?", dir.display()))?;
        Ok(dir)
    }

    /// `path` as people name it: relative to the root where it lies below it.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

/// The folder of local state.
const STATE: &str = ".xtask";

/// Make the folder of local state that `folder` is or is in, if it is in one, ignore itself.
pub(crate) fn keep_from_git(folder: &Path) -> std::io::Result<()> {
    let Some(state) = folder.ancestors().find(|dir| dir.file_name().is_some_and(|name| name == STATE)) else {
        return Ok(());
    };
    let ignore = state.join(".gitignore");
    if ignore.exists() { Ok(()) } else { fs::write(&ignore, "*\n") }
}

fn project_in(root: &Path) -> Option<PathBuf> {
    [root.join("dbt"), root.to_path_buf()].into_iter().find(|dir| dir.join("dbt_project.yml").is_file())
}
