//! The pass itself: every file is read once, its digest looked up, and checked by the groups that apply
//! to it.
//!
//! Three steps, each parallel over files. Reading keeps the texts that SQL, YAML and dbt need; files of any
//! size are scanned for secrets as a stream. Then single files are checked, then the dbt project as a
//! whole. All results go through the cache.

mod evaluator;
mod findings;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use anyhow::Result;
use rayon::prelude::*;

use self::evaluator::{Evaluator, Texts};
use self::findings::{evaluated, finding};
use super::cache::{Cache, Evaluated};
use super::inputs::{Input, Inputs};
use super::settings::Settings;
use super::{common, prose};
use crate::core::finding::{Finding, Group, Lines};
use crate::secrets::FileScanner;
use crate::system::digest::{self, Digest};
use crate::system::repo::Repo;

/// A text larger than this was not written by hand: it is scanned for secrets only.
const LARGEST_SOURCE: u64 = 4 << 20;

/// What was checked and what was not; the summary shows all of it.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) files: AtomicU64,
    pub(super) evaluated: AtomicU64,
    pub(super) cached: AtomicU64,
    pub(super) unreadable: AtomicU64,
    pub(super) oversized: AtomicU64,
    pub(super) binary: AtomicU64,
    pub(super) allowed_inline: AtomicU64,
    /// Files that could be checked only in part: not known to be clean.
    pub(super) unknown: AtomicU64,
}

impl Counts {
    pub(super) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

pub(super) struct Pass<'a> {
    pub(super) repo: &'a Repo,
    pub(super) groups: &'a BTreeSet<Group>,
    pub(super) settings: &'a Settings,
    pub(super) cache: &'a Cache,
    pub(super) counts: Counts,
    /// Groups that failed, and why: the others still report.
    pub(super) failures: Mutex<BTreeSet<(Group, String)>>,
    /// Settings that have no effect, and the values assumed for missing ones.
    pub(super) notes: Mutex<BTreeSet<String>>,
}

/// What a pass found.
#[derive(Default)]
pub(super) struct Found {
    /// In the wanted files.
    pub(super) wanted: Vec<Finding>,
    /// In files that did not change, but whose findings a change may alter.
    pub(super) elsewhere: Vec<Finding>,
    /// The groups that checked unchanged files.
    pub(super) affected: Vec<Group>,
}

/// What every file is checked with as soon as it is read.
struct Reading {
    /// What the findings of secrets depend on besides the file.
    secrets: Digest,
    scanner: OnceLock<Result<FileScanner, String>>,
    /// The word list, if there is one and prose is checked.
    words: Option<prose::Words>,
}

impl Reading {
    fn new(pass: &Pass<'_>) -> Self {
        let words = if pass.groups.contains(&Group::Prose) {
            prose::Words::load(&pass.settings.parameters).unwrap_or_else(|error| {
                pass.fail(Group::Prose, &error);
                None
            })
        } else {
            None
        };
        let secrets = Digest::default().with("secrets").with(FileScanner::configuration(pass.repo));
        Self { secrets, scanner: OnceLock::new(), words }
    }

    fn scanner(&self, repo: &Repo) -> Result<&FileScanner> {
        let open = || FileScanner::open(repo).map_err(|error| format!("{error:#}"));
        self.scanner.get_or_init(open).as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// The word list, if a file is checked against it.
    fn words(&self, input: &Input) -> Option<&prose::Words> {
        self.words.as_ref().filter(|_| input.wanted && prose::concerns(&input.path))
    }
}

/// A file after reading.
struct Read<'a> {
    input: &'a Input,
    digest: [u8; 32],
    /// The text, if a group other than secrets may need it.
    text: Option<String>,
    /// Findings of reading it: leaked credentials, or that it is not text.
    findings: Vec<Finding>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        repo: &'a Repo,
        groups: &'a BTreeSet<Group>,
        settings: &'a Settings,
        cache: &'a Cache,
    ) -> Self {
        Self {
            repo,
            groups,
            settings,
            cache,
            counts: Counts::default(),
            failures: Mutex::default(),
            notes: Mutex::default(),
        }
    }
}

impl Pass<'_> {
    /// Every finding of the wanted files, before the policy is applied.
    pub(super) fn run(&self, inputs: &Inputs) -> Result<Found> {
        let reading = Reading::new(self);
        let mut read: Vec<Read<'_>> = inputs
            .files
            .par_iter()
            .filter_map(|input| self.read(input, &reading).transpose())
            .collect::<Result<_>>()?;
        let of_reading: Vec<Finding> =
            read.iter_mut().flat_map(|read| std::mem::take(&mut read.findings)).collect();
        let mut found = self.evaluate(read, inputs);
        found.wanted.splice(0..0, of_reading);
        Ok(found)
    }

    /// Records that a group failed.
    fn fail(&self, group: Group, error: &anyhow::Error) {
        if let Ok(mut failures) = self.failures.lock() {
            failures.insert((group, format!("{error:#}")));
        }
    }

    /// Reads a file, and scans it for secrets if its findings are wanted. `None` if no group needs it or it
    /// cannot be read.
    fn read<'a>(&self, input: &'a Input, reading: &Reading) -> Result<Option<Read<'a>>> {
        let keep = common::is_source(&input.path);
        let scan = input.wanted && self.groups.contains(&Group::Secrets);
        if !keep && !scan && reading.words(input).is_none() {
            return Ok(None);
        }
        match self.try_read(input, keep, scan, reading) {
            Ok(read) => {
                Counts::add(&self.counts.files, u64::from(input.wanted));
                Ok(Some(read))
            }
            Err(error) => {
                let Some(io) = error.downcast_ref::<std::io::Error>() else { return Err(error) };
                // A file that was deleted during the run needs no check.
                if io.kind() != std::io::ErrorKind::NotFound {
                    tracing::warn!("not checked: {}: {io}", input.path);
                    Counts::add(&self.counts.unreadable, 1);
                }
                Ok(None)
            }
        }
    }

    fn try_read<'a>(&self, input: &'a Input, keep: bool, scan: bool, reading: &Reading) -> Result<Read<'a>> {
        let scanner = || reading.scanner(self.repo);
        let key = |digest: &[u8]| reading.secrets.clone().with(&input.path).with(digest);
        let mut read = Read { input, digest: [0; 32], text: None, findings: Vec::new() };
        if input.size()? > LARGEST_SOURCE {
            if keep {
                tracing::warn!(
                    "{} is larger than {} MiB: scanned for secrets only",
                    input.path,
                    LARGEST_SOURCE >> 20
                );
                Counts::add(&self.counts.oversized, 1);
            }
            if scan {
                read.digest = digest::of_content(input.open()?)?;
                let evaluated = self
                    .cached(key(&read.digest), || Ok(scanner()?.scan(&input.path, input.open()?)?.into()))?;
                read.findings.extend(evaluated);
            }
            return Ok(read);
        }
        let mut bytes = Vec::new();
        input.open()?.read_to_end(&mut bytes)?;
        read.digest = digest::of_content(&bytes[..])?;
        if scan {
            let evaluated =
                self.cached(key(&read.digest), || Ok(scanner()?.scan(&input.path, &bytes[..])?.into()))?;
            read.findings.extend(evaluated);
        }
        read.findings.extend(self.prose(input, &bytes, &read.digest, reading)?);
        if keep && is_binary(&bytes) {
            tracing::warn!("not checked: {}: its content is binary, despite its name", input.path);
            Counts::add(&self.counts.binary, 1);
        } else if keep {
            match String::from_utf8(bytes) {
                Ok(text) => read.text = Some(text),
                Err(error) if input.wanted => read.findings.extend(self.not_text(input, &error)),
                Err(_) => {}
            }
        } else if input.wanted
            && common::is_seed(&input.path)
            && let Err(error) = String::from_utf8(bytes)
        {
            read.findings.extend(self.not_text(input, &error));
        }
        Ok(read)
    }

    /// The words of a file that the word list replaces. Bytes that are not text are reported elsewhere.
    fn prose(&self, input: &Input, bytes: &[u8], digest: &[u8], reading: &Reading) -> Result<Vec<Finding>> {
        let (Some(words), Ok(text)) = (reading.words(input), std::str::from_utf8(bytes)) else {
            return Ok(Vec::new());
        };
        let key = Digest::default().with("prose").with(&self.settings.text).with(&input.path).with(digest);
        self.cached(key, || Ok(evaluated(prose::check(&input.path, text, words), text)))
    }

    /// Checks what was read: single files, then the dbt projects.
    fn evaluate(&self, read: Vec<Read<'_>>, inputs: &Inputs) -> Found {
        let texts = Texts::of(read);
        let evaluator = Evaluator::new(self, &texts, inputs);
        evaluator.note_settings();
        let all = [Group::Sql, Group::Yaml, Group::Workflow];
        let findings = |wanted: &[(usize, Group)]| -> Vec<Finding> {
            let evaluated = wanted
                .par_iter()
                .map(|(at, group)| evaluator.file(&texts.sources[*at], &texts.digests[*at], *group))
                .collect::<Vec<_>>();
            evaluated.into_iter().flatten().collect()
        };
        let wanted: Vec<(usize, Group)> =
            texts.wanted.iter().flat_map(|at| all.map(|group| (*at, group))).collect();
        let affected = inputs.affected.clone().unwrap_or_else(|| evaluator.affected(inputs));
        let unchanged = evaluator.unchanged(&affected);
        let mut found = Found { wanted: findings(&wanted), elsewhere: findings(&unchanged), affected };
        for group in [Group::Dbt, Group::DbtV2] {
            if !self.groups.contains(&group) {
                continue;
            }
            let paths: BTreeSet<&str> =
                texts.wanted.iter().map(|at| texts.sources[*at].path.as_str()).collect();
            let (here, elsewhere): (Vec<Finding>, Vec<Finding>) = evaluator
                .projects(inputs, group)
                .into_iter()
                .partition(|finding| inputs.changed.is_none() || paths.contains(finding.path.as_str()));
            found.wanted.extend(here);
            found.elsewhere.extend(elsewhere);
        }
        found
    }

    /// The cached result, or a new one.
    fn cached(&self, key: Digest, evaluate: impl FnOnce() -> Result<Evaluated>) -> Result<Vec<Finding>> {
        self.cached_of(key, "", evaluate)
    }

    fn cached_of(
        &self,
        key: Digest,
        path: &str,
        evaluate: impl FnOnce() -> Result<Evaluated>,
    ) -> Result<Vec<Finding>> {
        let (evaluated, known) = self.cache.get(key, evaluate)?;
        Counts::add(if known { &self.counts.cached } else { &self.counts.evaluated }, 1);
        Counts::add(&self.counts.allowed_inline, evaluated.allowed_inline);
        for warning in &evaluated.warnings {
            tracing::warn!("{warning}");
        }
        if let Some(reason) = &evaluated.unknown {
            tracing::warn!("not fully checked: {path}: {reason}");
            Counts::add(&self.counts.unknown, 1);
        }
        Ok(evaluated.findings)
    }

    fn not_text(&self, input: &Input, error: &std::string::FromUtf8Error) -> Option<Finding> {
        let bytes = error.as_bytes();
        if !self.groups.contains(&common::group(&input.path)) {
            return None;
        }
        let at = error.utf8_error().valid_up_to();
        let offence = common::NOT_UTF8.offence(
            &input.path,
            Lines::new(bytes).span(at, at + 1),
            format!("byte {:#04x} is not valid UTF-8", bytes[at]),
        );
        let text = String::from_utf8_lossy(bytes);
        Some(finding(offence, &text, &Lines::new(text.as_bytes())))
    }
}

/// git's own test: a zero byte near the start.
fn is_binary(bytes: &[u8]) -> bool {
    memchr::memchr(0, &bytes[..bytes.len().min(8000)]).is_some()
}
