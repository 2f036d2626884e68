//! Expressions taken apart into words, numbers, strings and marks.

use super::{Error, MOST_TOKENS};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Number(f64),
    Mark(&'static str),
}

const MARKS: [&str; 16] =
    ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ".", ",", "*"];

pub(super) fn word(text: &str) -> &str {
    let end = text.find(|c: char| c.is_whitespace()).unwrap_or(text.len());
    text.char_indices().nth(20).map_or(&text[..end], |(at, _)| &text[..at.min(end)])
}

pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Error> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let token = match bytes[at] {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'\'' => Token::Text(string(text, &mut at)?),
            b'"' => {
                let message = "strings take single quotes: '…'".to_owned();
                return Err(Error { offset: start, message });
            }
            b'0'..=b'9' | b'-' | b'+' => Token::Number(number(text, &mut at)?),
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                while at < bytes.len()
                    && (bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'_' | b'-'))
                {
                    at += 1;
                }
                Token::Name(text[start..at].to_owned())
            }
            _ => {
                let Some(mark) = MARKS.iter().find(|mark| text[at..].starts_with(**mark)) else {
                    return Err(Error { offset: at, message: format!("unexpected `{}`", word(&text[at..])) });
                };
                at += mark.len();
                Token::Mark(mark)
            }
        };
        found.push((token, start));
        if found.len() > MOST_TOKENS {
            return Err(Error {
                offset: start,
                message: "an expression longer than GitHub takes".to_owned(),
            });
        }
    }
    Ok(found)
}

/// `'…'`, in which `''` is a quote.
fn string(text: &str, at: &mut usize) -> Result<String, Error> {
    let start = *at;
    let mut value = String::new();
    loop {
        *at += 1;
        let Some(length) = text[*at..].find('\'') else {
            return Err(Error { offset: start, message: "a string that is never closed".to_owned() });
        };
        value.push_str(&text[*at..*at + length]);
        *at += length + 1;
        if text.as_bytes().get(*at) != Some(&b'\'') {
            return Ok(value);
        }
        value.push('\'');
    }
}

pub(super) fn number(text: &str, at: &mut usize) -> Result<f64, Error> {
    let start = *at;
    let bytes = text.as_bytes();
    *at += 1;
    while bytes.get(*at).is_some_and(|&byte| {
        byte.is_ascii_alphanumeric()
            || byte == b'.'
            || (matches!(byte, b'-' | b'+') && matches!(bytes[*at - 1], b'e' | b'E'))
    }) {
        *at += 1;
    }
    let written = &text[start..*at];
    let whole = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().map(f64::from);
    let value = match written.get(..2) {
        Some("0x") => whole(&written[2..], 16),
        Some("0o") => whole(&written[2..], 8),
        _ => written.parse().ok(),
    };
    value.ok_or_else(|| Error { offset: start, message: format!("`{written}` is not a number") })
}
