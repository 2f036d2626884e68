//! `cargo xtask doctor`: its output for checkouts in several states.

use std::fs;

use assert_cmd::assert::Assert;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

use crate::support;

fn json(assert: &Assert) -> Value {
    serde_json::from_slice(&assert.get_output().stdout).expect("JSON on stdout")
}

fn status_of<'a>(report: &'a Value, name: &str) -> &'a str {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}"))["status"]
        .as_str()
        .unwrap()
}

#[test]
fn a_complete_checkout_has_nothing_to_fix() {
    let venv = support::environment();
    let assert =
        support::xtask(support::root()).args(["doctor", "--format", "json"]).env("XTASK_VENV", venv).assert();
    let report = json(&assert.success());
    for name in ["git", "python", "uv", "dbt project", "locks", "environment", "duckdb", "storage"] {
        assert_eq!(status_of(&report, name), "ok", "{report:#}");
    }
    let found = report["checks"].to_string();
    assert!(found.contains("dbt-core 1.11"), "the version of dbt is reported: {found}");
}

#[test]
fn a_folder_without_anything_gets_every_remedy_and_stays_empty() {
    let dir = tempfile::tempdir().unwrap();
    let assert = support::xtask(dir.path()).arg("doctor").env("PATH", "").assert().code(1);
    assert
        .stdout(contains("git is not on PATH").and(contains("sudo apt install git")))
        .stdout(contains("no Python found").and(contains("no dbt project")))
        .stdout(contains(" to fix\n"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "doctor wrote something");
}

#[test]
fn a_new_clone_has_warnings_but_no_failures() {
    let dir = support::scratch();
    fs::create_dir_all(dir.path().join("dbt/requirements")).unwrap();
    fs::write(dir.path().join("dbt/dbt_project.yml"), "name: x\n").unwrap();
    for file in ["local.in", "local.txt", "snowflake.in", "snowflake.txt", "test.in", "test.txt"] {
        let from = support::root().join("dbt/requirements").join(file);
        fs::copy(from, dir.path().join("dbt/requirements").join(file)).unwrap();
    }
    let report = json(&support::xtask(dir.path()).args(["doctor", "--format", "json"]).assert().success());
    assert_eq!(report["status"], "warn");
    assert_eq!(status_of(&report, "environment"), "warn");
    assert!(!dir.path().join(".venv").exists(), "doctor installs nothing");
}

#[test]
fn broken_policies_and_an_unwritable_warehouse_are_found() {
    let dir = support::scratch();
    fs::create_dir(dir.path().join("policies")).unwrap();
    fs::write(dir.path().join("policies/lint.toml"), "a = \n").unwrap();
    let mut command = support::xtask(dir.path());
    command.args(["doctor", "--format", "json"]).env("DBT_DUCKDB_PATH", "/proc/warehouse.duckdb");
    let report = json(&command.assert().code(1));
    assert_eq!(status_of(&report, "policies"), "fail");
    assert_eq!(status_of(&report, "storage"), "fail");
}

#[test]
fn every_command_has_a_help_text() {
    let assert = support::xtask(support::root()).arg("--help").assert().success();
    let help = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    for line in commands.lines().filter(|line| !line.trim().is_empty()) {
        assert!(line.split_whitespace().count() > 2, "{line:?} has no text");
    }
}
