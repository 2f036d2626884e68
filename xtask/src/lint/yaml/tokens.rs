//! The tokens of a YAML file with their positions, for rules about layout.
//!
//! Block scalars start at their `|` or `>`, and scalars end on their last line with text: that is what a reader
//! sees, and what yamllint counts from.

use granit_parser::{ScalarStyle, Scanner, StrInput, TokenType};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The start or end of the stream or a document, or a directive.
    Boundary,
    MappingStart,
    SequenceStart,
    BlockEnd,
    FlowStart,
    FlowEnd,
    Comma,
    Dash,
    /// Whether it is written: `?`.
    Key(bool),
    Value,
    /// An anchor or a tag.
    Property,
    Alias,
    Plain,
    Quoted,
    /// `|` and `>`.
    Block,
}

/// A token and its position: lines from 1, columns from 0, in characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) line: usize,
    pub(super) column: usize,
    /// The last line that has text of it.
    pub(super) last_line: usize,
    /// Without content, and so not visible.
    pub(super) is_empty: bool,
    /// The bytes of the text from its start to its end.
    start: usize,
    end: usize,
}

impl Placed {
    pub(super) fn text<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// The tokens of a text that our reader has read; they end at the first fault.
pub(super) fn read(text: &str) -> Vec<Placed> {
    let mut found: Vec<Placed> = Vec::new();
    for token in Scanner::new(StrInput::new(text)) {
        let Ok(token) = token else { break };
        let (span, kind) = token.into_parts();
        let token = match &kind {
            TokenType::BlockMappingStart => Token::MappingStart,
            TokenType::BlockSequenceStart => Token::SequenceStart,
            TokenType::BlockEnd => Token::BlockEnd,
            // Of a single pair in a flow sequence; not written.
            TokenType::FlowMappingStart | TokenType::FlowMappingEnd if span.start == span.end => continue,
            TokenType::FlowSequenceStart | TokenType::FlowMappingStart => Token::FlowStart,
            TokenType::FlowSequenceEnd | TokenType::FlowMappingEnd => Token::FlowEnd,
            TokenType::FlowEntry => Token::Comma,
            TokenType::BlockEntry => Token::Dash,
            TokenType::Key => Token::Key(span.start.index() != span.end.index()),
            TokenType::Value => Token::Value,
            TokenType::Anchor(_) | TokenType::Tag(..) => Token::Property,
            TokenType::Alias(_) => Token::Alias,
            TokenType::Scalar(ScalarStyle::Plain, _) => Token::Plain,
            TokenType::Scalar(ScalarStyle::Literal | ScalarStyle::Folded, _) => Token::Block,
            TokenType::Scalar(..) => Token::Quoted,
            TokenType::Comment(_) => continue,
            _ => Token::Boundary,
        };
        let is_empty = matches!(&kind, TokenType::Scalar(ScalarStyle::Plain, value) if value.is_empty());
        let bytes = span.byte_range().unwrap_or_default();
        let mut placed = Placed {
            token,
            line: span.start.line(),
            column: span.start.col(),
            last_line: span.end.line(),
            is_empty: is_empty || matches!(&kind, TokenType::StreamStart | TokenType::StreamEnd),
            start: bytes.start,
            end: bytes.end,
        };
        match token {
            Token::Block => placed.start_at(text, found.last(), &['|', '>']),
            Token::Dash => placed.start_at(text, found.last(), &['-']),
            _ => {}
        }
        if matches!(token, Token::Plain | Token::Quoted | Token::Block) {
            let written = placed.text(text).trim_end();
            placed.last_line = placed.line + written.matches('\n').count();
        }
        found.push(placed);
    }
    found
}

impl Placed {
    /// The parser places a block scalar at its first line of text, and a dash at what follows it.
    fn start_at(&mut self, text: &str, before: Option<&Self>, marks: &[char]) {
        let from = before.map_or(0, |token| token.end);
        let rest = text.get(from..self.end).unwrap_or_default();
        // A value's token ends before its colon.
        let mut at =
            usize::from(before.is_some_and(|token| token.token == Token::Value) && rest.starts_with(':'));
        loop {
            at += rest[at..].len() - rest[at..].trim_start().len();
            if !rest[at..].starts_with('#') {
                break;
            }
            at += rest[at..].find('\n').unwrap_or(rest.len() - at);
        }
        if !rest[at..].starts_with(marks) {
            return;
        }
        let lines = text[from + at..self.start.max(from + at)].matches('\n').count();
        self.line = self.line.saturating_sub(lines);
        self.start = from + at;
        let begin = text[..self.start].rfind('\n').map_or(0, |end| end + 1);
        self.column = text[begin..self.start].chars().count();
        if self.token == Token::Dash {
            self.end = self.start + 1;
            self.last_line = self.line;
        }
    }
}
