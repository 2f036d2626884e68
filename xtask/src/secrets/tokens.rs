//! Finds random-looking tokens by themselves, then examines the text around them.
//!
//! Most credentials carry no mark: they are random, and somewhere before them is the name of their
//! issuer. So this goes from the value to the name. The scan looks at every tenth byte
//! or so only: a byte that no token contains proves that none crosses it.

use std::ops::Range;

/// The shortest token that is looked for by itself.
pub(super) const LEAST: usize = 14;

const CORE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        byte += 1;
    }
    table
};

/// Runs of at least `LEAST` token characters, with the base64 and JWT characters around them.
pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
}

/// A token, and where its first run of letters and digits starts: behind `Bearer/`, for instance.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) range: Range<usize>,
    pub(super) core: usize,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.bytes;
        loop {
            let probe = self.at + LEAST - 1;
            if probe >= bytes.len() {
                return None;
            }
            // Boyer and Moore's step: walk back from the far end; any other byte on the way moves
            // the next possible start behind it. By index, as this is the innermost loop of a scan and
            // the dev profile inlines no iterator of the standard library.
            let mut walked = probe + 1;
            while walked > self.at && CORE[usize::from(bytes[walked - 1])] {
                walked -= 1;
            }
            if walked > self.at {
                self.at = walked;
                continue;
            }
            let start = self.at;
            let mut end = probe + 1;
            while end < bytes.len() && CORE[usize::from(bytes[end])] {
                end += 1;
            }
            let token = widen(bytes, start, end);
            self.at = token.end.max(end) + 1;
            return Some(Token { range: token, core: start });
        }
    }
}

/// Takes in `+ / . ~` on both sides and `=` behind: base64, JWTs and the like.
fn widen(bytes: &[u8], mut start: usize, mut end: usize) -> Range<usize> {
    let joint = |b: u8| CORE[usize::from(b)] || matches!(b, b'+' | b'/' | b'.' | b'~');
    while start > 0 && joint(bytes[start - 1]) && end - start < 4096 {
        start -= 1;
    }
    while end < bytes.len() && joint(bytes[end]) {
        end += 1;
    }
    let mut padding = 0;
    while padding < 2 && bytes.get(end) == Some(&b'=') {
        end += 1;
        padding += 1;
    }
    // A full stop or dash after a token ends a sentence.
    while end > start && matches!(bytes[end - 1], b'.' | b'-' | b'/') {
        end -= 1;
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_plain_loop_finds() {
        let texts = [
            "",
            "short",
            "0123456789abcdef",
            "a b c 0123456789abcdef d",
            "x=\"abcdefghijklmnopq\" y",
            "aaaaaaaaaaaaa aaaaaaaaaaaaaa",
        ];
        for text in texts {
            let expected: Vec<&str> = text
                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
                .filter(|run| run.len() >= LEAST)
                .collect();
            let found: Vec<&str> = Tokens::of(text.as_bytes()).map(|token| &text[token.range]).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
