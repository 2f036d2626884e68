//! Prose: words that a repository has decided not to use, in Markdown, YAML, comments and the texts that programs
//! print. Without a word list in `policies/lint.toml` nothing is reported.
//!
//! Names in code are not prose, so only comments and string literals of code are read, and nothing between
//! backticks.

use std::ops::Range;

use anyhow::{Context as _, Result, bail};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::rule::{Offence, Parameters, Rule};
use crate::core::finding::{Group, Lines, Severity};

pub(super) const RULES: &[&Rule] = &[&RULE];

pub(super) const RULE: Rule = Rule {
    name: "discouraged-word",
    group: Group::Prose,
    severity: Severity::Low,
    summary: "Prose uses a word that the repository's word list replaces.",
    why: "Readers know the field's standard terms; a second word for the same thing makes them look for a difference. \
          The word list is the parameter `words` of this rule in `policies/lint.toml`; without it nothing is reported.",
    example: "```toml\n[rules.discouraged-word.parameters]\nwords = [{ avoid = [\"utilize\", \"utilizes\"], write = \"use\" }]\n```\n\n\
              reports `utilizes` in `# utilizes the index`; write `# uses the index`.",
    remedy: "write the word that the message names",
};

/// The parameters of the rule.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    words: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    avoid: Vec<String>,
    write: String,
}

/// A word list, ready to be looked for.
#[derive(Debug)]
pub(super) struct Words {
    pattern: Regex,
    entries: Vec<Entry>,
}

impl Words {
    /// The list of the policy; `None` if it has none.
    pub(super) fn load(parameters: &Parameters) -> Result<Option<Self>> {
        Self::new(parameters.of::<Settings>(&RULE)?.words)
    }

    fn new(entries: Vec<Entry>) -> Result<Option<Self>> {
        let all = || entries.iter().flat_map(|entry| &entry.avoid);
        if all().any(|word| word.trim().is_empty()) {
            bail!("[rules.{}.parameters] of policies/lint.toml: a word to avoid is empty", RULE.name);
        }
        if all().next().is_none() {
            return Ok(None);
        }
        // A line break may separate the words of a phrase.
        let phrase =
            |word: &String| word.split_whitespace().map(regex::escape).collect::<Vec<_>>().join(r"\s+");
        let phrases: Vec<String> = all().map(phrase).collect();
        let pattern = RegexBuilder::new(&format!(r"\b(?:{})\b", phrases.join("|")))
            .case_insensitive(true)
            .build()
            .context("failed to compile the word list of policies/lint.toml")?;
        Ok(Some(Self { pattern, entries }))
    }

    /// What to write instead of `found`.
    fn instead_of(&self, found: &str) -> &str {
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let found = plain(found);
        let entry = self.entries.iter().find(|entry| entry.avoid.iter().any(|word| plain(word) == found));
        entry.map_or("another word", |entry| &entry.write)
    }
}

/// Whether a file contains prose that is checked.
pub(super) fn concerns(path: &str) -> bool {
    syntax(path).is_some()
}

/// All words of the list in the prose of a file.
pub(super) fn check(path: &str, text: &str, words: &Words) -> Vec<Offence> {
    let Some(syntax) = syntax(path) else { return Vec::new() };
    let lines = Lines::new(text.as_bytes());
    let mut offences = Vec::new();
    for part in syntax.prose(text) {
        let quoted = quoted(&text[part.clone()]);
        for found in words.pattern.find_iter(&text[part.clone()]) {
            if quoted.iter().any(|code| code.contains(&found.start())) {
                continue;
            }
            let span = lines.span(part.start + found.start(), part.start + found.end());
            let instead = words.instead_of(found.as_str());
            let message = format!("`{}` is on the list of words to avoid; write {instead}", found.as_str());
            offences.push(RULE.offence(path, span, message));
        }
    }
    offences
}

/// The text between backticks, by line: names and code.
fn quoted(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open: Option<usize> = None;
    for (at, byte) in text.bytes().enumerate() {
        match (byte, open) {
            (b'`', Some(from)) => {
                found.push(from..at);
                open = None;
            }
            (b'`', None) => open = Some(at),
            (b'\n', _) => open = None,
            _ => {}
        }
    }
    found
}

/// Where a kind of file contains prose.
enum Syntax {
    /// Everywhere outside of fenced code.
    Markdown,
    /// Everywhere: most of the text is descriptions and comments.
    Whole,
    /// In comments and string literals.
    Code(&'static [Delimited]),
}

/// A part of code that is opened and closed by fixed texts. One that is not prose is listed so that its content is
/// not taken for an opening.
struct Delimited {
    open: &'static str,
    close: &'static str,
    escapes: bool,
    is_prose: bool,
}

const fn comment(open: &'static str, close: &'static str) -> Delimited {
    Delimited { open, close, escapes: false, is_prose: true }
}

const fn string(quote: &'static str) -> Delimited {
    Delimited { open: quote, close: quote, escapes: true, is_prose: true }
}

/// A string whose content is a value or code rather than a text.
const fn value(quote: &'static str, escapes: bool) -> Delimited {
    Delimited { open: quote, close: quote, escapes, is_prose: false }
}

/// A text that would be taken for an opening.
const fn literal(text: &'static str) -> Delimited {
    Delimited { open: text, close: "", escapes: false, is_prose: false }
}

/// Longer openings come first.
const RUST: &[Delimited] = &[
    comment("//", "\n"),
    comment("/*", "*/"),
    comment("r##\"", "\"##"),
    comment("r#\"", "\"#"),
    literal("'\"'"),
    literal("'\\\"'"),
    string("\""),
];
const PYTHON: &[Delimited] =
    &[comment("#", "\n"), string("\"\"\""), string("'''"), string("\""), string("'")];
const SQL: &[Delimited] = &[comment("--", "\n"), comment("/*", "*/"), comment("{#", "#}"), value("'", false)];
const HASH: &[Delimited] =
    &[comment("#", "\n"), value("\"\"\"", true), value("'''", false), value("\"", true), value("'", false)];

fn syntax(path: &str) -> Option<Syntax> {
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension {
        "md" => Syntax::Markdown,
        "yml" | "yaml" => Syntax::Whole,
        "rs" => Syntax::Code(RUST),
        "py" => Syntax::Code(PYTHON),
        "sql" => Syntax::Code(SQL),
        "sh" | "toml" => Syntax::Code(HASH),
        _ => return None,
    })
}

impl Syntax {
    fn prose(&self, text: &str) -> Vec<Range<usize>> {
        match self {
            Self::Whole => std::iter::once(0..text.len()).collect(),
            Self::Markdown => outside_of_fences(text),
            Self::Code(parts) => delimited(text, parts),
        }
    }
}

fn outside_of_fences(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut is_fenced, mut from, mut at) = (Vec::new(), false, 0, 0);
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        if line.trim_start().starts_with("```") {
            if !is_fenced {
                found.push(from..at);
            }
            is_fenced = !is_fenced;
            from = end;
        }
        at = end;
    }
    if !is_fenced {
        found.push(from..at);
    }
    found
}

fn delimited(text: &str, parts: &[Delimited]) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let Some(part) = parts.iter().find(|part| bytes[at..].starts_with(part.open.as_bytes())) else {
            at += 1;
            continue;
        };
        let from = at + part.open.len();
        let to = closing(bytes, from, part);
        if part.is_prose {
            found.push(from..to);
        }
        at = (to + part.close.len()).min(bytes.len());
    }
    found
}

/// Where a part ends that starts at `from`: at its closing text or at the end of the file.
fn closing(bytes: &[u8], from: usize, part: &Delimited) -> usize {
    let mut at = from;
    while at < bytes.len() {
        if part.escapes && bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at..].starts_with(part.close.as_bytes()) {
            return at;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        let settings: Settings = toml::from_str(
            "words = [{ avoid = [\"zap\", \"zaps\"], write = \"fix\" }, { avoid = [\"in so far as\"], write = \"if\" }]",
        )
        .expect("settings");
        Words::new(settings.words).expect("a list").expect("words")
    }

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(path, text, &words()).into_iter().map(|offence| offence.span.line).collect()
    }

    #[test]
    fn prose_is_read_and_names_are_not() {
        for (path, text, expected) in [
            ("a.md", "It zaps.\n\n```\nzap()\n```\n\nCall `zap`. It is in\nso far as. ZAP.\n", vec![1, 7, 8]),
            ("a.rs", "// zap\nfn zap() { zap(\"zap it\"); }\nlet c = '\"'; zap();\n", vec![1, 2]),
            ("a.rs", "let a = \"\\\" zap\";\nlet b = r#\"a \" zap\"#; zap\n/* x\nzap */\n", vec![1, 2, 4]),
            ("a.py", "zap = None  # zap\n'''a\nzap'''\nzap(\"it's\")\n", vec![1, 3]),
            ("a.sql", "select 'zap' as zap -- zap\n/* zap */ {# zap #}\n", vec![1, 2, 2]),
            ("a.yml", "description: zaps\n", vec![1]),
            ("a.toml", "zap = \"# zap\" # zap\n", vec![1]),
            ("a.sh", "zap '# zap' # zap\n", vec![1]),
            ("a.rs", "// unzap, zapped, zap_it\n", vec![]),
            ("a.csv", "zap\n", vec![]),
        ] {
            assert_eq!(lines(path, text), expected, "{path}: {text}");
        }
    }

    #[test]
    fn a_finding_names_the_word_to_write() {
        let found = check("a.md", "It is in so\nfar as.\n", &words());
        assert!(found[0].message.contains("write if"), "{}", found[0].message);
    }

    #[test]
    fn without_a_list_nothing_is_looked_for_and_an_empty_word_is_an_error() {
        assert!(Words::new(Vec::new()).expect("no list").is_none());
        let empty = Entry { avoid: vec![" ".to_owned()], write: "x".to_owned() };
        assert!(Words::new(vec![empty]).expect_err("an error").to_string().contains("policies/lint.toml"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\"'#/*`{}r\\\\\nzapß -]{0,60}") {
            for path in ["a.rs", "a.py", "a.sql", "a.md", "a.yml", "a.toml"] {
                drop(check(path, &text, &words()));
            }
        }
    }
}
