//! Reads the files of a project and of its packages, without understanding them: two projects with the same files here
//! have the same definitions.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rayon::prelude::*;

use super::parse::{Parsed, parse};
use super::walk::{Found, walk};
use super::{Files, Package};
use crate::core::yaml::{self, Node as Yaml};
use crate::state::fold::Dialect;
use crate::state::seed;
use crate::system::digest::Digest;

/// What a file holds.
pub(super) enum Content {
    Text(String),
    /// Of a table, which may be large, a short hash of its rows.
    Rows(String),
}

/// All files of a project and of its packages that dbt may read.
pub(crate) struct Gathered {
    packages: Vec<Package>,
    files: Vec<(Found, Content)>,
}

impl Gathered {
    /// Reads the project in `root` and every package that is installed in it.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let packages = packages(root)?;
        let mut found = Vec::new();
        for (at, package) in packages.iter().enumerate() {
            found.extend(walk(package, at)?);
        }
        let files = found.into_par_iter().map(with_content).collect::<Result<_>>()?;
        Ok(Self { packages, files })
    }

    /// Counts everything that is here.
    pub(crate) fn add_to(&self, digest: &mut Digest) {
        for package in &self.packages {
            digest.add(package.root.to_string_lossy().as_bytes());
            digest.add(format!("{:?}", package.settings));
        }
        for (file, content) in &self.files {
            let (Content::Text(content) | Content::Rows(content)) = content;
            digest.add(&file.shown);
            digest.add(content);
        }
    }

    /// Cuts the files into nodes, macros and properties.
    pub(crate) fn parse(self, dialect: Dialect) -> Files {
        let mut files = Files { packages: self.packages, ..Files::default() };
        let parsed: Vec<Parsed> =
            self.files.into_par_iter().map(|(found, content)| parse(found, content, dialect)).collect();
        for parsed in parsed {
            files.take(parsed);
        }
        files.finish();
        files
    }
}

fn with_content(found: Found) -> Result<(Found, Content)> {
    let content = if found.extension == "csv" {
        seed::digest(&found.path).map(Content::Rows)
    } else {
        fs::read(&found.path).map(|bytes| Content::Text(String::from_utf8_lossy(&bytes).into_owned()))
    };
    let content = content.with_context(|| format!("failed to read {}", found.path.display()))?;
    Ok((found, content))
}

fn settings(folder: &Path) -> Result<Yaml> {
    let path = folder.join("dbt_project.yml");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let parsed =
        yaml::parse_one(&text).with_context(|| format!("failed to understand {}", path.display()))?;
    parsed.with_context(|| format!("{} is empty", path.display()))
}

/// The folders of a project and of its packages.
pub(crate) fn roots(root: &Path) -> Result<Vec<PathBuf>> {
    Ok(packages(root)?.into_iter().map(|package| package.root).collect())
}

fn packages(root: &Path) -> Result<Vec<Package>> {
    let own = settings(root)?;
    let Some(name) = own.get("name").and_then(Yaml::text) else {
        bail!("{} gives the project no `name`", root.join("dbt_project.yml").display());
    };
    let install = own.get("packages-install-path").and_then(Yaml::text).unwrap_or("dbt_packages").to_owned();
    let mut found = vec![Package {
        name: name.to_owned(),
        root: root.to_path_buf(),
        shown: String::new(),
        settings: own,
    }];
    let mut folders: Vec<PathBuf> = match fs::read_dir(root.join(&install)) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(_) => Vec::new(),
    };
    folders.sort();
    // A local package that is not linked in yet is read where it is.
    for file in ["packages.yml", "dependencies.yml"] {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        let parsed = yaml::parse_one(&text).ok().flatten();
        let listed =
            parsed.as_ref().and_then(|node| node.get("packages")).map(Yaml::items).unwrap_or_default();
        folders.extend(listed.iter().filter_map(|item| Some(root.join(item.get("local")?.text()?))));
    }
    for folder in folders {
        if !folder.join("dbt_project.yml").is_file() {
            continue;
        }
        let settings = settings(&folder)?;
        let Some(name) = settings.get("name").and_then(Yaml::text).map(str::to_owned) else { continue };
        if found.iter().any(|other| other.name == name) {
            continue;
        }
        let shown = folder.strip_prefix(root).unwrap_or(&folder).to_string_lossy().into_owned() + "/";
        found.push(Package { name, root: folder, shown, settings });
    }
    Ok(found)
}
