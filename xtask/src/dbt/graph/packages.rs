//! The packages of a project, as far as they are here: installed below `dbt_packages`, or local ones of the same
//! repository. What they bring decides whether a name that the project lacks exists.

use std::collections::{HashMap, HashSet};

use super::Project;
use crate::core::yaml::Node as Yaml;

/// What the packages of a project bring.
#[derive(Debug, Default)]
pub(crate) struct Installed {
    packages: HashMap<String, Brought>,
    /// Whether every package that is asked for, also by packages, was found.
    pub(crate) is_complete: bool,
}

/// The names that one package brings.
#[derive(Debug, Default)]
struct Brought {
    relations: HashSet<String>,
    sources: HashSet<(String, String)>,
    macros: HashSet<String>,
    docs: HashSet<String>,
}

impl Installed {
    pub(crate) fn has_package(&self, name: &str) -> bool {
        self.packages.contains_key(name)
    }

    pub(crate) fn has_relation(&self, name: &str) -> bool {
        self.packages.values().any(|package| package.relations.contains(name))
    }

    /// Whether the package has the model, seed or snapshot; nothing if it is not installed.
    pub(crate) fn relation_of(&self, package: &str, name: &str) -> Option<bool> {
        self.packages.get(package).map(|package| package.relations.contains(name))
    }

    /// Whether any package has the macro.
    pub(crate) fn has_macro(&self, name: &str) -> bool {
        self.packages.values().any(|package| package.macros.contains(name))
    }

    pub(crate) fn has_source(&self, source: &str, table: &str) -> bool {
        let key = (source.to_owned(), table.to_owned());
        self.packages.values().any(|package| package.sources.contains(&key))
    }

    /// Whether the package has the macro; nothing if it is not installed.
    pub(crate) fn macro_of(&self, package: &str, name: &str) -> Option<bool> {
        self.packages.get(package).map(|package| package.macros.contains(name))
    }

    /// Whether any package has the block of documentation.
    pub(crate) fn has_docs(&self, name: &str) -> bool {
        self.packages.values().any(|package| package.docs.contains(name))
    }
}

/// Where a project's packages are installed, relative to its root.
pub(crate) fn folder(settings: &Yaml) -> String {
    let keys = ["packages-install-path", "modules-path"];
    let given = keys.iter().find_map(|key| settings.get(key)).and_then(Yaml::text);
    let given = given.filter(|path| !path.contains("{{")).unwrap_or("dbt_packages");
    given.trim_start_matches("./").trim_matches('/').to_owned()
}

/// Splits projects into those of the repository and those that are installed below one of them.
pub(super) fn apart(projects: Vec<Project<'_>>) -> (Vec<Project<'_>>, Vec<Project<'_>>) {
    let homes: Vec<String> = projects
        .iter()
        .flat_map(|project| {
            let usual = ["dbt_packages".to_owned(), "dbt_modules".to_owned(), folder(&project.settings)];
            usual.map(|folder| format!("{}{folder}/", project.root))
        })
        .collect();
    projects.into_iter().partition(|project| !homes.iter().any(|home| project.root.starts_with(home)))
}

/// Gives each project the names that its packages bring.
pub(super) fn install(projects: &mut [Project<'_>], packages: &[Project<'_>]) {
    let found: Vec<Installed> =
        projects.iter().map(|project| installed(project, projects, packages)).collect();
    for (project, installed) in projects.iter_mut().zip(found) {
        project.installed = installed;
    }
}

fn installed(project: &Project<'_>, projects: &[Project<'_>], packages: &[Project<'_>]) -> Installed {
    let home = format!("{}{}/", project.root, folder(&project.settings));
    let mut found: Vec<&Project<'_>> =
        packages.iter().filter(|package| package.root.starts_with(&home)).collect();
    let mut is_complete = true;
    let mut open: Vec<&Project<'_>> = vec![project];
    open.extend(&found);
    let mut seen: HashSet<&str> = HashSet::new();
    while let Some(each) = open.pop() {
        if !seen.insert(each.root) {
            continue;
        }
        for package in &each.packages {
            if let Some(path) = package.node.get("local").and_then(Yaml::text) {
                let root = joined(each.root, path);
                match projects.iter().find(|other| Some(other.root) == root.as_deref()) {
                    Some(local) => {
                        found.push(local);
                        open.push(local);
                    }
                    None => is_complete &= found.iter().any(|package| package.name() == last(path)),
                }
                continue;
            }
            // The folder of a package has the name of its project, which may differ from that of its repository.
            let name = package.name.replace('-', "_");
            is_complete &= found.iter().any(|found| {
                let folder = last(found.root);
                folder.is_some_and(|folder| folder == name || folder == package.name)
            });
        }
    }
    let packages =
        found.into_iter().filter_map(|package| Some((package.name()?.to_owned(), brought(package))));
    Installed { packages: packages.collect(), is_complete }
}

fn brought(package: &Project<'_>) -> Brought {
    let of_files =
        package.nodes.iter().filter(|node| node.kind.is_relation()).map(|node| node.name.to_owned());
    let of_entries = package.entries.iter().map(|entry| entry.name.clone());
    Brought {
        relations: of_files.chain(of_entries).collect(),
        sources: package.sources.iter().map(|table| (table.source.clone(), table.name.clone())).collect(),
        macros: package.macros.iter().map(|each| each.name.to_owned()).collect(),
        docs: package.docs.keys().map(|name| (*name).to_owned()).collect(),
    }
}

fn last(path: &str) -> Option<&str> {
    path.trim_end_matches('/').rsplit('/').next()
}

/// The folder `path`, relative to `root`, as roots are written; nothing if it leaves the repository.
pub(crate) fn joined(root: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = root.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(if parts.is_empty() { String::new() } else { format!("{}/", parts.join("/")) })
}
