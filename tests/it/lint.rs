//! `cargo xtask lint`: the files it checks, the cache, which must never change a result, the hooks, and unusual
//! repositories.

mod changes;
mod robustness;
mod shop;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{self, program, schemas, scrubbed};

/// A string in the form of a GitHub token, generated for these tests and assembled at run time.
fn token() -> String {
    ["ghp_", "w3Tz8Nq", "5Rk1Lm7", "Xb4Vp9S", "y2Hd6Jg", "0Fc3Qa", "8U"].concat()
}

fn git(folder: &Path, args: &[&str]) -> Output {
    let output = try_git(folder, args);
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn try_git(folder: &Path, args: &[&str]) -> Output {
    scrubbed_git(folder).args(args).output().expect("git runs")
}

fn scrubbed_git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).env_remove("GIT_DIR").env_remove("GIT_INDEX_FILE").args([
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "-c",
        "commit.gpgsign=false",
    ]);
    command
}

/// A repository with a clean dbt project of two models.
fn repository() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    git(at, &["init", "-q", "-b", "main"]);
    write(
        at,
        "dbt/dbt_project.yml",
        "---\nname: shop\nversion: \"1.0\"\nprofile: shop\nmodel-paths: [models]\n",
    );
    write(
        at,
        "dbt/models/orders.sql",
        "select\n    order_id,\n    placed_on\nfrom {{ ref('raw_orders') }}\n",
    );
    write(at, "dbt/models/raw_orders.sql", "select\n    1 as order_id,\n    '2026-01-01' as placed_on\n");
    write(
        at,
        "dbt/models/shop.yml",
        ["---\nmodels:\n", &described("orders"), &described("raw_orders")].concat(),
    );
    folder
}

/// The properties that a model needs to be clean.
fn described(model: &str) -> String {
    format!(
        "  - name: {model}\n    description: One row an order.\n    columns:\n      - name: order_id\n        \
         data_tests: [not_null, unique]\n"
    )
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    fs::write(&path, text).expect("written");
    path
}

fn lint(folder: &Path, options: &[&str]) -> Output {
    scrubbed(folder).arg("lint").args(options).output().expect("xtask starts")
}

/// Exit code and findings, as `rule path:line`.
fn findings(folder: &Path, options: &[&str]) -> (i32, BTreeSet<String>) {
    let (code, document) = document(folder, options);
    let found = document["findings"].as_array().expect("findings").iter().map(|finding| {
        let text = |name: &str| finding[name].as_str().expect("text").to_owned();
        format!("{} {}:{}", text("rule"), text("path"), finding["line"])
    });
    (code, found.collect())
}

fn document(folder: &Path, options: &[&str]) -> (i32, Value) {
    let output = lint(folder, &[options, &["--format", "json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let document: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    schemas::assert_valid("findings", &document);
    (output.status.code().expect("an exit code"), document)
}

fn set(found: &[&str]) -> BTreeSet<String> {
    found.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_half_staged_file_is_checked_as_it_will_be_committed() {
    let repo = repository();
    let at = repo.path();
    git(at, &["add", "-A"]);
    git(at, &["commit", "-q", "-m", "one"]);
    assert_eq!(findings(at, &["--staged"]), (0, set(&[])));

    write(at, "app.env", format!("API_TOKEN={}\n", token()));
    git(at, &["add", "app.env"]);
    write(at, "app.env", "clean\n");
    assert_eq!(findings(at, &["--staged"]), (1, set(&["github-token app.env:1"])));
    assert_eq!(findings(at, &[]).0, 0);

    // The other way round: fixed in the index, still wrong in the work tree.
    git(at, &["add", "app.env"]);
    write(at, "app.env", format!("API_TOKEN={}\n", token()));
    assert_eq!(findings(at, &["--staged"]).0, 0);
    assert_eq!(findings(at, &[]), (1, set(&["github-token app.env:1"])));
}

#[test]
fn since_reports_changed_files_and_on_request_changed_lines_only() {
    let repo = repository();
    let at = repo.path();
    let line = format!("API_TOKEN={}\n", token());
    write(at, "old.env", &line);
    write(at, "both.env", &line);
    git(at, &["add", "-A"]);
    git(at, &["commit", "-q", "-m", "one"]);
    write(at, "both.env", format!("{line}# more\n{line}"));
    write(at, "new.env", &line);
    let changed = set(&["github-token both.env:1", "github-token both.env:3", "github-token new.env:1"]);
    assert_eq!(findings(at, &["--since", "HEAD"]), (1, changed));
    let lines = set(&["github-token both.env:3", "github-token new.env:1"]);
    assert_eq!(findings(at, &["--since", "HEAD", "--changed-lines"]), (1, lines));
    assert_eq!(findings(at, &["old.env"]).1, set(&["github-token old.env:1"]));

    let output = lint(at, &["--since", "--output=/tmp/x"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_cache_changes_no_result() {
    let repo = repository();
    let at = repo.path();
    write(at, "app.env", format!("API_TOKEN={}\n", token()));
    write(at, "dbt/models/bad.sql", "SELECT * FROM prod.public.orders;\n");
    write(at, "dbt/models/bad.yml", "models:\n  - name: nowhere\n    name: twice\n");
    let without = document(at, &["--no-cache"]).1;
    assert!(!at.join(".xtask/lint-cache.json").exists());
    let cold = document(at, &[]).1;
    let warm = document(at, &[]).1;
    assert_eq!(warm["summary"]["evaluated"], 0, "{}", warm["summary"]);
    for other in [&cold, &warm] {
        assert_eq!(other["findings"], without["findings"]);
    }
    assert!(without["findings"].as_array().expect("findings").len() > 3, "{without}");

    // A change to a macro or another model changes the findings of an unchanged file.
    write(at, "dbt/models/raw_orders.sql", "select 1 as order_id\n");
    fs::remove_file(at.join("dbt/models/orders.sql")).expect("removed");
    write(at, "dbt/models/uses.sql", "select order_id from {{ ref('orders') }}\n");
    assert_eq!(document(at, &[]).1["findings"], document(at, &["--no-cache"]).1["findings"]);

    fs::write(at.join(".xtask/lint-cache.json"), "not JSON").expect("written");
    assert_eq!(document(at, &[]).1["findings"], document(at, &["--no-cache"]).1["findings"]);
}

#[test]
fn a_waiver_needs_a_rule_a_reason_and_a_day() {
    let repo = repository();
    let at = repo.path();
    write(at, "dbt/models/bad.sql", "select order_id\nfrom {{ ref('orders') }};\n");
    let (_, found) = findings(at, &["--only", "sql"]);
    assert_eq!(found, set(&["semicolon-in-model dbt/models/bad.sql:2"]));

    let waiver = |rule: &str, until: &str| {
        format!(
            "[[waivers]]\nrule = \"{rule}\"\npath = \"dbt/models/*.sql\"\nreason = \"old\"\nuntil = {until}\n"
        )
    };
    write(at, "policies/lint.toml", waiver("semicolon-in-model", "2999-12-31"));
    assert_eq!(findings(at, &["--only", "sql"]), (0, set(&[])));
    write(at, "policies/lint.toml", waiver("semicolon-in-model", "2020-01-31"));
    let expired = set(&["semicolon-in-model dbt/models/bad.sql:2", "waiver-expired policies/lint.toml:1"]);
    assert_eq!(findings(at, &["--only", "sql"]), (1, expired));
    write(at, "policies/lint.toml", waiver("no-such-rule", "2999-12-31"));
    let output = lint(at, &[]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("policies/lint.toml") && said.contains("no-such-rule"), "{said}");

    write(at, "policies/lint.toml", "[rules.semicolon-in-model]\nseverity = \"off\"\n");
    assert_eq!(findings(at, &["--only", "sql"]), (0, set(&[])));
    fs::remove_file(at.join("policies/lint.toml")).expect("removed");
    write(
        at,
        "dbt/models/bad.sql",
        "select order_id\nfrom {{ ref('orders') }}; -- xtask:allow(semicolon-in-model)\n",
    );
    let (code, document) = document(at, &["--only", "sql"]);
    assert_eq!((code, &document["summary"]["allowed_inline"]), (0, &1.into()));

    // sqlfluff's syntax, for our own rules too.
    let noqa = "select order_id\nfrom {{ ref('orders') }}; -- noqa: semicolon-in-model\n";
    write(at, "dbt/models/bad.sql", noqa);
    assert_eq!(findings(at, &["--only", "sql"]), (0, set(&[])));
    write(at, "dbt/models/bad.sql", noqa.replace("semicolon-in-model", "star-in-final-query"));
    assert_eq!(findings(at, &["--only", "sql"]).0, 1);
}

#[test]
fn prose_is_checked_against_the_word_list_of_the_policy() {
    let repo = repository();
    let at = repo.path();
    write(at, "docs/guide.md", "It zaps the index.\n");
    write(at, "tool/main.rs", "//! Zaps `zaps`.\nfn zaps() {}\n");
    assert_eq!(findings(at, &["--only", "prose"]), (0, set(&[])), "without a list nothing is looked for");
    write(
        at,
        "policies/lint.toml",
        "[rules.discouraged-word]\nexclude = [\"old/**\"]\n[rules.discouraged-word.parameters]\n\
         words = [{ avoid = [\"zaps\"], write = \"clears\" }]\n",
    );
    write(at, "old/guide.md", "It zaps the index.\n");
    let expected = set(&["discouraged-word docs/guide.md:1", "discouraged-word tool/main.rs:1"]);
    assert_eq!(findings(at, &["--only", "prose"]), (1, expected.clone()));
    assert!(findings(at, &[]).1.is_superset(&expected), "it is one of the default groups");
    write(at, "docs/guide.md", "It zaps the index. <!-- xtask:allow(discouraged-word) -->\n");
    write(at, "tool/main.rs", "//! Clears.\nfn zaps() {}\n");
    assert_eq!(findings(at, &["--only", "prose"]), (0, set(&[])));

    write(at, "policies/lint.toml", "[rules.discouraged-word.parameters]\nwords = [{ avoid = \"zaps\" }]\n");
    let output = lint(at, &["--only", "prose"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("discouraged-word"));
}

#[test]
fn every_format_contains_the_same_findings() {
    let repo = repository();
    let at = repo.path();
    write(at, "dbt/models/bad.sql", "select order_id\nfrom {{ ref('orders') }};\n");
    let output = lint(at, &["--only", "sql", "--format", "sarif"]);
    support::assert_valid_sarif(&output.stdout);
    let sarif: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let region = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"];
    assert_eq!((&region["startLine"], &region["startColumn"]), (&2.into(), &25.into()));
    let github = String::from_utf8(lint(at, &["--only", "sql", "--format", "github"]).stdout).expect("text");
    assert!(github.contains("file=dbt/models/bad.sql,line=2"), "{github}");
    let human = String::from_utf8(lint(at, &["--only", "sql"]).stdout).expect("text");
    assert!(human.contains("bad.sql:2:25") && human.contains("--explain semicolon-in-model"), "{human}");
}

#[test]
fn rules_explain_themselves_and_their_document_is_current() {
    let said = |options: &[&str]| String::from_utf8(lint(support::root(), options).stdout).expect("text");
    let explained = said(&["--explain", "semicolon-in-model"]);
    assert!(
        explained.contains("**Why:**") && explained.contains("xtask:allow(semicolon-in-model)"),
        "{explained}"
    );
    assert!(said(&["--explain", "github-token"]).contains("xtask:allow"));
    let output = lint(support::root(), &["--explain", "semicolon"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean semicolon-in-model"));

    let written = fs::read_to_string(support::root().join("policies/RULES.md")).expect("the rules");
    assert_eq!(said(&["--rules"]), written, "run `cargo xtask lint --rules > policies/RULES.md`");
}

#[test]
fn this_repository_is_clean() {
    let output = lint(support::root(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Hooks call `cargo xtask`: here cargo is a shim that runs the program under test.
fn cargo(folder: &Path) -> String {
    let shim = write(folder, "cargo", format!("#!/bin/sh\nshift\nexec '{}' \"$@\"\n", program().display()));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&shim, mode).expect("executable");
    format!("{}:{}", folder.display(), std::env::var("PATH").expect("PATH"))
}

/// Commits of a planted key, a bad model and an unpinned action are rejected; a clean commit passes.
fn commits_are_guarded(at: &Path, path: &str) {
    let commit = |message: &str| {
        git(at, &["add", "-A"]);
        let mut command = scrubbed_git(at);
        command.env("PATH", path).args(["commit", "-q", "-m", message]).output().expect("git runs")
    };
    let output = commit("clean");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let workflow = "---\n\"on\": push\npermissions: {}\njobs:\n  one:\n    runs-on: ubuntu-latest\n    timeout-minutes: 5\n    \
                    steps:\n      - uses: actions/checkout@v7\n";
    for (file, text, rule) in [
        ("app.env", format!("API_TOKEN={}\n", token()), "github-token"),
        ("dbt/models/bad.sql", "select order_id\nfrom {{ ref('gone') }}\n".to_owned(), "unresolved-ref"),
        (".github/workflows/w.yml", workflow.to_owned(), "unpinned-action"),
    ] {
        let written = write(at, file, text);
        let output = commit(file);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!output.status.success() && said.contains(rule), "{file}: {said}");
        fs::remove_file(written).expect("removed");
    }
}

#[test]
fn the_installed_hook_guards_commits() {
    let (repo, shims) = (repository(), tempfile::tempdir().expect("a folder"));
    let at = repo.path();
    let install = |options: &[&str]| {
        let output = scrubbed(at).args(["hooks", "install"]).args(options).output().expect("xtask starts");
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).expect("text"))
    };
    assert_eq!(install(&[]).0, Some(0));
    assert!(install(&[]).1.contains("already"));
    commits_are_guarded(at, &cargo(shims.path()));

    let hook = write(at, ".git/hooks/pre-commit", "#!/bin/sh\nexit 0\n");
    let (code, said) = install(&[]);
    assert!(code == Some(2) && said.contains("--force"), "{said}");
    assert_eq!(install(&["--force"]).0, Some(0));
    assert!(fs::read_to_string(&hook).expect("a hook").contains("cargo xtask lint --staged"));
    assert_eq!(
        fs::read_to_string(at.join(".git/hooks/pre-commit.before-xtask")).expect("kept").lines().count(),
        2
    );
}

#[test]
fn pre_commit_and_prek_run_the_same_hook() {
    for tool in ["pre-commit", "prek"] {
        let (repo, shims) = (repository(), tempfile::tempdir().expect("a folder"));
        let at = repo.path();
        fs::copy(support::root().join(".pre-commit-config.yaml"), at.join(".pre-commit-config.yaml"))
            .expect("copied");
        let output = Command::new(support::environment().join("bin").join(tool))
            .current_dir(at)
            .args(["install"])
            .env("PRE_COMMIT_HOME", shims.path().join("home"))
            .env("PREK_HOME", shims.path().join("home"))
            .output()
            .expect("the tool starts");
        assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
        commits_are_guarded(at, &cargo(shims.path()));
    }
}

#[test]
fn odd_files_are_checked_or_reported() {
    let repo = repository();
    let at = repo.path();
    write(at, "dbt/models/crlf.sql", "\u{feff}select order_id\r\nfrom {{ ref('orders') }};\r\n");
    write(at, "dbt/models/latin.sql", b"select '\xe4' as name\n");
    write(at, "dbt/models/binary.sql", b"\x00\x01\x02");
    write(at, "dbt/models/empty.sql", "");
    write(at, "loop/deep/x.txt", "x");
    for (link, target) in [("loop/deep/back", ".."), ("dangling", "nowhere"), ("outside", "/etc/hostname")] {
        std::os::unix::fs::symlink(target, at.join(link)).expect("a link");
    }
    let (_, found) = findings(at, &["--only", "sql"]);
    assert!(found.contains("semicolon-in-model dbt/models/crlf.sql:2"), "{found:?}");
    assert!(found.contains("not-utf8 dbt/models/latin.sql:1"), "{found:?}");
    let output = lint(at, &["--only", "sql"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("binary.sql"));
}

#[test]
fn a_repository_without_dbt_without_commits_or_without_git_is_linted_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    write(at, "app.env", format!("API_TOKEN={}\n", token()));
    assert_eq!(findings(at, &[]), (1, set(&["github-token app.env:1"])));
    let output = lint(at, &["--staged"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("git init"));

    git(at, &["init", "-q"]);
    assert_eq!(findings(at, &["--staged"]).0, 0);
    git(at, &["add", "-A"]);
    assert_eq!(findings(at, &["--staged"]), (1, set(&["github-token app.env:1"])));
    let output = lint(at, &["nowhere"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere"));
}

const LOWER_KEYWORDS: &str = "[sqlfluff]\ndialect = snowflake\n[sqlfluff:rules:capitalisation.keywords]\ncapitalisation_policy = lower\n";

#[test]
fn applying_a_fix_twice_changes_nothing_more() {
    let repo = repository();
    let at = repo.path();
    write(at, ".sqlfluff", LOWER_KEYWORDS);
    write(at, ".yamllint.yml", "extends: default\n");
    let model = write(at, "dbt/models/loud.sql", "SELECT order_id  \nFROM {{ ref('orders') }}");
    let yaml = write(at, "dbt/models/loud.yml", "---\nmodels:   \n  - name: loud\n");
    lint(at, &["--fix"]);
    let once = (fs::read_to_string(&model).expect("a model"), fs::read_to_string(&yaml).expect("properties"));
    assert_eq!(once.0, "select order_id\nfrom {{ ref('orders') }}\n");
    assert_eq!(once.1, "---\nmodels:\n  - name: loud\n");
    lint(at, &["--fix"]);
    assert_eq!(
        once,
        (fs::read_to_string(&model).expect("a model"), fs::read_to_string(&yaml).expect("properties"))
    );
}

#[test]
fn a_waived_rule_is_not_fixed_in_its_file() {
    let repo = repository();
    let at = repo.path();
    write(at, ".sqlfluff", LOWER_KEYWORDS);
    let waived = "SELECT order_id -- xtask:allow(capitalisation.keywords)\nfrom {{ ref('orders') }}\n";
    let waived_model = write(at, "dbt/models/waived.sql", waived);
    let model = write(at, "dbt/models/loud.sql", "SELECT order_id -- why\nfrom {{ ref('orders') }}\n");
    lint(at, &["--fix"]);
    let read = |path| fs::read_to_string(path).expect("a model");
    assert_eq!(read(&waived_model), waived);
    assert_eq!(read(&model), "select order_id -- why\nfrom {{ ref('orders') }}\n");
}
