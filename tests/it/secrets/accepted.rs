//! What is accepted: inline waivers, the baseline, and a `.gitleaks.toml` of the repository.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::{findings, git, repository, token, write, xtask};

#[test]
fn inline_waivers_work_and_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = token();
    for mark in ["xtask:allow", "gitleaks:allow", "pragma: allowlist secret"] {
        write(folder.path(), "a.txt", format!("x = {token} # {mark}\n"));
        let output = xtask(folder.path()).args(["a.txt", "--format", "json"]).output().expect("xtask starts");
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(output.status.code(), Some(0), "{mark}");
        assert_eq!(document["summary"]["allowed_inline"], 1, "{mark}");
    }
    write(folder.path(), "a.txt", format!("# pragma: allowlist nextline secret\nx = {token}\ny = {token}\n"));
    let (_, found) = findings(folder.path(), &["a.txt"]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["line"], 3);
}

#[test]
fn the_baseline_accepts_expires_and_shrinks() {
    let repo = repository();
    let folder = repo.path();
    let token = token();
    write(folder, "a.txt", format!("x = {token}\n"));
    assert_eq!(findings(folder, &["--update-baseline"]).0, 0);
    let file = folder.join("policies/secrets-baseline.toml");
    let text = fs::read_to_string(&file).expect("a baseline");
    assert!(!text.contains(&token) && text.contains("rule = \"github-token\""), "{text}");
    // Moved down, and in the index and the history: still the same finding.
    write(folder, "a.txt", format!("\n\n\nx = {token}\n"));
    assert_eq!(findings(folder, &[]).0, 0);
    git(folder, &["add", "-A"]);
    assert_eq!(findings(folder, &["--staged"]).0, 0);
    git(folder, &["commit", "-q", "-m", "one"]);
    assert_eq!(findings(folder, &["--history"]).0, 0);
    let explained = text.replace("reason = \"", "expires = \"2020-01-31\"\nreason = \"because ");
    fs::write(&file, &explained).expect("written");
    let (code, found) = findings(folder, &[]);
    let rules: Vec<&str> = found.iter().filter_map(|finding| finding["rule"].as_str()).collect();
    assert_eq!((code, rules), (1, vec!["github-token", "baseline-expired"]));
    assert_eq!(found[1]["line"], 5);
    // A second update keeps reason and date.
    findings(folder, &["--update-baseline"]);
    assert!(fs::read_to_string(&file).expect("a baseline").contains("because found"));
    fs::write(&file, explained.replace("2020-01-31", "2999-01-31")).expect("written");
    write(folder, "a.txt", "clean\n");
    let (code, found) = findings(folder, &[]);
    assert_eq!((code, &found[0]["rule"]), (1, &Value::from("baseline-unused")));
    assert_eq!(
        findings(folder, &["a.txt"]).0,
        0,
        "a part of the repository says nothing about unused entries"
    );
}

#[test]
fn a_finding_of_an_old_commit_is_accepted_for_the_history_and_not_unused_in_the_files() {
    let repo = repository();
    let folder = repo.path();
    write(folder, "a.txt", format!("x = {}\n", token()));
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", "one"]);
    write(folder, "a.txt", "clean\n");
    git(folder, &["commit", "-q", "-a", "-m", "two"]);
    assert_eq!(findings(folder, &["--history", "--update-baseline"]).0, 0);
    let file = folder.join("policies/secrets-baseline.toml");
    let accepted = fs::read_to_string(&file).expect("a baseline");
    assert!(accepted.contains("history = true"), "{accepted}");
    assert_eq!((findings(folder, &["--history"]).0, findings(folder, &[]).0), (0, 0));
    // A scan of the files neither sees the old commit nor forgets what was accepted there.
    findings(folder, &["--update-baseline"]);
    assert_eq!(fs::read_to_string(&file).expect("a baseline"), accepted);
    fs::write(&file, accepted.replace("fingerprint = \"", "fingerprint = \"0")).expect("written");
    let rules = |args: &[&str]| -> Vec<Value> {
        findings(folder, args).1.iter().map(|finding| finding["rule"].clone()).collect()
    };
    assert_eq!(rules(&["--history"]), ["github-token", "baseline-unused"]);
}

#[test]
fn a_gitleaks_file_of_the_repository_counts() {
    let repo = repository();
    write(repo.path(), "docs/a.txt", token());
    write(repo.path(), "src/a.txt", format!("{}\nacme-12345678\n", token()));
    write(
        repo.path(),
        ".gitleaks.toml",
        "[extend]\nuseDefault = true\n[[rules]]\nid = 'acme'\nregex = '''acme-[0-9]{8}'''\n[allowlist]\npaths = ['''^docs/''']\n",
    );
    let (_, found) = findings(repo.path(), &[]);
    let rules: Vec<&str> = found.iter().filter_map(|finding| finding["rule"].as_str()).collect();
    assert_eq!(rules, ["github-token", "acme"]);
}

#[test]
fn allowed_commits_and_rules_of_paths_count_in_the_history() {
    let repo = repository();
    let folder = repo.path();
    let commit = || {
        git(folder, &["add", "-A"]);
        git(folder, &["commit", "-q", "-m", "one"]);
        let mut head = Command::new("git");
        let output = head.current_dir(folder).args(["rev-parse", "HEAD"]).output().expect("git runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    write(folder, "a.txt", token());
    let first = commit();
    fs::remove_file(folder.join("a.txt")).expect("removed");
    write(folder, "keys/store.p12", b"\0\x01\x02binary");
    commit();
    let allowed =
        format!("[[rules]]\nid = 'key-store'\npath = '''\\.p12$'''\n[[allowlists]]\ncommits = ['{first}']\n");
    write(folder, ".gitleaks.toml", allowed);
    let rules = |options: &[&str]| -> Vec<String> {
        let (_, found) = findings(folder, options);
        found.iter().filter_map(|finding| finding["rule"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(rules(&["--history"]), ["key-store"]);
    assert_eq!(rules(&[]), ["key-store"]);
    let print = |options: &[&str]| findings(folder, options).1[0]["fingerprint"].clone();
    assert_eq!(print(&[]), print(&["--history"]));
    // The same text in a commit that is not allowed is found, though an allowed one brought it first.
    write(folder, "a.txt", token());
    commit();
    assert_eq!(rules(&["--history"]), ["github-token", "key-store"]);
}
