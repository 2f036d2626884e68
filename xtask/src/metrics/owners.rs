//! The owners of dbt's nodes: those of a node's group, or of the group of the model that a test checks.
//!
//! dbt's manifest has them, and it is on the machine that built last; without it nodes have no known owner.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Owners {
    #[serde(default)]
    nodes: BTreeMap<String, Node>,
    #[serde(default)]
    unit_tests: BTreeMap<String, Node>,
    #[serde(default)]
    groups: BTreeMap<String, Group>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Node {
    group: Option<String>,
    attached_node: Option<String>,
    tested_node_unique_id: Option<String>,
    depends_on: DependsOn,
    meta: Option<serde_json::Value>,
    config: Option<serde_json::Value>,
    tags: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DependsOn {
    nodes: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Group {
    name: String,
    owner: Owner,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Owner {
    name: Option<String>,
    email: Option<String>,
}

impl Owners {
    /// From the manifest in dbt's target folder; without a manifest no owner is known.
    pub(super) fn read(target: &Path) -> Result<Self> {
        let path = target.join("manifest.json");
        if !path.exists() {
            return Ok(Self::default());
        }
        let file =
            std::fs::File::open(&path).with_context(|| format!("failed to open {}", path.display()))?;
        serde_json::from_reader(std::io::BufReader::new(file))
            .with_context(|| format!("failed to read {}", path.display()))
    }

    /// `Ann <ann@example.com>`, `Ann`, or the owner in the node's `meta`.
    pub(super) fn of(&self, id: &str) -> Option<String> {
        let node = self.nodes.get(id).or_else(|| self.unit_tests.get(id))?;
        self.own(node).or_else(|| {
            let checked = node.attached_node.iter().chain(&node.tested_node_unique_id);
            checked.chain(&node.depends_on.nodes).find_map(|id| self.own(self.nodes.get(id)?))
        })
    }

    /// dbt's tags of a node, each once; `None` if the node is not known. Newer versions of dbt have them in the
    /// configuration only.
    pub(super) fn tags(&self, id: &str) -> Option<Vec<String>> {
        let node = self.nodes.get(id).or_else(|| self.unit_tests.get(id))?;
        let configured = match node.config.as_ref().and_then(|config| config.get("tags")) {
            Some(serde_json::Value::Array(tags)) => {
                tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect()
            }
            Some(serde_json::Value::String(tag)) => vec![tag.clone()],
            _ => Vec::new(),
        };
        let all: BTreeSet<String> = node.tags.iter().flatten().cloned().chain(configured).collect();
        Some(all.into_iter().collect())
    }

    fn own(&self, node: &Node) -> Option<String> {
        let configured = |key: &str| {
            let of = |value: &serde_json::Value| value.get(key)?.as_str().map(str::to_owned);
            let config = node.config.as_ref();
            node.meta.as_ref().and_then(of).or_else(|| of(config?.get("meta")?))
        };
        let group =
            node.group.clone().or_else(|| Some(node.config.as_ref()?.get("group")?.as_str()?.to_owned()));
        let group = group.and_then(|name| self.groups.values().find(|group| group.name == name));
        group.and_then(Group::owner).or_else(|| configured("owner"))
    }
}

impl Group {
    fn owner(&self) -> Option<String> {
        match (&self.owner.name, &self.owner.email) {
            (Some(name), Some(email)) => Some(format!("{name} <{email}>")),
            (one, other) => one.clone().or_else(|| other.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_belongs_to_the_owner_of_what_it_checks() {
        let owners: Owners = serde_json::from_value(serde_json::json!({
            "nodes": {
                "model.p.a": {"group": "finance"},
                "model.p.b": {"tags": ["b"], "config": {"tags": ["a", "b"], "meta": {"owner": "Bob"}}},
                "test.p.t": {"attached_node": "model.p.a"},
                "test.p.singular": {"depends_on": {"nodes": ["model.p.b"]}},
                "model.p.c": {},
            },
            "groups": {"group.p.finance": {"name": "finance", "owner": {"name": "Ann", "email": "ann@example.com"}}},
        }))
        .expect("a manifest");
        assert_eq!(owners.of("test.p.t").as_deref(), Some("Ann <ann@example.com>"));
        assert_eq!(owners.of("test.p.singular").as_deref(), Some("Bob"));
        assert_eq!((owners.of("model.p.c"), owners.of("model.p.unknown")), (None, None));
        assert_eq!(owners.tags("model.p.b"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!((owners.tags("model.p.c"), owners.tags("model.p.unknown")), (Some(Vec::new()), None));
    }
}
