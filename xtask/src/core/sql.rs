//! Names and texts as parts of SQL.

/// An identifier as SQL takes it whatever it holds.
pub(crate) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// A text as an SQL expression that means the same on every engine. Snowflake takes a backslash in a
/// literal for an escape and DuckDB does not, so a text with one is put together without it.
pub(crate) fn literal(text: &str) -> String {
    let parts: Vec<String> = text.split('\\').map(|part| format!("'{}'", part.replace('\'', "''"))).collect();
    match parts.as_slice() {
        [one] => one.clone(),
        several => format!("({})", several.join(" || chr(92) || ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_holds_no_backslash() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "('a' || chr(92) || '''b')");
    }
}
