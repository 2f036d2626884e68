//! SQL of a template, word by word: tables and files that it names, clocks, and what differs each time.

use super::super::fold::{self, Dialect, Word};
use super::Unit;
use crate::dbt::graph::jinja::{Token, Tokens};

const CLOCKS: [&str; 8] = [
    "current_date",
    "current_timestamp",
    "current_time",
    "localtime",
    "localtimestamp",
    "sysdate",
    "sysdate",
    "systimestamp",
];
/// Clocks that are functions only: as names without brackets they are columns.
const CLOCK_FUNCTIONS: [&str; 9] = [
    "now",
    "today",
    "getdate",
    "get_current_timestamp",
    "transaction_timestamp",
    "statement_timestamp",
    "clock_timestamp",
    "get_current_time",
    "current_localtimestamp",
];
/// Parts of the names above, to look for them quickly.
const HINTS_OF_CLOCKS: [&str; 8] =
    ["current_", "localtime", "now(", "sysdate", "systimestamp", "today(", "getdate", "_timestamp("];
const RANDOM: [&str; 11] = [
    "nextval",
    "random",
    "rand",
    "uuid",
    "gen_random_uuid",
    "uuid_string",
    "randstr",
    "uuidv4",
    "uuidv7",
    "setseed",
    "newid",
];
/// Ends the list of tables after `from`.
const AFTER_FROM: [&str; 13] = [
    "except",
    "fetch",
    "group",
    "having",
    "intersect",
    "limit",
    "offset",
    "order",
    "qualify",
    "select",
    "union",
    "where",
    "window",
];
/// Functions of SQL that say where a session is.
const PLACES: [&str; 4] = ["current_catalog", "current_database", "current_schema", "current_schemas"];

impl Unit {
    /// Queries that are written between the quotes of Jinja, as `run_query("select …")`, and clocks in any text.
    pub(super) fn take_literal_sql(&mut self, words: &Tokens<'_>, is_definition: bool) {
        const NAMES: [&str; 9] =
            ["var", "ref", "source", "env_var", "get", "require", "dispatch", "has_var", "doc"];
        for (at, (token, _)) in words.iter().enumerate().skip(if is_definition { 2 } else { 0 }) {
            let Token::Text(text) = token else { continue };
            let caller = match at.checked_sub(2).map(|at| (&words[at].0, &words[at + 1].0)) {
                Some((Token::Name(name), Token::Mark('('))) => name,
                _ => "",
            };
            if NAMES.contains(&caller) {
                continue;
            }
            let lower = text.trim_start().to_lowercase();
            let first = lower.split_whitespace().next().unwrap_or_default();
            let is_asked = matches!(caller, "run_query" | "execute" | "add_query" | "get_single_value");
            let is_query = lower.contains(char::is_whitespace)
                && (matches!(first, "select" | "with") || is_asked && first == "from");
            if is_asked && matches!(first, "call" | "desc" | "describe" | "pragma" | "show" | "summarize") {
                self.queries = true;
                self.always.insert(format!("asks with `{first}` what the warehouse holds"));
            } else if is_query {
                self.queries |= is_asked;
                let mut folded = fold::fold(text, Dialect::DuckDb).words;
                // What the text is joined with.
                if let Some((Token::Mark('~' | '+'), _)) = words.get(at + 1) {
                    folded.push(Word::output(&words[at + 2..].to_vec()));
                }
                self.take_words(&folded);
            } else if HINTS_OF_CLOCKS.iter().any(|hint| lower.contains(hint)) {
                let folded = fold::fold(text, Dialect::DuckDb).words;
                for (at, word) in folded.iter().enumerate() {
                    let is_called = folded.get(at + 1) == Some(&Word::Mark('('));
                    let is_part = at > 0 && folded[at - 1] == Word::Mark('.');
                    if let (Word::Name(name), false) = (word, is_part) {
                        self.take_clock(name, is_called);
                    }
                }
            }
        }
    }

    pub(super) fn take_words(&mut self, words: &[Word]) {
        let mut functions: Vec<Option<&str>> = Vec::new();
        // Of each bracket that is open: whether the tables after a `from` are being listed in it.
        let mut listing = vec![false];
        let is_revoking = words.iter().any(|word| name_of(word) == Some("revoke"));
        self.take_ctes(words);
        for (at, word) in words.iter().enumerate() {
            let rest = words.get(at + 1..).unwrap_or_default();
            match word {
                Word::Mark('(') => {
                    functions.push(at.checked_sub(1).and_then(|at| name_of(&words[at])));
                    listing.push(false);
                }
                Word::Mark(')') => {
                    functions.pop();
                    listing.pop();
                }
                Word::Mark(',') if listing.last() == Some(&true) => self.take_table(rest),
                Word::Name(name) => {
                    let is_called = words.get(at + 1) == Some(&Word::Mark('('));
                    let is_part = at > 0 && words[at - 1] == Word::Mark('.');
                    if !is_part {
                        self.take_function(name, is_called, words.get(at + 1..).unwrap_or_default());
                    }
                    if matches!(name.as_str(), "from" | "join") {
                        let inside = functions.last().copied().flatten();
                        let is_other =
                            matches!(inside, Some("extract" | "trim" | "substring" | "overlay" | "position"))
                                || at > 0 && matches!(name_of(&words[at - 1]), Some("delete" | "distinct"))
                                || is_revoking;
                        if !is_other {
                            self.take_table(rest);
                            listing.pop();
                            listing.push(true);
                        }
                    } else if !is_part && AFTER_FROM.contains(&name.as_str()) {
                        listing.pop();
                        listing.push(false);
                    }
                }
                _ => {}
            }
        }
    }

    /// The names that `with` gives to subqueries: what is before `as (`.
    fn take_ctes(&mut self, words: &[Word]) {
        for (at, word) in words.iter().enumerate() {
            let opens = |from: usize| words.get(from) == Some(&Word::Mark('('));
            let is_hint = |from: usize| matches!(words.get(from), Some(Word::Name(name)) if matches!(name.as_str(), "materialized" | "not" | "using"));
            let is_as = matches!(word, Word::Name(name) if name == "as");
            if !is_as || !(opens(at + 1) || is_hint(at + 1)) {
                continue;
            }
            let before = match at.checked_sub(1) {
                // With the names of its columns.
                Some(last) if words[last] == Word::Mark(')') => {
                    let open = words[..last].iter().rposition(|word| *word == Word::Mark('('));
                    open.and_then(|open| open.checked_sub(1))
                }
                other => other,
            };
            // A part of the name is computed.
            let is_composed = before
                .and_then(|at| at.checked_sub(1))
                .is_some_and(|at| matches!(words[at], Word::Output { .. }));
            match before.filter(|_| !is_composed).map(|at| &words[at]) {
                Some(Word::Name(name)) => drop(self.ctes.insert(name.clone())),
                Some(Word::Quoted(name)) => drop(self.ctes.insert(name.to_lowercase())),
                _ => self.computes_ctes = true,
            }
        }
    }

    fn take_clock(&mut self, name: &str, is_called: bool) {
        if CLOCKS.contains(&name) || (is_called && CLOCK_FUNCTIONS.contains(&name)) {
            self.clocks.insert(name.to_owned());
        }
    }

    fn take_function(&mut self, name: &str, is_called: bool, rest: &[Word]) {
        self.take_clock(name, is_called);
        self.reads_schema |= PLACES.contains(&name);
        if is_called && RANDOM.contains(&name) {
            self.random.insert(name.to_owned());
        }
        if is_called && is_reader(name) {
            let mut found = false;
            for word in rest[1..].iter().filter(|word| !matches!(word, Word::Mark('[' | ','))) {
                let Word::Text(file) = word else { break };
                self.take_file(file);
                found = true;
            }
            if !found {
                self.always.insert(format!("`{name}` reads a file whose name is computed"));
            }
        }
    }

    /// What follows `from` or `join`.
    fn take_table(&mut self, rest: &[Word]) {
        match rest {
            [Word::Text(file), ..] => self.take_file(file),
            [Word::Mark('@'), ..] => {
                self.always.insert("reads a stage, whose files have no version".to_owned());
            }
            [Word::Name(name), Word::Mark('('), ..] if name == "identifier" => {
                self.always.insert("computes the name of a table with `identifier`".to_owned());
            }
            [
                Word::Name(schema) | Word::Quoted(schema),
                Word::Mark('.'),
                Word::Name(table) | Word::Quoted(table),
                after @ ..,
            ] if after.first() != Some(&Word::Mark('(')) => {
                self.always.insert(format!("reads {schema}.{table} by name, which is not a source"));
            }
            [Word::Output { .. }, Word::Mark('.'), Word::Name(table) | Word::Quoted(table), ..] => {
                self.always.insert(format!("computes the name of what holds {table}"));
            }
            [Word::Output { .. }, Word::Mark('('), ..] => {}
            [Word::Output { name, text }, ..] => self.take_computed_table(name, text),
            [Word::Quoted(name) | Word::Name(name), after @ ..]
                if !matches!(after.first(), Some(Word::Mark('(' | '.') | Word::Output { .. }))
                    && !matches!(
                        name.as_str(),
                        "dual" | "lateral" | "only" | "select" | "table" | "values"
                    ) =>
            {
                self.tables.insert(name.to_lowercase());
            }
            _ => {}
        }
    }

    /// What follows `from` or `join` is put out by Jinja that begins with `name`.
    fn take_computed_table(&mut self, name: &str, text: &str) {
        let of_place = || "computes the name of a table, which is not a `ref`".to_owned();
        match name {
            "env_var" | "target" => drop(self.always.insert(of_place())),
            "var" if text.is_empty() => drop(self.always.insert(of_place())),
            "var" => drop(self.table_vars.insert(text.to_owned())),
            _ => match self.locals.get(name).cloned() {
                Some(local) if local.is_of_place => drop(self.always.insert(of_place())),
                Some(local) if local.is_composed => {
                    // Parts of the name of a subquery, unless something holds it.
                    if !local.vars.is_empty() || local.texts.iter().any(|text| text.contains('.')) {
                        self.always.insert(of_place());
                    }
                }
                Some(local) => {
                    self.table_vars.extend(local.vars);
                    for text in local.texts.iter().filter(|text| !text.is_empty()) {
                        if text.contains('.') {
                            self.always.insert(format!("reads {text} by name, which is not a source"));
                        } else {
                            self.tables.insert(text.to_lowercase());
                        }
                    }
                }
                None => drop(self.table_calls.insert(name.to_owned())),
            },
        }
    }

    fn take_file(&mut self, file: &str) {
        if file.contains("://") {
            self.always.insert(format!("reads {file}, whose version is unknown"));
        } else if !file.is_empty() {
            self.files.insert(file.to_owned());
        }
    }
}

/// Whether these words are the name of a table with what holds it, and nothing else.
pub(super) fn names_a_table(words: &[Word]) -> bool {
    let is_named = |word: &Word| match word {
        Word::Name(_) | Word::Quoted(_) => true,
        Word::Output { name, .. } => matches!(name.as_str(), "target" | "var" | "env_var"),
        _ => false,
    };
    let is_part = |word: &Word| match word {
        Word::Name(name) => !AFTER_FROM.contains(&name.as_str()),
        Word::Mark(mark) => *mark == '.',
        word => matches!(word, Word::Quoted(_) | Word::Output { .. }),
    };
    words.len() < 10
        && words.contains(&Word::Mark('.'))
        && words.iter().all(is_part)
        && words.iter().any(is_named)
}

/// Functions that read a file or another database.
fn is_reader(name: &str) -> bool {
    name.starts_with("read_")
        || name.ends_with("_scan")
        || matches!(
            name,
            "st_read"
                | "sniff_csv"
                | "glob"
                | "parquet_metadata"
                | "parquet_schema"
                | "parquet_file_metadata"
        )
}

fn name_of(word: &Word) -> Option<&str> {
    match word {
        Word::Name(name) => Some(name),
        _ => None,
    }
}
