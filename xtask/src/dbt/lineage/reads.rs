//! Which columns a query can read of the relations in its `from`: every name that its text holds. A column of another
//! name plays no part, unless the query takes whole rows or counts columns; then it is not known.
//!
//! A name that is not a column costs a comparison too many, and nothing else. So names are not resolved here; what has
//! to be proven is only that nothing but names reads columns.

use std::collections::BTreeSet;

use sqlparser::ast::{
    Expr, GroupByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor, TableWithJoins,
};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Tokenizer, Word};

use super::{Catalog, STACK, folded, of_parser, parsed};
use crate::warehouse;

/// What reads columns by something else than their names, or rows by where they are stored.
const ALWAYS_WHOLE: [&str; 17] = [
    "natural",
    "columns",
    "pivot",
    "unpivot",
    "summarize",
    "describe",
    "show",
    "query",
    "query_table",
    "positional",
    "lateral",
    "flatten",
    "object_construct",
    "match_recognize",
    "rowid",
    "sample",
    "tablesample",
];

/// The names in a query, in lower case, if it reads no column of a relation in another way.
pub(crate) fn names_read(sql: &str, dialect: warehouse::Dialect) -> Option<BTreeSet<String>> {
    let query = parsed(sql, dialect)?;
    let mut found = Relations::default();
    stacker::grow(STACK, || found.add_query(&query))?;
    let tokens = tokens(sql, dialect)?;
    let mut words: BTreeSet<String> =
        tokens.iter().filter_map(word).map(|word| folded(&word.value)).collect();
    // Columns by their position.
    if tokens.iter().any(|token| matches!(token, Token::Placeholder(_) | Token::Sharp)) || sql.contains('#') {
        return None;
    }
    let is_whole = ALWAYS_WHOLE.iter().any(|each| words.contains(*each));
    if is_whole || takes_rows(&tokens, &found.rows) || has_inner_query(&tokens) || begins_with_from(&tokens) {
        return None;
    }
    // Each star must be one that was understood.
    if stars(&tokens)? != found.stars {
        return None;
    }
    if found.stars > 0 {
        let is_known = stacker::grow(STACK, || Catalog::default().shape_of(sql, dialect)).is_whole();
        if !is_known {
            return None;
        }
        // Of two columns of one name, the second is called `name_1`.
        let numbered: Vec<String> = words.iter().filter_map(|word| without_number(word)).collect();
        words.extend(numbered);
    }
    Some(words)
}

fn without_number(name: &str) -> Option<String> {
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let plain = plain.strip_suffix(['_', ':']).filter(|_| plain.len() < name.len())?;
    Some(plain.to_owned())
}

fn tokens(sql: &str, dialect: warehouse::Dialect) -> Option<Vec<Token>> {
    let mut tokens = Tokenizer::new(of_parser(dialect), sql).tokenize().ok()?;
    tokens.retain(|token| !matches!(token, Token::Whitespace(_)));
    Some(tokens)
}

fn word(token: &Token) -> Option<&Word> {
    match token {
        Token::Word(word) => Some(word),
        _ => None,
    }
}

fn is_keyword(token: Option<&Token>, wanted: &[Keyword]) -> bool {
    token.and_then(word).is_some_and(|word| word.quote_style.is_none() && wanted.contains(&word.keyword))
}

/// What a query reads from. Its methods give `None` for what they do not understand.
#[derive(Debug, Default)]
struct Relations {
    /// The names by which rows are meant: those of relations, their aliases, and CTEs.
    rows: BTreeSet<String>,
    /// The number of stars that pass all columns on by their names.
    stars: usize,
}

impl Relations {
    fn add_query(&mut self, query: &Query) -> Option<()> {
        let is_plain = query.pipe_operators.is_empty() && query.for_clause.is_none();
        is_plain.then_some(())?;
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.rows.insert(folded(&cte.alias.name.value));
            cte.alias.columns.is_empty().then_some(())?;
            self.add_query(&cte.query)?;
        }
        // `order by 1` and `order by all` are of columns that have no name here.
        let is_ordered_by_names = match query.order_by.as_ref().map(|order| &order.kind) {
            None => true,
            Some(OrderByKind::Expressions(all)) => all.iter().all(|each| !is_constant(&each.expr)),
            Some(OrderByKind::All(_)) => false,
        };
        (is_ordered_by_names || !gives_star(&query.body)).then_some(())?;
        self.add_body(&query.body)
    }

    fn add_body(&mut self, body: &SetExpr) -> Option<()> {
        match body {
            SetExpr::Select(select) => self.add_select(select),
            SetExpr::Query(query) => self.add_query(query),
            SetExpr::SetOperation { left, right, .. } => {
                (!gives_star(left) && !gives_star(right)).then_some(())?;
                self.add_body(left)?;
                self.add_body(right)
            }
            SetExpr::Values(_) => Some(()),
            _ => None,
        }
    }

    fn add_select(&mut self, select: &Select) -> Option<()> {
        let stars = select.projection.iter().filter(|item| is_star(item)).count();
        let is_grouped = match &select.group_by {
            GroupByExpr::All(_) => true,
            GroupByExpr::Expressions(by, modifiers) => !by.is_empty() || !modifiers.is_empty(),
        };
        let is_understood = select.lateral_views.is_empty()
            && select.connect_by.is_empty()
            && select.top.is_none()
            && (stars == 0 || select.distinct.is_none() && !is_grouped);
        is_understood.then_some(())?;
        self.stars += stars;
        select.from.iter().try_for_each(|table| self.add_table(table))
    }

    fn add_table(&mut self, table: &TableWithJoins) -> Option<()> {
        self.add_factor(&table.relation)?;
        table.joins.iter().try_for_each(|join| self.add_factor(&join.relation))
    }

    fn add_factor(&mut self, factor: &TableFactor) -> Option<()> {
        let alias = match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                json_path: None,
                version: None,
                sample: None,
                ..
            } => {
                let last = name.0.last().and_then(|part| part.as_ident())?;
                self.rows.insert(folded(&last.value));
                alias
            }
            TableFactor::Derived { subquery, alias, lateral: false, .. } => {
                self.add_query(subquery)?;
                alias
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                return self.add_table(table_with_joins);
            }
            _ => return None,
        };
        self.rows.extend(alias.iter().map(|alias| folded(&alias.name.value)));
        alias.as_ref().is_none_or(|alias| alias.columns.is_empty()).then_some(())
    }
}

fn is_star(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
}

/// Whether the columns of a query are those of a star.
fn gives_star(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.projection.iter().any(is_star),
        SetExpr::Query(query) => gives_star(&query.body),
        SetExpr::SetOperation { left, right, .. } => gives_star(left) || gives_star(right),
        _ => false,
    }
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } | Expr::Cast { expr: inner, .. } => {
            is_constant(inner)
        }
        _ => false,
    }
}

/// Whether one of `rows` may be used as a value: `select t from t`, `hash(t)`.
fn takes_rows(tokens: &[Token], rows: &BTreeSet<String>) -> bool {
    let is_row = |at: usize| word(&tokens[at]).is_some_and(|word| rows.contains(&folded(&word.value)));
    (0..tokens.len()).any(|at| is_row(at) && !names_relation(tokens, at))
}

/// Whether the word at this place only names a relation: in a `from`, as an alias, or before a column.
fn names_relation(tokens: &[Token], at: usize) -> bool {
    use Keyword as K;
    let after = tokens.get(at + 1);
    if after == Some(&Token::Period) {
        return true;
    }
    // The first part of `database.schema.name`.
    let mut first = at;
    while first >= 2 && tokens[first - 1] == Token::Period && word(&tokens[first - 2]).is_some() {
        first -= 2;
    }
    let before = first.checked_sub(1).map(|at| &tokens[at]);
    let begins_cte = first == at
        && (is_keyword(after, &[K::AS])
            && (tokens.get(at + 2) == Some(&Token::LParen)
                || is_keyword(tokens.get(at + 2), &[K::MATERIALIZED, K::NOT])));
    match before {
        Some(Token::RParen) => first == at,
        Some(Token::Comma) => begins_cte,
        Some(Token::Word(before)) if before.quote_style.is_some() || before.keyword == K::NoKeyword => {
            first == at
        }
        // `a is distinct from b`
        before if is_keyword(before, &[K::FROM]) => {
            !is_keyword(first.checked_sub(2).map(|at| &tokens[at]), &[K::DISTINCT])
        }
        before => is_keyword(before, &[K::JOIN, K::AS, K::WITH, K::RECURSIVE]),
    }
}

/// Whether a query is a part of an expression: `in (select …)`, `exists (…)`, `(select …) + 1`.
fn has_inner_query(tokens: &[Token]) -> bool {
    use Keyword as K;
    let begins = |at: usize| {
        tokens[at] == Token::LParen
            && is_keyword(tokens.get(at + 1), &[K::SELECT, K::WITH, K::FROM, K::VALUES])
    };
    let is_inner = |at: usize| {
        let before = |back: usize| at.checked_sub(back).map(|at| &tokens[at]);
        let is_union_all = is_keyword(before(1), &[K::ALL]) && is_keyword(before(2), &[K::UNION]);
        let is_part = is_keyword(before(1), &[K::AS, K::FROM, K::JOIN, K::MATERIALIZED, K::UNION]);
        !is_part && !is_union_all && at > 0
    };
    (0..tokens.len()).any(|at| begins(at) && is_inner(at))
}

/// Whether a query has all columns without a star: `from t`.
fn begins_with_from(tokens: &[Token]) -> bool {
    let begins = |at: usize| {
        is_keyword(tokens.get(at), &[Keyword::FROM])
            && matches!(at.checked_sub(1).map(|at| &tokens[at]), None | Some(Token::LParen))
    };
    (0..tokens.len()).any(begins)
}

/// The number of stars that mean columns; `None` if that is not known of one of them.
fn stars(tokens: &[Token]) -> Option<usize> {
    let mut found = 0;
    for at in (0..tokens.len()).filter(|at| tokens[*at] == Token::Mul) {
        match at.checked_sub(1).map(|at| &tokens[at])? {
            Token::LParen => {
                let name = at.checked_sub(2).and_then(|at| word(&tokens[at]))?;
                if folded(&name.value) != "count" || tokens.get(at + 1) != Some(&Token::RParen) {
                    return None;
                }
            }
            Token::Period | Token::Comma => found += 1,
            before if is_keyword(Some(before), &[Keyword::SELECT]) => found += 1,
            before if is_keyword(Some(before), &[Keyword::DISTINCT, Keyword::ALL]) => return None,
            _ => {}
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(sql: &str) -> Option<bool> {
        names_read(sql, warehouse::Dialect::DuckDb).map(|names| names.contains("extra"))
    }

    #[test]
    fn a_column_that_is_not_named_plays_no_part() {
        for sql in [
            "select id, amount * 2 as total from p",
            "select count(*) as n, sum(a.amount) as total from \"dev\".\"main\".\"p\" as a group by all order by total",
            "with p as (select * from \"dev\".\"main\".\"p\"), f as (select id from p where amount > 0) select * from f",
            "with a as (select * from p), b as (select * from q), j as (select a.id, b.x from a join b using (id)) select * from j",
            "select id from (select p.* from p) as t",
            "select id from p union all select id from q",
            "select distinct id from p",
            "select id, row_number() over (partition by id order by amount) as n from p",
            "select case when amount > 1 then 'p' else id end as p from p",
            "with a as (select * from p), b as (select id, count(distinct amount) as n from a group by 1 order by 2) select * from b",
            "with a as (select * from p), b as (select id from a union all select id from a) select * from b",
            "with a as materialized (select * from p), b as (select id from a) select b.*, a.id as other from b join a using (id)",
            "with a as (select * from p order by amount limit 3) select id from a",
            "select id from a where a.amount is distinct from a.id",
        ] {
            assert_eq!(read(sql), Some(false), "{sql}");
        }
        assert_eq!(read("select id from p where Extra > 1"), Some(true));
        assert_eq!(read("select id from p order by \"EXTRA\""), Some(true));
    }

    #[test]
    fn whole_rows_are_not_known() {
        for sql in [
            "select * from p",
            "from p",
            "with a as (from p) select id from a",
            "with a as (select * from p) select * from a",
            "select p.* from p",
            "select a.*, b.x from p as a join q as b using (id)",
            "select * exclude (id) from p",
            "with a as (select distinct * from p) select count(*) as n from a",
            "with a as (select distinct p.* from p) select id from a",
            "with a as (select * from p union select * from q) select id from a",
            "select id from (select * from p union all select * from q)",
            "select p from p",
            "select hash(a) from p as a",
            "select hash(a) from p a",
            "select count(distinct a) as n from p a",
            "select count(distinct a) as n from \"dev\".\"main\".\"p\" as \"a\"",
            "with a as (select * from p) select id, a from a",
            "select id from p natural join q",
            "select columns('a.*') from p",
            "select id from p where id in (select * from q)",
            "select id from q where exists (select * from p except select * from q)",
            "select id from q where (select count(*) from (select distinct * from p)) > 1",
            "pivot p on id using sum(amount)",
            "select id from (pivot p on kind using sum(amount))",
            "select id from p, lateral (select * from q)",
            "select id from query_table('p')",
            "select id from p as t (id, b)",
            "with a (id, b) as (select * from p) select id from a",
            "summarize p",
            "select struct_pack(p) from p",
            "select id from p; select 1",
            "select id from",
            "select #1 from p",
            "with a as (select * from p order by 1 limit 3) select id from a",
            "with a as (select * from p order by all limit 3) select id from a",
            "with a as (select *, 1 as one from p group by all) select id from a",
            "with a as (select p.*, count(*) as n from p group by 1, 2) select id from a",
            "with a as (select * from p union all by name select * from q) select id from a",
            "select count(a.*) as n from p as a",
            "select coalesce(1, a.*) as n from p as a",
            "select hash(\"dev\".\"main\".\"p\") as h from \"dev\".\"main\".\"p\"",
            "select id from p as a join q as b on (1 + 1) is distinct from b",
            "select id from p where amount > all (select * from q)",
            "select id from p using sample 3",
            "select id from p tablesample reservoir(3)",
            "select $1 from p",
        ] {
            assert_eq!(read(sql), None, "{sql}");
        }
    }

    #[test]
    fn the_second_column_of_a_name_has_a_number() {
        let names = names_read(
            "with j as (select * from p join q using (id)) select id, extra_1, \"v:1\" as v2 from j",
            warehouse::Dialect::DuckDb,
        );
        let names = names.expect("names");
        assert!(names.contains("extra") && names.contains("v"), "{names:?}");
    }
}
