//! yamllint's `indentation`, by the structure of the file.
//!
//! Each value has a column at which its lines start: that of what it is part of, plus the step of the file. The walk
//! follows mappings, sequences and flow collections, and compares the first token of each line with that column.

use ryl::config::YamlLintConfig;

use super::tokens::{Placed, Token};

pub(super) const NAME: &str = "indentation";

/// Line and column, from 1, and the message.
pub(super) type Found = (usize, usize, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sequences {
    Indented,
    AtTheKey,
    /// The first one decides.
    Consistent,
    Whatever,
}

/// Where the first token of a line belongs.
#[derive(Clone, Copy, Debug)]
enum Expected {
    At(isize),
    /// One step from here.
    Within(isize),
}

/// What a scalar is the value of; decides where its further lines start.
#[derive(Clone, Copy, Debug)]
enum Place {
    Item,
    Key,
    Value { key: isize, is_written: bool },
    Other,
}

struct Walk<'t> {
    text: &'t str,
    tokens: &'t [Placed],
    at: usize,
    /// The step; unknown until the file shows one, if it only has to be consistent.
    step: Option<isize>,
    sequences: Sequences,
    checks_strings: bool,
    /// The last line of the tokens so far, and the column at which it starts.
    line: usize,
    line_start: isize,
    found: Vec<Found>,
}

pub(super) fn check(text: &str, tokens: &[Placed], config: &YamlLintConfig) -> Vec<Found> {
    let option = |name: &str| config.rule_option(NAME, name);
    let step = option("spaces").and_then(|value| isize::try_from(value.as_integer()?).ok());
    let sequences = option("indent-sequences").map_or(Sequences::Indented, |value| {
        match (value.as_str(), value.as_bool()) {
            (Some("whatever"), _) => Sequences::Whatever,
            (Some("consistent"), _) => Sequences::Consistent,
            (_, Some(false)) => Sequences::AtTheKey,
            _ => Sequences::Indented,
        }
    });
    let checks_strings = config.rule_option_bool(NAME, "check-multi-line-strings", false);
    let mut walk = Walk {
        text,
        tokens,
        at: 0,
        step,
        sequences,
        checks_strings,
        line: 0,
        line_start: 0,
        found: Vec::new(),
    };
    while walk.at < tokens.len() {
        let before = walk.at;
        walk.value_at(Expected::At(0), Place::Other);
        if walk.at == before {
            walk.pass(Expected::At(0));
        }
    }
    walk.found
}

impl Walk<'_> {
    fn token(&self) -> Option<Token> {
        self.tokens.get(self.at).map(|placed| placed.token)
    }

    /// One step from `base`; the first one seen sets the step.
    fn within(&mut self, base: isize, seen: isize) -> isize {
        base + *self.step.get_or_insert(seen - base)
    }

    /// Passes one token, and compares its column if it is the first of its line.
    fn pass(&mut self, expected: Expected) {
        let Some(placed) = self.tokens.get(self.at) else { return };
        self.at += 1;
        if placed.token == Token::BlockEnd || placed.is_empty {
            return;
        }
        let column = column(placed);
        if placed.line > self.line {
            let expected = match expected {
                Expected::At(column) => column,
                Expected::Within(base) => self.within(base, column),
            };
            if column != expected {
                self.report(placed.line, column, expected);
            }
            self.line_start = column;
        }
        self.line = placed.last_line;
    }

    fn report(&mut self, line: usize, column: isize, expected: isize) {
        let message = if expected < 0 {
            format!("wrong indentation: expected at least {}", column + 1)
        } else {
            format!("wrong indentation: expected {expected} but found {column}")
        };
        self.found.push((line, usize::try_from(column).unwrap_or_default() + 1, message));
    }

    /// A value with its anchor and tag; nothing if there is no value.
    fn value_at(&mut self, expected: Expected, place: Place) {
        while self.token() == Some(Token::Property) {
            self.pass(expected);
        }
        match self.token() {
            Some(Token::MappingStart) => self.mapping(expected),
            Some(Token::SequenceStart) => self.sequence(expected),
            Some(Token::Dash) => self.bare_sequence(expected),
            Some(Token::FlowStart) => self.flow(expected),
            Some(Token::Plain | Token::Quoted | Token::Block) => {
                let scalar = self.at;
                let is_first = self.tokens[scalar].line > self.line;
                self.pass(expected);
                if self.checks_strings {
                    self.lines_of(&self.tokens[scalar], expected, place, is_first);
                }
            }
            Some(Token::Alias) => self.pass(expected),
            _ => {}
        }
    }

    fn mapping(&mut self, expected: Expected) {
        let start = column(&self.tokens[self.at]);
        self.pass(expected);
        loop {
            match self.token() {
                Some(Token::Key(is_written)) => self.entry(start, is_written),
                Some(Token::Value) => self.value_of(start, true),
                Some(Token::BlockEnd) => return self.pass(expected),
                _ => return,
            }
        }
    }

    fn sequence(&mut self, expected: Expected) {
        let start = column(&self.tokens[self.at]);
        self.pass(expected);
        while self.token() == Some(Token::Dash) {
            self.item(start, Expected::At(start));
        }
        if self.token() == Some(Token::BlockEnd) {
            self.pass(expected);
        }
    }

    /// A sequence at the column of its key, which has no start and end in the tokens.
    fn bare_sequence(&mut self, expected: Expected) {
        let start = column(&self.tokens[self.at]);
        self.item(start, expected);
        while self.token() == Some(Token::Dash) {
            self.item(start, Expected::At(start));
        }
    }

    fn item(&mut self, start: isize, expected: Expected) {
        let line = self.tokens[self.at].line;
        self.pass(expected);
        let Some(next) = self.tokens.get(self.at) else { return };
        if matches!(next.token, Token::Dash | Token::BlockEnd | Token::Key(_)) {
            return;
        }
        let there = column(next);
        let is_beside = next.line == line || there == start;
        let inside = if is_beside { there } else { self.within(start, there) };
        self.value_at(Expected::At(inside), Place::Item);
    }

    /// A key and its value, in a mapping whose keys start at `start`.
    fn entry(&mut self, start: isize, is_written: bool) {
        self.pass(Expected::At(start));
        let expected = if is_written { Expected::Within(start) } else { Expected::At(start) };
        self.value_at(expected, Place::Key);
        if self.token() == Some(Token::Value) {
            self.value_of(start, is_written);
        }
    }

    fn value_of(&mut self, key: isize, is_written: bool) {
        let key_line = self.at.checked_sub(1).map_or(0, |before| self.tokens[before].line);
        self.pass(Expected::At(key));
        let Some(mut next) = self.tokens.get(self.at) else { return };
        // `key: &anchor` with the value on the next line.
        if let Some(second) = self.tokens.get(self.at + 1)
            && next.token == Token::Property
            && next.line == key_line
            && next.line < second.line
        {
            next = second;
        }
        let there = column(next);
        let is_sequence = matches!(next.token, Token::SequenceStart | Token::Dash);
        let expected = match next.token {
            Token::BlockEnd | Token::FlowEnd | Token::Key(_) => return,
            _ if is_written => self.within(key, there),
            _ if next.line == key_line => there,
            _ if is_sequence => self.start_of_sequence(key, there),
            _ => self.within(key, there),
        };
        self.value_at(Expected::At(expected), Place::Value { key, is_written });
    }

    fn start_of_sequence(&mut self, key: isize, there: isize) -> isize {
        let is_at_key = there == key;
        if self.sequences == Sequences::Consistent {
            self.sequences = if is_at_key { Sequences::AtTheKey } else { Sequences::Indented };
        }
        match self.sequences {
            Sequences::AtTheKey => key,
            Sequences::Whatever if is_at_key => key,
            // By how much is not known yet.
            Sequences::Indented if is_at_key && self.step.is_none() => -1,
            _ => self.within(key, there),
        }
    }

    fn flow(&mut self, expected: Expected) {
        let line = self.tokens[self.at].line;
        self.pass(expected);
        let outside = self.line_start;
        let Some(next) = self.tokens.get(self.at) else { return };
        let there = column(next);
        let inside = if next.line == line { there } else { self.within(outside, there) };
        loop {
            let before = self.at;
            match self.token() {
                Some(Token::FlowEnd) => return self.pass(Expected::At(outside)),
                Some(Token::Comma) => self.pass(Expected::At(inside)),
                Some(Token::Key(is_written)) => self.entry(inside, is_written),
                Some(Token::Value) => self.value_of(inside, true),
                _ => self.value_at(Expected::At(inside), Place::Other),
            }
            if self.at == before {
                return;
            }
        }
    }

    /// The lines of a scalar after its first one.
    fn lines_of(&mut self, scalar: &Placed, expected: Expected, place: Place, is_first: bool) {
        let own = column(scalar);
        let mut start = None;
        let written = scalar.text(self.text).trim_end_matches(['\n', '\r', ' ']);
        for (offset, line) in written.split('\n').enumerate().skip(1) {
            let indent = line.len() - line.trim_start_matches(' ').len();
            if line[indent..].trim_end_matches('\r').is_empty() {
                continue;
            }
            let indent = isize::try_from(indent).unwrap_or(isize::MAX);
            let start = *start.get_or_insert_with(|| match (scalar.token, place) {
                (Token::Plain, _) => own,
                (Token::Quoted, _) => own + 1,
                (_, Place::Item | Place::Key) => self.within(own, indent),
                (_, Place::Value { is_written: true, .. }) if !is_first => self.within(own, indent),
                (_, Place::Value { key, .. }) if !is_first => self.within(key, indent),
                _ => match expected {
                    Expected::At(base) | Expected::Within(base) => self.within(base, indent),
                },
            });
            if indent != start {
                self.report(scalar.line + offset, indent, start);
            }
        }
    }
}

fn column(placed: &Placed) -> isize {
    isize::try_from(placed.column).unwrap_or(isize::MAX)
}
