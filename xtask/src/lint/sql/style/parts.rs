//! Long lists are parsed item by item: for each item sqruff's parser copies all earlier items, and parses each as if it had
//! never parsed a similar one, so that 2,000 columns take seconds.
//!
//! Items between the first and the last of a select list or of the branches of a `case` are removed from the tokens and
//! parsed separately, each shape of item once. The rest is parsed as usual, and the items are put back into its
//! tree. If anything is unusual (an item that is not one item as a whole, an error, a part without its place in the tree)
//! the whole is parsed in one piece, so the result is always that of sqruff's parser.

use std::collections::HashMap;

use sqruff_lib_core::dialects::syntax::{SyntaxKind, SyntaxSet};
use sqruff_lib_core::errors::SQLParseError;
use sqruff_lib_core::parser::Parser;
use sqruff_lib_core::parser::context::ParseContext;
use sqruff_lib_core::parser::match_result::{MatchResult, Matched, Span};
use sqruff_lib_core::parser::matchable::MatchableTrait as _;
use sqruff_lib_core::parser::segments::{ErasedSegment, SegmentBuilder, Tables};

use super::shapes::Shapes;

/// Longer items, in tokens, may contain long lists themselves, and are seldom alike.
const LONG: usize = 200;

/// What a list consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Column,
    Branch,
}

impl Item {
    pub(super) const ALL: [Self; 2] = [Self::Column, Self::Branch];

    /// The name of its grammar.
    pub(super) const fn grammar(self) -> &'static str {
        match self {
            Self::Column => "SelectClauseElementSegment",
            Self::Branch => "WhenClauseSegment",
        }
    }

    const fn kind(self) -> SyntaxKind {
        match self {
            Self::Column => SyntaxKind::SelectClauseElement,
            Self::Branch => SyntaxKind::WhenClause,
        }
    }
}

/// Items that were removed from the tokens, with all that separates them.
struct Removed {
    item: Item,
    segments: Vec<ErasedSegment>,
}

/// By the id of the token that comes next, which begins an item of the same list.
type Cuts = HashMap<u32, Removed>;

/// The tree of the tokens, the same as `Parser::parse` returns.
pub(super) fn parse(
    parser: &Parser<'_>,
    tables: &Tables,
    tokens: &[ErasedSegment],
    shapes: &Shapes,
) -> Result<Option<ErasedSegment>, SQLParseError> {
    match (Parts { parser, tables, shapes }).parse(tokens) {
        Some(tree) => Ok(Some(tree)),
        None => parser.parse(tables, tokens),
    }
}

struct Parts<'p> {
    parser: &'p Parser<'p>,
    tables: &'p Tables,
    shapes: &'p Shapes,
}

impl Parts<'_> {
    fn parse(&self, tokens: &[ErasedSegment]) -> Option<ErasedSegment> {
        let (rest, mut cuts) = self.split(tokens);
        let limit = self.parser.max_parse_nodes();
        if cuts.is_empty() || limit > 0 && tokens.len() > limit {
            return None;
        }
        let tree = self.parser.parse(self.tables, &rest).ok()??;
        let unparsable = SyntaxSet::single(SyntaxKind::Unparsable);
        if !tree.recursive_crawl(&unparsable, true, &SyntaxSet::EMPTY, true).is_empty() {
            return None;
        }
        let tree = self.joined(&tree, &mut cuts)?;
        (cuts.is_empty() && (limit == 0 || !exceeds(&tree, &mut { limit }))).then_some(tree)
    }

    /// The tokens without the inner items of lists, and those.
    fn split(&self, tokens: &[ErasedSegment]) -> (Vec<ErasedSegment>, Cuts) {
        let mut is_removed = vec![false; tokens.len()];
        let mut cuts = Cuts::new();
        for List { item, starts, .. } in lists(tokens) {
            let mut segments = Vec::new();
            for pair in starts.windows(2).skip(1) {
                let range = pair[0]..pair[1];
                if is_removed[range.start] {
                    break;
                }
                if let Some(mut parsed) = self.item(item, &tokens[range.clone()]) {
                    segments.append(&mut parsed);
                    is_removed[range].fill(true);
                } else if !segments.is_empty() {
                    let segments = std::mem::take(&mut segments);
                    cuts.insert(tokens[range.start].id(), Removed { item, segments });
                }
            }
            if let Some(&last) = starts.last().filter(|_| !segments.is_empty()) {
                cuts.insert(tokens[last].id(), Removed { item, segments });
            }
        }
        let rest = tokens.iter().zip(&is_removed).filter(|(_, is_removed)| !**is_removed);
        (rest.map(|(token, _)| token.clone()).collect(), cuts)
    }

    /// The segments of one item with what separates it from the next one; `None` if the tokens are not exactly that.
    fn item(&self, item: Item, tokens: &[ErasedSegment]) -> Option<Vec<ErasedSegment>> {
        let code_end = |tokens: &[ErasedSegment]| tokens.iter().rposition(ErasedSegment::is_code);
        let mut end = code_end(tokens)? + 1;
        let mut comma = None;
        if item == Item::Column {
            comma = Some(end - 1).filter(|at| tokens[*at].raw() == ",");
            end = code_end(&tokens[..comma?])? + 1;
        }
        // Around texts between dollar signs, sqruff's parser may read two items as one.
        if tokens.iter().any(|token| token.raw().matches('$').count() > 1) {
            return None;
        }
        let mut segments = self.parsed(item, &tokens[..end])?;
        for (at, token) in tokens.iter().enumerate().skip(end) {
            if Some(at) == comma {
                let comma = MatchResult {
                    span: Span { start: 0, end: 1 },
                    matched: Some(Matched::Newtype(SyntaxKind::Comma)),
                    ..MatchResult::default()
                };
                segments.extend(self.applied(comma, std::slice::from_ref(token)));
            } else {
                segments.push(token.clone());
            }
        }
        Some(segments)
    }

    fn parsed(&self, item: Item, tokens: &[ErasedSegment]) -> Option<Vec<ErasedSegment>> {
        if tokens.len() <= LONG {
            let found = self.shapes.find(self.parser, item, tokens, || self.matched(item, tokens))?;
            return Some(self.applied(found, tokens));
        }
        let (rest, mut cuts) = self.split(tokens);
        let segments = self.applied(self.matched(item, &rest)?, &rest);
        let joined =
            segments.iter().map(|segment| self.joined(segment, &mut cuts).unwrap_or(segment.clone()));
        let joined = joined.collect();
        cuts.is_empty().then_some(joined)
    }

    /// The match of an item that consists of all these tokens.
    fn matched(&self, item: Item, tokens: &[ErasedSegment]) -> Option<MatchResult> {
        let Parts { parser, .. } = self;
        let mut context = ParseContext::new_with_limits(
            parser.dialect(),
            parser.indentation_config(),
            parser.max_parse_depth(),
            parser.max_parse_nodes(),
        );
        let grammar = parser.dialect().r#ref(item.grammar());
        let found = grammar.match_segments(tokens, 0, &mut context).ok()?;
        let is_whole = found.span.start == 0 && usize::try_from(found.span.end) == Ok(tokens.len());
        (is_whole && is_parsable(&found)).then_some(found)
    }

    fn applied(&self, found: MatchResult, tokens: &[ErasedSegment]) -> Vec<ErasedSegment> {
        found.apply(self.tables, self.parser.dialect().name(), tokens)
    }

    /// The node with the removed items back in their places; `None` if it has none.
    fn joined(&self, node: &ErasedSegment, cuts: &mut Cuts) -> Option<ErasedSegment> {
        let mut has_changed = false;
        let mut segments = Vec::new();
        for part in node.segments() {
            if let Some(removed) = removed_before(part, cuts) {
                segments.extend(removed);
                has_changed = true;
            }
            let joined = if cuts.is_empty() { None } else { self.joined(part, cuts) };
            has_changed |= joined.is_some();
            segments.push(joined.unwrap_or_else(|| part.clone()));
        }
        has_changed.then(|| {
            let (id, dialect) = (self.tables.next_id(), self.parser.dialect().name());
            SegmentBuilder::node(id, node.get_type(), dialect, segments).position_from_segments().finish()
        })
    }
}

/// The items that belong directly in front of that one.
fn removed_before(part: &ErasedSegment, cuts: &mut Cuts) -> Option<Vec<ErasedSegment>> {
    if !Item::ALL.iter().any(|item| part.is_type(item.kind())) {
        return None;
    }
    let mut first = part;
    while let Some(part) = first.segments().first() {
        first = part;
    }
    let removed = cuts.get(&first.id()).filter(|removed| part.is_type(removed.item.kind()))?;
    debug_assert!(!removed.segments.is_empty());
    cuts.remove(&first.id()).map(|removed| removed.segments)
}

/// Whether a tree has more nodes and tokens than are `left`.
fn exceeds(tree: &ErasedSegment, left: &mut usize) -> bool {
    match left.checked_sub(1) {
        None => true,
        Some(fewer) => {
            *left = fewer;
            tree.segments().iter().any(|part| exceeds(part, left))
        }
    }
}

fn is_parsable(found: &MatchResult) -> bool {
    !matches!(found.matched, Some(Matched::SyntaxKind(SyntaxKind::Unparsable)))
        && found.child_matches.iter().all(is_parsable)
}

/// A list by the tokens that begin its items.
struct List {
    item: Item,
    starts: Vec<usize>,
    /// Whether more items may follow.
    is_open: bool,
}

enum Frame {
    Bracket,
    List(List),
}

/// Words after which a select list cannot go on.
const AFTER_COLUMNS: [&str; 16] = [
    "from",
    "into",
    "where",
    "group",
    "having",
    "qualify",
    "window",
    "order",
    "limit",
    "offset",
    "fetch",
    "union",
    "except",
    "intersect",
    "minus",
    "with",
];

/// What may be lists, by brackets and words alone; outer ones first. An item that is not one is noticed when it is parsed.
fn lists(tokens: &[ErasedSegment]) -> Vec<List> {
    let mut all = Vec::new();
    let mut frames: Vec<Frame> = Vec::new();
    let mut begins = false;
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.is_code()) {
        if std::mem::take(&mut begins)
            && let Some(Frame::List(list)) = frames.last_mut()
        {
            list.starts.push(at);
        }
        let top = match frames.last_mut() {
            Some(Frame::List(list)) => Some(list),
            _ => None,
        };
        let open = top.filter(|list| list.is_open);
        match &*token.raw().to_lowercase() {
            "(" | "[" | "{" => frames.push(Frame::Bracket),
            ")" | "]" | "}" => {
                while let Some(Frame::List(list)) = frames.pop() {
                    all.push(list);
                }
            }
            ";" => all.extend(frames.drain(..).filter_map(Frame::list)),
            "," => begins = open.is_some_and(|list| list.item == Item::Column),
            "select" => {
                all.extend(frames.pop_if(|frame| frame.is(Item::Column)).and_then(Frame::list));
                frames.push(Frame::List(List { item: Item::Column, starts: Vec::new(), is_open: true }));
                begins = true;
            }
            "case" => {
                frames.push(Frame::List(List { item: Item::Branch, starts: Vec::new(), is_open: true }));
            }
            "when" => {
                if let Some(list) = open.filter(|list| list.item == Item::Branch) {
                    list.starts.push(at);
                }
            }
            "else" => {
                if let Some(list) = open.filter(|list| list.item == Item::Branch) {
                    list.is_open = false;
                }
            }
            "end" => all.extend(frames.pop_if(|frame| frame.is(Item::Branch)).and_then(Frame::list)),
            word if AFTER_COLUMNS.contains(&word) => {
                if let Some(list) = open.filter(|list| list.item == Item::Column) {
                    list.is_open = false;
                }
            }
            _ => {}
        }
    }
    all.extend(frames.into_iter().filter_map(Frame::list));
    all.retain(|list| list.starts.len() > 2);
    all.sort_by_key(|list| list.starts[0]);
    all
}

impl Frame {
    fn is(&self, item: Item) -> bool {
        matches!(self, Self::List(list) if list.item == item)
    }

    fn list(self) -> Option<List> {
        match self {
            Self::List(list) => Some(list),
            Self::Bracket => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use sqruff_lib::core::linter::core::Linter;
    use sqruff_lib_core::templaters::TemplatedFile;

    use super::super::Style;
    use super::*;
    use crate::lint::sql::config::Config;

    /// Each node on a line, with its place.
    fn outline(node: &ErasedSegment, depth: usize) -> String {
        let place = node.get_position_marker().map(|at| {
            (at.source_slice.clone(), at.templated_slice.clone(), at.working_line_no, at.working_line_pos)
        });
        let text = if node.segments().is_empty() { node.raw().as_str() } else { "" };
        let line = format!("{depth} {:?} {text:?} {place:?}\n", node.get_type());
        node.segments().iter().fold(line, |lines, part| lines + &outline(part, depth + 1))
    }

    /// The tree that is put together from parts, if there is one, and the tree of the whole.
    fn outlines(style: &Style, sql: &str) -> (Option<String>, Option<String>) {
        let config = style.linter.config();
        let (tables, parser) = (Tables::default(), Parser::from(config));
        let file = TemplatedFile::from(sql);
        let (tokens, _) = Linter::lex_templated_file(&tables, file, config.get_dialect());
        let tokens = tokens.expect("tokens");
        let parts = Parts { parser: &parser, tables: &tables, shapes: &style.shapes }.parse(&tokens);
        let whole = parser.parse(&tables, &tokens).ok().flatten();
        (parts.map(|tree| outline(&tree, 0)), whole.map(|tree| outline(&tree, 0)))
    }

    fn assert_same(dialect: &str, texts: &[&str]) {
        let style = Style::new(Config::default(), dialect).expect("a style");
        for sql in texts {
            let (parts, whole) = outlines(&style, sql);
            // Not every dialect of sqruff's has all of it.
            let whole = whole.filter(|tree| !tree.contains("Unparsable"));
            assert_eq!(parts, whole, "{dialect}: {sql}");
        }
    }

    #[test]
    fn a_tree_of_parts_is_the_tree_of_the_whole() {
        let texts = [
            "select\n    a.x,\n    coalesce(a.y, 0) + 1 as y,\n    b.z -- last\nfrom a\ninner join b on a.x = b.x\n",
            "select a, b, 1, 'x', c\nfrom t, u, v, w\nwhere a > 0\n",
            "with c as (select a, b as e, d from t) select x, y, z from (select p, q, r from c) as e\n",
            "select a, case when b = 1 then 'x' when b = 2 then 'y' when b = 3 then 'z' else 'w' end as c, d from t\n",
            "select case b when 1 then 2 when 3 then case when d then 4 end when 5 then 6 end from t\n",
            "select a, row_number() over (partition by b, c, d order by e desc) as n, f from t\n",
            "select a, b is distinct from c, d from t union all select e, cast(f as varchar(10)), g from u\n",
            "select\n    a\n    , b /* about b */\n    , \"C d\" as e\n    , f\nfrom t\n",
            "select a, b, c;\nupdate t set a = 1, b = 2, c = 3 where d = 4;\nselect a, b, c from t\n",
            "insert into t select a, not b, - c from u where a in (1, 2, 3) group by a, b, c order by 1, 2, 3\n",
        ];
        for dialect in ["snowflake", "duckdb", "postgres", "bigquery", "databricks", "redshift", "ansi"] {
            let texts: Vec<&str> =
                texts.into_iter().filter(|sql| dialect != "bigquery" || !sql.contains('"')).collect();
            assert_same(dialect, &texts);
        }
        assert_same("snowflake", &["select a, b:c.d::number(38, 2) as e, $1, f from @stage\n"]);
        assert_same(
            "duckdb",
            &["select a, [1, 2, 3] as l, {'k': 1, 'm': 2} as s, x -> x + 1 as f, b from t\n"],
        );
    }

    #[test]
    fn items_with_the_same_shape_differ_where_the_grammar_does() {
        let texts = [
            "select a, current_date as b, c from t\n",
            "select a, other_date as b, c from t\n",
            "select a, x::number as b, c from t\n",
            "select a, x::varchar as b, c from t\n",
            "select a, date '2020-01-01' as b, c from t\n",
            "select a, dateadd(day, 1, x) as b, c from t\n",
            "select a, dateadd(abc, 1, x) as b, c from t\n",
            "select a, true as b, c from t\n",
            "select a, _x as b, c from t\n",
        ];
        assert_same("snowflake", &texts);
    }

    #[test]
    fn a_long_item_is_taken_apart_too() {
        let branches: Vec<String> = (0..100).map(|at| format!(" when b = {at} then 'x{at}'")).collect();
        assert_same("snowflake", &[&format!("select a, case{} end as c, d from t\n", branches.concat())]);
    }

    #[test]
    fn what_cannot_be_parsed_is_left_to_the_parser_as_a_whole() {
        let style = Style::new(Config::default(), "snowflake").expect("a style");
        for sql in ["select a, b, c from from t\n", "select a, b c d, e from t\n", "select a, b from t\n"] {
            let (parts, whole) = outlines(&style, sql);
            assert_eq!((parts, whole.is_some()), (None, true), "{sql}");
        }
    }
}
