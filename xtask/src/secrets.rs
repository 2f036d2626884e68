//! `cargo xtask secrets`: find leaked credentials in files, the index, stdin and the history.
//!
//! The modules below go from bytes to findings: `engine` finds, `assess` decides whether a value is a
//! secret at all, `scanner` turns hits into findings, `files` and `git` fetch what is scanned.

mod added;
mod allow;
mod archive;
mod assess;
mod assignment;
mod baseline;
mod bigrams;
mod collections;
mod columns;
mod confidence;
mod connection;
mod decode;
mod engine;
mod files;
mod fingerprint;
mod generic;
mod git;
mod ignored;
mod kubernetes;
mod lfs;
mod names;
mod pair;
mod rules;
mod scanner;
mod shape;
mod sql;
mod terraform;
pub(crate) mod testing;
mod tokens;
mod user_list;
mod verify;
mod versions;

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use serde_json::{Map, Value};

use self::baseline::{Baseline, Looked};
use self::engine::{Engine, Place};
use self::fingerprint::Fingerprints;
use self::ignored::Ignored;
use self::rules::RuleSet;
use self::scanner::Scanner;
use crate::core::clock;
use crate::core::finding::Finding;
use crate::report::{Format, Report};
use crate::system::contract::Contract;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;

/// Find leaked credentials in files, the index, stdin and the history.
///
/// Exit code 0: none; 1: some; 2: could not look, or none in what could be read. No output holds a secret.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// Files and folders to look at, `-` for stdin; default: what git tracks or would track.
    paths: Vec<PathBuf>,

    /// Look at what the next commit would hold: the index, not the work tree.
    #[arg(long, conflicts_with_all = ["paths", "history", "since"])]
    staged: bool,

    /// Look at what every commit of the history added.
    #[arg(long, conflicts_with = "paths")]
    history: bool,

    /// Only the commits after this revision; implies --history.
    #[arg(long, value_name = "REV", conflicts_with = "paths")]
    since: Option<String>,

    /// With --history: commit and tag messages too.
    #[arg(long, requires = "history")]
    messages: bool,

    /// Look into zip, tar, gzip, bzip2 and xz files too.
    #[arg(long)]
    archives: bool,

    /// Exit with 0 when nothing is found though not all could be read (a shallow or partial clone, damaged objects).
    #[arg(long)]
    allow_incomplete: bool,

    /// Findings that were accepted; default: policies/secrets-baseline.toml where it exists.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Accept all that is found now: rewrite the baseline, keeping its reasons and dates.
    #[arg(long)]
    update_baseline: bool,

    /// Rules in gitleaks' format; default: policies/secrets.toml, else the built-in ones.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// How to print the findings.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The schemas of its policies.
pub(crate) fn contracts() -> [Contract; 2] {
    [rules::contract(), baseline::contract()]
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    files::check(&args.paths)?;
    let rules = match &args.config {
        Some(file) => RuleSet::load(file)?,
        None => rules(repo)?,
    };
    let ignored = Ignored::load(repo.root(), &rules)?;
    let mut scanner = Scanner::new(Engine::new(rules)?);
    scanner.archives = args.archives;
    scanner.stored = Some(lfs::Store::new(repo.root()));
    let mut findings = if args.staged {
        git::staged(&scanner, repo)?
    } else if args.history || args.since.is_some() {
        git::history(&scanner, repo, args.since.as_deref(), args.messages)?
    } else {
        files::scan(&scanner, repo, &args.paths)?
    };
    Finding::sort(&mut findings);
    let ignored = ignored.apply(&mut findings);
    let named = args.baseline.as_deref();
    let default = default_baseline(repo);
    let baseline = Baseline::load(named.unwrap_or(&default), named.is_some() && !args.update_baseline)?;
    let mut summary = summary(&scanner);
    insert(&mut summary, "ignored_by_gitleaksignore", ignored as u64);
    if args.update_baseline {
        let looked = looked(args);
        if !scanner.not_read().is_empty() && !args.allow_incomplete {
            bail!(
                "the scan is incomplete, so the baseline was left as it is; accept that with --allow-incomplete"
            );
        }
        if looked == Looked::Part {
            bail!("--update-baseline needs a scan of everything; leave out paths, --staged and --since");
        }
        let written = baseline.update(&findings, looked)?;
        tracing::info!("accepted {written} findings in the baseline; give each a reason");
        findings.clear();
    } else {
        let looked = if scanner.not_read().is_empty() { looked(args) } else { Looked::Part };
        let accepted = baseline.apply(&mut findings, clock::today(), repo.root(), looked);
        insert(&mut summary, "accepted_by_baseline", accepted as u64);
        Finding::sort(&mut findings);
    }
    insert(&mut summary, "findings", findings.len() as u64);
    let not_read = scanner.not_read();
    let incomplete = !not_read.is_empty();
    summary.insert("incomplete".to_owned(), incomplete.into());
    summary.insert("not_read".to_owned(), not_read.into());
    let outcome = Report { command: "secrets", findings: &findings, describe: |_| None, summary: &summary }
        .print(args.format)?;
    if incomplete {
        tracing::warn!(
            "the scan is incomplete: {} things were not read{}",
            scanner.counts.unreadable.load(Ordering::Relaxed),
            if args.allow_incomplete { "" } else { "; accept that with --allow-incomplete" }
        );
    }
    Ok(if outcome == Outcome::Clean && incomplete && !args.allow_incomplete {
        Outcome::Incomplete
    } else {
        outcome
    })
}

/// What of all that a baseline may be about the scan looks at.
fn looked(args: &Args) -> Looked {
    match () {
        () if !args.paths.is_empty() || args.staged || args.since.is_some() => Looked::Part,
        () if args.history => Looked::History,
        () => Looked::Files,
    }
}

/// The rules: the repository's own, or those built in; with a `.gitleaks.toml` the allowlists and rules
/// in it come on top.
fn rules(repo: &Repo) -> Result<RuleSet> {
    let [own, gitleaks] = rule_files(repo);
    let mut set = if own.is_file() { RuleSet::load(&own)? } else { RuleSet::built_in()? };
    if gitleaks.is_file() {
        set.add(&gitleaks)?;
    }
    Ok(set)
}

fn rule_files(repo: &Repo) -> [PathBuf; 2] {
    [repo.policies().join("secrets.toml"), repo.root().join(".gitleaks.toml")]
}

fn default_baseline(repo: &Repo) -> PathBuf {
    repo.policies().join(baseline::FILE)
}

/// The scanner as `lint` uses it: one file after the other, with its counts.
pub(crate) struct FileScanner(Scanner);

/// What one file held.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    pub(crate) findings: Vec<Finding>,
    pub(crate) allowed_inline: u64,
}

impl FileScanner {
    pub(crate) fn open(repo: &Repo) -> Result<Self> {
        Ok(Self(Scanner::new(Engine::new(rules(repo)?)?)))
    }

    /// Everything but the file that decides what [`FileScanner::scan`] finds: rules and key.
    pub(crate) fn configuration(repo: &Repo) -> Vec<u8> {
        let mut bytes = Fingerprints::from_environment().key_digest().to_vec();
        for file in rule_files(repo) {
            bytes.extend(std::fs::read(&file).unwrap_or_default());
            bytes.push(0);
        }
        bytes
    }

    /// The findings of one file; memory does not follow its size.
    pub(crate) fn scan(&self, path: &str, reader: impl Read) -> io::Result<Scanned> {
        let scanner = self.0.counting_anew();
        if scanner.skips(path) {
            return Ok(Scanned::default());
        }
        let findings = scanner.read(Place { path, commit: None }, reader, &mut Vec::new())?;
        Ok(Scanned { findings, allowed_inline: scanner.counts.allowed_inline.load(Ordering::Relaxed) })
    }
}

/// What a rule for leaked credentials looks for, and what to do about a hit; `None` if no rule or
/// provider has that name.
pub(crate) fn explain(id: &str, repo: &Repo) -> Result<Option<String>> {
    let rules = rules(repo)?;
    let rule = rules.rules.iter().find(|rule| rule.id == id);
    let rule = rule.map(|rule| (rule.description.clone(), rule.revoke.as_str()));
    let provider = rules.providers.iter().find(|provider| provider.id == id);
    let provider =
        provider.map(|provider| (format!("{} credential", provider.name), provider.revoke.as_str()));
    Ok(rule.or(provider).map(|(what, revoke)| {
        format!(
            "### {id}\n\nA leaked credential: {what}.\n\n**What to do:** {}\n\nTo accept one place, end its line with \
             a comment `xtask:allow`, or run `cargo xtask secrets --update-baseline` and give the entry a reason.\n",
            rules::remedy(&what, revoke)
        )
    }))
}

/// Takes out the findings that the repository's baseline accepts, and adds what is wrong with the
/// baseline; returns how many were accepted, those of a `.gitleaksignore` included. `whole` says that the whole
/// repository was scanned.
pub(crate) fn apply_baseline(findings: &mut Vec<Finding>, repo: &Repo, whole: bool) -> Result<usize> {
    let ignored = Ignored::load(repo.root(), &rules(repo)?)?.apply(findings);
    let baseline = Baseline::load(&default_baseline(repo), false)?;
    let looked = if whole { Looked::Files } else { Looked::Part };
    Ok(ignored + baseline.apply(findings, clock::today(), repo.root(), looked))
}

fn summary(scanner: &Scanner) -> Map<String, Value> {
    let counts = &scanner.counts;
    let mut summary = Map::new();
    for (name, counter) in [
        ("files", &counts.files),
        ("commits", &counts.commits),
        ("bytes", &counts.bytes),
        ("skipped_binary", &counts.binary),
        ("skipped_unreadable", &counts.unreadable),
        ("skipped_by_allowlist", &counts.allowed_paths),
        ("allowed_inline", &counts.allowed_inline),
    ] {
        insert(&mut summary, name, counter.load(Ordering::Relaxed));
    }
    summary
}

fn insert(summary: &mut Map<String, Value>, name: &str, count: u64) {
    summary.insert(name.to_owned(), count.into());
}
