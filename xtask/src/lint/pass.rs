//! The pass itself: every file is read once, its digest looked up, and checked by the groups that apply
//! to it.
//!
//! Three steps, each parallel over files. Reading keeps the texts that SQL, YAML and dbt need; files of any
//! size are scanned for secrets as a stream. Then single files are checked, then the dbt project as a
//! whole. All results go through the cache.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use anyhow::Result;
use rayon::prelude::*;

use super::cache::{Cache, Evaluated};
use super::inputs::{Input, Inputs};
use super::rule::{Offence, Source};
use super::settings::Settings;
use super::{catalogue, common, dbt, dbt_v2, project, prose, sql, workflow, yaml};
use crate::core::finding::{Excerpt, Finding, Group, Lines};
use crate::dbt::graph::Graph;
use crate::secrets::FileScanner;
use crate::system::digest::{self, Digest};
use crate::system::repo::Repo;

/// A text larger than this was not written by hand: it is scanned for secrets only.
const LARGEST_SOURCE: u64 = 4 << 20;

/// How far an excerpt extends on each side of a finding, in characters.
const EXCERPT: usize = 60;

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
        Some(finding(offence, &String::from_utf8_lossy(bytes)))
    }
}

/// git's own test: a zero byte near the start.
fn is_binary(bytes: &[u8]) -> bool {
    memchr::memchr(0, &bytes[..bytes.len().min(8000)]).is_some()
}

/// The texts of sources, with their digests for the cache.
struct Texts {
    sources: Vec<Source>,
    digests: Vec<[u8; 32]>,
    /// Those whose findings are wanted.
    wanted: Vec<usize>,
}

impl Texts {
    fn of(read: Vec<Read<'_>>) -> Self {
        let mut texts = Self { sources: Vec::new(), digests: Vec::new(), wanted: Vec::new() };
        for read in read {
            let Some(text) = read.text else { continue };
            if read.input.wanted {
                texts.wanted.push(texts.sources.len());
            }
            texts.sources.push(Source { path: read.input.path.clone(), text });
            texts.digests.push(read.digest);
        }
        texts
    }
}

/// Checks sources by group, with the facts about the repository as a whole that the groups need. Costly
/// parts are built on first use, so that a run without changes builds none of them.
struct Evaluator<'a> {
    pass: &'a Pass<'a>,
    texts: &'a Texts,
    all: Vec<&'a Source>,
    paths: Vec<&'a str>,
    yaml: Result<yaml::Config, String>,
    workflow: workflow::Context<'a>,
    folders: Vec<(String, sql::Role)>,
    sql: OnceLock<Result<sql::Project, String>>,
    /// What the results of each group depend on besides the file.
    keys: BTreeMap<Group, Digest>,
}

impl<'a> Evaluator<'a> {
    fn new(pass: &'a Pass<'a>, texts: &'a Texts, inputs: &'a Inputs) -> Self {
        let all: Vec<&Source> = texts.sources.iter().collect();
        let paths: Vec<&str> = inputs.files.iter().map(|file| file.path.as_str()).collect();
        let folders = project::folders(&all);
        let yaml = project::yaml_config(&all, pass.repo.root()).map_err(|error| format!("{error:#}"));
        let workflow = workflow::Context::new(paths.iter().copied()).reading(all.iter().copied());
        let (sql, keys) = (OnceLock::new(), BTreeMap::new());
        let mut evaluator = Self { pass, texts, all, paths, yaml, workflow, folders, sql, keys };
        evaluator.keys = evaluator.keys();
        evaluator
    }

    fn keys(&self) -> BTreeMap<Group, Digest> {
        let common = |group: Group| {
            Digest::default()
                .with(group.name())
                .with(&self.pass.settings.text)
                .with(format!("{:?}", self.folders))
        };
        let macros = project::macro_folders(&self.folders);
        let mut keys = BTreeMap::from(
            [Group::Sql, Group::Yaml, Group::Dbt, Group::Workflow].map(|group| (group, common(group))),
        );
        for (source, digest) in self.all.iter().zip(&self.texts.digests) {
            let mut add = |group: Group| {
                if let Some(key) = keys.get_mut(&group) {
                    key.add(&source.path);
                    key.add(digest);
                }
            };
            if project::decides_sql(&source.path, &macros) {
                add(Group::Sql);
            }
            // A call is checked against the workflow or action that it calls.
            if workflow::decides(&source.path) || workflow::concerns(&source.path) {
                add(Group::Workflow);
            }
            add(Group::Dbt);
        }
        if let (Some(key), Ok(config)) = (keys.get_mut(&Group::Yaml), &self.yaml) {
            // With all files that the settings name: those they extend, and lists of ignored files.
            config.inputs().iter().for_each(|input| key.add(input));
        }
        for group in [Group::Dbt, Group::Workflow] {
            if let Some(key) = keys.get_mut(&group) {
                self.paths.iter().for_each(|path| key.add(path));
            }
        }
        keys
    }

    /// Records settings for SQL that have no effect. Every run reports them, also if all results are cached.
    fn note_settings(&self) {
        let wanted = self.texts.wanted.iter().map(|at| self.all[*at].path.as_str());
        let wanted: Vec<&str> = wanted.filter(|path| common::is_sql(path)).collect();
        if wanted.is_empty() || !self.pass.groups.contains(&Group::Sql) {
            return;
        }
        let notes = project::sql_inputs(&self.all, &self.folders).notes(wanted);
        if let Ok(mut known) = self.pass.notes.lock() {
            known.extend(notes);
        }
    }

    /// The groups whose findings in unchanged files may differ, because something that these files are rendered, checked
    /// or run with changed.
    fn affected(&self, inputs: &Inputs) -> Vec<Group> {
        let Some(changed) = &inputs.changed else { return Vec::new() };
        let macros = project::macro_folders(&self.folders);
        let any = |decides: &dyn Fn(&str) -> bool| changed.iter().any(|change| decides(&change.path));
        let here: HashSet<&str> = self.paths.iter().copied().collect();
        let comes_or_goes =
            changed.iter().any(|change| change.before.is_none() || !here.contains(change.path.as_str()));
        let mut groups = Vec::new();
        if any(&|path| project::decides_sql(path, &macros)) {
            groups.push(Group::Sql);
        }
        if any(&|path| self.yaml.as_ref().is_ok_and(|config| config.reads(path))) {
            groups.push(Group::Yaml);
        }
        if comes_or_goes || any(&workflow::decides) {
            groups.push(Group::Workflow);
        }
        groups
    }

    /// All files that are not wanted themselves, each with the groups.
    fn unchanged(&self, groups: &[Group]) -> Vec<(usize, Group)> {
        let wanted: HashSet<usize> = self.texts.wanted.iter().copied().collect();
        (0..self.all.len())
            .filter(|at| !wanted.contains(at) && !project::is_package(&self.all[*at].path, &self.folders))
            .flat_map(|at| groups.iter().map(move |group| (at, *group)))
            .collect()
    }

    /// The findings of a single-file group in one file.
    fn file(&self, source: &Source, digest: &[u8; 32], group: Group) -> Vec<Finding> {
        let is_yaml = common::is_yaml(&source.path) || common::is_yamllint(&source.path);
        let concerns = match group {
            Group::Sql => common::is_sql(&source.path),
            Group::Yaml => is_yaml,
            Group::Workflow => is_yaml && workflow::concerns(&source.path),
            Group::Secrets | Group::Dbt | Group::DbtV2 | Group::Prose | Group::Supply | Group::Policy => {
                false
            }
        };
        if !concerns || !self.pass.groups.contains(&group) {
            return Vec::new();
        }
        let key = self.keys[&group].clone().with(&source.path).with(digest);
        let found = self.pass.cached_of(key, &source.path, || {
            let sql::Checked { offences, warnings, unknown } = self.offences(group, source)?;
            Ok(Evaluated { unknown, warnings, ..evaluated(offences, &source.text) })
        });
        found.unwrap_or_else(|error| {
            // Invalid settings of one group do not keep the others from reporting.
            self.pass.fail(group, &error);
            Vec::new()
        })
    }

    fn offences(&self, group: Group, source: &Source) -> Result<sql::Checked> {
        let offences = match group {
            Group::Sql => return sql::check(source, self.sql()?),
            Group::Yaml => {
                let config = self.yaml.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
                Ok(yaml::check(source, config))
            }
            Group::Workflow => workflow::check(source, &self.workflow, &self.pass.settings.parameters),
            Group::Secrets | Group::Dbt | Group::DbtV2 | Group::Prose | Group::Supply | Group::Policy => {
                Ok(Vec::new())
            }
        };
        Ok(sql::Checked { offences: offences?, ..sql::Checked::default() })
    }

    fn sql(&self) -> Result<&sql::Project> {
        let load = || {
            let inputs = project::sql_inputs(&self.all, &self.folders);
            sql::Project::load(inputs, &self.pass.settings.parameters).map_err(|error| format!("{error:#}"))
        };
        self.sql.get_or_init(load).as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Findings about whole dbt projects: all of them if any file of a project is wanted, since a change in
    /// one file can cause a finding in another. A deleted file counts as changed.
    fn projects(&self, inputs: &Inputs, group: Group) -> Vec<Finding> {
        let roots: Vec<&str> =
            self.all.iter().filter_map(|source| project::root_of_project(&source.path)).collect();
        let wanted = self.texts.wanted.iter().map(|at| self.all[*at].path.as_str());
        let changed = inputs.changed.iter().flatten().map(|change| change.path.as_str());
        let concerned = wanted.chain(changed).any(|path| roots.iter().any(|root| path.starts_with(root)));
        if !concerned {
            return Vec::new();
        }
        let found = self.pass.cached(self.keys[&Group::Dbt].clone().with(group.name()), || {
            let graph = Graph::build(&self.all, &self.paths);
            let offences = if group == Group::DbtV2 {
                let own = self.all.iter().filter(|source| !project::is_package(&source.path, &self.folders));
                dbt_v2::check(&graph, &own.copied().collect::<Vec<_>>())
            } else {
                dbt::check(&graph, &self.pass.settings.parameters)?
            };
            let texts: HashMap<&str, &str> =
                self.all.iter().map(|source| (source.path.as_str(), source.text.as_str())).collect();
            let mut all = Evaluated::default();
            for (path, offences) in by_path(offences) {
                let found = evaluated(offences, texts.get(path.as_str()).copied().unwrap_or_default());
                all.findings.extend(found.findings);
                all.allowed_inline += found.allowed_inline;
            }
            Ok(all)
        });
        found.unwrap_or_else(|error| {
            self.pass.fail(group, &error);
            Vec::new()
        })
    }
}

fn by_path(offences: Vec<Offence>) -> BTreeMap<String, Vec<Offence>> {
    let mut paths: BTreeMap<String, Vec<Offence>> = BTreeMap::new();
    for offence in offences {
        paths.entry(offence.path.clone()).or_default().push(offence);
    }
    paths
}

impl From<crate::secrets::Scanned> for Evaluated {
    fn from(scanned: crate::secrets::Scanned) -> Self {
        Self { findings: scanned.findings, allowed_inline: scanned.allowed_inline, ..Self::default() }
    }
}

/// The offences of one file as findings, except those that a comment allows.
fn evaluated(offences: Vec<Offence>, text: &str) -> Evaluated {
    let mut evaluated = Evaluated::default();
    for offence in offences {
        if common::allowed_inline(&offence, text) {
            evaluated.allowed_inline += 1;
        } else {
            evaluated.findings.push(finding(offence, text));
        }
    }
    number_repeats(&mut evaluated.findings);
    evaluated
}

/// An offence as a finding, completed from the catalogue entry of its rule.
fn finding(offence: Offence, text: &str) -> Finding {
    let entry = catalogue::entry(&offence.rule);
    let lines = Lines::new(text.as_bytes());
    let line = line_of(text, &lines, offence.span.line);
    let fingerprint = Digest::default()
        .with(offence.rule.as_ref())
        .with(&offence.path)
        .with(&offence.message)
        .with(line.trim())
        .short();
    Finding {
        group: entry.group,
        severity: entry.severity,
        excerpt: Some(excerpt(line, &offence)),
        remedy: offence.remedy.unwrap_or_else(|| entry.remedy.into_owned()),
        rule: offence.rule.into_owned(),
        path: offence.path,
        span: offence.span,
        message: offence.message,
        fingerprint,
        commit: None,
    }
}

/// Two equal lines with the same offence are two findings: the second gets a different fingerprint.
fn number_repeats(findings: &mut [Finding]) {
    let mut seen = HashMap::<String, u32>::new();
    for finding in findings {
        let count = seen.entry(finding.fingerprint.clone()).or_default();
        if *count > 0 {
            finding.fingerprint =
                Digest::default().with(&finding.fingerprint).with(count.to_le_bytes()).short();
        }
        *count += 1;
    }
}

fn line_of<'a>(text: &'a str, lines: &Lines<'_>, number: usize) -> &'a str {
    let (start, end) = lines.bounds_of_line(number);
    text.get(start..end).unwrap_or_default().trim_end_matches('\r')
}

/// The line with the offence in its middle, shortened if it is long.
fn excerpt(line: &str, offence: &Offence) -> Excerpt {
    let span = offence.span;
    let characters: Vec<char> = line.trim_start_matches('\u{feff}').chars().collect();
    let from = (span.column.max(1) - 1).min(characters.len());
    let until = if span.end_line > span.line {
        characters.len()
    } else {
        (span.end_column.max(1) - 1).min(characters.len())
    };
    let (first, last) = (
        from.saturating_sub(EXCERPT),
        (until.max(from) + EXCERPT).min(characters.len()).min(from + 3 * EXCERPT),
    );
    let mut text = if first > 0 { "…".to_owned() } else { String::new() };
    let start = text.chars().count() + from - first;
    text.extend(&characters[first..last]);
    let width = until.saturating_sub(from).clamp(1, last.saturating_sub(from).max(1));
    if last < characters.len() {
        text.push('…');
    }
    Excerpt { text, start, width }
}
