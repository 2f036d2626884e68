//! What dbt reported of a wave, as records.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize as _;
use serde_json::Value as Json;

use super::Keeper;
use super::witness::{Seen, data_versions, key};
use crate::core::clock;
use crate::dbt::artifacts::{Ahead, Manifest, RunResult, RunResults};
use crate::state::record::{FORMAT, Record};
use crate::warehouse::Warehouse;

impl Keeper {
    /// What the last start of dbt did, as records, and what that leaves to be done; the nodes that it spoke of. `manifest` may be
    /// read already.
    pub(super) fn take_results(
        &mut self,
        warehouse: &mut dyn Warehouse,
        target: &Path,
        wave: &BTreeSet<String>,
        manifest: Option<Ahead<Manifest>>,
    ) -> Result<BTreeSet<String>> {
        let manifest = match manifest.and_then(Ahead::finish) {
            Some(manifest) => manifest,
            None => Manifest::read(target)?.unwrap_or_default(),
        };
        let Some(whole) = RunResults::read_whole(target)? else { return Ok(BTreeSet::new()) };
        let results = RunResults::deserialize(&whole).context("failed to understand run_results.json")?;
        self.results.extend(whole.get("results").and_then(Json::as_array).cloned().unwrap_or_default());
        let mut ended: BTreeMap<String, RunResult> = BTreeMap::new();
        for result in results.results {
            if let Some(id) = self.own_id(&result.unique_id, &manifest) {
                ended.insert(id, result);
            }
        }
        for (id, result) in &ended {
            self.attempts.done.insert(id.clone());
            if matches!(result.status.as_str(), "error" | "skipped" | "fail") {
                self.note_failure(id, &manifest, &result.unique_id);
            }
        }
        // What dbt does not know by its name here is not asked for again.
        self.attempts.done.extend(wave.iter().cloned());
        self.has_ledger = true;
        for (id, result) in &ended {
            self.adopt(id, manifest.depends_on(&result.unique_id));
        }
        for (id, result) in &ended {
            if self.definitions.all.get(id).is_some_and(|each| each.is_relation() && each.relation.is_none())
                && let Some(node) = manifest.node(&result.unique_id)
            {
                self.sight.named.insert(id.clone(), (node.schema.clone(), node.relation().to_owned()));
            }
        }
        let touched = wave.iter().chain(ended.keys());
        let touched = touched.filter_map(|id| self.definitions.all.get(id));
        let mut wanted: BTreeSet<(String, String)> =
            touched.filter_map(|definition| self.relation(definition).cloned()).collect();
        wanted.append(&mut self.sight.unseen);
        if self.sight.observed.is_known {
            // The rest was looked at before the wave.
            self.observe_some(warehouse, &wanted)?;
            self.take_over_views();
        } else {
            self.observe(warehouse)?;
        }
        self.record(warehouse, &ended, &manifest)?;
        self.manifest = Some(manifest);
        Ok(ended.into_keys().collect())
    }

    /// Parents that only dbt knows, of a node whose text computes what it reads.
    fn adopt(&mut self, id: &str, of_dbt: &[String]) {
        let known: Vec<String> =
            of_dbt.iter().filter(|parent| self.definitions.all.contains_key(*parent)).cloned().collect();
        if let Some(definition) =
            self.definitions.all.get_mut(id).filter(|definition| definition.has_more_parents)
        {
            let hints = &definition.follows;
            definition.parents.extend(known.into_iter().filter(|parent| !hints.contains(parent)));
        }
    }

    /// A node that failed stops what reads it; so does a test that guards it.
    fn note_failure(&mut self, id: &str, manifest: &Manifest, unique_id: &str) {
        let Some(definition) = self.definitions.all.get(id) else { return };
        if !definition.is_test() {
            self.attempts.failed.insert(id.to_owned());
        } else if manifest.severity(unique_id).is_none_or(|severity| !severity.eq_ignore_ascii_case("warn")) {
            let guarded = match &definition.attached {
                Some(attached) => vec![attached.clone()],
                None => definition.parents.iter().cloned().collect(),
            };
            self.attempts.failed.extend(guarded);
        }
    }

    /// Our identifier for one of dbt's: those of generic tests end with a hash.
    fn own_id(&self, unique_id: &str, manifest: &Manifest) -> Option<String> {
        if self.definitions.all.contains_key(unique_id) {
            return Some(unique_id.to_owned());
        }
        let short = unique_id.rsplit_once('.')?.0;
        if manifest.generic_test(unique_id).is_none() && !unique_id.starts_with("test.") {
            return None;
        }
        if self.definitions.all.contains_key(short) {
            return Some(short.to_owned());
        }
        // A test of the same parts in another order: engines differ in how they list mappings.
        let sorted = |name: &str| {
            let mut parts: Vec<String> = name.split('_').map(str::to_owned).collect();
            parts.sort_unstable();
            parts
        };
        let wanted = sorted(short);
        let tests = self.definitions.all.values().filter(|definition| definition.kind == "test");
        let mut found = tests.filter(|definition| sorted(&definition.id) == wanted);
        found.next().filter(|_| found.next().is_none()).map(|definition| definition.id.clone())
    }

    fn record(
        &mut self,
        warehouse: &mut dyn Warehouse,
        ended: &BTreeMap<String, RunResult>,
        manifest: &Manifest,
    ) -> Result<()> {
        let now = clock::now();
        let built = ended.iter().filter(|(_, result)| result.status == "success");
        let tables: BTreeMap<String, &Seen> = built
            .filter_map(|(id, _)| self.definitions.all.get(id))
            .filter(|d| d.is_relation() && d.materialized != "view" && d.kind != "seed")
            .filter_map(|d| {
                let (schema, name) = self.relation(d)?;
                Some((d.id.clone(), self.sight.seen.get(&key(schema, name))?))
            })
            .collect();
        let data = data_versions(warehouse, &tables);
        let mut rows = Vec::new();
        for (id, result) in ended {
            let Some(definition) = self.definitions.all.get(id) else { continue };
            let mut record = Record::announcing(definition, None, &self.run_id, now);
            record.unique_id = Some(result.unique_id.clone());
            record.status.clone_from(&result.status);
            record.format = FORMAT;
            record.definition = definition.hash();
            definition.class.label().clone_into(&mut record.class);
            record.parts = serde_json::to_string(&definition.parts)?;
            record.failures = result.failures;
            record.data_version = data.get(id).cloned();
            if let Some((schema, name)) = self.relation(definition) {
                record.relation_schema = Some(schema.clone());
                record.relation_name = Some(name.clone());
                record.witness =
                    self.sight.seen.get(&key(schema, name)).and_then(|seen| seen.witness.clone());
            }
            self.records.insert(id.clone(), record.clone());
            rows.push(record);
        }
        // Data versions of parents are those after this wave.
        self.decide();
        for row in &mut rows {
            let Some(definition) = self.definitions.all.get(&row.node_id) else { continue };
            let read = definition.parents.iter().chain(&definition.follows);
            let versions = &self.decision.versions;
            let mut built_from: BTreeMap<String, String> =
                read.filter_map(|id| Some((id.clone(), versions.get(id)?.clone()))).collect();
            let result = ended.get(&row.node_id);
            let compiled = result.and_then(|result| {
                result
                    .compiled_code
                    .as_deref()
                    .or_else(|| manifest.node(&result.unique_id)?.compiled_code.as_deref())
            });
            built_from.extend(self.names_in(definition, compiled));
            row.built_from = serde_json::to_string(&built_from)?;
            if row.data_version.is_none() {
                row.data_version = versions.get(&row.node_id).cloned();
            }
        }
        self.note(rows);
        Ok(())
    }
}
