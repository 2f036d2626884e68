//! The part of yamllint's `commas` that `ryl` leaves out: a comma at the start of a line.

use ryl::config::YamlLintConfig;

use super::indentation::Found;
use super::tokens::{Placed, Token};

pub(super) const NAME: &str = "commas";

pub(super) fn check(tokens: &[Placed], config: &YamlLintConfig) -> Vec<Found> {
    if config.rule_option_int(NAME, "max-spaces-before", 0) < 0 {
        return Vec::new();
    }
    let pairs = tokens.iter().zip(tokens.iter().skip(1));
    pairs
        .filter(|(before, comma)| comma.token == Token::Comma && before.last_line < comma.line)
        .map(|(_, comma)| {
            (comma.line, comma.column.max(1), "too many spaces before comma: it starts a line".to_owned())
        })
        .collect()
}
