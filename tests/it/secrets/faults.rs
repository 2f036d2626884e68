//! What could not be read is never clean: each fault is found out, or the scan says that it is incomplete.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::{findings, git, parsed, repository, token, write, xtask};

fn commit(folder: &Path, message: &str) {
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", message]);
}

/// Exit code, paths of the findings in order, and the summary.
fn run(folder: &Path, options: &[&str]) -> (i32, Vec<String>, Value) {
    let output = xtask(folder).args(options).args(["--format", "json"]).output().expect("xtask starts");
    let (code, found) = parsed(&output);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut paths: Vec<String> =
        found.iter().filter_map(|finding| finding["path"].as_str().map(str::to_owned)).collect();
    paths.sort();
    (code, paths, document["summary"].clone())
}

/// A scan that found nothing in what it could read, and says so.
fn assert_incomplete(folder: &Path, options: &[&str], says: &str) {
    let (code, paths, summary) = run(folder, options);
    assert_eq!((code, paths.len()), (2, 0), "{options:?}: {summary}");
    assert_eq!(summary["incomplete"], true, "{summary}");
    assert!(summary["not_read"].to_string().contains(says), "{says}: {summary}");
    let accepted: Vec<&str> = options.iter().copied().chain(["--allow-incomplete"]).collect();
    assert_eq!(run(folder, &accepted).0, 0, "{options:?}");
}

fn history_with_a_token() -> TempDir {
    let repo = repository();
    write(repo.path(), "a.env", format!("API_TOKEN={}\n", token()));
    commit(repo.path(), "one");
    write(repo.path(), "a.env", "clean\n");
    commit(repo.path(), "two");
    repo
}

/// The file of the object that `revision` names.
fn object(folder: &Path, revision: &str) -> PathBuf {
    let output =
        Command::new("git").current_dir(folder).args(["rev-parse", revision]).output().expect("git runs");
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    folder.join(".git/objects").join(&id[..2]).join(&id[2..])
}

#[test]
fn the_history_shows_what_attributes_and_encodings_hide() {
    let repo = repository();
    let folder = repo.path();
    let text = format!("API_TOKEN={}\n", token());
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    write(folder, ".gitattributes", "*.ipynb -diff\n*.csv binary\n");
    write(folder, "a.ipynb", &text);
    write(folder, "b.csv", &text);
    write(folder, "c.txt", [&b"\xFF\xFE"[..], &utf16].concat());
    write(folder, "d.txt", &utf16);
    commit(folder, "one");
    for name in ["a.ipynb", "b.csv", "c.txt", "d.txt"] {
        fs::remove_file(folder.join(name)).expect("removed");
    }
    commit(folder, "two");
    let (code, paths, summary) = run(folder, &["--history"]);
    assert_eq!((code, paths), (1, ["a.ipynb", "b.csv", "c.txt", "d.txt"].map(str::to_owned).to_vec()));
    assert_eq!(summary["incomplete"], false);
}

#[test]
fn a_missing_and_a_damaged_blob_make_the_history_incomplete() {
    let repo = history_with_a_token();
    let file = object(repo.path(), "HEAD~1:a.env");
    let whole = fs::read(&file).expect("a loose object");
    fs::remove_file(&file).expect("removed");
    assert_incomplete(repo.path(), &["--history"], "a.env");
    fs::write(&file, &whole[..whole.len() / 2]).expect("written");
    assert_incomplete(repo.path(), &["--history"], "a.env");
    fs::write(&file, "no object").expect("written");
    assert_incomplete(repo.path(), &["--history"], "a.env");
    fs::write(&file, &whole).expect("written");
    assert_eq!(run(repo.path(), &["--history"]).0, 1);
}

#[test]
fn what_lies_behind_a_damaged_blob_is_still_found() {
    let repo = history_with_a_token();
    write(repo.path(), "0.txt", "first of all\n");
    write(repo.path(), "z.env", format!("API_TOKEN={}\n", token()));
    commit(repo.path(), "three");
    let file = object(repo.path(), "HEAD:0.txt");
    fs::remove_file(&file).expect("removed");
    fs::write(&file, "no object").expect("written");
    let (code, paths, summary) = run(repo.path(), &["--history"]);
    assert_eq!((code, paths), (1, vec!["a.env".to_owned(), "z.env".to_owned()]), "{summary}");
    assert_eq!(summary["incomplete"], true);
}

#[test]
fn a_missing_tree_makes_the_history_incomplete() {
    let repo = history_with_a_token();
    fs::remove_file(object(repo.path(), "HEAD~1^{tree}")).expect("removed");
    let output = xtask(repo.path()).arg("--history").output().expect("xtask starts");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_partial_clone_without_its_remote_is_incomplete() {
    let place = tempfile::tempdir().expect("a folder");
    let origin = history_with_a_token();
    git(origin.path(), &["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", origin.path().display());
    git(place.path(), &["clone", "-q", "--filter=blob:none", &url, "partial"]);
    let clone = place.path().join("partial");
    drop(origin);
    assert_incomplete(&clone, &["--history"], "a.env");
}

#[test]
fn a_partial_clone_fetches_what_it_lacks() {
    let place = tempfile::tempdir().expect("a folder");
    let origin = history_with_a_token();
    git(origin.path(), &["config", "uploadpack.allowFilter", "true"]);
    git(origin.path(), &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let url = format!("file://{}", origin.path().display());
    git(place.path(), &["clone", "-q", "--filter=blob:none", &url, "partial"]);
    assert_eq!(run(&place.path().join("partial"), &["--history"]).1, ["a.env"]);
}

#[test]
fn a_shallow_clone_is_incomplete() {
    let place = tempfile::tempdir().expect("a folder");
    let origin = history_with_a_token();
    let url = format!("file://{}", origin.path().display());
    git(place.path(), &["clone", "-q", "--depth", "1", &url, "shallow"]);
    assert_incomplete(&place.path().join("shallow"), &["--history"], "git fetch --unshallow");
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_makes_the_scan_incomplete() {
    let folder = tempfile::tempdir().expect("a folder");
    // Opening a socket as a file fails for every user, root included.
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("a.sock")).expect("a socket");
    assert_incomplete(folder.path(), &["a.sock"], "a.sock");
}

/// Packs of every kind, made by Python's own modules.
const PACK: &str = "
import bz2, io, lzma, sys, tarfile, zipfile
text = sys.stdin.read().encode()
open('a.env.bz2', 'wb').write(bz2.compress(text))
open('a.env.xz', 'wb').write(lzma.compress(text))
with tarfile.open('b.tar.xz', 'w:xz') as tar:
    entry = tarfile.TarInfo('app.env'); entry.size = len(text); tar.addfile(entry, io.BytesIO(text))
with zipfile.ZipFile('nameless', 'w', zipfile.ZIP_DEFLATED) as zip:
    zip.writestr('plain.env', text); zip.writestr('inner', bz2.compress(text))
";

/// Let Python pack a token in `folder`.
fn pack(script: &str, folder: &Path) {
    let mut python = Command::new("python3")
        .args(["-c", script])
        .current_dir(folder)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("Python starts");
    let text = format!("API_TOKEN={}\n", token());
    std::io::Write::write_all(&mut python.stdin.take().expect("stdin"), text.as_bytes()).expect("written");
    assert!(python.wait().expect("it ends").success());
}

#[test]
fn archives_of_every_kind_are_unfolded_in_the_tree_and_in_the_history() {
    let repo = repository();
    pack(PACK, repo.path());
    let expected = [
        "a.env.bz2!a.env",
        "a.env.xz!a.env",
        "b.tar.xz!app.env",
        "nameless!inner!inner",
        "nameless!plain.env",
    ];
    assert_eq!(run(repo.path(), &["--archives"]).1, expected);
    git(repo.path(), &["add", "-A"]);
    assert_eq!(run(repo.path(), &["--archives", "--staged"]).1, expected);
    git(repo.path(), &["commit", "-q", "-m", "one"]);
    git(repo.path(), &["rm", "-q", "-r", "."]);
    git(repo.path(), &["commit", "-q", "-m", "two"]);
    assert_eq!(run(repo.path(), &["--archives", "--history"]).1, expected);
    assert_eq!(run(repo.path(), &["--history"]).0, 0);
}

#[test]
fn a_broken_archive_makes_the_scan_incomplete() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a.zip", "a.tar.gz", "a.bz2", "a.xz"] {
        write(folder.path(), name, "no archive at all, but a text");
        assert_incomplete(folder.path(), &[name, "--archives"], name);
    }
}

/// What Python packs: a token with damage behind it, members packed in a way that is not unpacked, and a bomb.
const DAMAGED: &str = "
import gzip, sys, zipfile
text = sys.stdin.buffer.read()
open('tail.env.gz', 'wb').write(gzip.compress(text) + b'no gzip')
with zipfile.ZipFile('mixed.zip', 'w') as zip:
    zip.writestr('lzma.txt', b'a = 1', zipfile.ZIP_LZMA); zip.writestr('plain.env', text)
open('bomb.txt.gz', 'wb').write(gzip.compress(b'a = 1\\n' * (4 << 20)))
";

#[test]
fn what_is_before_and_beside_damage_is_found_and_bombs_are_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    pack(DAMAGED, folder.path());
    for (name, found, unread) in [
        ("tail.env.gz", "tail.env.gz!tail.env", "tail.env.gz"),
        ("mixed.zip", "mixed.zip!plain.env", "mixed.zip!lzma.txt"),
    ] {
        let (code, paths, summary) = run(folder.path(), &[name, "--archives"]);
        assert_eq!((code, paths), (1, vec![found.to_owned()]), "{summary}");
        assert!(summary["not_read"].to_string().contains(unread), "{summary}");
        assert_eq!(summary["incomplete"], true, "{summary}");
    }
    assert_incomplete(folder.path(), &["bomb.txt.gz", "--archives"], "200 times its size");
}

#[test]
fn archives_that_are_not_unpacked_make_the_scan_incomplete() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, start) in [
        ("a.7z", &b"7z\xBC\xAF\x27\x1C\0\0"[..]),
        ("nameless", b"Rar!\x1A\x07\x01\0"),
        ("dump.sql.zst", b"\x28\xB5\x2F\xFD\0"),
    ] {
        fs::write(folder.path().join(name), start).expect("written");
        assert_incomplete(folder.path(), &[name, "--archives"], "are not unpacked");
    }
    write(folder.path(), "a.tar", format!("{}\u{1b}[2J", "x".repeat(600)));
    let (_, _, summary) = run(folder.path(), &["a.tar", "--archives"]);
    assert!(!summary["not_read"].to_string().contains("\\u001b"), "{summary}");
}

#[test]
fn the_baseline_holds_however_a_path_is_written() {
    let repo = repository();
    write(repo.path(), "s/a.yml", format!("token: {}\n", token()));
    assert_eq!(findings(repo.path(), &["--update-baseline"]).0, 0);
    let inner = repo.path().join("s");
    let absolute = inner.join("a.yml");
    let absolute = absolute.to_str().expect("text");
    for (folder, path) in [
        (repo.path(), "."),
        (repo.path(), "./s"),
        (repo.path(), "s/../s/a.yml"),
        (repo.path(), absolute),
        (&inner, "a.yml"),
        (&inner, "."),
        (&inner, "../s"),
    ] {
        assert_eq!(findings(folder, &[path]).0, 0, "{path}");
        let sarif = xtask(folder).args([path, "--format", "sarif"]).output().expect("xtask starts");
        assert_eq!(sarif.status.code(), Some(0), "{path}");
    }
}

#[test]
fn one_baseline_serves_files_and_history() {
    let repo = repository();
    write(repo.path(), "a.txt", "clean\n");
    commit(repo.path(), "one");
    write(repo.path(), "new.txt", format!("token = {}\n", token()));
    assert_eq!(findings(repo.path(), &["--update-baseline"]).0, 0);
    // What is not committed is not in the history, and stays accepted.
    assert_eq!(findings(repo.path(), &["--history"]).0, 0);
    assert_eq!(findings(repo.path(), &["--history", "--update-baseline"]).0, 0);
    assert_eq!(findings(repo.path(), &[]).0, 0);
}

#[test]
fn a_commit_is_blamed_for_what_it_added_only() {
    let repo = repository();
    write(repo.path(), "a.txt", format!("token = {}\n", token()));
    commit(repo.path(), "one");
    write(repo.path(), "a.txt", format!("more\ntoken = {}\n", token()));
    commit(repo.path(), "two");
    assert_eq!(findings(repo.path(), &["--since", "HEAD~1"]).0, 0);
    let (_, found) = findings(repo.path(), &["--history"]);
    assert_eq!((found.len(), &found[0]["line"]), (1, &Value::from(1)));
}

#[test]
fn a_gitleaks_file_works_or_is_refused() {
    let repo = repository();
    let line = format!("token = {}\n", token());
    write(repo.path(), "a.txt", &line);
    let configure = |text: &str| {
        write(repo.path(), ".gitleaks.toml", text);
        let output = xtask(repo.path()).args(["a.txt"]).output().expect("xtask starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for works in [
        "[extend]\nuseDefault = true\ndisabledRules = ['github-token']\n",
        "[[allowlists]]\ntargetRules = ['github-token']\nregexes = ['''^ghp_''']\n",
        "[[rules]]\nid = 'github-token'\n[[rules.allowlists]]\ndescription = 'ours'\npaths = ['''a\\.txt''']\n",
        "[extend]\ndisabledRules = ['github-token']\n[[rules]]\nid = 'github-token'\n\
         [[rules.allowlists]]\nregexTarget = 'line'\nregexes = ['''^token''']\n",
    ] {
        assert_eq!(configure(works), (Some(0), String::new()), "{works}");
    }
    for reports in [
        "[extend]\ndisabledRules = ['github-token']\n[[rules]]\nid = 'github-token'\nseverity = 'low'\n",
        "[[rules]]\nid = 'github-token'\nregex = '''(never-[0-9]{9})'''\n[[rules]]\nid = 'own'\nregex = '''ghp_\\w+'''\n",
        "[[allowlists]]\ntargetRules = ['slack-token']\nregexes = ['''^ghp_''']\n",
    ] {
        assert_eq!(configure(reports).0, Some(1), "{reports}");
    }
    for (text, needle) in [
        ("[extend]\ndisabledRules = ['no-such-rule']\n", "no-such-rule"),
        ("[[allowlists]]\ntargetRules = ['no-such-rule']\nregexes = ['x']\n", "no-such-rule"),
        ("[[rules]]\nid = 'no-such-rule'\nentropy = 3\n", "no rule of that name"),
        ("[[rules]]\nid = 'x'\nregex = 'x'\n[[rules.required]]\nid = 'github-token'\n", "composite"),
        ("[extend]\nurl = 'https://x.test/rules.toml'\n", "url"),
        ("[[rules]]\nid = 'x'\nregexp = 'x'\n", "regexp"),
        ("[[allowlists]]\nstopword = ['x']\n", "stopword"),
        ("[extends]\nuseDefault = true\n", "extends"),
    ] {
        let (code, said) = configure(text);
        assert_eq!(code, Some(2), "{text}: {said}");
        assert!(said.contains(needle) && said.contains(".gitleaks.toml"), "{text}: {said}");
    }
}

#[test]
fn a_generic_kind_can_be_switched_off_and_allowed() {
    let repo = repository();
    write(repo.path(), "a.yml", format!("db_password: {}\n", super::password().replace('#', "x")));
    assert_eq!(findings(repo.path(), &["a.yml"]).1[0]["rule"], "generic-password");
    for text in [
        "[extend]\ndisabledRules = ['generic-password']\n",
        "[[rules]]\nid = 'generic-password'\n[[rules.allowlists]]\npaths = ['''a\\.yml''']\n",
    ] {
        write(repo.path(), ".gitleaks.toml", text);
        assert_eq!(findings(repo.path(), &["a.yml"]).0, 0, "{text}");
    }
}

#[test]
fn the_ignore_file_of_gitleaks_counts() {
    let repo = repository();
    write(repo.path(), "a.txt", format!("\ntoken = {}\n", token()));
    write(repo.path(), ".gitleaksignore", "# looked at\na.txt:github-token:2\n");
    let (code, _, summary) = run(repo.path(), &["a.txt"]);
    assert_eq!((code, &summary["ignored_by_gitleaksignore"]), (0, &Value::from(1)));
    write(repo.path(), ".gitleaksignore", "a.txt:github-token:3\n");
    assert_eq!(findings(repo.path(), &["a.txt"]).0, 1);
    for (line, needle) in [("a.txt:no-such-rule:2", "no-such-rule"), ("a.txt", "line 1")] {
        write(repo.path(), ".gitleaksignore", format!("{line}\n"));
        let output = xtask(repo.path()).arg("a.txt").output().expect("xtask starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(needle) && said.contains(".gitleaksignore"), "{said}");
    }
}

#[test]
fn what_git_has_outside_of_the_work_tree_and_of_commits_is_found() {
    let text = format!("API_TOKEN={}\n", token());
    let sparse = repository();
    write(sparse.path(), "in/a.txt", "clean\n");
    write(sparse.path(), "out/b.env", &text);
    commit(sparse.path(), "one");
    git(sparse.path(), &["sparse-checkout", "set", "in"]);
    assert!(!sparse.path().join("out").exists());
    assert_eq!(run(sparse.path(), &[]).1, ["out/b.env"]);
    // A deleted file is not one that was left out.
    let deleted = repository();
    write(deleted.path(), "b.env", &text);
    git(deleted.path(), &["add", "-A"]);
    fs::remove_file(deleted.path().join("b.env")).expect("removed");
    assert_eq!(run(deleted.path(), &[]).0, 0);

    let tags = repository();
    write(tags.path(), "a/b.env", &text);
    git(tags.path(), &["add", "-A"]);
    git(tags.path(), &["tag", "blob", ":a/b.env"]);
    assert_eq!(run(tags.path(), &["--history"]).1, ["refs/tags/blob"]);
    git(tags.path(), &["commit", "-q", "-m", "one"]);
    git(tags.path(), &["tag", "-a", "-m", "x", "tree", "HEAD^{tree}"]);
    git(tags.path(), &["rm", "-q", "a/b.env"]);
    git(tags.path(), &["commit", "-q", "--amend", "--allow-empty", "-m", "two"]);
    assert_eq!(run(tags.path(), &["--history"]).1, ["a/b.env", "refs/tags/blob"]);
}

#[test]
fn replaced_commits_hide_nothing() {
    let repo = history_with_a_token();
    git(repo.path(), &["replace", "--graft", "HEAD"]);
    assert_eq!(run(repo.path(), &["--history"]).1, ["a.env"]);
}

#[test]
fn a_submodule_and_a_file_of_lfs_that_are_not_there_are_incomplete() {
    let inner = repository();
    write(inner.path(), "a.env", format!("API_TOKEN={}\n", token()));
    commit(inner.path(), "one");
    let outer = repository();
    let url = inner.path().to_str().expect("a path");
    git(outer.path(), &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url, "vendor"]);
    assert_eq!(run(outer.path(), &[]).1, ["vendor/a.env"]);
    git(outer.path(), &["submodule", "--quiet", "deinit", "--force", "vendor"]);
    assert_incomplete(outer.path(), &[], "submodule");

    let large = repository();
    let id = "4d7a".repeat(16);
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{id}\nsize 12345\n");
    write(large.path(), "a.env", pointer);
    commit(large.path(), "one");
    assert_incomplete(large.path(), &[], "Git LFS");
    assert_incomplete(large.path(), &["--history"], "Git LFS");
    write(large.path(), &format!(".git/lfs/objects/4d/7a/{id}"), format!("API_TOKEN={}\n", token()));
    assert_eq!(run(large.path(), &[]).1, ["a.env"]);
    assert_eq!(run(large.path(), &["--history"]).1, ["a.env"]);
}

#[test]
fn a_bare_repository_is_scanned_by_its_history_only() {
    let repo = history_with_a_token();
    let bare = tempfile::tempdir().expect("a folder");
    let (from, to) = (repo.path().to_str().expect("a path"), bare.path().to_str().expect("a path"));
    git(repo.path(), &["clone", "-q", "--bare", from, to]);
    assert_incomplete(bare.path(), &[], "--history");
    assert_eq!(run(bare.path(), &["--history"]).1, ["a.env"]);
}
