//! Qualifiers of columns that no relation of the query has.

use std::collections::BTreeSet;

use sqruff_lib_core::dialects::syntax::{SyntaxKind, SyntaxSet};
use sqruff_lib_core::parser::segments::ErasedSegment;

use super::style::Violation;

/// More qualified references than this are looked up here, each once.
pub(super) const MOST_REFERENCES: usize = 200;

/// The references to columns that name a table.
pub(super) fn qualified(tree: &ErasedSegment) -> Vec<ErasedSegment> {
    let kind = SyntaxSet::single(SyntaxKind::ColumnReference);
    let mut found = tree.recursive_crawl(&kind, true, &SyntaxSet::EMPTY, true);
    found.retain(|reference| reference.raw().contains('.'));
    found
}

/// Those of `references` whose table no query of the file has, in linear time. Names of any query count for all:
/// the findings are a subset of those of sqruff's rule.
pub(super) fn unknown_qualifiers(tree: &ErasedSegment, references: &[ErasedSegment]) -> Vec<Violation> {
    let words = |segment: &ErasedSegment| -> Vec<String> {
        let raw = segment.raw();
        let parts = raw.split(|c: char| c.is_whitespace() || matches!(c, '.' | '(' | ')' | ','));
        parts.map(|part| part.trim_matches(['"', '`', '[', ']']).to_uppercase()).collect()
    };
    let mut known: BTreeSet<String> = BTreeSet::new();
    for kind in [SyntaxKind::AliasExpression, SyntaxKind::TableReference] {
        for segment in tree.recursive_crawl(&SyntaxSet::single(kind), true, &SyntaxSet::EMPTY, true) {
            known.extend(words(&segment));
        }
    }
    for query in tree.recursive_crawl(
        &SyntaxSet::single(SyntaxKind::CommonTableExpression),
        true,
        &SyntaxSet::EMPTY,
        true,
    ) {
        known.extend(
            query
                .get_raw_segments()
                .iter()
                .find(|segment| segment.is_code())
                .map(|segment| segment.raw().to_uppercase()),
        );
    }
    let is_unknown = |reference: &&ErasedSegment| {
        let parts = words(reference);
        parts.len() == 2 && !known.contains(&parts[0])
    };
    references
        .iter()
        .filter(is_unknown)
        .map(|reference| {
            let range = reference.get_position_marker().map_or(0..0, |marker| marker.source_slice.clone());
            Violation {
                start: range.start,
                end: range.end,
                rule: "references.from",
                message: format!(
                    "Reference '{}' refers to table/view not found in the FROM clause or found in ancestor statement.",
                    reference.raw()
                ),
            }
        })
        .collect()
}
