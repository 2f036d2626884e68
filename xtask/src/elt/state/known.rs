//! What a run knows of the environment at its end, kept for the next one: as long as nothing has written to the database
//! since, that one need not ask it.

use std::collections::BTreeMap;
use std::thread::JoinHandle;

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use super::Keeper;
use super::look::Looked;
use super::witness::{Key, Seen};
use crate::core::environment::Name;
use crate::ledger::{self, Node, Run};
use crate::state::record::Record;
use crate::warehouse::Warehouse;

/// Raised when what is kept changes its form or its meaning.
const FORMAT: u32 = 2;

/// What was known, and is still so.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::elt) struct Known {
    format: u32,
    toolkit: String,
    /// The folder of the dbt project.
    project: Option<String>,
    records: Vec<Record>,
    /// Relations that were looked for, with what was found.
    looked: Vec<(Key, Option<Seen>)>,
    last: Option<Run>,
    nodes: Option<Vec<Node>>,
    /// Whether the environment is still registered, so that nothing of it has to be made.
    #[serde(skip)]
    pub(in crate::elt) is_whole: bool,
}

impl Known {
    /// The records, and the relations that were looked for.
    pub(super) fn content(self) -> (BTreeMap<String, Record>, Looked) {
        let records = self.records.into_iter().map(|record| (record.node_id.clone(), record)).collect();
        (records, self.looked.into_iter().collect())
    }
}

/// What an earlier run has kept, being read while the project is.
#[derive(Debug)]
pub(in crate::elt) struct Loading(JoinHandle<Option<Known>>);

impl Loading {
    /// `None` if it was kept by another version or project.
    pub(in crate::elt) fn finish(self) -> Option<Known> {
        self.0.join().ok().flatten()
    }
}

/// What an earlier run has kept; `None` if any of it may be outdated.
pub(in crate::elt) fn load(warehouse: &mut dyn Warehouse, schema: &Name) -> Option<Loading> {
    let kept = warehouse.known(schema)?;
    let project = warehouse.ours().owner.project_folder.clone();
    Some(Loading(std::thread::spawn(move || {
        let known: Known = serde_json::from_slice(&kept.content).ok()?;
        let is_ours = known.format == FORMAT && known.toolkit == env!("CARGO_PKG_VERSION");
        let is_ours = is_ours && known.project == project;
        is_ours.then_some(Known { is_whole: kept.is_registry_same, ..known })
    })))
}

/// What is known for the next run, being written down while the run is recorded.
#[derive(Debug)]
pub(in crate::elt) struct Keeping(JoinHandle<serde_json::Result<Vec<u8>>>);

impl Keeping {
    /// Leave it beside the database, which nothing has written to since but the record.
    pub(in crate::elt) fn finish(self, warehouse: &mut dyn Warehouse, schema: &Name) -> Result<()> {
        let content = self.0.join().map_err(|_| anyhow!("what is known could not be written down"))??;
        warehouse.keep_known(schema, &content)
    }
}

impl Keeper {
    /// Take what an earlier run has kept for what is there.
    pub(super) fn recall(&mut self, known: Known) {
        self.sight.has_news = !known.is_whole;
        self.recall_results(&known);
        (self.records, self.sight.looked) = known.content();
    }

    pub(super) fn recall_results(&mut self, known: &Known) {
        (self.last, self.nodes) = (known.last.clone(), known.nodes.clone());
    }

    /// Where the toolkit keeps what it knows: ask for the results that a run which found nothing kept does not know, or no later
    /// run would know them without asking.
    pub(in crate::elt) fn complete(&mut self, warehouse: &mut dyn Warehouse) {
        let has_results = self.has_ledger || self.copied.is_some();
        if warehouse.is_alone() && self.nodes.is_none() && has_results {
            let nodes = ledger::current_nodes(warehouse, &self.schema);
            self.nodes = nodes.inspect_err(|error| tracing::debug!("{error:#}")).ok();
        }
    }

    /// The run that last built the environment, or the base that it is a copy of.
    pub(in crate::elt) fn last_build(&self, warehouse: &mut dyn Warehouse) -> Result<Option<Run>> {
        match &self.last {
            Some(last) => Ok(Some(last.clone())),
            None => ledger::last_build(warehouse, self.origin()),
        }
    }

    /// How nodes ended when they were last built.
    pub(in crate::elt) fn current_nodes(&self, warehouse: &mut dyn Warehouse) -> Result<Vec<Node>> {
        match &self.nodes {
            Some(nodes) => Ok(nodes.clone()),
            None => ledger::current_nodes(warehouse, &self.schema),
        }
    }

    /// What is known for the next run, if that is anything new. `last` started dbt, and `nodes` are those that it built, or,
    /// if it was an earlier one, all.
    pub(in crate::elt) fn keep(
        &self,
        warehouse: &dyn Warehouse,
        last: &Run,
        nodes: &[Node],
    ) -> Option<Keeping> {
        if !self.sight.has_news {
            return None;
        }
        let mut records = self.records.clone();
        records.extend(self.announced.iter().map(|(id, record)| (id.clone(), record.clone())));
        let nodes = self.all_nodes(&records, nodes);
        let known = Known {
            format: FORMAT,
            toolkit: env!("CARGO_PKG_VERSION").to_owned(),
            project: warehouse.ours().owner.project_folder.clone(),
            records: records.into_values().collect(),
            looked: self.sight.looked.iter().map(|(key, seen)| (key.clone(), seen.clone())).collect(),
            last: Some(last.clone()),
            nodes,
            is_whole: true,
        };
        Some(Keeping(std::thread::spawn(move || serde_json::to_vec(&known))))
    }

    /// How the nodes of `records` ended, as [`ledger::current_nodes`] gives it; `None` if that is not known of each.
    fn all_nodes(&self, records: &BTreeMap<String, Record>, new: &[Node]) -> Option<Vec<Node>> {
        let key = |node: &Node| (node.run_id.clone(), node.node_id.clone());
        let known: BTreeMap<_, &Node> =
            self.nodes.iter().flatten().chain(new).map(|node| (key(node), node)).collect();
        let mut all = Vec::new();
        for record in records.values() {
            let Some(id) = record.unique_id.as_ref().filter(|_| !record.is_ephemeral()) else { continue };
            all.push((*known.get(&(record.run_id.clone(), id.clone()))?).clone());
        }
        all.sort_by(|a, b| {
            let (a, b) = ((a.started_at, &a.node_id), (b.started_at, &b.node_id));
            // The ledger puts nodes without a time last.
            (a.0.is_none(), a).cmp(&(b.0.is_none(), b))
        });
        Some(all)
    }
}
