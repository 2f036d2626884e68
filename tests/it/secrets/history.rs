//! The history is searched by what each version of a file adds, and finds what a search of every whole version finds.

use std::path::Path;

use tempfile::TempDir;

use super::{git, parsed, password, repository, token, write, xtask};

fn commit(folder: &Path, message: &str) {
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", message]);
}

/// Path, line and subject of the commit of every finding in the history.
fn history(folder: &Path, options: &[&str]) -> Vec<String> {
    let output = xtask(folder).args(options).args(["--format", "json"]).output().expect("xtask starts");
    let (_, findings) = parsed(&output);
    let subject = |commit: &str| {
        let shown = std::process::Command::new("git")
            .current_dir(folder)
            .args(["show", "--no-patch", "--format=%s", commit])
            .output()
            .expect("git runs");
        String::from_utf8_lossy(&shown.stdout).trim().to_owned()
    };
    let mut found: Vec<String> = findings
        .iter()
        .map(|finding| {
            let commit = finding["commit"].as_str().expect("a commit");
            format!("{}:{} {}", finding["path"].as_str().expect("a path"), finding["line"], subject(commit))
        })
        .collect();
    found.sort();
    found
}

fn lines(count: usize) -> String {
    (0..count).map(|n| format!("# line {n} of a long file\n")).collect::<Vec<String>>().concat()
}

fn long_file(middle: &str) -> String {
    format!("{}{middle}{}", lines(300), lines(300))
}

fn changed_twice() -> TempDir {
    let repo = repository();
    write(repo.path(), "a.yml", long_file(""));
    commit(repo.path(), "clean");
    write(repo.path(), "a.yml", long_file(&format!("password: {}\n", password())));
    commit(repo.path(), "password");
    write(repo.path(), "a.yml", long_file(&format!("password: {}\n", password())) + "# more\n");
    commit(repo.path(), "more");
    write(repo.path(), "a.yml", long_file("") + "# more\n");
    commit(repo.path(), "gone");
    repo
}

#[test]
fn a_secret_in_the_middle_of_a_long_file_is_reported_for_the_commit_that_added_it() {
    let repo = changed_twice();
    assert_eq!(history(repo.path(), &["--history"]), ["a.yml:301 password"]);
    assert_eq!(history(repo.path(), &["--since", "HEAD~2"]), Vec::<String>::new());
    assert_eq!(history(repo.path(), &["--since", "HEAD~3"]), ["a.yml:301 password"]);
}

#[test]
fn a_line_far_away_that_makes_a_value_a_secret_is_seen() {
    let repo = repository();
    let folder = repo.path();
    let value = password();
    let rows = |head: &str| format!("{head}\n{}shop,{value}\n", "marta,\n".repeat(400));
    let manifest = |kind: &str| format!("kind: {kind}\ndata:\n{}  foo: dGlnZXItODEyOSFzZWE=\n", lines(100));
    let waived = |mark: &str| long_file(&format!("api_token: {} {mark}\n", token()));
    write(folder, "a.csv", rows("login,name"));
    write(folder, "b.yml", manifest("ConfigMap"));
    write(folder, "c.yml", waived("# gitleaks:allow"));
    commit(folder, "clean");
    assert_eq!(history(folder, &["--history"]), Vec::<String>::new());
    write(folder, "a.csv", rows("login,password"));
    write(folder, "b.yml", manifest("Secret"));
    write(folder, "c.yml", waived(""));
    commit(folder, "secret");
    assert_eq!(history(folder, &["--history"]), ["a.csv:402 secret", "b.yml:103 secret", "c.yml:301 secret"]);
}

#[test]
fn a_secret_on_a_branch_and_after_a_change_of_encoding_is_found() {
    let repo = repository();
    let folder = repo.path();
    write(folder, "a.yml", long_file(""));
    write(folder, "b.yml", long_file(""));
    commit(folder, "clean");
    git(folder, &["checkout", "-q", "-b", "other"]);
    write(folder, "a.yml", long_file(&format!("password: {}\n", password())));
    commit(folder, "branch");
    git(folder, &["checkout", "-q", "-"]);
    write(folder, "a.yml", lines(1) + &long_file(""));
    let text = long_file(&format!("password: {}\n", password()));
    write(folder, "b.yml", text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    commit(folder, "wide");
    git(folder, &["merge", "-q", "-m", "merge", "other"]);
    write(folder, "a.yml", "short\n");
    write(folder, "b.yml", "short\n");
    commit(folder, "gone");
    assert_eq!(history(folder, &["--history"]), ["a.yml:301 branch", "b.yml:301 wide"]);
}
