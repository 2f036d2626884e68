//! The metrics SQL: files of `sql/`, filled in.
//!
//! A file is a minijinja template, so that one statement can read the ledgers of any number of
//! environments. What goes in is a [`Name`] in quotes, a time or a number of ours: text from outside never.

use anyhow::{Context as _, Result};
use jiff::civil::DateTime;
use minijinja::{Environment, UndefinedBehavior, context};

use super::model::Window;
use crate::environment::{Name, REGISTRY};
use crate::warehouse::{Warehouse, literal, quote};

/// The files that hold for one engine only.
pub(super) struct Dialect {
    pub(super) tables: &'static str,
    /// How the engine writes the schema of an environment.
    pub(super) schema_case: fn(&str) -> String,
    /// The ledger's column `rows`, a reserved word on Snowflake.
    pub(super) rows_column: &'static str,
}

static DUCKDB: Dialect = Dialect {
    tables: include_str!("../../../sql/duckdb/metrics/tables.sql"),
    schema_case: str::to_owned,
    rows_column: "rows",
};

/// The dialect of a warehouse.
pub(super) fn dialect(_warehouse: &dyn Warehouse) -> &'static Dialect {
    &DUCKDB
}

/// The query log of DuckDB environments is a table of their ledgers.
pub(super) const FROM_QUERIES: &str = include_str!("../../../sql/duckdb/metrics/from_queries.sql");
pub(super) const QUERIES: &str = include_str!("../../../sql/duckdb/metrics/queries.sql");
pub(super) const QUERY_BOUNDS: &str = include_str!("../../../sql/duckdb/metrics/query_bounds.sql");

pub(super) const FROM_RUNS: &str = include_str!("../../../sql/metrics/from_runs.sql");
pub(super) const FROM_NODES: &str = include_str!("../../../sql/metrics/from_nodes.sql");
pub(super) const FROM_RELATIONS: &str = include_str!("../../../sql/metrics/from_relations.sql");
pub(super) const RELATIONS: &str = include_str!("../../../sql/metrics/relations.sql");
pub(super) const NODES: &str = include_str!("../../../sql/metrics/nodes.sql");
pub(super) const RUNS: &str = include_str!("../../../sql/metrics/runs.sql");
pub(super) const RUN_TOTALS: &str = include_str!("../../../sql/metrics/run_totals.sql");
pub(super) const RECOVERY: &str = include_str!("../../../sql/metrics/recovery.sql");
pub(super) const FRESHNESS: &str = include_str!("../../../sql/metrics/freshness.sql");
pub(super) const LIFETIME: &str = include_str!("../../../sql/metrics/lifetime.sql");
pub(super) const LATEST_RUN: &str = include_str!("../../../sql/metrics/latest_run.sql");
pub(super) const TESTS: &str = include_str!("../../../sql/metrics/tests.sql");

/// What the templates of one call have in common.
pub(super) struct Templates<'a> {
    dialect: &'a Dialect,
    /// Each in the two ways that a statement needs it: `quoted` and `literal`.
    schemas: Vec<minijinja::Value>,
    now: String,
}

impl<'a> Templates<'a> {
    pub(super) fn new(dialect: &'a Dialect, environments: &[Name], now: DateTime) -> Self {
        let schema = |name: &Name| context! { quoted => quote(&(dialect.schema_case)(name.as_str())), literal => literal(name.as_str()) };
        Self { dialect, schemas: environments.iter().map(schema).collect(), now: timestamp(now) }
    }

    /// The statement that lists what there is to read.
    pub(super) fn tables(dialect: &Dialect) -> Result<String> {
        let registry = literal(&(dialect.schema_case)(REGISTRY));
        render(dialect.tables, context! { registry })
    }

    /// A statement over the ledgers of all environments, about `window`.
    pub(super) fn fill(&self, template: &str, window: Window) -> Result<String> {
        let source = |from: &str| {
            render(from, context! { schemas => &self.schemas, rows_column => self.dialect.rows_column })
        };
        render(
            template,
            context! {
                queries => source(FROM_QUERIES)?,
                runs => source(FROM_RUNS)?,
                nodes => source(FROM_NODES)?,
                relations => source(FROM_RELATIONS)?,
                window_start => timestamp(window.start),
                window_end => timestamp(window.end),
                now => &self.now,
            },
        )
    }
}

/// A time as both engines read it.
pub(super) fn timestamp(time: DateTime) -> String {
    format!("cast('{}' as timestamp)", time.strftime("%F %T%.f"))
}

/// A template with its values. A name that the template misspells is an error, not an empty text.
pub(super) fn render(template: &str, values: minijinja::Value) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.render_str(template, values).with_context(|| {
        format!("failed to fill in the metrics SQL: {}", template.lines().next().unwrap_or_default())
    })
}

/// `prefix` and anything after it, as a pattern for `like … escape '^'`: `_` and `%` stand for themselves.
pub(super) fn like_prefix(prefix: &str) -> String {
    let mut pattern = String::new();
    for c in prefix.chars() {
        if matches!(c, '_' | '%' | '^') {
            pattern.push('^');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_in_a_prefix_stands_for_itself() {
        assert_eq!(like_prefix("issue_"), "issue^_%");
        assert_eq!(like_prefix("a%^b"), "a^%^^b%");
        assert_eq!(like_prefix(""), "%");
    }

    #[test]
    fn every_statement_can_be_filled_in() {
        let names: Vec<Name> = ["dev", "issue_42"].iter().map(|name| name.parse().expect("a name")).collect();
        let now: DateTime = "2026-03-08T12:30:00.5".parse().expect("a time");
        let templates = Templates::new(&DUCKDB, &names, now);
        let window = Window::ending(now, 7).expect("a window");
        let all = [
            QUERIES,
            QUERY_BOUNDS,
            RELATIONS,
            NODES,
            RUNS,
            RUN_TOTALS,
            RECOVERY,
            FRESHNESS,
            LIFETIME,
            LATEST_RUN,
            TESTS,
        ];
        for template in all {
            let sql = templates.fill(template, window).expect("filled in");
            assert!(!sql.contains("{{") && !sql.contains("{%"), "{sql}");
            assert!(sql.contains("\"issue_42\".ledger_"), "{sql}");
        }
        let sql = templates.fill(QUERIES, window).expect("filled in");
        assert!(sql.contains("start_time < cast('2026-03-08 12:30:00.5' as timestamp)"), "{sql}");
        assert!(render("{{ mispelt }}", context! {}).is_err());
    }
}
