//! Turns texts into findings: decodes them, asks the engine, drops what is waived, redacts the rest.
//!
//! Every mode goes through here, so a secret planted in a file, the index, stdin or a commit gives
//! the same finding.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::allow;
use super::archive;
use super::confidence;
use super::decode;
use super::engine::{Engine, Hit, Place, Source};
use super::fingerprint::Fingerprints;
use super::lfs;
use super::rules;
use super::verify::Proof;
use crate::core::finding::{Excerpt, Finding, Group, Lines, Severity, Span};

/// Texts are read in pieces of this size, so that memory does not follow the largest file.
const PIECE: usize = 2 << 20;
/// The end of a piece that is scanned again with the next one: no secret is longer.
const OVERLAP: usize = 64 << 10;
/// How much of a file decides whether it is binary.
const HEAD: usize = 8000;
/// How much of a line an excerpt shows on each side of the secret, in bytes.
const EXCERPT: usize = 60;
/// How many of the things that were not read are named; the others are counted.
const NAMED: usize = 20;
/// How much of a reason is shown, in characters: errors of damaged files quote what they found.
const REASON: usize = 400;

pub(super) struct Scanner {
    pub(super) engine: Arc<Engine>,
    prints: Fingerprints,
    /// Whether archives are unfolded.
    pub(super) archives: bool,
    /// The files of Git LFS, where a repository is scanned.
    pub(super) stored: Option<lfs::Store>,
    pub(super) counts: Counts,
    /// What was not read: the first of it by name.
    unread: Mutex<Vec<String>>,
}

/// What was looked at and what was not; all of it is in the summary.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) files: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) binary: AtomicU64,
    pub(super) unreadable: AtomicU64,
    pub(super) allowed_paths: AtomicU64,
    pub(super) allowed_inline: AtomicU64,
}

/// Counters need no synchronisation with other data.
pub(super) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Scanner {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            engine: Arc::new(engine),
            prints: Fingerprints::from_environment(),
            archives: false,
            stored: None,
            counts: Counts::default(),
            unread: Mutex::default(),
        }
    }

    /// The same scanner with separate counts.
    pub(super) fn counting_anew(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            prints: self.prints,
            archives: self.archives,
            stored: self.stored.clone(),
            counts: Counts::default(),
            unread: Mutex::default(),
        }
    }

    /// Notes what could not be read, and why: a scan with such a thing is incomplete.
    pub(super) fn unread(&self, what: &str, why: &str) {
        count(&self.counts.unreadable, 1);
        // Errors of damaged files quote their bytes, which may move the cursor of a terminal.
        let line: String = format!("{what}: {why}")
            .chars()
            .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
            .take(REASON)
            .collect();
        if let Ok(mut unread) = self.unread.lock()
            && unread.len() < NAMED
        {
            tracing::warn!("not scanned: {line}");
            unread.push(line);
        }
    }

    /// What could not be read, in the order of names; at most [`NAMED`] of it.
    pub(super) fn not_read(&self) -> Vec<String> {
        let mut unread = self.unread.lock().map_or_else(|_| Vec::new(), |unread| unread.clone());
        unread.sort();
        unread
    }

    /// Whether the rules leave a path out altogether.
    pub(super) fn skips(&self, path: &str) -> bool {
        let skipped =
            self.engine.set.allowlists.iter().any(|list| list.rules.is_empty() && list.allows_path(path));
        if skipped {
            tracing::debug!("skipped {path}: an allowlist of the rules names it");
            count(&self.counts.allowed_paths, 1);
        }
        skipped
    }

    /// Scans all that a reader gives, with the same memory however much that is.
    pub(super) fn read(
        &self,
        place: Place<'_>,
        mut reader: impl Read,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Vec<Finding>> {
        buffer.clear();
        let mut findings = self.of_path(place);
        let mut base = Base::default();
        loop {
            let before = buffer.len();
            let read = reader.by_ref().take((PIECE - before.min(PIECE / 2)) as u64).read_to_end(buffer)?;
            let last = read < PIECE - before.min(PIECE / 2);
            count(&self.counts.bytes, read as u64);
            if base.first && self.binary(place.path, buffer) {
                return Ok(findings);
            }
            if let Some(id) = (base.first && last).then(|| lfs::pointer(buffer)).flatten() {
                findings.extend(self.pointed_to(place, id));
                return Ok(findings);
            }
            if let Some(text) = base.first.then(|| decode::utf16(buffer)).flatten() {
                reader.read_to_end(buffer)?;
                let text = if last { text } else { decode::utf16(buffer).unwrap_or(text) };
                findings.extend(self.piece(place, &text, &base, text.len()));
                return Ok(findings);
            }
            let keep = if last { 0 } else { buffer.len().min(OVERLAP) };
            let until = buffer.len() - keep;
            findings.extend(self.piece(place, buffer, &base, until));
            if last {
                return Ok(findings);
            }
            base.advance(&buffer[..until]);
            buffer.drain(..until);
        }
    }

    /// Scans the file of Git LFS that a pointer is for, if a scan of a repository asks and the file was fetched.
    fn pointed_to(&self, place: Place<'_>, id: &str) -> Vec<Finding> {
        let Some(file) = self.stored.as_ref().and_then(|store| store.file(id)) else { return Vec::new() };
        // What it holds is a file and not a pointer again.
        let outside = Self { stored: None, ..self.counting_anew() };
        let scanned = File::open(file).and_then(|file| outside.read(place, file, &mut Vec::new()));
        scanned.unwrap_or_else(|_| {
            self.unread(place.path, "only the pointer of Git LFS is here; run `git lfs fetch --all`");
            Vec::new()
        })
    }

    /// Whether a file is text in one byte per ASCII character, and no archive that is unfolded or pointer of Git LFS.
    pub(super) fn is_plain(&self, path: &str, text: &[u8]) -> bool {
        lfs::pointer(text).is_none()
            && memchr::memchr(0, &text[..text.len().min(HEAD)]).is_none()
            && !decode::is_utf16(text)
            && !(self.archives && archive::kind(path, text).is_some())
    }

    fn binary(&self, path: &str, head: &[u8]) -> bool {
        let wide = decode::is_utf16(head);
        if wide || memchr::memchr(0, &head[..head.len().min(HEAD)]).is_none() {
            count(&self.counts.files, 1);
            return false;
        }
        tracing::debug!("skipped {path}: binary");
        count(&self.counts.binary, 1);
        true
    }

    /// Scans a whole text.
    pub(super) fn text(&self, place: Place<'_>, bytes: &[u8]) -> Vec<Finding> {
        self.piece(place, bytes, &Base::default(), bytes.len())
    }

    /// The findings of a file that its path alone makes.
    pub(super) fn of_path(&self, place: Place<'_>) -> Vec<Finding> {
        let finding = |rule: &rules::Rule| Finding {
            fingerprint: self.prints.of(&rule.id, place.path, b""),
            remedy: rules::remedy(&rule.description, &rule.revoke),
            message: format!("{}: the file itself, by its path", rule.description),
            rule: rule.id.clone(),
            group: Group::Secrets,
            severity: rule.severity,
            path: place.path.to_owned(),
            span: Span { line: 1, column: 1, end_line: 1, end_column: 1 },
            commit: place.commit.map(str::to_owned),
            excerpt: None,
        };
        self.engine.of_path(place).map(finding).collect()
    }

    /// The findings of a piece that start before `until`.
    fn piece(&self, place: Place<'_>, bytes: &[u8], base: &Base, until: usize) -> Vec<Finding> {
        let hits = self.engine.scan(place, bytes);
        if hits.is_empty() {
            return Vec::new();
        }
        let lines = Lines::new(bytes);
        let mut findings = Vec::new();
        for hit in hits.iter().filter(|hit| hit.range.start < until && !hit.silent) {
            if allow::allowed(bytes, hit.range.start, hit.range.end) {
                count(&self.counts.allowed_inline, 1);
                continue;
            }
            let mut finding = self.finding(place, &lines, hit);
            finding.excerpt = Some(excerpt(bytes, &lines, hit, &hits));
            base.shift(&mut finding.span);
            findings.push(finding);
        }
        findings
    }

    /// A hit as a finding: all about the secret but the secret.
    fn finding(&self, place: Place<'_>, lines: &Lines<'_>, hit: &Hit) -> Finding {
        let (rule, what, revoke, severity, reveal) = match hit.source {
            Source::Rule(at) => {
                let rule = self.engine.rule(at);
                (rule.id.clone(), rule.description.clone(), rule.revoke.as_str(), rule.severity, rule.reveal)
            }
            Source::Provider(at) => {
                let provider = &self.engine.set.providers[at];
                (
                    provider.id.clone(),
                    format!("{} credential", provider.name),
                    provider.revoke.as_str(),
                    Severity::High,
                    0,
                )
            }
            Source::Generic(kind) => {
                (kind.id().to_owned(), kind.description().to_owned(), "", Severity::Medium, 0)
            }
        };
        let severity = confidence::severity(place.path, hit, severity);
        let proof = match hit.proof {
            Proof::Holds => ", given out as its form proves",
            Proof::Doubtful => ", though altered or made up by its form",
            Proof::Plausible | Proof::Refuted => "",
        };
        let beside = hit.beside.as_ref().map(|beside| {
            format!("; the {} that goes with it is {}", beside.what, apart(lines, hit.range.start, beside.at))
        });
        let shown = hit
            .secret
            .get(..reveal.min(hit.secret.len() / 4))
            .map(String::from_utf8_lossy)
            .unwrap_or_default();
        let shown = if shown.is_empty() { String::new() } else { format!(" {shown}…") };
        Finding {
            fingerprint: self.prints.of(&rule, place.path, &hit.secret),
            remedy: rules::remedy(&what, revoke),
            message: format!(
                "{what}{shown} of {} characters{proof}{}",
                hit.secret.len(),
                beside.unwrap_or_default()
            ),
            rule,
            group: Group::Secrets,
            severity,
            path: place.path.to_owned(),
            span: lines.span(hit.range.start, hit.range.end),
            commit: place.commit.map(str::to_owned),
            excerpt: None,
        }
    }
}

/// The position of something relative to a hit: unchanged when lines move.
fn apart(lines: &Lines<'_>, hit: usize, other: usize) -> String {
    let line = |at: usize| lines.span(at, at).line;
    let (hit, other) = (line(hit), line(other));
    match other.abs_diff(hit) {
        0 => "on the same line".to_owned(),
        lines => format!(
            "{lines} line{} {}",
            if lines == 1 { "" } else { "s" },
            if other < hit { "above" } else { "below" }
        ),
    }
}

/// The position of a piece in its text.
struct Base {
    first: bool,
    /// Lines before the piece.
    lines: usize,
    /// Characters of the piece's first line that are before the piece.
    columns: usize,
}

impl Default for Base {
    fn default() -> Self {
        Self { first: true, lines: 0, columns: 0 }
    }
}

impl Base {
    fn advance(&mut self, passed: &[u8]) {
        let tail = match memchr::memrchr(b'\n', passed) {
            Some(at) => {
                self.columns = 0;
                &passed[at + 1..]
            }
            None => passed,
        };
        self.first = false;
        self.lines += memchr::memchr_iter(b'\n', passed).count();
        self.columns += tail.iter().filter(|byte| (**byte & 0xC0) != 0x80).count();
    }

    fn shift(&self, span: &mut Span) {
        if span.line == 1 {
            span.column += self.columns;
        }
        if span.end_line == 1 {
            span.end_column += self.columns;
        }
        span.line += self.lines;
        span.end_line += self.lines;
    }
}

/// Replaces a secret in an excerpt.
const BLOT: &str = "********";

/// The line of a hit with every secret on it blotted out.
fn excerpt(bytes: &[u8], lines: &Lines<'_>, hit: &Hit, hits: &[Hit]) -> Excerpt {
    let (line_start, line_end) = lines.line_bounds(hit.range.start);
    let start = line_start.max(hit.range.start.saturating_sub(EXCERPT));
    let end = line_end.min(hit.range.end + EXCERPT).max(start);
    let mut text = if start > line_start { "…".to_owned() } else { String::new() };
    let mut at = start;
    let mut caret = 0;
    // Hits do not overlap and are in order: those on the excerpt are neighbours.
    let first = hits.partition_point(|other| other.range.end <= start);
    for other in hits[first..].iter().take_while(|other| other.range.start < end) {
        if other.range.start > at {
            text.push_str(&String::from_utf8_lossy(&bytes[at..other.range.start]));
        }
        if other.range == hit.range {
            caret = text.chars().count();
        }
        if other.range.end > at {
            text.push_str(BLOT);
            at = other.range.end;
        }
    }
    text.push_str(&String::from_utf8_lossy(bytes.get(at..end).unwrap_or_default()));
    text.push_str(if end < line_end { "…" } else { "" });
    Excerpt { text, start: caret, width: BLOT.len() }
}
