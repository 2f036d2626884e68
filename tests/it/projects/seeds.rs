//! Seeds that are loaded as something else than they say are errors that name file and line.

use super::tiny;
use crate::support;

const DATABASE: &str = ".xtask/warehouse";

#[test]
fn a_folder_of_seeds_is_refused_where_nothing_would_read_it() {
    let small = tiny(&[("other seeds/s.csv", "id,v\n9,999\n")]);
    let ended = small.run(&["elt", "--schema", "issue_1", "--seeds", "other seeds"]).expect(2);
    assert!(ended.stderr.contains("--seeds") && ended.stderr.contains("DBT_SEED_DIR"), "{}", ended.stderr);
    assert!(!small.path(DATABASE).join("issue_1.duckdb").exists());
}

#[test]
fn a_seed_that_is_not_utf_8_is_named() {
    let small = tiny(&[]);
    small.write("dbt/seeds/l.csv", b"id,name\n1,M\xfcller\n");
    let ended = small.elt("issue_1").expect(2);
    assert!(ended.stderr.contains("l.csv, line 2: not UTF-8"), "{}", ended.stderr);
    let ended = small.run(&["lint", "dbt/seeds"]);
    assert!(
        ended.stdout.contains("l.csv") && ended.stdout.contains("UTF-8"),
        "{}\n{}",
        ended.stdout,
        ended.stderr
    );
}

/// dbt's own loader puts the path between quotes into SQL.
#[test]
fn a_path_of_seeds_with_quotes_and_spaces_is_read_or_refused() {
    let small = tiny(&[]);
    small.write(
        "dbt/dbt_project.yml",
        "name: p\nversion: '1.0'\nprofile: x\nflags: {send_anonymous_usage_stats: false}\n\
         seed-paths: [seeds, 'more \"of\" them']\n",
    );
    small.write("dbt/more \"of\" them/t.csv", "id\n1\n");
    small.elt("issue_1").expect(0);
    let rows = small.sql(DATABASE, "select count(*) as n from issue_1.t");
    assert_eq!(rows, [serde_json::json!({"n": 1})]);
    for (path, part) in
        [("it's mine/u.csv", "with ' in it"), ("a b.csv", "as a_b.csv"), ("say\"x\".csv", "as say_x_.csv")]
    {
        let file = format!("dbt/seeds/{path}");
        small.write(&file, "id\n1\n");
        let refused = small.elt("issue_2").expect(2).stderr;
        assert!(refused.contains(path) && refused.contains(part), "{refused}");
        std::fs::remove_file(small.path(&file)).expect("removed");
    }
    assert!(!small.path(DATABASE).join("issue_2.duckdb").exists());

    // The toolkit's macro doubles the quotes, in the project and in another folder.
    let text = std::fs::read(support::root().join("dbt/macros/seed_duckdb.sql")).expect("a macro");
    let project = std::fs::read_to_string(small.path("dbt/dbt_project.yml")).expect("the project");
    small.write("dbt/dbt_project.yml", project.replace("name: p", "name: logistics"));
    small.write("dbt/macros/seed_duckdb.sql", text);
    small.write("dbt/seeds/it's mine/u.csv", "id\n1\n2\n");
    small.elt("issue_3").expect(0);
    let rows = small.sql(DATABASE, "select count(*) as n from issue_3.u");
    assert_eq!(rows, [serde_json::json!({"n": 2})]);
    for name in ["s", "t", "u"] {
        small.write(&format!("it's \"elsewhere\"/{name}.csv"), "id,v\n7,8\n");
    }
    small.run(&["elt", "--schema", "issue_4", "--seeds", "it's \"elsewhere\""]).expect(0);
    let rows = small.sql(DATABASE, "select id from issue_4.u");
    assert_eq!(rows, [serde_json::json!({"id": 7})]);
}

/// The toolkit's own macro, on seeds without `column_types`.
#[test]
fn the_seed_macro_never_bends_a_file() {
    let small = tiny(&[]);
    small.write(
        "dbt/dbt_project.yml",
        "name: logistics\nversion: '1.0'\nprofile: x\nflags: {send_anonymous_usage_stats: false}\n",
    );
    for name in ["seed_duckdb.sql", "seed_snowflake.sql"] {
        let text = std::fs::read(support::root().join("dbt/macros").join(name)).expect("a macro");
        small.write(&format!("dbt/macros/{name}"), text);
    }
    for (text, part) in [
        ("id,name\n1,a\n2,b\n3,c,d\n", "4"),
        ("a,b\n1\n2,3,4\n", "2"),
        ("", "empty"),
        ("a\n9223372036854775808\n12345678901234567890123\n", "line 2"),
        ("a,b\n0.1,1e3\n12345678901234567890.123456789,2E-5\n", "line 3"),
    ] {
        small.write("dbt/seeds/s.csv", text);
        let ended = small.elt("issue_1").expect(1);
        assert!(ended.stdout.contains("s.csv") && ended.stdout.contains(part), "{text:?}\n{}", ended.stdout);
    }
    small.write("dbt/seeds/s.csv", "id,rate,day,name\n1,0.5,2026-01-01,\"it's, quoted\"\n2,1e3,,\n");
    small.elt("issue_1").expect(0);
    let types = small
        .sql(DATABASE, "select typeof(id) as i, typeof(rate) as r, typeof(day) as d from issue_1.s limit 1");
    assert_eq!(types, [serde_json::json!({"i": "BIGINT", "r": "DOUBLE", "d": "DATE"})]);
}
