//! The columns that an expression is made from.

use sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, InTarget, LambdaFunction,
    OneOrManyWithParens, Subscript, WindowSpec, WindowType,
};

use super::scope::Scope;
use super::{Catalog, Ctes, Derivation, Kind, folded};

/// Functions that make one value of many rows.
const AGGREGATES: [&str; 45] = [
    "any_value",
    "approx_count_distinct",
    "approx_percentile",
    "arg_max",
    "arg_min",
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "booland_agg",
    "boolor_agg",
    "corr",
    "count",
    "count_if",
    "countif",
    "covar_pop",
    "covar_samp",
    "first",
    "group_concat",
    "histogram",
    "hash_agg",
    "kurtosis",
    "last",
    "list",
    "listagg",
    "max",
    "max_by",
    "mean",
    "median",
    "min",
    "min_by",
    "mode",
    "object_agg",
    "percentile_cont",
    "percentile_disc",
    "product",
    "quantile_cont",
    "skewness",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "variance",
];

/// Functions whose first argument may be a part of a date, such as `day`, written without quotes.
const OF_DATE_PARTS: [&str; 9] = [
    "date_diff",
    "date_part",
    "date_trunc",
    "dateadd",
    "datediff",
    "datepart",
    "timeadd",
    "timestampadd",
    "timestampdiff",
];

impl Catalog {
    pub(super) fn expression(&self, expr: &Expr, scope: &Scope<'_>, ctes: &Ctes) -> Derivation {
        let each = |all: &[&Expr]| self.all(all.iter().copied(), scope, ctes);
        match expr {
            Expr::Identifier(name) => scope.plain(&name.value),
            Expr::CompoundIdentifier(path) => scope.qualified(path),
            Expr::Nested(inner) | Expr::Named { expr: inner, .. } => self.expression(inner, scope, ctes),
            // Whether rows exist is made from no column.
            Expr::Value(_) | Expr::TypedString(_) | Expr::Exists { .. } => Derivation::nothing(),
            Expr::CompoundFieldAccess { root, access_chain } => self.field(root, access_chain, scope, ctes),
            Expr::JsonAccess { value: inner, .. }
            | Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner)
            | Expr::UnaryOp { expr: inner, .. }
            | Expr::Cast { expr: inner, .. }
            | Expr::Extract { expr: inner, .. }
            | Expr::Ceil { expr: inner, .. }
            | Expr::Floor { expr: inner, .. }
            | Expr::Collate { expr: inner, .. }
            | Expr::Prefixed { value: inner, .. } => each(&[inner]),
            Expr::IsDistinctFrom(left, right)
            | Expr::IsNotDistinctFrom(left, right)
            | Expr::BinaryOp { left, right, .. }
            | Expr::Like { expr: left, pattern: right, .. }
            | Expr::ILike { expr: left, pattern: right, .. }
            | Expr::SimilarTo { expr: left, pattern: right, .. }
            | Expr::RLike { expr: left, pattern: right, .. }
            | Expr::Position { expr: left, r#in: right }
            | Expr::AtTimeZone { timestamp: left, time_zone: right } => each(&[left, right]),
            Expr::Between { expr, low, high, .. } => each(&[expr, low, high]),
            Expr::Substring { expr, substring_from, substring_for, .. } => self.all(
                std::iter::once(expr).chain(substring_from).chain(substring_for).map(AsRef::as_ref),
                scope,
                ctes,
            ),
            Expr::Trim { expr, trim_what, trim_characters, .. } => {
                let what = trim_what.iter().map(AsRef::as_ref);
                let all = std::iter::once(expr.as_ref()).chain(what);
                self.all(all.chain(trim_characters.iter().flatten()), scope, ctes)
            }
            Expr::In { expr, target, .. } => {
                let left = each(&[expr]);
                left.and(match target {
                    InTarget::List(list) => self.all(list, scope, ctes),
                    InTarget::Subquery(query) => self.scalar(query, scope, ctes),
                    _ => Derivation::unsure(),
                })
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                let deciding =
                    operand.iter().map(AsRef::as_ref).chain(conditions.iter().map(|when| &when.condition));
                let results =
                    conditions.iter().map(|when| &when.result).chain(else_result.iter().map(AsRef::as_ref));
                self.all(deciding, scope, ctes).by(Kind::Conditional).and(self.all(results, scope, ctes))
            }
            Expr::Tuple(items) | Expr::Struct { values: items, .. } => self.all(items, scope, ctes),
            Expr::Array(array) => self.all(&array.elem, scope, ctes),
            Expr::Dictionary(fields) => {
                self.all(fields.iter().map(|field| field.value.as_ref()), scope, ctes)
            }
            Expr::Interval(interval) => each(&[&interval.value]),
            Expr::Subquery(query) => self.scalar(query, scope, ctes),
            Expr::Function(function) => self.function(function, scope, ctes),
            Expr::Lambda(lambda) => self.lambda(lambda, scope, ctes),
            _ => Derivation::unsure(),
        }
    }

    /// Several expressions that are made into one value.
    fn all<'e>(&self, all: impl IntoIterator<Item = &'e Expr>, scope: &Scope<'_>, ctes: &Ctes) -> Derivation {
        let each = all.into_iter().map(|expr| self.expression(expr, scope, ctes));
        each.fold(Derivation::nothing(), Derivation::and).by(Kind::Transformation)
    }

    fn scalar(&self, query: &sqlparser::ast::Query, scope: &Scope<'_>, ctes: &Ctes) -> Derivation {
        let shape = self.query(query, ctes, Some(scope));
        match shape.columns.as_slice() {
            [only] if shape.is_whole() => only.from.clone().by(Kind::Transformation),
            _ => Derivation::unsure(),
        }
    }

    /// `orders.address['city']`, `list[1].name`.
    fn field(&self, root: &Expr, chain: &[AccessExpr], scope: &Scope<'_>, ctes: &Ctes) -> Derivation {
        let mut path: Vec<String> = match root {
            Expr::Identifier(name) => vec![name.value.clone()],
            Expr::CompoundIdentifier(path) => path.iter().map(|part| part.value.clone()).collect(),
            _ => Vec::new(),
        };
        if !path.is_empty() {
            let dots = chain.iter().map_while(|access| match access {
                AccessExpr::Dot(Expr::Identifier(name)) => Some(name.value.clone()),
                _ => None,
            });
            path.extend(dots);
        }
        let mut from = match path.as_slice() {
            [] => self.expression(root, scope, ctes),
            [name] => scope.plain(name),
            several => scope.qualified_parts(several),
        };
        for access in chain {
            let indices = match access {
                AccessExpr::Subscript(Subscript::Index { index }) => vec![index],
                AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride }) => {
                    lower_bound.iter().chain(upper_bound).chain(stride).collect()
                }
                AccessExpr::Dot(_) => Vec::new(),
            };
            from = from.and(self.all(indices, scope, ctes));
        }
        from.by(Kind::Transformation)
    }

    fn function(&self, function: &Function, scope: &Scope<'_>, ctes: &Ctes) -> Derivation {
        let name = function.name.0.last().and_then(|part| part.as_ident());
        let name = name.map(|name| folded(&name.value)).unwrap_or_default();
        if name == "columns" {
            return Derivation { is_many: true, ..Derivation::unsure() };
        }
        let mut from = match &function.args {
            FunctionArguments::None => Derivation::nothing(),
            FunctionArguments::Subquery(query) => self.scalar(query, scope, ctes),
            FunctionArguments::List(list) => {
                let skipped = usize::from(
                    OF_DATE_PARTS.contains(&name.as_str())
                        && matches!(
                            list.args.first(),
                            Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(_))))
                        ),
                );
                let arguments = list.args.iter().skip(skipped);
                let each = arguments.map(|argument| self.argument(argument, scope, ctes));
                each.fold(Derivation::nothing(), Derivation::and)
            }
        };
        if !matches!(function.parameters, FunctionArguments::None) {
            from = from.and(Derivation::unsure());
        }
        from = from.and(self.all(function.within_group.iter().map(|order| &order.expr), scope, ctes));
        let is_aggregate = AGGREGATES.contains(&name.as_str()) && function.over.is_none();
        from = from.by(if is_aggregate { Kind::Aggregation } else { Kind::Transformation });
        let filter = self.all(function.filter.iter().map(AsRef::as_ref), scope, ctes);
        from = from.and(filter.by(Kind::Conditional));
        match &function.over {
            None => from,
            Some(over) => from.and(self.window(over, scope, ctes)),
        }
    }

    fn argument(&self, argument: &FunctionArg, scope: &Scope<'_>, ctes: &Ctes) -> Derivation {
        let (FunctionArg::Unnamed(value)
        | FunctionArg::Named { arg: value, .. }
        | FunctionArg::ExprNamed { arg: value, .. }) = argument;
        match value {
            FunctionArgExpr::Expr(expr) => self.expression(expr, scope, ctes),
            // `count(*)` counts rows.
            FunctionArgExpr::Wildcard => Derivation::nothing(),
            _ => Derivation::unsure(),
        }
    }

    fn window(&self, over: &WindowType, scope: &Scope<'_>, ctes: &Ctes) -> Derivation {
        let of = |spec: &WindowSpec| {
            let order = spec.order_by.iter().map(|order| &order.expr);
            self.all(spec.partition_by.iter().chain(order), scope, ctes)
        };
        let named =
            |name: &str| scope.windows.get(&folded(name)).map_or_else(Derivation::unsure, |spec| of(spec));
        let from = match over {
            WindowType::NamedWindow(name) => named(&name.value),
            WindowType::WindowSpec(spec) => {
                let base = spec.window_name.as_ref().map(|name| named(&name.value));
                base.unwrap_or_else(Derivation::nothing).and(of(spec))
            }
        };
        from.by(Kind::Window)
    }

    /// `x -> x + total`: what it takes from its list is that of the list, which is another argument.
    fn lambda(&self, lambda: &LambdaFunction, scope: &Scope<'_>, ctes: &Ctes) -> Derivation {
        let mut inner = Scope::within(Some(scope));
        let parameters = match &lambda.params {
            OneOrManyWithParens::One(one) => std::slice::from_ref(one),
            OneOrManyWithParens::Many(several) => several.as_slice(),
        };
        for parameter in parameters {
            inner.aliases.push((folded(&parameter.name.value), Derivation::nothing()));
        }
        self.expression(&lambda.body, &inner, ctes)
    }
}
