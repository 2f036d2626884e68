//! The dbt project that a command works for, and how it differs from others that share its database.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::core::context;
use crate::dbt::packages;
use crate::dbt::project::Project;
use crate::ledger::{Ours, Owner};
use crate::system::github::remote;
use crate::system::repo::Repo;

/// The project that is worked on; unknown without a project, or with several to choose from. A database that is this project's
/// alone needs no look at the repository.
pub(super) fn ours(repo: &Repo, is_alone: bool) -> Ours {
    let root = repo.root().to_path_buf();
    let project = repo.dbt_project().and_then(|folder| Project::read(&folder)).ok();
    let Some((project, name)) = project.as_ref().and_then(|project| Some((project, project.name()?))) else {
        return Ours { root, is_alone, ..Ours::default() };
    };
    let mut owner = Owner {
        project: Some(name.to_owned()),
        project_folder: Some(shown(repo, project.folder())),
        ..Owner::default()
    };
    if is_alone {
        return Ours { owner, root, is_alone, ..Ours::default() };
    }
    owner.repository = context::variable("GITHUB_REPOSITORY");
    owner.repository_id = context::variable("GITHUB_REPOSITORY_ID");
    let mut upstream = None;
    if owner.repository.is_none() {
        owner.repository = remote::repository(repo.root(), remote::ORIGIN);
        upstream = remote::repository(repo.root(), remote::UPSTREAM);
    }
    let packages = packages::local(project);
    let is_package = |folder: &PathBuf| packages.iter().any(|package| is_same(package, folder));
    let others = repo.projects().into_iter().filter(|folder| !is_same(folder, project.folder()));
    let named = |folder: PathBuf| Project::read(&folder).ok()?.name().map(str::to_owned);
    let mut neighbours: BTreeSet<String> =
        others.filter(|folder| !is_package(folder)).filter_map(named).collect();
    neighbours.remove(name);
    Ours { owner, upstream, root, neighbours, is_alone }
}

/// A folder as the policy and the marks name it: with slashes, `.` for the root.
pub(super) fn shown(repo: &Repo, folder: &Path) -> String {
    let relative = repo.relative(folder).to_string_lossy().replace('\\', "/");
    if relative.is_empty() { ".".to_owned() } else { relative }
}

fn is_same(a: &Path, b: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    whole(a) == whole(b)
}
