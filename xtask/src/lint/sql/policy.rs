//! The input of the SQL policies: the parse tree of a rendered file, its tokens with their origin, and
//! helpers to read them.

use std::collections::BTreeMap;
use std::ops::Range;

use sqruff_lib_core::dialects::syntax::{SyntaxKind, SyntaxSet};
use sqruff_lib_core::parser::segments::ErasedSegment;

use super::Role;
use super::trace::{Origin, Rendering};

/// A file as a policy sees it.
pub(crate) struct File<'f> {
    pub(crate) role: Role,
    pub(crate) tree: &'f ErasedSegment,
    pub(crate) statements: Vec<Vec<Token>>,
    pub(crate) tokens: Vec<Token>,
    /// The common table expressions by their name in lower case.
    pub(crate) ctes: BTreeMap<String, ErasedSegment>,
    rendering: &'f Rendering,
}

/// A piece of code that the lexer made.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// In lower case, without quotes.
    pub(crate) text: String,
    /// Where in the template.
    pub(crate) range: Range<usize>,
    /// Whether it is literal text of the template, and not the output of a tag.
    pub(crate) is_literal: bool,
}

/// One offence against a policy.
#[derive(Clone, Debug)]
pub(crate) struct Objection {
    pub(crate) range: Range<usize>,
    pub(crate) message: String,
}

impl<'f> File<'f> {
    pub(crate) fn new(role: Role, tree: &'f ErasedSegment, rendering: &'f Rendering) -> Self {
        let mut file =
            Self { role, tree, statements: Vec::new(), tokens: Vec::new(), ctes: BTreeMap::new(), rendering };
        file.tokens = file.tokens_of(tree);
        file.statements = file
            .tokens
            .split(|token| token.text == ";")
            .filter(|tokens| !tokens.is_empty())
            .map(<[Token]>::to_vec)
            .collect();
        for cte in all(tree, SyntaxKind::CommonTableExpression) {
            if let Some(name) = cte.segments().iter().find(|part| part.is_code()) {
                file.ctes.insert(plain(name), cte.clone());
            }
        }
        file
    }

    /// The code under a node, in order.
    pub(crate) fn tokens_of(&self, node: &ErasedSegment) -> Vec<Token> {
        let segments = node.get_raw_segments();
        let code = segments.iter().filter(|segment| segment.is_code() && !segment.raw().is_empty());
        code.map(|segment| Token {
            text: plain(segment),
            range: place(segment),
            is_literal: self.is_literal(segment),
        })
        .collect()
    }

    fn is_literal(&self, segment: &ErasedSegment) -> bool {
        let Some(marker) = segment.get_position_marker() else { return false };
        let output = &marker.templated_slice;
        let slices = &self.rendering.slices;
        let first = slices.partition_point(|slice| slice.output.end <= output.start);
        slices[first..]
            .iter()
            .take_while(|slice| slice.output.start < output.end)
            .all(|slice| slice.origin == Origin::Literal || slice.output.is_empty())
    }
}

/// All nodes of a kind, outer before inner.
pub(crate) fn all(node: &ErasedSegment, kind: SyntaxKind) -> Vec<ErasedSegment> {
    node.recursive_crawl(&SyntaxSet::single(kind), true, &SyntaxSet::EMPTY, true)
}

/// The position of a node in the template.
pub(crate) fn place(node: &ErasedSegment) -> Range<usize> {
    node.get_position_marker().map_or(0..0, |marker| marker.source_slice.clone())
}

/// From the first of some tokens to the last.
pub(crate) fn span(tokens: &[Token]) -> Range<usize> {
    let start = tokens.iter().map(|token| token.range.start).min().unwrap_or(0);
    start..tokens.iter().map(|token| token.range.end).max().unwrap_or(start)
}

/// A name or keyword in lower case, without quotes.
pub(crate) fn plain(segment: &ErasedSegment) -> String {
    segment.raw().trim_matches(['"', '`']).to_lowercase()
}

/// The direct child of that kind.
pub(crate) fn child(node: &ErasedSegment, kind: SyntaxKind) -> Option<ErasedSegment> {
    node.child(&SyntaxSet::single(kind))
}

/// Whether the words of a statement begin with these.
pub(crate) fn begins(tokens: &[Token], words: &[&str]) -> bool {
    tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, word)| token.text == *word)
}
