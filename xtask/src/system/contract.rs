//! JSON schemas of what commands print and of the policy files, made from the types that are printed and parsed, so that
//! a schema cannot differ from the toolkit.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

/// The schema of one output or policy file.
pub(crate) struct Contract {
    /// The file that it is published as, without the ending, such as `schema-list` or `policies/alerts`.
    pub(crate) name: &'static str,
    /// The command line or policy file that it describes.
    pub(crate) of: &'static str,
    pub(crate) schema: Schema,
}

impl Contract {
    /// Of the JSON that a command prints.
    pub(crate) fn output<T: JsonSchema>(name: &'static str, of: &'static str) -> Self {
        Self::new::<T>(name, of, SchemaSettings::draft2020_12().for_serialize())
    }

    /// Of a file that users write.
    pub(crate) fn policy<T: JsonSchema>(name: &'static str, of: &'static str) -> Self {
        Self::new::<T>(name, of, SchemaSettings::draft2020_12().for_deserialize())
    }

    fn new<T: JsonSchema>(name: &'static str, of: &'static str, settings: SchemaSettings) -> Self {
        let mut schema = settings.into_generator().into_root_schema_for::<T>();
        RecursiveTransform(describe).transform(&mut schema);
        schema.insert("title".to_owned(), Value::String(of.to_owned()));
        Self { name, of, schema }
    }
}

/// Descriptions are comments of the source, which have short lines, call an absent value by its name in Rust and link to
/// other items.
fn describe(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let paragraphs: Vec<String> = text.split("\n\n").map(|lines| lines.replace('\n', " ")).collect();
        *text = paragraphs.join("\n\n").replace("`None`", "null").replace("[`", "`").replace("`]", "`");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kept for [`Contract`];
    /// `None` if it is unknown.
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Record {
        value: Option<u8>,
    }

    #[test]
    fn descriptions_are_about_json() {
        let contract = Contract::output::<Record>("record", "cargo xtask record");
        assert_eq!(
            contract.schema.get("description").and_then(Value::as_str),
            Some("Kept for `Contract`; null if it is unknown.")
        );
        assert_eq!(contract.schema.get("title").and_then(Value::as_str), Some("cargo xtask record"));
    }
}
