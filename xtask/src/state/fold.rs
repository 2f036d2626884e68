//! A template with everything taken out that cannot change what it builds: SQL comments, runs of white space
//! and the case of key words outside quotes, Jinja comments, and `config(…)` calls, which count by their values.
//!
//! Folding must never hide a change. So quotes are followed through the whole template, and where their state
//! depends on a branch of Jinja (a quote opened in one `if` and closed in another) nothing is folded at all: the
//! text counts as it is. Jinja in an SQL comment is live for dbt, so only what has no output beside the comment
//! is dropped there.

mod exact;
mod tags;
mod text;

use std::ops::Range;

use crate::dbt::graph::jinja::{Piece, Token, Tokens, pieces};
pub(crate) use crate::warehouse::Dialect;

/// A word of SQL outside quotes and comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// In lower case.
    Name(String),
    /// Between single quotes, when it has no Jinja in it.
    Text(String),
    /// Between double quotes, when it has no Jinja in it.
    Quoted(String),
    Mark(char),
    /// `{{ … }}`: the name that it begins with, and the first text in it.
    Output {
        name: String,
        text: String,
    },
}

impl Word {
    pub(crate) fn output(words: &Tokens<'_>) -> Self {
        let mut tokens =
            words.iter().map(|(token, _)| token).skip_while(|token| matches!(token, Token::Mark('-' | '+')));
        let name = match tokens.next() {
            Some(Token::Name(name)) => (*name).to_owned(),
            _ => String::new(),
        };
        let text = words.iter().find_map(|(token, _)| match token {
            Token::Text(text) => Some((*text).to_owned()),
            _ => None,
        });
        Self::Output { name, text: text.unwrap_or_default() }
    }
}

/// A template as it is compared.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) bytes: Vec<u8>,
    /// Whether quotes and comments end where they begin. If not, `bytes` is the text as it is.
    pub(crate) is_balanced: bool,
    /// Whether its last line is a comment: of a macro, what follows its call then is part of it.
    pub(crate) ends_in_comment: bool,
    /// The SQL outside quotes and comments, word by word.
    pub(crate) words: Vec<Word>,
    /// Of each piece of Jinja: the range of its inside, and where it is.
    pub(crate) tags: Vec<Tag>,
}

/// A piece of Jinja with its surroundings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) inner: Range<usize>,
    pub(crate) is_output: bool,
    /// Between quotes of SQL, so that white space of what it puts out counts.
    pub(crate) in_quotes: bool,
    /// In an SQL comment.
    pub(crate) in_comment: bool,
    /// How many blocks of Jinja are open around it.
    pub(crate) depth: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Code,
    Single,
    Double,
    /// `$$`, `$tag$`: a digest of the mark that closes it, so that states can be compared.
    Dollar(u64),
    Line,
    Block,
}

pub(crate) fn fold(text: &str, dialect: Dialect) -> Folded {
    let mut folder = Folder {
        text,
        dialect,
        out: Folded { is_balanced: true, ..Folded::default() },
        state: State::Code,
        has_space: false,
        closer: Vec::new(),
        literal: None,
        comment_depth: 0,
        branches: Vec::new(),
    };
    folder.all();
    let mut result = folder.out;
    for range in exact::ranges(text, &result.tags) {
        result.bytes.push(5);
        result.bytes.extend_from_slice(unix_lines(&text[range]).as_bytes());
    }
    if !result.is_balanced {
        result.bytes = unix_lines(text).into_bytes();
        result.bytes.push(0);
    }
    result
}

/// The text with the line ends of Unix, and without a byte order mark.
pub(crate) fn unix_lines(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n")
}

struct Folder<'a> {
    text: &'a str,
    dialect: Dialect,
    out: Folded,
    state: State,
    /// White space or a comment was passed and nothing was written since.
    has_space: bool,
    /// The mark that closes the dollar quote.
    closer: Vec<u8>,
    /// The text between single quotes so far; `None` when Jinja is part of it.
    literal: Option<Vec<u8>>,
    comment_depth: usize,
    /// The state in which each open block began, and whether a branch of it has ended so far.
    branches: Vec<(State, Option<State>)>,
}

impl Folder<'_> {
    fn all(&mut self) {
        let text = self.text.strip_prefix('\u{feff}').map_or(0, |rest| self.text.len() - rest.len());
        let pieces = pieces(self.text);
        let mut trim = false;
        for (at, piece) in pieces.iter().enumerate() {
            let (range, trims_after) = match piece {
                Piece::Text(range) => {
                    let trims_before = pieces.get(at + 1).is_some_and(|next| self.trims(next, true));
                    self.take_text(range.start.max(text)..range.end, trim, trims_before);
                    trim = false;
                    continue;
                }
                Piece::Comment(range) => {
                    if range.len() >= 5 {
                        let bytes = self.text.as_bytes();
                        if bytes[range.start + 2] == b'-' && self.state == State::Code {
                            self.has_space = false;
                        }
                    }
                    trim = self.trims(piece, false);
                    continue;
                }
                Piece::Output(range) | Piece::Statement(range) => (range.clone(), self.trims(piece, false)),
            };
            let is_output = matches!(piece, Piece::Output(_));
            self.take_tag(range, is_output);
            trim = trims_after;
        }
        if !matches!(self.state, State::Code | State::Line) || !self.branches.is_empty() {
            self.out.is_balanced = false;
        }
        self.out.ends_in_comment = self.state == State::Line;
    }

    fn trims(&self, piece: &Piece, before: bool) -> bool {
        let bytes = self.text.as_bytes();
        match piece {
            Piece::Text(_) => false,
            Piece::Comment(range) => {
                let at = if before { range.start + 2 } else { range.end.saturating_sub(3) };
                range.len() >= 5 && bytes.get(at) == Some(&b'-')
            }
            Piece::Output(range) | Piece::Statement(range) => {
                let at = if before { range.start } else { range.end.saturating_sub(1) };
                !range.is_empty() && bytes.get(at) == Some(&b'-')
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn same(a: &str, b: &str) -> bool {
        fold(a, Dialect::DuckDb).bytes == fold(b, Dialect::DuckDb).bytes
    }

    #[test]
    fn what_changes_nothing_is_folded_away() {
        for (a, b) in [
            ("select a from t", "-- note\nselect  a\n  from t -- more\n"),
            ("select a, b from t", "select a -- first\n\n    , b /* x /* y */ z */ from t"),
            (
                "{{ config(materialized='view') }}\nselect 1",
                "{# n #}\n{{ config(tags = ['x']) }}\n\nselect 1",
            ),
            ("select {{ x }} from t", "SELECT {{x}} From t"),
            ("{% if x %} a {% endif %}", "{% if  x %}\n a\n{% endif %}\n"),
            ("select 'a' from t", "select 'a' from t\r\n"),
            ("select a\r\nfrom t", "select a\nfrom t"),
            ("select a from t", "-- depends_on: {{ ref('x') }}\nselect a from t"),
            ("select a from t", "select /*+ hint */ a from t -- noqa"),
            ("select a+b*2 as c from t where d>='x'", "select a + b * 2 as c from t where d >= 'x'"),
            ("select count(*) from t", "select count( * ) from t"),
            ("a {#- x -#} b", "ab"),
            ("{% set q %}a  b {% endset %}{{ q }}", "{% set q %}a b -- c\n{% endset %}{{ q }}"),
            ("{% set q %}a  b{% endset %}{{ run_query(q) }}", "{% set q %}a b{% endset %}{{ run_query(q) }}"),
            ("{% call statement('x') %}a  b{% endcall %}", "{% call statement('x') %}a b{% endcall %}"),
        ] {
            assert!(same(a, b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn what_may_change_something_is_kept() {
        for (a, b) in [
            ("select 'a b'", "select 'a  b'"),
            ("select \"Id\"", "select \"ID\""),
            ("select $$a b$$", "select $$a  b$$"),
            ("select $x$a -- b$x$", "select $x$a $x$"),
            ("select '-- a'", "select '-- b'"),
            ("select {{ f('a b') }}", "select {{ f('a  b') }}"),
            ("select a as Left", "select a as left"),
            ("select t.Order", "select t.order"),
            ("select A", "select a"),
            ("a b", "ab"),
            ("select a from t", "select a from t -- {{ f() }}"),
            ("{% if x %}'{% endif %} a  b'", "{% if x %}'{% endif %} a b'"),
            ("select a -- b\n, c", "select a -- b, c"),
            ("select 'it''s  a'", "select 'it''s a'"),
            ("{{ x }} y", "{{ x }}y"),
            ("{{ x }} - y", "{{ x }}- y"),
            ("a - -b", "a--b"),
            ("a < -1", "a <-1"),
            ("select 1e -5", "select 1e-5"),
            ("{% set q %}a  b{% endset %}'{{ q }}'", "{% set q %}a b{% endset %}'{{ q }}'"),
            ("{% set q %}a  b{% endset %}{{ f(q) }}", "{% set q %}a b{% endset %}{{ f(q) }}"),
            (
                "{% set q %}a  b{% endset %}{% if q == x %}{% endif %}",
                "{% set q %}a b{% endset %}{% if q == x %}{% endif %}",
            ),
            ("{% call f() %}a  b{% endcall %}", "{% call f() %}a b{% endcall %}"),
        ] {
            assert!(!same(a, b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn engines_differ_in_escapes_and_comments() {
        let of = |text: &str, dialect| fold(text, dialect).bytes;
        assert_ne!(of("a // 2", Dialect::DuckDb), of("a // 3", Dialect::DuckDb));
        assert_eq!(of("a // 2", Dialect::Snowflake), of("a // 3", Dialect::Snowflake));
        assert_ne!(of(r"'\' -- a'", Dialect::Snowflake), of(r"'\' -- b'", Dialect::Snowflake));
        assert_eq!(of(r"'\' -- a'", Dialect::DuckDb), of(r"'\' -- b'", Dialect::DuckDb));
    }

    #[test]
    fn words_are_read_outside_quotes_and_comments() {
        let words = fold("select a from 'f.csv' -- b\njoin {{ x }} on '{{ y }}'", Dialect::DuckDb).words;
        let name = |text: &str| Word::Name(text.into());
        assert_eq!(
            words,
            [
                name("select"),
                name("a"),
                name("from"),
                Word::Text("f.csv".into()),
                name("join"),
                Word::Output { name: "x".into(), text: String::new() },
                name("on"),
                Word::Output { name: String::new(), text: String::new() }
            ]
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(select|'|\"|\\$\\$|\\$a\\$|--|/\\*|\\*/|\\{\\{-?|-?\\}\\}|\\{%-?|-?%\\}|\\{#-?|-?#\\}|if|else|endif|a|é| |\n|\\\\|,){0,40}") {
            fold(&text, Dialect::DuckDb);
            fold(&text, Dialect::Snowflake);
        }
    }
}
