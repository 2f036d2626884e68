//! Regexes as rule files write them, in Go's syntax or Rust's.

use std::sync::OnceLock;

use anyhow::Result;
use regex::bytes::{Regex, RegexBuilder};

/// A regex in Go's or Rust's syntax, compiled on first use. Its text was checked while loading.
#[derive(Debug)]
pub(crate) struct LazyRegex {
    pub(super) text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl LazyRegex {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: from_go(text), compiled: OnceLock::new() }
    }

    pub(crate) fn get(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| compile(&self.text).ok()).as_ref()
    }

    /// The error of a regex that does not compile.
    pub(crate) fn check(&self) -> Result<()> {
        compile(&self.text).map(drop)
    }

    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        self.get().is_some_and(|regex| regex.is_match(text))
    }
}

/// Bytes first, as Go's classes are ASCII; Unicode if the pattern itself asks for it.
fn compile(text: &str) -> Result<Regex> {
    let build = |unicode| RegexBuilder::new(text).unicode(unicode).size_limit(32 << 20).build();
    Ok(build(false).or_else(|_| build(true))?)
}

/// Rewrites what Go accepts and Rust does not: a bare `{`, a `[` or set operators inside a class,
/// `\Q…\E`, and `\Z`.
pub(crate) fn from_go(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.char_indices().peekable();
    let mut class_start: Option<usize> = None;
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'Q')) => {
                    let rest = &text[at + 2..];
                    let quoted = rest.split("\\E").next().unwrap_or(rest);
                    out.push_str(&regex::escape(quoted));
                    let end = at + 2 + quoted.len() + 2;
                    while chars.peek().is_some_and(|(next, _)| *next < end) {
                        chars.next();
                    }
                }
                Some((_, 'Z')) => out.push_str("\\z"),
                Some((_, escaped @ ('<' | '>' | '_'))) => out.push(escaped),
                Some((_, escaped)) => out.extend(['\\', escaped]),
                None => out.push_str("\\\\"),
            },
            '[' if class_start.is_some() => {
                if text[at..].starts_with("[:") && text[at..].contains(":]") {
                    let end = at + text[at..].find(":]").unwrap_or(0) + 2;
                    out.push_str(&text[at..end]);
                    while chars.peek().is_some_and(|(next, _)| *next < end) {
                        chars.next();
                    }
                } else {
                    out.push_str("\\[");
                }
            }
            '[' => {
                class_start = Some(out.len() + 1);
                out.push('[');
                if text[at + 1..].starts_with('^') {
                    out.push('^');
                    chars.next();
                    class_start = Some(out.len());
                }
            }
            // A `]` that opens a class is itself a member.
            ']' if class_start == Some(out.len()) => out.push_str("\\]"),
            ']' => {
                class_start = None;
                out.push(']');
            }
            '&' | '~' if class_start.is_some() => out.extend(['\\', c]),
            '-' if class_start.is_some() && text[at + 1..].starts_with('-') => out.push_str("\\-"),
            '{' if class_start.is_none() && !is_repetition(&text[at..]) => out.push_str("\\{"),
            _ => out.push(c),
        }
    }
    out
}

fn is_repetition(text: &str) -> bool {
    text[1..].split_once('}').is_some_and(|(inside, _)| {
        let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
        !least.is_empty() && least.bytes().chain(most.bytes()).all(|b| b.is_ascii_digit())
    })
}
