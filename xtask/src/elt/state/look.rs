//! Looks at what is in the environment, as rarely as possible: what was seen is not asked again unless something may have
//! written to the database since.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jiff::SignedDuration;

use super::witness::{Key, Listed, Seen, add_bytes, data_versions, is_of_another_form, key, witnesses};
use super::{Keeper, relations_of};
use crate::ledger;
use crate::state::decide::Observed;
use crate::state::record::Record;
use crate::warehouse::{Dialect, TableSize, Warehouse};

/// Relations that were looked for, with what was found, since the database has been watched.
pub(super) type Looked = BTreeMap<Key, Option<Seen>>;

/// What was looked at, and what became known by it.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// Relations that exist.
    pub(super) seen: BTreeMap<Key, Seen>,
    /// What decisions depend on.
    pub(super) observed: Observed,
    pub(super) looked: Looked,
    /// What the catalog has said in the same time.
    pub(super) listed: Listed,
    /// What dbt called the relations of nodes whose names only it can compute.
    pub(super) named: BTreeMap<String, (String, String)>,
    /// Records of relations whose token changed although their data did not, with the new token.
    pub(super) renewed: Vec<Record>,
    /// Relations of a copy that are not what they were in the base.
    pub(super) unseen: BTreeSet<(String, String)>,
    /// Nodes whose relations came with a copied file as they were in the base.
    pub(super) moved: BTreeSet<String>,
    /// Whether more is known now than an earlier run has kept.
    pub(super) has_news: bool,
}

impl Sight {
    /// From now on anything may write to the database.
    pub(super) fn close(&mut self) {
        self.looked.clear();
        self.listed.clear();
    }
}

/// How long it takes to look at one relation, about.
const SECONDS_OF_A_LOOK: f64 = 0.0015;

/// The share of dbt's time that may be spent for the next run.
const LITTLE: f64 = 0.05;

impl Keeper {
    /// Those of `wanted` that exist.
    pub(super) fn look(
        &mut self,
        warehouse: &mut dyn Warehouse,
        wanted: &BTreeSet<(String, String)>,
    ) -> Result<BTreeMap<Key, Seen>> {
        let is_new = |(schema, name): &&(String, String)| !self.sight.looked.contains_key(&key(schema, name));
        let unknown: BTreeSet<(String, String)> = wanted.iter().filter(is_new).cloned().collect();
        if !unknown.is_empty() {
            if self.sight.looked.is_empty() {
                warehouse.watch(self.schema.as_str());
            }
            let found = witnesses(warehouse, &unknown, &self.sight.seen, &mut self.sight.listed)?;
            self.sight.has_news = true;
            // A record and the project may spell one relation differently.
            let keys = unknown.iter().map(|(schema, name)| key(schema, name));
            self.sight.looked.extend(keys.map(|key| (key.clone(), found.get(&key).cloned())));
        }
        let seen = |(schema, name): &(String, String)| {
            let key = key(schema, name);
            let seen = self.sight.looked.get(&key)?.clone()?;
            Some((key, seen))
        };
        Ok(wanted.iter().filter_map(seen).collect())
    }

    /// Look at what a wave has not touched too, for the next run: on DuckDB that measures tables, which the record of the run
    /// needs; elsewhere if it takes little beside what dbt took.
    pub(super) fn look_at_rest(&mut self, warehouse: &mut dyn Warehouse, seconds: f64) -> Result<()> {
        let wanted = self.wanted();
        let is_left =
            |(schema, name): &&(String, String)| !self.sight.looked.contains_key(&key(schema, name));
        let left = u32::try_from(wanted.iter().filter(is_left).count()).unwrap_or(u32::MAX);
        let (is_cheap, measures) = match warehouse.dialect() {
            Dialect::DuckDb => (true, true),
            Dialect::Snowflake => (f64::from(left) * SECONDS_OF_A_LOOK < seconds * LITTLE, false),
        };
        if !self.sight.looked.is_empty() && is_cheap {
            self.look(warehouse, &wanted)?;
        }
        if measures {
            let looked = self.sight.looked.iter_mut();
            add_bytes(warehouse, looked.filter_map(|(key, seen)| Some((key, seen.as_mut()?))))?;
        }
        Ok(())
    }

    /// The tables whose sizes are known, as of now.
    pub(in crate::elt) fn sizes(&self) -> BTreeMap<Key, TableSize> {
        let seen = self.sight.looked.iter();
        let size = |seen: &Seen| Some(TableSize { rows: seen.rows?, bytes: seen.bytes? });
        seen.filter_map(|(key, seen)| Some((key.clone(), size(seen.as_ref()?)?))).collect()
    }

    /// All relations that a decision may depend on.
    pub(super) fn wanted(&self) -> BTreeSet<(String, String)> {
        let relations = self.definitions.all.values().filter_map(|definition| definition.relation.clone());
        relations.chain(relations_of(&self.records)).chain(self.sight.named.values().cloned()).collect()
    }

    /// Look at what is in the environment's schemas.
    pub(super) fn observe(&mut self, warehouse: &mut dyn Warehouse) -> Result<()> {
        let wanted = self.wanted();
        self.sight.seen.clear();
        self.sight.observed.relations.clear();
        self.sight.observed.created.clear();
        self.observe_some(warehouse, &wanted)?;
        self.sight.observed.is_known = true;
        self.look_twice(warehouse);
        Ok(())
    }

    /// The texts of views, if the warehouse gives them.
    pub(super) fn texts(&self, warehouse: &dyn Warehouse) -> Option<BTreeMap<Key, String>> {
        let texts = self.sight.seen.iter().filter_map(|(key, seen)| Some((key.clone(), seen.text.clone()?)));
        match warehouse.dialect() {
            Dialect::DuckDb => Some(texts.collect()),
            Dialect::Snowflake => None,
        }
    }

    /// Look at these relations, for the first time or again.
    pub(super) fn observe_some(
        &mut self,
        warehouse: &mut dyn Warehouse,
        wanted: &BTreeSet<(String, String)>,
    ) -> Result<()> {
        let now = self.look(warehouse, wanted)?;
        for (schema, name) in wanted {
            let gone = key(schema, name);
            self.sight.observed.relations.remove(&gone);
            self.sight.seen.remove(&gone);
        }
        let relations = now.iter().map(|(key, seen)| (key.clone(), seen.witness.clone()));
        self.sight.observed.relations.extend(relations);
        self.sight.seen.extend(now);
        self.sight.observed.texts = self.texts(warehouse);
        self.sight.observed.sources = self.source_versions(warehouse)?;
        Ok(())
    }

    /// Snowflake's token changes with maintenance too, DuckDB's with a toolkit that makes it from something else. Before an
    /// incremental model is built from nothing because of it, what it holds is read.
    fn look_twice(&mut self, warehouse: &mut dyn Warehouse) {
        let dialect = warehouse.dialect();
        let says_little = |record: &Record| match dialect {
            Dialect::DuckDb => record.witness.as_deref().is_some_and(is_of_another_form),
            Dialect::Snowflake => true,
        };
        let mut asked: BTreeMap<String, (&Seen, &Record)> = BTreeMap::new();
        for record in self.records.values().filter(|record| record.is_finished() && says_little(record)) {
            let relation = record.relation_schema.as_ref().zip(record.relation_name.as_ref());
            let Some(seen) = relation.and_then(|(schema, name)| self.sight.seen.get(&key(schema, name)))
            else {
                continue;
            };
            if self.definitions.is_incremental(&record.node_id) && seen.witness != record.witness {
                asked.insert(record.node_id.clone(), (seen, record));
            }
        }
        let tables: BTreeMap<String, &Seen> =
            asked.iter().map(|(id, (seen, _))| (id.clone(), *seen)).collect();
        let now = data_versions(warehouse, &tables);
        let same = asked.values().filter(|(_, record)| {
            record.data_version.is_some() && now.get(&record.node_id) == record.data_version.as_ref()
        });
        let renewed: Vec<Record> = same
            .map(|(seen, record)| Record {
                witness: seen.witness.clone(),
                recorded_at: record.recorded_at.saturating_add(SignedDuration::from_micros(1)),
                ..(*record).clone()
            })
            .collect();
        for record in &renewed {
            self.records.insert(record.node_id.clone(), record.clone());
        }
        self.sight.renewed = renewed;
    }

    /// Data versions of sources: of tables beside the data their witness, of the ledger always the same, since
    /// every run writes to it.
    pub(super) fn source_versions(
        &mut self,
        warehouse: &mut dyn Warehouse,
    ) -> Result<BTreeMap<String, String>> {
        let mut found = BTreeMap::new();
        let mut asked = BTreeMap::new();
        for definition in self.definitions.all.values().filter(|definition| definition.kind == "source") {
            if let Some(version) = definition.parts.get("files") {
                found.insert(definition.id.clone(), version.clone());
                continue;
            }
            let Some((schema, name)) = &definition.relation else { continue };
            if schema.eq_ignore_ascii_case(self.own_schema()) && ledger::is_ledger(&name.to_lowercase()) {
                found.insert(definition.id.clone(), "ledger".to_owned());
            } else {
                asked.insert((schema.clone(), name.clone()), definition.id.clone());
            }
        }
        let wanted: BTreeSet<(String, String)> = asked.keys().cloned().collect();
        let seen = self.look(warehouse, &wanted)?;
        let mut views = BTreeMap::new();
        for ((schema, name), id) in asked {
            match seen.get(&key(&schema, &name)) {
                // Its text says nothing about the rows that it shows.
                Some(seen) if seen.is_view => drop(views.insert(id, seen)),
                Some(Seen { witness: Some(witness), .. }) => drop(found.insert(id, witness.clone())),
                _ => {}
            }
        }
        found.extend(data_versions(warehouse, &views));
        Ok(found)
    }
}
