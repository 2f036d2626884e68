//! A build of a project and what happened to its environment since, by the records that they would leave.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::case::Case;
use crate::state::decide::{Attempts, Observed, decide};
use crate::state::define::{Definition, Definitions};
use crate::state::record::{FORMAT, Record};

/// The records of a build of everything, in which every relation got `witness` as its token.
pub(super) fn built(definitions: &Definitions) -> (BTreeMap<String, Record>, Observed) {
    let mut observed = Observed { is_known: true, ..Observed::default() };
    for definition in definitions.all.values() {
        if definition.kind == "source" {
            observed.sources.insert(definition.id.clone(), "1".into());
        } else if let Some((schema, name)) = &definition.relation {
            observed.relations.insert((schema.to_lowercase(), name.to_lowercase()), Some("w".into()));
        }
    }
    let mut records: BTreeMap<String, Record> = BTreeMap::new();
    for definition in definitions.all.values().filter(|definition| definition.kind != "source") {
        let mut record = Record::announcing(definition, None, "r", DateTime::default());
        record.status = if definition.is_test() { "pass" } else { "success" }.into();
        record.format = FORMAT;
        record.definition = definition.hash();
        record.parts = serde_json::to_string(&definition.parts).expect("JSON");
        record.witness = Some("w".into());
        record.data_version = Some(format!("data of {}", definition.id));
        records.insert(definition.id.clone(), record);
    }
    // Twice: versions of views follow from those of their parents.
    let attempts = Attempts { done: definitions.all.keys().cloned().collect(), ..Attempts::default() };
    let versions = decide(definitions, &records, &observed, &attempts).versions;
    for (id, record) in &mut records {
        let definition = &definitions.all[id];
        let read: BTreeMap<&String, &String> = definition
            .parents
            .iter()
            .chain(&definition.follows)
            .chain(known_parents(definition, definitions))
            .filter_map(|parent| Some((parent, versions.get(parent)?)))
            .collect();
        record.built_from = serde_json::to_string(&read).expect("JSON");
    }
    (records, observed)
}

/// What dbt would say of a parent that the text only computes.
fn known_parents<'d>(definition: &Definition, definitions: &'d Definitions) -> Vec<&'d String> {
    let is_it = |id: &&String| {
        let known = [("chosen", "model.shop.items"), ("dynamic", "model.dynamic.base")];
        known.contains(&(definition.name.as_str(), id.as_str()))
    };
    definitions.all.keys().filter(is_it).collect()
}

/// What happened to an environment beside edits of files.
pub(super) fn happen(
    case: &Case,
    definitions: &Definitions,
    records: &mut BTreeMap<String, Record>,
    observed: &mut Observed,
) {
    let id_of = |name: &str| {
        let found = definitions.all.values().find(|d| d.name == name || d.id == name);
        found.unwrap_or_else(|| panic!("{}: nothing is named {name}", case.id)).id.clone()
    };
    for (name, status) in &case.ended {
        status.clone_into(&mut records.get_mut(&id_of(name)).expect("a record").status);
    }
    for name in &case.rebuilt {
        records.get_mut(&id_of(name)).expect("a record").data_version = Some("other".into());
    }
    for name in case.touched.iter().chain(&case.missing) {
        let (schema, name_there) = definitions.all[&id_of(name)].relation.clone().expect("a relation");
        let key = (schema.to_lowercase(), name_there.to_lowercase());
        if case.missing.contains(name) {
            observed.relations.remove(&key);
        } else {
            observed.relations.insert(key, Some("other".into()));
        }
    }
    for name in &case.moved {
        observed.sources.insert(id_of(name), "2".into());
    }
    observed.now = Some(DateTime::default().saturating_add(SignedDuration::from_hours(case.hours_later)));
    if case.is_new {
        records.clear();
        observed.relations.clear();
    }
}

/// Each environment has its own relations: here both have the same.
pub(super) fn rename(schema: &str, records: &mut BTreeMap<String, Record>, observed: &mut Observed) {
    for record in records.values_mut() {
        record.relation_schema = record.relation_schema.as_ref().map(|s| s.replace("dev", schema));
    }
    let relations = std::mem::take(&mut observed.relations).into_iter();
    observed.relations =
        relations.map(|((of, name), witness)| ((of.replace("dev", schema), name), witness)).collect();
}
