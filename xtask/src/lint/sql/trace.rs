//! Maps the output of a template to the pieces of its source.
//!
//! Before rendering, each piece gets a mark: a number between two characters that do not occur in the
//! source. The marks are output like any text, so they appear in the order in which the pieces ran,
//! through loops and branches; removing them leaves the true output and its origin. Inside captures
//! (`{% set %}…{% endset %}`, macros, call and filter blocks) there are no marks, so that they do not
//! change the values that a template computes: such a block is one piece.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::macros::{
    closes, defined_name, is_definition, registration, signature, statement, with_placeholders,
};
use super::template::{Fault, Kind, Piece, assignment, words};

/// How a piece appears in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Text, output unchanged from the source.
    Literal,
    /// The output of an expression or a captured block: anything or nothing.
    Templated,
    Comment,
    /// Whitespace that an adjacent tag removed: no output.
    Trimmed,
    BlockStart,
    BlockMid,
    BlockEnd,
}

/// A piece that has a mark; `range` is its position in the source.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) origin: Origin,
    pub(crate) range: Range<usize>,
}

/// A stretch of output and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) origin: Origin,
    pub(crate) source: Range<usize>,
    pub(crate) output: Range<usize>,
}

/// What a template renders to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rendering {
    pub(crate) text: String,
    /// In the order of the output, without gaps.
    pub(crate) slices: Vec<Slice>,
    /// Whether a part of it may differ from dbt's output.
    pub(crate) is_uncertain: bool,
}

impl Rendering {
    /// Whether all pieces with output here have output in `other` too.
    pub(crate) fn is_part_of(&self, other: &Self) -> bool {
        let shows = |slice: &&Slice| !slice.output.is_empty();
        let there: HashSet<usize> =
            other.slices.iter().filter(shows).map(|slice| slice.source.start).collect();
        self.slices.iter().filter(shows).all(|slice| there.contains(&slice.source.start))
    }
}

/// A template with its marks.
#[derive(Debug)]
pub(crate) struct Marked {
    pub(crate) text: String,
    pub(crate) units: Vec<Unit>,
    /// The position of each tag in `text` and in the source, for syntax errors.
    tags: Vec<(usize, Range<usize>)>,
    marks: Marks,
}

/// The characters around a mark's number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    open: char,
    close: char,
}

impl Marks {
    /// Two private-use characters that none of the texts contains.
    pub(crate) fn absent_from(texts: &[&str]) -> Self {
        // All of them begin with this byte, and few texts contain it.
        let free = |c: &char| {
            let mut bytes = [0; 4];
            let needle = c.encode_utf8(&mut bytes).as_bytes();
            texts.iter().all(|text| memchr::memmem::find(text.as_bytes(), needle).is_none())
        };
        let mut candidates = ('\u{F0000}'..='\u{FFFFD}').filter(free);
        let open = candidates.next().unwrap_or('\u{F0000}');
        let close = candidates.next().unwrap_or('\u{F0001}');
        Self { open, close }
    }

    fn push(self, text: &mut String, number: usize) {
        text.push(self.open);
        text.push_str(&number.to_string());
        text.push(self.close);
    }
}

/// Deeper nesting than Jinja's own parser accepts.
const DEEPEST: usize = 100;

struct Block<'s> {
    keyword: &'s str,
    piece: usize,
    /// The unit of the closing tag, or of the whole captured block.
    unit: usize,
    has_else: bool,
    /// The registration that follows a definition.
    name: Option<String>,
}

/// Inserts the marks into a template. `prelude` comes before it and has no output; an expression whose
/// start is in `replaced` is rendered as the text given there.
pub(crate) fn mark(
    source: &str,
    pieces: &[Piece],
    prelude: &str,
    replaced: &HashMap<usize, &'static str>,
) -> Result<Marked, Fault> {
    let mut marker = Marker {
        source,
        out: Marked {
            text: prelude.to_owned(),
            units: Vec::with_capacity(pieces.len()),
            tags: Vec::with_capacity(pieces.len()),
            marks: Marks::absent_from(&[source, prelude]),
        },
        stack: Vec::new(),
        captured: None,
        at: 0,
        replaced,
        extras: [uses(source, pieces, "varargs"), uses(source, pieces, "kwargs")],
    };
    for (index, piece) in pieces.iter().enumerate() {
        marker.take(index, piece)?;
    }
    if let Some(block) = marker.stack.last() {
        let keyword = block.keyword;
        return Err(Fault::new(
            pieces[block.piece].range.clone(),
            format!("{{% {keyword} %}} is never closed by {{% end{keyword} %}}"),
        ));
    }
    // The end has a mark too, so that a final newline is not the last character: Jinja would drop it.
    let end = marker.out.units.len();
    marker.out.marks.push(&mut marker.out.text, end);
    Ok(marker.out)
}

fn uses(source: &str, pieces: &[Piece], name: &str) -> bool {
    source.contains(name)
        && pieces.iter().filter(|piece| matches!(piece.kind, Kind::Expression | Kind::Statement)).any(
            |piece| {
                words(&source[piece.code.clone()]).iter().any(|word| !word.is_string && word.text == name)
            },
        )
}

struct Marker<'s> {
    source: &'s str,
    out: Marked,
    stack: Vec<Block<'s>>,
    /// How many blocks were open when the capture began.
    captured: Option<usize>,
    /// Where the last piece ended.
    at: usize,
    replaced: &'s HashMap<usize, &'static str>,
    /// Whether `varargs` and `kwargs` occur.
    extras: [bool; 2],
}

impl<'s> Marker<'s> {
    fn unit(&mut self, origin: Origin, range: Range<usize>) -> usize {
        self.out.units.push(Unit { origin, range });
        self.out.units.len() - 1
    }

    fn mark(&mut self, unit: usize) {
        if self.captured.is_none() {
            self.out.marks.push(&mut self.out.text, unit);
        }
    }

    fn marked(&mut self, origin: Origin, piece: &Piece) {
        if self.captured.is_none() {
            let unit = self.unit(origin, piece.range.clone());
            self.mark(unit);
        }
    }

    fn write(&mut self, piece: &Piece, text: &str) {
        self.out.tags.push((self.out.text.len(), piece.range.clone()));
        self.out.text.push_str(text);
    }

    fn take(&mut self, index: usize, piece: &Piece) -> Result<(), Fault> {
        let verbatim = &self.source[piece.range.clone()];
        if self.captured.is_some() {
            // Without marks in between, Jinja itself removes the whitespace.
            self.out.text.push_str(&self.source[self.at..piece.range.start]);
        }
        self.at = piece.range.end;
        match piece.kind {
            Kind::Text | Kind::RawText => {
                self.marked(Origin::Literal, piece);
                self.out.text.push_str(verbatim);
            }
            Kind::Expression => {
                self.marked(Origin::Templated, piece);
                self.write(piece, self.replaced.get(&piece.range.start).copied().unwrap_or(verbatim));
            }
            Kind::Comment => {
                self.marked(Origin::Comment, piece);
                if self.captured.is_some() {
                    self.out.text.push_str(verbatim);
                }
            }
            Kind::Statement => self.statement(index, piece)?,
        }
        Ok(())
    }

    fn statement(&mut self, index: usize, piece: &Piece) -> Result<(), Fault> {
        let keyword = piece.keyword(self.source);
        if let Some(opened) = closes(keyword).filter(|opened| *opened != "raw") {
            return self.close(opened, piece);
        }
        match keyword {
            "else" | "elif" => {
                self.middle(keyword, piece);
                Ok(())
            }
            "if" | "for" | "with" | "autoescape" | "block" | "filter" | "call" | "snapshot" | "docs" => {
                self.open(index, piece, keyword)
            }
            "set" if assignment(&self.source[piece.code.clone()]).is_none() => {
                self.open(index, piece, keyword)
            }
            _ if is_definition(keyword) => self.open(index, piece, keyword),
            "raw" | "endraw" => {
                // The mark of `raw` comes before it, that of `endraw` after it: everything between them is text.
                if keyword == "raw" {
                    self.marked(Origin::Templated, piece);
                }
                self.write(piece, &self.source[piece.range.clone()]);
                if keyword == "endraw" {
                    self.marked(Origin::Templated, piece);
                }
                Ok(())
            }
            _ => {
                self.marked(Origin::Templated, piece);
                self.write(piece, &self.rewritten(piece));
                Ok(())
            }
        }
    }

    /// The statement as minijinja accepts it, with placeholders if its expression cannot be evaluated.
    fn rewritten(&self, piece: &Piece) -> String {
        let rewritten = self
            .replaced
            .get(&piece.range.start)
            .and_then(|instead| with_placeholders(self.source, piece, *instead == "true"));
        rewritten.unwrap_or_else(|| statement(self.source, piece).into_owned())
    }

    fn open(&mut self, index: usize, piece: &Piece, keyword: &'s str) -> Result<(), Fault> {
        if self.stack.len() >= DEEPEST {
            return Err(Fault::new(
                piece.range.clone(),
                format!("blocks are nested more than {DEEPEST} deep"),
            ));
        }
        let code = &self.source[piece.code.clone()];
        let recursive = keyword == "for" && code.trim_end().ends_with("recursive");
        let captures = recursive
            || matches!(keyword, "set" | "filter" | "call" | "docs" | "block")
            || is_definition(keyword);
        let origin = if captures || keyword == "snapshot" { Origin::Templated } else { Origin::BlockStart };
        self.marked(origin, piece);
        let unit = if captures && self.captured.is_none() {
            self.captured = Some(self.stack.len());
            self.out.units.len() - 1
        } else {
            self.unit(Origin::BlockEnd, piece.range.clone())
        };
        let name = is_definition(keyword).then(|| defined_name(self.source, piece)).flatten();
        self.stack.push(Block { keyword, piece: index, unit, has_else: false, name: name.clone() });
        match keyword {
            "snapshot" => {}
            _ if is_definition(keyword) => {
                let [varargs, kwargs] = self.extras;
                let text = signature(self.source, piece, name.as_deref(), varargs, kwargs);
                self.write(piece, &text);
            }
            _ => self.write(piece, &self.rewritten(piece)),
        }
        Ok(())
    }

    fn middle(&mut self, keyword: &str, piece: &Piece) {
        let of_loop = keyword == "else" && self.stack.last().is_some_and(|block| block.keyword == "for");
        if of_loop && let Some(block) = self.stack.last_mut() {
            block.has_else = true;
            let unit = block.unit;
            self.mark(unit);
        }
        self.write(piece, &self.rewritten(piece));
        self.marked(Origin::BlockMid, piece);
    }

    fn close(&mut self, opened: &str, piece: &Piece) -> Result<(), Fault> {
        let Some(block) = self.stack.pop().filter(|block| block.keyword == opened) else {
            return Err(Fault::new(
                piece.range.clone(),
                format!("{{% end{opened} %}} closes a block that is not open"),
            ));
        };
        let ends_capture = self.captured == Some(self.stack.len());
        if ends_capture {
            self.out.units[block.unit].range.end = piece.range.end;
        } else {
            self.out.units[block.unit].range = piece.range.clone();
        }
        match opened {
            "for" => {
                // The end is marked at the end of each iteration, and once if there is no iteration.
                self.mark(block.unit);
                if !block.has_else && self.captured.is_none() {
                    self.out.text.push_str("{% else %}");
                    self.mark(block.unit);
                }
                self.write(piece, &self.source[piece.range.clone()]);
            }
            "snapshot" => {
                self.out.units[block.unit].origin = Origin::Templated;
                self.mark(block.unit);
            }
            _ if is_definition(opened) => {
                let close = if opened == "macro" {
                    self.source[piece.range.clone()].to_owned()
                } else {
                    self.source[piece.range.clone()].replacen(&format!("end{opened}"), "endmacro", 1)
                };
                self.write(piece, &close);
                if let Some(name) = block.name {
                    self.out.text.push_str(&registration(&name));
                }
            }
            _ => {
                self.write(piece, &statement(self.source, piece));
                if !ends_capture {
                    self.mark(block.unit);
                }
            }
        }
        if ends_capture {
            self.captured = None;
        }
        Ok(())
    }
}

impl Marked {
    /// The position in the source of an error at `offset` of the marked text; `None` for one in the prelude.
    pub(crate) fn place(&self, offset: usize) -> Option<Range<usize>> {
        let after = self.tags.partition_point(|(start, _)| *start <= offset);
        after.checked_sub(1).map(|at| self.tags[at].1.clone())
    }

    /// The position of the piece that ran last before `output` ended.
    pub(crate) fn last_place(&self, output: &str) -> Option<Range<usize>> {
        let mut last = None;
        self.read(output, |unit, _| last = self.units.get(unit).or_else(|| self.units.last()));
        last.map(|unit| unit.range.clone())
    }

    /// Removes the marks from the rendered text.
    pub(crate) fn trace(&self, source: &str, output: &str) -> Rendering {
        let mut rendering = Rendering { text: String::with_capacity(output.len()), ..Rendering::default() };
        self.read(output, |unit, text| {
            let start = rendering.text.len();
            rendering.text.push_str(text);
            let range = start..rendering.text.len();
            let Some(unit) = self.units.get(unit) else { return };
            let is_true = unit.origin != Origin::Literal || source.get(unit.range.clone()) == Some(text);
            let origin = match unit.origin {
                // A block tag has no output: any text there belongs elsewhere, such as text that broke out of a mark.
                Origin::Literal if is_true => Origin::Literal,
                other if range.is_empty() => other,
                _ => Origin::Templated,
            };
            // Whitespace removed by whitespace control is between two adjacent pieces.
            let before = rendering.slices.last().map_or(0, |slice| slice.source.end);
            let gap = source.get(before..unit.range.start).unwrap_or_default();
            if !gap.is_empty() && gap.trim().is_empty() {
                let source = before..unit.range.start;
                rendering.slices.push(Slice { origin: Origin::Trimmed, source, output: start..start });
            }
            rendering.slices.push(Slice { origin, source: unit.range.clone(), output: range });
        });
        rendering
    }

    fn read<'o>(&'o self, output: &'o str, mut found: impl FnMut(usize, &'o str)) {
        let mut current: Option<usize> = None;
        let mut start = 0;
        for (at, opening) in output.match_indices(self.marks.open) {
            let Some((number, end)) = self.number(output, at + opening.len()) else { continue };
            if let Some(unit) = current {
                found(unit, &output[start..at]);
            }
            current = Some(number);
            start = end;
        }
        if let Some(unit) = current {
            found(unit, &output[start..]);
        }
    }

    /// The number of the mark whose digits begin at `from`, and where the mark ends.
    fn number(&self, output: &str, from: usize) -> Option<(usize, usize)> {
        let digits = output[from..].bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = output[from..from + digits].parse().ok()?;
        let rest = &output[from + digits..];
        (number <= self.units.len() && rest.starts_with(self.marks.close))
            .then(|| (number, from + digits + self.marks.close.len_utf8()))
    }
}
