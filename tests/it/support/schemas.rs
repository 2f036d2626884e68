//! The published schemas: that an output is what its schema says, and holds nothing that the schema leaves out.

use std::fs;

use serde_json::{Map, Value, json};

use super::root;

/// The schema of an output or policy, as it is published.
pub(crate) fn read(name: &str) -> Value {
    let path = root().join("docs/schemas").join(name).with_extension("json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// Programs must accept fields that a later version adds, so a published schema allows them; here they are refused.
#[track_caller]
pub(crate) fn assert_valid(name: &str, output: &Value) {
    let mut schema = read(name);
    refuse_more(&mut schema);
    let validator = jsonschema::validator_for(&schema).expect("a JSON schema");
    let errors: Vec<String> =
        validator.iter_errors(output).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}

fn refuse_more(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("properties").is_some_and(Value::is_object) {
                map.entry("unevaluatedProperties").or_insert(json!(false));
            }
            map.values_mut().for_each(refuse_more);
        }
        Value::Array(list) => list.iter_mut().for_each(refuse_more),
        _ => {}
    }
}

/// TOML as JSON; a date is text.
pub(crate) fn of_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::Datetime(date) => json!(date.to_string()),
        toml::Value::Array(list) => list.into_iter().map(of_toml).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| (key, of_toml(value))).collect::<Map<_, _>>())
        }
        other => serde_json::to_value(other).expect("a plain value"),
    }
}
