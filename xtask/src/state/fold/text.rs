//! SQL between pieces of Jinja: quotes and comments are followed, and white space and the case of key words folded.

use std::ops::Range;

use super::{Dialect, Folder, State, Word};

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

impl Folder<'_> {
    pub(super) fn take_text(&mut self, range: Range<usize>, trims_start: bool, trims_end: bool) {
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
    pub(super) fn space_before(&mut self, next: u8) {
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
