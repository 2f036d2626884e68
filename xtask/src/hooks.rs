//! `cargo xtask hooks`: the pre-commit hook, without a hook manager.
//!
//! Users of pre-commit or prek have `.pre-commit-config.yaml`, which calls the same command.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::system::console;
use crate::system::git;
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;

/// The script that git runs before a commit. It names its author, so that a later install recognises it.
const HOOK: &str = "\
#!/bin/sh
# Installed by `cargo xtask hooks install`. To commit without it once: git commit --no-verify
exec cargo xtask lint --staged
";

/// Install or remove the pre-commit hook.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Run `cargo xtask lint --staged` before every commit of this repository.
    Install(Install),
    /// Remove the hook that `install` wrote.
    Uninstall,
}

#[derive(clap::Args, Debug)]
struct Install {
    /// Replace a hook that this toolkit did not write; the old one is kept as pre-commit.before-xtask.
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    let hook = hook_file(repo)?;
    let current = match fs::read_to_string(&hook) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", hook.display())),
    };
    let ours = current.as_deref() == Some(HOOK);
    match &args.command {
        Command::Install(_) if ours => console::print(&format!("{} is already installed", hook.display()))?,
        Command::Install(install) => {
            if current.is_some() {
                set_aside(&hook, install.force)?;
            }
            write(&hook)?;
            console::print(&format!("installed {}: every commit is linted first", hook.display()))?;
        }
        Command::Uninstall if ours => {
            fs::remove_file(&hook).with_context(|| format!("failed to remove {}", hook.display()))?;
            console::print(&format!("removed {}", hook.display()))?;
        }
        Command::Uninstall if current.is_some() => {
            bail!("{} was not installed by this toolkit: remove it by hand if it is yours", hook.display())
        }
        Command::Uninstall => console::print("no hook is installed")?,
    }
    Ok(Outcome::Clean)
}

/// Where git looks for the hook: worktrees share one, and `core.hooksPath` may name another folder.
fn hook_file(repo: &Repo) -> Result<PathBuf> {
    let asked = git::output(git::command(repo.root()).args(["rev-parse", "--git-path", "hooks/pre-commit"]));
    let printed = asked.with_context(|| {
        format!(
            "{} is not a git repository, so no hook can be installed; `git init` makes it one",
            repo.root().display()
        )
    })?;
    Ok(repo.root().join(git::path(printed.trim_ascii_end())))
}

fn set_aside(hook: &Path, force: bool) -> Result<()> {
    if !force {
        bail!(
            "{} exists and was not written by this toolkit; add the line `cargo xtask lint --staged` to it, \
             or replace it with --force",
            hook.display()
        );
    }
    let aside = hook.with_file_name("pre-commit.before-xtask");
    fs::rename(hook, &aside).with_context(|| format!("failed to move {} aside", hook.display()))?;
    tracing::info!("the former hook is kept as {}", aside.display());
    Ok(())
}

/// Written to a temporary file and moved into place: git never runs a partial hook.
fn write(hook: &Path) -> Result<()> {
    let folder = hook.parent().context("a hook lies in a folder")?;
    let failed = || format!("failed to write {}", hook.display());
    fs::create_dir_all(folder).with_context(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(HOOK.as_bytes()).with_context(failed)?;
    make_executable(file.path()).with_context(failed)?;
    file.persist(hook).with_context(failed)?;
    Ok(())
}

#[cfg(unix)]
fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// git for Windows runs hooks by their first line, without a mode.
#[cfg(not(unix))]
fn make_executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}
