//! Pieces of Jinja: each is written token by token, and its branches must agree on the state of quotes.

use std::ops::Range;

use super::{Folder, State, Tag, Word};
use crate::dbt::graph::jinja::{Token, Tokens, keyword, tokens};

/// Statements that open a block which an `end…` closes.
const OPENERS: [&str; 11] = [
    "if",
    "for",
    "macro",
    "call",
    "filter",
    "test",
    "data_test",
    "snapshot",
    "materialization",
    "docs",
    "block",
];

impl Folder<'_> {
    pub(super) fn take_tag(&mut self, inner: Range<usize>, is_output: bool) {
        let code = &self.text[inner.clone()];
        let in_comment = matches!(self.state, State::Line | State::Block);
        let in_quotes = matches!(self.state, State::Single | State::Double | State::Dollar(_));
        let depth = self.branches.len();
        self.out.tags.push(Tag { inner: inner.clone(), is_output, in_quotes, in_comment, depth });
        let words = tokens(self.text, inner, false);
        if is_output {
            if depth == 0 && !in_comment && !in_quotes && is_only(&words, &["config"]) {
                return;
            }
            // One line at most: it cannot end a comment.
            if in_comment && is_only(&words, &["ref", "source", "config", "this"]) {
                return;
            }
        } else {
            self.follow_branches(keyword(code));
        }
        self.literal = None;
        if matches!(self.state, State::Code) {
            self.space_before(0);
        }
        self.write_tag(code, &words, is_output);
        if is_output && matches!(self.state, State::Code) {
            self.out.words.push(Word::output(&words));
        }
    }

    fn write_tag(&mut self, code: &str, words: &Tokens<'_>, is_output: bool) {
        let out = &mut self.out.bytes;
        out.push(if is_output { 2 } else { 3 });
        if code.starts_with('-') {
            out.push(b'-');
        }
        let last = words.len().saturating_sub(1);
        for (at, (token, place)) in words.iter().enumerate() {
            let is_trim = *token == Token::Mark('-') && (at == 0 || at == last);
            match token {
                Token::Mark('-') if is_trim => continue,
                Token::Text(text) => {
                    out.push(b'\'');
                    out.extend_from_slice(text.as_bytes());
                }
                Token::Name(text) | Token::Number(text) => out.extend_from_slice(text.as_bytes()),
                Token::Mark(_) => out.extend_from_slice(&self.text.as_bytes()[place.clone()]),
            }
            out.push(0x1f);
        }
        if code.len() > 1 && code.ends_with('-') {
            out.push(b'-');
        }
        out.push(4);
    }

    /// Quotes must be where they were at the beginning of a block at the end of each of its branches.
    fn follow_branches(&mut self, word: &str) {
        if OPENERS.contains(&word) {
            self.branches.push((self.state, None));
        } else if matches!(word, "elif" | "else") {
            let state = self.state;
            if let Some((began, ended)) = self.branches.last_mut() {
                if ended.is_some_and(|ended| ended != state) || *began != state {
                    self.out.is_balanced = false;
                }
                *ended = Some(state);
                self.state = *began;
            }
        } else if let Some(opened) = word.strip_prefix("end")
            && OPENERS.contains(&opened)
            && let Some((began, ended)) = self.branches.pop()
            && (began != self.state || ended.is_some_and(|ended| ended != self.state))
        {
            self.out.is_balanced = false;
        }
    }
}

/// Whether a tag is one call of one of `names`, or the name alone.
fn is_only(words: &Tokens<'_>, names: &[&str]) -> bool {
    let words: Vec<&Token<'_>> = words.iter().map(|(token, _)| token).collect();
    let words = words.strip_prefix(&[&Token::Mark('-')]).unwrap_or(&words);
    let words = words.strip_suffix(&[&Token::Mark('-')]).unwrap_or(words);
    let Some((Token::Name(name), rest)) = words.split_first() else { return false };
    if !names.contains(name) {
        return false;
    }
    let mut depth = 0_usize;
    for (at, token) in rest.iter().enumerate() {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 && at + 1 < rest.len() {
                    return false;
                }
            }
            _ if depth == 0 => return false,
            _ => {}
        }
    }
    true
}
