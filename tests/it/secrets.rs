//! `cargo xtask secrets`: every mode finds the same secret, nothing is printed that should not be,
//! and no input is too odd to be scanned.

mod accepted;
mod contents;
mod faults;
mod history;
mod hostile;
mod kinds;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A GitHub token in form, drawn for these tests and put together here only.
fn token() -> String {
    ["ghp_", "q7Rk2Zt", "9Wm4Lx8", "Vb3Np6Y", "s1Hd5Jf", "0Gc2Ka", "8E"].concat()
}

fn password() -> String {
    ["t7#Kw", "9!zQ", "m2Lp"].concat()
}

fn xtask(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .current_dir(folder)
        .env_remove("CI")
        .env_remove("XTASK_SECRETS_KEY")
        .stdin(Stdio::null())
        .arg("secrets");
    command
}

pub(crate) fn git(folder: &Path, args: &[&str]) {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"])
        .args(args)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn repository() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    git(folder.path(), &["init", "-q", "-b", "main"]);
    folder
}

/// Runs with these options and gives exit code and findings.
fn findings(folder: &Path, options: &[&str]) -> (i32, Vec<Value>) {
    let output = xtask(folder).args(options).args(["--format", "json"]).output().expect("xtask starts");
    parsed(&output)
}

fn parsed(output: &Output) -> (i32, Vec<Value>) {
    let text = String::from_utf8_lossy(&output.stdout);
    let document: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    crate::support::schemas::assert_valid("findings", &document);
    let findings = document["findings"].as_array().expect("findings").clone();
    (output.status.code().expect("an exit code"), findings)
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    fs::write(path, text).expect("written");
}

#[test]
fn every_mode_finds_the_same_secret() {
    let repo = repository();
    let folder = repo.path();
    write(folder, "conf/app.ini", format!("# first\r\nhost = x\r\ntoken = {}\r\n", token()));
    let (code, files) = findings(folder, &[]);
    assert_eq!((code, files.len()), (1, 1), "{files:?}");
    let expected = &files[0];
    assert_eq!(expected["path"], "conf/app.ini");
    assert_eq!((expected["line"].as_u64(), expected["column"].as_u64()), (Some(3), Some(9)));
    assert_eq!((expected["end_line"].as_u64(), expected["end_column"].as_u64()), (Some(3), Some(49)));
    let same = |found: Vec<Value>, mode: &str| {
        assert_eq!(found.len(), 1, "{mode}: {found:?}");
        for field in ["rule", "path", "line", "column", "fingerprint", "message", "remedy"] {
            assert_eq!(found[0][field], expected[field], "{mode}: {field}");
        }
    };
    same(findings(folder, &["conf"]).1, "folder");
    same(findings(folder, &["conf/app.ini"]).1, "file");
    git(folder, &["add", "-A"]);
    // The index counts, not the work tree.
    write(folder, "conf/app.ini", "clean\n");
    same(findings(folder, &["--staged"]).1, "staged, before any commit");
    assert_eq!(findings(folder, &[]).0, 0);
    git(folder, &["commit", "-q", "-m", "one"]);
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", "two"]);
    assert_eq!(findings(folder, &["--staged"]).0, 0);
    same(findings(folder, &["--history"]).1, "history");
    assert_eq!(findings(folder, &["--since", "HEAD~1"]).0, 0);
    let (_, since) = findings(folder, &["--since", "HEAD"]);
    assert!(since.is_empty());
}

#[test]
fn outside_of_git_and_from_stdin() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = tempfile::tempdir().expect("a folder");
    write(other.path(), ".hidden/deep/.env", format!("API_TOKEN={}\n", token()));
    let path = other.path().to_str().expect("text");
    let (code, found) = findings(folder.path(), &[path]);
    assert_eq!((code, found.len()), (1, 1));
    assert_eq!(found[0]["path"], format!("{path}/.hidden/deep/.env"));
    let mut child = xtask(folder.path())
        .args(["-", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("xtask starts");
    child.stdin.take().expect("stdin").write_all(format!("x {}", token()).as_bytes()).expect("written");
    let (code, found) = parsed(&child.wait_with_output().expect("it ends"));
    assert_eq!((code, found.len()), (1, 1));
    assert_eq!(found[0]["path"], "stdin");
}

#[test]
fn could_not_run_is_two_and_names_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    for (options, needle) in [
        (&["gone.txt"][..], "gone.txt"),
        (&["--history"][..], "git repository"),
        (&["--config", "none.toml"][..], "none.toml"),
        (&["--baseline", "none.toml"][..], "none.toml"),
    ] {
        let output = xtask(folder.path()).args(options).output().expect("xtask starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {text}");
        assert!(text.contains(needle), "{options:?}: {text}");
    }
}

#[test]
fn no_format_shows_the_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let (token, password) = (token(), password());
    write(folder.path(), "a.env", format!("A_TOKEN={token} DB_PASSWORD='{password}' # {token}\n"));
    for format in ["human", "json", "sarif", "github"] {
        let output = xtask(folder.path()).args(["a.env", "--format", format]).output().expect("xtask starts");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(!text.contains(&token[4..]) && !text.contains(&password), "{format}: {text}");
        assert!(text.contains("github-token") && text.contains("generic-password"), "{format}: {text}");
    }
}

#[test]
fn sarif_has_positions_and_fingerprints() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "a b.txt", format!("\u{e4}\u{20ac} {}\n", token()));
    let output = xtask(folder.path()).args(["a b.txt", "--format", "sarif"]).output().expect("xtask starts");
    crate::support::assert_valid_sarif(&output.stdout);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let result = &document["runs"][0]["results"][0];
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(document["version"], "2.1.0");
    assert_eq!(place["artifactLocation"]["uri"], "a%20b.txt");
    assert_eq!(place["region"]["startColumn"], 4);
    assert_eq!(result["partialFingerprints"]["xtask/v1"].as_str().map(str::len), Some(32));
    assert_eq!(document["runs"][0]["tool"]["driver"]["rules"][0]["id"], result["ruleId"]);
}

#[test]
fn ignored_files_stay_out_but_tracked_ones_never() {
    let repo = repository();
    let folder = repo.path();
    write(folder, ".gitignore", "build/\n*.log\n");
    write(folder, "build/out.txt", token());
    write(folder, "kept.log", token());
    git(folder, &["add", "-f", "kept.log"]);
    let (_, found) = findings(folder, &[]);
    let paths: Vec<&str> = found.iter().filter_map(|finding| finding["path"].as_str()).collect();
    assert_eq!(paths, ["kept.log"]);
    assert_eq!(
        findings(folder, &["build"]).1.len(),
        1,
        "a folder that is asked for is scanned though ignored"
    );
}

#[test]
fn merges_renames_and_odd_names_are_in_the_history() {
    let repo = repository();
    let folder = repo.path();
    write(folder, "a.txt", "one\n");
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", "one"]);
    git(folder, &["checkout", "-q", "-b", "side"]);
    write(folder, "sp ace/n\u{e4}me.txt", format!("1\n2\nt={}\n", token()));
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", "two"]);
    git(folder, &["checkout", "-q", "main"]);
    write(folder, "b.txt", "b\n");
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", "three"]);
    git(folder, &["merge", "-q", "--no-ff", "-m", "merge", "side"]);
    git(folder, &["mv", "sp ace", "moved"]);
    git(folder, &["commit", "-q", "-m", "four"]);
    let (_, found) = findings(folder, &["--history"]);
    let places: Vec<(&str, u64)> = found
        .iter()
        .map(|f| (f["path"].as_str().unwrap_or_default(), f["line"].as_u64().unwrap_or(0)))
        .collect();
    assert_eq!(places, [("moved/n\u{e4}me.txt", 3), ("sp ace/n\u{e4}me.txt", 3)]);
    assert!(found.iter().all(|finding| finding["commit"].as_str().is_some_and(|commit| commit.len() == 40)));
}

#[test]
fn this_repository_is_clean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root");
    let (code, found) = findings(root, &[]);
    assert_eq!(code, 0, "{found:#?}");
}

#[test]
fn a_submodule_a_worktree_a_shallow_and_a_sparse_clone_are_read_as_they_lie_there() {
    let library = repository();
    write(library.path(), "lib/config.env", format!("API_TOKEN={}\n", token()));
    git(library.path(), &["add", "-A"]);
    git(library.path(), &["commit", "-q", "-m", "one"]);
    write(library.path(), "docs/readme.txt", "clean\n");
    git(library.path(), &["add", "-A"]);
    git(library.path(), &["commit", "-q", "-m", "two"]);
    let source = library.path().to_str().expect("text");
    let paths = |folder: &Path, options: &[&str]| -> Vec<String> {
        let found = findings(folder, options).1;
        found.iter().filter_map(|finding| finding["path"].as_str().map(str::to_owned)).collect()
    };

    let parent = repository();
    git(
        parent.path(),
        &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", source, "vendor"],
    );
    assert_eq!(paths(parent.path(), &[]), ["vendor/lib/config.env"]);
    assert_eq!(paths(&parent.path().join("vendor"), &[]), ["lib/config.env"]);

    let place = tempfile::tempdir().expect("a folder");
    let at = |name: &str| place.path().join(name);
    git(library.path(), &["worktree", "add", "-q", "-b", "side", at("tree").to_str().expect("text")]);
    assert_eq!(paths(&at("tree"), &[]), ["lib/config.env"]);
    assert_eq!(paths(&at("tree"), &["--history"]), ["lib/config.env"]);

    let url = format!("file://{source}");
    git(place.path(), &["clone", "-q", "--depth", "1", &url, "shallow"]);
    assert_eq!(paths(&at("shallow"), &["--history"]), ["lib/config.env"]);

    git(place.path(), &["clone", "-q", "--sparse", &url, "sparse"]);
    assert!(!at("sparse").join("lib").exists());
    // What is not checked out is read from the index.
    for options in [&[][..], &["--history"]] {
        assert_eq!(paths(&at("sparse"), options), ["lib/config.env"], "{options:?}");
    }
}

#[test]
fn messages_tags_and_later_commits_are_read_when_asked_for() {
    let repo = repository();
    let folder = repo.path();
    let other = ["ghp_", "x4Tn8Wp", "R3vB5cH", "y6Jd1Gs0", "Qe7Uo2Xi", "9Lm4Zx"].concat();
    write(folder, "a.txt", "one\n");
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", &format!("use {}", token())]);
    git(folder, &["tag", "-a", "v1", "-m", &format!("with {other}")]);
    assert_eq!(findings(folder, &["--history"]).0, 0, "messages are read on request only");
    let (_, found) = findings(folder, &["--history", "--messages"]);
    let paths: Vec<&str> = found.iter().filter_map(|finding| finding["path"].as_str()).collect();
    assert_eq!(paths, ["(message)", "(message)"]);

    write(folder, "b.txt", format!("\nx = {other}\n"));
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", "two"]);
    let (_, since) = findings(folder, &["--since", "HEAD~1"]);
    let (_, whole) = findings(folder, &[]);
    assert_eq!((since.len(), &since[0]["line"]), (1, &Value::from(2)));
    assert_eq!(since[0]["fingerprint"], whole[0]["fingerprint"]);
}
