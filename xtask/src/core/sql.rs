//! Names, texts and words as parts of SQL.

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

/// The words of a statement in lower case, without its comments and the parentheses before them.
pub(crate) fn words(sql: &str) -> impl Iterator<Item = String> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        rest = after_comments(rest);
        let end = rest
            .char_indices()
            .find(|&(at, c)| at > 0 && (is_mark(c) || rest.starts_with(is_mark)))
            .map_or(rest.len(), |(at, _)| at);
        let (word, left) = rest.split_at(end);
        rest = left;
        (!word.is_empty()).then(|| word.to_ascii_lowercase())
    })
}

/// Whether a character ends a word, and is one by itself.
fn is_mark(c: char) -> bool {
    !(c.is_alphanumeric() || matches!(c, '_' | '$'))
}

/// What follows white space, comments and opening parentheses.
fn after_comments(mut text: &str) -> &str {
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        text = if text.starts_with("--") || text.starts_with("//") {
            text.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(comment) = text.strip_prefix("/*") {
            // Whether comments nest is not documented: what such a statement does is unknown.
            comment.split_once("*/").filter(|(text, _)| !text.contains("/*")).map_or("", |(_, rest)| rest)
        } else {
            return text;
        };
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
