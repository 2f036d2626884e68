//! A template with everything taken out that cannot change what it builds: SQL comments, runs of white space
//! and the case of key words outside quotes, Jinja comments, and `config(…)` calls, which count by their values.
//!
//! Folding must never hide a change. So quotes are followed through the whole template, and where their state
//! depends on a branch of Jinja (a quote opened in one `if` and closed in another) nothing is folded at all: the
//! text counts as it is. Jinja in an SQL comment is live for dbt, so only what has no output beside the comment
//! is dropped there.

mod exact;

use std::ops::Range;

use crate::dbt::graph::jinja::{Piece, Token, Tokens, keyword, pieces, tokens};

/// How SQL of an engine is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    DuckDb,
    Snowflake,
}

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

/// Words that are never the name of anything without quotes, so that their case means nothing.
const KEYWORDS: [&str; 42] = [
    "all",
    "and",
    "asc",
    "between",
    "by",
    "case",
    "cross",
    "desc",
    "distinct",
    "else",
    "end",
    "except",
    "exists",
    "false",
    "from",
    "full",
    "group",
    "having",
    "in",
    "inner",
    "intersect",
    "is",
    "join",
    "left",
    "like",
    "limit",
    "not",
    "null",
    "on",
    "or",
    "order",
    "outer",
    "over",
    "partition",
    "right",
    "select",
    "then",
    "true",
    "union",
    "using",
    "when",
    "where",
];

/// Statements that open a block which an `end…` closes.
const OPENERS: [&str; 11] = [
    "if",
    "for",
    "macro",
    "call",
    "filter",
    "test",
    "data_test",
    "snapshot",
    "materialization",
    "docs",
    "block",
];

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

    fn take_text(&mut self, range: Range<usize>, trims_start: bool, trims_end: bool) {
        let mut text = &self.text[range.start.min(range.end)..range.end];
        if trims_start {
            text = text.trim_start();
        }
        if trims_end {
            text = text.trim_end();
        }
        let owned = text.replace("\r\n", "\n");
        let bytes = owned.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            at = match self.state {
                State::Code => self.code(bytes, at),
                State::Single | State::Double => self.quoted(bytes, at),
                State::Dollar(_) => self.dollar(bytes, at),
                State::Line => {
                    let end = memchr::memchr(b'\n', &bytes[at..]);
                    if end.is_some() {
                        self.state = State::Code;
                    }
                    end.map_or(bytes.len(), |offset| at + offset)
                }
                State::Block => self.comment(bytes, at),
            };
        }
    }

    fn comment(&mut self, bytes: &[u8], at: usize) -> usize {
        if bytes[at..].starts_with(b"*/") {
            self.comment_depth = self.comment_depth.saturating_sub(1);
            if self.comment_depth == 0 {
                self.state = State::Code;
            }
            return at + 2;
        }
        if bytes[at..].starts_with(b"/*") && self.dialect == Dialect::DuckDb {
            self.comment_depth += 1;
            return at + 2;
        }
        at + 1
    }

    fn code(&mut self, bytes: &[u8], at: usize) -> usize {
        let rest = &bytes[at..];
        match rest[0] {
            byte if byte.is_ascii_whitespace() => {
                self.has_space = true;
                at + 1
            }
            b'-' if rest.starts_with(b"--") => self.open_comment(State::Line, at),
            b'/' if rest.starts_with(b"//") && self.dialect == Dialect::Snowflake => {
                self.open_comment(State::Line, at)
            }
            b'/' if rest.starts_with(b"/*") => {
                self.comment_depth = 1;
                self.open_comment(State::Block, at)
            }
            b'\'' => {
                self.literal = Some(Vec::new());
                self.open(State::Single, b"'", at)
            }
            b'"' => {
                self.literal = Some(Vec::new());
                self.open(State::Double, b"\"", at)
            }
            b'$' if !self.follows_word() => match dollar_mark(rest) {
                Some(mark) => {
                    self.closer = mark.to_vec();
                    let digest = mark.iter().fold(7_u64, |sum, &byte| sum.wrapping_mul(31) + u64::from(byte));
                    self.open(State::Dollar(digest), mark, at)
                }
                None => self.mark(rest[0], at),
            },
            byte if is_word(byte) => {
                let end = rest.iter().position(|&byte| !is_word(byte)).unwrap_or(rest.len());
                self.word(&rest[..end]);
                at + end
            }
            byte => self.mark(byte, at),
        }
    }

    fn open_comment(&mut self, state: State, at: usize) -> usize {
        self.state = state;
        self.has_space = true;
        at + 2
    }

    fn open(&mut self, state: State, mark: &[u8], at: usize) -> usize {
        self.space_before(mark[0]);
        self.out.bytes.extend_from_slice(mark);
        self.state = state;
        at + mark.len()
    }

    fn mark(&mut self, byte: u8, at: usize) -> usize {
        self.space_before(byte);
        self.out.bytes.push(byte);
        self.out.words.push(Word::Mark(char::from(byte)));
        at + 1
    }

    fn word(&mut self, word: &[u8]) {
        self.space_before(word[0]);
        let text = String::from_utf8_lossy(word);
        let lower = text.to_lowercase();
        let names_it = match self.out.words.last() {
            Some(Word::Name(before)) => before == "as",
            Some(Word::Mark('.')) => true,
            _ => false,
        };
        let folds = !names_it && (lower == "as" || lower == "with" || KEYWORDS.contains(&lower.as_str()));
        self.out.bytes.extend_from_slice(if folds { lower.as_bytes() } else { word });
        self.out.words.push(Word::Name(lower));
    }

    /// Whether a name or number has just been written: a `$` there is part of it.
    fn follows_word(&self) -> bool {
        !self.has_space && self.out.bytes.last().is_some_and(|&byte| is_word(byte))
    }

    /// The white space between two words; brackets, commas, and operators beside a word or a quote need none.
    fn space_before(&mut self, next: u8) {
        const FREE: &[u8] = b"(),;";
        let previous = self.out.bytes.last().copied();
        if self.has_space
            && let Some(previous) = previous
            && !FREE.contains(&previous)
            && !FREE.contains(&next)
            && !self.is_operator_beside(previous, next)
        {
            self.out.bytes.push(b' ');
        }
        self.has_space = false;
    }

    fn is_operator_beside(&self, previous: u8, next: u8) -> bool {
        const OPERATORS: &[u8] = b"+-*/=<>%|^~!";
        let is_operand = |byte: u8| is_word(byte) || matches!(byte, b'\'' | b'"');
        match (OPERATORS.contains(&previous), OPERATORS.contains(&next)) {
            (true, false) => is_operand(next),
            (false, true) => {
                // `1e -5` is not the number `1e-5`.
                let is_exponent = matches!(previous, b'e' | b'E')
                    && matches!(self.out.words.last(), Some(Word::Name(name)) if name.starts_with(|c: char| c.is_ascii_digit()));
                is_operand(previous) && !is_exponent
            }
            _ => false,
        }
    }

    fn quoted(&mut self, bytes: &[u8], at: usize) -> usize {
        let close = if self.state == State::Single { b'\'' } else { b'"' };
        let byte = bytes[at];
        self.out.bytes.push(byte);
        if byte == b'\\' && self.dialect == Dialect::Snowflake && self.state == State::Single {
            self.out.bytes.extend(bytes.get(at + 1));
            self.keep(&bytes[at..(at + 2).min(bytes.len())]);
            return at + 2;
        }
        if byte == close {
            if bytes.get(at + 1) == Some(&close) {
                self.out.bytes.push(close);
                self.keep(&[close]);
                return at + 2;
            }
            let text = self.literal.take().map(|text| String::from_utf8_lossy(&text).into_owned());
            self.out.words.push(match text {
                Some(text) if self.state == State::Single => Word::Text(text),
                Some(text) => Word::Quoted(text),
                None => Word::Output { name: String::new(), text: String::new() },
            });
            self.state = State::Code;
        } else {
            self.keep(&[byte]);
        }
        at + 1
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Some(literal) = &mut self.literal {
            literal.extend_from_slice(bytes);
        }
    }

    fn dollar(&mut self, bytes: &[u8], at: usize) -> usize {
        if bytes[at..].starts_with(&self.closer) {
            self.out.bytes.extend_from_slice(&self.closer);
            self.state = State::Code;
            return at + self.closer.len();
        }
        self.out.bytes.push(bytes[at]);
        at + 1
    }

    fn take_tag(&mut self, inner: Range<usize>, is_output: bool) {
        let code = &self.text[inner.clone()];
        let in_comment = matches!(self.state, State::Line | State::Block);
        let in_quotes = matches!(self.state, State::Single | State::Double | State::Dollar(_));
        let depth = self.branches.len();
        self.out.tags.push(Tag { inner: inner.clone(), is_output, in_quotes, in_comment, depth });
        let words = tokens(self.text, inner, false);
        if is_output {
            if depth == 0 && !in_comment && !in_quotes && is_only(&words, &["config"]) {
                return;
            }
            // One line at most: it cannot end a comment.
            if in_comment && is_only(&words, &["ref", "source", "config", "this"]) {
                return;
            }
        } else {
            self.follow_branches(keyword(code));
        }
        self.literal = None;
        if matches!(self.state, State::Code) {
            self.space_before(0);
        }
        self.write_tag(code, &words, is_output);
        if is_output && matches!(self.state, State::Code) {
            self.out.words.push(Word::output(&words));
        }
    }

    fn write_tag(&mut self, code: &str, words: &Tokens<'_>, is_output: bool) {
        let out = &mut self.out.bytes;
        out.push(if is_output { 2 } else { 3 });
        if code.starts_with('-') {
            out.push(b'-');
        }
        let last = words.len().saturating_sub(1);
        for (at, (token, place)) in words.iter().enumerate() {
            let is_trim = *token == Token::Mark('-') && (at == 0 || at == last);
            match token {
                Token::Mark('-') if is_trim => continue,
                Token::Text(text) => {
                    out.push(b'\'');
                    out.extend_from_slice(text.as_bytes());
                }
                Token::Name(text) | Token::Number(text) => out.extend_from_slice(text.as_bytes()),
                Token::Mark(_) => out.extend_from_slice(&self.text.as_bytes()[place.clone()]),
            }
            out.push(0x1f);
        }
        if code.len() > 1 && code.ends_with('-') {
            out.push(b'-');
        }
        out.push(4);
    }

    /// Quotes must be where they were at the beginning of a block at the end of each of its branches.
    fn follow_branches(&mut self, word: &str) {
        if OPENERS.contains(&word) {
            self.branches.push((self.state, None));
        } else if matches!(word, "elif" | "else") {
            let state = self.state;
            if let Some((began, ended)) = self.branches.last_mut() {
                if ended.is_some_and(|ended| ended != state) || *began != state {
                    self.out.is_balanced = false;
                }
                *ended = Some(state);
                self.state = *began;
            }
        } else if let Some(opened) = word.strip_prefix("end")
            && OPENERS.contains(&opened)
            && let Some((began, ended)) = self.branches.pop()
            && (began != self.state || ended.is_some_and(|ended| ended != self.state))
        {
            self.out.is_balanced = false;
        }
    }
}

/// Whether a tag is one call of one of `names`, or the name alone.
fn is_only(words: &Tokens<'_>, names: &[&str]) -> bool {
    let words: Vec<&Token<'_>> = words.iter().map(|(token, _)| token).collect();
    let words = words.strip_prefix(&[&Token::Mark('-')]).unwrap_or(&words);
    let words = words.strip_suffix(&[&Token::Mark('-')]).unwrap_or(words);
    let Some((Token::Name(name), rest)) = words.split_first() else { return false };
    if !names.contains(name) {
        return false;
    }
    let mut depth = 0_usize;
    for (at, token) in rest.iter().enumerate() {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 && at + 1 < rest.len() {
                    return false;
                }
            }
            _ if depth == 0 => return false,
            _ => {}
        }
    }
    true
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// `$$` or `$tag$` at the beginning of `rest`.
fn dollar_mark(rest: &[u8]) -> Option<&[u8]> {
    let end = rest.iter().skip(1).position(|&byte| !is_word(byte))? + 1;
    let is_mark = rest[end] == b'$' && !rest[1..end].first().is_some_and(u8::is_ascii_digit);
    is_mark.then(|| &rest[..=end])
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
