//! Which scalars `quoted-strings` leaves alone: those that YAML 1.1 reads as another type, although `ryl` reads them
//! as strings of YAML 1.2. `PyYAML`, and so dbt, reads YAML 1.1.

use std::sync::LazyLock;

use regex::Regex;

use super::tokens::{Placed, Token};

pub(super) const NAME: &str = "quoted-strings";

/// The truth values and dates of YAML 1.1 as `PyYAML` resolves them.
static OTHER_TYPE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)^(?:
            yes | Yes | YES | no | No | NO | on | On | ON | off | Off | OFF
            | \d{4}-\d{2}-\d{2}
            | \d{4}-\d{1,2}-\d{1,2} (?:[Tt]|[\ \t]+) \d{1,2}:\d{2}:\d{2} (?:\.\d*)?
              (?:[\ \t]* (?:Z|[-+]\d{1,2}(?::?\d{2})?))?
        )$",
    )
    .expect("a pattern")
});

/// Whether the scalar at this position is not a string without its quotes.
pub(super) fn is_other_type(text: &str, tokens: &[Placed], line: usize, column: usize) -> bool {
    let first = tokens.partition_point(|token| (token.line, token.column + 1) < (line, column));
    let here = tokens[first..].iter().take_while(|token| (token.line, token.column + 1) == (line, column));
    let mut scalars = here.filter(|token| matches!(token.token, Token::Plain | Token::Quoted));
    scalars.any(|scalar| OTHER_TYPE.is_match(scalar.text(text).trim_matches(['"', '\''])))
}
