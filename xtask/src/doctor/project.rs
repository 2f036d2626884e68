//! The dbt project of the checkout: whether `elt` could build it as it is.

use std::path::PathBuf;

use anyhow::Result;

use super::Verdict;
use crate::core::policy::Environments;
use crate::dbt::packages::Packages;
use crate::dbt::profile::{Adapter, Profile};
use crate::dbt::project::Project;
use crate::dbt::{files, seed_files};
use crate::system::repo::Repo;

fn project(repo: &Repo) -> Result<Project> {
    Project::read(&repo.dbt_project()?)
}

/// The profile that dbt would run with, and the keys of the project's own profile that are left out.
pub(super) fn profile(repo: &Repo) -> Verdict {
    let decide = || -> Result<(Project, Profile)> {
        let project = project(repo)?;
        let policy = Environments::load(repo)?;
        let profile = Profile::decide(repo.root(), &project, Adapter::DuckDb, &policy.local.profile, 1)?;
        Ok((project, profile))
    };
    match decide() {
        Ok((_, profile)) if !profile.warnings.is_empty() => Verdict::warn(
            profile.warnings.join("\n"),
            "name secrets by variables, or set the key in [local.profile] of policies/environments.toml",
        ),
        Ok((project, profile)) => {
            let own = if project.folder().join("profiles.yml").is_file() {
                "; adapter settings are taken over from profiles.yml, schema and path are not"
            } else {
                ""
            };
            Verdict::ok(format!("`{}` is generated for each run{own}", profile.name))
        }
        Err(error) => Verdict::from_error(&error),
    }
}

/// Whether the packages that the project declares are installed.
pub(super) fn packages(repo: &Repo) -> Verdict {
    match project(repo).and_then(|project| Packages::wanted(&project)) {
        Ok(None) => Verdict::ok("all declared packages are installed"),
        Ok(Some(_)) => Verdict::warn(
            "not all declared packages are installed",
            "the next `cargo xtask elt` runs `dbt deps`",
        ),
        Err(error) => Verdict::from_error(&error),
    }
}

pub(super) fn seeds(repo: &Repo) -> Verdict {
    match project(repo).and_then(|project| seed_files::check(&project, None, Adapter::DuckDb)) {
        Ok(()) => Verdict::ok("every CSV file can be loaded as it is"),
        Err(error) => Verdict::from_error(&error),
    }
}

/// A `generate_schema_name` that never asks for the target's schema builds every environment into one schema.
pub(super) fn schemas(repo: &Repo) -> Verdict {
    match project(repo).and_then(|project| fixed_schema(&project)) {
        Ok(None) => Verdict::ok("schema names begin with the environment's"),
        Ok(Some(path)) => Verdict::warn(
            format!("{}: generate_schema_name never uses target.schema", repo.relative(&path).display()),
            "`elt` refuses to build outside the environment; return target.schema, alone or as the beginning of the \
             name (docs/projects.md)",
        ),
        Err(error) => Verdict::from_error(&error),
    }
}

fn fixed_schema(project: &Project) -> Result<Option<PathBuf>> {
    for folder in project.paths("macro-paths").iter().filter(|folder| folder.is_dir()) {
        for path in files::walk(folder)? {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let is_fixed = text.contains("macro generate_schema_name(")
                && !["target.schema", "target[", "default__generate_schema_name", "_for_env"]
                    .iter()
                    .any(|good| text.contains(good));
            if is_fixed {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}
