//! Which of sqruff's rules of layout have nothing to report on a file: most files are laid out well, and each rule by
//! itself would take the whole file apart again.
//!
//! The file is taken apart once, and sqruff's own functions look at the parts. A rule that would change anything is
//! left to sqruff as a whole.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::str::FromStr as _;

use sqruff_lib::core::config::FluffConfig;
use sqruff_lib::core::linter::core::Linter;
use sqruff_lib::core::rules::LintResult;
use sqruff_lib::utils::reflow::depth_map::DepthMap;
use sqruff_lib::utils::reflow::elements::{ReflowElement, ReflowSequenceType};
use sqruff_lib::utils::reflow::rebreak::rebreak_keywords_sequence;
use sqruff_lib::utils::reflow::reindent::{
    ImplicitIndents, IndentUnit, TrailingComments, construct_single_indent, lint_line_length,
};
use sqruff_lib::utils::reflow::sequence::ReflowSequence;
use sqruff_lib_core::dialects::syntax::SyntaxKind;
use sqruff_lib_core::parser::segments::{ErasedSegment, PathStep, Tables};

use super::rules;

const SPACING: &str = "LT01";
const INDENT: &str = "LT02";
const COMMAS: &str = "LT04";
const LONG_LINES: &str = "LT05";
const CTE_BRACKETS: &str = "LT07";
const SELECT_TARGETS: &str = "LT09";
const KEYWORD_NEWLINE: &str = "LT14";

/// The rules that are evaluated here.
pub(super) const CODES: [&str; 7] =
    [SPACING, INDENT, COMMAS, LONG_LINES, CTE_BRACKETS, SELECT_TARGETS, KEYWORD_NEWLINE];

/// Those of [`CODES`] that are certain to report nothing on the tree.
pub(super) fn silent(
    tables: &Tables,
    tree: &ErasedSegment,
    linter: &Linter,
    has_long_line: bool,
) -> BTreeSet<&'static str> {
    let config = linter.config();
    let mut raws = Vec::new();
    let mut stacks = Vec::new();
    walk(tree, &mut Vec::new(), &mut raws, &mut stacks);
    let depths = DepthMap::from_raws_with_stack(&stacks);
    drop(stacks);
    let sequence = ReflowSequence::from_raw_segments(raws, tree, config, Some(depths));
    let elements = sequence.elements().to_vec();
    let (unit, tab_size) = indents(config);
    let ignores_templated = rules::ignores_templated(linter);
    // A result without a place in the file is not reported.
    let is_reported =
        |result: &LintResult| result.anchor.is_some() && !(ignores_templated && rules::is_generated(result));
    let is_silent = |results: &[LintResult]| !results.iter().any(is_reported);

    let mut silent = BTreeSet::new();
    if is_silent(&respaced(tables, tree, &elements, (unit, tab_size))) {
        silent.insert(SPACING);
    }
    // Without a line that may be long the caller leaves the rule out anyway.
    if has_long_line && has_no_long_line(tables, tree, &elements, config).unwrap_or(false) {
        silent.insert(LONG_LINES);
    }
    if is_silent(&sequence.reindent(tables).results()) {
        silent.insert(INDENT);
    }
    if is_silent(&rebreak_keywords_sequence(tables, elements, tree, unit, tab_size).1) {
        silent.insert(KEYWORD_NEWLINE);
    }
    if keeps_single_targets(config) && are_targets_apart(tree) {
        silent.insert(SELECT_TARGETS);
    }
    if comma_position(config).is_some_and(|position| are_commas_in_place(tree, position)) {
        silent.insert(COMMAS);
    }
    if are_cte_brackets_in_place(tree) {
        silent.insert(CTE_BRACKETS);
    }
    silent
}

/// Collects the leaves of the tree, and those that are not white space with the path to each. sqruff's own function
/// copies each path once per level.
fn walk(
    node: &ErasedSegment,
    path: &mut Vec<PathStep>,
    raws: &mut Vec<ErasedSegment>,
    stacks: &mut Vec<(ErasedSegment, Vec<PathStep>)>,
) {
    let parts = node.segments();
    let is_code = |(at, part): (usize, &ErasedSegment)| part.is_code().then_some(at);
    let code_idxs = Rc::new(parts.iter().enumerate().filter_map(is_code).collect());
    path.push(PathStep { segment: node.clone(), idx: 0, len: parts.len(), code_idxs });
    for (at, part) in parts.iter().enumerate() {
        if let Some(step) = path.last_mut() {
            step.idx = at;
        }
        if !part.segments().is_empty() {
            walk(part, path, raws, stacks);
            continue;
        }
        raws.push(part.clone());
        let is_space = matches!(
            part.get_type(),
            SyntaxKind::Whitespace
                | SyntaxKind::Newline
                | SyntaxKind::Indent
                | SyntaxKind::Implicit
                | SyntaxKind::Dedent
        );
        if !is_space {
            stacks.push((part.clone(), path.clone()));
        }
    }
    path.pop();
}

/// The space between all parts as sqruff would change it.
fn respaced(
    tables: &Tables,
    tree: &ErasedSegment,
    elements: &[ReflowElement],
    (unit, tab_size): (IndentUnit, usize),
) -> Vec<LintResult> {
    let mut results = Vec::new();
    for (at, element) in elements.iter().enumerate() {
        let Some(point) = element.as_point() else { continue };
        let before = at.checked_sub(1).and_then(|at| elements[at].as_block());
        let after = elements.get(at + 1).and_then(ReflowElement::as_block);
        (results, _) =
            point.respace_point(tables, before, after, tree, results, false, "before", unit, tab_size);
    }
    results
}

/// Whether sqruff would break no line.
fn has_no_long_line(
    tables: &Tables,
    tree: &ErasedSegment,
    elements: &ReflowSequenceType,
    config: &FluffConfig,
) -> Option<bool> {
    let settings = &config.raw["indentation"];
    let limit = usize::try_from(config.raw["core"]["max_line_length"].as_int()?).ok()?;
    let implicit = ImplicitIndents::from_str(settings["implicit_indents"].as_string()?).ok()?;
    let comments = TrailingComments::from_str(settings["trailing_comments"].as_string()?).ok()?;
    let indent = construct_single_indent(indents(config).0);
    let (_, results) = lint_line_length(tables, elements, tree, &indent, limit, implicit, comments);
    Some(results.is_empty())
}

/// The settings of one indent.
fn indents(config: &FluffConfig) -> (IndentUnit, usize) {
    let settings = &config.raw["indentation"];
    let size = settings["tab_space_size"].as_int().and_then(|size| usize::try_from(size).ok());
    let size = size.unwrap_or(4);
    let unit = settings["indent_unit"].as_string().unwrap_or("space");
    (IndentUnit::from_type_and_size(unit, size), size)
}

/// Whether the targets of each select certainly begin on separate lines, or a single one on the line of its `select`,
/// in one pass: sqruff compares each with all others.
fn are_targets_apart(node: &ErasedSegment) -> bool {
    let parts = node.segments();
    parts.iter().enumerate().all(|(at, part)| {
        let is_apart = !part.is_type(SyntaxKind::SelectClause) || {
            let from = parts[at + 1..].iter().find(|part| part.is_type(SyntaxKind::FromClause));
            are_apart(part.segments(), from.and_then(line))
        };
        is_apart
            && (!part.descendant_type_set().contains(SyntaxKind::SelectClause) || are_targets_apart(part))
    })
}

fn are_apart(parts: &[ErasedSegment], from: Option<usize>) -> bool {
    let is_target = |part: &&ErasedSegment| part.is_type(SyntaxKind::SelectClauseElement);
    if !parts.first().is_some_and(|first| first.is_keyword("select")) {
        return false;
    }
    if parts.iter().filter(is_target).count() == 1 {
        let before = parts.iter().take_while(|part| !is_target(part));
        return before.into_iter().all(|part| !part.is_type(SyntaxKind::Newline));
    }
    let mut last_code = None;
    let mut last_target = None;
    for part in parts {
        if is_target(&part) {
            last_target = line(part);
            if last_target.is_none() || last_target == last_code {
                return false;
            }
        }
        let raws = part.get_raw_segments();
        let code = raws.iter().rfind(|raw| raw.is_code() && !raw.is_type(SyntaxKind::Comma));
        last_code = code.map_or(last_code, line);
    }
    last_target.is_none() || last_target != from
}

/// The line of the rendering.
fn line(segment: &ErasedSegment) -> Option<usize> {
    segment.get_position_marker().map(|marker| marker.working_line_no)
}

/// Whether a single target may stay on the line of its `select`, also a `*`.
fn keeps_single_targets(config: &FluffConfig) -> bool {
    let settings = &config.raw["rules"]["layout.select_targets"];
    settings["single_target_policy"].as_string() == Some("same_line")
        && settings["wildcard_policy"].as_string() == Some("single")
}

/// Where a comma between lines belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CommaPosition {
    Leading,
    Trailing,
}

fn comma_position(config: &FluffConfig) -> Option<CommaPosition> {
    match config.raw["layout"]["type"]["comma"]["line_position"].as_string() {
        Some("leading") => Some(CommaPosition::Leading),
        Some("trailing") => Some(CommaPosition::Trailing),
        _ => None,
    }
}

/// Whether no comma is at the wrong end of its line. sqruff searches the siblings of each comma for the comma itself.
fn are_commas_in_place(node: &ErasedSegment, position: CommaPosition) -> bool {
    if !node.descendant_type_set().contains(SyntaxKind::Comma) {
        return true;
    }
    let parts = node.segments();
    parts.iter().enumerate().all(|(at, part)| {
        if !part.is_type(SyntaxKind::Comma) {
            return are_commas_in_place(part, position);
        }
        let (before, after) =
            (meets_newline(parts[..at].iter().rev()), meets_newline(parts[at + 1..].iter()));
        match position {
            CommaPosition::Leading => before || !after,
            CommaPosition::Trailing => after || !before,
        }
    })
}

/// Whether there is a line break before anything but white space and comments.
fn meets_newline<'s>(mut parts: impl Iterator<Item = &'s ErasedSegment>) -> bool {
    let is_skipped = |part: &&ErasedSegment| {
        matches!(
            part.get_type(),
            SyntaxKind::Whitespace
                | SyntaxKind::Indent
                | SyntaxKind::Implicit
                | SyntaxKind::Comment
                | SyntaxKind::InlineComment
                | SyntaxKind::BlockComment
        )
    };
    parts.find(|part| !is_skipped(part)).is_some_and(|part| part.is_type(SyntaxKind::Newline))
}

/// Whether the bracket that closes each common table expression certainly begins its line.
fn are_cte_brackets_in_place(node: &ErasedSegment) -> bool {
    node.segments().iter().all(|part| {
        let is_in_place = !part.is_type(SyntaxKind::CommonTableExpression) || begins_line(part);
        let has_more = part.descendant_type_set().contains(SyntaxKind::CommonTableExpression);
        is_in_place && (!has_more || are_cte_brackets_in_place(part))
    })
}

fn begins_line(expression: &ErasedSegment) -> bool {
    let bracketed = expression.segments().iter().rfind(|part| part.is_type(SyntaxKind::Bracketed));
    let Some((last, before)) = bracketed.and_then(|part| part.segments().split_last()) else { return false };
    let is_skipped =
        |part: &&ErasedSegment| matches!(part.get_type(), SyntaxKind::Whitespace | SyntaxKind::Dedent);
    let previous = before.iter().rev().find(|part| !is_skipped(part));
    last.is_type(SyntaxKind::EndBracket) && previous.is_some_and(|part| part.is_type(SyntaxKind::Newline))
}
