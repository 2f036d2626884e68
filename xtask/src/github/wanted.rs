//! What the repository is to be, as its files say: `policies/github.toml`, `policies/pipeline.toml`, the labels, and
//! what the workflows use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::environments::Wanted as Environment;
use super::labels::Label;
use crate::pipeline::plan::Policy as Pipeline;
use crate::system::contract::Contract;
use crate::system::repo::Repo;

/// `policies/github.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Policy {
    reviewers: BTreeMap<String, Vec<String>>,
    variables: BTreeMap<String, String>,
}

pub(super) fn contract() -> Contract {
    Contract::policy::<Policy>("policies/github", "policies/github.toml")
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Labels {
    labels: Vec<Label>,
}

#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) pipeline: Pipeline,
    reviewers: BTreeMap<String, Vec<String>>,
    /// As `NAME=VALUE`, like those of the command line.
    pub(super) variables: Vec<String>,
    pub(super) labels: Vec<Label>,
    pub(super) used: Used,
}

/// What the workflows use.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// Such as `actions/checkout@COMMIT`.
    pub(super) actions: Vec<String>,
    pub(super) variables: BTreeSet<String>,
    pub(super) secrets: BTreeSet<String>,
}

impl Wanted {
    pub(super) fn read(repo: &Repo) -> Result<Self> {
        let pipeline = Pipeline::load(repo)?;
        let policy: Policy = read(&repo.policies().join("github.toml"))?;
        let mut labels: Labels = read(&repo.root().join(".github/labels.toml"))?;
        for name in pipeline.labels() {
            if !labels.labels.iter().any(|label| label.name.eq_ignore_ascii_case(name)) {
                labels.labels.push(Label {
                    name: name.to_owned(),
                    color: "ededed".into(),
                    description: None,
                });
            }
        }
        Ok(Self {
            pipeline,
            reviewers: policy.reviewers,
            variables: policy.variables.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            labels: labels.labels,
            used: Used::read(&repo.root().join(".github"))?,
        })
    }

    /// The environments; those of jobs that run at night, on the default branch, among them.
    pub(super) fn environments(&self, default_branch: &str) -> Result<BTreeMap<String, Environment>> {
        let all = self.pipeline.github_environments(default_branch);
        let night = self.pipeline.maintenance();
        if let Some(unknown) = self.reviewers.keys().find(|name| !all.contains_key(*name)) {
            anyhow::bail!(
                "policies/github.toml names reviewers of {unknown:?}, which is not one of the [deployments] of \
                 policies/pipeline.toml"
            );
        }
        let of = |(name, branches): (String, _)| {
            let reviewers = self.reviewers.get(&name).cloned();
            let runs_at_night = name == night;
            (name, Environment { branches, reviewers, runs_at_night })
        };
        Ok(all.into_iter().map(of).collect())
    }
}

fn read<T: DeserializeOwned + Default>(path: &Path) -> Result<T> {
    if !path.exists() {
        return Ok(T::default());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("failed to understand {}", path.display()))
}

impl Used {
    fn read(folder: &Path) -> Result<Self> {
        let mut used = Self::default();
        let mut files = Vec::new();
        for part in ["workflows", "actions"] {
            list(&folder.join(part), &mut files)?;
        }
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("failed to read {}", file.display()))?;
            used.add(&text);
        }
        used.actions.sort();
        used.actions.dedup();
        Ok(used)
    }

    fn add(&mut self, text: &str) {
        static USES: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(?m)^\s*(?:-\s+)?uses:\s*(\S+@\S+)").expect("a regular expression")
        });
        static READ: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\b(vars|secrets)\.([A-Za-z_]\w*)").expect("a regular expression"));
        self.actions.extend(USES.captures_iter(text).map(|found| found[1].to_owned()));
        for found in READ.captures_iter(text) {
            let names = if &found[1] == "vars" { &mut self.variables } else { &mut self.secrets };
            names.insert(found[2].to_owned());
        }
        // Every workflow has this one without it being set.
        self.secrets.remove("GITHUB_TOKEN");
    }
}

/// The YAML files below a folder; none if there is no folder.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry.with_context(|| format!("failed to list {}", folder.display()))?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "yml" || end == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_workflows_use_is_read_from_them() {
        let mut used = Used::default();
        used.add("    - uses: actions/checkout@abc # v1\n      uses: ./.github/actions/setup\n  x: ${{ vars.A_1 != '' }}\n  y: ${{ secrets.B }} ${{ secrets.GITHUB_TOKEN }}\n");
        assert_eq!(used.actions, ["actions/checkout@abc"]);
        assert_eq!(used.variables, ["A_1".to_owned()].into());
        assert_eq!(used.secrets, ["B".to_owned()].into());
    }

    #[test]
    fn our_own_files_say_what_is_wanted() {
        let repo = Repo::discover(Path::new(env!("CARGO_MANIFEST_DIR")));
        let wanted = Wanted::read(&repo).expect("the repository's files");
        let environments = wanted.environments("main").expect("environments");
        let branches = |name: &str| environments[name].branches.clone();
        assert_eq!(branches("prod"), Some(["main".to_owned()].into()));
        assert_eq!(branches("dev"), Some(["develop".to_owned()].into()));
        assert_eq!(branches("maintenance"), Some(["main".to_owned()].into()));
        assert_eq!(branches("preview"), None);
        assert!(wanted.used.secrets.contains("SLACK_WEBHOOK_URL") && wanted.used.actions.len() > 5);
        assert_eq!(wanted.labels.len(), 3);
    }
}
