//! A second parser, asked before SQL counts as broken: sqruff's grammars lack some of what warehouses accept.
//!
//! `sql-parse` is a fact only if two independent parsers refuse the text. If one of them accepts it, the file counts as
//! not fully checked instead.

use sqlparser::dialect::{
    AnsiDialect, BigQueryDialect, ClickHouseDialect, DatabricksDialect, Dialect, DuckDbDialect,
    GenericDialect, HiveDialect, MsSqlDialect, MySqlDialect, OracleDialect, PostgreSqlDialect,
    RedshiftSqlDialect, SQLiteDialect, SnowflakeDialect,
};
use sqlparser::parser::Parser;

/// How deep SQL may be nested here.
const DEEPEST: usize = 200;

/// The dialects that are tried if none is given: those of dbt's adapters.
const OF_ADAPTERS: [&str; 9] =
    ["snowflake", "bigquery", "databricks", "postgres", "redshift", "duckdb", "clickhouse", "tsql", "mysql"];

/// Whether the second parser reads `text` in the dialect that sqlfluff calls `dialect`.
pub(super) fn accepts(text: &str, dialect: &str) -> bool {
    let dialect: &dyn Dialect = match dialect {
        "ansi" => &AnsiDialect {},
        "bigquery" => &BigQueryDialect {},
        "clickhouse" => &ClickHouseDialect {},
        "databricks" | "sparksql" => &DatabricksDialect {},
        "duckdb" => &DuckDbDialect {},
        "hive" | "impala" => &HiveDialect {},
        "tsql" => &MsSqlDialect {},
        "mysql" | "mariadb" | "doris" | "starrocks" => &MySqlDialect {},
        "oracle" => &OracleDialect {},
        "postgres" | "greenplum" | "materialize" => &PostgreSqlDialect {},
        "redshift" => &RedshiftSqlDialect {},
        "sqlite" => &SQLiteDialect {},
        "snowflake" => &SnowflakeDialect {},
        _ => &GenericDialect {},
    };
    let parser = Parser::new(dialect).with_recursion_limit(DEEPEST).try_with_sql(text);
    parser.and_then(|mut parser| parser.parse_statements()).is_ok()
}

/// The dialect of one of dbt's adapters in which the second parser reads `text`.
pub(super) fn accepting(text: &str) -> Option<&'static str> {
    OF_ADAPTERS.into_iter().find(|dialect| accepts(text, dialect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_warehouse_accepts_is_accepted_and_broken_sql_is_not() {
        for (text, dialect) in [
            ("select a, from t", "duckdb"),
            ("select * except (a) from t qualify row_number() over (partition by b) = 1", "bigquery"),
            ("select a:b::string from t", "snowflake"),
        ] {
            assert!(accepts(text, dialect), "{dialect}: {text}");
        }
        for text in
            ["selec a from t", "select a from", "select 'a's as b", "select count(* from t", "select a b c"]
        {
            assert_eq!(accepting(text), None, "{text}");
        }
    }
}
