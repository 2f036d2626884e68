//! `cargo xtask secrets`: find leaked credentials in files, the index, stdin and the history.
//!
//! The modules below go from bytes to findings: `engine` finds, `judge` decides whether a value is a
//! secret at all, `scanner` turns hits into findings, `files` and `git` fetch what is scanned.

mod allow;
mod assignment;
mod baseline;
mod bigrams;
mod decode;
mod engine;
mod files;
mod fingerprint;
mod generic;
mod git;
mod judge;
mod names;
mod rules;
mod scanner;
mod shape;
mod tokens;
mod verify;

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use serde_json::{Map, Value};

use self::baseline::Baseline;
use self::engine::Engine;
use self::rules::RuleSet;
use self::scanner::Scanner;
use crate::finding::Finding;
use crate::outcome::Outcome;
use crate::repo::Repo;
use crate::report::{Format, Report};

/// Find leaked credentials in files, the index, stdin and the history.
///
/// Exit code 0: none; 1: some; 2: could not look. No output holds a secret.
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

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    files::check(&args.paths)?;
    let scanner = Scanner::new(Engine::new(rules(args, repo)?)?);
    let mut findings = if args.staged {
        git::staged(&scanner, repo)?
    } else if args.history || args.since.is_some() {
        git::history(&scanner, repo, args.since.as_deref(), args.messages)?
    } else {
        files::scan(&scanner, repo, &args.paths)?
    };
    Finding::sort(&mut findings);
    let named = args.baseline.as_deref();
    let default = repo.policies().join(baseline::FILE);
    let baseline = Baseline::load(named.unwrap_or(&default), named.is_some() && !args.update_baseline)?;
    let mut summary = summary(&scanner);
    if args.update_baseline {
        if !whole(args) {
            bail!("--update-baseline needs a scan of everything; leave out paths, --staged and --since");
        }
        let written = baseline.update(&findings)?;
        tracing::info!("accepted {written} findings in the baseline; give each a reason");
        findings.clear();
    } else {
        let accepted = baseline.apply(&mut findings, jiff::Zoned::now().date(), repo.root(), whole(args));
        insert(&mut summary, "accepted_by_baseline", accepted as u64);
        Finding::sort(&mut findings);
    }
    insert(&mut summary, "findings", findings.len() as u64);
    Report { command: "secrets", findings: &findings, summary: &summary }.print(args.format)
}

/// Whether the scan saw everything a baseline may be about.
fn whole(args: &Args) -> bool {
    args.paths.is_empty() && !args.staged && args.since.is_none()
}

/// The rules: the named file, the repository's own, or those built in; with a `.gitleaks.toml` the
/// allowlists and rules in it come on top.
fn rules(args: &Args, repo: &Repo) -> Result<RuleSet> {
    if let Some(file) = &args.config {
        return RuleSet::load(file);
    }
    let own = repo.policies().join("secrets.toml");
    let mut set = if own.is_file() { RuleSet::load(&own)? } else { RuleSet::built_in()? };
    let gitleaks = repo.root().join(".gitleaks.toml");
    if gitleaks.is_file() {
        set.add(&gitleaks)?;
    }
    Ok(set)
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
