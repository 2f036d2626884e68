//! sqruff as a library: the linter of each `.sqlfluff`, and a rendered file through its lexer, parser and
//! rules. Its panics are caught here and become faults.

mod parsed;
mod parts;
mod shapes;

use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr as _;
use std::sync::{Once, OnceLock};

use anyhow::{Result, anyhow, bail};
use sqruff_lib::core::config::{ConfigLoader, FluffConfig};
use sqruff_lib::core::linter::core::Linter;
use sqruff_lib::core::rules::{ErasedRule, RuleGroups};
use sqruff_lib::templaters::RAW_TEMPLATER;
use sqruff_lib_core::dialects::init::DialectKind;
use sqruff_lib_core::dialects::syntax::{SyntaxKind, SyntaxSet};
use sqruff_lib_core::parser::Parser;
use sqruff_lib_core::parser::segments::{ErasedSegment, Tables};
use sqruff_lib_core::templaters::{RawFileSlice, TemplateSliceKind, TemplatedFile, TemplatedFileSlice};

pub(super) use self::parsed::Parsed;
use self::shapes::Shapes;
use super::config::Config;
use super::styles::known_codes;
use super::trace::{Origin, Rendering};

/// `layout.long_lines`.
const LONG_LINES: &str = "LT05";

/// `ambiguous.column_count`: sqruff never ends on a common table expression that reads itself.
const COLUMN_COUNT: &str = "AM04";

/// A linter, and one that has only the rules whose fixes are safe.
pub(crate) struct Style {
    linter: Linter,
    config: Config,
    dialect: String,
    fixer: OnceLock<Linter>,
    /// What its parser has read before.
    shapes: Shapes,
    /// `template_blocks_indent`, which sqruff itself assumes to be on.
    indents_blocks: bool,
}

/// A finding of sqruff's, as byte offsets of the template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) rule: &'static str,
    pub(crate) message: String,
}

/// Text that replaces a range of the template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) range: Range<usize>,
    pub(crate) text: String,
}

/// The rule of a violation that is a failure of sqruff's.
pub(super) const FAILED: &str = "";

/// The dialect if neither settings nor a profile give one.
pub(super) const ASSUMED: &str = "snowflake";

impl Style {
    /// The linter of the settings, with `dialect` if they give none.
    pub(super) fn new(config: Config, dialect: &str) -> Result<Self> {
        let mut config = config;
        let text = config.text(dialect, &known_codes());
        let dialect_name = config.dialect().unwrap_or(dialect);
        if DialectKind::from_str(dialect_name).is_err() {
            bail!("`dialect = {dialect_name}` is not a dialect that is known here");
        }
        let linter = quietly(|| {
            let mut merged = ConfigLoader::try_from_source("", None).map_err(|error| anyhow!("{error}"))?;
            let parsed = ConfigLoader::try_from_source(&text, None).map_err(|error| anyhow!("{error}"))?;
            for (section, values) in parsed {
                match (merged.get_mut(&section).and_then(|known| known.as_map_mut()), values.as_map()) {
                    (Some(known), Some(values)) => {
                        known.extend(values.iter().map(|(key, value)| (key.clone(), value.clone())));
                    }
                    _ => {
                        merged.insert(section, values);
                    }
                }
            }
            linter(FluffConfig::new(merged, None, None))
        })??;
        let indents_blocks = linter
            .config()
            .raw
            .get("indentation")
            .and_then(|section| section.as_map())
            .and_then(|section| section.get("template_blocks_indent"))
            .is_none_or(sqruff_lib_core::value::Value::to_bool);
        Ok(Self {
            linter,
            config,
            dialect: dialect.to_owned(),
            fixer: OnceLock::new(),
            shapes: Shapes::default(),
            indents_blocks,
        })
    }

    /// The settings that it was made from.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The style of a file that changes its configuration by `-- sqlfluff:…` lines; none if it does not.
    pub(crate) fn scoped(&self, source: &str) -> Result<Option<Self>> {
        let mut config = self.config.clone();
        if !source.contains("-- sq") || !config.add_inline(source) {
            return Ok(None);
        }
        Self::new(config, &self.dialect).map(Some)
    }

    /// The names of the rules that are on.
    pub(crate) fn rules(&self) -> Vec<&'static str> {
        self.linter.rules().map(|rules| rules.iter().map(|rule| rule.name()).collect()).unwrap_or_default()
    }

    /// Whether a rule with one of those codes is on.
    fn has<const N: usize>(&self, codes: [&str; N]) -> bool {
        self.linter.rules().is_ok_and(|rules| rules.iter().any(|rule| codes.contains(&rule.code())))
    }

    /// Parses the rendering of `source` and passes it to `look`.
    pub(crate) fn parse<T>(
        &self,
        source: &str,
        rendering: &Rendering,
        look: impl FnOnce(&Parsed<'_>) -> T,
    ) -> Result<T> {
        quietly(|| {
            let file = templated(source, rendering, self.indents_blocks)?;
            let tables = Tables::default();
            let dialect = self.linter.config().get_dialect();
            let (tokens, lexing) = Linter::lex_templated_file(&tables, file.clone(), dialect);
            let parser: Parser<'_> = self.linter.config().into();
            let mut broken: Vec<Violation> = lexing
                .into_iter()
                .map(|error| violation("sql-parse", sqruff_lib_core::errors::SQLBaseError::from(error)))
                .collect();
            let tokens = tokens.unwrap_or_default();
            let tree = match parts::parse(&parser, &tables, &tokens, &self.shapes) {
                Ok(tree) => tree,
                Err(error) => {
                    broken.push(violation("sql-parse", error.into()));
                    None
                }
            };
            if let Some(tree) = &tree {
                let kind = SyntaxSet::single(SyntaxKind::Unparsable);
                for segment in tree.recursive_crawl(&kind, true, &SyntaxSet::EMPTY, true) {
                    broken.push(unparsable(&segment));
                }
            }
            Ok(look(&Parsed { style: self, tables: &tables, file: &file, source, rendering, tree, broken }))
        })?
    }

    /// The longest line that the settings allow.
    fn line_limit(&self) -> usize {
        let limit = self.linter.config().get("max_line_length", "core").as_int();
        limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or_default()
    }

    /// Whether the references of a select with one table have to be alike, with a table or without.
    fn wants_consistent_references(&self) -> bool {
        const OPTION: &str = "single_table_references";
        let Some(rules) = self.linter.config().raw.get("rules").and_then(|rules| rules.as_map()) else {
            return false;
        };
        let own = rules.get("references.consistent").and_then(|rule| rule.as_map()?.get(OPTION)?.as_string());
        let value = own.or_else(|| rules.get(OPTION)?.as_string());
        // In these, names with dots may be fields of a struct.
        value == Some("consistent") && !["athena", "hive", "redshift"].contains(&self.dialect())
    }

    /// The dialect of these settings.
    pub(crate) fn dialect(&self) -> &str {
        self.config.dialect().unwrap_or(&self.dialect)
    }

    /// A linter with those rules alone of all that are on.
    fn only(&self, wanted: impl Fn(&ErasedRule) -> bool) -> Result<Linter> {
        let rules = self.linter.rules().map_err(|error| anyhow!("{error}"))?;
        let codes: Vec<&str> = rules.iter().filter(|rule| wanted(rule)).map(|rule| rule.code()).collect();
        if codes.is_empty() {
            bail!("none of these rules is on");
        }
        let mut raw = self.linter.config().raw.clone();
        let only = ConfigLoader::try_from_source(
            &format!("[sqlfluff]\nrules = {}\nexclude_rules = None\n", codes.join(",")),
            None,
        )
        .map_err(|error| anyhow!("{error}"))?;
        for (section, values) in only {
            if let (Some(known), Some(values)) =
                (raw.get_mut(&section).and_then(|known| known.as_map_mut()), values.as_map())
            {
                known.extend(values.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
        }
        linter(FluffConfig::new(raw, None, None))
    }

    /// Rules of layout and capitalisation: their fixes leave the tokens as they are.
    fn fixer(&self) -> Result<&Linter> {
        if let Some(fixer) = self.fixer.get() {
            return Ok(fixer);
        }
        let fixer = self.only(|rule| is_safe(rule.groups()))?;
        Ok(self.fixer.get_or_init(|| fixer))
    }
}

/// Whether the fixes of such a rule leave the tokens as they are.
fn is_safe(groups: &[RuleGroups]) -> bool {
    groups.contains(&RuleGroups::Layout) || groups.contains(&RuleGroups::Capitalisation)
}

/// Whether the rule of long lines may report anything: false only if it cannot. It measures from one line
/// break of the template to the next, and counts the output of a tag by the tag's length; here each stretch counts
/// at least as much as it can there. Tokens that span lines are not distinguished here, so they may be long.
fn may_hold_long_line(rendering: &Rendering, limit: usize) -> bool {
    let quotes = |line: &str| ['\'', '"'].iter().any(|quote| line.matches(*quote).count() % 2 == 1);
    if rendering.text.contains("/*") || rendering.text.contains("$$") || rendering.text.lines().any(quotes) {
        return true;
    }
    let mut length = 0;
    for slice in &rendering.slices {
        let output = &rendering.text[slice.output.clone()];
        if slice.origin == Origin::Literal {
            for (index, line) in output.split('\n').enumerate() {
                length = line.len() + if index == 0 { length } else { 0 };
                if length > limit {
                    return true;
                }
            }
        } else {
            // A token of its output may reach into the text on either side, and each is measured as the whole.
            let before = rendering.text[..slice.output.start].chars().next_back();
            let after = rendering.text[slice.output.end..].chars().next();
            let (first, last) = (output.chars().next(), output.chars().next_back());
            let joins = usize::from(may_join(before, first)) + usize::from(may_join(last, after));
            length += slice.source.len().max(output.len()) * (1 + joins);
            if length > limit {
                return true;
            }
        }
    }
    false
}

/// Whether one token may contain both characters.
fn may_join(before: Option<char>, after: Option<char>) -> bool {
    let alone = |c: char| matches!(c, ',' | '(' | ')');
    match (before, after) {
        (Some(before), Some(after)) => {
            before.is_whitespace() == after.is_whitespace() && !alone(before) && !alone(after)
        }
        _ => false,
    }
}

fn linter(config: FluffConfig) -> Result<Linter> {
    let linter = Linter::new(config, None, Some(&RAW_TEMPLATER), true).map_err(|error| anyhow!("{error}"))?;
    // Now, so that a wrong option is an error of the configuration and not of each file.
    linter.rules().map_err(|error| anyhow!("{error}"))?;
    Ok(linter)
}

fn violation(rule: &'static str, error: sqruff_lib_core::errors::SQLBaseError) -> Violation {
    Violation {
        start: error.source_slice.start,
        end: error.source_slice.end,
        rule,
        message: error.description,
    }
}

fn unparsable(segment: &ErasedSegment) -> Violation {
    let code = segment.get_raw_segments().into_iter().find(ErasedSegment::is_code);
    let first = code.as_ref().unwrap_or(segment);
    let range = first.get_position_marker().map_or(0..0, |marker| marker.source_slice.clone());
    let shown: String = first.raw().chars().take(40).collect();
    Violation {
        start: range.start,
        end: range.end,
        rule: "sql-parse",
        message: format!("the SQL cannot be parsed from `{shown}` on"),
    }
}

/// See [`Parsed::meaning`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Meaning {
    code: Vec<String>,
    comments: Vec<String>,
}

/// The rendering in sqruff's form.
fn templated(source: &str, rendering: &Rendering, indents_blocks: bool) -> Result<TemplatedFile> {
    let kind = |origin: Origin| match origin {
        Origin::BlockStart | Origin::BlockMid | Origin::BlockEnd if !indents_blocks => {
            TemplateSliceKind::Templated
        }
        // sqruff searches for line breaks in the trimmed part.
        Origin::Literal | Origin::Trimmed => TemplateSliceKind::Literal,
        Origin::Templated => TemplateSliceKind::Templated,
        Origin::Comment => TemplateSliceKind::Comment,
        Origin::BlockStart => TemplateSliceKind::BlockStart,
        Origin::BlockMid => TemplateSliceKind::BlockMid,
        Origin::BlockEnd => TemplateSliceKind::BlockEnd,
    };
    let slices = rendering
        .slices
        .iter()
        .map(|slice| TemplatedFileSlice::new(kind(slice.origin), slice.source.clone(), slice.output.clone()))
        .collect();
    // The source in its own order: each piece that ran once, and the text in between.
    let mut units: Vec<(Range<usize>, TemplateSliceKind)> =
        rendering.slices.iter().map(|slice| (slice.source.clone(), kind(slice.origin))).collect();
    units.sort_by_key(|(range, _)| (range.start, range.end));
    let mut raw = Vec::new();
    let mut at = 0;
    let mut push = |range: Range<usize>, kind: TemplateSliceKind| {
        if !range.is_empty() {
            raw.push(RawFileSlice::new(source[range.clone()].to_owned(), kind, range.start, None, None));
        }
    };
    for (range, kind) in units {
        if range.start >= at {
            // Source that did not run, or was removed by whitespace control: nothing there may be changed.
            push(at..range.start, TemplateSliceKind::Templated);
            at = range.end;
            push(range, kind);
        }
    }
    push(at..source.len(), TemplateSliceKind::Templated);
    TemplatedFile::new(
        source.to_owned(),
        "file".to_owned(),
        Some(rendering.text.clone()),
        Some(slices),
        Some(raw),
    )
    .map_err(|error| anyhow!("{error}"))
}

thread_local! {
    /// Whether a panic of this thread is caught instead of printed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` and turns its panic into an error, without output on stderr.
fn quietly<T>(work: impl FnOnce() -> T) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                usual(panic);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(before);
    result.map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        anyhow!("the SQL checker failed: {}", text.lines().next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::sql::trace::Slice;

    /// A rendering of stretches: their origin, their output, and their length in the template.
    fn rendering(stretches: &[(Origin, &str, usize)]) -> Rendering {
        let mut rendering = Rendering::default();
        let mut from = 0;
        for (origin, output, length) in stretches {
            let start = rendering.text.len();
            rendering.text.push_str(output);
            let output = start..rendering.text.len();
            rendering.slices.push(Slice { origin: *origin, source: from..from + length, output });
            from += length;
        }
        rendering
    }

    #[test]
    fn lines_are_measured_from_break_to_break_of_the_template() {
        let text = |text: &'static str| (Origin::Literal, text, text.len());
        let long = |stretches: &[_]| may_hold_long_line(&rendering(stretches), 10);
        assert!(!long(&[text("select 1,\n  a, b\n")]));
        assert!(long(&[text("select 1, a")]));
        // A tag counts by its own length or that of its output, and breaks within either do not count.
        assert!(!long(&[text("a, "), (Origin::Templated, "b", 7), text(", c\n")][..2]));
        assert!(long(&[text("a, "), (Origin::Templated, "b", 8)]));
        assert!(long(&[text("a, "), (Origin::Templated, "b\nc\nd\ne\n", 1)]));
        // It may be part of two tokens.
        assert!(long(&[text("a"), (Origin::Templated, "b", 4), text("c")]));
        // The rest of one iteration of a loop is on one line with the next.
        assert!(long(&[text("aaaaaa,"), text("bbbbbb,")]));
        assert!(long(&[text("a /* b\n c */")]));
        assert!(long(&[text("'a\nb'")]));
    }
}
