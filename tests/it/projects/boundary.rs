//! Nothing is written outside the environment that was asked for.

use serde_json::json;

use super::tiny;
use crate::support::Ended;

const DATABASE: &str = ".xtask/warehouse";

#[test]
fn a_profile_that_names_another_schema_is_not_used() {
    let small = tiny(&[(
        "dbt/profiles.yml",
        "tiny:\n  target: local\n  outputs:\n    local: {type: duckdb, path: prod.duckdb, schema: prod}\n",
    )]);
    small.elt("issue_7").expect(0);
    assert!(!small.path("dbt/prod.duckdb").exists());
    let found = small.sql(
        DATABASE,
        "select table_catalog as s, table_name as t from information_schema.tables
         where table_name in ('s', 'a') order by all",
    );
    assert_eq!(found, [json!({"s": "issue_7", "t": "a"}), json!({"s": "issue_7", "t": "s"})]);
}

#[test]
fn a_schema_or_database_outside_the_environment_is_refused_before_anything_is_written() {
    let small = tiny(&[
        (
            "dbt/macros/schema.sql",
            "{% macro generate_schema_name(name, node) %}{{ name or target.schema }}{% endmacro %}",
        ),
        ("dbt/models/b.sql", "{{ config(schema='prod') }} select 1 as x\n"),
        ("dbt/models/c.sql", "{{ config(materialized='external', location='c.parquet') }} select 1 as x\n"),
        ("dbt/models/d.sql", "{{ config(database='elsewhere') }} select 1 as x\n"),
    ]);
    let ended = small.elt("issue_7").expect(2);
    for part in ["models/c.sql", "c.parquet", "models/d.sql", "elsewhere"] {
        assert!(ended.stderr.contains(part), "{part}\n{}", ended.stderr);
    }
    assert!(!ended.stderr.contains("models/a.sql"), "a is inside\n{}", ended.stderr);
    assert!(
        !ended.stderr.contains("models/b.sql"),
        "the schema prod in its file is inside\n{}",
        ended.stderr
    );
    assert!(!small.path("dbt/c.parquet").exists());
    let listed = small.run(&["schema", "list", "--format", "json"]).expect(0);
    assert!(!listed.stdout.contains("issue_7"), "no environment is left half-made\n{}", listed.stdout);

    // What is selected decides: the rest is not written.
    small.run(&["elt", "--schema", "issue_7", "--select", "a s b"]).expect(0);
    let found = small.sql(DATABASE, "select x from issue_7.prod.b");
    assert_eq!(found, [json!({"x": 1})]);

    // In one file for all environments, a schema is the boundary.
    let mut one_file = small.command(&["elt", "--schema", "issue_8"]);
    one_file.env("DBT_DUCKDB_PATH", small.path(".xtask/one.duckdb"));
    let ended = Ended::of(one_file).expect(2);
    for part in ["models/b.sql", "prod.b", "macro generate_schema_name"] {
        assert!(ended.stderr.contains(part), "{part}\n{}", ended.stderr);
    }
}

#[test]
fn external_models_are_written_to_the_folder_of_their_environment() {
    let small = tiny(&[("dbt/models/c.sql", "{{ config(materialized='external') }} select 1 as x\n")]);
    for schema in ["issue_7", "issue_8"] {
        small.elt(schema).expect(0);
        assert!(small.path(&format!(".xtask/warehouse.files/{schema}/c.parquet")).is_file());
    }
}

#[test]
fn a_relation_that_is_not_there_after_the_run_is_an_error() {
    let small = tiny(&[(
        "dbt/dbt_project.yml",
        "name: tiny\nprofile: tiny\non-run-end: 'drop view if exists {{ target.schema }}.a'\n",
    )]);
    let ended = small.elt("issue_7").expect(1);
    assert!(ended.stdout.contains("main.a does not exist"), "{}", ended.stdout);
    assert!(!small.is_up_to_date("issue_7"));
}

#[test]
fn a_python_model_that_imports_what_is_not_installed_is_told_where_to_name_it() {
    let model =
        "import not_installed_here\n\ndef model(dbt, session):\n    return session.sql('select 1 as x')\n";
    let small = tiny(&[("dbt/models/c.py", model)]);
    let ended = small.elt("issue_7").expect(1);
    assert!(ended.stdout.contains("No module named 'not_installed_here'"), "{}", ended.stdout);
    assert!(ended.stdout.contains("name it in requirements/local.in"), "{}", ended.stdout);
}
