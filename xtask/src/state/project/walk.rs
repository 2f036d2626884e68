//! The files of a package, and what each is by its folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ignore::WalkBuilder;

use super::{Kind, Package, Role, layout};
use crate::core::yaml::Node as Yaml;

/// A file and what it is to its package.
pub(super) struct Found {
    pub(super) package: usize,
    pub(super) role: Role,
    pub(super) path: PathBuf,
    pub(super) shown: String,
    /// Below the folder of its kind.
    pub(super) folders: Vec<String>,
    pub(super) stem: String,
    pub(super) extension: String,
}

/// Folders directly in a project or package that hold no input of dbt. Packages are read one by one.
pub(crate) const NO_INPUT: [&str; 6] = ["target", "logs", "dbt_packages", ".git", ".xtask", ".venv"];

pub(super) fn walk(package: &Package, at: usize) -> Result<Vec<Found>> {
    let layout = layout(&package.settings);
    let wanted: Vec<PathBuf> = layout.iter().map(|(path, _)| package.root.join(path)).collect();
    let skipped: Vec<PathBuf> = NO_INPUT
        .iter()
        .map(|name| package.root.join(name))
        .chain(
            package
                .settings
                .get("packages-install-path")
                .and_then(Yaml::text)
                .map(|path| package.root.join(path)),
        )
        .collect();
    let walker = WalkBuilder::new(&package.root)
        .standard_filters(false)
        .follow_links(true)
        .add_custom_ignore_filename(".dbtignore")
        .sort_by_file_path(Path::cmp)
        .filter_entry(move |entry| {
            let path = entry.path();
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
            let is_wanted = wanted.iter().any(|folder| path.starts_with(folder) || folder.starts_with(path));
            is_wanted && (is_file || !skipped.iter().any(|folder| folder == path))
        })
        .build();
    let mut found = Vec::new();
    for entry in walker {
        let entry = entry.with_context(|| format!("failed to read {}", package.root.display()))?;
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let path = entry.into_path();
        let inner = path.strip_prefix(&package.root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let Some((base, role)) = layout.iter().find(|(base, _)| {
            base.is_empty() || inner.strip_prefix(base.as_str()).is_some_and(|rest| rest.starts_with('/'))
        }) else {
            continue;
        };
        let below = if base.is_empty() { inner.as_str() } else { &inner[base.len() + 1..] };
        let mut folders: Vec<String> = below.split('/').map(str::to_owned).collect();
        let file = folders.pop().unwrap_or_default();
        let Some((stem, extension)) = file.rsplit_once('.') else { continue };
        let (stem, extension) = (stem.to_owned(), extension.to_lowercase());
        if !matches!(extension.as_str(), "sql" | "py" | "yml" | "yaml" | "md" | "csv") {
            continue;
        }
        let role = match role {
            Role::Nodes(kind) => Role::Nodes(*kind),
            Role::Macros => Role::Macros,
            Role::Analyses => Role::Analyses,
        };
        if extension == "csv" && !matches!(role, Role::Nodes(Kind::Seed | Kind::Test)) {
            continue;
        }
        let shown = format!("{}{inner}", package.shown);
        found.push(Found { package: at, role, path, shown, folders, stem, extension });
    }
    Ok(found)
}
