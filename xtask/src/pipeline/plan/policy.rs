//! `policies/pipeline.toml`: what events ask for. Owned by people, so it is data.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use anyhow::{Context as _, Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::core::environment::{Kind, Name};
use crate::system::contract::Contract;
use crate::system::repo::Repo;

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Policy {
    #[serde(deserialize_with = "name")]
    pub(super) base: Name,
    #[serde(deserialize_with = "names")]
    pub(super) bases: Vec<Name>,
    #[serde(deserialize_with = "branches")]
    pub(super) branches: BTreeMap<String, Name>,
    pub(super) labels: Labels,
    pub(super) security: Security,
    pub(super) push: Push,
    pub(super) pull_request: PullRequest,
    pub(crate) permission: Permission,
    pub(super) failure: Failure,
    pub(super) schedule: Schedule,
    pub(super) deployments: Deployments,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Labels {
    pub(super) build: String,
    pub(super) cleanup: String,
    pub(super) skip: String,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Security {
    pub(super) before_elt: BeforeElt,
}

/// When security runs before ELT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum BeforeElt {
    #[default]
    Always,
    UnlessSkipped,
    WhenAsked,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Push {
    pub(super) merged_commits: MergedCommits,
}

/// What the run-tags of commits that were pushed before are worth on a branch without a settled environment. On
/// main and develop every commit of a push is new to their environment, so there each counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum MergedCommits {
    #[default]
    Ignore,
    Count,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PullRequest {
    pub(super) forks: Forks,
    pub(super) drafts: Drafts,
}

/// What is done with pull requests that are drafts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Drafts {
    #[default]
    Skip,
    Build,
}

/// What is done with pull requests that get no secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Forks {
    #[default]
    Local,
    None,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Permission {
    pub(crate) associations: Vec<String>,
    pub(crate) bots: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Failure {
    pub(super) environment: Failed,
}

/// What becomes of a new environment whose build failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Failed {
    #[default]
    Keep,
    Drop,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Schedule {
    #[serde(deserialize_with = "name")]
    pub(super) observe: Name,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Deployments {
    pub(super) prod: String,
    pub(super) dev: String,
    pub(super) temporary: String,
    pub(super) maintenance: String,
}

pub(crate) fn contract() -> Contract {
    Contract::policy::<Policy>("policies/pipeline", "policies/pipeline.toml")
}

impl Policy {
    /// The GitHub environments that jobs run in, each with the branches that may use it; `None` for any branch. A job of
    /// prod or dev runs on that environment's branch, and the nightly clean-up on the default branch.
    pub(crate) fn github_environments(
        &self,
        default_branch: &str,
    ) -> BTreeMap<String, Option<BTreeSet<String>>> {
        let of = |kind: Kind| {
            let branches = self.branches.iter().filter(move |(_, name)| name.kind() == kind);
            Some(branches.map(|(branch, _)| branch.clone()).collect::<BTreeSet<_>>())
        };
        let mut environments: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
        for (name, branches) in [
            (&self.deployments.prod, of(Kind::Prod)),
            (&self.deployments.dev, of(Kind::Dev)),
            (&self.deployments.maintenance, Some([default_branch.to_owned()].into())),
            (&self.deployments.temporary, None),
        ] {
            let known = environments.entry(name.clone()).or_insert_with(|| Some(BTreeSet::new()));
            // One environment for several purposes is open to the branches of all of them.
            *known = known.take().zip(branches).map(|(mut known, more)| {
                known.extend(more);
                known
            });
        }
        environments
    }

    /// The GitHub environment of the nightly clean-up.
    pub(crate) fn maintenance(&self) -> &str {
        &self.deployments.maintenance
    }

    /// The labels that events are about: what builds, what cleans up, and what leaves a pull request out.
    pub(crate) fn labels(&self) -> [&str; 3] {
        [&self.labels.build, &self.labels.cleanup, &self.labels.skip]
    }

    /// The branches that environments which live for ever are built from.
    pub(crate) fn settled_branches(&self) -> impl Iterator<Item = &str> {
        self.branches.keys().map(String::as_str)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            base: known("dev"),
            bases: vec![known("dev"), known("prod")],
            branches: [("main", "prod"), ("develop", "dev")]
                .map(|(branch, name)| (branch.to_owned(), known(name)))
                .into(),
            labels: Labels::default(),
            security: Security::default(),
            push: Push::default(),
            pull_request: PullRequest::default(),
            permission: Permission::default(),
            failure: Failure::default(),
            schedule: Schedule::default(),
            deployments: Deployments::default(),
        }
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self { build: "feature".to_owned(), cleanup: "cleanup".to_owned(), skip: "skip".to_owned() }
    }
}

impl Default for Permission {
    fn default() -> Self {
        Self { associations: ["OWNER", "MEMBER", "COLLABORATOR"].map(str::to_owned).into(), bots: Vec::new() }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self { observe: known("prod") }
    }
}

impl Default for Deployments {
    fn default() -> Self {
        Self {
            prod: "prod".to_owned(),
            dev: "dev".to_owned(),
            temporary: "preview".to_owned(),
            maintenance: "maintenance".to_owned(),
        }
    }
}

fn known(name: &str) -> Name {
    Name::from_str(name).expect("a name that this file writes itself")
}

fn name<'de, D: Deserializer<'de>>(from: D) -> Result<Name, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Name>, D::Error> {
    let names = Vec::<String>::deserialize(from)?;
    names.iter().map(|name| name.parse().map_err(serde::de::Error::custom)).collect()
}

fn branches<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Name>, D::Error> {
    let branches = BTreeMap::<String, String>::deserialize(from)?;
    branches
        .into_iter()
        .map(|(branch, name)| Ok((branch, name.parse().map_err(serde::de::Error::custom)?)))
        .collect()
}

impl Policy {
    /// The repository's policy; a repository without the file gets the defaults.
    pub(crate) fn load(repo: &Repo) -> Result<Self> {
        let path = repo.policies().join("pipeline.toml");
        if !path.exists() {
            return Ok(Self::default());
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("failed to understand {}", path.display()))
    }

    /// The label that asks for an environment of an issue.
    pub(crate) fn build_label(&self) -> &str {
        &self.labels.build
    }

    fn parse(text: &str) -> Result<Self> {
        let policy: Self = toml::from_str(text)?;
        for (branch, name) in &policy.branches {
            // Two kinds of names must stay apart: what a branch keeps for ever, and what is dropped with it.
            ensure!(
                !matches!(name.kind(), Kind::Issue | Kind::PullRequest | Kind::Branch),
                "[branches] gives {branch} the environment {name}, which is a temporary name; use one such as prod"
            );
        }
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_policy_is_the_default() {
        let text = include_str!("../../../../policies/pipeline.toml");
        let committed = Policy::parse(text).expect("a policy");
        assert_eq!(format!("{committed:?}"), format!("{:?}", Policy::default()));
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        for text in [
            "bsae = 'dev'",
            "base = 'drop schema'",
            "bases = ['a b']",
            "[branches]\nmain = 'issue_1'",
            "[branches]\nmain = '../prod'",
            "[security]\nbefore_elt = 'sometimes'",
            "[push]\nmerged = 'count'",
        ] {
            assert!(Policy::parse(text).is_err(), "{text}");
        }
        let other = Policy::parse("[branches]\ntrunk = 'PROD'").expect("a policy");
        assert_eq!(other.branches.len(), 1, "a table replaces the default");
    }
}
