//! Cut-off by column: what can read none of the columns that changed is left alone.

use serde_json::Value;

use super::{Project, names, picture};

/// A parent with a new column, and what reads it in ways that differ in what they can read.
#[test]
fn a_new_column_builds_only_what_can_read_it() {
    let wide = "{{ config(materialized='table') }} select id, v, kind from {{ ref('items') }}\n";
    let project = Project::new(&[
        ("dbt/models/wide.sql", wide),
        (
            "dbt/models/by_name.sql",
            "{{ config(materialized='table') }} with w as (select * from {{ ref('wide') }}), \
             f as (select kind, sum(v) as total from w group by kind) select * from f\n",
        ),
        (
            "dbt/models/after_it.sql",
            "{{ config(materialized='table') }} select total from {{ ref('by_name') }}\n",
        ),
        ("dbt/models/by_star.sql", "{{ config(materialized='table') }} select * from {{ ref('wide') }}\n"),
        (
            "dbt/models/by_row.sql",
            "{{ config(materialized='table') }} select hash(w) as h from {{ ref('wide') }} as w\n",
        ),
        ("dbt/models/by_view.sql", "select id from {{ ref('wide') }}\n"),
        (
            "dbt/models/by_extra.sql",
            "{{ config(materialized='table') }} select id as extra from {{ ref('wide') }}\n",
        ),
        (
            "dbt/models/by_macro.sql",
            "{{ config(materialized='table') }} select {% for c in adapter.get_columns_in_relation(ref('wide')) %}{{ c.name }}, {% endfor %}1 as one from {{ ref('wide') }}\n",
        ),
    ]);
    project.elt("issue_2", &[]);
    let of_interest = |report: &Value| -> Vec<String> {
        names(report).into_iter().filter(|name| name.starts_with("by_") || name == "after_it").collect()
    };

    // A column more.
    project.small.write("dbt/models/wide.sql", wide.replace("select id", "select 1 as extra, id"));
    let report = project.elt("issue_2", &[]);
    assert_eq!(of_interest(&report), ["by_extra", "by_macro", "by_row", "by_star", "by_view"], "{report:#}");
    assert_eq!(project.due("issue_2", &[]), Vec::<String>::new(), "what was left alone is current");

    // A column that only some read changes; types count.
    project.small.write("dbt/models/wide.sql", wide.replace("select id", "select 1 as extra, id + 1 as id"));
    let report = project.elt("issue_2", &[]);
    assert_eq!(of_interest(&report), ["by_extra", "by_macro", "by_row", "by_star", "by_view"], "{report:#}");
    project.small.write("dbt/models/wide.sql", wide.replace("v,", "v::smallint as v,"));
    let report = project.elt("issue_2", &[]);
    assert!(of_interest(&report).contains(&"by_name".to_owned()), "{report:#}");

    // Values that two rows exchange, and a row more.
    for (changed, is_read) in [
        (
            "select id, v::smallint as v, case id when 1 then 'b' when 3 then 'a' else kind end as kind from {{ ref('items') }}",
            true,
        ),
        ("select id, v::smallint as v, kind from {{ ref('items') }} union all select 9, 1, 'a'", true),
        (
            "select -id as id, v::smallint as v, kind from {{ ref('items') }} union all select 9, 1, 'a'",
            false,
        ),
        ("select id, v::smallint as w, v::smallint as v, kind from {{ ref('items') }} where id > 1", true),
    ] {
        project
            .small
            .write("dbt/models/wide.sql", format!("{{{{ config(materialized='table') }}}} {changed}\n"));
        let report = project.elt("issue_2", &[]);
        assert_eq!(of_interest(&report).contains(&"by_name".to_owned()), is_read, "{changed}: {report:#}");
        assert_eq!(project.due("issue_2", &[]), Vec::<String>::new(), "{changed}");
    }

    // The whole environment is what a full build makes.
    project.elt("issue_3", &["--base", "none"]);
    let whole = |schema: &str| format!("{:#?}", picture(&project, schema)).replace(schema, "X");
    assert_eq!(whole("issue_2"), whole("issue_3"));
}

/// Queries that read `wide` and `side` in ways that are easy to misjudge.
const READERS: [&str; 26] = [
    "with j as (select * from WIDE join SIDE using (id)) select id, kind_1 as other from j",
    "with j as (select * from WIDE join SIDE using (id)) select id, v from j",
    "with a as (select * from WIDE order by 1 limit 2) select id from a",
    "with a as (select * from WIDE order by v, id limit 2) select id from a",
    "with a as (select distinct * from WIDE) select count(*) as n from a",
    "with a as (select distinct id, v from WIDE) select count(*) as n from a",
    "with a as (select id, kind from WIDE), b as (select kind, count(*) as n from a group by 1) select * from b",
    "select id from WIDE where exists (select * from SIDE as s where s = (select min(t) from SIDE as t))",
    "select id from WIDE where id in (select id from SIDE where v > 1)",
    "select id, v from WIDE union all by name select id, 1 as v from SIDE",
    "with a as (select * from WIDE union by name select * from SIDE) select count(*) as n from a",
    "select w.id, w as whole from WIDE as w",
    "select to_json(w) as j from WIDE as w order by 1",
    "select id from WIDE as w qualify row_number() over (partition by kind order by w) = 1",
    "select id, row_number() over (partition by kind order by v, id) as n from WIDE",
    "select max(columns('v.*')) from WIDE",
    "select count(*) as n from (unpivot WIDE on columns(* exclude (kind)))",
    "select id from (from WIDE) as f",
    "select a.id, b.v as second from WIDE as a positional join SIDE as b",
    "select a.id from WIDE as a semi join SIDE as b on a.id = b.id",
    "select a.id from WIDE as a anti join SIDE as b using (id)",
    "with a as (select w.* exclude (kind) from WIDE as w) select id from a",
    "with recursive r as (select id, v from WIDE where id = 1 union all select id + 1, v from r where id < 3) select * from r",
    "select sum(v) filter (where kind = 'a') as s, list(id order by id) as ids from WIDE",
    "select id as extra, v + 1 as next, next + 1 as after_next from WIDE",
    "with a as (select *, row_number() over (order by id) as n from WIDE) select n, kind from a where n < 3",
];

/// Other rows and columns of the two, each beside those before it.
const CHANGES: [(&str, &str); 7] = [
    ("wide", "select 7 - id as extra, id, v, kind from ITEMS"),
    ("side", "select id, v, kind || 'x' as kind from ITEMS"),
    ("wide", "select id, v, kind, null::double as extra, 1 as v_2 from ITEMS"),
    ("side", "select id, v, kind || 'x' as kind, null::double as more from ITEMS"),
    (
        "wide",
        "select id, v, case id when 1 then 'b' when 3 then 'a' else kind end as kind, 0 as one from ITEMS",
    ),
    ("wide", "select id, v, kind, 0 as one from ITEMS union all select 1, 7, 'a', 5"),
    ("wide", "select v, id, kind from ITEMS"),
];

#[test]
fn what_is_left_alone_is_what_a_full_build_makes() {
    let first = "select id, v, kind from ITEMS";
    let model = |sql: &str| {
        let named = [("WIDE", "wide"), ("SIDE", "side"), ("ITEMS", "items")];
        let sql = named
            .iter()
            .fold(sql.to_owned(), |sql, (word, name)| sql.replace(word, &format!("{{{{ ref('{name}') }}}}")));
        format!("{{{{ config(materialized='table') }}}} {sql}\n")
    };
    let project = Project::new(&[]);
    for name in ["wide", "side"] {
        project.small.write(&format!("dbt/models/{name}.sql"), model(first));
    }
    for (at, sql) in READERS.iter().enumerate() {
        project.small.write(&format!("dbt/models/reader_{at}.sql"), model(sql));
    }
    project.elt("issue_1", &[]);
    let mut left_alone = 0;
    for (at, (name, sql)) in CHANGES.into_iter().enumerate() {
        project.small.write(&format!("dbt/models/{name}.sql"), model(sql));
        let built = |report: &Value| names(report).iter().filter(|name| name.starts_with("reader_")).count();
        // A copy that is brought up to date, and then what was there.
        let copy = (at % 3 == 0).then(|| project.elt("issue_2", &["--base", "issue_1"]));
        let report = project.elt("issue_1", &[]);
        left_alone += READERS.len() - built(&report);
        project.elt("issue_3", &["--base", "none"]);
        let whole = |schema: &str| format!("{:#?}", picture(&project, schema)).replace(schema, "X");
        let full = whole("issue_3");
        assert_eq!(whole("issue_1"), full, "{name}: {sql}: {:?}", names(&report));
        project.run(&["schema", "drop", "--schema", "issue_3"]).expect(0);
        if let Some(copy) = copy {
            assert_eq!(built(&copy), built(&report), "{name}: {sql}");
            assert_eq!(whole("issue_2"), full, "{name}: {sql}: {:?}", names(&copy));
            project.run(&["schema", "drop", "--schema", "issue_2"]).expect(0);
        }
    }
    assert!(left_alone > READERS.len(), "{left_alone} readers were left alone");
}
