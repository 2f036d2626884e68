//! The files that `lint` reads, and where their content comes from.
//!
//! A check reads more files than it reports on: the findings of a model depend on the macros and on the other
//! models. So every file of the repository is listed, with a flag that says whether its findings are wanted.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use ignore::WalkBuilder;

use super::{common, project};
use crate::core::finding::{Group, display_path};
use crate::core::yaml;
use crate::dbt::graph::packages;
use crate::system::git::{self, Blob, Changes};
use crate::system::repo::Repo;

/// The files that the caller asks for.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) paths: &'a [PathBuf],
    pub(super) staged: bool,
    pub(super) since: Option<&'a str>,
    /// A path, and the text to check instead of the file's content.
    pub(super) stdin: Option<&'a (PathBuf, Vec<u8>)>,
}

/// A file of the repository.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// Relative to the root, with slashes; as given for files outside it.
    pub(super) path: String,
    place: Place,
    /// Whether its findings are wanted; the other files are read because results depend on them.
    pub(super) wanted: bool,
}

#[derive(Clone, Debug)]
enum Place {
    Tree(PathBuf),
    /// The content in the index or in a commit, if it differs from the work tree.
    Index(Vec<u8>),
}

impl Input {
    /// Opens the content to check. The file may have been deleted since it was listed.
    pub(super) fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match &self.place {
            Place::Tree(path) => Box::new(File::open(path)?),
            Place::Index(bytes) => Box::new(Cursor::new(bytes)),
        })
    }

    pub(super) fn size(&self) -> io::Result<u64> {
        match &self.place {
            Place::Tree(path) => Ok(path.symlink_metadata()?.len()),
            Place::Index(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// The file that a fix may be written to; `None` for content of the index.
    pub(super) fn in_tree(&self) -> Option<&Path> {
        match &self.place {
            Place::Tree(path) => Some(path),
            Place::Index(_) => None,
        }
    }
}

/// The files, and which of their lines changed, if only those are wanted.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) files: Vec<Input>,
    pub(super) changes: Option<Changes>,
    /// With `--staged` or `--since`: every path that differs from the base, deleted ones too.
    pub(super) changed: Option<Vec<git::Change>>,
    /// Of the base revision: the groups that check unchanged files too, as the change decides.
    pub(super) affected: Option<Vec<Group>>,
    /// Whether everything is wanted.
    pub(super) whole: bool,
}

impl Inputs {
    pub(super) fn list(repo: &Repo, wanted: &Wanted<'_>) -> Result<Self> {
        let root = repo.root();
        let tracked = root.join(".git").exists();
        if !tracked && (wanted.staged || wanted.since.is_some()) {
            bail!(
                "{} is not a git repository, so nothing is staged and nothing changed since a revision; \
                 `git init` creates one",
                root.display()
            );
        }
        let mut inputs = Self { whole: wanted.paths.is_empty(), ..Self::default() };
        if let Some(revision) = wanted.since {
            inputs.changes = Some(Changes::since(root, revision, wanted.staged)?);
            inputs.whole = false;
        }
        if wanted.staged || wanted.since.is_some() {
            inputs.changed = Some(git::changed(root, wanted.since, wanted.staged)?);
        }
        if wanted.staged {
            inputs.whole = false;
            inputs.files = of_index(root)?;
        } else {
            let paths = if tracked { git::files(root)? } else { walked(root)? };
            inputs.files = paths.into_iter().filter_map(|path| in_tree(root, root.join(path))).collect();
        }
        if let Some(changes) = &inputs.changes {
            let changed = changes.paths();
            inputs.files.iter_mut().for_each(|file| file.wanted &= changed.contains(file.path.as_str()));
        }
        if !wanted.paths.is_empty() {
            inputs.select(root, wanted.paths)?;
        }
        if let Some((path, text)) = wanted.stdin {
            inputs.take_typed(root, path, text)?;
        }
        inputs.add_packages(root);
        inputs.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(inputs)
    }

    /// Replaces the file at `path` by `text`, and marks only that as wanted.
    fn take_typed(&mut self, root: &Path, path: &Path, text: &[u8]) -> Result<()> {
        let full = std::path::absolute(path).with_context(|| format!("failed to read {}", path.display()))?;
        let shown = display_path(root, &full);
        self.whole = false;
        self.files.retain(|file| file.path != shown);
        self.files.iter_mut().for_each(|file| file.wanted = false);
        self.files.push(Input { path: shown, place: Place::Index(text.to_vec()), wanted: true });
        Ok(())
    }

    /// Whether the findings of a file are wanted.
    pub(super) fn is_wanted(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.wanted && file.path == path)
    }

    /// The folders of the dbt projects, with a slash at their end unless it is the root.
    pub(super) fn projects(&self) -> Vec<String> {
        let roots = self.files.iter().filter_map(|file| project::root_of_project(&file.path));
        roots.map(str::to_owned).collect()
    }

    /// The repository's files in the base revision, with the same paths wanted: their findings existed before the
    /// change. `affected` are the groups whose findings in unchanged files the change may alter.
    pub(super) fn base(&self, root: &Path, affected: Vec<Group>) -> Result<Self> {
        let changed = self.changed.as_deref().unwrap_or_default();
        let wanted: HashSet<&str> =
            self.files.iter().filter(|file| file.wanted).map(|file| file.path.as_str()).collect();
        let paths: HashSet<&str> = changed.iter().map(|change| change.path.as_str()).collect();
        let mut files: Vec<Input> =
            self.files.iter().filter(|file| !paths.contains(file.path.as_str())).cloned().collect();
        git::read_blobs(
            root,
            changed.iter().filter_map(|change| change.before.as_ref()),
            |blob, body| {
                let mut bytes = Vec::new();
                body.read_to_end(&mut bytes)?;
                let is_wanted = wanted.contains(blob.path.as_str());
                files.push(Input { path: blob.path.clone(), place: Place::Index(bytes), wanted: is_wanted });
                Ok(())
            },
            |blob, why| tracing::warn!("not compared with: {}: {why}", blob.path),
        )?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files, changed: self.changed.clone(), affected: Some(affected), ..Self::default() })
    }

    /// Adds the installed packages of every project, which git ignores: findings in the files of the project depend
    /// on them. Findings in the packages are not wanted.
    fn add_packages(&mut self, root: &Path) {
        let known: HashSet<String> = self.files.iter().map(|file| file.path.clone()).collect();
        let mut homes = Vec::new();
        for file in self.files.iter().filter(|file| project::root_of_project(&file.path).is_some()) {
            let mut text = String::new();
            if file.open().and_then(|mut open| open.read_to_string(&mut text)).is_err() {
                continue;
            }
            let settings = yaml::parse_one(&text).ok().flatten();
            let folder = settings.map_or_else(|| "dbt_packages".to_owned(), |node| packages::folder(&node));
            let project = project::root_of_project(&file.path).unwrap_or_default();
            homes.push(root.join(project).join(folder));
        }
        for home in homes {
            for path in below_packages(&home) {
                let shown = display_path(root, &path);
                if !known.contains(&shown) && common::is_source(&shown) {
                    self.files.push(Input { path: shown, place: Place::Tree(path), wanted: false });
                }
            }
        }
    }

    /// Marks only files below `paths` as wanted, and adds those that the repository does not list: a file that is
    /// named is checked even if git ignores it.
    fn select(&mut self, root: &Path, paths: &[PathBuf]) -> Result<()> {
        let mut prefixes = Vec::new();
        let mut added = Vec::new();
        for path in paths {
            let full =
                std::path::absolute(path).with_context(|| format!("failed to read {}", path.display()))?;
            let meta = full.metadata().with_context(|| {
                format!("failed to read {}; give files or folders that exist", path.display())
            })?;
            let shown = display_path(root, &full);
            if meta.is_file() {
                if !self.files.iter().any(|file| file.path == shown) {
                    added.extend(in_tree(root, full));
                }
            } else if !full.starts_with(root) {
                added.extend(walked(&full)?.into_iter().filter_map(|path| in_tree(root, path)));
            }
            prefixes.push(shown);
        }
        for file in &mut self.files {
            file.wanted &= prefixes.iter().any(|prefix| below(&file.path, prefix));
        }
        self.files.extend(added);
        Ok(())
    }
}

fn below(path: &str, prefix: &str) -> bool {
    prefix.is_empty()
        || path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

/// A regular file of the work tree. Links are not followed: their targets are checked at their own paths, and
/// a cycle of links cannot be walked.
fn in_tree(root: &Path, path: PathBuf) -> Option<Input> {
    let meta = path.symlink_metadata().ok()?;
    let shown = display_path(root, &path);
    meta.is_file().then_some(Input { path: shown, place: Place::Tree(path), wanted: true })
}

/// The files of installed packages. A local package is a link to its folder.
fn below_packages(home: &Path) -> Vec<PathBuf> {
    const DEEPEST: usize = 12;
    if !home.is_dir() {
        return Vec::new();
    }
    let mut builder = WalkBuilder::new(home);
    builder.standard_filters(false).follow_links(true).max_depth(Some(DEEPEST));
    builder.filter_entry(|entry| {
        ![".git", "integration_tests", "target", "logs"].iter().any(|name| entry.file_name() == *name)
    });
    let entries = builder.build().filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .map(ignore::DirEntry::into_path)
        .collect()
}

/// The files below a folder that is not a repository, except those that its `.gitignore` files exclude.
fn walked(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut builder = WalkBuilder::new(folder);
    builder.hidden(false).require_git(false).follow_links(false);
    builder.filter_entry(|entry| entry.file_name() != ".git");
    let mut files = Vec::new();
    for entry in builder.build() {
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                files.push(entry.into_path());
            }
            Ok(_) => {}
            // An unreadable root is an error; an unreadable part of the tree does not stop the rest.
            Err(error) if error.depth() == Some(0) => {
                return Err(error).with_context(|| format!("failed to read {}", folder.display()));
            }
            Err(error) => tracing::warn!("not checked: {error}"),
        }
    }
    Ok(files)
}

/// The files of the index. Wanted are those that differ from `HEAD`, and they are read from the index;
/// of the others only those are whose file differs, so that a half-staged file counts as it will be
/// committed.
fn of_index(root: &Path) -> Result<Vec<Input>> {
    let staged: BTreeSet<String> = git::staged(root)?.into_iter().map(|blob| blob.path).collect();
    let unstaged = git::unstaged(root)?;
    let blobs = git::index(root)?;
    let from_index = |blob: &&Blob| staged.contains(&blob.path) || unstaged.contains(&blob.path);
    let mut contents = HashMap::new();
    git::read_blobs(
        root,
        blobs.iter().filter(from_index),
        |blob, body| {
            let mut bytes = Vec::new();
            body.read_to_end(&mut bytes)?;
            contents.insert(blob.path.clone(), bytes);
            Ok(())
        },
        |blob, why| tracing::warn!("not looked at: {}: {why}", blob.path),
    )?;
    Ok(blobs
        .into_iter()
        .filter_map(|blob| {
            let wanted = staged.contains(&blob.path);
            let place = match contents.remove(&blob.path) {
                Some(bytes) => Place::Index(bytes),
                None if wanted || unstaged.contains(&blob.path) => return None,
                None => Place::Tree(root.join(&blob.path)),
            };
            Some(Input { path: blob.path, place, wanted })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_what_lies_below_it() {
        assert!(below("a/b.sql", "a"));
        assert!(below("a/b.sql", "a/"));
        assert!(below("a/b.sql", "a/b.sql"));
        assert!(below("a/b.sql", ""));
        assert!(!below("ab/c.sql", "a"));
        assert!(!below("a", "a/b.sql"));
    }
}
