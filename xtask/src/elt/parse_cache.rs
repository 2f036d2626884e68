//! dbt v2's cache of the project that it has parsed, which `--partial-parse` writes and reads. It saves most of the time
//! of a run that builds one model of many.
//!
//! dbt parses again what has another modification time than before. A file that was put in place with an old time, as
//! `cp -p`, `tar` and `rsync -t` do, would pass for unchanged. The time of the last change that the file system
//! itself keeps cannot be set by programs, so it shows such files, and folders that were renamed; if there is one, the
//! cache is removed and dbt parses everything.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Result;
use ignore::WalkBuilder;

use super::plan::Plan;
use crate::core::context;
use crate::dbt::engine::Generation;
use crate::dbt::events::Event;
use crate::dbt::runner::{Ended, Invocation};
use crate::state;
use crate::system::remove;
use crate::target::{Opened, Place};

pub(super) const OPTION: &str = "--partial-parse";

pub(super) struct ParseCache {
    project: PathBuf,
    /// Where dbt keeps it.
    folder: PathBuf,
    /// A file whose modification time is the start of the run that wrote the cache. It is there only if that run came to
    /// its end: a cache that was half written would hold old nodes beside new times.
    complete: PathBuf,
}

/// The times of a file or folder.
#[derive(Clone, Copy, Debug)]
struct Times {
    modified: SystemTime,
    /// By the file system's own account.
    changed: SystemTime,
}

impl ParseCache {
    /// dbt's parse cache, where a run may use it. It holds the profile with the login, so it is not for Snowflake, nor for a
    /// profile that holds a secret.
    pub(super) fn of(plan: &Plan, opened: &Opened, artifacts_folder: &Path) -> Result<Option<Self>> {
        let is_v2 = opened.dbt()?.generation() == Generation::V2;
        let is_plain = matches!(opened.place, Place::Local { .. }) && !plan.profile.holds_secret();
        Ok(if is_v2 && is_plain { Self::new(&plan.invocation.project, artifacts_folder) } else { None })
    }

    /// The cache in dbt's target folder `target`; `None` if it is switched off or the times of files are not known here.
    fn new(project: &Path, target: &Path) -> Option<Self> {
        let is_off = context::variable("DBT_PARTIAL_PARSE").is_some_and(|text| {
            matches!(text.to_lowercase().as_str(), "0" | "false" | "no" | "off" | "f" | "n")
        });
        (cfg!(unix) && !is_off).then(|| Self {
            project: project.to_path_buf(),
            folder: target.join("metadata"),
            complete: target.join("parse_cache_complete"),
        })
    }

    /// Start dbt, which may read the cache only if `is_parsed` says that this project is in it, except for changes that give no
    /// node another name or place and remove none.
    fn around(&self, is_parsed: bool, start: impl FnOnce() -> Result<Ended>) -> Result<Ended> {
        let begun = self.begin(is_parsed)?;
        let ended = start()?;
        self.end(begun, &ended);
        Ok(ended)
    }

    /// Returns when this was.
    fn begin(&self, is_parsed: bool) -> Result<SystemTime> {
        let before = fs::metadata(&self.complete).and_then(|meta| meta.modified());
        let is_valid = is_parsed && before.is_ok_and(|before| self.shows_every_change_since(before));
        tracing::debug!("the parse cache of dbt is {}", if is_valid { "read" } else { "made again" });
        if !is_valid {
            remove::folder(&self.folder)?;
        }
        remove::file(&self.complete)?;
        Ok(SystemTime::now())
    }

    /// Keep what dbt, started at `begun`, has left, if nothing failed: dbt keeps a project with errors too, and then
    /// finds none in it. A cache that cannot be marked is not read.
    fn end(&self, begun: SystemTime, ended: &Ended) {
        if ended.status.success() && !ended.interrupted {
            drop(fs::File::create(&self.complete).and_then(|file| file.set_modified(begun)));
        }
    }

    fn shows_every_change_since(&self, before: SystemTime) -> bool {
        let Ok(roots) = state::roots(&self.project) else { return false };
        roots.iter().all(|root| {
            let mut walker = WalkBuilder::new(root);
            walker.standard_filters(false).follow_links(true).filter_entry(|entry| {
                let mut passed_over = state::NO_INPUT.iter().chain(&["node_modules"]);
                entry.depth() != 1 || !passed_over.any(|name| entry.file_name() == *name)
            });
            walker.build().all(|entry| {
                let times = entry.ok().and_then(|entry| times(&entry.metadata().ok()?));
                times.is_some_and(|times| shows_change(times, before))
            })
        })
    }
}

/// Start dbt v2, which may read what it has in `cache` if `is_parsed`, see [`ParseCache::around`].
pub(super) fn start(
    invocation: &Invocation,
    opened: &Opened,
    cache: Option<&ParseCache>,
    is_parsed: bool,
    follow: impl FnMut(&Event),
) -> Result<Ended> {
    let start = || invocation.run(opened.dbt()?, |_| Ok(()), follow);
    match cache {
        Some(cache) => cache.around(is_parsed, start),
        None => start(),
    }
}

/// Whether a change since `before`, if there was one, is to be seen by the modification time.
fn shows_change(times: Times, before: SystemTime) -> bool {
    times.changed < before || (before..=times.changed).contains(&times.modified)
}

#[cfg(unix)]
fn times(meta: &fs::Metadata) -> Option<Times> {
    use std::os::unix::fs::MetadataExt as _;
    use std::time::{Duration, UNIX_EPOCH};
    let seconds = Duration::from_secs(u64::try_from(meta.ctime()).ok()?);
    let rest = Duration::from_nanos(u64::try_from(meta.ctime_nsec()).ok()?);
    Some(Times { modified: meta.modified().ok()?, changed: UNIX_EPOCH + seconds + rest })
}

#[cfg(not(unix))]
fn times(_: &fs::Metadata) -> Option<Times> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_change_with_an_old_or_future_time_is_not_shown() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let shown =
            |modified, changed| shows_change(Times { modified: at(modified), changed: at(changed) }, at(100));
        assert!(shown(50, 50), "untouched");
        assert!(shown(150, 150), "edited");
        assert!(shown(150, 160), "edited, then given other permissions");
        assert!(shown(900, 50), "a future time that is as it was");
        assert!(!shown(50, 150), "put in place with its old time");
        assert!(!shown(900, 150), "put in place with a future time");
    }

    #[test]
    fn the_cache_is_removed_if_a_file_hides_its_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let (project, target) = (folder.path(), folder.path().join("target/dev"));
        let model = project.join("models/m.sql");
        for inner in ["models", "target/dev/metadata"] {
            fs::create_dir_all(project.join(inner)).expect("made");
        }
        fs::write(project.join("dbt_project.yml"), "name: p\n").expect("written");
        fs::write(&model, "select 1").expect("written");
        let cache = ParseCache::new(project, &target).expect("it is not switched off");
        let old = fs::metadata(&model).and_then(|meta| meta.modified()).expect("times");
        let is_kept = |is_parsed: bool, change: &dyn Fn()| {
            fs::create_dir_all(&cache.folder).expect("made");
            let file = fs::File::create(&cache.complete).expect("made");
            file.set_modified(SystemTime::now()).expect("set");
            // The clock of the file system is coarser.
            std::thread::sleep(Duration::from_millis(20));
            change();
            cache.begin(is_parsed).expect("it can be removed");
            assert!(!cache.complete.exists(), "dbt may be killed");
            cache.folder.exists()
        };
        let edit = || fs::write(&model, "select 2").expect("written");
        assert!(is_kept(true, &|| {}));
        assert!(is_kept(true, &edit));
        assert!(!is_kept(false, &edit));
        assert!(!is_kept(true, &|| {
            edit();
            let file = fs::File::options().write(true).open(&model).expect("opened");
            file.set_modified(old).expect("set");
        }));
        assert!(!is_kept(true, &|| {
            fs::rename(project.join("models"), project.join("other")).expect("renamed");
        }));
    }
}
