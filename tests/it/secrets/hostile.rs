//! Hostile inputs of a scan: endless lines and files, folders that cannot be read, files that disappear.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{findings, git, parsed, repository, token, write, xtask};

/// Sends `text` over and over, `megabytes` in all without an end of line, then a secret; gives the most
/// memory that the scan held by then, in KiB, and what it found.
#[cfg(target_os = "linux")]
fn endless_line(text: &str, megabytes: usize) -> (u64, Vec<Value>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = xtask(folder.path())
        .args(["-", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("xtask starts");
    let mut stdin = child.stdin.take().expect("stdin");
    let megabyte = text.repeat((1 << 20) / text.len());
    for _ in 0..megabytes {
        stdin.write_all(megabyte.as_bytes()).expect("it reads on");
    }
    // The pipe is small, so nearly all of it is scanned by now, and the end is still open.
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it still runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let peak = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    stdin.write_all(format!(" {} ", token()).as_bytes()).expect("it reads on");
    drop(stdin);
    let (code, found) = parsed(&child.wait_with_output().expect("it ends"));
    assert_eq!(code, 1);
    (peak, found)
}

#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_follow_the_length_of_a_line() {
    for text in ["a=", "let x = f(y); "] {
        let (short, _) = endless_line(text, 16);
        let (long, found) = endless_line(text, 64);
        let rules: Vec<&str> = found.iter().filter_map(|finding| finding["rule"].as_str()).collect();
        assert_eq!(rules, ["github-token"], "{text}");
        assert!(long < short + (16 << 10), "{text}: {short} KiB for 16 MB, {long} KiB for 64 MB");
        assert!(long < 100 << 10, "{text}: {long} KiB");
    }
}

#[test]
fn many_files_are_all_scanned() {
    const FILES: usize = 20_000;
    let folder = tempfile::tempdir().expect("a folder");
    for part in 0..FILES / 1000 {
        let part = folder.path().join(format!("part{part}"));
        fs::create_dir(&part).expect("a folder");
        for at in 0..1000 {
            fs::write(part.join(format!("{at}.txt")), "x = 1\n").expect("written");
        }
    }
    write(folder.path(), "part7/deep/er/last.env", token());
    let output = xtask(folder.path()).args([".", "--format", "json"]).output().expect("xtask starts");
    let (code, found) = parsed(&output);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((code, found.len()), (1, 1));
    assert_eq!(document["summary"]["files"], FILES + 1);
}

/// The command as a user who may not read everything: root may, so it steps down.
#[cfg(target_os = "linux")]
fn as_nobody(folder: &Path) -> Command {
    let root = fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t"));
    if !root {
        return xtask(folder);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_xtask"), "secrets"])
        .current_dir(folder)
        .env_remove("CI")
        .stdin(Stdio::null());
    command
}

#[test]
#[cfg(target_os = "linux")]
fn what_may_not_be_read_is_named_and_counted() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "open/a.env", token());
    write(folder.path(), "shut/b.env", token());
    write(folder.path(), "file.env", token());
    let mode = |name: &str, mode: u32| {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).expect("changed");
    };
    mode("", 0o755);
    mode("shut", 0o000);
    mode("file.env", 0o000);
    let output = as_nobody(folder.path()).args([".", "--format", "json"]).output().expect("it starts");
    mode("shut", 0o755);
    let (code, found) = parsed(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((code, found.len()), (1, 1), "what can be read is scanned: {said}");
    assert_eq!(document["summary"]["skipped_unreadable"], 2, "{said}");
    assert!(said.contains("shut") && said.contains("file.env"), "{said}");
}

#[test]
fn files_may_go_away_at_any_time() {
    let repo = repository();
    let folder = repo.path();
    write(folder, "gone.env", token());
    write(folder, "kept.env", token());
    git(folder, &["add", "-A"]);
    fs::remove_file(folder.join("gone.env")).expect("removed");
    let (code, found) = findings(folder, &[]);
    assert_eq!((code, found.len()), (1, 1), "a tracked file that was deleted is no error: {found:?}");

    // Files that come and go while others are scanned.
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = 0_usize;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let path = folder.join(format!("brief-{}.txt", at % 50));
                // Either may fail when the other side holds the file; that is the point.
                drop(fs::write(&path, "x = 1\n"));
                drop(fs::remove_file(folder.join(format!("brief-{}.txt", (at + 25) % 50))));
                at += 1;
            }
        });
        for _ in 0..5 {
            let (code, found) = findings(folder, &["."]);
            assert_eq!((code, found.len()), (1, 1), "{found:?}");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
