//! The paths in the checkout that a command was called in.
//!
//! The toolkit works on the repository of the current folder: nothing here assumes that it is the repository
//! that the toolkit was compiled in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// How deep below the root a project is looked for.
const DEEPEST: usize = 6;

/// A checkout: its root folder, and the paths found from there.
#[derive(Clone, Debug)]
pub(crate) struct Repo {
    root: PathBuf,
    /// The folder that the command was called in.
    folder: PathBuf,
    /// The project's folder as `--project-dir` gives it.
    given: Option<PathBuf>,
}

impl Repo {
    /// The repository around `folder`: the nearest folder upwards with a `.git` (a file in worktrees
    /// and submodules), else the nearest one that holds a dbt project, else `folder` itself.
    pub(crate) fn discover(folder: &Path) -> Self {
        let root = folder
            .ancestors()
            .find(|dir| dir.join(".git").exists())
            .or_else(|| folder.ancestors().find(|dir| conventional(dir).is_some()))
            .unwrap_or(folder);
        Self { root: root.to_path_buf(), folder: folder.to_path_buf(), given: None }
    }

    /// The repository around the project that `--project-dir` names, relative to `folder`.
    pub(crate) fn of_project(folder: &Path, given: &Path) -> Result<Self> {
        let project = folder.join(given);
        if !is_project(&project) {
            bail!(
                "--project-dir {}: there is no dbt_project.yml in it; name the folder of a dbt project",
                given.display()
            );
        }
        let project = project
            .canonicalize()
            .with_context(|| format!("failed to read the folder {}", project.display()))?;
        Ok(Self { given: Some(project.clone()), ..Self::discover(&project) })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the dbt project: the one that `--project-dir` names, else the nearest one from the current
    /// folder upwards, else `dbt/`, else the only one below the root.
    pub(crate) fn dbt_project(&self) -> Result<PathBuf> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let upwards = self.folder.ancestors().take_while(|dir| dir.starts_with(&self.root));
        if let Some(project) = upwards.into_iter().find(|dir| is_project(dir)) {
            return Ok(project.to_path_buf());
        }
        if let Some(project) = conventional(&self.root) {
            return Ok(project);
        }
        let below = self.projects();
        match below.as_slice() {
            [only] => Ok(only.clone()),
            [] => bail!(
                "no dbt project: there is no dbt_project.yml in {} or a folder below it; run this in a repository \
                 with a dbt project, or name its folder with --project-dir",
                self.root.display()
            ),
            several => bail!(
                "several dbt projects: {}; run this in the folder of one, or name it with --project-dir",
                several
                    .iter()
                    .map(|dir| self.relative(dir).display().to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        }
    }

    /// Whether `project` is where a repository's only project usually is: its root, or `dbt/`.
    pub(crate) fn is_main_project(&self, project: &Path) -> bool {
        project == self.root || project == self.root.join("dbt")
    }

    /// Projects below the root that git does not ignore and that are not part of another one.
    pub(crate) fn projects(&self) -> Vec<PathBuf> {
        let walk = ignore::WalkBuilder::new(&self.root)
            .max_depth(Some(DEEPEST))
            .filter_entry(|entry| {
                !matches!(entry.file_name().to_str(), Some("dbt_packages" | "node_modules" | "target"))
            })
            .build();
        let files = walk.filter_map(Result::ok).filter(|entry| entry.file_name() == "dbt_project.yml");
        let mut found: Vec<PathBuf> =
            files.filter_map(|entry| entry.path().parent().map(Path::to_path_buf)).collect();
        found.sort();
        // A folder sorts before what is in it.
        found.dedup_by(|inner, outer| inner.starts_with(&*outer));
        found
    }

    /// Policies that people other than the toolkit's authors own.
    pub(crate) fn policies(&self) -> PathBuf {
        self.root.join("policies")
    }

    /// The Python environment that holds dbt.
    pub(crate) fn venv(&self) -> PathBuf {
        self.root.join(".venv")
    }

    /// Local state that may be deleted at any time but for the embedded warehouse. It ignores itself, so that
    /// a repository that copied the toolkit never commits it.
    pub(crate) fn state(&self) -> Result<PathBuf> {
        let dir = self.root.join(STATE);
        fs::create_dir_all(&dir)
            .and_then(|()| keep_from_git(&dir))
            .with_context(|| format!("failed to create {}; is the folder writable?", dir.display()))?;
        Ok(dir)
    }

    /// `path` for messages: relative to the root if it is below it.
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

/// The repository that this program was built from.
pub(crate) fn toolkit() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

fn is_project(folder: &Path) -> bool {
    folder.join("dbt_project.yml").is_file()
}

fn conventional(root: &Path) -> Option<PathBuf> {
    [root.join("dbt"), root.to_path_buf()].into_iter().find(|dir| is_project(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(projects: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for folder in std::iter::once(&".git").chain(projects) {
            fs::create_dir_all(root.path().join(folder)).expect("a folder");
        }
        for folder in projects {
            fs::write(root.path().join(folder).join("dbt_project.yml"), "name: p\n").expect("written");
        }
        root
    }

    #[track_caller]
    fn assert_found(projects: &[&str], called_in: &str, found: &str) {
        let root = repository(projects);
        fs::create_dir_all(root.path().join(called_in)).expect("a folder");
        let repo = Repo::discover(&root.path().join(called_in));
        assert_eq!(repo.dbt_project().expect("a project"), root.path().join(found));
        assert_eq!(repo.root(), root.path());
    }

    #[test]
    fn a_project_is_found_upwards_then_below() {
        assert_found(&["."], ".", "");
        assert_found(&["dbt"], ".", "dbt");
        assert_found(&["a", "b"], "a/models/x", "a");
        assert_found(&["deep/er/shop"], ".", "deep/er/shop");
        assert_found(&["dbt", "other"], ".", "dbt");
        assert_found(&["shop", "shop/integration_tests"], ".", "shop");
        assert_found(&["shop", "shop/dbt_packages/x"], ".", "shop");
    }

    #[test]
    fn several_projects_need_a_choice() {
        let root = repository(&["a", "b"]);
        let error = Repo::discover(root.path()).dbt_project().expect_err("two").to_string();
        assert!(error.contains("a, b") && error.contains("--project-dir"), "{error}");
        let chosen = Repo::of_project(root.path(), Path::new("b")).expect("a project");
        assert!(chosen.dbt_project().expect("b").ends_with("b"));
        assert!(Repo::of_project(root.path(), Path::new("c")).is_err());
    }
}
