//! One SQL or Python file of a project, as far as the graph needs it: its calls, its blocks and the words
//! between quotes in its template, each with its place.

use std::ops::Range;

use super::jinja::{Call, Piece, Token, Tokens, calls, keyword, pieces, tokens};
use crate::core::finding::{Lines, Span};

#[derive(Debug, Default)]
pub(crate) struct Template<'a> {
    pub(crate) calls: Vec<Called<'a>>,
    pub(crate) blocks: Vec<Block<'a>>,
    /// The quoted strings in its tags.
    pub(crate) strings: Vec<&'a str>,
}

#[derive(Debug)]
pub(crate) struct Called<'a> {
    pub(crate) call: Call<'a>,
    pub(crate) span: Span,
    /// The block that contains it, by its number.
    pub(crate) block: Option<usize>,
    /// Whether a condition or a loop decides whether it is called.
    pub(crate) is_conditional: bool,
}

/// `{% macro name(a, b) %}…{% endmacro %}` and its like.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    /// `macro`, `test`, `snapshot`, `materialization`, `docs`.
    pub(crate) keyword: &'a str,
    pub(crate) name: &'a str,
    pub(crate) parameters: Vec<&'a str>,
    /// Of its name.
    pub(crate) span: Span,
    /// Between the opening and the closing tag.
    pub(crate) body: Range<usize>,
}

const BLOCKS: [&str; 6] = ["macro", "test", "data_test", "snapshot", "materialization", "docs"];

impl<'a> Template<'a> {
    pub(crate) fn sql(text: &'a str) -> Self {
        let lines = Lines::new(text.as_bytes());
        let mut template = Self::default();
        let mut open: Option<usize> = None;
        // How many conditions and loops are open.
        let mut branches = 0_usize;
        for piece in pieces(text) {
            let inner = match piece {
                Piece::Output(inner) => inner,
                Piece::Statement(inner) => {
                    let word = keyword(&text[inner.clone()]);
                    if BLOCKS.contains(&word) {
                        let words = tokens(text, inner.clone(), false);
                        template.blocks.extend(block(&words, inner.end, &lines));
                        open = template.blocks.len().checked_sub(1);
                        continue;
                    }
                    if let Some(at) =
                        open.filter(|_| word.strip_prefix("end").is_some_and(|w| BLOCKS.contains(&w)))
                    {
                        // The tag's own two marks are not part of the body.
                        template.blocks[at].body.end = inner.start.saturating_sub(2);
                        open = None;
                    }
                    match word {
                        "if" | "for" => branches += 1,
                        "endif" | "endfor" => branches = branches.saturating_sub(1),
                        _ => {}
                    }
                    inner
                }
                _ => continue,
            };
            let words = tokens(text, inner, false);
            template.take(&words, open, branches > 0, &lines);
        }
        for block in &mut template.blocks {
            // Past the closing mark of the opening tag; to the end where nothing closes it.
            block.body.start = (block.body.start + 2).min(text.len());
            block.body.end = block.body.end.clamp(block.body.start, text.len());
        }
        template
    }

    pub(crate) fn python(text: &'a str) -> Self {
        let mut template = Self::default();
        template.take(&tokens(text, 0..text.len(), true), None, true, &Lines::new(text.as_bytes()));
        template
    }

    fn take(&mut self, words: &Tokens<'a>, block: Option<usize>, is_conditional: bool, lines: &Lines<'_>) {
        self.strings.extend(words.iter().filter_map(|(token, _)| match token {
            Token::Text(text) => Some(*text),
            _ => None,
        }));
        self.calls.extend(calls(words).into_iter().map(|call| Called {
            span: lines.span(call.place.start, call.place.end),
            is_conditional: is_conditional || call.is_conditional,
            call,
            block,
        }));
    }
}

fn block<'a>(words: &Tokens<'a>, end: usize, lines: &Lines<'_>) -> Option<Block<'a>> {
    let mut names = words.iter().filter_map(|(token, place)| match token {
        Token::Name(name) => Some((*name, place)),
        _ => None,
    });
    let (keyword, _) = names.next()?;
    let (name, place) = names.next()?;
    let parameters = words
        .windows(2)
        .filter_map(|pair| match (&pair[0].0, &pair[1].0) {
            (Token::Mark('(' | ','), Token::Name(parameter)) => Some(*parameter),
            _ => None,
        })
        .collect();
    let span = lines.span(place.start, place.end);
    Some(Block { keyword, name, parameters, span, body: end..usize::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_names_parameters_and_bodies() {
        let text = "{% macro a(x, y=1) -%}\n  {{ b(x) }}\n{%- endmacro %}\n{% test t(model) %}{{ ref('m') }}{% endtest %}";
        let template = Template::sql(text);
        let found: Vec<_> = template
            .blocks
            .iter()
            .map(|block| (block.keyword, block.name, block.parameters.clone(), block.span.line))
            .collect();
        assert_eq!(found, [("macro", "a", vec!["x", "y"], 1), ("test", "t", vec!["model"], 4)]);
        assert_eq!(text[template.blocks[0].body.clone()].trim(), "{{ b(x) }}");
        assert_eq!(&text[template.blocks[1].body.clone()], "{{ ref('m') }}");
        let calls: Vec<_> =
            template.calls.iter().map(|c| (c.call.name.as_str(), c.block, c.span.line)).collect();
        assert_eq!(calls, [("b", Some(0), 2), ("ref", Some(1), 4)]);
        assert_eq!(template.strings, ["m"]);
    }

    #[test]
    fn a_block_that_is_never_closed_reaches_to_the_end() {
        let text = "{% macro a() %}x";
        let template = Template::sql(text);
        assert_eq!(&text[template.blocks[0].body.clone()], "x");
        assert_eq!(Template::sql("{% macro").blocks.len(), 0);
    }
}
