//! The files that the toolkit adds to a repository: copies of the toolkit's files, and the toolkit as a dependency.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::system::repo;

/// Files that are copied from the toolkit's repository, with the workflows and actions that they call. Those of GitHub
/// call `cargo xtask` and need no other change.
const COPIED: [&str; 9] = [
    "policies/environments.toml",
    "policies/pipeline.toml",
    "policies/github.toml",
    "policies/alerts.toml",
    ".pre-commit-config.yaml",
    ".github/labels.toml",
    ".github/ISSUE_TEMPLATE/feature.yml",
    ".github/ISSUE_TEMPLATE/cleanup.yml",
    ".github/workflows/orchestrator.yml",
];

/// Files that only other repositories have.
const WRITTEN: [(&str, &str); 4] = [
    ("policies/lint.toml", LINT),
    (".github/workflows/toolkit.yml", include_str!("toolkit.yml")),
    ("xtask/src/main.rs", MAIN),
    ("xtask/Cargo.toml", MANIFEST),
];

/// Severities and scopes are the repository's own: the toolkit's waivers concern its own files.
const LINT: &str = "\
# Severities, scopes, parameters and waivers of `cargo xtask lint`. `cargo xtask lint --explain RULE` says what a rule
# is about.
#
# [rules.missing-grain]
# severity = \"off\"
";

const MAIN: &str = "\
//! `cargo xtask`: the toolkit, at the commit that Cargo.toml pins.

fn main() -> std::process::ExitCode {
    toolkit::main()
}
";

const MANIFEST: &str = "\
[package]
name = \"xtask-shim\"
version = \"0.0.0\"
edition = \"2024\"
publish = false

[[bin]]
name = \"xtask\"
path = \"src/main.rs\"

[dependencies]
toolkit = TOOLKIT
";

/// The dependencies that the toolkit was tested with; written only if a repository has no Cargo.lock.
pub(super) fn lock() -> Result<String> {
    text("Cargo.lock")
}

/// A file of the sources that this program was built from.
fn text(path: &str) -> Result<String> {
    let path = repo::toolkit().join(path);
    std::fs::read_to_string(&path).with_context(|| {
        format!(
            "failed to read {}, a file of the toolkit; run this in a checkout of the toolkit",
            path.display()
        )
    })
}

/// The toolkit itself, as a dependency of cargo.
#[derive(Debug)]
pub(super) enum Toolkit {
    Git { url: String, commit: String },
    Folder(PathBuf),
}

impl Toolkit {
    /// The toolkit that `given` names, else the checkout that this program was built in.
    pub(super) fn find(given: Option<&str>) -> Result<Self> {
        let built_in = repo::toolkit();
        if let Some(folder) = given.map(Path::new).filter(|path| path.is_dir()) {
            let folder = folder
                .canonicalize()
                .with_context(|| format!("failed to read the folder {}", folder.display()))?;
            if !folder.join("xtask/Cargo.toml").is_file() {
                bail!("--toolkit {}: there is no xtask/Cargo.toml in it", folder.display());
            }
            return Ok(Self::Folder(folder));
        }
        let commit = git(built_in, &["rev-parse", "HEAD"]);
        let url = given.map(str::to_owned).or_else(|| git(built_in, &["remote", "get-url", "origin"]));
        match (url, commit) {
            (Some(url), Some(commit)) => Ok(Self::Git { url: without_login(&url), commit }),
            (Some(url), None) => bail!(
                "--toolkit {}: the commit of the toolkit is unknown, because {} is not a git checkout; run this in one",
                without_login(&url),
                built_in.display()
            ),
            (None, _) if built_in.is_dir() => Ok(Self::Folder(built_in.to_path_buf())),
            (None, _) => {
                bail!("where the toolkit comes from is unknown; name its repository with --toolkit URL")
            }
        }
    }

    /// Whether `root` is the toolkit's own repository.
    pub(super) fn is_in(&self, root: &Path) -> bool {
        let manifest = std::fs::read_to_string(root.join("xtask/Cargo.toml")).unwrap_or_default();
        matches!(self, Self::Folder(folder) if folder == root) || is_own(&manifest)
    }

    /// As a dependency in a manifest.
    fn dependency(&self) -> String {
        let place = match self {
            Self::Git { url, commit } => vec![("git", url.clone()), ("rev", commit.clone())],
            Self::Folder(folder) => vec![("path", folder.join("xtask").to_string_lossy().into_owned())],
        };
        let keys = std::iter::once(("package", "xtask".to_owned())).chain(place);
        let pairs: Vec<String> =
            keys.map(|(key, value)| format!("{key} = {}", toml::Value::from(value))).collect();
        format!("{{ {} }}", pairs.join(", "))
    }

    /// Every file that is copied, for a repository whose dbt project is in `project` and called `name`.
    pub(super) fn files(&self, project: &str, name: &str) -> Result<Vec<(String, String)>> {
        let of_project = |text: &str| {
            let prefix = if project.is_empty() { String::new() } else { format!("{project}/") };
            text.replace("dbt/target", &format!("{prefix}target"))
                .replace(".xtask/logistics_demo.duckdb", &format!(".xtask/{name}.duckdb"))
                .replace("TOOLKIT", &self.dependency())
        };
        let copied = copied()?;
        let written = WRITTEN.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Ok(copied.into_iter().chain(written).map(|(path, text)| (path, of_project(&text))).collect())
    }
}

/// `COPIED` and what those files call, directly or not.
fn copied() -> Result<Vec<(String, String)>> {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut open: Vec<String> = COPIED.iter().rev().map(|path| (*path).to_owned()).collect();
    while let Some(path) = open.pop() {
        if files.iter().any(|(copied, _)| *copied == path) {
            continue;
        }
        let text = text(&path)?;
        open.extend(called(&text));
        files.push((path, text));
    }
    Ok(files)
}

/// The workflows and actions of the same repository that the text of one calls.
fn called(text: &str) -> impl Iterator<Item = String> {
    let items = text.lines().map(|line| line.trim_start().trim_start_matches("- "));
    let local = items.filter_map(|line| line.strip_prefix("uses: ./")?.split_whitespace().next());
    local.map(|path| match Path::new(path).extension() {
        Some(_) => path.to_owned(),
        None => format!("{path}/action.yml"),
    })
}

/// Whether a manifest is the toolkit's: that of a repository which uses it has a program of the same name.
fn is_own(manifest: &str) -> bool {
    let manifest: toml::Table = manifest.parse().unwrap_or_default();
    let name = manifest.get("package").and_then(|package| package.get("name"));
    name.and_then(toml::Value::as_str) == Some("xtask")
}

fn git(folder: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// A URL without the user and token that a remote may carry.
fn without_login(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit('@').next().unwrap_or(host);
            format!("{scheme}://{host}/{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_pins_the_toolkit_and_holds_no_login() {
        assert_eq!(without_login("https://me:token@example.com/a/b.git"), "https://example.com/a/b.git");
        assert_eq!(without_login("git@example.com:a/b.git"), "git@example.com:a/b.git");
        let toolkit = Toolkit::Git { url: "https://example.com/a".to_owned(), commit: "0a1b".to_owned() };
        let files = toolkit.files("transform", "shop").expect("files");
        let text = |path: &str| &files.iter().find(|(name, _)| name == path).expect("a file").1;
        let manifest: toml::Table = text("xtask/Cargo.toml").parse().expect("TOML");
        assert_eq!(manifest["dependencies"]["toolkit"]["rev"].as_str(), Some("0a1b"));
        assert!(text("policies/environments.toml").contains("\".xtask/shop.duckdb\""));
        assert!(text(".github/workflows/elt.yml").contains("transform/target"));
    }

    #[test]
    fn a_repository_that_uses_the_toolkit_is_not_the_toolkits_own() {
        assert!(!is_own(MANIFEST) && !is_own("") && !is_own("no TOML ["));
        assert!(is_own(&text("xtask/Cargo.toml").expect("a manifest")));
    }

    #[test]
    fn a_call_names_a_workflow_or_the_folder_of_an_action() {
        let text = "uses: ./.github/workflows/a.yml # why\n  - uses: ./.github/actions/b\n  uses: actions/checkout@1\n";
        let called: Vec<String> = called(text).collect();
        assert_eq!(called, [".github/workflows/a.yml", ".github/actions/b/action.yml"]);
    }

    #[test]
    fn a_folder_is_a_dependency_too() {
        let files = Toolkit::Folder("/t x".into()).files("", "p").expect("files");
        let manifest: toml::Table = files.last().expect("a manifest").1.parse().expect("TOML");
        assert_eq!(manifest["dependencies"]["toolkit"]["path"].as_str(), Some("/t x/xtask"));
    }
}
