//! What a statement does, by its first words: whether it may be sent again, and whether it is a part of a transaction.

use crate::core::sql::words;

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
