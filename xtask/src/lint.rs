//! `cargo xtask lint`: one pass over secrets, SQL, YAML, dbt and workflows. The pre-commit hook, and the
//! security stage.
//!
//! One process, without Python, dbt, warehouse or network. `inputs` lists the files, `pass` runs the rule groups on
//! them, `settings` applies the policy, `catalogue` holds the texts of every rule.

mod baseline;
mod cache;
#[cfg(test)]
mod cases;
mod catalogue;
mod common;
mod dbt;
mod dbt_v2;
mod fix;
mod inputs;
mod nearest;
mod pass;
mod project;
mod prose;
pub(crate) mod rule;
mod settings;
mod sql;
pub(crate) mod testing;
mod workflow;
mod yaml;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

use self::cache::Cache;
use self::inputs::{Inputs, Wanted};
use self::pass::{Counts, Found, Pass};
use self::settings::Settings;
use crate::core::clock;
use crate::core::finding::{Finding, Group};
use crate::report::{Format, Report};
use crate::secrets;
use crate::system::console;
use crate::system::contract::Contract;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;

/// Check secrets, SQL, YAML, the dbt project and workflows in one pass.
///
/// Checks the files that git tracks or would track. Exit code 0: clean; 1: findings; 2: the check failed. The rules
/// are listed in policies/RULES.md; severities, scopes and waivers are set in policies/lint.toml.
#[derive(clap::Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// Files and folders to check; default: the whole repository.
    paths: Vec<PathBuf>,

    /// Check the content of the next commit: the index, not the work tree.
    #[arg(long, conflicts_with = "paths")]
    staged: bool,

    /// Only files that changed since this revision, such as `origin/main`.
    #[arg(long, value_name = "REV")]
    since: Option<String>,

    /// With --since: only findings that the change introduces, in any file. The default with --staged.
    #[arg(long, requires = "since")]
    new: bool,

    /// With --staged: also findings that the files had before.
    #[arg(long, requires = "staged")]
    with_old: bool,

    /// With --since: only findings on lines that changed.
    #[arg(long, requires = "since")]
    changed_lines: bool,

    /// Only these groups of rules.
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    only: Vec<Group>,

    /// Apply safe fixes in the selected groups and files; report the rest.
    #[arg(long, conflicts_with = "staged")]
    fix: bool,

    /// Check one file as an editor holds it: its text comes from stdin, its location from --path.
    #[arg(long, requires = "path", conflicts_with_all = ["paths", "staged", "since", "fix"])]
    stdin: bool,

    /// With --stdin: where the file is or will be.
    #[arg(long, value_name = "FILE", requires = "stdin")]
    path: Option<PathBuf>,

    /// Accept what is found now for --baseline-days, in policies/lint-baseline.toml. Leaked credentials are not accepted.
    #[arg(long, conflicts_with_all = ["paths", "staged", "since", "only", "fix", "stdin"])]
    update_baseline: bool,

    /// How long new entries of the baseline are accepted.
    #[arg(long, value_name = "DAYS", default_value_t = 90, requires = "update_baseline")]
    baseline_days: u16,

    /// Ignore the cache and do not update it.
    #[arg(long)]
    no_cache: bool,

    /// Explain a rule: what it reports, why, and how to waive it.
    #[arg(long, value_name = "RULE", exclusive = true)]
    explain: Option<String>,

    /// Print all rules, in Markdown.
    #[arg(long, exclusive = true)]
    rules: bool,

    /// Output format of the findings.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The schemas of its policies.
pub(crate) fn contracts() -> [Contract; 2] {
    [settings::contract(), baseline::contract()]
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    if let Some(rule) = &args.explain {
        console::print(catalogue::explain(rule, repo)?.trim_end())?;
        return Ok(Outcome::Clean);
    }
    if args.rules {
        console::print(catalogue::document().trim_end())?;
        return Ok(Outcome::Clean);
    }
    let today = clock::today();
    let groups = groups(&args.only);
    let mut settings = Settings::load(repo, catalogue::knows)?;
    let stdin = args.path.as_deref().filter(|_| args.stdin).map(typed).transpose()?;
    let wanted = Wanted {
        paths: &args.paths,
        staged: args.staged,
        since: args.since.as_deref(),
        stdin: stdin.as_ref(),
    };
    let inputs = Inputs::list(repo, &wanted)?;
    if args.fix {
        fix::run(repo, &inputs, &settings, &groups)?;
    }
    let cache = Cache::open(repo, !args.no_cache);
    let pass = Pass::new(repo, &groups, &settings, &cache);
    let found = pass.run(&inputs)?;
    let only_new = args.new || args.staged && !args.with_old;
    let (mut findings, old) = compared(&pass, found, &inputs, only_new)?;
    if stdin.is_some() {
        // What the file does to others is for a run over the repository.
        findings.retain(|finding| inputs.is_wanted(&finding.path));
    }
    let Pass { counts, failures, notes, .. } = pass;
    let notes: Vec<String> = notes.into_inner().unwrap_or_default().into_iter().collect();
    for note in &notes {
        tracing::warn!("{note}");
    }
    let whole = inputs.whole && args.only.is_empty();
    cache.close(whole);

    let accepted = if groups.contains(&Group::Secrets) {
        secrets::apply_baseline(&mut findings, repo, whole)?
    } else {
        0
    };
    let waived = settings.apply(&mut findings, today);
    findings.extend(settings.complaints(today, whole));
    let failed = !failures.lock().is_ok_and(|failures| failures.is_empty());
    let known = baseline::Baseline::load(repo)?;
    if args.update_baseline {
        if failed {
            bail!("the baseline was not written, since a group failed: {}", described(&failures));
        }
        return update_baseline(repo, &known, &findings, today, args.baseline_days);
    }
    let baselined = known.apply(&mut findings, today);
    if baselined.expired > 0 {
        tracing::warn!(
            "{} findings of {} are reported again: their day is over",
            baselined.expired,
            baseline::FILE
        );
    }
    if let Some(changes) = inputs.changes.as_ref().filter(|_| args.changed_lines) {
        findings.retain(|finding| changes.touch(&finding.path, finding.span.line, finding.span.end_line));
    }
    Finding::sort(&mut findings);
    once_per_project(&mut findings, &inputs);
    let mut summary = summary(&counts, accepted + waived, &findings);
    summary.insert("left_out_as_old".to_owned(), old.into());
    summary.insert("baselined".to_owned(), baselined.accepted.into());
    if whole {
        summary.insert("baseline_unused".to_owned(), baselined.unused.into());
    }
    summary.insert("notes".to_owned(), notes.into());
    let outcome =
        Report { command: "lint", findings: &findings, describe: catalogue::describe, summary: &summary }
            .print(args.format)?;
    if failed {
        bail!("{}", described(&failures));
    }
    Ok(outcome)
}

/// Which groups failed, and why.
fn described(failures: &Mutex<BTreeSet<(Group, String)>>) -> String {
    let failures = failures.lock().map(|failures| failures.clone()).unwrap_or_default();
    let lines: Vec<String> =
        failures.iter().map(|(group, error)| format!("the group {} failed: {error}", group.name())).collect();
    lines.join("\n")
}

/// A file as an editor holds it.
fn typed(path: &Path) -> Result<(PathBuf, Vec<u8>)> {
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text).context("failed to read stdin")?;
    Ok((path.to_path_buf(), text))
}

fn update_baseline(
    repo: &Repo,
    known: &baseline::Baseline,
    findings: &[Finding],
    today: jiff::civil::Date,
    days: u16,
) -> Result<Outcome> {
    let path = repo.root().join(baseline::FILE);
    let text = known.text(findings, today, days)?;
    let folder = path.parent().unwrap_or(&path);
    std::fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    std::fs::write(&path, text).with_context(|| format!("failed to write {}", baseline::FILE))?;
    let (accepted, left): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| baseline::is_covered(finding));
    console::print(&format!("{}: {} findings are accepted", baseline::FILE, accepted.len()))?;
    if left.is_empty() {
        return Ok(Outcome::Clean);
    }
    console::print(&format!("{} findings cannot be accepted: leaked credentials and policies", left.len()))?;
    Ok(Outcome::Findings)
}

/// Rules that are one opinion about a whole project: reported once, with the number of places it applies to.
const OPINIONS: [&str; 3] = ["custom-schema", "missing-grain", "model-name"];

/// More findings than this of one opinion are reported as one.
const MOST_OF_ONE_OPINION: usize = 3;

/// Joins the findings that repeat one opinion for every model of a project.
fn once_per_project(findings: &mut Vec<Finding>, inputs: &Inputs) {
    let roots = inputs.projects();
    let key = |finding: &Finding| {
        let root =
            roots.iter().filter(|root| finding.path.starts_with(root.as_str())).max_by_key(|root| root.len());
        OPINIONS.contains(&finding.rule.as_str()).then(|| (finding.rule.clone(), root.cloned()))
    };
    let mut counts = HashMap::new();
    for key in findings.iter().filter_map(key) {
        *counts.entry(key).or_insert(0_usize) += 1;
    }
    let mut seen = HashSet::new();
    findings.retain_mut(|finding| {
        let Some(key) = key(finding) else { return true };
        let count = counts.get(&key).copied().unwrap_or_default();
        if count <= MOST_OF_ONE_OPINION {
            return true;
        }
        let is_first = seen.insert(key);
        if is_first {
            finding.message = format!("{} (and {} more in this project)", finding.message, count - 1);
        }
        is_first
    });
}

/// The findings to report, and how many are left out as old. In unchanged files only findings that the change
/// introduces are reported; with `only_new` also in the changed files. Leaked credentials are never old.
fn compared(pass: &Pass<'_>, found: Found, inputs: &Inputs, only_new: bool) -> Result<(Vec<Finding>, usize)> {
    let Found { wanted, elsewhere, affected } = found;
    if inputs.changed.is_none() {
        return Ok((wanted, 0));
    }
    let is_compared = |finding: &Finding| only_new && finding.group != Group::Secrets;
    if elsewhere.is_empty() && !wanted.iter().any(is_compared) {
        return Ok((wanted, 0));
    }
    let groups: BTreeSet<Group> =
        pass.groups.iter().copied().filter(|group| *group != Group::Secrets).collect();
    let base = inputs.base(pass.repo.root(), affected)?;
    let before = Pass::new(pass.repo, &groups, pass.settings, pass.cache).run(&base)?;
    // Compared by rule, file and message: lines move, and a finding about a whole file is shown at its first line.
    let said = |finding: &Finding| (finding.rule.clone(), finding.path.clone(), finding.message.clone());
    let mut known: HashMap<(String, String, String), usize> = HashMap::new();
    for finding in before.wanted.iter().chain(&before.elsewhere) {
        *known.entry(said(finding)).or_default() += 1;
    }
    let mut is_new = |finding: &Finding| match known.get_mut(&said(finding)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    let all = wanted.len() + elsewhere.len();
    let mut left: Vec<Finding> =
        wanted.into_iter().filter(|finding| !is_compared(finding) || is_new(finding)).collect();
    left.extend(elsewhere.into_iter().filter(|finding| is_new(finding)));
    let old = all - left.len();
    Ok((left, old))
}

fn groups(only: &[Group]) -> BTreeSet<Group> {
    let all = [Group::Secrets, Group::Sql, Group::Yaml, Group::Dbt, Group::Workflow, Group::Prose];
    if only.is_empty() { all.into() } else { only.iter().copied().collect() }
}

fn summary(counts: &Counts, waived: usize, findings: &[Finding]) -> Map<String, Value> {
    let counters = [
        ("files", &counts.files),
        ("evaluated", &counts.evaluated),
        ("cached", &counts.cached),
        ("skipped_binary", &counts.binary),
        ("skipped_oversized", &counts.oversized),
        ("skipped_unreadable", &counts.unreadable),
        ("allowed_inline", &counts.allowed_inline),
        ("not_fully_checked", &counts.unknown),
    ];
    let mut summary: Map<String, Value> = counters
        .into_iter()
        .map(|(name, counter)| (name.to_owned(), counter.load(Ordering::Relaxed).into()))
        .collect();
    summary.insert("waived".to_owned(), waived.into());
    summary.insert("findings".to_owned(), findings.len().into());
    summary
}
