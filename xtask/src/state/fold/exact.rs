//! Text between two tags that may end up between quotes of SQL or in a condition, so that its white space and its
//! comments count: the body of `{% set x %}`, `{% call m() %}` and `{% filter f %}`.
//!
//! The body of a `set` is folded as usual if all that is done with the name is to put it out as SQL or to run it.

use std::ops::Range;

use super::Tag;
use crate::dbt::graph::jinja::{Token, Tokens, keyword, tokens};

/// What runs a text as SQL.
const RUNNERS: [&str; 5] =
    ["get_columns_in_query", "get_query_results_as_dict", "get_single_value", "run_query", "statement"];

pub(super) fn ranges(text: &str, tags: &[Tag]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open: Vec<(&str, usize, bool)> = Vec::new();
    for tag in tags.iter().filter(|tag| !tag.is_output) {
        let code = &text[tag.inner.clone()];
        let word = keyword(code);
        let after = (tag.inner.end + 2).min(text.len());
        match word {
            "set" => {
                let words = tokens(text, tag.inner.clone(), false);
                if let Some(name) = block_set(&words) {
                    open.push(("endset", after, !tags.iter().all(|tag| is_plain_use(text, tag, name))));
                }
            }
            "call" => {
                let words = tokens(text, tag.inner.clone(), false);
                let runs = words.iter().any(|(token, _)| matches!(token, Token::Name("statement")));
                open.push(("endcall", after, !runs));
            }
            "filter" => open.push(("endfilter", after, true)),
            _ if open.last().is_some_and(|(end, ..)| *end == word) => {
                if let Some((_, start, is_exact)) = open.pop()
                    && is_exact
                {
                    found.push(start..tag.inner.start.saturating_sub(2).max(start));
                }
            }
            _ => {}
        }
    }
    found
}

/// The name that a `set` without a value gives to the text that follows.
fn block_set<'a>(words: &Tokens<'a>) -> Option<&'a str> {
    let has_value = words.iter().any(|(token, _)| *token == Token::Mark('='));
    let mut names = words.iter().filter_map(|(token, _)| match token {
        Token::Name(name) => Some(*name),
        _ => None,
    });
    names.nth(1).filter(|_| !has_value)
}

/// Whether a tag uses `name`, if it does, as SQL only.
fn is_plain_use(text: &str, tag: &Tag, name: &str) -> bool {
    let words = tokens(text, tag.inner.clone(), false);
    let words: Vec<&Token<'_>> =
        words.iter().map(|(token, _)| token).filter(|token| **token != Token::Mark('-')).collect();
    let is_name = |at: usize| *words[at] == Token::Name(name);
    (0..words.len()).filter(|at| is_name(*at)).all(|at| {
        let gives = !tag.is_output && at == 1 && *words[0] == Token::Name("set") && words.len() == 2;
        let puts_out = tag.is_output && words.len() == 1 && !tag.in_quotes;
        let runs = at > 1
            && *words[at - 1] == Token::Mark('(')
            && matches!(words[at - 2], Token::Name(name) if RUNNERS.contains(name));
        gives || puts_out || runs
    })
}
