//! Finds the files to look at and scans them in parallel.
//!
//! In a repository that is what git tracks or would track, so build output and ignored files stay
//! out while a tracked file never does; in any other folder it is everything but `.git`.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};
use ignore::{WalkBuilder, WalkState};
use rayon::prelude::*;

use super::archive;
use super::scanner::{Scanner, count};
use crate::core::finding::{Finding, display_path};
use crate::system::git;
use crate::system::repo::Repo;

/// Scans the paths that were given, or the repository.
pub(super) fn scan(scanner: &Scanner, repo: &Repo, paths: &[PathBuf]) -> Result<Vec<Finding>> {
    let given = if paths.is_empty() { vec![repo.root().to_path_buf()] } else { paths.to_vec() };
    let mut files = Vec::new();
    let mut findings = Vec::new();
    for path in given {
        if path.as_os_str() == "-" {
            let read = scanner.read("stdin", io::stdin().lock(), &mut Vec::new());
            findings.extend(read.context("failed to read stdin")?);
            continue;
        }
        let meta = path.metadata().with_context(|| format!("failed to read {}", path.display()))?;
        if !meta.is_dir() {
            files.push(path);
            continue;
        }
        match tracked(repo, &path, 0) {
            Some(list) if !list.is_empty() => files.extend(list),
            _ => findings.extend(walk(scanner, repo, &path)?),
        }
    }
    let more: Vec<Finding> = files
        .par_iter()
        .map_init(Vec::new, |buffer, path| scan_file(scanner, repo, path, buffer))
        .flatten_iter()
        .collect();
    findings.extend(more);
    Ok(findings)
}

/// Every file below a folder, hidden ones too; links are not followed, so circles cannot be walked.
fn walk(scanner: &Scanner, repo: &Repo, folder: &Path) -> Result<Vec<Finding>> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let mut builder = WalkBuilder::new(folder);
    builder.standard_filters(false).follow_links(false).threads(threads);
    builder.filter_entry(|entry| entry.file_name() != ".git");
    let findings = Mutex::new(Vec::new());
    builder.build_parallel().run(|| {
        let mut buffer = Vec::new();
        let findings = &findings;
        Box::new(move |entry| {
            match entry {
                Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                    let found = scan_file(scanner, repo, entry.path(), &mut buffer);
                    if !found.is_empty()
                        && let Ok(mut all) = findings.lock()
                    {
                        all.extend(found);
                    }
                }
                Ok(_) => {}
                Err(error) => unreadable(scanner, &error.to_string()),
            }
            WalkState::Continue
        })
    });
    findings.into_inner().ok().context("a scanning thread failed")
}

fn scan_file(scanner: &Scanner, repo: &Repo, path: &Path, buffer: &mut Vec<u8>) -> Vec<Finding> {
    let shown = display_path(repo.root(), path);
    if scanner.skips(&shown) {
        return Vec::new();
    }
    let open = File::open(path);
    if let Some(kind) = archive::kind(&shown).filter(|_| scanner.archives) {
        match open {
            Ok(file) => return archive::scan(scanner, &shown, kind, BufReader::new(file)),
            Err(error) => unreadable(scanner, &format!("{shown}: {error}")),
        }
        return Vec::new();
    }
    match open.and_then(|file| scanner.read(&shown, file, buffer)) {
        Ok(findings) => findings,
        Err(error) => {
            unreadable(scanner, &format!("{shown}: {error}"));
            Vec::new()
        }
    }
}

fn unreadable(scanner: &Scanner, what: &str) {
    tracing::warn!("not scanned: {what}");
    count(&scanner.counts.unreadable, 1);
}

/// What git tracks or would track below `folder`; None outside of a work tree. Submodules are work
/// trees of their own and are listed too.
fn tracked(repo: &Repo, folder: &Path, depth: usize) -> Option<Vec<PathBuf>> {
    if depth > 8
        || !repo.root().join(".git").exists()
        || !folder.canonicalize().ok()?.starts_with(repo.root().canonicalize().ok()?)
    {
        return None;
    }
    let listed = git::files(folder).inspect_err(|error| tracing::debug!("git ls-files: {error:#}")).ok()?;
    let mut files = Vec::new();
    for name in listed {
        let path = folder.join(name);
        match path.symlink_metadata() {
            Ok(meta) if meta.is_file() => files.push(path),
            Ok(meta) if meta.is_dir() => {
                files.extend(tracked(&Repo::discover(&path), &path, depth + 1).unwrap_or_default());
            }
            // A link's target is scanned where it lies; a deleted file is not there to be scanned.
            _ => {}
        }
    }
    Some(files)
}

/// Fails early, with what to do, when a path was given that is not there.
pub(super) fn check(paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        if path.as_os_str() != "-" && path.symlink_metadata().is_err() {
            bail!("{} does not exist; give files or folders that do, or - for stdin", path.display());
        }
    }
    Ok(())
}
