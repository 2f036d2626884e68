//! sqruff as a library: the linter of each `.sqlfluff`, and a rendered file through its lexer, parser and
//! rules. What it throws is caught here and becomes a fault.

use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Once, OnceLock};

use anyhow::{Context as _, Result, anyhow, bail};
use sqruff_lib::core::config::{ConfigLoader, FluffConfig};
use sqruff_lib::core::linter::core::Linter;
use sqruff_lib::core::rules::{ErasedRule, RuleGroups};
use sqruff_lib::templaters::RAW_TEMPLATER;
use sqruff_lib_core::dialects::syntax::{SyntaxKind, SyntaxSet};
use sqruff_lib_core::parser::Parser;
use sqruff_lib_core::parser::segments::{ErasedSegment, Tables};
use sqruff_lib_core::templaters::{RawFileSlice, TemplateSliceKind, TemplatedFile, TemplatedFileSlice};

use super::trace::{Origin, Rendering};

/// What applies where a repository has no `.sqlfluff`.
const DEFAULT: &str = "[sqlfluff]\ndialect = snowflake\n";

/// `layout.long_lines`.
const LONG_LINES: &str = "LT05";

/// The linters of a repository: one for each folder that has a `.sqlfluff`, which applies to what is below.
/// A linter is made when its first file is looked at, because a dialect costs tens of milliseconds.
pub(crate) struct Styles {
    folders: Vec<Folder>,
}

struct Folder {
    /// Relative to the repository's root, which is empty.
    path: String,
    /// Its own configuration and those above it with their folders, the nearest last.
    configs: Vec<(String, String)>,
    style: OnceLock<Result<Style, String>>,
}

/// A linter, and one that has only the rules whose fixes are safe.
pub(crate) struct Style {
    linter: Linter,
    /// Without the rule of long lines, which lays out a whole file only to measure it.
    brief: OnceLock<Option<Linter>>,
    fixer: OnceLock<Linter>,
    /// `template_blocks_indent`, which sqruff itself takes for granted.
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

/// Text to put in the place of a range of the template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) range: Range<usize>,
    pub(crate) text: String,
}

impl Styles {
    /// `configs` are the `.sqlfluff` files by their folder, relative to the repository's root.
    pub(crate) fn new(mut configs: Vec<(String, String)>) -> Self {
        if !configs.iter().any(|(folder, _)| folder.is_empty()) {
            configs.push((String::new(), DEFAULT.to_owned()));
        }
        configs.sort_by_key(|(folder, _)| folder.len());
        let folders = configs.iter().map(|(path, _)| Folder {
            path: path.clone(),
            configs: configs
                .iter()
                .filter(|(above, _)| above == path || is_below(path, above))
                .cloned()
                .collect(),
            style: OnceLock::new(),
        });
        Self { folders: folders.collect() }
    }

    /// The linter for the file at `path`: that of the nearest folder above.
    pub(crate) fn of(&self, path: &str) -> Result<&Style> {
        let nearest = self
            .folders
            .iter()
            .rfind(|folder| is_below(path, &folder.path))
            .with_context(|| format!("no style is known for {path}"))?;
        let made = nearest.style.get_or_init(|| {
            let style = Style::new(&nearest.configs);
            style.map_err(|error| format!("failed to understand {}: {error:#}", display(&nearest.path)))
        });
        made.as_ref().map_err(|reason| anyhow!("{reason}"))
    }
}

fn display(folder: &str) -> String {
    if folder.is_empty() { ".sqlfluff".to_owned() } else { format!("{folder}/.sqlfluff") }
}

fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

impl Style {
    /// `configs` are the configurations that apply with their folders, the nearest last.
    fn new(configs: &[(String, String)]) -> Result<Self> {
        let linter = quietly(|| {
            let mut merged = ConfigLoader::try_from_source("", None).map_err(|error| anyhow!("{error}"))?;
            for (folder, text) in configs {
                // Paths in it are relative to where it stands.
                let path = Path::new(folder).join(".sqlfluff");
                let parsed =
                    ConfigLoader::try_from_source(text, Some(&path)).map_err(|error| anyhow!("{error}"))?;
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
            }
            linter(FluffConfig::new(merged, None, None))
        })??;
        Ok(Self::of(linter))
    }

    fn of(linter: Linter) -> Self {
        let indents_blocks = linter
            .config()
            .raw
            .get("indentation")
            .and_then(|section| section.as_map())
            .and_then(|section| section.get("template_blocks_indent"))
            .is_none_or(sqruff_lib_core::value::Value::to_bool);
        Self { linter, brief: OnceLock::new(), fixer: OnceLock::new(), indents_blocks }
    }

    /// The style of a file that changes its configuration by `-- sqlfluff:…` lines; none if it does not.
    pub(crate) fn scoped(&self, source: &str) -> Result<Option<Self>> {
        let directs = |line: &str| {
            let line = line.trim_start();
            line.starts_with("-- sqlfluff:") || line.starts_with("-- sqruff:")
        };
        if !source.contains("-- sq") || !source.lines().any(directs) {
            return Ok(None);
        }
        quietly(|| {
            let mut config = self.linter.config().clone();
            config.process_raw_file_for_config(source).map_err(|error| anyhow!("{error}"))?;
            Ok(Some(Self::of(linter(config)?)))
        })?
    }

    /// The names of the rules that are on.
    pub(crate) fn rules(&self) -> Vec<&'static str> {
        self.linter.rules().map(|rules| rules.iter().map(|rule| rule.name()).collect()).unwrap_or_default()
    }

    /// Reads what was rendered from `source` and hands it to `look`.
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
            let tree = match parser.parse(&tables, tokens.as_deref().unwrap_or_default()) {
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
            Ok(look(&Parsed { style: self, tables: &tables, file: &file, rendering, tree, broken }))
        })?
    }

    /// The linter that finds all there is in `rendering`.
    fn linter_for(&self, rendering: &Rendering) -> &Linter {
        let limit = self.linter.config().get("max_line_length", "core").as_int();
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or_default();
        if may_hold_long_line(rendering, limit) {
            return &self.linter;
        }
        let brief = self.brief.get_or_init(|| self.only(|rule| rule.code() != LONG_LINES).ok());
        brief.as_ref().unwrap_or(&self.linter)
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
        let safe = |groups: &[RuleGroups]| {
            groups.contains(&RuleGroups::Layout) || groups.contains(&RuleGroups::Capitalisation)
        };
        let fixer = self.only(|rule| safe(rule.groups()))?;
        Ok(self.fixer.get_or_init(|| fixer))
    }
}

/// Whether the rule of long lines could object to anything: false only where it cannot. It measures from one line
/// break of the template to the next, what a tag puts out by the length of the tag; here each stretch counts at
/// least as much as it may there. Tokens that span lines are not told apart here, so they may.
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

/// Whether one token may hold both characters.
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

/// A rendered file that sqruff has parsed.
pub(crate) struct Parsed<'p> {
    style: &'p Style,
    tables: &'p Tables,
    file: &'p TemplatedFile,
    rendering: &'p Rendering,
    /// None where not even an unparsable tree came out.
    pub(crate) tree: Option<ErasedSegment>,
    /// What could not be lexed or parsed.
    pub(crate) broken: Vec<Violation>,
}

impl Parsed<'_> {
    /// What sqruff's rules find.
    pub(crate) fn violations(&self) -> Result<Vec<Violation>> {
        let Some(tree) = &self.tree else { return Ok(Vec::new()) };
        let (_, _, found) = self
            .style
            .linter_for(self.rendering)
            .lint_fix_parsed(self.tables, tree.clone(), self.file, false)
            .map_err(|error| anyhow!("{error}"))?;
        Ok(found
            .into_iter()
            .map(|error| {
                let rule = error.rule.as_ref().map_or("sql-parse", |rule| rule.name);
                violation(rule, error.into())
            })
            .collect())
    }

    /// The changes that the rules of layout and capitalisation would make.
    pub(crate) fn patches(&self) -> Result<Vec<Patch>> {
        let Some(tree) = &self.tree else { return Ok(Vec::new()) };
        let (fixed, _, _) = self
            .style
            .fixer()?
            .lint_fix_parsed(self.tables, tree.clone(), self.file, true)
            .map_err(|error| anyhow!("{error}"))?;
        let patches = fixed.iter_patches(self.file);
        Ok(patches
            .into_iter()
            .map(|patch| Patch { range: patch.source_slice, text: patch.fixed_raw.to_string() })
            .collect())
    }

    /// What the file says, whatever its layout: its code in lower case where case does not matter, and its
    /// comments.
    pub(crate) fn meaning(&self) -> Meaning {
        let mut meaning = Meaning::default();
        for segment in self.tree.iter().flat_map(ErasedSegment::get_raw_segments) {
            let raw = segment.raw();
            if segment.is_comment() {
                let words: Vec<&str> = raw.split_whitespace().collect();
                meaning.comments.push(words.join(" "));
            } else if segment.is_code() && !raw.is_empty() {
                let quoted = raw.contains(['\'', '"', '`', '$']);
                meaning.code.push(if quoted { raw.to_string() } else { raw.to_lowercase() });
            }
        }
        meaning.comments.sort();
        meaning
    }
}

/// See [`Parsed::meaning`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Meaning {
    code: Vec<String>,
    comments: Vec<String>,
}

/// The rendering as sqruff takes it.
fn templated(source: &str, rendering: &Rendering, indents_blocks: bool) -> Result<TemplatedFile> {
    let kind = |origin: Origin| match origin {
        Origin::BlockStart | Origin::BlockMid | Origin::BlockEnd if !indents_blocks => {
            TemplateSliceKind::Templated
        }
        // sqruff looks for the line breaks in what was trimmed.
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
    // The source in its own order: each piece that ran once, and what lies between.
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
            // What did not run, or was cut off by whitespace control: nothing there may be changed.
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
    /// Whether a panic of this thread is to be caught rather than printed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` and turns a panic of it into an error, without a word on stderr.
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

/// A rule of sqruff's, for `--explain` and the list of rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described {
    /// `layout.indent`.
    pub(crate) name: &'static str,
    /// `LT02`.
    pub(crate) code: &'static str,
    pub(crate) summary: &'static str,
    /// Markdown.
    pub(crate) explanation: &'static str,
}

/// All of sqruff's rules.
pub(crate) fn described() -> Vec<Described> {
    let rules = sqruff_lib::rules::rules();
    rules
        .iter()
        .map(|rule| Described {
            name: rule.name(),
            code: rule.code(),
            summary: rule.description(),
            explanation: rule.long_description(),
        })
        .collect()
}

impl Described {
    /// Where sqlfluff documents the rule.
    pub(crate) fn url(&self) -> String {
        format!("https://docs.sqlfluff.com/en/stable/perma/rule/{}.html", self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::sql::trace::Slice;

    /// A rendering of stretches: their origin, what they put out, and how long they are in the template.
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
        // What is left of a round of a loop stands on one line with the next.
        assert!(long(&[text("aaaaaa,"), text("bbbbbb,")]));
        assert!(long(&[text("a /* b\n c */")]));
        assert!(long(&[text("'a\nb'")]));
    }
}
