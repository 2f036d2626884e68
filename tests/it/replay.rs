//! `cargo xtask replay`: a saved event carried out here, with the workflow's stages and gates.

use std::path::PathBuf;

use crate::plan::event_name;
use crate::support::{Checkout, Ended, root};

fn event(case: &str) -> PathBuf {
    root().join("tests/events").join(format!("{case}.json"))
}

fn replay(checkout: &Checkout, case: &str, more: &[&str]) -> Ended {
    let mut command = checkout.command(&["replay", "--event-name", event_name(case), "--event"]);
    command.arg(event(case)).args(more);
    Ended::of(command)
}

#[test]
fn a_dry_run_prints_every_command_and_statement_and_does_nothing() {
    let checkout = Checkout::new();
    let said = replay(&checkout, "issues.labeled-feature", &["--dry-run"]).expect(0).stdout;
    let mut rest = said.as_str();
    for words in [
        "# security\ncargo xtask lint",
        "# elt\ncargo xtask elt --schema issue_42 --target local --base dev",
        "create table if not exists \"issue_42\"",
        "# observability\ncargo xtask metrics --schema issue_42",
        "# notify\ncargo xtask notify github",
        "# notify\ncargo xtask notify slack",
    ] {
        let at = rest.find(words).unwrap_or_else(|| panic!("{words} is missing or out of order:\n{said}"));
        rest = &rest[at..];
    }
    assert!(!checkout.databases().exists());
}

#[test]
fn a_clean_up_drops_the_environment_and_may_come_twice() {
    let checkout = Checkout::new();
    checkout.run(&["schema", "create", "--schema", "issue_42"]).expect(0);
    let said = replay(&checkout, "issues.closed", &["--dry-run"]).expect(0).stdout;
    assert!(said.contains("-- remove ") && said.contains("issue_42.duckdb"), "{said}");
    assert_eq!(environments(&checkout), 1, "a dry run drops nothing");
    replay(&checkout, "issues.closed", &[]).expect(0);
    assert_eq!(environments(&checkout), 0);
    replay(&checkout, "issues.closed", &[]).expect(0);
}

fn environments(checkout: &Checkout) -> usize {
    checkout.run(&["schema", "list", "--format", "json"]).expect(0).json().as_array().unwrap().len()
}

#[test]
fn an_event_that_asks_for_nothing_does_nothing() {
    let checkout = Checkout::new();
    let said = replay(&checkout, "push.without-tag", &[]).expect(0);
    assert!(said.stdout.contains("nothing runs"), "{}", said.stdout);
    assert!(!checkout.path(".xtask").exists());
}
