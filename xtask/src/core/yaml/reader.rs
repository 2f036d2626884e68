//! From the parser's events to values: anchors and aliases are resolved, `<<` is merged, and both are paid for.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle};

use super::{Documents, Duplicate, Error, Kind, Node, Style, Value};
use crate::core::finding::Span;

/// GitHub's and dbt's own files nest some ten levels.
const MOST_DEPTH: usize = 100;
/// Nodes that anchors and aliases may add to those written.
const MOST_ALIASED: usize = 100_000;
/// A scalar weighs as much as this many of its bytes are nodes.
const BYTES_A_NODE: usize = 64;

/// Reads every document of `text`, within the limits above.
pub(super) fn read(text: &str) -> Result<Documents, Error> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::new(text.len() - body.len());
    for event in Parser::new_from_str(body) {
        let (event, span) = event.map_err(|error| {
            let (line, column) = position(*error.marker());
            let too_deep = error.info().contains("recursion limit");
            Error {
                span: Span { line, column, end_line: line, end_column: column + 1 },
                kind: if too_deep { Kind::Limit } else { Kind::Syntax },
                message: error.info().clone(),
            }
        })?;
        reader.take(event, span)?;
    }
    Ok(reader.documents)
}

fn position(marker: granit_parser::Marker) -> (usize, usize) {
    (marker.line().max(1), marker.col() + 1)
}

/// A collection whose end has not come yet.
struct Open {
    value: Value,
    /// A key that waits for its value.
    key: Option<Node>,
    anchor: usize,
    span: Span,
    start: usize,
    weight: usize,
}

struct Reader {
    documents: Documents,
    open: Vec<Open>,
    /// The value of each anchor and its weight; no entry while the value is still being read.
    anchors: HashMap<usize, (Node, usize)>,
    aliased: usize,
    /// Bytes before what the parser sees.
    skipped: usize,
}

impl Reader {
    fn new(skipped: usize) -> Self {
        Self {
            documents: Documents::default(),
            open: Vec::new(),
            anchors: HashMap::new(),
            aliased: 0,
            skipped,
        }
    }

    fn take(&mut self, event: Event<'_>, span: granit_parser::Span) -> Result<(), Error> {
        let bytes = self.bytes(span);
        let place = {
            let ((line, column), (end_line, end_column)) = (position(span.start), position(span.end));
            Span { line, column, end_line, end_column }
        };
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let weight = 1 + text.len() / BYTES_A_NODE;
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::Literal => Style::Literal,
                    ScalarStyle::Folded => Style::Folded,
                    _ => Style::Quoted,
                };
                let value = Value::Scalar { text: Cow::into_owned(text), style };
                self.complete(Node { value, span: place, bytes }, anchor, weight)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.start(Value::Sequence(Vec::new()), anchor, place, bytes.start)
            }
            Event::MappingStart(_, anchor, _) => {
                self.start(Value::Mapping(Vec::new()), anchor, place, bytes.start)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(place, bytes.end),
            Event::Alias(id) => {
                let Some((node, weight)) = self.anchors.get(&id).map(|(n, w)| (n.clone(), *w)) else {
                    let message = "an alias inside the value of that anchor".to_owned();
                    return Err(Error { span: place, kind: Kind::Limit, message });
                };
                self.spend(weight, place)?;
                self.attach(node, weight);
                Ok(())
            }
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn bytes(&self, span: granit_parser::Span) -> Range<usize> {
        let range = span.byte_range().unwrap_or(0..0);
        range.start + self.skipped..range.end + self.skipped
    }

    fn start(&mut self, value: Value, anchor: usize, span: Span, start: usize) -> Result<(), Error> {
        if self.open.len() >= MOST_DEPTH {
            let message = format!("nested more than {MOST_DEPTH} levels deep");
            return Err(Error { span, kind: Kind::Limit, message });
        }
        self.open.push(Open { value, key: None, anchor, span, start, weight: 1 });
        Ok(())
    }

    fn end(&mut self, place: Span, end: usize) -> Result<(), Error> {
        let Some(mut open) = self.open.pop() else { return Ok(()) };
        if let Value::Mapping(entries) = &mut open.value {
            self.note_duplicates(entries);
            let merged = merge(entries);
            self.spend(merged, open.span)?;
        }
        let span = Span { end_line: place.end_line, end_column: place.end_column, ..open.span };
        let node = Node { value: open.value, span, bytes: open.start..end.max(open.start) };
        self.complete(node, open.anchor, open.weight)
    }

    fn complete(&mut self, node: Node, anchor: usize, weight: usize) -> Result<(), Error> {
        if anchor != 0 {
            self.spend(weight, node.span)?;
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        self.attach(node, weight);
        Ok(())
    }

    /// Every copy is paid for, so that neither aliases nor nested anchors can multiply without end.
    fn spend(&mut self, weight: usize, span: Span) -> Result<(), Error> {
        self.aliased = self.aliased.saturating_add(weight);
        if self.aliased > MOST_ALIASED {
            let message = format!("anchors and aliases multiply to more than {MOST_ALIASED} values");
            return Err(Error { span, kind: Kind::Limit, message });
        }
        Ok(())
    }

    fn attach(&mut self, node: Node, weight: usize) {
        let Some(open) = self.open.last_mut() else {
            self.documents.roots.push(node);
            return;
        };
        open.weight = open.weight.saturating_add(weight);
        match &mut open.value {
            Value::Sequence(items) => items.push(node),
            Value::Mapping(entries) => match open.key.take() {
                Some(key) => entries.push((key, node)),
                None => open.key = Some(node),
            },
            Value::Scalar { .. } => {}
        }
    }

    fn note_duplicates(&mut self, entries: &[(Node, Node)]) {
        let mut seen: HashMap<&str, usize> = HashMap::with_capacity(entries.len());
        for (key, _) in entries {
            let Value::Scalar { text, .. } = &key.value else { continue };
            if text == "<<" {
                continue;
            }
            if let Some(&first_line) = seen.get(text.as_str()) {
                self.documents.duplicates.push(Duplicate { key: text.clone(), span: key.span, first_line });
            } else {
                seen.insert(text, key.span.line);
            }
        }
    }
}

/// Replaces `<<` by what it merges in: keys that the mapping does not have itself, the first one named
/// winning. Returns how many entries that added.
fn merge(entries: &mut Vec<(Node, Node)>) -> usize {
    let is_merge =
        |key: &Node| matches!(&key.value, Value::Scalar { text, style: Style::Plain } if text == "<<");
    if !entries.iter().any(|(key, _)| is_merge(key)) {
        return 0;
    }
    let (merged, own): (Vec<_>, Vec<_>) = std::mem::take(entries).into_iter().partition(|(k, _)| is_merge(k));
    let mut known: HashSet<String> =
        own.iter().filter_map(|(key, _)| key.text().map(str::to_owned)).collect();
    *entries = own;
    let before = entries.len();
    for (_, value) in merged {
        for source in value.one_or_many() {
            for (key, value) in source.entries() {
                if key.text().is_some_and(|text| known.insert(text.to_owned())) {
                    entries.push((key.clone(), value.clone()));
                }
            }
        }
    }
    entries.len() - before
}
