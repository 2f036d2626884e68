//! The value of `ref`, `source` and `this`.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr};
use minijinja::{State, Value};

use super::{Dict, Result};

/// The value of `ref`, `source` and `this`: it renders as the relation's own name, with which columns
/// are qualified.
#[derive(Debug)]
pub(in super::super) struct Relation {
    pub(in super::super) name: String,
}

impl Relation {
    pub(in super::super) fn of(name: &str) -> Value {
        Value::from_object(Self { name: name.to_owned() })
    }
}

impl Object for Relation {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let path = ["database", "schema", "identifier"];
        Some(match key.as_str()? {
            "database" => Value::from("target_database"),
            "schema" => Value::from("target_schema"),
            "identifier" | "name" | "table" | "alias" => Value::from(self.name.clone()),
            "type" => Value::from("table"),
            "path" | "include_policy" | "quote_policy" => {
                Dict::of(path.map(|part| (part, Value::from(part == "identifier"))))
            }
            flag if flag.starts_with("is_") => Value::from(flag == "is_table"),
            _ => return None,
        })
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, _: &[Value]) -> Result {
        Ok(match method {
            "get" => Value::from(()),
            "render" => Value::from(identifier(&self.name)),
            // `include`, `quote`, `without_identifier`, `incorporate`, …: still a relation.
            _ => Value::from_dyn_object(self.clone()),
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&identifier(&self.name))
    }
}

/// `text` as SQL reads one name.
pub(in super::super) fn identifier(text: &str) -> String {
    let mut name: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    name
}
