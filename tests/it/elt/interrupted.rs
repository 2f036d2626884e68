//! Whatever is killed at whatever moment: the next run completes, nothing is left behind or half-recorded.

#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::elt;
use crate::support::{BUILT, Checkout, Ended};

/// A run of `elt` that is in the middle of building: dbt has reported its first node.
fn in_the_middle(checkout: &Checkout) -> (Child, u32) {
    let mut command = checkout.command(&elt(BUILT, &["--force"]));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("stderr"));
    let mut line = String::new();
    while !line.starts_with("success") {
        line.clear();
        assert!(stderr.read_line(&mut line).expect("text") > 0, "elt ended before a node was built");
    }
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let dbt = std::fs::read_to_string(children).expect("children").split_whitespace().next().map(str::parse);
    child.stderr = Some(stderr.into_inner());
    (child, dbt.expect("dbt runs").expect("a number"))
}

fn send(signal: &str, process: u32) {
    let sent = Command::new("kill").args([signal, &process.to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

/// Whether a process has ended, or ends within the few seconds it has to cancel its queries.
fn is_gone(process: u32) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        if status.is_empty() || status.contains("State:\tZ") {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

/// The statuses of all runs but the first, which built the checkout.
fn later_runs(checkout: &Checkout) -> Vec<String> {
    let runs = checkout.sql(&format!("select status from {BUILT}.ledger_runs order by started_at offset 1"));
    runs.iter().map(|run| run["status"].as_str().expect("a status").to_owned()).collect()
}

fn next_completes(checkout: &Checkout) -> Ended {
    checkout.run(&elt(BUILT, &["--format", "json"])).expect(0)
}

#[test]
fn killing_elt_ends_dbt_and_the_next_run_records_it() {
    let checkout = Checkout::built();
    let (mut child, dbt) = in_the_middle(&checkout);
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(is_gone(dbt), "dbt outlived the toolkit");
    let next = next_completes(&checkout);
    assert!(next.stderr.contains("an earlier run was killed"), "{}", next.stderr);
    assert_eq!(next.json()["dbt_started"], true, "the schema may be half built");
    assert_eq!(later_runs(&checkout), ["interrupted", "success"]);
}

#[test]
fn killing_dbt_is_told_and_recorded() {
    let checkout = Checkout::built();
    let (child, dbt) = in_the_middle(&checkout);
    send("-KILL", dbt);
    let ended = Ended::from(child.wait_with_output().expect("ended")).expect(2);
    assert!(ended.stderr.contains("dbt was killed"), "{}", ended.stderr);
    next_completes(&checkout);
    assert_eq!(later_runs(&checkout), ["error", "success"]);
}

#[test]
fn an_interrupt_stops_dbt_and_is_recorded() {
    let checkout = Checkout::built();
    let (child, dbt) = in_the_middle(&checkout);
    send("-INT", child.id());
    let ended = Ended::from(child.wait_with_output().expect("ended")).expect(2);
    assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
    assert!(is_gone(dbt));
    next_completes(&checkout);
    assert_eq!(later_runs(&checkout), ["interrupted", "success"]);
}

/// As `cargo xtask … 2>&1 | head` leaves it.
#[test]
fn a_closed_stderr_stops_no_run() {
    let checkout = Checkout::built();
    let arguments = ["-vv", "elt", "--schema", BUILT];
    let said = checkout.run(&arguments).expect(0).stderr;
    assert!(!said.is_empty(), "there is nothing that cannot be written");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = checkout.command(&arguments);
    let status = command.stdout(Stdio::null()).stderr(writer).status().expect("started");
    assert_eq!(status.code(), Some(0));
}
