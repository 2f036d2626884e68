//! Findings that a change introduces are reported, in unchanged files too; older findings are not reported; and cached
//! results are never stale.

use std::fs;
use std::path::Path;

use super::{document, findings, git, lint, repository, set, write};

fn commit(at: &Path) {
    git(at, &["add", "-A"]);
    git(at, &["commit", "-q", "-m", "one"]);
}

#[test]
fn deleting_a_model_reports_its_readers() {
    let repo = repository();
    let at = repo.path();
    commit(at);
    git(at, &["rm", "-q", "dbt/models/raw_orders.sql"]);
    let broken = set(&["unknown-node dbt/models/shop.yml:8", "unresolved-ref dbt/models/orders.sql:4"]);
    assert_eq!(findings(at, &["--staged"]), (1, broken.clone()));
    assert_eq!(findings(at, &["--since", "HEAD"]), (1, broken.clone()));
    assert_eq!(findings(at, &["--since", "HEAD", "--new"]), (1, broken));
}

#[test]
fn deleting_a_script_or_a_macro_reports_its_users() {
    let repo = repository();
    let at = repo.path();
    let workflow = "---\n\"on\": push\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    timeout-minutes: 5\n    \
                    steps:\n      - run: scripts/a.sh\n";
    write(at, ".github/workflows/a.yml", workflow);
    write(at, "scripts/a.sh", "true\n");
    write(at, "scripts/b.sh", "true\n");
    write(at, "dbt/macros/cents.sql", "{% macro cents(name) %}{{ name }} / 100{% endmacro %}\n");
    write(at, "dbt/models/raw_orders.sql", "select\n    1 as order_id,\n    {{ cents('7') }} as placed_on\n");
    commit(at);
    assert_eq!(findings(at, &["--staged"]), (0, set(&[])));
    git(at, &["rm", "-q", "dbt/macros/cents.sql", "scripts/a.sh"]);
    let broken =
        set(&["missing-script .github/workflows/a.yml:9", "undefined-macro dbt/models/raw_orders.sql:3"]);
    assert_eq!(findings(at, &["--staged"]), (1, broken));
}

#[test]
fn deleting_a_file_does_not_report_old_findings_of_others() {
    let repo = repository();
    let at = repo.path();
    let workflow = "---\n\"on\": push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: x\n";
    write(at, ".github/workflows/a.yml", workflow);
    write(at, "old.txt", "a\n");
    write(at, "dbt/macros/unused.sql", "{% macro unused() %}{% endmacro %}\n");
    write(at, "scripts/old.sql", "select a,b from c\n");
    commit(at);
    git(at, &["rm", "-q", "old.txt", "dbt/macros/unused.sql"]);
    assert_eq!(findings(at, &["--staged"]), (0, set(&[])));
    assert_eq!(findings(at, &["--since", "HEAD"]), (0, set(&[])));
}

#[test]
fn a_staged_comment_does_not_report_old_findings() {
    let repo = repository();
    let at = repo.path();
    write(at, "dbt/models/legacy.sql", "select * from {{ ref('nowhere') }}\n");
    write(at, "dbt/models/other.sql", "select * from {{ ref('nowhere') }}\n");
    commit(at);
    write(at, "dbt/models/legacy.sql", "-- a comment\nselect * from {{ ref('nowhere') }}\n");
    git(at, &["add", "-A"]);
    assert_eq!(findings(at, &["--staged"]), (0, set(&[])));
    assert!(document(at, &["--staged"]).1["summary"]["left_out_as_old"].as_u64() > Some(2));
    let (_, old) = findings(at, &["--staged", "--with-old"]);
    assert!(old.contains("unresolved-ref dbt/models/legacy.sql:2"), "{old:?}");
    assert!(!old.iter().any(|finding| finding.contains("other.sql")), "{old:?}");

    write(at, "dbt/models/legacy.sql", "select * from {{ ref('nowhere') }}, {{ ref('neither') }}\n");
    git(at, &["add", "-A"]);
    let (code, new) = findings(at, &["--staged"]);
    assert!(code == 1 && new.contains("unresolved-ref dbt/models/legacy.sql:1"), "{new:?}");
}

#[test]
fn invalid_settings_of_one_group_do_not_stop_the_others() {
    let repo = repository();
    let at = repo.path();
    write(at, "app.env", format!("API_TOKEN={}\n", super::token()));
    write(at, ".yamllint.yml", "rules: {colour: enable}\n");
    write(at, ".sqlfluff", "[sqlfluff]\ndialect = cobol\n");
    write(at, "dbt/models/orders.sql", "select order_id from {{ ref('nowhere') }}\n");
    let output = lint(at, &["--format", "json"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("yaml") && said.contains(".yamllint.yml") && said.contains("cobol"), "{said}");
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(found.contains("github-token") && found.contains("unresolved-ref"), "{found}");
}

/// Changes every file of the repository in turn: results with the cache equal those without.
#[test]
fn a_change_of_any_file_that_a_run_opens_is_noticed() {
    let repo = repository();
    let at = repo.path();
    write(at, ".yamllint.yml", "extends: base.yml\nignore-from-file: .yamlignore\n");
    write(at, "base.yml", "extends: default\n");
    write(at, ".yamlignore", "nothing.yml\n");
    write(at, ".sqlfluff", "[sqlfluff]\ndialect = snowflake\n");
    write(at, "dbt/packages.yml", "---\npackages:\n  - package: o/p\n    version: 1.0.0\n");
    write(at, ".gitignore", "dbt_packages\n.xtask\n");
    write(at, "dbt/dbt_packages/p/dbt_project.yml", "name: p\n");
    write(at, "dbt/dbt_packages/p/macros/m.sql", "{% macro m() %}1{% endmacro %}\n");
    write(at, "dbt/macros/cents.sql", "{% macro cents(name) %}{{ name }} / 100{% endmacro %}\n");
    write(
        at,
        "dbt/models/orders.sql",
        "select\n    {{ p.m() }} as order_id,\n    {{ cents('7') }} as placed_on\nfrom {{ ref('raw_orders') }}\n",
    );
    let action = "runs:\n  using: composite\n  steps: []\n";
    write(at, ".github/actions/a/action.yml", action);
    write(at, ".github/workflows/a.yml", "\"on\": push\njobs: {a: {steps: [{uses: ./.github/actions/a}]}}\n");
    commit(at);
    let changes: [(&str, &[&str]); 11] = [
        ("base.yml", &["extends: default\nrules: {document-start: disable}\n", "rules: {}\n"]),
        (".yamlignore", &["*.yml\n"]),
        (".yamllint.yml", &["extends: relaxed\n"]),
        (".sqlfluff", &["[sqlfluff]\ndialect = snowflake\nrules = LT02\n", "[sqlfluff]\ndialect = duckdb\n"]),
        ("dbt/packages.yml", &["packages: []\n"]),
        (
            "dbt/dbt_packages/p/macros/m.sql",
            &["{% macro n() %}1{% endmacro %}\n", "{% macro m() %}({% endmacro %}\n"],
        ),
        ("dbt/dbt_packages/p/dbt_project.yml", &["name: q\n"]),
        ("dbt/macros/cents.sql", &["{% macro cents(name) %}({% endmacro %}\n", "\n"]),
        ("dbt/models/raw_orders.sql", &["SELECT 1\n"]),
        ("dbt/dbt_project.yml", &["name: shop\nmodel-paths: [elsewhere]\n"]),
        (".github/actions/a/action.yml", &["runs: {using: docker, image: Dockerfile}\n"]),
    ];
    let mut differed = 0;
    let before = document(at, &[]).1["findings"].clone();
    for (path, texts) in changes {
        let original = fs::read(at.join(path)).expect("a file");
        for text in texts {
            write(at, path, text);
            let cached = document(at, &[]).1["findings"].clone();
            assert_eq!(cached, document(at, &["--no-cache"]).1["findings"], "{path}: {text}");
            differed += usize::from(cached != before);
        }
        write(at, path, original);
        assert_eq!(document(at, &[]).1["findings"], before, "{path}, put back");
    }
    assert!(differed >= 9, "the changes show: {differed}");
}

#[test]
fn a_baseline_accepts_present_findings_only() {
    let repo = repository();
    let at = repo.path();
    write(at, "dbt/models/legacy.sql", "select * from {{ ref('nowhere') }}\n");
    assert_eq!(findings(at, &[]).0, 1);
    let output = lint(at, &["--update-baseline"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let (code, all) = document(at, &[]);
    assert_eq!(code, 0, "{all}");
    assert!(all["summary"]["baselined"].as_u64() > Some(1), "{all}");

    // Lines may move; additional findings are reported.
    write(
        at,
        "dbt/models/legacy.sql",
        "-- moved\nselect * from {{ ref('nowhere') }}, {{ ref('neither') }}\n",
    );
    let (code, found) = findings(at, &["--only", "dbt"]);
    assert_eq!((code, found), (1, set(&["unresolved-ref dbt/models/legacy.sql:2"])));

    // Entries of fixed findings are dropped, and expired entries no longer accept theirs.
    write(at, "dbt/models/legacy.sql", "select order_id from {{ ref('orders') }}\n");
    assert!(document(at, &[]).1["summary"]["baseline_unused"].as_u64() > Some(0));
    let file = at.join("policies/lint-baseline.toml");
    write(at, "dbt/models/legacy.sql", "select * from {{ ref('nowhere') }}\n");
    let text = fs::read_to_string(&file).expect("a baseline");
    let over = text.lines().map(|line| if line.starts_with("until") { "until = 2020-01-31" } else { line });
    fs::write(&file, over.collect::<Vec<_>>().join("\n")).expect("written");
    assert!(findings(at, &[]).1.contains("unresolved-ref dbt/models/legacy.sql:1"));
    fs::write(&file, "accepted = 7\n").expect("written");
    let output = lint(at, &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("lint-baseline.toml"), "{said}");
}

#[test]
fn an_editor_gets_the_findings_of_its_buffer() {
    use std::io::Write as _;
    let repo = repository();
    let at = repo.path();
    let typed = |path: &str, text: &str| {
        let mut child = crate::support::scrubbed(at)
            .args(["lint", "--stdin", "--path", path, "--format", "json"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("xtask starts");
        child.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, found) = typed("dbt/models/orders.sql", "select order_id\nfrom {{ ref('raw_ordres') }}\n");
    assert!(code == Some(1) && found.contains("unresolved-ref") && found.contains("raw_orders"), "{found}");
    let (code, found) = typed(
        "dbt/models/orders.sql",
        "select\n    order_id,\n    placed_on\nfrom {{ ref('raw_orders') }}\n",
    );
    assert_eq!(code, Some(0), "{found}");
    let (code, found) = typed("new.yml", "a: 1\na: 2\n");
    assert!(code == Some(1) && found.contains("key-duplicates"), "{found}");
    assert_eq!(fs::read_to_string(at.join("dbt/models/orders.sql")).expect("a file").lines().count(), 4);
}

#[test]
fn a_fix_changes_only_the_requested_files_and_groups() {
    let repo = repository();
    let at = repo.path();
    let (sql, yaml) = ("SELECT 1 as a", "a: 1  ");
    let texts = || {
        let read = |name: &str| fs::read_to_string(at.join(name)).expect("a file");
        (read("dbt/models/a.sql"), read("a.yml"))
    };
    let reset = || {
        write(at, "dbt/models/a.sql", sql);
        write(at, "a.yml", yaml);
    };
    write(at, ".yamllint.yml", "extends: default\n");
    write(at, ".sqlfluff", "[sqlfluff]\ndialect = snowflake\nrules = CP01\n");
    reset();
    lint(at, &["--fix", "--only", "yaml"]);
    assert_eq!(texts(), (sql.to_owned(), "a: 1\n".to_owned()));
    reset();
    // Without the rule for it, not even the final newline is added.
    lint(at, &["--fix", "--only", "sql"]);
    assert_eq!(texts(), ("SELECT 1 AS a".to_owned(), yaml.to_owned()));
    reset();
    write(at, "policies/lint.toml", "[rules.\"capitalisation.keywords\"]\nseverity = \"off\"\n");
    lint(at, &["--fix"]);
    assert_eq!(texts().0, sql);
}
