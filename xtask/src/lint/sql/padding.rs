//! `jinja.padding`: one space, or a line break, on either side of a tag's code.
//!
//! sqruff has the rule, but only if it renders templates itself, which it leaves to Python. The pieces are
//! available here, including those of macro files and of branches that did not run.

use super::style::Violation;
use super::template::{Kind, Piece};

/// As sqruff names it.
pub(super) const NAME: &str = "jinja.padding";

pub(super) fn check(source: &str, pieces: &[Piece]) -> Vec<Violation> {
    let unpadded = pieces.iter().filter(|piece| padded(source, piece).is_some());
    unpadded
        .map(|piece| Violation {
            start: piece.range.start,
            end: piece.range.end,
            rule: NAME,
            message: "Jinja tags should have a single space on either side of their code.".to_owned(),
        })
        .collect()
}

/// The source with its tags padded. The code between the spaces, and so the rendering, is unchanged.
pub(super) fn fixed(source: &str, pieces: &[Piece]) -> String {
    let mut fixed = String::with_capacity(source.len());
    let mut at = 0;
    for piece in pieces {
        if let Some(code) = padded(source, piece) {
            fixed.push_str(&source[at..piece.code.start]);
            fixed.push_str(&code);
            at = piece.code.end;
        }
    }
    fixed + &source[at..]
}

/// The code of a tag with exactly one space on each side; `None` if it has that already.
fn padded(source: &str, piece: &Piece) -> Option<String> {
    let is_tag = matches!(piece.kind, Kind::Expression | Kind::Statement | Kind::Comment);
    let code = &source[piece.code.clone()];
    let bare = code.trim();
    // `{#-- words --#}`: the dashes at the edges are decoration, as is a line of dashes.
    let drawn = piece.kind == Kind::Comment && (bare.starts_with('-') || bare.ends_with('-'));
    if !is_tag || bare.is_empty() || drawn {
        return None;
    }
    let before = &code[..code.len() - code.trim_start().len()];
    let after = &code[code.trim_end().len()..];
    let space = |found| if is_padding(found) { found } else { " " };
    let padded = [space(before), bare, space(after)].concat();
    (padded != code).then_some(padded)
}

fn is_padding(space: &str) -> bool {
    space == " " || space.contains('\n')
}
