//! The columns that each column of a model is made from, read off the SQL that dbt compiled.
//!
//! A wrong edge is worse than a missing one: whatever is not understood without doubt makes the columns that depend on
//! it unsure, and they are counted instead of guessed. The SQL is read by `sqlparser`; names are resolved here, through
//! CTEs, subqueries, joins, stars and unions.

mod expression;
pub(crate) mod reads;
mod scope;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use sqlparser::ast::{Cte, Query, SetExpr, SetOperator, SetQuantifier, Statement, TableAlias};
use sqlparser::dialect::{Dialect, DuckDbDialect, GenericDialect, SnowflakeDialect};
use sqlparser::parser::Parser;

use self::scope::Scope;
use super::artifacts::Manifest;
use crate::warehouse;

/// How deep SQL may be nested.
const DEEPEST: usize = 200;

/// Longer SQL was made by a program; people do not follow its columns.
const LONGEST: usize = 500_000;

/// Stack for one query: chains of operators are as deep as they are long.
const STACK: usize = 64 << 20;

/// How a column goes into another. The order is that of precedence: what is used in two ways counts as the later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It decides which value is taken: the condition of a `case`.
    Conditional,
    /// It orders or divides the rows of a window function.
    Window,
    /// It is passed on as it is.
    Identity,
    Transformation,
    Aggregation,
}

/// A column of a node or a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Input {
    /// dbt's id of what has it.
    pub(crate) id: String,
    pub(crate) column: String,
}

/// The columns of a model.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lineage {
    /// By name: what each is made from. Nothing if it is made from constants.
    pub(crate) columns: BTreeMap<String, BTreeMap<Input, Kind>>,
    /// Columns that could not be followed without doubt.
    pub(crate) unsure: usize,
}

/// The relations of a project, as SQL names them, with their columns if those are known.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    ids: HashMap<Vec<String>, String>,
    columns: HashMap<String, Vec<String>>,
}

impl Catalog {
    /// `columns` has those of a node's relation, in their order.
    pub(crate) fn new(manifest: &Manifest, columns: impl Fn(&str) -> Option<Vec<String>>) -> Self {
        let mut catalog = Self::default();
        for (id, name) in manifest.relation_names() {
            catalog.add(id, name, columns(id));
        }
        catalog
    }

    fn add(&mut self, id: &str, relation: &str, columns: Option<Vec<String>>) {
        self.ids.insert(parts(relation), id.to_owned());
        if let Some(columns) = columns {
            self.columns.insert(id.to_owned(), columns);
        }
    }

    /// Which columns those of `id`, whose relation has `columns`, are made from by `sql`.
    pub(crate) fn follow(
        &self,
        id: &str,
        sql: &str,
        dialect: warehouse::Dialect,
        columns: &[String],
    ) -> Lineage {
        let shape = stacker::grow(STACK, || self.shape_of(sql, dialect));
        let is_positional = shape.is_whole()
            && shape.columns.len() == columns.len()
            && shape.columns.iter().zip(columns).all(|(found, name)| {
                found.name.as_ref().is_none_or(|found| found.eq_ignore_ascii_case(name))
            });
        let mut lineage = Lineage::default();
        for (at, name) in columns.iter().enumerate() {
            let found =
                if is_positional { shape.columns[at].from.clone() } else { shape.find(name).certain() };
            if found.is_sure {
                // An incremental model that reads what it has built adds nothing to where that came from.
                let inputs = found.inputs.into_iter().filter(|(input, _)| input.id != id).collect();
                lineage.columns.insert(name.clone(), inputs);
            } else {
                lineage.unsure += 1;
            }
        }
        lineage
    }

    fn shape_of(&self, sql: &str, dialect: warehouse::Dialect) -> Shape {
        match parsed(sql, dialect) {
            Some(query) => self.query(&query, &Ctes::default(), None),
            None => Shape::unknown(),
        }
    }

    /// The columns of a query.
    fn query(&self, query: &Query, ctes: &Ctes, outer: Option<&Scope<'_>>) -> Shape {
        if !query.pipe_operators.is_empty() {
            return Shape::unknown();
        }
        let mut ctes = ctes.clone();
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let is_recursive = query.with.as_ref().is_some_and(|with| with.recursive);
            let shape = if is_recursive {
                self.recursive(cte, &ctes, outer)
            } else {
                self.query(&cte.query, &ctes, outer).renamed(names_of(&cte.alias))
            };
            ctes.push(&folded(&cte.alias.name.value), shape);
        }
        self.body(&query.body, &ctes, outer)
    }

    /// A CTE that may read itself: what its first part is made from goes round until nothing is added.
    fn recursive(&self, cte: &Cte, ctes: &Ctes, outer: Option<&Scope<'_>>) -> Shape {
        let names = names_of(&cte.alias);
        let mut shape = match cte.query.body.as_ref() {
            SetExpr::SetOperation { left, .. } if cte.query.with.is_none() => {
                self.body(left, ctes, outer).renamed(names.clone())
            }
            _ => Shape::unknown(),
        };
        for _ in 0..MOST_ROUNDS {
            let mut inner = ctes.clone();
            inner.push(&folded(&cte.alias.name.value), shape.clone());
            let next = self.query(&cte.query, &inner, outer).renamed(names.clone());
            if next == shape {
                return shape;
            }
            shape = next;
        }
        Shape::unknown()
    }

    fn body(&self, body: &SetExpr, ctes: &Ctes, outer: Option<&Scope<'_>>) -> Shape {
        match body {
            SetExpr::Select(select) => self.select(select, ctes, outer),
            SetExpr::Query(query) => self.query(query, ctes, outer),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let (left, right) = (self.body(left, ctes, outer), self.body(right, ctes, outer));
                match (op, set_quantifier) {
                    (
                        SetOperator::Union,
                        SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName,
                    ) => left.united_by_name(right),
                    // The values are those of the left side.
                    (SetOperator::Except | SetOperator::Minus | SetOperator::Intersect, _) => left,
                    (SetOperator::Union, _) => left.united(right),
                }
            }
            SetExpr::Values(values) => {
                let width = values.rows.first().map_or(0, |row| row.content.len());
                let unnamed = || Column { name: None, from: Derivation::nothing() };
                Shape { columns: std::iter::repeat_with(unnamed).take(width).collect(), rest: Rest::None }
            }
            _ => Shape::unknown(),
        }
    }
}

/// Rounds of a recursive CTE: a column takes one for each other that it goes through.
const MOST_ROUNDS: usize = 50;

/// `name (a, b)`.
fn names_of(alias: &TableAlias) -> Vec<String> {
    alias.columns.iter().map(|column| folded(&column.name.value)).collect()
}

/// The same dialect as the parser calls it.
fn of_parser(dialect: warehouse::Dialect) -> &'static dyn Dialect {
    match dialect {
        warehouse::Dialect::DuckDb => &DuckDbDialect {},
        warehouse::Dialect::Snowflake => &SnowflakeDialect {},
    }
}

/// The one query of a text.
fn parsed(sql: &str, dialect: warehouse::Dialect) -> Option<Query> {
    if sql.len() > LONGEST {
        return None;
    }
    let read = |dialect: &dyn Dialect| {
        let parser = Parser::new(dialect).with_recursion_limit(DEEPEST).try_with_sql(sql);
        parser.and_then(|mut parser| parser.parse_statements()).ok()
    };
    let mut statements = read(of_parser(dialect)).or_else(|| read(&GenericDialect {}))?.into_iter();
    match (statements.next()?, statements.next()) {
        (Statement::Query(query), None) => Some(*query),
        _ => None,
    }
}

/// A name without quotes, as names are compared.
fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// The parts of a relation's name as dbt writes it: `"db"."main"."orders"`, `db.main.orders`.
fn parts(relation: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    for c in relation.chars() {
        match (c, quote) {
            ('"' | '`', None) => quote = Some(c),
            (_, Some(open)) if c == open => quote = None,
            ('.', None) => parts.push(String::new()),
            _ => parts.last_mut().expect("one at least").extend(c.to_lowercase()),
        }
    }
    parts
}

/// What something is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Derivation {
    inputs: BTreeMap<Input, Kind>,
    /// Whether that is all, without doubt.
    is_sure: bool,
    /// Whether it becomes several columns: `columns(…)` of DuckDB.
    is_many: bool,
}

impl Derivation {
    fn nothing() -> Self {
        Self { inputs: BTreeMap::new(), is_sure: true, is_many: false }
    }

    fn unsure() -> Self {
        Self { is_sure: false, ..Self::nothing() }
    }

    fn of(id: &str, column: &str) -> Self {
        let input = Input { id: id.to_owned(), column: column.to_owned() };
        Self { inputs: BTreeMap::from([(input, Kind::Identity)]), ..Self::nothing() }
    }

    /// What an expression makes of it. What only decides stays so.
    fn by(mut self, kind: Kind) -> Self {
        for known in self.inputs.values_mut() {
            let is_direct = *known >= Kind::Identity;
            if is_direct {
                *known = if kind >= Kind::Identity { kind.max(*known) } else { kind };
            }
        }
        self
    }

    fn and(mut self, other: Self) -> Self {
        for (input, kind) in other.inputs {
            let known = self.inputs.entry(input).or_insert(kind);
            *known = kind.max(*known);
        }
        self.is_sure &= other.is_sure;
        self.is_many |= other.is_many;
        self
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    /// In lower case; `None` if the engine chooses it.
    name: Option<String>,
    from: Derivation,
}

/// The columns of a query or a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    columns: Vec<Column>,
    rest: Rest,
}

/// The columns that a shape has beside those that it lists.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rest {
    None,
    /// All of this relation, whose columns are not known.
    Of(String),
    Unknown,
}

/// The result of looking for a name in a shape.
enum Found {
    Yes(Derivation),
    No,
    /// If anywhere here, in the relation of this id.
    Open(String),
    Perhaps,
}

impl Found {
    /// If it must be here.
    fn certain_named(self, name: &str) -> Derivation {
        match self {
            Self::Yes(from) => from,
            Self::Open(id) => Derivation::of(&id, name),
            Self::No | Self::Perhaps => Derivation::unsure(),
        }
    }
}

/// [`Found`] with the name that was looked for.
struct Named<'a>(Found, &'a str);

impl Named<'_> {
    fn certain(self) -> Derivation {
        self.0.certain_named(self.1)
    }
}

impl Shape {
    fn unknown() -> Self {
        Self { columns: Vec::new(), rest: Rest::Unknown }
    }

    /// Whether its columns are listed, all of them and in their order.
    fn is_whole(&self) -> bool {
        self.rest == Rest::None
    }

    fn find<'a>(&self, name: &'a str) -> Named<'a> {
        let wanted = folded(name);
        let mut found = self.columns.iter().filter(|column| column.name.as_deref() == Some(wanted.as_str()));
        let found = match (found.next(), found.next()) {
            (Some(column), None) => Found::Yes(column.from.clone()),
            // Twice the same name: which one is meant differs between engines.
            (Some(_), Some(_)) => Found::Perhaps,
            (None, _) => match &self.rest {
                // A column that the engine named may have this name.
                Rest::None if self.columns.iter().any(|column| column.name.is_none()) => Found::Perhaps,
                Rest::None => Found::No,
                Rest::Of(id) => Found::Open(id.clone()),
                Rest::Unknown => Found::Perhaps,
            },
        };
        Named(found, name)
    }

    /// With the names of `alias (a, b)`; none means as they are.
    fn renamed(mut self, names: Vec<String>) -> Self {
        if names.is_empty() {
            return self;
        }
        if !self.is_whole() || names.len() > self.columns.len() {
            let unsure = |name| Column { name: Some(name), from: Derivation::unsure() };
            return Self { columns: names.into_iter().map(unsure).collect(), rest: Rest::Unknown };
        }
        for (column, name) in self.columns.iter_mut().zip(names) {
            column.name = Some(name);
        }
        self
    }

    /// `union`: by position.
    fn united(mut self, other: Self) -> Self {
        if !self.is_whole() || !other.is_whole() || self.columns.len() != other.columns.len() {
            return Self::unknown();
        }
        for (column, other) in self.columns.iter_mut().zip(other.columns) {
            column.from = column.from.clone().and(other.from);
        }
        self
    }

    fn united_by_name(mut self, other: Self) -> Self {
        let is_named =
            |shape: &Self| shape.is_whole() && shape.columns.iter().all(|each| each.name.is_some());
        if !is_named(&self) || !is_named(&other) {
            return Self::unknown();
        }
        for column in other.columns {
            match self.columns.iter_mut().find(|known| known.name == column.name) {
                Some(known) => known.from = known.from.clone().and(column.from),
                None => self.columns.push(column),
            }
        }
        self
    }
}

/// The CTEs that a query can read; an inner one hides an outer one of the same name.
#[derive(Clone, Debug, Default)]
struct Ctes(Vec<(String, Rc<Shape>)>);

impl Ctes {
    fn push(&mut self, name: &str, shape: Shape) {
        self.0.push((name.to_owned(), Rc::new(shape)));
    }

    fn get(&self, name: &str) -> Option<&Shape> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, shape)| shape.as_ref())
    }
}

#[cfg(test)]
mod tests;
