//! Names in the Jinja of a template: what is read through them, and what those that it sets may mean.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::config::is_neutral;
use super::{EVERYTHING, GraphUse, Local, Unit, lead};
use crate::dbt::graph::jinja::{Token, Tokens};

const JINJA_CLOCKS: [&str; 6] = [
    "run_started_at",
    "current_timestamp",
    "current_timestamp_in_utc_backcompat",
    "snapshot_get_time",
    "datetime",
    "now",
];
/// Parts of that which templates name.
const PROPERTIES: [&str; 7] = ["columns", "config", "description", "docs", "meta", "path", "tags"];
/// Parts of `model` that count anyway.
const OF_THE_MODEL: [&str; 9] = [
    "alias",
    "compiled_code",
    "database",
    "language",
    "name",
    "package_name",
    "resource_type",
    "schema",
    "unique_id",
];
/// Macros of dbt's own that are handed the whole model and read nothing else of it than what counts anyway.
const HANDED_THE_MODEL: [&str; 2] = ["persist_docs", "submit_python_job"];

impl Unit {
    pub(super) fn take_names(&mut self, words: &Tokens<'_>, is_definition: bool, is_exact: bool) {
        // The words that open a definition name it and its parameters; their defaults count.
        let skip = if is_definition { 2 + lead(words) } else { 0 };
        for (at, (token, _)) in words.iter().enumerate().skip(skip) {
            let Token::Name(name) = token else { continue };
            let before = at.checked_sub(1).map(|at| &words[at].0);
            let next = words.get(at + 1).map(|(token, _)| token);
            let is_attribute = before == Some(&Token::Mark('.'));
            let is_argument = next == Some(&Token::Mark('='))
                && words.get(at + 2).map(|(token, _)| token) != Some(&Token::Mark('='))
                && matches!(before, Some(Token::Mark('(' | ',')));
            if is_argument {
                continue;
            }
            self.names.insert((*name).to_owned());
            // A macro that is looked up by its name: `package['macro']`.
            if let Some([(Token::Mark('['), _), (Token::Text(looked_up), _), (Token::Mark(']'), _)]) =
                words.get(at + 1..at + 4)
            {
                self.names.insert((*looked_up).to_owned());
            }
            if is_exact {
                self.exact_names.insert((*name).to_owned());
            }
            if JINJA_CLOCKS.contains(name) && (*name != "now" || is_attribute) {
                self.clocks.insert((*name).to_owned());
            }
            if !is_attribute {
                self.take_global(name, words.get(at + 1..).unwrap_or_default());
            }
        }
    }

    /// What is read of the node itself that only property files and neutral configuration say.
    pub(super) fn take_model(&mut self, words: &Tokens<'_>, parameters: &BTreeSet<&str>) {
        let is_handed_over = words
            .iter()
            .any(|(token, _)| matches!(token, Token::Name(name) if HANDED_THE_MODEL.contains(name)));
        for (at, (token, _)) in words.iter().enumerate() {
            if let Token::Text(text) = token {
                let is_name = text.len() > 2 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                self.texts.extend(is_name.then(|| text.to_uppercase()));
            }
            let Token::Name(name) = token else { continue };
            let is_attribute = at > 0 && words[at - 1].0 == Token::Mark('.');
            if is_attribute || parameters.contains(name) {
                continue;
            }
            let attribute = attribute_of(words.get(at + 1..).unwrap_or_default());
            match *name {
                "model" => {
                    let is_known = attribute.is_some_and(|attribute| OF_THE_MODEL.contains(&attribute));
                    if !(is_known || attribute.is_none() && is_handed_over) {
                        self.reads_properties.insert(attribute.map_or(EVERYTHING, property));
                    }
                }
                "config" => {
                    self.reads_properties.extend(neutral_read(words.get(at + 1..).unwrap_or_default()));
                }
                _ => {}
            }
        }
    }

    /// A relation that is looked up by its name: which one is known if the names are those of a node.
    pub(super) fn take_lookups(&mut self, words: &Tokens<'_>) {
        const KNOWN: [&str; 6] = ["this", "identifier", "relation", "ref", "source", "model"];
        let is_known = |token: &Token<'_>| matches!(token, Token::Name(name) if KNOWN.contains(name));
        let calls = words.windows(2).enumerate();
        for (at, _) in calls
            .filter(|(_, pair)| (&pair[0].0, &pair[1].0) == (&Token::Name("get_relation"), &Token::Mark('(')))
        {
            // The name of an argument says nothing.
            let rest = &words[at + 2..];
            let mut values = rest
                .iter()
                .enumerate()
                .filter(|(at, _)| rest.get(at + 1).is_none_or(|(token, _)| *token != Token::Mark('=')));
            if !values.any(|(_, (token, _))| is_known(token)) {
                self.always.insert("looks up a relation by its name, which is not a `ref`".to_owned());
            }
        }
    }

    /// A name of dbt's own, and what is looked up in it.
    fn take_global(&mut self, name: &str, rest: &[(Token<'_>, Range<usize>)]) {
        let attribute = attribute_of(rest);
        match name {
            "target" => {
                let attribute = match attribute {
                    Some("get") => match rest.get(3) {
                        Some((Token::Text(name), _)) => name,
                        _ => "",
                    },
                    other => other.unwrap_or_default(),
                };
                self.target.insert(attribute.to_owned());
            }
            "this" | "model" if matches!(attribute, Some("schema" | "database")) => self.reads_schema = true,
            "schema" | "database" if attribute.is_none() && rest.is_empty() => self.reads_schema = true,
            "graph" => {
                let of = if attribute == Some("sources") { GraphUse::Sources } else { GraphUse::All };
                self.graph = self.graph.max(Some(of));
            }
            "selected_resources" => self.graph = Some(GraphUse::All),
            "context" => {
                self.coarse.insert("looks up names in `context`".to_owned());
            }
            "dbt_metadata_envs" => {
                self.coarse.insert("reads `dbt_metadata_envs`".to_owned());
            }
            "invocation_id" | "invocation_args_dict" | "thread_id" => {
                self.random.insert(name.to_owned());
            }
            _ => {}
        }
    }

    /// The name of a relation that is made of texts, and not of what is known about a node.
    pub(super) fn take_relations(&mut self, words: &Tokens<'_>) {
        const KNOWN: [&str; 6] = ["this", "model", "ref", "source", "relation", "config"];
        let is_made = |at: &usize| {
            (&words[*at].0, &words[at + 1].0, &words[at + 2].0)
                == (&Token::Name("Relation"), &Token::Mark('.'), &Token::Name("create"))
        };
        for at in (0..words.len().saturating_sub(2)).filter(is_made) {
            let given = &words[at + 3..];
            let is_known =
                given.iter().any(|(token, _)| matches!(token, Token::Name(name) if KNOWN.contains(name)));
            let is_named = given.windows(3).any(|three| {
                matches!(three[0].0, Token::Name("identifier" | "schema"))
                    && three[1].0 == Token::Mark('=')
                    && matches!(three[2].0, Token::Text(_) | Token::Name("target" | "var" | "env_var"))
            });
            if is_named && !is_known {
                self.always.insert("makes the name of a relation that is not a `ref`".to_owned());
            }
        }
    }

    /// Names that are set to texts or variables, since they may be names of tables.
    pub(super) fn take_local(&mut self, word: &str, words: &Tokens<'_>) {
        let between = if word == "set" { Token::Mark('=') } else { Token::Name("in") };
        if !matches!(word, "set" | "for") {
            return;
        }
        let start = 1 + lead(words);
        let Some([(Token::Name(name), _), (mark, _)]) = words.get(start..start + 2) else { return };
        if *mark != between {
            return;
        }
        let values = &words[start + 2..];
        let mut local = Local::default();
        for (at, (token, _)) in values.iter().enumerate() {
            let is_attribute = at > 0 && values[at - 1].0 == Token::Mark('.');
            match token {
                Token::Text(text) => local.texts.push((*text).to_owned()),
                Token::Mark('~' | '+') => local.is_composed = true,
                Token::Name("env_var" | "target") => local.is_of_place = true,
                Token::Name("var") => match values.get(at + 2) {
                    Some((Token::Text(name), _)) => local.vars.push((*name).to_owned()),
                    _ => local.is_of_place = true,
                },
                Token::Name(_) if is_attribute => {}
                Token::Name(other) => match self.locals.get(*other).cloned() {
                    Some(known) => {
                        local.texts.extend(known.texts);
                        local.vars.extend(known.vars);
                        local.is_composed |= known.is_composed;
                        local.is_of_place |= known.is_of_place;
                    }
                    None => return,
                },
                _ => {}
            }
        }
        local.texts.retain(|text| !local.vars.contains(text));
        self.locals.insert((*name).to_owned(), local);
    }
}

/// What is looked up in a name.
fn attribute_of<'a>(rest: &[(Token<'a>, Range<usize>)]) -> Option<&'a str> {
    match rest {
        [(Token::Mark('.'), _), (Token::Name(name), _), ..]
        | [(Token::Mark('['), _), (Token::Text(name), _), (Token::Mark(']'), _), ..] => Some(*name),
        _ => None,
    }
}

/// What is looked up in `config` that only property files and neutral configuration say.
fn neutral_read(rest: &[(Token<'_>, Range<usize>)]) -> Option<&'static str> {
    match attribute_of(rest)? {
        "get" | "require" => match rest.get(3) {
            Some((Token::Text(key), _)) => is_neutral(key).then(|| property(key)),
            _ => Some(EVERYTHING),
        },
        attribute if attribute.starts_with("meta") => Some("meta"),
        attribute => is_neutral(attribute).then(|| property(attribute)),
    }
}

/// The part of property files that a name means.
fn property(name: &str) -> &'static str {
    match name {
        "fqn" | "original_file_path" => "path",
        _ => PROPERTIES.into_iter().find(|part| *part == name).unwrap_or(EVERYTHING),
    }
}
