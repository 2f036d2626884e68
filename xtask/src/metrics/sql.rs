//! The metrics SQL: files of `sql/`, filled in.
//!
//! A file is a minijinja template, so that one statement can read the ledgers of any number of
//! environments. What goes in is a [`Name`] in quotes, a time or a number of ours: text from outside never.

use anyhow::{Context as _, Result};
use jiff::civil::DateTime;
use minijinja::{Environment, UndefinedBehavior, context};

use super::model::Window;
use crate::core::environment::{GATHERED, Name, REGISTRY};
use crate::ledger::Missing;
use crate::warehouse::{self, Table, Warehouse, literal};

/// What differs between engines in statements that are otherwise the same.
pub(super) struct Dialect {
    tables: &'static str,
    /// The ledger's column `rows`, a reserved word on Snowflake.
    rows_column: &'static str,
    /// A time without a zone, whatever the session makes of `timestamp`.
    timestamp_type: &'static str,
}

static DUCKDB: Dialect = Dialect {
    tables: include_str!("../../../sql/duckdb/metrics/tables.sql"),
    rows_column: "rows",
    timestamp_type: "timestamp",
};

static SNOWFLAKE: Dialect = Dialect {
    tables: include_str!("../../../sql/snowflake/metrics/tables.sql"),
    rows_column: "\"ROWS\"",
    timestamp_type: "timestamp_ntz",
};

/// The dialect of a warehouse.
pub(super) fn dialect(warehouse: &dyn Warehouse) -> &'static Dialect {
    match warehouse.dialect() {
        warehouse::Dialect::DuckDb => &DUCKDB,
        warehouse::Dialect::Snowflake => &SNOWFLAKE,
    }
}

/// Whether the engine keeps a log of all queries and what they cost; else the log is a table of each ledger.
pub(super) fn keeps_log(warehouse: &dyn Warehouse) -> bool {
    match warehouse.dialect() {
        warehouse::Dialect::DuckDb => false,
        warehouse::Dialect::Snowflake => true,
    }
}

/// The query log of DuckDB environments is a table of their ledgers.
pub(super) const FROM_QUERIES: &str = include_str!("../../../sql/duckdb/metrics/from_queries.sql");
pub(super) const QUERIES: &str = include_str!("../../../sql/duckdb/metrics/queries.sql");
pub(super) const QUERIES_AHEAD: &str = include_str!("../../../sql/duckdb/metrics/queries_ahead.sql");
pub(super) const LAST_QUERY: &str = include_str!("../../../sql/duckdb/metrics/last_query.sql");

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
pub(super) const SCHEMA_CHANGES: &str = include_str!("../../../sql/metrics/schema_changes.sql");
pub(super) const TEST_HISTORY: &str = include_str!("../../../sql/metrics/test_history.sql");
pub(super) const TESTS: &str = include_str!("../../../sql/metrics/tests.sql");

/// What the templates of one call have in common.
pub(super) struct Templates {
    dialect: &'static Dialect,
    /// The ledger of each environment: the names of its tables, and of itself as a text.
    schemas: Vec<minijinja::Value>,
    now: DateTime,
}

impl Templates {
    /// `missing` are the columns that some ledgers do not have: they are read as null.
    pub(super) fn new(
        warehouse: &dyn Warehouse,
        environments: &[Name],
        missing: &[Missing],
        now: DateTime,
    ) -> Self {
        let table = |name: &Name, table: &'static str| {
            let qualified = warehouse.qualified(&Table::new(name.as_str(), table));
            let of = missing.iter().filter(|each| each.schema == name.as_str() && each.table == table);
            let nulls: Vec<String> = of
                .map(|Missing { column, .. }| {
                    let kind = column.kind.sql(warehouse.timestamp_type());
                    format!(", cast(null as {kind}) as {}", warehouse.column(column.name))
                })
                .collect();
            if nulls.is_empty() {
                qualified
            } else {
                format!("(select *{} from {qualified})", nulls.concat())
            }
        };
        let schema = |name: &Name| {
            context! {
                runs => table(name, "ledger_runs"),
                nodes => table(name, "ledger_nodes"),
                queries => table(name, "ledger_queries"),
                relations => table(name, "ledger_relations"),
                literal => literal(name.as_str()),
                same_nodes => "",
                same_relations => "",
            }
        };
        Self { dialect: dialect(warehouse), schemas: environments.iter().map(schema).collect(), now }
    }

    /// Of ledgers that were brought together: the name of a row's environment is in its column `schema_name`, or in
    /// `of_environment` if the ledger's table has none.
    pub(super) fn gathered(warehouse: &dyn Warehouse, now: DateTime) -> Self {
        let table = |table: &'static str| warehouse.qualified(&Table::new(GATHERED, table));
        let all = context! {
            runs => table("ledger_runs"),
            nodes => table("ledger_nodes"),
            queries => table("ledger_queries"),
            relations => table("ledger_relations"),
            literal => "schema_name",
            same_nodes => "and nodes.of_environment = runs.schema_name",
            same_relations => "and relations.of_environment = runs.schema_name",
        };
        Self { dialect: dialect(warehouse), schemas: vec![all], now }
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
                window_start => self.dialect.timestamp(window.start),
                window_end => self.dialect.timestamp(window.end),
                before_start => self.dialect.timestamp(window.previous()?.start),
                before_end => self.dialect.timestamp(window.previous()?.end),
                now => self.dialect.timestamp(self.now),
            },
        )
    }
}

impl Dialect {
    /// The statement that lists the tables to read.
    pub(super) fn tables(&self, database: &str) -> Result<String> {
        render(self.tables, context! { registry => literal(REGISTRY), database })
    }

    /// A statement about the data that earlier calls stored in the registry.
    pub(super) fn registry(
        &self,
        template: &str,
        tables: &[(&str, String)],
        more: minijinja::Value,
    ) -> Result<String> {
        let tables = minijinja::Value::from_pairs(tables.iter().map(|(name, table)| (*name, table.clone())));
        render(template, context! { timestamp_type => self.timestamp_type, ..context! { ..tables, ..more } })
    }

    fn timestamp(&self, time: DateTime) -> String {
        format!("cast('{}' as {})", time.strftime("%F %T%.f"), self.timestamp_type)
    }
}

/// A template with its values. A name that the template misspells is an error, not an empty text.
pub(super) fn render(template: &str, values: minijinja::Value) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.render_str(template, values).with_context(|| {
        format!("failed to fill in the metrics SQL: {}", template.lines().next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::warehouse::duckdb::DuckDb;

    #[test]
    fn every_statement_can_be_filled_in() {
        let names: Vec<Name> = ["dev", "issue_42"].iter().map(|name| name.parse().expect("a name")).collect();
        let now: DateTime = "2026-03-08T12:30:00.5".parse().expect("a time");
        let warehouse = DuckDb::new(Path::new("duckdb"), Path::new("w.duckdb"));
        let templates = Templates::new(&warehouse, &names, &[], now);
        let window = Window::ending(now, 7).expect("a window");
        let all = [
            QUERIES,
            QUERIES_AHEAD,
            LAST_QUERY,
            RELATIONS,
            NODES,
            RUNS,
            RUN_TOTALS,
            RECOVERY,
            FRESHNESS,
            LIFETIME,
            LATEST_RUN,
            SCHEMA_CHANGES,
            TEST_HISTORY,
            TESTS,
        ];
        for template in all {
            let sql = templates.fill(template, window).expect("filled in");
            assert!(!sql.contains("{{") && !sql.contains("{%"), "{sql}");
            assert!(sql.contains("\"issue_42\".\"ledger_"), "{sql}");
        }
        let sql = templates.fill(QUERIES, window).expect("filled in");
        assert!(sql.contains("start_time < cast('2026-03-08 12:30:00.5' as timestamp)"), "{sql}");
        assert!(render("{{ mispelt }}", context! {}).is_err());
    }
}
