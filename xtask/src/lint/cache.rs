//! The cache of results: unchanged files are not checked twice.
//!
//! A key is the digest of everything that determines a result (group, configuration, path, content, and this
//! exact build of the toolkit), so an entry is never wrong, only unused. The file may be deleted at any
//! time; an unreadable one is treated as missing.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::core::finding::Finding;
use crate::system::atomic;
use crate::system::digest::Digest;
use crate::system::program;
use crate::system::repo::Repo;

/// The result of checking one file, or the project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Evaluated {
    pub(super) findings: Vec<Finding>,
    /// Findings that a comment in the file waives.
    pub(super) allowed_inline: u64,
    /// Why a part of it could not be checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unknown: Option<String>,
    /// Violations that the settings downgrade to warnings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
}

pub(super) struct Cache {
    /// `None` if the cache is switched off or has no location.
    file: Option<PathBuf>,
    /// The results of earlier runs. Most files have no finding and need no value.
    known: HashMap<String, Kept>,
    new: Mutex<HashMap<String, Option<Evaluated>>>,
    stamp: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    stamp: String,
    results: HashMap<String, Kept>,
}

/// A result, and how many runs ago it was last used.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(default, skip_serializing_if = "is_fresh")]
    age: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evaluated: Option<Evaluated>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_fresh(age: &u8) -> bool {
    *age == 0
}

/// How many runs over a part of the repository keep an entry that they did not use: commits alternate between
/// files, and results of deleted files must not stay forever.
const OLDEST: u8 = 50;

impl Cache {
    pub(super) fn open(repo: &Repo, enabled: bool) -> Self {
        let file = enabled.then(|| repo.state().ok()).flatten().map(|state| state.join("lint-cache.json"));
        let stamp = program::stamp();
        let known = file
            .as_ref()
            .and_then(|file| fs::read(file).ok())
            .and_then(|bytes| serde_json::from_slice::<Stored>(&bytes).ok())
            .filter(|stored| stored.stamp == stamp)
            .map(|stored| stored.results)
            .unwrap_or_default();
        Self { file, known, new: Mutex::default(), stamp }
    }

    /// The cached result of `key`, else that of `evaluate`; and whether it was cached.
    pub(super) fn get<E>(
        &self,
        key: Digest,
        evaluate: impl FnOnce() -> Result<Evaluated, E>,
    ) -> Result<(Evaluated, bool), E> {
        let key = key.short();
        if let Some(known) = self.known.get(&key) {
            self.keep(key, known.evaluated.clone());
            return Ok((known.evaluated.clone().unwrap_or_default(), true));
        }
        let evaluated = evaluate()?;
        self.keep(key, (evaluated != Evaluated::default()).then(|| evaluated.clone()));
        Ok((evaluated, false))
    }

    fn keep(&self, key: String, evaluated: Option<Evaluated>) {
        if self.file.is_some()
            && let Ok(mut new) = self.new.lock()
        {
            new.insert(key, evaluated);
        }
    }

    /// Writes the entries that this run used; with `whole` all other entries are dropped, since no file needs them.
    /// A failed write costs only time, so it is not an error.
    pub(super) fn close(self, whole: bool) {
        let Some(file) = self.file else { return };
        let new = self.new.into_inner().unwrap_or_default();
        let mut results: HashMap<String, Kept> =
            new.into_iter().map(|(key, evaluated)| (key, Kept { age: 0, evaluated })).collect();
        let grown = results.keys().any(|key| !self.known.contains_key(key));
        if !grown && (!whole || results.len() == self.known.len()) {
            return;
        }
        if !whole {
            for (key, kept) in self.known.into_iter().filter(|(_, kept)| kept.age < OLDEST) {
                results.entry(key).or_insert(Kept { age: kept.age + 1, evaluated: kept.evaluated });
            }
        }
        let stored = Stored { stamp: self.stamp, results };
        let write = || -> anyhow::Result<()> { Ok(atomic::replace(&file, &serde_json::to_vec(&stored)?)?) };
        if let Err(error) = write() {
            tracing::debug!("failed to write {}: {error:#}", file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(file: &std::path::Path) -> Cache {
        let stored = fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<Stored>(&bytes).ok());
        let known = stored.map(|stored| stored.results).unwrap_or_default();
        Cache { file: Some(file.to_path_buf()), known, new: Mutex::default(), stamp: "s".to_owned() }
    }

    /// Looks up `keys`, closes the cache, and returns how many results are stored.
    fn run(file: &std::path::Path, keys: &[String], whole: bool) -> usize {
        let open = cache(file);
        for key in keys {
            open.get(Digest::default().with(key), || Ok::<_, ()>(Evaluated::default())).expect("a result");
        }
        open.close(whole);
        cache(file).known.len()
    }

    #[test]
    fn partial_runs_do_not_let_it_grow_without_bound() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("cache.json");
        let keys = |run: usize| vec!["always".to_owned(), format!("only in run {run}")];
        let sizes: Vec<usize> = (0..150).map(|number| run(&file, &keys(number), false)).collect();
        assert_eq!(sizes[1], 3, "what another run needs is kept");
        assert!(sizes.iter().all(|size| *size <= usize::from(OLDEST) + 3), "{sizes:?}");
        assert_eq!(run(&file, &keys(0), true), 2, "a whole run knows all that is needed");
    }
}
