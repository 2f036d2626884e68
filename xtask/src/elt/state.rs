//! Builds only what differs from what is there: asks the ledger and the warehouse, lets `crate::state` decide, and
//! starts dbt for as many waves as the decision takes.
//!
//! A wave is what one start of dbt can build: nodes of which it is certain that they must be built. When they are
//! built their data is compared with the data before, so that what reads unchanged data is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value as Json;

use super::record::Reused;
use crate::core::environment::Name;
use crate::core::ledger;
use crate::dbt::artifacts::{self, Manifest, RunResult, RunResults};
use crate::dbt::runner::{Ended, Invocation};
use crate::state::decide::{Action, Attempts, Decision, Observed, adopt_parents, decide};
use crate::state::define::{self, Definition, Definitions, Facts, short};
use crate::state::record::{FORMAT, Record};
use crate::state::select;
use crate::system::digest::Digest;
use crate::target::Place;
use crate::warehouse::{Row, Statement, Table, Warehouse, literal, quote, records};

/// The longest list of names that dbt is given, in bytes: systems refuse longer command lines.
const LONGEST: usize = 600_000;

/// In names of relations that the ledger keeps: the environment's own schema, so that a copy can be read.
const OWN_SCHEMA: &str = "{environment}";

/// What is known of an environment before and while it is built.
#[derive(Debug)]
pub(super) struct Keeper {
    schema: Name,
    base: Option<Name>,
    run_id: String,
    definitions: Definitions,
    records: BTreeMap<String, Record>,
    observed: Observed,
    attempts: Attempts,
    decision: Decision,
    /// A selection that only dbt understands.
    foreign: Option<String>,
    full_refresh: bool,
    /// Whether the ledger can be written before dbt starts.
    has_ledger: bool,
    /// Rows that dbt reported, of all waves.
    results: Vec<Json>,
}

/// What a run asks for.
pub(super) struct Asked<'a> {
    pub(super) schema: &'a Name,
    pub(super) run_id: &'a str,
    pub(super) select: Option<&'a str>,
    pub(super) force: bool,
    pub(super) full_refresh: bool,
    /// What a new environment is copied from.
    pub(super) base: Option<&'a Name>,
    /// Whether the environment exists and is ours.
    pub(super) is_ours: bool,
}

/// What a build depends on beside the files, as far as a run knows it.
pub(super) fn facts(
    asked: &Asked<'_>,
    place: &Place,
    vars: Option<&str>,
    seeds: Option<&Path>,
    dbt_version: &str,
    database: &str,
) -> Facts {
    let is_local = matches!(place, Place::Local { .. });
    let schema = asked.schema.as_str();
    // A patch of dbt builds the same.
    let minor: Vec<&str> = dbt_version.split('.').take(2).collect();
    Facts {
        target: place.label().to_owned(),
        adapter: if is_local { "duckdb" } else { "snowflake" }.to_owned(),
        database: database.to_owned(),
        schema: if is_local { schema.to_owned() } else { schema.to_uppercase() },
        vars: vars.map(str::to_owned),
        environment: std::env::vars().collect(),
        seeds: seeds.map(Path::to_path_buf),
        engine: minor.join("."),
        period: ledger::now().strftime("%F").to_string(),
        key: asked.run_id.to_owned(),
    }
}

impl Keeper {
    /// Read the project and the ledger, and decide.
    pub(super) fn read(
        asked: &Asked<'_>,
        project: &Path,
        facts: &Facts,
        warehouse: &mut dyn Warehouse,
    ) -> Result<Self> {
        let begun = Instant::now();
        let mut facts = facts.clone();
        // Secrets are hashed with a key that is beside the data: the first run's own random number.
        if asked.is_ours && facts.environment.keys().any(|name| name.starts_with("DBT_ENV_SECRET")) {
            facts.key = ledger::first_run(warehouse, asked.schema)?.unwrap_or(facts.key);
        }
        let definitions = define::read(project, &facts)?;
        tracing::debug!("read {} definitions in {:?}", definitions.all.len(), begun.elapsed());
        let mut keeper = Self {
            schema: asked.schema.clone(),
            base: asked.base.cloned(),
            run_id: asked.run_id.to_owned(),
            definitions,
            records: BTreeMap::new(),
            observed: Observed::default(),
            attempts: Attempts { force: asked.force || asked.full_refresh, ..Attempts::default() },
            decision: Decision::default(),
            foreign: None,
            full_refresh: asked.full_refresh,
            has_ledger: asked.is_ours,
            results: Vec::new(),
        };
        if let Some(selection) = asked.select {
            keeper.attempts.only = select::select(&keeper.definitions, selection);
            if keeper.attempts.only.is_none() {
                keeper.foreign = Some(selection.to_owned());
            }
        }
        if asked.is_ours {
            keeper.records = read_records(warehouse, asked.schema)?;
            adopt_parents(&mut keeper.definitions, &keeper.records);
            keeper.observe(warehouse)?;
        }
        keeper.decide();
        Ok(keeper)
    }

    fn decide(&mut self) {
        self.decision = decide(&self.definitions, &self.records, &self.observed, &self.attempts);
        if self.attempts.only.is_some() || self.foreign.is_some() {
            // A part of the project says nothing about what is gone from the rest.
            self.decision.removed.clear();
        }
        let own = self.schema.as_str().to_lowercase();
        self.decision.removed.retain(|record| {
            let schema = record.relation_schema.as_deref().unwrap_or_default().to_lowercase();
            schema == own || schema.starts_with(&format!("{own}_"))
        });
    }

    /// Read what a copy brought along. Copied tables are trusted as far as those of the base were as its ledger says
    /// when they were copied, under the base's lock; views are made anew, since a copied one would read the base.
    pub(super) fn start_from_base(&mut self, warehouse: &mut dyn Warehouse) -> Result<()> {
        let Some(base) = self.base.clone().filter(|base| *base != self.schema) else { return Ok(()) };
        self.records = read_records(warehouse, &self.schema)?;
        if self.records.is_empty() {
            return Ok(());
        }
        adopt_parents(&mut self.definitions, &self.records);
        self.observe(warehouse)?;
        let in_base = |schema: &str| schema.replacen(self.schema.as_str(), base.as_str(), 1);
        let relations = self.records.values().filter_map(|record| {
            Some((in_base(record.relation_schema.as_deref()?), record.relation_name.clone()?))
        });
        let seen = witnesses(warehouse, &relations.collect())?;
        for record in self.records.values_mut() {
            let (Some(schema), Some(name)) = (&record.relation_schema, &record.relation_name) else {
                continue;
            };
            let then = seen.get(&(in_base(schema).to_lowercase(), name.to_lowercase())).cloned().flatten();
            let now = self.observed.relations.get(&(schema.to_lowercase(), name.to_lowercase()));
            if then.is_some() && then == record.witness && record.materialized.as_deref() != Some("view") {
                record.witness = now.cloned().flatten();
            }
        }
        let rows: Vec<Record> = self.records.values().cloned().collect();
        self.has_ledger = true;
        self.decide();
        let now = ledger::now();
        let rows: Vec<Record> = rows.into_iter().map(|row| Record { recorded_at: now, ..row }).collect();
        write_records(warehouse, &self.schema, &rows).context("failed to take over the state of the base")
    }

    /// Whether neither dbt nor anything else has to be started, though relations may have to be removed.
    pub(super) fn starts_nothing(&self) -> bool {
        let mut verdicts = self.decision.verdicts.values();
        self.has_ledger
            && self.foreign.is_none()
            && self.definitions.faults.is_empty()
            && verdicts.all(|verdict| verdict.action == Action::Reuse)
    }

    /// Whether there is nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.foreign.is_none() && self.definitions.faults.is_empty() && self.decision.is_idle()
    }

    /// Look at what stands in the environment's schemas.
    fn observe(&mut self, warehouse: &mut dyn Warehouse) -> Result<()> {
        let relations = self.definitions.all.values().filter_map(|definition| definition.relation.clone());
        let recorded = self
            .records
            .values()
            .filter_map(|record| Some((record.relation_schema.clone()?, record.relation_name.clone()?)));
        let wanted: BTreeSet<(String, String)> = relations.chain(recorded).collect();
        self.observed.relations = witnesses(warehouse, &wanted)?;
        self.observed.is_known = true;
        self.observed.sources = self.source_versions(warehouse)?;
        Ok(())
    }

    /// Data versions of sources: of tables beside the data their witness, of the ledger always the same, since
    /// every run writes to it.
    fn source_versions(&self, warehouse: &mut dyn Warehouse) -> Result<BTreeMap<String, String>> {
        let mut found = BTreeMap::new();
        let mut asked = BTreeMap::new();
        for definition in self.definitions.all.values().filter(|definition| definition.kind == "source") {
            if let Some(version) = definition.parts.get("files") {
                found.insert(definition.id.clone(), version.clone());
                continue;
            }
            let Some((schema, name)) = &definition.relation else { continue };
            if schema.eq_ignore_ascii_case(self.schema.as_str()) && ledger::is_ledger(&name.to_lowercase()) {
                found.insert(definition.id.clone(), "ledger".to_owned());
            } else {
                asked.insert((schema.clone(), name.clone()), definition.id.clone());
            }
        }
        let wanted: BTreeSet<(String, String)> = asked.keys().cloned().collect();
        let seen = witnesses(warehouse, &wanted)?;
        for ((schema, name), id) in asked {
            if let Some(Some(witness)) = seen.get(&(schema.to_lowercase(), name.to_lowercase())) {
                found.insert(id, witness.clone());
            }
        }
        Ok(found)
    }

    /// Build wave by wave. `start` runs dbt once; the results of all waves are left in `target` as if it had been one
    /// run.
    pub(super) fn run(
        &mut self,
        warehouse: &mut dyn Warehouse,
        invocation: &mut Invocation,
        target: &Path,
        mut start: impl FnMut(&Invocation) -> Result<Ended>,
    ) -> Result<Ended> {
        let plain = invocation.args.clone();
        let mut all: Option<Ended> = None;
        loop {
            let (wave, refresh) = self.wave();
            if all.is_some() && wave.is_empty() {
                break;
            }
            invocation.args.clone_from(&plain);
            self.add_selection(&mut invocation.args, &wave, refresh);
            self.announce(warehouse, &wave)?;
            tracing::debug!("wave of {}: {}", wave.len(), wave.iter().cloned().collect::<Vec<_>>().join(" "));
            artifacts::prepare(target)?;
            let ended = start(invocation)?;
            let is_over = ended.interrupted || !matches!(ended.status.code(), Some(0 | 1));
            let seen = self.take_results(warehouse, target, &wave)?;
            all = Some(match all {
                None => ended,
                Some(before) => together(before, &ended),
            });
            if is_over || seen == 0 || self.foreign.is_some() {
                break;
            }
            self.decide();
        }
        invocation.args = plain;
        // Only of a project that dbt could read: a half-made rename must not cost a table.
        if !self.results.is_empty() {
            self.remove(warehouse)?;
        }
        self.finish(warehouse, target)?;
        all.context("dbt was not started")
    }

    fn wave(&self) -> (BTreeSet<String>, bool) {
        let all =
            || self.definitions.all.values().filter(|d| d.kind != "source").map(|d| d.id.clone()).collect();
        if !self.definitions.faults.is_empty() || self.foreign.is_some() {
            return (if self.attempts.done.is_empty() { all() } else { BTreeSet::new() }, self.full_refresh);
        }
        let stopped = self.decision.stopped(&self.definitions, &self.attempts);
        let (mut wave, refresh) = self.decision.wave(&self.definitions, &self.attempts);
        wave.retain(|id| !stopped.contains(id));
        (wave, refresh && !self.full_refresh)
    }

    /// Tell dbt what to build, in the fewest names.
    fn add_selection(&self, args: &mut Vec<String>, wave: &BTreeSet<String>, refresh: bool) {
        if refresh {
            args.push("--full-refresh".to_owned());
        }
        if let Some(selection) = &self.foreign {
            args.push("--select".to_owned());
            args.extend(selection.split_whitespace().map(str::to_owned));
            return;
        }
        let selectable = |d: &&Definition| d.kind != "source" && d.materialized != "ephemeral";
        let (chosen, rest): (Vec<&Definition>, Vec<&Definition>) =
            self.definitions.all.values().filter(selectable).partition(|d| wave.contains(&d.id));
        if rest.is_empty() {
            return;
        }
        let folders = select::folders(&self.definitions);
        let names = |of: &[&Definition]| -> Vec<String> {
            let mut names: Vec<String> = of.iter().map(|d| select::selector(d, &folders)).collect();
            names.sort();
            names.dedup();
            names
        };
        let (chosen, rest) = (names(&chosen), names(&rest));
        let length = |names: &[String]| names.iter().map(|name| name.len() + 1).sum::<usize>();
        if length(&chosen) <= length(&rest) {
            args.extend(["--indirect-selection", "empty", "--select"].map(str::to_owned));
            args.extend(chosen);
        } else if length(&rest) <= LONGEST {
            args.push("--exclude".to_owned());
            args.extend(rest);
        }
    }

    /// Write down what is about to be touched: a run that is killed leaves that behind.
    fn announce(&self, warehouse: &mut dyn Warehouse, wave: &BTreeSet<String>) -> Result<()> {
        if !self.has_ledger {
            return Ok(());
        }
        let now = ledger::now();
        let rows: Vec<Record> = wave
            .iter()
            .filter_map(|id| self.definitions.all.get(id))
            .map(|definition| {
                Record::announcing(definition, self.records.get(&definition.id), &self.run_id, now)
            })
            .collect();
        write_records(warehouse, &self.schema, &rows).context("failed to announce the run in the ledger")
    }

    /// Drop what no node makes any more, views first.
    pub(super) fn remove(&mut self, warehouse: &mut dyn Warehouse) -> Result<()> {
        let mut removed = std::mem::take(&mut self.decision.removed);
        if removed.is_empty() {
            return Ok(());
        }
        removed.sort_by_key(|record| record.materialized.as_deref() != Some("view"));
        let mut change = Vec::new();
        for record in &removed {
            let (Some(schema), Some(name)) = (&record.relation_schema, &record.relation_name) else {
                continue;
            };
            tracing::info!("removing {schema}.{name}: {} is gone from the project", record.node_id);
            let kind = if record.materialized.as_deref() == Some("view") { "view" } else { "table" };
            if self.observed.relations.contains_key(&(schema.to_lowercase(), name.to_lowercase())) {
                change.push(Statement::sql(format!(
                    "drop {kind} if exists {}.{}",
                    quote(schema),
                    quote(name)
                )));
            }
            change.push(Statement::sql(format!(
                "delete from {} where node_id = {}",
                warehouse.qualified(&table(&self.schema)),
                literal(&record.node_id)
            )));
            self.records.remove(&record.node_id);
        }
        warehouse.apply(&change).context("failed to remove relations that no node makes any more")
    }

    /// What the last start of dbt did, as records; the number of nodes that it spoke of.
    fn take_results(
        &mut self,
        warehouse: &mut dyn Warehouse,
        target: &Path,
        wave: &BTreeSet<String>,
    ) -> Result<usize> {
        let manifest = Manifest::read(target)?.unwrap_or_default();
        let Some(results) = RunResults::read(target)? else { return Ok(0) };
        let text =
            std::fs::read(target.join("run_results.json")).context("failed to read run_results.json")?;
        let whole: Json = serde_json::from_slice(&text).context("failed to understand run_results.json")?;
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
        self.observe(warehouse)?;
        self.record(warehouse, &ended)?;
        Ok(ended.len())
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
        (manifest.generic_test(unique_id).is_some() || unique_id.starts_with("test."))
            .then(|| short.to_owned())
            .filter(|id| self.definitions.all.contains_key(id))
    }

    fn record(&mut self, warehouse: &mut dyn Warehouse, ended: &BTreeMap<String, RunResult>) -> Result<()> {
        let now = ledger::now();
        let built = ended.iter().filter(|(_, result)| result.status == "success");
        let tables: BTreeMap<String, (String, String)> = built
            .filter_map(|(id, _)| self.definitions.all.get(id))
            .filter(|d| d.is_relation() && d.materialized != "view" && d.kind != "seed")
            .filter_map(|d| Some((d.id.clone(), d.relation.clone()?)))
            .collect();
        let data = data_versions(warehouse, &tables)?;
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
            if let Some((schema, name)) = &definition.relation {
                let key = (schema.to_lowercase(), name.to_lowercase());
                record.witness = self.observed.relations.get(&key).cloned().flatten();
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
            let built_from: BTreeMap<&String, &String> =
                read.filter_map(|id| Some((id, versions.get(id)?))).collect();
            row.built_from = serde_json::to_string(&built_from)?;
            if row.data_version.is_none() {
                row.data_version = versions.get(&row.node_id).cloned();
            }
            self.records.insert(row.node_id.clone(), row.clone());
        }
        write_records(warehouse, &self.schema, &rows).context("failed to record the nodes in the ledger")
    }

    /// Leave the results of all waves as one, and write down what could not be built.
    fn finish(&mut self, warehouse: &mut dyn Warehouse, target: &Path) -> Result<()> {
        let stopped = self.decision.stopped(&self.definitions, &self.attempts);
        if self.foreign.is_none() && !stopped.is_empty() {
            let now = ledger::now();
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
            write_records(warehouse, &self.schema, &rows)?;
            for row in &rows {
                let unique_id = row.unique_id.clone().unwrap_or_else(|| row.node_id.clone());
                self.results.push(serde_json::json!({
                    "unique_id": unique_id, "status": "skipped", "execution_time": 0.0, "timing": [],
                }));
            }
        }
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

    /// What would be done to each node, and why.
    pub(super) fn explained(&self) -> Explained<'_> {
        let nodes = self.decision.verdicts.iter().filter_map(|(id, verdict)| {
            let definition = self.definitions.all.get(id)?;
            let record = self.records.get(id);
            Some(ExplainedNode {
                id,
                kind: &definition.kind,
                name: &definition.name,
                path: &definition.path,
                class: definition.class.label(),
                action: verdict.action,
                full_refresh: verdict.refresh,
                reasons: &verdict.reasons,
                because: &definition.reasons,
                not_reproducible: &definition.random,
                last_status: record.map(|record| record.status.as_str()),
                last_run: record.map(|record| record.run_id.as_str()),
            })
        });
        let removed = self.decision.removed.iter().map(|record| {
            let part = |text: &Option<String>| text.clone().unwrap_or_default();
            format!("{}.{}", part(&record.relation_schema), part(&record.relation_name))
        });
        Explained { schema: self.schema.as_str(), nodes: nodes.collect(), removed: removed.collect() }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Explained<'a> {
    schema: &'a str,
    nodes: Vec<ExplainedNode<'a>>,
    removed: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ExplainedNode<'a> {
    id: &'a str,
    kind: &'a str,
    name: &'a str,
    path: &'a str,
    class: &'static str,
    action: Action,
    full_refresh: bool,
    reasons: &'a [String],
    /// Why the class is not `exact`.
    because: &'a [String],
    not_reproducible: &'a [String],
    last_status: Option<&'a str>,
    last_run: Option<&'a str>,
}

impl Explained<'_> {
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        for relation in &self.removed {
            line(format!("remove  {relation}: no node makes it any more"));
        }
        for (action, word) in [(Action::Build, "build"), (Action::Pending, "maybe")] {
            for node in self.nodes.iter().filter(|node| node.action == action) {
                let word = if action == Action::Build && matches!(node.kind, "test" | "unit_test") {
                    "run"
                } else {
                    word
                };
                line(format!("{word:<7} {} {} ({}, {})", node.kind, node.name, node.path, node.class));
                for reason in node.reasons {
                    line(format!("          {reason}"));
                }
                if node.full_refresh {
                    line(
                        "          from nothing: adding to what is there would not give the same".to_owned(),
                    );
                }
                for reason in node.not_reproducible {
                    line(format!("          not reproducible: it uses {reason}"));
                }
            }
        }
        let reused = self.nodes.iter().filter(|node| node.action == Action::Reuse).count();
        line(format!("reuse   {reused} of {} nodes and tests of {}", self.nodes.len(), self.schema));
        out
    }
}

fn together(before: Ended, after: &Ended) -> Ended {
    let failed = !before.status.success();
    Ended {
        status: if failed && after.status.success() { before.status } else { after.status },
        seconds: before.seconds + after.seconds,
        stray: before.stray + &after.stray,
        interrupted: before.interrupted || after.interrupted,
    }
}

fn table(schema: &Name) -> Table {
    Table::new(schema.as_str(), ledger::STATE)
}

fn read_records(warehouse: &mut dyn Warehouse, schema: &Name) -> Result<BTreeMap<String, Record>> {
    let known = warehouse.relation_names(schema.as_str())?.unwrap_or_default();
    if !known.iter().any(|name| name == ledger::STATE) {
        return Ok(BTreeMap::new());
    }
    let sql = format!("select * from {} order by recorded_at", warehouse.qualified(&table(schema)));
    let rows: Vec<Record> =
        records(warehouse, &sql).context("failed to read the state of nodes from the ledger")?;
    let mut found = BTreeMap::new();
    for mut row in rows {
        row.relation_schema = row.relation_schema.map(|text| text.replace(OWN_SCHEMA, schema.as_str()));
        found.insert(row.node_id.clone(), row);
    }
    Ok(found)
}

/// Add the newest word on nodes, and drop the older ones.
fn write_records(warehouse: &mut dyn Warehouse, schema: &Name, rows: &[Record]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let neutral = |row: &Record| {
        let mut row = row.clone();
        row.relation_schema = row.relation_schema.map(|text| match text.strip_prefix(schema.as_str()) {
            Some(rest) => format!("{OWN_SCHEMA}{rest}"),
            None => text,
        });
        row
    };
    let rows: Vec<Record> = rows.iter().map(neutral).collect();
    let state = warehouse.qualified(&table(schema));
    warehouse.apply(&[
        Statement::sql(format!("create table if not exists {state} ({COLUMNS})")),
        Statement::insert(table(schema), &rows)?,
        Statement::sql(format!(
            "delete from {state} where (node_id, recorded_at) not in \
             (select node_id, max(recorded_at) from {state} group by node_id)"
        )),
    ])
}

const COLUMNS: &str = "node_id varchar not null, unique_id varchar, run_id varchar not null, \
     recorded_at timestamp not null, kind varchar not null, name varchar not null, status varchar not null, \
     format bigint not null, definition varchar not null, class varchar not null, materialized varchar, \
     relation_schema varchar, relation_name varchar, parts varchar not null, built_from varchar not null, \
     data_version varchar, witness varchar, failures bigint";

/// A token for each relation that exists, by schema and name in lower case. It changes whenever the relation does.
fn witnesses(
    warehouse: &mut dyn Warehouse,
    wanted: &BTreeSet<(String, String)>,
) -> Result<BTreeMap<(String, String), Option<String>>> {
    let schemas: BTreeSet<&str> = wanted.iter().map(|(schema, _)| schema.as_str()).collect();
    if schemas.is_empty() {
        return Ok(BTreeMap::new());
    }
    let listed: Vec<String> = schemas.iter().map(|schema| literal(&schema.to_lowercase())).collect();
    let listed = listed.join(", ");
    let is_local = warehouse.target() == "local";
    let sql = if is_local {
        format!(
            "select schema_name as s, table_name as n, null as witness from duckdb_tables()
             where database_name = current_database() and lower(schema_name) in ({listed})
             union all
             select schema_name, view_name, md5(sql) from duckdb_views()
             where database_name = current_database() and lower(schema_name) in ({listed})"
        )
    } else {
        format!(
            "select table_schema as \"s\", table_name as \"n\", \
             to_varchar(last_altered) || '|' || coalesce(to_varchar(last_ddl), '') as \"witness\" \
             from information_schema.tables where lower(table_schema) in ({listed})"
        )
    };
    let text = |row: &Row, key: &str| row.get(key).and_then(Json::as_str).map(str::to_owned);
    let wanted: BTreeSet<(String, String)> =
        wanted.iter().map(|(schema, name)| (schema.to_lowercase(), name.to_lowercase())).collect();
    let mut found = BTreeMap::new();
    let mut asked = Vec::new();
    for row in warehouse.query(&sql)? {
        let (Some(schema), Some(name)) = (text(&row, "s"), text(&row, "n")) else { continue };
        let key = (schema.to_lowercase(), name.to_lowercase());
        if !wanted.contains(&key) {
            continue;
        }
        let witness = text(&row, "witness");
        if witness.is_none() && is_local {
            let relation = format!("{}.{}", quote(&schema), quote(&name));
            asked.push(format!(
                "select {} as s, {} as n, md5(string_agg(concat_ws(',', row_group_id, column_path, segment_id, \
                 \"start\", count, block_id, block_offset, additional_block_ids, stats), ';' order by row_group_id, column_path, segment_id)) \
                 as witness, count(*) as parts from pragma_storage_info({})",
                literal(&key.0),
                literal(&key.1),
                literal(&relation)
            ));
        }
        found.insert(key, witness);
    }
    for some in asked.chunks(200) {
        for row in warehouse.query(&some.join("\nunion all\n"))? {
            let (Some(schema), Some(name)) = (text(&row, "s"), text(&row, "n")) else { continue };
            // An empty table has nothing stored.
            let witness = text(&row, "witness").unwrap_or_else(|| "empty".to_owned());
            found.insert((schema, name), Some(witness));
        }
    }
    Ok(found)
}

/// What tables hold: their columns, the number of rows, and a hash of all rows in any order.
fn data_versions(
    warehouse: &mut dyn Warehouse,
    tables: &BTreeMap<String, (String, String)>,
) -> Result<BTreeMap<String, String>> {
    let is_local = warehouse.target() == "local";
    let select = |(id, (schema, name)): (&String, &(String, String))| {
        let relation = format!("{}.{}", quote(schema), quote(name));
        let id = literal(id);
        if is_local {
            format!(
                "select {id} as id, count(*)::varchar as n, coalesce(sum(hash(t)), 0)::varchar as a, \
                 coalesce(bit_xor(hash(t)), 0)::varchar as b, (select string_agg(column_name || ' ' || data_type \
                 || ' ' || is_nullable, ',' order by column_index) from duckdb_columns() where \
                 database_name = current_database() and schema_name = {} and table_name = {}) as c from {relation} as t",
                literal(schema),
                literal(name)
            )
        } else {
            format!(
                "select {id} as \"id\", count(*)::varchar as \"n\", hash_agg(*)::varchar as \"a\", '' as \"b\", \
                 (select listagg(column_name || ' ' || data_type || ' ' || is_nullable, ',') within group \
                 (order by ordinal_position) from information_schema.columns where table_schema = {} \
                 and table_name = {}) as \"c\" from {relation}",
                literal(schema),
                literal(name)
            )
        }
    };
    let statements: Vec<String> = tables.iter().map(select).collect();
    let mut found = BTreeMap::new();
    if statements.is_empty() {
        return Ok(found);
    }
    for rows in warehouse.query_many(&statements)? {
        for row in rows {
            let text = |key: &str| row.get(key).and_then(Json::as_str).unwrap_or_default();
            let version =
                ["n", "a", "b", "c"].iter().fold(Digest::default(), |digest, key| digest.with(text(key)));
            found.insert(text("id").to_owned(), short(version.finish()));
        }
    }
    Ok(found)
}
