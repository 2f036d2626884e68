//! `cargo xtask init` and `cargo xtask upgrade`: use the toolkit in another repository, and keep it current there.
//!
//! `files` lists the toolkit's files and `plan` the changes; `apply` writes them and decides nothing, so the diff
//! that is shown is the change that is made. A repository gets a small package that depends on the toolkit at one
//! commit, the alias, and copies of policies and workflows. `policies/toolkit.json` records the files as they were
//! copied: the common ancestor with which an upgrade merges local edits.

mod files;
mod merge;
mod plan;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use self::files::Toolkit;
use self::plan::Plan;
use crate::system::console;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::target;

/// Set up the toolkit in another repository with a dbt project: show what would be written, and write it.
#[derive(clap::Args, Debug)]
pub(crate) struct Init {
    #[command(flatten)]
    options: Options,
}

/// Bring the files of a newer toolkit into a repository, keeping local edits.
#[derive(clap::Args, Debug)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    options: Options,

    /// Keep the local version of this file, whose edits conflict with the toolkit's.
    #[arg(long, value_name = "PATH")]
    keep: Vec<String>,
}

#[derive(clap::Args, Debug)]
struct Options {
    /// The repository to write to; without it, the one of the current folder.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,

    /// The toolkit's repository, as a git URL or a folder; without it, the one that this program was built in.
    #[arg(long, value_name = "URL")]
    toolkit: Option<String>,

    /// Write the changes; without it, they are only shown.
    #[arg(long)]
    yes: bool,
}

impl Init {
    pub(crate) fn run(&self, repo: &Repo) -> Result<Outcome> {
        self.options.run(repo, "init", &[])
    }
}

impl Upgrade {
    pub(crate) fn run(&self, repo: &Repo) -> Result<Outcome> {
        self.options.run(repo, "upgrade", &self.keep)
    }
}

impl Options {
    fn run(&self, repo: &Repo, command: &str, keep: &[String]) -> Result<Outcome> {
        let repo = match &self.into {
            Some(folder) => Repo::discover(
                &folder
                    .canonicalize()
                    .with_context(|| format!("failed to read the folder {}", folder.display()))?,
            ),
            None => repo.clone(),
        };
        let toolkit = Toolkit::find(self.toolkit.as_deref())?;
        if toolkit.is_in(repo.root()) {
            bail!("{} is the toolkit's own repository; name another one with --into", repo.root().display());
        }
        let remembered = plan::Remembered::read(repo.root())?;
        match (command, &remembered) {
            ("init", Some(_)) => {
                tracing::info!("the toolkit is set up here already; this brings what is missing");
            }
            ("upgrade", None) => bail!(
                "{} does not exist, so the toolkit was not set up here by `cargo xtask init`; run that first",
                repo.root().join(plan::REMEMBERED).display()
            ),
            _ => {}
        }
        let plan = Plan::make(&repo, &toolkit, remembered.as_ref(), keep)?;
        plan.show(self.yes)?;
        if self.yes {
            plan.apply(repo.root())?;
        }
        if !plan.conflicts.is_empty() {
            return Ok(Outcome::Findings);
        }
        console::print(&next_steps(&repo, &plan, self.yes, command))?;
        if command == "init" && target::projects(&repo).len() > 1 {
            console::print(&several_projects(&repo))?;
        }
        Ok(Outcome::Clean)
    }
}

fn next_steps(repo: &Repo, plan: &Plan, done: bool, command: &str) -> String {
    if plan.changes.is_empty() {
        return format!("{} is current: nothing to write", repo.root().display());
    }
    if !done {
        return format!(
            "Nothing was written. `cargo xtask {command} … --yes` writes these {} files.",
            plan.changes.len()
        );
    }
    if command == "upgrade" {
        return "Written. Review with `git diff`, then commit.".to_owned();
    }
    format!(
        "Written. Next, in {}:\n  cargo xtask doctor                 # what is missing, and how to fix it\n  \
         cargo xtask elt --schema issue_1   # build an environment on DuckDB\n  \
         cargo xtask hooks install          # lint before each commit\nThen commit, and follow docs/github.md of the \
         toolkit for GitHub.",
        repo.root().display()
    )
}

/// What several dbt projects in one repository need.
fn several_projects(repo: &Repo) -> String {
    format!(
        "This repository has several dbt projects: {}. Name one with --project-dir in each command. On DuckDB each has its \
         own files; on Snowflake give each a database in policies/environments.toml:\n{}",
        target::projects(repo).join(", "),
        target::example(repo)
    )
}

/// A path with slashes, as people and git write it.
fn shown(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}
