//! The style settings of all folders: which file is checked by which.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::config::{self, Config};
use super::style::{ASSUMED, Style};

/// The linters of a repository: one for each folder that has settings, which apply to the files below it.
/// A linter is made when its first file is checked, because loading a dialect takes tens of milliseconds.
pub(crate) struct Styles {
    folders: Vec<Folder>,
    /// `.sqlfluffignore` files.
    ignored: Vec<Gitignore>,
}

struct Folder {
    /// Relative to the repository's root, which is empty.
    path: String,
    /// Its own settings over those above it.
    config: Result<Config, String>,
    /// The dialect if the settings give none.
    dialect: String,
    style: OnceLock<Result<Style, String>>,
}

impl Styles {
    /// `files` are files of settings and `.sqlfluffignore` files by their paths; `dialects` those of the dbt projects by
    /// their folders, empty if none is known.
    pub(crate) fn new(mut files: Vec<(String, String)>, dialects: &[(String, String)]) -> Self {
        files.sort_by_key(|(path, _)| (folder_of(path).len(), config::precedence(path)));
        let (lists, files): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|(path, _)| path.ends_with(".sqlfluffignore"));
        let mut paths: BTreeSet<&str> = files.iter().map(|(path, _)| folder_of(path)).collect();
        paths.extend(dialects.iter().map(|(root, _)| root.trim_end_matches('/')));
        paths.insert("");
        let mut paths: Vec<&str> = paths.into_iter().collect();
        paths.sort_by_key(|path| path.len());
        let folders = paths.iter().map(|path| {
            let mut config = Ok(Config::default());
            for (file, text) in files.iter().filter(|(file, _)| is_at_or_above(folder_of(file), path)) {
                config = config.and_then(|mut config: Config| {
                    config.add(file, text).map_err(|error| format!("{error:#}"))?;
                    Ok(config)
                });
            }
            let above = dialects.iter().filter(|(root, dialect)| {
                !dialect.is_empty() && is_at_or_above(root.trim_end_matches('/'), path)
            });
            let dialect = above.max_by_key(|(root, _)| root.len()).map(|(_, dialect)| dialect.clone());
            Folder {
                path: (*path).to_owned(),
                config,
                dialect: dialect.unwrap_or_default(),
                style: OnceLock::new(),
            }
        });
        let folders = folders.collect();
        let ignored = lists.iter().filter_map(|(path, text)| {
            let mut builder = GitignoreBuilder::new(Path::new("/").join(folder_of(path)));
            for line in text.lines() {
                // A line that is not a pattern excludes nothing, as in git.
                drop(builder.add_line(None, line));
            }
            builder.build().ok()
        });
        Self { folders, ignored: ignored.collect() }
    }

    fn nearest(&self, path: &str) -> Option<&Folder> {
        self.folders.iter().rfind(|folder| is_below(path, &folder.path))
    }

    /// The settings for the file at `path`, and the dialect, which may be assumed.
    pub(crate) fn config_of(&self, path: &str) -> Option<(&Config, &str)> {
        let nearest = self.nearest(path)?;
        let config = nearest.config.as_ref().ok()?;
        let given = config.dialect().unwrap_or(&nearest.dialect);
        Some((config, if given.is_empty() { ASSUMED } else { given }))
    }

    /// Whether neither the settings nor a profile give a dialect for the file.
    pub(crate) fn is_assumed(&self, path: &str) -> bool {
        self.nearest(path).is_some_and(|folder| {
            folder.dialect.is_empty() && folder.config.as_ref().is_ok_and(|config| config.dialect().is_none())
        })
    }

    /// Whether the settings exclude the file.
    pub(crate) fn ignores(&self, path: &str) -> bool {
        let full = Path::new("/").join(path);
        let by_file = self.ignored.iter().any(|list| {
            full.starts_with(list.path()) && list.matched_path_or_any_parents(&full, false).is_ignore()
        });
        by_file
            || self.config_of(path).is_some_and(|(config, _)| {
                let mut builder = GitignoreBuilder::new("/");
                for pattern in config.ignored_paths() {
                    drop(builder.add_line(None, pattern));
                }
                builder.build().is_ok_and(|list| list.matched_path_or_any_parents(&full, false).is_ignore())
            })
    }

    /// The settings of these files that have no effect, and the dialects that are assumed.
    pub(crate) fn notes<'p>(&self, paths: impl IntoIterator<Item = &'p str>) -> BTreeSet<String> {
        let mut notes = BTreeSet::new();
        let known = known_codes();
        let mut seen = BTreeSet::new();
        for path in paths {
            let Some(folder) = self.nearest(path).filter(|folder| seen.insert(folder.path.as_str())) else {
                continue;
            };
            let Ok(config) = &folder.config else { continue };
            let mut config = config.clone();
            // Made to find errors in the settings.
            drop(config.text(ASSUMED, &known));
            notes.extend(config.unhonoured.iter().map(|what| format!("not honoured: {what}")));
            if config.dialect().is_none() && folder.dialect.is_empty() {
                let place = if folder.path.is_empty() { "the repository" } else { &folder.path };
                notes.insert(format!(
                    "no SQL dialect is given for {place}: {ASSUMED} is assumed; set `dialect` in a .sqlfluff"
                ));
            }
        }
        notes
    }

    /// The linter for the file at `path`: that of the nearest folder above.
    pub(crate) fn of(&self, path: &str) -> Result<&Style> {
        let nearest = self.nearest(path).with_context(|| format!("no style is known for {path}"))?;
        let made = nearest.style.get_or_init(|| {
            let config = nearest.config.clone()?;
            let dialect = if nearest.dialect.is_empty() { ASSUMED } else { &nearest.dialect };
            let style = Style::new(config, dialect);
            style.map_err(|error| format!("failed to understand {}: {error:#}", display(&nearest.path)))
        });
        made.as_ref().map_err(|reason| anyhow!("{reason}"))
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn is_at_or_above(folder: &str, path: &str) -> bool {
    folder == path || is_below(path, folder)
}

/// The codes of sqruff's rules.
pub(super) fn known_codes() -> BTreeSet<&'static str> {
    sqruff_lib::rules::rules().iter().map(|rule| rule.code()).collect()
}

fn display(folder: &str) -> String {
    let place = if folder.is_empty() { "the root".to_owned() } else { folder.to_owned() };
    format!("the SQL settings of {place} (.sqlfluff)")
}

fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}
