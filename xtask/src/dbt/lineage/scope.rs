//! What names mean in a select: the relations of its `from`, and the columns that its list makes of them.

use std::collections::{BTreeSet, HashMap};

use sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, Join, JoinConstraint, JoinOperator, NamedWindowExpr, ObjectName,
    RenameSelectItem, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, TableAlias,
    TableFactor, WildcardAdditionalOptions, WindowSpec,
};

use super::{Catalog, Column, Ctes, Derivation, Found, Kind, Rest, Shape, folded};

/// A relation that a select reads.
pub(super) struct Relation {
    /// Its alias, or the parts of its name.
    names: Vec<String>,
    shape: Shape,
    /// Columns that are one with those of a relation before it: `using (…)`.
    merged: BTreeSet<String>,
}

/// The names of a select, and around it those of the query that it is a part of.
pub(super) struct Scope<'s> {
    pub(super) relations: Vec<Relation>,
    /// What the list has named so far.
    pub(super) aliases: Vec<(String, Derivation)>,
    pub(super) windows: HashMap<String, &'s WindowSpec>,
    pub(super) outer: Option<&'s Scope<'s>>,
    /// Whether there is something that no name can be looked up in.
    is_opaque: bool,
}

impl<'s> Scope<'s> {
    pub(super) fn within(outer: Option<&'s Scope<'s>>) -> Self {
        Self { relations: Vec::new(), aliases: Vec::new(), windows: HashMap::new(), outer, is_opaque: false }
    }

    /// A column without the name of its relation. Columns come before what the list names.
    pub(super) fn plain(&self, name: &str) -> Derivation {
        self.look_up(name).unwrap_or_else(Derivation::unsure)
    }

    /// `None` if it is certainly not here.
    fn look_up(&self, name: &str) -> Option<Derivation> {
        let folded = folded(name);
        let (mut found, mut open, mut perhaps) = (Vec::new(), Vec::new(), self.is_opaque);
        for relation in self.relations.iter().filter(|relation| !relation.merged.contains(&folded)) {
            match relation.shape.find(name).0 {
                Found::Yes(from) => found.push(from),
                Found::Open(id) => open.push(id),
                Found::Perhaps => perhaps = true,
                Found::No => {}
            }
        }
        if found.len() > 1 {
            return Some(Derivation::unsure());
        }
        // Were it in another relation too, the engine would refuse it.
        if let Some(from) = found.pop() {
            return Some(from);
        }
        let alias = self.aliases.iter().rev().find(|(known, _)| *known == folded);
        let around = || self.outer.and_then(|outer| outer.look_up(name));
        match (open.as_slice(), perhaps, alias) {
            ([], false, Some((_, from))) => Some(from.clone()),
            ([], false, None) => around(),
            ([id], false, None) => Some(match around() {
                None => Derivation::of(id, name),
                Some(_) => Derivation::unsure(),
            }),
            _ => Some(Derivation::unsure()),
        }
    }

    /// `orders.id`, `main.orders.id`, and fields of a column: `orders.address.city`, `address.city`.
    pub(super) fn qualified(&self, path: &[Ident]) -> Derivation {
        let path: Vec<String> = path.iter().map(|part| part.value.clone()).collect();
        self.qualified_parts(&path)
    }

    pub(super) fn qualified_parts(&self, path: &[String]) -> Derivation {
        let lower: Vec<String> = path.iter().map(|part| folded(part)).collect();
        for split in (1..path.len()).rev() {
            let relations: Vec<&Relation> =
                self.relations.iter().filter(|relation| relation.names.ends_with(&lower[..split])).collect();
            if let [relation] = relations.as_slice() {
                let from = relation.shape.find(&path[split]).certain();
                return if split + 1 < path.len() { from.by(Kind::Transformation) } else { from };
            }
            if relations.len() > 1 {
                return Derivation::unsure();
            }
        }
        if let Some(outer) = self.outer.filter(|_| !self.is_opaque) {
            let from = outer.qualified_parts(path);
            if from.is_sure {
                return from;
            }
        }
        self.plain(&path[0]).by(Kind::Transformation)
    }

    /// The relation that `name.*` means.
    fn relation(&self, name: &ObjectName) -> Option<&Relation> {
        let names = names_of(name)?;
        let mut fitting = self.relations.iter().filter(|relation| relation.names.ends_with(&names));
        match (fitting.next(), fitting.next()) {
            (Some(relation), None) => Some(relation),
            _ => None,
        }
    }

    fn add(&mut self, names: Vec<String>, shape: Shape) {
        self.relations.push(Relation { names, shape, merged: BTreeSet::new() });
    }
}

impl Catalog {
    pub(super) fn select(&self, select: &Select, ctes: &Ctes, outer: Option<&Scope<'_>>) -> Shape {
        if select.value_table_mode.is_some() || select.into.is_some() || select.exclude.is_some() {
            return Shape::unknown();
        }
        let mut scope = Scope::within(outer);
        for window in &select.named_window {
            if let NamedWindowExpr::WindowSpec(spec) = &window.1 {
                scope.windows.insert(folded(&window.0.value), spec);
            }
        }
        scope.is_opaque = !select.lateral_views.is_empty();
        for table in &select.from {
            self.read(&table.relation, ctes, &mut scope);
            for join in &table.joins {
                self.join(join, ctes, &mut scope);
            }
        }
        let mut list = Shape { columns: Vec::new(), rest: Rest::None };
        if select.flavor == SelectFlavor::FromFirstNoSelect {
            for relation in &scope.relations {
                list = with_all(list, relation);
            }
            return list;
        }
        for item in &select.projection {
            list = match item {
                SelectItem::UnnamedExpr(expr) => {
                    let from = self.expression(expr, &scope, ctes);
                    with_one(list, name_of(expr), from)
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let from = self.expression(expr, &scope, ctes);
                    let name = folded(&alias.value);
                    scope.aliases.push((name.clone(), from.clone()));
                    with_one(list, Some(name), from)
                }
                SelectItem::Wildcard(options) => {
                    let mut all = Shape { columns: Vec::new(), rest: Rest::None };
                    for relation in &scope.relations {
                        all = with_all(all, relation);
                    }
                    if scope.is_opaque {
                        all.rest = Rest::Unknown;
                    }
                    self.with_options(list, all, options, &scope, ctes)
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    let all = scope.relation(name).map_or_else(Shape::unknown, |known| known.shape.clone());
                    self.with_options(list, all, options, &scope, ctes)
                }
                _ => Shape { rest: Rest::Unknown, ..list },
            };
        }
        list
    }

    /// `* exclude (a) replace (b + 1 as b) rename (c as d)`.
    fn with_options(
        &self,
        list: Shape,
        mut all: Shape,
        options: &WildcardAdditionalOptions,
        scope: &Scope<'_>,
        ctes: &Ctes,
    ) -> Shape {
        if options.opt_ilike.is_some() || options.opt_alias.is_some() {
            all = Shape::unknown();
        }
        let mut left_out: BTreeSet<String> = BTreeSet::new();
        match &options.opt_exclude {
            Some(ExcludeSelectItem::Single(name)) => left_out.extend(last_of(name)),
            Some(ExcludeSelectItem::Multiple(names)) => left_out.extend(names.iter().filter_map(last_of)),
            None => {}
        }
        if let Some(except) = &options.opt_except {
            let more = except.additional_elements.iter();
            left_out
                .extend(std::iter::once(&except.first_element).chain(more).map(|name| folded(&name.value)));
        }
        all.columns.retain(|column| column.name.as_ref().is_none_or(|name| !left_out.contains(name)));
        for item in options.opt_replace.iter().flat_map(|replace| &replace.items) {
            let name = folded(&item.column_name.value);
            let from = self.expression(&item.expr, scope, ctes);
            match all.columns.iter_mut().find(|column| column.name.as_ref() == Some(&name)) {
                Some(column) => column.from = from,
                None => all.columns.push(Column { name: Some(name), from }),
            }
        }
        let renames = match &options.opt_rename {
            Some(RenameSelectItem::Single(one)) => std::slice::from_ref(one),
            Some(RenameSelectItem::Multiple(several)) => several.as_slice(),
            None => &[],
        };
        for rename in renames {
            let (old, new) = (folded(&rename.ident.value), folded(&rename.alias.value));
            let from = all.find(&old).certain();
            match all.columns.iter_mut().find(|column| column.name.as_ref() == Some(&old)) {
                Some(column) => column.name = Some(new),
                None => all.columns.push(Column { name: Some(new), from }),
            }
        }
        joined(list, all)
    }

    /// Adds the relation of a `from`.
    fn read(&self, factor: &TableFactor, ctes: &Ctes, scope: &mut Scope<'_>) {
        match factor {
            TableFactor::Table { name, alias, args: None, json_path: None, .. } => {
                let shape = self.table(name, ctes);
                let names = names_of(name).unwrap_or_default();
                add(scope, names, alias.as_ref(), shape);
            }
            TableFactor::Derived { subquery, alias, lateral, .. } => {
                let shape = if *lateral {
                    self.query(subquery, ctes, Some(scope))
                } else {
                    self.query(subquery, ctes, scope.outer)
                };
                add(scope, Vec::new(), alias.as_ref(), shape);
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                self.read(&table_with_joins.relation, ctes, scope);
                for join in &table_with_joins.joins {
                    self.join(join, ctes, scope);
                }
            }
            // A function or a pivot: its columns are not known.
            TableFactor::Table { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::Pivot { alias, .. }
            | TableFactor::Unpivot { alias, .. } => {
                add(scope, Vec::new(), alias.as_ref(), Shape::unknown());
            }
            _ => scope.is_opaque = true,
        }
    }

    fn table(&self, name: &ObjectName, ctes: &Ctes) -> Shape {
        let Some(names) = names_of(name) else { return Shape::unknown() };
        if let [name] = names.as_slice()
            && let Some(shape) = ctes.get(name)
        {
            return shape.clone();
        }
        let Some(id) = self.ids.get(&names) else { return Shape::unknown() };
        match self.columns.get(id) {
            Some(columns) => {
                let column =
                    |name: &String| Column { name: Some(folded(name)), from: Derivation::of(id, name) };
                Shape { columns: columns.iter().map(column).collect(), rest: Rest::None }
            }
            None => Shape { columns: Vec::new(), rest: Rest::Of(id.clone()) },
        }
    }

    fn join(&self, join: &Join, ctes: &Ctes, scope: &mut Scope<'_>) {
        use JoinOperator as J;
        let before = scope.relations.len();
        self.read(&join.relation, ctes, scope);
        let (constraint, keeps_left) = match &join.join_operator {
            J::Join(on) | J::Inner(on) | J::Left(on) | J::LeftOuter(on) | J::CrossJoin(on) => (on, true),
            J::Right(on) | J::RightOuter(on) | J::FullOuter(on) => (on, false),
            J::AsOf { constraint, .. } => (constraint, true),
            // Only rows of the left side are kept: the right one has no columns.
            J::Semi(_) | J::LeftSemi(_) | J::Anti(_) | J::LeftAnti(_) => {
                scope.relations.truncate(before);
                return;
            }
            _ => {
                scope.is_opaque = true;
                return;
            }
        };
        let columns = match constraint {
            JoinConstraint::On(_) | JoinConstraint::None => return,
            JoinConstraint::Using(columns) => columns,
            JoinConstraint::Natural | JoinConstraint::UsingAlias(..) => {
                scope.is_opaque = true;
                return;
            }
        };
        for column in columns.iter().filter_map(last_of) {
            let (left, right) = scope.relations.split_at_mut(before);
            let mut merged = None;
            for relation in right.iter_mut() {
                merged = Some(relation.shape.find(&column).certain());
                relation.merged.insert(column.clone());
            }
            if keeps_left {
                continue;
            }
            // `coalesce` of both sides.
            if left.iter().any(|relation| !relation.shape.is_whole()) {
                scope.is_opaque = true;
                return;
            }
            let of_left = left.iter_mut().flat_map(|relation| &mut relation.shape.columns);
            for known in of_left.filter(|known| known.name.as_ref() == Some(&column)) {
                let right = merged.clone().unwrap_or_else(Derivation::unsure);
                known.from = known.from.clone().and(right).by(Kind::Transformation);
            }
        }
    }
}

fn add(scope: &mut Scope<'_>, names: Vec<String>, alias: Option<&TableAlias>, shape: Shape) {
    match alias {
        None => scope.add(names, shape),
        Some(alias) => {
            scope.add(vec![folded(&alias.name.value)], shape.renamed(super::names_of(alias)));
        }
    }
}

fn with_one(mut list: Shape, name: Option<String>, from: Derivation) -> Shape {
    if from.is_many {
        return Shape { rest: Rest::Unknown, ..list };
    }
    list.columns.push(Column { name, from });
    list
}

/// All columns of a relation behind those of `list`.
fn with_all(list: Shape, relation: &Relation) -> Shape {
    let mut all = relation.shape.clone();
    all.columns.retain(|column| column.name.as_ref().is_none_or(|name| !relation.merged.contains(name)));
    joined(list, all)
}

fn joined(mut list: Shape, all: Shape) -> Shape {
    list.columns.extend(all.columns);
    list.rest = match (list.rest, all.rest) {
        (Rest::None, rest) | (rest, Rest::None) => rest,
        _ => Rest::Unknown,
    };
    list
}

/// The parts of a name, in lower case; `None` if one of them is computed.
fn names_of(name: &ObjectName) -> Option<Vec<String>> {
    name.0.iter().map(|part| part.as_ident().map(|part| folded(&part.value))).collect()
}

fn last_of(name: &ObjectName) -> Option<String> {
    names_of(name)?.pop()
}

/// The name that engines give the column of an expression without an alias, if they agree.
fn name_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(folded(&name.value)),
        Expr::CompoundIdentifier(path) => path.last().map(|name| folded(&name.value)),
        _ => None,
    }
}
