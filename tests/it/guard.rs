//! What `guard.py` replaces inside of dbt v1 gives what dbt gives.

use std::process::Command;

use crate::support::{environment, root};

/// dbt's own function on each query, then with the guard's replacement; prints those that differ.
const COMPARE: &str = r#"
import ast, json, sys

from dbt import compilation
from dbt.contracts.graph.nodes import InjectedCTE

source = ast.parse(open("xtask/src/dbt/guard.py").read())
source.body = [each for each in source.body if getattr(each, "name", "") == "parse_no_further_than_needed"]
assert source.body, "the guard has no such function"
ctes = [InjectedCTE("a", "__a as (select 1)"), InjectedCTE("b", "__b as (select 2)")]
queries = json.load(sys.stdin)
of_dbt = [compilation.inject_ctes_into_sql(query, ctes) for query in queries]
exec(compile(source, "guard.py", "exec"))
parse_no_further_than_needed()
for query, expected in zip(queries, of_dbt):
    ours = compilation.inject_ctes_into_sql(query, ctes)
    if ours != expected:
        print(f"{query!r}\n  dbt  {expected!r}\n  ours {ours!r}")
"#;

#[test]
fn queries_are_cut_where_dbt_cuts_them() {
    let queries = [
        "with a as (select 1) select * from a",
        "-- it's; new\n/* x;\ny */ With\n  a as (select ';') select \"a;b\" from a",
        "with\n\na as(select 'it''s; so')select 1",
        "with recursive a as (select 1) select 1",
        "with\nrecursive\n a as (select 1) select 1",
        "with recursive--x\n a as (select 1) select 1",
        "with -- recursive\n a as (select 1) select 1",
        "with/**/a as (select 1) select 1",
        "with a as (select 1) select 1; select 2",
        "  with a as (select 1) select 1 ;",
        "select 1",
        "select * from (with a as (select 1) select * from a) as b",
        "(with a as (select 1) select * from a)",
        "/* with a */ select 1",
        "select 1 as without",
    ];
    let mut python = Command::new(environment().join("bin/python"));
    python.args(["-c", COMPARE]).current_dir(root());
    let output = assert_cmd::Command::from_std(python)
        .write_stdin(serde_json::to_string(&queries).expect("JSON"))
        .assert()
        .success();
    let differing = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    assert!(differing.is_empty(), "{differing}");
}
