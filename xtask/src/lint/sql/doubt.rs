//! Why SQL that the style engine cannot parse may be right all the same.

use super::trace::{Origin, Rendering};
use super::{Project, Rendered, Role, second_opinion};
use crate::core::sql::words;

/// Why SQL that sqruff cannot parse may be right all the same.
pub(super) enum Doubt {
    None,
    /// There is nothing to parse.
    Nothing,
    Unclear(String),
    /// The same of a script, whose other statements are looked at.
    Partly(String),
}

/// `first` is where the source cannot be parsed at first.
pub(super) fn doubt(file: &Rendered<'_>, project: &Project, first: usize) -> Doubt {
    let rendering = file.rendering;
    let texts = rendering.slices.iter().filter(|slice| slice.origin == Origin::Literal);
    let has_sql = texts.clone().any(|slice| !rendering.text[slice.output.clone()].trim().is_empty());
    // dbt reads only the definitions of a macro file. A file that consists of tags has no SQL.
    if file.role == Role::Macro || !has_sql && texts.count() < rendering.slices.len() {
        return Doubt::Nothing;
    }
    let dialect = file.style.dialect();
    let reason = if is_of_another_warehouse(file.path, dialect) {
        "its path names another warehouse than the dialect that is set".to_owned()
    } else if joins_words(rendering) {
        "the output of a tag follows a word directly".to_owned()
    } else if project.styles.is_assumed(file.path) {
        match (second_opinion::accepting(&rendering.text), administration(file, first)) {
            (Some(dialect), _) => {
                format!("no dialect is set; its SQL is valid for {dialect}: set `dialect` in a .sqlfluff")
            }
            (None, Some(kind)) => unknown_statement(&kind),
            (None, None) => return Doubt::None,
        }
    } else if second_opinion::accepts(&rendering.text, dialect) {
        "its SQL is valid, but the style checks cannot parse all of it".to_owned()
    } else if let Some(kind) = administration(file, first) {
        unknown_statement(&kind)
    } else {
        return Doubt::None;
    };
    if file.role == Role::Script { Doubt::Partly(reason) } else { Doubt::Unclear(reason) }
}

fn unknown_statement(kind: &str) -> String {
    format!("it has a statement with `{kind}` that the parsers do not know")
}

/// The kind of the statement of a script that cannot be parsed from `first` on, if it administrates the warehouse. New
/// ones come with most releases of a warehouse, so that two parsers refuse one says little. Queries and tables they know.
fn administration(file: &Rendered<'_>, first: usize) -> Option<String> {
    let before = file.source.get(..first).filter(|_| file.role == Role::Script)?;
    let start = before.rfind(';').map_or(0, |at| at + 1);
    administrative(&file.source[start..])
}

/// The word that makes the first statement of `text` one of administration or of a procedure.
fn administrative(text: &str) -> Option<String> {
    const FIRST: [&str; 41] = [
        "analyze", "attach", "begin", "call", "comment", "copy", "declare", "desc", "describe", "detach",
        "execute", "explain", "export", "for", "get", "grant", "if", "import", "install", "let", "list",
        "load", "loop", "ls", "optimize", "pragma", "put", "refresh", "remove", "repeat", "reset", "return",
        "revoke", "rm", "set", "show", "undrop", "unset", "use", "vacuum", "while",
    ];
    const BETWEEN: [&str; 15] = [
        "or",
        "replace",
        "alter",
        "if",
        "not",
        "exists",
        "temp",
        "temporary",
        "transient",
        "local",
        "global",
        "volatile",
        "secure",
        "recursive",
        "materialized",
    ];
    const KNOWN: [&str; 6] = ["table", "view", "schema", "database", "index", "sequence"];
    let mut words = words(text);
    let first = words.next()?;
    if !matches!(first.as_str(), "create" | "alter" | "drop") {
        return FIRST.contains(&first.as_str()).then_some(first);
    }
    words.find(|word| !BETWEEN.contains(&word.as_str())).filter(|object| !KNOWN.contains(&object.as_str()))
}

/// Whether a folder or the name of the file names a warehouse, and not that of the dialect: packages have one variant of a
/// model for each.
fn is_of_another_warehouse(path: &str, dialect: &str) -> bool {
    const WAREHOUSES: [&str; 13] = [
        "athena",
        "bigquery",
        "clickhouse",
        "databricks",
        "duckdb",
        "fabric",
        "postgres",
        "redshift",
        "snowflake",
        "spark",
        "sqlserver",
        "synapse",
        "trino",
    ];
    let lower = path.trim_end_matches(".sql").to_ascii_lowercase();
    let words = lower.split(['/', '_', '.', '-']);
    let named: Vec<&str> = words.filter(|word| WAREHOUSES.contains(word)).collect();
    !named.is_empty() && !named.iter().any(|word| dialect.starts_with(word))
}

/// Whether a name from a tag directly follows a word: `join{{ ref('a') }}` is right if names are quoted.
fn joins_words(rendering: &Rendering) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    rendering.slices.iter().filter(|slice| slice.origin == Origin::Templated).any(|slice| {
        rendering.text[..slice.output.start].ends_with(is_word)
            && rendering.text[slice.output.clone()].starts_with(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_administration_are_known_by_their_words() {
        for (text, expected) in [
            ("show dynamic tables in schema a", Some("show")),
            (" -- why\n/* and how */ SHOW views ->> select 1", Some("show")),
            ("create or replace alert a if (exists (select 1)) then begin let b varchar;", Some("alert")),
            ("alter warehouse w resume", Some("warehouse")),
            ("drop row access policy if exists p", Some("row")),
            ("create or replace temporary table if not exists a (b int", None),
            ("drop schema if exists a cascade please", None),
            ("create secure view a as selec 1", None),
            ("selec a from t", None),
            ("select a from", None),
            ("with a as (select 1", None),
            ("", None),
        ] {
            assert_eq!(administrative(text).as_deref(), expected, "{text}");
        }
    }
}
