//! What a dbt project says about itself in `dbt_project.yml`, read in microseconds and without dbt.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{files, profile};
use crate::core::yaml::{self, Node};

/// A dbt project: its folder, and what its `dbt_project.yml` says.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    folder: PathBuf,
    settings: Node,
    name: String,
    profile: String,
}

/// Keys of folders that a build reads, with dbt's defaults.
const FOLDERS: [(&str, &str); 6] = [
    ("model-paths", "models"),
    ("seed-paths", "seeds"),
    ("snapshot-paths", "snapshots"),
    ("test-paths", "tests"),
    ("macro-paths", "macros"),
    ("function-paths", "functions"),
];

/// Files beside `dbt_project.yml` that dbt reads.
const FILES: [&str; 6] =
    ["dbt_project.yml", "packages.yml", "dependencies.yml", "package-lock.yml", "selectors.yml", "vars.yml"];

impl Project {
    /// Reads `dbt_project.yml` of `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("dbt_project.yml");
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let settings = yaml::parse_one(&text)
            .with_context(|| format!("failed to understand {}", path.display()))?
            .with_context(|| format!("{} is empty; it needs at least `name: …`", path.display()))?;
        let text_of = |key: &str| settings.get(key).and_then(Node::text).map(str::to_owned);
        let name = text_of("name").with_context(|| format!("{} has no `name`", path.display()))?;
        // A profile of a template's choice is named like the project: dbt is given the name with --profile.
        let profile = text_of("profile").filter(|text| !text.contains("{{")).unwrap_or_else(|| name.clone());
        Ok(Self { folder: folder.to_path_buf(), settings, name, profile })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its name; `None` if it has characters that dbt does not allow in one, which dbt reports.
    pub(crate) fn name(&self) -> Option<&str> {
        let is_name = self.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_name.then_some(self.name.as_str())
    }

    pub(crate) fn profile_name(&self) -> &str {
        &self.profile
    }

    /// Its variables: those of all packages, and over them its own.
    pub(crate) fn variables(&self) -> serde_json::Map<String, serde_json::Value> {
        let mapping = |path: &[&str]| match self.settings.at(path).map(Node::json) {
            Some(serde_json::Value::Object(map)) => map,
            _ => serde_json::Map::new(),
        };
        let mut all = mapping(&["vars"]);
        all.extend(mapping(&["vars", &self.name]));
        all
    }

    /// A folder name for it below the repository `root`.
    pub(crate) fn key(&self, root: &Path) -> String {
        profile::key(root, &self.folder)
    }

    /// The folders of a kind, such as `seed-paths`, whether or not they exist.
    pub(crate) fn paths(&self, key: &str) -> Vec<PathBuf> {
        let default = FOLDERS.iter().find(|(known, _)| *known == key).map_or("", |(_, default)| *default);
        let given = self.settings.get(key).map(Node::one_or_many).unwrap_or_default();
        let mut paths: Vec<PathBuf> =
            given.iter().filter_map(Node::text).map(|path| self.folder.join(path)).collect();
        if paths.is_empty() && self.settings.get(key).is_none() {
            paths.push(self.folder.join(default));
        }
        paths
    }

    /// Where `dbt deps` installs packages.
    pub(crate) fn packages_folder(&self) -> PathBuf {
        let given = self.settings.get("packages-install-path").and_then(Node::text);
        self.folder.join(given.filter(|path| !path.contains("{{")).unwrap_or("dbt_packages"))
    }

    /// Every file that a build can depend on, sorted, so that two machines agree.
    pub(crate) fn input_files(&self) -> Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> =
            FILES.iter().map(|name| self.folder.join(name)).filter(|path| path.is_file()).collect();
        let folders = FOLDERS.iter().flat_map(|(key, _)| self.paths(key));
        for folder in folders.chain([self.packages_folder()]).filter(|folder| folder.is_dir()) {
            files.extend(files::walk(&folder)?.into_iter().filter(|path| !self.is_written_by_dbt(path)));
        }
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// Whether it is in a folder that dbt or the toolkit writes, for projects that read the folder around it.
    fn is_written_by_dbt(&self, path: &Path) -> bool {
        let target = self.settings.get("target-path").and_then(Node::text).unwrap_or("target");
        let relative = path.strip_prefix(&self.folder).unwrap_or(path);
        [target, "target", "logs"].iter().any(|written| relative.starts_with(written))
    }
}
