//! Why a node is built, in words, and whether it must be made from nothing: what its definition and its record say.

use crate::state::define::{Definition, UNKNOWN};
use crate::state::record::{ANNOUNCED, FORMAT, Record};

/// What becomes of rows that were changed by something else and that the next build would leave as they are:
/// whether the node is built from nothing.
pub(super) fn keeps_rows(definition: &Definition, reasons: &mut Vec<String>) -> bool {
    match (definition.kind.as_str(), definition.materialized.as_str()) {
        ("model", "incremental") if definition.full_refresh == Some(false) => {
            reasons
                .push("its rows stay as they were changed, since it sets `full_refresh: false`".to_owned());
            false
        }
        // The rows of a seed are loaded again, but its columns would stay.
        ("model", "incremental") | ("seed", _) => true,
        ("snapshot", _) => {
            reasons.push("its history stays as it was changed, since nothing can make it again".to_owned());
            false
        }
        _ => false,
    }
}

/// Schema and name of what a node builds: as they were when it was built if the project's macros for names cannot
/// be evaluated.
pub(super) fn relation_of<'a>(
    definition: &'a Definition,
    record: &'a Record,
) -> Option<(&'a String, &'a String)> {
    let now = definition.relation.as_ref().map(|(schema, name)| (schema, name));
    now.or_else(|| record.relation_schema.as_ref().zip(record.relation_name.as_ref()))
}

/// Why the last time does not count.
pub(super) fn unfinished(record: &Record) -> Option<String> {
    match record.status.as_str() {
        _ if record.is_finished() => None,
        ANNOUNCED => Some(format!("run {} began with it and did not finish", record.run_id)),
        "skipped" => Some("it was skipped last time".to_owned()),
        "fail" | "error" => Some("it failed last time".to_owned()),
        other => Some(format!("it ended as {other} last time")),
    }
}

/// The inputs of a definition that are others than in the last build, or were not there.
pub(crate) fn changed_inputs<'d>(definition: &'d Definition, record: &Record) -> Vec<&'d str> {
    if record.format != FORMAT {
        return Vec::new();
    }
    let before = record.parts();
    let inputs = definition.parts.iter().filter(|(name, hash)| before.get(*name) != Some(*hash));
    inputs.map(|(name, _)| name.as_str()).collect()
}

/// What differs between a definition and the one of the last build, input by input.
pub(super) fn differences(definition: &Definition, record: &Record) -> Vec<String> {
    if record.format != FORMAT {
        return vec!["the toolkit keeps state in another form now, so all is built once".to_owned()];
    }
    if record.definition == definition.hash() {
        return Vec::new();
    }
    let before = record.parts();
    let mut found = Vec::new();
    for (name, hash) in &definition.parts {
        let place = definition.places.get(name).map(|path| format!(" ({path})")).unwrap_or_default();
        match before.get(name) {
            Some(old) if old == hash => {}
            Some(_) => found.push(format!("{}{place} changed", shown(name, definition))),
            None => found.push(format!("{}{place} is new", shown(name, definition))),
        }
    }
    let gone = before.keys().filter(|name| !definition.parts.contains_key(*name));
    found.extend(gone.map(|name| format!("{} is no longer used", shown(name, definition))));
    if found.is_empty() {
        found.push(match &definition.period {
            Some(period) => format!("it reads the clock, and the period is {period} now"),
            None => "its definition changed".to_owned(),
        });
    }
    found
}

/// What is said of a parent with another version. Views of data without a version have a new one each time; of a table it
/// is what was read after it was built.
pub(super) fn other_data(name: &str, parent: Option<&Definition>) -> String {
    match parent.filter(|parent| parent.materialized == "view").map(|parent| parent.volatile.as_slice()) {
        None | Some([]) => format!("the data of {name} changed"),
        Some(why) => format!("whether the data of {name} changed is unknown: it {}", why.join("; ")),
    }
}

fn shown(part: &str, definition: &Definition) -> String {
    match part.split_once(' ') {
        None if part == "sql" && definition.is_python => "its code".to_owned(),
        None if part == "sql" => "its SQL".to_owned(),
        None if part == "data" => "its file".to_owned(),
        None if matches!(part, "dbt" | "DuckDB") => format!("the version of {part}"),
        Some(("var", name)) => format!("variable {name}"),
        _ => part.to_owned(),
    }
}

/// A changed incremental model or seed cannot become what a full build makes by adding to what is there.
pub(super) fn needs_refresh(definition: &Definition, record: Option<&Record>) -> bool {
    let Some(record) = record.filter(|record| record.relation_name.is_some()) else { return false };
    match (definition.kind.as_str(), definition.materialized.as_str()) {
        ("model", "incremental" | UNKNOWN) => {
            definition.full_refresh != Some(false)
                && (record.definition != definition.hash() || record.format != FORMAT)
        }
        ("seed", _) => {
            let before = record.parts();
            let differs = |part: &str| before.get(part) != definition.parts.get(part);
            let is_config = |part: &&String| part.starts_with("config ");
            differs("header")
                || before.keys().chain(definition.parts.keys()).filter(is_config).any(|part| differs(part))
        }
        _ => false,
    }
}
