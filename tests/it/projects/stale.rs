//! "Up to date" is only said of what a new build would leave as it is: each of these once was.

use std::fs;

use super::{Small, tiny};
use crate::support::Ended;

const DATABASE: &str = ".xtask/warehouse";

/// A project that was just built, and is up to date.
fn built(more: &[(&str, &str)]) -> Small {
    let small = tiny(more);
    small.elt("issue_1").expect(0);
    assert!(small.is_up_to_date("issue_1"), "nothing has changed since");
    small
}

#[track_caller]
fn assert_stale(small: &Small, why: &str) {
    assert!(!small.is_up_to_date("issue_1"), "{why}");
}

#[test]
fn edits_of_files_are_seen_wherever_dbt_reads_them() {
    let small = built(&[
        ("shared/macros/rate.sql", "{% macro rate() %}1{% endmacro %}"),
        ("shared/dbt_project.yml", "name: shared\nversion: '1.0'\n"),
        ("dbt/packages.yml", "packages:\n  - local: ../shared\n"),
        ("dbt/models/rates.sql", "select {{ shared.rate() }} as rate"),
        ("files/x.csv", "a\n1\n"),
        ("dbt/models/outside.sql", "select * from read_csv('../files/x.csv')"),
    ]);

    small.write("dbt/models/logs/b.sql", "select 1 as x");
    assert_stale(&small, "a model in a folder named like one that dbt writes");
    fs::remove_dir_all(small.path("dbt/models/logs")).unwrap();
    assert!(small.is_up_to_date("issue_1"));

    small.write("shared/macros/rate.sql", "{% macro rate() %}2{% endmacro %}");
    assert_stale(&small, "a local package, which dbt reads through a symbolic link");
    small.write("shared/macros/rate.sql", "{% macro rate() %}1{% endmacro %}");

    small.write("files/x.csv", "a\n2\n");
    assert_stale(&small, "a file that a model reads");
    small.write("files/x.csv", "a\n1\n");
    assert!(small.is_up_to_date("issue_1"));

    for (path, text) in [
        ("dbt/README.md", "x"),
        ("dbt/.user.yml", "id: x"),
        ("dbt/models/README.md", "x"),
        ("README.md", "x"),
    ] {
        small.write(path, text);
        assert!(small.is_up_to_date("issue_1"), "{path} is not an input");
    }
}

#[test]
fn variables_that_the_project_reads_are_seen_whatever_their_names() {
    let small = built(&[("dbt/models/r.sql", "select '{{ env_var('RATE', 'none') }}' as rate")]);
    let mut command = small.command(&["elt", "--schema", "issue_1", "--dry-run", "--format", "json"]);
    command.env("RATE", "5");
    assert_eq!(Ended::of(command).expect(0).json()["up_to_date"], false);
    let mut command = small.command(&["elt", "--schema", "issue_1", "--dry-run", "--format", "json"]);
    command.env("OTHER", "5");
    assert_eq!(Ended::of(command).expect(0).json()["up_to_date"], true);
}

#[test]
fn changes_of_the_data_are_seen_whoever_made_them() {
    let small =
        built(&[("dbt/models/c.sql", "{{ config(schema='raw', materialized='table') }} select 1 as x")]);
    for (sql, why) in [
        ("create or replace view issue_1.a as select 42 as x", "another view"),
        ("update issue_1.s set v = v * 100", "the same number of rows"),
        ("update issue_1.main_raw.c set x = 2", "a table in another schema of the environment"),
        ("drop schema issue_1.main_raw cascade", "a schema that is missing"),
    ] {
        small.sql(DATABASE, sql);
        assert_stale(&small, why);
        small.elt("issue_1").expect(0);
        assert!(small.is_up_to_date("issue_1"), "{why}: built again");
    }
}

#[test]
fn a_project_in_the_root_is_up_to_date_after_its_build() {
    let small = Small::new(&[
        ("dbt_project.yml", super::PROJECT),
        ("seeds/s.csv", "id,v\n1,10\n"),
        ("models/a.sql", "select * from {{ ref('s') }}\n"),
    ]);
    let ended = small.elt("issue_1").expect(0);
    assert!(ended.stdout.contains(".xtask/warehouse/issue_1.duckdb"), "{}", ended.stdout);
    assert!(small.is_up_to_date("issue_1"));
    small.write("models/a.sql", "select id from {{ ref('s') }}\n");
    assert_stale(&small, "a model");
}
