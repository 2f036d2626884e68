//! `cargo xtask lint`: one pass over secrets, SQL, YAML, dbt and workflows. The pre-commit hook, and the
//! security stage.
//!
//! One process, without Python, dbt, warehouse or network. `inputs` says which files, `pass` has them
//! judged by the groups, `settings` applies the policy, `catalogue` has the words of every rule.

mod cache;
#[cfg(test)]
mod cases;
mod catalogue;
mod common;
mod dbt;
mod dbt_v2;
mod fix;
mod inputs;
mod pass;
mod project;
pub(crate) mod rule;
mod settings;
mod sql;
pub(crate) mod testing;
mod workflow;
mod yaml;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::Result;
use serde_json::{Map, Value};

use self::cache::Cache;
use self::inputs::{Inputs, Wanted};
use self::pass::{Counts, Pass};
use self::settings::Settings;
use crate::core::finding::{Finding, Group};
use crate::report::{Format, Report};
use crate::secrets;
use crate::system::console;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;

/// Check secrets, SQL, YAML, the dbt project and workflows in one pass.
///
/// Looks at what git tracks or would track. Exit code 0: clean; 1: findings; 2: could not look. The rules
/// stand in policies/RULES.md; severities, scopes and waivers in policies/lint.toml.
#[derive(clap::Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// Files and folders to look at; default: the whole repository.
    paths: Vec<PathBuf>,

    /// Look at what the next commit would hold: the index, not the work tree.
    #[arg(long, conflicts_with = "paths")]
    staged: bool,

    /// Only files that changed since this revision, such as `origin/main`.
    #[arg(long, value_name = "REV")]
    since: Option<String>,

    /// With --since: only findings on lines that changed.
    #[arg(long, requires = "since")]
    changed_lines: bool,

    /// Only these groups of rules.
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    only: Vec<Group>,

    /// Mend what can be mended without doubt, and report the rest.
    #[arg(long, conflicts_with = "staged")]
    fix: bool,

    /// Judge every file anew, and remember nothing.
    #[arg(long)]
    no_cache: bool,

    /// Say what a rule is about, why, and how to waive it.
    #[arg(long, value_name = "RULE", exclusive = true)]
    explain: Option<String>,

    /// Print all rules, in Markdown.
    #[arg(long, exclusive = true)]
    rules: bool,

    /// How to print the findings.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
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
    let today = jiff::Zoned::now().date();
    let groups = groups(&args.only);
    let mut settings = Settings::load(repo, catalogue::knows)?;
    let wanted = Wanted { paths: &args.paths, staged: args.staged, since: args.since.as_deref() };
    let inputs = Inputs::list(repo, &wanted)?;
    if args.fix {
        fix::run(repo, &inputs, &settings, groups.contains(&Group::DbtV2))?;
    }
    let cache = Cache::open(repo, !args.no_cache);
    let pass = Pass { repo, groups: &groups, settings: &settings, cache: &cache, counts: Counts::default() };
    let mut findings = pass.run(&inputs)?;
    let counts = pass.counts;
    let whole = inputs.whole && args.only.is_empty();
    cache.close(whole);

    let accepted = if groups.contains(&Group::Secrets) {
        secrets::apply_baseline(&mut findings, repo, whole)?
    } else {
        0
    };
    let waived = settings.apply(&mut findings, today);
    findings.extend(settings.complaints(today, whole));
    if let Some(changes) = inputs.changes.as_ref().filter(|_| args.changed_lines) {
        findings.retain(|finding| changes.touch(&finding.path, finding.span.line, finding.span.end_line));
    }
    Finding::sort(&mut findings);
    let summary = summary(&counts, accepted + waived, &findings);
    Report { command: "lint", findings: &findings, describe: catalogue::describe, summary: &summary }
        .print(args.format)
}

fn groups(only: &[Group]) -> BTreeSet<Group> {
    let all = [Group::Secrets, Group::Sql, Group::Yaml, Group::Dbt, Group::Workflow];
    if only.is_empty() { all.into() } else { only.iter().copied().collect() }
}

fn summary(counts: &Counts, waived: usize, findings: &[Finding]) -> Map<String, Value> {
    let counters = [
        ("files", &counts.files),
        ("judged", &counts.judged),
        ("cached", &counts.cached),
        ("skipped_binary", &counts.binary),
        ("skipped_oversized", &counts.oversized),
        ("skipped_unreadable", &counts.unreadable),
        ("allowed_inline", &counts.allowed_inline),
    ];
    let mut summary: Map<String, Value> = counters
        .into_iter()
        .map(|(name, counter)| (name.to_owned(), counter.load(Ordering::Relaxed).into()))
        .collect();
    summary.insert("waived".to_owned(), waived.into());
    summary.insert("findings".to_owned(), findings.len().into());
    summary
}
