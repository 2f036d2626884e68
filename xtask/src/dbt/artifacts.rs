//! dbt's artifacts: `manifest.json` (schema v12) and `run_results.json` (schema v6), as far as we read them.
//!
//! Unknown fields are ignored and missing ones are null: a newer dbt may add, and an older may lack.

mod ahead;
mod results;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(crate) use self::ahead::Ahead;
pub(crate) use self::results::{RunResult, RunResults, SourceResult, SourceResults};
pub(crate) use self::sources::{Criteria, Source};
use super::boundary::Intended;
use crate::system::remove;

const MANIFEST: &str = "manifest.json";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Manifest {
    nodes: BTreeMap<String, Node>,
    unit_tests: BTreeMap<String, Node>,
    pub(crate) sources: BTreeMap<String, Source>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) resource_type: String,
    pub(crate) original_file_path: String,
    pub(crate) description: String,
    /// The file that dbt compiled the node to, relative to the project.
    pub(crate) compiled_path: Option<String>,
    /// The SQL itself; dbt v1 has it in the results too.
    pub(crate) compiled_code: Option<String>,
    /// Those that properties describe, by name.
    pub(crate) columns: BTreeMap<String, Column>,
    pub(crate) schema: String,
    database: Option<String>,
    alias: Option<String>,
    relation_name: Option<String>,
    version: Option<serde_json::Value>,
    fqn: Vec<String>,
    config: NodeConfig,
    attached_node: Option<String>,
    depends_on: DependsOn,
    tags: Option<Vec<String>>,
    column_name: Option<String>,
    test_metadata: Option<TestMetadata>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NodeConfig {
    materialized: Option<String>,
    store_failures: Option<bool>,
    location: Option<String>,
    severity: Option<String>,
    /// One tag, or a list of them.
    tags: serde_json::Value,
}

/// What properties say of a column.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Column {
    pub(crate) description: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DependsOn {
    nodes: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TestMetadata {
    name: String,
    kwargs: serde_json::Map<String, serde_json::Value>,
}

/// A test that properties ask for: which one, and of what.
#[derive(Debug)]
pub(crate) struct GenericTest {
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) column: Option<String>,
}

/// One of the checks that a test makes at once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// The test of dbt that checks the same, or `expression_is_true`.
    pub(crate) test: &'static str,
    pub(crate) column: Option<String>,
    /// The rule's name, if it has one.
    pub(crate) rule: Option<String>,
}

impl Node {
    /// The name, with its version where a model has several.
    pub(crate) fn full_name(&self) -> String {
        let version = self.version.as_ref().filter(|version| !version.is_null());
        version.map_or_else(
            || self.name.clone(),
            |version| {
                format!(
                    "{}.v{}",
                    self.name,
                    version.as_str().map_or_else(|| version.to_string(), str::to_owned)
                )
            },
        )
    }

    /// Its tags, each once; newer versions of dbt have them in the configuration only.
    pub(crate) fn tags(&self) -> BTreeSet<&str> {
        let configured = match &self.config.tags {
            serde_json::Value::Array(tags) => tags.iter().filter_map(serde_json::Value::as_str).collect(),
            other => other.as_str().into_iter().collect::<Vec<_>>(),
        };
        self.tags.iter().flatten().map(String::as_str).chain(configured).collect()
    }

    /// The name of what the node builds.
    pub(crate) fn relation(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }
}

/// Make `target` ready for a run: a folder that can be written to, without what an earlier run left there
/// and could be taken for what this one leaves.
pub(crate) fn prepare(target: &Path) -> Result<()> {
    std::fs::create_dir_all(target)
        .with_context(|| format!("failed to create {}, where dbt puts what it compiles", target.display()))?;
    for file in [MANIFEST, "run_results.json"] {
        remove::file(&target.join(file))?;
    }
    Ok(())
}

impl Manifest {
    /// `None` where dbt did not come so far as to write it.
    pub(crate) fn read(target: &Path) -> Result<Option<Self>> {
        read(&target.join(MANIFEST))
    }

    /// Begin to read what dbt has just written.
    pub(crate) fn read_ahead(target: &Path) -> Ahead<Self> {
        Ahead::begin(target.join(MANIFEST))
    }

    /// Every relation that a build of the whole project writes.
    pub(crate) fn intended(&self) -> Vec<Intended> {
        let is_written = |node: &Node| match node.resource_type.as_str() {
            "model" | "seed" | "snapshot" => node.config.materialized.as_deref() != Some("ephemeral"),
            "test" => node.config.store_failures == Some(true),
            _ => false,
        };
        let written = self.nodes.iter().filter(|(_, node)| is_written(node));
        let intended = written.map(|(id, node)| Intended {
            id: id.clone(),
            file: node.original_file_path.clone(),
            database: node.database.clone(),
            schema: node.schema.clone(),
            name: node.relation().to_owned(),
            relation_name: node.relation_name.clone(),
            materialized: node.config.materialized.clone(),
            location: node
                .config
                .location
                .clone()
                .filter(|_| node.config.materialized.as_deref() == Some("external")),
        });
        intended.collect()
    }

    pub(crate) fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.get(id).or_else(|| self.unit_tests.get(id))
    }

    /// Every node and unit test with its id.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().chain(&self.unit_tests).map(|(id, node)| (id.as_str(), node))
    }

    /// What a node is made from, or what a test looks at.
    pub(crate) fn parents(&self, id: &str) -> &[String] {
        self.node(id).map_or(&[], |node| &node.depends_on.nodes)
    }

    /// What a test guards: the model it is attached to, else all that it looks at.
    pub(crate) fn guarded(&self, id: &str) -> Vec<&str> {
        let attached = self.node(id).and_then(|node| node.attached_node.as_deref());
        attached.map_or_else(|| self.parents(id).iter().map(String::as_str).collect(), |model| vec![model])
    }

    pub(crate) fn materialized(&self, id: &str) -> Option<&str> {
        self.node(id)?.config.materialized.as_deref()
    }

    /// How grave it is when a test fails: `error` or `warn`, in any case.
    pub(crate) fn severity(&self, id: &str) -> Option<&str> {
        self.node(id)?.config.severity.as_deref()
    }

    /// The layer of a node: the folder of a model below `models/`; for a test the layer of the model
    /// it is attached to, or of the last layer that it looks at. Seeds have none.
    pub(crate) fn layer(&self, id: &str) -> Option<&str> {
        let node = self.node(id)?;
        match node.resource_type.as_str() {
            "model" => model_layer(node),
            "test" | "unit_test" => {
                let attached = node.attached_node.as_deref();
                attached.and_then(|id| self.model(id)).map_or_else(
                    || {
                        let models = node.depends_on.nodes.iter().filter_map(|id| self.model(id));
                        models.filter_map(model_layer).max_by_key(|layer| layer_rank(layer))
                    },
                    model_layer,
                )
            }
            _ => None,
        }
    }

    /// `None` if it is not a test, or a test with a separate file.
    pub(crate) fn generic_test(&self, id: &str) -> Option<GenericTest> {
        let node = self.node(id)?;
        let attached = self.node(node.attached_node.as_deref()?)?;
        Some(GenericTest {
            name: node.test_metadata.as_ref()?.name.clone(),
            model: attached.name.clone(),
            column: node.column_name.clone(),
        })
    }

    /// What a test of a whole model checks, by its arguments; nothing for a test that checks one thing.
    pub(crate) fn checks(&self, id: &str) -> Vec<Check> {
        let metadata = self.node(id).and_then(|node| node.test_metadata.as_ref());
        metadata.filter(|metadata| metadata.name == WHOLE_MODEL).map(checks).unwrap_or_default()
    }

    /// The relations that SQL can read: of nodes and of sources, as dbt writes their names.
    pub(crate) fn relation_names(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_read = |node: &Node| matches!(node.resource_type.as_str(), "model" | "seed" | "snapshot");
        let nodes = self.nodes.iter().filter(move |(_, node)| is_read(node));
        let nodes = nodes.filter_map(|(id, node)| Some((id.as_str(), node.relation_name.as_deref()?)));
        let sources = self.sources.iter();
        nodes.chain(sources.filter_map(|(id, source)| Some((id.as_str(), source.relation_name.as_deref()?))))
    }

    /// The nodes that a node is built from, or looks at.
    pub(crate) fn depends_on(&self, id: &str) -> &[String] {
        self.node(id).map_or(&[], |node| &node.depends_on.nodes)
    }

    fn model(&self, id: &str) -> Option<&Node> {
        self.nodes.get(id).filter(|node| node.resource_type == "model")
    }
}

/// The test of this project that checks the key, the nulls, the references and the rules of a model at once.
const WHOLE_MODEL: &str = "key_and_rules_hold";

fn checks(metadata: &TestMetadata) -> Vec<Check> {
    let names = |key: &str| -> Vec<String> {
        match metadata.kwargs.get(key) {
            Some(serde_json::Value::Array(names)) => {
                names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
            }
            Some(serde_json::Value::Object(entries)) => entries.keys().cloned().collect(),
            _ => Vec::new(),
        }
    };
    let of = |test: &'static str, column: Option<String>| Check { test, column, rule: None };
    let key = names("key");
    let mut checks = match key.as_slice() {
        [] => Vec::new(),
        [only] => vec![of("unique", Some(only.clone()))],
        several => {
            let rule = Some(several.join(", "));
            vec![Check { test: "unique_combination_of_columns", column: None, rule }]
        }
    };
    let mut present = key;
    present.extend(names("not_null"));
    let mut seen = BTreeSet::new();
    present.retain(|column| seen.insert(column.clone()));
    checks.extend(present.into_iter().map(|column| of("not_null", Some(column))));
    checks.extend(names("references").into_iter().map(|column| of("relationships", Some(column))));
    let rules = names("rules").into_iter();
    checks.extend(rules.map(|rule| Check { test: "expression_is_true", column: None, rule: Some(rule) }));
    checks
}

/// A layer's position in the build order; unknown layers come last.
pub(crate) fn layer_rank(layer: &str) -> usize {
    const ORDER: [&str; 4] = ["bronze", "silver", "gold", "monitoring"];
    ORDER.iter().position(|known| *known == layer).unwrap_or(ORDER.len())
}

/// `fqn` is project, folders, name, and a version if there are several: a model right below `models/` is in no
/// layer.
fn model_layer(node: &Node) -> Option<&str> {
    let own = if node.version.as_ref().is_some_and(|version| !version.is_null()) { 3 } else { 2 };
    (node.fqn.len() > own).then(|| node.fqn[1].as_str())
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .with_context(|| format!("failed to understand {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        serde_json::from_value(serde_json::json!({
            "nodes": {
                "model.p.stg": {"resource_type": "model", "fqn": ["p", "bronze", "stg"]},
                "model.p.kpi": {"resource_type": "model", "fqn": ["p", "gold", "daily", "kpi"]},
                "model.p.top": {"resource_type": "model", "fqn": ["p", "top"]},
                "model.p.many.v2": {"resource_type": "model", "fqn": ["p", "many", "v2"], "version": 2},
                "seed.p.raw": {"resource_type": "seed", "fqn": ["p", "raw"]},
                "test.p.one": {"resource_type": "test", "attached_node": "model.p.stg"},
                "test.p.two": {"resource_type": "test", "attached_node": null,
                               "depends_on": {"nodes": ["model.p.kpi", "model.p.stg", "seed.p.raw"]}},
                "test.p.raw": {"resource_type": "test", "attached_node": "seed.p.raw",
                               "depends_on": {"nodes": ["seed.p.raw"]}},
            },
            "unit_tests": {
                "unit_test.p.u": {"resource_type": "unit_test", "depends_on": {"nodes": ["model.p.kpi"]}},
            },
            "a new field": 1,
        }))
        .expect("a manifest")
    }

    #[test]
    fn a_test_of_a_whole_model_names_its_checks() {
        let manifest: Manifest = serde_json::from_value(serde_json::json!({"nodes": {
            "test.p.whole": {"test_metadata": {"name": "key_and_rules_hold", "kwargs": {
                "key": ["id"], "not_null": ["day", "id"], "references": {"item": "ref('items')"},
                "rules": {"sum_is_right": "a + b = c"}, "model": "x"}}},
            "test.p.pair": {"test_metadata": {"name": "key_and_rules_hold", "kwargs": {"key": ["a", "b"]}}},
            "test.p.other": {"test_metadata": {"name": "not_null", "kwargs": {"key": ["a"]}}},
        }}))
        .expect("a manifest");
        let said = |id: &str| -> Vec<String> {
            let checks = manifest.checks(id).into_iter();
            let text = |check: Check| {
                let of = check.column.or(check.rule).unwrap_or_default();
                format!("{} {of}", check.test)
            };
            checks.map(text).collect()
        };
        assert_eq!(
            said("test.p.whole"),
            [
                "unique id",
                "not_null id",
                "not_null day",
                "relationships item",
                "expression_is_true sum_is_right"
            ]
        );
        assert_eq!(said("test.p.pair"), ["unique_combination_of_columns a, b", "not_null a", "not_null b"]);
        assert!(said("test.p.other").is_empty() && said("test.p.unknown").is_empty());
    }

    #[test]
    fn tests_stand_in_the_layer_they_guard() {
        let manifest = manifest();
        for (id, layer) in [
            ("model.p.stg", Some("bronze")),
            ("model.p.kpi", Some("gold")),
            ("model.p.top", None),
            ("model.p.many.v2", None),
            ("seed.p.raw", None),
            ("test.p.one", Some("bronze")),
            ("test.p.two", Some("gold")),
            ("test.p.raw", None),
            ("unit_test.p.u", Some("gold")),
            ("model.p.unknown", None),
        ] {
            assert_eq!(manifest.layer(id), layer, "{id}");
        }
    }
}
