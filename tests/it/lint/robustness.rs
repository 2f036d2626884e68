//! Robustness of `lint`: large, hostile, incomplete and unusual repositories.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use super::{document, findings, git, lint, repository, set, token, write};

#[test]
fn a_large_table_is_scanned_as_a_stream() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    git(at, &["init", "-q"]);
    let rows = "1,shoes,2026-01-01,a row like all others\n".repeat(1 << 15);
    let mut file = fs::File::create(at.join("rows.csv")).expect("a file");
    let copies = 200_000_000 / rows.len() + 1;
    for _ in 0..copies {
        file.write_all(rows.as_bytes()).expect("written");
    }
    writeln!(file, "API_TOKEN={}", token()).expect("written");
    let last = copies * (1 << 15) + 1;
    assert_eq!(findings(at, &[]), (1, set(&[&format!("github-token rows.csv:{last}")])));
}

#[test]
fn a_hundred_thousand_files_are_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    git(at, &["init", "-q"]);
    for number in 0..100_000 {
        write(at, &format!("{}/{number}.txt", number % 100), "x\n");
    }
    write(at, "app.env", format!("API_TOKEN={}\n", token()));
    let (code, document) = document(at, &[]);
    assert_eq!((code, &document["summary"]["files"]), (1, &100_001.into()));
}

#[test]
fn missing_and_unreadable_files_do_not_stop_the_rest() {
    let repo = repository();
    let at = repo.path();
    let gone = write(at, "gone.env", "x\n");
    write(at, "closed/x.env", "x\n");
    write(at, "app.env", format!("API_TOKEN={}\n", token()));
    git(at, &["add", "-A"]);
    fs::remove_file(gone).expect("removed");
    // Root can read it, any other user gets a warning; the remaining files are checked for both.
    let mode =
        |mode| fs::set_permissions(at.join("closed"), fs::Permissions::from_mode(mode)).expect("a mode");
    mode(0o000);
    let found = findings(at, &[]);
    let output = lint(at, &[]);
    let readable = fs::read(at.join("closed/x.env")).is_ok();
    mode(0o755);
    assert_eq!(found, (1, set(&["github-token app.env:1"])));
    let warned = String::from_utf8_lossy(&output.stderr).contains("closed/x.env");
    assert_eq!(warned, !readable, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn hostile_sources_are_findings() {
    let repo = repository();
    let at = repo.path();
    let nested = ["{% if true %}".repeat(10_000), "{% endif %}".repeat(10_000)].join("select 1 as one");
    write(at, "dbt/models/deep.sql", nested);
    let endless =
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}\nselect 1 as one\n";
    write(at, "dbt/models/endless.sql", endless);
    let mut laughs = "---\na0: &a0 [lol, lol]\n".to_owned();
    for level in 1..40 {
        let below = level - 1;
        writeln!(laughs, "a{level}: &a{level} [*a{below}, *a{below}, *a{below}]").unwrap();
    }
    write(at, "laughs.yml", laughs);
    let (code, found) = findings(at, &["--only", "sql,yaml"]);
    assert_eq!(code, 1);
    let rule_of = |path: &str| {
        let of_path = found.iter().find(|text| text.contains(path));
        of_path.and_then(|text| text.split(' ').next())
    };
    assert_eq!(rule_of("deep.sql"), Some("sql-template"), "{found:?}");
    assert_eq!(rule_of("endless.sql"), Some("sql-template"), "{found:?}");
    assert_eq!(rule_of("laughs.yml"), Some("yaml-limits"), "{found:?}");
}

#[test]
fn a_worktree_and_a_submodule_are_separate_repositories() {
    let repo = repository();
    let at = repo.path();
    write(at, "app.env", format!("API_TOKEN={}\n", token()));
    git(at, &["add", "-A"]);
    git(at, &["commit", "-q", "-m", "one"]);
    let outer = tempfile::tempdir().expect("a folder");
    let expected = (1, set(&["github-token app.env:1"]));

    let tree = outer.path().join("tree");
    git(at, &["worktree", "add", "-q", "-b", "side", tree.to_str().expect("text")]);
    assert_eq!(findings(&tree, &[]), expected);
    write(&tree, "app.env", "fixed\n");
    git(&tree, &["add", "-A"]);
    assert_eq!(findings(&tree, &["--staged"]).0, 0);

    let parent = outer.path().join("parent");
    write(&parent, "clean.env", "x\n");
    git(&parent, &["init", "-q"]);
    let source = at.to_str().expect("text");
    git(&parent, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", source, "inner"]);
    assert_eq!(findings(&parent.join("inner"), &[]), expected);
    // The parent contains only the commit id of the submodule.
    assert_eq!(findings(&parent, &[]).0, 0);
}
