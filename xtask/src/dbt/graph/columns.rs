//! The columns that a model's last select returns, if they can be determined without running it.
//!
//! Deliberately conservative: a control structure, a star, an expression without a name or anything else that
//! is not plain makes the answer "unknown", because a wrong answer would be worse than no answer.

use std::ops::Range;

use super::jinja::{Piece, keyword, pieces};

/// CTEs that read CTEs, as in `select * from final`: what people write by hand stays far below.
const MOST_STEPS: usize = 20;

/// A word of SQL; what a template puts in is one word that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word<'a> {
    Name(&'a str),
    Quoted(&'a str),
    Mark(u8),
    Value,
    Template,
}

impl<'a> Word<'a> {
    fn is(self, keyword: &str) -> bool {
        matches!(self, Self::Name(name) if name.eq_ignore_ascii_case(keyword))
    }

    fn name(self) -> Option<&'a str> {
        match self {
            Self::Name(name) | Self::Quoted(name) => Some(name),
            _ => None,
        }
    }
}

/// The names of the columns, lower case, or nothing where they are not plain.
pub(crate) fn of(text: &str) -> Option<Vec<String>> {
    let words = words(text)?;
    let query = Query::read(&words)?;
    query.columns(query.body.clone(), 0)
}

/// The words of a template that is straight SQL: nothing where control structures decide what it says.
fn words(text: &str) -> Option<Vec<Word<'_>>> {
    let mut found = Vec::new();
    // The kind of block whose body is not part of the query: `{% set x %}…{% endset %}`.
    let mut aside = false;
    let mut in_quotes = false;
    for piece in pieces(text) {
        match piece {
            Piece::Comment(_) => {}
            Piece::Statement(inner) => {
                let statement = &text[inner];
                match keyword(statement) {
                    "set" => aside |= !statement.contains('='),
                    "endset" => aside = false,
                    "do" | "raw" | "endraw" => {}
                    _ if aside => {}
                    _ => return None,
                }
            }
            _ if aside => {}
            Piece::Output(inner) => {
                // `config` puts nothing in.
                if !in_quotes && keyword(&text[inner]) != "config" {
                    found.push(Word::Template);
                }
            }
            Piece::Text(range) => in_quotes = split(&text[range], in_quotes, &mut found)?,
        }
    }
    Some(found)
}

/// Adds the words of a stretch of SQL. A string may go on behind a template; whether one does is returned.
fn split<'a>(text: &'a str, mut in_quotes: bool, found: &mut Vec<Word<'a>>) -> Option<bool> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        if in_quotes {
            at = memchr::memchr(b'\'', &bytes[at..]).map_or(bytes.len() + 1, |offset| at + offset + 1);
            if at > bytes.len() {
                return Some(true);
            }
            in_quotes = false;
            found.push(Word::Value);
            continue;
        }
        match bytes[at] {
            b'-' if bytes[at..].starts_with(b"--") => {
                at = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |offset| at + offset);
            }
            b'/' if bytes[at..].starts_with(b"/*") => {
                let end = memchr::memmem::find(&bytes[at..], b"*/");
                at = end.map_or(bytes.len(), |offset| at + offset + 2);
            }
            b'\'' => {
                at += 1;
                in_quotes = true;
            }
            // Quoted names with a template in them are not plain.
            b'"' | b'`' => {
                let end = memchr::memchr(bytes[at], &bytes[at + 1..])?;
                found.push(Word::Quoted(&text[at + 1..at + 1 + end]));
                at += end + 2;
            }
            // Dollar quotes hold code.
            b'$' if bytes[at..].starts_with(b"$$") => return None,
            b'0'..=b'9' => {
                while at < bytes.len()
                    && (bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'.' | b'_'))
                {
                    at += 1;
                }
                found.push(Word::Value);
            }
            byte if byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii() => {
                while at < bytes.len()
                    && (bytes[at].is_ascii_alphanumeric()
                        || matches!(bytes[at], b'_' | b'$')
                        || !bytes[at].is_ascii())
                {
                    at += 1;
                }
                found.push(Word::Name(&text[start..at]));
            }
            byte if byte.is_ascii_whitespace() => at += 1,
            byte => {
                found.push(Word::Mark(byte));
                at += 1;
            }
        }
    }
    Some(in_quotes)
}

/// `with … select …`, its parts by place in the words.
struct Query<'w, 'a> {
    words: &'w [Word<'a>],
    /// Name and body of each CTE.
    ctes: Vec<(&'a str, Range<usize>)>,
    body: Range<usize>,
}

impl<'w, 'a> Query<'w, 'a> {
    fn read(words: &'w [Word<'a>]) -> Option<Self> {
        let mut ctes = Vec::new();
        let mut at = 0;
        if words.first()?.is("with") {
            at = 1 + usize::from(words.get(1)?.is("recursive"));
            loop {
                let name = words.get(at)?.name()?;
                at += 1;
                // `name (a, b) as (…)` names its columns elsewhere.
                if !words.get(at)?.is("as") || *words.get(at + 1)? != Word::Mark(b'(') {
                    return None;
                }
                let close = closing(words, at + 1)?;
                ctes.push((name, at + 2..close));
                at = close + 1;
                if *words.get(at)? != Word::Mark(b',') {
                    break;
                }
                at += 1;
                // A comma after the last one, as Snowflake takes it.
                if words.get(at)?.is("select") {
                    break;
                }
            }
        }
        Some(Self { words, ctes, body: at..words.len() })
    }

    fn columns(&self, range: Range<usize>, steps: usize) -> Option<Vec<String>> {
        let words = self.words.get(range)?;
        if steps > MOST_STEPS || !words.first()?.is("select") {
            return None;
        }
        let start = 1 + usize::from(words.get(1)?.is("distinct"));
        let items = items(&words[start..])?;
        if let [only] = items.items.as_slice()
            && **only == [Word::Mark(b'*')]
        {
            return self.behind_star(items.rest, steps);
        }
        items.items.into_iter().map(name).collect()
    }

    /// `select * from name`, with nothing joined to it that would add columns.
    fn behind_star(&self, rest: &[Word<'a>], steps: usize) -> Option<Vec<String>> {
        let [from, table, rest @ ..] = rest else { return None };
        let table = table.name()?;
        let plain = match rest.first() {
            None => true,
            Some(word) => ["where", "order", "limit", "qualify"].iter().any(|keyword| word.is(keyword)),
        };
        let joins = rest.iter().any(|word| ["join", "union", "pivot"].iter().any(|keyword| word.is(keyword)));
        if !from.is("from") || !plain || joins {
            return None;
        }
        let (_, body) = self.ctes.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(table))?;
        self.columns(body.clone(), steps + 1)
    }
}

fn closing(words: &[Word<'_>], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, word) in words.iter().enumerate().skip(open) {
        match word {
            Word::Mark(b'(') => depth += 1,
            Word::Mark(b')') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

struct Items<'w, 'a> {
    items: Vec<&'w [Word<'a>]>,
    /// From the `from` on.
    rest: &'w [Word<'a>],
}

/// The items of a select list.
fn items<'w, 'a>(words: &'w [Word<'a>]) -> Option<Items<'w, 'a>> {
    let mut items = Vec::new();
    let (mut depth, mut from) = (0_usize, 0);
    for (at, word) in words.iter().enumerate() {
        match word {
            Word::Mark(b'(' | b'[' | b'{') => depth += 1,
            Word::Mark(b')' | b']' | b'}') => depth = depth.checked_sub(1)?,
            Word::Mark(b',') if depth == 0 => {
                items.push(&words[from..at]);
                from = at + 1;
            }
            // `a is distinct from b` does not end the list.
            word if depth == 0 && word.is("from") && !(at > 0 && words[at - 1].is("distinct")) => {
                if from < at {
                    items.push(&words[from..at]);
                }
                return Some(Items { items, rest: &words[at..] });
            }
            word if depth == 0 && ["union", "into", "top"].iter().any(|keyword| word.is(keyword)) => {
                return None;
            }
            _ => {}
        }
    }
    if from < words.len() {
        items.push(&words[from..]);
    }
    Some(Items { items, rest: &[] })
}

/// The name of one item: behind `as`, or the last part of a plain column.
fn name(item: &[Word<'_>]) -> Option<String> {
    let named = match item {
        [.., before, alias] if before.is("as") => alias.name(),
        [column] => column.name(),
        [table, Word::Mark(b'.'), column] => table.name().and(column.name()),
        [schema, Word::Mark(b'.'), table, Word::Mark(b'.'), column] => {
            schema.name().and(table.name()).and(column.name())
        }
        _ => None,
    };
    named.map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn columns_are_told_where_they_are_plain() {
        for (text, columns) in [
            ("select a, t.b, c as d, \"E\" from t", Some("a b d e")),
            ("with final as (select a, {{ f('x') }} as b from t) select * from final", Some("a b")),
            (
                "with x as (select 1 as a), final as (select * from x) select * from final order by a",
                Some("a"),
            ),
            ("{{ config(materialized='table') }}\nselect distinct a from t -- , b", Some("a")),
            (
                "{% set w %} a, b {% endset %}{% set y = 1 %}select sum(a) over ({{ w }}) as s from t",
                Some("s"),
            ),
            ("select 'a, {{ x }}, from' as text, a is distinct from b as c from t", Some("text c")),
            ("select cast(x as varchar) as y, case when a then 'b' end as z", Some("y z")),
            ("select a from t union all select b from t", Some("a")),
            ("select * from {{ ref('x') }}", None),
            ("with f as (select a from t) select * from f join g using (a)", None),
            ("with f as (select t.* from t) select * from f", None),
            ("select a, {{ columns() }} from t", None),
            ("select a b from t", None),
            ("select {% if x %} a {% endif %} from t", None),
            ("select sum(a) from t", None),
            ("{{ whole_model() }}", None),
            ("with f (a) as (select 1) select * from f", None),
            ("select $$ a $$ as b", None),
            ("", None),
        ] {
            assert_eq!(of(text).map(|columns| columns.join(" ")).as_deref(), columns, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(select|from|with|as|\\(|\\)|,|'|\"|\\*|a|é|\\{\\{|\\}\\}|\\{%|%\\}|set|--|/\\*| |\n|\\.|1){0,40}") {
            of(&text);
        }
    }
}
