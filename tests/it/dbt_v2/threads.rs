//! How many queries dbt v2 sends at once, by its own log of them.

use std::fs;

use jiff::Timestamp;

use super::{command, installed};
use crate::support::{Checkout, Ended};

/// The most queries of tests that ran at the same time. Unit tests do not wait for a thread.
fn most_at_once(log: &str) -> i64 {
    let mut changes = Vec::new();
    for query in log.split("-- created_at: ").skip(1) {
        let value = |name: &str| query.lines().find_map(|line| line.strip_prefix(name));
        if !value("-- node_id: ").is_some_and(|node| node.starts_with("test.")) {
            continue;
        }
        let time = |text: Option<&str>| text.expect("a time").trim().parse::<Timestamp>().expect("a time");
        changes.push((time(query.lines().next()), 1));
        changes.push((time(value("-- finished_at: ")), -1));
    }
    assert!(changes.len() > 100, "{} queries of tests", changes.len() / 2);
    changes.sort_unstable();
    let running = changes.iter().scan(0, |running, (_, change)| {
        *running += change;
        Some(*running)
    });
    running.max().unwrap_or_default()
}

/// dbt v2 does not read the number from the profile, and no number at all with its parse cache. A query may begin
/// before the one before it is written down as finished.
#[test]
fn as_many_nodes_are_built_at_once_as_are_asked_for() {
    let Some(folder) = installed() else { return };
    let checkout = Checkout::new();
    let mut build = command(&checkout, folder, &["elt", "--schema", "issue_7"]);
    build.env("DBT_THREADS", "1").env("DBT_PARTIAL_PARSE", "false");
    Ended::of(build).expect(0);
    let log = fs::read_to_string(checkout.path("dbt/logs/query_log.sql")).expect("a log of queries");
    let most = most_at_once(&log);
    assert!(most <= 3, "{most} queries at once");
}
