//! The same project on dbt v1 and dbt v2: every relation is the same in rows, types, order of columns, constraints
//! and comments.

use serde_json::Value;

use super::{built, installed};
use crate::engines::{MAY_BE_EMPTY, assert_gold_is_the_same};
use crate::support::endpoint::Endpoint;
use crate::support::{BUILT, Checkout, Ended};

/// What a relation is, but for its rows.
fn described(checkout: &Checkout) -> Vec<Value> {
    let schema = format!("database_name = '{BUILT}'");
    let mut all = Vec::new();
    for sql in [
        format!("select table_name, comment, has_primary_key from duckdb_tables() where {schema} order by 1"),
        format!("select view_name, comment from duckdb_views() where {schema} order by 1"),
        format!(
            "select table_name, column_index, column_name, data_type, is_nullable, column_default, comment
             from duckdb_columns() where {schema} order by 1, 2"
        ),
        format!(
            "select table_name, constraint_type, constraint_text, expression, constraint_column_names
             from duckdb_constraints() where {schema} order by all"
        ),
        format!("select table_name, index_name, sql from duckdb_indexes() where {schema} order by all"),
    ] {
        all.extend(checkout.sql(&sql));
    }
    all
}

fn relations(checkout: &Checkout) -> Vec<String> {
    let sql = format!(
        "select table_name as name from information_schema.tables where table_catalog = '{BUILT}'
         and table_name not like 'ledger%' and table_name not like 'monitoring%' order by 1"
    );
    checkout.sql(&sql).iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn every_relation_is_the_same_on_both_engines() {
    let Some(folder) = installed() else { return };
    let (v1, v2) = (Checkout::built(), built(folder));
    let (ours, theirs) = (described(&v1), described(&v2));
    for (one, other) in ours.iter().zip(&theirs) {
        assert_eq!(one, other);
    }
    assert_eq!(ours.len(), theirs.len());
    let names = relations(&v1);
    assert!(names.len() >= 16, "{names:?}");
    assert_eq!(names, relations(&v2));
    for name in names {
        // In the order of the file too, if it is a table: two builds of the same inputs give the same bytes.
        let sql = format!("select * from {BUILT}.\"{name}\" order by all");
        let (ours, theirs) = (v1.sql(&sql), v2.sql(&sql));
        let may_be_empty = MAY_BE_EMPTY.contains(&name.as_str());
        assert!(may_be_empty || !ours.is_empty(), "{name} has no rows to compare");
        assert_eq!(ours, theirs, "{name}");
    }
}

/// Both name their nodes alike, except generic tests: the hash at the end of the identifier differs, and
/// dictionaries among the arguments come in alphabetical order on v2, in the name too.
#[test]
fn nodes_have_the_same_names_on_both_engines() {
    let Some(folder) = installed() else { return };
    let nodes = |checkout: &Checkout| {
        let sql = format!("select name, kind, layer, materialized, status, path from {BUILT}.ledger_nodes");
        let rows = checkout.sql(&sql);
        let mut nodes: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                let mut words: Vec<String> = row["name"].to_string().split('_').map(str::to_owned).collect();
                words.sort();
                let rest =
                    ["kind", "layer", "materialized", "status", "path"].map(|key| row[key].to_string());
                [rest.to_vec(), words].concat()
            })
            .collect();
        nodes.sort();
        nodes
    };
    let (v1, v2) = (nodes(&Checkout::built()), nodes(&built(folder)));
    for (one, other) in v1.iter().zip(&v2) {
        assert_eq!(one, other);
    }
    assert_eq!(v1.len(), v2.len());
    let docs =
        std::fs::read_to_string(crate::support::root().join("docs/engines.md")).expect("the documentation");
    assert!(
        docs.contains("**Identifiers of generic tests**") && docs.contains("**Order of `column_types`**")
    );
}

/// Built by dbt v2 at Snowflake's protocol, through the driver that it is given: all tests pass, and gold is what dbt v1
/// makes on DuckDB.
#[test]
fn gold_is_the_same_at_snowflake() {
    let Some(folder) = installed() else { return };
    let checkout = Checkout::built();
    let data = checkout.path("snowflake.duckdb");
    let endpoint = Endpoint::keeping(&data);
    let mut command = endpoint.command(&checkout, &["elt", "--schema", BUILT, "--format", "json"]);
    command
        .env("XTASK_DBT_DIR", folder)
        .env("XTASK_VENV", checkout.path("no such environment"))
        .env("PATH", super::only_git(&checkout));
    let report = Ended::of(command).expect(0).json();
    assert_eq!((&report["engine"], &report["target"]), (&"v2".into(), &"snowflake".into()));
    assert_eq!(report["totals"]["passed"], report["totals"]["tests"]);
    assert!(report["totals"]["tests"].as_u64() >= Some(80), "{}", report["totals"]);
    drop(endpoint);
    assert_gold_is_the_same(&checkout, &data);
}
