//! Cuts a Jinja source into its pieces: text, expressions, statements, comments.
//!
//! minijinja renders but does not report the origin of its output, so the tracer needs the pieces with
//! their exact bounds before anything is rendered. Cutting is a loop, never a recursion: nesting cannot
//! exhaust the stack here.

use std::ops::Range;

/// The kind of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text outside of tags, without the whitespace that tags remove.
    Text,
    /// `{{ … }}`.
    Expression,
    /// `{% … %}`.
    Statement,
    /// `{# … #}`.
    Comment,
    /// The text between `{% raw %}` and `{% endraw %}`.
    RawText,
}

/// A piece of a template; bounds are byte offsets into the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) kind: Kind,
    /// The whole piece: a tag with its delimiters, or the kept part of a text.
    pub(crate) range: Range<usize>,
    /// The code inside a tag; of a text the same as `range`.
    pub(crate) code: Range<usize>,
}

impl Piece {
    /// The first word of a statement: `for`, `endmacro`, …
    pub(crate) fn keyword<'s>(&self, source: &'s str) -> &'s str {
        let code = source[self.code.clone()].trim_start();
        let end = code.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(code.len());
        &code[..end]
    }
}

/// Why a source could not be cut or rendered, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) range: Range<usize>,
    pub(crate) reason: String,
    /// Whether dbt may still be able to render it, with facts that are not available here.
    pub(crate) is_uncertain: bool,
}

impl Fault {
    pub(crate) fn new(range: Range<usize>, reason: impl Into<String>) -> Self {
        Self { range, reason: reason.into(), is_uncertain: false }
    }
}

/// The pieces of `source`, in order. Text that is empty after whitespace control is left out.
pub(crate) fn cut(source: &str) -> Result<Vec<Piece>, Fault> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut trim_next = false;
    while let Some((start, kind)) = next_tag(source, at) {
        let trims_before = source.as_bytes().get(start + 2) == Some(&b'-');
        push_text(&mut pieces, Kind::Text, source, at..start, trim_next, trims_before);
        let tag = tag(source, start, kind)?;
        trim_next = tag.trims_after;
        at = tag.piece.range.end;
        let opens_raw = kind == Kind::Statement && source[tag.piece.code.clone()].trim() == "raw";
        pieces.push(tag.piece);
        if opens_raw {
            let Some((end, close)) = end_of_raw(source, at) else {
                return Err(Fault::new(start..at, "{% raw %} is never closed by {% endraw %}"));
            };
            let trims_before = source.as_bytes().get(end + 2) == Some(&b'-');
            push_text(&mut pieces, Kind::RawText, source, at..end, trim_next, trims_before);
            trim_next = close.trims_after;
            at = close.piece.range.end;
            pieces.push(close.piece);
        }
    }
    push_text(&mut pieces, Kind::Text, source, at..source.len(), trim_next, false);
    Ok(pieces)
}

struct Tag {
    piece: Piece,
    trims_after: bool,
}

fn push_text(
    pieces: &mut Vec<Piece>,
    kind: Kind,
    source: &str,
    range: Range<usize>,
    trim_start: bool,
    trim_end: bool,
) {
    let mut range = range;
    if trim_start {
        range.start = range.end - source[range.clone()].trim_start().len();
    }
    if trim_end {
        range.end = range.start + source[range.clone()].trim_end().len();
    }
    if !range.is_empty() {
        pieces.push(Piece { kind, code: range.clone(), range });
    }
}

fn next_tag(source: &str, from: usize) -> Option<(usize, Kind)> {
    let bytes = source.as_bytes();
    memchr::memchr_iter(b'{', &bytes[from..]).map(|at| at + from).find_map(|at| {
        let kind = match bytes.get(at + 1)? {
            b'{' => Kind::Expression,
            b'%' => Kind::Statement,
            b'#' => Kind::Comment,
            _ => return None,
        };
        Some((at, kind))
    })
}

fn tag(source: &str, start: usize, kind: Kind) -> Result<Tag, Fault> {
    let open = &source[start..start + 2];
    let unclosed = |close: &str| {
        let line_end = source[start..].find('\n').map_or(source.len(), |end| start + end);
        Fault::new(start..line_end, format!("`{open}` is never closed by `{close}`"))
    };
    let (code_end, end) = match kind {
        Kind::Comment => {
            let end =
                source[start + 2..].find("#}").map(|at| start + 2 + at).ok_or_else(|| unclosed("#}"))?;
            (end, end + 2)
        }
        Kind::Expression => end_of_code(source, start + 2, *b"}}").ok_or_else(|| unclosed("}}"))?,
        _ => end_of_code(source, start + 2, *b"%}").ok_or_else(|| unclosed("%}"))?,
    };
    let bytes = source.as_bytes();
    let sign = |at: usize| matches!(bytes[at], b'-' | b'+');
    let mut code = start + 2..code_end;
    if !code.is_empty() && sign(code.start) {
        code.start += 1;
    }
    let mut trims_after = false;
    if !code.is_empty() && sign(code.end - 1) {
        trims_after = bytes[code.end - 1] == b'-';
        code.end -= 1;
    }
    Ok(Tag { piece: Piece { kind, range: start..end, code }, trims_after })
}

/// Where the code of a tag ends and where its delimiter ends. Strings may contain anything, and inside open
/// braces a `}}` does not end the tag, as in Jinja.
fn end_of_code(source: &str, from: usize, delimiter: [u8; 2]) -> Option<(usize, usize)> {
    let bytes = source.as_bytes();
    let mut depth = 0_i64;
    let mut at = from;
    while at < bytes.len() {
        if depth == 0 && bytes[at..].starts_with(&delimiter) {
            return Some((at, at + 2));
        }
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at += 1;
                while *bytes.get(at)? != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

fn end_of_raw(source: &str, from: usize) -> Option<(usize, Tag)> {
    let mut at = from;
    while let Some(found) = source[at..].find("{%").map(|found| at + found) {
        if let Ok(tag) = tag(source, found, Kind::Statement)
            && tag.piece.keyword(source) == "endraw"
        {
            return Some((found, tag));
        }
        at = found + 2;
    }
    None
}

/// A word of the code in a tag: an identifier, or a string's content.
pub(crate) struct Word<'s> {
    pub(crate) text: &'s str,
    pub(crate) is_string: bool,
}

/// The identifiers and strings of a tag's code, in order.
pub(crate) fn words(code: &str) -> Vec<Word<'_>> {
    let bytes = code.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                words.push(Word { text: code.get(start + 1..at).unwrap_or_default(), is_string: true });
                at += 1;
            }
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
                    at += 1;
                }
                words.push(Word { text: &code[start..at], is_string: false });
            }
            byte if byte.is_ascii_digit() => {
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
                    at += 1;
                }
            }
            _ => at += 1,
        }
    }
    words
}

/// The position of the `=` of `set name = value` in the code; one inside a call does not count.
pub(crate) fn assignment(code: &str) -> Option<usize> {
    let bytes = code.as_bytes();
    let mut depth = 0_i64;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            // A block assignment may be filtered: `{% set x | replace("=", "") %}`.
            b'|' if depth == 0 => return None,
            b'=' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<(Kind, &str)> {
        cut(source).expect("it is whole").iter().map(|p| (p.kind, &source[p.range.clone()])).collect()
    }

    #[test]
    fn strings_and_braces_hide_the_end_of_a_tag() {
        assert_eq!(texts(r#"{{ "}}" }}a"#), [(Kind::Expression, r#"{{ "}}" }}"#), (Kind::Text, "a")]);
        assert_eq!(texts("{{ {'a': {}} }}"), [(Kind::Expression, "{{ {'a': {}} }}")]);
        assert_eq!(texts(r"{% set x = '\'%}' %}"), [(Kind::Statement, r"{% set x = '\'%}' %}")]);
    }

    #[test]
    fn whitespace_control_is_taken_off_the_text() {
        assert_eq!(
            texts("a \n{%- if x -%}\n b {{- y }} c"),
            [
                (Kind::Text, "a"),
                (Kind::Statement, "{%- if x -%}"),
                (Kind::Text, "b"),
                (Kind::Expression, "{{- y }}"),
                (Kind::Text, " c"),
            ]
        );
    }

    #[test]
    fn raw_text_is_not_cut() {
        assert_eq!(
            texts("{% raw %} {{ x }} {% endraw %}"),
            [(Kind::Statement, "{% raw %}"), (Kind::RawText, " {{ x }} "), (Kind::Statement, "{% endraw %}")]
        );
    }

    #[test]
    fn what_is_never_closed_is_a_fault_at_its_place() {
        for (source, range) in
            [("ab {{ x", 3..7), ("{% if x\nselect", 0..7), ("a {# b", 2..6), ("{{ 'a }}", 0..8)]
        {
            assert_eq!(cut(source).expect_err("it is unclosed").range, range, "{source}");
        }
    }

    #[test]
    fn assignments_and_blocks_are_distinguished() {
        assert_eq!(assignment("set x = 1"), Some(6));
        assert_eq!(assignment("set x"), None);
        assert_eq!(assignment("set x | replace('=', '')"), None);
        assert_eq!(assignment("set a.b = f(c=1)"), Some(8));
    }
}
