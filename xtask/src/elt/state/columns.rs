//! Cut-off by column: a node is left alone if of a parent that is built only columns have changed that it cannot read.
//!
//! What a node can read is found when it is built, from the SQL that dbt compiled. Before a parent is built again, the
//! columns that a child can read are hashed together, row by row, and again afterwards. Where any of it is not sure,
//! or would take long beside what it may save, the whole relation counts.

mod hashes;

use std::collections::{BTreeMap, BTreeSet};

use self::hashes::{Columns, Shape, shapes, tokens};
use super::Keeper;
use super::witness::{Key, Seen, key};
use crate::dbt::lineage::reads::names_read;
use crate::ledger;
use crate::state::decide::Action;
use crate::state::define::{Class, Definition};
use crate::state::record::Record;
use crate::warehouse::{Dialect, Warehouse};

/// Beside the data versions of its parents: the names in a node's SQL, if it reads columns by nothing else.
const NAMES: &str = "names";

/// Values that are hashed in a second, about.
const CELLS_A_SECOND: f64 = 40e6;

/// How long two questions take before a wave and two after it, in seconds.
const LOCAL_QUESTIONS: f64 = 0.0;
const REMOTE_QUESTIONS: f64 = 1.0;

/// What may be spent on the columns of one parent: a share of what it and its readers took when they were last built,
/// and some seconds that are not noticed.
const LITTLE: f64 = 0.03;
const UNNOTICED: f64 = 0.02;

/// A child of a node that is going to be built, and what it can read of that.
#[derive(Debug)]
pub(super) struct Reader {
    child: String,
    parent: String,
    /// The version of the parent's data that the child was built from.
    version: String,
    names: BTreeSet<String>,
    /// What it read before.
    before: Option<String>,
}

impl Keeper {
    /// The names that the SQL of a node holds, as they are kept with what it was built from.
    pub(super) fn names_in(&self, definition: &Definition, sql: Option<&str>) -> Option<(String, String)> {
        // Hooks read too, and what a template asks the warehouse for depends on all columns.
        let has_hooks = definition.parts.keys().any(|part| part.contains("hook") || part.contains("header"));
        let is_plain = definition.kind == "model"
            && definition.materialized == "table"
            && definition.class == Class::Exact
            && !definition.is_python
            && !has_hooks;
        let names = names_read(sql.filter(|_| is_plain)?, self.dialect)?;
        let is_simple = names.iter().all(|name| !name.contains('\n'));
        is_simple.then(|| (NAMES.to_owned(), names.into_iter().collect::<Vec<_>>().join("\n")))
    }

    /// The children of what a wave builds that may turn out to read none of what changes.
    pub(super) fn readers(&mut self, warehouse: &mut dyn Warehouse, wave: &BTreeSet<String>) -> Vec<Reader> {
        let mut found = self.possible_readers(wave);
        if found.is_empty() || self.copied.is_some() && !self.is_alone {
            return Vec::new();
        }
        if let Some(copied) = &self.copied {
            // What the copy will hold is in the base.
            warehouse.focus(&copied.base);
        }
        let shapes = self.affordable(warehouse, &found);
        let before = tokens(warehouse, &self.asked(&mut found, &shapes));
        warehouse.focus(&self.schema);
        for (reader, before) in found.iter_mut().zip(before) {
            reader.before = before;
        }
        found.retain(|reader| reader.before.is_some());
        found
    }

    /// Those of which all is known but what the parents hold.
    fn possible_readers(&self, wave: &BTreeSet<String>) -> Vec<Reader> {
        let mut found = Vec::new();
        for (id, verdict) in &self.decision.verdicts {
            let (Action::Pending, Some(definition), Some(record)) =
                (verdict.action, self.definitions.all.get(id), self.records.get(id))
            else {
                continue;
            };
            if definition.class != Class::Exact || definition.hash() != record.definition {
                continue;
            }
            let built_from = record.built_from();
            let Some(names) = built_from.get(NAMES) else { continue };
            for parent in definition.parents.iter().filter(|parent| wave.contains(*parent)) {
                let Some(version) = built_from.get(parent) else { continue };
                if self.table_as_built(parent, version).is_some() {
                    found.push(Reader {
                        child: id.clone(),
                        parent: parent.clone(),
                        version: version.clone(),
                        names: names.lines().map(str::to_owned).collect(),
                        before: None,
                    });
                }
            }
        }
        found
    }

    /// The table of a node, if it holds the data `version` and nothing else has changed it.
    fn table_as_built(&self, id: &str, version: &str) -> Option<&Seen> {
        let record = self.records.get(id)?;
        let seen = self.table_of(id)?;
        let is_as_built = record.is_finished()
            && record.data_version.as_deref() == Some(version)
            && record.witness.is_some()
            && record.witness == seen.witness;
        is_as_built.then_some(seen)
    }

    fn table_of(&self, id: &str) -> Option<&Seen> {
        let definition = self.definitions.all.get(id)?;
        let is_table =
            definition.kind == "model" && matches!(definition.materialized.as_str(), "table" | "incremental");
        let (schema, name) = self.relation(definition).filter(|_| is_table)?;
        self.sight.seen.get(&key(schema, name)).filter(|seen| !seen.is_view)
    }

    /// The tables of parents, without those whose columns would take long to hash.
    fn affordable(&self, warehouse: &mut dyn Warehouse, readers: &[Reader]) -> BTreeMap<Key, Shape> {
        let mut shapes = self.shapes(warehouse, readers);
        let nodes = match &self.nodes {
            Some(nodes) => nodes.clone(),
            // What took an unknown time saves nothing for certain.
            None => ledger::current_nodes(warehouse, self.origin()).unwrap_or_default(),
        };
        let seconds: BTreeMap<&str, f64> =
            nodes.iter().filter_map(|node| Some((node.node_id.as_str(), node.seconds?))).collect();
        let seconds = |id: &str| seconds.get(id).copied().unwrap_or_default();
        let mut of_parents: BTreeMap<&str, Vec<&Reader>> = BTreeMap::new();
        for reader in readers {
            of_parents.entry(&reader.parent).or_default().push(reader);
        }
        for (parent, readers) in of_parents {
            let Some(table) = self.table_of(parent).map(|seen| key(&seen.schema, &seen.name)) else {
                continue;
            };
            let Some(shape) = shapes.get(&table) else { continue };
            let lists: BTreeSet<Columns> = readers.iter().map(|reader| shape.named(&reader.names)).collect();
            let cells = shape.rows.saturating_mul(lists.iter().map(|list| list.len() as u64).sum());
            let saved = seconds(parent) + readers.iter().map(|reader| seconds(&reader.child)).sum::<f64>();
            if !is_affordable(cells, saved, self.dialect) {
                tracing::debug!("the columns of {parent} are not compared: {cells} values are too many");
                shapes.remove(&table);
            }
        }
        shapes
    }

    /// The tables of the readers' parents, as far as that can be found out.
    fn shapes(&self, warehouse: &mut dyn Warehouse, readers: &[Reader]) -> BTreeMap<Key, Shape> {
        let tables: BTreeSet<Key> = readers
            .iter()
            .filter_map(|reader| self.table_of(&reader.parent))
            .map(|seen| key(&seen.schema, &seen.name))
            .collect();
        shapes(warehouse, &tables).unwrap_or_else(|error| {
            tracing::debug!("{error:#}");
            BTreeMap::new()
        })
    }

    /// The table of each reader's parent with the columns that it can read. Readers of other tables are left out.
    fn asked(&self, readers: &mut Vec<Reader>, shapes: &BTreeMap<Key, Shape>) -> Vec<(&Seen, Columns)> {
        let asked = |reader: &Reader| {
            let seen = self.table_of(&reader.parent)?;
            Some((seen, shapes.get(&key(&seen.schema, &seen.name))?.named(&reader.names)))
        };
        readers.retain(|reader| asked(reader).is_some());
        readers.iter().filter_map(asked).collect()
    }

    /// Note which of the readers read the same as before, now that the wave has ended, and decide with it.
    pub(super) fn compare_readers(&mut self, warehouse: &mut dyn Warehouse, mut readers: Vec<Reader>) {
        readers.retain(|reader| {
            let record = self.records.get(&reader.parent);
            let is_built = record.is_some_and(|record| record.is_finished() && record.run_id == self.run_id);
            // With the same data nothing has to be compared.
            is_built && record.is_some_and(|record| record.data_version.as_ref() != Some(&reader.version))
        });
        if readers.is_empty() {
            return;
        }
        let shapes = self.shapes(warehouse, &readers);
        let now = tokens(warehouse, &self.asked(&mut readers, &shapes));
        for (reader, now) in readers.into_iter().zip(now) {
            if now.is_some() && now == reader.before {
                tracing::debug!("{} reads nothing of what changed in {}", reader.child, reader.parent);
                self.sight.observed.unaffected.insert((reader.child, reader.parent), reader.version);
            }
        }
        self.decide();
    }

    /// Records of nodes that were left alone although a parent holds other data: from now on they are as if built from it.
    pub(super) fn unaffected(&self) -> Vec<Record> {
        let mut changed: BTreeMap<&String, BTreeMap<String, String>> = BTreeMap::new();
        for ((child, parent), then) in &self.sight.observed.unaffected {
            let (Some(record), Some(now)) = (self.records.get(child), self.decision.versions.get(parent))
            else {
                continue;
            };
            let built_from = changed.entry(child).or_insert_with(|| record.built_from());
            if record.run_id != self.run_id && built_from.get(parent) == Some(then) {
                built_from.insert(parent.clone(), now.clone());
            }
        }
        let renewed = |(child, built_from): (&String, BTreeMap<String, String>)| {
            let record = self.records.get(child)?;
            let built_from = serde_json::to_string(&built_from).ok()?;
            (built_from != record.built_from).then(|| Record {
                built_from,
                recorded_at: record.recorded_at.saturating_add(jiff::SignedDuration::from_micros(1)),
                ..record.clone()
            })
        };
        changed.into_iter().filter_map(renewed).collect()
    }
}

/// Whether so many values may be hashed twice to save what took `saved` seconds.
fn is_affordable(cells: u64, saved: f64, dialect: Dialect) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let hashes = 2.0 * cells as f64 / CELLS_A_SECOND;
    let questions = match dialect {
        Dialect::DuckDb => LOCAL_QUESTIONS,
        Dialect::Snowflake => REMOTE_QUESTIONS,
    };
    hashes + questions <= LITTLE * saved + UNNOTICED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashing_takes_little_beside_what_it_may_save() {
        assert!(is_affordable(100_000, 0.0, Dialect::DuckDb));
        assert!(!is_affordable(10_000_000, 1.0, Dialect::DuckDb));
        assert!(is_affordable(10_000_000, 20.0, Dialect::DuckDb));
        assert!(!is_affordable(1000, 10.0, Dialect::Snowflake));
        assert!(is_affordable(1_000_000, 60.0, Dialect::Snowflake));
        assert!(!is_affordable(u64::MAX, 1e6, Dialect::DuckDb));
    }
}
