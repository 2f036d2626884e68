//! YAML as it was written: values together with their position, read by the same parser as the style
//! rules, so that the whole toolkit interprets a file in the same way.
//!
//! Files come from anywhere, so reading is bounded: by size, by depth, and by how much aliases may
//! multiply. A file past a limit is an error with a position, never a long wait or a full memory.

mod reader;

use std::fmt;
use std::ops::Range;

use self::reader::read;
use crate::core::finding::Span;

/// What people write by hand stays far below; larger files are data.
const MOST_BYTES: usize = 4 << 20;
/// Runs of comments that are taken out before the file counts as unreadable: each costs a reading.
const MOST_COMMENT_RUNS: usize = 20;
/// A value and its position. The content of an alias keeps the position of its anchor.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) span: Span,
    /// The same place in bytes of the text.
    pub(crate) bytes: Range<usize>,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar {
        text: String,
        style: Style,
    },
    Sequence(Vec<Node>),
    /// In the order of the file; what `<<` merges in comes after what the mapping says itself.
    Mapping(Vec<(Node, Node)>),
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Only such a scalar can be null, a number or a truth value.
    Plain,
    Quoted,
    /// `|`: the place is that of its lines.
    Literal,
    /// `>`: the same, and its lines are one.
    Folded,
}

/// A file's documents, and the keys that occur twice in one mapping.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    pub(crate) roots: Vec<Node>,
    pub(crate) duplicates: Vec<Duplicate>,
    /// Where comments had to be taken out before the parser would read on.
    pub(crate) blanked: Option<Blanked>,
}

/// The text with spaces in place of long runs of comments, and the lines of those comments.
#[derive(Debug)]
pub(crate) struct Blanked {
    pub(crate) text: String,
    pub(crate) lines: Vec<Range<usize>>,
}

#[derive(Debug)]
pub(crate) struct Duplicate {
    pub(crate) key: String,
    pub(crate) span: Span,
    pub(crate) first_line: usize,
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
#[error("{message} (line {}, column {})", .span.line, .span.column)]
pub(crate) struct Error {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
    pub(crate) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Not valid YAML.
    Syntax,
    /// It may be, but is past a limit.
    Limit,
}

/// Compares data and ignores positions: two texts with equal data are the same file to a program.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Scalar { text, style }, Value::Scalar { text: theirs, style: so }) => {
                text == theirs && (*style == Style::Plain) == (*so == Style::Plain)
            }
            (Value::Sequence(ours), Value::Sequence(theirs)) => ours == theirs,
            (Value::Mapping(ours), Value::Mapping(theirs)) => ours == theirs,
            _ => false,
        }
    }
}

impl Node {
    /// The text of a scalar that is not null.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, style: Style::Plain }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// A truth value, as YAML 1.1 writes it: dbt's reader takes `yes` and `on` too.
    pub(crate) fn truth(&self) -> Option<bool> {
        let Value::Scalar { text, style: Style::Plain } = &self.value else { return None };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    /// The items of a sequence; none of anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The items of a sequence, or the value itself: where a list of one may be written without.
    pub(crate) fn one_or_many(&self) -> &[Self] {
        match &self.value {
            Value::Sequence(items) => items,
            _ if self.is_null() => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// Keys and values of a mapping; none of anything else.
    pub(crate) fn entries(&self) -> &[(Self, Self)] {
        match &self.value {
            Value::Mapping(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<(&Self, &Self)> {
        self.entries().iter().find(|(k, _)| k.text() == Some(key)).map(|(k, v)| (k, v))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The value at the end of a path of keys.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The value as JSON, by YAML's own rules for plain scalars.
    pub(crate) fn json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Sequence(items) => items.iter().map(Self::json).collect(),
            Value::Mapping(entries) => entries
                .iter()
                .filter_map(|(key, value)| Some((key.text()?.to_owned(), value.json())))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Value::Scalar { .. } if self.is_null() => Json::Null,
            Value::Scalar { text, style } => {
                let number = || serde_json::from_str(text).ok().filter(Json::is_number);
                let plain =
                    if *style == Style::Plain { self.truth().map(Json::Bool).or_else(number) } else { None };
                plain.unwrap_or_else(|| Json::String(text.clone()))
            }
        }
    }

    pub(crate) fn is_mapping(&self) -> bool {
        matches!(self.value, Value::Mapping(_))
    }

    pub(crate) fn is_scalar(&self) -> bool {
        matches!(self.value, Value::Scalar { .. })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "syntax",
            Self::Limit => "limit",
        })
    }
}

/// Reads every document of `text`. A byte-order mark is passed over.
pub(crate) fn parse(text: &str) -> Result<Documents, Error> {
    if text.len() > MOST_BYTES {
        let message = format!("larger than {} MiB: this is data, not a document to read", MOST_BYTES >> 20);
        return Err(Error { span: first(), kind: Kind::Limit, message });
    }
    let mut blanked: Option<Blanked> = None;
    for _ in 0..MOST_COMMENT_RUNS {
        let read = read(blanked.as_ref().map_or(text, |blanked| &blanked.text));
        match read {
            Err(error) if error.message.starts_with("too many consecutive comments") => {
                let so_far =
                    blanked.take().unwrap_or_else(|| Blanked { text: text.to_owned(), lines: vec![] });
                blanked = Some(so_far.without_comments_at(error.span.line).ok_or(error)?);
            }
            read => return read.map(|documents| Documents { blanked, ..documents }),
        }
    }
    let message = "too many runs of comments between a key and its value".to_owned();
    Err(Error { span: first(), kind: Kind::Limit, message })
}

impl Blanked {
    /// The parser gives up on more than 32 comments before a value. The run around `line` becomes spaces,
    /// so that every position stays the same; `None` if there is no comment to take out.
    fn without_comments_at(mut self, line: usize) -> Option<Self> {
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', self.text.as_bytes()).map(|at| at + 1));
        starts.push(self.text.len());
        let row = |at: usize| starts.get(at).zip(starts.get(at + 1)).map(|(a, b)| &self.text[*a..*b]);
        let passes =
            |at: usize| row(at).map(str::trim).is_some_and(|text| text.is_empty() || text.starts_with('#'));
        let here = (line.saturating_sub(3)..line + 2).find(|&at| passes(at))?;
        let first = (0..=here).rev().take_while(|&at| passes(at)).last()?;
        let last = (here..starts.len()).take_while(|&at| passes(at)).last()?;
        let (from, to) = (starts[first], starts[last + 1]);
        if !self.text[from..to].contains('#') {
            return None;
        }
        let blank: String = self.text[from..to]
            .bytes()
            .map(|byte| if matches!(byte, b'\n' | b'\r') { char::from(byte) } else { ' ' })
            .collect();
        self.text.replace_range(from..to, &blank);
        self.lines.push(first + 1..last + 2);
        Some(self)
    }
}

/// The first document, where a file has but one to say.
pub(crate) fn parse_one(text: &str) -> Result<Option<Node>, Error> {
    Ok(parse(text)?.roots.into_iter().next())
}

fn first() -> Span {
    Span { line: 1, column: 1, end_line: 1, end_column: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> Node {
        parse_one(text).expect("YAML").expect("a document")
    }

    #[test]
    fn values_know_where_they_stand() {
        let text = "\u{feff}a:\n  - ü: \"x\"\n    b: |\n      one\n      two\n";
        let node = one(text);
        let item = &node.get("a").expect("a").items()[0];
        let (key, value) = item.entry("ü").expect("a key");
        assert_eq!((key.span.line, key.span.column), (2, 5));
        assert_eq!((value.span.line, value.span.column, value.span.end_column), (2, 8, 11));
        let block = item.get("b").expect("b");
        assert_eq!(block.text(), Some("one\ntwo\n"));
        assert_eq!(&text[block.bytes.clone()], "one\n      two\n");
        assert_eq!(value.text(), Some("x"));
    }

    #[test]
    fn aliases_and_merge_keys_are_resolved() {
        let node = one("base: &b {x: 1, y: 2}\nmine:\n  <<: *b\n  y: 3\nagain: *b\n");
        let mine = node.get("mine").expect("mine");
        assert_eq!(mine.get("x").and_then(Node::text), Some("1"));
        assert_eq!(mine.get("y").and_then(Node::text), Some("3"));
        assert_eq!(mine.entries().len(), 2);
        assert_eq!(node.get("again"), node.get("base"));
    }

    #[test]
    fn a_key_that_stands_twice_is_told() {
        let documents = parse("a: 1\nb:\n  c: 1\n  c: 2\n'a': 3\n").expect("YAML");
        let found: Vec<_> =
            documents.duplicates.iter().map(|d| (d.key.as_str(), d.span.line, d.first_line)).collect();
        assert_eq!(found, [("c", 4, 3), ("a", 5, 1)]);
    }

    #[test]
    fn only_plain_words_are_null_or_true() {
        let node = one("[~, null, '', 'null', yes, 'yes', off]");
        let nulls: Vec<_> = node.items().iter().map(Node::is_null).collect();
        assert_eq!(nulls, [true, true, false, false, false, false, false]);
        let truths: Vec<_> = node.items().iter().map(Node::truth).collect();
        assert_eq!(truths, [None, None, None, None, Some(true), None, Some(false)]);
    }

    #[test]
    fn hostile_files_are_errors_with_a_place() {
        let laughs = {
            let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
            for i in 1..12 {
                let alias = format!("*a{},", i - 1).repeat(9);
                text = format!("{text}a{i}: &a{i} [{alias}]\n");
            }
            text
        };
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(10_000));
        let nested_anchors = format!("{}x{}", "&a [".repeat(90), "]".repeat(90));
        for (text, kind) in [
            (laughs, Some(Kind::Limit)),
            (long, Some(Kind::Limit)),
            (nested_anchors, None),
            ("[".repeat(10_000), Some(Kind::Limit)),
            ("- ".repeat(10_000), Some(Kind::Limit)),
            ("? ".repeat(10_000), Some(Kind::Limit)),
            ("{a: ".repeat(10_000), Some(Kind::Limit)),
            ("a: &a [*a]".to_owned(), Some(Kind::Limit)),
            ("a: *b".to_owned(), Some(Kind::Syntax)),
            ("a: [1\nb".to_owned(), Some(Kind::Syntax)),
            ("a:\n\t- b".to_owned(), Some(Kind::Syntax)),
            ("x".repeat(MOST_BYTES + 1), Some(Kind::Limit)),
            (String::new(), None),
        ] {
            let start = text.chars().take(20).collect::<String>();
            match parse(&text) {
                Ok(_) => assert_eq!(None, kind, "{start}"),
                Err(error) => {
                    assert_eq!(Some(error.kind), kind, "{start}: {error}");
                    assert!(error.span.line >= 1 && error.span.column >= 1);
                }
            }
        }
    }

    #[test]
    fn long_comments_are_no_error() {
        let comments = "# a line\n".repeat(200);
        for text in [
            format!("{comments}a: 1\n"),
            format!("a:\n{comments}  b: 1\n"),
            format!("a:\n  - b\n{comments}  - c\n"),
            format!("a:\n  -\n{comments}    b: c\n"),
            format!("a: 1\n{comments}b: 2\n{comments}"),
            format!("a: [\n{comments}  b,\n{comments}  ]\n"),
        ] {
            assert!(parse(&text).is_ok(), "{:?} {}", parse(&text).err(), &text[text.len() - 20..]);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-?:,\\[\\]{}#&*!|>'\"%@` \t\r\na-c0~<]{0,80}") {
            drop(parse(&text));
        }
    }
}
