//! Calls in the Jinja of a template: `ref`, `source`, `var`, `config(…)`, and what asks the warehouse.

use std::collections::BTreeMap;

use super::{Set, Unit};
use crate::dbt::graph::jinja::{Call, Literal, Token, tokens};

const QUERIES: [&str; 8] = [
    "run_query",
    "statement",
    "load_result",
    "get_columns_in_relation",
    "get_columns_in_query",
    "load_relation",
    "get_column_values",
    "get_relation",
];
/// What asks for all that a schema holds.
const LISTS: [&str; 6] = [
    "check_schema_exists",
    "get_relations_by_pattern",
    "get_relations_by_prefix",
    "get_tables_by_pattern_sql",
    "list_relations",
    "list_relations_without_caching",
];

impl Unit {
    pub(super) fn take_call(&mut self, call: &Call<'_>, text: &str, is_hint: bool) {
        let name = call.name.as_str();
        let last = name.rsplit('.').next().unwrap_or_default();
        let texts: Vec<Option<&str>> = call.positional().map(Literal::text).collect();
        match last {
            "ref" if matches!(name, "ref" | "builtins.ref") => self.take_ref(call, is_hint),
            "source" if matches!(name, "source" | "builtins.source") => match texts.as_slice() {
                [Some(source), Some(table)] => {
                    self.sources.insert(((*source).to_owned(), (*table).to_owned()));
                }
                _ if name == "source" => {
                    self.coarse.insert("computes the name of a source".to_owned());
                }
                _ => {}
            },
            "var" | "has_var" if matches!(name, "var" | "var.has_var") => match argument(call, "name", 0) {
                Some(Literal::Text(name)) => {
                    self.vars.insert((*name).to_owned());
                }
                _ => {
                    self.coarse.insert("computes the name of a variable".to_owned());
                }
            },
            "env_var" if name == "env_var" => match argument(call, "var", 0) {
                Some(Literal::Text(name)) => {
                    self.envs.insert((*name).to_owned());
                }
                _ => {
                    self.coarse.insert("computes the name of an environment variable".to_owned());
                }
            },
            "dispatch" => match argument(call, "macro_name", 0) {
                Some(Literal::Text(macro_name)) => {
                    let namespace = argument(call, "macro_namespace", 1);
                    if matches!(namespace, Some(Literal::Dynamic)) {
                        self.coarse.insert("computes where a dispatched macro is looked for".to_owned());
                    }
                    let namespace = namespace.and_then(Literal::text).map(str::to_owned);
                    self.dispatches.insert(((*macro_name).to_owned(), namespace));
                }
                _ => {
                    self.coarse.insert("computes the name of a dispatched macro".to_owned());
                }
            },
            "config" if name == "config" => {
                self.take_config(call, text);
                self.config_ends.push(self.config.len());
            }
            _ if QUERIES.contains(&last) => self.queries = true,
            _ if LISTS.contains(&last) => {
                self.queries = true;
                self.always.insert(format!("asks with `{last}` what is in a schema"));
            }
            _ => {}
        }
    }

    fn take_ref(&mut self, call: &Call<'_>, is_hint: bool) {
        let version = call.arguments.iter().find(|(name, _)| matches!(name, Some("v" | "version")));
        let version = match version.map(|(_, value)| value) {
            None => None,
            Some(Literal::Text(text) | Literal::Number(text)) => Some((*text).to_owned()),
            Some(_) => {
                self.coarse.insert("computes the version of a `ref`".to_owned());
                None
            }
        };
        let texts: Vec<Option<&str>> = call.positional().map(Literal::text).collect();
        let found = match texts.as_slice() {
            [Some(name)] => (None, (*name).to_owned(), version),
            [Some(package), Some(name)] => (Some((*package).to_owned()), (*name).to_owned(), version),
            // A macro of the project's own around dbt's `ref`: the call that it wraps says what is read.
            _ if call.name == "builtins.ref" => return,
            _ => {
                self.coarse.insert("computes the name in a `ref`".to_owned());
                return;
            }
        };
        if is_hint {
            self.hints.insert(found)
        } else {
            self.refs.insert(found)
        };
    }

    fn take_config(&mut self, call: &Call<'_>, text: &str) {
        for value in call.positional() {
            if let Literal::Pairs(pairs) = value {
                for (key, value) in pairs {
                    if let Some(key) = key.text() {
                        self.config.push((key.to_owned(), set(key, value, call, text)));
                    }
                }
            } else {
                self.config.push(("*".to_owned(), Set::Expression(code_of(call, text))));
            }
        }
        for (name, value) in &call.arguments {
            if let Some(name) = name {
                self.config.push(((*name).to_owned(), set(name, value, call, text)));
            }
        }
    }
}

/// An argument by its name or its place.
fn argument<'c, 'a>(call: &'c Call<'a>, name: &str, at: usize) -> Option<&'c Literal<'a>> {
    let named = call.arguments.iter().find(|(other, _)| *other == Some(name)).map(|(_, value)| value);
    named.or_else(|| call.positional().nth(at))
}

fn code_of(call: &Call<'_>, text: &str) -> String {
    let words = tokens(text, call.place.clone(), false);
    words.iter().map(|(_, place)| &text[place.clone()]).collect::<Vec<_>>().join(" ")
}

fn set(key: &str, value: &Literal<'_>, call: &Call<'_>, text: &str) -> Set {
    json(value).map_or_else(|| Set::Expression(expression(key, call, text)), Set::Value)
}

/// The expression that `key` is set to; the whole call where it cannot be cut out.
fn expression(key: &str, call: &Call<'_>, text: &str) -> String {
    let words = tokens(text, call.place.clone(), false);
    let start = words.windows(2).position(|pair| {
        matches!((&pair[0].0, &pair[1].0), (Token::Name(name) | Token::Text(name), Token::Mark('=' | ':')) if *name == key)
    });
    let Some(start) = start else { return code_of(call, text) };
    let mut depth = 0_usize;
    let mut found = Vec::new();
    for (token, place) in &words[start + 2..] {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}' | ',') if depth == 0 => break,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        found.push(&text[place.clone()]);
    }
    found.join(" ")
}

/// A literal as a value; `None` where part of it depends on the run.
fn json(value: &Literal<'_>) -> Option<serde_json::Value> {
    Some(match value {
        Literal::Text(text) => (*text).into(),
        Literal::Number(number) => {
            serde_json::from_str(number).unwrap_or_else(|_| serde_json::Value::String((*number).to_owned()))
        }
        Literal::Truth(truth) => (*truth).into(),
        Literal::Nothing => serde_json::Value::Null,
        Literal::List(items) => items.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        Literal::Pairs(pairs) => {
            let mut map = BTreeMap::new();
            for (key, value) in pairs {
                map.insert(key.text()?.to_owned(), json(value)?);
            }
            serde_json::Value::Object(map.into_iter().collect())
        }
        Literal::Dynamic => return None,
    })
}
