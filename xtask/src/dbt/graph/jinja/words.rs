//! A template cut into its pieces, and an expression into its words.

use std::ops::Range;

/// Tags with a quote that is never closed, after which quotes no longer count in a file: it is not Jinja.
const MOST_UNCLOSED: usize = 20;

/// A stretch of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text that is output unchanged, including the bodies of raw blocks.
    Text(Range<usize>),
    /// The inside of `{{ … }}`.
    Output(Range<usize>),
    /// The inside of `{% … %}`.
    Statement(Range<usize>),
    /// The whole of `{# … #}`.
    Comment(Range<usize>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    Name(&'a str),
    /// The text between the quotes; escapes are left unchanged.
    Text(&'a str),
    Number(&'a str),
    Mark(char),
}

pub(crate) type Tokens<'a> = Vec<(Token<'a>, Range<usize>)>;

/// Cuts a template into its pieces. What is opened and never closed reaches to the end.
pub(crate) fn pieces(text: &str) -> Vec<Piece> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut from, mut at, mut unclosed) = (0, 0, 0);
    while let Some(open) = memchr::memchr(b'{', &bytes[at..]).map(|offset| at + offset) {
        let Some(&kind) = bytes.get(open + 1) else { break };
        let (end, piece) = match kind {
            b'#' => {
                let end = find(bytes, open + 2, b"#}").map_or(bytes.len(), |end| end + 2);
                (end, Piece::Comment(open..end))
            }
            b'{' | b'%' => {
                let close = if kind == b'{' { b"}}" } else { b"%}" };
                let (inner, end) = tag(bytes, open + 2, *close, &mut unclosed);
                let piece = if kind == b'{' { Piece::Output(inner) } else { Piece::Statement(inner) };
                (end, piece)
            }
            _ => {
                at = open + 1;
                continue;
            }
        };
        if from < open {
            found.push(Piece::Text(from..open));
        }
        let raw = matches!(&piece, Piece::Statement(inner) if keyword(&text[inner.clone()]) == "raw");
        found.push(piece);
        (from, at) = (end, end);
        if raw {
            // The next statement that ends it; nothing in between is looked at.
            at = end_of_raw(text, end);
        }
    }
    if from < bytes.len() {
        found.push(Piece::Text(from..bytes.len()));
    }
    found
}

/// The first word of a statement: `if`, `macro`.
pub(crate) fn keyword(statement: &str) -> &str {
    let start = statement.trim_start_matches(['-', '+', ' ', '\t', '\r', '\n']);
    &start[..start.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(start.len())]
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes.get(from..)?, what).map(|offset| from + offset)
}

/// Where the `{% endraw %}` begins that ends a raw block opened before `from`.
fn end_of_raw(text: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(open) = find(text.as_bytes(), at, b"{%") {
        if keyword(&text[open + 2..]) == "endraw" {
            return open;
        }
        at = open + 2;
    }
    text.len()
}

/// The inside of a tag, without its white space control, and where it ends. An end mark in a string does not count.
fn tag(bytes: &[u8], from: usize, close: [u8; 2], unclosed: &mut usize) -> (Range<usize>, usize) {
    let mut at = from;
    let mut quote = None;
    while at < bytes.len() && *unclosed < MOST_UNCLOSED {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, _) if bytes[at..].starts_with(&close) => return (from..at, at + 2),
            _ => {}
        }
        at += 1;
    }
    // A quote that is never closed, as in prose: the tag ends at the first mark that could end it.
    *unclosed += 1;
    let end = find(bytes, from, &close);
    end.map_or((from..bytes.len(), bytes.len()), |end| (from..end, end + 2))
}

/// The words of an expression in `text[range]`. `python` adds that language's comments and long strings.
pub(crate) fn tokens(text: &str, range: Range<usize>, python: bool) -> Tokens<'_> {
    let bytes = text.as_bytes();
    let end = range.end.min(bytes.len());
    let mut at = range.start;
    let mut found = Vec::new();
    while at < end {
        let start = at;
        let byte = bytes[at];
        match byte {
            b'#' if python => at = memchr::memchr(b'\n', &bytes[at..end]).map_or(end, |offset| at + offset),
            b'"' | b'\'' => {
                let long = [byte; 3];
                let (open, inner_end) = if python && bytes[at..end].starts_with(&long) {
                    (3, find(&bytes[..end], at + 3, &long).unwrap_or(end))
                } else {
                    (1, end_of_string(&bytes[..end], at + 1, byte))
                };
                at = (inner_end + open).min(end);
                found.push((Token::Text(&text[start + open..inner_end.max(start + open)]), start..at));
            }
            b'0'..=b'9' => {
                while at < end
                    && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'.' || bytes[at] == b'_')
                {
                    at += 1;
                }
                found.push((Token::Number(&text[start..at]), start..at));
            }
            _ if byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii() => {
                while at < end
                    && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_' || !bytes[at].is_ascii())
                {
                    at += 1;
                }
                found.push((Token::Name(&text[start..at]), start..at));
            }
            _ if byte.is_ascii_whitespace() => at += 1,
            _ => {
                at += 1;
                found.push((Token::Mark(char::from(byte)), start..at));
            }
        }
    }
    found
}

fn end_of_string(bytes: &[u8], from: usize, quote: u8) -> usize {
    let mut at = from;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}
