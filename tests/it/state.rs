//! The incremental state on real dbt and real DuckDB: what is built after a change, and that it is what a full
//! build makes.

mod changes;
mod columns;
mod known;
mod walk;

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::dbt_v2;
use crate::projects::{Small, tiny};
use crate::support::{self, Ended};

/// A project with every kind of node that can be compared with a full build.
const FILES: [(&str, &str); 14] = [
    ("dbt/seeds/items.csv", "id,v,kind\n1,10,a\n2,20,a\n3,30,b\n4,40,b\n"),
    ("dbt/macros/plus.sql", "{% macro plus() %}+ 1{% endmacro %}\n"),
    ("dbt/models/stg_items.sql", "select id, v {{ plus() }} as v, kind from {{ ref('items') }}\n"),
    (
        "dbt/models/light.sql",
        "{{ config(materialized='ephemeral') }} select * from {{ ref('stg_items') }} where v > 0\n",
    ),
    (
        "dbt/models/totals.sql",
        "{{ config(materialized='table') }} select kind, sum(v) as total, count(*) as n from {{ ref('light') }} group by kind\n",
    ),
    (
        "dbt/models/big.sql",
        "{{ config(materialized='table') }} select id::bigint as id, v::bigint as v from {{ ref('stg_items') }}\n",
    ),
    ("dbt/models/of_totals.sql", "select kind, total from {{ ref('totals') }}\n"),
    (
        "dbt/models/joined.sql",
        "{{ config(materialized='table') }} select b.id, t.total from {{ ref('big') }} as b cross join {{ ref('of_totals') }} as t\n",
    ),
    (
        "dbt/models/kept.sql",
        "{{ config(materialized='incremental', unique_key='id') }} select id, v from {{ ref('big') }}\n",
    ),
    (
        "dbt/models/leaf.sql",
        "{{ config(materialized='table') }} select max(total) as most from {{ ref('of_totals') }}\n",
    ),
    ("dbt/models/other.sql", "{{ config(materialized='table') }} select 1 as one\n"),
    (
        "dbt/models/last.sql",
        "{{ config(materialized='table') }} select one + 1 as two from {{ ref('other') }}\n",
    ),
    (
        "dbt/models/models.yml",
        "models:\n  - name: big\n    description: All items.\n    config: {contract: {enforced: true}, persist_docs: {relation: true, columns: true}}\n    \
         columns:\n      - {name: id, data_type: bigint, description: A number., constraints: [{type: not_null}], data_tests: [unique]}\n      \
         - {name: v, data_type: bigint}\n  - name: totals\n    columns: [{name: kind, data_tests: [not_null, unique]}]\n",
    ),
    ("dbt/tests/totals_are_whole.sql", "select * from {{ ref('totals') }} where total is null\n"),
];

/// A project that dbt v2 builds where it can be installed, since it starts ten times as fast, and dbt v1 elsewhere.
struct Project {
    small: Small,
    v2: Option<PathBuf>,
}

impl Project {
    fn new(more: &[(&str, &str)]) -> Self {
        let small = tiny(&[]);
        for path in ["dbt/seeds/s.csv", "dbt/models/a.sql"] {
            std::fs::remove_file(small.path(path)).expect("removed");
        }
        for (path, text) in FILES.iter().chain(more) {
            small.write(path, text);
        }
        Self { small, v2: dbt_v2::folder() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.small.command(args);
        if let Some(folder) = &self.v2 {
            command.env("XTASK_DBT_DIR", folder);
        }
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        Ended::of(self.command(args))
    }

    fn elt(&self, schema: &str, more: &[&str]) -> Value {
        self.run(&[&["elt", "--schema", schema, "--format", "json"], more].concat()).expect(0).json_of("elt")
    }

    /// What `--explain` says would be done: the names of nodes that are not left as they are.
    fn due(&self, schema: &str, more: &[&str]) -> Vec<String> {
        let report =
            self.run(&[&["elt", "--schema", schema, "--explain", "--format", "json"], more].concat());
        let report = report.expect(0).json_of("elt-explain");
        let nodes = report["nodes"].as_array().expect("nodes");
        let due = nodes.iter().filter(|node| node["action"] != "reuse");
        due.map(|node| node["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// The file that holds an environment.
    fn database(&self, schema: &str) -> PathBuf {
        let dry = self.run(&["elt", "--schema", schema, "--dry-run", "--force"]).expect(0).stdout;
        let (_, rest) = dry.split_once("DBT_DUCKDB_PATH=").expect("the place of the database");
        PathBuf::from(rest.split_whitespace().next().expect("a path").trim_matches('\''))
    }

    fn sql(&self, schema: &str, sql: &str) -> Vec<Value> {
        support::sql_in(&self.database(schema), sql)
    }
}

/// The names of nodes and tests of a report.
fn names(report: &Value) -> Vec<String> {
    let nodes = report["nodes"].as_array().expect("nodes");
    let names = nodes.iter().map(|node| node["name"].as_str().expect("a name").to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// All that can be compared of an environment: rows, columns with their types and order, constraints, comments,
/// the text of views.
fn picture(project: &Project, schema: &str) -> Vec<Vec<Value>> {
    let own = "where database_name = current_database() and schema_name = 'main'";
    let of_project = "not starts_with(table_name, 'ledger_') and table_name <> 'hist'";
    let file = project.database(schema);
    let ask = |sql: &str| support::sql_in(&file, sql);
    let tables = ask(&format!(
        "select table_name from duckdb_tables() {own} and {of_project} union all
         select view_name from duckdb_views() {own} and not starts_with(view_name, 'ledger_') order by 1"
    ));
    let mut all = vec![
        ask(&format!(
            "select table_name, column_name, column_index, data_type, is_nullable, column_default, comment
             from duckdb_columns() {own} and {of_project} order by 1, 3"
        )),
        ask(&format!(
            "select table_name, comment, sql from duckdb_tables() {own} and {of_project} order by 1"
        )),
        ask(&format!(
            "select view_name, comment, replace(sql, '{schema}', '') as sql from duckdb_views() {own}
             and not starts_with(view_name, 'ledger_') order by 1"
        )),
        ask(&format!(
            "select table_name, constraint_type, constraint_text, constraint_column_names
             from duckdb_constraints() {own} and {of_project} order by all"
        )),
    ];
    if !ask(&format!("from duckdb_tables() {own} and table_name = 'hist'")).is_empty() {
        all.push(ask(&format!("select id, v from {schema}.hist where dbt_valid_to is null order by all")));
    }
    for table in &tables {
        let name = table["table_name"].as_str().expect("a name");
        all.push(ask(&format!("select '{name}' as of_table, * from {schema}.\"{name}\" order by all")));
    }
    all.push(tables);
    all
}
