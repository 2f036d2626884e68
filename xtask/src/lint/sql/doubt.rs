//! Why SQL that the style engine cannot parse may be right all the same.

use super::trace::{Origin, Rendering};
use super::{Project, Rendered, Role, second_opinion};

/// Why SQL that sqruff cannot parse may be right all the same.
pub(super) enum Doubt {
    None,
    /// There is nothing to parse.
    Nothing,
    Unclear(String),
}

pub(super) fn doubt(file: &Rendered<'_>, project: &Project) -> Doubt {
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
    } else if !project.styles.is_assumed(file.path) {
        if !second_opinion::accepts(&rendering.text, dialect) {
            return Doubt::None;
        }
        "its SQL is valid, but the style checks cannot parse all of it".to_owned()
    } else if let Some(dialect) = second_opinion::accepting(&rendering.text) {
        format!("no dialect is set; its SQL is valid for {dialect}: set `dialect` in a .sqlfluff")
    } else {
        return Doubt::None;
    };
    Doubt::Unclear(reason)
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
