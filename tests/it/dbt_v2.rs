//! dbt v2 as the engine: the same data as dbt v1 without any Python, whatever fails or is killed.
//!
//! It is installed once, below `target/`, as `cargo xtask dbt use v2 --wheel` does it anywhere. A machine that cannot
//! reach the package index and the npm registry leaves these tests out and says so, unless `XTASK_REQUIRE_DBT_V2` is
//! set.

#![cfg(target_os = "linux")]

mod differences;
mod failures;
mod killed;
mod parity;
mod parse_cache;
mod threads;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::support::{self, BUILT, Checkout, Ended};

/// Where dbt v2 is installed, if this machine can install it.
fn installed() -> Option<&'static Path> {
    static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let folder = support::root().join("target/dbt-v2");
        let checkout = support::scratch();
        let mut command = support::scrubbed(checkout.path());
        command.args(["dbt", "use", "v2", "--wheel"]).env("XTASK_DBT_DIR", &folder);
        let ended = Ended::of(command);
        let cannot = ended.stderr.contains("failed to download");
        if cannot && std::env::var_os("XTASK_REQUIRE_DBT_V2").is_none() {
            println!("left out: dbt v2 cannot be installed here: {}", ended.stderr);
            return None;
        }
        assert_eq!(ended.expect(0).stdout.trim(), "dbt v2 (2.0.0-alpha.4)");
        Some(folder)
    });
    FOLDER.as_deref()
}

/// The same for tests of other things, which are quicker with dbt v2.
pub(crate) fn folder() -> Option<PathBuf> {
    installed().map(Path::to_path_buf)
}

/// `cargo xtask …` in a checkout that has dbt v2, on a machine without any Python.
fn command(checkout: &Checkout, folder: &Path, args: &[&str]) -> Command {
    let mut command = checkout.command(args);
    command
        .env("XTASK_DBT_DIR", folder)
        .env("XTASK_VENV", checkout.path("no such environment"))
        .env("XTASK_PYTHON", "/no/such/python")
        .env("PATH", only_git(checkout));
    command
}

/// A `PATH` with git and nothing else.
fn only_git(checkout: &Checkout) -> PathBuf {
    let folder = checkout.path("bin");
    if !folder.exists() {
        let git = std::env::split_paths(&std::env::var_os("PATH").expect("a PATH"))
            .map(|folder| folder.join("git"))
            .find(|git| git.is_file())
            .expect("git");
        std::fs::create_dir(&folder).expect("a folder");
        std::os::unix::fs::symlink(git, folder.join("git")).expect("a link");
    }
    folder
}

fn run(checkout: &Checkout, folder: &Path, args: &[&str]) -> Ended {
    Ended::of(command(checkout, folder, args))
}

/// A checkout in which dbt v2 has built [`BUILT`]: a copy of one that is built once.
fn built(folder: &Path) -> Checkout {
    static ONCE: LazyLock<Checkout> = LazyLock::new(Checkout::new);
    static REPORT: LazyLock<Value> = LazyLock::new(|| {
        let folder = installed().expect("it is installed");
        run(&ONCE, folder, &["elt", "--schema", BUILT, "--format", "json"]).expect(0).json()
    });
    assert_eq!(
        (&REPORT["engine"], &REPORT["dbt_started"]),
        (&"v2".into(), &true.into()),
        "in {}",
        folder.display()
    );
    ONCE.copied()
}

#[test]
fn a_run_needs_no_python_and_says_which_engine_built() {
    let Some(folder) = installed() else { return };
    let checkout = built(folder);
    assert!(!checkout.path("no such environment").exists(), "a Python environment was made");
    let runs = checkout.sql(&format!("select status, dbt_version from {BUILT}.ledger_runs"));
    assert_eq!(runs, [serde_json::json!({"status": "success", "dbt_version": "2.0.0-alpha.4"})]);

    let again = run(&checkout, folder, &["elt", "--schema", BUILT]).expect(0);
    assert!(again.stdout.contains("is up to date"), "{}", again.stdout);
    // What earlier runs did is not said of this one.
    assert!(
        again
            .stdout
            .contains(": nothing to build; 39 built by earlier runs, 82 of 82 tests passed there, oldest"),
        "{}",
        again.stdout
    );
    let listed = run(&checkout, folder, &["schema", "list"]).expect(0);
    assert!(listed.stdout.contains(BUILT), "{}", listed.stdout);

    let doctor = run(&checkout, folder, &["doctor", "--format", "json"]).json();
    let found = |name: &str| {
        let checks = doctor["checks"].as_array().expect("checks");
        checks.iter().find(|check| check["name"] == name).expect("the check").clone()
    };
    let engine = found("engine");
    assert_eq!(engine["found"], "dbt v2 (2.0.0-alpha.4) (it is installed for this repository)");
    for name in ["engine", "python", "environment", "duckdb"] {
        assert_eq!(found(name)["status"], "ok", "{doctor:#}");
    }
    assert!(found("duckdb")["found"].as_str().expect("text").contains("1.5.6"));
}

#[test]
fn the_engine_is_chosen_by_variable_policy_and_what_is_installed() {
    let Some(folder) = installed() else { return };
    let checkout = Checkout::new();
    let engine = |variables: &[(&str, &str)]| {
        let mut command = command(&checkout, folder, &["doctor", "--format", "json"]);
        command.envs(variables.iter().copied());
        let report = Ended::of(command).json();
        let checks = report["checks"].as_array().expect("checks").clone();
        let engine = checks.iter().find(|check| check["name"] == "engine").expect("the check").clone();
        format!("{} {}", engine["found"].as_str().expect("text"), engine["fix"].as_str().unwrap_or_default())
    };
    assert!(engine(&[]).starts_with("dbt v2"));
    assert!(engine(&[("XTASK_DBT_ENGINE", "v1")]).starts_with("dbt v1 (XTASK_DBT_ENGINE says so)"));
    assert!(engine(&[("XTASK_DBT_ENGINE", "v3")]).contains("it can be auto, v1 or v2"));
    let binary = folder.join("dbt/dbt");
    let own = ("XTASK_DBT", binary.to_str().expect("a path"));
    assert!(engine(&[own]).contains("XTASK_DBT names it"));
    let other = engine(&[("XTASK_DBT", "/bin/true")]);
    assert!(other.contains("does not run") || other.contains("only dbt v2 can be given"), "{other}");
    checkout.edit("policies/environments.toml", |text| text.replace("engine = \"auto\"", "engine = \"v1\""));
    assert!(engine(&[]).starts_with("dbt v1 (policies/environments.toml says so)"));
    assert!(engine(&[("XTASK_DBT_ENGINE", "auto")]).starts_with("dbt v2"));
}

/// What is installed is whole, checked, and goes again without a trace.
#[test]
fn an_installation_is_checked_and_removed() {
    let checkout = Checkout::new();
    let folder = checkout.path("engines");
    let downloads = checkout.path("downloads");
    std::fs::create_dir(&downloads).expect("a folder");
    let install = || {
        let mut command = checkout.command(&["dbt", "use", "v2", "--wheel", "--from"]);
        command.arg(&downloads).env("XTASK_DBT_DIR", &folder);
        Ended::of(command)
    };
    let missing = install().expect(2);
    assert!(
        missing.stderr.contains("duckdb") && missing.stderr.contains("download it from"),
        "{}",
        missing.stderr
    );
    let name = missing.stderr.split("downloads/").nth(1).expect("a file").split(';').next().expect("a name");
    std::fs::write(downloads.join(name), "something else").expect("written");
    let other = install().expect(2);
    assert!(other.stderr.contains("is not the file that is pinned"), "{}", other.stderr);
    let left: Vec<String> = std::fs::read_dir(&folder)
        .expect("the folder")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(left, [".xtask-lock"], "nothing half-made is left");

    let Some(shared) = installed() else { return };
    for part in ["dbt", "duckdb"] {
        support::copy(&shared.join(part), &folder.join(part));
    }
    let mut command = checkout.command(&["dbt", "use", "v1"]);
    command.env("XTASK_DBT_DIR", &folder).env("XTASK_VENV", support::environment());
    let ended = Ended::of(command).expect(0);
    assert!(ended.stdout.starts_with("dbt v1 (1.11"), "{}", ended.stdout);
    assert!(!folder.join("dbt").exists() && !folder.join("duckdb").exists());
}
