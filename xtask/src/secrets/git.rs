//! Reads the index and the history through git's plumbing.
//!
//! git lists what commits changed from their trees alone, and gives the blobs as they are: no attribute, encoding or
//! diff driver hides a file. What it cannot give is counted and named, as what was not read is not clean.

use std::collections::HashSet;
use std::io::{self, Cursor, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail};

use super::archive;
use super::engine::Place;
use super::scanner::{Scanner, count};
use super::versions::Versions;
use crate::core::finding::Finding;
use crate::system::git::{self, CommitChange};
use crate::system::repo::Repo;

/// Commits or blobs a process is given at once: enough to pay for its start, few enough to share out evenly.
const BATCH: usize = 400;

/// Commits that git cannot list and that are looked for one by one; with more, whole batches count as unread.
const UNLISTED: usize = 50;

/// The largest archive of the index or the history that is unfolded, in bytes: it is held in memory.
const ARCHIVE_MOST: u64 = 64 << 20;

/// Scans what the next commit would hold: blobs of the index that differ from `HEAD`.
pub(super) fn staged(scanner: &Scanner, repo: &Repo) -> Result<Vec<Finding>> {
    let blobs = git::staged(repo.root())?;
    let mut findings = Vec::new();
    let mut buffer = Vec::new();
    git::read_blobs(
        repo.root(),
        blobs.iter().filter(|blob| !scanner.skips(&blob.path)),
        |blob, body| {
            findings.extend(scan_blob(scanner, Place { path: &blob.path, commit: None }, body, &mut buffer)?);
            Ok(())
        },
        |blob, why| scanner.unread(&blob.path, why),
    )?;
    Ok(findings)
}

pub(super) fn scan_blob(
    scanner: &Scanner,
    place: Place<'_>,
    mut body: &mut dyn Read,
    buffer: &mut Vec<u8>,
) -> io::Result<Vec<Finding>> {
    if !scanner.archives {
        return scanner.read(place, body, buffer);
    }
    let mut head = Vec::new();
    Read::by_ref(&mut body).take(archive::HEAD as u64).read_to_end(&mut head)?;
    let Some(kind) = archive::kind(place.path, &head) else {
        return scanner.read(place, Cursor::new(head).chain(body), buffer);
    };
    Read::by_ref(&mut body).take(ARCHIVE_MOST).read_to_end(&mut head)?;
    if head.len() as u64 >= ARCHIVE_MOST {
        scanner.unread(place.path, "it is too large for an archive in the history");
        return Ok(Vec::new());
    }
    Ok(archive::scan(scanner, place, kind, Cursor::new(head)))
}

/// Scans what every commit added: `since..HEAD`, or all that any ref reaches.
pub(super) fn history(
    scanner: &Scanner,
    repo: &Repo,
    since: Option<&str>,
    messages: bool,
) -> Result<Vec<Finding>> {
    let commits = commits(repo, since)?;
    let commits: Vec<&str> = commits.iter().map(String::as_str).collect();
    count(&scanner.counts.commits, commits.len() as u64);
    let shallow = git::shallow(repo.root())?;
    let cut = commits.iter().filter(|commit| shallow.contains(**commit)).count();
    if cut > 0 {
        let why = "the clone is shallow and lacks the commits before; run `git fetch --unshallow`";
        scanner.unread(&format!("history before {cut} commits"), why);
    }
    let changes = changes(scanner, repo, &commits)?;
    let mut findings = Versions::new(scanner, repo, &changes).findings()?;
    if since.is_none() {
        findings.extend(scan_tips(scanner, repo)?);
    }
    if messages {
        findings.extend(scan_messages(scanner, repo, since)?);
    }
    // One finding a secret and path: the commit that brought it first.
    let mut known = HashSet::new();
    findings.retain(|finding| known.insert(finding.fingerprint.clone()));
    Ok(findings)
}

/// Scans what refs hold without a commit; the object takes the place of the commit in findings.
fn scan_tips(scanner: &Scanner, repo: &Repo) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut buffer = Vec::new();
    for tip in git::tips_without_commit(repo.root())? {
        git::read_blobs(
            repo.root(),
            tip.files.iter().filter(|blob| !scanner.skips(&blob.path)),
            |blob, body| {
                let place = Place { path: &blob.path, commit: Some(&tip.object) };
                findings.extend(scan_blob(scanner, place, body, &mut buffer)?);
                Ok(())
            },
            |blob, why| scanner.unread(&format!("{} of {}", blob.path, tip.name), why),
        )?;
    }
    Ok(findings)
}

/// The commits, oldest first.
fn commits(repo: &Repo, since: Option<&str>) -> Result<Vec<String>> {
    let mut list = git::command(repo.root());
    list.args(["rev-list", "--topo-order", "--reverse"]);
    match since {
        Some(revision) => list.args(["--end-of-options", &format!("{revision}..HEAD")]),
        None => list.args(["--all"]),
    };
    let commits = git::output(&mut list).with_context(|| match since {
        Some(revision) => format!("failed to list the commits since {revision}; is that a revision here (shallow clones lack old ones)?"),
        None => "failed to list the commits; --history needs a git repository without damage".to_owned(),
    })?;
    Ok(std::str::from_utf8(&commits)?.lines().map(str::to_owned).collect())
}

/// What the commits changed, in their order. Commits that git cannot list count as unread.
fn changes(scanner: &Scanner, repo: &Repo, commits: &[&str]) -> Result<Vec<CommitChange>> {
    let unlisted = AtomicUsize::new(0);
    let batches: Vec<&[&str]> = commits.chunks(size(commits.len())).collect();
    let listed = in_parallel(&batches, |batch| Ok(list(scanner, repo, batch, true, &unlisted)))?;
    Ok(listed.into_iter().flatten().collect())
}

fn list(
    scanner: &Scanner,
    repo: &Repo,
    commits: &[&str],
    may_fetch: bool,
    unlisted: &AtomicUsize,
) -> Vec<CommitChange> {
    let error = match git::changes(repo.root(), commits, may_fetch) {
        Ok(changes) => return changes,
        Err(error) => error,
    };
    if commits.len() > 1 && unlisted.load(Ordering::Relaxed) < UNLISTED {
        let (first, second) = commits.split_at(commits.len() / 2);
        let mut changes = list(scanner, repo, first, false, unlisted);
        changes.extend(list(scanner, repo, second, false, unlisted));
        return changes;
    }
    unlisted.fetch_add(commits.len(), Ordering::Relaxed);
    for commit in commits {
        scanner.unread(&format!("commit {commit}"), &format!("{error:#}"));
    }
    Vec::new()
}

/// How many of so many things are one piece of work.
pub(super) fn size(length: usize) -> usize {
    length.div_ceil(workers() * 4).clamp(1, BATCH)
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Does the work of each batch, several at a time; the results come in the order of the batches.
pub(super) fn in_parallel<I: Sync, O: Send>(
    batches: &[I],
    work: impl Fn(&I) -> Result<O> + Sync,
) -> Result<Vec<O>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let run = || -> Result<()> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(batch) = batches.get(at) else { return Ok(()) };
            let done = work(batch)?;
            results.lock().ok().context("a scanning thread failed")?.push((at, done));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers().min(batches.len())).map(|_| scope.spawn(run)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a scanning thread failed")))
    })?;
    let mut results: Vec<(usize, O)> = results.into_inner().ok().context("a scanning thread failed")?;
    results.sort_by_key(|(at, _)| *at);
    Ok(results.into_iter().map(|(_, done)| done).collect())
}

/// Scans commit messages, and the messages of annotated tags.
fn scan_messages(scanner: &Scanner, repo: &Repo, since: Option<&str>) -> Result<Vec<Finding>> {
    let mut log = git::command(repo.root());
    log.args(["log", "--format=%H%n%B%x00"]);
    match since {
        Some(revision) => log.args(["--end-of-options", &format!("{revision}..HEAD")]),
        None => log.arg("--all"),
    };
    let mut texts = git::output(&mut log).context("failed to read the commit messages")?;
    texts.extend(
        git::output(git::command(repo.root()).args([
            "for-each-ref",
            "--format=%(objectname)%0a%(contents)%00",
            "refs/tags",
        ]))
        .context("failed to read the tags")?,
    );
    let mut findings = Vec::new();
    for text in texts.split(|byte| *byte == 0).map(<[u8]>::trim_ascii_start) {
        let Some(end) = memchr::memchr(b'\n', text) else { continue };
        let (commit, message) = text.split_at(end);
        let commit = String::from_utf8_lossy(commit);
        if !scanner.engine.set.allows_commit(&commit) {
            let place = Place { path: "(message)", commit: Some(&commit) };
            findings.extend(scanner.text(place, &message[1..]));
        }
    }
    Ok(findings)
}
