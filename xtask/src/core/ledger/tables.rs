//! The tables of the ledger and the registry: every column, once, with the version that brought it.
//!
//! The SQL files that create them, dbt's declaration of them as sources and the records that are written
//! are tested against this. A new column is one line here with `since` one above [`VERSION`] of today, the
//! same line in both `ledger.sql`, and [`VERSION`] raised: existing environments then get it from the next
//! command that writes, and commands that read take a ledger without it as one in which it is null.

use std::collections::BTreeSet;

use crate::core::sql::quote;

/// The version of the ledger that this toolkit writes. A ledger whose mark has no version is version 0.
pub(crate) const VERSION: u32 = 3;

/// What each version brought, for people; the columns themselves have it in `since`.
pub(crate) const CHANGES: [(u32, &str); 3] = [
    (1, "the mark and the registry keep the ledger's version"),
    (2, "runs record the columns of the relations that they measure"),
    (3, "the mark and the registry keep the dbt project that an environment belongs to"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Real,
    Boolean,
    /// UTC, without a zone.
    Time,
}

impl Kind {
    /// As both engines take it, but for times.
    pub(crate) fn sql(self, timestamp_type: &'static str) -> &'static str {
        match self {
            Self::Text => "varchar",
            Self::Integer => "bigint",
            Self::Real => "double",
            Self::Boolean => "boolean",
            Self::Time => timestamp_type,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// The version that brought it; what came later is never required, since older rows have none.
    pub(crate) since: u32,
}

const fn required(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, required: true, since: 0 }
}

const fn optional(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, required: false, since: 0 }
}

const fn added(since: u32, name: &'static str, kind: Kind) -> Column {
    Column { name, kind, required: false, since }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column],
}

use Kind::{Boolean, Integer, Real, Text, Time};

/// The columns of the ownership mark, which the registry keeps too.
const MARK_COLUMNS: &[Column] = &[
    required("schema_name", Text),
    required("kind", Text),
    optional("base", Text),
    optional("issue_number", Integer),
    optional("object_name", Text),
    required("created_at", Time),
    optional("created_by", Text),
    required("toolkit_version", Text),
    added(1, "ledger_version", Integer),
    added(3, "project", Text),
    added(3, "repository", Text),
    added(3, "repository_id", Text),
    added(3, "project_folder", Text),
];

/// The ledger of an environment, in the order of its file.
pub(crate) const LEDGER: [Definition; 5] = [
    Definition { name: super::MARK, columns: MARK_COLUMNS },
    Definition {
        name: "ledger_runs",
        columns: &[
            required("run_id", Text),
            required("schema_name", Text),
            required("started_at", Time),
            optional("finished_at", Time),
            required("status", Text),
            optional("seconds", Real),
            optional("dbt_seconds", Real),
            required("dbt_started", Boolean),
            required("up_to_date", Boolean),
            optional("fingerprint", Text),
            optional("selection", Text),
            required("full_refresh", Boolean),
            optional("git_commit", Text),
            optional("git_branch", Text),
            optional("git_dirty", Boolean),
            optional("triggered_by", Text),
            optional("run_url", Text),
            optional("dbt_version", Text),
            required("toolkit_version", Text),
            optional("message", Text),
        ],
    },
    Definition {
        name: "ledger_nodes",
        columns: &[
            required("run_id", Text),
            required("node_id", Text),
            required("name", Text),
            required("kind", Text),
            optional("layer", Text),
            optional("materialized", Text),
            required("status", Text),
            optional("started_at", Time),
            optional("seconds", Real),
            optional("rows", Integer),
            optional("failures", Integer),
            optional("message", Text),
            optional("path", Text),
        ],
    },
    Definition {
        name: "ledger_queries",
        columns: &[
            required("query_id", Text),
            required("run_id", Text),
            required("node_id", Text),
            required("query_type", Text),
            optional("database_name", Text),
            optional("schema_name", Text),
            optional("user_name", Text),
            optional("start_time", Time),
            optional("end_time", Time),
            optional("total_elapsed_time", Integer),
            required("execution_status", Text),
            optional("error_message", Text),
            optional("rows_produced", Integer),
            optional("query_tag", Text),
        ],
    },
    Definition {
        name: "ledger_relations",
        columns: &[
            required("run_id", Text),
            required("relation_name", Text),
            required("relation_type", Text),
            optional("layer", Text),
            optional("row_count", Integer),
            optional("bytes", Integer),
            required("measured_at", Time),
            added(2, "column_types", Text),
        ],
    },
];

/// The registry of environments.
pub(crate) const REGISTRY: [Definition; 3] = [
    Definition { name: "environments", columns: MARK_COLUMNS },
    Definition {
        name: "condemned",
        columns: &[required("schema_name", Text), required("reason", Text), required("noted_at", Time)],
    },
    Definition {
        name: "schemas",
        columns: &[
            required("schema_name", Text),
            required("environment", Text),
            required("created_at", Time),
        ],
    },
];

/// The columns of `definitions` that are missing from tables which exist with `found` (table and column).
pub(crate) fn missing<'a>(
    definitions: &'a [Definition],
    found: &BTreeSet<(String, String)>,
) -> Vec<(&'static str, &'a Column)> {
    let exists = |table: &str| found.iter().any(|(name, _)| name == table);
    let lacks = |table: &str, column: &&Column| !found.contains(&(table.to_owned(), column.name.to_owned()));
    definitions
        .iter()
        .filter(|definition| exists(definition.name))
        .flat_map(|definition| {
            let of = definition.columns.iter().filter(|column| lacks(definition.name, column));
            of.map(|column| (definition.name, column))
        })
        .collect()
}

/// The identifier of a column as DuckDB and dbt take it.
pub(crate) fn column(name: &str) -> String {
    if name == "rows" { quote(name) } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn file(path: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root");
        fs::read_to_string(root.join(path)).expect(path)
    }

    /// A table, and of each column its name, type and whether it is required.
    type Declared = (String, Vec<(String, String, bool)>);

    /// The `create table` statements of a file.
    fn declared(sql: &str) -> Vec<Declared> {
        let mut all: Vec<Declared> = Vec::new();
        for line in sql.lines().map(|line| line.split("--").next().unwrap_or_default().trim()) {
            if let Some(rest) = line.strip_prefix("create table if not exists ") {
                all.push((rest.trim_end_matches(" (").to_owned(), Vec::new()));
            } else if let (Some((_, columns)), Some((name, rest))) = (all.last_mut(), line.split_once(' ')) {
                let kind = rest.trim_end_matches(',').split(' ').next().unwrap_or_default();
                let required = rest.contains("not null") || rest.contains("primary key");
                let name = name.trim_matches('"').to_lowercase();
                columns.push((name, kind.to_owned(), required));
            }
        }
        all
    }

    fn defined(definitions: &[Definition], timestamp_type: &'static str) -> Vec<Declared> {
        let column = |column: &Column| {
            (column.name.to_owned(), column.kind.sql(timestamp_type).to_owned(), column.required)
        };
        let table = |table: &Definition| (table.name.to_owned(), table.columns.iter().map(column).collect());
        definitions.iter().map(table).collect()
    }

    #[test]
    fn the_sql_files_create_what_is_defined() {
        for (engine, timestamp_type) in [("duckdb", "timestamp"), ("snowflake", "timestamp_ntz")] {
            let sql = |name: &str| declared(&file(&format!("sql/{engine}/{name}.sql")));
            assert_eq!(sql("ledger"), defined(&LEDGER, timestamp_type), "{engine}");
            assert_eq!(sql("registry"), defined(&REGISTRY, timestamp_type), "{engine}");
        }
    }

    #[test]
    fn dbt_knows_the_tables_as_they_are_defined() {
        let sources = file("dbt/models/monitoring/__sources.yml");
        for table in ["ledger_nodes", "ledger_queries", "ledger_relations"] {
            let block = sources.split(&format!("- name: {table}\n")).nth(1).expect(table);
            let block = block.split("\n      - name:").next().expect("a block");
            let column = |line: &str| {
                let rest = line.trim().strip_prefix("- {name: ")?.trim_end_matches('}');
                let (name, rest) = rest.split_once(", data_type: ")?;
                Some((name.to_owned(), rest.split(',').next()?.to_owned()))
            };
            let documented: Vec<(String, String)> = block.lines().filter_map(column).collect();
            let of = LEDGER.iter().find(|definition| definition.name == table).expect(table);
            let columns = of.columns.iter();
            let defined: Vec<(String, String)> =
                columns.map(|each| (each.name.to_owned(), each.kind.sql("timestamp").to_owned())).collect();
            assert_eq!(documented, defined, "{table}");
        }
    }

    #[test]
    fn what_came_later_is_not_required_and_every_version_says_what_it_brought() {
        let all = LEDGER.iter().chain(&REGISTRY).flat_map(|table| table.columns);
        for column in all {
            assert!(column.since == 0 || !column.required, "{}", column.name);
            assert!(column.since <= VERSION, "{}", column.name);
        }
        let versions: Vec<u32> = CHANGES.iter().map(|(version, _)| *version).collect();
        assert_eq!(versions, (1..=VERSION).collect::<Vec<_>>());
    }

    #[test]
    fn only_columns_of_tables_that_exist_are_missing() {
        let found: BTreeSet<(String, String)> = REGISTRY[1].columns[..2]
            .iter()
            .map(|column| ("condemned".to_owned(), column.name.to_owned()))
            .collect();
        let lacking: Vec<&str> = missing(&REGISTRY, &found).iter().map(|(_, column)| column.name).collect();
        assert_eq!(lacking, ["noted_at"]);
    }
}
