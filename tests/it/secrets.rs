//! `cargo xtask secrets`: every mode finds the same secret, nothing is printed that should not be,
//! and no input is too odd to be scanned.

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
fn odd_files_are_scanned_or_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = token();
    let utf16: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(format!("\nt={token}\n").encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    write(folder.path(), "utf16.txt", utf16);
    write(folder.path(), "bom.txt", format!("\u{feff}{token}\n"));
    write(folder.path(), "broken.txt", [b"\xFF\xC3 t=".as_slice(), token.as_bytes(), b"\n"].concat());
    write(folder.path(), "binary.bin", [b"\0\0\0".as_slice(), token.as_bytes()].concat());
    write(folder.path(), "empty.txt", "");
    let far = format!("{}{token} end", "a=b ".repeat(3 << 20));
    write(folder.path(), "long.txt", &far);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(".", folder.path().join("circle")).expect("a link");
        std::os::unix::fs::symlink("/nowhere", folder.path().join("dangling")).expect("a link");
    }
    let output = xtask(folder.path()).args([".", "--format", "json"]).output().expect("xtask starts");
    let (code, mut found) = parsed(&output);
    found.sort_by_key(|finding| finding["path"].as_str().map(str::to_owned));
    let places: Vec<(String, u64, u64)> = found
        .iter()
        .map(|f| {
            let path = f["path"].as_str().unwrap_or_default().trim_start_matches("./").to_owned();
            (path, f["line"].as_u64().unwrap_or(0), f["column"].as_u64().unwrap_or(0))
        })
        .collect();
    let expected = [
        ("bom.txt".to_owned(), 1, 1),
        ("broken.txt".to_owned(), 1, 6),
        ("long.txt".to_owned(), 1, far.len() as u64 - 4 - 40 + 1),
        ("utf16.txt".to_owned(), 2, 3),
    ];
    assert_eq!((code, places), (1, expected.to_vec()));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["summary"]["skipped_binary"], 1);
}

#[test]
fn secrets_on_the_seam_of_two_pieces_are_found_once() {
    let folder = tempfile::tempdir().expect("a folder");
    for shift in [0_usize, 20, 65_536, 65_550] {
        let before = (2 << 20) - shift;
        let text = format!("{}\n{}\n{}", "x ".repeat(before / 2), token(), "y\n".repeat(1 << 20));
        write(folder.path(), "seam.txt", text);
        let (_, found) = findings(folder.path(), &["seam.txt"]);
        assert_eq!(found.len(), 1, "{shift}");
        assert_eq!(found[0]["line"], 2, "{shift}");
    }
}

#[test]
fn encoded_secrets_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let hex = token().bytes().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    write(folder.path(), "hex.txt", format!("data: {hex}\n"));
    let (_, found) = findings(folder.path(), &["hex.txt"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["rule"], &found[0]["line"]), (&Value::from("github-token"), &Value::from(1)));
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
fn this_repository_is_clean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root");
    let (code, found) = findings(root, &[]);
    assert_eq!(code, 0, "{found:#?}");
}

#[test]
fn percent_and_unicode_escapes_are_undone() {
    let folder = tempfile::tempdir().expect("a folder");
    let percent = token().bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
    let unicode = token().bytes().fold(String::new(), |text, byte| format!("{text}\\u00{byte:02x}"));
    for text in [percent, unicode] {
        write(folder.path(), "a.txt", format!("first\nx = {text}\n"));
        let (_, found) = findings(folder.path(), &["a.txt"]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&found[0]["rule"], &found[0]["line"]), (&Value::from("github-token"), &Value::from(2)));
    }
}

/// A zip and a tar.gz, made by Python's own modules.
const PACK: &str = "
import io, sys, tarfile, zipfile
text = sys.stdin.read().encode()
inner = io.BytesIO()
with tarfile.open(fileobj=inner, mode='w:gz') as tar:
    entry = tarfile.TarInfo('etc/app.env'); entry.size = len(text); tar.addfile(entry, io.BytesIO(text))
with zipfile.ZipFile('outer.zip', 'w', zipfile.ZIP_DEFLATED) as zip:
    zip.writestr('plain.env', text); zip.writestr('in/inner.tgz', inner.getvalue()); zip.writestr('broken.zip', 'no zip')
";

#[test]
fn archives_are_unfolded_on_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pack = Command::new("python3")
        .args(["-c", PACK])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let text = format!("API_TOKEN={}\n", token());
    pack.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("written");
    assert!(pack.wait().expect("it ends").success());

    assert_eq!(findings(folder.path(), &["outer.zip"]).0, 0);
    let output = xtask(folder.path())
        .args(["outer.zip", "--archives", "--format", "json"])
        .output()
        .expect("xtask starts");
    let (code, found) = parsed(&output);
    let paths: Vec<&str> = found.iter().filter_map(|finding| finding["path"].as_str()).collect();
    assert_eq!((code, paths), (1, vec!["outer.zip!in/inner.tgz!etc/app.env", "outer.zip!plain.env"]));
    // What could not be unfolded is named, not passed over.
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("outer.zip!broken.zip"), "{said}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["summary"]["skipped_unreadable"], 1);
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
fn an_id_is_told_with_its_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = ["AKIA", "Z7Q2", "M4XK", "5T3W", "LB6N"].concat();
    let secret = ["k7Fq2Zx9Lm", "4Tn8WpR3vB", "5cHy6Jd1Gs", "0Qe/+aUoXi"].concat();
    write(folder.path(), "a.env", format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\n"));
    let (_, found) = findings(folder.path(), &["a.env"]);
    assert_eq!(found.len(), 1, "{found:?}");
    let message = found[0]["message"].as_str().expect("a message");
    assert_eq!((&found[0]["rule"], &found[0]["line"]), (&Value::from("aws-secret-key"), &Value::from(2)));
    assert!(message.contains("AWS access key ID") && message.contains("1 line above"), "{message}");
    let human = xtask(folder.path()).arg("a.env").output().expect("xtask starts").stdout;
    assert!(!String::from_utf8_lossy(&human).contains(&id[4..]), "the id is not shown either");

    // Alone it is a separate finding.
    write(folder.path(), "a.env", format!("AWS_ACCESS_KEY_ID={id}\n"));
    let (_, found) = findings(folder.path(), &["a.env"]);
    assert_eq!((found.len(), &found[0]["rule"]), (1, &Value::from("aws-access-key")));

    let drawn = &secret[..36].replace(['/', '+'], "7");
    write(folder.path(), "b.yaml", format!("client_id: shop-7\n# for the web\nclient_secret: {drawn}\n"));
    let (_, found) = findings(folder.path(), &["b.yaml"]);
    let message = found[0]["message"].as_str().expect("a message");
    assert!(message.contains("the client_id that goes with it is 2 lines above"), "{message}");
    assert_eq!(found.len(), 1, "{found:?}");
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

#[test]
fn a_connection_string_in_code_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = ["Tra", "vel", "ler9"].concat();
    let code = format!("var c = \"Server=db1;User Id=app;Password={password};Encrypt=true\";\n");
    write(folder.path(), "a.cs", code);
    write(folder.path(), "b.cs", "var c = \"Server=db1;User Id=app;Password=\" + password + \";\";\n");
    let (_, found) = findings(folder.path(), &["a.cs", "b.cs"]);
    assert_eq!((found.len(), &found[0]["rule"]), (1, &Value::from("generic-connection-string")), "{found:?}");
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
