//! One attempt to render a template: what of it is replaced until it can be parsed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use super::super::template::{Kind, Piece, words};
use super::super::trace::Marked;
use super::Guess;

pub(super) struct Attempt<'s> {
    pub(super) source: &'s str,
    pub(super) pieces: Vec<Piece>,
    /// Macros that cannot be parsed.
    pub(super) without: BTreeSet<String>,
    /// The text rendered instead of an expression, by the position of its piece.
    pub(super) replaced: HashMap<usize, &'static str>,
}

impl Attempt<'_> {
    pub(super) fn place(&self, marked: &Marked, offset: usize) -> Range<usize> {
        marked.place(offset).unwrap_or(0..self.source.len().min(1))
    }

    /// Replaces expressions of absent packages in places that only accept a query: `with x as ({{ … }})`.
    pub(super) fn replace_queries(&mut self, absent: &HashSet<String>) -> bool {
        let mut found = false;
        for index in 0..self.pieces.len() {
            let piece = &self.pieces[index];
            if piece.kind != Kind::Expression || self.replaced.contains_key(&piece.range.start) {
                continue;
            }
            let code = words(&self.source[piece.code.clone()]);
            let is_absent = code.first().is_some_and(|word| !word.is_string && absent.contains(word.text));
            if is_absent && self.needs_query(index) {
                self.replaced.insert(piece.range.start, "select 1 as placeholder");
                found = true;
            }
        }
        found
    }

    /// Leaves out expressions that only a run or a package can evaluate, according to the guess.
    pub(super) fn leave_out(&mut self, guess: Guess) {
        const KNOWN: [&str; 8] =
            ["ref", "source", "this", "config", "is_incremental", "dbt", "target", "env_var"];
        if guess == Guess::Names {
            return;
        }
        for (index, piece) in self.pieces.iter().enumerate() {
            let code = words(&self.source[piece.code.clone()]);
            let is_known = code.first().is_none_or(|word| word.is_string || KNOWN.contains(&word.text));
            let left_out = piece.kind == Kind::Expression
                && !is_known
                && (guess == Guess::Nothing || self.follows_operand(index));
            if left_out {
                self.replaced.insert(piece.range.start, "");
            }
        }
    }

    /// Whether a complete operand comes directly before the piece, so that a name does not fit.
    fn follows_operand(&self, index: usize) -> bool {
        const OPEN: [&str; 22] = [
            "select", "distinct", "where", "and", "or", "not", "on", "by", "from", "join", "as", "in",
            "when", "then", "else", "case", "having", "union", "all", "over", "between", "using",
        ];
        let before = self.pieces[..index].iter().rev().find_map(|piece| match piece.kind {
            Kind::Text | Kind::RawText => {
                let text = uncommented(&self.source[piece.range.clone()]);
                (!text.is_empty()).then_some(text)
            }
            Kind::Expression => Some("x".to_owned()),
            _ => None,
        });
        let Some(before) = before else { return false };
        let word = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let ends_open = before.ends_with(['(', ',', '=', '<', '>', '+', '-', '*', '/', '|', '.', ';']);
        !ends_open && !OPEN.contains(&word)
    }

    fn needs_query(&self, index: usize) -> bool {
        let text = |piece: &Piece| match piece.kind {
            Kind::Text | Kind::RawText => uncommented(&self.source[piece.range.clone()]),
            Kind::Expression if piece_calls(self.source, piece, "config") => String::new(),
            Kind::Expression => "x".to_owned(),
            _ => String::new(),
        };
        let before =
            self.pieces[..index].iter().rev().map(text).find(|text| !text.is_empty()).unwrap_or_default();
        let after =
            self.pieces[index + 1..].iter().map(text).find(|text| !text.is_empty()).unwrap_or_default();
        let joins = |text: &str, at_end: bool| {
            let parts = ["union", "union all", "except", "intersect", "except all", "union distinct"];
            parts.iter().any(|part| if at_end { text.ends_with(part) } else { text.starts_with(part) })
        };
        let opens = before.is_empty()
            || joins(&before, true)
            || before.strip_suffix('(').is_some_and(|rest| {
                let rest = rest.trim_end();
                let word = rest.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                matches!(word, "as" | "from" | "join" | "exists" | "all" | "union") || rest.ends_with('(')
            });
        opens && (after.is_empty() || after.starts_with([')', ';']) || joins(&after, false))
    }

    /// Replaces the expression at that place, which failed because of a missing package; returns whether it could.
    pub(super) fn replace_at(&mut self, place: &Range<usize>) -> bool {
        let is_it = |piece: &Piece| {
            matches!(piece.kind, Kind::Expression | Kind::Statement) && piece.range.start == place.start
        };
        self.pieces.iter().any(is_it) && self.replaced.insert(place.start, "placeholder").is_none()
    }
}

/// SQL text in lower case, without comments and surrounding space.
pub(super) fn uncommented(text: &str) -> String {
    let mut rest = text;
    let mut said = String::new();
    while let Some(at) = rest.find("--").into_iter().chain(rest.find("/*")).min() {
        said.push_str(&rest[..at]);
        let (close, length) = if rest[at..].starts_with("--") { ("\n", 1) } else { ("*/", 2) };
        rest = rest[at..].find(close).map_or("", |end| &rest[at + end + length..]);
        said.push(' ');
    }
    said.push_str(rest);
    said.trim().to_ascii_lowercase()
}

pub(super) fn piece_calls(source: &str, piece: &Piece, name: &str) -> bool {
    words(&source[piece.code.clone()]).first().is_some_and(|word| word.text == name)
}
