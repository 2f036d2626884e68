//! Inputs and outputs of public actions that many repositories use, by their major versions, from their `action.yml`.
//! `bench/lint/actions.py` writes `actions.json`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// What a major version of an action declares, all of its releases taken together.
#[derive(Debug, Deserialize)]
pub(super) struct Known {
    using: String,
    pub(super) inputs: Vec<String>,
    /// Those without which every release fails.
    pub(super) required: Vec<String>,
    outputs: Vec<String>,
}

/// The version of commits and branches: what any release has.
const ANY: u32 = 0;

/// By action and major version. A version is like the one before if it is missing.
static ALL: LazyLock<BTreeMap<String, BTreeMap<u32, Known>>> =
    LazyLock::new(|| serde_json::from_str(include_str!("actions.json")).unwrap_or_default());

/// Actions whose outputs their inputs name.
const OPEN: [&str; 2] = ["actions/github-script", "dorny/paths-filter"];

/// The action that `owner/name@version` names. Of versions newer than those that are known nothing is known.
pub(super) fn find(uses: &str) -> Option<&'static Known> {
    let (name, version) = uses.split_once('@')?;
    let versions = ALL.get(&name.to_lowercase())?;
    match major(version) {
        Some(major) if versions.last_key_value().is_some_and(|(newest, _)| major > *newest) => None,
        Some(major) => versions.range(1..=major).next_back().map(|(_, known)| known),
        None => versions.get(&ANY),
    }
}

/// The names of its outputs, unless any may exist.
pub(super) fn outputs(uses: &str) -> Option<impl Iterator<Item = &'static str>> {
    let (name, _) = uses.split_once('@')?;
    let known = find(uses).filter(|known| !known.is_plugin())?;
    let is_open = OPEN.iter().any(|open| open.eq_ignore_ascii_case(name));
    (!is_open).then(|| known.outputs.iter().map(String::as_str))
}

impl Known {
    /// Whether it was made for a version of Node that GitHub has withdrawn, or for its first runners.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.is_plugin() || ["node12", "node16"].contains(&self.using.as_str())
    }

    /// Whether the first runners had it built in: its file declares no outputs.
    fn is_plugin(&self) -> bool {
        self.using.is_empty()
    }
}

/// Of `v3`, `3.1` and `v3.1.2`; other names, such as `v3-node20`, say nothing.
pub(super) fn major(version: &str) -> Option<u32> {
    let numbers = version.strip_prefix('v').unwrap_or(version);
    let is_version = numbers.len() < 12 && numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    numbers.split('.').next()?.parse().ok().filter(|_| is_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_the_version_of_commits() {
        assert!(ALL.len() > 40, "{}", ALL.len());
        for (name, versions) in &*ALL {
            assert!(versions.contains_key(&ANY), "{name}");
            assert_eq!(*name, name.to_lowercase());
            for known in versions.values() {
                assert!(known.required.iter().all(|input| known.inputs.contains(input)), "{name}");
            }
        }
    }

    #[test]
    fn a_version_is_that_of_its_release() {
        let inputs = |uses: &str| find(uses).map(|known| known.inputs.len());
        assert_eq!(inputs("actions/cache@v4"), inputs("Actions/Cache@v4.2.0"));
        assert!(inputs("actions/cache@v1") < inputs("actions/cache@v4"));
        assert_eq!(inputs("actions/cache@v900"), None, "nothing is known of it");
        assert_eq!(inputs("actions/cache/restore@v2"), None, "it did not exist");
        assert!(inputs("actions/cache@main").is_some());
        let commit = "actions/cache@0057852bfaa89a56745cba8c7296529d2fc39830";
        assert_eq!(inputs(commit), inputs("actions/cache@main"));
        assert!(find(commit).is_some_and(|known| known.required.len() == 2));
    }
}
