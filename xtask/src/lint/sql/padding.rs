//! `jinja.padding`: one space, or a line break, on either side of a tag's code.
//!
//! sqruff has the rule, but only where it renders templates itself, which it leaves to Python. The pieces
//! are at hand here, those of macro files and of branches that did not run too.

use super::style::Violation;
use super::template::{Kind, Piece};

/// As sqruff names it.
pub(super) const NAME: &str = "jinja.padding";

pub(super) fn check(source: &str, pieces: &[Piece]) -> Vec<Violation> {
    let mut found = Vec::new();
    for piece in pieces {
        let code = &source[piece.code.clone()];
        let is_tag = matches!(piece.kind, Kind::Expression | Kind::Statement | Kind::Comment);
        if !is_tag || code.trim().is_empty() {
            continue;
        }
        let before = &code[..code.len() - code.trim_start().len()];
        let after = &code[code.trim_end().len()..];
        if !is_padding(before) || !is_padding(after) {
            found.push(Violation {
                start: piece.range.start,
                end: piece.range.end,
                rule: NAME,
                message: "Jinja tags should have a single space on either side of their code.".to_owned(),
            });
        }
    }
    found
}

fn is_padding(space: &str) -> bool {
    space == " " || space.contains('\n')
}
