//! Changes that only a real warehouse shows: by hand, by plain dbt, by a killed run, in a copy.

use super::{FILES, Project, names, picture};
use crate::secrets::git;

#[test]
fn what_was_changed_by_hand_is_built_again_and_nothing_else() {
    let project = Project::new(&[]);
    project.elt("issue_1", &[]);
    assert_eq!(project.due("issue_1", &[]), Vec::<String>::new());
    let before = picture(&project, "issue_1");
    for (sql, built) in [
        ("update issue_1.totals set n = n + 1 where kind = 'a'", "totals"),
        ("delete from issue_1.totals where kind = 'a'", "totals"),
        ("drop table issue_1.last", "last"),
        ("create or replace view issue_1.of_totals as select 'x' as kind, 1 as total", "of_totals"),
        ("alter table issue_1.big alter column id drop not null", "big"),
        ("update issue_1.items set v = 0 where id = 1", "items"),
        ("update issue_1.kept set v = 0 where id = 1", "kept"),
        ("delete from issue_1.kept where id = 2", "kept"),
    ] {
        project.sql("issue_1", sql);
        let report = project.elt("issue_1", &[]);
        let nodes = report["nodes"].as_array().expect("nodes");
        let tests = nodes.iter().filter(|node| node["kind"] == "test").map(|node| &node["name"]);
        let tests: Vec<&serde_json::Value> = tests.collect();
        let models: Vec<String> =
            names(&report).into_iter().filter(|name| !tests.iter().any(|test| *test == name)).collect();
        assert_eq!(models, [built], "{sql}");
        assert_eq!(picture(&project, "issue_1"), before, "{sql}");
    }
}

#[test]
fn children_follow_only_if_the_data_changed() {
    let project = Project::new(&[]);
    project.elt("issue_1", &[]);
    let totals = FILES.iter().find(|(path, _)| path.ends_with("totals.sql")).expect("a model").1;
    project.small.write("dbt/models/totals.sql", totals.replace("sum(v)", "sum(v + 0)"));
    let report = project.elt("issue_1", &[]);
    assert_eq!(names(&report), ["not_null_totals_kind", "totals", "totals_are_whole", "unique_totals_kind"]);
    let reused = report["reused"].as_array().expect("reused");
    assert!(reused.iter().any(|node| node["name"] == "leaf" && node["status"] == "reused"), "{report:#}");

    project.small.write("dbt/models/totals.sql", totals.replace("sum(v)", "sum(v) + 1"));
    let report = project.elt("issue_1", &[]);
    for name in ["totals", "joined", "leaf"] {
        assert!(names(&report).iter().any(|other| other == name), "{name}: {report:#}");
    }
    assert!(!names(&report).iter().any(|name| name == "last"), "{report:#}");
}

#[test]
fn a_selection_leaves_the_rest_as_it_is() {
    let project = Project::new(&[]);
    project.elt("issue_1", &[]);
    project.small.write("dbt/macros/plus.sql", "{% macro plus() %}+ 2{% endmacro %}\n");
    project.small.write("dbt/models/other.sql", "{{ config(materialized='table') }} select 5 as one\n");
    let report = project.elt("issue_1", &["--select", "other"]);
    assert_eq!(names(&report), ["other"]);
    let due = project.due("issue_1", &[]);
    assert!(due.iter().any(|name| name == "stg_items"), "the rest is not current: {due:?}");
    assert!(due.iter().any(|name| name == "last"), "what reads it has other data: {due:?}");
}

#[test]
fn a_selection_that_only_dbt_understands_leaves_the_rest_as_it_is() {
    let project = Project::new(&[]);
    project.elt("issue_1", &[]);
    let none = project.run(&["elt", "--schema", "issue_1", "--select", "no_such_model"]).expect(2);
    assert!(
        none.stdout.is_empty() && none.stderr.contains("no_such_model"),
        "{} {}",
        none.stdout,
        none.stderr
    );
    assert_eq!(project.due("issue_1", &[]), Vec::<String>::new());
    let report = project.elt("issue_1", &["--select", "no_such_model other"]);
    assert_eq!(names(&report), ["other"]);
    assert_eq!(project.due("issue_1", &[]), Vec::<String>::new());
}

#[test]
fn a_relation_whose_node_is_gone_is_listed_and_removed() {
    let project = Project::new(&[]);
    project.elt("issue_1", &[]);
    project.sql("issue_1", "create table issue_1.mine as select 1 as a");
    std::fs::rename(project.small.path("dbt/models/last.sql"), project.small.path("dbt/models/final.sql"))
        .expect("renamed");
    // A model that takes the name, and a run that fails after the removal: what is gone is gone before anything is built.
    project.small.write(
        "dbt/models/other.sql",
        "{{ config(materialized='table') }} select 1 as one, error('no') as e\n",
    );
    let explained = project.run(&["elt", "--schema", "issue_1", "--explain"]).expect(0).stdout;
    assert!(explained.starts_with("remove  main.last"), "{explained}");
    project.run(&["elt", "--schema", "issue_1"]).expect(1);
    assert_eq!(project.sql("issue_1", "from duckdb_tables() where table_name = 'last'").len(), 0);
    let other = FILES.iter().find(|(path, _)| path.ends_with("other.sql")).expect("a model").1;
    project.small.write("dbt/models/other.sql", other);
    let explained = project.run(&["elt", "--schema", "issue_1", "--explain"]).expect(0).stdout;
    assert!(!explained.contains("mine"), "{explained}");
    let report = project.elt("issue_1", &[]);
    assert!(names(&report).contains(&"final".to_owned()), "{report:#}");
    let left = project.sql(
        "issue_1",
        "select table_name as t from duckdb_tables() where schema_name = 'main' and table_name in ('last', 'final', 'mine') order by 1",
    );
    assert_eq!(left, [serde_json::json!({"t": "final"}), serde_json::json!({"t": "mine"})]);
}

#[test]
fn a_new_environment_builds_only_what_differs_from_its_base() {
    let project = Project::new(&[]);
    project.elt("issue_1", &[]);
    project.small.write(
        "dbt/models/last.sql",
        "{{ config(materialized='table') }} select one + 3 as two from {{ ref('other') }}\n",
    );
    let report = project.elt("issue_2", &["--base", "issue_1"]);
    let built = names(&report);
    assert!(built.iter().any(|name| name == "last"), "{built:?}");
    for name in ["items", "big", "totals", "joined", "kept", "leaf", "other", "of_totals", "stg_items"] {
        assert!(!built.iter().any(|other| other == name), "{name}: {built:?}");
    }
    project.elt("issue_3", &["--base", "none"]);
    assert_eq!(blank(&picture(&project, "issue_2")), blank(&picture(&project, "issue_3")));
    assert_eq!(project.due("issue_2", &[]), Vec::<String>::new());
    project.run(&["schema", "drop", "--schema", "issue_1"]).expect(0);
    project.sql("issue_2", "from issue_2.of_totals");
}

#[test]
fn views_that_may_go_on_reading_the_base_are_rebuilt() {
    let project = Project::new(&[]);
    // The name of the base outside of a relation's name: how the view was meant is not known.
    project.small.write("dbt/models/origin.sql", "select 'issue_1' as origin, one from {{ ref('other') }}\n");
    project.elt("issue_1", &[]);
    let report = project.elt("issue_2", &["--base", "issue_1"]);
    let built = names(&report);
    for name in ["origin", "of_totals", "stg_items"] {
        assert!(built.iter().any(|other| other == name), "{name}: {built:?}");
    }
    assert!(!built.iter().any(|name| name == "totals"), "{built:?}");
    project.elt("issue_3", &["--base", "none"]);
    assert_eq!(blank(&picture(&project, "issue_2")), blank(&picture(&project, "issue_3")));
}

fn blank(picture: &[Vec<serde_json::Value>]) -> String {
    format!("{picture:#?}").replace("issue_2", "X").replace("issue_3", "X")
}

#[test]
fn a_changed_incremental_model_is_handled_as_the_policy_says() {
    let project = Project::new(&[]);
    project.elt("dev", &[]);
    let kept = FILES.iter().find(|(path, _)| path.ends_with("kept.sql")).expect("a model").1;
    project.small.write("dbt/models/kept.sql", kept.replace("select id, v", "select id, v + 1 as v"));
    let stopped = project.run(&["elt", "--schema", "dev"]).expect(1);
    assert!(stopped.stdout.contains("--full-refresh --select \"kept\""), "{}", stopped.stdout);
    let low = |project: &Project| project.sql("dev", "select min(v) as v from dev.kept")[0]["v"].clone();
    assert_eq!(low(&project), 11, "nothing was built");

    project.small.write("policies/environments.toml", "[incremental]\nchanged = \"full-refresh\"\n");
    project.sql("dev", "insert into dev.kept values (99, 0)");
    project.elt("dev", &[]);
    assert_eq!(low(&project), 12, "built from nothing");

    // Rows that something else has changed are no different.
    project.sql("dev", "update dev.kept set v = 1");
    project.elt("dev", &[]);
    assert_eq!(low(&project), 12, "built from nothing");
    project.small.write("policies/environments.toml", "[incremental]\nchanged = \"stop\"\n");
    project.sql("dev", "update dev.kept set v = 1");
    let stopped = project.run(&["elt", "--schema", "dev"]).expect(1);
    assert!(stopped.stdout.contains("main.kept was changed by something else"), "{}", stopped.stdout);
}

#[test]
fn what_an_older_toolkit_noted_of_tables_is_no_change_of_an_incremental_model() {
    let project = Project::new(&[]);
    project.elt("dev", &[]);
    // Its tokens were made from something else.
    project.sql("dev", "update dev.ledger_state set witness = substr(witness, 3)");
    let built = names(&project.elt("dev", &[]));
    assert!(built.contains(&"big".to_owned()) && !built.contains(&"kept".to_owned()), "{built:?}");
    assert_eq!(project.due("dev", &[]), Vec::<String>::new());

    project.sql("dev", "update dev.ledger_state set witness = substr(witness, 3)");
    project.sql("dev", "update dev.kept set v = 1");
    let stopped = project.run(&["elt", "--schema", "dev"]).expect(1);
    assert!(stopped.stdout.contains("main.kept was changed by something else"), "{}", stopped.stdout);
}

#[test]
fn nodes_on_which_the_base_has_moved_are_shown_apart() {
    let project = Project::new(&[]);
    let git = |args: &[&str]| git(&project.small.path(""), args);
    project.small.write(".gitignore", "target/\nlogs/\n.xtask/\n.venv/\n");
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "-m", "first"]);
    git(&["branch", "mine"]);
    let last = "{{ config(materialized='table') }} select one + 2 as two from {{ ref('other') }}\n";
    project.small.write("dbt/models/last.sql", last);
    git(&["commit", "--quiet", "--all", "-m", "the base moves on"]);
    project.elt("dev", &[]);

    git(&["checkout", "--quiet", "mine"]);
    let leaf = FILES.iter().find(|(path, _)| path.ends_with("leaf.sql")).expect("a model").1;
    project.small.write("dbt/models/leaf.sql", leaf.replace("max(total)", "min(total)"));
    let explain = ["elt", "--schema", "issue_1", "--base", "dev", "--explain"];
    let report = project.run(&[&explain[..], &["--format", "json"]].concat()).expect(0).json();
    let of = |name: &str| {
        let nodes = report["nodes"].as_array().expect("nodes").iter();
        nodes.filter(|node| node["name"] == name).map(|node| &node["base_is_ahead"]).next().expect("a node")
    };
    assert_eq!((of("last"), of("leaf"), of("other")), (&true.into(), &false.into(), &false.into()));
    assert_eq!(report["base"], "dev");
    let text = project.run(&explain).expect(0).stdout;
    assert!(text.contains("ahead   dev is ahead: 1 node differs that this branch did not touch"), "{text}");
}

#[test]
fn a_model_may_lag_behind_its_parents() {
    let project = Project::new(&[]);
    let lagging = "{{ config(materialized='table', meta={'lag_tolerance': '1d'}) }} select max(total) as most from {{ ref('of_totals') }}\n";
    project.small.write("dbt/models/leaf.sql", lagging);
    project.elt("dev", &[]);
    project.small.write("dbt/seeds/items.csv", "id,v,kind\n1,10,a\n2,21,a\n3,30,b\n4,40,b\n");
    let built = names(&project.elt("dev", &[]));
    assert!(built.contains(&"joined".to_owned()) && !built.contains(&"leaf".to_owned()), "{built:?}");
    let text = project.run(&["elt", "--schema", "dev", "--explain"]).expect(0).stdout;
    assert!(text.contains("lag     model leaf (models/leaf.sql): it lags behind its parents"), "{text}");
}
