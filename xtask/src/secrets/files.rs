//! Finds the files to look at and scans them in parallel.
//!
//! In a repository that is what git tracks or would track, so build output and ignored files stay
//! out while a tracked file never does; in any other folder it is everything but `.git`.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};
use ignore::{WalkBuilder, WalkState};
use rayon::prelude::*;

use super::archive;
use super::engine::Place;
use super::git::scan_blob;
use super::scanner::Scanner;
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
            let place = Place { path: "stdin", commit: None };
            let read = scanner.read(place, io::stdin().lock(), &mut Vec::new());
            findings.extend(read.context("failed to read stdin")?);
            continue;
        }
        let path = from_root(repo.root(), &path);
        let meta = path.metadata().with_context(|| format!("failed to read {}", path.display()))?;
        if !meta.is_dir() {
            files.push(path);
            continue;
        }
        if is_bare(&path) {
            scanner.unread(
                &path.display().to_string(),
                "git packs the files of a bare repository; use --history",
            );
            continue;
        }
        match tracked(scanner, repo, &path, 0) {
            Some(list) if !list.is_empty() => files.extend(list),
            _ => findings.extend(walk(scanner, repo, &path)?),
        }
    }
    let (files, absent): (Vec<PathBuf>, Vec<PathBuf>) =
        files.into_iter().partition(|path| path.symlink_metadata().is_ok());
    if !absent.is_empty() {
        findings.extend(left_out(scanner, repo, &absent)?);
    }
    let more: Vec<Finding> = files
        .par_iter()
        .map_init(Vec::new, |buffer, path| scan_file(scanner, repo, path, buffer))
        .flatten_iter()
        .collect();
    findings.extend(more);
    Ok(findings)
}

/// Whether a folder is a repository without a work tree.
fn is_bare(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
}

/// Scans those files that a sparse checkout leaves out of the work tree as the index has them. Other files that git
/// tracks and that are not there were deleted.
fn left_out(scanner: &Scanner, repo: &Repo, absent: &[PathBuf]) -> Result<Vec<Finding>> {
    let wanted: HashSet<String> = absent.iter().map(|path| display_path(repo.root(), path)).collect();
    let blobs = git::left_out(repo.root())?;
    let mut findings = Vec::new();
    let mut buffer = Vec::new();
    git::read_blobs(
        repo.root(),
        blobs.iter().filter(|blob| wanted.contains(&blob.path) && !scanner.skips(&blob.path)),
        |blob, body| {
            let place = Place { path: &blob.path, commit: None };
            findings.extend(scan_blob(scanner, place, body, &mut buffer)?);
            Ok(())
        },
        |blob, why| scanner.unread(&blob.path, why),
    )?;
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
                Err(error) => scanner.unread("a folder", &error.to_string()),
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
    read(scanner, Place { path: &shown, commit: None }, path, buffer).unwrap_or_else(|error| {
        scanner.unread(&shown, &error.to_string());
        Vec::new()
    })
}

fn read(scanner: &Scanner, place: Place<'_>, path: &Path, buffer: &mut Vec<u8>) -> io::Result<Vec<Finding>> {
    let mut file = File::open(path)?;
    if scanner.archives {
        let mut head = Vec::new();
        file.by_ref().take(archive::HEAD as u64).read_to_end(&mut head)?;
        file.rewind()?;
        if let Some(kind) = archive::kind(place.path, &head) {
            return Ok(archive::scan(scanner, place, kind, BufReader::new(file)));
        }
    }
    scanner.read(place, file, buffer)
}

/// A path below the root as if it was given from there, so that `.`, `./a`, `b/../a` and a path from a subfolder name
/// the same file in findings and in the baseline; any other path as it was given.
fn from_root(root: &Path, path: &Path) -> PathBuf {
    let Ok(absolute) = std::path::absolute(path) else { return path.to_path_buf() };
    let mut plain = PathBuf::new();
    for part in absolute.components() {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    // `..` behind a link leads elsewhere than it reads; the file system knows.
    let same = |other: &Path| path.canonicalize().ok() == other.canonicalize().ok();
    if plain.starts_with(root) && same(&plain) {
        return plain;
    }
    let below = || {
        let (root_there, there) = (root.canonicalize().ok()?, path.canonicalize().ok()?);
        there.strip_prefix(root_there).ok().map(|rest| root.join(rest))
    };
    below().unwrap_or_else(|| path.to_path_buf())
}

/// What git tracks or would track below `folder`; None outside of a work tree. Submodules are
/// separate work trees and are listed too, and so are files that are not there.
fn tracked(scanner: &Scanner, repo: &Repo, folder: &Path, depth: usize) -> Option<Vec<PathBuf>> {
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
            Ok(meta) if meta.is_dir() && !path.join(".git").exists() => {
                let why = "the submodule is not checked out; run `git submodule update --init`";
                scanner.unread(&display_path(repo.root(), &path), why);
            }
            Ok(meta) if meta.is_dir() => {
                files.extend(tracked(scanner, &Repo::discover(&path), &path, depth + 1).unwrap_or_default());
            }
            // A link's target is scanned at its own path.
            Ok(_) => {}
            Err(_) => files.push(path),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_path_below_the_root_is_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        std::fs::create_dir_all(root.join("s/t")).expect("folders");
        std::fs::write(root.join("s/a.yml"), "").expect("written");
        for path in ["s/a.yml", "./s/a.yml", "s/./a.yml", "s/t/../a.yml"] {
            assert_eq!(display_path(root, &from_root(root, &root.join(path))), "s/a.yml", "{path}");
        }
        assert_eq!(from_root(root, Path::new("/")), Path::new("/"));
    }
}
