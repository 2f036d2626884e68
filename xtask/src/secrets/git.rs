//! Reads the index and the history through git's plumbing.
//!
//! One process each for a few hundred commits, several at a time, reads a history faster than one
//! `git log -p` can, as unpacking objects is the slow part and that runs side by side.

use std::collections::HashSet;
use std::io::{BufReader, Write as _};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use super::engine::Place;
use super::scanner::{Scanner, count};
use crate::core::finding::Finding;
use crate::system::dialogue::Watched;
use crate::system::git;
use crate::system::repo::Repo;

/// Commits a process is given at once: enough to pay for its start, few enough to share out evenly.
const BATCH: usize = 400;

/// Scans what the next commit would hold: blobs of the index that differ from `HEAD`.
pub(super) fn staged(scanner: &Scanner, repo: &Repo) -> Result<Vec<Finding>> {
    let blobs = git::staged(repo.root())?;
    let mut findings = Vec::new();
    let mut buffer = Vec::new();
    git::read_blobs(
        repo.root(),
        blobs.iter().filter(|blob| !scanner.skips(&blob.path)),
        |blob, body| {
            findings.extend(scanner.read(&blob.path, body, &mut buffer)?);
            Ok(())
        },
        |blob, why| {
            tracing::warn!("not scanned: {}: {why}", blob.path);
            count(&scanner.counts.unreadable, 1);
        },
    )?;
    Ok(findings)
}

/// Scans what every commit added: `since..HEAD`, or all that any ref reaches.
pub(super) fn history(
    scanner: &Scanner,
    repo: &Repo,
    since: Option<&str>,
    messages: bool,
) -> Result<Vec<Finding>> {
    let mut list = git::command(repo.root());
    list.args(["rev-list", "--topo-order", "--reverse"]);
    match since {
        Some(revision) => list.args(["--end-of-options", &format!("{revision}..HEAD")]),
        None => list.args(["--all"]),
    };
    let commits = git::output(&mut list).with_context(|| match since {
        Some(revision) => format!("failed to list the commits since {revision}; is that a revision here (shallow clones lack old ones)?"),
        None => "failed to list the commits; --history needs a git repository".to_owned(),
    })?;
    let commits: Vec<&str> = std::str::from_utf8(&commits)?.lines().collect();
    count(&scanner.counts.commits, commits.len() as u64);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let size = commits.len().div_ceil(workers * 4).clamp(1, BATCH);
    let batches: Vec<&[&str]> = commits.chunks(size).collect();
    let next = AtomicUsize::new(0);
    let seen = Mutex::new(HashSet::new());
    let results: Mutex<Vec<(usize, Vec<Finding>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(batch) = batches.get(at) else { return Ok(()) };
                let found = scan_batch(scanner, repo, batch, &seen)?;
                results.lock().ok().context("a scanning thread failed")?.push((at, found));
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a scanning thread failed")))
    })?;
    let mut results = results.into_inner().ok().context("a scanning thread failed")?;
    results.sort_by_key(|(at, _)| *at);
    let mut findings: Vec<Finding> = results.into_iter().flat_map(|(_, found)| found).collect();
    if messages {
        findings.extend(scan_messages(scanner, repo, since)?);
    }
    // One finding a secret and path: the commit that brought it first.
    let mut known = HashSet::new();
    findings.retain(|finding| known.insert(finding.fingerprint.clone()));
    Ok(findings)
}

type Seen = Mutex<HashSet<[u8; 16]>>;

fn scan_batch(scanner: &Scanner, repo: &Repo, commits: &[&str], seen: &Seen) -> Result<Vec<Finding>> {
    let mut child = git::command(repo.root())
        .args([
            "diff-tree",
            "--stdin",
            "--root",
            "-r",
            "-p",
            "-U0",
            "--cc",
            "--no-renames",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to run git diff-tree; is git installed and on PATH?")?;
    let mut ask = child.stdin.take().context("git diff-tree has no stdin")?;
    let text = commits.join("\n") + "\n";
    let writer = std::thread::spawn(move || ask.write_all(text.as_bytes()));
    let answer = child.stdout.take().context("git diff-tree has no stdout")?;
    let git = Watched::new(child, git::PATIENCE);
    let findings = Patch::new(scanner, seen).read(BufReader::with_capacity(256 << 10, git.read(answer)));
    if findings.is_err() {
        git.kill();
    }
    drop(writer.join());
    let status = git.wait().context("git diff-tree did not end")?;
    if findings.is_ok() && !status.success() {
        bail!("git diff-tree ended with {status}, so the history was not read whole");
    }
    findings
}

/// Reads a stream of patches: collects what each file gained, and scans that.
struct Patch<'a> {
    scanner: &'a Scanner,
    seen: &'a Seen,
    findings: Vec<Finding>,
    commit: String,
    path: Option<String>,
    added: Vec<u8>,
    /// For each added line, its number in the new file.
    numbers: Vec<usize>,
    next_number: usize,
    /// Lines left of the hunk that is being read, and in how many columns it marks changes.
    columns: usize,
    in_hunk: bool,
}

impl<'a> Patch<'a> {
    fn new(scanner: &'a Scanner, seen: &'a Seen) -> Self {
        Self {
            scanner,
            seen,
            findings: Vec::new(),
            commit: String::new(),
            path: None,
            added: Vec::new(),
            numbers: Vec::new(),
            next_number: 1,
            columns: 1,
            in_hunk: false,
        }
    }

    fn read(mut self, mut reader: impl std::io::BufRead) -> Result<Vec<Finding>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line).context("failed to read from git diff-tree")? == 0 {
                self.flush();
                return Ok(self.findings);
            }
            self.line(&line);
        }
    }

    fn line(&mut self, line: &[u8]) {
        if self.in_hunk && self.hunk_line(line) {
            return;
        }
        self.in_hunk = false;
        let text = line.trim_ascii_end();
        if line.starts_with(b"@@") {
            self.hunk(text);
        } else if let Some(name) = text.strip_prefix(b"+++ ") {
            self.path = (name != b"/dev/null").then(|| git::unquoted(name));
        } else if let Some(names) = text.strip_prefix(b"Binary files ") {
            self.binary(names);
        } else if text.starts_with(b"diff --") {
            self.flush();
        } else if matches!(text.len(), 40 | 64) && text.iter().all(u8::is_ascii_hexdigit) {
            self.flush();
            self.commit = String::from_utf8_lossy(text).into_owned();
        }
    }

    /// Whether the line belongs to the hunk that is being read.
    fn hunk_line(&mut self, line: &[u8]) -> bool {
        if line.len() < self.columns {
            return false;
        }
        let (marks, rest) = line.split_at(self.columns);
        if line.starts_with(b"\\") {
            return true;
        }
        if !marks.iter().all(|mark| matches!(mark, b'+' | b'-' | b' ')) {
            return false;
        }
        if marks.contains(&b'-') {
            return true;
        }
        if marks.iter().all(|mark| *mark == b'+') {
            self.added.extend_from_slice(rest);
            self.numbers.push(self.next_number);
        }
        self.next_number += 1;
        true
    }

    /// `@@ -1,2 +3,4 @@`, or `@@@ … @@@` for a merge of two.
    fn hunk(&mut self, text: &[u8]) {
        let marks = text.iter().take_while(|byte| **byte == b'@').count();
        self.columns = marks.max(2) - 1;
        let start = text.split(|byte| *byte == b' ').find_map(|field| field.strip_prefix(b"+"));
        let start = start
            .and_then(|field| std::str::from_utf8(field.split(|b| *b == b',').next()?).ok()?.parse().ok());
        self.next_number = start.unwrap_or(1);
        self.in_hunk = true;
    }

    /// `a/one.bin and b/one.bin differ`: not scanned, but its path may say enough.
    fn binary(&mut self, names: &[u8]) {
        let Some(names) = names.strip_suffix(b" differ") else { return };
        let Some(and) = memchr::memmem::rfind(names, b" and ") else { return };
        let name = &names[and + b" and ".len()..];
        if name != b"/dev/null" {
            let path = git::unquoted(name);
            tracing::debug!("skipped {path} in {}: binary", self.commit);
            count(&self.scanner.counts.binary, 1);
            self.path = Some(path);
        }
    }

    /// Scans what one file gained in one commit, if the same was not scanned before.
    fn flush(&mut self) {
        let path = self.path.take();
        // What an allowed commit brought counts as unseen: another commit may bring it too.
        if let Some(path) = path
            && !self.scanner.engine.set.allows_commit(&self.commit)
            && self.fresh(&path)
            && !self.scanner.skips(&path)
        {
            let place = Place { path: &path, commit: Some(&self.commit) };
            count(&self.scanner.counts.bytes, self.added.len() as u64);
            self.findings.extend(self.scanner.of_path(place));
            for mut finding in self.scanner.text(place, &self.added) {
                let real = |line: usize| self.numbers.get(line - 1).copied().unwrap_or(line);
                finding.span.line = real(finding.span.line);
                finding.span.end_line = real(finding.span.end_line);
                self.findings.push(finding);
            }
        }
        self.added.clear();
        self.numbers.clear();
    }

    fn fresh(&self, path: &str) -> bool {
        let digest = Sha256::new().chain_update(path).chain_update([0]).chain_update(&self.added).finalize();
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        self.seen.lock().map_or(true, |mut seen| seen.insert(short))
    }
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
