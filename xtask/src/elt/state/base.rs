//! What a new environment takes over from the base that it is a copy of.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use jiff::SignedDuration;

use super::look::Looked;
use super::store::{read_records, write_records};
use super::witness::{Key, Listed, Seen, key, witnesses};
use super::{Keeper, known, relations_of};
use crate::core::environment::{self, Member, Name};
use crate::state::decide::adopt_parents;
use crate::state::record::Record;
use crate::warehouse::{Dialect, Warehouse};

/// What a new environment gets from its base.
#[derive(Clone, Debug)]
pub(super) struct Copied {
    pub(super) base: Name,
    /// Nodes whose relations were in the base as its ledger says, and come with the copy.
    pub(super) intact: BTreeSet<String>,
    /// Whether it comes as a file: then nothing of it has to be looked at again but its views.
    pub(super) is_file: bool,
}

impl Keeper {
    /// Take what the environment is going to be copied from for what it is, so that only the difference is built.
    pub(super) fn look_at_base(
        &mut self,
        warehouse: &mut dyn Warehouse,
        base: &Name,
        is_file: bool,
    ) -> Result<()> {
        let known = known::load(warehouse, base).and_then(known::Loading::finish);
        let (of_base, looked) = match known {
            Some(known) => {
                // Its ledger is copied too.
                self.recall_results(&known);
                known.content()
            }
            None => (read_records(warehouse, base)?, Looked::new()),
        };
        if of_base.is_empty() {
            return Ok(());
        }
        // Until it is copied, what the new environment will hold is in the base.
        warehouse.focus(base);
        let mut wanted = relations_of(&of_base);
        wanted.retain(|(schema, name)| !looked.contains_key(&key(schema, name)));
        let mut seen = witnesses(warehouse, &wanted, &BTreeMap::new(), &mut Listed::new())?;
        seen.extend(looked.into_iter().filter_map(|(key, seen)| Some((key, seen?))));
        let views: BTreeSet<Key> =
            warehouse.copied_views(base)?.iter().map(|(schema, name)| key(schema, name)).collect();
        let mut copied = Copied { base: base.clone(), intact: BTreeSet::new(), is_file };
        let own = warehouse.own_schema(base);
        let has_further = match warehouse.dialect() {
            Dialect::DuckDb => false,
            Dialect::Snowflake => true,
        };
        for (id, mut record) in of_base {
            let relation = record.relation_schema.clone().zip(record.relation_name.clone());
            // A separate database is copied with all its schemas.
            let here = relation.as_ref().and_then(|(schema, _)| {
                if warehouse.is_alone() {
                    return Some(schema.clone());
                }
                copied_schema(schema, &own, self.own_schema(), has_further)
            });
            if let (Some((schema, name)), Some(here)) = (relation, here) {
                let of_base = key(&schema, &name);
                let found = seen.get(&of_base);
                if let Some(found) = found.filter(|seen| !seen.is_view || views.contains(&of_base)) {
                    if found.witness.is_some() && found.witness == record.witness {
                        copied.intact.insert(id.clone());
                    }
                    self.sight.seen.insert(key(&here, &name), Seen { schema: here.clone(), ..found.clone() });
                } else if found.is_some() {
                    self.sight.observed.created.insert(key(&here, &name));
                }
                record.relation_schema = Some(here);
            }
            self.records.insert(id, record);
        }
        adopt_parents(&mut self.definitions, &self.records);
        self.sight.observed.relations =
            self.sight.seen.iter().map(|(key, seen)| (key.clone(), seen.witness.clone())).collect();
        self.sight.observed.texts = self.texts(warehouse);
        self.sight.observed.is_known = true;
        self.sight.observed.sources = self.source_versions(warehouse)?;
        warehouse.focus(&self.schema);
        self.copied = Some(copied);
        Ok(())
    }

    /// The environment whose last run built what is there: the base, as long as this one is not copied yet.
    pub(in crate::elt) fn origin(&self) -> &Name {
        self.copied.as_ref().map_or(&self.schema, |copied| &copied.base)
    }

    /// What an environment that is only a copy of its base has to take over.
    pub(in crate::elt) fn take_over(&self, warehouse: &mut dyn Warehouse) -> Result<()> {
        if let Some(copied) = &self.copied {
            take_over(warehouse, &self.schema, copied, &self.sight.seen)?;
        }
        write_records(warehouse, &self.schema, &self.sight.renewed)
            .context("failed to record what was looked at in the ledger")
    }

    /// What was looked at was in the base. In a copied file, tables are as they were there; `taken` are its records.
    pub(super) fn come_from_base(
        &mut self,
        warehouse: &mut dyn Warehouse,
        copied: Copied,
        taken: Option<Vec<Record>>,
    ) -> Result<()> {
        if let Some(taken) = taken {
            self.records = taken.into_iter().map(|record| (record.node_id.clone(), record)).collect();
            self.sight.moved = copied.intact;
        } else {
            self.records = read_records(warehouse, &self.schema)?;
        }
        if !warehouse.is_alone() {
            self.sight.observed.is_known = false;
            return Ok(());
        }
        let views = self.sight.seen.values().filter(|seen| seen.is_view);
        self.sight.unseen = views.map(|seen| (seen.schema.clone(), seen.name.clone())).collect();
        self.sight.unseen.extend(std::mem::take(&mut self.sight.observed.created));
        Ok(())
    }

    /// Views of a copied file name another database than in the base: now that they have been looked at, what was intact
    /// there is so here.
    pub(super) fn take_over_views(&mut self) {
        let moved = std::mem::take(&mut self.sight.moved);
        let records = moved.iter().filter_map(|id| self.records.get(id));
        let witness = |record: &Record| {
            let relation = record.relation_schema.as_deref().zip(record.relation_name.as_deref());
            let seen = relation.and_then(|(schema, name)| self.sight.seen.get(&key(schema, name)))?;
            seen.is_view.then(|| seen.witness.clone())
        };
        let rows =
            records.filter_map(|record| Some(later(Record { witness: witness(record)?, ..record.clone() })));
        self.note(rows.collect());
    }
}

/// Just newer than the row that it replaces, and older than what the run announces.
fn later(record: Record) -> Record {
    Record { recorded_at: record.recorded_at.saturating_add(SignedDuration::from_micros(1)), ..record }
}

/// The records of a copied file: those of its base, whose tables are where they were there.
pub(super) fn of_file(base: &BTreeMap<String, Record>) -> Vec<Record> {
    base.values().cloned().map(later).collect()
}

/// Make the records of a copied ledger those of the copy: what was intact in the base is so here. `of_base` are its
/// relations as they were seen in the base.
pub(super) fn take_over(
    warehouse: &mut dyn Warehouse,
    schema: &Name,
    copied: &Copied,
    of_base: &BTreeMap<Key, Seen>,
) -> Result<()> {
    let mut records = read_records(warehouse, schema)?;
    let mut wanted = relations_of(&records);
    let mut seen = BTreeMap::new();
    if warehouse.is_alone() {
        // Tables of a copied file are where they were in the base. Views name another database.
        let tables = of_base.iter().filter(|(_, seen)| !seen.is_view);
        seen.extend(tables.map(|(key, table)| (key.clone(), table.clone())));
        wanted.retain(|(schema, name)| !seen.contains_key(&key(schema, name)));
    }
    seen.extend(witnesses(warehouse, &wanted, &BTreeMap::new(), &mut Listed::new())?);
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
    }
    let rows: Vec<Record> = records.into_values().map(later).collect();
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
