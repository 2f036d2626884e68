//! Killed at any moment, by `kill -9` of the toolkit, of dbt, or of both: nothing is left running, no relation is
//! half-written, and the next run completes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{built, command, installed, run};
use crate::support::{BUILT, Checkout, Ended};

/// Moments at which a run is killed, in milliseconds after its dbt was started. Spread over a build of about two
/// seconds; a slower machine is killed earlier in it.
const MOMENTS: [u64; 6] = [20, 350, 700, 1000, 1400, 1900];

fn children(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(|number| number.parse().expect("a number")).collect()
}

/// Whether any thread of it still runs. The first thread is reported as a zombie as soon as it has ended, while others
/// may still hold the lock on the database file.
fn is_alive(process: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return false };
    threads.flatten().any(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        !status.is_empty() && !status.contains("State:\tZ")
    })
}

fn wait_until(mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_mins(1);
    while Instant::now() < deadline {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

fn name_of(process: u32) -> String {
    let command = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(command.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// A run whose dbt process has just become dbt.
fn started(checkout: &Checkout, folder: &Path) -> (Child, u32) {
    let mut command = command(checkout, folder, &["elt", "--schema", BUILT, "--force"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut dbt = None;
    let found = wait_until(|| {
        dbt = children(child.id()).into_iter().find(|process| name_of(*process).ends_with("dbt/dbt"));
        dbt.is_some()
    });
    assert!(found, "dbt was not started");
    (child, dbt.expect("a process"))
}

fn send(signal: &str, processes: &[u32]) {
    let numbers = processes.iter().map(u32::to_string);
    // A process that has ended by itself meanwhile is not a fault.
    Command::new("kill").arg(signal).args(numbers).stderr(Stdio::null()).status().expect("kill runs");
}

/// Every table with its rows, but for what a run itself adds.
fn contents(checkout: &Checkout) -> Vec<(String, u64)> {
    let tables = checkout.sql(&format!(
        "select table_name as t from duckdb_tables() where database_name = '{BUILT}' and table_name not like 'ledger%'
         order by 1"
    ));
    let rows = |name: &str| {
        checkout.sql(&format!("select count(*) as n from {BUILT}.\"{name}\""))[0]["n"]
            .as_u64()
            .expect("a count")
    };
    tables
        .iter()
        .map(|row| row["t"].as_str().expect("a name").to_owned())
        .map(|name| (name.clone(), rows(&name)))
        .collect()
}

#[test]
fn killing_any_of_them_leaves_nothing_behind() {
    let Some(folder) = installed() else { return };
    let checkout = built(folder);
    let whole = contents(&checkout);
    for (index, moment) in MOMENTS.into_iter().enumerate() {
        let (mut child, dbt) = started(&checkout, folder);
        std::thread::sleep(Duration::from_millis(moment));
        let (of, victims) = match index % 3 {
            0 => ("the toolkit", vec![child.id()]),
            1 => ("dbt", vec![dbt]),
            _ => ("both", vec![child.id(), dbt]),
        };
        send("-KILL", &victims);
        child.wait().expect("it ends");
        assert!(wait_until(|| !is_alive(dbt)), "dbt outlives {of}, killed after {moment} ms");
        for (table, rows) in contents(&checkout) {
            let expected = whole.iter().find(|(name, _)| *name == table).map(|(_, rows)| *rows);
            let is_of_dbt = table.contains("__dbt_");
            assert!(is_of_dbt || expected == Some(rows), "{table} is half-written after {of} was killed");
        }
        let next = run(&checkout, folder, &["elt", "--schema", BUILT, "--force"]);
        let next = next.expect(0);
        assert!(next.stdout.contains("success"), "{}", next.stdout);
        assert_eq!(contents(&checkout), whole, "{of}, {moment} ms");
    }
}

#[test]
fn an_interrupt_stops_dbt_and_is_recorded() {
    let Some(folder) = installed() else { return };
    let checkout = built(folder);
    let mut command = command(&checkout, folder, &["elt", "--schema", BUILT, "--force"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut dbt = 0;
    let found = wait_until(|| {
        dbt = children(child.id())
            .into_iter()
            .find(|process| name_of(*process).ends_with("dbt/dbt"))
            .unwrap_or_default();
        dbt != 0
    });
    assert!(found, "dbt was not started");
    send("-INT", &[child.id()]);
    let ended = Ended::from(child.wait_with_output().expect("it ends")).expect(2);
    assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
    assert!(!is_alive(dbt));
    run(&checkout, folder, &["elt", "--schema", BUILT]).expect(0);
    let runs = checkout.sql(&format!("select status from {BUILT}.ledger_runs order by started_at offset 1"));
    let statuses: Vec<&str> = runs.iter().map(|run| run["status"].as_str().expect("a status")).collect();
    assert_eq!(statuses, ["interrupted", "success"]);
}
