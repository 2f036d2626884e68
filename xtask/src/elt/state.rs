//! Builds only what differs from what is there: asks the ledger and the warehouse, lets `crate::state` decide, and
//! starts dbt for as many waves as the decision takes.
//!
//! A wave is what one start of dbt can build: nodes of which it is certain that they must be built. When they are
//! built their data is compared with the data before, so that what reads unchanged data is left alone.

mod ahead;
mod announced;
mod explain;
pub(super) mod known;
mod look;
mod store;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use jiff::SignedDuration;
use serde::Deserialize as _;
use serde_json::Value as Json;

use self::known::Known;
use self::look::Looked;
use self::store::{read_records, statements, table, write_records};
use self::witness::{Key, Seen, data_versions, key, witnesses};
use super::record::Reused;
use crate::core::environment::{self, Member, Name};
use crate::core::ledger::{self, Node, Run};
use crate::core::policy::Changed;
use crate::dbt::artifacts::{self, Manifest, RunResult, RunResults};
use crate::dbt::boundary::Intended;
use crate::dbt::engine::Versions;
use crate::dbt::profile::Profile;
use crate::dbt::runner::{Ended, Invocation};
use crate::state::decide::{Action, Attempts, Decision, Observed, adopt_parents, decide};
use crate::state::define::{self, Class, Definition, Definitions, Facts};
use crate::state::record::{FORMAT, Record};
use crate::state::{profile, select};
use crate::system::digest::Digest;
use crate::target::Place;
use crate::warehouse::{Statement, Warehouse, literal, quote};

/// The longest list of names that dbt is given, in bytes: systems refuse longer command lines.
const LONGEST: usize = 600_000;

/// What is known of an environment before and while it is built.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact about the environment or the run")]
pub(super) struct Keeper {
    schema: Name,
    /// Whether all schemas of its database are the environment's.
    is_alone: bool,
    run_id: String,
    definitions: Definitions,
    records: BTreeMap<String, Record>,
    seen: BTreeMap<Key, Seen>,
    observed: Observed,
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
    /// What dbt called the relations of nodes whose names only it can compute.
    named: BTreeMap<String, (String, String)>,
    /// Records of relations whose token changed although their data did not, with the new token.
    renewed: Vec<Record>,
    /// Nodes that the base was built from other versions of than those here, although nothing here has touched them.
    ahead: BTreeSet<String>,
    /// Rows that dbt reported, of all waves.
    results: Vec<Json>,
    looked: Looked,
    /// Records that are written with the next change of the ledger.
    unwritten: Vec<Record>,
    /// What the ledger says of nodes that a wave was about to touch and of which it reported nothing.
    announced: BTreeMap<String, Record>,
    /// The run that last started dbt here, and how nodes last ended, if an earlier run has kept that.
    last: Option<Run>,
    nodes: Option<Vec<Node>>,
    /// Whether more is known now than an earlier run has kept.
    has_news: bool,
}

/// What a new environment gets from its base.
#[derive(Clone, Debug)]
struct Copied {
    base: Name,
    /// Nodes whose relations were in the base as its ledger says, and come with the copy.
    intact: BTreeSet<String>,
}

/// What a run asks for.
pub(super) struct Asked<'a> {
    pub(super) schema: &'a Name,
    pub(super) run_id: &'a str,
    pub(super) select: Option<&'a str>,
    pub(super) vars: Option<&'a str>,
    pub(super) seeds: Option<&'a Path>,
    pub(super) force: bool,
    pub(super) full_refresh: bool,
    pub(super) changed: Changed,
    /// What a new environment is copied from.
    pub(super) base: Option<&'a Name>,
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

/// What a build depends on beside the files, as far as a run knows it.
pub(super) fn facts(
    asked: &Asked<'_>,
    place: &Place,
    settings: &Profile,
    versions: &Versions,
    warehouse: &dyn Warehouse,
) -> Facts {
    let is_local = matches!(place, Place::Local { .. });
    let schema = warehouse.own_schema(asked.schema);
    Facts {
        target: settings.target.to_owned(),
        adapter: if is_local { "duckdb" } else { "snowflake" }.to_owned(),
        profile_name: settings.name.clone(),
        profile: profile::read(&settings.text),
        database: warehouse.database_of(asked.schema),
        schema: if is_local { schema } else { schema.to_uppercase() },
        vars: asked.vars.map(str::to_owned),
        environment: std::env::vars().collect(),
        seeds: asked.seeds.map(Path::to_path_buf),
        engine: versions.dbt.clone(),
        warehouse: versions.warehouse.clone(),
        period: ledger::now().strftime("%F").to_string(),
        key: asked.run_id.to_owned(),
    }
}

/// What a wave does just before dbt writes anything.
#[derive(Debug)]
pub(super) struct Wave {
    schema: Name,
    /// Written down first: a run that is killed leaves that behind.
    announced: Vec<Record>,
    copied: Option<Copied>,
    /// What no node makes any more goes before a new node may take its name.
    removed: Vec<Record>,
    /// Relations that exist, to know what they are.
    seen: BTreeMap<Key, Seen>,
}

impl Wave {
    pub(super) fn begin(&self, warehouse: &mut dyn Warehouse) -> Result<()> {
        if let Some(copied) = &self.copied {
            take_over(warehouse, &self.schema, copied)?;
        }
        write_records(warehouse, &self.schema, &self.announced)
            .context("failed to announce the run in the ledger")?;
        // dbt has read the project: a half-made rename costs no table.
        remove(warehouse, &self.schema, &self.removed, &self.seen)
    }

    /// What dbt must report a result for, if it was not asked itself.
    pub(super) fn intended(&self) -> Vec<Intended> {
        let relations = self.announced.iter().filter(|record| {
            matches!(record.kind.as_str(), "model" | "seed" | "snapshot")
                && record.materialized.as_deref() != Some("ephemeral")
        });
        let intended = |record: &Record| Intended {
            id: record.unique_id.clone().unwrap_or_else(|| record.node_id.clone()),
            ..Intended::default()
        };
        relations.map(intended).collect()
    }
}

/// Make the records of a copied ledger those of the copy: what was intact in the base is so here.
fn take_over(warehouse: &mut dyn Warehouse, schema: &Name, copied: &Copied) -> Result<()> {
    let mut records = read_records(warehouse, schema)?;
    let seen = witnesses(warehouse, &relations_of(&records))?;
    for record in records.values_mut() {
        let relation = record.relation_schema.as_deref().zip(record.relation_name.as_deref());
        let here = relation.and_then(|(schema, name)| seen.get(&key(schema, name)));
        if copied.intact.contains(&record.node_id) {
            let Some(here) = here else {
                bail!(
                    "{} could not be copied from {} to {schema}, so nothing was built; run this again to build it",
                    record.relation_name.as_deref().unwrap_or(&record.name),
                    copied.base,
                );
            };
            record.witness.clone_from(&here.witness);
        }
        // Just newer than the row that it replaces, and older than what this run announces.
        record.recorded_at = record.recorded_at.saturating_add(SignedDuration::from_micros(1));
    }
    let rows: Vec<Record> = records.into_values().collect();
    write_records(warehouse, schema, &rows).context("failed to take over the state of the base")
}

/// What a schema of the base is called in the copy: `PR_7_RAW` for `DEV_RAW`, if further schemas are copied too.
fn copied_schema(schema: &str, base: &str, copy: &str, has_further: bool) -> Option<String> {
    let is_copied = match environment::member(schema, base)? {
        Member::First => true,
        Member::Further => has_further,
    };
    is_copied.then(|| format!("{copy}{}", &schema[base.len()..]))
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
            let relation = format!("{}.{}", quote(&seen.schema), quote(&seen.name));
            change.push(Statement::sql(format!("drop {kind} if exists {relation}")));
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

fn relations_of(records: &BTreeMap<String, Record>) -> BTreeSet<(String, String)> {
    let relation = |record: &Record| Some((record.relation_schema.clone()?, record.relation_name.clone()?));
    records.values().filter_map(relation).collect()
}

impl Keeper {
    /// Read the project and the ledger, and decide.
    pub(super) fn read(
        asked: &Asked<'_>,
        project: &Path,
        mut facts: Facts,
        known: Option<Known>,
        warehouse: &mut dyn Warehouse,
    ) -> Result<Self> {
        let begun = Instant::now();
        let has_ledger = asked.found == Found::WithLedger;
        let base = asked.base.filter(|base| asked.found == Found::Nothing && *base != asked.schema);
        // Secrets are hashed with a key that is beside the data: the first run's own random number.
        if has_ledger && facts.environment.keys().any(|name| name.starts_with("DBT_ENV_SECRET")) {
            facts.key = ledger::first_run(warehouse, asked.schema)?.unwrap_or(facts.key);
        }
        let definitions = define::read(project, &facts)?;
        tracing::debug!("read {} definitions in {:?}", definitions.all.len(), begun.elapsed());
        let mut keeper = Self {
            schema: asked.schema.clone(),
            is_alone: warehouse.is_alone(),
            run_id: asked.run_id.to_owned(),
            definitions,
            records: BTreeMap::new(),
            seen: BTreeMap::new(),
            observed: Observed::default(),
            attempts: Attempts { force: asked.force || asked.full_refresh, ..Attempts::default() },
            decision: Decision::default(),
            foreign: None,
            full_refresh: asked.full_refresh,
            changed: asked.changed,
            copied: None,
            has_ledger,
            named: BTreeMap::new(),
            renewed: Vec::new(),
            ahead: BTreeSet::new(),
            results: Vec::new(),
            looked: Looked::new(),
            unwritten: Vec::new(),
            announced: BTreeMap::new(),
            last: None,
            nodes: None,
            has_news: true,
        };
        if let Some(selection) = asked.select {
            keeper.attempts.only = select::select(&keeper.definitions, selection);
            if keeper.attempts.only.is_none() {
                keeper.foreign = Some(selection.to_owned());
            }
        }
        if has_ledger {
            match known {
                Some(known) => keeper.recall(known),
                None => keeper.records = read_records(warehouse, asked.schema)?,
            }
            adopt_parents(&mut keeper.definitions, &keeper.records);
            keeper.observe(warehouse)?;
        } else if let Some(base) = base {
            keeper.look_at_base(warehouse, base)?;
        }
        keeper.observed.now = Some(ledger::now());
        keeper.decide();
        keeper.compare_with_base(warehouse, project)?;
        Ok(keeper)
    }

    /// Take what the environment is going to be copied from for what it is, so that only the difference is built.
    fn look_at_base(&mut self, warehouse: &mut dyn Warehouse, base: &Name) -> Result<()> {
        let of_base = read_records(warehouse, base)?;
        if of_base.is_empty() {
            return Ok(());
        }
        // Until it is copied, what the new environment will hold is in the base.
        warehouse.focus(base);
        let seen = witnesses(warehouse, &relations_of(&of_base))?;
        let views: BTreeSet<Key> =
            warehouse.copied_views(base)?.iter().map(|(schema, name)| key(schema, name)).collect();
        let mut copied = Copied { base: base.clone(), intact: BTreeSet::new() };
        let own = warehouse.own_schema(base);
        for (id, mut record) in of_base {
            let relation = record.relation_schema.clone().zip(record.relation_name.clone());
            // A separate database is copied with all its schemas.
            let here = relation.as_ref().and_then(|(schema, _)| {
                if warehouse.is_alone() {
                    return Some(schema.clone());
                }
                copied_schema(schema, &own, self.own_schema(), warehouse.target() != "local")
            });
            if let (Some((schema, name)), Some(here)) = (relation, here) {
                let of_base = key(&schema, &name);
                let found = seen.get(&of_base);
                if let Some(found) = found.filter(|seen| !seen.is_view || views.contains(&of_base)) {
                    if found.witness.is_some() && found.witness == record.witness {
                        copied.intact.insert(id.clone());
                    }
                    self.seen.insert(key(&here, &name), Seen { schema: here.clone(), ..found.clone() });
                } else if found.is_some() {
                    self.observed.created.insert(key(&here, &name));
                }
                record.relation_schema = Some(here);
            }
            self.records.insert(id, record);
        }
        adopt_parents(&mut self.definitions, &self.records);
        self.observed.relations =
            self.seen.iter().map(|(key, seen)| (key.clone(), seen.witness.clone())).collect();
        self.observed.texts = self.texts(warehouse);
        self.observed.is_known = true;
        self.observed.sources = self.source_versions(warehouse)?;
        warehouse.focus(&self.schema);
        self.copied = Some(copied);
        Ok(())
    }

    /// The environment whose last run built what is there: the base, as long as this one is not copied yet.
    pub(super) fn origin(&self) -> &Name {
        self.copied.as_ref().map_or(&self.schema, |copied| &copied.base)
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

    /// What dbt is asked to build first: `asked` as it was given, or the nodes that are certain.
    pub(super) fn selection(&self, asked: Option<&str>) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(asked) = asked {
            words.push("--select".to_owned());
            words.extend(asked.split_whitespace().map(str::to_owned));
        } else {
            let (wave, refresh) = self.wave();
            self.add_selection(&mut words, &wave, refresh);
        }
        words
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
        self.decision = decide(&self.definitions, &self.records, &self.observed, &self.attempts);
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

    /// Whether there is nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.foreign.is_none() && self.definitions.faults.is_empty() && self.decision.is_idle()
    }

    /// What an environment that is only a copy of its base has to take over.
    pub(super) fn take_over(&self, warehouse: &mut dyn Warehouse) -> Result<()> {
        if let Some(copied) = &self.copied {
            take_over(warehouse, &self.schema, copied)?;
        }
        write_records(warehouse, &self.schema, &self.renewed)
            .context("failed to record what was looked at in the ledger")
    }

    /// Build wave by wave. `start` runs dbt once and begins the wave before dbt writes anything; the results of all waves are left in `target` as if it had been one
    /// run.
    pub(super) fn run(
        &mut self,
        warehouse: &mut dyn Warehouse,
        invocation: &mut Invocation,
        target: &Path,
        mut start: impl FnMut(&mut dyn Warehouse, &Invocation, &Wave) -> Result<Ended>,
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
            self.unwritten.clear();
            // From now on anything may write to the database.
            self.looked.clear();
            let ended = start(warehouse, invocation, &begun)?;
            self.announced.extend(begun.announced.iter().map(|row| (row.node_id.clone(), row.clone())));
            if self.copied.take().is_some() {
                self.records = read_records(warehouse, &self.schema)?;
                // What was looked at was in the base.
                self.observed.is_known = false;
            }
            if ended.intended.is_some() {
                for record in &begun.removed {
                    self.records.remove(&record.node_id);
                }
            }
            let is_over = ended.interrupted || !matches!(ended.status.code(), Some(0 | 1));
            let reported = self.take_results(warehouse, target, &wave)?;
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
            self.decide();
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

    fn wave(&self) -> (BTreeSet<String>, bool) {
        if !self.definitions.faults.is_empty() || self.foreign.is_some() {
            let is_first = self.attempts.done.is_empty();
            return (if is_first { self.everything() } else { BTreeSet::new() }, false);
        }
        let stopped = self.decision.stopped(&self.definitions, &self.attempts);
        let (mut wave, refresh) = self.decision.wave(&self.definitions, &self.attempts);
        wave.retain(|id| !stopped.contains(id));
        (wave, refresh && !self.full_refresh)
    }

    /// Add the options that select what to build, in the fewest names.
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
            let mut names: Vec<String> = of.iter().map(|d| self.selector(d, &folders)).collect();
            names.sort();
            names.dedup();
            names
        };
        // To dbt, a test of a node that is left out is left out too.
        let left_out: BTreeSet<&str> = rest.iter().map(|d| d.id.as_str()).collect();
        let is_lost = |test: &&&Definition| {
            let mut read = test.parents.iter().chain(&test.attached);
            test.is_test() && read.any(|id| left_out.contains(id.as_str()))
        };
        let loses_tests = chosen.iter().any(|definition| is_lost(&definition));
        let (chosen, rest) = (names(&chosen), names(&rest));
        let length = |names: &[String]| names.iter().map(|name| name.len() + 1).sum::<usize>();
        if loses_tests || length(&chosen) <= length(&rest) {
            args.extend(["--indirect-selection", "empty", "--select"].map(str::to_owned));
            args.extend(chosen);
        } else if length(&rest) <= LONGEST {
            args.push("--exclude".to_owned());
            args.extend(rest);
        }
    }

    /// What is about to be touched.
    fn begun(&self, wave: &BTreeSet<String>) -> Wave {
        let now = ledger::now();
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
                .chain(self.renewed.iter().cloned())
                .collect(),
            copied: self.copied.clone(),
            removed: self.decision.removed.clone(),
            seen: self.seen.clone(),
        }
    }

    /// Drop what no node makes any more, if dbt is not started.
    pub(super) fn remove(&mut self, warehouse: &mut dyn Warehouse) -> Result<()> {
        let removed = std::mem::take(&mut self.decision.removed);
        if !removed.is_empty() {
            self.looked.clear();
        }
        for record in &removed {
            self.records.remove(&record.node_id);
        }
        remove(warehouse, &self.schema, &removed, &self.seen)
    }

    /// Take back that nodes were about to be touched: which ones dbt selected is known only when it has ended.
    fn withdraw(&mut self, wave: &BTreeSet<String>, reported: &BTreeSet<String>) {
        let now = ledger::now();
        let untouched = wave.difference(reported).filter_map(|id| self.records.get(id));
        let rows: Vec<Record> =
            untouched.map(|record| Record { recorded_at: now, ..record.clone() }).collect();
        self.note(rows);
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
        statements(warehouse, &self.schema, &std::mem::take(&mut self.unwritten))
    }

    /// What the last start of dbt did, as records; the nodes that it spoke of.
    fn take_results(
        &mut self,
        warehouse: &mut dyn Warehouse,
        target: &Path,
        wave: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>> {
        let manifest = Manifest::read(target)?.unwrap_or_default();
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
                self.named.insert(id.clone(), (node.schema.clone(), node.relation().to_owned()));
            }
        }
        let touched = wave.iter().chain(ended.keys());
        let touched = touched.filter_map(|id| self.definitions.all.get(id));
        let wanted = touched.filter_map(|definition| self.relation(definition).cloned()).collect();
        if self.observed.is_known {
            // The rest was looked at before the wave.
            self.observe_some(warehouse, &wanted)?;
        } else {
            self.observe(warehouse)?;
        }
        self.record(warehouse, &ended)?;
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

    /// How dbt is asked for a node: by the name that dbt itself gave it, as far as that is known.
    fn selector(&self, definition: &Definition, folders: &BTreeSet<&str>) -> String {
        let known = self.records.get(&definition.id).and_then(|record| record.unique_id.as_deref());
        if definition.kind == "test"
            && let Some((id, _)) = known.and_then(|id| id.rsplit_once('.'))
            && id != definition.id
            && let Some(name) = id.splitn(3, '.').nth(2)
            && known != Some(definition.id.as_str())
        {
            let fqn = definition.fqn.iter().rev().skip(1).rev().cloned().chain([name.to_owned()]);
            return select::selector(&Definition { fqn: fqn.collect(), ..definition.clone() }, folders);
        }
        select::selector(definition, folders)
    }

    /// Schema and name of what a node builds.
    fn relation<'k>(&'k self, definition: &'k Definition) -> Option<&'k (String, String)> {
        definition.relation.as_ref().or_else(|| self.named.get(&definition.id))
    }

    fn record(&mut self, warehouse: &mut dyn Warehouse, ended: &BTreeMap<String, RunResult>) -> Result<()> {
        let now = ledger::now();
        let built = ended.iter().filter(|(_, result)| result.status == "success");
        let tables: BTreeMap<String, &Seen> = built
            .filter_map(|(id, _)| self.definitions.all.get(id))
            .filter(|d| d.is_relation() && d.materialized != "view" && d.kind != "seed")
            .filter_map(|d| {
                let (schema, name) = self.relation(d)?;
                Some((d.id.clone(), self.seen.get(&key(schema, name))?))
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
                record.witness = self.seen.get(&key(schema, name)).and_then(|seen| seen.witness.clone());
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
        }
        self.note(rows);
        Ok(())
    }

    /// Leave the results of all waves as one, and write down what could not be built.
    fn finish(&mut self, target: &Path) -> Result<()> {
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
            for row in &rows {
                let unique_id = row.unique_id.clone().unwrap_or_else(|| row.node_id.clone());
                self.results.push(serde_json::json!({
                    "unique_id": unique_id, "status": "skipped", "execution_time": 0.0, "timing": [],
                }));
            }
            self.note(rows);
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
