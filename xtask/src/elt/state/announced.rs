//! Whether dbt has to be asked what it is going to write.

use std::collections::BTreeMap;

use crate::state::define::{Class, Definition, Definitions};
use crate::state::record::{FORMAT, Record};

/// Inputs that decide what a relation holds, and neither what it is called nor where it is.
const CONTENT: [&str; 8] =
    ["sql", "data", "header", "contract", "description", "descriptions of columns", "arguments", "unit test"];

/// The same, by how the names of such inputs begin.
const CONTENT_OF: [&str; 3] = ["macro ", "model ", "fixture "];

/// Whether dbt would write the same relations as when it built them: nothing has changed since then that could give a
/// node another name or place, none is new, and the names that dbt gave then are those that the definitions have.
pub(super) fn are_known(definitions: &Definitions, records: &BTreeMap<String, Record>) -> bool {
    // Further schemas are made again before dbt writes, if they were dropped.
    let is_in_own_schema = |definition: &Definition| {
        let relation = definition.relation.as_ref();
        relation.is_none_or(|(schema, _)| schema.eq_ignore_ascii_case(&definitions.schema))
    };
    let is_known = |definition: &Definition| {
        let record = records.get(&definition.id);
        record.is_some_and(|record| is_as_before(definition, record)) && is_in_own_schema(definition)
    };
    definitions.faults.is_empty()
        && definitions.all.values().filter(|each| each.kind != "source").all(is_known)
}

fn is_as_before(definition: &Definition, record: &Record) -> bool {
    let named = record.relation_schema.as_ref().zip(record.relation_name.as_ref());
    let has_its_name = match &definition.relation {
        Some((schema, name)) => named == Some((schema, name)),
        None => !definition.is_relation(),
    };
    // A test that failed was found by dbt too.
    let was_found = record.is_finished() || definition.is_test() && record.unique_id.is_some();
    // Where an external model writes to is not in its record.
    has_its_name
        && was_found
        && definition.class != Class::Always
        && definition.materialized != "external"
        && !definition.may_be_table
        && record.format == FORMAT
        && (record.definition == definition.hash() || differs_in_content(definition, record))
}

fn differs_in_content(definition: &Definition, record: &Record) -> bool {
    let before = record.parts();
    let decides_place = |name: &&String| {
        !CONTENT.contains(&name.as_str()) && !CONTENT_OF.iter().any(|prefix| name.starts_with(prefix))
    };
    !before.is_empty()
        && before
            .keys()
            .chain(definition.parts.keys())
            .filter(decides_place)
            .all(|name| before.get(name) == definition.parts.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(id: &str) -> (Definition, Record) {
        let mut definition = Definition {
            id: id.to_owned(),
            kind: "model".to_owned(),
            materialized: "table".to_owned(),
            relation: Some(("issue_1".to_owned(), id.to_owned())),
            ..Definition::default()
        };
        definition.parts.insert("sql".to_owned(), "1".to_owned());
        let record = Record {
            node_id: id.to_owned(),
            status: "success".to_owned(),
            format: FORMAT,
            definition: definition.hash(),
            parts: r#"{"sql": "1"}"#.to_owned(),
            relation_schema: Some("issue_1".to_owned()),
            relation_name: Some(id.to_owned()),
            ..Record::default()
        };
        (definition, record)
    }

    fn known(change: impl Fn(&mut Definition, &mut Record)) -> bool {
        let (mut definition, mut record) = built("m");
        change(&mut definition, &mut record);
        let all = BTreeMap::from([(definition.id.clone(), definition)]);
        are_known(
            &Definitions { all, schema: "ISSUE_1".to_owned(), ..Definitions::default() },
            &BTreeMap::from([(record.node_id.clone(), record)]),
        )
    }

    #[test]
    fn only_a_project_whose_names_cannot_have_changed_is_known() {
        assert!(known(|_, _| {}));
        assert!(known(|definition, _| {
            definition.parts.insert("sql".to_owned(), "2".to_owned());
            definition.parts.insert("macro m".to_owned(), "1".to_owned());
        }));
        assert!(!known(|definition, record| {
            definition.parts.insert("sql".to_owned(), "2".to_owned());
            record.parts.clear();
        }));
        assert!(known(|definition, record| {
            (definition.kind, definition.relation) = ("test".to_owned(), None);
            (record.status, record.unique_id) = ("fail".to_owned(), Some("test.m".to_owned()));
        }));
        assert!(!known(|_, record| {
            (record.status, record.unique_id) = ("error".to_owned(), Some("model.m".to_owned()));
        }));
        assert!(known(|definition, _| {
            definition.kind = "test".to_owned();
            definition.relation = None;
        }));
        assert!(!known(|definition, _| {
            definition.parts.insert("config alias".to_owned(), "2".to_owned());
        }));
        assert!(!known(|definition, _| {
            definition.parts.insert("relation".to_owned(), "2".to_owned());
        }));
        assert!(!known(|definition, _| definition.relation = None));
        assert!(!known(|definition, _| definition.class = Class::Always));
        assert!(!known(|definition, _| definition.materialized = "external".to_owned()));
        assert!(!known(|_, record| record.status = "announced".to_owned()));
        assert!(!known(|_, record| record.relation_name = Some("other".to_owned())));
        assert!(!known(|definition, record| {
            definition.relation = Some(("issue_1_raw".to_owned(), "m".to_owned()));
            record.relation_schema = Some("issue_1_raw".to_owned());
        }));
        assert!(!known(|_, record| record.format = 0));
        assert!(!known(|_, record| record.node_id = "other".to_owned()));
    }
}
