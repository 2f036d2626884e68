//! What a statement does, by its first words: whether it may be sent again, and whether it is a part of a transaction.

/// The words of a statement in lower case, without its comments and the parentheses before them.
fn words(sql: &str) -> impl Iterator<Item = String> {
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

pub(super) fn first_word(sql: &str) -> String {
    words(sql).next().unwrap_or_default()
}

pub(super) fn is_dml(sql: &str) -> bool {
    matches!(first_word(sql).as_str(), "insert" | "update" | "delete" | "merge")
}

/// Whether a statement may be sent again when it is unknown whether it ran: what only reads, and what
/// says itself that it does nothing the second time.
pub(super) fn is_repeatable(sql: &str) -> bool {
    match first_word(sql).as_str() {
        // An anonymous procedure is called by the same statement, and may write.
        "with" => !words(sql).any(|word| word == "procedure"),
        "select" | "show" | "describe" | "desc" | "explain" | "list" | "ls" => true,
        "create" => {
            let head: Vec<String> = words(sql).take(6).collect();
            head.windows(3).any(|words| words == ["if", "not", "exists"])
        }
        _ => false,
    }
}
