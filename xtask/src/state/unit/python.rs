//! A Python model: its text counts as it is, and what it reads is looked for in it.

use super::super::fold;
use super::Unit;
use crate::dbt::graph::jinja::{Call, Token, calls, tokens};
use crate::system::digest::Digest;

/// What a Python model reads with can be anything.
const PYTHON_READS: [&str; 9] = [
    "os.environ",
    "getenv",
    "open(",
    "requests",
    "urllib",
    "read_csv(",
    "read_parquet(",
    "read_json(",
    "read_excel(",
];

/// A Python model: every byte counts, but for line ends.
pub(crate) fn python(text: &str) -> Unit {
    let digest = Digest::default().with(fold::unix_lines(text)).short();
    let mut unit = Unit { folded: digest.clone(), raw: digest, is_balanced: true, ..Unit::default() };
    let words = tokens(text, 0..text.len(), true);
    for call in calls(&words) {
        if let Some(("dbt", name)) = call.name.rsplit_once('.') {
            let call = Call { name: name.to_owned(), ..call };
            unit.reads_properties.extend(text.contains("meta").then_some("meta"));
            if matches!(name, "ref" | "source" | "config") {
                unit.take_call(&call, text, false);
            }
        }
    }
    // Any name may be a module.
    unit.names.extend(words.iter().filter_map(|(token, _)| match token {
        Token::Name(name) => Some(format!("import {name}")),
        _ => None,
    }));
    unit.always.extend(
        PYTHON_READS.iter().filter(|reads| text.contains(**reads)).map(|reads| format!("uses `{reads}`")),
    );
    unit
}
