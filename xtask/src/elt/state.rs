//! Builds only what differs from what is there: asks the ledger and the warehouse, lets `crate::state` decide, and
//! starts dbt for as many waves as the decision takes.
//!
//! A wave is what one start of dbt can build: nodes of which it is certain that they must be built. When they are
//! built their data is compared with the data before, so that what reads unchanged data is left alone.

mod ahead;
mod announced;
mod base;
mod columns;
pub(super) mod explain;
pub(super) mod known;
mod look;
mod reader;
mod results;
mod selection;
mod store;
mod wave;
mod witness;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::Value as Json;

use self::base::Copied;
use self::known::Known;
use self::look::Sight;
pub(super) use self::reader::{Reader, facts};
use self::store::{announced, newest, read_records, statements};
use super::record::Reused;
use crate::core::clock;
use crate::core::environment::Name;
use crate::core::policy::Changed;
use crate::dbt::artifacts::Manifest;
use crate::ledger::{Node, Run};
use crate::state::decide::{Action, Attempts, Decision, adopt_parents, decide};
use crate::state::define::{Class, Definition, Definitions};
use crate::state::record::Record;
use crate::state::select;
use crate::system::digest::Digest;
use crate::warehouse::{Dialect, Statement, Warehouse};

/// What is known of an environment before and while it is built.
#[derive(Debug)]
pub(super) struct Keeper {
    schema: Name,
    /// Whether all schemas of its database are the environment's.
    is_alone: bool,
    dialect: Dialect,
    run_id: String,
    definitions: Definitions,
    records: BTreeMap<String, Record>,
    sight: Sight,
    attempts: Attempts,
    decision: Decision,
    /// A selection that only dbt understands.
    foreign: Option<String>,
    full_refresh: bool,
    /// What happens to incremental models whose definition changed.
    changed: Changed,
    /// The base that the environment is going to be copied from, and the nodes whose relations come with it.
    copied: Option<Copied>,
    /// Whether the ledger can be written before dbt starts.
    has_ledger: bool,
    /// Nodes that the base was built from other versions of than those here, although nothing here has touched them.
    ahead: BTreeSet<String>,
    /// Rows that dbt reported, of all waves.
    results: Vec<Json>,
    /// The project as dbt described it in the last of them.
    pub(super) manifest: Option<Manifest>,
    /// Records that are written with the next change of the ledger.
    unwritten: Vec<Record>,
    /// What the ledger says of nodes that a wave was about to touch and of which it reported nothing.
    announced: BTreeMap<String, Record>,
    /// The run that last started dbt here, and how nodes last ended, if an earlier run has kept that.
    last: Option<Run>,
    nodes: Option<Vec<Node>>,
}

/// What a run asks for.
pub(super) struct Asked<'a> {
    pub(super) schema: &'a Name,
    pub(super) run_id: &'a str,
    pub(super) select: Option<&'a str>,
    pub(super) force: bool,
    pub(super) full_refresh: bool,
    pub(super) changed: Changed,
    /// What a new environment is copied from.
    pub(super) base: Option<&'a Name>,
    /// Whether it is copied as a file.
    pub(super) copies_file: bool,
    pub(super) found: Found,
}

/// The environment before the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// It is ours, but nothing says how it was built.
    WithoutLedger,
    WithLedger,
}

fn relations_of(records: &BTreeMap<String, Record>) -> BTreeSet<(String, String)> {
    let relation = |record: &Record| Some((record.relation_schema.clone()?, record.relation_name.clone()?));
    records.values().filter_map(relation).collect()
}

impl Keeper {
    /// Read the project and the ledger, and decide.
    pub(super) fn read(
        asked: &Asked<'_>,
        mut reader: Reader<'_>,
        known: Option<Known>,
        warehouse: &mut dyn Warehouse,
    ) -> Result<Self> {
        let has_ledger = asked.found == Found::WithLedger;
        let base = asked.base.filter(|base| asked.found == Found::Nothing && *base != asked.schema);
        let definitions = reader.definitions(asked.schema, has_ledger, warehouse)?;
        let mut keeper = Self {
            schema: asked.schema.clone(),
            is_alone: warehouse.is_alone(),
            dialect: warehouse.dialect(),
            run_id: asked.run_id.to_owned(),
            definitions,
            records: BTreeMap::new(),
            sight: Sight { has_news: true, ..Sight::default() },
            attempts: Attempts { force: asked.force || asked.full_refresh, ..Attempts::default() },
            decision: Decision::default(),
            foreign: None,
            full_refresh: asked.full_refresh,
            changed: asked.changed,
            copied: None,
            has_ledger,
            ahead: BTreeSet::new(),
            results: Vec::new(),
            manifest: None,
            unwritten: Vec::new(),
            announced: BTreeMap::new(),
            last: None,
            nodes: None,
        };
        if let Some(selection) = asked.select {
            keeper.attempts.only = select::select(&keeper.definitions, selection);
            if keeper.attempts.only.is_none() {
                keeper.foreign = Some(selection.to_owned());
            }
        }
        if has_ledger {
            if let Some(known) = known {
                keeper.recall(known);
            } else {
                keeper.records = read_records(warehouse, asked.schema)?;
                keeper.announced = newest(announced(warehouse, asked.schema)?.into_iter());
                keeper.announced.retain(|id, record| keeper.records.get(id) == Some(record));
            }
            adopt_parents(&mut keeper.definitions, &keeper.records);
            keeper.observe(warehouse)?;
        } else if let Some(base) = base {
            keeper.look_at_base(warehouse, base, asked.copies_file)?;
        }
        keeper.sight.observed.now = Some(clock::now());
        keeper.decide();
        keeper.compare_with_base(warehouse, reader.project)?;
        Ok(keeper)
    }

    /// Why nothing may be built: incremental models that would have to be built from nothing.
    pub(super) fn refusal(&self) -> Option<String> {
        if self.changed != Changed::Stop || self.full_refresh {
            return None;
        }
        let refreshed = self.decision.verdicts.iter().filter(|(_, verdict)| verdict.refresh);
        let models: Vec<&Definition> = refreshed
            .filter(|(id, _)| self.definitions.is_incremental(id))
            .filter_map(|(id, _)| self.definitions.all.get(id))
            .collect();
        let reason = |model: &Definition| {
            let reasons = self.decision.verdicts.get(&model.id).map(|verdict| verdict.reasons.join("; "));
            reasons.unwrap_or_default()
        };
        let lines: Vec<String> = models
            .iter()
            .map(|model| format!("\n  {} ({}): {}", model.name, model.path, reason(model)))
            .collect();
        let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
        (!models.is_empty()).then(|| {
            format!(
                "nothing was built: the rows of these incremental models of {} are not those that their definition makes:{}\n\
                 To build them from nothing: cargo xtask elt --schema {} --full-refresh --select \"{}\"\n\
                 To keep their rows and add new ones: set changed = \"run\" under [incremental] in policies/environments.toml",
                self.schema,
                lines.concat(),
                self.schema,
                names.join(" ")
            )
        })
    }

    /// The environment's schema as the warehouse spells it.
    fn own_schema(&self) -> &str {
        &self.definitions.schema
    }

    /// What the whole project is made from, as one token; `None` if that does not say what a build makes of it.
    pub(super) fn fingerprint(&self) -> Option<String> {
        let all = self.definitions.all.values();
        let is_known = self.definitions.faults.is_empty()
            && all.clone().all(|definition| definition.class != Class::Always);
        is_known.then(|| {
            let digest = all.fold(Digest::default(), |digest, definition| {
                digest.with(&definition.id).with(definition.hash())
            });
            digest.short()
        })
    }

    fn decide(&mut self) {
        self.decision = decide(&self.definitions, &self.records, &self.sight.observed, &self.attempts);
        if self.changed == Changed::Run {
            for (id, verdict) in &mut self.decision.verdicts {
                if verdict.refresh && self.definitions.is_incremental(id) {
                    verdict.refresh = false;
                    verdict.reasons.push("old rows stay, as policies/environments.toml sets".to_owned());
                }
            }
        }
        if self.attempts.only.is_some() || self.foreign.is_some() {
            // A part of the project shows nothing about what was removed from the rest.
            self.decision.removed.clear();
        }
        let (own, is_alone) = (self.own_schema().to_lowercase(), self.is_alone);
        self.decision.removed.retain(|record| {
            let schema = record.relation_schema.as_deref().unwrap_or_default().to_lowercase();
            is_alone || schema == own || schema.starts_with(&format!("{own}_"))
        });
    }

    /// Whether neither dbt nor anything else has to be started, though relations may have to be removed.
    pub(super) fn starts_nothing(&self) -> bool {
        let mut verdicts = self.decision.verdicts.values();
        (self.has_ledger || self.copied.is_some())
            && self.foreign.is_none()
            && self.definitions.faults.is_empty()
            && verdicts.all(|verdict| verdict.action == Action::Reuse)
    }

    /// Whether dbt need not be asked what it is going to write.
    pub(super) fn is_announced(&self) -> bool {
        (self.has_ledger || self.copied.is_some())
            && self.foreign.is_none()
            && announced::are_known(&self.definitions, &self.records)
    }

    /// Whether each node that was built is still one of the project.
    pub(super) fn removes_nothing(&self) -> bool {
        self.decision.removed.is_empty()
    }

    /// Whether there is nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.foreign.is_none() && self.definitions.faults.is_empty() && self.decision.is_idle()
    }

    /// Keep records of what has ended until the ledger is written to.
    fn note(&mut self, rows: Vec<Record>) {
        for row in &rows {
            self.announced.remove(&row.node_id);
            self.records.insert(row.node_id.clone(), row.clone());
        }
        self.unwritten.extend(rows);
    }

    /// What is left to be written to the ledger.
    pub(super) fn unwritten(&mut self, warehouse: &dyn Warehouse) -> Result<Vec<Statement>> {
        let mut rows = std::mem::take(&mut self.unwritten);
        if warehouse.announcements(&self.schema).is_some() {
            rows.extend(self.announced.values().cloned());
            rows = newest(rows.into_iter()).into_values().collect();
        }
        statements(warehouse, &self.schema, &rows)
    }

    /// The ledger has all that was left to be written.
    pub(super) fn is_written(&self, warehouse: &dyn Warehouse) -> Result<()> {
        warehouse.announcements(&self.schema).map_or(Ok(()), |announcements| announcements.remove())
    }

    /// Schema and name of what a node builds.
    fn relation<'k>(&'k self, definition: &'k Definition) -> Option<&'k (String, String)> {
        definition.relation.as_ref().or_else(|| self.sight.named.get(&definition.id))
    }

    /// Whether a node is part of what the run was asked for.
    pub(super) fn covers(&self, unique_id: &str) -> bool {
        let Some(only) = &self.attempts.only else { return true };
        only.contains(unique_id) || unique_id.rsplit_once('.').is_some_and(|(id, _)| only.contains(id))
    }

    /// What this run left as earlier runs made it.
    pub(super) fn reused(&self) -> Vec<Reused> {
        let left =
            self.records.values().filter(|record| record.run_id != self.run_id && record.is_finished());
        left.filter(|record| self.definitions.all.contains_key(&record.node_id))
            .map(|record| Reused {
                id: record.unique_id.clone().unwrap_or_else(|| record.node_id.clone()),
                name: record.name.clone(),
                kind: record.kind.clone(),
                status: "reused",
                last_status: record.status.clone(),
                run_id: record.run_id.clone(),
                at: record.recorded_at,
            })
            .collect()
    }
}
