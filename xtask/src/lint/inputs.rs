//! Which files `lint` looks at, and where what stands in them comes from.
//!
//! Judging needs more than is judged: the findings of a model depend on the macros and on the other
//! models. So every file of the repository is listed, and each says whether its findings are wanted.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use ignore::WalkBuilder;

use crate::core::finding::display_path;
use crate::system::git::{self, Blob, Changes};
use crate::system::repo::Repo;

/// What the caller wants looked at.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) paths: &'a [PathBuf],
    pub(super) staged: bool,
    pub(super) since: Option<&'a str>,
}

/// A file of the repository.
#[derive(Debug)]
pub(super) struct Input {
    /// Relative to the root, with slashes; as given for files outside it.
    pub(super) path: String,
    place: Place,
    /// Whether its findings are wanted; the others are read for what they say of these.
    pub(super) wanted: bool,
}

#[derive(Debug)]
enum Place {
    Tree(PathBuf),
    /// As the index holds it, where that differs from the work tree.
    Index(Vec<u8>),
}

impl Input {
    /// Opens what is to be judged. The file may have vanished since it was listed.
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

    /// The file that a fix may be written to; `None` for what stands in the index.
    pub(super) fn in_tree(&self) -> Option<&Path> {
        match &self.place {
            Place::Tree(path) => Some(path),
            Place::Index(_) => None,
        }
    }
}

/// The files, and which of their lines changed where only those are wanted.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) files: Vec<Input>,
    pub(super) changes: Option<Changes>,
    /// Whether everything is wanted.
    pub(super) whole: bool,
}

impl Inputs {
    pub(super) fn list(repo: &Repo, wanted: &Wanted<'_>) -> Result<Self> {
        let root = repo.root();
        let tracked = root.join(".git").exists();
        if !tracked && (wanted.staged || wanted.since.is_some()) {
            bail!(
                "{} is no git repository, so nothing is staged and nothing changed since a revision; \
                 `git init` makes it one",
                root.display()
            );
        }
        let mut inputs = Self { whole: wanted.paths.is_empty(), ..Self::default() };
        if let Some(revision) = wanted.since {
            inputs.changes = Some(Changes::since(root, revision, wanted.staged)?);
            inputs.whole = false;
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
        inputs.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(inputs)
    }

    /// Leaves only what lies below `paths` wanted, and adds what of it the repository does not list:
    /// a file that was named is looked at even if git ignores it.
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

/// A regular file of the work tree. Links are not followed: what they point to is judged where it
/// lies, and a circle of them cannot be walked.
fn in_tree(root: &Path, path: PathBuf) -> Option<Input> {
    let meta = path.symlink_metadata().ok()?;
    let shown = display_path(root, &path);
    meta.is_file().then_some(Input { path: shown, place: Place::Tree(path), wanted: true })
}

/// What lies below a folder that is no repository, without what its `.gitignore` files leave out.
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
            // The rest of the tree is still worth looking at; a root that cannot be read is not.
            Err(error) if error.depth() == Some(0) => {
                return Err(error).with_context(|| format!("failed to read {}", folder.display()));
            }
            Err(error) => tracing::warn!("not looked at: {error}"),
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
