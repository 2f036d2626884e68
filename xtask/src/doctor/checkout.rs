//! The contents of a checkout: the dbt project, the policies, and room for the warehouse.

use std::path::{Path, PathBuf};

use super::Verdict;
use crate::system::repo::Repo;
use crate::target;
use crate::warehouse::duckdb::Layout;

/// Below this, a build is likely to fail half way.
const SCARCE_BYTES: u64 = 1 << 30;
/// Below this, nothing can be built.
const NONE_BYTES: u64 = 64 << 20;

pub(super) fn dbt_project(repo: &Repo) -> Verdict {
    match repo.dbt_project() {
        Ok(folder) => Verdict::ok(repo.relative(&folder.join("dbt_project.yml")).display().to_string()),
        Err(error) => Verdict::from_error(&error),
    }
}

/// Every policy file has to be TOML; the command that reads it checks its content.
pub(super) fn policies(repo: &Repo) -> Verdict {
    let folder = repo.policies();
    let shown = repo.relative(&folder).display().to_string();
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return Verdict::warn(
            format!("{shown}/ does not exist: the built-in defaults apply"),
            "copy policies/ of the toolkit's own repository to change them",
        );
    };
    let files = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort_unstable();
    for path in &files {
        if let Some(reason) = unreadable(path) {
            return Verdict::fail(format!("{}: {reason}", repo.relative(path).display()), "correct the file");
        }
    }
    let names = files.iter().filter_map(|path| path.file_stem()?.to_str()).collect::<Vec<_>>().join(", ");
    Verdict::ok(format!(
        "{shown}/: {}",
        if names.is_empty() { "no .toml files, defaults apply" } else { &names }
    ))
}

fn unreadable(path: &Path) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => text.parse::<toml::Table>().err().map(|error| error.to_string().trim_end().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// The place of the embedded warehouse: writable, and with room.
pub(super) fn storage(repo: &Repo) -> Verdict {
    let layout = match target::layout(repo) {
        Ok(layout) => layout,
        Err(error) => return Verdict::from_error(&error),
    };
    let (folder, files) = match &layout {
        Layout::Shared(file) => (file.parent().unwrap_or(repo.root()), vec![file.clone()]),
        Layout::Folder(folder) => match layout.environments() {
            Ok(names) => (folder.as_path(), names.iter().map(|name| layout.file(name.as_str())).collect()),
            Err(error) => return Verdict::from_error(&error),
        },
    };
    // The first run creates the folder itself; until then its nearest existing parent is checked.
    let Some(existing) = folder.ancestors().find(|dir| dir.is_dir()) else {
        return Verdict::fail(format!("{} does not exist", folder.display()), "create the folder");
    };
    let shown = folder.display();
    if let Err(error) = tempfile::tempfile_in(existing) {
        return Verdict::fail(
            format!("{shown} cannot be written to: {error}"),
            "make it writable, or set DBT_DUCKDB_PATH to a file elsewhere (an absolute path)",
        );
    }
    for file in files.iter().filter(|file| file.exists()) {
        if let Err(error) = std::fs::OpenOptions::new().append(true).open(file) {
            return Verdict::fail(
                format!("{} cannot be written to: {error}", file.display()),
                "make it writable",
            );
        }
    }
    room(&shown.to_string(), free_bytes(existing))
}

fn room(shown: &str, free: Option<u64>) -> Verdict {
    let remedy = "free some space, or set DBT_DUCKDB_PATH to a file on another disk (an absolute path)";
    match free {
        Some(free) if free < NONE_BYTES => Verdict::fail(format!("{shown}: {} free", size(free)), remedy),
        Some(free) if free < SCARCE_BYTES => {
            Verdict::warn(format!("{shown}: only {} free", size(free)), remedy)
        }
        Some(free) => Verdict::ok(format!("{shown} is writable, {} free", size(free))),
        None => Verdict::ok(format!("{shown} is writable")),
    }
}

fn size(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib < 1024 { format!("{mib} MiB") } else { format!("{} GiB", mib >> 10) }
}

/// The bytes that an ordinary user may still write there; `None` if the system does not report them.
#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn little_room_warns_and_no_room_fails() {
        let status = |free| room("x", free).status;
        assert_eq!(status(Some(5 << 30)), Status::Ok);
        assert_eq!(status(Some(500 << 20)), Status::Warn);
        assert_eq!(status(Some(1 << 20)), Status::Fail);
        assert_eq!(status(None), Status::Ok);
    }
}
