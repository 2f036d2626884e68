//! Waves: what one start of dbt builds, before, while and after it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value as Json;

use super::Keeper;
use super::base::{Copied, of_file, take_over};
use super::store::{announce, statements, table};
use super::witness::{Key, Seen, key};
use crate::core::clock;
use crate::core::environment::Name;
use crate::dbt::artifacts;
use crate::dbt::boundary::Intended;
use crate::dbt::runner::{Ended, Invocation};
use crate::elt::ending::Over;
use crate::state::record::Record;
use crate::warehouse::duckdb::Announcements;
use crate::warehouse::{Statement, Warehouse, literal};

/// What a wave does just before dbt writes anything.
#[derive(Debug)]
pub(in crate::elt) struct Wave {
    schema: Name,
    /// Written down first: a run that is killed leaves that behind.
    announced: Vec<Record>,
    copied: Option<Copied>,
    /// The records of a copied file.
    taken: Option<Vec<Record>>,
    /// What no node makes any more goes before a new node may take its name.
    removed: Vec<Record>,
    /// Relations that exist, to know what they are.
    seen: BTreeMap<Key, Seen>,
}

impl Wave {
    /// What is written together with a copied file, so that it is not written to once more: then it is announced.
    pub(in crate::elt) fn along(&self, warehouse: &dyn Warehouse) -> Result<Option<Vec<Statement>>> {
        let Some(taken) = &self.taken else { return Ok(None) };
        statements(warehouse, &self.schema, &[taken.as_slice(), &self.announced].concat()).map(Some)
    }

    pub(in crate::elt) fn begin(&self, warehouse: &mut dyn Warehouse, is_announced: bool) -> Result<()> {
        if !is_announced {
            self.announce(warehouse)?;
        }
        // dbt has read the project: a half-made rename costs no table.
        remove(warehouse, &self.schema, &self.removed, &self.seen)
    }

    fn announce(&self, warehouse: &mut dyn Warehouse) -> Result<()> {
        if let Some(announcements) = self.beside(warehouse) {
            return announce(&announcements, &self.schema, &self.announced);
        }
        if let Some(copied) = &self.copied {
            take_over(warehouse, &self.schema, copied, &self.seen)?;
        }
        let mut change = statements(warehouse, &self.schema, &self.announced)?;
        if !change.is_empty() {
            change.splice(0..0, warehouse.left_in_log());
        }
        warehouse.apply(&change).context("failed to announce the run in the ledger")
    }

    /// Where it is announced, if not in the ledger, which is written to anyway if it is copied.
    fn beside(&self, warehouse: &dyn Warehouse) -> Option<Announcements> {
        warehouse.announcements(&self.schema).filter(|_| self.copied.is_none())
    }

    /// What dbt must report a result for, if it was not asked itself.
    pub(in crate::elt) fn intended(&self) -> Vec<Intended> {
        let relations = self.announced.iter().filter(|record| {
            matches!(record.kind.as_str(), "model" | "seed" | "snapshot") && !record.is_ephemeral()
        });
        let intended = |record: &Record| Intended {
            id: record.unique_id.clone().unwrap_or_else(|| record.node_id.clone()),
            ..Intended::default()
        };
        relations.map(intended).collect()
    }
}

impl Keeper {
    /// Build wave by wave. `start` runs dbt once and begins the wave before dbt writes anything; the results of all waves are
    /// left in `target` as if it had been one run.
    pub(in crate::elt) fn run(
        &mut self,
        warehouse: &mut dyn Warehouse,
        invocation: &mut Invocation,
        target: &Path,
        mut start: impl FnMut(&mut dyn Warehouse, &Invocation, &Wave) -> Result<Over>,
    ) -> Result<Ended> {
        let plain = invocation.args.clone();
        let mut all: Option<Ended> = None;
        loop {
            let (mut wave, refresh) = self.wave();
            if wave.is_empty() {
                if all.is_some() {
                    break;
                }
                // Asked for by something else than a difference: then all of it is.
                wave = self.everything();
            }
            invocation.args.clone_from(&plain);
            self.add_selection(&mut invocation.args, &wave, refresh);
            tracing::debug!("wave of {}: {}", wave.len(), wave.iter().cloned().collect::<Vec<_>>().join(" "));
            artifacts::prepare(target)?;
            let begun = self.begun(&wave);
            if begun.beside(warehouse).is_none() {
                self.unwritten.clear();
            }
            let readers = self.readers(warehouse, &wave);
            self.sight.close();
            let (ended, manifest) = start(warehouse, invocation, &begun)?;
            // While the artifacts are read.
            warehouse.warm_up_to_write();
            self.announced.extend(begun.announced.iter().map(|row| (row.node_id.clone(), row.clone())));
            if let Some(copied) = self.copied.take() {
                // Without an announcement nothing was copied.
                let taken = begun.taken.filter(|_| ended.intended.is_some());
                self.come_from_base(warehouse, copied, taken)?;
            }
            if ended.intended.is_some() {
                for record in &begun.removed {
                    self.records.remove(&record.node_id);
                }
            }
            let is_over = ended.interrupted || !matches!(ended.status.code(), Some(0 | 1));
            let reported = self.take_results(warehouse, target, &wave, manifest)?;
            self.compare_readers(warehouse, readers);
            if self.foreign.is_some() && !is_over {
                self.withdraw(&wave, &reported);
            }
            all = Some(match all {
                None => ended,
                Some(before) => together(before, &ended),
            });
            if is_over || reported.is_empty() || self.foreign.is_some() {
                break;
            }
        }
        invocation.args = plain;
        self.finish(target)?;
        let all = all.context("dbt was not started")?;
        self.look_at_rest(warehouse, all.seconds)?;
        Ok(all)
    }

    fn everything(&self) -> BTreeSet<String> {
        let nodes = self.definitions.all.values().filter(|definition| definition.kind != "source");
        nodes.map(|definition| definition.id.clone()).collect()
    }

    pub(super) fn wave(&self) -> (BTreeSet<String>, bool) {
        if !self.definitions.faults.is_empty() || self.foreign.is_some() {
            let is_first = self.attempts.done.is_empty();
            return (if is_first { self.everything() } else { BTreeSet::new() }, false);
        }
        let stopped = self.decision.stopped(&self.definitions, &self.attempts);
        let (mut wave, refresh) = self.decision.wave(&self.definitions, &self.attempts);
        wave.retain(|id| !stopped.contains(id));
        (wave, refresh && !self.full_refresh)
    }

    /// What is about to be touched.
    fn begun(&self, wave: &BTreeSet<String>) -> Wave {
        let now = clock::now();
        let definitions = wave.iter().filter_map(|id| self.definitions.all.get(id));
        let announced = definitions.map(|definition| {
            Record::announcing(definition, self.records.get(&definition.id), &self.run_id, now)
        });
        Wave {
            schema: self.schema.clone(),
            announced: self
                .unwritten
                .iter()
                .cloned()
                .chain(announced)
                .chain(self.sight.renewed.iter().cloned())
                .collect(),
            copied: self.copied.clone(),
            taken: self.copied.as_ref().filter(|copied| copied.is_file).map(|_| of_file(&self.records)),
            removed: self.decision.removed.clone(),
            seen: self.sight.seen.clone(),
        }
    }

    /// Drop what no node makes any more, if dbt is not started.
    pub(in crate::elt) fn remove(&mut self, warehouse: &mut dyn Warehouse) -> Result<()> {
        let removed = std::mem::take(&mut self.decision.removed);
        if !removed.is_empty() {
            self.sight.close();
        }
        for record in &removed {
            self.records.remove(&record.node_id);
        }
        remove(warehouse, &self.schema, &removed, &self.sight.seen)
    }

    /// Take back that nodes were about to be touched: which ones dbt selected is known only when it has ended.
    fn withdraw(&mut self, wave: &BTreeSet<String>, reported: &BTreeSet<String>) {
        let now = clock::now();
        let untouched = wave.difference(reported).filter_map(|id| self.records.get(id));
        let rows: Vec<Record> =
            untouched.map(|record| Record { recorded_at: now, ..record.clone() }).collect();
        self.note(rows);
    }

    /// Leave the results of all waves as one, and write down what could not be built.
    fn finish(&mut self, target: &Path) -> Result<()> {
        let stopped = self.decision.stopped(&self.definitions, &self.attempts);
        if self.foreign.is_none() && !stopped.is_empty() {
            let now = clock::now();
            let rows: Vec<Record> = stopped
                .iter()
                .filter_map(|id| self.definitions.all.get(id))
                .map(|definition| {
                    let mut row =
                        Record::announcing(definition, self.records.get(&definition.id), &self.run_id, now);
                    "skipped".clone_into(&mut row.status);
                    row
                })
                .collect();
            for row in &rows {
                let unique_id = row.unique_id.clone().unwrap_or_else(|| row.node_id.clone());
                self.results.push(serde_json::json!({
                    "unique_id": unique_id, "status": "skipped", "execution_time": 0.0, "timing": [],
                }));
            }
            self.note(rows);
        }
        self.note(self.unaffected());
        let path = target.join("run_results.json");
        if path.exists() && !self.results.is_empty() {
            let text = std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
            let mut whole: Json = serde_json::from_slice(&text)?;
            whole["results"] = Json::Array(std::mem::take(&mut self.results));
            std::fs::write(&path, serde_json::to_vec(&whole)?)
                .with_context(|| format!("failed to write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Drop what no node makes any more, views first.
fn remove(
    warehouse: &mut dyn Warehouse,
    environment: &Name,
    removed: &[Record],
    seen: &BTreeMap<Key, Seen>,
) -> Result<()> {
    let mut removed: Vec<&Record> = removed.iter().collect();
    removed.sort_by_key(|record| record.materialized.as_deref() != Some("view"));
    let mut change = Vec::new();
    for record in removed {
        let (Some(schema), Some(name)) = (&record.relation_schema, &record.relation_name) else {
            continue;
        };
        tracing::info!("removing {schema}.{name}: {} is gone from the project", record.node_id);
        if let Some(seen) = seen.get(&key(schema, name)) {
            let kind = if seen.is_view { "view" } else { "table" };
            change.push(Statement::sql(format!("drop {kind} if exists {}", seen.place())));
        }
        change.push(Statement::sql(format!(
            "delete from {} where node_id = {}",
            warehouse.qualified(&table(environment)),
            literal(&record.node_id)
        )));
    }
    if change.is_empty() {
        return Ok(());
    }
    warehouse.apply(&change).context("failed to remove relations that no node makes any more")
}

fn together(before: Ended, after: &Ended) -> Ended {
    let failed = !before.status.success();
    Ended {
        status: if failed && after.status.success() { before.status } else { after.status },
        seconds: before.seconds + after.seconds,
        stray: before.stray + &after.stray,
        intended: before.intended.zip(after.intended.clone()).map(|(before, after)| [before, after].concat()),
        interrupted: before.interrupted || after.interrupted,
    }
}
